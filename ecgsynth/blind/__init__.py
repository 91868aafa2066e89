"""Real strips among synthetic ones for people who read ECGs: a sheet, its key, a score of the answers."""

from ecgsynth.blind.answers import Answers, read_answers
from ecgsynth.blind.scoring import score_answers
from ecgsynth.blind.sheet import Sheet, SheetOptions, make_sheet, read_key

__all__ = ["Answers", "Sheet", "SheetOptions", "make_sheet", "read_answers", "read_key", "score_answers"]

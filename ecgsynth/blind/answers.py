"""The form that a rater has filled in."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ecgsynth.errors import RecordError

COLUMNS: Final = ("sheet", "number", "answer", "confidence")
#: What may be written, and what it means.
WORDS: Final = {"real": "real", "r": "real", "synthetic": "synthetic", "s": "synthetic"}
#: Numbers named in a message.
_NAMED = 10


@dataclass(frozen=True)
class Answers:
    """What one rater said.

    Attributes
    ----------
    rater : str
        Name of the file without its ending.
    said : dict of int to str
        ``"real"`` or ``"synthetic"`` by number of the strip.
    confidence : dict of int to float
        In [0.5, 1] that the answer is right, where it was given.
    """

    rater: str
    said: dict[int, str]
    confidence: dict[int, float]


def read_answers(path: Path, key: Mapping[str, Any], partial: bool = False) -> Answers:
    """A filled form, checked against the key.

    Parameters
    ----------
    path : Path
    key : mapping
        As `read_key` gives it.
    partial : bool
        Take a form with strips that were not answered.

    Raises
    ------
    RecordError
        If it is no such form, of another sheet, names an unknown strip or one twice, an answer or confidence
        is none, or answers are missing.
    """
    known = {row["number"] for row in key["strips"]}
    found = Answers(path.stem, {}, {})
    seen: set[int] = set()
    for line, row in _rows(path):
        where = f"{path}, line {line}"
        number = _number(row["number"], known, where)
        if number in seen:
            raise RecordError(f"{where}: strip {number} is there twice; keep one line.")
        seen.add(number)
        if row["sheet"] != key["sheet"]:
            raise RecordError(
                f"{where}: answers to sheet {row['sheet'] or '(none)'}, "
                f"but the key is of sheet {key['sheet']}; give the key of that sheet."
            )
        word = row["answer"].casefold()
        if word and word not in WORDS:
            raise RecordError(f"{where}: answer {row['answer']!r}; allowed are real and synthetic (r, s).")
        if word:
            found.said[number] = WORDS[word]
            if row["confidence"]:
                found.confidence[number] = _confidence(row["confidence"], where)
    missing = sorted(known - found.said.keys())
    if not found.said or (missing and not partial):
        named = ", ".join(map(str, missing[:_NAMED])) + (", ..." if len(missing) > _NAMED else "")
        raise RecordError(
            f"{path}: {len(missing)} of {len(known)} strips have no answer ({named}); fill them in"
            + ("." if not found.said else ", or pass --partial to score the others.")
        )
    return found


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Lines with their numbers; spaces around cells do not count, nor do semicolons for commas."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file; expected a filled answers.csv.") from None
    except UnicodeDecodeError:
        raise RecordError(f"{path}: is not text in UTF-8; save the form as CSV (UTF-8).") from None
    head = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter=";" if ";" in head else ",")
    names = [(name or "").strip().casefold() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    lacking = [name for name in COLUMNS[:3] if name not in names]
    if lacking:
        raise RecordError(
            f"{path}: no column {', '.join(lacking)}; found {', '.join(names) or 'nothing'}. "
            f"Expected the form with {','.join(COLUMNS)}."
        )
    rows = []
    for row in reader:
        cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
        if any(cells.values()):
            rows.append((reader.line_num, cells))
    return rows


def _number(text: str, known: set[int], where: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number not in known:
        raise RecordError(f"{where}: no strip {text!r} on this sheet; allowed are 1 to {max(known)}.")
    return number


def _confidence(text: str, where: str) -> float:
    try:
        value = float(text.removesuffix("%").replace(",", "."))
    except ValueError:
        value = float("nan")
    if not 50 <= value <= 100:
        raise RecordError(
            f"{where}: confidence {text!r}; allowed are 50 (a guess) to 100 (certain), or nothing."
        )
    return value / 100

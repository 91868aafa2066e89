"""What a dataset says of itself: card, licence and annotators, and the comments and marks of each record."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ecgsynth import __version__
from ecgsynth.errors import OutputError
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS

ANNOTATORS = "atr\tbeats and rhythm changes, by construction of the generator; not reviewed by a person\n"

LICENCE = """\
Creative Commons Attribution 4.0 International (CC BY 4.0)
https://creativecommons.org/licenses/by/4.0/legalcode

These recordings are synthetic: made by ecgsynth, recorded from no person. You may share and adapt
them for any purpose if you name their origin and say that they are synthetic.

What the generator learned, it learned from real recordings that their authors published under
attribution licences (Open Data Commons Attribution 1.0, Creative Commons BY 4.0). The model card of the
generator names those databases and the papers to cite; keep that attribution when you publish work
that rests on this dataset.

There is no warranty of any kind. Not for diagnosis or for any decision on a patient.
"""

_CARD = """\
# Synthetic ECG recordings

Made by ecgsynth {version}, recorded from no person. Not for diagnosis or for any decision on a patient.

| | |
|---|---|
{rows}

## What is here
- `RECORDS` lists the records; each is a header (`.hea`), samples (`.dat`) and annotations (`.atr`) in
  WFDB format.
- Samples: format 16, 1,000 ADC units/mV, baseline 0, with checksums. The header's comments give age, sex,
  SNOMED CT codes (`Dx`), the generator, and the bandwidth.
- Annotations: beats with their types, and a rhythm change (`+`, such as `(AFIB`) where an episode starts.
  They hold by construction: the beats were drawn first and the waveforms made to fit them.
- `manifest.jsonl`: one line of JSON per record with its seed, generator, the SHA-256 of the weights, the
  conditions asked for, and the result of every check.
- `SHA256SUMS.txt`: sums of all other files. `ecgsynth verify FOLDER` or `sha256sum -c SHA256SUMS.txt`
  checks them.

## Before you use it
- Train with it, test on real recordings: a score on synthetic records says nothing about patients.
- The generator resembles the people it was trained on. Rhythms learned from few people resemble those few;
  the model card gives the number.
- Seed and weights make every record again, bit for bit on the same software and kind of processor.
"""


def rhythm_marks(record: Record) -> list[tuple[int, str]]:
    """WFDB rhythm changes ``(sample, "(AFIB")`` of a record, one where each episode starts.

    Raises
    ------
    OutputError
        If the record has no episodes, or one whose rhythm is not in the table.
    """
    marks = []
    for episode in record.episodes:
        if episode.rhythm not in RHYTHMS:
            raise OutputError(
                f"{record.name}: rhythm at sample {episode.start} is {episode.rhythm!r}; "
                f"allowed: {', '.join(RHYTHMS)}."
            )
        marks.append((episode.start, RHYTHMS[episode.rhythm].aux))
    if not marks:
        raise OutputError(f"{record.name}: has no rhythm episodes; allowed: at least one.")
    return marks


def header_comments(record: Record) -> list[str]:
    """Header comments in the style of the CinC 2021 challenge, plus how the record was made.

    ``record.extra`` gives the generator (``"synthetic"``) and, where known, the ``"bandwidth"``.

    Raises
    ------
    OutputError
        If the record does not say which generator made it.
    """
    if "synthetic" not in record.extra:
        raise OutputError(f"{record.name}: extra has no 'synthetic'; allowed: the name of the generator.")
    codes = dict.fromkeys(RHYTHMS[episode.rhythm].snomed for episode in record.episodes if episode.rhythm)
    sex = {"M": "Male", "F": "Female", None: "Unknown"}[record.sex]
    comments = [
        f"Age: {'NaN' if record.age is None else format(record.age, 'g')}",
        f"Sex: {sex}",
        f"Dx: {','.join(codes)}",
        f"Synthetic: yes, made by ecgsynth {__version__} ({record.extra['synthetic']})",
    ]
    if "bandwidth" in record.extra:
        comments.append(f"Bandwidth: {record.extra['bandwidth']}")
    return comments


def dataset_card(version: str, summary: Mapping[str, object]) -> str:
    """Markdown card of a dataset, the same bytes for the same summary.

    Parameters
    ----------
    version : str
        Of the package.
    summary : mapping of str to object
        Rows of the card's table, in order; whatever is not text or a number is shown as JSON.
    """
    rows = "\n".join(f"| {_cell(key)} | {_cell(value)} |" for key, value in summary.items())
    return _CARD.format(version=version, rows=rows)


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, allow_nan=False)
    return " ".join(text.replace("|", "\\|").split())

"""What a folder of real and synthetic strips says of people, parts and origins, and holding it to that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ecgsynth import __version__
from ecgsynth.errors import RecordError
from ecgsynth.export import DatasetWriter, header_comments
from ecgsynth.export.writer import sub_folder
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.split import PARTS, SplitManifest

#: What a line of the manifest must say of every record, besides its name.
LINE_KEYS: Final = frozenset({"part", "person", "synthetic", "rhythm", "source", "origin"})
SPLIT_FILE: Final = "split.json"

_ANNOTATORS = "atr\trhythm; beats as the source marks them, or by construction of the generator\n"
_LICENCE = """\
This folder holds recordings of two kinds; the header of each says which it is.

Recordings of people keep the licence of the database that they come from (see Source in their headers).
Whoever passes them on has to keep its terms, such as naming the authors.

Recordings made by ecgsynth are under Creative Commons Attribution 4.0 International (CC BY 4.0),
https://creativecommons.org/licenses/by/4.0/legalcode; say that they are synthetic.

There is no warranty of any kind. Not for diagnosis or for any decision on a patient.
"""
_CARD = """\
# Real and synthetic ECG strips

Put together by ecgsynth {version} to train a model on. Not for diagnosis or for any decision on a patient.

| | |
|---|---|
{rows}

## What is here
- `RECORDS` lists the strips in WFDB format; `Part`, `Subject`, `Source` and `Origin` stand in each header.
- `records.csv`: record, part, rhythm, person, synthetic, source, age, sex.
- `split.json`: who is in which part. A person is in one part only; `manifest.jsonl` carries its hash.
- `manifest.jsonl`: one line of JSON per strip; of synthetic ones with all that `ecgsynth generate` notes.
- `SHA256SUMS.txt`: sums of all other files. `ecgsynth verify FOLDER` checks them.

## How to use it
- Train on part `train`, choose on `val`, report on `test`. Every strip of `val` and `test` is real.
{notes}"""


class MixedWriter(DatasetWriter):
    """A dataset of real and synthetic strips; `Record.extra` says ``part``, ``origin`` and ``synthetic``.

    Attributes
    ----------
    split : SplitManifest
        Set before `finish`.
    notes : tuple of str
        Warnings for the card.
    members : list of (str, str)
        Path in the folder and part of what was added.
    """

    manifest_keys = LINE_KEYS
    split: SplitManifest
    notes: tuple[str, ...] = ()
    members: list[tuple[str, str]]

    def add(self, record: Record, manifest: Mapping[str, object]) -> None:
        """Write one strip; see `DatasetWriter.add`."""
        super().add(record, manifest)
        if self.added == 1:
            self._rows = ["record,part,rhythm,person,synthetic,source,age,sex"]
            self.members = []
        prefix = sub_folder(self.added - 1, self.n_records)
        self.members.append((prefix + record.name, str(manifest["part"])))
        age = "" if record.age is None else f"{record.age:g}"
        cells = (
            record.name,
            manifest["part"],
            manifest["rhythm"],
            manifest["person"],
            "yes" if manifest["synthetic"] else "no",
            manifest["source"],
            age,
            record.sex or "",
        )
        self._rows.append(",".join(_csv(str(cell)) for cell in cells))

    def comments(self, record: Record) -> list[str]:
        """Header comments: the person, the part, and where the strip comes from."""
        own = [
            f"Subject: {_ascii(record.subject)}",
            f"Source: {_ascii(record.source)}",
            f"Part: {record.extra['part']}",
            f"Origin: {_ascii(record.extra['origin'])}",
        ]
        if "synthetic" in record.extra:
            return [*header_comments(record), *own]
        sex = {"M": "Male", "F": "Female", None: "Unknown"}[record.sex]
        codes = dict.fromkeys(RHYTHMS[e.rhythm].snomed for e in record.episodes if e.rhythm)
        age = "NaN" if record.age is None else format(record.age, "g")
        return [f"Age: {age}", f"Sex: {sex}", f"Dx: {','.join(codes)}", *own]

    def texts(self, summary: Mapping[str, object]) -> dict[str, str]:
        """Card, licence, list of annotators, table of records, split."""
        rows = "\n".join(f"| {_cell(key)} | {_cell(value)} |" for key, value in summary.items())
        notes = "".join(f"- {note}\n" for note in self.notes)
        return {
            "ANNOTATORS": _ANNOTATORS,
            "DATASET_CARD.md": _CARD.format(version=__version__, rows=rows, notes=notes),
            "LICENSE.txt": _LICENCE,
            "records.csv": "\n".join(self._rows) + "\n",
            SPLIT_FILE: self.split.to_json(),
        }


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


def _csv(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text


def _ascii(text: str) -> str:
    """Text that a header can hold: printable ASCII."""
    return text.encode("ascii", "replace").decode().strip() or "unknown"


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """The manifest's lines by record name.

    Raises
    ------
    RecordError
        If it cannot be read, or a line lacks what it must say.
    """
    path = folder / "manifest.jsonl"
    lines: dict[str, dict[str, Any]] = {}
    try:
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            line = json.loads(text)
            missing = (LINE_KEYS | {"name"}) - line.keys()
            if missing:
                raise RecordError(
                    f"{path}, line {number}: says nothing of {', '.join(sorted(missing))}. Make the folder "
                    "with `ecgsynth augment`."
                )
            lines[line["name"]] = line
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}). Check the path.") from None
    except (ValueError, AttributeError, TypeError) as error:
        raise RecordError(f"{path}: is not JSON line by line ({error}). Make the folder again.") from None
    return lines


def check_parts(folder: Path) -> dict[str, dict[str, Any]]:
    """Hold a folder to its split and return its manifest by record name.

    Raises
    ------
    RecordError
        If the split was edited, a person is in two parts or in another than the split says, or a synthetic
        record is in validation or test.
    """
    path = folder / SPLIT_FILE
    try:
        split = SplitManifest.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read ({error.strerror}). Make the folder with `ecgsynth augment`."
        ) from None
    lines = read_manifest(folder)
    part_of = {name: part for part in PARTS for name in getattr(split, part)}
    seen: dict[str, str] = {}
    for name, line in lines.items():
        part, person = line["part"], line["person"]
        if part not in PARTS:
            raise RecordError(f"{folder}: {name} is in part {part!r}; allowed are {', '.join(PARTS)}.")
        if line["synthetic"]:
            if part != "train":
                raise RecordError(
                    f"{folder}: {name} is synthetic and in part {part}; synthetic records belong in train "
                    "only. A score on them says nothing about patients."
                )
            continue
        if seen.setdefault(person, part) != part:
            raise RecordError(
                f"{folder}: {person} is in both {seen[person]} and {part} ({name}); a person may be in one "
                "part only. Make the folder again."
            )
        if part_of.get(person) != part:
            raise RecordError(
                f"{folder}: {name} of {person} is in part {part}, {SPLIT_FILE} says {part_of.get(person)}. "
                "Make the folder again."
            )
    return lines

"""Checking a dataset against its own sums, lists and headers."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from ecgsynth.engine import ALONE, Engine, in_order
from ecgsynth.errors import OutputError, RecordError
from ecgsynth.wfdb_io import check_samples, read_digital, read_header, read_record

SUMS = "SHA256SUMS.txt"
#: Fewer records than this are not worth starting processes for.
FEW_RECORDS = 400
_SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: which file, by its path in the dataset, and what."""

    file: str
    what: str


@dataclass(frozen=True)
class VerifyReport:
    """Result of `verify_dataset`.

    Attributes
    ----------
    folder : Path
    files : int
        Files whose sum was computed.
    records : int
        Records whose header and samples were checked.
    problems : tuple of Problem
        Empty if all is well.
    """

    folder: Path
    files: int
    records: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_dataset(
    folder: Path, engine: Engine = ALONE, progress: Callable[[int, int], None] | None = None
) -> VerifyReport:
    """Check a dataset: sums, missing and extra files, ``RECORDS``, manifest, headers and their checksums.

    Parameters
    ----------
    folder : Path
        A folder that holds ``SHA256SUMS.txt``. Workers on other machines must see it under the same path.
    engine : Engine
        Who reads the files; by default this process alone.
    progress : callable, optional
        Called with the number of files read and of all.

    Raises
    ------
    OutputError
        If the folder or its sums cannot be read at all; everything else is listed in the report.
    ResourceError
        If memory runs out, or a worker is killed and none takes its place.
    """
    problems: list[Problem] = []
    sums = dict(_parse_sums(folder, problems))
    present = sorted(_files(folder, problems))
    there = set(present)
    problems += [Problem(name, "is missing") for name in sorted(sums.keys() - there)]
    problems += [Problem(name, f"is not in {SUMS}") for name in present if name not in sums and name != SUMS]
    names = _records(folder, there, problems)
    _check_manifest(folder, names, problems)
    hashed = sum(name in sums for name in present)
    few, done = len(names) < FEW_RECORDS, 0
    items = _items(present, sums, set(names))
    for files, found in in_order(_Checker(folder), items, engine, few=few, what="verifying"):
        problems += found
        done += files
        if progress is not None:
            progress(done, len(present))
    return VerifyReport(folder, hashed, len(names), tuple(problems))


#: A record (None: none that is listed) and its files with their sums (None: not stated).
_Item = tuple[str | None, tuple[tuple[str, bytes | None], ...]]


def _items(present: Iterable[str], sums: Mapping[str, bytes], listed: Container[str]) -> Iterator[_Item]:
    """Files by record, of which all but the suffix is the name."""
    for stem, group in groupby(present, key=lambda name: os.path.splitext(name)[0]):
        files = tuple((name, sums.get(name)) for name in group)
        yield (stem if stem in listed else None), files


@dataclass(frozen=True)
class _Checker:
    """Reads the files of one record: holds them against their sums, and its samples against its header."""

    folder: Path

    def __call__(self, item: _Item) -> tuple[int, list[Problem]]:
        record, files = item
        problems = []
        for name, stated in files:
            digest = _sha256(self.folder / name) if stated is not None else None
            if digest != stated:
                problems.append(Problem(name, "does not match its SHA-256" if digest else "cannot be read"))
        if record is not None:
            problems += _check_record(self.folder, record)
        return len(files), problems


def _parse_sums(folder: Path, problems: list[Problem]) -> Iterator[tuple[str, bytes]]:
    try:
        with (folder / SUMS).open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                match = _SUM_LINE.fullmatch(line.rstrip("\n"))
                if match is None or not _is_inside(match[2]):
                    problems.append(Problem(SUMS, f"line {number} is not a sum of a file in the folder"))
                else:
                    yield match[2], bytes.fromhex(match[1])
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise OutputError(
            f"{folder}: {SUMS} cannot be read ({reason}). Name a folder with a dataset."
        ) from None


def _is_inside(name: str) -> bool:
    return not (name.startswith("/") or ".." in PurePosixPath(name).parts or "\\" in name or "\x00" in name)


def _files(folder: Path, problems: list[Problem]) -> Iterator[str]:
    """Paths of the regular files in a folder; links are problems and are not followed."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        try:
            with os.scandir(folder / prefix) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            problems.append(Problem(prefix or ".", f"cannot be listed ({error.strerror})"))
            continue
        for entry in found:
            name = prefix + entry.name
            if entry.is_symlink():
                problems.append(Problem(name, "is a link; allowed: regular files"))
            elif entry.is_dir():
                waiting.append(f"{name}/")
            elif entry.is_file():
                yield name
            else:
                problems.append(Problem(name, "is not a regular file"))


def _sha256(path: Path) -> bytes:
    """Digest, or ``b""`` if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b""


def _lines(folder: Path, name: str, problems: list[Problem]) -> list[str]:
    try:
        return (folder / name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        problems.append(Problem(name, "cannot be read as text"))
        return []


def _records(folder: Path, present: Iterable[str], problems: list[Problem]) -> list[str]:
    """Records to check: those that are listed and have a header."""
    listed = _lines(folder, "RECORDS", problems)
    headers = {name.removesuffix(".hea") for name in present if name.endswith(".hea")}
    twice = [
        name for name, count in Counter(PurePosixPath(name).name for name in listed).items() if count > 1
    ]
    problems += [Problem("RECORDS", f"lists {name} more than once") for name in twice]
    problems += [
        Problem("RECORDS", f"lists {name}, which has no header") for name in listed if name not in headers
    ]
    problems += [Problem(f"{name}.hea", "is not in RECORDS") for name in sorted(headers - set(listed))]
    return [name for name in dict.fromkeys(listed) if name in headers]


def _check_manifest(folder: Path, names: list[str], problems: list[Problem]) -> None:
    path = folder / "manifest.jsonl"
    if not path.is_file():
        return  # A plain WFDB folder with sums; if it was listed there, it is already reported as missing.
    told, same = 0, True
    try:
        # Line by line: it is the longest of the lists.
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    name = str(json.loads(line)["name"])
                except (ValueError, TypeError, KeyError):
                    problems.append(Problem(path.name, f"line {number} is not a JSON object with a name"))
                    continue
                same = same and told < len(names) and name == PurePosixPath(names[told]).name
                told += 1
    except (OSError, UnicodeDecodeError):
        problems.append(Problem(path.name, "cannot be read as text"))
    if not same or told != len(names):
        problems.append(Problem(path.name, "does not name the same records as RECORDS, in that order"))


def _check_record(folder: Path, name: str) -> Iterator[Problem]:
    path = folder / f"{name}.hea"
    try:
        header = read_header(path, root=folder)
        if header.name != path.stem:
            yield Problem(f"{name}.hea", f"states another record name ({header.name})")
        if header.segments:
            sound = read_record(path, root=folder).verified
        else:
            sound = check_samples(header, read_digital(header))
        if not sound:
            yield Problem(f"{name}.hea", "states no checksums")
    except (RecordError, OSError) as error:
        yield Problem(f"{name}.hea", str(error))

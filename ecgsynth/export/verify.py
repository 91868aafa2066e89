"""Checking a dataset against its own sums, lists and headers."""

from __future__ import annotations

import hashlib
import json
import os
import re
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np

from ecgsynth.engine import ALONE, Engine, in_order
from ecgsynth.errors import OutputError, RecordError
from ecgsynth.wfdb_io import check_samples, read_digital, read_header, read_record

SUMS = "SHA256SUMS.txt"
#: Fewer records than this are not worth starting processes for.
FEW_RECORDS = 400
_SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


#: A record (None: none that is listed) and its files with their sums (None: not stated).
_Item = tuple[str | None, tuple[tuple[str, bytes | None], ...]]


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
    tidy = _tidy(folder)
    if tidy is not None:
        files, records = tidy
        items = _by_sums(folder)
    else:
        sums = dict(_parse_sums(folder, problems))
        present = sorted(_files(folder, problems))
        there = set(present)
        problems += [Problem(name, "is missing") for name in sorted(sums.keys() - there)]
        extra = [name for name in present if name not in sums and name != SUMS]
        problems += [Problem(name, f"is not in {SUMS}") for name in extra]
        names = _records(folder, there, problems)
        _check_manifest(folder, names, problems)
        files, records = sum(name in sums for name in present), len(names)
        items = _items(present, sums, set(names))
    done, few = 0, records < FEW_RECORDS
    for read, found in in_order(_Checker(folder), items, engine, few=few, what="verifying"):
        problems += found
        done += read
        if progress is not None:
            progress(done, files)
    return VerifyReport(folder, files, records, tuple(problems))


def _tidy(folder: Path) -> tuple[int, int] | None:
    """Number of files and records of a dataset whose lists and files agree; None where they may not.

    Holds eight bytes a record instead of names: two lists of names are the same if they are as long and the
    sums of their names' hashes agree.
    """
    problems: list[Problem] = []
    files, stated, headers, listed = ([0, 0] for _ in range(4))
    for name in _files(folder, problems, ordered=False):
        if name != SUMS:
            _count(files, name)
        if name.endswith(".hea"):
            _count(headers, name.removesuffix(".hea"))
    for name, _ in _parse_sums(folder, problems):
        _count(stated, name)
    bases = array("q")
    for name in _listed(folder, problems):
        _count(listed, name)
        bases.append(hash(PurePosixPath(name).name))
    twice = len(np.unique(np.frombuffer(bases, dtype=np.int64))) < len(bases) if bases else False
    if problems or twice or files != stated or headers != listed:
        return None
    _check_manifest(folder, _listed(folder, problems), problems)
    return None if problems else (files[0], listed[0])


def _count(of: list[int], name: str) -> None:
    of[0] += 1
    of[1] = (of[1] + hash(name)) % 2**64


def _by_sums(folder: Path) -> Iterator[_Item]:
    """Files by record in the order of the sums, which are known to agree with the other lists."""
    for stem, group in groupby(_parse_sums(folder, []), key=lambda pair: os.path.splitext(pair[0])[0]):
        pairs = tuple(group)
        yield (stem if any(name == f"{stem}.hea" for name, _ in pairs) else None), pairs


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


def _files(folder: Path, problems: list[Problem], ordered: bool = True) -> Iterator[str]:
    """Paths of the regular files in a folder; links are problems and are not followed.

    In any order, none of a folder's names are held.
    """
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        try:
            with os.scandir(folder / prefix) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name) if ordered else entries:
                    name = prefix + entry.name
                    if entry.is_symlink():
                        problems.append(Problem(name, "is a link; allowed: regular files"))
                    elif entry.is_dir():
                        waiting.append(f"{name}/")
                    elif entry.is_file():
                        yield name
                    else:
                        problems.append(Problem(name, "is not a regular file"))
        except OSError as error:
            problems.append(Problem(prefix or ".", f"cannot be listed ({error.strerror})"))


def _sha256(path: Path) -> bytes:
    """Digest, or ``b""`` if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b""


def _listed(folder: Path, problems: list[Problem]) -> Iterator[str]:
    try:
        with (folder / "RECORDS").open(encoding="utf-8") as file:
            yield from (line.rstrip("\n") for line in file)
    except (OSError, UnicodeDecodeError):
        problems.append(Problem("RECORDS", "cannot be read as text"))


def _records(folder: Path, present: Iterable[str], problems: list[Problem]) -> list[str]:
    """Records to check: those that are listed and have a header."""
    listed = list(_listed(folder, problems))
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


def _check_manifest(folder: Path, names: Iterable[str], problems: list[Problem]) -> None:
    path = folder / "manifest.jsonl"
    if not path.is_file():
        return  # A plain WFDB folder with sums; if it was listed there, it is already reported as missing.
    expected, same = iter(names), True
    try:
        # Line by line: it is the longest of the lists.
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    name = str(json.loads(line)["name"])
                except (ValueError, TypeError, KeyError):
                    problems.append(Problem(path.name, f"line {number} is not a JSON object with a name"))
                    continue
                same = same and name == PurePosixPath(next(expected, "")).name
    except (OSError, UnicodeDecodeError):
        problems.append(Problem(path.name, "cannot be read as text"))
    if not same or next(expected, None) is not None:
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

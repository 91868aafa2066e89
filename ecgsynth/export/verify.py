"""Checking a dataset against its own sums, lists and headers."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ecgsynth.errors import OutputError, RecordError
from ecgsynth.wfdb_io import check_samples, read_digital, read_header, read_record

SUMS = "SHA256SUMS.txt"
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


def verify_dataset(folder: Path) -> VerifyReport:
    """Check a dataset: sums, missing and extra files, ``RECORDS``, manifest, headers and their checksums.

    Parameters
    ----------
    folder : Path
        A folder that holds ``SHA256SUMS.txt``.

    Raises
    ------
    OutputError
        If the folder or its sums cannot be read at all; everything else is listed in the report.
    """
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise OutputError(
            f"{folder}: {SUMS} cannot be read ({reason}). Name a folder with a dataset."
        ) from None
    problems: list[Problem] = []
    sums = dict(_parse_sums(text, problems))
    present = set(_files(folder, problems))
    problems += [Problem(name, "is missing") for name in sorted(sums.keys() - present)]
    problems += [Problem(name, f"is not in {SUMS}") for name in sorted(present - sums.keys() - {SUMS})]
    hashed = sorted(sums.keys() & present)
    with ThreadPoolExecutor() as pool:
        for name, digest in zip(hashed, pool.map(lambda name: _sha256(folder / name), hashed), strict=True):
            if digest != sums[name]:
                problems.append(Problem(name, "does not match its SHA-256" if digest else "cannot be read"))
    names = _records(folder, present, problems)
    _check_manifest(folder, names, problems)
    for name in names:
        problems += _check_record(folder, name)
    return VerifyReport(folder, len(hashed), len(names), tuple(problems))


def _parse_sums(text: str, problems: list[Problem]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        match = _SUM_LINE.fullmatch(line)
        if match is None or not _is_inside(match[2]):
            problems.append(Problem(SUMS, f"line {number} is not a sum of a file in the folder"))
        else:
            yield match[2], match[1]


def _is_inside(name: str) -> bool:
    return not (name.startswith("/") or ".." in PurePosixPath(name).parts or "\\" in name or "\x00" in name)


def _files(folder: Path, problems: list[Problem]) -> Iterator[str]:
    """Paths of the regular files in a folder; links are problems and are not followed."""
    for base, folders, files in os.walk(folder):
        for name in sorted(folders + files):
            path = Path(base, name)
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                problems.append(Problem(relative, "is a link; allowed: regular files"))
            elif name in files and not path.is_file():
                problems.append(Problem(relative, "is not a regular file"))
            elif name in files:
                yield relative


def _sha256(path: Path) -> str:
    """Hex digest, or ``""`` if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


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
    if not (folder / "manifest.jsonl").is_file():
        return  # A plain WFDB folder with sums; if it was listed there, it is already reported as missing.
    told = []
    for number, line in enumerate(_lines(folder, "manifest.jsonl", problems), 1):
        try:
            told.append(str(json.loads(line)["name"]))
        except (ValueError, TypeError, KeyError):
            problems.append(Problem("manifest.jsonl", f"line {number} is not a JSON object with a name"))
    if told != [PurePosixPath(name).name for name in names]:
        problems.append(Problem("manifest.jsonl", "does not name the same records as RECORDS, in that order"))


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

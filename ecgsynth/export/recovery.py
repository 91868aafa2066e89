"""What an interrupted run left: which of its records are whole and unchanged."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

#: What was asked of the run, then a sum over what the lists say of each record. Never published.
JOURNAL: Final = "journal"
_PATH = re.compile(r"(?:\d{3,}/)?[A-Za-z0-9_-]+")
_SUFFIXES: Final = (".dat", ".atr", ".hea")


@dataclass(frozen=True)
class StagedRecord:
    """One record of the hidden folder, whose files match their sums.

    Attributes
    ----------
    path : str
        As in ``RECORDS``.
    manifest : str
        Its line.
    sums : tuple of (str, str)
        SHA-256 and file.
    """

    path: str
    manifest: str
    sums: tuple[tuple[str, str], ...]


def staged_records(folder: Path) -> Iterator[StagedRecord]:
    """Records of an interrupted run in order, up to the first that is torn, changed or behind a link."""
    sums = {
        name: digest
        for digest, _, name in (line.partition("  ") for line in _lines(folder, "SHA256SUMS.txt"))
    }
    paths, manifest, journal = (_lines(folder, name) for name in ("RECORDS", "manifest.jsonl", JOURNAL))
    for path, line, noted in zip(paths, manifest, journal[1:], strict=False):
        files = tuple((sums[path + end], path + end) for end in _SUFFIXES if path + end in sums)
        if not _PATH.fullmatch(path) or noted != journal_line(path, line):
            return
        if len({name for _, name in files} & {f"{path}.dat", f"{path}.hea"}) < 2:
            return
        if any(sha256_of(folder / name) != digest for digest, name in files):
            return
        yield StagedRecord(path, line, files)


def sum_of(folder: Path, name: str) -> str | None:
    """The sum that the hidden folder states for a file, if the file is there and matches it."""
    for line in _lines(folder, "SHA256SUMS.txt"):
        digest, _, file = line.partition("  ")
        if file == name and sha256_of(folder / name) == digest:
            return digest
    return None


def remove_others(folder: Path, kept: Iterable[str]) -> None:
    """Remove everything from the hidden folder except the files `kept`; links are removed, not followed."""
    stay = set(kept)
    for base, folders, files in os.walk(folder, topdown=False):
        for name in files + folders:
            path = Path(base, name)
            if path.relative_to(folder).as_posix() in stay:
                continue
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            elif not any(path.iterdir()):
                path.rmdir()


def read_request(folder: Path) -> dict[str, Any] | None:
    """What was asked of the run that left `folder`; None where that is not told."""
    try:
        found = json.loads(next(iter(_lines(folder, JOURNAL)), ""))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def journal_line(path: str, manifest: str) -> str:
    """The sum by which a change in the lists is told."""
    return hashlib.sha256(f"{path}\n{manifest}\n".encode()).hexdigest()


def _lines(folder: Path, name: str) -> list[str]:
    """Whole lines of a text file, none if it is a link or no text; the last one may be torn."""
    path = folder / name
    if path.is_symlink() or not path.is_file():
        return []
    try:
        return path.read_text(encoding="utf-8").split("\n")[:-1]
    except UnicodeDecodeError:
        return []


def sha256_of(path: Path) -> str | None:
    """SHA-256 of a regular file; None for anything else, or where the folder that it lies in is a link."""
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

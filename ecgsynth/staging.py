"""A folder appears under its name whole or not at all: made under a hidden name, renamed once complete."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ecgsynth.errors import OutputError


@dataclass(frozen=True)
class Kind:
    """What is published.

    Attributes
    ----------
    name : str
        As in messages: ``dataset``, ``report``.
    mark : str
        The file that tells such a folder, which ``--overwrite`` may replace, from any other.
    """

    name: str
    mark: str


def check_target(target: Path, overwrite: bool, kind: Kind) -> None:
    """Refuse a target that is there and is not of its kind and to be replaced.

    Raises
    ------
    OutputError
    """
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise OutputError(
            f"{target}: exists already; allowed: a new folder. Choose another or pass --overwrite."
        )
    if target.is_symlink() or not target.is_dir():
        raise OutputError(f"{target}: is not a folder; allowed: a {kind.name} to replace. Choose another.")
    if not (target / kind.mark).is_file() and any(target.iterdir()):
        raise OutputError(
            f"{target}: holds no {kind.mark}, so it is not a {kind.name} that --overwrite may replace. "
            "Choose another folder."
        )


def publish(hidden: Path, target: Path, overwrite: bool, kind: Kind) -> None:
    """Rename, the old one put aside first and back again if the new one cannot take its place."""
    check_target(target, overwrite, kind)
    aside = hidden.with_suffix(".old")
    try:
        if target.exists():
            target.rename(aside)
        hidden.rename(target)
    except BaseException:
        if aside.exists() and not target.exists():
            aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def unwritable(target: Path, error: OSError) -> str:
    """What to say of a target that the system refuses."""
    return f"{target}: cannot be written ({error.strerror}). Check space and permissions, or choose another."

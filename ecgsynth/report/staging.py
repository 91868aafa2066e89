"""A report appears under its name whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecgsynth.errors import OutputError

#: The file that tells a report that ``--overwrite`` may replace from any other folder.
MARK = "fidelity.json"


@contextmanager
def staged(target: Path, overwrite: bool) -> Iterator[Path]:
    """A hidden folder beside ``target`` that takes its name when the block ends; removed if it raises.

    Raises
    ------
    OutputError
        If the target exists (and may not be replaced), or cannot be written.
    """
    target = Path(os.path.abspath(target))
    check_target(target, overwrite)
    hidden = target.parent / f".{target.name}.{secrets.token_hex(4)}.partial"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
    except OSError as error:
        raise OutputError(_unwritable(target, error)) from None
    try:
        yield hidden
        _publish(hidden, target, overwrite)
    except OSError as error:
        raise OutputError(_unwritable(target, error)) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def check_target(target: Path, overwrite: bool) -> None:
    """Refuse a target that is there and is not a report to be replaced.

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
        raise OutputError(f"{target}: is not a folder; allowed: a report to replace. Choose another.")
    if not (target / MARK).is_file() and any(target.iterdir()):
        raise OutputError(
            f"{target}: holds no {MARK}, so it is not a report that --overwrite may replace. Choose another."
        )


def _publish(hidden: Path, target: Path, overwrite: bool) -> None:
    """Rename, an old report put aside first and back again if the new one cannot take its place."""
    check_target(target, overwrite)
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


def _unwritable(target: Path, error: OSError) -> str:
    return f"{target}: cannot be written ({error.strerror}). Check space and permissions, or choose another."

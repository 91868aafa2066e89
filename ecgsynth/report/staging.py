"""A report appears under its name whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecgsynth.errors import OutputError
from ecgsynth.staging import Kind, check_target, publish, unwritable

REPORT = Kind("report", "fidelity.json")


@contextmanager
def staged(target: Path, overwrite: bool) -> Iterator[Path]:
    """A hidden folder beside ``target`` that takes its name when the block ends; removed if it raises.

    Raises
    ------
    OutputError
        If the target exists (and may not be replaced), or cannot be written.
    """
    target = Path(os.path.abspath(target))
    check_target(target, overwrite, REPORT)
    hidden = target.parent / f".{target.name}.{secrets.token_hex(4)}.partial"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
    except OSError as error:
        raise OutputError(unwritable(target, error)) from None
    try:
        yield hidden
        publish(hidden, target, overwrite, REPORT)
    except OSError as error:
        raise OutputError(unwritable(target, error)) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)

"""A report appears under its name whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecgsynth.staging import Kind, Stage, check_target, writing

REPORT = Kind("report", "fidelity.json")


@contextmanager
def staged(target: Path, overwrite: bool, kind: Kind = REPORT) -> Iterator[Path]:
    """A hidden folder beside ``target`` that takes its name when the block ends; removed if it raises.

    Raises
    ------
    OutputError
        If the target exists (and may not be replaced), is being written, or cannot be.
    """
    check_target(target, overwrite, kind)
    stage = Stage(target, kind, overwrite)
    stage.open()
    try:
        with writing(target):
            yield stage.folder
            stage.publish()
    finally:
        stage.discard()

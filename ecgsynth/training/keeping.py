"""Checkpoints to resume from: one whole and sound file at any moment, whenever the process is killed."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ecgsynth.errors import CheckpointError

_BAD = (pickle.UnpicklingError, zipfile.BadZipFile)
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


class KeepingIO(TorchCheckpointIO):
    """Writes a checkpoint beside itself, then renames it; the one before stays as ``previous.ckpt``."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it to the disk, not only to memory, before it takes the name.

        Raises
        ------
        CheckpointError
            If the training has diverged; the checkpoint before stays.
        """
        target = Path(path)
        for key, value in checkpoint["state_dict"].items():
            if value.is_floating_point() and not value.isfinite().all():
                raise CheckpointError(
                    f"{target}: training diverged, {key} holds NaN or infinite values. Start afresh with a "
                    "smaller --lr."
                )
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        with partial.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            target.replace(target.with_name(PREVIOUS))
        partial.replace(target)


def last_good(folder: Path) -> Path:
    """The newest checkpoint in `folder` that can be read; no code in it is run.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    damaged = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.is_file():
            continue
        try:
            torch.load(path, map_location="cpu", weights_only=True)
            with zipfile.ZipFile(path) as parts:
                flipped = parts.testzip()  # torch does not hold what it reads against the sums
        except (RuntimeError, ValueError, KeyError, EOFError, OSError, *_BAD):
            flipped = path.name
        if flipped is None:
            return path
        damaged.append(path.name)
    if damaged:
        raise CheckpointError(
            f"{folder}: {' and '.join(damaged)} damaged, nothing to resume from; leave out --resume to start "
            "afresh."
        )
    raise CheckpointError(f"{folder / LAST}: nothing to resume from; leave out --resume to start afresh.")


def check_note(note: Path, now: dict[str, Any], resume: bool) -> None:
    """Hold the options of a training that is resumed to those it was begun with, and note those of a new one.

    Raises
    ------
    CheckpointError
        If they differ, or were not noted.
    """
    if resume:
        try:
            before = json.loads(note.read_text(encoding="utf-8"))
            changed = [key for key in now if now[key] != before.get(key)]
        except OSError as error:
            raise CheckpointError(
                f"{note}: nothing to resume from ({error.strerror}); leave out --resume to start afresh."
            ) from None
        except (ValueError, AttributeError):
            raise CheckpointError(f"{note}: damaged, nothing can be resumed; start afresh.") from None
        if changed:
            raise CheckpointError(
                f"{note}: {', '.join(changed)} changed since; resume with the same, or start afresh."
            )
    note.parent.mkdir(parents=True, exist_ok=True)
    staged = note.with_name(f"{note.name}.partial")
    staged.write_text(json.dumps(now, indent=1))
    staged.replace(note)

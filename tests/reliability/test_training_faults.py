"""Training survives kills: it goes on from its last good checkpoint, never silently from the start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgsynth.errors import CheckpointError, OutputError
from ecgsynth.staging import only_writer
from ecgsynth.training.folder import TrainOptions, _check_same_training, train_on_folder
from ecgsynth.training.keeping import LAST

CHILD = Path(__file__).with_name("training_child.py")
EPOCH = 2  # as in `CHILD`


class Trainer:
    """Starts trainings in `CHILD` and kills them."""

    def __init__(self) -> None:
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def train(self, folder: Path, *kill_after: float) -> int:
        """Exit code of a training in `folder`, killed so many steps and then seconds after its start."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\t".join(map(str, (folder, *kill_after))) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def trainer() -> Iterator[Trainer]:
    made = Trainer()
    yield made
    made.process.communicate("", timeout=60)


def begins(folder: Path) -> list[tuple[bool, int | None]]:
    """Of every start: whether it resumed, and what was done before its first step (None: it did none)."""
    found: list[tuple[bool, int | None]] = []
    for line in (folder / "steps.txt").read_text().splitlines():
        if line.startswith("begin"):
            found.append((line.endswith("resumed"), None))
        elif found[-1][1] is None:
            found[-1] = (found[-1][0], int(line))
    return found


def test_killed_at_random_moments_it_goes_on_from_its_last_checkpoint(
    tmp_path: Path, trainer: Trainer, rng: np.random.Generator, times: Callable[[int, int], int]
) -> None:
    assert trainer.train(tmp_path / "whole") == 0
    whole = torch.load(tmp_path / "whole/trained.pt")
    kills = finished = 0
    while kills < times(2, 50):
        folder = tmp_path / f"run{finished}"
        code = trainer.train(folder, int(rng.integers(6)), float(rng.uniform(0.0, 0.3)))
        assert code in (0, -signal.SIGKILL)
        kills += code == -signal.SIGKILL
        finished += code == 0 or (folder / "trained.pt").exists()
    last = tmp_path / f"run{finished}"
    assert trainer.train(last) == 0
    resumed = 0
    for number in range(finished + 1):
        folder = tmp_path / f"run{number}"
        for again, first in begins(folder):
            resumed += again
            # One that resumes begins where a checkpoint was, which no other one does.
            assert first is None or (first > 0 and first % EPOCH == 0 if again else first == 0), begins(
                folder
            )
        for key, value in torch.load(folder / "trained.pt").items():
            assert torch.allclose(whole[key], value, atol=1e-6), key
    assert resumed, "no kill came between two checkpoints"


def options(tmp_path: Path, **changes: Any) -> TrainOptions:
    return TrainOptions(tmp_path / "data", tmp_path / "own.safetensors", **changes)


def arrays() -> dict[str, Any]:
    return {key: np.zeros(3) for key in ("signal", "rhythm", "subject")}


def test_an_interrupted_training_is_not_silently_begun_again(tmp_path: Path) -> None:
    folder, start = tmp_path / "own.safetensors.training", tmp_path / "start"
    start.write_bytes(b"weights")
    _check_same_training(folder, options(tmp_path), start, arrays())
    (folder / LAST).write_bytes(b"steps")
    with pytest.raises(CheckpointError, match="holds a training that was interrupted; go on with --resume"):
        _check_same_training(folder, options(tmp_path), start, arrays())
    _check_same_training(folder, options(tmp_path, resume=True), start, arrays())
    note = folder / "training.json"
    for content in (note.read_text()[:-20], "[]", ""):
        note.write_text(content)
        with pytest.raises(CheckpointError, match="damaged"):
            _check_same_training(folder, options(tmp_path, resume=True), start, arrays())
    note.unlink()
    with pytest.raises(CheckpointError, match="nothing to resume"):
        _check_same_training(folder, options(tmp_path, resume=True), start, arrays())


def test_two_trainings_of_one_checkpoint(tmp_path: Path) -> None:
    with only_writer(tmp_path / "own.safetensors"), pytest.raises(OutputError, match="another process"):
        train_on_folder(options(tmp_path))


def test_running_out_of_gpu_memory_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pytorch_lightning as pl

    from ecgsynth.errors import ResourceError
    from ecgsynth.training import run as running

    def fit(*_: Any, **__: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(pl.Trainer, "fit", fit)
    task = type("Task", (), {"schedule": type("S", (), {"steps": 4}), "automatic_optimization": True})()
    monkeypatch.setattr(running, "_Epoch", lambda *_: [])
    with pytest.raises(ResourceError, match=r"training: out of memory on the GPU\..*--resume.*--batch-size"):
        running.run(task, None, None, running.RunOptions(tmp_path))  # type: ignore[arg-type]


def test_an_output_that_cannot_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    for out in (Path("/proc/none/own.safetensors"), tmp_path / "data" / "own.safetensors"):
        (tmp_path / "data").touch()
        with pytest.raises(OutputError, match="cannot be written"):
            train_on_folder(TrainOptions(tmp_path / "data", out))

"""Training by two processes: other batches, the same weights, one checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ecgsynth
from ecgsynth.checkpoint import load_checkpoint, save_checkpoint
from ecgsynth.errors import OptionError
from ecgsynth.generators.strip_net import LearnedConfig, StripNet
from ecgsynth.ssl import load_encoder
from ecgsynth.training.ranks import Team
from ecgsynth.wfdb_io import write_record

#: As Lightning starts it again for the other process. Each says what it saw and where it arrived.
PART = """
import hashlib, json, sys
from pathlib import Path

import torch

import ecgsynth.training.folder as folder
from ecgsynth.batches import StripBatches
from ecgsynth.cli import main

out = Path(sys.argv[1])
seen = []
real_batch, real_run = StripBatches.batch, folder.run

def batch(self, rows, *args):
    if type(self).__name__ == "_Epoch":
        seen.append(rows.tolist())
    return real_batch(self, rows, *args)

def run(task, *args):
    found = real_run(task, *args)
    weights = hashlib.sha256()
    for tensor in task.mean_net.state_dict().values():
        weights.update(tensor.numpy().tobytes())
    note = {"weights": weights.hexdigest(), "steps": int(task.seen), "batches": seen}
    (out / f"rank{task.global_rank}.json").write_text(json.dumps(note))
    return found

StripBatches.batch, folder.run = batch, run
folder._PRIOR_STEPS = folder._NOISE_STEPS = 2
main(sys.argv[2:])
"""

#: The same for pretraining.
ENCODER_PART = """
import hashlib, json, sys
from pathlib import Path

import ecgsynth.ssl.pretrain as pretrain
from ecgsynth.cli import main
from ecgsynth.ssl.store import Pairs

out = Path(sys.argv[1])
seen = []
real_item, real_fit = Pairs.__getitem__, pretrain._fit

def item(self, number):
    seen.append(number)
    return real_item(self, number)

def fit(task, *args):
    trainer = real_fit(task, *args)
    weights = hashlib.sha256()
    for tensor in task.encoder.state_dict().values():
        weights.update(tensor.numpy().tobytes())
    note = {"weights": weights.hexdigest(), "steps": trainer.global_step, "seen": seen}
    (out / f"rank{task.global_rank}.json").write_text(json.dumps(note))
    return trainer

Pairs.__getitem__, pretrain._fit = item, fit
main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten people's strips, small weights to start from, and the script."""
    root = tmp_path_factory.mktemp("ddp")
    (root / "mine").mkdir()
    made = ecgsynth.load_generator("parametric").sample("vt", n=10, seed=1, seconds=12.0, source="ptbxl")
    for record in made:
        write_record(root / "mine", record.name, record.signal, record.fs, ("II",))
    config = LearnedConfig(("*",), ("I", "II"), ("mitdb", "ptbxl"), latent=4, width=16, film=8)
    empty = {"population": {}, "spread": [], "demographics": {}}
    for name in ("cvae", "cgan"):
        save_checkpoint(root / f"{name}.safetensors", StripNet(config), {"generator": name, **empty})
    (root / "part.py").write_text(PART)
    (root / "encoder_part.py").write_text(ENCODER_PART)
    return root


def train(place: Path, out: str, *words: str, generator: str = "cvae") -> subprocess.CompletedProcess[str]:
    line = ["train", "mine", "--rhythm", "vt", "--out", f"{out}/own.safetensors", "--batch-size", "4"]
    start = ["--generator", generator, "--from-weights", f"{generator}.safetensors"]
    return start_part(place, "part.py", out, *line, *start, "--steps", "4", "--seed", "1", *words)


def start_part(place: Path, script: str, out: str, *words: str) -> subprocess.CompletedProcess[str]:
    (place / out).mkdir()
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK")
    environment = {key: value for key, value in os.environ.items() if key not in ranks}
    return subprocess.run(
        [sys.executable, script, out, *words],
        cwd=place,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def noted(place: Path, out: str, rank: int) -> dict[str, Any]:
    return dict(json.loads((place / out / f"rank{rank}.json").read_text()))


@pytest.mark.parametrize("generator", ["cvae", "cgan"])
def test_two_processes_see_other_batches_and_arrive_at_the_same_weights(place: Path, generator: str) -> None:
    both, alone = f"{generator}-both", f"{generator}-alone"
    done = train(place, both, "--strategy", "ddp", "--devices", "2", generator=generator)
    assert done.returncode == 0, done.stderr
    first, second = (noted(place, both, rank) for rank in (0, 1))
    assert first["weights"] == second["weights"]
    assert first["steps"] == second["steps"] == 4
    assert len(first["batches"]) == len(second["batches"]) == 4
    assert all(one != other for one, other in zip(first["batches"], second["batches"], strict=True))
    # One line about one checkpoint, which a second process has had a part in.
    assert done.stdout.count("Wrote") == 1
    _, metadata = load_checkpoint(place / both / "own.safetensors")
    assert metadata["population"]["vt"]["people"] == 10
    if generator == "cgan":
        return
    assert train(place, alone).returncode == 0
    lone = noted(place, alone, 0)
    assert lone["batches"] == first["batches"] and lone["weights"] != first["weights"]


def test_two_processes_pretrain_one_encoder_on_strips_dealt_out_between_them(place: Path) -> None:
    line = ["pretrain", "--data", "mine", "--out", "both-encoder/enc", "--width", "16", "--depth", "1"]
    line += ["--epochs", "2", "--batch-size", "2", "--strategy", "ddp", "--devices", "2"]
    done = start_part(place, "encoder_part.py", "both-encoder", *line)
    assert done.returncode == 0, done.stderr
    first, second = (noted(place, "both-encoder", rank) for rank in (0, 1))
    assert first["weights"] == second["weights"] and first["steps"] == second["steps"] == 2
    each = len(first["seen"]) // 2
    assert len(set(first["seen"])) == 2 * each
    # No strip is taken by both in an epoch; numbers carry the epoch.
    assert not set(first["seen"]) & set(second["seen"])
    assert done.stdout.count("Wrote encoder.safetensors") == 1
    assert load_encoder(place / "both-encoder" / "enc" / "encoder.safetensors")[1]["processes"] == 2


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("fsdp",), "auto, ddp"),
        (("ddp", "none"), "--devices none"),
        (("ddp", "0"), "--devices 0"),
        (("ddp", "2", 0), "--num-nodes 0"),
    ],
)
def test_a_team_that_cannot_be_is_said(words: tuple[Any, ...], part: str) -> None:
    with pytest.raises(OptionError, match=part):
        Team(*words)


@pytest.mark.parametrize(
    ("variable", "value", "strategy", "follows"),
    [
        ("LOCAL_RANK", "1", "ddp", True),
        ("LOCAL_RANK", "0", "ddp", False),
        ("NODE_RANK", "2", "ddp", True),
        ("SLURM_PROCID", "3", "ddp", True),
        ("SLURM_PROCID", "3", "auto", False),
    ],
)
def test_who_writes(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, strategy: str, follows: bool
) -> None:
    monkeypatch.setenv(variable, value)
    assert Team(strategy).follower is follows

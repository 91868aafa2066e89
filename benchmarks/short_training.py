"""Short trainings of a generator on part of a pack, for benchmarks that compare ways of training."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgsynth.batches import load_strips, source_wander
from ecgsynth.checkpoint import save_checkpoint
from ecgsynth.generators.strip_net import LearnedConfig, StripNet
from ecgsynth.training.describe import describe_people
from ecgsynth.training.noise import fit_noise
from ecgsynth.training.prior import fit_prior
from ecgsynth.training.run import RunOptions, run
from ecgsynth.training.tasks import CGANTask, CVAETask, Schedule
from ecgsynth.training.templates import fit_templates
from ecgsynth.training.trim import fit_trim


def rows_of(pack: Mapping[str, Any], rows: NDArray[np.int64]) -> dict[str, Any]:
    """The pack with `rows` alone."""
    n = len(pack["subject"])
    some = {key: value[rows] if len(value) == n else value for key, value in pack.items()}
    for name, columns in (("beats", ("samples", "symbols")), ("changes", ("samples", "rhythm"))):
        offsets = pack[f"{name}_offsets"]
        index = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in rows])
        some[f"{name}_offsets"] = np.cumsum([0, *(offsets[rows + 1] - offsets[rows])])
        some |= {f"{name}_{column}": pack[f"{name}_{column}"][index] for column in columns}
    return some


def fresh_net(pack: Mapping[str, Any], leads: tuple[str, ...], seed: int = 0) -> StripNet:
    """An untrained single-lead net for the sources of a pack."""
    torch.manual_seed(seed)
    return StripNet(LearnedConfig(("*",), leads, tuple(sorted(set(pack["source"].tolist())))))


def train_short(
    net: StripNet,
    pack: Mapping[str, Any],
    out: Path,
    *,
    kind: str = "cvae",
    template_steps: int,
    steps: int,
    prior_steps: int,
    noise_steps: int = 150,
    lr: float = 1.5e-3,
    warm: bool = False,
    task_of: Callable[[StripNet, Schedule], Any] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Train `net` on the people of a pack (its parts train and val) and write its checkpoint.

    `warm`: the net is trained already; keep the scale of its prior, and let the KL term act at once.
    """
    torch.set_num_threads(1)
    people = set(pack["subject"].tolist())
    held = set(pack["subject"][pack["part"] == "val"].tolist()) or people
    strips, val = load_strips(pack, net.config, people), load_strips(pack, net.config, held)
    known = np.isin(net.config.sources, pack["source"])
    power = np.where(known[:, None], source_wander(pack, net.config), net.wander_power.numpy())
    net.wander_power.copy_(torch.from_numpy(power))
    if template_steps:
        fit_templates(net, strips, seed=seed, steps=template_steps)
    start, ramp = (0, 1) if warm else (steps // 4, max(1, steps // 3))
    schedule = Schedule(steps=steps, lr=lr, kl_start=start, kl_ramp=ramp)
    task = (task_of or (CVAETask if kind == "cvae" else CGANTask))(net, schedule)
    with tempfile.TemporaryDirectory() as work:
        run(task, strips, None, RunOptions(Path(work), seed, 24 if kind == "cvae" else 16, epoch=100))
    final = task.mean_net.eval()
    fit_noise(final, strips, seed=seed, steps=noise_steps)
    fit_trim(final, strips, seed=seed)
    if kind == "cvae":
        fit_prior(final, strips, val, seed=seed, steps=prior_steps, fresh=not warm)
    notes = {"steps": steps, "seed": seed, "lr": lr, "templates": template_steps}
    said = {"generator": kind, "training": notes, **describe_people(pack, people)}
    save_checkpoint(out, final, said)
    return said

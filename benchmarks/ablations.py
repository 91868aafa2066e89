"""What each part of the training is worth: one part taken out, everything else equal, on people held out.

    python benchmarks/ablations.py --single single.npz --work runs/ablations [--seed 0] [--arms a,b]

The pack is one of ``scripts/pack_training_data.py``. Checkpoints stay in ``--work`` and each arm's numbers
are written when it is done, so a run that was cut goes on where it was. Two designs, as trainings of hours
are not to be had: parts that act throughout are taken out while the shipped cVAE trains on (the control
trains on with everything); learning the beats first is taken out of short trainings from nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablations_measures import REAL, Side, measured, real_side
from ablations_page import page
from short_training import fresh_net, rows_of, train_short
from torch import Tensor

from ecgsynth.checkpoint import load_checkpoint, save_checkpoint, shipped_weights
from ecgsynth.generators.conditions import BEAT_CLASSES
from ecgsynth.generators.cvae import absolute_error, encode, kl_to_standard_normal, record_vector
from ecgsynth.generators.latent_prior import LatentFlow
from ecgsynth.generators.strip_net import StripNet
from ecgsynth.training.tasks import CGANTask, CVAETask

RHYTHMS = ("nsr", "afib", "bigeminy", "vt")
#: Windows of a person and rhythm, and people of a rhythm, that are learned from.
MOST_WINDOWS, MOST_PEOPLE = 6, 150
#: Steps of the cVAE and of the cGAN that go on, of the prior after them; from nothing: templates, waveforms.
ON, CRITIC, PRIOR, TEMPLATES, FRESH = 200, 60, 400, 900, 150
#: Template steps cost about a tenth of a waveform step: an arm without them gets their time.
TEMPLATE_COST = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--single", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arms", default="")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    pack = dict(np.load(options.single))
    some, side = training_people(pack), real_side(pack, RHYTHMS)
    target = options.out / "ablations.json"
    names = options.arms.split(",") if options.arms else list(ARMS)
    for arm in names:
        found: dict[str, Any] = json.loads(target.read_text()) if target.is_file() else {"arms": {}}
        found["steps"] = {"on": ON, "critic": CRITIC, "prior": PRIOR, "templates": TEMPLATES, "fresh": FRESH}
        one(arm, options, some, side, found)
        target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (options.out / "ablations.md").write_text(page(found), encoding="utf-8")


def one(
    arm: str, options: argparse.Namespace, some: dict[str, Any], side: Side, found: dict[str, Any]
) -> None:
    """Train and measure an arm, unless that was done."""
    if REAL not in found:
        found[REAL] = side.against_itself()
    row = found["arms"].setdefault(arm, {}).setdefault(f"seed {options.seed}", {})
    path = options.work / f"{arm}-{options.seed}.safetensors"
    began = time.process_time()
    if not path.is_file():
        ARMS[arm](some, path, options.seed)
        row["training_cpu_s"] = round(time.process_time() - began)
    if "auc" not in row:
        steps = int(arm.rpartition("-")[2]) if "-flow-" in arm else None
        row |= measured("cgan" if arm.startswith("cgan") else "cvae", path, side, options.seed, steps)
    print(arm, json.dumps(row)[:400], flush=True)


def training_people(pack: dict[str, Any]) -> dict[str, Any]:
    """Windows of `RHYTHMS` of train and val people, `MOST_WINDOWS` of each of `MOST_PEOPLE` at most."""
    windows: Counter[tuple[str, str]] = Counter()
    people: dict[str, set[str]] = {rhythm: set() for rhythm in RHYTHMS}
    rows = []
    mine = (pack["part"] != "test") & np.isin(pack["rhythm"], RHYTHMS)
    for i in np.random.default_rng(0).permutation(np.flatnonzero(mine)).tolist():
        who, rhythm = str(pack["subject"][i]), str(pack["rhythm"][i])
        known = people[rhythm]
        if windows[who, rhythm] < MOST_WINDOWS and (who in known or len(known) < MOST_PEOPLE):
            known.add(who)
            windows[who, rhythm] += 1
            rows.append(i)
    return rows_of(pack, np.array(sorted(rows)))


Change = Callable[[StripNet], StripNet]


def goes_on(
    start: str, kind: str = "cvae", task: Any = None, change: Change = lambda net: net
) -> Callable[[dict[str, Any], Path, int], Any]:
    """Go on from the shipped cVAE (``start`` empty) or from another arm of the same seed."""

    def train(some: dict[str, Any], out: Path, seed: int) -> None:
        path = out.with_name(f"{start}-{seed}.safetensors") if start else shipped_weights("cvae")
        if not path.is_file():
            raise SystemExit(f"{path}: train the arm {start} first")
        net, steps = change(load_checkpoint(path)[0]), ON if kind == "cvae" else CRITIC
        learn: dict[str, Any] = {
            "template_steps": 0,
            "prior_steps": PRIOR,
            "lr": 1e-3,
            "warm": True,
            "noise_steps": 80,
        }
        train_short(net, some, out, kind=kind, steps=steps, task_of=task, seed=seed, **learn)

    return train


def from_nothing(templates: int) -> Callable[[dict[str, Any], Path, int], Any]:
    def train(some: dict[str, Any], out: Path, seed: int) -> None:
        steps = FRESH + (TEMPLATES - templates) // TEMPLATE_COST
        net = fresh_net(some, tuple(sorted(set(some["lead"].tolist()))), seed)
        train_short(
            net, some, out, template_steps=templates, steps=steps, prior_steps=PRIOR, lr=3e-3, seed=seed
        )

    return train


def with_prior(sample: Callable[[LatentFlow], Any]) -> Callable[[dict[str, Any], Path, int], Any]:
    """The shipped cVAE, nothing trained."""

    def keep(some: dict[str, Any], out: Path, seed: int) -> None:
        net, metadata = load_checkpoint(shipped_weights("cvae"))
        sample(net.prior)
        save_checkpoint(out, net, metadata)

    return keep


def standard_normal(prior: LatentFlow) -> None:
    """Velocity 0: what goes in comes out, each latent normal with the mean and SD of all people."""
    with torch.no_grad():
        prior.out.weight.zero_()
        prior.out.bias.zero_()


def without_phase(net: StripNet) -> StripNet:
    """Blind to time since and to a beat, to the phase between beats and to that of the continuous wave.

    Weights of those channels are 0 and stay so, in the encoder, too. Where beats lie (the bumps that
    templates are laid under), of which kind they are, and RR intervals are left.
    """
    k = len(BEAT_CLASSES)
    for side in (net.encoder, net.decoder):
        for weight, channels in (
            (side.embed.fine.weight, slice(k, k + 4)),
            (side.embed.coarse.weight, slice(2 * k, 2 * k + 2)),
        ):
            mask = torch.ones_like(weight)
            mask[:, channels] = 0.0
            with torch.no_grad():
                weight.mul_(mask)
            weight.register_hook(lambda slope, mask=mask: slope * mask)
    return net


class WithoutSpectral(CVAETask):
    """The mean learns from absolute errors of samples and slopes alone, not from those of its spectrum."""

    def _terms(self, net: StripNet, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = encode(net, batch)
        latent = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        record = record_vector(net, batch, latent)
        seen = (batch[key] for key in ("fine", "coarse", "rhythm"))
        made, spread = net.decoder(*seen, record, batch["level"], batch["colour"])
        error = batch["signal"] / batch["gain"].exp()[:, None, None] - made
        rest = net.lapped(error).detach()
        likelihood = 0.5 * (rest.square() * torch.exp(-spread) + spread).flatten(1).sum(1)
        return likelihood, absolute_error(error, batch["fine"]), kl_to_standard_normal(mean, log_variance)


class WithoutCritic(CGANTask):
    """The decoder goes on by the reconstruction of real people alone: what anchors the cGAN."""

    def training_step(self, batch: dict[str, Tensor], i: int) -> None:
        """One step of the generator."""
        _, _, anchor = self._fake(batch)
        self._step(self.optimizers()[1], self.schedule.anchor * anchor, self.net.decoder)
        self.update_mean()
        self.lr_schedulers()[1].step()


ARMS: dict[str, Callable[[dict[str, Any], Path, int], Any]] = {
    "cvae-shipped": with_prior(lambda prior: None),
    "cvae-no-flow": with_prior(standard_normal),
    **{f"cvae-flow-{steps}": with_prior(lambda prior: None) for steps in (1, 2, 4)},
    "cvae-control": goes_on(""),
    "cvae-no-phase": goes_on("", change=without_phase),
    "cvae-no-spectral": goes_on("", task=WithoutSpectral),
    "cgan-control": goes_on("", "cgan"),
    "cgan-no-critic": goes_on("", "cgan", WithoutCritic),
    "cvae-fresh": from_nothing(TEMPLATES),
    "cvae-fresh-no-pretraining": from_nothing(0),
    "cgan-no-phase": goes_on("cvae-no-phase", "cgan", change=without_phase),
    "cgan-no-spectral": goes_on("cvae-no-spectral", "cgan"),
    "cgan-fresh": goes_on("cvae-fresh", "cgan"),
    "cgan-fresh-no-pretraining": goes_on("cvae-fresh-no-pretraining", "cgan"),
}


if __name__ == "__main__":
    main()

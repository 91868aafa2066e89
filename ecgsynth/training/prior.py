"""Fitting the flow over record latents to the posteriors of training people."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgsynth.batches import StripBatches, Strips
from ecgsynth.generators.cvae import encode
from ecgsynth.generators.latent_prior import N_EXTRAS, LatentFlow
from ecgsynth.generators.strip_net import StripNet
from ecgsynth.training.tasks import Schedule, learning_rate

#: Windows of a source from which its own quantiles of record numbers are taken.
_FEWEST_WINDOWS = 60
#: People of a source from whom it is seen how much they differ, directions in which, and the largest factor.
_FEWEST_PEOPLE, _AXES, _WARMEST = 8, 8, 1.4
#: SD of what is added to a record's numbers (logs of mV), so that those at the edge of a source, where many
#: have the same, do not all come to one normal number.
_BLUR = 0.03


def fit_prior(
    net: StripNet,
    strips: Strips,
    validation: Strips,
    *,
    seed: int,
    steps: int = 4000,
    size: int = 256,
    fresh: bool = True,
) -> dict[str, float]:
    """Fit the latent flow to the posteriors of training people, keeping the step that is best on others.

    Parameters
    ----------
    net : StripNet
        Its encoder is trained; its `prior` is changed in place.
    strips, validation : Strips
        Training people and people held out from training.
    seed : int
    steps, size : int
        Optimiser steps and rows per step.
    fresh : bool
        Standardise by these people's latents; False keeps the scale of the prior that is refined.

    Returns
    -------
    dict
        Step kept and its flow-matching loss on both groups.
    """
    torch.manual_seed(seed)
    prior = net.prior
    known = {"train": posteriors(net, strips, seed), "val": posteriors(net, validation, seed + 1)}
    if fresh:
        _standardise(prior, known["train"])
    prior.requires_grad_(True)
    optimizer = torch.optim.AdamW(prior.parameters(), lr=1e-3, weight_decay=0.02)
    schedule = Schedule(steps=steps)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: learning_rate(schedule, s))
    pickers = {part: StripBatches(s, size, seed) for part, s in (("train", strips), ("val", validation))}
    best: dict[str, Any] = {"val": np.inf}
    for step in range(steps):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, step)))
        prior.train()
        loss = flow_loss(prior, known["train"], pickers["train"].draw(rng), rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        if step % 200 == 199 or step == steps - 1:
            value = _flow_value(prior, known["val"], pickers["val"])
            if value < best["val"]:
                state = {key: x.clone() for key, x in prior.state_dict().items()}
                best = {"step": step + 1, "val": value, "train": float(loss.detach()), "state": state}
    prior.load_state_dict(best.pop("state"))
    prior.eval()
    _warm(prior, known["train"], seed)
    return best


@torch.no_grad()
def _warm(prior: LatentFlow, known: dict[str, Tensor], seed: int, rows: int = 300) -> None:
    """Spread the start of the flow so that people of a source differ as much as they do.

    The SD over people, along the `_AXES` directions in which latents differ most and of each of the record's
    numbers, is compared with that of people drawn in the same places, at the same rates, in the rhythm that
    most of them have: between rhythms they differ anyway.
    """
    prior.warmth.fill_(1.0)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(9,)))
    torch.manual_seed(seed)
    for source in range(len(prior.warmth)):
        mine = _commonest(known, np.flatnonzero((known["source"] == source).numpy()))
        _, first = np.unique(known["person"][mine].numpy(), return_index=True)
        if len(first) < _FEWEST_PEOPLE:
            continue
        own = np.unique(np.concatenate([mine[first], rng.permutation(mine)[: 2 * len(first)]]))[:rows]
        place = tuple(known[key][own] for key in ("main_rhythm", "lead", "source"))
        real = prior.standardised(known["mean"][own], place[2])
        latents = real[:, :-N_EXTRAS]
        axes = torch.linalg.svd(latents - latents.mean(0), full_matrices=False).Vh[:_AXES].T
        for _ in range(3):
            gauss = torch.randn(4 * len(own), prior.size)
            drawn = prior.sample(gauss, _repeated(place), known["numbers"][own].repeat(4, 1))
            shown = prior.standardised(drawn, place[2].repeat(4))
            for part, both in enumerate(zip(_parts(real, axes), _parts(shown, axes), strict=True)):
                wide, narrow = (rows.std(0) for rows in both)
                more = float((wide / narrow).log().mean().exp())
                prior.warmth[source, part] = (prior.warmth[source, part] * more).clamp(1.0, _WARMEST)


def _commonest(known: dict[str, Tensor], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of `rows` in the rhythm that most people have."""
    rhythm, person = known["main_rhythm"][rows].numpy(), known["person"][rows].numpy()
    counts = {name: len(np.unique(person[rhythm == name])) for name in np.unique(rhythm).tolist()}
    return rows[rhythm == max(counts, key=lambda name: counts[name])] if counts else rows


def _parts(rows: Tensor, axes: Tensor) -> tuple[Tensor, Tensor]:
    """Latents along `axes`, and numbers."""
    return rows[:, :-N_EXTRAS] @ axes, rows[:, -N_EXTRAS:]


def _repeated(place: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    rhythm, lead, source = (column.repeat(4) for column in place)
    return rhythm, lead, source


def _standardise(prior: LatentFlow, known: dict[str, Tensor]) -> None:
    """Mean and SD of the latent; quantiles of the record's numbers, of each source with enough windows."""
    mean, numbers = known["mean"][:, :-N_EXTRAS], known["mean"][:, -N_EXTRAS:]
    spread = mean.var(0) + known["sd"][:, :-N_EXTRAS].square().mean(0)
    prior.shift.copy_(mean.mean(0))
    prior.scale.copy_(spread.sqrt().clamp(min=1e-3))
    # Everybody counts the same, however many windows of somebody there are.
    weight = 1 / known["person"].bincount()[known["person"]]
    for source in range(len(prior.quantiles)):
        rows = known["source"] == source
        if int(rows.sum()) < _FEWEST_WINDOWS:
            rows = torch.ones(len(mean), dtype=torch.bool)
        prior.set_quantiles(source, numbers[rows], weight[rows])


@torch.no_grad()
def posteriors(net: StripNet, strips: Strips, seed: int) -> dict[str, Tensor]:
    """Posterior of each window, its record numbers, and the conditions of the flow."""
    batches = StripBatches(strips, 64, seed)
    rng = np.random.default_rng(seed)
    parts = []
    numbers = strips.extras()
    for first in range(0, len(strips), 64):
        batch = batches.batch(np.arange(first, min(first + 64, len(strips))), rng)
        mean, log_variance = encode(net, batch)
        extras = torch.from_numpy(numbers[first : first + 64])
        spread = torch.cat([torch.exp(log_variance / 2), torch.full_like(extras, _BLUR)], 1)
        keys = ("main_rhythm", "lead", "source", "numbers")
        parts.append({"mean": torch.cat([mean, extras], 1), "sd": spread, **{k: batch[k] for k in keys}})
    known = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    return {**known, "person": torch.from_numpy(np.unique(strips.person, return_inverse=True)[1])}


def flow_loss(
    prior: LatentFlow, known: dict[str, Tensor], rows: NDArray[np.int64], rng: np.random.Generator
) -> Tensor:
    """Mean flow-matching loss of some rows of :func:`posteriors`."""
    take = {key: value[rows] for key, value in known.items()}
    gauss = torch.from_numpy(rng.standard_normal((2, *take["mean"].shape), dtype=np.float32))
    rows_of_flow = prior.standardised(take["mean"] + take["sd"] * gauss[0], take["source"])
    t = torch.from_numpy(rng.random(len(rows), dtype=np.float32))
    place = (take["main_rhythm"], take["lead"], take["source"])
    return prior.loss(rows_of_flow, place, take["numbers"], gauss[1], t).mean()


@torch.no_grad()
def _flow_value(prior: LatentFlow, known: dict[str, Tensor], picker: StripBatches) -> float:
    prior.eval()
    values = []
    for i in range(8):
        rng = np.random.default_rng(i)
        values.append(float(flow_loss(prior, known, picker.draw(rng), rng)))
    return float(np.mean(values))

"""Adapters: a rhythm learned from 5 to 40 strips, on weights of which nothing else changes.

What is learned are rows of tables that nobody else reads: the rhythm's row in the embeddings of encoder,
decoder and prior, and the rows of the folder's own device (which reach every block through FiLM, and the beat
templates), some 850 numbers in all. They start where the known rhythm stands that explains the strips
best. Everything else is frozen, so every other rhythm and device stays what it was, to the byte; and 850
numbers of which each shifts a thousand others cannot hold anybody's strip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ecgsynth.batches import StripBatches, Strips
from ecgsynth.generators.cvae import encode, kl_to_standard_normal, reconstruction
from ecgsynth.generators.latent_prior import KNOTS, in_millivolts
from ecgsynth.generators.strip_net import StripNet
from ecgsynth.training.noise import fit_beat_sway, fit_sources
from ecgsynth.training.prior import flow_loss, posteriors
from ecgsynth.training.tasks import Schedule, learning_rate
from ecgsynth.training.trim import fit_trim

#: Called with steps done, steps in all, and the loss.
Progress = Callable[[int, int, str], None]

#: Strips for which an adapter is meant: fewer show nothing, with more a training of everything does better.
FEWEST_STRIPS, MOST_STRIPS = 5, 40
#: Weight of the mean's own error beside the likelihood, as in training.
_MEAN_WEIGHT = 2.0
#: Strips whose measured device counts as much as the mean of the devices known before.
_HALF_WAY = 10
#: Strips of which a device's corrections are fitted.
_FEWEST_TRIMMED = 12


def adapt(
    net: StripNet,
    strips: Strips,
    known: list[int],
    fresh: list[int],
    *,
    seed: int,
    steps: int = 300,
    size: int = 12,
    lr: float = 0.02,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Learn the rows of the rhythms in `strips`, in place.

    Parameters
    ----------
    net : StripNet
        With rows for the sources in `strips`.
    strips : Strips
        All of them are learned from.
    known : list of int
        Rhythms to start from.
    fresh : list of int
        Sources that the net did not know before: their rows are learned, too.
    seed : int
    steps, size : int
        Optimiser steps and strips per step of the waveforms; the prior, whose steps cost a hundredth, gets
        five times as many.
    lr : float
        Peak learning rate of both; rows are few and nothing depends on them, so it is large.
    progress : callable, optional

    Returns
    -------
    dict
        Numbers learned, rhythm started from, and the loss before and after.
    """
    torch.manual_seed(seed)
    rhythms = np.unique(strips.rhythm).tolist()
    batches = StripBatches(strips, size, seed)
    began = {rhythm: _start_from(net, batches, rhythm, known) for rhythm in rhythms}
    rows = _waveform_rows(net, rhythms, fresh)
    before = _mean_loss(net, batches)
    with only_rows(net, rows) as parameters:
        for step in _steps(parameters, steps, lr):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(8, step)))
            loss = _loss(net, batches.batch(batches.draw(rng), rng))
            loss.backward()
            if progress is not None:
                progress(step + 1, steps, f"loss {float(loss.detach()):.3f}")
    after = _mean_loss(net, batches)
    _measure_devices(net, strips, fresh, seed)
    prior = _adapt_prior(net, strips, rhythms, fresh, seed, 5 * steps, lr)
    numbers = sum(len(at) * table.shape[1] for table, at in rows + _prior_rows(net, rhythms, fresh))
    return {"numbers": numbers, "started_from": began, "loss": [before, after], "prior": prior}


def _waveform_rows(net: StripNet, rhythms: list[int], fresh: list[int]) -> list[tuple[Tensor, list[int]]]:
    sides = (net.encoder, net.decoder)
    rows = [(side.embed.rhythm.weight, rhythms) for side in sides]
    return rows + ([(side.record.source.weight, fresh) for side in sides] if fresh else [])


def _prior_rows(net: StripNet, rhythms: list[int], fresh: list[int]) -> list[tuple[Tensor, list[int]]]:
    rows = [(net.prior.rhythm.weight, rhythms)]
    return rows + ([(net.prior.source.weight, fresh)] if fresh else [])


@contextmanager
def only_rows(net: StripNet, rows: list[tuple[Tensor, list[int]]]) -> Iterator[list[Tensor]]:
    """Everything frozen but some rows of tables: no gradient reaches another number."""
    asked = [parameter.requires_grad for parameter in net.parameters()]
    net.requires_grad_(False)
    hooks = []
    for table, at in rows:
        mask = torch.zeros(len(table), 1)
        mask[at] = 1.0
        table.requires_grad_(True)
        hooks.append(table.register_hook(lambda slope, mask=mask: slope * mask))
    try:
        yield [table for table, _ in rows]
    finally:
        for hook in hooks:
            hook.remove()
        for parameter, learns in zip(net.parameters(), asked, strict=True):
            parameter.requires_grad_(learns)
            parameter.grad = None


def _steps(parameters: list[Tensor], steps: int, lr: float) -> Iterator[int]:
    """Optimiser steps; a gradient is expected after each number that comes out."""
    # No weight decay: it would pull at rows that have no gradient.
    optimizer = torch.optim.Adam(parameters, lr=lr)
    schedule = Schedule(steps=steps)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: learning_rate(schedule, s))
    for step in range(steps):
        optimizer.zero_grad()
        yield step
        optimizer.step()
        scheduler.step()


def _loss(net: StripNet, batch: dict[str, Tensor]) -> Tensor:
    """Minus the evidence lower bound per sample, with the mean's own error, as in training."""
    mean, log_variance = encode(net, batch)
    latent = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
    likelihood, error = reconstruction(net, batch, latent)
    kl = kl_to_standard_normal(mean, log_variance).sum(1)
    return (likelihood + _MEAN_WEIGHT * error + kl).mean() / batch["signal"][0].numel()


@torch.no_grad()
def _mean_loss(net: StripNet, batches: StripBatches, times: int = 4) -> float:
    """Loss of the same few batches with the same noise, whatever the net is."""
    state = torch.get_rng_state()
    losses = []
    for i in range(times):
        torch.manual_seed(i)
        rng = np.random.default_rng(np.random.SeedSequence(batches.seed, spawn_key=(9, i)))
        losses.append(float(_loss(net, batches.batch(batches.draw(rng), rng))))
    torch.set_rng_state(state)
    return float(np.mean(losses))


@torch.no_grad()
def _start_from(net: StripNet, batches: StripBatches, rhythm: int, known: list[int]) -> int:
    """Give `rhythm` the rows of the known one that explains the strips best; a known one keeps its own."""
    if rhythm in known:
        return rhythm
    tables = [net.encoder.embed.rhythm.weight, net.decoder.embed.rhythm.weight, net.prior.rhythm.weight]
    losses = {}
    for other in known:
        for table in tables:
            table[rhythm] = table[other]
        losses[other] = _mean_loss(net, batches, times=2)
    best = min(losses, key=lambda other: losses[other])
    for table in tables:
        table[rhythm] = table[best]
    return best


def _measure_devices(net: StripNet, strips: Strips, fresh: list[int], seed: int) -> None:
    """Noise, drift and sway of the devices that are new, as far as these strips show them."""
    own = np.isin(strips.source, fresh)
    if not own.any():
        return
    tables = {**fit_sources(net, strips, seed=seed), "beat_sway": fit_beat_sway(net, strips, seed=seed)}
    for source in np.unique(strips.source[own]).tolist():
        share = float((strips.source == source).sum())
        share /= share + _HALF_WAY
        for name, table in tables.items():
            stored = getattr(net, name)
            stored[source] = share * torch.from_numpy(table)[source] + (1 - share) * stored[source]
        # Of the record's own numbers (gain, wander, noise), not of the latent, which people differ in: so few
        # show where a source lies and how wide it is, and the shape of its distribution stays.
        numbers = in_millivolts(torch.from_numpy(strips.extras(np.flatnonzero(strips.source == source))))
        stored = net.prior.quantiles[source]
        middle, width = stored.mean(1, keepdim=True), stored.std(1, keepdim=True) / KNOTS.std()
        moved = (stored - middle) / width * numbers.std(0).clamp(min=0.05)[:, None] + numbers.mean(0)[:, None]
        stored.copy_(share * moved + (1 - share) * stored)
    if len(strips) >= _FEWEST_TRIMMED and own.all():
        fit_trim(net, strips, seed=seed, fewest=_FEWEST_TRIMMED)


def _adapt_prior(
    net: StripNet,
    strips: Strips,
    rhythms: list[int],
    fresh: list[int],
    seed: int,
    steps: int,
    lr: float,
) -> list[float]:
    """Rows of the prior, fitted to the posteriors of these people; mean loss of the first and last steps."""
    found = posteriors(net, strips, seed)
    picker = StripBatches(strips, 64, seed)
    losses = []
    net.prior.train()
    with only_rows(net, _prior_rows(net, rhythms, fresh)) as parameters:
        for step in _steps(parameters, steps, lr):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(10, step)))
            loss = flow_loss(net.prior, found, picker.draw(rng), rng)
            loss.backward()
            losses.append(float(loss.detach()))
    net.prior.eval()
    return [float(np.mean(losses[:50])), float(np.mean(losses[-50:]))]


def joined_people(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What an adapted checkpoint says of people: of its rhythms the strips' people, else as before."""
    rhythms = set(now["population"])
    population = {**before["population"], **now["population"]}
    spread = [row for row in before["spread"] if row[0] not in rhythms] + now["spread"]
    return {
        "population": dict(sorted(population.items())),
        "spread": sorted(spread),
        "demographics": {**before["demographics"], **now["demographics"]},
    }

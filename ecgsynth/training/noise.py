"""Fitting the decoder's noise to the noise of real recordings.

The likelihood's variances hold two things: noise, and what the mean got wrong about a person. The second,
drawn as noise, would bury a strip; and a critic can be fooled with noise. So once the mean is trained, by
likelihood or by a critic, the heads that make the variances are fitted again, by the median of log
squares, to what is left of real strips without their own beats and waves.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ecgsynth.batches import CROP, StripBatches, Strips
from ecgsynth.generators.blocks import HOP
from ecgsynth.generators.conditions import PATCH
from ecgsynth.generators.cvae import encode, record_vector
from ecgsynth.generators.learned import StripNet
from ecgsynth.generators.oscillation import noise_of
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.training.tasks import Schedule, learning_rate

#: Log of the median of the square of a standard normal number. Medians are fitted: a mean would be set by the
#: few worst moments of a recording, and every strip would be as noisy as those.
_LOG_MEDIAN = -0.7877
#: Squares below this, in units of the record's gain, are finer than any source's quantisation.
_FINEST = 1e-7


def fit_noise(
    net: StripNet, strips: Strips, *, seed: int, steps: int = 500, size: int = 24
) -> dict[str, float]:
    """Fit the variance heads in place; everything else stays. Returns the first and the last loss."""
    heads = [*net.decoder.spread.parameters(), *net.decoder.log_variance.parameters()]
    for parameter in heads:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(heads, lr=2e-3, weight_decay=0.0)
    schedule = Schedule(steps=steps)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: learning_rate(schedule, s))
    names = list(RHYTHMS)
    losses = []
    batches = StripBatches(strips, size, seed)
    for step in range(steps):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2, step)))
        rows = batches.draw(rng)
        starts = rng.integers(0, (strips.usable[rows] - CROP) // PATCH + 1) * PATCH
        batch = batches.batch(rows, rng, starts)
        rest, known = _rest(strips, rows, starts, names)
        loss = _loss(net, batch, rest, known)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(float(loss.detach()))
    return {"first": float(np.mean(losses[:20])), "last": float(np.mean(losses[-20:]))}


def _rest(
    strips: Strips, rows: NDArray[np.int64], starts: NDArray[np.int64], names: list[str]
) -> tuple[Tensor, Tensor]:
    """Noise ``[B, leads, CROP]`` of the crops, from their whole windows, and where it is known."""
    rest, known = [], []
    for row, start in zip(rows, starts, strict=True):
        n = int(strips.usable[row])
        times, classes = strips.beats[row]
        noise, fine = noise_of(strips.fast[row, :, :n], times, classes, names[strips.rhythm[row]], PLAN_FS)
        rest.append(noise[:, start : start + CROP])
        known.append(fine[start : start + CROP])
    return torch.from_numpy(np.stack(rest)), torch.from_numpy(np.stack(known))


def _loss(net: StripNet, batch: dict[str, Tensor], rest: Tensor, known: Tensor) -> Tensor:
    with torch.no_grad():
        latent = encode(net, batch)[0]
        record = record_vector(net, batch, latent)
    _, spread = net.decoder(batch["fine"], batch["coarse"], batch["rhythm"], record, batch["level"])
    square = net.lapped(rest / batch["gain"].exp()[:, None, None]).square()
    # A coefficient is known where both hops that it covers are.
    hops = F.pad(known.unflatten(1, (-1, HOP)).all(2), (1, 1), value=True)
    weight = (hops[:, 1:] & hops[:, :-1])[:, None, :, None].float()
    value = (torch.log(square + _FINEST) - spread - _LOG_MEDIAN).abs() * weight
    return value.sum() / (weight.sum() * spread.shape[1] * spread.shape[3]).clamp(min=1.0)

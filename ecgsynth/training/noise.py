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
from ecgsynth.generators.noise_sway import SWAY_FROM, measure_sway
from ecgsynth.generators.oscillation import beat_height_sd, noise_of
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
    """Fit the variance heads and the sway in place, nothing else; returns the first and the last loss."""
    decoder = net.decoder
    heads = [p for x in (decoder.spread, decoder.log_variance, decoder.colour) for p in x.parameters()]
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
    # Sources that these strips do not show keep what was measured on them before.
    present = torch.from_numpy(np.unique(strips.source))
    net.beat_sway[present] = torch.from_numpy(fit_beat_sway(net, strips, seed=seed))[present]
    net.noise_sway[present] = torch.from_numpy(fit_sway(net, strips, seed=seed))[present]
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
        noise = _without_wander(noise) * _beside_beats(times, n)
        rest.append(noise[:, start : start + CROP])
        known.append(fine[start : start + CROP])
    return torch.from_numpy(np.stack(rest)), torch.from_numpy(np.stack(known))


def _beside_beats(times: NDArray[np.float64], n: int) -> NDArray[np.float32]:
    """Weights ``[n]`` that turn noise down within some 70 ms of R peaks ``times``.

    What is left there is how a QRS differs from the median one, which `fit_beat_sway` sees to. A hop of the
    lapped transform is 160 ms long: drawn as noise, it would lie over the P wave and the ST segment, too.
    """
    t = np.arange(n) / PLAN_FS
    weight = np.ones(n, np.float32)
    for beat in times[(times > -0.3) & (times < n / PLAN_FS + 0.3)]:
        weight *= (1 - 0.85 * np.exp(-0.5 * ((t - beat) / 0.07) ** 2)).astype(np.float32)
    return weight


def _without_wander(noise: NDArray[np.float32]) -> NDArray[np.float32]:
    """`noise` ``[leads, samples]`` above 1.5 Hz (raised cosine from 1 to 2 Hz).

    The lowest coefficient of the lapped transform covers 0 to 3 Hz. Wander that is left at its lower end
    would be drawn at its upper end as well, where it looks like waves that nobody has.
    """
    hz = np.fft.rfftfreq(noise.shape[1], 1 / PLAN_FS)
    keep = 0.5 - 0.5 * np.cos(np.pi * np.clip(hz - 1.0, 0, 1))
    return np.fft.irfft(np.fft.rfft(noise) * keep, noise.shape[1]).astype(np.float32)


@torch.no_grad()
def fit_sway(net: StripNet, strips: Strips, *, seed: int, size: int = 24) -> NDArray[np.float32]:
    """SD and memory ``[sources, bands, 2]`` of how noise comes and goes, by the method of moments.

    The log of one squared coefficient scatters by ``pi^2 / 2`` even at constant power, independently from hop
    to hop; lags 1 and 2 of the autocovariance are free of that and give the memory ``c2 / c1`` and the
    variance ``c1^2 / c2`` of a first-order autoregression.
    """
    sums = np.zeros((len(net.config.sources), len(SWAY_FROM), 3))
    pairs = np.zeros((len(net.config.sources), 3))
    names = list(RHYTHMS)
    batches = StripBatches(strips, size, seed)
    for step in range(200):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(4, step)))
        rows = batches.draw(rng)
        starts = rng.integers(0, (strips.usable[rows] - CROP) // PATCH + 1) * PATCH
        batch = batches.batch(rows, rng, starts)
        rest, known = _rest(strips, rows, starts, names)
        ratio, seen = _log_ratio(net, batch, rest, known)
        for row, source in enumerate(strips.source[rows]):
            s, n = measure_sway(ratio[row].numpy(), seen[row].numpy())
            sums[source] += s
            pairs[source] += n
    covariance = sums / np.maximum(pairs, 1)[:, None]
    one, two = np.maximum(covariance[..., 1], 0), np.maximum(covariance[..., 2], 0)
    memory = np.clip(two / np.maximum(one, 1e-9), 0.3, 0.97)
    # Under two strips' worth of pairs there is nothing to measure: no sway.
    sd = np.where((one > 0) & (pairs[:, 1:2] > 60), np.sqrt(one / memory), 0.0)
    return np.stack([np.minimum(sd, 2.0), memory], -1).astype(np.float32)


@torch.no_grad()
def fit_beat_sway(net: StripNet, strips: Strips, *, seed: int, most: int = 240) -> NDArray[np.float32]:
    """Mean and SD ``[sources, 2]`` over records of the log SD of beat heights within a record.

    Heights vary in what the decoder and its noise make of a record, too: the variance of that is taken off.
    A source with fewer than ten records to measure gets what all of them show.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(5,)))
    batches = StripBatches(strips, 24, seed)
    found: dict[int, list[tuple[float, float]]] = {k: [] for k in range(len(net.config.sources))}
    for source, pairs in found.items():
        rows = rng.permutation(np.flatnonzero(strips.source == source))[:most]
        for first in range(0, len(rows), 24):
            pairs += _height_sds(net, strips, batches, rows[first : first + 24], rng)
    everyone = [pair for pairs in found.values() for pair in pairs]
    return np.array([_sway_of(p if len(p) >= 10 else everyone) for p in found.values()], np.float32)


def _sway_of(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Median and spread of the log of real SDs, less the made ones; a usual value where there are none."""
    if not pairs:
        return -3.2, 0.6
    real, made = np.array(pairs).T
    # Quartiles: records with a wandering electrode or missed ectopy are not how beats vary.
    low, high = np.quantile(np.log(np.maximum(real, 0.003)), (0.25, 0.75))
    excess = np.median(real) ** 2 - np.median(made) ** 2
    return float(np.log(np.sqrt(np.clip(excess, 0.005**2, 0.1**2)))), float((high - low) / 1.349)


def _height_sds(
    net: StripNet,
    strips: Strips,
    batches: StripBatches,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
) -> list[tuple[float, float]]:
    """SD of beat heights in crops of real strips and in what the net makes of them."""
    starts = rng.integers(0, (strips.usable[rows] - CROP) // PATCH + 1) * PATCH
    batch = batches.batch(rows, rng, starts)
    record = record_vector(net, batch, encode(net, batch)[0])
    mean, spread = net.decoder(
        batch["fine"], batch["coarse"], batch["rhythm"], record, batch["level"], colour=batch["colour"]
    )
    gauss = torch.from_numpy(rng.standard_normal(spread.shape, dtype=np.float32))
    made = (mean + net.lapped.inverse(torch.exp(spread / 2) * gauss)).numpy()
    pairs = []
    for k, (row, start) in enumerate(zip(rows, starts, strict=True)):
        times, classes = strips.beats[row]
        both = [
            beat_height_sd(x, times - start / PLAN_FS, classes, PLAN_FS)
            for x in (batch["signal"][k].numpy(), made[k])
        ]
        if np.isfinite(both).all():
            pairs.append((both[0], both[1]))
    return pairs


def _log_ratio(net: StripNet, batch: dict[str, Tensor], rest: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Log of the noise's squared coefficients over the median the net expects, and which hops are known."""
    with torch.no_grad():
        latent = encode(net, batch)[0]
        record = record_vector(net, batch, latent)
    _, spread = net.decoder(
        batch["fine"],
        batch["coarse"],
        batch["rhythm"],
        record,
        batch["level"],
        colour=batch["colour"],
    )
    square = net.lapped(rest / batch["gain"].exp()[:, None, None]).square()
    # A coefficient is known where both hops that it covers are.
    hops = F.pad(known.unflatten(1, (-1, HOP)).all(2), (1, 1), value=True)
    return torch.log(square + _FINEST) - spread - _LOG_MEDIAN, hops[:, 1:] & hops[:, :-1]


def _loss(net: StripNet, batch: dict[str, Tensor], rest: Tensor, known: Tensor) -> Tensor:
    ratio, seen = _log_ratio(net, batch, rest, known)
    weight = seen[:, None, :, None].float()
    value = ratio.abs() * weight
    return value.sum() / (weight.sum() * ratio.shape[1] * ratio.shape[3]).clamp(min=1.0)

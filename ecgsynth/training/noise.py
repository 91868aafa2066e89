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
from ecgsynth.generators.blocks import HOP, SLOW_BINS
from ecgsynth.generators.conditions import PATCH
from ecgsynth.generators.cvae import encode, record_vector
from ecgsynth.generators.hiss import WINDOW_HZ, burstiness, hiss_spectrum, noise_power
from ecgsynth.generators.noise_sway import SWAY_FROM, measure_sway
from ecgsynth.generators.oscillation import beat_height_sd, noise_of
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.strip_net import StripNet
from ecgsynth.generators.wander import DRIFT_STEP_S, drift_spectrum, split_drift
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.training.measures import SWAY_BINS
from ecgsynth.training.tasks import Schedule, learning_rate

#: Log of the median of the square of a standard normal number. Medians are fitted: a mean would be set by the
#: few worst moments of a recording, and every strip would be as noisy as those.
_LOG_MEDIAN = -0.7877
#: Largest SD of the log amplitude of bursts.
MOST_BURSTS = 1.5
#: Half the width in s of what a QRS covers.
_QRS_S = 0.08
#: Squares below this, in units of the record's gain, are finer than any source's quantisation.
_FINEST = 1e-7


def fit_noise(
    net: StripNet, strips: Strips, *, seed: int, steps: int = 500, size: int = 24
) -> dict[str, float]:
    """Fit the variance heads, the sways and the drift in place, nothing else; returns first and last loss."""
    decoder = net.decoder
    heads = [p for x in (decoder.spread, decoder.log_variance, decoder.hiss) for p in x.parameters()]
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
        loss = _loss(net, batch, *_rest(strips, rows, starts, names), _hiss(strips, rows))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(float(loss.detach()))
    # Sources that these strips do not show keep what was measured on them before.
    present = torch.from_numpy(np.unique(strips.source))
    net.beat_sway[present] = torch.from_numpy(fit_beat_sway(net, strips, seed=seed))[present]
    measured = fit_sources(net, strips, seed=seed)
    for name, table in measured.items():
        getattr(net, name)[present] = torch.from_numpy(table)[present]
    return {"first": float(np.mean(losses[:20])), "last": float(np.mean(losses[-20:]))}


def _hiss(strips: Strips, rows: NDArray[np.int64]) -> Tensor:
    """Log power ``[B, leads, HOP - SLOW_BINS]`` over the record's gain at the coefficients of hiss."""
    hz = (np.arange(SLOW_BINS, HOP) + 0.5) * PLAN_FS / 2 / HOP
    at = hz / WINDOW_HZ[1]
    low = at.astype(np.int64)
    part = (at - low).astype(np.float32)
    hiss = strips.hiss[rows]
    log_power = (1 - part) * hiss[..., low] + part * hiss[..., np.minimum(low + 1, len(WINDOW_HZ) - 1)]
    return torch.from_numpy(log_power - 2 * strips.gain[rows, None, None])


def _rest(
    strips: Strips, rows: NDArray[np.int64], starts: NDArray[np.int64], names: list[str]
) -> tuple[Tensor, Tensor]:
    """Noise ``[B, leads, CROP]`` of the crops, from their whole windows, and where it is known."""
    rest, known = [], []
    for row, start in zip(rows, starts, strict=True):
        n = int(strips.usable[row])
        times, classes = strips.beats[row]
        noise, fine = noise_of(strips.fast[row, :, :n], times, classes, names[strips.rhythm[row]], PLAN_FS)
        noise = _over_beats(split_drift(noise)[0], times)
        rest.append(noise[:, start : start + CROP])
        known.append(fine[start : start + CROP])
    return torch.from_numpy(np.stack(rest)), torch.from_numpy(np.stack(known))


def _over_beats(noise: NDArray[np.float32], times: NDArray[np.float64]) -> NDArray[np.float32]:
    """`noise` ``[leads, samples]`` with what lies beside each R peak mirrored over it.

    What is left within some 80 ms of an R peak is how a QRS differs from the median one, which
    `fit_beat_sway` sees to. A hop of the lapped transform is 160 ms long: drawn as noise, it would lie over
    the P wave and the ST segment, too. What is beside it is the recording's noise, which goes on.
    """
    out = noise.copy()
    reach = round(_QRS_S * PLAN_FS)
    fade = np.linspace(0, 1, 2 * reach, dtype=np.float32)
    for beat in np.rint(times * PLAN_FS).astype(np.int64):
        low, high = beat - reach, beat + reach
        if low >= 2 * reach and high + 2 * reach <= noise.shape[1]:
            before = noise[:, low - 2 * reach : low][:, ::-1]
            after = noise[:, high : high + 2 * reach][:, ::-1]
            # Root weights keep the power of two noises that know nothing of each other.
            out[:, low:high] = np.sqrt(1 - fade) * before + np.sqrt(fade) * after
    return out


def _autoregression(covariance: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """SD (0 if not known) and memory ``[..., 2]`` of an autoregression, from autocovariances ``[..., 3]``."""
    one, two = np.maximum(covariance[..., 1], 0), np.maximum(covariance[..., 2], 0)
    memory = np.clip(two / np.maximum(one, 1e-9), 0.3, 0.97)
    sd = np.where((one > 0) & known, np.sqrt(one / memory), 0.0)
    return np.stack([np.minimum(sd, 2.0), memory], -1).astype(np.float32)


def fit_sources(
    net: StripNet, strips: Strips, *, seed: int, most: int = 240
) -> dict[str, NDArray[np.float32]]:
    """Tables of each source: ``noise_sway``, ``noise_bursts``, ``drift_sway``, ``drift_power``.

    The log of one squared coefficient scatters by ``pi^2 / 2`` even at constant power, independently from hop
    to hop; lags 1 and 2 of the autocovariance are free of that and give the memory ``c2 / c1`` and the
    variance ``c1^2 / c2`` of a first-order autoregression (method of moments).
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(6,)))
    sources, bands = len(net.config.sources), len(SWAY_FROM)
    sums, pairs = np.zeros((sources, bands + 1, 3)), np.zeros((sources, bands + 1, 3))
    power, burst_variance = net.drift_power.numpy().copy(), np.zeros((sources, bands - 1))
    for source in np.unique(strips.source):
        spectra, bursts = [], []
        for row in rng.permutation(np.flatnonzero(strips.source == source))[:most]:
            spectrum, burst, own_sums, own_pairs = _strip_moments(strips, int(row))
            sums[source] += own_sums
            pairs[source] += own_pairs
            bursts.append(burst)
            if spectrum is not None:
                spectra.append(spectrum)
        burst_variance[source] = np.nanmedian(bursts, 0) if np.isfinite(bursts).any() else 0.0
        if len(spectra) >= 5:
            power[source] = np.mean(spectra, 0)
    # Under two strips' worth of pairs there is nothing to measure: no sway.
    known = pairs[..., 1] > (60, 60, 60, 20)
    sway = _autoregression(sums / np.maximum(pairs, 1), known)
    # What sways over hops (of power: a quarter of that in log amplitude) is not a burst.
    left = np.clip(burst_variance - np.square(sway[:, 1:bands, 0]) / 4, 0, MOST_BURSTS**2)
    return {
        # Rhythms with P waves and without: the same, until `fit_trim` tells them apart.
        "noise_sway": np.repeat(sway[:, None, :bands], 2, 1),
        "noise_bursts": np.repeat(np.sqrt(left).astype(np.float32)[:, None], 2, 1),
        "drift_sway": sway[:, bands],
        "drift_power": power,
    }


def _strip_moments(
    strips: Strips, row: int
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Drift spectrum, burstiness, lagged products ``[4, 3]`` of log power (noise, drift), their numbers."""
    n, name = int(strips.usable[row]), list(RHYTHMS)[strips.rhythm[row]]
    times, classes = strips.beats[row]
    rest, known = noise_of(strips.fast[row, :, :n], times, classes, name, PLAN_FS)
    power, quiet, fast = noise_power(strips.fast[row, :, :n], times, classes, name, (rest, known))
    burst = burstiness(fast, quiet)
    sums, pairs = np.zeros((len(SWAY_FROM) + 1, 3)), np.zeros((len(SWAY_FROM) + 1, 3))
    if quiet.any():
        ratio = np.log(power + 1e-9) - hiss_spectrum(power, quiet)[:, None]
        sums[:-1], pairs[:-1] = measure_sway(ratio, quiet, SWAY_BINS)
    hop = round(DRIFT_STEP_S * PLAN_FS)
    if known.mean() < 0.9 or n < 16 * hop:
        return None, burst, sums, pairs
    drift = split_drift(rest * known)[1]
    square = np.square(drift[:, : n // hop * hop]).reshape(len(drift), -1, hop)
    log_power = np.log(square.mean((0, 2)) + 1e-9)[None, :, None]
    whole = np.asarray(known[: n // hop * hop].reshape(-1, hop).all(1))
    own_sums, own_pairs = measure_sway(log_power, whole, (0,))
    sums[-1], pairs[-1] = own_sums[0], own_pairs
    return drift_spectrum(drift), burst, sums, pairs


@torch.no_grad()
def fit_beat_sway(net: StripNet, strips: Strips, *, seed: int, most: int = 240) -> NDArray[np.float32]:
    """Mean and SD ``[sources, 2, 2]`` over records of the log SD of beat heights within a record.

    The same of rhythms with P waves and without, until `fit_trim` tells them apart. Heights vary in what the
    decoder and its noise make of a record, too: the variance of that is taken off.
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
    table = np.array([_sway_of(p if len(p) >= 10 else everyone) for p in found.values()], np.float32)
    return np.repeat(table[:, None], 2, 1)


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
        batch["fine"], batch["coarse"], batch["rhythm"], record, batch["level"], batch["colour"]
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


def _loss(net: StripNet, batch: dict[str, Tensor], rest: Tensor, known: Tensor, hiss: Tensor) -> Tensor:
    """Mean absolute error of log variances: of slow noise in hops that are known, and of the hiss."""
    with torch.no_grad():
        record = record_vector(net, batch, encode(net, batch)[0])
    _, spread = net.decoder(
        batch["fine"],
        batch["coarse"],
        batch["rhythm"],
        record,
        batch["level"],
        batch["colour"],
    )
    square = net.lapped(rest / batch["gain"].exp()[:, None, None]).square()[..., :SLOW_BINS]
    ratio = torch.log(square + _FINEST) - spread[..., :SLOW_BINS] - _LOG_MEDIAN
    # A coefficient is known where both hops that it covers are.
    hops = F.pad(known.unflatten(1, (-1, HOP)).all(2), (1, 1), value=True)
    seen = (hops[:, 1:] & hops[:, :-1])[:, None, :, None].float()
    slow = (ratio.abs() * seen).sum() / (seen.sum() * ratio.shape[1] * ratio.shape[3]).clamp(min=1.0)
    heard = hiss.isfinite()
    return slow + (hiss - spread[:, :, 0, SLOW_BINS:])[heard].abs().sum() / max(int(heard.sum()), 1)

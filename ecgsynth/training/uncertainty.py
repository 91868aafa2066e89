"""How sure the VAE is of a person's beat, and whether it is right to be.

From one part of a strip the encoder reads who it may be; many latents of that posterior, each decoded at the
beats of the other part and with noise of its own, give a mean and a spread of what the middle beat there will
be. If the spread is true, the real middle beat lies within 1.28 of it in 80 % of its samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ecgsynth.batches import CROP, StripBatches, Strips, crop
from ecgsynth.errors import OptionError
from ecgsynth.generators.cvae import encode, record_vector
from ecgsynth.generators.oscillation import middle_beat
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.strip_net import StripNet

Array = NDArray[np.float64]

#: Samples of the middle beat before and after the R peak: P wave to T wave.
BEFORE, AFTER = round(0.24 * PLAN_FS), round(0.44 * PLAN_FS)
#: Factors on the spreads of the shipped single-lead cVAE, by the share that an interval should hold: fitted
#: on 127 people of the split's part val by ``benchmarks/conditions.py``. As they are, the spreads are far too
#: small, for a posterior knows the noise of its own reading, not what the decoder cannot draw. On 190 test
#: people intervals with these factors hold 48, 80 and 95 % (``docs/results/conditions.md``).
SHIPPED_FACTORS = {0.5: 3.112, 0.8: 3.718, 0.95: 4.788}
#: Fewest whole beats of the commonest kind for a middle beat.
_FEWEST = 3


@dataclass(frozen=True)
class BeatForecast:
    """The middle beat of part of a strip, foreseen from another part.

    Attributes
    ----------
    row, person : int
        Window and person in the strips.
    real, mean, sd : float64 arrays [samples]
        Of the middle beat in units of the record's gain: as it was, as foreseen, and how surely.
    """

    row: int
    person: int
    real: Array
    mean: Array
    sd: Array

    def interval(self, level: float, factor: float | None = None) -> tuple[Array, Array]:
        """Lower and upper limit of what should hold `level` of the samples.

        Parameters
        ----------
        level : float
            Share, 0 to 1.
        factor : float or None
            On the spread, from :func:`fit_factor`; None takes that of the shipped weights, known for 0.5, 0.8
            and 0.95.

        Raises
        ------
        OptionError
            If no factor is known for `level`.
        """
        from scipy.stats import norm

        if factor is None and level not in SHIPPED_FACTORS:
            raise OptionError(f"interval: no factor for {level:g}; give one, or ask for 0.5, 0.8 or 0.95.")
        half = (SHIPPED_FACTORS[level] if factor is None else factor) * norm.ppf((1 + level) / 2) * self.sd
        return self.mean - half, self.mean + half


def forecast_beats(
    net: StripNet, strips: Strips, rows: NDArray[np.int64], *, seed: int, draws: int = 24
) -> list[BeatForecast]:
    """Forecasts of the second half of windows from their first; windows with too few beats are left out.

    Parameters
    ----------
    net : StripNet
    strips : Strips
        People that `net` was not trained on, of single leads.
    rows : int64 array
        Windows.
    seed : int
    draws : int
        Latents, each with noise of its own, per window.
    """
    found = []
    for row in rows.tolist():
        start = int((strips.usable[row] - CROP) // 10 * 10)
        times, classes = strips.beats[row]
        at = _whole_beats(times - start / PLAN_FS, classes)
        if start < CROP // 2 or len(at) < _FEWEST:
            continue
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(11, row)))
        strip, drawn = _second_half(net, strips, row, start, draws, rng)
        middles = np.array([_middle(x, at) for x in drawn])
        found.append(
            BeatForecast(
                row, int(strips.person[row]), _middle(strip, at), middles.mean(0), middles.std(0, ddof=1)
            )
        )
    return found


def _whole_beats(times: Array, classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Samples of the R peaks of the commonest kind whose beats lie within a crop."""
    at = np.rint(times * PLAN_FS).astype(np.int64)
    inside = (at >= BEFORE) & (at < CROP - AFTER)
    if not inside.any():
        return at[:0]
    return at[inside & (classes == np.bincount(classes[inside]).argmax())]


def _middle(strip: NDArray[np.floating], at: NDArray[np.int64]) -> Array:
    """Middle beat of one lead, without its own level."""
    beats = strip[None, at[:, None] + np.arange(-BEFORE, AFTER)].astype(np.float64)
    beat = middle_beat(beats)[0]
    return np.asarray(beat - np.median(beat))


@torch.no_grad()
def _second_half(
    net: StripNet, strips: Strips, row: int, start: int, draws: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The real second half ``[samples]`` and decoded ones ``[draws, samples]``, in units of the gain."""
    index = np.array([row])
    batch = StripBatches(strips, 1, 0).batch(index, rng, np.array([start]))
    seen = crop(strips, index, np.array([0]))
    batch |= {"seen_" + key: value for key, value in seen.items()}
    mean, log_variance = encode(net, batch)
    many = {key: value.expand(draws, *value.shape[1:]) for key, value in batch.items()}
    gauss = torch.from_numpy(rng.standard_normal((draws, mean.shape[1]), dtype=np.float32))
    latent = mean + torch.exp(log_variance / 2) * gauss
    made, spread = net.decoder(
        many["fine"],
        many["coarse"],
        many["rhythm"],
        record_vector(net, many, latent),
        many["level"],
        many["colour"],
    )
    noise = torch.from_numpy(rng.standard_normal(spread.shape, dtype=np.float32))
    made = made + net.lapped.inverse(torch.exp(spread / 2) * noise)
    real = batch["signal"] / batch["gain"].exp()[:, None, None]
    return real[0, 0].numpy(), made[:, 0].numpy()


def errors_over_spread(forecasts: list[BeatForecast]) -> list[Array]:
    """``|real - mean| / sd`` of each forecast, per sample."""
    return [np.abs(one.real - one.mean) / np.maximum(one.sd, 1e-6) for one in forecasts]


def fit_factor(forecasts: list[BeatForecast], level: float = 0.8) -> float:
    """Factor on the spreads that puts `level` of the samples within their interval; people count alike."""
    from scipy.stats import norm

    ratios, weights = _by_people(forecasts)
    order = np.argsort(ratios)
    place = int(np.searchsorted(np.cumsum(weights[order]), level))
    return float(ratios[order][min(place, len(order) - 1)] / norm.ppf((1 + level) / 2))


def coverage(forecasts: list[BeatForecast], level: float, factor: float = 1.0) -> dict[int, float]:
    """Share of the samples of each person that lie within the interval that should hold `level` of them."""
    from scipy.stats import norm

    limit = factor * norm.ppf((1 + level) / 2)
    shares: dict[int, list[float]] = {}
    for one, ratio in zip(forecasts, errors_over_spread(forecasts), strict=True):
        shares.setdefault(one.person, []).append(float((ratio <= limit).mean()))
    return {person: float(np.mean(own)) for person, own in shares.items()}


def _by_people(forecasts: list[BeatForecast]) -> tuple[Array, Array]:
    """All ratios and their weights, which add up to 1; each person has as much."""
    people = [one.person for one in forecasts]
    ratios = errors_over_spread(forecasts)
    own = [1 / people.count(person) / len(ratio) for person, ratio in zip(people, ratios, strict=True)]
    weights = np.repeat(own, [len(ratio) for ratio in ratios])
    return np.concatenate(ratios), weights / weights.sum()

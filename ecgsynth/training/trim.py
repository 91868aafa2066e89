"""Correcting noise and drift by what comes out: strips made again are measured as the real ones were.

Every part of a strip is fitted on its own, and none of the measures is blind to the other parts: what a
mean varies from beat to beat counts as noise, leakage counts as drift. So the decoder makes real people's
strips again, from their own beats and their own latents, and what the same measures find in them is compared.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray

from ecgsynth.batches import StripBatches, Strips
from ecgsynth.generators.beat_heights import beat_bends, beat_heights
from ecgsynth.generators.blocks import HOP
from ecgsynth.generators.conditions import make_conditions
from ecgsynth.generators.cvae import encode
from ecgsynth.generators.hiss import FLANKS, WINDOW_HZ
from ecgsynth.generators.learned import ROWS, Learned
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.recording import kind_of
from ecgsynth.generators.strip_net import StripNet
from ecgsynth.training.measures import Measures, measured
from ecgsynth.training.noise import MOST_BURSTS

#: Largest correction of a log variance: a source of 100 Hz has nothing over 50 Hz, and no head says so.
_MOST = 5.0
#: Largest SD of how blunt beats are: what is more is how labels scatter around the peaks (mitdb).
_MOST_BEND = 0.22
#: Largest SD of the log power of noise over hops.
_MOST_SWAY = 2.0
#: Rounds of making, measuring and correcting; P waves and drift are corrected in one, between two of noise.
PASSES, _MIDDLE = 6, 2


def remade(net: StripNet, strips: Strips, rows: NDArray[np.int64], seed: int) -> list[NDArray[np.float32]]:
    """Strips ``[leads, usable]`` of `rows` made again: their beats, latents and numbers, new noise."""
    model = Learned(net)
    batches, rng = StripBatches(strips, ROWS, seed), np.random.default_rng(seed)
    out: list[NDArray[np.float32]] = []
    for first in range(0, len(rows), ROWS):
        own = rows[first : first + ROWS]
        with torch.no_grad():
            latent = encode(net, batches.batch(own, rng))[0]
        latents = torch.cat([latent, torch.from_numpy(strips.extras(own))], 1)
        rngs = [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(row),))) for row in own]
        conditions = []
        for row, noise in zip(own, rngs, strict=True):
            times, classes = strips.beats[row]
            phase, amplitude, frames = strips.phase[row], strips.amplitude[row], strips.frames[row]
            place = strips.source[row], kind_of(frames)
            heights = beat_heights(times, net.beat_sway[place].numpy(), noise)
            bends = beat_bends(len(times), net.beat_bend[place].numpy(), noise)
            conditions.append(make_conditions(times, classes, phase, amplitude, frames, heights, bends))
        ids = [torch.from_numpy(x[own]) for x in (strips.lead, strips.source, strips.demographics)]
        made = model.compose(conditions, ids, latents, rngs, strips.fast.shape[-1])
        out += [x[:, : strips.usable[row]] for (x, _), row in zip(made, own, strict=True)]
    return out


def fit_trim(
    net: StripNet, strips: Strips, *, seed: int, most: int = 200, fewest: int = 12
) -> dict[str, float]:
    """Set the trims of noise, drift, P waves and beats of the sources in `strips`, in `PASSES` rounds.

    Parameters
    ----------
    net : StripNet
        With fitted noise; its trims are changed in place.
    strips : Strips
        Training people.
    seed : int
    most, fewest : int
        Strips of a source that are made again, with P waves and without each, and below which it is left as
        it is.

    Returns
    -------
    dict
        Means over sources: of the log power of noise and the log amplitude of beats over 40 Hz that were
        added, of the factors on drift and on P waves.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(7,)))
    sources = np.unique(strips.source)
    for source in sources.tolist():
        rows = _few_per_person(strips, np.flatnonzero(strips.source == source), rng)
        kinds = np.array([kind_of(strips.frames[row]) for row in rows])
        rows = np.concatenate([rows[kinds == kind][:most] for kind in (0, 1)])
        for table in (net.noise_trim, net.beat_trim, net.noise_profile):
            table[source] = 0.0
        net.drift_trim[source], net.p_gain[source] = torch.tensor([1.0, 0.0]), 1.0
        for turn in range(PASSES if len(rows) >= fewest else 0):
            pairs = measured(strips, rows, remade(net, strips, rows, seed + turn))
            if len(pairs) >= fewest:
                real, made = ([pair[side] for pair in pairs] for side in (0, 1))
                _correct(net, source, real, made, turn, fewest)
    high = net.beat_trim[sources][:, WINDOW_HZ > 40]
    return {
        "noise": float(net.noise_trim[sources].mean()),
        "beats": float(high.mean()),
        "drift": float(net.drift_trim[sources, 0].mean()),
        "p": float(net.p_gain[sources].mean()),
    }


def _correct(
    net: StripNet,
    source: int,
    real: list[Measures],
    made: list[Measures],
    turn: int,
    fewest: int,
) -> None:
    """Move the trims of `source` by what `made` differs from `real` in round `turn`."""
    pairs = list(zip(real, made, strict=True))
    for kind in (0, 1):
        mine = _of_kind(pairs, kind, fewest)
        louder = torch.from_numpy(_at_coefficients(_louder(mine, fewest)))
        net.noise_trim[source, kind] = (net.noise_trim[source, kind] + louder).clamp(-_MOST, _MOST)
        _correct_variation(net, source, kind, mine, fewest)
    _correct_profiles(net, source, pairs, fewest)
    net.beat_trim[source] = (net.beat_trim[source] + torch.from_numpy(_beat_gain(real, made, fewest))).clamp(
        -0.6, 1.5
    )
    if turn == _MIDDLE:
        heights = [float(np.ptp(a.p) / np.ptp(b.p)) for a, b in zip(real, made, strict=True) if len(a.p)]
        if len(heights) >= fewest:
            net.p_gain[source] = float(np.clip(np.median(heights), 0.7, 1.6))
        net.drift_trim[source] = torch.tensor(_drift_trim(real, made))
    elif turn > _MIDDLE:
        # Squared, because drift is only about half of what is measured before a beat.
        excess = np.median([np.log(b.drift / a.drift) for a, b in pairs])
        net.drift_trim[source, 0] *= float(np.exp(np.clip(2 * excess, -0.4, 0.4)))


def _of_kind(
    pairs: list[tuple[Measures, Measures]], kind: int, fewest: int
) -> list[tuple[Measures, Measures]]:
    """Strips with P waves (0) or without (1); all where there are few."""
    mine = [pair for pair in pairs if pair[0].no_p == bool(kind)]
    return mine if len(mine) >= fewest else pairs


def _median(found: list[NDArray[np.float64]], fewest: int) -> NDArray[np.float64] | None:
    """Median over strips of what was `found` in each, NaN left out; None where under `fewest` are whole."""
    rows = np.array(found)
    return np.nanmedian(rows, 0) if np.isfinite(rows).all(1).sum() >= fewest else None


def _louder(pairs: list[tuple[Measures, Measures]], fewest: int) -> NDArray[np.float64]:
    """Log power ``[bins]`` by which real noise is louder."""
    louder = np.median([a.hiss - b.hiss for a, b in pairs], 0)
    before = _median([a.before - b.before for a, b in pairs], fewest)
    if before is None:
        return np.asarray(louder)
    # Waves leave more of themselves under 12 Hz than there is noise: there P waves show how much is seen.
    low = np.clip((14 - WINDOW_HZ) / 4, 0, 1)
    return np.asarray(low * before + (1 - low) * louder)


def _correct_variation(
    net: StripNet, source: int, kind: int, pairs: list[tuple[Measures, Measures]], fewest: int
) -> None:
    """Bursts and sway of noise, and the sway of the heights of beats, by their variances."""
    spikes = _median([a.bursts - b.bursts for a, b in pairs], fewest)
    if spikes is not None:
        more = net.noise_bursts[source, kind].square() + torch.from_numpy(spikes)
        net.noise_bursts[source, kind] = more.clamp(0, MOST_BURSTS**2).sqrt()
    swaying = _median([a.sway - b.sway for a, b in pairs], fewest)
    if swaying is not None:
        table = net.noise_sway[source, kind]
        more = table[:, 0].square() + 0.7 * torch.from_numpy(swaying).float()
        table[:, 0] = more.clamp(0, _MOST_SWAY**2).sqrt()
    heights = [(a.height_sd, b.height_sd) for a, b in pairs]
    sway = net.beat_sway[source, kind]
    sway[0] = float(np.log(_sd_that_shows(float(sway[0].exp()), heights, fewest, (0.01, 0.15))))
    bends = [(a.bend_sd, b.bend_sd) for a, b in pairs]
    bend = net.beat_bend[source, kind]
    bend[0] = _sd_that_shows(float(bend[0]), bends, fewest, (0.0, _MOST_BEND))


def _sd_that_shows(
    drawn: float, pairs: list[tuple[float, float]], fewest: int, limits: tuple[float, float]
) -> float:
    """SD to draw instead of `drawn`, so that those measured on what is made become those of real strips."""
    known = np.array(pairs)
    known = known[np.isfinite(known).all(1)]
    if len(known) < fewest:
        return drawn
    real, made = np.median(known, 0)
    return float(np.sqrt(np.clip(drawn**2 + 0.7 * (real**2 - made**2), *np.square(limits))))


def _correct_profiles(
    net: StripNet, source: int, pairs: list[tuple[Measures, Measures]], fewest: int
) -> None:
    """How much louder noise is near beats, with P waves and without; all strips show it where few do.

    In the flanks of the QRS noise makes up for what a mean lacks over 50 Hz.
    """
    for kind in (0, 1):
        mine = _of_kind(pairs, kind, fewest)
        table = net.noise_profile[source, kind]
        profile = _median([a.profile - b.profile for a, b in mine], fewest)
        if profile is not None:
            table += torch.from_numpy(profile)
        lacking = _median([(a.flanks[:2] - b.flanks[:2]) / b.flanks[2] for a, b in mine], fewest)
        if lacking is not None:
            power = np.exp(2 * table[list(FLANKS)].numpy()) + lacking
            table[list(FLANKS)] = torch.from_numpy(np.log(np.maximum(power, 0.5)) / 2).float()
        table.clamp_(-0.3, 1.5)


def _few_per_person(
    strips: Strips, rows: NDArray[np.int64], rng: np.random.Generator, each: int = 2
) -> NDArray[np.int64]:
    """`rows` in random order, at most `each` of a person and rhythm."""
    seen: defaultdict[tuple[int, int], int] = defaultdict(int)
    kept = []
    for row in rng.permutation(rows):
        key = (int(strips.person[row]), int(strips.rhythm[row]))
        seen[key] += 1
        if seen[key] <= each:
            kept.append(row)
    return np.array(kept, np.int64)


def _beat_gain(real: list[Measures], made: list[Measures], fewest: int) -> NDArray[np.float32]:
    """Log gain ``[bins]`` over 12 Hz that gives beats the spectrum of real ones; smooth and bounded."""
    ratio = _median([np.log(a.beat / b.beat) / 2 for a, b in zip(real, made, strict=True)], fewest)
    if ratio is None:
        return np.zeros(len(WINDOW_HZ), np.float32)
    gain = _smooth(ratio)
    return (np.clip(gain, -0.6, 1.0) * np.clip((WINDOW_HZ - 12) / 12, 0, 1)).astype(np.float32)


def _drift_trim(real: list[Measures], made: list[Measures]) -> tuple[float, float]:
    """Slope and floor (see `_drift_line`) with which drift is right before the beats, not on the average.

    T waves differ from beat to beat, and slowly: a share of what is measured as drift is theirs.
    """
    share = float(np.clip(np.median([a.drift / a.drift_all for a in real]), 0.5, 2.0))
    slope, floor = _drift_line([a.drift_all for a in real], [b.drift for b in made])
    return slope / share, floor / share


def _drift_line(real: list[float], made: list[float]) -> tuple[float, float]:
    """Slope a and floor f of ``made^2 = (a real)^2 + f^2``: the pair of a grid with the least log error."""
    given, found = np.square(real), np.log(np.square(made))
    best = (np.inf, 1.0, 0.0)
    for slope in np.linspace(0.6, 1.4, 17):
        for floor in np.linspace(0, 0.25, 26):
            error = float(np.abs(found - np.log(slope**2 * given + floor**2 + 1e-9)).mean())
            best = min(best, (error, float(slope), float(floor)))
    return best[1], best[2]


def _at_coefficients(log_power: NDArray[np.float64]) -> NDArray[np.float32]:
    """Corrections ``[HOP]`` of the noise transform's coefficients from those of window bins."""
    hz = (np.arange(HOP) + 0.5) * PLAN_FS / 2 / HOP
    # Below 4 Hz a window of 256 ms cannot tell noise from drift.
    return np.clip(np.interp(hz, WINDOW_HZ[1:], _smooth(log_power[1:])), -_MOST, _MOST).astype(np.float32)


def _smooth(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """`bins` with binomial weights: even ones turn what is jagged upside down, and rounds would feed it."""
    return np.convolve(np.pad(bins, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")

"""From beats, waves and rhythm to the arrays a network is conditioned on.

The same function serves training (beats of a real strip) and sampling (beats of a plan), so that a
network never meets a condition at sampling time that training did not define.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.records import Episode
from ecgsynth.rhythms import RHYTHMS

#: Samples per frame: 40 ms at 250 Hz.
PATCH = 10
#: Frames per hop of the noise transform: 160 ms.
HOP_FRAMES = 4

#: WFDB beat codes that share a waveform family.
BEAT_CLASSES = ("N", "L", "R", "S", "V", "F", "/")
_CLASS_OF = {
    **dict.fromkeys("NenQB?", 0), "L": 1, "R": 2, **dict.fromkeys("AaJSj", 3), **dict.fromkeys("VEr", 4),
    **dict.fromkeys("Ff", 5), "/": 6,
}  # fmt: skip

RHYTHM_INDEX = {name: i for i, name in enumerate(RHYTHMS)}
N_FINE = len(BEAT_CLASSES) + 4
N_COARSE = 2 * len(BEAT_CLASSES) + 6
#: Narrow enough to keep a QRS steep, wide enough to place it between samples.
_BUMP_SD_S = 0.004
_FAR_S = 2.0


@dataclass(frozen=True)
class Conditions:
    """What the decoder sees of one strip.

    Attributes
    ----------
    fine : float32 array [N_FINE, samples]
        At the sampling rate: a Gaussian bump of one sample's SD at each beat, one channel per beat class;
        seconds since the last and to the next beat (at most 2); cosine and sine of the wave's phase times
        its amplitude.
    coarse : float32 array [N_COARSE, frames]
        Per frame: one-hot class of the last and of the next beat, cosine and sine of the phase between
        them, log of the RR interval before, around and after the frame, whether any beat is near.
    rhythm : int64 array [frames]
        Index into the rhythm table.
    p_lost : float32 array [frames] or None
        How much of its P wave the beat in a frame loses: 1 all of it, more turns it over. None: nothing
        anywhere.
    """

    fine: NDArray[np.float32]
    coarse: NDArray[np.float32]
    rhythm: NDArray[np.int64]
    p_lost: NDArray[np.float32] | None = None


def beat_class(symbol: str) -> int:
    """Index into `BEAT_CLASSES` of a WFDB beat code; codes without a family of their own count as N."""
    return _CLASS_OF.get(symbol, 0)


def make_conditions(
    beat_times: NDArray[np.float64],
    classes: NDArray[np.int64],
    osc_phase: NDArray[np.float32],
    osc_amplitude: NDArray[np.float32],
    rhythm: NDArray[np.int64],
    heights: NDArray[np.float64] | None = None,
    bends: NDArray[np.float64] | None = None,
) -> Conditions:
    """Conditions of one strip at `PLAN_FS`.

    Parameters
    ----------
    beat_times : float64 array [beats]
        R peaks in s from the strip's start, increasing; some may lie outside.
    classes : int64 array [beats]
        Index into `BEAT_CLASSES`.
    osc_phase, osc_amplitude : float32 array [samples]
        Of the continuous wave; the number of samples is a multiple of `PATCH`.
    rhythm : int64 array [samples // PATCH]
    heights : float64 array [beats], optional
        Height of each beat over that of its record, 1 by default.
    bends : float64 array [beats], optional
        How much blunter each beat is: the share of its second derivative that is added, in samples squared;
        below 0, sharper.
    """
    n = len(osc_phase)
    fine = np.zeros((N_FINE, n), np.float32)
    k = len(BEAT_CLASSES)
    add_bumps(fine[:k], beat_times, classes, np.ones(len(beat_times)) if heights is None else heights, bends)
    t = np.arange(n) / PLAN_FS
    edges = np.concatenate([[-np.inf], beat_times, [np.inf]])
    last = np.searchsorted(beat_times, t, side="right")
    fine[k] = np.minimum(t - edges[last], _FAR_S)
    fine[k + 1] = np.minimum(edges[last + 1] - t, _FAR_S)
    angle = 2 * np.pi * osc_phase.astype(np.float64)
    fine[k + 2] = osc_amplitude * np.cos(angle)
    fine[k + 3] = osc_amplitude * np.sin(angle)
    return Conditions(fine, _coarse(beat_times, classes, n // PATCH), rhythm)


def add_bumps(
    channels: NDArray[np.float32],
    beat_times: NDArray[np.float64],
    classes: NDArray[np.int64],
    heights: NDArray[np.float64],
    bends: NDArray[np.float64] | None = None,
) -> None:
    """Add a bump of each beat's height to the channel ``fine[class]`` ``[classes, samples]``."""
    reach = np.arange(-10, 11)
    centre = np.rint(beat_times * PLAN_FS).astype(np.int64)
    where = centre[:, None] + reach
    square = ((where / PLAN_FS - beat_times[:, None]) / _BUMP_SD_S) ** 2
    bump = heights[:, None] * np.exp(-0.5 * square)
    if bends is not None:
        # The second derivative of a bump whose SD is one sample.
        bump *= 1 + bends[:, None] * (square - 1)
    inside = (where >= 0) & (where < channels.shape[1])
    rows = np.broadcast_to(classes[:, None], where.shape)
    np.add.at(channels, (rows[inside], where[inside]), bump[inside].astype(np.float32))


def _coarse(beat_times: NDArray[np.float64], classes: NDArray[np.int64], frames: int) -> NDArray[np.float32]:
    k = len(BEAT_CLASSES)
    out = np.zeros((N_COARSE, frames), np.float32)
    if len(beat_times) == 0:
        return out
    t = (np.arange(frames) + 0.5) * PATCH / PLAN_FS
    frame = np.arange(frames)
    last = np.searchsorted(beat_times, t, side="right") - 1
    has_last, has_next = last >= 0, last + 1 < len(beat_times)
    out[classes[last[has_last]], frame[has_last]] = 1.0
    out[k + classes[last[has_next] + 1], frame[has_next]] = 1.0
    # An RR interval that is cut off by the end of the beats is taken as 0.8 s: log 0.8 is near the middle.
    rr = np.concatenate([[0.8, 0.8], np.diff(beat_times), [0.8, 0.8]])
    log_rr = np.log(np.clip(rr, 0.2, _FAR_S))
    before, around, after = log_rr[last + 1], log_rr[last + 2], log_rr[np.minimum(last + 3, len(rr) - 1)]
    start = np.where(has_last, beat_times[np.maximum(last, 0)], beat_times[0] - rr[last + 2])
    phase = 2 * np.pi * np.clip((t - start) / np.maximum(rr[last + 2], 0.05), 0, 1)
    near = np.minimum(np.abs(t - start), rr[last + 2]) < _FAR_S
    out[2 * k :] = [np.cos(phase) * near, np.sin(phase) * near, before, around, after, near]
    return out


def rhythm_per_frame(episodes: tuple[Episode, ...], n_samples: int) -> NDArray[np.int64]:
    """Rhythm index [n_samples // PATCH] of each frame, from episodes in samples at `PLAN_FS`."""
    out = np.zeros(n_samples // PATCH, np.int64)
    for episode in episodes:
        first, last = round(episode.start / PATCH), -(-episode.stop // PATCH)
        out[first:last] = RHYTHM_INDEX[episode.rhythm or "nsr"]
    if episodes:
        out[-(-episodes[-1].stop // PATCH) :] = RHYTHM_INDEX[episodes[-1].rhythm or "nsr"]
    return out

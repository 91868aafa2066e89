"""The outline of the median beat, which way time runs through it, and what beats leave unexplained."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import BeatShape, hann, p_wave, p_window, qrs_edges, ramp

Array = NDArray[np.float64]

#: Where the outline of the median beat is taken, in ms from R; the mean over the way to the next point.
OUTLINE_MS = (
    -300, -260, -220, -190, -160, -130, -100, -80, -60, -45, -35, -25, -15, -5,
    5, 15, 25, 35, 45, 60, 80, 100, 130, 160, 200, 240, 280, 320, 360, 400, 440, 480,
)  # fmt: skip
#: Where T is over and the next P has not begun, in seconds after R.
_REST = (0.44, 0.56)
#: A QRS that seems longer than this runs into its T wave, in seconds.
LONGEST_QRS = 0.4
_ZERO = np.zeros(1)


@lru_cache(maxsize=16)
def _outline_columns(centre: int, width: int, fs: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First columns of `OUTLINE_MS` in a beat of ``width`` samples, and those after the last."""
    at = centre + np.rint(np.array(OUTLINE_MS) * 0.001 * fs).astype(np.int64)
    starts = np.clip(at, 0, width - 1)
    return starts, np.clip(np.append(at[1:], at[-1] + round(0.04 * fs)), starts + 1, width)


def outline(shape: BeatShape) -> dict[str, float]:
    """The median beat at `OUTLINE_MS`, in parts of its QRS height: ``at_<ms>``, NaN past 80 % of an RR."""
    level, span = shape.levelled
    starts, stops = _outline_columns(shape.centre, len(level), shape.fs)
    total = np.concatenate([_ZERO, np.cumsum(level)])
    values = (total[stops] - total[starts]) / (stops - starts) / span
    reach = 800.0 * shape.rr
    return {
        f"at_{ms}": float(value) if -0.5 * reach <= ms <= reach else float("nan")
        for ms, value in zip(OUTLINE_MS, values.tolist(), strict=True)
    }


def time_numbers(shape: BeatShape) -> dict[str, float]:
    """What the median beat shows beside the waves that the delineator marks.

    ``p_high`` height of what is in the PR window in mV, ``p_clear`` that in standard errors of the median
    beat, ``p_over`` log10 of it over the height between T and the next P, ``pp_ms`` from its peak to the QRS,
    ``qrs_mv`` log10 of the QRS height in mV, ``r_share`` share of the height above the level, ``t_lean`` how
    much steeper T falls than it rises (-1 to 1), ``after`` log10 of the power after the QRS over that before.
    """
    level, span = shape.levelled
    onset, offset = qrs_edges(shape)
    fs = shape.fs
    score, height = p_wave(shape)
    numbers = {
        "p_high": height,
        "p_clear": score * float(np.sqrt(len(shape.beats))),
        "p_over": _over_rest(shape, height),
        "qrs_mv": float(np.log10(span)),
        "r_share": float(level[shape.window(-0.08, 0.08)].max()) / span,
    }
    window = p_window(shape)
    p = level[window]
    if len(p) >= 0.05 * fs:
        bent = _bent(p)
        top = int(np.abs(bent).argmax())
        numbers["pp_ms"] = 1000.0 * (max(onset, -0.08) - (window.start + top - shape.centre) / fs)
    end = min(max(offset, 0.04), 0.2)
    return numbers | _t_lean(shape, level, end) | {"after": _after(shape, level, end)}


def _bent(wave: Array) -> Array:
    """A wave [samples] less the straight line between its ends."""
    return np.asarray(wave - (wave[0] + (wave[-1] - wave[0]) * ramp(len(wave))))


def _over_rest(shape: BeatShape, height: float) -> float:
    """log10 of the height in the PR window over that between T and the next P; NaN without one."""
    rest = shape.median[shape.window(*_REST)]
    if shape.rr < _REST[1] + 0.26 or len(rest) < 0.08 * shape.fs:
        return float("nan")
    bent = _bent(rest)
    return float(np.log10(max(height, 1e-3) / max(float(np.ptp(bent)), 1e-3)))


def _t_lean(shape: BeatShape, level: Array, end: float) -> dict[str, float]:
    wave = level[shape.window(end + 0.06, min(0.52, 0.75 * shape.rr))]
    if len(wave) < 0.1 * shape.fs:
        return {}
    bent = _bent(wave)
    peak = int(np.abs(bent).argmax())
    slope = np.diff(wave) * (1.0 if bent[peak] >= 0 else -1.0)
    rise = float(slope[:peak].max(initial=0.0))
    fall = float((-slope[peak:]).max(initial=0.0))
    return {"t_lean": (fall - rise) / max(fall + rise, 1e-6)}


def _after(shape: BeatShape, level: Array, end: float) -> float:
    reach = min(0.45, 0.6 * shape.rr)
    later = level[shape.window(min(end + 0.02, reach - 0.05), reach)]
    before = level[shape.window(-min(0.3, 0.4 * shape.rr), -0.07)]
    return float(np.log10(max(later.var(), 1e-8) / max(before.var(), 1e-8)))


def atrial_numbers(clean: Array, peaks: NDArray[np.int64], shape: BeatShape) -> dict[str, float]:
    """What is left when the median beat is taken from every beat: the atria, and noise.

    ``rest_mv`` log10 RMS of the remainder between 3 and 12 Hz over the QRS height, ``rest_hz`` its strongest
    frequency there and ``rest_peak`` the share of that band within 0.5 Hz of it (flutter is sharp, f waves
    are broad), ``rest_fine`` its log10 share above 20 Hz.
    """
    fs, n = shape.fs, len(clean)
    rest = clean.copy()
    width = len(shape.median)
    inside = peaks[(peaks >= shape.centre) & (peaks < n - width + shape.centre)]
    window = shape.window(-min(0.3, 0.4 * shape.rr), min(0.5, 0.6 * shape.rr))
    part = shape.median[window] * np.hanning(window.stop - window.start + 2)[1:-1] ** 0.25
    for at in inside.tolist():
        rest[at - shape.centre + window.start : at - shape.centre + window.stop] -= part
    taper, frequency = hann(n, fs)
    power = np.abs(np.fft.rfft(rest * taper)) ** 2
    low = int(np.searchsorted(frequency, 3.0))
    high, fine = np.searchsorted(frequency, (12.0, 20.0), side="right").tolist()
    smooth = np.convolve(power, np.ones(max(1, round(0.5 * n / fs))), "same")
    top = float(frequency[low + int(np.argmax(smooth[low:high]))])
    total = max(float(power[low:high].sum()), 1e-12)
    near = np.abs(frequency[low:high] - top) <= 0.5
    _, span = shape.levelled
    return {
        "rest_mv": float(np.log10(np.sqrt(total) / n / span + 1e-6)),
        "rest_hz": top,
        "rest_peak": float(power[low:high][near].sum()) / total,
        "rest_fine": float(np.log10(max(float(power[fine:].sum()) / total, 1e-6))),
    }


def morphology_numbers(clean: Array, peaks: NDArray[np.int64], shape: BeatShape) -> dict[str, float]:
    """All of the above for one baseline-free lead [samples] in mV."""
    return outline(shape) | time_numbers(shape) | atrial_numbers(clean, peaks, shape)

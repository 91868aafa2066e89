"""Does a strip stay one person's from end to end: a change of beats, noise or rate, a P wave that drifts.

A splice is looked for as a single change point: for every place between two beats, how much of the variance
of the beats lies between the part before and the part after.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import MAX_SHIFT, BeatShape, hann, middle, p_window, ramp

Array = NDArray[np.float64]

#: Length of the pieces whose noise floor is compared, in seconds.
PIECE_S = 0.5
#: Fewest beats (pieces) on either side of a change.
SIDE = 2
#: How far a P wave is followed, in seconds.
P_REACH = 0.1


def change_point(rows: Array) -> tuple[float, int]:
    """Where rows [n, features] change most, as an F ratio (log10) and the first row after the change.

    F is the variance between the two parts over that within them, ``B / (W / (n - 2))``, best over all places
    with at least `SIDE` rows to each side; 0 and ``n // 2`` with fewer than five rows.
    """
    n = len(rows)
    if n < 2 * SIDE + 1:
        return 0.0, n // 2
    ratios = _ratios([rows])[0]
    best = int(ratios.argmax())
    return float(ratios[best]), SIDE + best


def split_numbers(
    leads: Array, shape: BeatShape | None, peaks: NDArray[np.int64], fs: float
) -> dict[str, float]:
    """Changes of noise and power along the strip, and with a ``shape`` those of beats and rate.

    Parameters
    ----------
    leads : float64 array [leads, samples]
        Baseline-free leads in mV; ``shape`` is the first one's. Beats are compared on all of them.
    shape : BeatShape or None
    peaks : int64 array [beats]
    fs : float
        In Hz.

    Returns
    -------
    dict
        log10 F ratios of the best change point: ``split_noise`` (noise floor), ``split_power``,
        ``split_bands`` (power in four bands), ``split_beats`` (QRS and T, in QRS heights), ``split_qrs``,
        ``split_height``, ``split_rate``. At the change of the beats: ``split_like`` and ``split_gap``
        correlation and RMS difference of the median beats before and after, ``split_tall``, ``split_rr``,
        ``split_fine`` absolute log ratio of heights, RR intervals and noise floors; ``split_apart`` how far
        the change of noise lies from it, as a share.
    """
    pieces = _pieces(leads[0], fs)
    numbers, piece = _noise_numbers(pieces, fs)
    floor = pieces[2]
    numbers["split_fine"] = _step(floor, piece)
    if shape is None or len(shape.beats) < 2 * SIDE + 1 or len(peaks) < 2 * SIDE + 2:
        return numbers
    window = shape.window(-0.22 if shape.rr > 0.5 else -0.1, min(0.4, 0.6 * shape.rr))
    heights = np.ptp(shape.beats[:, shape.window(-0.08, 0.08)], axis=1)
    top = float(middle(heights))
    rows = _unit(shape.beats[:, window][:, ::2], top)
    whole = np.concatenate([rows, *_other_leads(leads[1:], shape, peaks, window)], axis=1)
    tall = np.log(heights + 1e-3)
    ratios = _ratios([whole, _unit(shape.beats[:, shape.window(-0.08, 0.1)], top), tall[:, None]])
    k = SIDE + int(ratios[0].argmax())
    best = ratios.max(axis=1).tolist()
    numbers |= dict(zip(("split_beats", "split_qrs", "split_height"), best, strict=True))
    first, last = middle(whole[:k], 0), middle(whole[k:], 0)
    numbers["split_like"] = _correlation(first, last)
    numbers["split_gap"] = float(np.sqrt(np.mean((first - last) ** 2)))
    numbers["split_tall"] = _step(tall, k)
    rr = np.log(np.diff(peaks) / fs)
    numbers["split_rr"] = _step(rr, k)
    numbers["split_rate"], _ = change_point(rr[:, None])
    numbers |= _joint_numbers(leads[0], shape, peaks, heights, fs)
    at = float(peaks[min(k, len(peaks) - 1)]) / leads.shape[1]
    numbers["split_apart"] = abs(at - piece / len(floor))
    numbers["split_fine"] = _step(floor, round(at * len(floor)))
    return numbers


def _joint_numbers(
    lead: Array, shape: BeatShape, peaks: NDArray[np.int64], heights: Array, fs: float
) -> dict[str, float]:
    """log10 F ratios of several things at the one place where they change most together, and their mean.

    ``joint_p``, ``joint_qrs`` and ``joint_t`` of the P, QRS and T windows of the beats, ``joint_height``,
    ``joint_rate`` and ``joint_floor`` of QRS heights, RR intervals and the noise floor around each beat.
    """
    n, shift = len(shape.beats), round(MAX_SHIFT * fs)
    before, after = shape.centre + shift, shape.beats.shape[1] - shape.centre + shift
    first = int(np.searchsorted(peaks, before))
    own = peaks[first : first + n]
    if len(own) != n or own[-1] >= len(lead) - after:
        return {}
    gaps = np.diff(peaks) / fs
    rate = np.log(gaps[np.clip(np.arange(first, first + n), 0, len(gaps) - 1)])
    around = lead[own[:, None] + np.arange(-before, after)]
    floor = np.log(middle(np.abs(np.diff(around, 2, axis=1))) + 1e-5)
    top = float(middle(heights))
    parts = {
        "p": _unit(shape.beats[:, p_window(shape)][:, ::3], top),
        "qrs": _unit(shape.beats[:, shape.window(-0.06, 0.08)], top),
        "t": _unit(shape.beats[:, shape.window(0.08, min(0.4, 0.6 * shape.rr))][:, ::4], top),
        "height": np.log(heights + 1e-3)[:, None],
        "rate": rate[:, None],
        "floor": floor[:, None],
    }
    parts = {name: rows for name, rows in parts.items() if rows.shape[1]}
    ratios = _ratios(list(parts.values()))
    together = ratios.mean(axis=0)
    best = int(together.argmax())
    found = dict(zip((f"joint_{name}" for name in parts), ratios[:, best].tolist(), strict=True))
    return found | {"joint_mean": float(together[best])}


def _ratios(parts: Sequence[Array]) -> Array:
    """log10 F ratios [parts, places] of parts [n, features], for every place with `SIDE` rows to each side.

    ``n`` is the same for all and at least five; a part has at least one feature.
    """
    rows = np.concatenate(parts, axis=1)
    starts = np.cumsum([0, *(part.shape[1] for part in parts[:-1])])
    n = len(rows)
    level = rows - rows.mean(axis=0)
    total = np.add.reduceat((level * level).sum(axis=0), starts)[:, None]
    k = np.arange(SIDE, n - SIDE + 1)
    head = np.cumsum(level, axis=0)[SIDE - 1 : n - SIDE]
    between = np.add.reduceat(head * head, starts, axis=1).T * (n / (k * (n - k)))
    within = np.maximum(np.maximum(total - between, 1e-3 * total), 1e-12)
    return np.asarray(np.log10(np.maximum(between * (n - 2) / within, 1e-3)))


def _pieces(lead: Array, fs: float) -> tuple[Array, Array, Array]:
    """The lead [pieces, samples], its changes of slope likewise, and the log10 noise floor [pieces]."""
    n = min(round(PIECE_S * fs), len(lead) - 2)
    count = (len(lead) - 2) // n
    bend = np.abs(np.diff(lead, 2))[: count * n].reshape(count, n)
    return lead[: count * n].reshape(count, n), bend, np.log10(middle(bend) + 1e-5)


def _noise_numbers(pieces: tuple[Array, Array, Array], fs: float) -> tuple[dict[str, float], int]:
    part, _, floor = pieces
    power = np.log10(part.std(axis=1) + 1e-4)
    level = part - part.mean(axis=1, keepdims=True)
    taper, frequency = hann(part.shape[1], fs)
    spectrum = np.abs(np.fft.rfft(level * taper)) ** 2
    edges = np.searchsorted(frequency, (3.0, 9.0, 18.0, 35.0))
    bands = np.log10(np.add.reduceat(spectrum, edges, axis=1) + 1e-8)
    names = ("split_noise", "split_power", "split_bands")
    if len(part) < 2 * SIDE + 1:
        return dict.fromkeys(names, 0.0), len(part) // 2
    ratios = _ratios([floor[:, None], power[:, None], bands])
    return dict(zip(names, ratios.max(axis=1).tolist(), strict=True)), SIDE + int(ratios[0].argmax())


def _other_leads(leads: Array, shape: BeatShape, peaks: NDArray[np.int64], window: slice) -> list[Array]:
    """Beats of further leads, in heights of their own QRS, for the same beats that ``shape`` holds."""
    if not len(leads):
        return []
    shift = round(MAX_SHIFT * shape.fs)
    width, centre = shape.beats.shape[1], shape.centre
    inside = peaks[(peaks >= centre + shift) & (peaks < leads.shape[1] - (width - centre) - shift)]
    columns = np.arange(window.start - centre, window.stop - centre, 2)
    qrs = np.arange(-round(0.08 * shape.fs), round(0.08 * shape.fs))
    return [
        _unit(lead[inside[:, None] + columns], float(middle(np.ptp(lead[inside[:, None] + qrs], axis=1))))
        for lead in leads
    ]


def _unit(rows: Array, height: float) -> Array:
    return (rows - rows.mean(axis=1, keepdims=True)) / max(height, 1e-3)


def _step(values: Array, at: int) -> float:
    """Size of the change of the median at ``at``, kept two values away from the ends; 0 with under four."""
    if len(values) < 4:
        return 0.0
    at = min(max(at, 2), len(values) - 2)
    return abs(float(middle(values[:at]) - middle(values[at:])))


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(float(np.sqrt((a @ a) * (b @ b))), 1e-9))


def drift_numbers(shape: BeatShape) -> dict[str, float]:
    """Whether the P wave moves against the QRS: ``p_drift_ms`` over the strip, and how steadily.

    The P wave of each beat is found by its best match with that of the first third of beats, and again with
    that of the last third; the straight line through its places that explains more counts.
    ``p_drift_r`` is that line's correlation, ``p_same`` the correlation of the P waves of the two thirds.
    """
    window = p_window(shape)
    n, third = len(shape.beats), len(shape.beats) // 3
    reach = round(P_REACH * shape.fs)
    start = max(0, window.start - reach // 2)
    if third < 2 or window.stop - start < 0.12 * shape.fs:
        return {}
    rows = shape.beats[:, start : window.stop]
    rows = rows - ramp(rows.shape[1]) * (rows[:, -1:] - rows[:, :1]) - rows[:, :1]
    rows = rows - rows.mean(axis=1, keepdims=True)
    best = (0.0, 0.0)
    index: Array = np.arange(n, dtype=np.float64) - (n - 1) / 2
    ends = middle(rows[:third], 0), middle(rows[-third:], 0)
    size = 1 << (2 * rows.shape[1] - 1).bit_length()
    spectra = np.fft.rfft(rows, size)
    lags = np.concatenate([np.arange(reach + 1), np.arange(-reach, 0)])
    for template in ends:
        match = np.fft.irfft(spectra * np.conj(np.fft.rfft(template, size)), size)
        at: Array = lags[match[:, lags].argmax(axis=1)].astype(np.float64)
        at -= at.mean()
        slope = float(index @ at / (index @ index))
        r = _correlation(index, at)
        if abs(r) > abs(best[1]):
            best = (1000.0 * slope * (n - 1) / shape.fs, r)
    return {"p_drift_ms": abs(best[0]), "p_drift_r": abs(best[1]), "p_same": _correlation(*ends)}

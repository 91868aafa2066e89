"""Whether beats change once along a strip, against what the same beats show in any other order.

Beats of a fibrillation differ so much that a variance ratio says little by itself. Drawing the beats in
random orders tells how large it gets by chance in this very strip (a permutation test for one change point:
Antoch J, Huskova M, Stat Probab Lett 53:37-46, 2001).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import BeatShape, hann, middle, p_window

Array = NDArray[np.float64]
Index = NDArray[np.int64]

#: Orders that are drawn; fixed, so that a strip always gets the same numbers.
ORDERS = 40
#: Fewest beats to each side of a change, and fewest and most in all.
SIDE, FEWEST, MOST = 2, 7, 24
#: Beats to each side of the change that are compared with their neighbours.
NEAR = 3
#: Pieces whose spectra are compared, shortest length in seconds, and the bands' lower edges in Hz.
PIECES, PIECE_S, BANDS = 20, 0.5, (2.0, 5.0, 9.0, 15.0, 25.0, 38.0)


@lru_cache(maxsize=64)
def _pairs(n: int) -> tuple[Index, Array]:
    """Pairs of n beats in each order, as places in the flat table [n, n] of their products.

    Places [ORDERS + 1, pairs] of every beat with itself and all before it, the first order the one they came
    in; and the weights [pairs, places] with which they add up to the square of the sum over the first beats.
    """
    rng = np.random.default_rng(n)
    orders = np.stack([np.arange(n), *(rng.permutation(n) for _ in range(ORDERS))])
    late, early = np.tril_indices(n)
    inside = late[:, None] < np.arange(SIDE, n - SIDE + 1)
    return orders[:, late] * n + orders[:, early], np.where(late == early, 1.0, 2.0)[:, None] * inside


def _log_ratios(grams: Array) -> Array:
    """log10 F ratios [parts, orders, places] of one change, from products [parts, n, n] of centred beats."""
    n = grams.shape[1]
    places, weights = _pairs(n)
    k = np.arange(SIDE, n - SIDE + 1)
    # Squared, the sum over the first k beats of an order is the sum over all pairs of them.
    heads = grams.reshape(len(grams), -1).take(places, axis=1) @ weights
    between = heads * (n / (k * (n - k)))
    total = np.trace(grams, axis1=1, axis2=2)[:, None, None]
    within = np.maximum(np.maximum(total - between, 1e-3 * total), 1e-12)
    return np.asarray(np.log10(np.maximum(between * (n - 2) / within, 1e-3)))


def _standing_out(ratios: Array) -> list[float]:
    """How far the largest ratio [parts, orders, places] of the true order lies above those of the others.

    Per part, in standard deviations of the others.
    """
    best = ratios.max(axis=2)
    chance = best[:, 1:]
    mean = chance.mean(axis=1)
    spread = np.sqrt(np.maximum((chance * chance).mean(axis=1) - mean * mean, 0.0))
    return ((best[:, 0] - mean) / np.maximum(spread, 1e-3)).tolist()


def steadiness_numbers(shape: BeatShape) -> dict[str, float]:
    """Changes of the beats along the strip, in deviations of the same beats in random orders.

    ``steady_qrs``, ``steady_t``, ``steady_p``, ``steady_tall`` for QRS, T and P windows and QRS heights,
    ``steady_form`` for the QRS of beats brought to one height, ``steady_all`` for their mean log ratio at one
    place. There, ``jump_qrs`` and ``jump_t`` are log10 of the mean squared difference between the three beats
    before and the three after, over that among each three. Absent with too few beats.
    """
    n = len(shape.beats)
    if n < FEWEST:
        return {}
    parts = _parts(shape, shape.beats[:MOST])
    level = [rows - rows.mean(axis=0) for rows in parts.values()]
    grams = np.stack([rows @ rows.T for rows in level])
    ratios = _log_ratios(grams)
    together = ratios.mean(axis=0, keepdims=True)
    found = _standing_out(np.concatenate([ratios, together]))
    numbers = dict(zip([f"steady_{name}" for name in (*parts, "all")], found, strict=True))
    at = SIDE + int(together[0, 0].argmax())
    for name in ("qrs", "t"):
        if name in parts:
            numbers[f"jump_{name}"] = _jump(grams[list(parts).index(name)], at)
    return numbers


def noise_steadiness(lead: Array, fs: float) -> dict[str, float]:
    """The same for pieces of a lead [samples] in mV: ``steady_floor`` noise floor, ``steady_bands`` spectra.

    Spectra are log10 powers of `BANDS`, each over its own scatter. ``jump_bands`` as above.
    """
    n = max(round(PIECE_S * fs), len(lead) // PIECES)
    count = len(lead) // n
    if count < FEWEST:
        return {}
    part = lead[: count * n].reshape(count, n)
    taper, frequency = hann(n, fs)
    spectrum = np.abs(np.fft.rfft((part - part.mean(axis=1, keepdims=True)) * taper)) ** 2
    starts = np.searchsorted(frequency, BANDS)
    bands = np.log10(np.add.reduceat(spectrum, starts, axis=1) + 1e-9)
    floor = np.log10(middle(np.abs(np.diff(part, 2, axis=1))) + 1e-5)
    level = [rows - rows.mean(axis=0) for rows in (floor[:, None], bands)]
    level[1] = level[1] / np.maximum(level[1].std(axis=0), 1e-3)
    grams = np.stack([rows @ rows.T for rows in level])
    ratios = _log_ratios(grams)
    at = SIDE + int(ratios[1, 0].argmax())
    numbers = dict(zip(("steady_floor", "steady_bands"), _standing_out(ratios), strict=True))
    return numbers | {"jump_bands": _jump(grams[1], at)}


def _parts(shape: BeatShape, beats: Array) -> dict[str, Array]:
    """Parts of the beats [beats, features] that are compared."""
    qrs = beats[:, shape.window(-0.06, 0.08)]
    qrs = qrs - qrs.mean(axis=1, keepdims=True)
    sizes = np.maximum(np.sqrt(np.einsum("ij,ij->i", qrs, qrs)), 1e-6)
    windows = {"t": (shape.window(0.08, min(0.4, 0.6 * shape.rr)), 4), "p": (p_window(shape), 3)}
    parts = {"qrs": qrs, "form": qrs / sizes[:, None], "tall": np.log(sizes)[:, None]}
    for name, (window, step) in windows.items():
        rows = beats[:, window][:, ::step]
        if rows.shape[1] > 2:
            parts[name] = rows - rows.mean(axis=1, keepdims=True)
    return parts


def _jump(gram: Array, at: int) -> float:
    size = np.diag(gram)
    apart = size[:, None] + size - 2.0 * gram
    first, last = slice(max(0, at - NEAR), at), slice(at, at + NEAR)
    one, two = apart[first, first], apart[last, last]
    pairs = one.shape[0] * (one.shape[0] - 1) + two.shape[0] * (two.shape[0] - 1)
    inside = (float(one.sum()) + float(two.sum())) / max(pairs, 1)
    return float(np.log10(max(float(apart[first, last].mean()), 1e-9) / max(inside, 1e-9)))

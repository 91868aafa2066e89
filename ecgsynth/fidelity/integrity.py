"""Is this a signal at all: finite, moving, unclipped, of an ECG's size, and its leads consistent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Samples within this many mV of each other count as equal (half of the finest ADC step in use, 1 uV).
SAME = 0.0005
#: Derived limb leads as sums of I and II: Einthoven 1912, Goldberger 1942.
LEAD_ALGEBRA: dict[str, tuple[float, float]] = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}


def longest_run(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Longest run of True along the last axis of [leads, samples], in samples, per lead."""
    position = np.arange(1, same.shape[-1] + 1)
    last_false = np.maximum.accumulate(np.where(same, 0, position), axis=-1)
    return (position - last_false).max(axis=-1)


def integrity(signal: NDArray[np.floating], fs: float, leads: tuple[str, ...] = ()) -> dict[str, float]:
    """Numbers about the raw samples [leads, samples] in mV; the worst lead counts.

    Returns
    -------
    dict
        ``missing`` share of samples that are NaN or infinite (the rest is only measured where it is 0);
        ``flat_s`` longest run of equal samples in seconds; ``clipped_s`` longest run at a lead's own
        extreme in seconds; ``plateaus`` how often per second a lead stays at its extreme; ``span_low`` and
        ``span_high`` smallest and largest peak-to-peak in mV (limb leads derived from I and II may be small:
        the axis lies across one of them, so among ``leads`` they do not count for ``span_low``);
        ``offset`` largest absolute mean in mV.
    """
    missing = 1.0 - float(np.isfinite(signal).mean())
    if missing > 0 or signal.shape[-1] < 2:
        return {"missing": missing}
    change = np.abs(np.diff(signal)) < SAME
    top, bottom = signal.max(axis=-1, keepdims=True), signal.min(axis=-1, keepdims=True)
    span = (top - bottom)[:, 0]
    flat = clipped = plateaus = 0.0
    if change.any():
        flat = float(longest_run(change).max()) / fs
        extreme = (signal > top - SAME) | (signal < bottom + SAME)
        held = change & extreme[:, 1:]
        clipped = float(longest_run(held).max()) / fs
        plateaus = float((held[:, 1:] & ~held[:, :-1]).sum(axis=1).max()) / (signal.shape[1] / fs)
    return {
        "missing": 0.0,
        "flat_s": flat,
        "clipped_s": clipped,
        "plateaus": plateaus,
        "span_low": float(span[_independent(leads, len(span))].min()),
        "span_high": float(span.max()),
        "offset": float(np.abs(signal.mean(axis=-1)).max()),
    }


def _independent(leads: tuple[str, ...], n: int) -> list[int]:
    """Rows of leads that are not sums of I and II; all ``n`` without names or without I and II."""
    if not {"I", "II"} <= set(leads):
        return list(range(n))
    return [i for i, lead in enumerate(leads) if lead not in LEAD_ALGEBRA]


def lead_residual(signal: NDArray[np.floating], leads: tuple[str, ...]) -> float | None:
    """Largest RMS residual in uV over the derived limb leads present, or None without I, II and one.

    Lead names are matched without regard to case.
    """
    rows = {lead.casefold(): i for i, lead in enumerate(leads)}
    if "i" not in rows or "ii" not in rows:
        return None
    one, two = signal[rows["i"]], signal[rows["ii"]]
    worst = None
    for lead, (from_one, from_two) in LEAD_ALGEBRA.items():
        row = rows.get(lead.casefold())
        if row is not None:
            residual = signal[row].astype(np.float64) - from_one * one - from_two * two
            rms = 1000.0 * float(np.sqrt(np.mean(residual**2)))
            worst = rms if worst is None else max(worst, rms)
    return worst


def derived(leads: tuple[str, ...]) -> tuple[str, ...]:
    """Those of ``leads`` that are sums of I and II."""
    known = {lead.casefold() for lead in LEAD_ALGEBRA}
    return tuple(lead for lead in leads if lead.casefold() in known)

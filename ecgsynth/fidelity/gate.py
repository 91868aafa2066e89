"""The first gate: whether a record is a plausible ECG of the rhythm it claims (tier 0 of the metrics).

The gate looks at the signal with its own R-peak detector and believes no annotation. Its bounds come
from real training people (:mod:`ecgsynth.fidelity.calibration`), not from a generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import remove_baseline
from ecgsynth.fidelity.calibration import Bound, Calibration, failures
from ecgsynth.fidelity.evidence import Evidence, log_odds
from ecgsynth.fidelity.integrity import integrity, lead_residual
from ecgsynth.fidelity.rhythm import agreement, rhythm_numbers
from ecgsynth.records import Episode, Record
from ecgsynth.rhythms import RHYTHMS

#: Largest RMS residual of a derived limb lead in uV (real PTB-XL: 0.5), rounding to 1 uV included.
LEAD_LIMIT_UV = 5.0
#: Shorter stretches than this are not judged for rhythm, in seconds.
MIN_EPISODE = 4.0
#: Shorter stretches than this are judged by rate only: irregularity and shape need more beats.
MIN_FULL = 5.0
#: Signal around an episode that the detector may run in on, in seconds.
RUN_IN = 1.0
#: Leads in which QRS and P wave are both clear; taken before others of about equal QRS energy.
GOOD_LEADS = ("II", "MLII", "I")


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one record.

    Attributes
    ----------
    passed : bool
    numbers : dict of str to float
        Every number that was measured; those of the second and later episodes end in ``@1``, ``@2``.
    reasons : tuple of str
        Why it failed, one sentence per check, each starting with the name of the check and a colon.
    """

    passed: bool
    numbers: dict[str, float]
    reasons: tuple[str, ...]


def check_record(record: Record, calibration: Calibration) -> Verdict:
    """Judge one record: integrity, lead algebra, and the rhythm of every episode of at least 4 s.

    Parameters
    ----------
    record : Record
        Any number of leads; its ``episodes`` say which rhythms it claims. Beats with source
        ``"detected"`` are not compared with the gate's detector, all others are.
    calibration : Calibration
        From :func:`ecgsynth.fidelity.calibration.load_calibration`.

    Examples
    --------
    >>> from ecgsynth.fidelity.calibration import Calibration
    >>> flat = Record("r", np.zeros((1, 2500), np.float32), 250.0, ("I",), "p", "made")
    >>> check_record(flat, Calibration("", {"flat_s": (0.0, 0.5)}, {})).reasons
    ('flat_s: 10 over 0.5',)
    """
    numbers = integrity(record.signal, record.fs, record.leads)
    if numbers["missing"] > 0:
        share = numbers["missing"]
        return Verdict(False, numbers, (f"missing: {share:.2%} of the samples are NaN or infinite",))
    reasons = _explain(numbers, calibration.integrity, "")
    residual = lead_residual(record.signal, record.leads)
    if residual is not None:
        numbers["lead_uv"] = residual
        reasons += _explain(numbers, {"lead_uv": (0.0, LEAD_LIMIT_UV)}, "")
    if not reasons:
        judged = [e for e in record.episodes if e.rhythm and e.stop - e.start >= MIN_EPISODE * record.fs]
        for k, episode in enumerate(judged):
            found = episode_numbers(record, episode, calibration.evidence)
            reasons += judge_episode(found, episode, record.fs, calibration)
            numbers.update({f"{name}@{k}" if k else name: value for name, value in found.items()})
    return Verdict(not reasons, numbers, tuple(reasons))


def judge_episode(
    numbers: Mapping[str, float], episode: Episode, fs: float, calibration: Calibration
) -> list[str]:
    """Reasons why an episode's numbers are not those of its rhythm; empty if they are."""
    rhythm = RHYTHMS[str(episode.rhythm)]
    seconds = (episode.stop - episode.start) / fs
    bounds = calibration.bounds(rhythm.name)
    if seconds < MIN_FULL:
        bounds = {name: bound for name, bound in bounds.items() if name in ("rate", "dominant_hz")}
    if rhythm.has_beats and "rate" not in numbers:
        fewest = bounds["rate"][0] * seconds / 60 if "rate" in bounds else 0.0
        if fewest >= 3.5 or numbers["beats"] == 0:
            return [f"beats: {numbers['beats']:.0f} detected in {seconds:.1f} s of {rhythm.name}"]
    return _explain(numbers, bounds, f" for {rhythm.name}")


def episode_numbers(record: Record, episode: Episode, model: Evidence | None = None) -> dict[str, float]:
    """What the signal of one episode shows, whatever its label; absent where it cannot be assessed."""
    from ecgsynth.rpeaks import detect_r_peaks

    fs = record.fs
    start = max(0, episode.start - round(RUN_IN * fs))
    stop = min(record.n_samples, episode.stop + round(RUN_IN * fs))
    part = record.signal[:, start:stop]
    lead = part[detection_lead(part, record.leads, fs)].astype(np.float64)
    peaks = np.asarray(detect_r_peaks(lead, fs), dtype=np.int64) + start - episode.start
    length = episode.stop - episode.start
    peaks = peaks[(peaks >= 0) & (peaks < length)]
    clean = remove_baseline(lead, fs)[episode.start - start : episode.stop - start]
    numbers = rhythm_numbers(clean, fs, peaks) | {"beats": float(len(peaks))}
    rhythm = RHYTHMS[str(episode.rhythm)]
    odds = None if model is None else log_odds(model, numbers, rhythm.name)
    if odds is not None:
        numbers["evidence"] = odds
    if rhythm.has_beats and record.beats is not None and record.beats.source != "detected":
        first, last = np.searchsorted(record.beats.samples, (episode.start, episode.stop))
        numbers |= agreement(record.beats.samples[first:last] - episode.start, peaks, fs, length)
    return numbers


def detection_lead(signal: NDArray[np.floating], leads: tuple[str, ...], fs: float) -> int:
    """Row of the lead to look for beats in: the one whose steep parts are strongest and sparsest.

    The strength is ``sqrt(mean(d^4)) / mean(|d|)`` with d the change over 16 ms: high QRS, quiet in between.
    A lead of `GOOD_LEADS` with at least 60 % of the best lead's strength is preferred.
    """
    if len(leads) == 1:
        return 0
    step = max(1, round(0.016 * fs))
    change = np.abs(signal[:, step:] - signal[:, :-step])
    square = change * change
    strength = np.sqrt((square * square).mean(axis=1)) / np.maximum(change.mean(axis=1), 1e-6)
    best = int(strength.argmax())
    for name in GOOD_LEADS:
        if name in leads and strength[leads.index(name)] >= 0.6 * strength[best]:
            return leads.index(name)
    return best


def _explain(numbers: Mapping[str, float], bounds: Mapping[str, Bound], where: str) -> list[str]:
    reasons = []
    for name in failures(numbers, bounds):
        low, high = bounds[name]
        value = numbers[name]
        side = f"over {high:.3g}" if value > high else f"under {low:.3g}"
        reasons.append(f"{name}: {value:.3g} {side}{where}")
    return reasons

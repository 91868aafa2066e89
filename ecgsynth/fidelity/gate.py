"""The first gate: whether a record is a plausible ECG of the rhythm it claims (tier 0 of the metrics).

The gate looks at the signal with its own R-peak detector and believes no annotation. Its bounds and trees
come from real training people (:mod:`ecgsynth.fidelity.calibration`), not from a generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecgsynth.fidelity.calibration import Bound, Calibration
from ecgsynth.fidelity.evidence import fault_odds_many, log_odds_many
from ecgsynth.fidelity.fault_net import add_strip_odds, mean_odds, strip_of
from ecgsynth.fidelity.faults import known_narrow, told
from ecgsynth.fidelity.gate_words import explain
from ecgsynth.fidelity.integrity import derived, integrity, lead_residual
from ecgsynth.fidelity.leads import rows_of_eight
from ecgsynth.fidelity.measures import Measured, measure
from ecgsynth.records import Episode, Record
from ecgsynth.rhythms import RHYTHMS

#: Largest RMS residual of a derived limb lead in uV (real PTB-XL: 0.5), rounding to 1 uV included.
LEAD_LIMIT_UV = 5.0
#: A residual that is nothing but rounding to 1 uV: the leads were not recorded but computed.
DERIVED_UV = 1.0
#: Shorter stretches than this are not judged for rhythm, in seconds.
MIN_EPISODE = 4.0
#: Shorter stretches than this are judged by rate only: irregularity and shape need more beats.
MIN_FULL = 5.0
#: In shorter stretches than this, log-odds are less certain: their limits are eased by `SLACK`.
SHORT, SLACK = 8.0, 0.5
#: Checks that say nothing where beats are known to be ectopic, paced or with bundle branch block.
WIDTHS = ("qrs_ms", "looks_wide_qrs", "looks_wide_qrs_12")
#: Longer stretches than this are judged in pieces of `PIECE` seconds, at most `MOST_PIECES`, evenly spread.
LONGEST, PIECE, MOST_PIECES = 15.0, 10.0, 6
#: Checks of short stretches.
_SHORT = ("rate_least", "rate_most", "dominant_hz")
#: Numbers that trees see and people do not need: the outline of the beat, bands, leads.
_DETAIL = ("at_", "joint_", "turn_", "arrow_", "band_", "net_", "r_", "s_", "p_I", "p_V", "t_I", "t_V",
           "span_I", "span_V", "like_", "split_", "alternate_", "repeat_", "rest_", "fit_", "slope_", "rr_2",
           "rr_7", "rr_m", "rr_t", "steady_", "jump_", "fast_", "qrs_h", "crest", "rise", "bend")  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one record.

    Attributes
    ----------
    passed : bool
    numbers : dict of str to float
        What was measured, and every number that has a bound; those of the second and later episodes end in
        ``@1``, ``@2``.
    reasons : tuple of str
        Why it failed, one sentence per check, each starting with the name of the check and a colon.
    notes : tuple of str
        What is worth knowing but no fault: which leads were derived.
    """

    passed: bool
    numbers: dict[str, float]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()


def check_record(record: Record, calibration: Calibration) -> Verdict:
    """Judge one record; see :func:`check_records`, which takes less time per record.

    Examples
    --------
    >>> from ecgsynth.fidelity.calibration import Calibration
    >>> flat = Record("r", np.zeros((1, 2500), np.float32), 250.0, ("I",), "p", "made")
    >>> check_record(flat, Calibration("", {"flat_s": (0.0, 0.5)}, {})).reasons[0]
    'flat_s: 10 over 0.5 (seconds without change)'
    """
    return check_records([record], calibration)[0]


def check_records(records: Sequence[Record], calibration: Calibration) -> list[Verdict]:
    """Judge records: integrity, lead algebra, and every episode of at least 4 s.

    An episode of over 15 s is judged by the medians over up to six pieces of 10 s.

    Parameters
    ----------
    records : sequence of Record
        Any number of leads, sampling rate and length; their ``episodes`` say which rhythms they claim. Beats
        with source ``"detected"`` are not compared with the gate's detectors, all others are.
    calibration : Calibration
        From :func:`ecgsynth.fidelity.calibration.load_calibration`.

    Returns
    -------
    list of Verdict
        The same as one by one.
    """
    verdicts = [_check_signal(record, calibration) for record in records]
    asked: list[_Asked] = []
    for i, (record, verdict) in enumerate(zip(records, verdicts, strict=True)):
        judged = [e for e in record.episodes if e.rhythm and e.stop - e.start >= MIN_EPISODE * record.fs]
        if verdict.passed:
            asked += [_Asked(i, k, record, episode, verdict.numbers) for k, episode in enumerate(judged)]
    for one, (found, seems) in zip(asked, _episode_numbers(asked, calibration), strict=True):
        before = verdicts[one.record_index]
        bounds = _bounds_of(one.record, one.episode, calibration)
        reasons = judge_episode(found, one.episode, one.record.fs, bounds, seems)
        shown = {name: v for name, v in found.items() if name in bounds or not name.startswith(_DETAIL)}
        named = {f"{name}@{one.number}" if one.number else name: value for name, value in shown.items()}
        verdicts[one.record_index] = replace(
            before,
            passed=before.passed and not reasons,
            numbers=before.numbers | named,
            reasons=before.reasons + tuple(reasons),
        )
    return verdicts


@dataclass(frozen=True)
class _Asked:
    """Episode ``number`` of a record, with the numbers of the whole record."""

    record_index: int
    number: int
    record: Record
    episode: Episode
    whole: Mapping[str, float]


def _check_signal(record: Record, calibration: Calibration) -> Verdict:
    """Whether it is a signal at all, and its limb leads add up."""
    numbers = integrity(record.signal, record.fs, record.leads)
    if numbers["missing"] > 0:
        share = numbers["missing"]
        return Verdict(False, numbers, (f"missing: {share:.2%} of the samples are NaN or infinite",))
    reasons = explain(numbers, calibration.integrity, "")
    notes: tuple[str, ...] = ()
    residual = lead_residual(record.signal, record.leads)
    if residual is not None:
        numbers["lead_uv"] = residual
        reasons += explain(numbers, {"lead_uv": (0.0, LEAD_LIMIT_UV)}, "")
        if residual <= DERIVED_UV:
            notes = (f"leads: {', '.join(derived(record.leads))} are sums of I and II",)
    return Verdict(not reasons, numbers, tuple(reasons), notes)


def judge_episode(
    numbers: Mapping[str, float], episode: Episode, fs: float, bounds: Mapping[str, Bound], seems: str = ""
) -> list[str]:
    """Reasons why an episode's numbers are not those of its rhythm; empty if they are.

    ``seems`` is the group of rhythms that it looks most like.
    """
    rhythm = RHYTHMS[str(episode.rhythm)]
    seconds = (episode.stop - episode.start) / fs
    if seconds < MIN_FULL:
        bounds = {name: bound for name, bound in bounds.items() if name in _SHORT}
    if rhythm.has_beats and "rate" not in numbers:
        fewest = bounds["rate_most"][0] * seconds / 60 if "rate_most" in bounds else 0.0
        if fewest >= 3.5 or numbers["beats"] == 0:
            return [f"beats: {numbers['beats']:.0f} detected in {seconds:.1f} s of {rhythm.name}"]
    return explain(numbers, bounds, f" for {rhythm.name}", seems)


def _bounds_of(record: Record, episode: Episode, calibration: Calibration) -> dict[str, Bound]:
    """Bounds for the episode: eased where it is short, without those that its beats make void."""
    bounds = dict(calibration.bounds(str(episode.rhythm)))
    if record.beats is not None and not known_narrow(record.beats):
        for name in WIDTHS:
            bounds.pop(name, None)
    if episode.stop - episode.start < SHORT * record.fs:
        return {name: _eased(name, bound) for name, bound in bounds.items()}
    return bounds


def _eased(name: str, bound: Bound) -> Bound:
    if name == "evidence":
        return bound[0] - SLACK, bound[1]
    return (bound[0], bound[1] + SLACK) if name.startswith("looks_") else bound


def pieces_of(start: int, stop: int, fs: float) -> list[tuple[int, int]]:
    """Parts ``[start, stop)`` in samples that an episode is measured on."""
    if stop - start <= LONGEST * fs:
        return [(start, stop)]
    length = round(PIECE * fs)
    count = min(MOST_PIECES, -(-(stop - start) // length))
    return [(int(at), int(at) + length) for at in np.linspace(start, stop - length, count)]


def _episode_numbers(asked: Sequence[_Asked], calibration: Calibration) -> list[tuple[dict[str, float], str]]:
    """What the signal of each episode shows, and the group of rhythms that it looks most like.

    Numbers are medians over the episode's pieces and absent where something cannot be assessed; the group is
    empty if the rhythm is not one of those told apart. The calibration's trees give ``evidence`` and
    ``looks_<fault>``, its networks add to the latter.
    """
    stretches: list[tuple[Record, int, int]] = []
    owner: list[int] = []
    for i, one in enumerate(asked):
        first, last = max(0, one.episode.start), min(one.record.n_samples, one.episode.stop)
        pieces = pieces_of(first, last, one.record.fs)
        stretches += [(one.record, *piece) for piece in pieces]
        owner += [i] * len(pieces)
    rows: list[list[dict[str, float]]] = [[] for _ in asked]
    tree_rows: list[tuple[Mapping[str, float], str, str]] = []
    looked: list[dict[str, float]] = []
    for i, stretch, found in zip(owner, stretches, measure(stretches), strict=True):
        numbers = _raw(asked[i]) | found.numbers
        rows[i].append(numbers | _agreement(asked[i], stretch, found))
        rhythm = str(asked[i].episode.rhythm)
        tree_rows.append((numbers, found.lead, rhythm))
        strip = strip_of(found.clean, found.marks)
        looked.append(mean_odds(calibration.strips, strip, rhythm, found.lead))
    seems: list[list[str]] = [[] for _ in asked]
    odds = log_odds_many(calibration.evidence, tree_rows)
    faults = fault_odds_many(calibration.faults, tree_rows)
    at = [0] * len(asked)
    for k, i in enumerate(owner):
        row = rows[i][at[i]]
        at[i] += 1
        if (known := odds[k]) is not None:
            row["evidence"] = known[0]
            seems[i].append(known[1])
        twelve, lead = rows_of_eight(stretches[k][0].leads) is not None, tree_rows[k][1]
        for name, value in add_strip_odds(faults[k], looked[k]).items():
            if told(name.removeprefix("looks_"), lead, twelve):
                row[f"{name}_12" if twelve else name] = value
    likeliest = [max(groups, key=groups.count) if groups else "" for groups in seems]
    return list(zip([_medians(own) for own in rows], likeliest, strict=True))


def _raw(one: _Asked) -> dict[str, float]:
    """Integrity of the episode, which is that of the record if it fills it."""
    first, last = max(0, one.episode.start), min(one.record.n_samples, one.episode.stop)
    whole = one.whole
    if (first, last) != (0, one.record.n_samples):
        whole = integrity(one.record.signal[:, first:last], one.record.fs, one.record.leads)
    return {name: value for name, value in whole.items() if name not in ("missing", "offset", "lead_uv")}


def _medians(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    if len(rows) == 1:
        return rows[0]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.median([row[name] for row in rows if name in row])) for name in names}


def _agreement(one: _Asked, stretch: tuple[Record, int, int], found: Measured) -> dict[str, float]:
    beats = one.record.beats
    if beats is None or beats.source == "detected" or not RHYTHMS[str(one.episode.rhythm)].has_beats:
        return {}
    _, start, stop = stretch
    first, last = np.searchsorted(beats.samples, (start, stop))
    return found.agreement(beats.samples[first:last] - start, one.record.fs, stop - start)

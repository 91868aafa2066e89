"""Tier 1, the set: as varied and as true to life as equally many records of other real people, or not.

Every metric is measured twice on equally many records: between one half of the real people and synthetic
records, and between that half and the other half of the real people, over several random halvings. The
second is what no generator can be asked to beat.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import OptionError
from ecgsynth.fidelity.halves import Halving, Outcome, People, draw_people, halvings, spread
from ecgsynth.fidelity.metrics import METRICS, Metric
from ecgsynth.fidelity.set_outcomes import judge_outcome, quick_outcomes, table_outcomes
from ecgsynth.fidelity.strip_numbers import StripNumbers, StripSet, measure_strips
from ecgsynth.fidelity.two_sample import feature_gaps

__all__ = [
    "METRICS",
    "MIN_PEOPLE",
    "Measured",
    "Metric",
    "SetComparison",
    "StripNumbers",
    "StripSet",
    "compare_numbers",
    "compare_sets",
    "measure_strips",
]

Array = NDArray[np.float64]
Progress = Callable[[str], None]

#: Fewest people on a side for a metric to be assessed: halves of four real people, of which the
#: interval can at least say that it is wide.
MIN_PEOPLE: Final = 8
#: Halvings of the real people for metrics that take milliseconds, for those that take tenths of a second,
#: and for the classifiers. Halves of `LARGE` records or more stray so little that a third of them will do.
QUICK, TABLE, SLOW = 12, 4, 3
LARGE: Final = 3000


@dataclass(frozen=True)
class Measured:
    """A metric of synthetic records beside the same of real ones.

    Attributes
    ----------
    value, low, high : float
        Half of the real people against synthetic records, mean over halvings, with a 95 % interval from
        resampling people of both sides. NaN where not assessable.
    real_value, real_low, real_high : float
        The same against the other half of the real people; the interval says how far two halves stray.
    assessable : bool
        False where there are too few people or nothing to measure: never to be read as passed.
    note : str
        Why not; empty where assessable.
    """

    value: float
    low: float
    high: float
    real_value: float
    real_low: float
    real_high: float
    assessable: bool
    note: str


@dataclass(frozen=True)
class SetComparison:
    """Outcome of `compare_sets`.

    Attributes
    ----------
    people_real, people_synthetic, records_real, records_synthetic : int
    compared : int
        Records on each side of every comparison.
    metrics : dict of str to Measured
        Keys as in `METRICS`.
    features : dict of str to (float64 array, float64 array)
        Of each real and each synthetic record, in the order of the sets; NaN where it cannot be measured.
        Keys as of `ecgsynth.fidelity.strip_numbers.feature_names`.
    rr : (float64 array, float64 array)
        RR intervals in seconds of all real and of all synthetic records.
    spectrum : (float64 array [bins], float64 array [3, bins], float64 array [3, bins])
        Hz; then 10, 50 and 90 % quantiles in dB over 1 mV^2/Hz of the real and of the synthetic records.
    lead_correlation : (leads, float64 array [leads, leads], float64 array [leads, leads]) or None
        Mean correlation matrices of the real and of the synthetic records; None for one lead.
    give_away : dict of str to float
        Features by how well each alone tells the sets apart (AUC, 0.5 to 1), largest first.
    """

    people_real: int
    people_synthetic: int
    records_real: int
    records_synthetic: int
    compared: int
    metrics: dict[str, Measured]
    features: dict[str, tuple[Array, Array]]
    rr: tuple[Array, Array]
    spectrum: tuple[Array, Array, Array]
    lead_correlation: tuple[tuple[str, ...], Array, Array] | None
    give_away: dict[str, float]


def compare_sets(
    real: StripSet,
    synthetic: StripSet,
    *,
    seed: int = 0,
    resamples: int = 200,
    progress: Progress | None = None,
    cnn: bool = False,
) -> SetComparison:
    """Compare synthetic with real records of one rhythm.

    Parameters
    ----------
    real, synthetic : StripSet
        Of the same leads in the same order, sampling rate and length.
    seed : int
        Of halvings, resamples and classifiers: same input and seed, same numbers.
    resamples : int
        Draws of people behind each interval; 0 leaves the intervals out.
    progress : callable, optional
        Called with one line of text now and then.
    cnn : bool
        Also train the convolutional judge, which takes minutes.

    Returns
    -------
    SetComparison

    Raises
    ------
    OptionError
        If the sets differ in leads, sampling rate or length, or are too short to embed.
    """
    check_alike(real, synthetic)
    numbers = measure_strips(real, "real", progress), measure_strips(synthetic, "synthetic", progress)
    signals = (real.signals[:, 0], synthetic.signals[:, 0]) if cnn else None
    return compare_numbers(
        *numbers, real.leads, seed=seed, resamples=resamples, progress=progress, signals=signals
    )


def check_alike(real: StripSet, synthetic: StripSet) -> None:
    """Raise OptionError unless the sets have the same leads, sampling rate and length."""
    pairs = {
        "leads": (", ".join(real.leads), ", ".join(synthetic.leads)),
        "sampling rate in Hz": (real.fs, synthetic.fs),
        "samples per record": (real.signals.shape[2], synthetic.signals.shape[2]),
    }
    for what, (found, other) in pairs.items():
        if found != other:
            raise OptionError(
                f"compare sets: {what}: real {found}, synthetic {other}; they must be the same. Resample, "
                "cut or pick common leads first."
            )


def compare_numbers(
    real: StripNumbers,
    synthetic: StripNumbers,
    leads: tuple[str, ...],
    *,
    seed: int = 0,
    resamples: int = 200,
    progress: Progress | None = None,
    signals: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> SetComparison:
    """`compare_sets` on what `measure_strips` has measured, to compare one real set with several others.

    ``signals``, one lead [records, samples] of each side, are for the convolutional judge, which is left out
    without them.
    """
    rng = np.random.default_rng(seed)
    few = _too_few(real, synthetic)
    size, names = 0, [name for name in METRICS if signals is not None or name != "auc_cnn"]
    if few:
        metrics = {name: _not_assessable(few) for name in names}
    else:
        halves = halvings(real.owner, synthetic.owner, QUICK, rng)
        size = len(halves[0].first)
        outcomes = _all_outcomes(real, synthetic, halves, signals, seed, progress)
        people = [draw_people(side.owner, resamples, rng) for side in (real, synthetic)]
        metrics = {
            name: _measured(METRICS[name], outcomes[name], halves, people, rng)
            for name in names
            if name in outcomes
        }
        metrics |= {
            name: _not_assessable(_NOTHING.get(name, "nothing to measure it on"))
            for name in names
            if name not in outcomes
        }
    quantiles = [np.quantile(side.spectrum, (0.1, 0.5, 0.9), axis=0) for side in (real, synthetic)]
    matrices = None
    if real.correlation is not None and synthetic.correlation is not None:
        matrices = (leads, real.correlation.mean(axis=0), synthetic.correlation.mean(axis=0))
    return SetComparison(
        real.people,
        synthetic.people,
        len(real.owner),
        len(synthetic.owner),
        size,
        {name: metrics[name] for name in names},
        {name: (real.table[:, i], synthetic.table[:, i]) for i, name in enumerate(real.names)},
        (real.rr, synthetic.rr),
        (real.hz, quantiles[0], quantiles[1]),
        matrices,
        feature_gaps(real.table, synthetic.table, real.names),
    )


_NOTHING: Final = {"lead_correlation": "one lead only"}


def _too_few(real: StripNumbers, synthetic: StripNumbers) -> str:
    for title, side in (("real", real), ("synthetic", synthetic)):
        if side.people < MIN_PEOPLE:
            people = "people" if title == "real" else "records of their own"
            return f"too few: {side.people} {title} {people}, at least {MIN_PEOPLE} are needed"
    return ""


def _not_assessable(note: str) -> Measured:
    return Measured(*(math.nan,) * 6, assessable=False, note=note)


Pairs = list[tuple[Outcome, Outcome]]


def _all_outcomes(
    real: StripNumbers,
    synthetic: StripNumbers,
    halves: list[Halving],
    signals: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    seed: int,
    progress: Progress | None,
) -> dict[str, Pairs]:
    """Per metric and halving: synthetic against half of the real people, and the other half against it."""
    found: dict[str, Pairs] = {}
    large = len(halves[0].first) >= LARGE
    quick, table, slow = (-(-times // 3) if large else times for times in (QUICK, TABLE, SLOW))
    for at, half in enumerate(halves[:quick]):
        if progress is not None:
            progress(f"comparing: halving {at + 1} of {quick}")
        first, others = real.take(half.first), (synthetic.take(half.synthetic), real.take(half.second))
        both = quick_outcomes(first, *others)
        for k, other in enumerate(others):
            if at < table:
                both[k].update(table_outcomes(first, other, seed + at))
            if at < slow:
                both[k]["auc"] = judge_outcome("boosting", first, other, seed + at)
            if at < slow and signals is not None:
                rows = signals[0][half.first], (signals[1][half.synthetic], signals[0][half.second])[k]
                both[k]["auc_cnn"] = judge_outcome("cnn", first, other, seed + at, rows)
        for name in [name for name in both[0] if name in both[1]]:
            if math.isfinite(both[0][name].value) and math.isfinite(both[1][name].value):
                found.setdefault(name, []).append((both[0][name], both[1][name]))
    return found


def _measured(
    metric: Metric, pairs: Pairs, halves: list[Halving], people: list[People], rng: np.random.Generator
) -> Measured:
    at = halves[: len(pairs)]
    value = spread(
        [pair[0] for pair in pairs],
        (people[0], people[1]),
        [(half.first, half.synthetic) for half in at],
        rng,
        single=False,
    )
    real = spread(
        [pair[1] for pair in pairs],
        (people[0], people[0]),
        [(half.first, half.second) for half in at],
        rng,
        single=True,
    )
    # a first-order interval may reach beyond what a metric can be
    ends = np.clip([value.low, value.high, real.low, real.high], metric.low, metric.high).tolist()
    return Measured(value.value, ends[0], ends[1], real.value, ends[2], ends[3], True, "")

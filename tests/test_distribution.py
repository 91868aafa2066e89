"""Sets of records compared: the contract, and that each kind of fault moves the numbers the right way."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import ecgsynth
from ecgsynth.errors import OptionError
from ecgsynth.fidelity import distribution, set_outcomes
from ecgsynth.fidelity.distribution import (
    METRICS,
    SetComparison,
    StripNumbers,
    StripSet,
    compare_numbers,
    compare_sets,
    measure_strips,
)

FS = 250.0


def strip_set(seed: int, n: int, title: str, rhythm: str = "nsr") -> StripSet:
    """Five-second strips; every two of them of one made-up person."""
    records = ecgsynth.load_generator("parametric").sample(rhythm=rhythm, n=n, seed=seed, seconds=5)
    signals = np.stack([record.signal[:1, :1250] for record in records])
    return StripSet(signals, FS, ("II",), tuple(f"{title}{i // 2}" for i in range(n)))


@pytest.fixture(scope="module")
def real() -> StripSet:
    return strip_set(0, 48, "r")


@pytest.fixture(scope="module")
def numbers(real: StripSet) -> StripNumbers:
    return measure_strips(real)


def run_classifiers(patch: pytest.MonkeyPatch, times: int) -> None:
    """What takes longest (sdmetrics, classifiers) runs on so many halvings."""
    patch.setattr(distribution, "TABLE", times)
    patch.setattr(distribution, "SLOW", times)


@pytest.fixture(autouse=True)
def no_classifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    run_classifiers(monkeypatch, 0)


@pytest.fixture(scope="module")
def alike(real: StripSet) -> SetComparison:
    with pytest.MonkeyPatch.context() as patch:
        run_classifiers(patch, 1)
        return compare_sets(real, strip_set(1, 40, "s"), seed=0, resamples=50)


def test_counts_are_of_people_and_of_records(alike: SetComparison) -> None:
    assert (alike.people_real, alike.people_synthetic) == (24, 20)
    assert (alike.records_real, alike.records_synthetic, alike.compared) == (48, 40, 24)


def test_every_metric_is_there_with_its_interval(alike: SetComparison) -> None:
    assert list(alike.metrics) == [name for name in METRICS if name != "auc_cnn"]
    for name, found in alike.metrics.items():
        if name == "lead_correlation":
            assert (found.assessable, found.note) == (False, "one lead only")
            assert math.isnan(found.value)
            continue
        assert found.assessable, name
        metric = METRICS[name]
        assert metric.low <= found.low <= found.value <= found.high <= metric.high, name
        assert metric.low <= found.real_low <= found.real_value <= found.real_high <= metric.high, name


def test_sets_of_one_making_are_not_told_apart(alike: SetComparison) -> None:
    found = alike.metrics
    assert found["kid"].low <= found["kid"].real_high
    assert found["coverage"].value > 0.75 * found["coverage"].real_value
    assert found["auc"].low < 0.65


def test_what_is_plotted_has_a_value_per_record(alike: SetComparison) -> None:
    rate = alike.features["rate"]
    assert (len(rate[0]), len(rate[1])) == (48, 40)
    assert 40 < np.nanmedian(rate[0]) < 120
    hz, first, second = alike.spectrum
    assert first.shape == second.shape == (3, len(hz))
    assert (np.diff(first, axis=0) >= 0).all()
    assert alike.lead_correlation is None
    assert len(alike.rr[0]) > 48
    values = list(alike.give_away.values())
    assert values == sorted(values, reverse=True)


def test_the_same_seed_gives_the_same_numbers(
    alike: SetComparison, numbers: StripNumbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_classifiers(monkeypatch, 1)
    other = measure_strips(strip_set(1, 40, "s"))
    again = compare_numbers(numbers, other, ("II",), seed=0, resamples=50)
    assert repr(again.metrics) == repr(alike.metrics)
    run_classifiers(monkeypatch, 0)
    another = compare_numbers(numbers, other, ("II",), seed=1, resamples=50)
    assert another.metrics["kid"] != again.metrics["kid"]


def faulty(fault: str) -> StripSet:
    good = strip_set(2, 40, "s")
    rng = np.random.default_rng(0)
    signals = {
        "noise": good.signals + rng.normal(0, 0.2, good.signals.shape),
        "inverted": -good.signals,
        "collapsed": good.signals[np.arange(40) % 2],
    }
    if fault == "afib":
        return strip_set(2, 40, "s", "afib")
    return replace(good, signals=signals[fault].astype(np.float32))


@pytest.mark.parametrize("fault", ["noise", "inverted", "collapsed", "afib"])
def test_faults_are_seen(numbers: StripNumbers, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_classifiers(monkeypatch, int(fault == "noise"))
    found = compare_numbers(numbers, measure_strips(faulty(fault)), ("II",), resamples=50).metrics
    assert found["kid"].low > max(0.0, found["kid"].real_value)
    if fault != "collapsed":
        # The simulator's f waves are small: half of 24 people are few to be sure by an interval.
        kid = found["kid"]
        assert (kid.value if fault == "afib" else kid.low) > kid.real_high
    assert found["coverage"].value < found["coverage"].real_value - 0.1
    if fault == "noise":
        assert found["auc"].value > 0.9
        assert found["column_shapes"].value < found["column_shapes"].real_value
        assert found["spectrum_db"].low > found["spectrum_db"].real_high
    if fault == "afib":
        assert found["rr_ks"].low > 0.1


def test_the_judge_of_the_signal_gets_the_signals(real: StripSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network takes minutes; in its place a judge that looks at the size of the signal alone."""
    seen: list[tuple[int, ...]] = []

    def by_size(train: np.ndarray, labels: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        seen.append(test.shape)
        return np.std(test, axis=1)

    monkeypatch.setitem(set_outcomes.JUDGES, "cnn", by_size)
    run_classifiers(monkeypatch, 1)
    louder = replace(real, signals=3 * real.signals, people=tuple(f"s{i}" for i in range(48)))
    found = compare_sets(real, louder, resamples=20, cnn=True).metrics["auc_cnn"]
    assert found.value > 0.85 > found.real_value
    assert {shape[1] for shape in seen} == {1250}


def test_too_few_people_are_never_assessed(real: StripSet, numbers: StripNumbers) -> None:
    few = measure_strips(StripSet(real.signals[:14], FS, real.leads, real.people[:14]))
    for pair, side in (((few, numbers), "real"), ((numbers, few), "synthetic")):
        found = compare_numbers(*pair, ("II",))
        assert not any(measured.assessable for measured in found.metrics.values())
        assert all(f"7 {side}" in measured.note for measured in found.metrics.values())
        assert found.features["rate"][0].size


def test_sets_that_do_not_match_are_refused(real: StripSet) -> None:
    for other, message in (
        (replace(real, fs=500.0), "sampling rate in Hz: real 250.0, synthetic 500.0"),
        (replace(real, leads=("I",)), "leads: real II, synthetic I"),
        (replace(real, signals=real.signals[:, :, :1000]), "samples per record: real 1250, synthetic 1000"),
    ):
        with pytest.raises(OptionError, match=message):
            compare_sets(real, other)
    with pytest.raises(OptionError, match="with 3 people and 1 leads"):
        StripSet(real.signals, FS, ("II",), ("a", "b", "c"))


def test_several_leads_are_compared_together(real: StripSet) -> None:
    rng = np.random.default_rng(0)
    names = ("I", "II", "V1", "V5")
    signals = np.repeat(real.signals[:20], 4, axis=1) + rng.normal(0, 0.05, (20, 4, 1250))
    several = StripSet(signals.astype(np.float32), FS, names, tuple(f"p{i}" for i in range(20)))
    turned = replace(several, signals=several.signals * np.float32([1, 1, 1, -1])[None, :, None])
    messages: list[str] = []
    found = compare_sets(several, turned, resamples=20, progress=messages.append)
    assert "real: embedded 20 of 20" in messages
    assert found.lead_correlation is not None
    leads, first, second = found.lead_correlation
    assert leads == names
    assert first[0, 3] > 0.5 > second[0, 3]
    assert found.metrics["lead_correlation"].low > 0.5
    assert {"rate", "r_height", "V1 r_height", "V5 r_height"} <= set(found.features)
    assert "V1 rate" not in found.features


def test_the_table_of_metrics_explains_itself() -> None:
    for name, metric in METRICS.items():
        assert metric.goal in ("low", "high", "half"), name
        assert metric.low < metric.high
        assert metric.meaning.endswith((".", "?")) and len(metric.meaning) < 220
        assert metric.title and metric.source

"""The pieces of the report: common ground, samples, rates, verdicts."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

import ecgsynth
from ecgsynth.errors import OptionError
from ecgsynth.fidelity.calibration import load_calibration
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS, Record
from ecgsynth.report.ground import Ground, find_ground
from ecgsynth.report.leads import FAMILY, common_leads, parse_leads, standard_leads
from ecgsynth.report.sample import Sample, same_mix
from ecgsynth.report.strips import Examiner, Strip, on_ground, place_in_line
from ecgsynth.report.survey import Entry, unit_note
from ecgsynth.report.tally import Rate, Tally, difference, wilson
from ecgsynth.report.verdicts import Criterion, decide, judge_auc, judge_coverage, judge_gate

GROUND = Ground("nsr", ("II",), False, {}, 250.0, 100.0, 10.0, ())


def entry(subject: str, **changes: object) -> Entry:
    plain = {"fs": 250.0, "bandwidth": 125.0, "leads": ("II",), "seconds": 10.0, "span": 2.0}
    return Entry(subject=subject, **({**plain, "longest": {"nsr": 10.0}} | changes))  # type: ignore[arg-type]


def strip(subject: str, place: int, lead: str = "") -> Strip:
    return Strip("nsr", f"r{place}", subject, lead, 0.0, place, True, np.zeros((1, 4), np.float32))


def measured(value: float, low: float, high: float, real: float, spread: float = 0.1, ok: bool = True):  # type: ignore[no-untyped-def]
    return SimpleNamespace(
        value=value,
        low=low,
        high=high,
        real_value=real,
        real_low=real - spread,
        real_high=real + spread,
        assessable=ok,
        note="" if ok else "too few",
    )


# ----------------------------------------------------------------------------- examining


@pytest.mark.parametrize("side", ["real", "synthetic"])
def test_records_examined_together_are_as_alone(side: str) -> None:
    draw = ecgsynth.load_generator("parametric").sample
    records = [r for n, s in ((2, 10.0), (1, 40.0)) for r in draw("nsr", n=n, seconds=s, leads=("II",))]
    records[1].signal[:, 300:1300] = 0.0
    examiner = Examiner(side, {"nsr": GROUND}, load_calibration(), 3, 0)  # type: ignore[arg-type]
    together = examiner([*records, draw("afib", n=1)[0]])
    for record, examined in zip(records, together, strict=False):
        (alone,) = examiner([record])
        assert examined.gate == alone.gate and examined.faulty == alone.faulty
        assert [s.place for s in examined.strips] == [s.place for s in alone.strips]
    assert [len(e.gate) for e in together] == ([1, 0, 3, 0] if side == "real" else [1, 1, 3, 1])
    assert any(s.passed for s in together[0].strips) and not any(s.passed for s in together[1].strips)


# ----------------------------------------------------------------------------- leads


def test_leads_without_a_place_are_one_and_keep_their_number() -> None:
    assert standard_leads(("ECG1", "ch0", "avr", "II")) == ("ECG", "ECG#1", "aVR", "II")
    assert standard_leads(("Lead 1", "ECG lead avf", "lead_ii", "ECG V1")) == ("ECG", "aVF", "II", "V1")


@pytest.mark.parametrize(
    ("real", "synthetic", "expected"),
    [
        (TWELVE_LEADS, TWELVE_LEADS, (INDEPENDENT_LEADS, False, {})),
        (TWELVE_LEADS, ("II",), (("II",), False, {})),
        (("MLII", "V1"), ("II",), (("II",), False, FAMILY)),
        (("ECG", "ECG#1"), ("I",), (("I",), False, FAMILY | {"ECG": "I"})),
        (("ECG",), ("MLII", "V1"), (("II",), False, FAMILY | {"ECG": "II"})),
        (TWELVE_LEADS, ("ECG",), (("II",), False, FAMILY | {"ECG": "II"})),
        (("ECG",), ("ECG",), (("ECG",), False, {})),
        (("I",), ("V5",), None),
    ],
)
def test_common_leads(real: tuple[str, ...], synthetic: tuple[str, ...], expected: object) -> None:
    assert common_leads([[("p", real)], [("s", synthetic)]], None) == expected


def test_leads_that_few_have_are_pooled() -> None:
    side = [(f"p{i}", ("I",) if i % 2 else ("II",)) for i in range(10)]
    assert common_leads([side, side], None) == (("I", "II"), True, {})


def test_asked_leads_must_be_there() -> None:
    sides = [[("p", TWELVE_LEADS)], [("s", TWELVE_LEADS)]]
    assert common_leads(sides, ("V1", "II")) == (("V1", "II"), False, {})
    assert common_leads(sides, ("V9",)) is None
    unnamed = [[("p", TWELVE_LEADS)], [("s", ("ECG",))]]
    assert common_leads(unnamed, ("V5",)) == (("V5",), False, FAMILY | {"ECG": "V5"})
    assert common_leads(unnamed, ("V5", "V6")) is None
    assert parse_leads("12") == TWELVE_LEADS
    with pytest.raises(OptionError, match="names no lead"):
        parse_leads(" , ")


# ----------------------------------------------------------------------------- common ground


def test_ground_takes_the_lower_rate_and_the_narrower_band() -> None:
    real = [entry(f"p{i}", fs=500.0, bandwidth=250.0) for i in range(20)]
    ground = find_ground("nsr", real, [entry("s", fs=100.0, bandwidth=50.0)], None)
    assert isinstance(ground, Ground)
    assert (ground.fs, ground.bandwidth, ground.seconds, ground.leads) == (100.0, 45.0, 10.0, ("II",))
    assert any("Resampled to 100 Hz" in line for line in ground.said)


def test_short_episodes_of_most_people_make_short_strips() -> None:
    real = [entry(f"p{i}", longest={"nsr": 5.5 if i else 60.0}) for i in range(20)]
    ground = find_ground("nsr", real, [entry("s")], None)
    assert isinstance(ground, Ground)
    assert ground.seconds == 5.0


@pytest.mark.parametrize(
    ("real", "synthetic", "words"),
    [
        ([entry("p", longest={"afib": 10.0})], [entry("s")], "only in the synthetic folder"),
        ([entry("p")], [entry("s", longest={})], "only in the real folder"),
        ([entry("p", longest={"nsr": 3.0})], [entry("s")], "at least 5 s"),
        ([entry("p", fs=50.0)], [entry("s")], "50 Hz"),
        ([entry("p", leads=("V5",))], [entry("s")], "no leads in common"),
    ],
)
def test_no_common_ground_says_why(real: list[Entry], synthetic: list[Entry], words: str) -> None:
    why = find_ground("nsr", real, synthetic, None)
    assert isinstance(why, str)
    assert words in why


def test_a_strip_lands_on_common_ground() -> None:
    t = np.arange(5000) / 500.0
    slow, fast = np.sin(2 * np.pi * 5 * t), np.sin(2 * np.pi * 120 * t)
    record = Record("r", (0.7 + slow + fast)[None].astype(np.float32), 500.0, ("II",), "p", "x")
    signal = on_ground(record, GROUND)
    assert signal is not None
    assert signal.shape == (1, 2500)
    assert np.median(signal) == pytest.approx(0, abs=1e-3)
    middle = slice(250, -250)
    assert np.abs(signal[0] - slow[::2])[middle].max() < 0.03  # 120 Hz and the offset are gone, 5 Hz is not
    record.signal[0, 7] = np.nan
    assert on_ground(record, GROUND) is None


def test_sizes_no_heart_has_are_said() -> None:
    assert unit_note([entry("p")]) is None
    note = unit_note([entry("p"), entry("q", span=900.0), entry("r", span=0.001)])
    assert note is not None
    assert "1 of 3 records swing over 50 mV" in note
    assert "1 of 3 records swing under 0.02 mV" in note


# ----------------------------------------------------------------------------- samples


def test_a_sample_is_bounded_by_person_and_in_all_whatever_the_order() -> None:
    strips = [strip(f"p{i % 7}", place_in_line(0, i)) for i in range(500)]
    drawn = []
    for order in (strips, strips[::-1]):
        sample = Sample(most=12, per_person=3)
        for one in order:
            sample.add(one)
        drawn.append([s.place for s in sample.strips()])
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 12
    assert max(Counter(s.subject for s in strips if s.place in drawn[0]).values()) <= 3


def test_pooled_leads_get_the_same_shares() -> None:
    pooled = Ground("nsr", ("I", "II"), True, {}, 250.0, 100.0, 10.0, ())
    real = [strip(f"a{i}", i, "I" if i < 30 else "II") for i in range(40)]
    synthetic = [strip(f"b{i}", i, "I" if i < 10 else "II") for i in range(40)]
    shares = [Counter(s.lead for s in side) for side in same_mix(pooled, real, synthetic)]
    assert shares[0]["I"] / shares[0].total() == pytest.approx(shares[1]["I"] / shares[1].total(), abs=0.05)
    assert min(side.total() for side in shares) >= 15


# ----------------------------------------------------------------------------- rates and verdicts


def test_intervals_are_those_of_the_papers() -> None:
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, p. 861
    rates = [Rate(x / n, *wilson(x / n, n)) for x, n in ((56, 70), (48, 80))]
    gap = difference(*rates)  # Newcombe 1998, table II, method 10
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_records_of_one_person_count_less_than_records_of_many() -> None:
    alike, mixed = Tally(), Tally()
    for i in range(40):
        alike.add(f"p{i // 4}", i // 4 % 5 != 0, ())  # whole people fail
        mixed.add(f"p{i // 4}", i % 5 != 0, ("rate: 9 under 40",) if i % 5 == 0 else ())
    assert alike.passed == mixed.passed
    assert alike.worth() == pytest.approx(10, abs=1.5)
    assert mixed.worth() == 40
    assert dict(mixed.reasons) == {"rate": 8}


ALL, MOST, FEW = Rate(1.0, 0.98, 1.0), Rate(0.97, 0.94, 0.985), Rate(0.7, 0.6, 0.78)


@pytest.mark.parametrize(
    ("own", "real", "outcome"),
    [(ALL, MOST, "met"), (FEW, MOST, "missed"), (Rate(0.93, 0.8, 0.98), MOST, "unclear")],
)
def test_the_gate_is_judged_beside_the_real_rate(own: Rate, real: Rate, outcome: str) -> None:
    found = judge_gate(own, real, "real strips")
    assert (found.outcome, found.fails) == (outcome, outcome == "missed")
    assert judge_gate(own, None, "").outcome == "unclear"
    assert judge_gate(None, real, "real strips").outcome == "unclear"


@pytest.mark.parametrize(
    ("values", "outcome", "fails"),
    [
        ((0.53, 0.47, 0.6, 0.5), "met", False),
        ((0.92, 0.9, 0.95, 0.5), "missed", False),
        ((0.6, 0.4, 0.8, 0.5), "unclear", False),  # the interval reaches a large effect
        ((0.7, 0.45, 0.9, 0.5), "unclear", False),  # and here it reaches no effect
        ((0.2, 0.1, 0.3, 0.5), "missed", True),  # copies
        ((0.2, 0.1, 0.4, 0.4), "unclear", False),  # as of copies, but so few real people are as low
        ((0.3, 0.2, 0.5, 0.4), "met", False),  # few people: real against real is as low
    ],
)
def test_the_auc_is_judged_beside_real_against_real(
    values: tuple[float, float, float, float], outcome: str, fails: bool
) -> None:
    found = judge_auc(measured(*values))
    assert (found.outcome, found.fails) == (outcome, fails)


def test_coverage_is_judged_beside_real_against_real() -> None:
    assert judge_coverage(measured(0.87, 0.8, 0.9, 0.95)).outcome == "met"
    missed, failed = (
        judge_coverage(measured(0.5, 0.4, 0.6, 0.95)),
        judge_coverage(measured(0.4, 0.3, 0.6, 0.95)),
    )
    assert (missed.outcome, missed.fails) == ("missed", False)
    assert (failed.outcome, failed.fails) == ("missed", True)
    assert judge_coverage(measured(0.8, 0.6, 0.9, 0.95)).outcome == "unclear"
    assert judge_coverage(measured(0.9, 0.9, 0.9, 0.0)).outcome == "unclear"


def test_what_cannot_be_assessed_is_never_a_pass() -> None:
    for judge in (judge_auc, judge_coverage):
        assert judge(None).outcome == "unclear"
        assert judge(measured(0.5, 0.5, 0.5, 0.5, ok=False)).outcome == "unclear"
    good, open_, bad = (Criterion("gate", o, o) for o in ("met", "unclear", "missed"))  # type: ignore[arg-type]
    assert decide([good, good])[0] == "looks real"
    assert decide([good, open_])[0] == "not assessable"
    assert decide([open_, bad]) == ("distinguishable", ("missed", "unclear"))
    assert decide([bad, Criterion("gate", "missed", "worst", fails=True)])[1][0] == "worst"

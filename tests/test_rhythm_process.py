"""What plans must show: each rhythm its own statistics, and requests met exactly."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ecgsynth.errors import OptionError
from ecgsynth.generators.plan import PLAN_FS, Plan, Request
from ecgsynth.generators.rhythm_process import draw_plan, fitted
from ecgsynth.generators.rr_basics import bent
from ecgsynth.rhythms import RHYTHMS

BEATING = [name for name, rhythm in RHYTHMS.items() if rhythm.has_beats]
WAVING = ["afib", "aflutter", "vf", "vflutter"]


def plan(script: str, seed: int = 0, **wish: object) -> Plan:
    """Plan of a script such as ``nsr:30,afib:60``."""
    parts = tuple((name, float(seconds)) for name, seconds in (p.split(":") for p in script.split(",")))
    options = {"leads": ("II",), "source": "ptbxl"} | wish
    return draw_plan(Request(script=parts, **options), np.random.default_rng(seed))


def inside(p: Plan, low: float = 0.0, high: float | None = None) -> np.ndarray:
    high = p.request.seconds if high is None else high
    return p.beat_times[(p.beat_times >= low) & (p.beat_times < high)]


def rate(times: np.ndarray) -> float:
    return float(60.0 / np.diff(times).mean())


def nrmssd(times: np.ndarray) -> float:
    rr = np.diff(times)
    return float(np.sqrt(np.mean(np.diff(rr) ** 2)) / rr.mean())


def lag_one(times: np.ndarray) -> float:
    rr = np.diff(times)
    return float(np.corrcoef(rr[:-1], rr[1:])[0, 1])


def typical_rate(name: str) -> float:
    low, high = RHYTHMS[name].rate
    return float(np.clip(np.sqrt(low * high), low, high))


def test_the_table_has_every_rhythm_with_people_and_source() -> None:
    table = fitted()["rhythms"]
    assert set(table) == set(RHYTHMS)
    for name, entry in table.items():
        assert entry["people"] >= 0 and entry["source"], name
        if entry["people"] < 5 and name not in ("vf", "vflutter"):
            assert "fitted to" not in entry["source"], name


@pytest.mark.parametrize("name", RHYTHMS)
def test_plan_is_well_formed(name: str) -> None:
    for seed in range(8):
        p = plan(f"{name}:10", seed)
        assert p.n_samples == 10 * PLAN_FS
        assert [(e.start, e.stop, e.rhythm) for e in p.episodes] == [(0, p.n_samples, name)]
        assert p.osc_phase.shape == p.osc_amplitude.shape == (p.n_samples,)
        assert p.osc_phase.dtype == p.osc_amplitude.dtype == np.float32
        assert len(p.symbols) == len(p.beat_times)
        assert set(p.symbols) <= set("NLRaAJSVFejE/fQ")
        assert (np.diff(p.beat_times) > 0.15).all()
        assert (len(p.beat_times) > 0) == RHYTHMS[name].has_beats
        assert p.osc_amplitude.any() == (name in WAVING)
        if RHYTHMS[name].has_beats:
            assert -2.0 <= p.beat_times[0] < 2.5 and 8.0 < p.beat_times[-1] < 12.0


@pytest.mark.parametrize("name", RHYTHMS)
def test_equal_states_give_equal_plans(name: str) -> None:
    one, two, other = plan(f"{name}:10", 3), plan(f"{name}:10", 3), plan(f"{name}:10", 4)
    for attribute in ("beat_times", "p_times", "osc_phase", "osc_amplitude"):
        np.testing.assert_array_equal(getattr(one, attribute), getattr(two, attribute))
    assert one.symbols == two.symbols
    assert not (
        np.array_equal(one.beat_times, other.beat_times) and np.array_equal(one.osc_phase, other.osc_phase)
    )


@pytest.mark.parametrize("name", BEATING)
def test_unasked_rates_and_irregularity_are_plausible(name: str) -> None:
    plans = [plan(f"{name}:30", seed, ectopy=0.0) for seed in range(40)]
    low, high = RHYTHMS[name].rate
    rates = [rate(inside(p)) for p in plans]
    assert all(low <= r <= high for r in rates)
    assert np.std(np.log(rates)) > 0.04  # people differ
    low, high = RHYTHMS[name].irregular
    within = [low <= nrmssd(inside(p)) <= high for p in plans]
    assert np.mean(within) > 0.9


@pytest.mark.parametrize("name", BEATING)
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_heart_rate_is_met(name: str, place: float) -> None:
    low, high = RHYTHMS[name].rate
    wanted = low + place * (high - low)
    plans = [plan(f"{name}:20", seed, heart_rate=wanted) for seed in range(20)]
    errors = [abs(rate(inside(p)) - wanted) for p in plans]
    assert np.mean(errors) < 0.5
    assert np.mean([e < 2.0 for e in errors]) >= 0.9


def test_heart_rate_is_met_in_every_episode() -> None:
    for seed in range(20):
        p = plan("nsr:20,afib:20,aflutter:20", seed, heart_rate=80.0, ectopy=0.0)
        for low in (0, 20, 40):
            assert abs(rate(inside(p, low, low + 20)) - 80.0) < 2.0


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("name", ["nsr", "afib", "paced"])
def test_ectopy_is_met_with_coupling_and_pause(name: str, share: float) -> None:
    plans = [plan(f"{name}:30", seed, ectopy=share, heart_rate=75.0) for seed in range(30)]
    counts = [[s for s, t in zip(p.symbols, p.beat_times, strict=True) if 0 <= t < 30] for p in plans]
    found = sum(c.count("V") for c in counts) / sum(map(len, counts))
    assert found == pytest.approx(share, abs=0.02 + 0.05 * share)
    before, after = [], []
    for p in plans:
        assert all(pair != ("V", "V") for pair in pairwise(p.symbols))
        v = [i for i, s in enumerate(p.symbols) if s == "V"]
        before += list(p.beat_times[v] - p.beat_times[np.array(v) - 1])
        after += [p.beat_times[i + 1] - p.beat_times[i] for i in v]
    assert np.median(before) < 0.75 * np.median(after)


def test_no_ectopy_when_none_is_asked_for_and_none_in_patterns_of_their_own() -> None:
    assert "V" not in plan("nsr:600", ectopy=0.0).symbols
    bigeminy = plan("bigeminy:60", ectopy=0.5)
    assert bigeminy.symbols.count("V") == pytest.approx(len(bigeminy.symbols) / 2, abs=1)


def test_tachycardia_of_ningbo_has_the_atrial_ectopy_of_its_people() -> None:
    # 11 of its 15 training and validation people have early beats, 6 to 29 % of their beats (10-90 %).
    plans = [plan("sinus_tachycardia:10", seed, source="ningbo") for seed in range(200)]
    shown = [[s for s, t in zip(p.symbols, p.beat_times, strict=True) if 0 <= t < 10] for p in plans]
    having = [c for c in shown if "A" in c]
    assert 0.45 < len(having) / len(plans) < 0.85
    assert 0.08 < np.median([c.count("A") / len(c) for c in having]) < 0.2
    ptbxl = [plan("sinus_tachycardia:10", seed).symbols for seed in range(200)]
    assert np.mean(["A" in symbols for symbols in ptbxl]) < 0.05


def test_an_atrial_beat_is_early_and_resets_the_sinus_node() -> None:
    before, after = [], []
    for seed in range(60):
        p = plan("sinus_tachycardia:30", seed, source="ningbo", heart_rate=110.0)
        assert 60.0 / np.diff(inside(p)).mean() == pytest.approx(110.0, abs=2.0)
        assert p.symbols == plan("sinus_tachycardia:30", seed, source="ningbo", heart_rate=110.0).symbols
        rr = np.diff(p.beat_times) / np.median(np.diff(p.beat_times))
        lone = [i for i in range(2, len(rr)) if "".join(p.symbols[i - 2 : i + 2]) == "NNAN"]
        before += list(rr[np.array(lone, int) - 1])
        after += list(rr[lone])
        for kind, time in zip(p.symbols, p.beat_times, strict=True):
            if kind == "A":
                assert any(0.05 < time - t < 0.25 for t in p.p_times)
    assert len(before) > 100
    assert 0.6 < np.median(before) < 0.78
    assert 1.0 < np.median(after) < 1.3
    assert np.median(np.add(before, after)) < 1.95


def test_tapes_of_mitdb_jitter_and_the_rate_asked_for_stays() -> None:
    calm = {}
    for source in ("mitdb", "ptbxl"):
        plans = [plan("nsr:10", seed, source=source, ectopy=0.0, heart_rate=70.0) for seed in range(80)]
        assert all(abs(rate(inside(p)) - 70.0) < 0.5 for p in plans)
        calm[source] = float(np.quantile([nrmssd(inside(p)) for p in plans], 0.1))
    # Training people at all rates: 0.022 on mitdb, 0.013 on PTB-XL.
    assert 0.014 < calm["mitdb"] < 0.027
    assert calm["ptbxl"] < 0.8 * calm["mitdb"]


def test_the_ectopy_asked_for_is_ventricular_alone() -> None:
    for seed in range(30):
        symbols = plan("sinus_tachycardia:10", seed, source="ningbo", ectopy=0.1).symbols
        assert "A" not in symbols and "V" in symbols


def test_people_with_ectopy_are_few() -> None:
    having = np.mean(["V" in plan("nsr:60", seed).symbols for seed in range(200)])
    assert 0.01 < having < 0.25


def test_af_is_irregular_uncorrelated_and_skewed() -> None:
    plans = [plan("afib:120", seed, ectopy=0.0) for seed in range(40)]
    assert np.mean([nrmssd(inside(p)) > 0.1 for p in plans]) > 0.9
    assert abs(np.mean([lag_one(inside(p)) for p in plans])) < 0.15
    skew = []
    for p in plans:
        rr = np.diff(inside(p))
        skew.append(np.mean((rr - rr.mean()) ** 3) / rr.std() ** 3)
    assert np.median(skew) > 0.3
    assert all(len(p.p_times) == 0 for p in plans)


def test_sinus_is_more_regular_and_correlated_than_af() -> None:
    sinus = [inside(plan("nsr:120", seed, ectopy=0.0)) for seed in range(40)]
    assert np.median([nrmssd(t) for t in sinus]) < 0.06
    assert np.median([lag_one(t) for t in sinus]) > 0.2


def test_sinus_arrhythmia_follows_breathing() -> None:
    """Most of the RR spectrum lies at breathing rates, 0.14-0.42 Hz, as it does not in drift alone."""
    shares = []
    for seed in range(20):
        t = inside(plan("sinus_arrhythmia:180", seed, ectopy=0.0))
        grid = np.arange(t[1], t[-1], 0.25)
        rr = np.interp(grid, t[1:], np.diff(t))
        power = np.abs(np.fft.rfft((rr - rr.mean()) * np.hanning(len(rr)))) ** 2
        hz = np.fft.rfftfreq(len(rr), 0.25)
        shares.append(power[(hz > 0.13) & (hz < 0.45)].sum() / power[(hz > 0.01) & (hz < 0.5)].sum())
    assert np.median(shares) > 0.5


def test_a_bend_makes_intervals_skew_and_leaves_their_spread() -> None:
    relative = 0.1 * np.random.default_rng(0).standard_normal(20000)
    for bend in (-0.5, 0.0, 0.3):
        made = bent(relative, 0.1, bend)
        assert made.std() == pytest.approx(0.1, rel=0.1)
        skew = np.mean(((made - made.mean()) / made.std()) ** 3)
        assert skew == pytest.approx(3 * bend, rel=0.4, abs=0.1)
    assert np.array_equal(bent(relative, 0.1, 0.0), relative)


def test_people_of_a_source_vary_as_people_there_do() -> None:
    def roughness(source: str) -> float:
        """Median over people of how much of what RR varies by changes from beat to beat."""
        strips = [inside(plan("nsr:10", seed, source=source, ectopy=0.0)) for seed in range(150)]
        return float(np.median([nrmssd(x) / (np.diff(x).std() / np.diff(x).mean()) for x in strips]))

    # mitdb's labels jitter around the peaks, which handheld recordings with detected beats do not.
    assert 0.9 < roughness("cinc2017") < 0.92 * roughness("mitdb") < 1.3
    assert set(fitted()["rhythms"]["nsr"]["by_source"]) >= {"ptbxl", "cinc2017", "mitdb"}


def test_age_steadies_the_sinus_node() -> None:
    def spread(age: float) -> float:
        return float(np.median([nrmssd(inside(plan("nsr:60", s, age=age, ectopy=0.0))) for s in range(60)]))

    assert spread(25.0) > 1.15 * spread(85.0)


@pytest.mark.parametrize(("name", "every", "symbol"), [
    ("bigeminy", 2, "V"), ("trigeminy", 3, "V"), ("atrial_bigeminy", 2, "A"),
])  # fmt: skip
def test_premature_patterns(name: str, every: int, symbol: str) -> None:
    for seed in range(20):
        p = plan(f"{name}:30", seed)
        early = [i for i, s in enumerate(p.symbols) if s == symbol]
        assert set(np.diff(early)) == {every}
        assert set(p.symbols) == {"N", symbol}
        rr = np.diff(p.beat_times)
        coupling = rr[[i - 1 for i in early if 0 < i < len(rr)]]
        pause = rr[[i for i in early if 0 < i < len(rr)]]
        assert (coupling < pause).mean() > 0.95
        assert coupling.std() / coupling.mean() < 0.25


def test_ventricular_bigeminy_keeps_the_sinus_clock_and_atrial_bigeminy_resets_it() -> None:
    def pause_excess(name: str) -> float:
        """Pause less coupling over their sum: larger where the pause makes up for the early beat."""
        out = []
        for seed in range(40):
            p = plan(f"{name}:30", seed)
            rr = np.diff(p.beat_times)
            v = [i for i, s in enumerate(p.symbols) if s != "N" and 0 < i < len(rr)]
            coupling, pause = rr[np.array(v) - 1], rr[v]
            out.append(float(np.mean(pause / (coupling + pause))))
        return float(np.median(out))

    assert pause_excess("bigeminy") > 0.58
    assert 0.55 < pause_excess("atrial_bigeminy") < 0.75


def test_flutter_beats_come_at_whole_multiples_of_the_atrial_cycle() -> None:
    for seed in range(20):
        p = plan("aflutter:30", seed, ectopy=0.0)
        t = inside(p)
        phase = np.interp(t, np.arange(p.n_samples) / PLAN_FS, p.osc_phase)
        waves = np.diff(phase)
        # The node takes a little more or less time for each beat: hundredths of a second, not a wave.
        off = np.abs(waves - np.round(waves))
        assert off.max() < 0.3 and np.median(off) < 0.1
        assert np.round(waves).min() >= 1
        cycles = float(p.osc_phase[-1] - p.osc_phase[0]) / 30 * 60
        assert 200 <= cycles <= 350


@pytest.mark.parametrize("wanted", [40.0, 75.0, 110.0, 150.0, 190.0, 300.0])
def test_flutter_keeps_its_atrial_rate_at_any_ventricular_rate(wanted: float) -> None:
    for seed in range(10):
        p = plan("aflutter:30", seed, heart_rate=wanted, ectopy=0.0)
        atrial = float(p.osc_phase[-1] - p.osc_phase[0]) * 2
        assert 195 <= atrial <= 355


@pytest.mark.parametrize(("name", "low", "high"), [("afib", 4, 9), ("vf", 2.5, 7.5), ("vflutter", 2.5, 5.2)])
def test_oscillations_have_their_frequency_and_people_differ(name: str, low: float, high: float) -> None:
    means, wander = [], []
    for seed in range(40):
        p = plan(f"{name}:20", seed)
        hz = np.diff(p.osc_phase) * PLAN_FS
        # Fibrillation's phase may slip for a moment where the wave all but vanishes.
        assert (hz > 0).mean() > (0.999 if name == "vflutter" else 0.93)
        means.append(float(hz.mean()))
        wander.append(float(hz.std()))
        mean = 0.71 if name == "afib" else 1.0
        assert p.osc_amplitude.mean() == pytest.approx(mean, abs=0.15 if name == "afib" else 0.01)
        assert (p.osc_amplitude > 0).all()
    assert np.mean([low <= m <= high for m in means]) > 0.95
    assert np.std(means) > 0.1 and np.mean(wander) > 0.02


def test_wenckebach_pr_grows_until_a_p_wave_is_dropped() -> None:
    growing = dropped = 0
    for seed in range(60):
        p = plan("avb2:30", seed, ectopy=0.0)
        pr = np.array([b - p.p_times[p.p_times < b].max() for b in p.beat_times[2:]])
        lone = len(p.p_times) - len(p.beat_times)
        dropped += lone > 0
        steps = np.diff(pr)
        # Mostly growing, then one fall after each dropped beat; constant in 2:1 and Mobitz II.
        growing += bool((steps > 0.01).sum() > (steps < -0.01).sum() > 0)
    assert dropped == 60
    assert 15 < growing < 50


def test_third_degree_atria_march_on_their_own() -> None:
    for seed in range(20):
        p = plan("avb3:60", seed, ectopy=0.0)
        assert set(p.symbols) in ({"j"}, {"E"})
        assert len(p.p_times) > 1.1 * len(p.beat_times)
        pp = np.diff(p.p_times)
        assert pp.std() / pp.mean() < 0.15
        delay = np.array([b - p.p_times[p.p_times <= b].max() for b in inside(p)])
        assert delay.std() > 0.1  # no fixed PR


@pytest.mark.parametrize(("name", "low", "high"), [
    ("nsr", 0.09, 0.2), ("avb1", 0.19, 0.4), ("wpw", 0.08, 0.13), ("junctional", 0.06, 0.11),
])  # fmt: skip
def test_pr_times(name: str, low: float, high: float) -> None:
    plans = [plan(f"{name}:10", seed, ectopy=0.0) for seed in range(40)]
    seen = [p for p in plans if len(p.p_times)]
    assert len(seen) == 40 if name != "junctional" else 0 < len(seen) < 30
    pr = np.concatenate([
        [b - p.p_times[p.p_times < b].max() for b in p.beat_times if (p.p_times < b).any()] for p in seen
    ])  # fmt: skip
    assert low <= np.quantile(pr, 0.01) and np.quantile(pr, 0.99) <= high


@pytest.mark.parametrize(("name", "codes"), [
    ("vt", "VFN"), ("svt", "AJ"), ("junctional", "jJ"), ("idioventricular", "VEFN"), ("paced", "/fN"),
])  # fmt: skip
def test_beat_codes_are_those_annotators_use(name: str, codes: str) -> None:
    symbols = "".join("".join(plan(f"{name}:10", seed, ectopy=0.0).symbols) for seed in range(60))
    assert set(symbols) <= set(codes)
    assert symbols.count(codes[0]) + symbols.count(codes[1]) > 0.9 * len(symbols)


def test_transitions_lie_where_asked_and_beats_carry_on() -> None:
    for seed in range(20):
        p = plan("nsr:30,afib:60,vf:4.1,nsr:30", seed, ectopy=0.0)
        marks = [0, 7500, 22500, 23525, 31025]
        assert [(e.start, e.stop) for e in p.episodes] == list(pairwise(marks))
        assert p.osc_amplitude[:7500].max() == 0 and (p.osc_amplitude[7510:22490] > 0).all()
        assert not len(inside(p, 90.0, 94.1))
        assert not ((p.p_times > 30.3) & (p.p_times < 90)).any()
        around = inside(p, 20, 40)
        assert np.diff(around).max() < 3.0 and np.diff(around).min() > 0.2
        assert 0 < inside(p, 94.1)[0] - 94.1 < 2.0


@pytest.mark.parametrize("other", RHYTHMS)
def test_any_rhythm_follows_any(other: str) -> None:
    for name in ("vt", "sinus_bradycardia", "aflutter", other):
        p = plan(f"{name}:6,{other}:6,{name}:0.4,{other}:3", 1)
        assert (np.diff(p.beat_times) > 0.1).all()
        assert p.n_samples == len(p.osc_phase) == 3850


def test_one_hour_is_quick_and_steady() -> None:
    import time

    start = time.process_time()
    p = plan("afib:3600", heart_rate=100.0)
    assert time.process_time() - start < 2.0
    assert rate(inside(p)) == pytest.approx(100.0, abs=0.01)


@pytest.mark.parametrize(("script", "wish", "words"), [
    ("nsr:10", {"heart_rate": 300.0}, "nsr; ask for 40 to 110"),
    ("nsr:10", {"heart_rate": 10.0}, "heart rate 10"),
    ("nsr:10", {"heart_rate": float("nan")}, "heart rate nan"),
    ("nsr:10,vt:10", {"heart_rate": 80.0}, "vt"),
    ("vf:10", {"heart_rate": 80.0}, "no beats"),
    ("nsr:1", {}, "duration 1 s"),
    ("nsr:3601", {}, "2 to 3600"),
    ("nsr:-5,afib:20", {}, "more than 0"),
    ("nsr:nan", {}, "more than 0"),
    ("nsr:10", {"ectopy": 0.6}, "0 to 0.5"),
    ("nsr:10", {"ectopy": -0.1}, "ectopy"),
    ("polka:10", {}, "Known rhythms"),
])  # fmt: skip
def test_the_impossible_is_refused(script: str, wish: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        plan(script, **wish)


def test_an_empty_script_is_refused() -> None:
    with pytest.raises(OptionError, match="duration 0 s"):
        draw_plan(Request(script=(), leads=("II",), source="mitdb"), np.random.default_rng(0))


@pytest.mark.realdata
def test_af_plans_are_as_irregular_as_annotated_people(data_root: Path) -> None:
    from ecgsynth.datasets import find_reader

    real = []
    for record in find_reader("mitdb")(data_root / "mitdb"):
        for episode in record.episodes:
            if episode.rhythm == "afib" and episode.stop - episode.start > 60 * record.fs and record.beats:
                times = record.beats.samples / record.fs
                low = episode.start / record.fs
                real.append(nrmssd(times[(times >= low) & (times < low + 60)]))
    made = [nrmssd(inside(plan("afib:60", seed, source="mitdb"))) for seed in range(100)]
    assert len(real) > 10
    assert 0.7 < np.median(made) / np.median(real) < 1.4

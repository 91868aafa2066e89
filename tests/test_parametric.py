"""The simulator draws what the plan says: waves where beats are, and leads that agree."""

from __future__ import annotations

import time

import numpy as np
import pytest

from ecgsynth.errors import OptionError
from ecgsynth.generators.parametric import Parametric, ParametricConfig
from ecgsynth.generators.plan import PLAN_FS, Plan, Request
from ecgsynth.generators.rhythm_process import draw_plan
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS, twelve_from_eight
from ecgsynth.rhythms import RHYTHMS

CLEAN = Parametric(config=ParametricConfig(noise=0.0))


def plan(name: str, seed: int = 0, leads: tuple[str, ...] = ("II",), seconds: float = 10.0, **wish) -> Plan:
    request = Request(script=((name, seconds),), leads=leads, source=wish.pop("source", "ptbxl"), **wish)
    return draw_plan(request, np.random.default_rng(seed))


def strip(p: Plan, seed: int = 0, generator: Parametric = CLEAN) -> np.ndarray:
    return generator.render([p], [np.random.default_rng(seed)])[0]


def at(signal: np.ndarray, times: np.ndarray, before: float, after: float) -> np.ndarray:
    """Windows [beats, samples] around those of ``times`` that have room for them."""
    n = signal.shape[-1]
    first = np.round((times - before) * PLAN_FS).astype(int)
    size = int((before + after) * PLAN_FS)
    first = first[(first >= 0) & (first + size < n)]
    return signal[first[:, None] + np.arange(size)]


@pytest.mark.parametrize("name", RHYTHMS)
def test_every_rhythm_renders_finite_and_of_ecg_size(name: str) -> None:
    for seed in range(6):
        p = plan(name, seed, leads=INDEPENDENT_LEADS)
        x = strip(p, seed, Parametric())
        assert x.shape == (8, p.n_samples) and x.dtype == np.float32
        assert np.isfinite(x).all()
        assert 0.15 < np.ptp(x, axis=1).max() < 12.0


def test_a_record_does_not_depend_on_its_neighbours() -> None:
    plans = [plan(name, i) for i, name in enumerate(("nsr", "afib", "vt"))]
    rngs = [np.random.default_rng(i) for i in range(3)]
    together = Parametric().render(plans, rngs)
    for i in range(3):
        np.testing.assert_array_equal(together[i], strip(plans[i], i, Parametric()))
    assert not np.array_equal(strip(plans[0], 1), together[0])


def test_derived_leads_obey_einthoven_and_goldberger() -> None:
    p = plan("nsr", leads=TWELVE_LEADS)
    x = strip(p, 5, Parametric())
    np.testing.assert_allclose(x, twelve_from_eight(x[[0, 1, 6, 7, 8, 9, 10, 11]]), atol=2e-6)
    eight = strip(plan("nsr", leads=INDEPENDENT_LEADS), 5, Parametric())
    np.testing.assert_array_equal(eight, x[[0, 1, 6, 7, 8, 9, 10, 11]])


def test_leads_come_in_the_order_asked_for() -> None:
    p, q = plan("nsr", leads=("V5", "aVF", "I")), plan("nsr", leads=("I", "V5", "aVF"))
    np.testing.assert_array_equal(strip(p)[[2, 0, 1]], strip(q))


@pytest.mark.parametrize("lead", ["V7", "ii", ""])
def test_unknown_leads_are_refused(lead: str) -> None:
    with pytest.raises(OptionError, match="unknown lead"):
        strip(plan("nsr", leads=(lead,)))
    with pytest.raises(OptionError, match="choose from"):
        Parametric(leads=(lead,))


def test_r_waves_are_where_the_plan_has_beats() -> None:
    from ecgsynth.rpeaks import detect_r_peaks

    hits = total = 0
    for seed in range(20):
        p = plan("nsr", seed, ectopy=0.0)
        found = detect_r_peaks(strip(p, seed, Parametric()), PLAN_FS) / PLAN_FS
        beats = p.beat_times[(p.beat_times > 0.3) & (p.beat_times < 9.7)]
        hits += sum(np.abs(found - b).min() < 0.05 for b in beats)
        total += len(beats)
    assert hits / total > 0.97


def test_p_waves_stand_before_sinus_beats_and_not_before_af_beats() -> None:
    p = plan("nsr", 2, ectopy=0.0)
    windows = at(strip(p, 2)[0], p.p_times, 0.08, 0.08)
    assert (windows[:, 18:22].mean(1) - windows[:, :2].mean(1)).mean() > 0.03
    silent = Plan(**{**p.__dict__, "p_times": np.zeros(0)})
    gone = strip(p, 2)[0] - strip(silent, 2)[0]
    away = np.abs(np.arange(p.n_samples)[:, None] / PLAN_FS - p.p_times).min(1) > 0.13
    assert np.abs(gone[~away]).max() > 0.05


def test_ventricular_beats_are_wide_and_discordant() -> None:
    widths = {"N": [], "V": []}
    discordant = []
    for seed in range(30):
        p = plan("bigeminy", seed)
        x = strip(p, seed)[0]
        for code in "NV":
            times = p.beat_times[[s == code for s in p.symbols]]
            median = np.median(at(x, times, 0.12, 0.5), axis=0)
            qrs = median[:60]
            widths[code].append(np.mean(np.abs(qrs) > 0.5 * np.abs(qrs).max()))
            if code == "V":
                t = median[85:140]
                main = qrs[np.argmax(np.abs(qrs))]
                discordant.append(t[np.argmax(np.abs(t))] * main < 0)
    assert np.median(widths["V"]) > 1.5 * np.median(widths["N"])
    assert np.mean(discordant) > 0.7


def test_beats_of_one_record_are_alike_and_people_differ() -> None:
    """Correlation of single beats with their median is near 0.99 in real records (design notes)."""
    medians, alike = [], []
    for seed in range(20):
        p = plan("nsr", seed, ectopy=0.0, heart_rate=70.0)
        beats = at(strip(p, seed)[0], p.beat_times, 0.25, 0.4)
        median = np.median(beats, axis=0)
        alike += [np.corrcoef(b, median)[0, 1] for b in beats]
        medians.append(median)
    between = np.corrcoef(medians)[np.triu_indices(20, 1)]
    assert np.median(alike) > 0.98
    assert np.median(between) < 0.97


def test_qt_is_longer_at_slow_rates_but_less_than_in_proportion() -> None:
    def t_peak(rate: float) -> float:
        peaks = []
        for seed in range(12):
            p = plan("nsr", seed, ectopy=0.0, heart_rate=rate)
            median = np.median(at(strip(p, seed)[0], p.beat_times, 0.0, 0.5), axis=0)
            peaks.append(0.12 + np.argmax(np.abs(median[30:])) / PLAN_FS)
        return float(np.median(peaks))

    slow, fast = t_peak(50.0), t_peak(100.0)
    assert 1.1 < slow / fast < 1.8


def test_oscillations_have_the_frequency_of_the_plan() -> None:
    for name in ("vf", "vflutter"):
        near = []
        for seed in range(20):
            p = plan(name, seed)
            x = strip(p, seed)[0]
            power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
            hz = np.fft.rfftfreq(len(x), 1 / PLAN_FS)
            centre = (power * hz).sum() / power.sum()
            near.append(abs(centre - np.diff(p.osc_phase).mean() * PLAN_FS) < 1.2)
        assert np.mean(near) > 0.9


def test_paced_beats_carry_a_spike() -> None:
    p = plan("paced", 1)
    x = strip(p, 1)[0]
    steep = np.abs(np.diff(x))
    spikes = at(steep, p.beat_times[[s == "/" for s in p.symbols]], 0.12, 0.3)
    # The steepest slope of a paced beat is its spike, ahead of the wide QRS.
    assert np.median(np.argmax(spikes, axis=1)) < 0.09 * PLAN_FS


def test_preexcited_beats_begin_early() -> None:
    """A delta wave fills the PR segment that is flat in sinus rhythm."""

    def early_slope(name: str) -> float:
        out = []
        for seed in range(20):
            p = plan(name, seed, ectopy=0.0)
            silent = Plan(**{**p.__dict__, "p_times": np.zeros(0)})
            median = np.median(at(strip(silent, seed, CLEAN)[0], p.beat_times, 0.1, 0.1), axis=0)
            out.append(np.abs(median[8:16] - median[0]).max() / np.abs(median).max())
        return float(np.median(out))

    assert early_slope("wpw") > 3 * early_slope("nsr")


def test_noise_follows_the_source_and_can_be_left_out() -> None:
    hf = {}
    for source in ("mitdb", "cinc2017"):
        quiet = []
        for seed in range(20):
            p = plan("vflutter", seed, source=source)
            quiet.append(np.diff(strip(p, seed, Parametric())[0] - strip(p, seed)[0]).std())
        hf[source] = np.median(quiet)
    assert hf["mitdb"] > 1.5 * hf["cinc2017"] > 0


def test_speed_and_an_hour() -> None:
    plans = [plan("nsr", seed) for seed in range(60)]
    rngs = [np.random.default_rng(i) for i in range(60)]
    start = time.process_time()
    Parametric().render(plans, rngs)
    assert 60 / (time.process_time() - start) > 100
    long = strip(plan("afib", seconds=3600.0), 0, Parametric())
    assert long.shape == (1, 900_000) and np.isfinite(long).all()


@pytest.mark.parametrize("lead", ["II", "V1", "V5"])
def test_fibrillation_shows_in_every_lead(lead: str) -> None:
    """The dipole turns, so no lead looks along a line on which nothing happens (coarse VF exceeds 0.2 mV)."""
    sizes = [np.ptp(strip(plan("vf", seed, leads=(lead,)), seed)) for seed in range(40)]
    assert np.quantile(sizes, 0.05) > 0.2

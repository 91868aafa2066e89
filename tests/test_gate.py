"""The gate passes plausible records and names the fault of the others."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecgsynth.errors import CheckpointError
from ecgsynth.fidelity.allocation import (
    FALL_OFF,
    WORTH,
    Scores,
    excess,
    joint_limits,
    limits_at,
    room_of,
    scales_of,
    share_out,
    step_for,
    turned_down_at,
)
from ecgsynth.fidelity.calibration import SHIPPED, Calibration, load_calibration, save_calibration
from ecgsynth.fidelity.checks import ends_of
from ecgsynth.fidelity.evidence import (
    GROUP_OF,
    context,
    fair_weights,
    fault_odds_many,
    fit_fault,
    fit_rhythms,
    inputs_of,
    log_odds,
    table,
)
from ecgsynth.fidelity.faults import FAULTS, plant
from ecgsynth.fidelity.few_people import (
    ALONE_PEOPLE,
    drop_unsure,
    ease,
    limits_of_few,
    raise_to_faults,
)
from ecgsynth.fidelity.fitting import AGREEMENT, MANY_PEOPLE, fit_bounds, fit_rhythm
from ecgsynth.fidelity.gate import check_record, check_records, pieces_of
from ecgsynth.fidelity.integrity import integrity, lead_residual, longest_run
from ecgsynth.fidelity.measures import detection_lead
from ecgsynth.fidelity.rhythm import agreement, rr_numbers
from ecgsynth.records import TWELVE_LEADS, Beats, Episode, Record, twelve_from_eight
from ecgsynth.rhythms import RHYTHMS

FS = 250.0


def strip(
    rr: np.ndarray, p_height: float = 0.15, seconds: float = 10.0, noise: float = 0.01, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A drawn lead [samples] in mV with beats ``rr`` seconds apart, and its R peaks."""
    rng = np.random.default_rng(seed)
    time_axis = np.arange(round(seconds * FS)) / FS
    at = 0.35 + np.concatenate([[0.0], np.cumsum(rr)])
    at = at[at < seconds - 0.05]
    signal = noise * rng.standard_normal(len(time_axis))
    for centre, height, width in (
        (-0.16, p_height, 0.022),
        (0.0, 1.1, 0.011),
        (0.03, -0.25, 0.011),
        (0.28, 0.3, 0.05),
    ):
        for beat in at:
            signal += height * np.exp(-0.5 * ((time_axis - beat - centre) / width) ** 2)
    return signal, np.rint(at * FS).astype(np.int64)


def record_of(signal: np.ndarray, peaks: np.ndarray, rhythm: str, leads: tuple[str, ...] = ("II",)) -> Record:
    rows = np.atleast_2d(signal).astype(np.float32)
    beats = Beats(peaks, ("N",) * len(peaks), "generated")
    return Record("made", rows, FS, leads, "nobody", "made", (Episode(0, rows.shape[1], rhythm),), beats)


def sinus(seed: int = 0, seconds: float = 10.0) -> Record:
    rng = np.random.default_rng(seed)
    rr = 0.85 + 0.02 * rng.standard_normal(int(seconds / 0.6))
    return record_of(*strip(rr, seconds=seconds, seed=seed), "nsr")


def fibrillation(seed: int = 0) -> Record:
    rng = np.random.default_rng(seed)
    rr = np.clip(rng.gamma(18, 0.04, 30), 0.36, 1.6)
    return record_of(*strip(rr, p_height=0.0, noise=0.02, seed=seed), "afib")


def claims(record: Record, rhythm: str) -> Record:
    return replace(record, episodes=(Episode(0, record.n_samples, rhythm),))


def failed(record: Record) -> set[str]:
    return {reason.split(":")[0] for reason in check_record(record, load_calibration()).reasons}


@pytest.mark.parametrize("seed", range(4))
def test_plausible_records_pass(seed: int) -> None:
    assert check_record(sinus(seed), load_calibration()).reasons == ()
    assert check_record(fibrillation(seed), load_calibration()).reasons == ()


def test_wrong_labels_fail() -> None:
    assert "evidence" in failed(claims(sinus(), "afib"))
    for seed in range(6):
        as_sinus = check_record(claims(fibrillation(seed), "nsr"), load_calibration())
        as_itself = check_record(fibrillation(seed), load_calibration()).numbers["evidence"]
        assert as_sinus.numbers["evidence"] < 0 < as_itself
    assert failed(claims(sinus(), "vf")) and failed(claims(sinus(1), "vf"))
    assert "evidence" in failed(claims(sinus(), "bigeminy"))
    assert failed(claims(sinus(), "sinus_tachycardia")) >= {"rate_most"}


def test_reasons_say_what_was_found_in_words() -> None:
    (reason,) = [
        r
        for r in check_record(claims(sinus(), "afib"), load_calibration()).reasons
        if r.startswith("evidence")
    ]
    assert "for afib (looks like sinus)" in reason
    flat = sinus()
    flat.signal[0, 900:1400] = 0.1
    (reason,) = check_record(flat, load_calibration()).reasons
    assert reason.startswith("flat_s: 2 over 0.") and reason.endswith("(seconds without change)")


def test_rate_out_of_bounds_is_named() -> None:
    fast = record_of(*strip(np.full(60, 0.33), p_height=0.0), "nsr")
    assert "rate_least" in failed(fast)


def test_damaged_signals_fail_with_their_reason() -> None:
    good = sinus()
    for name, change in {
        "missing": lambda s: np.where(np.arange(s.shape[1]) == 700, np.nan, s),
        "flat_s": lambda s: np.where((np.arange(s.shape[1]) > 900) & (np.arange(s.shape[1]) < 1400), 0.1, s),
        "looks_clipped": lambda s: np.clip(s, -9, np.sort(s[0])[-600]),
        "clipped_s": lambda s: np.where(np.arange(s.shape[1]) // 100 == 9, s.max(), s),
        "span_low": lambda s: 0.02 * s,
        "span_high": lambda s: 30 * s,
    }.items():
        broken = replace(good, signal=change(good.signal).astype(np.float32))
        assert name in failed(broken), name


def test_empty_of_beats_fails_where_beats_are_claimed() -> None:
    noise = 0.3 * np.random.default_rng(0).standard_normal(2500).cumsum() / 20
    assert failed(record_of(noise, np.array([], dtype=np.int64), "nsr"))


def test_annotations_must_agree_with_the_signal() -> None:
    good = sinus()
    assert good.beats is not None
    shifted = replace(good, beats=replace(good.beats, samples=good.beats.samples + 90))
    assert {"sensitivity", "precision"} <= failed(shifted)
    trusted = replace(shifted, beats=replace(good.beats, samples=good.beats.samples + 90, source="detected"))
    assert not failed(trusted)


def test_lead_algebra() -> None:
    base, peaks = strip(np.full(12, 0.8))
    rng = np.random.default_rng(1)
    eight = np.stack(
        [k * base + 0.01 * rng.standard_normal(len(base)) for k in (0.7, 1, -0.4, 0.3, 0.5, 0.9, 1, 0.8)]
    )
    twelve = twelve_from_eight(eight.astype(np.float32))
    rounded = np.round(twelve * 1000) / 1000
    residual = lead_residual(rounded, TWELVE_LEADS)
    assert residual is not None and residual < 1.0
    assert "lead_uv" not in failed(record_of(rounded, peaks, "nsr", TWELVE_LEADS))
    (note,) = check_record(record_of(rounded, peaks, "nsr", TWELVE_LEADS), load_calibration()).notes
    assert note == "leads: III, aVR, aVL, aVF are sums of I and II"
    small = twelve_from_eight(np.stack([base, base, *eight[2:]]).astype(np.float32))
    assert "span_low" not in failed(
        record_of(small + 0.002 * rng.standard_normal(small.shape), peaks, "nsr", TWELVE_LEADS)
    )
    rounded[4] += 0.02 * np.sin(np.arange(len(base)) / 9)
    assert "lead_uv" in failed(record_of(rounded, peaks, "nsr", TWELVE_LEADS))
    assert lead_residual(rounded[:1], ("I",)) is None


def test_every_episode_is_checked() -> None:
    one, two = sinus(seed=2), fibrillation(seed=3)
    joined = replace(
        one,
        signal=np.concatenate([one.signal, two.signal], axis=1),
        beats=None,
        episodes=(Episode(0, 2500, "nsr"), Episode(2500, 5000, "afib")),
    )
    verdict = check_record(joined, load_calibration())
    assert verdict.passed and {"evidence", "evidence@1"} <= set(verdict.numbers)
    swapped = replace(joined, episodes=(Episode(0, 2500, "nsr"), Episode(2500, 5000, "vf")))
    assert not check_record(swapped, load_calibration()).passed
    brief = replace(joined, episodes=(Episode(0, 2500, "nsr"), Episode(2500, 2500 + 900, "vf")))
    assert check_record(brief, load_calibration()).passed, "episodes under 4 s are not judged"


@pytest.mark.parametrize("seconds", [2.0, 3.0, 4.5])
def test_short_records_are_judged_on_what_can_be_seen(seconds: float) -> None:
    assert check_record(sinus(seconds=seconds), load_calibration()).passed


def test_a_rhythm_without_bounds_uses_the_table() -> None:
    bare = Calibration("", {}, {})
    assert check_record(claims(sinus(), "avb3"), bare).passed
    fast = record_of(*strip(np.full(40, 0.4), p_height=0.0), "avb3")
    assert {reason.split(":")[0] for reason in check_record(fast, bare).reasons} == {"rate_least"}


def test_the_verdict_survives_resampling_and_small_gain() -> None:
    slow = sinus(seed=5)
    peaks = slow.beats.samples if slow.beats else np.array([], dtype=np.int64)
    fast = np.interp(np.arange(5000) / 2, np.arange(2500), slow.signal[0])
    double = Record(
        "made", fast[None].astype(np.float32), 500.0, ("II",), "n", "made", (Episode(0, 5000, "nsr"),),
        Beats(peaks * 2, ("N",) * len(peaks), "generated"),
    )  # fmt: skip
    assert check_record(double, load_calibration()).passed
    assert check_record(replace(slow, signal=slow.signal * 1.3), load_calibration()).passed


def test_fast_enough() -> None:
    record, calibration = sinus(), load_calibration()
    check_record(record, calibration)
    started = time.process_time()
    for _ in range(50):
        check_record(record, calibration)
    assert (time.process_time() - started) / 50 < 0.02


def test_detection_prefers_a_lead_with_a_clear_qrs() -> None:
    clear, _ = strip(np.full(12, 0.8))
    noise = 0.2 * np.random.default_rng(0).standard_normal(len(clear))
    assert detection_lead(np.stack([noise, clear, noise]), ("I", "V2", "II"), FS) == 1
    assert detection_lead(np.stack([1.1 * clear, clear]), ("V2", "II"), FS) == 1


def test_numbers_mean_what_they_say() -> None:
    assert longest_run(np.array([[True, True, False, True, True, True]])).tolist() == [3]
    rr = rr_numbers(np.cumsum([0, 200, 200, 200, 200, 200]), FS)
    assert rr["rate"] == pytest.approx(75) and rr["nrmssd"] == 0
    twin = rr_numbers(np.cumsum([0, *[120, 280] * 5]), FS)
    assert twin["alternate_2"] == pytest.approx(1.0) and twin["alternate_3"] == pytest.approx(0.0)
    marks = np.arange(200, 2400, 200)
    same = agreement(marks, marks + 10, FS, 2500)
    assert same == {"sensitivity": 1.0, "precision": 1.0}
    assert agreement(marks, marks[::2], FS, 2500)["sensitivity"] == pytest.approx(0.5, abs=0.1)
    assert agreement(marks, marks[:0], FS, 2500) == {"sensitivity": 0.0}


def test_bounds_hold_most_and_take_in_all_with_few_people() -> None:
    rng = np.random.default_rng(0)
    rows = [{"rate_least": float(v), "rate_most": float(v)} for v in rng.normal(75, 8, 600)]
    ends, limits = (
        {"rate_least": "high", "rate_most": "low"},
        {"rate_most": (40.0, np.inf), "rate_least": (0.0, 110.0)},
    )
    bounds = fit_rhythm(rows, [f"p{i % 60}" for i in range(600)], ends, limits)
    inside = np.mean(
        [
            r["rate_least"] <= bounds["rate_least"][1] and r["rate_most"] >= bounds["rate_most"][0]
            for r in rows
        ]
    )
    assert inside >= 0.98 and bounds["rate_least"][1] < 120
    few = fit_rhythm(rows[:40], ["a", "b"] * 20, ends, limits)
    assert few["rate_most"][0] <= 40 and few["rate_least"][1] >= 110
    assert fit_bounds(rows[:3], np.ones(3), ends) == {}


def test_false_alarms_are_shared_out_where_they_find_most() -> None:
    rng = np.random.default_rng(0)
    noisy = np.r_[np.full(6, 3.0), np.zeros(994)]  # a few strips look like every fault
    names = ("looks_near", "looks_far", "looks_lost")
    sound = Scores(names, noisy[:, None] + 0.3 * rng.standard_normal((1000, 3)))
    faulty = {
        name: Scores(names, np.where(np.eye(3)[k] > 0, at, -2.0) + 0.3 * rng.standard_normal((200, 3)))
        for k, (name, at) in enumerate((("near", 2.0), ("far", 9.0), ("lost", 0.2)))
    }
    own = {f"looks_{name}": name for name in faulty}
    tails = share_out(sound, np.ones(1000), faulty, 0.01, own)
    assert set(tails) == {"looks_near", "looks_far"} and tails["looks_far"] == 0 < tails["looks_near"]
    limits = limits_at(sound, np.ones(1000), tails)
    found = {
        name: (faulty[name].values[:, k] > limits[f"looks_{name}"]).mean()
        for k, name in enumerate(tails)
        for name in [name.removeprefix("looks_")]
    }
    assert min(found.values()) > 0.9
    lost = np.any([sound.values[:, k] > limits[name] for k, name in enumerate(tails)], axis=0)
    assert 0 < lost.mean() <= 0.01
    assert share_out(sound, np.ones(1000), faulty, 0.002, own).get("looks_near", 0.0) == 0.0


def many_scores(rng: np.random.Generator, n: int, faults: int) -> tuple[Scores, dict[str, Scores]]:
    """Scores of sound strips, a few of them noisy in all, and of strips with a fault each."""
    names = tuple(f"looks_{k}" for k in range(faults))
    noisy = 2.0 * rng.exponential(size=n) * (rng.random(n) < 0.05)
    sound = Scores(names, noisy[:, None] + rng.standard_normal((n, faults)))
    faulty = {
        str(k): Scores(names, np.where(np.eye(faults)[k] > 0, 5.0, 0.0) + rng.standard_normal((200, faults)))
        for k in range(faults)
    }
    return sound, faulty


def test_limits_move_together_until_unknown_people_pass() -> None:
    found: dict[str, list[float]] = {"greedy": [], "together": [], "caught": []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        (sound, faulty), (new, _) = many_scores(rng, 600, 8), many_scores(rng, 4000, 8)
        own = {name: name.removeprefix("looks_") for name in sound.names}
        ones, owner, none = np.ones(600), np.arange(600), np.zeros(600, dtype=bool)
        alone = limits_at(sound, ones, share_out(sound, ones, faulty, 0.03, own))
        together = joint_limits(sound, ones, owner, faulty, own, 0.03, 0.015, none, free=False)
        room = dict(zip(sound.names, room_of(sound.names, faulty, own), strict=True))
        steps = [together[name] - alone[name] for name in alone if together[name] > room[name]]
        assert len(steps) > 2 and np.ptp(steps) < 1e-9
        assert all(together[name] >= max(room[name], alone[name] + min(steps)) for name in alone)
        for key, limits in (("greedy", alone), ("together", together)):
            found[key].append(float((excess(new, limits, dict.fromkeys(limits, 1.0)) > 0).mean()))
        caught = [(excess(faulty[k], together, dict.fromkeys(together, 1.0)) > 0).mean() for k in faulty]
        found["caught"].append(float(np.mean(caught)))
    print(found)
    assert np.mean(found["greedy"]) > 0.025 > np.mean(found["together"]) > 0.01
    assert np.mean(found["caught"]) > 0.5


def test_limits_move_into_the_room_that_faults_leave() -> None:
    rng = np.random.default_rng(0)
    sound = Scores(("looks_far", "looks_near"), rng.standard_normal((200, 2)))
    faulty = {
        "far": Scores(sound.names, np.c_[np.full(50, 20.0), np.zeros(50)]),
        "near": Scores(sound.names, np.c_[np.zeros(50), np.full(50, 1.0)]),
    }
    own = {"looks_far": "far", "looks_near": "near"}
    scales = scales_of(sound, np.ones(200), {"looks_far": 3.0, "looks_near": 3.0}, faulty, own)
    assert scales["looks_far"] > 17 and scales["looks_near"] < 1


def test_few_people_leave_more_room_for_others() -> None:
    rng = np.random.default_rng(0)
    draws = FALL_OFF * rng.exponential(size=(400, 200))
    for people in (5, 20, 200):
        beyond = [np.exp(-turned_down_at(row[:people], np.ones(people), 0.02) / FALL_OFF) for row in draws]
        assert 0.5 * 0.02 < np.median(beyond) < 0.04, people
    assert step_for(np.array([1.0, 2.0, 3.0]), np.ones(3), 0.02, np.ones(3, dtype=bool)) == 0.0


def test_people_of_small_sources_weigh_more_but_not_too_much() -> None:
    people = ["many/" + str(i) for i in range(100)] + ["some/a", "some/a", *["some/b"] * 3, "one/x"]
    people += [f"some/{i}" for i in range(23)]
    weights = fair_weights(people)
    each = {name: sum(w for w, p in zip(weights, people, strict=True) if p == name) for name in set(people)}
    assert each["some/a"] == pytest.approx(each["some/b"]) == pytest.approx(2 * each["many/1"])
    assert each["one/x"] == pytest.approx(3 * each["many/1"])
    assert sum(each.values()) == pytest.approx(len(each))


def test_scores_of_few_people_are_held_only_where_they_find_something() -> None:
    bounds = {"looks_splice": (-np.inf, 1.0), "looks_gain": (-np.inf, 1.0), "rate_most": (40.0, np.inf)}
    planted = {
        "splice": [{"looks_splice": 2.0}] * 9,
        "gain": [{"looks_gain": 0.0}] * 9 + [{"looks_gain": 3.0}],
    }
    drop_unsure(bounds, planted, people=9)
    assert set(bounds) == {"looks_splice", "rate_most"} and WORTH > 0.1
    drop_unsure(bounds, planted, people=7)
    assert set(bounds) == {"rate_most"}


def test_limits_from_few_people_keep_their_distance() -> None:
    planted = {"gain": [{"looks_gain": 5.0}] * 40, "tiled": [{"looks_tiled": 1.0}] * 5}
    bounds = {"looks_gain": (-np.inf, -4.0), "looks_tiled": (-np.inf, -4.0), "evidence": (-2.0, np.inf)}
    ease(bounds)
    # One log-odd away (evidence half), never under even odds.
    assert bounds == {"looks_gain": (-np.inf, 0.0), "looks_tiled": (-np.inf, 0.0), "evidence": (-2.5, np.inf)}
    raise_to_faults(bounds, planted)
    assert bounds["looks_gain"] == (-np.inf, 5.0), "up to the faults, where enough were planted"
    assert bounds["looks_tiled"] == (-np.inf, 0.0) and bounds["evidence"] == (-2.5, np.inf)


def test_room_for_others_does_not_hide_faults_far_away_nor_does_one_clipped_person() -> None:
    people, rng = 2 * ALONE_PEOPLE, np.random.default_rng(1)
    names = ("looks_clipped", "looks_low_pass", "looks_gain")
    sound = rng.normal(-6.0, 1.0, (people, 3))
    sound[0, 0], sound[1, 2] = 9.0, 3.0
    faulty = {
        name.removeprefix("looks_"): Scores(names, rng.normal(mean, 0.5, (60, 3)))
        for name, mean in zip(names, (6.0, 8.0, 8.0), strict=True)
    }
    own = {name: name.removeprefix("looks_") for name in names}
    owner, none = np.arange(people), np.zeros(people, dtype=bool)
    limits = limits_of_few(Scores(names, sound), np.ones(people), owner, faulty, own, 0.01, none, {})
    for j, name in enumerate(names):
        assert (faulty[own[name]].values[:, j] > limits[name]).mean() > 0.9, name
    # The recorder of one person clipped; a gain that is off is nothing that recorders do.
    assert limits["looks_clipped"] < 9.0 and limits["looks_gain"] > 4.0
    base = {name: (-np.inf, 2.5) for name in names}
    limits = limits_of_few(Scores(names, sound), np.ones(people), owner, faulty, own, 0.01, none, base)
    assert limits["looks_low_pass"] == 2.5 and limits["looks_gain"] > 4.0


def test_together_as_one_by_one() -> None:
    records = [sinus(3), fibrillation(1), replace(sinus(4), signal=-sinus(4).signal), sinus(5, seconds=14.0)]
    records.append(replace(sinus(6), signal=np.full_like(sinus(6).signal, np.nan)))
    calibration = load_calibration()
    together = check_records(records, calibration)
    for record, verdict in zip(records, together, strict=True):
        alone = check_record(record, calibration)
        assert verdict.passed == alone.passed and verdict.numbers.keys() == alone.numbers.keys()
        for name, value in verdict.numbers.items():
            assert value == pytest.approx(alone.numbers[name], rel=1e-6, abs=1e-6, nan_ok=True), name
    assert [verdict.passed for verdict in together][1::3] == [True, False]


def test_evidence_parts_what_differs_and_ignores_what_is_missing() -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    rows, rhythms = [], []
    for rhythm, p_share, step in (("nsr", 0.7, 0.02), ("afib", 0.0, 0.2), ("bigeminy", 0.7, 0.9)):
        for _ in range(60):
            rows.append(
                {
                    "p_share": p_share + 0.1 * rng.standard_normal(),
                    "rr_step": step * rng.uniform(0.5, 2),
                    "rate": 70.0,
                }
            )
            rhythms.append(rhythm)
    model = fit_rhythms(rows, rhythms, ["II"] * 180, [str(i) for i in range(180)], rounds=30)
    assert "rate" not in model.inputs and {"p_share", "lead_II"} <= set(model.inputs)
    found = [log_odds(model, row, "II", rhythm) for row, rhythm in zip(rows, rhythms, strict=True)]
    assert (
        np.mean([odds is not None and odds[1] == GROUP_OF[r] for odds, r in zip(found, rhythms, strict=True)])
        > 0.95
    )
    odds = log_odds(model, {"p_share": 0.7}, "II", "nsr")
    assert odds is not None and np.isfinite(odds[0]) and log_odds(model, {}, "II", "paced") is None


def test_a_fault_is_told_by_the_numbers_it_moves() -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    sound, odd = (
        [{"x": rng.normal(at), "offset": at, **context("nsr", "II")} for _ in range(80)] for at in (0.0, 3.0)
    )
    inputs = inputs_of([*sound, *odd])
    assert "offset" not in inputs and "claims_sinus" in inputs
    people = [str(i) for i in range(80)]
    model = fit_fault("odd", table(sound, inputs), table(odd, inputs), (people, people), inputs, rounds=30)
    told = fault_odds_many(model, [(row, "II", "nsr") for row in (*sound, *odd)])
    scores = [one["looks_odd"] for one in told]
    assert np.mean(np.array(scores[:80]) < 0) > 0.85 and np.mean(np.array(scores[80:]) > 0) > 0.85


def test_long_episodes_are_judged_in_pieces() -> None:
    assert pieces_of(0, 2560, FS) == [(0, 2560)]
    pieces = pieces_of(100, 100 + 1800 * 250, FS)
    assert len(pieces) == 6 and pieces[0][0] == 100 and pieces[-1][1] == 100 + 1800 * 250
    assert all(stop - start == 2500 for start, stop in pieces)
    long = sinus(seed=1, seconds=45.0)
    assert check_record(long, load_calibration()).passed


def test_calibration_survives_a_round_trip(tmp_path: Path) -> None:
    shipped = load_calibration()
    save_calibration(shipped, tmp_path / "gate.json")
    again = load_calibration(tmp_path / "gate.json")
    assert again.rhythms == shipped.rhythms and again.people == shipped.people
    assert (tmp_path / "gate.json").read_bytes() == SHIPPED.read_bytes()
    assert check_record(sinus(), again) == check_record(sinus(), shipped)


def test_shipped_bounds_hold_every_check_of_their_rhythm() -> None:
    shipped = load_calibration()
    assert len(shipped.split) == 64
    assert shipped.evidence is not None and set(shipped.evidence.outputs) <= set(GROUP_OF.values())
    assert shipped.faults is not None and set(shipped.faults.outputs) <= set(FAULTS)
    assert shipped.strips and all(set(net.outputs) <= set(shipped.faults.outputs) for net in shipped.strips)
    looks = {f"looks_{name}{twelve}" for name in FAULTS for twelve in ("", "_12")}
    for name, bounds in shipped.rhythms.items():
        assert "rate_least" in bounds or not RHYTHMS[name].has_beats
        assert set(bounds) - looks <= set(ends_of(RHYTHMS[name])) | {"nrmssd", "dominant_hz", *AGREEMENT}
        assert all(low <= high for low, high in bounds.values())
        assert shipped.people[name] >= 1
    for fault in ("no_p", "reversed", "splice", "fs", "low_pass", "tiled", "lead_swap_12", "inverted_12"):
        assert f"looks_{fault}" in shipped.rhythms["nsr"], fault
    assert shipped.people["nsr"] >= MANY_PEOPLE


@pytest.mark.parametrize(
    "name", ["nan", "flat", "clipped", "fs", "no_p", "reversed", "wide_qrs", "tiled", "low_pass"]
)
def test_planted_faults_are_found(name: str) -> None:
    caught = 0
    for seed in range(4):
        damaged = plant(FAULTS[name], sinus(seed), np.random.default_rng(seed))
        assert damaged is not None
        caught += not check_record(damaged, load_calibration()).passed
    assert caught >= 3


def test_plateaus_are_counted() -> None:
    signal = np.sin(np.arange(2500) / 20)[None]
    assert integrity(np.clip(signal, -0.8, 0.8), FS)["plateaus"] == pytest.approx(
        2 * 2500 / (2 * np.pi * 20) / 10, rel=0.1
    )
    assert integrity(signal, FS)["plateaus"] < 2 < integrity(np.clip(signal, -0.8, 0.8), FS)["plateaus"]


#: The head of a calibration file without limits.
NOTHING = {"version": 4, "split": "x", "rhythms": {}, "integrity": {}, "evidence": None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "version"),
        (json.dumps({"version": 99}), "version 99"),
        (json.dumps(NOTHING | {"integrity": {"a": 3}}), "field"),
        (json.dumps({key: NOTHING[key] for key in ("version", "split", "rhythms")}), "field missing"),
        (
            json.dumps(
                NOTHING
                | {"faults": {"inputs": ["a"], "outputs": ["b"], "trees": 3, "depth": 3, "data": "AAAA"}}
            ),
            "field",
        ),
        (
            json.dumps(NOTHING | {"faults": None, "strips": {"outputs": ["splice"], "data": ["AAAA"]}}),
            "field missing or wrong",
        ),
    ],
)
def test_damaged_calibrations_are_one_line_errors(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "gate.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=said) as caught:
        load_calibration(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_calibration(tmp_path / "none.json")


@pytest.mark.realdata
def test_real_people_pass() -> None:
    root = os.environ.get("ECGSYNTH_DATA")
    if not root:
        pytest.skip("set ECGSYNTH_DATA to the folder with the databases to check real people")
    from ecgsynth.datasets import open_dataset
    from ecgsynth.windows import resample

    calibration, verdicts = load_calibration(), []
    for k, record in enumerate(open_dataset(Path(root) / "ptbxl")):
        if k % 5 == 0 and record.episodes and record.episodes[0].rhythm in ("nsr", "afib"):
            verdicts.append(check_record(resample(record, FS), calibration).passed)
    assert len(verdicts) > 50
    assert np.mean(verdicts) >= 0.95


def test_limits_borrowed_in_twelve_leads_move_out_as_far_as_faults_leave_room() -> None:
    from ecgsynth.fidelity.few_people import _further

    known = {"looks_splice_12": 1.0, "looks_gain_12": 1.0, "evidence": 0.0}
    room = {"looks_splice_12": 2.0, "looks_gain_12": 9.0, "evidence": -np.inf}
    assert _further(known, 3.0, room) == {"looks_splice_12": 2.0, "looks_gain_12": 4.0, "evidence": 3.0}
    assert _further({"looks_splice": 1.0}, 3.0, {"looks_splice": 9.0}) == {"looks_splice": 1.0}

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
from ecgsynth.fidelity.calibration import Calibration, load_calibration, save_calibration
from ecgsynth.fidelity.evidence import GROUP_OF, INPUTS, fit_evidence, likeliest, log_odds
from ecgsynth.fidelity.fitting import ends_of, fit_bounds, fit_rhythm
from ecgsynth.fidelity.gate import check_record, detection_lead
from ecgsynth.fidelity.integrity import lead_residual, longest_run
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
    assert failed(claims(sinus(), "afib")) == {"evidence"}
    for seed in range(6):
        as_sinus = check_record(claims(fibrillation(seed), "nsr"), load_calibration()).numbers["evidence"]
        as_itself = check_record(fibrillation(seed), load_calibration()).numbers["evidence"]
        assert as_sinus < 0 < as_itself
    assert failed(claims(sinus(), "vf")) and failed(claims(fibrillation(), "vf"))
    assert "evidence" in failed(claims(sinus(), "bigeminy"))
    assert failed(claims(sinus(), "sinus_tachycardia")) >= {"rate"}


def test_rate_out_of_bounds_is_named() -> None:
    fast = record_of(*strip(np.full(60, 0.33), p_height=0.0), "nsr")
    assert "rate" in failed(fast)


def test_damaged_signals_fail_with_their_reason() -> None:
    good = sinus()
    for name, change in {
        "missing": lambda s: np.where(np.arange(s.shape[1]) == 700, np.nan, s),
        "flat_s": lambda s: np.where((np.arange(s.shape[1]) > 900) & (np.arange(s.shape[1]) < 1400), 0.1, s),
        "clipped_s": lambda s: np.clip(s, -9, np.sort(s[0])[-200]),
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
    assert check_record(record_of(rounded, peaks, "nsr", TWELVE_LEADS), load_calibration()).passed
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
    swapped = replace(joined, episodes=(Episode(0, 2500, "nsr"), Episode(2500, 5000, "sinus_tachycardia")))
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
    assert {reason.split(":")[0] for reason in check_record(fast, bare).reasons} == {"rate"}


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


def test_bounds_hold_most_and_widen_with_few_people() -> None:
    rng = np.random.default_rng(0)
    rows = [{"rate": float(v)} for v in rng.normal(75, 8, 400)]
    people = [f"p{i % 40}" for i in range(400)]
    bounds, info = fit_rhythm(rows, people, {"rate": "both"}, {"rate": (40.0, 110.0)})
    inside = np.mean([bounds["rate"][0] <= r["rate"] <= bounds["rate"][1] for r in rows])
    assert inside >= 0.98 and info["pass_out_of_fold"] >= 0.97
    few, _ = fit_rhythm(rows[:40], ["a", "b"] * 20, {"rate": "both"}, {"rate": (40.0, 110.0)})
    assert few["rate"][0] <= 40 and few["rate"][1] >= 110
    assert fit_bounds(rows[:3], np.ones(3), {"rate": "both"}, 0.0) == {}


def test_evidence_parts_what_differs_and_ignores_what_is_missing() -> None:
    rng = np.random.default_rng(0)
    rows, rhythms = [], []
    for rhythm, p_share, step in (("nsr", 0.7, 0.02), ("afib", 0.0, 0.2)):
        for _ in range(60):
            rows.append(
                {"p_share": p_share + 0.1 * rng.standard_normal(), "rr_step": step * rng.uniform(0.5, 2)}
            )
            rhythms.append(rhythm)
    for row in rows:
        row.update({name: 1.0 for name in INPUTS if name not in row})
    model = fit_evidence(rows, rhythms, [str(i) for i in range(120)])
    right = [likeliest(model, row) == GROUP_OF[rhythm] for row, rhythm in zip(rows, rhythms, strict=True)]
    assert np.mean(right) > 0.95
    odds = log_odds(model, {"p_share": 0.7}, "nsr")
    assert odds is not None and np.isfinite(odds) and log_odds(model, {}, "paced") is None


def test_calibration_survives_a_round_trip(tmp_path: Path) -> None:
    shipped = load_calibration()
    save_calibration(shipped, tmp_path / "gate.json")
    again = load_calibration(tmp_path / "gate.json")
    assert again.rhythms == shipped.rhythms and again.people == shipped.people
    assert check_record(sinus(), again) == check_record(sinus(), shipped)


def test_shipped_bounds_hold_every_check_of_their_rhythm() -> None:
    shipped = load_calibration()
    assert len(shipped.split) == 64
    for name, bounds in shipped.rhythms.items():
        assert "rate" in bounds or not RHYTHMS[name].has_beats
        assert set(bounds) <= set(ends_of(RHYTHMS[name])) | {"rate", "nrmssd", "dominant_hz"}
        assert all(low <= high for low, high in bounds.values())
        assert shipped.people[name] >= 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "version"),
        (json.dumps({"version": 99}), "version 99"),
        (json.dumps({"version": 1, "split": "x", "rhythms": {}}), "field missing"),
        (
            json.dumps({"version": 1, "split": "x", "rhythms": {}, "integrity": {"a": 3}, "evidence": None}),
            "field",
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

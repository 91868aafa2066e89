"""Planted faults do what their name says, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecgsynth.fidelity.beatshape import beat_shape, qrs_edges, remove_baseline
from ecgsynth.fidelity.calibration import load_calibration
from ecgsynth.fidelity.change import drift_numbers
from ecgsynth.fidelity.faults import FAULTS, find_partner, known_narrow, plant, told
from ecgsynth.fidelity.integrity import lead_residual, longest_run
from ecgsynth.fidelity.quality import repetition
from ecgsynth.records import TWELVE_LEADS, Beats, Episode, Record, twelve_from_eight

FS = 250.0


def drawn(
    seed: int = 0, p_height: float = 0.15, rhythm: str = "nsr", rr: float = 0.85, name: str = "somebody"
) -> Record:
    """Ten seconds of one lead with P, QRS and T drawn as bells, and a little noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(2500) / FS
    at = 0.4 + np.cumsum(rr + 0.02 * rng.standard_normal(30))
    at = at[at < 9.7]
    signal = 0.01 * rng.standard_normal(2500)
    for centre, height, width in (
        (-0.16, p_height, 0.02),
        (0, 1.1, 0.011),
        (0.03, -0.25, 0.011),
        (0.28, 0.3, 0.05),
    ):
        for beat in at:
            signal += height * np.exp(-0.5 * ((time - beat - centre) / width) ** 2)
    beats = Beats(np.rint(at * FS).astype(np.int64), ("N",) * len(at), "annotated")
    return Record(
        "drawn",
        signal[None].astype(np.float32),
        FS,
        ("II",),
        name,
        "made",
        (Episode(0, 2500, rhythm),),
        beats,
    )


def twelve(seed: int = 0) -> Record:
    one = drawn(seed)
    rng = np.random.default_rng(seed + 100)
    gains = np.array([0.7, 1.0, -0.6, -0.3, 0.4, 0.9, 1.1, 0.8])
    eight = gains[:, None] * one.signal[0] + 0.005 * rng.standard_normal((8, 2500))
    return replace(one, signal=twelve_from_eight(eight.astype(np.float32)), leads=TWELVE_LEADS)


def planted(name: str, record: Record, seed: int = 0, partner: Record | None = None) -> Record:
    damaged = plant(FAULTS[name], record, np.random.default_rng(seed), "judge", partner)
    assert damaged is not None
    return damaged


def shape_of(record: Record):  # type: ignore[no-untyped-def]
    assert record.beats is not None
    shape = beat_shape(remove_baseline(record.signal[0].astype(float), FS), FS, record.beats.samples)
    assert shape is not None
    return shape


@pytest.mark.parametrize("name", FAULTS)
def test_same_seed_same_bytes_and_the_sound_record_stays_as_it_was(name: str) -> None:
    record, partner = twelve(), replace(twelve(3), subject="else")
    before = record.signal.copy()
    one, two = planted(name, record, 5, partner), planted(name, record, 5, partner)
    assert np.array_equal(one.signal, two.signal, equal_nan=True) and one.fs == two.fs
    assert np.array_equal(record.signal, before)
    assert name == "fs" or one.signal.shape != before.shape or not np.array_equal(one.signal, before)
    assert one.signal.dtype == np.float32 and one.episodes[0].rhythm == "nsr"
    if one.beats is not None:
        assert np.all(np.diff(one.beats.samples) > 0)
        assert len(one.beats.samples) == len(one.beats.symbols)
        assert one.beats.samples.min() >= 0 and one.beats.samples.max() < one.n_samples


def test_what_is_learned_from_is_not_what_is_judged() -> None:
    for fault in FAULTS.values():
        learn, judged = set(fault.strengths["learn"]), set(fault.strengths["judge"])
        assert not learn & judged or learn == judged == {1.0}, fault.name


def test_damage_of_samples() -> None:
    record = drawn()
    assert np.isnan(planted("nan", record).signal).any()
    still = planted("flat", record)
    assert longest_run(np.diff(still.signal) == 0).max() >= 0.99 * FS
    top = np.abs(record.signal - np.median(record.signal)).max()
    cut = planted("clipped", record)
    assert np.abs(cut.signal - np.median(record.signal)).max() == pytest.approx(0.6 * top, abs=2e-3)
    assert np.ptp(planted("gain", record).signal) / np.ptp(record.signal) in (
        pytest.approx(10, rel=0.02),
        pytest.approx(0.1, rel=0.02),
    )
    assert planted("fs", record).fs in (125.0, 500.0)
    assert np.array_equal(planted("inverted", record).signal, np.round(-record.signal, 3))


def test_reversal_mirrors_beats_and_is_its_own_inverse() -> None:
    record = drawn()
    back = planted("reversed", planted("reversed", record))
    assert record.beats is not None and back.beats is not None
    assert np.array_equal(back.beats.samples, record.beats.samples)
    assert np.allclose(back.signal, record.signal, atol=1e-3)


def test_p_waves_go_or_move_and_the_rest_stays() -> None:
    record = drawn()
    assert record.beats is not None
    gone = planted("no_p", record)
    at = record.beats.samples[2:-2]
    before, after = (r.signal[0][at[:, None] + np.arange(-55, -25)].mean(axis=0) for r in (record, gone))
    assert np.ptp(before) > 0.1 and np.ptp(after) < 0.03
    qrs = at[:, None] + np.arange(-8, 60)
    assert np.allclose(gone.signal[0][qrs], record.signal[0][qrs], atol=2e-3)
    moved = drift_numbers(shape_of(planted("pr_drift", record)))
    assert moved["p_drift_ms"] == pytest.approx(80, abs=30) and moved["p_drift_r"] > 0.9
    assert drift_numbers(shape_of(record))["p_drift_ms"] < 15
    assert plant(FAULTS["no_p"], drawn(p_height=0.0), np.random.default_rng(0)) is None


def test_the_qrs_widens_where_it_is() -> None:
    record = drawn()
    wide = planted("wide_qrs", record)
    assert record.beats is not None
    width = [edges[1] - edges[0] for edges in map(qrs_edges, map(shape_of, (record, wide)))]
    assert 1.5 < width[1] / width[0] < 2.6
    peaks = record.beats.samples[1:-1]
    assert np.allclose(wide.signal[0][peaks], record.signal[0][peaks], atol=0.03)


def test_tiles_repeat_and_low_pass_takes_the_fast_parts() -> None:
    record = drawn()
    assert repetition(record.signal[0].astype(float), FS) < 2.5
    assert repetition(planted("tiled", record).signal[0].astype(float), FS) > 3.0
    spectrum = [np.abs(np.fft.rfft(r.signal[0])) ** 2 for r in (record, planted("low_pass", record))]
    fast = np.fft.rfftfreq(2500, 1 / FS) > 15
    assert spectrum[1][fast].sum() < 0.01 * spectrum[0][fast].sum()
    nobody = replace(record, beats=None, episodes=(Episode(0, 2500, "vf"),))
    assert repetition(planted("tiled", nobody).signal[0].astype(float), FS) > 3.0


def test_leads_are_exchanged_and_their_algebra_kept() -> None:
    record = twelve()
    swapped = planted("lead_swap", record)
    row = TWELVE_LEADS.index
    assert np.allclose(swapped.signal[row("I")], -record.signal[row("I")], atol=2e-3)
    assert np.allclose(swapped.signal[row("II")], record.signal[row("III")], atol=2e-3)
    assert np.allclose(swapped.signal[row("aVR")], record.signal[row("aVL")], atol=2e-3)
    for name in ("lead_swap", "permuted"):
        residual = lead_residual(planted(name, record).signal, TWELVE_LEADS)
        assert residual is not None and residual < 2.0
    residual = lead_residual(planted("einthoven", record).signal, TWELVE_LEADS)
    assert residual == pytest.approx(20.0, rel=0.1)
    assert not FAULTS["permuted"].applies(drawn(), "nsr")


def test_a_splice_is_one_person_then_another_without_a_step() -> None:
    record, other = drawn(1), drawn(2, rr=0.7, name="else")
    joined = planted("splice", record, partner=other)
    assert joined.beats is not None
    same = np.isclose(joined.signal[0], record.signal[0], atol=1e-3)
    cut = int(np.argmin(same))
    assert 0.3 * 2500 < cut < 0.7 * 2500 and same[:cut].all()
    assert abs(joined.signal[0, cut] - joined.signal[0, cut - 1]) < 0.08
    assert plant(FAULTS["splice"], record, np.random.default_rng(0)) is None


def test_a_partner_is_another_person_of_the_same_rate_and_source_if_there_is_one() -> None:
    record = drawn()
    rng = np.random.default_rng(0)
    same, slow = drawn(2), replace(drawn(3, name="else"), fs=360.0)
    near, far = drawn(4, name="near"), replace(drawn(5, name="far"), source="elsewhere")
    assert find_partner(record, [record, same, slow], rng) is None
    assert find_partner(record, [record, near, far], rng) is near
    assert find_partner(record, [record, far], rng) is far


def test_faults_apply_where_they_mean_something() -> None:
    record = drawn()
    assert FAULTS["no_p"].applies(record, "nsr") and not FAULTS["no_p"].applies(record, "afib")
    assert FAULTS["wide_qrs"].applies(record, "afib") and not FAULTS["wide_qrs"].applies(record, "vt")
    assert FAULTS["reversed"].applies(replace(record, beats=None), "vf")
    assert record.beats is not None
    block = replace(record.beats, symbols=("L",) * len(record.beats.symbols))
    assert known_narrow(record.beats) and not known_narrow(block)
    assert not FAULTS["wide_qrs"].applies(replace(record, beats=block), "nsr")


def test_upside_down_is_told_in_leads_that_point_one_way() -> None:
    assert told("inverted", "II", False) and told("inverted", "I", True) and told("splice", "I", False)
    assert not told("inverted", "I", False) and not told("inverted", "V1", False)
    assert "looks_inverted" in load_calibration().rhythms["nsr"]

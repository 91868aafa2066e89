"""Windows: beats move with the signal, windows keep to one rhythm, junk is dropped and counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgsynth.errors import OptionError
from ecgsynth.records import Beats, Episode, Record
from ecgsynth.windows import cut, ensure_beats, fault, find_windows, resample

FS = 250.0


def made(
    seconds: float = 40.0, fs: float = FS, rr: float = 0.8, n_leads: int = 2, **changes: object
) -> Record:
    """A record of Gaussian QRS complexes with annotated beats and one sinus episode."""
    n = round(seconds * fs)
    t = np.arange(n) / fs
    beats = np.arange(0.5, seconds - 0.5, rr)
    wave = 0.01 * np.random.default_rng(0).standard_normal(n)
    for at in beats:
        wave += np.exp(-0.5 * ((t - at) / 0.012) ** 2) + 0.25 * np.exp(-0.5 * ((t - at - 0.25) / 0.05) ** 2)
    samples = np.rint(beats * fs).astype(np.int64)
    record = Record(
        name="r1",
        signal=np.stack([wave * (1 - 0.3 * i) for i in range(n_leads)]).astype(np.float32),
        fs=fs,
        leads=("II", "V1", "V5")[:n_leads],
        subject="made/1",
        source="made",
        episodes=(Episode(0, n, "nsr"),),
        beats=Beats(samples, ("N",) * len(samples), "annotated"),
    )
    return replace(record, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 300.0, 360.0, 500.0])
def test_resampling_keeps_beats_on_their_peaks(fs: float) -> None:
    record = resample(made(seconds=20, fs=fs), 250.0)
    assert record.fs == 250.0
    assert abs(record.seconds - 20) < 0.01
    assert record.beats is not None
    for at in record.beats.samples:
        around = record.signal[0, at - 10 : at + 11]
        assert abs(int(np.argmax(around)) - 10) <= 2
    assert record.episodes == (Episode(0, record.n_samples, "nsr"),)


def test_resampling_removes_what_would_alias() -> None:
    """90 Hz at 500 Hz must vanish at 125 Hz (Nyquist 62.5), where it would fold to 35 Hz; 20 Hz must stay."""
    t = np.arange(5000) / 500
    high, low = np.sin(2 * np.pi * 90 * t), np.sin(2 * np.pi * 20 * t)
    record = made(seconds=10, fs=500.0, signal=np.stack([high, low]).astype(np.float32))
    out = resample(record, 125.0).signal[:, 100:-100]
    assert out[0].std() < 0.01
    assert abs(out[1].std() - low.std()) < 0.02


def test_resampling_states_the_narrowest_bandwidth_it_went_through() -> None:
    up = resample(made(fs=100.0), 250.0)
    assert up.extra["bandwidth"] == "50"
    assert resample(up, 500.0).extra["bandwidth"] == "50"
    assert resample(made(fs=500.0), 250.0).extra["bandwidth"] == "125"


def test_gaps_stay_gaps_and_do_not_spread() -> None:
    record = made(seconds=20, fs=300.0)
    record.signal[0, 3000:3300] = np.nan
    out = resample(record, 250.0)
    missing = np.flatnonzero(np.isnan(out.signal[0])) / 250.0
    assert abs(missing.min() - 10.0) < 0.02 and abs(missing.max() - 11.0) < 0.02
    assert not np.isnan(out.signal[1]).any()


def test_offset_makes_no_edge_ringing() -> None:
    record = made(seconds=10, fs=360.0, signal=np.full((1, 3600), 5.0, np.float32), leads=("II",))
    assert np.abs(resample(record, 250.0).signal - 5.0).max() < 0.01


@pytest.mark.parametrize("fs", [0.0, -250.0, float("nan"), float("inf")])
def test_resampling_to_no_rate_is_refused(fs: float) -> None:
    with pytest.raises(OptionError, match="fs is"):
        resample(made(), fs)


def test_annotated_beats_are_never_replaced() -> None:
    record = made()
    assert ensure_beats(record) is record


def test_detected_beats_say_so_and_carry_the_rhythms_symbols() -> None:
    n = round(40 * FS)
    parts = ("nsr", "vt", "paced", None)
    episodes = tuple(Episode(i * n // 4, (i + 1) * n // 4, name) for i, name in enumerate(parts))
    record = ensure_beats(made(beats=None, episodes=episodes))
    assert record.beats is not None and record.beats.source == "detected"
    assert 45 <= len(record.beats.samples) <= 50
    for episode, symbol in zip(episodes, ("N", "V", "/", "Q"), strict=True):
        part = record.slice(episode.start, episode.stop).beats
        assert part is not None and set(part.symbols) == {symbol}


def test_fibrillation_gets_no_beats() -> None:
    n = round(40 * FS)
    record = made(beats=None, episodes=(Episode(0, n // 2, "nsr"), Episode(n // 2, n, "vf")))
    beats = ensure_beats(record).beats
    assert beats is not None and len(beats.samples) >= 20 and beats.samples.max() < n // 2
    only = made(beats=None, episodes=(Episode(0, n, "vf"),))
    assert ensure_beats(only).beats is None


def test_early_beats_of_bigeminy_are_ventricular() -> None:
    at = np.cumsum(np.tile([0.5, 1.1], 12))
    t = np.arange(round(20 * FS)) / FS
    wave = np.exp(-0.5 * ((t[:, None] - at) / 0.012) ** 2).sum(axis=1).astype(np.float32)
    record = made(seconds=20, signal=wave[None], leads=("II",), beats=None)
    record = ensure_beats(replace(record, episodes=(Episode(0, len(t), "bigeminy"),)))
    assert record.beats is not None
    inner = record.beats.symbols[1:-1]
    assert {a + b for a, b in pairwise(inner)} == {"NV", "VN"}


def test_bundle_branch_block_names_the_beats() -> None:
    beats = ensure_beats(made(beats=None, extra={"conduction": "LBBB"})).beats
    assert beats is not None and set(beats.symbols) == {"L"}


def test_windows_lie_within_one_rhythm() -> None:
    n = round(60 * FS)
    episodes = (Episode(0, n // 2, "nsr"), Episode(n // 2, n - 500, "afib"), Episode(n - 500, n, None))
    windows = list(cut(made(seconds=60, episodes=episodes), 8.0, 4.0))
    assert {w.episodes[0].rhythm for w in windows} == {"nsr", "afib"}
    for window in windows:
        assert window.seconds == 8.0
        assert window.episodes == (Episode(0, window.n_samples, window.episodes[0].rhythm),)
        start = int(window.name.split("@")[1])
        assert window.beats is not None
        assert np.array_equal(window.signal, made(seconds=60).signal[:, start : start + window.n_samples])


@settings(max_examples=40, deadline=None)
@given(
    bounds=st.lists(st.integers(0, 15000), min_size=2, max_size=6, unique=True),
    seconds=st.floats(1.0, 20.0),
    step=st.floats(0.1, 10.0),
    within=st.floats(0.3, 1.0),
)
def test_found_windows_keep_their_promise(
    bounds: list[int], seconds: float, step: float, within: float
) -> None:
    edges = sorted(bounds)
    names = ("nsr", "vt", None, "afib", "svt")
    episodes = tuple(Episode(a, b, names[i]) for i, (a, b) in enumerate(pairwise(edges)))
    record = made(seconds=60, episodes=episodes, n_leads=1)
    for window in find_windows(record, seconds, step, within):
        assert window.start >= 0 and window.stop <= record.n_samples
        assert window.stop - window.start == round(seconds * FS)
        inside = min(window.stop, window.episode.stop) - max(window.start, window.episode.start)
        assert inside >= within * (window.stop - window.start) - 1
        assert window.episode.rhythm is not None


def test_short_burst_needs_a_share_below_one() -> None:
    record = made(episodes=(Episode(0, 4000, "nsr"), Episode(4000, 6000, "vt"), Episode(6000, 10000, "nsr")))
    assert not list(find_windows(record, 10.0, 2.0, rhythm="vt"))
    assert list(find_windows(record, 10.0, 2.0, within=0.7, rhythm="vt"))


@pytest.mark.parametrize("bad", [(0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0), (1.0, 1.0, 1.2)])
def test_impossible_windows_are_refused(bad: tuple[float, float, float]) -> None:
    with pytest.raises(OptionError, match="windows"):
        list(find_windows(made(), *bad))


def test_junk_is_dropped_and_counted_by_reason() -> None:
    record = made(seconds=50)
    record.signal[0, 600:700] = np.nan
    record.signal[1, 3000:3200] = record.signal[1, 3000]
    record.signal[0, 5500:5530] = 2.5
    record.signal[1, 8000:8100] = 12.0
    dropped: Counter[str] = Counter()
    kept = list(cut(record, 10.0, 10.0, dropped))
    assert dropped == {"nan": 1, "flat": 1, "clipped": 1, "amplitude": 1}
    assert [window.name for window in kept] == ["r1@10000"]


def test_quiet_but_living_lead_is_kept() -> None:
    quiet = (made(seconds=10).signal[0] * 0.1).astype(np.float32)
    assert fault(quiet, FS) is None
    assert fault(np.round(quiet * 200) / 200, FS) in (None, "flat")
    assert fault(np.zeros(2500, np.float32), FS) == "flat"

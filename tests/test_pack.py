"""The pack: arrays that fit together, beats on their peaks, no rhythm mislabelled, held-out sources out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ecgsynth.errors import OptionError, RecordError
from ecgsynth.pack import pack, trainable
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS, Beats, Episode, Record


def made(
    seconds: float,
    fs: float = 360.0,
    leads: tuple[str, ...] = ("MLII", "V5"),
    rhythm: str = "nsr",
    **changes: object,
) -> Record:
    n = round(seconds * fs)
    t = np.arange(n) / fs
    beats = np.arange(0.6, seconds - 0.2, 0.8)
    wave = 0.01 * np.random.default_rng(0).standard_normal(n)
    for at in beats:
        wave += np.exp(-0.5 * ((t - at) / 0.012) ** 2)
    samples = np.rint(beats * fs).astype(np.int64)
    record = Record(
        "r", np.stack([wave + 0.5] * len(leads)).astype(np.float32), fs, leads, "made/1", "made",
        (Episode(0, n, rhythm),), Beats(samples, ("N",) * len(samples), "annotated"), 60.0, "F",
    )  # fmt: skip
    return replace(record, **changes)  # type: ignore[arg-type]


def test_columns_have_one_entry_per_row_and_signal_is_centred() -> None:
    arrays = pack([made(60), made(60, subject="made/2", sex=None, age=None)])
    n = len(arrays["signal"])
    assert arrays["signal"].shape == (n, 1, 2560) and arrays["signal"].dtype == np.float16
    for key in (
        "rhythm",
        "lead",
        "source",
        "subject",
        "age",
        "sex",
        "start",
        "episode_start",
        "beats_source",
    ):
        assert len(arrays[key]) == n, key
    assert np.abs(np.median(arrays["signal"].astype(float), axis=2)).max() < 0.002
    assert set(arrays["lead"].tolist()) == {"MLII", "V5"}
    known = arrays["subject"] == "made/1"
    assert (arrays["sex"][known] == 0).all() and (arrays["sex"][~known] == -1).all()
    assert np.isnan(arrays["age"][~known]).all() and (arrays["age"][known] == 60).all()


def test_beats_lie_on_their_peaks_and_reach_past_the_edges() -> None:
    arrays = pack([made(60)])
    offsets, samples = arrays["beats_offsets"], arrays["beats_samples"]
    assert offsets[-1] == len(samples) == len(arrays["beats_symbols"])
    for i, signal in enumerate(arrays["signal"][:, 0].astype(float)):
        beats = samples[offsets[i] : offsets[i + 1]]
        assert beats.min() >= -500 and beats.max() < 2560 + 500
        inside = beats[(beats > 5) & (beats < 2550)]
        assert len(inside) >= 12
        assert all(abs(int(np.argmax(signal[at - 5 : at + 6])) - 5) <= 1 for at in inside)
    middle = [i for i, start in enumerate(arrays["start"]) if 500 < start < 60 * 250 - 2560 - 500]
    assert middle and all(samples[offsets[i]] < -250 for i in middle)


def test_burst_is_marked_where_it_lies() -> None:
    fs = 250.0
    n = round(40 * fs)
    episodes = (Episode(0, 4000, "nsr"), Episode(4000, 6000, "vt"), Episode(6000, n, "nsr"))
    arrays = pack([made(40, fs, episodes=episodes)])
    rows = np.flatnonzero(arrays["rhythm"] == "vt")
    assert len(rows)
    for i in rows:
        start = int(arrays["start"][i])
        inside = (max(0, 4000 - start), min(2560, 6000 - start))
        assert (arrays["episode_start"][i], arrays["episode_stop"][i]) == inside
        a, b = arrays["changes_offsets"][i : i + 2]
        told = dict(
            zip(arrays["changes_samples"][a:b].tolist(), arrays["changes_rhythm"][a:b].tolist(), strict=True)
        )
        assert told[4000 - start] == "vt" and set(told.values()) <= {"nsr", "vt"}
    for i in np.flatnonzero(arrays["rhythm"] == "nsr"):
        assert (arrays["episode_start"][i], arrays["episode_stop"][i]) == (0, 2560)


def test_ten_second_record_is_padded_and_says_where() -> None:
    arrays = pack([made(10.0, 500.0, TWELVE_LEADS, beats=None)], leads="twelve")
    assert arrays["signal"].shape == (1, 8, 2560) and arrays["leads"].tolist() == list(INDEPENDENT_LEADS)
    assert (arrays["valid_start"][0], arrays["valid_stop"][0]) == (30, 2530)
    assert arrays["start"][0] == -30 and arrays["beats_source"][0] == "detected"
    assert (arrays["episode_start"][0], arrays["episode_stop"][0]) == (0, 2560)
    assert arrays["record_leads"][0] == 12
    first = arrays["beats_samples"][0]
    assert abs(first - (30 + 0.6 * 250)) <= 2, "beats move with the padding"


def test_much_shorter_records_are_left_out() -> None:
    with pytest.raises(RecordError, match="no usable window"):
        pack([made(5.0)])


def test_cap_holds_per_person_and_rhythm_and_spreads() -> None:
    arrays = pack([made(300, leads=("II",)), made(300, leads=("II",), name="r2")], cap=6)
    assert len(arrays["signal"]) == 6
    assert set(arrays["record"].tolist()) == {"r", "r2"}
    assert np.ptp(arrays["start"]) > 200 * 250


def test_unwanted_leads_are_left_out_and_unnamed_ones_are_called_ecg() -> None:
    arrays = pack([made(30, leads=("V2", "ECG1"))])
    assert set(arrays["lead"].tolist()) == {"ECG"}
    dropped: Counter[str] = Counter()
    with pytest.raises(RecordError):
        pack([made(30, leads=("V2", "V3"))], dropped=dropped)
    assert dropped["lead"] == 1


def test_one_bad_lead_costs_a_row_of_single_and_the_window_of_twelve() -> None:
    record = made(30.0, 500.0, TWELVE_LEADS)
    record.signal[TWELVE_LEADS.index("V5")] = 0.0
    dropped: Counter[str] = Counter()
    assert set(pack([record], dropped=dropped)["lead"].tolist()) == {"I", "II", "V1"}
    assert dropped["flat"] > 0
    with pytest.raises(RecordError, match="flat"):
        pack([record], leads="twelve")


def test_unknown_layout_is_refused() -> None:
    with pytest.raises(OptionError, match="single and twelve"):
        pack([made(30)], leads="three")  # type: ignore[arg-type]


def test_held_out_sources_and_loose_labels_are_not_trained_on() -> None:
    records = [made(30, source=s) for s in ("ludb", "qtdb", "ptbxl_reissue", "mitdb", "vfdb")]
    vt = made(30, source="vfdb", rhythm="vt")
    noise = made(30, source="cinc2017", episodes=(Episode(0, 10800, None),))
    assert [r.source for r in trainable([*records, vt, noise])] == ["mitdb", "vfdb"]

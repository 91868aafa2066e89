"""The copy index refuses copies, lets strangers through, is small, fast, and holds no strip."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ecgsynth
from ecgsynth.checkpoint import read_metadata
from ecgsynth.errors import CheckpointError, OptionError, RecordError
from ecgsynth.privacy.copy_build import build_index, pack_strips, record_strips
from ecgsynth.privacy.copy_codes import KINDS, STRETCHES
from ecgsynth.privacy.copy_file import SHIPPED, load_index, save_index
from ecgsynth.privacy.copy_gate import CopyGate, index_beside, open_gate
from ecgsynth.privacy.copy_index import LIMITED, CopyIndex
from ecgsynth.privacy.descriptors import fine_spectra, stretched
from ecgsynth.privacy.samples import median_beat
from ecgsynth.privacy.traces import Strip
from ecgsynth.records import Record
from ecgsynth.rpeaks import detect_r_peaks
from ecgsynth.split import SplitManifest
from ecgsynth.wfdb_io import write_record

Floats = NDArray[np.float32]


def people(n: int, seed: int) -> list[Record]:
    generator = ecgsynth.load_generator("parametric")
    return generator.sample(rhythm="afib", n=n, seed=seed, seconds=10.24, leads=("II",))


def strips_of(records: Iterable[Record]) -> list[Strip]:
    return list(record_strips(records))


@pytest.fixture(scope="module")
def train() -> list[Record]:
    return people(40, 1)


@pytest.fixture(scope="module")
def index(train: list[Record]) -> CopyIndex:
    # Limits are real people's: forty made ones are too few to set any.
    return build_index(strips_of(train), {"made": "for a test"}, like=load_index())


def played(signal: Floats, factor: float) -> Floats:
    """Leads played ``factor`` times as long about their middle, ends cut or continued."""
    at = np.arange(signal.shape[1])
    where = (at - at.mean()) / factor + at.mean()
    return np.stack([np.interp(where, at, row) for row in signal])


def changed(record: Record, kind: str) -> Record:
    rng = np.random.default_rng(int(record.extra["index"]))
    x = record.signal
    ways = {
        "exact": x,
        "inverted": -0.7 * x,
        "rolled": np.roll(x, int(rng.integers(250, x.shape[1] - 250)), axis=1),
        "noisy": x + rng.normal(0, 0.05, x.shape),
        "stretched": played(x, 1 + float(rng.choice([-0.05, 0.05]))),
    }
    return replace(record, signal=ways[kind].astype(np.float32))


@pytest.mark.parametrize(
    ("kind", "least"),
    [("exact", 30), ("inverted", 30), ("rolled", 26), ("noisy", 26), ("stretched", 24)],
)
def test_copies_are_refused_with_a_reason(
    index: CopyIndex, train: list[Record], kind: str, least: int
) -> None:
    reasons = index.judge([changed(record, kind) for record in train[:30]])
    refused = [reason for reason in reasons if reason is not None]
    assert len(refused) >= least
    assert all(reason.startswith("copy: lead II from 0 s") and "allowed 0." in reason for reason in refused)


def test_strangers_are_let_through(index: CopyIndex) -> None:
    assert sum(reason is not None for reason in index.judge(people(60, 3))) <= 1


def test_limits_are_what_few_strips_reach_with_those_of_others() -> None:
    records = [replace(r, subject=f"clinic/{i % 50}") for i, r in enumerate(people(100, 6))]
    strips = strips_of(records)
    index = build_index(strips, {})
    assert set(index.limits["full"]) == {"", "afib"}
    some = [strip.signal for strip in strips[:20]]
    # Their own windows count here, those of others alone counted when the limit was set.
    assert index.over(index.likeness(some), ["afib"] * 20)[:, LIMITED.index("both")].all()
    nobody = {kind: np.ones((len(codes), len(some)), dtype=bool) for kind, codes in index.codes.items()}
    assert (index.found(index.ask(some, nobody))[..., 0] == -1).all()


def test_all_windows_of_a_person_are_in_one_block_and_blocks_are_of_one_size() -> None:
    records = [replace(r, subject=f"clinic/{i % 30}") for i, r in enumerate(people(60, 7))]
    strips = strips_of(records)
    index = build_index(strips, {})
    for kind in KINDS:
        edges = index.blocks[kind]
        assert edges[0] == 0 and edges[-1] == len(index.codes[kind]) == 60 * (1 + (kind == "half"))
        assert np.ptp(np.diff(edges)) <= 4
    asked = index.ask([strip.signal for strip in strips])
    block = asked["full"].nearest[asked["full"].best(asked["full"].nearest.max(1))].argmax(1)
    assert (block[:30] == block[30:]).all() and len(np.unique(block)) == len(index.blocks["full"]) - 1


def test_a_likeness_is_what_it_says_at_every_stretch(index: CopyIndex, train: list[Record]) -> None:
    """A stretch read off the spectrum is that of the stretched strip, described by itself."""
    strip, describe = strips_of(train)[0].signal.astype(np.float64), index.coders["full"].describe
    read = describe.at_stretches(fine_spectra(strip[None]), STRETCHES)[0]
    made = np.concatenate([describe.numbers(stretched(strip, factor)[None]) for factor in STRETCHES])
    assert np.allclose(read[STRETCHES.index(1.0)], made[STRETCHES.index(1.0)], atol=1e-4)
    assert ((read * made).sum(axis=1) > 0.95).all()
    assert (np.diag(read @ made.T) >= (read @ made.T).max(axis=0) - 0.01).all()


def test_noise_lowers_what_is_allowed() -> None:
    """A noisy strip is near to nobody, so that a smaller likeness gives a copy away."""
    rng = np.random.default_rng(0)
    generator = ecgsynth.load_generator("parametric")
    regular = generator.sample(rhythm="nsr", n=20, seed=21, seconds=10.24, leads=("II",))
    strips = [strip.signal for strip in strips_of(regular)]
    noisy = [strip + rng.normal(0, 0.15, len(strip)).astype(np.float32) for strip in strips]
    found = [load_index().likeness(side)[:, 0].T for side in (strips, noisy)]
    expected = [np.arctanh(cosine) - excess for cosine, excess in found]
    assert expected[1].mean() < expected[0].mean() - 0.05


def test_together_or_alone_the_likeness_is_the_same(index: CopyIndex, train: list[Record]) -> None:
    some = people(7, 4) + train[:2]
    assert index.look_up(some) == [index.look_up([record])[0] for record in some]


def test_short_and_flat_records_are_let_through(index: CopyIndex, train: list[Record]) -> None:
    flat = replace(train[0], signal=np.zeros_like(train[0].signal))
    assert index.judge([train[0].slice(0, 700), flat]) == [None, None]
    assert index.judge([]) == []


def test_a_stretch_that_is_there_twice_is_kept_once(train: list[Record]) -> None:
    strips = strips_of(train)
    assert build_index(strips + strips[:20], {}).notes == build_index(strips, {}).notes
    # Two channels of one name, as Holter recordings have them, are two.
    first, other = strips[0], replace(strips[0], signal=strips[1].signal)
    both = build_index([first, other, *strips[2:]], {})
    assert (both.likeness([first.signal, other.signal])[:, 0, 0] > 0.995).all()
    with pytest.raises(RecordError, match="nothing to index"):
        build_index([], {})


def test_few_people_take_limits_and_descriptors_from_another_index(
    index: CopyIndex, train: list[Record]
) -> None:
    few = people(2, 8)
    own = build_index(strips_of(few), {}, like=index)
    assert own.limits == index.limits and own.notes["people"] == 2
    assert all(own.judge([changed(few[0], "inverted"), few[1]]))
    assert not any(own.judge(train[:20]))


def test_a_pack_and_its_records_give_the_same_people(train: list[Record]) -> None:
    from ecgsynth.pack import pack

    records = [replace(r, subject=f"clinic/{r.name}", source="ptbxl") for r in train[:5]]
    strips = list(pack_strips(pack(records)))
    assert {s.subject for s in strips} == {r.subject for r in records}
    assert {s.rhythm for s in strips} == {"afib"} and all(len(s.signal) == 655 for s in strips)


def test_a_file_gives_the_same_index_and_the_same_bytes(index: CopyIndex, tmp_path: Path) -> None:
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path in paths:
        save_index(index, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    again = load_index(paths[0])
    assert all((again.codes[k] == index.codes[k]).all() for k in ("full", "half"))
    assert again.limits == index.limits and again.notes == index.notes
    assert (
        again.likeness([np.sin(np.arange(655, dtype=np.float32))])
        == index.likeness([np.sin(np.arange(655, dtype=np.float32))])
    ).all()


def test_the_shipped_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    save_index(load_index(), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == SHIPPED.read_bytes()


def test_codes_that_go_with_another_shipped_index_are_an_error(
    tmp_path: Path, train: list[Record], index: CopyIndex
) -> None:
    assert index.like is not None
    other = replace(index, like=build_index(strips_of(train), {}))
    save_index(other, tmp_path / "old.safetensors")
    with pytest.raises(CheckpointError, match=r"another shipped index.*--train DIR"):
        load_index(tmp_path / "old.safetensors")


def test_what_is_no_index_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing")
    for path in (tmp_path / "x", tmp_path / "missing"):
        with pytest.raises(CheckpointError, match="copy index"):
            load_index(path)


def beats_and_codes(index: CopyIndex, records: Iterable[Record]) -> tuple[NDArray, NDArray]:
    beats, codes = [], []
    for record, strip in zip(records, strips_of(records), strict=True):
        level = record.signal[0].astype(np.float64)
        beat = median_beat(level, record.fs, detect_r_peaks(level, record.fs))
        if beat is not None:
            beats.append((beat - beat.mean()) / np.linalg.norm(beat - beat.mean()))
            codes.append(index.coders["full"].describe(strip.signal[None])[0])
    return np.array(beats), np.array(codes)


def test_a_beat_cannot_be_drawn_from_its_code(index: CopyIndex) -> None:
    """The best of three regressions comes hardly nearer to a beat than everybody's average beat does."""
    known, codes = beats_and_codes(index, people(160, 11))
    true, seen = beats_and_codes(index, people(50, 12))
    average = true @ known.mean(0) / np.linalg.norm(known.mean(0))
    with_one = np.c_[codes, np.ones(len(codes))]
    ridge = np.linalg.solve(with_one.T @ with_one + 0.3 * np.eye(with_one.shape[1]), with_one.T @ known)
    near = np.argsort(-(seen @ codes.T), axis=1)
    guesses = (np.c_[seen, np.ones(len(seen))] @ ridge, known[near[:, 0]], known[near[:, :5]].mean(1))
    best = max(np.mean((g * true).sum(1) / np.linalg.norm(g, axis=1)) for g in guesses)
    assert best < np.mean(average) + 0.05


def test_rows_are_not_in_the_order_of_the_people(train: list[Record]) -> None:
    strips = strips_of(train)
    codes = build_index(strips, {}, like=load_index()).codes["full"]
    assert (codes[np.lexsort(codes.T)] == codes).all()
    whole = build_index(strips, {})
    for a, b in pairwise(whole.blocks["half"].tolist()):
        block = whole.codes["half"][a:b]
        assert (block[np.lexsort(block.T)] == block).all()


def test_the_shipped_index_is_of_the_training_people_small_and_fast(train: list[Record]) -> None:
    index = load_index()
    split = Path(__file__).parent.parent / "docs" / "results" / "split.json"
    people_ = SplitManifest.from_json(split.read_text())
    assert index.notes["people"] == len(people_.train) + len(people_.val)
    assert index.notes["split"] == people_.sha256
    for weights in SHIPPED.parent.glob("c*-*.safetensors"):
        assert read_metadata(weights)["training"]["pack"] == people_.sha256
    assert SHIPPED.stat().st_size <= 1_000_000
    index.judge(train[:32])
    began = time.process_time()
    index.judge(train[:32])
    # 1 ms where the machine does nothing else; a loaded one gets four times that.
    assert (time.process_time() - began) / 32 < 0.004


def test_the_gate_says_whom_it_compares_with(tmp_path: Path, train: list[Record]) -> None:
    shipped = open_gate("cvae", None, {})
    assert shipped.state == "on" and "people of the shipped weights" in shipped.note
    assert open_gate("parametric", None, {}) == CopyGate(
        (), "not needed", "not needed: the simulator has learned no waveform from anybody"
    )
    off = open_gate("cvae", None, {}, wanted=False)
    assert off.state == "off" and off.note.startswith("**OFF") and off.judge(train[:2]) == [None, None]


def test_own_weights_need_an_index_a_folder_or_a_word(
    tmp_path: Path, index: CopyIndex, train: list[Record]
) -> None:
    weights = tmp_path / "vt.safetensors"
    with pytest.raises(OptionError, match=r"vt\.copies\.safetensors.*--train DIR.*--no-copy-gate"):
        open_gate("cvae", weights, {})
    of_the_script = {"training": {"pack": load_index().notes["split"]}}
    assert len(open_gate("cvae", weights, of_the_script).indexes) == 1
    private = open_gate("cvae", weights, {"training": {"dp": {"epsilon": 8.0}}})
    assert len(private.indexes) == 1 and "would break" in private.note
    save_index(index, index_beside(weights))
    assert len(open_gate("cvae", weights, {}).indexes) == 2
    with pytest.raises(OptionError, match="contradict"):
        open_gate("cvae", weights, {}, tmp_path, wanted=False)


def test_a_folder_of_recordings_is_kept_apart_from(tmp_path: Path, train: list[Record]) -> None:
    for record in train[:3]:
        marks = [(0, "(AFIB")]
        write_record(tmp_path, record.name, record.signal, record.fs, record.leads, [], marks=marks)
    gate = open_gate("parametric", None, {}, tmp_path)
    assert gate.state == "on" and "3 people of the folder" in gate.note
    found = gate.judge([train[0], train[3], changed(train[1], "inverted")])
    assert found[0] is not None and found[1] is None and found[2] is not None

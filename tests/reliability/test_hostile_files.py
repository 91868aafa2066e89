"""Whatever a file holds: a record that passes every check, or an error that names file and field, at once."""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgsynth import load_generator
from ecgsynth.datasets.folder import read_folder
from ecgsynth.errors import EcgSynthError, RecordError
from ecgsynth.wfdb_io import MAX_MV, RawRecord, read_beats_and_marks, read_record
from ecgsynth.wfdb_io.header import MAX_FS

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert _spec is not None and _spec.loader is not None
hostile: Any = importlib.util.module_from_spec(_spec)
sys.modules["hostile"] = hostile
_spec.loader.exec_module(hostile)

#: What one file may cost, in seconds of this process and in bytes.
SECONDS, BYTES = 1.0, 2 << 30


def check(record: RawRecord) -> None:
    """Everything that a record which was not refused must be."""
    leads, n = record.signal.shape
    assert leads == len(record.leads) == len(record.gains) == len(record.units) >= 1 and n >= 1
    assert record.signal.dtype == np.float32 and record.digital.shape == record.signal.shape
    assert 0 < record.fs <= MAX_FS and all(gain > 0 for gain in record.gains)
    assert not np.isinf(record.signal).any()
    assert np.nanmax(np.abs(record.signal), initial=0) <= MAX_MV
    assert all(lead.isprintable() for lead in record.leads)


def read_all_of(folder: Path, name: str) -> str:
    """Read a record and its annotations; what happened."""
    said = []
    for act in (lambda: check(read_record(folder / name)), lambda: _annotations(folder / name)):
        began = time.process_time()
        try:
            act()
            said.append("read")
        except EcgSynthError as error:
            text = str(error)
            assert str(folder) in text and len(text) < 1000 and text.isprintable(), text
            said.append("refused")
        assert time.process_time() - began < SECONDS
    return " and ".join(said)


def _annotations(path: Path) -> None:
    if not path.with_suffix(".atr").exists():
        return
    found = read_beats_and_marks(path, "atr")
    assert np.all(np.diff(found.samples) >= 0) and np.all(found.samples >= 0)
    assert len(found.symbols) == len(found.aux) == found.samples.size
    assert all(len(note) <= 255 for note in found.aux)


def test_sound_records_of_every_kind_are_read(tmp_path: Path) -> None:
    for name in hostile.plant(tmp_path):
        assert read_all_of(tmp_path, name) == "read and read", name


def test_spoilt_records_are_read_or_refused(tmp_path: Path, times: Callable[[int, int], int]) -> None:
    sound = tmp_path / "sound"
    sound.mkdir()
    names = hostile.plant(sound)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: Counter[str] = Counter()
    for case in range(times(500, 10_000)):
        rng = np.random.default_rng(case)
        name = names[case % len(names)]
        shutil.rmtree(tmp_path / "case", ignore_errors=True)
        shutil.copytree(sound, tmp_path / "case")
        hostile.spoil(tmp_path / "case", name, rng)
        try:
            outcomes[read_all_of(tmp_path / "case", name)] += 1
        except Exception as error:
            raise AssertionError(f"case {case}, {name}: {error!r}") from error
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < BYTES, f"{grown / 1e9:.1f} GB"
    # The faults are neither all harmless nor all fatal, so both ways are tried.
    assert min(outcomes["read and read"], outcomes["refused and read"]) > times(500, 10_000) / 20, outcomes


def bomb(folder: Path, name: str) -> Path:
    """Files that would take much time or memory if their claims were believed."""
    hea, dat, atr = (folder / f"x.{end}" for end in ("hea", "dat", "atr"))
    dat.write_bytes(b"\x00" * 1000)
    hea.write_text("x 1 250 500\nx.dat 16 200(0)/mV 16 0 0 0 0 I\n")
    if name == "sparse data":
        with dat.open("r+b") as file:
            file.truncate(1 << 40)
        hea.write_text("x 1 250\nx.dat 16 200(0)/mV 16 0 0\n")
    if name == "signals":
        hea.write_text("x 1000000 250 500\n" + "x.dat 16 200(0)/mV\n" * 40_000)
    if name == "segments":
        hea.write_text("x/40000 1 250 20000000\n" + "y 500\n" * 40_000)
    if name == "long segments":
        hea.write_text(f"x/3 1 250 {3 * 10**17}\n" + f"y {10**17}\n" * 3)
        (folder / "y.hea").write_text("y 1 250 500\nx.dat 16 200(0)/mV\n")
    if name == "segments of segments":
        hea.write_text("x/2 1 250 1000\ny 500\ny 500\n")
        (folder / "y.hea").write_text("y/2 1 250 500\nx 250\nx 250\n")
    if name == "itself":
        hea.write_text("x/2 1 250 1000\nx 500\nx 500\n")
    if name == "flac":
        import soundfile

        with (folder / "x.dat").open("wb") as file:
            soundfile.write(file, np.zeros((3_000_000, 1), np.int16), 250, format="FLAC", subtype="PCM_16")
        hea.write_text("x 1 250 3000000\nx.dat 516 200(0)/mV\n")
    if name == "annotations":
        atr.write_bytes(b"\x01\x04" * (1 << 22) + b"\x00\x00")
    if name == "skips":
        atr.write_bytes(b"\x00\xec\xff\x7f\xff\xff" * 150_000 + b"\x01\x04\x00\x00")
    if name == "full annotations":
        atr.write_bytes(b"\x00\x04" * ((1 << 19) - 1) + b"\x00\x00")
    if name == "comments":
        hea.write_text(hea.read_text() + "#" * 900_000 + "\n" + "# x\n" * 10_000)
    if name == "fifo":
        dat.unlink()
        os.mkfifo(dat)
    return folder / "x"


BOMBS = {
    "sparse data": "number of samples",
    "signals": "number of signals",
    "segments": "number of segments",
    "long segments": "number of samples",
    "segments of segments": "record name",
    "itself": "segment 0 name",
    "flac": "at most 64 to a byte",
    "annotations": "size",
    "skips": "last sample",
    "full annotations": None,
    "comments": None,
    "fifo": "not a regular file",
}


@pytest.mark.parametrize("name", BOMBS)
def test_claims_are_checked_before_memory_is_taken(tmp_path: Path, name: str) -> None:
    path, began = bomb(tmp_path, name), time.process_time()
    resource_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    says = BOMBS[name]
    try:
        record = read_record(path)
        check(record)
        _annotations(path)
        said = None
    except RecordError as error:
        said = str(error)
    assert time.process_time() - began < SECONDS
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resource_before) < BYTES / 4
    assert (said is None) if says is None else (said is not None and says in said), said


@pytest.mark.parametrize(("fmt", "size"), [("16", 2.0), ("212", 1.5), ("24", 3.0), ("32", 4.0)])
def test_the_longest_record_that_is_read_stays_below_two_gigabytes(
    tmp_path: Path, times: Callable[[int, int], int], fmt: str, size: float
) -> None:
    """Traced on a part in the short form: memory is a fixed number of bytes per sample."""
    from ecgsynth.wfdb_io import signals

    n = signals.MAX_SAMPLES // times(25, 1)
    with (tmp_path / "x.dat").open("wb") as file:
        file.truncate(int(size * n))
    (tmp_path / "x.hea").write_text(f"x 2 360 {n // 2}\n" + f"x.dat {fmt} 200(0)/mV\n" * 2)
    tracemalloc.start()
    try:
        read_record(tmp_path / "x")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak * signals.MAX_SAMPLES / n < BYTES, f"{peak / n:.1f} bytes per sample"


def test_segments_are_joined(tmp_path: Path) -> None:
    hostile.plant(tmp_path)
    one, two = read_record(tmp_path / "r0"), read_record(tmp_path / "r1")
    fixed = read_record(tmp_path / "fixed")
    assert fixed.leads == ("II", "V1") and fixed.signal.shape == (2, 1200) and fixed.verified
    np.testing.assert_array_equal(fixed.signal[:, :500], two.signal)
    assert np.isnan(fixed.signal[:, 500:700]).all()
    np.testing.assert_array_equal(fixed.digital[:, 700:], two.digital)
    variable = read_record(tmp_path / "variable")
    assert variable.leads == ("V1", "II") and variable.signal.shape == (2, 1050)
    np.testing.assert_array_equal(variable.signal[1, :500], one.signal[0])
    assert np.isnan(variable.signal[0, :550]).all()
    np.testing.assert_array_equal(variable.signal[::-1, 550:], two.signal)


def test_the_library_joins_segments_the_same(tmp_path: Path) -> None:
    import wfdb

    hostile.plant(tmp_path)
    (tmp_path / "fixed.hea").write_text("fixed/2 2 250 1000\nr1 500\nr1 500\n")  # it knows no gaps there
    for name in ("fixed", "variable"):
        theirs = wfdb.rdrecord(str(tmp_path / name)).p_signal.T
        np.testing.assert_allclose(read_record(tmp_path / name).signal, theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("r1 500", "../r1 500", "segment 0 name"),
        ("r1 500", "/etc/r1 500", "segment 0 name"),
        ("r1 500", "http://x 500", "segment 0 name"),
        ("r1 500", "fixed 500", "segment 0 name"),
        ("r1 500", "r7 500", "does not exist"),
        ("r1 500", "r0 500", "number of signals"),
        ("r1 500", "link 500", "files inside"),
        ("r1 500", "r1 0", "sum over the segments"),
        ("r1 500", "r1 499", "sum over the segments"),
        ("fixed/3 2 250 1200", "fixed/3 2 360 1200", "sampling rate"),
        ("fixed/3 2 250 1200", "fixed/4 2 250 1200", "number of segments"),
        ("fixed/3 2 250 1200\nr1 500", "fixed/3 2 250 1201\nr1 501", "number of samples"),
    ],
)
def test_segments_are_held_to_what_the_record_says(tmp_path: Path, old: str, new: str, says: str) -> None:
    inner = tmp_path / "in"
    inner.mkdir()
    hostile.plant(inner)
    (tmp_path / "link.hea").write_text((inner / "r1.hea").read_text())
    (inner / "link.hea").symlink_to(tmp_path / "link.hea")
    text = (inner / "fixed.hea").read_text()
    (inner / "fixed.hea").write_text(text.replace(old, new, 1))
    with pytest.raises(RecordError, match=says):
        read_record(inner / "fixed")


def test_nothing_outside_the_folder_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python tells every file that is opened; whatever RECORDS and headers name, none lies elsewhere."""
    root = tmp_path / "root"
    root.mkdir()
    hostile.plant(root)
    hostile.plant(tmp_path)
    opened: list[str] = []
    watching = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if watching and event == "open" and isinstance(args[0], str):
            opened.append(os.path.realpath(args[0]))

    sys.addaudithook(hook)
    text = (root / "r0.hea").read_text()
    ways = ["../r0", f"{tmp_path}/r0", "..", "http://localhost/r0", "s3://b/r0", "root/../../r0", "link/r0"]
    (root / "link").symlink_to(tmp_path)
    for way in ways:
        for content in (text.replace("r0.dat", f"{way}.dat"), f"x/1 1 250 500\n{way} 500\n"):
            (root / "x.hea").write_text(content)
            (root / "RECORDS").write_text("x\n")
            with pytest.raises(RecordError):
                list(read_folder(root))
        (root / "RECORDS").write_text(f"{way}\n")
        with pytest.raises(RecordError):
            list(read_folder(root))
    watching = False
    strangers = [name for name in opened if name.startswith(str(tmp_path)) and not name.startswith(str(root))]
    assert opened and strangers == []


def test_repeated_leads(tmp_path: Path) -> None:
    hostile.plant(tmp_path)
    text = (tmp_path / "r1.hea").read_text()
    (tmp_path / "r1.hea").write_text(text.replace(" V1\n", " ii\n"))
    with pytest.raises(RecordError, match="each standard lead once"):
        read_record(tmp_path / "r1")
    (tmp_path / "r1.hea").write_text(text.replace(" II\n", " ECG\n").replace(" V1\n", " ECG\n"))
    (tmp_path / "RECORDS").write_text("r1\n")
    assert next(read_folder(tmp_path)).leads == ("ECG", "ECG#2")


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: raw.replace(b"250 500", b"250 500 25:61:61 31/02/1900"),
        lambda raw: raw.replace(b"250 500", b"250/250(0) 500 12:00:00 01/01/2020"),
        lambda raw: raw.replace(b"/mV 16", b"/\xb5V 16").replace(b"1000(0)", b"1(0)"),
        lambda raw: b"\n\n# first\n" + raw + b"\n\n",
    ],
)
def test_harmless_oddities_are_read(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    hostile.plant(tmp_path)
    before, file = read_record(tmp_path / "r1"), tmp_path / "r1.hea"
    file.write_bytes(change(file.read_bytes()))
    found = read_record(tmp_path / "r1")
    np.testing.assert_allclose(found.signal, before.signal, atol=1e-6)
    assert found.leads == before.leads


def test_gaps_flat_and_clipped_runs_are_read_and_never_become_windows(tmp_path: Path) -> None:
    """They are what was recorded: reading keeps them, and whoever learns or judges leaves them out."""
    from ecgsynth.windows import cut

    good = load_generator("parametric").sample(rhythm="nsr", n=1, seconds=30.0)[0].signal
    faults = {"gap": np.nan, "flat": 0.123, "clipped": 5.0}
    for name, value in faults.items():
        digital = np.rint(1000 * good).astype(int)
        digital[0, 2600:4900] = -32768 if name == "gap" else int(1000 * value)
        (tmp_path / "x.dat").write_bytes(digital.astype("<i2").tobytes())
        (tmp_path / "x.hea").write_text("x 1 250 7500\nx.dat 16 1000(0)/mV\n#Dx: 426783006\n")
        (tmp_path / "RECORDS").write_text("x\n")
        record = next(read_folder(tmp_path))
        assert record.n_samples == 7500 and np.isnan(record.signal).any() == (name == "gap")
        starts = [int(part.name.rpartition("@")[2]) for part in cut(record, 10.0, 10.0, Counter())]
        assert starts and all(start + 2500 <= 2600 or start >= 4900 for start in starts), (name, starts)

"""Reading trusts no header; writing is exact and byte for byte what the wfdb library writes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgsynth.errors import OutputError, RecordError
from ecgsynth.records import TWELVE_LEADS, Beats, twelve_from_eight
from ecgsynth.wfdb_io import (
    encode_annotations,
    encode_record,
    read_beats_and_marks,
    read_record,
    to_digital,
    write_record,
)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A small two-lead record with beats and a mark; the path has no suffix."""
    signal = np.random.default_rng(0).normal(0, 0.5, (2, 500)).astype(np.float32)
    beats = Beats(np.array([50, 250, 450]), ("N", "V", "N"), "generated")
    write_record(tmp_path, "r1", signal, 250, ("II", "V1"), ["Age: 63"], beats=beats, marks=[(0, "(AFIB")])
    return tmp_path / "r1"


def edit_header(record: Path, old: str, new: str) -> None:
    file = record.with_suffix(".hea")
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def write_with_library(folder: Path, digital: np.ndarray, fmt: str, units: str = "mV") -> Path:
    n = digital.shape[1]
    names = [f"lead{i}" for i in range(n)]
    wfdb.wrsamp(
        "lib",
        fs=250,
        units=[units] * n,
        sig_name=names,
        d_signal=digital.astype(np.int64),
        fmt=[fmt] * n,
        adc_gain=[200.0] * n,
        baseline=[5] * n,
        write_dir=str(folder),
    )
    return folder / "lib"


def test_what_is_written_is_read_back_exactly(record: Path) -> None:
    signal = np.random.default_rng(0).normal(0, 0.5, (2, 500)).astype(np.float32)
    found = read_record(record)
    assert found.signal.dtype == np.float32 and found.signal.shape == (2, 500)
    assert np.abs(found.signal - signal).max() <= 0.0005001
    assert np.array_equal(found.digital, np.rint(signal * np.float32(1000)))
    assert (found.fs, found.leads, found.comments, found.verified) == (250, ("II", "V1"), ("Age: 63",), True)
    marks = read_beats_and_marks(record)
    assert marks.samples.tolist() == [0, 50, 250, 450]
    assert marks.symbols == ("+", "N", "V", "N") and marks.aux == ("(AFIB", "", "", "")


def test_the_library_reads_the_same(record: Path) -> None:
    ours, theirs = read_record(record.with_suffix(".hea")), wfdb.rdrecord(str(record))
    np.testing.assert_allclose(ours.signal, theirs.p_signal.T, atol=1e-6)
    assert wfdb.rdann(str(record), "atr").aux_note == ["(AFIB", "", "", ""]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_files_are_those_of_the_library(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40), label="samples")
    width = data.draw(st.integers(1, 3), label="leads")
    adu = st.integers(-32767, 32767)
    digital = np.array(data.draw(st.lists(adu, min_size=n * width, max_size=n * width))).reshape(width, n)
    fs = data.draw(st.sampled_from([100, 250, 360, 500, 1000, 257.5]))
    leads = ["V1", "MLII", "lead 3"][:width]
    comments = data.draw(st.sampled_from([[], ["Age: 63", "Sex: Male"]]))
    files = encode_record("r", (digital / 1000).astype(np.float32), fs, leads, comments)
    with tempfile.TemporaryDirectory() as folder:
        wfdb.wrsamp(
            "r",
            fs=fs,
            units=["mV"] * width,
            sig_name=leads,
            d_signal=digital.T,
            fmt=["16"] * width,
            adc_gain=[1000] * width,
            baseline=[0] * width,
            comments=comments,
            write_dir=folder,
        )
        assert files == {name: Path(folder, name).read_bytes() for name in ("r.dat", "r.hea")}
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        assert np.array_equal(read_record(Path(folder, "r"), max_mv=40).digital, digital)


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.integers(1, 1100), st.integers(60_000, 70_000), st.sampled_from([1023, 1024, 3**21])
            ),
            st.sampled_from("NLRAVFJaejE/fQ+"),
            st.one_of(st.just(""), st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=255)),
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=60, deadline=None)
def test_annotations_are_those_of_the_library(rows: list[tuple[int, str, str]]) -> None:
    samples = np.cumsum([gap for gap, _, _ in rows])
    marks = [(int(s), symbol, aux) for s, (_, symbol, aux) in zip(samples, rows, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        symbols, notes = [m[1] for m in marks], [m[2] for m in marks]
        wfdb.wrann("r", "atr", samples, symbols, aux_note=list(notes), write_dir=folder)
        assert encode_annotations(marks) == Path(folder, "r.atr").read_bytes()
        found = read_beats_and_marks(Path(folder, "r"))
    assert found.samples.tolist() == samples.tolist()
    assert list(found.symbols) == symbols and list(found.aux) == notes


@pytest.mark.parametrize("fmt", ["16", "80", "212", "24", "32", "516", "524"])
@pytest.mark.parametrize("n", [1, 30, 31])
def test_formats_that_the_library_writes(tmp_path: Path, fmt: str, n: int) -> None:
    limit = {"80": 127, "212": 2047}.get(fmt, 32767)
    digital = np.random.default_rng(n).integers(-limit, limit + 1, (n, 3))
    path = write_with_library(tmp_path, digital, fmt)
    found = read_record(path, max_mv=200)
    assert np.array_equal(found.digital.T, digital) and found.verified
    np.testing.assert_allclose(found.signal.T, wfdb.rdrecord(str(path)).p_signal, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("fmt", "size"), [("61", 180), ("160", 180), ("8", 90), ("310", 120), ("311", 120)])
def test_formats_that_the_library_only_reads(tmp_path: Path, fmt: str, size: int) -> None:
    (tmp_path / "x.dat").write_bytes(np.random.default_rng(0).integers(0, 64, size, dtype=np.uint8).tobytes())
    line = f"x.dat {fmt} 200(0)/mV 16 0 0\n"
    (tmp_path / "x.hea").write_text(f"x 3 250 30\n{line * 3}")
    found = read_record(tmp_path / "x", verify_checksum=False, max_mv=200)
    theirs = wfdb.rdrecord(str(tmp_path / "x"), physical=False).d_signal
    assert np.array_equal(found.digital.T, theirs) and np.ptp(found.digital) > 0
    (tmp_path / "x.dat").write_bytes(b"\x01" * (size - 1))
    with pytest.raises(RecordError, match="truncated"):
        read_record(tmp_path / "x", verify_checksum=False)


def test_length_from_the_file_where_the_header_states_none(record: Path) -> None:
    edit_header(record, "r1 2 250 500", "r1 2 250")
    assert read_record(record).signal.shape == (2, 500)


def test_data_beyond_the_declared_length_need_checksums(record: Path) -> None:
    with record.with_suffix(".dat").open("ab") as file:
        file.write(b"\x00" * 512)
    assert read_record(record).signal.shape == (2, 500)
    (record.parent / "r2.hea").write_text(
        "r2 2 250 500\n" + "r1.dat 16 1000(0)/mV 16 0 0 0\n" + "r1.dat 16 1000(0)/mV\n"
    )
    with pytest.raises(RecordError, match=r"size of r1\.dat"):
        read_record(record.parent / "r2")


def test_a_flac_file_of_another_length(tmp_path: Path) -> None:
    path = write_with_library(tmp_path, np.arange(60).reshape(20, 3), "516")
    edit_header(path, "lib 3 250 20", "lib 3 250 2000000000")
    with pytest.raises(RecordError, match="number of samples"):
        read_record(path)


@pytest.mark.parametrize(
    ("fmt", "invalid"), [("16", -32768), ("212", -2048), ("80", -128), ("24", -(1 << 23))]
)
def test_invalid_samples_become_nan(tmp_path: Path, fmt: str, invalid: int) -> None:
    digital = np.array([[1, 2], [invalid, 3], [4, 5]])
    found = read_record(write_with_library(tmp_path, digital, fmt))
    assert np.isnan(found.signal).T.tolist() == [[False, False], [True, False], [False, False]]


@pytest.mark.parametrize("unit", ["uV", "\u00b5V", "\u03bcV"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_microvolts_are_converted(record: Path, unit: str, encoding: str) -> None:
    before = read_record(record).signal
    edit_header(record, "1000(0)/mV", f"1(0)/{unit}")
    file = record.with_suffix(".hea")
    if unit != "\u03bcV":
        file.write_bytes(file.read_text(encoding="utf-8").encode(encoding))
    np.testing.assert_allclose(read_record(record).signal, before, atol=1e-6)


def test_offset_mat_with_zero_checksums_is_read_but_not_verified(record: Path) -> None:
    raw = record.with_suffix(".dat").read_bytes()
    record.with_suffix(".mat").write_bytes(b"\x00" * 24 + raw)
    before = read_record(record).digital
    lines = record.with_suffix(".hea").read_text().splitlines()
    for i in (1, 2):
        fields = lines[i].split()
        lines[i] = " ".join(["r1.mat", "16+24", *fields[2:6], "0", "0", fields[8]])
    record.with_suffix(".hea").write_text("\n".join(lines))
    found = read_record(record)
    assert np.array_equal(found.digital, before) and not found.verified


def test_zero_checksums_beside_a_dat_are_a_claim(record: Path) -> None:
    lines = record.with_suffix(".hea").read_text().splitlines()
    for i in (1, 2):
        fields = lines[i].split()
        lines[i] = " ".join([*fields[:6], "0", *fields[7:]])
    record.with_suffix(".hea").write_text("\n".join(lines))
    with pytest.raises(RecordError, match="checksum of signal 0"):
        read_record(record)
    assert not read_record(record, verify_checksum=False).verified


def test_common_gain_ignores_each_leads_own(record: Path) -> None:
    edit_header(record, "r1.dat 16 1000(0)/mV", "r1.dat 16 1716(6)/mV")
    found = read_record(record, common_gain=500)
    np.testing.assert_allclose(found.signal, found.digital / 500, rtol=1e-6)
    assert found.gains == (500, 500)


BAD_HEADERS = [
    ("r1 2 250 500", "r1 2 0 500", "sampling rate"),
    ("r1 2 250 500", "r1 2 -250 500", "sampling rate"),
    ("r1 2 250 500", "r1 2 nan 500", "sampling rate"),
    ("r1 2 250 500", "r1 2 1e9 500", "sampling rate"),
    ("r1 2 250 500", "r1 2 fast 500", "sampling rate"),
    ("r1 2 250 500", "r1 2", "record line"),
    ("r1 2 250 500", "r1 3 250 500", "number of signals"),
    ("r1 2 250 500", "r1 0 250 500", "number of signals"),
    ("r1 2 250 500", "r1 999999999 250 500", "number of signals"),
    ("r1 2 250 500", "r1/3 2 250 500", "number of segments"),
    ("r1 2 250 500", "r1/2 2 250 500", "a line with name and number of samples"),
    ("r1 2 250 500", "r1 2 10001 500", "sampling rate"),
    ("r1 2 250 500", "r1 2 1_0 500", "sampling rate"),
    ("r1 2 250 500", "r1 2 \u0661 500", "sampling rate"),
    ("r1 2 250 500", "r1 2 250 501", "truncated or another record"),
    ("r1 2 250 500", "r1 2 250 999999999999", "truncated or another record"),
    ("r1 2 250 500", "r1 2 250 -5", "number of samples"),
    ("r1 2 250 500", "r1 2 250 1e3", "number of samples"),
    ("r1 2 250 500", "r1 2 250 400", "checksum"),
    ("(0)/mV", "(0)/V", "unit"),
    ("(0)/mV", "(0)/mmHg", "unit"),
    ("1000(0)", "1(0)", "amplitude"),
    ("1000(0)", "1e-300(0)", "amplitude"),
    ("1000(0)", "1000(999999999999)", "amplitude"),
    ("16 1000", f"16x{'9' * 5000} 1000", "format"),
    ("16 1000", f"16+{'9' * 5000} 1000", "format"),
    (" II\n", " I\x1b[31mI\n", "description"),
    (" II\n", f" {'I' * 500}\n", "description"),
    ("1000(0)", "inf(0)", "gain"),
    ("1000(0)", "nan(0)", "gain"),
    ("1000(0)", "0(0)", "gain"),
    ("1000(0)", "-5(0)", "gain"),
    ("1000(0)", "1000(x)", "baseline"),
    ("r1.dat 16", "../r1.dat 16", "file"),
    ("r1.dat 16", "/etc/passwd 16", "file"),
    ("r1.dat 16", "s3://bucket/r1.dat 16", "file"),
    ("r1.dat 16", "~ 16", "file"),
    ("r1.dat 16", "r1.mat 16", "does not exist"),
    ("r1.dat 16", "r1.dat 17", "format"),
    ("r1.dat 16", "r1.dat 16x4", "one sample per frame"),
    ("r1.dat 16", "r1.dat 16:3", "skew"),
    ("r1.dat 16", "r1.dat 516", "FLAC"),
    ("mV 16 0", "mV 16 zero", "field"),
]


@pytest.mark.parametrize(("old", "new", "says"), BAD_HEADERS)
def test_bad_headers_are_refused_by_field(record: Path, old: str, new: str, says: str) -> None:
    edit_header(record, old, new)
    with pytest.raises(RecordError, match=says) as caught:
        read_record(record)
    assert "r1" in str(caught.value) and "\n" not in str(caught.value)


def test_headers_that_are_empty_huge_or_absent(record: Path, tmp_path: Path) -> None:
    file = record.with_suffix(".hea")
    for content, says in (
        (b"", "record line"),
        (b"# only\n", "record line"),
        (b"#" * (2 << 20), "header size"),
    ):
        file.write_bytes(content)
        with pytest.raises(RecordError, match=says):
            read_record(record)
    with pytest.raises(RecordError, match="does not exist"):
        read_record(tmp_path / "nothing")
    (tmp_path / "folder.hea").mkdir()
    with pytest.raises(RecordError, match="regular file"):
        read_record(tmp_path / "folder")


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_header_is_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.hea").write_bytes(content)
        with pytest.raises(RecordError):
            read_record(Path(folder, "x"))


@given(st.binary(max_size=64), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_annotation_file_is_read_or_refused(content: bytes, closed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.atr").write_bytes(content + b"\x00\x00" * closed)
        try:
            found = read_beats_and_marks(Path(folder, "x"))
        except RecordError:
            return
    assert np.all(np.diff(found.samples) >= 0) and len(found.symbols) == len(found.aux) == found.samples.size


def test_truncated_and_flipped_samples(record: Path) -> None:
    file = record.with_suffix(".dat")
    raw = file.read_bytes()
    file.write_bytes(raw[:-2])
    with pytest.raises(RecordError, match="truncated"):
        read_record(record)
    file.write_bytes(raw[:1000] + bytes([raw[1000] ^ 1]) + raw[1001:])
    with pytest.raises(RecordError, match="checksum"):
        read_record(record)
    file.unlink()
    with pytest.raises(RecordError, match="does not exist"):
        read_record(record)


def test_a_first_sample_that_the_header_denies(record: Path) -> None:
    first = int(read_record(record).digital[0, 0])
    edit_header(record, f"mV 16 0 {first} ", f"mV 16 0 {first + 1} ")
    with pytest.raises(RecordError, match="first sample of signal 0"):
        read_record(record)


def test_links_may_not_lead_out(record: Path, tmp_path: Path) -> None:
    outside, inside = tmp_path / "r1.dat", tmp_path / "in"
    inside.mkdir()
    (inside / "r1.hea").write_bytes(record.with_suffix(".hea").read_bytes())
    os.symlink(outside, inside / "r1.dat")
    with pytest.raises(RecordError, match="files inside"):
        read_record(inside / "r1")
    assert read_record(inside / "r1", root=tmp_path).leads == ("II", "V1")
    os.symlink(record.with_suffix(".hea"), inside / "r2.hea")
    with pytest.raises(RecordError, match="files inside"):
        read_record(inside / "r2")


def test_files_that_the_system_cannot_open(tmp_path: Path) -> None:
    (tmp_path / "loop.hea").symlink_to(tmp_path / "loop.hea")
    for name in ("loop", "x" * 300):
        with pytest.raises(RecordError, match="cannot be read") as caught:
            read_record(tmp_path / name)
        assert name in str(caught.value)


def test_comments_in_old_code_pages(record: Path) -> None:
    file = record.with_suffix(".hea")
    file.write_bytes(file.read_bytes().replace(b"# Age: 63\n", b"# Age: 63\r\n#caf\xe9 \x85 more\r\n"))
    assert read_record(record).comments == ("Age: 63", "caf\u00e9 \x85 more")


def test_bad_annotation_files(record: Path, tmp_path: Path) -> None:
    file = record.with_suffix(".atr")
    raw = file.read_bytes()
    cases = [
        (raw[:-2], "truncated"),
        (raw[:-1], "truncated"),
        (b"", "truncated"),
        (raw + b"\x01", "after its end mark"),
        (encode_annotations([(500, "N", "")]), "below 500"),
        (b"\x05\x04" + b"\x00\xec\xff\xff\xfe\xff" + b"\x00\x04" + b"\x00\x00", "or later"),
        (b"\x00\xec\xff\xff\xfe\xff" + b"\x00\x04" + b"\x00\x00", "0 or more"),
        (b"\x00\xe0\x00\x00", "code"),
        (b"\x05\xfc(AFIB\x00\x00\x00", "note"),
        (b"\x01\x04\x30\xfcshort", "note"),
    ]
    for content, says in cases:
        file.write_bytes(content)
        with pytest.raises(RecordError, match=says) as caught:
            read_beats_and_marks(record)
        assert "r1.atr" in str(caught.value)
    with pytest.raises(RecordError, match="does not exist"):
        read_beats_and_marks(record, "qrs")


def test_preamble_with_time_resolution_and_types_is_understood(tmp_path: Path) -> None:
    samples, symbols = np.array([10, 20]), ["N", "V"]
    wfdb.wrann("r", "atr", samples, symbols, fs=360, write_dir=str(tmp_path))
    found = read_beats_and_marks(tmp_path / "r")
    assert found.samples.tolist() == [10, 20] and found.symbols == ("N", "V") and found.fs == 360


limb = st.floats(-3, 3, width=32)


@given(st.lists(st.tuples(limb, limb), min_size=1, max_size=50))
def test_limb_lead_algebra_holds_in_the_integers(pairs: list[tuple[float, float]]) -> None:
    eight = np.zeros((8, len(pairs)), dtype=np.float32)
    eight[:2] = np.array(pairs, dtype=np.float32).T
    signal = twelve_from_eight(eight)
    one, two, three, avr, avl, avf = to_digital(signal, TWELVE_LEADS)[:6].astype(int)
    assert np.array_equal(three, two - one)
    assert np.abs(2 * avr + one + two).max() <= 1
    assert np.abs(2 * avl - 2 * one + two).max() <= 1
    assert np.abs(2 * avf - 2 * two + one).max() <= 1
    assert np.abs(to_digital(signal, TWELVE_LEADS) - signal * 1000).max() <= 1.26


def test_halves_are_rounded_to_even_so_that_nothing_drifts() -> None:
    one = np.array([1, 3, 5, 7, -1, -3], dtype=np.float32) / 1000
    avr = to_digital(np.stack([one, 0 * one, -one / 2]), ("I", "II", "aVR"))[2]
    assert avr.tolist() == [0, -2, -2, -4, 0, 2]


def test_leads_that_break_the_algebra_are_not_repaired() -> None:
    signal = np.array([[0.1] * 5, [0.3] * 5, [0.9] * 5], dtype=np.float32)
    assert to_digital(signal, ("I", "II", "III"))[2].tolist() == [900] * 5


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    good = np.zeros((1, 100), dtype=np.float32)
    nan, infinite, loud, lowest = (good.copy() for _ in range(4))
    nan[0, 3], infinite[0, 3], loud[0, 3], lowest[0, 3] = np.nan, np.inf, 32.8, -32.768
    beyond = Beats(np.array([100]), ("N",), "generated")
    unsorted = Beats(np.array([-1]), ("N",), "generated")
    strange = Beats(np.array([5]), ("Z",), "generated")
    cases = [
        ((nan, 250, ["I"]), {}, "NaN"),
        ((infinite, 250, ["I"]), {}, "infinity"),
        ((loud, 250, ["I"]), {}, "32.8"),
        ((lowest, 250, ["I"]), {}, "32.768"),
        ((good[:, :0], 250, ["I"]), {}, "shape"),
        ((good, 250, ["I", "II"]), {}, "shape"),
        ((good, 0, ["I"]), {}, "sampling rate"),
        ((good, float("inf"), ["I"]), {}, "sampling rate"),
        ((good, 250, [""]), {}, "lead name"),
        ((good, 250, ["I\nr.dat 16"]), {}, "lead name"),
        ((good, 250, ["I"], ["Age: 63\n#Dx: 1"]), {}, "comment"),
        ((good, 250, ["I"], ["caf\u00e9"]), {}, "comment"),
        ((good, 250, ["I"]), {"marks": [(0, "x" * 256)]}, "note"),
        ((good, 250, ["I"]), {"marks": [(0, "a\nb")]}, "note"),
        ((good, 250, ["I"]), {"beats": beyond}, "length"),
        ((good, 250, ["I"]), {"beats": unsorted}, "order"),
        ((good, 250, ["I"]), {"beats": strange}, "symbol"),
    ]
    for args, kwargs, says in cases:
        with pytest.raises(RecordError, match=says) as caught:
            write_record(tmp_path, "r", *args, **kwargs)
        assert str(caught.value).startswith("r: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "a b", "a.b", "../a", "a/b", "\u00e4", "x" * 65])
def test_names_follow_physionets_rule(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="record name"):
        write_record(tmp_path, name, np.zeros((1, 10), dtype=np.float32), 250, ["I"])


def test_a_second_record_of_one_name_is_refused(record: Path) -> None:
    before = record.with_suffix(".dat").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        write_record(record.parent, "r1", np.zeros((1, 10), dtype=np.float32), 250, ["I"])
    assert record.with_suffix(".dat").read_bytes() == before


def test_the_header_comes_last() -> None:
    files = encode_record("r", np.zeros((1, 10), dtype=np.float32), 250, ["I"], marks=[(0, "(VF")])
    assert list(files) == ["r.dat", "r.atr", "r.hea"]


@pytest.mark.realdata
def test_real_records_read_as_the_library_reads_them(data_root: Path) -> None:
    headers = sorted(data_root.rglob("*.hea"))[::50]
    assert headers, "the folder holds no records"
    for path in headers:
        ours, theirs = read_record(path, root=data_root), wfdb.rdrecord(str(path.with_suffix("")))
        np.testing.assert_allclose(ours.signal, theirs.p_signal.T, rtol=1e-5, atol=1e-5)
        assert ours.comments == tuple(theirs.comments)
        if path.with_suffix(".atr").exists():
            marks, known = read_beats_and_marks(path), wfdb.rdann(str(path.with_suffix("")), "atr")
            assert marks.samples.tolist() == known.sample.tolist() and list(marks.symbols) == known.symbol
            assert list(marks.aux) == [note.rstrip("\x00") for note in known.aux_note]

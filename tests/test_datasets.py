"""Readers, on miniature trees made here: who, what rhythm, which beats, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import GeneratorType

import numpy as np
import pytest

from ecgsynth.datasets import DATASETS, find_reader, open_dataset, read_all, recognise
from ecgsynth.datasets.cinc2021 import read_cinc2021
from ecgsynth.datasets.cudb import fibrillation_between
from ecgsynth.datasets.folder import read_folder
from ecgsynth.datasets.labels import PRIORITY, choose_rhythm, label_ludb, label_scp, label_snomed
from ecgsynth.datasets.marks import beats_from, comment_field, episodes_from, lead_name, parse_age, parse_sex
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.records import TWELVE_LEADS, Episode, Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.wfdb_io import encode_annotations, write_record

Mark = tuple[int, str, str]


def write(
    folder: Path,
    name: str,
    leads: Sequence[str] = ("MLII", "V5"),
    comments: Sequence[str] = (),
    marks: Sequence[Mark] = (),
    fs: float = 250.0,
    n: int = 2500,
    extension: str = "atr",
) -> None:
    """One small WFDB record with the annotations given."""
    folder.mkdir(parents=True, exist_ok=True)
    wave = np.sin(np.arange(n) / 20).astype(np.float32)
    signal = np.stack([wave * (i + 1) / 10 for i in range(len(leads))]).astype(np.float32)
    write_record(folder, name, signal, fs, leads, comments)
    if marks:
        (folder / f"{name}.{extension}").write_bytes(encode_annotations(marks))


def table(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_mitdb(root: Path) -> None:
    marks = [
        (5, "+", "(N"),
        (100, "N", ""),
        (300, "V", ""),
        (400, "~", ""),
        (900, "+", "(VFL"),
        (910, "[", ""),
    ]
    marks += [(950, "!", ""), (1000, "]", ""), (1010, "+", "(N"), (1100, "A", ""), (1200, "x", "")]
    write(root, "100", comments=["69 M 1085 1629 x1", "Aldomet"], marks=marks)
    write(root, "201", ("MLII", "V1"), ["-1 F 1960 2851 x1"], [(0, "+", "(AFIB"), (50, "N", "")])
    write(root, "202", ("MLII", "V1"), ["68 M 1960 2851 x1"], [(0, "+", "(N"), (50, "N", "")])


def make_vfdb(root: Path) -> None:
    for name in ("418_e01", "419_e01", "426_e03"):
        write(root, name, ("ECG1", "ECG2"), marks=[(0, "+", "(N"), (700, "+", "(VT"), (1900, "+", "(NOISE")])


def make_cudb(root: Path) -> None:
    for name in ("cu01_vf1", "cu01_vf2"):
        write(root, name, ("ECG",), marks=[(100, "N", ""), (300, "N", ""), (500, "[", ""), (2000, "]", "")])


def make_cinc2017(root: Path) -> None:
    for name in ("A00001", "A00002", "A00003", "A00004"):
        write(root, name, ("ECG",), fs=300.0)
    table(root / "REFERENCE.csv", "A00001,N", "A00002,A", "A00003,O", "A00004,~")


def make_qtdb(root: Path) -> None:
    write(root, "sel202_w", comments=["68 M 1960"], marks=[(100, "N", ""), (300, "V", "")])
    write(root, "sel32_w")
    write(root, "sele0104_w")


def make_ludb(root: Path) -> None:
    leads = [name.lower() for name in TWELVE_LEADS]
    sentences = ["<age>: 51", "<sex>: F", "<diagnoses>:", "Rhythm: Sinus bradycardia.", "I degree AV block."]
    waves = [(90, "(", ""), (100, "N", ""), (110, ")", ""), (180, "t", ""), (600, "N", "")]
    write(root / "data", "1", leads, sentences, waves, 500.0, 5000, "ii")
    write(root / "data", "10", leads, ["<age>: 20", "<sex>: M", "Rhythm: Sinus rhythm."], fs=500.0, n=5000)
    table(root / "ludb.csv", "ID,Sex,Age", "1,F,51", "10,M,20")


def make_ptbxl(root: Path) -> None:
    leads = [name.upper() for name in TWELVE_LEADS]
    low, high = root / "records100" / "00000", root / "records500" / "00000"
    for i in (1, 2, 3):
        write(low, f"0000{i}_lr", leads, fs=100.0, n=1000)
    write(high, "00002_hr", leads, fs=500.0, n=5000)
    rows = [
        f'{i},{patient}.0,{age},{sex},CS-12,"{codes}",records100/00000/0000{i}_lr,records500/00000/0000{i}_hr'
        for i, patient, age, sex, codes in (
            (1, 15709, "56.0", 1, "{'NORM': 100.0, 'SR': 0.0}"),
            (2, 15709, "300.0", 0, "{'AFIB': 0.0, 'PVC': 100.0, 'CRBBB': 100.0}"),
            (3, 77, "", 0, "{'1AVB': 35.0, 'SR': 0.0}"),
            (4, 78, "40.0", 0, "{'SR': 0.0}"),
        )
    ]
    table(
        root / "ptbxl_database.csv",
        "ecg_id,patient_id,age,sex,device,scp_codes,filename_lr,filename_hr",
        *rows,
    )


def make_cinc2021(root: Path) -> None:
    write(
        root / "chapman_shaoxing",
        "JS00001",
        TWELVE_LEADS,
        ["Age: 85", "Sex: Male", "Dx: 164889003,59118001"],
        fs=500.0,
    )
    write(
        root / "ningbo", "JS11438", TWELVE_LEADS[:6], ["Age: NaN", "Sex: Female", "Dx: 427084000"], fs=500.0
    )
    write(root / "ptb-xl", "HR00599", TWELVE_LEADS, ["Age: 73", "Dx: 426783006"], fs=500.0)


def make_folder(root: Path) -> None:
    write(root, "mine", comments=["Dx: 164889003"])


MAKERS: dict[str, Callable[[Path], None]] = {
    "mitdb": make_mitdb,
    "vfdb": make_vfdb,
    "cudb": make_cudb,
    "cinc2017": make_cinc2017,
    "qtdb": make_qtdb,
    "ludb": make_ludb,
    "ptbxl": make_ptbxl,
    "cinc2021": make_cinc2021,
    "folder": make_folder,
}


def records_of(name: str, root: Path) -> dict[str, Record]:
    MAKERS[name](root)
    return {record.name: record for record in find_reader(name)(root)}


@pytest.mark.parametrize("name", DATASETS)
def test_every_reader_in_the_table_keeps_the_contract(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    assert recognise(tmp_path) == name
    records = open_dataset(tmp_path)
    assert isinstance(records, GeneratorType), "read when asked for"
    found = list(records)
    assert found
    for record in found:
        assert record.signal.dtype == np.float32 and record.signal.shape[0] == len(record.leads)
        assert "/" in record.subject and record.source
        assert all(0 <= e.start < e.stop <= record.n_samples for e in record.episodes)
        assert all(a.stop <= b.start for a, b in pairwise(record.episodes))
        assert all(e.rhythm is None or e.rhythm in RHYTHMS for e in record.episodes)
        assert record.age is None or 0 <= record.age <= 120


@pytest.mark.parametrize("name", DATASETS)
def test_every_reader_refuses_an_empty_and_a_missing_folder(name: str, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RecordError) as caught:
            list(find_reader(name)(path))
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", DATASETS)
def test_a_damaged_record_stops_a_reader_unless_it_has_whom_to_tell(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    whole = [record.name for record in open_dataset(tmp_path)]
    header = next(path for path in sorted(tmp_path.rglob("*.hea")) if path.stem in whole)
    header.with_suffix(".dat").write_bytes(b"cut")
    with pytest.raises(RecordError):
        list(open_dataset(tmp_path))
    told: list[tuple[Path, str]] = []
    left = open_dataset(tmp_path, skip=lambda stem, why: told.append((stem, str(why))))
    assert [record.name for record in left] == [other for other in whole if other != header.stem]
    assert [stem for stem, _ in told] == [header.with_suffix("")]
    assert header.stem in told[0][1] and "\n" not in told[0][1]


def test_unknown_dataset_lists_the_known() -> None:
    with pytest.raises(OptionError, match="mitdb, vfdb"):
        find_reader("edb")


def test_mitdb_rhythms_beats_and_people(tmp_path: Path) -> None:
    found = records_of("mitdb", tmp_path)
    one = found["100"]
    assert [(e.start, e.stop, e.rhythm) for e in one.episodes] == [
        (5, 900, "nsr"),
        (900, 1010, "vflutter"),
        (1010, 2500, "nsr"),
    ]
    assert one.beats is not None and one.beats.source == "annotated"
    assert one.beats.samples.tolist() == [100, 300, 1100] and one.beats.symbols == ("N", "V", "A")
    assert (one.age, one.sex) == (69.0, "M")
    assert found["201"].age is None and found["201"].sex == "F"
    assert found["201"].subject == found["202"].subject != one.subject


def test_vfdb_groups_tapes_that_may_be_one_person(tmp_path: Path) -> None:
    found = records_of("vfdb", tmp_path)
    assert found["418_e01"].subject == found["419_e01"].subject != found["426_e03"].subject
    assert [e.rhythm for e in found["418_e01"].episodes] == ["nsr", "vt", None]
    assert found["418_e01"].beats is None


def test_cudb_brackets_are_fibrillation(tmp_path: Path) -> None:
    found = records_of("cudb", tmp_path)
    assert [e.rhythm for e in found["cu01_vf1"].episodes] == [None, "vf", None]
    assert found["cu01_vf1"].subject == found["cu01_vf2"].subject == "cudb/cu01"


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([(0, "["), (500, "]"), (700, "[")], [(0, 500, "vf"), (500, 700, None), (700, 1000, "vf")]),
        ([(300, "]")], [(0, 300, "vf"), (300, 1000, None)]),
        ([(200, "["), (300, "["), (400, "]")], [(0, 200, None), (200, 400, "vf"), (400, 1000, None)]),
        ([], [(0, 1000, None)]),
    ],
)
def test_unbalanced_brackets(
    marks: list[tuple[int, str]], expected: list[tuple[int, int, str | None]]
) -> None:
    samples = np.array([at for at, _ in marks], dtype=np.int64)
    episodes = fibrillation_between(samples, [symbol for _, symbol in marks], 1000)
    assert [(e.start, e.stop, e.rhythm) for e in episodes] == expected


def test_cinc2017_other_and_noisy_have_no_rhythm(tmp_path: Path) -> None:
    found = records_of("cinc2017", tmp_path)
    assert [r.episodes[0].rhythm for r in found.values()] == ["nsr", "afib", None, None]
    assert {r.leads for r in found.values()} == {("I",)}


def test_cinc2017_unknown_class_names_the_line(tmp_path: Path) -> None:
    make_cinc2017(tmp_path)
    table(tmp_path / "REFERENCE.csv", "A00001,N", "A00002,X")
    with pytest.raises(RecordError, match=r"line 2.*A00002,X"):
        list(open_dataset(tmp_path))


def test_qtdb_people_are_those_of_mitdb(tmp_path: Path) -> None:
    found = records_of("qtdb", tmp_path)
    assert found["sel202_w"].subject == "mitdb/201"
    assert found["sel32_w"].extra["may_share_person_with"] == "vfdb" and found["sel32_w"].beats is None
    assert found["sele0104_w"].subject == "qtdb/sele0104"


def test_ludb_uses_one_gain_and_the_marks_of_lead_two(tmp_path: Path) -> None:
    make_ludb(tmp_path)
    header = tmp_path / "data" / "1.hea"
    own_gains = header.read_text().replace(" 1000(0)/mV", " 2000(7)/mV")
    header.write_text(own_gains)
    one, ten = open_dataset(tmp_path)
    assert [one.name, ten.name] == ["1", "10"] and one.leads == TWELVE_LEADS
    assert np.array_equal(one.signal, ten.signal), "the header's own gains must not matter"
    assert one.episodes[0].rhythm == "avb1" and (one.age, one.sex) == (51.0, "F")
    assert one.beats is not None and one.beats.samples.tolist() == [100, 600]
    assert ten.beats is None


def test_ptbxl_prefers_500_hz_and_knows_patients(tmp_path: Path) -> None:
    found = records_of("ptbxl", tmp_path)
    assert sorted(found) == ["00001_lr", "00002_hr", "00003_lr"]
    high, low, third = found["00002_hr"], found["00001_lr"], found["00003_lr"]
    assert (high.fs, high.extra["bandwidth"]) == (500.0, "250") and low.extra["bandwidth"] == "50"
    assert high.leads == TWELVE_LEADS
    assert high.subject == low.subject == "ptbxl/15709"
    assert (low.sex, high.sex, high.age, third.age) == ("F", "M", 90.0, None)
    assert high.episodes[0].rhythm == "afib"
    assert high.extra["ectopy"] == "yes" and high.extra["conduction"] == "RBBB"
    assert third.episodes[0].rhythm == "nsr", "a block that is only 'considered' does not count"


def test_ptbxl_damaged_table_names_the_row(tmp_path: Path) -> None:
    make_ptbxl(tmp_path)
    path = tmp_path / "ptbxl_database.csv"
    path.write_text(path.read_text().replace("{'NORM': 100.0, 'SR': 0.0}", "__import__('os')"))
    with pytest.raises(RecordError, match="ecg_id 1"):
        list(open_dataset(tmp_path))


def test_cinc2021_leaves_out_flat_leads_and_the_reissue(tmp_path: Path) -> None:
    make_cinc2021(tmp_path)
    flat = np.zeros((3, 2500), np.float32)
    flat[0] = np.sin(np.arange(2500) / 9)
    write_record(tmp_path / "ningbo", "JS20004", flat, 500.0, ("I", "V1", "V2"), ["Dx: 425856008"])
    found = {record.name: record for record in read_cinc2021(tmp_path)}
    assert set(found) == {"JS00001", "JS11438", "JS20004"}
    assert found["JS20004"].leads == ("I",) and found["JS20004"].extra["flat_leads"] == "V1,V2"
    assert found["JS20004"].episodes[0].rhythm is None
    assert found["JS00001"].episodes[0].rhythm == "afib" and found["JS00001"].source == "chapman"
    assert found["JS11438"].age is None and found["JS11438"].sex == "F"
    assert "HR00599" in {record.name for record in read_cinc2021(tmp_path, reissue=True)}


def test_read_all_walks_the_sub_folders(tmp_path: Path) -> None:
    make_mitdb(tmp_path / "arrhythmia")
    make_cinc2017(tmp_path / "challenge")
    (tmp_path / "papers").mkdir()
    assert [r.source for r in read_all(tmp_path)] == ["mitdb"] * 3 + ["cinc2017"] * 4
    with pytest.raises(RecordError, match="no databases"):
        list(read_all(tmp_path / "papers"))


@pytest.mark.parametrize(
    ("codes", "rhythm"),
    [
        ({"SR": 0.0, "NORM": 100.0}, "nsr"),
        ({"SR": 0.0, "SBRAD": 0.0}, "sinus_bradycardia"),
        ({"AFIB": 0.0, "PACE": 0.0}, "paced"),
        ({"AFLT": 0.0, "AFIB": 0.0}, "afib"),
        ({"1AVB": 100.0, "SARRH": 0.0}, "avb1"),
        ({"3AVB": 100.0, "1AVB": 100.0, "SR": 0.0}, "avb3"),
        ({"IMI": 100.0}, None),
        ({}, None),
    ],
)
def test_one_rhythm_of_many_scp_codes(codes: dict[str, float], rhythm: str | None) -> None:
    assert label_scp(codes)[0] == rhythm


@pytest.mark.parametrize(
    ("codes", "rhythm", "notes"),
    [
        (["426783006", "427172004"], "nsr", {"ectopy": "yes"}),
        (["164889003", "59118001"], "afib", {"conduction": "RBBB"}),
        (["713422000"], "svt", {}),
        (["425856008", "270492004"], None, {}),
        (["", "nonsense"], None, {}),
    ],
)
def test_one_rhythm_of_many_snomed_codes(codes: list[str], rhythm: str | None, notes: dict[str, str]) -> None:
    assert label_snomed(codes) == (rhythm, notes)


def test_ludb_sentences() -> None:
    assert (
        label_ludb(["Rhythm: Sinus rhythm.", "III degree AV-block.", "UNIpolar ventricular pacing."])[0]
        == "paced"
    )
    assert label_ludb(["Rhythm: Sinus rhythm.", "Wandering atrial pacemaker."])[0] is None
    assert label_ludb(["Rhythm: Sinus rhythm.", "I degree AV block."])[0] == "avb1"
    assert label_ludb(["Rhythm: Atrial fibrillation.", "Ventricular extrasystole, type: single PVC."]) == (
        "afib",
        {"ectopy": "yes"},
    )


def test_priority_ranks_every_rhythm_once() -> None:
    assert sorted(PRIORITY) == sorted(RHYTHMS)
    assert choose_rhythm([None, None]) is None


def test_marks_before_anything_is_known_and_past_the_end() -> None:
    samples = np.array([50, 90, 90, 200, 9000], dtype=np.int64)
    episodes = episodes_from(samples, "+N+++", ["(AFIB", "", "(AFIB", "(XYZ", "(N"], 1000)
    assert episodes == (Episode(50, 200, "afib"), Episode(200, 1000, None))
    assert episodes_from(np.empty(0, np.int64), "", [], 1000) == ()


def test_beats_are_ordered_and_unique() -> None:
    beats = beats_from(np.array([300, 100, 100, 200], dtype=np.int64), ["V", "N", "V", "~"])
    assert beats is not None and beats.source == "annotated"
    assert beats.samples.tolist() == [100, 300] and beats.symbols == ("N", "V")
    assert beats_from(np.array([5], dtype=np.int64), ["!"]) is None


def test_names_ages_sexes_and_comments_as_written() -> None:
    assert [lead_name(x) for x in ("AVR", "ii", "v6", "MLII", "ECG1")] == ["aVR", "II", "V6", "MLII", "ECG1"]
    assert [parse_age(x) for x in ("56", "-1", "NaN", "300", None, "x")] == [56.0] + [None] * 5
    assert [parse_sex(x) for x in ("Male", "f", "Unknown", None)] == ["M", "F", None, None]
    for comment in ("Dx: 1,2", "#Dx: 1,2", "# Dx: 1,2", "<dx>: 1,2"):
        assert comment_field([comment], "Dx") == "1,2"


def test_folder_rhythm_from_marks_beats_comments(tmp_path: Path) -> None:
    write(
        tmp_path, "a", comments=["Dx: 426783006", "Subject: p7", "Age: 33", "Sex: F"], marks=[(0, "+", "(VT")]
    )
    write(tmp_path, "b", comments=["Dx: 164889003"])
    a, b = read_folder(tmp_path, source="clinic")
    assert a.episodes[0].rhythm == "vt" and a.subject == "clinic/p7" and (a.age, a.sex) == (33.0, "F")
    assert b.episodes[0].rhythm == "afib" and b.subject == "clinic/b"


def test_folder_labels_file_overrules_and_names_people(tmp_path: Path) -> None:
    write(tmp_path, "a", marks=[(0, "+", "(N")])
    write(tmp_path, "b")
    table(tmp_path / "labels.csv", "record,rhythm,subject", "a,V-Tach,p1", "b,(AFIB,p1")
    a, b = read_folder(tmp_path, labels=tmp_path / "labels.csv")
    assert (a.episodes[0].rhythm, b.episodes[0].rhythm) == ("vt", "afib")
    assert a.subject == b.subject


def test_folder_records_file_lists_what_is_read(tmp_path: Path) -> None:
    write(tmp_path / "sub", "a")
    write(tmp_path, "b")
    table(tmp_path / "RECORDS", "sub/a")
    assert [r.name for r in read_folder(tmp_path)] == ["sub/a"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("record,rhythm", "a,vtt"), "line 2.*vtt.*Known rhythms"),
        (("name,rhythm", "a,vt"), "no column record"),
        (("record,rhythm", "a,vt", "a,vt"), "line 3.*twice"),
    ],
)
def test_bad_labels_files_are_refused(lines: tuple[str, ...], message: str, tmp_path: Path) -> None:
    write(tmp_path, "a")
    table(tmp_path / "labels.csv", *lines)
    with pytest.raises(OptionError, match=message):
        list(read_folder(tmp_path, labels=tmp_path / "labels.csv"))


def test_label_of_a_record_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, "a")
    table(tmp_path / "labels.csv", "record,rhythm", "zz,vt")
    with pytest.raises(RecordError, match="'zz' is not in"):
        list(read_folder(tmp_path, labels=tmp_path / "labels.csv"))
    with pytest.raises(OptionError, match="no such file"):
        list(read_folder(tmp_path, labels=tmp_path / "none.csv"))


@pytest.mark.parametrize("listed", ["ghost", "../outside"])
def test_records_file_may_name_only_what_is_inside(listed: str, tmp_path: Path) -> None:
    write(tmp_path / "in", "a")
    write(tmp_path, "outside")
    table(tmp_path / "in" / "RECORDS", "a", listed)
    with pytest.raises(RecordError, match=listed):
        list(read_folder(tmp_path / "in"))


def test_header_without_data_and_damaged_samples_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a")
    data = tmp_path / "a.dat"
    good = data.read_bytes()
    data.write_bytes(good[:200] + bytes([good[200] ^ 4]) + good[201:])
    with pytest.raises(RecordError):
        list(open_dataset(tmp_path))
    data.unlink()
    with pytest.raises(RecordError, match=r"a\.dat"):
        list(open_dataset(tmp_path))


def test_folder_says_what_is_synthetic(tmp_path: Path) -> None:
    write(tmp_path, "a", comments=["synthetic: cvae"])
    assert next(iter(read_folder(tmp_path))).extra["synthetic"] == "cvae"


@pytest.mark.realdata
def test_real_databases_give_the_published_numbers(data_root: Path) -> None:
    records = list(open_dataset(data_root / "mitdb"))
    assert len(records) == 48 and len({r.subject for r in records}) == 47
    counts = [symbol for r in records if r.beats for symbol in r.beats.symbols]
    assert (counts.count("V"), counts.count("/"), counts.count("A")) == (7130, 7028, 2546)
    seconds = sum((e.stop - e.start) / r.fs for r in records for e in r.episodes if e.rhythm == "afib")
    assert round(seconds) == 7956

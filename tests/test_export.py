"""A dataset is complete or absent, the same bytes every time, and says when it has been touched."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgsynth import __version__
from ecgsynth.errors import EcgSynthError, OutputError, RecordError
from ecgsynth.export import DatasetWriter, header_comments, rhythm_marks, verify_dataset
from ecgsynth.export.writer import sub_folder
from ecgsynth.records import TWELVE_LEADS, Beats, Episode, Record, twelve_from_eight

LINE = {
    "seed": 7,
    "rhythm": "afib",
    "generator": "cvae",
    "weights_sha256": "ab" * 32,
    "conditions": {"lead": "II", "heart_rate": None},
    "checks": {"integrity": "pass"},
}


def make(i: int, *, leads: tuple[str, ...] = ("II",), n: int = 500) -> Record:
    rng = np.random.default_rng(i)
    signal = rng.normal(0, 0.3, (8 if len(leads) == 12 else len(leads), n)).astype(np.float32)
    if len(leads) == 12:
        signal = twelve_from_eight(signal)
    return Record(
        name=f"afib{i:05d}",
        signal=signal,
        fs=250,
        leads=leads,
        subject=f"synthetic/{i}",
        source="mitdb",
        episodes=(Episode(0, 200, "nsr"), Episode(200, n, "afib")),
        beats=Beats(np.array([50, 180, 300, 420]), ("N", "N", "N", "V"), "generated"),
        age=63.0,
        sex="M",
        extra={"synthetic": "cvae", "bandwidth": "0.5 to 40 Hz"},
    )


def fake_sheet(records: list[Record], path: Path) -> None:
    path.write_bytes(b"PNG" + " ".join(f"{r.name}:{r.seconds:g}" for r in records).encode())


def write(target: Path, records: Iterable[Record], n: int = 10, **options: object) -> Path:
    with DatasetWriter(target, n_records=n, contact_sheet=fake_sheet, **options) as writer:  # type: ignore[arg-type]
        for record in records:
            writer.add(record, LINE)
        return writer.finish({"Rhythm": "afib", "Redrawn": {"flat": 2}})


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write(tmp_path / "out", (make(i) for i in range(3)))


def test_a_dataset_has_what_physionet_expects(dataset: Path) -> None:
    names = {"RECORDS", "ANNOTATORS", "SHA256SUMS.txt", "LICENSE.txt", "DATASET_CARD.md", "manifest.jsonl"}
    files = {f"afib{i:05d}.{ext}" for i in range(3) for ext in ("hea", "dat", "atr")}
    assert set(tree(dataset)) == names | files | {"contact_sheet.png"}
    assert (dataset / "RECORDS").read_text() == "afib00000\nafib00001\nafib00002\n"
    assert (dataset / "ANNOTATORS").read_text().startswith("atr\t")
    lines = [json.loads(line) for line in (dataset / "manifest.jsonl").read_text().splitlines()]
    assert lines == [{**LINE, "name": f"afib{i:05d}"} for i in range(3)]
    assert list(lines[0]) == sorted(lines[0])
    card = (dataset / "DATASET_CARD.md").read_text()
    assert "| Rhythm | afib |" in card and '| Redrawn | {"flat": 2} |' in card
    assert [p.name for p in dataset.parent.iterdir()] == ["out"]


def test_wfdb_reads_what_was_exported(dataset: Path) -> None:
    record = make(1)
    found = wfdb.rdrecord(str(dataset / "afib00001"))
    assert np.abs(found.p_signal.T - record.signal).max() <= 0.000501
    assert found.comments == [
        "Age: 63",
        "Sex: Male",
        "Dx: 426783006,164889003",
        f"Synthetic: yes, made by ecgsynth {__version__} (cvae)",
        "Bandwidth: 0.5 to 40 Hz",
    ]
    marks = wfdb.rdann(str(dataset / "afib00001"), "atr")
    assert marks.sample.tolist() == [0, 50, 180, 200, 300, 420]
    assert marks.symbol == ["+", "N", "N", "+", "N", "V"]
    assert [note for note in marks.aux_note if note] == ["(N", "(AFIB"]


def test_unknown_age_and_sex_are_said_to_be_unknown() -> None:
    comments = header_comments(replace(make(0), age=None, sex=None))
    assert comments[:2] == ["Age: NaN", "Sex: Unknown"]


def test_a_rhythm_that_returns_is_coded_once_and_marked_twice() -> None:
    there_and_back = (Episode(0, 100, "nsr"), Episode(100, 200, "afib"), Episode(200, 500, "nsr"))
    record = replace(make(0), episodes=there_and_back)
    assert "Dx: 426783006,164889003" in header_comments(record)
    assert [aux for _, aux in rhythm_marks(record)] == ["(N", "(AFIB", "(N"]


def test_sums_are_those_of_sha256sum(dataset: Path) -> None:
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS.txt"], cwd=dataset, check=True)
    listed = {line.split("  ")[1] for line in (dataset / "SHA256SUMS.txt").read_text().splitlines()}
    assert listed == set(tree(dataset)) - {"SHA256SUMS.txt"}


def test_same_records_same_bytes_wherever_they_are_written(dataset: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "elsewhere" / "other name", (make(i) for i in range(3)))
    assert tree(again) == tree(dataset)
    for content in tree(dataset).values():
        assert os.fsencode(tmp_path) not in content


def test_few_records_are_a_prefix_of_many(dataset: Path, tmp_path: Path) -> None:
    many = tree(write(tmp_path / "many", (make(i) for i in range(8))))
    for name, content in tree(dataset).items():
        if name.startswith("afib"):
            assert many[name] == content
    assert many["RECORDS"].startswith((dataset / "RECORDS").read_bytes())
    assert many["manifest.jsonl"].startswith((dataset / "manifest.jsonl").read_bytes())


def test_many_records_go_into_sub_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgsynth.export.writer.RECORDS_PER_FOLDER", 2)
    out = write(tmp_path / "out", (make(i) for i in range(5)), n=5)
    records = (out / "RECORDS").read_text().split()
    assert records == ["000/afib00000", "000/afib00001", "001/afib00002", "001/afib00003", "002/afib00004"]
    assert wfdb.rdrecord(str(out / records[3])).sig_len == 500
    report = verify_dataset(out)
    assert report.ok and report.records == 5


@pytest.mark.parametrize(
    ("number", "n_records", "name"),
    [
        (999, 1000, ""),
        (999, 1001, "000/"),
        (999_999, 10**6, "999/"),
        (1000, 10**6 + 1, "0001/"),
        (9_999_999, 10**7, "9999/"),
    ],
)
def test_sub_folders_sort_as_their_records_do(number: int, n_records: int, name: str) -> None:
    assert sub_folder(number, n_records) == name


def test_a_full_folder_needs_no_sub_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgsynth.export.writer.RECORDS_PER_FOLDER", 2)
    out = write(tmp_path / "out", (make(i) for i in range(2)), n=2)
    assert (out / "RECORDS").read_text().split() == ["afib00000", "afib00001"]


def test_twelve_leads_keep_their_algebra(tmp_path: Path) -> None:
    out = write(tmp_path / "out", [make(0, leads=TWELVE_LEADS)])
    found = wfdb.rdrecord(str(out / "afib00000"), physical=False).d_signal.T.astype(int)
    assert np.array_equal(found[2], found[1] - found[0])
    assert np.abs(2 * found[3] + found[0] + found[1]).max() <= 1


def test_the_contact_sheet_shows_ten_seconds_of_the_first_records(tmp_path: Path) -> None:
    out = write(tmp_path / "out", (make(i, n=5000) for i in range(40)), n=40)
    shown = (out / "contact_sheet.png").read_bytes().removeprefix(b"PNG").decode().split()
    assert shown == [f"afib{i:05d}:10" for i in range(32)]


def test_a_dataset_without_a_sheet(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "out", n_records=1) as writer:
        writer.add(make(0), LINE)
        writer.finish({})
    assert not (tmp_path / "out" / "contact_sheet.png").exists() and verify_dataset(tmp_path / "out").ok


@pytest.mark.parametrize("error", [KeyboardInterrupt, RecordError, ValueError])
def test_nothing_is_left_of_an_interrupted_run(tmp_path: Path, error: type[BaseException]) -> None:
    def broken() -> Iterable[Record]:
        yield make(0)
        raise error("stop")

    with pytest.raises(error, match="stop"):
        write(tmp_path / "out", broken())
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_when_the_sheet_fails(tmp_path: Path) -> None:
    def fails(records: list[Record], path: Path) -> None:
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(OutputError, match="No space left"),
        DatasetWriter(tmp_path / "out", n_records=1, contact_sheet=fails) as writer,
    ):
        writer.add(make(0), LINE)
        writer.finish({})
    assert not list(tmp_path.iterdir())


def test_a_block_without_finish_publishes_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="finish"), DatasetWriter(tmp_path / "out", n_records=1) as writer:
        writer.add(make(0), LINE)
    assert not list(tmp_path.iterdir())


def test_an_existing_target_is_refused_and_kept(dataset: Path) -> None:
    before = tree(dataset)
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        write(dataset, [make(9)])
    assert tree(dataset) == before


def test_overwrite_replaces_the_old_only_once_the_new_is_complete(dataset: Path) -> None:
    before = tree(dataset)

    def broken() -> Iterable[Record]:
        yield make(9)
        assert tree(dataset) == before
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(dataset, broken(), overwrite=True)
    assert tree(dataset) == before
    write(dataset, [make(9)], overwrite=True)
    assert (dataset / "RECORDS").read_text() == "afib00009\n"
    assert [p.name for p in dataset.parent.iterdir()] == ["out"]


def test_the_old_comes_back_if_the_new_cannot_take_its_place(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rename = tree(dataset), Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.suffix == ".partial":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        write(dataset, [make(9)], overwrite=True)
    assert tree(dataset) == before and [p.name for p in dataset.parent.iterdir()] == ["out"]


def test_overwrite_never_replaces_what_is_not_a_dataset(tmp_path: Path) -> None:
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"manifest\.jsonl"):
        write(precious, [make(0)], overwrite=True)
    with pytest.raises(OutputError, match="not a folder"):
        write(precious / "thesis.tex", [make(0)], overwrite=True)
    (tmp_path / "link").symlink_to(precious)
    with pytest.raises(OutputError, match="not a folder"):
        write(tmp_path / "link", [make(0)], overwrite=True)
    assert (precious / "thesis.tex").read_text() == "years of work"


def test_a_target_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "file" / "out", [make(0)])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "../evil"}, "record name"),
        ({"name": "afib.1"}, "record name"),
        ({"episodes": ()}, "episodes"),
        ({"episodes": (Episode(0, 500, None),)}, "rhythm at sample 0"),
        ({"extra": {}}, "synthetic"),
        ({"signal": np.full((1, 500), np.nan, dtype=np.float32)}, "NaN"),
        ({"signal": np.full((1, 500), 40, dtype=np.float32)}, "40"),
        ({"extra": {"synthetic": "cvae", "bandwidth": "1\n#Dx: 2"}}, "comment"),
    ],
)
def test_records_unfit_to_publish_are_refused(tmp_path: Path, change: dict[str, object], says: str) -> None:
    with pytest.raises(EcgSynthError, match=says):
        write(tmp_path / "out", [make(0), replace(make(1), **change)])  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"seed": 1}, "manifest lacks checks, conditions, generator, rhythm, weights_sha256"),
        ({**LINE, "checks": {"score": float("nan")}}, "not plain JSON"),
        ({**LINE, "conditions": Path("x")}, "not plain JSON"),
    ],
)
def test_manifest_lines_must_be_complete_json(tmp_path: Path, line: dict[str, object], says: str) -> None:
    with pytest.raises(OutputError, match=says), DatasetWriter(tmp_path / "out", n_records=1) as writer:
        writer.add(make(0), line)


def test_more_records_than_announced_twice_the_same_or_none(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="more than the 2 announced"):
        write(tmp_path / "out", (make(i) for i in range(3)), n=2)
    with pytest.raises(OutputError, match="one record per name"):
        write(tmp_path / "out", [make(0), make(0)])
    with pytest.raises(OutputError, match="no records"):
        write(tmp_path / "out", [])
    assert not list(tmp_path.iterdir())


def test_marks_name_every_episode() -> None:
    assert rhythm_marks(make(0)) == [(0, "(N"), (200, "(AFIB")]


def test_memory_does_not_grow_with_records(tmp_path: Path) -> None:
    import tracemalloc

    def once(n: int, length: int, name: str) -> int:
        tracemalloc.start()
        write(tmp_path / name, (make(i, n=length) for i in range(n)), n=n)
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def peak(n: int, length: int = 500) -> int:
        # The smaller of two: the interpreter's table of strings may double (megabytes) during one of them.
        return min(once(n, length, f"out{n}-{length}-{k}") for k in range(2))

    peak(40)
    # One record is 2 kB of samples; 300 more of them kept would be 600 kB.
    assert peak(400) - peak(100) < 100_000
    # The sheet keeps 10 s (10 kB) of each of its 32 records, not the 80 kB that each has.
    assert peak(40, length=20_000) < 1_500_000


def test_a_sound_dataset_verifies(dataset: Path) -> None:
    report = verify_dataset(dataset)
    assert report.ok and report.records == 3 and report.files == len(tree(dataset)) - 1


def flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


def resum(folder: Path, name: str) -> None:
    """Make the sums agree with a changed file, so that only the deeper checks can tell."""
    sums = [line.split("  ") for line in (folder / "SHA256SUMS.txt").read_text().splitlines()]
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    text = "".join(f"{digest if file == name else old}  {file}\n" for old, file in sums)
    (folder / "SHA256SUMS.txt").write_text(text)


def swap_records(folder: Path) -> None:
    (folder / "RECORDS").write_text("afib00001\nafib00000\nafib00002\n")
    resum(folder, "RECORDS")


def hide_flip(folder: Path) -> None:
    flip(folder / "afib00001.dat")
    resum(folder, "afib00001.dat")


def rename_inside(folder: Path) -> None:
    file = folder / "afib00001.hea"
    file.write_text(file.read_text().replace("afib00001 1", "afib00009 1"))
    resum(folder, file.name)


def list_twice(folder: Path) -> None:
    (folder / "RECORDS").write_text("afib00000\nafib00001\nafib00002\nafib00002\n")


def link_out(folder: Path) -> None:
    outside = folder.parent / "outside.dat"
    (folder / "afib00001.dat").rename(outside)
    (folder / "afib00001.dat").symlink_to(outside)


def add_escaping_sum(folder: Path) -> None:
    with (folder / "SHA256SUMS.txt").open("a") as file:
        file.write(f"{'0' * 64}  ../../secret\n")


@pytest.mark.parametrize(
    ("damage", "file", "what"),
    [
        (lambda f: flip(f / "afib00001.dat"), "afib00001.dat", "SHA-256"),
        (lambda f: flip(f / "afib00001.dat"), "afib00001.hea", "checksum"),
        (lambda f: (f / "afib00001.dat").write_bytes(b""), "afib00001.hea", "truncated"),
        (hide_flip, "afib00001.hea", "checksum"),
        (lambda f: flip(f / "DATASET_CARD.md"), "DATASET_CARD.md", "SHA-256"),
        (lambda f: (f / "afib00002.atr").unlink(), "afib00002.atr", "missing"),
        (lambda f: (f / "afib00002.hea").unlink(), "RECORDS", "has no header"),
        (lambda f: (f / "extra.txt").write_text("x"), "extra.txt", "not in SHA256SUMS"),
        (lambda f: (f / "RECORDS").write_text("afib00000\nafib00001\n"), "afib00002.hea", "not in RECORDS"),
        (lambda f: (f / "RECORDS").write_bytes(b"\xff"), "RECORDS", "as text"),
        (list_twice, "RECORDS", "more than once"),
        # As many names as files.
        (lambda f: (f / "afib00002.atr").rename(f / "other.atr"), "other.atr", "not in SHA256SUMS"),
        (lambda f: (f / "RECORDS").write_text(3 * "afib00001\n"), "RECORDS", "more than once"),
        (swap_records, "manifest.jsonl", "same records"),
        (lambda f: (f / "manifest.jsonl").write_text("[]\n"), "manifest.jsonl", "line 1"),
        (rename_inside, "afib00001.hea", "another record name"),
        (link_out, "afib00001.dat", "link"),
        (add_escaping_sum, "SHA256SUMS.txt", "line 16"),
    ],
)
def test_damage_is_found_and_named(
    dataset: Path, damage: Callable[[Path], object], file: str, what: str
) -> None:
    damage(dataset)
    report = verify_dataset(dataset)
    assert not report.ok
    assert any(p.file == file and what in p.what for p in report.problems), report.problems


def test_a_folder_without_sums_cannot_be_verified(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(OutputError, match=r"SHA256SUMS\.txt cannot be read"):
            verify_dataset(folder)

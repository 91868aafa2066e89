"""``ecgsynth report``: two folders in, a verdict per rhythm out, whatever state the folders are in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import ecgsynth
from ecgsynth.cli import main
from ecgsynth.datasets import recognise
from ecgsynth.errors import RecordError
from ecgsynth.fidelity.distribution import METRICS, Measured, SetComparison, StripSet
from ecgsynth.fidelity.gate import Verdict
from ecgsynth.fidelity.integrity import longest_run
from ecgsynth.records import Record
from ecgsynth.report import ReportOptions, write_report
from ecgsynth.report.folders import open_folder
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.wfdb_io import write_record
from ecgsynth.windows import resample

FILES = ["fidelity.json", "report.html", "report.pdf"]


def save(
    folder: Path, records: list[Record], *, people: int = 0, marks: bool = True, lead: str = "II"
) -> Path:
    """Records as a WFDB folder, of ``people`` people (0: each of their own)."""
    folder.mkdir(exist_ok=True, parents=True)
    for i, record in enumerate(records):
        said = [(e.start, RHYTHMS[str(e.rhythm)].aux) for e in record.episodes] if marks else []
        comments = [f"Subject: p{i % people}"] if people else []
        beats = record.beats if marks else None
        for old in folder.glob(f"{record.name}.*"):
            old.unlink()
        write_record(
            folder, record.name, record.signal, record.fs, (lead,), comments, beats=beats, marks=said
        )
    return folder


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Record]]:
    generator = ecgsynth.load_generator("parametric")
    options: dict[str, Any] = {"seconds": 10.0, "leads": ("II",), "source": "mitdb"}
    return {
        "nsr": generator.sample(rhythm="nsr", n=24, seed=1, **options),
        "other": generator.sample(rhythm="nsr", n=24, seed=2, **options),
        "afib": generator.sample(rhythm="afib", n=12, seed=3, **options),
    }


@pytest.fixture
def folders(tmp_path: Path, drawn: dict[str, list[Record]]) -> tuple[Path, Path]:
    """A synthetic folder, and one that stands for a real one: 12 people with two records each."""
    return save(tmp_path / "made", drawn["nsr"]), save(tmp_path / "real", drawn["other"], people=12)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[StripSet, StripSet]]]:
    """A stand-in for the comparison, which takes seconds and has its own tests; it says "looks real"."""
    calls: list[tuple[StripSet, StripSet]] = []

    def compare(real: StripSet, synthetic: StripSet, **_: Any) -> SetComparison:
        calls.append((real, synthetic))
        good = Measured(0.52, 0.48, 0.57, 0.5, 0.4, 0.6, True, "")
        sides = (real.signals, synthetic.signals)
        spans = {"r_height": tuple(np.ptp(s[:, 0], axis=1).astype(float) for s in sides)}
        hz = np.arange(5.0)
        return SetComparison(
            len(set(real.people)),
            len(set(synthetic.people)),
            *(len(s) for s in sides),
            10,
            {name: good for name in METRICS},
            spans,  # type: ignore[arg-type]
            (np.ones(3), np.ones(3)),
            (hz, np.zeros((3, 5)), np.ones((3, 5))),
            None,
            {"r_height": 0.6},
        )

    monkeypatch.setattr("ecgsynth.fidelity.distribution.compare_sets", compare)
    yield calls


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that asks for a signal that moves and nothing else: bounds of the day do not matter."""

    def check(record: Record) -> Verdict:
        flat = float(longest_run(np.diff(record.signal) == 0).max()) / record.fs
        reasons = (f"flat_s: {flat:.3g} over 1",) if flat > 1 else ()
        return Verdict(not reasons, {"flat_s": flat}, reasons)

    def check_all(records: list[Record], _: object) -> list[Verdict]:
        return [check(record) for record in records]

    monkeypatch.setattr("ecgsynth.report.strips.check_records", check_all)


def judge(synthetic: Path, real: Path, out: Path, **options: Any) -> dict[str, Any]:
    """The document of a report made in this process."""
    write_report(ReportOptions(synthetic=synthetic, real=real, out=out, workers=1, **options))
    assert sorted(path.name for path in out.iterdir()) == FILES
    content: dict[str, Any] = json.loads((out / "fidelity.json").read_text())
    return content


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *(str(word) for word in words), "--workers", "1"])


@pytest.mark.slow
def test_the_real_comparison_is_the_one_that_is_asked(folders: tuple[Path, Path], tmp_path: Path) -> None:
    content = judge(*folders, tmp_path / "out", quick=True)
    own = content["rhythms"]["nsr"]
    assert own["compared"]
    assert (own["people_real"], own["records_synthetic"]) == (12, 24)
    assert own["metrics"]["auc"]["assessable"]
    assert own["verdict"] in {"looks real", "distinguishable", "fails", "not assessable"}
    assert {"auc", "coverage", "kid"} <= set(content["metrics"])
    assert [shown["role"] for shown in own["shown"]] == ["worst", "median", "best"]
    scores = [shown["score"] for shown in own["shown"]]
    assert scores == sorted(scores, reverse=True)


def test_the_document_says_what_was_found(
    folders: tuple[Path, Path], tmp_path: Path, compared: list[Any]
) -> None:
    content = judge(*folders, tmp_path / "out", seed=5)
    assert (content["schema"], content["version"], content["options"]["seed"]) == ("ecgsynth.fidelity", 1, 5)
    gate = content["gate"]
    assert gate["total"] == 24
    assert gate["passed"] + gate["rejected_listed"] == 24
    assert set(gate["rhythms"]) == {"nsr"}
    assert gate["rhythms"]["nsr"]["real"]["people"] == 12
    assert gate["rhythms"]["nsr"]["reference"]["who"] == "real strips"
    assert content["real"]["people"] == 12
    assert content["synthetic"]["sha256"] == open_folder(folders[0]).sha256()
    real, synthetic = compared[0]
    assert (real.leads, real.fs, real.signals.shape[1:]) == (("II",), 250.0, (1, 2500))
    assert len(set(real.people)) == 12
    assert len(set(synthetic.people)) == 24


def test_the_same_input_gives_the_same_bytes_wherever_and_by_however_many(
    folders: tuple[Path, Path], tmp_path: Path, compared: list[Any]
) -> None:
    judge(*folders, tmp_path / "one")
    (tmp_path / "moved").mkdir()
    moved = [path.rename(tmp_path / "moved" / path.name) for path in folders]
    outcome = write_report(ReportOptions(synthetic=moved[0], real=moved[1], out=tmp_path / "two", workers=2))
    assert outcome.out == tmp_path / "two"
    for name in FILES:
        one, two = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two"))
        assert one == two
        assert str(tmp_path).encode() not in one


@pytest.mark.usefixtures("lenient")
def test_the_page_stands_alone(folders: tuple[Path, Path], tmp_path: Path, compared: list[Any]) -> None:
    judge(*folders, tmp_path / "out", show_real=True)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "prefers-color-scheme: dark" in page
    assert not [word for word in ('src="', "@import", "url(http", 'href="http') if word in page]
    assert ">looks real</span>" in page
    for metric in METRICS.values():
        assert metric.title in page
    assert page.count("<figcaption>Real</figcaption>") == 3
    ids = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids))


def test_real_people_are_shown_only_when_asked(
    folders: tuple[Path, Path], tmp_path: Path, compared: list[Any]
) -> None:
    content = judge(*folders, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<figcaption>Real</figcaption>" not in page
    assert "p11" not in json.dumps(content)


@pytest.mark.usefixtures("lenient")
def test_an_audit_in_the_synthetic_folder_gets_a_section(
    folders: tuple[Path, Path], tmp_path: Path, compared: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ecgsynth.report.page_privacy.officer_section",
        lambda found: '<section class="privacy">Found</section>',
    )
    sides = {side: {"records": 24, "left_out": []} for side in ("synthetic", "train", "holdout")}
    findings = {"inputs": sides, "warnings": [], "near_duplicates": {"pairs": []}}
    (folders[0] / "privacy.json").write_text(json.dumps(findings))
    judge(*folders, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.index('<section class="privacy" id="privacy">Found') < page.index('id="rejected"')


@pytest.mark.usefixtures("lenient")
def test_failing_records_are_named_and_fail_the_set(
    folders: tuple[Path, Path], tmp_path: Path, drawn: dict[str, list[Record]], compared: list[Any]
) -> None:
    for record in drawn["nsr"][:10]:
        still = record.signal.copy()
        still[:, 500:2000] = 0.0
        save(folders[0], [replace(record, signal=still)])
    result = run(folders[0], "--real", folders[1], "--out", tmp_path / "out")
    assert result.exit_code == 7
    assert "fails" in result.stdout
    gate = json.loads((tmp_path / "out" / "fidelity.json").read_text())["gate"]
    assert gate["reasons"]["flat_s"] == 10
    named = {entry["record"] for entry in gate["rejected"] if any("flat_s" in r for r in entry["reasons"])}
    assert named == {record.name for record in drawn["nsr"][:10]}


def test_other_rates_lengths_and_units_are_brought_together(
    tmp_path: Path, drawn: dict[str, list[Record]], compared: list[Any]
) -> None:
    made = save(tmp_path / "made", [resample(record, 500.0) for record in drawn["nsr"]])
    real = save(tmp_path / "real", [r.slice(0, round(8.2 * r.fs)) for r in drawn["other"]], people=12)
    for header in real.glob("*.hea"):
        header.write_text(header.read_text().replace("1000(0)/mV", "1(0)/uV").replace("1000/mV", "1/uV"))
    content = judge(made, real, tmp_path / "out")
    signals = [side.signals for side in compared[0]]
    assert [s.shape[1:] for s in signals] == [(1, 2000)] * 2
    assert np.ptp(signals[0], axis=2).mean() == pytest.approx(np.ptp(signals[1], axis=2).mean(), rel=0.3)
    said = " ".join(content["rhythms"]["nsr"]["notes"])
    assert "Strips of 8 s" in said
    assert "Resampled to 250 Hz (real 250 Hz, synthetic 500 Hz)" in said


@pytest.mark.usefixtures("lenient")
def test_a_rhythm_of_one_folder_only_is_not_assessable(
    folders: tuple[Path, Path], tmp_path: Path, drawn: dict[str, list[Record]], compared: list[Any]
) -> None:
    save(folders[0], drawn["afib"])
    content = judge(*folders, tmp_path / "out")
    assert content["verdicts"] == {"nsr": "looks real", "afib": "not assessable"}
    assert content["rhythms"]["afib"]["why_not"].startswith("only in the synthetic folder")
    assert content["gate"]["rhythms"]["afib"]["total"] == 12


@pytest.mark.usefixtures("lenient")
def test_too_few_people_are_never_a_pass(tmp_path: Path, drawn: dict[str, list[Record]]) -> None:
    made = save(tmp_path / "made", drawn["nsr"])
    real = save(tmp_path / "real", drawn["other"], people=3)
    result = run(made, "--real", real, "--out", tmp_path / "out")
    assert result.exit_code == 6
    assert "not a pass" in result.stderr
    assert "3 people with a usable strip in II on the real side" in result.stdout


@pytest.mark.usefixtures("lenient")
def test_unreadable_records_are_counted_listed_and_an_error_with_strict(
    folders: tuple[Path, Path], tmp_path: Path, drawn: dict[str, list[Record]], compared: list[Any]
) -> None:
    names = [record.name for record in drawn["nsr"][:2]]
    data = folders[0] / f"{names[0]}.dat"
    data.write_bytes(data.read_bytes()[:100])
    (folders[0] / f"{names[1]}.hea").write_text("not a header\n")
    words = [folders[0], "--real", folders[1], "--out", tmp_path / "out"]
    result = run(*words)
    assert result.exit_code == 0
    assert "made: 2 records could not be read and were left out" in result.stdout
    content = json.loads((tmp_path / "out" / "fidelity.json").read_text())
    found = content["synthetic"]["unreadable"]
    assert [entry["record"] for entry in found["records"]] == names
    assert content["gate"]["total"] == 22
    assert "could not be read" in (tmp_path / "out" / "report.html").read_text()
    assert run(*words, "--overwrite", "--strict").exit_code == 3


@pytest.mark.usefixtures("lenient")
def test_a_damaged_record_of_a_database_is_left_out_too(
    folders: tuple[Path, Path], tmp_path: Path, compared: list[Any]
) -> None:
    mitdb = tmp_path / "mit"
    mitdb.mkdir()
    for number, header in enumerate(sorted(folders[1].glob("*.hea")), start=100):
        for path in folders[1].glob(f"{header.stem}.*"):
            text = path.read_bytes()
            renamed = text.replace(header.stem.encode(), str(number).encode())
            (mitdb / f"{number}{path.suffix}").write_bytes(renamed if path.suffix == ".hea" else text)
    assert recognise(mitdb) == "mitdb"
    (mitdb / "101.atr").unlink()
    (mitdb / "102.dat").write_bytes(b"cut")
    words = [folders[0], "--real", mitdb, "--out", tmp_path / "out"]
    result = run(*words)
    assert result.exit_code == 0
    assert "mit: 2 records could not be read and were left out" in result.stdout
    real = json.loads((tmp_path / "out" / "fidelity.json").read_text())["real"]
    assert (real["kind"], real["records"], real["unreadable"]["count"]) == ("mitdb", 22, 2)
    assert [entry["record"] for entry in real["unreadable"]["records"]] == ["101", "102"]
    assert str(tmp_path) not in json.dumps(real)
    assert run(*words, "--overwrite", "--strict").exit_code == 3


def test_records_in_folders_below_are_found_as_the_challenges_keep_them(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    top = tmp_path / "georgia"
    for part, folder in zip(("g1", "g2"), folders, strict=True):
        top.mkdir(exist_ok=True)
        folder.rename(top / part)
    found = [record.name for record in open_folder(top).records()]
    assert len(found) == 48 and found[0].startswith("g1/") and found[-1].startswith("g2/")
    (top / "RECORDS").write_text("g2/\n")
    assert [record.name for record in open_folder(top).records()] == found[24:]
    (top / "RECORDS").write_text("../elsewhere\n..\n")
    outside = open_folder(top)
    assert not list(outside.records())
    assert [entry.record for entry in outside.unreadable.values()] == ["../elsewhere", ".."]


def test_a_folder_of_databases_is_not_read_as_one(folders: tuple[Path, Path], tmp_path: Path) -> None:
    database = tmp_path / "all" / "af_challenge"
    database.parent.mkdir()
    folders[1].rename(database)
    (database / "ludb.csv").write_text("ID\n")
    with pytest.raises(RecordError, match=r"holds databases \(af_challenge\), no records; give one of them"):
        list(open_folder(database.parent).records())


@pytest.mark.parametrize("content", [{}, {"RECORDS": ""}, {"RECORDS": "a\n"}, {"a.hea": "a 1 250 9\n"}])
def test_a_folder_without_a_record_is_an_error(
    tmp_path: Path, drawn: dict[str, list[Record]], content: dict[str, str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for name, text in content.items():
        (empty / name).write_text(text)
    real = save(tmp_path / "real", drawn["other"])
    result = run(empty, "--real", real, "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert result.stderr.count("\n") <= 6
    assert "empty" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("lenient")
def test_records_without_labels_take_the_one_rhythm_that_is_asked(
    tmp_path: Path, drawn: dict[str, list[Record]], compared: list[Any]
) -> None:
    made = save(tmp_path / "made", drawn["nsr"], marks=False)
    real = save(tmp_path / "real", drawn["other"], people=12)
    result = run(made, "--real", real, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--rhythm nsr" in result.stderr
    assert "there are nsr" in run(real, "--real", real, "--out", tmp_path / "x", "--rhythm", "af").stderr
    content = judge(made, real, tmp_path / "out", rhythms=("nsr",))
    assert content["synthetic"]["rhythm_claimed"] == "nsr"
    assert content["verdicts"] == {"nsr": "looks real"}


@pytest.mark.usefixtures("lenient")
def test_leads_that_differ_are_not_compared(tmp_path: Path, drawn: dict[str, list[Record]]) -> None:
    made = save(tmp_path / "made", drawn["nsr"], lead="V5")
    real = save(tmp_path / "real", drawn["other"], people=12)
    content = judge(made, real, tmp_path / "out")
    assert content["rhythms"]["nsr"]["why_not"].startswith("no leads in common")
    assert content["verdicts"] == {"nsr": "not assessable"}

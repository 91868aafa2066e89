"""``ecgsynth blind-test``: a sheet that does not tell, a key that fits, and scores that are right."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import ecgsynth
from ecgsynth.blind.answers import Answers
from ecgsynth.blind.candidates import FS, STEP_MV, gather, one_form
from ecgsynth.blind.choosing import choose
from ecgsynth.blind.scoring import cohen_kappa, fleiss_kappa, score_answers
from ecgsynth.blind.sheet import read_key
from ecgsynth.cli import main
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.wfdb_io import write_record
from ecgsynth.windows import resample


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["blind-test", *(str(word) for word in words)])


def failed(result: Result, code: int, *parts: str) -> None:
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.stderr
    assert result.stderr.count("\n") == 1
    for part in parts:
        assert part in result.stderr


def save(folder: Path, records: list[Record], people: int, leads: tuple[str, ...] = ("II",)) -> Path:
    """Records as a WFDB folder of ``people`` people, with nothing that says how they were made."""
    folder.mkdir()
    for i, record in enumerate(records):
        marks = [(e.start, RHYTHMS[str(e.rhythm)].aux) for e in record.episodes]
        said = [f"Subject: p{i % people}"]
        name, lead = f"{folder.name}{i}", (leads[i % len(leads)],)
        write_record(folder, name, record.signal, record.fs, lead, said, beats=record.beats, marks=marks)
    return folder


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Record]]:
    generator = ecgsynth.load_generator("parametric")
    options: dict[str, Any] = {"seconds": 10.0, "leads": ("II",), "source": "mitdb"}
    return {
        side: [
            record
            for rhythm in ("nsr", "afib")
            for record in generator.sample(rhythm=rhythm, n=12, seed=seed, **options)
        ]
        for side, seed in (("real", 1), ("fake", 2))
    }


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, drawn: dict[str, list[Record]]) -> tuple[Path, Path]:
    tmp_path = tmp_path_factory.mktemp("folders")
    real = [resample(record, 360.0) for record in drawn["real"]]
    return save(tmp_path / "clinic", real, people=6), save(tmp_path / "made", drawn["fake"], people=24)


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory, folders: tuple[Path, Path]) -> Path:
    out = tmp_path_factory.mktemp("sheet") / "blind"
    real, fake = folders
    done = run("--real", real, "--synthetic", fake, "--rhythms", "nsr,AF", "--n", "7", "--out", out)
    assert done.exit_code == 0, done.stderr
    return out


def key_of(sheet: Path) -> dict[str, Any]:
    return read_key(sheet.with_name(f"{sheet.name}-key.json"))


def fill(sheet: Path, name: str, answer: Any, confidence: str = "", column: str = "") -> Path:
    """The form filled in by ``answer(row of the key)``, or with one ``column`` of line 1 set to it."""
    rows = list(csv.DictReader((sheet / "answers.csv").open()))
    for row, known in zip(rows, key_of(sheet)["strips"], strict=True):
        row["answer"], row["confidence"] = known["truth"], confidence
        if not column:
            row["answer"] = answer(known)
    if column:
        rows[0][column] = answer
    path = sheet.parent / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def copied(sheet: Path, place: Path) -> Path:
    """The sheet with its key at another place, to be changed."""
    shutil.copytree(sheet.parent, place, dirs_exist_ok=True)
    return place / sheet.name


def truth(row: dict[str, Any]) -> str:
    return str(row["truth"])


# ----------------------------------------------------------------------------- the sheet


def test_a_sheet_has_as_many_real_as_synthetic_strips_of_each_rhythm_and_lead(sheet: Path) -> None:
    strips = key_of(sheet)["strips"]
    counts = Counter((row["rhythm"], row["lead"], row["truth"]) for row in strips)
    assert counts == {
        ("nsr", "II", "real"): 4,
        ("nsr", "II", "synthetic"): 4,
        ("afib", "II", "real"): 3,
        ("afib", "II", "synthetic"): 3,
    }
    assert [row["number"] for row in strips] == list(range(1, 15))
    assert sorted(p.name for p in sheet.iterdir()) == ["answers.csv", "sheet.pdf"]


def test_people_give_few_strips_each(sheet: Path) -> None:
    people = Counter(row["person"] for row in key_of(sheet)["strips"] if row["truth"] == "real")
    assert len(people) == 6  # of six, seven strips: one person gives two
    assert max(people.values()) == 2


def test_the_same_folders_give_the_same_bytes_and_another_seed_other_ones(
    tmp_path: Path, folders: tuple[Path, Path], sheet: Path
) -> None:
    real, fake = folders
    words = ("--real", real, "--synthetic", fake, "--rhythms", "nsr,afib", "--n", "7", "--out")
    assert run(*words, tmp_path / "again").exit_code == 0
    assert run(*words, tmp_path / "other", "--seed", "1").exit_code == 0
    for name in ("sheet.pdf", "answers.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (sheet / name).read_bytes()
    assert key_of(tmp_path / "other")["sheet"] != key_of(sheet)["sheet"]


def test_neither_the_form_nor_the_sheet_tells(sheet: Path, folders: tuple[Path, Path]) -> None:
    handed_out = (sheet / "answers.csv").read_bytes() + (sheet / "sheet.pdf").read_bytes()
    for word in ("clinic", "made", "person"):
        assert word.encode() not in handed_out
    lines = (sheet / "answers.csv").read_text().splitlines()
    assert lines[0] == "sheet,number,answer,confidence"
    assert {line.partition(",")[0] for line in lines[1:]} == {key_of(sheet)["sheet"]}


def test_both_sides_have_one_form(folders: tuple[Path, Path]) -> None:
    """Whatever the converter, the rate and the offset, samples of both sides share steps, band and length."""
    for path, side in zip(folders, ("real", "synthetic"), strict=True):
        pool = gather([path], side, ["nsr", "afib"], 3, 0)  # type: ignore[arg-type]
        signals = np.stack([strip.signal for strip in pool.strips]).astype(float)
        assert signals.shape[1] == 2000
        steps = signals / STEP_MV
        assert np.abs(steps - np.rint(steps)).max() < 1e-3
        power = np.abs(np.fft.rfft(signals, axis=1)) ** 2
        hz = np.fft.rfftfreq(signals.shape[1], 1 / FS)
        assert power[:, hz > 60].sum() < 1e-3 * power[:, hz < 40].sum()


def test_the_form_does_not_depend_on_the_rate_gain_step_or_offset(drawn: dict[str, list[Record]]) -> None:
    record = drawn["real"][0]
    coarse = replace(record, signal=(np.round(record.signal * 200) / 200 + 0.8).astype(np.float32))
    for other in (coarse, resample(record, 360.0)):
        assert np.abs(one_form(other) - one_form(record)).max() < 0.02


def test_a_strip_of_a_lead_that_nobody_named_is_paired_with_one_whose_lead_is_left_unsaid(
    tmp_path: Path, drawn: dict[str, list[Record]]
) -> None:
    real = gather([save(tmp_path / "a", drawn["real"], 24, ("ECG",))], "real", ["nsr"], 3, 0)
    fake = gather([save(tmp_path / "b", drawn["fake"], 24, ("II", "V1"))], "synthetic", ["nsr"], 3, 0)
    assert {strip.lead for strip in choose(real, fake, ["nsr"], 6, 3, 0)} == {"ECG"}


def test_sides_without_a_common_lead_cannot_be_mixed(tmp_path: Path, drawn: dict[str, list[Record]]) -> None:
    real = save(tmp_path / "a", drawn["real"], 24, ("V1",))
    fake = save(tmp_path / "b", drawn["fake"], 24)
    words = ("--real", real, "--synthetic", fake, "--rhythms", "nsr", "--n", "2", "--out", tmp_path / "x")
    failed(run(*words), 6, "nsr: 0 pairs", "leads V1", "leads II")
    assert not (tmp_path / "x").exists()


def test_a_generator_can_give_the_synthetic_side(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    out = tmp_path / "drawn"
    words = ("--rhythms", "nsr", "--n", "2", "--generator", "parametric", "--out", out)
    done = run("--real", folders[0], *words)
    assert done.exit_code == 0, done.stderr
    assert Counter(map(truth, key_of(out)["strips"])) == {"real": 2, "synthetic": 2}


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        ([], 2, ("--real",)),
        (["--real", "clinic"], 2, ("--out",)),
        (["--real", "clinic", "--out", "x"], 2, ("--synthetic", "--generator")),
        (["--real", "clinic", "--synthetic", "made", "--generator", "cvae", "--out", "x"], 2, ("not both",)),
        (["--real", "clinic", "--synthetic", "made", "--out", "x", "--rhythms", "nsr,qq"], 2, ("qq",)),
        (["--real", "clinic", "--synthetic", "made", "--out", "x", "--rhythms", " , "], 2, ("--rhythms",)),
        (["--real", "clinic", "--synthetic", "made", "--out", "x", "--n", "3"], 2, ("6 to 500",)),
        (["--real", "nowhere", "--synthetic", "made", "--out", "x"], 3, ("nowhere",)),
        (["--real", "clinic", "--synthetic", "made", "--out", "x"], 6, ("aflutter", "0 people")),
        (
            ["--real", "clinic", "--synthetic", "made", "--out", "x", "--rhythms", "nsr"],
            6,
            ("12 pairs", "6 people"),
        ),
        (["--real", "clinic", "--synthetic", "made", "--out", "made", "--rhythms", "nsr"], 5, ("made",)),
    ],
)
def test_what_cannot_be_met_is_one_line(
    words: list[str], code: int, parts: tuple[str, ...], folders: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders[0].parent)
    failed(run(*words), code, *parts)
    assert not Path("x").exists()
    assert not Path("x-key.json").exists()


def test_a_record_that_says_it_is_synthetic_is_not_taken_for_a_person(tmp_path: Path) -> None:
    options = ecgsynth.GenerateOptions(rhythm="nsr", records=2, generator="parametric", out=tmp_path / "made")
    made = ecgsynth.generate_dataset(options).out
    words = ("--real", made, "--synthetic", made, "--rhythms", "nsr", "--n", "1", "--out", tmp_path / "x")
    failed(run(*words), 2, "says that it is synthetic")


def test_a_sheet_that_is_there_is_replaced_only_when_asked(
    sheet: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    real, fake = folders
    sheet = copied(sheet, tmp_path)
    words = ("--real", real, "--synthetic", fake, "--rhythms", "nsr", "--n", "2", "--out", sheet)
    before = key_of(sheet)["sheet"]
    failed(run(*words), 5, "exists already")
    assert key_of(sheet)["sheet"] == before
    assert run(*words, "--overwrite").exit_code == 0
    assert len(key_of(sheet)["strips"]) == 4


# ----------------------------------------------------------------------------- the score


def score(sheet: Path, *words: str | Path) -> Result:
    return run("score", *words, "--key", sheet.with_name(f"{sheet.name}-key.json"))


def scored(sheet: Path, *words: str | Path) -> dict[str, Any]:
    result = score(sheet, *words, "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_a_rater_who_knows_is_right_in_all_and_the_interval_is_exact(sheet: Path) -> None:
    own = scored(sheet, fill(sheet, "anna", truth, "100"))["raters"]["anna"]
    accuracy = own["all"]["accuracy"]
    assert (accuracy["hits"], accuracy["n"], accuracy["value"], accuracy["high"]) == (14, 14, 1.0, 1.0)
    assert accuracy["low"] == pytest.approx(0.025 ** (1 / 14))  # Clopper-Pearson when all are right
    assert own["all"]["guessing_p"] == pytest.approx(2 * 0.5**14)
    assert own["confidence"]["brier"] == 0.0


def test_a_rater_who_says_real_to_all_is_specific_and_not_sensitive(sheet: Path) -> None:
    own = scored(sheet, fill(sheet, "ben", lambda _: "R", "50 %"))["raters"]["ben"]
    rates = own["all"]
    assert [rates[k]["value"] for k in ("accuracy", "sensitivity", "specificity")] == [0.5, 0.0, 1.0]
    assert rates["sensitivity"]["high"] == pytest.approx(1 - 0.025 ** (1 / 7))
    assert rates["sensitivity"]["people"] == [0.0, 0.0]
    assert {name: own["rhythms"][name]["accuracy"]["n"] for name in own["rhythms"]} == {"nsr": 8, "afib": 6}
    assert own["rhythms"]["afib"]["specificity"]["people"] is None  # three people only
    assert own["confidence"]["brier"] == pytest.approx(0.25)


def test_people_widen_the_interval_where_one_person_gives_many_strips() -> None:
    rows = [
        {"number": i, "truth": "real", "rhythm": "nsr", "person": f"p{i % 6}"} for i in range(60)
    ]  # every strip of a person is told or none is
    rater = Answers("a", {i: "real" if i % 6 < 3 else "synthetic" for i in range(60)}, {})
    rate = score_answers([rater], {"sheet": "x", "strips": rows})["raters"]["a"]["all"]["specificity"]
    assert rate["low"] == pytest.approx(0.368, abs=0.001)
    low, high = rate["people"]
    assert low < 0.2 and high > 0.8


def test_confidence_in_wrong_answers_costs(sheet: Path) -> None:
    wrong = fill(sheet, "eve", lambda row: "s" if row["truth"] == "real" else "r", "90")
    assert scored(sheet, wrong)["raters"]["eve"]["confidence"]["brier"] == pytest.approx(0.81)


def test_raters_are_named_and_their_agreement_measured(sheet: Path) -> None:
    files = [
        fill(sheet, "anna", truth),
        fill(sheet, "ben", truth),
        fill(sheet, "eve", lambda row: "synthetic" if row["number"] % 2 else "real"),
    ]
    agreement = scored(sheet, *files)["agreement"]
    assert agreement["pairs"]["anna, ben"] == {"n": 14, "cohen_kappa": 1.0}
    assert abs(agreement["pairs"]["anna, eve"]["cohen_kappa"]) < 1
    assert agreement["fleiss"]["raters"] == 3
    said = score(sheet, *files).stdout
    assert "Cohen's kappa of anna, ben: 1.00" in said and "Fleiss' kappa of all" in said
    assert "anna: 14 of 14 strips answered" in said


def test_kappas_are_those_of_the_books() -> None:
    # Cohen: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no gives 0.4.
    cells = [(1, 1)] * 20 + [(1, 0)] * 5 + [(0, 1)] * 10 + [(0, 0)] * 15
    assert cohen_kappa(np.array(cells, dtype=bool)) == pytest.approx(0.4)
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    table = rng.random((80, 2)) < 0.4
    assert cohen_kappa(table) == pytest.approx(sklearn.cohen_kappa_score(table[:, 0], table[:, 1]))
    # Fleiss with two raters is Scott's pi, whose chance comes from the pooled shares.
    share = table.mean()
    agreed, chance = (table[:, 0] == table[:, 1]).mean(), share**2 + (1 - share) ** 2
    assert fleiss_kappa(table) == pytest.approx((agreed - chance) / (1 - chance))
    assert cohen_kappa(np.ones((5, 2), dtype=bool)) is None


def test_missing_answers_are_named_and_may_be_left(sheet: Path) -> None:
    path = fill(sheet, "anna", lambda row: row["truth"] if row["number"] > 2 else "")
    failed(score(sheet, path), 3, "2 of 14", "(1, 2)", "--partial")
    own = scored(sheet, path, "--partial")["raters"]["anna"]
    assert (own["answered"], own["all"]["accuracy"]["n"]) == (12, 12)
    failed(score(sheet, fill(sheet, "none", lambda _: ""), "--partial"), 3, "14 of 14")


@pytest.mark.parametrize(
    ("column", "value", "parts"),
    [
        ("number", "99", ("line 2", "'99'", "1 to 14")),
        ("number", "one", ("'one'",)),
        ("number", "2", ("strip 2 is there twice",)),
        ("answer", "maybe", ("'maybe'", "real and synthetic")),
        ("confidence", "40", ("'40'", "50")),
        ("confidence", "sure", ("'sure'",)),
        ("sheet", "0123456789ab", ("0123456789ab", "the key is of sheet")),
    ],
)
def test_a_form_that_cannot_be_scored_says_where(
    sheet: Path, column: str, value: str, parts: tuple[str, ...]
) -> None:
    failed(score(sheet, fill(sheet, "anna", value, column=column)), 3, *parts)


def test_a_form_of_another_program_is_read(sheet: Path) -> None:
    """Spreadsheets write semicolons, a byte-order mark, and spaces."""
    path = fill(sheet, "anna", truth)
    path.write_text("\ufeff" + path.read_text().replace(",", "; "), encoding="utf-8")
    assert scored(sheet, path)["raters"]["anna"]["all"]["accuracy"]["value"] == 1.0


def test_what_is_no_form_or_no_key_is_said(sheet: Path, tmp_path: Path) -> None:
    good = fill(sheet, "anna", truth)
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    failed(score(sheet, other), 3, "no column sheet, number, answer")
    other.write_bytes(b"\xff\xfe\x00")
    failed(score(sheet, other), 3, "UTF-8")
    failed(score(sheet, tmp_path / "gone.csv"), 3, "gone.csv")
    failed(run("score", good, "--key", good), 3, "is not the key")
    failed(run("score", good, "--key", tmp_path / "gone.json"), 3, "no such file")
    copy = tmp_path / "copy" / "anna.csv"
    copy.parent.mkdir()
    copy.write_bytes(good.read_bytes())
    failed(score(sheet, good, copy), 2, "'anna'")


def test_a_key_that_was_changed_is_refused(sheet: Path, tmp_path: Path) -> None:
    sheet = copied(sheet, tmp_path)
    path = sheet.with_name(f"{sheet.name}-key.json")
    content = json.loads(path.read_text())
    content["strips"][0]["truth"] = {"real": "synthetic", "synthetic": "real"}[content["strips"][0]["truth"]]
    path.write_text(json.dumps(content))
    failed(score(sheet, sheet / "answers.csv"), 3, "was changed")

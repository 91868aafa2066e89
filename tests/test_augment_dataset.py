"""``ecgsynth augment``: one folder of real and synthetic strips: its parts, refusals, plan and shards."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ecgsynth.augment import (
    AugmentOptions,
    StripOptions,
    augment_dataset,
    check_parts,
    plan_dataset,
    read_shard,
)
from ecgsynth.augment.rest import shared_out
from ecgsynth.cli import main
from ecgsynth.datasets.folder import read_folder
from ecgsynth.errors import OptionError, OutputError, RecordError
from ecgsynth.export import verify_dataset
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.split import PARTS, SplitManifest, split_people
from ecgsynth.wfdb_io import write_record

FS, SECONDS = 100.0, 4.0


def write_person(
    folder: Path,
    person: str,
    rhythm: str | None,
    *,
    seconds: float = 12.0,
    fs: float = FS,
    leads: tuple[str, ...] = ("I",),
    record: str | None = None,
    comment: str | None = None,
) -> None:
    """One recording: beats every 0.8 s with noise of its own, and a header that says who and what."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(person.encode()))
    t = np.arange(round(seconds * fs)) / fs
    beat = np.exp(-((t % 0.8 - 0.4) ** 2) / (2 * 0.02**2))
    signal = (beat + 0.02 * rng.standard_normal((len(leads), len(t)))).astype(np.float32)
    comments = [f"Subject: {person}"]
    comments += [f"Dx: {RHYTHMS[rhythm].snomed}"] if rhythm else []
    comments += [comment] if comment else []
    write_record(folder, record or f"r{person}", signal, fs, leads, comments)


def write_people(folder: Path, **given: Any) -> Path:
    """Twelve people in sinus rhythm with three strips each, six with AF."""
    for i in range(12):
        write_person(folder, f"n{i}", "nsr", **given)
    for i in range(6):
        write_person(folder, f"a{i}", "afib", **given)
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("data") / "clinic")


def options(real: Path | tuple[Path, ...], out: Path, **given: Any) -> AugmentOptions:
    cut = {key: given.pop(key) for key in ("fs", "leads", "labels", "per_person") if key in given}
    seconds = given.pop("seconds", SECONDS)
    strips = StripOptions(real=real if isinstance(real, tuple) else (real,), seconds=seconds, **cut)
    return AugmentOptions(
        **{"strips": strips, "out": out, "rhythms": ("AF",), "generator": "parametric", "workers": 1, **given}
    )


@pytest.fixture(scope="module")
def made(real: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "set"
    augment_dataset(options(real, out, ratio=0.5, shards="tar"))
    return out


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "manifest.jsonl").read_text().splitlines()]


def sums(folder: Path) -> str:
    return hashlib.sha256((folder / "SHA256SUMS.txt").read_bytes()).hexdigest()


# ------------------------------------------------------------------ what is written


def test_the_folder_is_whole_and_reads_as_wfdb(made: Path) -> None:
    assert verify_dataset(made).problems == ()
    records = list(read_folder(made))
    assert {record.fs for record in records} == {FS}
    assert {record.n_samples for record in records} == {400}
    assert {record.leads for record in records} == {("I",)}
    said = {line["name"]: line["rhythm"] for line in lines(made)}
    assert {record.name: record.episodes[0].rhythm for record in records} == said


def test_the_ratio_is_that_of_the_training_strips_of_the_rhythm(made: Path) -> None:
    found = Counter((line["part"], line["rhythm"], line["synthetic"]) for line in lines(made))
    assert found["train", "afib", True] == round(0.5 * found["train", "afib", False]) > 0
    assert found["train", "nsr", True] == found["train", "afib", True]
    assert sum(n for (_, _, synthetic), n in found.items() if not synthetic) == 18 * 3


def test_the_rest_is_in_the_image_of_the_same_databases(made: Path) -> None:
    own = [line for line in lines(made) if line["synthetic"]]
    sources = {
        rhythm: Counter(line["source"] for line in own if line["rhythm"] == rhythm)
        for rhythm in ("afib", "nsr")
    }
    assert sources["afib"] == sources["nsr"]
    assert len({line["name"] for line in own}) == len(own)
    assert len({(line["seed"], line["index"]) for line in own}) == len(own)


def test_the_rest_is_all_that_training_shows(tmp_path: Path) -> None:
    """Beside normal sinus rhythm alone, a model takes every other rate for the rare rhythm."""
    folder = write_people(tmp_path / "clinic")
    for i in range(6):
        write_person(folder, f"t{i}", "sinus_tachycardia")
    augment_dataset(options(folder, tmp_path / "mixed", ratio=0.5))
    made = Counter(line["rhythm"] for line in lines(tmp_path / "mixed") if line["synthetic"])
    assert made["nsr"] + made["sinus_tachycardia"] == made["afib"] > 3
    assert abs(made["nsr"] - made["sinus_tachycardia"]) <= 1


def test_what_is_left_over_goes_to_the_rhythms_in_turn() -> None:
    shares = list(shared_out({"a": 4, "b": 2, "c": 1}, ("x", "y", "z")))
    assert shares == [
        ("a", "x", 2), ("a", "y", 1), ("a", "z", 1), ("b", "y", 1), ("b", "z", 1), ("c", "x", 1),
    ]  # fmt: skip
    assert list(shared_out({"a": 4}, ())) == []


def test_the_rest_can_be_left_out_or_named(real: Path, tmp_path: Path) -> None:
    augment_dataset(options(real, tmp_path / "alone", ratio=0.25, rest="none"))
    assert {line["rhythm"] for line in lines(tmp_path / "alone") if line["synthetic"]} == {"afib"}
    augment_dataset(options(real, tmp_path / "named", ratio=0.25, rest="SA"))
    made = {line["rhythm"] for line in lines(tmp_path / "named") if line["synthetic"]}
    assert made == {"afib", "sinus_arrhythmia"}
    augment_dataset(options(real, tmp_path / "two", ratio=0.5, rest="SA,SBR"))
    two = Counter(line["rhythm"] for line in lines(tmp_path / "two") if line["synthetic"])
    assert two["sinus_arrhythmia"] + two["sinus_bradycardia"] == two["afib"] > 3
    assert abs(two["sinus_arrhythmia"] - two["sinus_bradycardia"]) <= 1
    assert len({line["name"] for line in lines(tmp_path / "two")}) == len(lines(tmp_path / "two"))
    with pytest.raises(OptionError, match="is generated already"):
        augment_dataset(options(real, tmp_path / "twice", ratio=0.25, rest="afib"))


def test_nobody_is_in_two_parts_and_nothing_synthetic_is_outside_train(made: Path) -> None:
    parts: dict[str, set[str]] = {}
    for line in lines(made):
        parts.setdefault(line["person"], set()).add(line["part"])
        assert line["part"] == "train" or not line["synthetic"]
    assert all(len(where) == 1 for where in parts.values())
    split = SplitManifest.from_json((made / "split.json").read_text())
    assert {line["split"] for line in lines(made)} == {split.sha256}
    assert check_parts(made).keys() == {line["name"] for line in lines(made)}


def test_headers_say_who_where_from_and_whether_synthetic(made: Path) -> None:
    for line in lines(made):
        header = (made / f"{line['name']}.hea").read_text()
        assert f"# Part: {line['part']}\n" in header
        assert f"# Subject: {line['person']}\n" in header
        assert f"# Origin: {line['origin']}\n" in header
        assert ("synthetic" in header.casefold()) == line["synthetic"]
    origins = {line["origin"] for line in lines(made) if line["person"].endswith("/n3")}
    assert origins == {"rn3, from 0 s", "rn3, from 4 s", "rn3, from 8 s"}


def test_samples_of_real_strips_are_those_of_the_recording(made: Path, real: Path) -> None:
    whole = next(record for record in read_folder(real) if record.name == "rn3")
    strips = sorted(
        (record for record in read_folder(made) if "rn3" in record.name), key=lambda record: record.name
    )
    assert np.array_equal(np.concatenate([strip.signal for strip in strips], axis=1), whole.signal)


def test_the_table_of_records_agrees_with_the_manifest(made: Path) -> None:
    with (made / "records.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["record"] for row in rows] == [line["name"] for line in lines(made)]
    assert [row["synthetic"] == "yes" for row in rows] == [line["synthetic"] for line in lines(made)]
    assert [row["person"] for row in rows] == [line["person"] for line in lines(made)]


def test_the_same_options_give_the_same_bytes_and_another_seed_others(
    made: Path, real: Path, tmp_path: Path
) -> None:
    augment_dataset(options(real, tmp_path / "again", ratio=0.5, shards="tar"))
    assert sums(tmp_path / "again") == sums(made)
    augment_dataset(options(real, tmp_path / "other", ratio=0.5, shards="tar", seed=1))
    assert sums(tmp_path / "other") != sums(made)


def test_nothing_is_left_beside_the_folder(real: Path, tmp_path: Path) -> None:
    augment_dataset(options(real, tmp_path / "set", ratio=0.25))
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    with pytest.raises(OutputError, match="exists already"):
        augment_dataset(options(real, tmp_path / "set", ratio=0.25))
    augment_dataset(options(real, tmp_path / "set", ratio=0, overwrite=True))
    assert not any(line["synthetic"] for line in lines(tmp_path / "set"))


def test_recordings_are_resampled_and_leads_picked_on_demand(tmp_path: Path) -> None:
    one = write_people(tmp_path / "one", fs=250.0, leads=("I", "II"))
    two = tmp_path / "two"
    for i in range(4):
        write_person(two, f"x{i}", "nsr", fs=100.0, leads=("II",))
    summary = augment_dataset(options((one, two), tmp_path / "set", fs=125.0, leads=("II",), ratio=0.25))
    records = list(read_folder(tmp_path / "set"))
    assert {(record.fs, record.leads, record.n_samples) for record in records} == {(125.0, ("II",), 500)}
    assert {line["source"] for line in lines(tmp_path / "set") if not line["synthetic"]} == {"one", "two"}
    assert summary.people["train"] > summary.people["test"] > 0


def test_strips_per_person_can_be_limited(real: Path, tmp_path: Path) -> None:
    augment_dataset(options(real, tmp_path / "set", per_person=2, ratio=0))
    counts = Counter(line["person"] for line in lines(tmp_path / "set"))
    assert set(counts.values()) == {2} and len(counts) == 18


def test_a_given_split_is_followed(real: Path, tmp_path: Path) -> None:
    people = {f"clinic/n{i}": ["nsr"] for i in range(12)} | {f"clinic/a{i}": ["afib"] for i in range(6)}
    split = split_people(people | {"clinic/elsewhere": ["nsr"]}, seed=5)
    (tmp_path / "split.json").write_text(split.to_json())
    augment_dataset(options(real, tmp_path / "set", split=tmp_path / "split.json", ratio=0))
    for line in lines(tmp_path / "set"):
        assert split.part_of(line["person"]) == line["part"]
    assert (tmp_path / "set" / "split.json").read_text() == split.to_json()


def test_twelve_leads_are_generated_for_twelve_leads(tmp_path: Path) -> None:
    from ecgsynth.records import TWELVE_LEADS

    shuffled = (*TWELVE_LEADS[6:], *TWELVE_LEADS[:6])
    real = write_people(tmp_path / "real", leads=shuffled)
    augment_dataset(options(real, tmp_path / "set", ratio=0.1))
    assert {record.leads for record in read_folder(tmp_path / "set")} == {TWELVE_LEADS}
    assert sum(line["synthetic"] for line in lines(tmp_path / "set")) >= 1


# ------------------------------------------------------------------ shards


def test_tar_shards_hold_every_strip_once_in_its_part(made: Path) -> None:
    signals = {record.name: record.signal for record in read_folder(made)}
    seen = []
    for path in sorted((made / "shards").iterdir()):
        for signal, about in read_shard(path):
            assert path.name == f"{about['part']}-000000.tar"
            assert np.allclose(signal, signals[about["name"]], atol=1e-6)
            seen.append((about["name"], about["synthetic"], about["person"], about["rhythm"]))
    told = [(line["name"], line["synthetic"], line["person"], line["rhythm"]) for line in lines(made)]
    assert sorted(seen) == sorted(told)
    assert seen != sorted(seen)  # shuffled


def test_parquet_shards_hold_the_same(real: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    augment_dataset(options(real, tmp_path / "set", ratio=0.25, shards="parquet"))
    assert verify_dataset(tmp_path / "set").ok
    signals = {record.name: record.signal for record in read_folder(tmp_path / "set")}
    rows = [row for path in (tmp_path / "set" / "shards").iterdir() for row in read_shard(path)]
    assert {about["name"] for _, about in rows} == signals.keys()
    assert all(np.allclose(signal, signals[about["name"]], atol=1e-6) for signal, about in rows)


def test_parquet_without_pyarrow_says_what_to_install(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins

    found = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return found(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError, match=r"pip install 'ecgsynth\[parquet\]', or use --shards tar"):
        augment_dataset(options(real, tmp_path / "set", ratio=0, shards="parquet"))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_shard_is_named(made: Path, tmp_path: Path) -> None:
    broken = tmp_path / "train-000000.tar"
    broken.write_bytes((made / "shards" / "train-000000.tar").read_bytes()[:700])
    with pytest.raises(RecordError, match=r"train-000000\.tar: is no shard"):
        list(read_shard(broken))


# ------------------------------------------------------------------ the plan


def test_the_plan_counts_people_and_proposes_no_more_than_the_commonest(real: Path, tmp_path: Path) -> None:
    rows = {row.rhythm: row for row in plan_dataset(options(real, tmp_path / "set", generator="parametric"))}
    assert list(rows) == ["nsr", "afib"]
    assert sum(rows["afib"].people.values()) == 6 and sum(rows["nsr"].people.values()) == 12
    assert sum(rows["afib"].strips.values()) == 18
    afib, nsr = rows["afib"], rows["nsr"]
    assert nsr.ratio == 0 and afib.ratio > 0
    assert afib.records == round(afib.ratio * afib.strips["train"])
    assert afib.strips["train"] + afib.records <= nsr.strips["train"]
    assert "a gain cannot be shown" in afib.note
    assert list(tmp_path.iterdir()) == []


def test_the_plan_offers_no_rhythm_that_the_generator_has_not_learned(tmp_path: Path) -> None:
    real = write_people(tmp_path / "real")
    for i in range(4):
        write_person(real, f"w{i}", "wpw")
    learned = {row.rhythm: row for row in plan_dataset(options(real, tmp_path / "x", generator="cvae"))}
    assert learned["wpw"].records == 0 and "--generator parametric" in learned["wpw"].note
    parametric = {row.rhythm: row for row in plan_dataset(options(real, tmp_path / "x"))}
    assert parametric["wpw"].records > 0


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize("ratio", [-1.0, 21.0, float("nan"), float("inf")])
def test_an_absurd_ratio_is_refused(real: Path, tmp_path: Path, ratio: float) -> None:
    with pytest.raises(OptionError, match=r"--ratio: \S+ synthetic strips per real one; allowed are 0 to 20"):
        options(real, tmp_path / "set", ratio=ratio)


def two_rates(root: Path) -> tuple[Path, ...]:
    write_person(root / "slow", "s", "nsr", fs=100.0)
    write_person(root / "fast", "f", "nsr", fs=250.0)
    return root / "slow", root / "fast"


def two_lead_sets(root: Path) -> tuple[Path, ...]:
    write_person(root / "one", "o", "nsr", leads=("I",))
    write_person(root / "two", "t", "nsr", leads=("I", "II"))
    return root / "one", root / "two"


def unlabelled(root: Path) -> tuple[Path, ...]:
    for i in range(4):
        write_person(root / "plain", f"p{i}", None)
    return (root / "plain",)


def too_short(root: Path) -> tuple[Path, ...]:
    write_person(root / "short", "s", "nsr", seconds=2.0)
    return (root / "short",)


def with_a_synthetic_one(root: Path) -> tuple[Path, ...]:
    folder = write_people(root / "mixed")
    write_person(folder, "z9", "afib", comment="Synthetic: yes")
    return (folder,)


def with_a_damaged_one(root: Path) -> tuple[Path, ...]:
    folder = write_people(root / "damaged")
    (folder / "rn5.dat").write_bytes(b"1234")
    return (folder,)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (two_rates, r"fast/rf has 250 Hz, slow/rs has 100 Hz; one rate is needed\. Choose --fs"),
        (two_lead_sets, r"two/rt has leads I, II, one/ro has I; one set is needed\. Choose --lead"),
        (unlabelled, r"no strip of 4 s with a rhythm \(left out: without a rhythm 4\)\. Give --labels"),
        (too_short, r"left out: no whole strip 1\)"),
        (with_a_synthetic_one, r"mixed/rz9: is synthetic; --real takes recordings of people only"),
        (with_a_damaged_one, r"rn5"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_recordings_that_cannot_be_used_are_refused(
    build: Callable[[Path], tuple[Path, ...]], match: str, tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match=match):
        augment_dataset(options(build(tmp_path), tmp_path / "set"))
    assert not (tmp_path / "set").exists()


def test_a_split_that_does_not_know_everyone_is_refused(real: Path, tmp_path: Path) -> None:
    split = split_people({f"clinic/n{i}": ["nsr"] for i in range(12)})
    (tmp_path / "split.json").write_text(split.to_json())
    with pytest.raises(RecordError, match=r"6 of 18 people are in no part, first clinic/a0"):
        augment_dataset(options(real, tmp_path / "set", split=tmp_path / "split.json"))


def test_a_person_on_both_sides_of_a_split_is_refused(real: Path, tmp_path: Path) -> None:
    names = tuple(sorted([f"clinic/n{i}" for i in range(12)] + [f"clinic/a{i}" for i in range(6)]))
    twice = SplitManifest(names, ("clinic/a0",), (), 0, (0.7, 0.15, 0.15))
    (tmp_path / "split.json").write_text(twice.to_json())
    with pytest.raises(RecordError, match="1 people are in both train and val, first clinic/a0"):
        augment_dataset(options(real, tmp_path / "set", split=tmp_path / "split.json"))


def test_an_edited_split_is_refused(real: Path, tmp_path: Path) -> None:
    split = split_people({f"clinic/{k}{i}": ["nsr"] for k, n in (("n", 12), ("a", 6)) for i in range(n)})
    (tmp_path / "split.json").write_text(split.to_json().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(RecordError, match="it was edited"):
        augment_dataset(options(real, tmp_path / "set", split=tmp_path / "split.json"))


def test_a_rhythm_that_nobody_in_train_shows_is_refused(real: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"--rhythm vt: nobody in train shows it.*Shown are afib, nsr"):
        augment_dataset(options(real, tmp_path / "set", rhythms=("vt",)))
    with pytest.raises(OptionError, match="unknown rhythm"):
        augment_dataset(options(real, tmp_path / "set", rhythms=("swing",)))


def test_lead_sets_that_no_generator_makes_are_refused(tmp_path: Path) -> None:
    real = write_people(tmp_path / "real", leads=("II", "V1"))
    with pytest.raises(OptionError, match=r"one lead or the standard twelve. Choose one, such as --lead II"):
        augment_dataset(options(real, tmp_path / "set"))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"seconds": 0.1}, "--seconds"),
        ({"fs": 5.0}, "--fs"),
        ({"per_person": 0}, "--per-person"),
    ],
)
def test_impossible_strips_are_refused(real: Path, given: dict[str, Any], match: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=match):
        options(real, tmp_path, **given)


# ------------------------------------------------------------------ a folder that was changed


def changed(made: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    shutil.copytree(made, to)
    rows = lines(to)
    for row in rows:
        change(row)
    (to / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return to


def test_synthetic_records_in_a_test_set_are_refused(made: Path, tmp_path: Path) -> None:
    def move(row: dict[str, Any]) -> None:
        row["part"] = "test" if row["synthetic"] else row["part"]

    with pytest.raises(RecordError, match=r"afib00000 is synthetic and in part test"):
        check_parts(changed(made, tmp_path / "set", move))


def test_a_person_in_two_parts_of_a_folder_is_refused(made: Path, tmp_path: Path) -> None:
    def move(row: dict[str, Any]) -> None:
        if row["origin"] == "rn3, from 4 s":
            row["part"] = PARTS[(PARTS.index(row["part"]) + 1) % 3]

    with pytest.raises(RecordError, match=r"clinic/n3 is in both"):
        check_parts(changed(made, tmp_path / "set", move))


def test_a_person_in_another_part_than_the_split_says_is_refused(made: Path, tmp_path: Path) -> None:
    def move(row: dict[str, Any]) -> None:
        if row["person"] == "clinic/n3":
            row["part"] = PARTS[(PARTS.index(row["part"]) + 1) % 3]

    with pytest.raises(RecordError, match=r"of clinic/n3 is in part \w+, split.json says"):
        check_parts(changed(made, tmp_path / "set", move))


def test_a_manifest_that_says_too_little_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="line 1: says nothing of part"):
        check_parts(changed(made, tmp_path / "set", lambda row: row.pop("part")))
    (tmp_path / "set" / "manifest.jsonl").write_text("no json\n")
    with pytest.raises(RecordError, match="is not JSON"):
        check_parts(tmp_path / "set")
    (tmp_path / "set" / "split.json").unlink()
    with pytest.raises(RecordError, match=r"split\.json: cannot be read"):
        check_parts(tmp_path / "set")


# ------------------------------------------------------------------ the command


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_command_writes_and_reports(real: Path, tmp_path: Path) -> None:
    cut = ["--real", real, "--seconds", 4, "--generator", "parametric", "--workers", 1]
    result = run("augment", *cut, "--rhythm", "AF", "--ratio", 0.25, "--out", tmp_path / "set")
    assert result.exit_code == 0, result.stderr
    assert "real strips of" in result.stdout and "synthetic" in result.stdout
    assert verify_dataset(tmp_path / "set").ok


def test_the_command_plans_without_writing(real: Path, tmp_path: Path) -> None:
    result = run("augment", "--real", real, "--seconds", 4, "--generator", "parametric", "--plan")
    assert result.exit_code == 0, result.stderr
    assert "RHYTHM" in result.stdout and "afib" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "match"),
    [
        (["--rhythm", "AF"], 2, "--out is missing"),
        (["--out", "x"], 2, "--rhythm is missing"),
        (["--rhythm", "AF", "--out", "x", "--ratio", "-1"], 2, "--ratio: -1"),
        (["--rhythm", "swing", "--out", "x"], 2, "swing"),
    ],
)
def test_the_command_refuses_in_one_line(
    real: Path, words: list[str], code: int, match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("augment", "--real", real, "--seconds", 4, *words)
    assert result.exit_code == code
    assert result.stderr.count("\n") == 1 and match in result.stderr
    assert list(tmp_path.iterdir()) == []

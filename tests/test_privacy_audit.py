"""`ecgsynth audit` from folders to findings: what it writes, how it fails, and what it refuses to say."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import ecgsynth
from ecgsynth.cli import main
from ecgsynth.privacy import audit as audit_module
from ecgsynth.privacy.copy_build import build_index, record_strips
from ecgsynth.privacy.copy_file import load_index, save_index
from ecgsynth.privacy.copy_gate import index_beside
from ecgsynth.privacy.learned_from import weights_notes
from ecgsynth.privacy.samples import BEAT, read_side
from ecgsynth.privacy.verifier import Verifier, build_net
from ecgsynth.privacy.wording import officer_section, privacy_page
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.split import SplitManifest
from ecgsynth.wfdb_io import write_record

PEOPLE = 14


def records(seed: int, n: int = PEOPLE, rhythm: str = "afib") -> list[Record]:
    generator = ecgsynth.load_generator("parametric")
    made = generator.sample(rhythm=rhythm, n=n, seed=seed, seconds=10.24, leads=("II",))
    return [replace(r, name=f"r{seed}_{i}") for i, r in enumerate(made)]


def write(folder: Path, made: list[Record], subject: str = "", fs: float = 250.0) -> Path:
    folder.mkdir(exist_ok=True)
    for i, record in enumerate(made):
        comments = [f"Dx: {RHYTHMS[record.episodes[0].rhythm or 'afib'].snomed}"]
        comments += [f"Subject: {subject}{i}"] if subject else []
        write_record(folder, record.name, record.signal, fs, record.leads, comments)
    return folder


@pytest.fixture(scope="module")
def made() -> dict[str, list[Record]]:
    return {"train": records(1), "holdout": records(2), "clean": records(3)}


@pytest.fixture
def folders(tmp_path: Path, made: dict[str, list[Record]]) -> dict[str, Path]:
    leak = replace(made["train"][4], name="leaked", signal=-0.8 * made["train"][4].signal)
    return {
        "train": write(tmp_path / "train", made["train"], "t"),
        "holdout": write(tmp_path / "holdout", made["holdout"], "h"),
        "clean": write(tmp_path / "clean", made["clean"]),
        "leaky": write(tmp_path / "leaky", [*made["clean"][:6], leak]),
    }


@pytest.fixture(autouse=True)
def small_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    net = build_net(BEAT).eval()
    monkeypatch.setattr(audit_module, "load_verifier", lambda: Verifier(net, frozenset(), {}))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["audit", *(str(a) for a in arguments)])


def ask(folders: dict[str, Path], synthetic: str, out: Path, *more: object) -> Result:
    sides = ["--train", folders["train"], "--holdout", folders["holdout"]]
    return run(folders[synthetic], *sides, "--out", out, "--workers", 1, *more)


def findings(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "privacy.json").read_text())
    return found


def test_a_leak_is_named_and_fails(folders: dict[str, Path], tmp_path: Path) -> None:
    result = ask(folders, "leaky", tmp_path / "out", "--private-annex", tmp_path / "annex")
    assert result.exit_code == 8, result.output
    found = findings(tmp_path / "out")
    pair = found["near_duplicates"]["pairs"][0]
    assert (pair["synthetic"], pair["train"], pair["subject"]) == ("leaked", "r1_4", "train/t4")
    assert pair["ncc"] < -0.99 and pair["certain"]
    assert found["near_duplicates"]["count"] == len(found["near_duplicates"]["pairs"])
    assert found["verdict"] == "fail" and "near_duplicates: afib" in found["failed"]
    assert "leaked is like r1_4" in result.output and "FAILED" in result.output
    pages = sorted((tmp_path / "annex").glob("*.png"))
    assert pages and (tmp_path / "annex" / "README.txt").is_file()
    assert not list((tmp_path / "out").glob("*.png"))


def test_few_people_are_not_assessable_and_exit_zero(folders: dict[str, Path], tmp_path: Path) -> None:
    result = ask(folders, "clean", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = findings(tmp_path / "out")
    assert found["verdict"] == "not assessable" and found["failed"] == []
    assert found["membership"]["afib"]["verdict"] == "not assessable"
    assert found["inputs"]["train"]["people"] == PEOPLE
    assert "not a pass" in result.output
    needed = found["membership"]["afib"]["people_needed"]
    assert f"80 % needs {needed} on either side" in result.output


def test_same_seed_same_bytes_and_no_overwriting(folders: dict[str, Path], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    ask(folders, "clean", one)
    ask(folders, "clean", two)
    for name in ("privacy.json", "privacy.html"):
        content = (one / name).read_bytes()
        assert content == (two / name).read_bytes()
        assert str(tmp_path).encode() not in content
    refused = ask(folders, "clean", one)
    assert refused.exit_code == 5 and "--overwrite" in refused.output
    assert ask(folders, "clean", one, "--overwrite").exit_code == 0


def test_a_shared_person_is_an_error_that_names_them(
    folders: dict[str, Path], made: dict[str, list[Record]], tmp_path: Path
) -> None:
    folders["holdout"] = write(tmp_path / "other", made["holdout"], "t")
    result = ask(folders, "clean", tmp_path / "out")
    assert result.exit_code == 3
    assert f"{PEOPLE} people" in result.output and "other/t0" in result.output and "more" in result.output
    assert not (tmp_path / "out").exists()


def test_a_shared_recording_under_another_name_is_an_error(
    folders: dict[str, Path], made: dict[str, list[Record]], tmp_path: Path
) -> None:
    again = [replace(made["train"][2], name="other_name"), *made["holdout"]]
    folders["holdout"] = write(tmp_path / "mixed", again)
    result = ask(folders, "clean", tmp_path / "out")
    assert result.exit_code == 3 and "other_name" in result.output and "r1_2" in result.output


def test_records_without_a_subject_may_have_equal_names(
    made: dict[str, list[Record]], folders: dict[str, Path], tmp_path: Path
) -> None:
    named = [replace(r, name=f"rec{i}") for i, r in enumerate(made["train"])]
    folders["train"] = write(tmp_path / "plain_train", named)
    folders["holdout"] = write(
        tmp_path / "plain_holdout", [replace(r, name=f"rec{i}") for i, r in enumerate(made["holdout"])]
    )
    assert ask(folders, "clean", tmp_path / "out").exit_code == 0


def test_an_empty_holdout_is_an_error(folders: dict[str, Path], tmp_path: Path) -> None:
    folders["holdout"] = tmp_path / "empty"
    folders["holdout"].mkdir()
    result = ask(folders, "clean", tmp_path / "out")
    assert result.exit_code == 3 and "the holdout folder" in result.output and "*.hea" in result.output


def test_a_holdout_of_seconds_is_an_error_that_says_why(folders: dict[str, Path], tmp_path: Path) -> None:
    signal = np.zeros((1, 300), dtype=np.float32)
    signal[0] = np.sin(np.arange(300))
    (tmp_path / "short").mkdir()
    write_record(tmp_path / "short", "a", signal, 250.0, ("II",), [])
    folders["holdout"] = tmp_path / "short"
    result = ask(folders, "clean", tmp_path / "out")
    assert result.exit_code == 3 and "holdout" in result.output and "4 s" in result.output


def test_another_cohort_is_said(folders: dict[str, Path], tmp_path: Path) -> None:
    others = [replace(r, signal=4 * r.signal) for r in records(7, 12)]
    folders["holdout"] = write(tmp_path / "strange", others, "s")
    assert ask(folders, "clean", tmp_path / "out").exit_code in (0, 8)
    said = " ".join(findings(tmp_path / "out")["warnings"])
    assert "another cohort" in said and "strange" in said
    page = (tmp_path / "out" / "privacy.html").read_text()
    assert "another cohort" in page
    failed = findings(tmp_path / "out")["verdict"] == "fail"
    assert ("before you believe them" in page) == failed


def test_other_sampling_rates_are_said_and_copies_still_found(
    folders: dict[str, Path], made: dict[str, list[Record]], tmp_path: Path
) -> None:
    from ecgsynth.windows import resample

    leak = replace(resample(made["train"][1], 360.0), name="leaked")
    folders["fast"] = write(tmp_path / "fast", [leak], fs=360.0)
    assert ask(folders, "fast", tmp_path / "out").exit_code == 8
    found = findings(tmp_path / "out")
    assert found["near_duplicates"]["pairs"][0]["train"] == "r1_1"
    assert any("Sampling rates differ" in text for text in found["warnings"])


def test_a_damaged_record_is_an_error(folders: dict[str, Path], tmp_path: Path) -> None:
    (folders["train"] / "r1_3.dat").write_bytes(b"\x00\x01")
    result = ask(folders, "clean", tmp_path / "out")
    assert result.exit_code == 3 and "r1_3" in result.output


def test_training_without_rhythms_is_said(
    folders: dict[str, Path], made: dict[str, list[Record]], tmp_path: Path
) -> None:
    (tmp_path / "unnamed").mkdir()
    for record in made["train"]:
        write_record(tmp_path / "unnamed", record.name, record.signal, 250.0, record.leads, [])
    folders["train"] = tmp_path / "unnamed"
    assert ask(folders, "clean", tmp_path / "out").exit_code == 0
    said = " ".join(findings(tmp_path / "out")["warnings"])
    assert f"{PEOPLE} training records name no rhythm" in said and "shows afib" in said


def test_an_unknown_rhythm_is_refused_before_the_work(folders: dict[str, Path], tmp_path: Path) -> None:
    result = ask(folders, "clean", tmp_path / "out", "--rhythm", "vt")
    assert result.exit_code == 2 and "afib" in result.output
    assert ask(folders, "clean", tmp_path / "out", "--rhythm", "wobble").exit_code == 2


def test_a_split_says_who_is_who_and_another_manifest_is_a_warning(
    folders: dict[str, Path], made: dict[str, list[Record]], tmp_path: Path
) -> None:
    both = tmp_path / "both"
    write(both, made["train"], "t")
    for i, record in enumerate(made["holdout"]):
        write_record(
            both, record.name, record.signal, 250.0, record.leads, ["Dx: 164889003", f"Subject: h{i}"]
        )
    names = [tuple(f"both/{p}{i}" for i in range(PEOPLE)) for p in ("t", "h")]
    split = SplitManifest(
        train=names[0][2:], val=names[0][:2], test=names[1], seed=0, fractions=(0.7, 0.1, 0.2)
    )
    path = tmp_path / "split.json"
    path.write_text(split.to_json())
    folders["train"] = folders["holdout"] = both
    result = ask(folders, "clean", tmp_path / "out", "--split", path, "--weights", shipped())
    assert result.exit_code == 0, result.output
    found = findings(tmp_path / "out")
    assert (found["inputs"]["train"]["people"], found["inputs"]["holdout"]["people"]) == (PEOPLE, PEOPLE)
    assert any("another split" in text for text in found["warnings"])
    assert any("fewer people" in text for text in found["warnings"])
    page = (tmp_path / "out" / "privacy.html").read_text()
    assert "another split" in page and '<p class="every">Not the training folder of these weights' in page


def shipped() -> Path:
    return Path(ecgsynth.__file__).parent / "weights" / "cvae-single.safetensors"


def test_weights_are_recognised_by_the_manifest(folders: dict[str, Path], tmp_path: Path) -> None:
    from ecgsynth.checkpoint import file_sha256

    copy = tmp_path / "named"
    shutil.copytree(folders["clean"], copy)
    (copy / "manifest.jsonl").write_text(json.dumps({"weights_sha256": file_sha256(shipped())}) + "\n")
    folders["named"] = copy
    ask(folders, "named", tmp_path / "out")
    said = " ".join(findings(tmp_path / "out")["warnings"])
    assert "fewer people" in said and "not known" not in said
    ask(folders, "clean", tmp_path / "two")
    assert "not known" in " ".join(findings(tmp_path / "two")["warnings"])


def test_the_index_of_the_weights_knows_their_training_folder(
    folders: dict[str, Path], made: dict[str, list[Record]], tmp_path: Path
) -> None:
    """Whoever they learned from is in it, whatever folders, names and rhythms are called."""
    weights = tmp_path / "own.safetensors"
    shutil.copy(shipped(), weights)
    index = build_index(record_strips(made["train"]), {}, like=load_index())
    save_index(index, index_beside(weights))
    said = {}
    for name in ("train", "other"):
        nameless = tmp_path / f"nameless-{name}"
        nameless.mkdir()
        for record in made["train"] if name == "train" else records(9):
            write_record(nameless, record.name, record.signal, 250.0, record.leads)
        folders["train"] = nameless
        result = ask(folders, "clean", tmp_path / name, "--weights", weights)
        assert result.exit_code == 0, result.output
        said[name] = " ".join(findings(tmp_path / name)["warnings"])
    assert "Not the training folder" not in said["train"]
    assert f"of {PEOPLE} of its people" in said["other"] and "knows 0" in said["other"]
    page = (tmp_path / "other" / "privacy.html").read_text()
    assert '<p class="every">Not the training folder of these weights' in page


def test_fewer_people_than_the_index_holds_and_a_damaged_index_are_said(
    folders: dict[str, Path], made: dict[str, list[Record]], tmp_path: Path
) -> None:
    side = read_side("train", [replace(r, episodes=()) for r in made["train"][:5]], whole=True)
    weights = tmp_path / "own.safetensors"
    shutil.copy(shipped(), weights)
    save_index(build_index(record_strips(made["train"]), {}, like=load_index()), index_beside(weights))
    said, _ = weights_notes(folders["clean"], weights, None, side)
    assert said == [
        "Not the training folder of these weights: it holds 5 people, and the weights learned from 14: "
        "copies of the others cannot be found."
    ]
    load_index.cache_clear()
    index_beside(weights).write_bytes(b"nothing")
    said, _ = weights_notes(folders["clean"], weights, None, side)
    assert len(said) == 1 and "was not looked up" in said[0] and "own.copies.safetensors" in said[0]


def test_synthetic_records_without_rhythms_are_said(
    folders: dict[str, Path], made: dict[str, list[Record]], tmp_path: Path
) -> None:
    nameless = tmp_path / "nameless"
    nameless.mkdir()
    for record in made["clean"]:
        write_record(nameless, record.name, record.signal, 250.0, record.leads)
    folders["nameless"] = nameless
    assert ask(folders, "nameless", tmp_path / "out").exit_code == 0
    said = " ".join(findings(tmp_path / "out")["warnings"])
    assert f"{PEOPLE} synthetic records name no rhythm, while training does (afib)" in said


class Words(HTMLParser):
    """Text of a page, and whether its tags match."""

    VOID = frozenset({"meta", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_speaks_plainly_promises_nothing_and_shows_no_recording(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    ask(folders, "leaky", tmp_path / "out")
    page = (tmp_path / "out" / "privacy.html").read_text()
    words = Words()
    words.feed(page)
    text = " ".join(words.text)
    assert words.open == []
    assert "anonym" not in page.casefold() and "<img" not in page and "<svg" not in page
    for topic in (
        "Against whom",
        "Singling out",
        "Linkability",
        "Inference",
        "What remains",
        "unusual few",
        "epsilon",
    ):
        assert topic in text or topic == "epsilon"
    assert "It should not be passed on" in text and "leaked" in text
    assert text.index("should not be passed on") < text.index("Who was compared")


def test_names_are_escaped_and_epsilon_is_stated(folders: dict[str, Path], tmp_path: Path) -> None:
    ask(folders, "leaky", tmp_path / "out")
    found = findings(tmp_path / "out")
    found["near_duplicates"]["pairs"][0]["subject"] = "<script>alert(1)</script>"
    found["differential_privacy"] = {"epsilon": 8.0, "delta": 1e-5}
    page = privacy_page(found)
    assert "<script>" not in page and "epsilon 8" in page
    assert officer_section(found) in page

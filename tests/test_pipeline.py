"""The whole of ``ecgsynth generate``: same bytes whoever makes them, gated, complete or not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ecgsynth.datasets.folder import read_folder
from ecgsynth.errors import GateError, OptionError, OutputError
from ecgsynth.export import verify_dataset
from ecgsynth.fidelity import gate
from ecgsynth.fidelity.calibration import Calibration
from ecgsynth.fidelity.gate import Verdict
from ecgsynth.pipeline import GenerateOptions, Summary, generate_dataset
from ecgsynth.records import Record


def make(out: Path, **changes: object) -> Summary:
    options = {"rhythm": "afib", "generator": "parametric", "records": 6, "workers": 1, "seed": 3, **changes}
    return generate_dataset(GenerateOptions(out=out, **options))  # type: ignore[arg-type]


def bytes_of(folder: Path, pattern: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob(pattern))}


def test_a_dataset_is_complete_and_verifies(tmp_path: Path) -> None:
    summary = make(tmp_path / "af")
    out = tmp_path / "af"
    assert summary.out == out and summary.records == 6 and summary.contact_sheet.is_file()
    assert verify_dataset(out).ok
    records = list(read_folder(out))
    assert len(records) == 6
    assert {r.episodes[0].rhythm for r in records} == {"afib"}
    assert all(r.beats is not None and len(r.beats.samples) > 3 for r in records)
    assert not list(tmp_path.glob(".*"))


def test_manifest_says_how_each_record_was_made(tmp_path: Path) -> None:
    make(tmp_path / "af")
    lines = [json.loads(line) for line in (tmp_path / "af/manifest.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(6))
    assert {line["seed"] for line in lines} == {3} and {line["generator"] for line in lines} == {"parametric"}
    assert all(line["checks"]["passed"] and line["checks"]["rate"] > 20 for line in lines)


def test_workers_do_not_change_a_byte(tmp_path: Path) -> None:
    make(tmp_path / "one", records=70)
    make(tmp_path / "two", records=70, workers=2)
    sums = [(tmp_path / name / "SHA256SUMS.txt").read_bytes() for name in ("one", "two")]
    assert sums[0] == sums[1]


def test_the_size_of_blocks_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sums = []
    for size in (8, 16, 32):
        monkeypatch.setattr(GenerateOptions, "block", size)
        make(tmp_path / str(size), generator="cvae", records=34)
        sums.append((tmp_path / str(size) / "SHA256SUMS.txt").read_bytes())
    assert sums[0] == sums[1] == sums[2]


def test_fewer_records_are_a_prefix(tmp_path: Path) -> None:
    make(tmp_path / "few", records=5)
    make(tmp_path / "many", records=40)
    few, many = bytes_of(tmp_path / "few", "afib*"), bytes_of(tmp_path / "many", "afib*")
    assert len(few) == 15 and few.items() <= many.items()


def test_a_failing_draw_is_drawn_again_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = gate.check_records, []

    def strict(records: list[Record], calibration: Calibration) -> list[Verdict]:
        seen.extend(records)
        wrong = Verdict(False, {}, ("rate: too fast",))
        return [
            wrong if (record.extra["attempt"], record.extra["index"]) == ("0", "2") else verdict
            for record, verdict in zip(records, real(records, calibration), strict=True)
        ]

    monkeypatch.setattr(gate, "check_records", strict)
    summary = make(tmp_path / "af", rhythm="nsr", ectopy=0.0)
    assert summary.rejected["rate"] >= 1 and len(seen) > 6
    lines = [json.loads(line) for line in (tmp_path / "af/manifest.jsonl").read_text().splitlines()]
    assert lines[2]["attempt"] >= 1


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records that a generator of the same seed would write again."""
    return make(tmp_path_factory.mktemp("known") / "af", records=5).out


def test_copies_of_training_people_are_drawn_again_and_said(tmp_path: Path, known: Path) -> None:
    summary = make(tmp_path / "af", train=known)
    assert summary.rejected["copy"] >= 5 and summary.redrawn >= 5
    lines = [json.loads(line) for line in (tmp_path / "af/manifest.jsonl").read_text().splitlines()]
    assert all(line["attempt"] >= 1 for line in lines[:5]) and lines[5]["attempt"] == 0
    assert {line["copy_gate"] for line in lines} == {"on"}
    card = (tmp_path / "af/DATASET_CARD.md").read_text()
    assert "| Copy gate | on: kept apart from 5 people of the folder given with --train |" in card
    assert "copy 5" in card and str(known) not in card
    few = make(tmp_path / "few", train=known, records=3).out
    assert bytes_of(few, "afib*").items() <= bytes_of(tmp_path / "af", "afib*").items()


def test_copies_are_refused_alike_by_any_number_of_workers(tmp_path: Path, known: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        make(tmp_path / name, records=40, workers=workers, train=known)
    sums = [(tmp_path / name / "SHA256SUMS.txt").read_bytes() for name in ("one", "two")]
    assert sums[0] == sums[1]


def test_without_the_copy_gate_the_card_says_so_loudly(tmp_path: Path) -> None:
    summary = make(tmp_path / "af", records=1, copy_gate=False)
    assert "OFF (--no-copy-gate)" in summary.copies
    assert "**OFF (--no-copy-gate)" in (tmp_path / "af/DATASET_CARD.md").read_text()
    assert json.loads((tmp_path / "af/manifest.jsonl").read_text())["copy_gate"] == "off"


def test_a_record_that_keeps_failing_stops_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = Verdict(False, {}, ("rate: never right",))
    monkeypatch.setattr(gate, "check_records", lambda records, _: [never] * len(records))
    with pytest.raises(GateError, match=r"afib00000: failed the gate 3 times.*never right"):
        make(tmp_path / "af", max_redraws=2)
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    make(tmp_path / "af", records=2)
    before = bytes_of(tmp_path / "af", "*")
    with pytest.raises(OutputError, match="overwrite"):
        make(tmp_path / "af", seed=9)
    assert bytes_of(tmp_path / "af", "*") == before
    make(tmp_path / "af", records=2, seed=9, overwrite=True)
    assert bytes_of(tmp_path / "af", "*") != before


def test_a_request_that_cannot_be_met_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OptionError):
        make(tmp_path / "af", fs=20.0)
    assert not list(tmp_path.iterdir())


def test_a_long_record_with_three_rhythms(tmp_path: Path) -> None:
    make(tmp_path / "parox", rhythm="nsr:20,afib:40,nsr:20", records=2, ectopy=0.0)
    record = next(iter(read_folder(tmp_path / "parox")))
    assert [e.rhythm for e in record.episodes] == ["nsr", "afib", "nsr"]
    assert [e.start / record.fs for e in record.episodes] == [0, 20, 60]
    beats = record.beats
    assert beats is not None
    times = beats.samples / record.fs
    spread = [np.std(np.diff(times[(times >= a) & (times < b)])) for a, b in ((0, 20), (20, 60))]
    assert spread[1] > spread[0]

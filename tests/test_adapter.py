"""Adapters: a rhythm learned from few strips, on weights of which nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgsynth.checkpoint import load_checkpoint, save_checkpoint
from ecgsynth.errors import OptionError, RecordError, TooFewPeopleError
from ecgsynth.generators.conditions import RHYTHM_INDEX
from ecgsynth.generators.strip_net import LearnedConfig, StripNet
from ecgsynth.privacy.copy_file import load_index
from ecgsynth.privacy.copy_gate import index_beside, open_gate
from ecgsynth.sampling import load_generator
from ecgsynth.training import TrainOptions, train_on_folder
from ecgsynth.training.adapter import joined_people, only_rows
from ecgsynth.wfdb_io import write_record

CONFIG = LearnedConfig(("*",), ("I", "II"), ("mitdb", "ptbxl"), latent=4, width=16, film=8)
SPREAD = [["nsr", "mitdb", "II", 30], ["afib", "ptbxl", "I", 12], ["vt", "mitdb", "II", 8]]


@pytest.fixture(params=["cvae", "cgan"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    people = {rhythm: {"people": count, "seconds": 100} for rhythm, *_, count in SPREAD}
    said = {"generator": request.param, "population": people, "spread": SPREAD, "demographics": {}}
    save_checkpoint(tmp_path / "start.safetensors", StripNet(CONFIG), said)
    return tmp_path / "start.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "mine"
    path.mkdir()
    for record in load_generator("parametric").sample("bigeminy", 6, seed=1, seconds=12.0, source="ptbxl"):
        write_record(path, record.name, record.signal, record.fs, ("II",), ["Age: 60", "Sex: Male"])
    return path


def adapted(folder: Path, start: Path, **changes: Any) -> Path:
    generator = load_checkpoint(start)[1]["generator"]
    given = {"rhythm": "bigeminy", "steps": 6, "adapt": True, "generator": generator, **changes}
    out = folder.parent / "own.safetensors"
    options = TrainOptions(folder, out, from_weights=start, **given)
    result = train_on_folder(options)
    assert result.people == 6 and result.steps == given["steps"] and "all else as it was" in result.stopped
    return out


def test_an_adapter_adds_a_rhythm_and_leaves_the_others_to_the_byte(folder: Path, start: Path) -> None:
    out = adapted(folder, start)
    before, after = load_checkpoint(start), load_checkpoint(out)
    name = before[1]["generator"]
    for rhythm in ("nsr", "vt"):
        old, new = (
            load_generator(name, path).sample(rhythm, 3, seed=2, seconds=4.0) for path in (start, out)
        )
        assert all(np.array_equal(a.signal, b.signal) for a, b in zip(old, new, strict=True))
    assert set(after[1]["population"]) == {"nsr", "afib", "vt", "bigeminy"}
    made = load_generator(name, out).sample("bigeminy", 2, seconds=4.0)
    assert {(record.source, record.leads) for record in made} == {("mine", ("II",))}
    note = after[1]["training"]["adapted"]
    assert note["strips"] == 6 and set(note["started_from"]) == {"bigeminy"} and note["numbers"] < 2000


def test_only_rows_of_the_rhythm_and_the_device_change(folder: Path, start: Path) -> None:
    before, after = (load_checkpoint(path)[0].state_dict() for path in (start, adapted(folder, start)))
    rhythm, sources = RHYTHM_INDEX["bigeminy"], len(CONFIG.sources)
    changed = set()
    for key, old in before.items():
        new = after[key]
        if key.endswith(".rhythm.weight"):
            others = [i for i in range(len(old)) if i != rhythm]
            assert torch.equal(old[others], new[others]), key
            changed |= {key} if not torch.equal(old, new) else set()
        else:
            assert torch.equal(old, new[: len(old)] if len(new) > len(old) == sources else new), key
    assert changed == {f"{part}.rhythm.weight" for part in ("encoder.embed", "decoder.embed", "prior")}


def test_the_loss_falls_and_the_copies_are_kept(folder: Path, start: Path) -> None:
    out = adapted(folder, start, steps=40)
    note = load_checkpoint(out)[1]["training"]["adapted"]
    assert note["loss"][1] < note["loss"][0] and note["prior"][1] < note["prior"][0]
    assert load_index(index_beside(out)).notes["people"] == 6
    gate = open_gate(load_checkpoint(out)[1]["generator"], out, load_checkpoint(out)[1])
    assert gate.state == "on" and "6 people of own.copies" in gate.note


def test_an_adapter_on_an_adapter_keeps_both_apart(folder: Path, start: Path) -> None:
    first = adapted(folder, start)
    again = first.rename(first.with_name("first.safetensors"))
    index_beside(first).rename(index_beside(again))
    second = adapted(folder, again, rhythm="trigeminy")
    assert {"bigeminy", "trigeminy"} <= set(load_checkpoint(second)[1]["population"])
    assert load_index(index_beside(second)).notes["people"] == 12


def test_few_strips_few_people_and_other_modes_are_refused(folder: Path, start: Path) -> None:
    with pytest.raises(OptionError, match="--adapt"):
        adapted(folder, start, dp_epsilon=8.0)
    labels = folder.parent / "labels.csv"
    names = sorted(path.stem for path in folder.glob("*.hea"))
    labels.write_text("record,rhythm,subject\n" + "".join(f"{name},bigeminy,one\n" for name in names))
    with pytest.raises(TooFewPeopleError, match="--allow-few-people"):
        adapted(folder, start, labels=labels, rhythm=None)
    for name in names[4:]:
        (folder / f"{name}.hea").unlink()
    with pytest.raises(RecordError, match="4 strips"):
        adapted(folder, start, allow_few_people=True)


def test_nothing_but_the_rows_learns() -> None:
    net = StripNet(replace(CONFIG))
    table = net.prior.rhythm.weight
    with only_rows(net, [(table, [3])]) as parameters:
        assert parameters == [table]
        assert [p for p in net.parameters() if p.requires_grad] == [table]
        table.square().sum().backward()
        assert table.grad is not None and table.grad.abs().sum(1).nonzero().flatten().tolist() == [3]
    assert all(p.requires_grad for p in net.parameters()) and table.grad is None


def test_people_of_the_adapted_rhythm_are_those_of_the_strips() -> None:
    def said(rhythm: str, count: int) -> dict[str, Any]:
        return {
            "population": {rhythm: {"people": count, "seconds": 1}},
            "spread": [[rhythm, "a", "I", count]],
            "demographics": {},
        }

    both = joined_people(said("vt", 9), said("vf", 4))
    assert both["population"]["vt"]["people"] == 9 and len(both["spread"]) == 2
    again = joined_people(both, said("vt", 5))
    assert again["population"]["vt"]["people"] == 5 and ["vt", "a", "I", 5] in again["spread"]

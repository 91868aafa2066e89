"""Training: batches that resume, losses that fall, a killed run that goes on, and a user's folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgsynth.batches import CROP, StripBatches, Strips, load_strips, rhythm_shares, source_wander
from ecgsynth.checkpoint import load_checkpoint, save_checkpoint
from ecgsynth.datasets.folder import read_folder
from ecgsynth.errors import CheckpointError, OptionError, RecordError, TooFewPeopleError
from ecgsynth.generators.cvae import encode
from ecgsynth.generators.strip_net import LearnedConfig, StripNet
from ecgsynth.pack import pack
from ecgsynth.privacy.copy_gate import index_beside, open_gate
from ecgsynth.records import Record
from ecgsynth.sampling import load_generator
from ecgsynth.training import TrainOptions, train_on_folder
from ecgsynth.training.describe import describe_people
from ecgsynth.training.folder import with_sources
from ecgsynth.training.measures import measured
from ecgsynth.training.noise import fit_noise
from ecgsynth.training.prior import fit_prior
from ecgsynth.training.run import RunOptions, run
from ecgsynth.training.tasks import CGANTask, CVAETask, Schedule, learning_rate
from ecgsynth.training.templates import fit_templates
from ecgsynth.training.trim import fit_trim, remade
from ecgsynth.wfdb_io import write_record

CONFIG = LearnedConfig(("*",), ("I", "II"), ("mitdb", "ptbxl"), latent=4, width=16, film=8)


def people(rhythm: str, n: int, source: str = "ptbxl") -> Iterator[Record]:
    sampler = load_generator("parametric")
    for record in sampler.sample(rhythm, n, seed=1, seconds=12.0, source=source, ectopy=0.0):
        yield replace(record, source=source, subject=f"{source}/{record.name}")


@pytest.fixture(scope="module")
def packed() -> dict[str, Any]:
    return pack([*people("nsr", 6), *people("afib", 3)])


@pytest.fixture(scope="module")
def strips(packed: dict[str, Any]) -> Strips:
    return load_strips(packed, CONFIG)


def untrained(seed: int = 0) -> StripNet:
    torch.manual_seed(seed)
    return StripNet(CONFIG)


def test_strips_split_wander_and_scale(packed: dict[str, Any], strips: Strips) -> None:
    assert strips.fast.shape == packed["signal"].shape
    assert np.allclose(np.exp(strips.gain), strips.fast.std((1, 2)) + 1e-3, rtol=1e-4)
    # What is left holds next to nothing below 0.3 Hz.
    power = np.abs(np.fft.rfft(strips.fast[:, 0], axis=1)) ** 2
    assert power[:, :3].sum() < 0.02 * power.sum()


def test_only_fibrillation_has_a_wave(strips: Strips) -> None:
    names = load_generator("parametric").sample("afib", 1)[0].episodes[0].rhythm
    assert names == "afib"
    af = strips.rhythm == np.unique(strips.rhythm)[-1]
    assert (strips.amplitude[af].mean(1) > 0.5).all() and not strips.amplitude[~af].any()


def test_rhythms_share_a_batch_by_the_root_of_their_people(strips: Strips) -> None:
    shares = list(rhythm_shares(strips).values())
    assert sum(shares) == pytest.approx(1) and shares[0] / shares[1] == pytest.approx(2**0.5)


def test_a_batch_depends_on_seed_and_step_alone(strips: Strips) -> None:
    from_start = list(StripBatches(strips, 4, seed=3, steps=4))
    later = list(StripBatches(strips, 4, seed=3, first_step=2, steps=2))
    assert all(torch.equal(from_start[2][key], later[0][key]) for key in later[0])
    assert not torch.equal(from_start[2]["signal"], from_start[3]["signal"])
    assert from_start[0]["signal"].shape == (4, 1, CROP)


def test_the_latent_is_read_from_the_same_person(strips: Strips) -> None:
    batches = StripBatches(strips, 4, seed=0)
    rng = np.random.default_rng(0)
    for row in range(len(strips)):
        other = batches._companion(row, rng)
        assert strips.person[other] == strips.person[row] and strips.rhythm[other] == strips.rhythm[row]


@pytest.mark.parametrize("task_type", [CVAETask, CGANTask])
def test_a_killed_training_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, strips: Strips, task_type: type[CVAETask]
) -> None:
    def trained(folder: str, *, cut: bool) -> dict[str, torch.Tensor]:
        schedule = Schedule(steps=8)
        options = RunOptions(tmp_path / folder, batch_size=4, epoch=4)
        if cut:
            first = task_type(untrained(), schedule)
            with pytest.raises(KeyboardInterrupt):
                run(first, strips, None, options, _interrupt_at(6))
            task = task_type(untrained(), schedule)
            run(task, strips, None, replace(options, resume=True))
        else:
            task = task_type(untrained(), schedule)
            run(task, strips, None, options)
        assert int(task.seen) == 8
        return dict(task.mean_net.state_dict())

    whole, resumed = trained("whole", cut=False), trained("cut", cut=True)
    for key, value in whole.items():
        assert torch.allclose(value, resumed[key], atol=1e-6), key


def _interrupt_at(step: int) -> Any:
    def show(done: int, total: int, note: str) -> None:
        if done == step:
            raise KeyboardInterrupt

    return show


def test_resuming_nothing_is_an_error(tmp_path: Path, strips: Strips) -> None:
    with pytest.raises(CheckpointError, match="nothing to resume"):
        run(CVAETask(untrained(), Schedule(4)), strips, None, RunOptions(tmp_path, resume=True))


def test_training_lowers_the_loss(tmp_path: Path, strips: Strips) -> None:
    task = CVAETask(untrained(), Schedule(steps=40, lr=3e-3))
    batch = next(iter(StripBatches(strips, 8, seed=9)))

    def error() -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            _, of_mean, _ = task._terms(task.net.eval(), batch)
        task.net.train()
        return float(of_mean.mean())

    before = error()
    run(task, strips, strips, RunOptions(tmp_path, batch_size=8, epoch=20))
    assert error() < 0.7 * before
    rows = list(csv.DictReader((tmp_path / "logs/version_0/metrics.csv").open()))
    assert any(row["val_loss"] for row in rows)


def test_learning_rate_warms_up_and_falls() -> None:
    schedule = Schedule(steps=1000)
    rates = [learning_rate(schedule, step) for step in range(1000)]
    assert rates[0] < 0.01 and max(rates) == pytest.approx(rates[199], rel=0.1) and rates[-1] < 0.06


def test_the_prior_learns_the_latents_of_a_group(strips: Strips) -> None:
    """Gain differs between people; the fitted flow draws gains as they are spread, not standard normal."""
    net = untrained()
    found = fit_prior(net, strips, strips, seed=0, steps=400, size=64)
    assert found["val"] < 1.9, "2 is what a field that is zero everywhere scores"
    n = 400
    source = torch.full((n,), int(strips.source[0]))
    place = (torch.full((n,), int(strips.rhythm[0])), torch.zeros(n).long(), source)
    numbers = torch.from_numpy(np.repeat(np.concatenate([strips.demographics, strips.numbers], 1)[:1], n, 0))
    torch.manual_seed(0)
    drawn = net.prior.sample(torch.randn(n, net.prior.size), place, numbers)[:, CONFIG.latent].numpy()
    mine = strips.gain[strips.rhythm == strips.rhythm[0]]
    assert abs(drawn.mean() - mine.mean()) < 0.4 and drawn.std() < 4 * mine.std() + 0.1


def test_the_encoder_sees_only_the_other_part(strips: Strips) -> None:
    batch = next(iter(StripBatches(strips, 4, seed=0)))
    net = untrained().eval()
    with torch.no_grad():
        before = encode(net, batch)[0]
        after = encode(net, {**batch, "signal": batch["signal"] * 0})[0]
        seen = encode(net, {**batch, "seen_signal": batch["seen_signal"] * 0})[0]
    assert torch.equal(before, after) and not torch.allclose(before, seen)


def test_description_counts_people_and_never_lists_few(packed: dict[str, Any]) -> None:
    said = describe_people(packed, set(packed["subject"].tolist()))
    assert {r: seen["people"] for r, seen in said["population"].items()} == {"afib": 3, "nsr": 6}
    assert said["population"]["nsr"]["seconds"] <= 6 * 12
    assert said["demographics"] == {}, "ages of fewer than ten people are not kept"


def test_templates_learn_whose_beat_it_is_before_the_blocks_move(strips: Strips) -> None:
    net = untrained()
    blocks = [p.clone() for p in net.decoder.blocks.parameters()]
    found = fit_templates(net, strips, seed=0, steps=120, size=8)
    assert found["last"] < 0.9 * found["first"]
    assert all(torch.equal(a, b) for a, b in zip(blocks, net.decoder.blocks.parameters(), strict=True))
    batch = StripBatches(strips, 8, seed=1).batch(np.arange(8), np.random.default_rng(0))
    latents = encode(net, batch)[0]
    assert (latents.std(0) > 0.01).any()


def test_noise_is_fitted_for_the_sources_at_hand_and_kept_for_the_others(strips: Strips) -> None:
    net = untrained()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    found = fit_noise(net, strips, seed=0, steps=60, size=8)
    assert found["last"] < found["first"]
    after = net.state_dict()
    seen, other = CONFIG.sources.index("ptbxl"), CONFIG.sources.index("mitdb")
    for key in ("noise_sway", "beat_sway", "drift_power"):
        assert torch.equal(after[key][other], before[key][other])
        assert not torch.equal(after[key][seen], before[key][seen])
        assert after[key].isfinite().all()
    assert all(
        torch.equal(after[k], before[k]) for k in before if k.startswith(("encoder.", "decoder.blocks"))
    )


def test_what_is_made_again_is_corrected_towards_the_real(strips: Strips) -> None:
    net = untrained()
    fit_noise(net, strips, seed=0, steps=30, size=8)
    source = CONFIG.sources.index("ptbxl")
    rows = np.flatnonzero(strips.source == source)

    def off() -> float:
        pairs = measured(strips, rows, remade(net, strips, rows, 5))
        return float(np.abs(np.median([a.hiss - b.hiss for a, b in pairs], 0)[4:-1]).mean())

    before = off()
    found = fit_trim(net, strips, seed=0, fewest=4)
    assert off() < max(before - 0.9, 0.1), "an untrained net is further off than the most a trim corrects"
    assert np.isfinite(list(found.values())).all()
    other = CONFIG.sources.index("mitdb")
    assert not net.noise_trim[other].any() and net.p_gain[other] == 1


def test_colour_tells_a_low_passed_recording_from_a_hissing_one(packed: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    hiss = 0.02 * rng.standard_normal(packed["signal"].shape).astype(np.float32)
    dull = np.fft.irfft(np.fft.rfft(hiss) * (np.fft.rfftfreq(hiss.shape[-1], 1 / 250) < 40), hiss.shape[-1])
    colours = [
        np.median(load_strips({**packed, "signal": packed["signal"] + noise}, CONFIG).colour, axis=0)
        for noise in (hiss, dull.astype(np.float32))
    ]
    assert (colours[0][1:] > colours[1][1:] + 1).all()


def test_new_sources_start_as_the_mean_of_the_known() -> None:
    net = untrained()
    grown = with_sources(net, ["ptbxl", "mine"])
    assert grown.config.sources == ("mitdb", "ptbxl", "mine")
    table, before = grown.decoder.record.source.weight, net.decoder.record.source.weight
    assert torch.allclose(table[2], before.mean(0)) and torch.equal(table[:2], before)
    assert with_sources(net, ["mitdb"]) is net


def test_wander_is_measured_where_there_are_strips(packed: dict[str, Any]) -> None:
    power = source_wander(packed, CONFIG)
    assert np.allclose(power.sum(1), 1) and np.allclose(power[0], 0.2) and not np.allclose(power[1], 0.2)


@pytest.fixture
def start(tmp_path: Path) -> Path:
    path = tmp_path / "start.safetensors"
    save_checkpoint(
        path, untrained(), {"generator": "cvae", "population": {}, "spread": [], "demographics": {}}
    )
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten people's strips without any label inside."""
    path = tmp_path / "mine"
    path.mkdir()
    for record in people("vt", 10):
        write_record(path, record.name, record.signal, record.fs, ("II",), ["Age: 60", "Sex: Male"])
    return path


def options(folder: Path, start: Path, **changes: Any) -> TrainOptions:
    given = {"rhythm": "vt", "steps": 4, "batch_size": 4, **changes}
    return TrainOptions(folder, folder.parent / "own.safetensors", from_weights=start, **given)


def test_a_folder_of_strips_becomes_a_generator(folder: Path, start: Path) -> None:
    result = train_on_folder(options(folder, start))
    assert result.people == 10 and result.steps == 4
    _, metadata = load_checkpoint(result.out)
    assert metadata["population"]["vt"]["people"] == 10 and "mine" in metadata["config"]["sources"]
    made = load_generator("cvae", result.out).sample("vt", 2, seconds=4.0)
    assert {record.source for record in made} == {"mine"} and made[0].leads == ("II",)
    gate = open_gate("cvae", result.out, metadata)
    assert result.copies == index_beside(result.out) and "10 people of own.copies" in gate.note
    own = next(iter(read_folder(folder)))
    assert gate.judge([own, made[0]])[0] is not None


def test_resume_refuses_other_data_or_options(folder: Path, start: Path) -> None:
    train_on_folder(options(folder, start))
    with pytest.raises(CheckpointError, match="lr changed"):
        train_on_folder(options(folder, start, resume=True, lr=1.0))
    note = json.loads((folder.parent / "own.safetensors.training/training.json").read_text())
    assert note["steps"] == 4


def test_what_cannot_be_trained_on_is_refused(folder: Path, start: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.safetensors"):
        train_on_folder(replace(options(folder, start), out=tmp_path / "own.pt"))
    with pytest.raises(RecordError):
        train_on_folder(options(folder, start, rhythm=None))
    labels = tmp_path / "labels.csv"
    names = sorted(path.stem for path in folder.glob("*.hea"))
    rows = "".join(f"{name},vt,{'a' if i < 5 else 'b'}\n" for i, name in enumerate(names))
    labels.write_text("record,rhythm,subject\n" + rows)
    with pytest.raises(TooFewPeopleError, match=r"2 people.*--allow-few-people"):
        train_on_folder(options(folder, start, labels=labels))
    with pytest.raises(CheckpointError, match="holds a cvae, not a cgan"):
        train_on_folder(options(folder, start, generator="cgan"))
    assert not (tmp_path / "own.safetensors").exists()

"""Training with differential privacy: one gradient per person, and only what is accounted for changes."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgsynth.batches import StripBatches, load_strips
from ecgsynth.checkpoint import load_checkpoint, save_checkpoint
from ecgsynth.errors import OptionError
from ecgsynth.generators.cvae import encode, reconstruction
from ecgsynth.generators.strip_net import LearnedConfig, StripNet
from ecgsynth.pack import pack
from ecgsynth.privacy.copy_gate import index_beside, open_gate
from ecgsynth.records import Record
from ecgsynth.sampling import load_generator
from ecgsynth.training import TrainOptions, private, train_on_folder
from ecgsynth.training.private import (
    TRAINED,
    Budget,
    _loss,
    _only,
    _per_person,
    _prepare,
    check_budget,
    train_private,
)
from ecgsynth.wfdb_io import write_record

CONFIG = LearnedConfig(("*",), ("I", "II"), ("mitdb", "ptbxl"), latent=4, width=16, film=8)
KNOWN = {
    "generator": "cvae",
    "population": {"vt": {"people": 9, "seconds": 90}},
    "spread": [],
    "demographics": {},
}


def people(n: int, seconds: float = 12.0) -> Iterator[Record]:
    sampler = load_generator("parametric")
    for record in sampler.sample("vt", n, seed=1, seconds=seconds, source="ptbxl", leads=("II",)):
        yield replace(record, source="ptbxl", subject=f"ptbxl/person-{record.name}")


@pytest.fixture(scope="module")
def packed() -> dict[str, Any]:
    return pack([*people(5), *(replace(r, name="long", subject="ptbxl/long") for r in people(1, 60.0))])


def untrained() -> StripNet:
    torch.manual_seed(0)
    return StripNet(CONFIG)


def budget(**changes: Any) -> Budget:
    return Budget(**{"epsilon": 8.0, "delta": 1e-5, "steps": 3, "people_per_step": 3, "lr": 1e-3, **changes})


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan, math.inf, 51.0])
def test_an_epsilon_without_meaning_is_refused(epsilon: float) -> None:
    with pytest.raises(OptionError, match=r"--dp-epsilon: .*above 0, up to 50"):
        check_budget(epsilon, 1e-5, "cvae", resume=False)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_a_delta_without_meaning_is_refused(delta: float) -> None:
    with pytest.raises(OptionError, match="--dp-delta: "):
        check_budget(8.0, delta, "cvae", resume=False)


def test_what_cannot_be_private_is_refused() -> None:
    with pytest.raises(OptionError, match="cgan has no private training"):
        check_budget(8.0, 1e-5, "cgan", resume=False)
    with pytest.raises(OptionError, match=r"--resume: .*start afresh"):
        check_budget(8.0, 1e-5, "cvae", resume=True)


def test_without_opacus_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(OptionError, match=r"pip install 'ecgsynth\[dp\]'"):
        check_budget(8.0, 1e-5, "cvae", resume=False)


def test_a_person_gives_one_gradient_however_long_the_recording(packed: dict[str, Any]) -> None:
    net = untrained()
    names = sorted(set(packed["subject"].tolist()))
    assert (packed["subject"] == names[0]).sum() > 10 * (packed["subject"] == names[1]).sum()
    trained = _only(net, TRAINED)
    taken = [_prepare(net, packed, name, np.random.default_rng(0)) for name in names]
    rows = _per_person(net, trained, taken)
    assert all(len(row) == 6 and row.shape[1:] == p.shape for row, p in zip(rows, trained, strict=True))
    nobody = _per_person(net, trained, [])
    assert all(len(row) == 0 for row in nobody)


def test_what_is_prepared_gives_the_loss_of_the_whole_network(packed: dict[str, Any]) -> None:
    net, name = untrained().eval(), "ptbxl/long"
    own = StripBatches(load_strips(packed, CONFIG, {name}), 4, 0)
    rng = np.random.default_rng(5)
    batch = own.batch(own.draw(rng), rng)
    with torch.no_grad():
        whole = reconstruction(net, batch, encode(net, batch)[0])[1].mean() / 1280
        parts = _loss(net, _prepare(net, packed, name, np.random.default_rng(5)))
    assert float(parts) == pytest.approx(float(whole), rel=0.01)


def test_one_person_moves_the_sum_by_no_more_than_the_clip(packed: dict[str, Any]) -> None:
    pytest.importorskip("opacus")
    from opacus.optimizers import DPOptimizer

    net = untrained()
    trained = _only(net, TRAINED)
    names = sorted(set(packed["subject"].tolist()))
    taken = [_prepare(net, packed, name, np.random.default_rng(0)) for name in names]
    rows = _per_person(net, trained, taken)
    sums = []
    for people_ in (len(names), len(names) - 1):
        sgd = torch.optim.SGD(trained, lr=0.0)
        optimizer = DPOptimizer(sgd, noise_multiplier=0.0, max_grad_norm=0.01, expected_batch_size=1)
        for p, row in zip(trained, rows, strict=True):
            p.grad_sample = row[:people_].clone()  # type: ignore[attr-defined]
        optimizer.step()
        sums.append(torch.cat([p.grad.flatten() for p in trained if p.grad is not None]))
    assert 0 < float((sums[0] - sums[1]).norm()) <= 0.01 + 1e-6


def test_only_the_mean_changes_and_the_account_is_kept(packed: dict[str, Any]) -> None:
    pytest.importorskip("opacus")
    net, before = untrained(), untrained().state_dict()
    seen: list[int] = []
    said = train_private(net, packed, budget(), lambda done, total, note: seen.append(done))
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert changed and all(key.startswith(TRAINED) for key in changed)
    assert seen == [1, 2, 3]
    assert 7.9 < said["epsilon"] <= 8.0 and said["people"] == 6 and said["chance_per_step"] == 0.5
    assert said["unit"].startswith("person") and "Opacus" in said["accountant"]
    assert not any(word in str(said).lower() for word in ("seed", "anonym"))


def test_stricter_bounds_need_more_noise() -> None:
    search = pytest.importorskip("opacus.accountants.utils").get_noise_multiplier
    noise = [private._noise(search, budget(epsilon=e, steps=50), 0.1) for e in (8.0, 1.0)]
    assert noise[1] > 2 * noise[0] > 0


def test_noise_is_secret_unless_a_test_asks(packed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opacus")
    monkeypatch.setattr(private, "_noise", lambda *_: 1.0)
    weights = []
    for secret in (3, 3, None, None):
        net = untrained()
        train_private(net, packed, budget(steps=1), secret=secret)
        weights.append(net.decoder.mean.weight.detach().clone())
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[2], weights[3])


def test_a_step_that_takes_nobody_is_noise_all_the_same(
    packed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opacus")
    monkeypatch.setattr(private, "_noise", lambda *_: 1.0)
    net, before = untrained(), untrained()
    # With this seed none of the six is taken in the only step, each having a chance of a third.
    rng = np.random.default_rng((6, 0))
    assert not (rng.random(6) < 2 / 6).any()
    said = train_private(net, packed, budget(steps=1, people_per_step=2), secret=6)
    assert said["steps"] == 1
    assert not torch.equal(net.decoder.mean.weight, before.decoder.mean.weight)


def test_a_delta_that_gives_one_person_away_is_refused(packed: dict[str, Any]) -> None:
    pytest.importorskip("opacus")
    with pytest.raises(OptionError, match=r"--dp-delta: 0\.2 with 6 people; it must be below 0\.17"):
        train_private(untrained(), packed, budget(delta=0.2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "mine"
    path.mkdir()
    for record in people(6):
        write_record(path, record.name, record.signal, record.fs, ("II",), ["Age: 60", "Sex: Male"])
    return path


def test_a_private_checkpoint_says_what_is_bounded_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("opacus")
    start = tmp_path / "start.safetensors"
    save_checkpoint(start, untrained(), KNOWN)
    options = TrainOptions(
        folder,
        tmp_path / "own.safetensors",
        rhythm="vt",
        from_weights=start,
        steps=2,
        batch_size=3,
        dp_epsilon=4.0,
    )
    result = train_on_folder(options)
    assert result.copies is None and not index_beside(result.out).exists()
    assert result.people == 6 and result.stopped.endswith("at delta 1e-05 spent")
    _, metadata = load_checkpoint(result.out)
    assert metadata["population"] == KNOWN["population"] and metadata["demographics"] == {}
    assert metadata["spread"] == [["vt", "mine", "II", 1]]
    said = metadata["training"]["dp"]
    assert said["epsilon"] <= 4.0 and said["delta"] == 1e-5
    assert said["unit"].startswith("recording (no recording names its person")
    assert "seed" not in metadata["training"]
    page = (tmp_path / "own.privacy.md").read_text()
    assert "Epsilon 3." in page or "Epsilon 4" in page
    assert all(word in page for word in ("Not covered", "Taken as public", "Opacus", "generate --train"))
    assert "anonym" not in page.lower()
    assert open_gate("cvae", result.out, metadata).state == "on"
    assert load_generator("cvae", result.out).sample("vt", 1, seconds=4.0)[0].source == "mine"


def test_a_rhythm_that_nobody_showed_before_is_refused(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("opacus")
    start = tmp_path / "start.safetensors"
    save_checkpoint(start, untrained(), KNOWN | {"population": {"nsr": {"people": 9, "seconds": 90}}})
    with pytest.raises(OptionError, match=r"know no vt; .*\(nsr\)"):
        train_on_folder(
            TrainOptions(folder, tmp_path / "o.safetensors", rhythm="vt", from_weights=start, dp_epsilon=4.0)
        )
    assert not (tmp_path / "o.safetensors").exists()

"""The network that looks at strips: in numpy as in torch, strip by strip, and it learns what it is shown."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ecgsynth
from ecgsynth.fidelity.fault_net import (
    SAMPLES,
    FaultNet,
    add_strip_odds,
    packed,
    shapes_of,
    strip_of,
    unpacked,
)

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
NAMES = ("splice", "fs")


def drawn(seed: int, scale: float = 0.1) -> FaultNet:
    rng = np.random.default_rng(seed)
    arrays = {
        name: rng.normal(0, scale, shape).astype(np.float32) for name, shape in shapes_of(len(NAMES)).items()
    }
    return FaultNet(NAMES, arrays)


@pytest.fixture(scope="module")
def leads() -> list[np.ndarray]:
    made = ecgsynth.load_generator("parametric").sample(rhythm="nsr", n=24, seed=0, seconds=10.24)
    return [record.signal[0].astype(np.float64) for record in made]


@pytest.fixture
def gate_net(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import gate_net

    yield gate_net
    for name in ("gate_net", "gate_strips", "gate_rows", "gate_recorders"):
        sys.modules.pop(name, None)


def test_a_strip_is_told_in_units_of_its_own_height(leads: list[np.ndarray]) -> None:
    one, ten = strip_of(leads[0]), strip_of(10.0 * leads[0])
    np.testing.assert_allclose(one.signal, ten.signal, atol=2e-3)
    assert ten.height - one.height == pytest.approx(np.log(10.0))
    brief = strip_of(leads[0][:1500])
    assert brief.samples == 1500 and not brief.signal[1500:].any()
    assert strip_of(np.r_[leads[0], leads[0]]).samples == SAMPLES
    assert np.isfinite(strip_of(np.zeros(1000)).signal).all()


def test_what_lies_behind_the_end_does_not_count(leads: list[np.ndarray]) -> None:
    net, brief = drawn(0), strip_of(leads[0][:1504])
    longer = brief.signal.copy()
    # Filters reach at most one frame back from where a strip ends.
    longer[1504 + 320 :] = 3.0
    spoilt = replace(brief, signal=longer)
    assert net.log_odds(spoilt, "nsr", "I") == net.log_odds(brief, "nsr", "I")
    assert net.log_odds(brief, "nsr", "I") != net.log_odds(brief, "afib", "I")
    assert net.log_odds(brief, "nsr", "I") != net.log_odds(brief, "nsr", "II")


def test_half_precision_survives_storage_and_other_sizes_do_not(leads: list[np.ndarray]) -> None:
    net = unpacked(NAMES, packed(drawn(1)))
    again = unpacked(NAMES, packed(net))
    assert net.log_odds(strip_of(leads[0]), "vf", "V1") == again.log_odds(strip_of(leads[0]), "vf", "V1")
    for raw in (packed(net)[:-2], packed(net) + b"00", b"\xff\xff" * (len(packed(net)) // 2)):
        with pytest.raises(ValueError, match=r"strip network|buffer|reshape"):
            unpacked(NAMES, raw)


def test_odds_are_added_to_those_of_the_same_fault() -> None:
    looks = {"looks_splice": 1.0, "looks_gain": -2.0}
    assert add_strip_odds(looks, {"splice": 0.5, "fs": 9.0}) == {"looks_splice": 1.5, "looks_gain": -2.0}


def test_numpy_says_what_torch_says(gate_net: Any, leads: list[np.ndarray]) -> None:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = gate_net.TrainedNet()
    strips = [strip_of(lead[: 1300 + 50 * i]) for i, lead in enumerate(leads)]
    inputs = (
        torch.tensor(np.stack([strip.signal for strip in strips]).astype(np.float32)),
        torch.tensor([strip.samples for strip in strips]),
        torch.tensor(np.stack([gate_net.asked_of(strip, "afib", "II") for strip in strips])),
    )
    for _ in range(5):
        net.train()(*inputs)
    with torch.no_grad():
        expected = net.eval()(*inputs).numpy()
    folded = net.folded()
    got = np.array([list(folded.log_odds(strip, "afib", "II").values()) for strip in strips])
    np.testing.assert_allclose(got, expected, atol=0.01)
    assert np.ptp(expected, axis=0).min() > 0.001


def test_it_learns_a_change_along_the_strip(
    gate_net: Any, leads: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gate_strips import Strips

    seen = []
    for i, lead in enumerate(leads):
        cut = 1000 + 40 * (i % 8)
        joined = np.r_[lead[:cut], np.roll(leads[i - 1], 300)[cut:] * np.where(i % 2, 2.0, 0.5)]
        fast = np.interp(np.arange(SAMPLES // 2) * 2.0, np.arange(len(lead)), lead)
        for signal, fault in ((lead, ""), (joined, "splice"), (fast, "fs"), (lead[::-1], "reversed")):
            seen.append((strip_of(signal), f"p/{i}", "nsr", "I", fault))
    data = Strips.of(seen)
    monkeypatch.setattr(gate_net, "STEPS", 60)
    monkeypatch.setattr(gate_net, "BATCH", 32)
    held = np.array([f"p/{i}" for i in range(18, 24)])
    net = gate_net.train([data], held, 0)
    odds = [net.log_odds(s, "nsr", "I") for s in data.strips]
    new = np.isin(data.subject, held)
    for name in ("splice", "fs"):
        values = np.array([own[name] for own in odds])
        assert values[new & (data.fault == name)].mean() > values[new & (data.fault == "")].mean() + 1.0

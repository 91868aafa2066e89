"""The network that looks at strips: in numpy as in torch, strip by strip, and it learns what it is shown."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ecgsynth
from ecgsynth.fidelity.beat_view import WIDTH, beat_views, interval_numbers
from ecgsynth.fidelity.fault_net import (
    SAMPLES,
    FaultNet,
    Strip,
    add_strip_odds,
    mean_odds,
    packed,
    shapes_of,
    strip_of,
    unpacked,
)
from ecgsynth.rpeaks import detect_r_peaks

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
NAMES = ("splice", "fs")


def seen(lead: np.ndarray) -> Strip:
    return strip_of(lead, detect_r_peaks(lead, 250.0))


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
    for name in ("gate_net", "gate_strips", "gate_rows", "gate_recorders", "gate_artefacts"):
        sys.modules.pop(name, None)


def test_a_strip_is_told_in_units_of_its_own_height(leads: list[np.ndarray]) -> None:
    one, ten = seen(leads[0]), seen(10.0 * leads[0])
    np.testing.assert_allclose(one.signal, ten.signal, atol=2e-3)
    assert ten.height - one.height == pytest.approx(np.log(10.0))
    brief = seen(leads[0][:1500])
    assert brief.samples == 1500 and not brief.signal[1500:].any()
    assert seen(np.r_[leads[0], leads[0]]).samples == SAMPLES
    assert np.isfinite(seen(np.zeros(1000)).signal).all()


def test_what_lies_behind_the_end_does_not_count(leads: list[np.ndarray]) -> None:
    net, brief = drawn(0), seen(leads[0][:1504])
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
    assert net.log_odds(seen(leads[0]), "vf", "V1") == again.log_odds(seen(leads[0]), "vf", "V1")
    for raw in (packed(net)[:-2], packed(net) + b"00", b"\xff\xff" * (len(packed(net)) // 2)):
        with pytest.raises(ValueError, match=r"strip network|buffer|reshape"):
            unpacked(NAMES, raw)


def test_odds_are_added_to_those_of_the_same_fault() -> None:
    looks = {"looks_splice": 1.0, "looks_gain": -2.0}
    assert add_strip_odds(looks, {"splice": 0.5, "fs": 9.0}) == {"looks_splice": 1.5, "looks_gain": -2.0}


def test_several_networks_say_their_mean(leads: list[np.ndarray]) -> None:
    strip, nets = seen(leads[0]), (drawn(0), drawn(1))
    one, two = (net.log_odds(strip, "nsr", "I") for net in nets)
    assert mean_odds(nets, strip, "nsr", "I") == {name: (one[name] + two[name]) / 2 for name in NAMES}
    assert mean_odds((), strip, "nsr", "I") == {}


def test_beats_are_seen_by_their_middle_and_by_how_they_change(leads: list[np.ndarray]) -> None:
    n, at = 2500, np.arange(200, 2400, 200)
    beat = np.exp(-0.5 * ((np.arange(-60, 61)) / 3.0) ** 2)
    wave = 0.1 * np.exp(-0.5 * ((np.arange(-60, 61) + 40) / 5.0) ** 2)
    signal, noisy = np.zeros(n), np.random.default_rng(0).normal(0, 0.05, n)
    for k, sample in enumerate(at.tolist()):
        signal[sample - 60 : sample + 61] += beat + wave * k / (len(at) - 1)
    usual, halves, trend, stray, others, large, *_ = beat_views(signal, at)
    centre = int(usual.argmax())
    assert usual[centre] == pytest.approx(1.0, abs=0.01) and usual[centre - 40] == pytest.approx(
        0.05, abs=0.01
    )
    # The wave grows by its whole height from the first beat to the last, by half of it from half to half.
    assert trend[centre - 40] == pytest.approx(0.1, abs=0.01)
    assert halves[centre - 40] == pytest.approx(-0.06, abs=0.02) and abs(others[centre - 40]) < 0.02
    assert large[centre - 40] == pytest.approx(0.5, abs=0.1) and large[centre] == pytest.approx(1.5)
    assert beat_views(signal + noisy, at)[3].mean() > 0.1 > stray[: centre - 60].max()
    assert beat_views(signal, at[:3]).shape == (8, WIDTH) and not beat_views(signal, at[:3]).any()


def test_intervals_are_told_by_length_and_evenness() -> None:
    even = interval_numbers(np.arange(0, 2500, 200), 2500)
    uneven = interval_numbers(np.cumsum([0, 150, 260, 120, 230, 280, 140, 200, 260, 170, 220]), 2500)
    assert even[0] == pytest.approx(1.3) and np.exp(even[1]) == pytest.approx(0.81)
    assert (uneven[2:] > even[2:] + 1.0).all()
    assert not interval_numbers(np.array([3, 200]), 2500)[1:].any()


def test_numpy_says_what_torch_says(gate_net: Any, leads: list[np.ndarray]) -> None:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = gate_net.TrainedNet()
    strips = [seen(lead[: 1300 + 50 * i]) for i, lead in enumerate(leads)]
    inputs = (
        torch.tensor(np.stack([strip.signal for strip in strips]).astype(np.float32)),
        torch.tensor([strip.samples for strip in strips]),
        torch.tensor(np.stack([strip.views for strip in strips])),
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

    strips = []
    for i, lead in enumerate(leads):
        cut = 1000 + 40 * (i % 8)
        joined = np.r_[lead[:cut], np.roll(leads[i - 1], 300)[cut:] * np.where(i % 2, 2.0, 0.5)]
        fast = np.interp(np.arange(SAMPLES // 2) * 2.0, np.arange(len(lead)), lead)
        for signal, fault in ((lead, ""), (joined, "splice"), (fast, "fs"), (lead[::-1], "reversed")):
            strips.append((seen(signal), f"p/{i}", "nsr", "I", fault))
    data = Strips.of(strips)
    monkeypatch.setattr(gate_net, "STEPS", 60)
    monkeypatch.setattr(gate_net, "BATCH", 32)
    held = np.array([f"p/{i}" for i in range(18, 24)])
    net = gate_net.train([data], held, 0)
    odds = [net.log_odds(s, "nsr", "I") for s in data.strips]
    new = np.isin(data.subject, held)
    for name in ("splice", "fs"):
        values = np.array([own[name] for own in odds])
        assert values[new & (data.fault == name)].mean() > values[new & (data.fault == "")].mean() + 1.0

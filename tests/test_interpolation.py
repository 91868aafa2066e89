"""The way from one rhythm or person to another: its ends, its steps, and what does not move."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ecgsynth.errors import OptionError
from ecgsynth.generators.plan import Plan, Request
from ecgsynth.generators.rhythm_process import draw_plan
from ecgsynth.interpolation import between_people, between_plans, interpolate
from ecgsynth.sampling import load_generator


def plan(rhythm: str, seconds: float = 30.0, seed: int = 0) -> Plan:
    return draw_plan(Request(((rhythm, seconds),), ("II",), "ptbxl"), np.random.default_rng(seed))


@pytest.mark.parametrize("generator", ["cvae", "cgan"])
def test_the_way_to_another_person_begins_at_the_record_itself(generator: str) -> None:
    model = load_generator(generator)
    way = interpolate(model, "nsr", steps=5, seed=3, leads=("II",))
    first = model.sample("nsr", 1, seed=3, leads=("II",))[0]
    assert np.array_equal(way[0].signal, first.signal)
    assert all(np.array_equal(x.beats.samples, way[0].beats.samples) for x in way if x.beats and way[0].beats)
    far = [float(np.abs(x.signal - way[0].signal).mean()) for x in way]
    assert far[0] == 0 and all(a < b for a, b in itertools.pairwise(far)), far


def test_steps_are_of_one_size_and_end_at_the_other_rhythm() -> None:
    way = interpolate(load_generator("cvae"), "sinus_bradycardia", "sinus_tachycardia", steps=7, seed=1)
    rates = [60 * x.fs / np.diff(x.beats.samples).mean() for x in way if x.beats]
    assert all(a < b for a, b in itertools.pairwise(rates)) and rates[0] < 62 and rates[-1] > 95
    rr = 60 / np.array(rates)
    assert np.diff(rr).std() < 0.35 * abs(np.diff(rr).mean())
    assert [x.episodes[0].rhythm for x in way][::3] == ["sinus_bradycardia", "sinus_tachycardia"] * 1 + [
        "sinus_tachycardia"
    ]
    assert [x.extra["share"] for x in way][:2] == ["0.0000", "0.1667"]


def test_plans_meet_in_the_middle() -> None:
    slow, fast = plan("sinus_bradycardia"), plan("afib", seed=1)
    middle = between_plans(slow, fast, 0.5, 10.0)
    k = 3
    a, b = (p.beat_times[np.searchsorted(p.beat_times, 0) + k] for p in (slow, fast))
    at = middle.beat_times[np.searchsorted(middle.beat_times, 0) :]
    assert np.abs(at - (a + b) / 2).min() < 1e-9
    assert middle.n_samples == len(middle.osc_phase) == 2500
    assert np.allclose(middle.osc_amplitude, fast.osc_amplitude[:2500] / 2)
    assert len(middle.symbols) == len(middle.beat_times) and (np.diff(middle.beat_times) > 0.2).all()


def test_people_turn_on_a_great_circle() -> None:
    one, two = np.random.default_rng(0).standard_normal((2, 56)).astype(np.float32)
    way = [between_people(one, two, share) for share in np.linspace(0, 1, 5)]
    assert np.allclose(way[0], one, atol=1e-5) and np.allclose(way[-1], two, atol=1e-5)
    lengths = [np.linalg.norm(x) for x in way]
    assert min(lengths) > 0.99 * min(lengths[0], lengths[-1]), "nobody in between is nearer to the mean"
    assert np.array_equal(between_people(one, one, 0.3), one)


@pytest.mark.parametrize(
    ("generator", "asked", "says"),
    [
        ("parametric", {"rhythm": "nsr"}, "nothing to turn"),
        ("cvae", {"rhythm": "nsr", "to": "vf"}, "has beats"),
        ("cvae", {"rhythm": "nsr:5,afib:5"}, "has beats"),
        ("cvae", {"rhythm": "nsr", "steps": 1}, "2 to 101"),
        ("cvae", {"rhythm": "nsr", "snr": 3.0}, "leave out noise"),
    ],
)
def test_what_has_no_way_is_refused(generator: str, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        interpolate(load_generator(generator), **asked)

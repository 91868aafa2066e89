"""The benchmark of the judge counts what it says it counts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import ecgsynth
from ecgsynth.fidelity.calibration import load_calibration

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
judge = pytest.importorskip("judge", reason="matplotlib draws the benchmark's plot")
planting = pytest.importorskip("judge_planting")
report = pytest.importorskip("judge_report")


def records(rhythm: str, n: int) -> list[ecgsynth.Record]:
    made = ecgsynth.load_generator("parametric").sample(rhythm=rhythm, n=n, seed=0)
    return list(made)


def test_a_set_holds_as_many_faulty_records_as_it_says() -> None:
    bad = [None, *range(9)] * 10
    for level, count in ((0.0, 0), (0.01, 1), (0.05, 5), (0.5, 50), (1.0, 90)):
        masks = planting.mixes(100, bad, level, 5, 3)
        assert {int(mask.sum()) for mask in masks} == {count}
        assert not any(mask[::10].any() for mask in masks), "what cannot be planted stays sound"
    first, second = planting.drawn(100, 0), planting.drawn(100, 1)
    assert len(first) == 80 and not np.array_equal(first, second)


def test_power_is_the_share_of_sets_worse_than_sound_ones() -> None:
    bad = {"sound": list(range(100)), "odd": list(range(100))}

    def score(mask: np.ndarray, fault: str, draw: int) -> float:
        return float(mask[planting.drawn(100, draw)].mean()) + 1e-6 * draw / 50

    table = planting.power(score, bad, 100)
    assert set(table) == {"odd"} and table["odd"][-1] == 1.0 and table["odd"][3] == 1.0
    turned = planting.power(lambda *a: -score(*a), bad, 100, "low")
    assert turned == table


def test_faults_of_sets() -> None:
    rng = np.random.default_rng(0)
    a, b, others = records("nsr", 4), records("nsr", 8)[4:], records("afib", 3)
    bad = planting.faulty_sets(a, b, others, rng)
    assert all(len(rows) == len(b) for rows in bad.values()) and "lead_swap" not in bad
    assert {r.episodes[0].rhythm for r in bad["labels"]} == {"nsr"}
    copies = bad["collapse"]
    assert np.corrcoef(copies[0].signal[0], copies[planting.COPIED].signal[0])[0, 1] > 0.99


def test_outcomes_and_page() -> None:
    outcomes = judge.judge(records("nsr", 4), load_calibration(), seeds=1)
    table = judge.summary(outcomes)
    assert table["sound"]["all"]["records"] == 4
    for name in ("nan", "flat"):
        assert table[name]["all"]["of_records"] == 1.0, name
    # The simulator's beats are so alike that one of them repeated may pass for them.
    assert table["tiled"]["all"]["of_records"] >= 0.75
    text = report.write_report({"faults": table, "seeds": 1, "per_person": 1}, tuple(judge.GROUPS))
    assert "| NaN samples | 95 | **100.0**" in text and "## Sound strips" in text
    person = judge.rate(
        [judge.Outcome("x", "nsr", False, s, 0, c, False, ()) for s, c in (("a", 1), ("a", 1), ("b", 0))]
    )
    assert person["by_person"] == 0.5 and person["people"] == 2 and person["low"] <= 0.5 <= person["high"]


def test_sets_are_told_by_the_smallest_share_noticed() -> None:
    levels = [0.0, 0.01, 0.05, 0.5, 1.0]
    power = {
        "record gate: turned down": {"odd": [0.0, 1.0, 0.6, 0.8, 1.0]},
        "peer: a": {"odd": [0.0, 0.0, 0.0, 0.0, 1.0]},
        "peer: b": {"odd": [0.0, 0.0, 0.0, 0.0, 0.0]},
        "peer: c": {"odd": [0.4, 1.0, 1.0, 1.0, 1.0]},
    }
    sets = {
        "levels": levels,
        "power": power,
        "size": 9,
        "people": 18,
        "draws": 5,
        "peer_draws": 3,
        "titles": {},
    }
    text = "\n".join(report._sets("nsr", sets))
    assert "| fault | record gate: turned down | peer, best of 2 |" in text
    assert "| odd | 50 | 100 |" in text and "sound sets too: peer: c." in text

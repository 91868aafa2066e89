"""Forecasts of a person's beat: coverage of known spreads, and the factor that mends them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecgsynth.batches import load_strips
from ecgsynth.checkpoint import load_checkpoint, shipped_weights
from ecgsynth.errors import OptionError
from ecgsynth.pack import pack
from ecgsynth.sampling import load_generator
from ecgsynth.training.uncertainty import AFTER, BEFORE, BeatForecast, coverage, fit_factor, forecast_beats


def forecasts(true_over_said: float, people: int = 60) -> list[BeatForecast]:
    rng = np.random.default_rng(0)
    mean, sd = np.zeros(200), np.full(200, 0.1)
    return [
        BeatForecast(i, i, true_over_said * 0.1 * rng.standard_normal(200), mean, sd) for i in range(people)
    ]


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_a_true_spread_covers_what_it_says(level: float) -> None:
    shares = coverage(forecasts(1.0), level)
    assert len(shares) == 60 and np.mean(list(shares.values())) == pytest.approx(level, abs=0.015)


def test_a_spread_said_half_as_large_is_found_and_mended() -> None:
    found = forecasts(2.0)
    assert fit_factor(found) == pytest.approx(2.0, abs=0.06)
    assert np.mean(list(coverage(found, 0.8).values())) < 0.55
    for level in (0.5, 0.8, 0.95):
        mended = coverage(found, level, fit_factor(found))
        assert np.mean(list(mended.values())) == pytest.approx(level, abs=0.015)


def test_an_interval_is_as_wide_as_its_factor_says() -> None:
    one = forecasts(1.0, 1)[0]
    low, high = one.interval(0.8, factor=2.0)
    assert np.allclose(high - one.mean, 2.0 * 1.28155 * one.sd) and np.allclose(
        one.mean - low, high - one.mean
    )
    wide, narrow = (one.interval(level)[1] - one.mean for level in (0.95, 0.5))
    assert (wide > 3 * narrow).all(), "the shipped factors grow with the level"
    with pytest.raises(OptionError, match=r"0\.5, 0\.8 or 0\.95"):
        one.interval(0.9)


def test_people_count_alike_however_many_strips_they_gave() -> None:
    one, two = forecasts(1.0, 2)
    many = [replace(one, person=0), *[replace(two, person=1, real=two.real * 5) for _ in range(9)]]
    assert fit_factor(many) == pytest.approx(fit_factor([many[0], many[1]]), rel=0.05)


def test_a_real_beat_is_foreseen_by_the_shipped_weights() -> None:
    records = load_generator("parametric").sample(
        "nsr", 4, seed=1, seconds=12.0, source="ptbxl", leads=("II",)
    )
    net, _ = load_checkpoint(shipped_weights("cvae"))
    strips = load_strips(pack([replace(r, subject=f"p/{r.name}") for r in records]), net.config)
    found = forecast_beats(net, strips, np.arange(len(strips)), seed=0, draws=6)
    assert len(found) >= 3
    for one in found:
        assert one.real.shape == one.mean.shape == one.sd.shape == (BEFORE + AFTER,) and (one.sd > 0).all()
        assert np.corrcoef(one.real, one.mean)[0, 1] > 0.7
    again = forecast_beats(net, strips, np.arange(len(strips)), seed=0, draws=6)
    assert np.array_equal(found[0].mean, again[0].mean)

"""Noise that comes and goes: drawn as the table says, and measured back."""

from __future__ import annotations

import numpy as np
import pytest

from ecgsynth.generators.noise_sway import SWAY_FROM, draw_sway, measure_sway

BINS = 40


def test_without_sway_noise_keeps_its_level() -> None:
    factors = draw_sway(50, np.zeros((3, 2)), BINS, np.random.default_rng(0))
    assert np.array_equal(factors, np.ones((50, BINS), np.float32))


def test_bands_sway_with_the_sd_and_memory_asked() -> None:
    table = np.array([[0.8, 0.6], [0.3, 0.9], [1.2, 0.0]])
    log_power = 2 * np.log(draw_sway(40_000, table, BINS, np.random.default_rng(1)))
    for band, first in enumerate(SWAY_FROM):
        x = log_power[:, first]
        assert x.std() == pytest.approx(table[band, 0], rel=0.06)
        assert np.corrcoef(x[1:], x[:-1])[0, 1] == pytest.approx(table[band, 1], abs=0.03)
    assert abs(np.corrcoef(log_power[:, 0], log_power[:, 39])[0, 1]) < 0.05


def test_a_rare_draw_does_not_bury_a_strip() -> None:
    factors = draw_sway(5_000, np.full((3, 2), [5.0, 0.5]), BINS, np.random.default_rng(2))
    assert factors.max() <= np.exp(2) + 1e-6 and factors.min() >= np.exp(-2) - 1e-6


def test_sway_is_measured_under_the_scatter_of_the_coefficients() -> None:
    rng = np.random.default_rng(3)
    sums, pairs = np.zeros((3, 3)), np.zeros(3)
    for _ in range(150):
        factors = draw_sway(60, np.full((3, 2), [1.0, 0.7]), BINS, rng)
        squares = (factors * rng.standard_normal((60, BINS))) ** 2
        known = rng.uniform(size=60) < 0.8
        s, n = measure_sway(np.log(squares)[None], known, SWAY_FROM)
        sums, pairs = sums + s, pairs + n
    one, two = (sums / pairs)[:, 1], (sums / pairs)[:, 2]
    # A strip's own mean takes away some of the slow part, so the estimates come out a little low.
    assert (two / one == pytest.approx(0.7, abs=0.12)) and (np.sqrt(one**2 / two) > 0.75).all()


def test_unknown_hops_do_not_count() -> None:
    x = np.random.default_rng(4).standard_normal((1, 30, BINS))
    known = np.arange(30) < 20
    wild = np.where(known[None, :, None], x, 1e6)
    assert np.allclose(measure_sway(x, known, SWAY_FROM)[0], measure_sway(wild, known, SWAY_FROM)[0])

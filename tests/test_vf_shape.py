"""Spikes, fine spells and pointed waves of ventricular fibrillation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecgsynth.generators.plan import PLAN_FS, Plan, Request
from ecgsynth.generators.rhythm_process import draw_plan, fitted
from ecgsynth.generators.vf_shape import _bent, draw_transients, find_transients, with_vf_shape


def wave(seed: int, n: int = 2500) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(n) / PLAN_FS
    return np.sin(2 * np.pi * 4.1 * t + rng.uniform(0, 6)) + 0.05 * rng.standard_normal(n)


def drawn(script: tuple[tuple[str, float], ...], seed: int = 0) -> Plan:
    return draw_plan(Request(script, ("ECG",), "cudb"), np.random.default_rng(seed))


def test_planted_spikes_are_found_and_a_wave_has_none() -> None:
    assert all(len(find_transients(wave(seed), PLAN_FS)) == 0 for seed in range(20))
    spiked = wave(0)
    for at in (400, 1200, 2000):
        spiked[at : at + 5] += 3.0 * np.hanning(5)
    assert len(find_transients(spiked, PLAN_FS)) == 3


def test_spikes_drawn_are_found_again_as_often_as_they_were_fitted_to_be() -> None:
    fit = fitted()["rhythms"]["vf"]["shape"]
    strips = [wave(k) + draw_transients(2500, fit, np.random.default_rng(k)) for k in range(300)]
    shown = np.mean([len(find_transients(strip, PLAN_FS)) > 0 for strip in strips])
    assert 0.3 < shown < 0.65


def test_the_bend_gives_skewness_of_its_sign_and_keeps_size() -> None:
    plain = wave(1)[None]
    skew = [
        float(np.mean(((x - x.mean()) / x.std()) ** 3)) for x in (_bent(plain, b)[0] for b in (-0.3, 0.3))
    ]
    assert skew[0] < -0.1 < 0.1 < skew[1]
    assert _bent(plain, 0.3).std() == pytest.approx(1.0, rel=1e-6)


def test_only_the_episode_of_fibrillation_is_shaped_and_by_its_own_numbers() -> None:
    plan = drawn((("nsr", 4.0), ("vf", 6.0)))
    signal = wave(2)[None].astype(np.float32)
    made, heart = with_vf_shape(plan, (signal, signal), np.random.default_rng(5))
    edge = plan.episodes[0].stop
    assert np.array_equal(made[:, :edge], signal[:, :edge])
    assert np.abs(made[:, edge:] - signal[:, edge:]).max() > 0.01
    assert heart.shape == made.shape and made.dtype == np.float32 and np.isfinite(made).all()
    again, _ = with_vf_shape(plan, (signal, signal), np.random.default_rng(5))
    assert np.array_equal(made, again)
    sinus = replace(plan, episodes=plan.episodes[:1])
    assert with_vf_shape(sinus, (signal, signal), np.random.default_rng(5))[0] is signal

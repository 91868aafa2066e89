"""Fibrillation and flutter waves in twelve leads, laid over what a twelve-lead decoder draws.

Twelve-lead recordings of AF and flutter are few. A decoder trained on those of 13 and 9 people followed the
phase of the wave in V1 only, at half its size, and not at all in flutter; and noise is fitted to what is left
without the wave. So strips were flat between the beats, and classifiers learned that AF is a flat line.

The waves are those of the parametric simulator. With them the power at 4 to 9 Hz beside the beats
(`fwave_power` of :mod:`ecgsynth.fidelity.features`, log10 mV^2 in II, V1, V5) is near that of the people of
PTB-XL in AF from whom the generators learned: they have -2.1, -1.6, -1.8; strips had -3.0, -2.3, -2.5 without
the waves and have -2.1, -1.6, -2.0 with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.parametric import LEAD_VECTORS
from ecgsynth.generators.plan import Plan
from ecgsynth.generators.wave_oscillators import osc_vector, oscillating

#: Rhythms with such waves.
ATRIAL_WAVES_IN = ("afib", "aflutter")


def atrial_waves(plan: Plan, leads: Sequence[str], rng: np.random.Generator) -> NDArray[np.float32] | None:
    """Waves ``[leads, samples]`` in mV, one person's in all leads; None where no episode has any.

    Random numbers are drawn in plans with such a rhythm only.
    """
    if not any(episode.rhythm in ATRIAL_WAVES_IN for episode in plan.episodes):
        return None
    seen_by = np.array([LEAD_VECTORS[lead] for lead in leads])
    return (seen_by @ oscillating(plan, osc_vector(plan, rng), rng)).astype(np.float32)

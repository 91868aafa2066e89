"""Fibrillation and flutter waves in twelve leads, laid over what a twelve-lead decoder draws.

Twelve-lead recordings of AF and flutter are few. A decoder trained on those of 13 and 9 people followed the
phase of the wave in V1 only, at half its size, and not at all in flutter; and noise is fitted to what is left
without the wave. So strips were flat between the beats, and classifiers learned that AF is a flat line.

The waves have the shapes of the parametric simulator, but the size and direction of those of people from whom
the generators learned. The simulator's own vector gave flutter three quarters as much again, and f waves too
large in II. Between the beats at 3.5 to 10 Hz, with what the recording adds there, median RMS in uV:

================================  ====  ====  ====
rhythm                             II    V1    V5
================================  ====  ====  ====
AF, 11 people of PTB-XL            21    38    41
AF, strips in their manner         26    39    38
AF, as the simulator has it        33    39    41
flutter, 3 people of PTB-XL        64    56    57
flutter, strips in their manner    59    47    52
flutter, as the simulator has it  110    62    74
================================  ====  ====  ====

Nor may the beats tell the rhythm: people with AF and flutter are drawn from those in any sinus rhythm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ecgsynth.generators.conditions import RHYTHM_INDEX
from ecgsynth.generators.parametric import LEAD_VECTORS
from ecgsynth.generators.plan import Plan
from ecgsynth.generators.wave_oscillators import oscillating

#: Rhythms with such waves: size in mV, SD of its logarithm, and direction (left, foot, back) of their dipole.
_WAVES = {
    "afib": (0.05, 0.5, (0.2, 0.3, -0.9)),
    "aflutter": (0.09, 0.4, (0.1, 0.6, -0.85)),
}
ATRIAL_WAVES_IN = tuple(_WAVES)
#: SD by which the direction differs from person to person, in each axis.
_TILT = 0.25
#: From whose people those in AF and flutter are drawn. They were learned from 13 and 9, whose beats and noise
#: classifiers took for the rhythm; and with people in normal sinus rhythm alone, the beats of those with a
#: slow or a fast heart spoke against it.
_PEOPLE_IN = ("nsr", "sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia")


def people_of(rhythm: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Rhythm ``[B]`` from whose people each next one is drawn.

    Parameters
    ----------
    rhythm : int64 Tensor [B]
        What they have, as in `RHYTHM_INDEX`.
    scores : float32 Tensor [B, numbers]
        The standard normal numbers from which the prior draws each. The fifth decimal of the first, which
        moves nobody, chooses among the sinus rhythms: a record depends on its own numbers only.
    """
    atrial = torch.isin(rhythm, torch.tensor([RHYTHM_INDEX[name] for name in ATRIAL_WAVES_IN]))
    sinus = torch.tensor([RHYTHM_INDEX[name] for name in _PEOPLE_IN])
    chosen = sinus[(scores[:, 0].abs() * 1e5).long() % len(sinus)]
    return torch.where(atrial, chosen, rhythm)


def atrial_waves(plan: Plan, leads: Sequence[str], rng: np.random.Generator) -> NDArray[np.float32] | None:
    """Waves ``[leads, samples]`` in mV, one person's in all leads; None where no episode has any.

    Random numbers are drawn in plans with such a rhythm only.
    """
    if not any(episode.rhythm in ATRIAL_WAVES_IN for episode in plan.episodes):
        return None
    seen_by = np.array([LEAD_VECTORS[lead] for lead in leads])
    return (seen_by @ oscillating(plan, _vector(plan, rng), rng)).astype(np.float32)


def _vector(plan: Plan, rng: np.random.Generator) -> NDArray[np.float64]:
    """Direction and size [3] in mV of a person's waves; of flutter where a plan has both."""
    rhythms = {episode.rhythm for episode in plan.episodes}
    size, spread, direction = _WAVES["aflutter" if "aflutter" in rhythms else "afib"]
    tilted = np.array(direction) + _TILT * rng.standard_normal(3)
    return np.asarray(size * np.exp(spread * rng.standard_normal()) * tilted / np.linalg.norm(tilted))

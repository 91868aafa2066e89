"""The parametric simulator: sums of Gaussian waves of a cardiac dipole, seen by the leads, plus noise.

After McSharry PE et al. IEEE Trans Biomed Eng 50:289-294, 2003 (Gaussian waves) with the dipole of Sameni R
et al. EURASIP J Adv Signal Process 2007:043407, projected on leads by Dower's matrix (Dower GE et al. J
Electrocardiol 13:109-116, 1980). It is the baseline every learned generator has to beat.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import OptionError
from ecgsynth.generators.plan import PLAN_FS, Plan
from ecgsynth.generators.strip_noise import noise
from ecgsynth.generators.wave_oscillators import osc_vector, oscillating
from ecgsynth.generators.wave_shapes import BEAT_OF_CODE, BEATS, Shape, draw_shape, rotation
from ecgsynth.records import TWELVE_LEADS

Array = NDArray[np.float64]

#: Frank X (left), Y (foot), Z (back) to leads, mV per mV. MLII of Holters lies on the chest, so nearer:
#: larger than II.
LEAD_VECTORS: dict[str, tuple[float, float, float]] = {
    "I": (0.632, -0.235, 0.059),
    "II": (0.235, 1.066, -0.132),
    "V1": (-0.515, 0.157, -0.917),
    "V2": (0.044, 0.164, -1.387),
    "V3": (0.882, 0.098, -1.277),
    "V4": (1.213, 0.127, -0.601),
    "V5": (1.125, 0.127, -0.086),
    "V6": (0.831, 0.076, 0.230),
    "MLII": (0.50, 1.45, -0.15),
}
#: Weights of leads I and II in the four derived ones (Einthoven, Goldberger).
DERIVED: dict[str, tuple[float, float]] = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
#: Sources whose amplitudes differ from clinical recorders': the handheld device spans both arms with dry
#: electrodes.
GAIN = {"cinc2017": 1.5}
#: Window around an R peak in s that holds every wave of a beat but P; and around a P peak.
_BEAT_WINDOW = (-0.24, 0.72)
_P_WINDOW = (-0.12, 0.12)
_CHUNK = 256  # beats evaluated at once, bounds memory for hour-long records


@dataclass(frozen=True)
class ParametricConfig:
    """Settings of the simulator.

    Attributes
    ----------
    noise : float
        Factor on all noise levels of the source; 0 gives clean signals.
    beat_jitter : float
        Relative SD of QRS and T amplitude from beat to beat (real median beats: about 0.03-0.05).
    breathing : float
        Relative size of amplitude modulation by breathing.
    """

    noise: float = 1.0
    beat_jitter: float = 0.025
    breathing: float = 0.04


@dataclass(frozen=True)
class Heart:
    """One person as the simulator sees them: dipole shapes per beat kind, lead vectors, intervals.

    Attributes
    ----------
    shapes : dict of str to Shape
        By beat kind.
    turn : float64 array [3, 3]
        How this heart lies: rotation of every dipole.
    size : float
        Factor on all amplitudes.
    qtc : float
        QT at 60 beats/min in s.
    p_vector : float64 array [3]
        P wave in mV.
    osc_vector : float64 array [3]
        Direction and size of the oscillation in mV.
    """

    shapes: dict[str, Shape]
    turn: Array
    size: float
    qtc: float
    p_vector: Array
    osc_vector: Array


class Parametric:
    """Renders plans without anything learned.

    Parameters
    ----------
    leads : tuple of str
        Any of the twelve and MLII. Derived leads are computed from the same record's I and II.
    config : ParametricConfig

    Raises
    ------
    OptionError
        If a lead is not known.
    """

    name = "parametric"
    fs = PLAN_FS

    def __init__(
        self, leads: tuple[str, ...] = (*TWELVE_LEADS, "MLII"), config: ParametricConfig | None = None
    ) -> None:
        check_leads(leads)
        self.leads = tuple(leads)
        self.config = config or ParametricConfig()

    def render(
        self, plans: list[Plan], rngs: list[np.random.Generator], *, alone: bool = False
    ) -> list[NDArray[np.float32]]:
        """Signals [leads, n_samples] in mV of the leads each plan's request asks for.

        Parameters
        ----------
        plans : list of Plan
        rngs : list of numpy.random.Generator
            One per plan; the same state gives the same signal whatever else is in the list.
        alone : bool
            Draw them one by one, as this generator does anyway.

        Raises
        ------
        OptionError
            If a lead is not known.
        """
        return [signal for signal, _ in self.render_pairs(plans, rngs, alone=alone)]

    def render_pairs(
        self, plans: list[Plan], rngs: list[np.random.Generator], *, alone: bool = False
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """As :meth:`render`, with the heart alone beside each signal: no noise, no wander."""
        return [self._render_one(plan, rng) for plan, rng in zip(plans, rngs, strict=True)]

    def _render_one(
        self, plan: Plan, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        leads = plan.request.leads or self.leads
        check_leads(leads)
        heart = draw_heart(plan, rng)
        dipole = heart_dipole(plan, heart, self.config, rng)
        base = _base_leads(leads)
        vectors = np.array([LEAD_VECTORS[lead] for lead in base])
        # Electrodes never sit where the textbook has them.
        placed = vectors * (1.0 + 0.12 * rng.standard_normal(vectors.shape)) + 0.03 * rng.standard_normal(
            vectors.shape
        )
        clean = GAIN.get(plan.request.source, 1.0) * (placed @ dipole)
        signal = clean + self.config.noise * noise(plan.request.source, len(base), plan.n_samples, rng)
        both = (dict(zip(base, x.astype(np.float32), strict=True)) for x in (signal, clean))
        with_noise, alone = (_pick_leads(rows, leads) for rows in both)
        return with_noise, alone


def check_leads(leads: Iterable[str]) -> None:
    """Raise OptionError for a lead the dipole has no projection for."""
    known = [*LEAD_VECTORS, *DERIVED]
    for lead in leads:
        if lead not in known:
            raise OptionError(
                f"unknown lead {lead!r} for the parametric generator; choose from {', '.join(known)}."
            )


def _base_leads(leads: tuple[str, ...]) -> list[str]:
    """Leads to project, in fixed order: those asked for, and I and II where a derived one needs them."""
    needed = set(leads) | ({"I", "II"} if DERIVED.keys() & set(leads) else set())
    return [lead for lead in LEAD_VECTORS if lead in needed]


def _pick_leads(rows: dict[str, NDArray[np.float32]], leads: tuple[str, ...]) -> NDArray[np.float32]:
    for lead, (one, two) in DERIVED.items():
        if lead in leads:
            rows[lead] = np.float32(one) * rows["I"] + np.float32(two) * rows["II"]
    return np.stack([rows[lead] for lead in leads])


def draw_heart(plan: Plan, rng: np.random.Generator) -> Heart:
    """A person: axis (SD 20 degrees), size, QTc (men 410, women 421 ms, SD 20; ELSA-Brasil), wave shapes.

    One in 12 people has T waves inverted or flat, one in 16 a bundle branch block under their N beats.
    """
    habit = float(rng.uniform())
    narrow = "rbbb" if habit < 0.035 else "lbbb" if habit < 0.06 else "normal"
    shapes = {kind: draw_shape(BEATS[narrow if kind == "normal" else kind], rng) for kind in BEATS}
    shapes["fusion"] = shapes["normal"].blend(shapes["ventricular"])
    shapes["paced fusion"] = shapes["normal"].blend(shapes["paced"])
    if plan.episodes and all(e.rhythm in ("vt", "idioventricular") for e in plan.episodes):
        shapes["escape"] = shapes["ventricular"]
    qtc = (0.421 if plan.request.sex == "F" else 0.41) + 0.02 * rng.standard_normal()
    p_vector = (
        np.array([0.06, 0.11, -0.015])
        * np.exp(0.25 * rng.standard_normal())
        * (1 + 0.2 * rng.standard_normal(3))
    )
    return Heart(
        shapes=shapes,
        turn=rotation(rng, 0.25),
        size=float(np.exp(0.25 * rng.standard_normal())),
        qtc=float(np.clip(qtc, 0.36, 0.47)),
        p_vector=p_vector,
        osc_vector=osc_vector(plan, rng),
    )


def heart_dipole(plan: Plan, heart: Heart, config: ParametricConfig, rng: np.random.Generator) -> Array:
    """Dipole [3, n_samples] in mV: beats, P waves and oscillation, with breathing and beat-to-beat jitter."""
    dipole = np.zeros((3, plan.n_samples))
    beats = plan.beat_times
    if len(beats):
        breath = 2 * np.pi * rng.normal(0.26, 0.04)
        swing = config.breathing * np.sin(breath * beats + rng.uniform(0, 2 * np.pi))
        scale = 1.0 + swing + config.beat_jitter * rng.standard_normal(len(beats))
        _add_beats(dipole, plan, heart, scale)
    if len(plan.p_times):
        jitter = 1.0 + 0.06 * rng.standard_normal(len(plan.p_times))
        _add_p_waves(dipole, plan.p_times, heart, jitter)
    dipole = heart.size * (heart.turn @ dipole)
    if plan.osc_amplitude.any():
        dipole += oscillating(plan, heart.osc_vector, rng)
    return dipole


def _beat_kinds(plan: Plan) -> list[str]:
    """Which shape each beat has; in pre-excitation sinus beats carry a delta wave."""
    kinds = [BEAT_OF_CODE.get(symbol, "normal") for symbol in plan.symbols]
    starts = np.array([e.start for e in plan.episodes]) / PLAN_FS
    where = np.clip(np.searchsorted(starts, plan.beat_times, side="right") - 1, 0, len(starts) - 1)
    for i, episode in enumerate(where):
        if plan.episodes[episode].rhythm == "wpw" and kinds[i] == "normal":
            kinds[i] = "preexcited"
    return kinds


def _qt(beats: Array, qtc: float) -> Array:
    """QT in s of each beat by Fridericia's cube root of the RR before it, mostly of the slow mean.

    The QT follows a change of rate over minutes (Franz MR et al. J Clin Invest 82:972-979, 1988), so the
    single interval before the beat counts for 30 %.
    """
    rr = np.diff(beats, prepend=2 * beats[0] - beats[1] if len(beats) > 1 else beats[0] - 1.0)
    span = min(8, len(rr))
    padded = np.concatenate([np.full(span - 1, rr[:span].mean()), rr])
    slow = np.convolve(padded, np.full(span, 1.0 / span), mode="valid")
    return np.asarray(qtc * np.cbrt(np.clip(0.3 * rr + 0.7 * slow, 0.25, 1.8)))


def _add_beats(dipole: Array, plan: Plan, heart: Heart, scale: Array) -> None:
    kinds = np.array(_beat_kinds(plan))
    qt = _qt(plan.beat_times, heart.qtc)
    for kind in np.unique(kinds):
        chosen = np.flatnonzero(kinds == kind)
        for part in np.split(chosen, range(_CHUNK, len(chosen), _CHUNK)):
            shape = heart.shapes[str(kind)]
            first, t = _windows(plan.beat_times[part], _BEAT_WINDOW)
            _overlap_add(dipole, first, shape.evaluate(t, qt[part]) * scale[part, None, None])


def _add_p_waves(dipole: Array, p_times: Array, heart: Heart, scale: Array) -> None:
    """Right atrium first, left atrium 30 ms later and further back."""
    further_back = heart.p_vector + np.array([0.02, -0.02, 0.04])
    for low in range(0, len(p_times), _CHUNK):
        first, t = _windows(p_times[low : low + _CHUNK], _P_WINDOW)
        right = np.exp(-0.5 * ((t + 0.014) / 0.017) ** 2)[:, :, None] * heart.p_vector
        left = np.exp(-0.5 * ((t - 0.016) / 0.018) ** 2)[:, :, None] * further_back
        _overlap_add(dipole, first, 0.75 * (right + left) * scale[low : low + _CHUNK, None, None])


def _windows(times: Array, window: tuple[float, float]) -> tuple[NDArray[np.int64], Array]:
    """First sample [n] and time relative to each of ``times`` in s [n, samples] of a window around it."""
    first = np.floor((times + window[0]) * PLAN_FS).astype(np.int64)
    steps = np.arange(int((window[1] - window[0]) * PLAN_FS) + 2)
    return first, (first[:, None] + steps) / PLAN_FS - times[:, None]


def _overlap_add(dipole: Array, first: NDArray[np.int64], waves: Array) -> None:
    """Add waves [n, samples, 3] at their first samples; what falls outside the record is cut."""
    n, size = dipole.shape[1], waves.shape[1]
    for start, wave in zip(first.tolist(), waves, strict=True):
        a, b = max(start, 0), min(start + size, n)
        if a < b:
            dipole[:, a:b] += wave[a - start : b - start].T

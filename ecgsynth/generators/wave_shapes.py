"""Shapes of heartbeats as Gaussian waves of a dipole, per kind of beat, and how people differ in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# One wave: peak after R in s, SD before and after its peak in s, dipole in mV (X left, Y foot, Z back).
_Wave = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Kind:
    """A kind of beat as the textbook has it.

    Attributes
    ----------
    qrs : tuple of waves
        Timed from R.
    t : tuple of float
        Dipole of the T wave in mV.
    st : tuple of float
        Dipole of the ST segment in mV.
    qt_more : float
        s that QT is longer than in a narrow beat, by the wider QRS.
    spread : float
        How far this kind's direction varies over people, in radians.
    """

    qrs: tuple[_Wave, ...]
    t: tuple[float, float, float]
    st: tuple[float, float, float] = (0.0, 0.0, 0.0)
    qt_more: float = 0.0
    spread: float = 0.1


#: Kinds of beat. Widths give QRS durations of about 90 ms (normal), 130-150 (blocks), 140-180 (ventricular).
BEATS: dict[str, Kind] = {
    "normal": Kind(
        (
            (-0.022, 0.007, 0.007, -0.14, -0.05, -0.25),
            (-0.006, 0.0085, 0.0085, 0.50, 0.28, -0.12),
            (0.003, 0.0095, 0.0090, 0.98, 0.60, 0.34),
            (0.022, 0.0080, 0.0110, -0.14, -0.17, 0.62),
        ),
        (0.30, 0.21, -0.16),
    ),
    "rbbb": Kind(
        (
            (-0.024, 0.008, 0.008, -0.13, -0.05, -0.24),
            (0.0, 0.012, 0.012, 1.05, 0.80, 0.15),
            (0.026, 0.011, 0.014, -0.05, -0.05, 0.45),
            (0.062, 0.018, 0.022, -0.50, -0.02, -0.62),
        ),
        (0.28, 0.22, 0.14),
        qt_more=0.03,
    ),
    "lbbb": Kind(
        (
            (-0.030, 0.014, 0.018, 0.40, 0.28, 0.45),
            (0.004, 0.022, 0.020, 0.70, 0.42, 0.95),
            (0.044, 0.022, 0.020, 0.72, 0.15, 0.55),
        ),
        (-0.24, -0.08, -0.36),
        (-0.05, -0.02, -0.10),
        qt_more=0.045,
    ),
    "preexcited": Kind(
        (
            (-0.055, 0.018, 0.022, 0.28, 0.20, -0.20),
            (-0.022, 0.014, 0.014, 0.35, 0.25, -0.25),
            (0.002, 0.013, 0.013, 0.90, 0.72, 0.02),
            (0.027, 0.011, 0.015, -0.15, -0.12, 0.35),
        ),
        (0.05, 0.02, 0.10),
        (-0.02, -0.03, 0.02),
        qt_more=0.02,
        spread=0.3,
    ),
    "ventricular": Kind(
        (
            (-0.042, 0.020, 0.024, -0.25, 0.35, -0.30),
            (0.0, 0.028, 0.030, 0.75, 1.35, 0.85),
            (0.058, 0.024, 0.030, -0.35, -0.45, 0.30),
        ),
        (-0.32, -0.52, -0.35),
        (-0.06, -0.12, -0.08),
        qt_more=0.06,
        spread=0.8,
    ),
    "escape": Kind(
        (
            (-0.035, 0.018, 0.022, 0.25, -0.20, -0.35),
            (0.0, 0.026, 0.028, 0.30, 1.10, 0.95),
            (0.050, 0.022, 0.028, 0.45, -0.40, 0.35),
        ),
        (-0.22, -0.38, -0.40),
        (-0.04, -0.06, -0.06),
        qt_more=0.06,
        spread=0.7,
    ),
    "paced": Kind(
        (
            (-0.078, 0.0018, 0.0028, 0.25, 0.45, 0.30),
            (-0.036, 0.018, 0.024, 0.30, -0.30, 0.20),
            (0.0, 0.028, 0.030, 0.45, -1.05, 0.80),
            (0.052, 0.026, 0.026, 0.35, -0.45, 0.45),
        ),
        (-0.25, 0.45, -0.42),
        (-0.05, 0.10, -0.08),
        qt_more=0.06,
        spread=0.3,
    ),
    "aberrant": Kind(
        (
            (-0.024, 0.008, 0.008, -0.13, -0.05, -0.24),
            (0.0, 0.013, 0.013, 1.00, 0.78, 0.20),
            (0.055, 0.018, 0.022, -0.45, -0.05, -0.45),
        ),
        (0.20, 0.15, 0.12),
        qt_more=0.03,
    ),
}

#: WFDB beat code to kind; codes not here (and N, A, S, J, j, e, Q) conduct normally.
BEAT_OF_CODE: dict[str, str] = {
    "L": "lbbb",
    "R": "rbbb",
    "a": "aberrant",
    "V": "ventricular",
    "E": "escape",
    "/": "paced",
    "f": "paced fusion",
    "F": "fusion",
}


@dataclass(frozen=True)
class Shape:
    """One person's beat of one kind.

    Attributes
    ----------
    at, rise, fall : float64 array [waves]
        Peak after R, SD before and after it, in s; the last two waves are ST and T, timed by QT.
    dipole : float64 array [waves, 3]
        In mV.
    qt_more : float
    """

    at: Array
    rise: Array
    fall: Array
    dipole: Array
    qt_more: float

    def evaluate(self, t: Array, qt: Array) -> Array:
        """Dipole [beats, samples, 3] at times ``t`` [beats, samples] after R for QT ``qt`` [beats] in s."""
        qt = qt + self.qt_more
        centre = np.repeat(self.at[None, :], len(qt), axis=0)
        rise = np.repeat(self.rise[None, :], len(qt), axis=0)
        fall = np.repeat(self.fall[None, :], len(qt), axis=0)
        # QRS begins about 40 ms before R; ST and T are placed by their fraction of QT after that.
        centre[:, -2:] = self.at[-2:] * qt[:, None] - 0.04
        rise[:, -2:] = self.rise[-2:] * qt[:, None]
        fall[:, -2:] = self.fall[-2:] * qt[:, None]
        lag = t[:, :, None] - centre[:, None, :]
        lag /= np.where(lag < 0, rise[:, None, :], fall[:, None, :])
        return np.asarray(np.exp(-0.5 * lag * lag) @ self.dipole)

    def blend(self, other: Shape) -> Shape:
        """A fusion beat: both activations at just over half strength, ST and T of the mean."""
        dipole = 0.55 * np.concatenate([self.dipole[:-2], other.dipole[:-2]])
        return Shape(
            np.concatenate([self.at[:-2], other.at[:-2], self.at[-2:]]),
            np.concatenate([self.rise[:-2], other.rise[:-2], self.rise[-2:]]),
            np.concatenate([self.fall[:-2], other.fall[:-2], self.fall[-2:]]),
            np.concatenate([dipole, 0.5 * (self.dipole[-2:] + other.dipole[-2:])]),
            0.5 * (self.qt_more + other.qt_more),
        )


def draw_shape(kind: Kind, rng: np.random.Generator) -> Shape:
    """One person's version of a kind of beat: amplitudes (SD 20-25 %), widths (10 %), direction.

    T peaks 0.72-0.78 of QT after QRS onset and falls faster than it rises; one person in twelve has a T wave
    that is flat or inverted.
    """
    qrs = np.array(kind.qrs)
    waves = len(qrs)
    width = np.exp(0.1 * rng.standard_normal())
    t_gain = np.exp(0.35 * rng.standard_normal()) * (
        1.0 if rng.uniform() > 1 / 12 else rng.uniform(-0.8, 0.2)
    )
    t_wave = t_gain * np.array(kind.t) * (1 + 0.25 * rng.standard_normal(3))
    st = np.array(kind.st) + 0.012 * rng.standard_normal(3)
    dipole = (
        qrs[:, 3:]
        * np.exp(0.22 * rng.standard_normal((waves, 1)))
        * (1 + 0.12 * rng.standard_normal((waves, 3)))
    )
    turn = rotation(rng, kind.spread)
    peak = rng.uniform(0.72, 0.78)
    sharp = qrs[:, 1] < 0.005  # a pacing spike is as narrow in everybody
    stretch = np.where(sharp, 1.0, width)
    return Shape(
        at=np.concatenate([qrs[:, 0] * width, [0.45, peak]]),
        rise=np.concatenate([qrs[:, 1] * stretch, [0.13, rng.uniform(0.12, 0.16)]]),
        fall=np.concatenate([qrs[:, 2] * stretch, [0.13, rng.uniform(0.075, 0.105)]]),
        dipole=np.concatenate([dipole, [st, t_wave]]) @ turn.T,
        qt_more=kind.qt_more,
    )


def rotation(rng: np.random.Generator, spread: float) -> Array:
    """Rotation [3, 3] from a random unit quaternion near the identity; ``spread`` in radians per axis."""
    w, x, y, z = q = np.concatenate([[1.0], 0.5 * spread * rng.standard_normal(3)])
    x, y, z, w = np.array([x, y, z, w]) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )

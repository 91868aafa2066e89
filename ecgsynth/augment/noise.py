"""Disturbances that add to a recording: amplifier noise, muscle, baseline wander, mains.

All are drawn on electrodes and reach the leads as an electrode's potential does, so that Einthoven's law
holds of what is added and leaks nothing that tells augmented records apart.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from ecgsynth.augment.electrodes import montage
from ecgsynth.augment.spectra import coloured_noise
from ecgsynth.augment.transform import Setting, Transform, check_range, log_uniform, uniform
from ecgsynth.errors import OptionError

#: Corner frequencies in Hz of the surface EMG's spectrum (Shwedyk, Balasubramanian & Scott, IEEE Trans Biomed
#: Eng 24:417-424, 1977; values as in Farina & Merletti, J Neurosci Methods 102:1-12, 2001).
EMG_LOW_HZ, EMG_HIGH_HZ = 60.0, 120.0
#: Baseline wander lies below this (Kligfield et al., AHA/ACC/HRS recommendations part I, 2007).
WANDER_HZ = (0.05, 0.5)
_WANDER_LINES = 10
#: Signals below this power, in mV^2, are flat: they get no noise, as no level could be stated for it.
_FLAT = 1e-12


def to_leads(noise: Tensor, setting: Setting) -> Tensor:
    """Noise on electrodes [B, rank, ...] as it appears on the leads [B, L, ...]."""
    mixing = torch.as_tensor(montage(setting.leads).mixing, dtype=noise.dtype, device=noise.device)
    return (
        torch.tensordot(noise, mixing, dims=([1], [1])).movedim(-1, 1) if noise.dim() != 3 else mixing @ noise
    )


def sources(setting: Setting) -> int:
    """How many independent noises the leads of a setting need."""
    return int(montage(setting.leads).mixing.shape[1])


def at_snr(signal: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """Signal plus noise, scaled so that each record has exactly the signal-to-noise ratio asked for.

    ``SNR = 10 log10(sum of the leads' variances / sum of the noise's mean squares)``, over the whole record
    [L, T]; one factor per record, so that what holds between leads keeps holding.
    """
    # A norm reads the batch once and writes nothing; Tensor.var and squares are four times slower and more.
    centred = signal - signal.mean(dim=-1, keepdim=True)
    power = torch.linalg.vector_norm(centred, dim=(1, 2)).square() / signal.shape[-1]
    level = torch.linalg.vector_norm(noise, dim=(1, 2)).square().clamp(min=_FLAT) / signal.shape[-1]
    factor = torch.where(
        power > _FLAT, (power.clamp(min=_FLAT) / level * 10 ** (-snr_db / 10)).sqrt(), power.new_zeros(())
    )
    return torch.addcmul(signal, noise, factor[:, None, None])


@dataclass(frozen=True, kw_only=True)
class GaussianNoise(Transform):
    """White noise of the amplifier.

    Attributes
    ----------
    snr_db : (low, high)
        Signal-to-noise ratio in dB, drawn uniformly; see `at_snr`.
    """

    snr_db: tuple[float, float] = (15.0, 40.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "snr_db", (-40.0, 120.0))

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Add white noise."""
        shape = (len(signal), sources(setting), signal.shape[-1])
        noise = torch.randn(shape, generator=rng, dtype=signal.dtype, device=signal.device)
        wanted = uniform(signal, (len(signal),), *self.snr_db, rng)
        return at_snr(signal, to_leads(noise, setting), wanted)


@dataclass(frozen=True, kw_only=True)
class EMGNoise(Transform):
    """Muscle noise: the surface EMG's spectrum, in swells of a second or so.

    The power spectrum is ``f_h^4 f^2 / ((f^2 + f_l^2) (f^2 + f_h^2)^2)``; at 100 Hz only its rising
    part below 50 Hz is left, as of a real recording.

    Attributes
    ----------
    snr_db : (low, high)
        Signal-to-noise ratio in dB, drawn uniformly; see `at_snr`.
    swell : float
        Depth of the swells, 0 (steady) to 1.
    """

    snr_db: tuple[float, float] = (10.0, 35.0)
    swell: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "snr_db", (-40.0, 120.0))
        if not 0 <= self.swell <= 1:
            raise OptionError(f"EMGNoise: swell is {self.swell}; allowed are 0 to 1.")

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Add muscle noise."""
        rows, _, samples = signal.shape
        noise = coloured_noise((rows, sources(setting), samples), emg_gain, setting.fs, signal, rng)
        seconds = torch.arange(samples, dtype=signal.dtype, device=signal.device) / setting.fs
        hz = uniform(signal, (rows, 1, 1), 0.2, 1.0, rng)
        phase = uniform(signal, (rows, 1, 1), 0.0, 2 * torch.pi, rng)
        envelope = 1 + self.swell * torch.sin(2 * torch.pi * hz * seconds + phase)
        wanted = uniform(signal, (rows,), *self.snr_db, rng)
        return at_snr(signal, to_leads(noise, setting).mul_(envelope), wanted)


def emg_gain(hz: Tensor) -> Tensor:
    """Amplitude spectrum of the surface EMG, at no particular level."""
    return hz * EMG_HIGH_HZ**2 / ((hz**2 + EMG_LOW_HZ**2).sqrt() * (hz**2 + EMG_HIGH_HZ**2))


@dataclass(frozen=True, kw_only=True)
class BaselineWander(Transform):
    """Slow drift of breathing and moving electrodes: Gaussian, between 0.05 and 0.5 Hz.

    Attributes
    ----------
    peak_mv : (low, high)
        Largest excursion on any lead in mV, drawn with a uniform logarithm.
    """

    peak_mv: tuple[float, float] = (0.02, 0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "peak_mv", (1e-6, 100.0))

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Add wander."""
        rows, _, samples = signal.shape
        hz = torch.linspace(*WANDER_HZ, _WANDER_LINES, dtype=signal.dtype, device=signal.device)
        seconds = torch.arange(samples, dtype=signal.dtype, device=signal.device) / setting.fs
        angle = 2 * torch.pi * hz[:, None] * seconds
        waves = torch.cat([angle.sin(), angle.cos()])
        shape = (rows, sources(setting), len(waves))
        weights = torch.randn(shape, generator=rng, dtype=signal.dtype, device=signal.device)
        drift = to_leads(weights, setting) @ waves
        peak = log_uniform(signal, (rows,), *self.peak_mv, rng)
        largest = drift.abs().amax(dim=(1, 2)).clamp(min=_FLAT)
        return torch.addcmul(signal, drift, (peak / largest)[:, None, None])


@dataclass(frozen=True, kw_only=True)
class PowerLine(Transform):
    """Mains hum with its third harmonic, each electrode with an amplitude and phase of its own.

    A frequency that the sampling rate cannot hold is left out with a warning: sampled at 100 Hz, a line
    at 50 Hz would be a constant with alternating sign, or nothing at all, and one at 60 Hz would turn up at
    40 Hz.

    Attributes
    ----------
    hz : tuple of float
        Mains frequencies to draw from.
    peak_mv : (low, high)
        Amplitude of the fundamental on the lead where it is largest, in mV; logarithm uniform.
    drift_hz : float
        The frequency is off by up to this much.
    third : float
        Amplitude of the third harmonic as a share of the first.
    """

    hz: tuple[float, ...] = (50.0, 60.0)
    peak_mv: tuple[float, float] = (0.005, 0.15)
    drift_hz: float = 0.1
    third: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "peak_mv", (1e-6, 100.0))
        if not self.hz or min(self.hz) <= 0 or not 0 <= self.drift_hz < min(self.hz) or self.third < 0:
            raise OptionError(
                f"PowerLine: hz {self.hz}, drift_hz {self.drift_hz}, third {self.third}; allowed are "
                "positive frequencies, a smaller drift and a share from 0 up."
            )

    def usable(self, fs: float) -> tuple[float, ...]:
        """Mains frequencies below half the sampling rate, drift included."""
        return tuple(hz for hz in self.hz if hz + self.drift_hz < fs / 2)

    def check(self, setting: Setting) -> None:
        """Warn of frequencies that are left out."""
        lost = sorted(set(self.hz) - set(self.usable(setting.fs)))
        if lost:
            named = " and ".join(f"{hz:g}" for hz in lost)
            warnings.warn(
                f"PowerLine: {named} Hz cannot be held at {setting.fs:g} Hz (half of it is "
                f"{setting.fs / 2:g} Hz) and is left out.",
                stacklevel=3,
            )

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Add hum."""
        usable = self.usable(setting.fs)
        if len(usable) < len(self.hz):
            self.check(setting)
        if not usable:
            return signal
        rows, _, samples = signal.shape
        at = torch.randint(len(usable), (rows,), generator=rng, device=signal.device)
        mains = torch.tensor(usable, dtype=signal.dtype, device=signal.device)[at]
        mains = mains + uniform(signal, (rows,), -self.drift_hz, self.drift_hz, rng)
        seconds = torch.arange(samples, dtype=signal.dtype, device=signal.device) / setting.fs
        angle = 2 * torch.pi * mains[:, None] * seconds
        shape = (rows, sources(setting), 2)
        weights = to_leads(
            torch.randn(shape, generator=rng, dtype=signal.dtype, device=signal.device), setting
        )
        largest = weights.square().sum(dim=2).sqrt().amax(dim=1).clamp(min=_FLAT)
        peak = log_uniform(signal, (rows,), *self.peak_mv, rng)
        held = (3 * mains < setting.fs / 2).to(signal.dtype)[:, None]
        sine, cosine = angle.sin(), angle.cos()
        # sin 3a = sin a (3 - 4 sin^2 a), cos 3a = cos a (1 - 4 sin^2 a)
        square = 4 * sine.square()
        hum = torch.stack(
            [
                torch.addcmul(sine, held * self.third, sine * (3 - square)),
                torch.addcmul(cosine, held * self.third, cosine * (1 - square)),
            ],
            dim=1,
        )
        return torch.baddbmm(signal, (peak / largest)[:, None, None] * weights, hum)

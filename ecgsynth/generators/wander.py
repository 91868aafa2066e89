"""Baseline wander, kept apart from the waveform: a network of five-second crops cannot learn 0.1 Hz.

Strips are split at 0.5 Hz by a filter without phase shift (AHA 2007 recommendations, Kligfield P et al.,
accept 0.67 Hz for such filters). The slow part of a generated strip is Gaussian noise with the spectrum of
its source, at a level that the latent prior draws together with everything else about the record.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.plan import PLAN_FS

CUTOFF_HZ = 0.5
#: Frequencies in Hz at which a source's wander spectrum is stored.
WANDER_HZ = np.arange(1, 6) / 10.24


def split_wander(signal: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fast and slow part of strips ``[..., samples]`` at `PLAN_FS`, which add up to the strip."""
    n = signal.shape[-1]
    pad = min(n - 1, 2 * PLAN_FS)
    padded = np.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(pad, pad)], mode="reflect", reflect_type="odd")
    hz = np.fft.rfftfreq(padded.shape[-1], 1 / PLAN_FS)
    # Raised cosine from 0.4 to 0.6 Hz.
    keep = 0.5 + 0.5 * np.cos(np.pi * np.clip((hz - 0.4) / 0.2, 0, 1))
    slow = np.fft.irfft(np.fft.rfft(padded) * keep, padded.shape[-1])[..., pad : pad + n].astype(np.float32)
    return signal - slow, slow


def wander_spectrum(slow: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean power ``[5]`` at `WANDER_HZ` of strips ``[strips, samples]`` of 10.24 s, each scaled to RMS 1."""
    strips = slow - slow.mean(-1, keepdims=True)
    strips = strips / np.maximum(strips.std(-1, keepdims=True), 1e-4)
    power = np.abs(np.fft.rfft(strips * np.hanning(strips.shape[-1]))) ** 2
    return power[:, 1 : 1 + len(WANDER_HZ)].mean(0) / power[:, 1 : 1 + len(WANDER_HZ)].mean(0).sum()


def draw_wander(
    n: int, channels: int, power: NDArray[np.floating], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Wander ``[channels, n]`` with RMS near 1 over ten seconds and the spectrum `power` at `WANDER_HZ`."""
    # Drawn on a grid of at least 20 s, so that a short strip is a part of a slower movement.
    length = max(n, 20 * PLAN_FS)
    hz = np.fft.rfftfreq(length, 1 / PLAN_FS)
    used = int(np.searchsorted(hz, 0.6))
    density = np.interp(hz[:used], WANDER_HZ, power) * (hz[:used] > 0.03)
    gauss = rng.standard_normal((channels, used, 2), dtype=np.float32)
    spectrum = np.zeros((channels, len(hz)), np.complex64)
    spectrum[:, :used] = (gauss[..., 0] + 1j * gauss[..., 1]) * np.sqrt(density)
    wander = np.fft.irfft(spectrum, length)[:, :n]
    scale = length / (2 * np.sqrt(max(density.sum(), 1e-9)))
    return (wander * scale).astype(np.float32)

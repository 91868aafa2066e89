"""Filters and coloured noise on batches of strips, through the FFT."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd

import torch
from torch import Tensor

from ecgsynth.errors import OptionError
from ecgsynth.filters import fast_length

#: Seconds put between the end of a strip and its beginning before it is filtered.
JOINT_S = 2.0
#: Steepness of low-pass and high-pass edges, as of a Butterworth filter of this order.
ORDER = 4


def low_pass(hz: Tensor, cut: Tensor | float, order: int = ORDER) -> Tensor:
    """Gain of a Butterworth low-pass: 3 dB down at `cut` Hz, ``6 order`` dB per octave above."""
    return (1 + (hz / cut) ** (2 * order)) ** -0.5


def high_pass(hz: Tensor, cut: Tensor | float, order: int = 2) -> Tensor:
    """Gain of a Butterworth high-pass: 3 dB down at `cut` Hz; 0 at 0 Hz."""
    powered = hz ** (2 * order)
    return (
        powered / (powered + torch.as_tensor(cut, dtype=hz.dtype, device=hz.device) ** (2 * order))
    ).sqrt()


def filtered(signal: Tensor, fs: float, gain: Callable[[Tensor], Tensor]) -> Tensor:
    """A strip with every frequency multiplied by a gain, all leads alike, without shifting any in time.

    The FFT takes a strip for one turn of a circle; two seconds that lead from its end back to its beginning
    are put in between, or the step there would ring on both sides.

    Parameters
    ----------
    signal : Tensor [B, L, T]
    fs : float
        In Hz.
    gain : callable
        Frequencies [F] in Hz to gains [F] or [B, 1, F].
    """
    samples = signal.shape[-1]
    closed = _closed(signal, fast_length(samples + round(JOINT_S * fs)) - samples)
    n = closed.shape[-1]
    hz = torch.fft.rfftfreq(n, 1 / fs, dtype=signal.dtype, device=signal.device)
    return torch.fft.irfft(_scaled(torch.view_as_real(torch.fft.rfft(closed)), gain(hz)), n=n)[..., :samples]


def _scaled(pairs: Tensor, gain: Tensor) -> Tensor:
    """Complex numbers, given as pairs [..., F, 2], times real ones: half the work of a complex product."""
    return torch.view_as_complex(pairs * gain.unsqueeze(-1))


def _closed(signal: Tensor, extra: int) -> Tensor:
    """A strip and `extra` samples that fade from its mirrored end to its mirrored beginning."""
    samples = signal.shape[-1]
    at = torch.arange(extra, device=signal.device)
    after = signal[..., (samples - 2 - at).clamp(min=0)]
    before = signal[..., (extra - at).clamp(max=samples - 1)]
    share = 0.5 - 0.5 * torch.cos(torch.pi * (at + 1).to(signal.dtype) / (extra + 1))
    return torch.cat([signal, after + (before - after) * share], dim=-1)


def coloured_noise(
    shape: tuple[int, ...], gain: Callable[[Tensor], Tensor], fs: float, like: Tensor, rng: torch.Generator
) -> Tensor:
    """Gaussian noise [..., T] whose amplitude spectrum is `gain`, at no particular level.

    Drawn as random Fourier coefficients, so that it has the spectrum exactly in expectation and costs one
    inverse FFT. It repeats after T samples, which nobody sees within them.
    """
    bins = shape[-1] // 2 + 1
    drawn = torch.randn((*shape[:-1], bins, 2), generator=rng, dtype=like.dtype, device=like.device)
    hz = torch.fft.rfftfreq(shape[-1], 1 / fs, dtype=like.dtype, device=like.device)
    return torch.fft.irfft(_scaled(drawn, gain(hz)), n=shape[-1])


def resampled(signal: Tensor, fs: float, to_fs: float) -> Tensor:
    """Strips [B, L, T] at another sampling rate, [B, L, round(T to_fs / fs)].

    What the lower rate cannot hold is filtered out (3 dB down at 0.45 of it).

    Raises
    ------
    OptionError
        If a rate is not positive, or the two are no simple ratio of whole numbers.
    """
    if not (fs > 0 and to_fs > 0):
        raise OptionError(f"resampled: from {fs} to {to_fs} Hz; allowed are positive rates.")
    if fs == to_fs:
        return signal
    whole = round(1000 * fs), round(1000 * to_fs)
    down, up = (rate // gcd(*whole) for rate in whole)
    if max(down, up) > 1000:
        raise OptionError(f"resampled: from {fs} to {to_fs} Hz is {up}/{down}; no simple ratio of rates.")
    samples = signal.shape[-1]
    # A whole number of cycles of the two rates, so that the circle closes at both.
    cycles = -(-(samples + round(JOINT_S * fs)) // down)
    closed = _closed(signal, cycles * down - samples)
    hz = torch.fft.rfftfreq(cycles * down, 1 / fs, dtype=signal.dtype, device=signal.device)
    spectrum = torch.fft.rfft(closed) * low_pass(hz, 0.45 * min(fs, to_fs), order=8)
    bins = min(spectrum.shape[-1], cycles * up // 2 + 1)
    out = torch.fft.irfft(spectrum[..., :bins], n=cycles * up) * (up / down)
    return out[..., : round(samples * to_fs / fs)]

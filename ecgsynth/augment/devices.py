"""What another recorder would have made of the same heart: band, resolution, gain, electrodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from ecgsynth.augment.electrodes import CHEST_LEADS, expanded, independent_part, montage
from ecgsynth.augment.spectra import filtered, high_pass, low_pass
from ecgsynth.augment.transform import Setting, Transform, check_range, log_uniform, uniform
from ecgsynth.errors import OptionError


class Device(NamedTuple):
    """A kind of recorder.

    ``low_hz`` and ``high_hz`` bound its band (-3 dB), ``fs`` is its sampling rate in Hz, ``step_mv`` one
    step of its converter.
    """

    low_hz: float
    high_hz: float
    fs: float
    step_mv: float


#: Recorders of public databases and of the standards. Bands: diagnostic and monitoring as in Kligfield et
#: al., AHA/ACC/HRS recommendations part I, 2007; mitdb from Moody & Mark 2001 (0.1-100 Hz, 360 Hz, 11 bits
#: over 10 mV); handheld from Clifford et al. 2017 (0.5-40 Hz, 300 Hz); holter as ambulatory recorders that
#: store 128 Hz.
DEVICES: Final = {
    "diagnostic": Device(0.05, 150.0, 500.0, 0.001),
    "monitor": Device(0.5, 40.0, 250.0, 0.005),
    "holter": Device(0.05, 55.0, 128.0, 0.01),
    "mitdb": Device(0.1, 100.0, 360.0, 0.005),
    "handheld": Device(0.5, 40.0, 300.0, 0.001),
}


@dataclass(frozen=True, kw_only=True)
class OtherDevice(Transform):
    """Band, sampling rate and resolution of another recorder, drawn per record; the strip keeps its own rate.

    A rate limits the band to 0.45 of it, as an anti-aliasing filter does. Filters are the same for all
    leads and steps are those of the independent leads, so that derived leads still follow from I and II.
    Rounding has the gradient of the identity.

    Attributes
    ----------
    names : tuple of str
        Keys of `DEVICES` to draw from.
    """

    names: tuple[str, ...] = tuple(DEVICES)

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = sorted(set(self.names) - set(DEVICES))
        if unknown or not self.names:
            raise OptionError(f"OtherDevice: names {self.names}; known are {', '.join(DEVICES)}.")

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Record each strip anew."""
        at = torch.randint(len(self.names), (len(signal),), generator=rng, device=signal.device)
        table = [DEVICES[name] for name in self.names]
        rows = torch.tensor(table, dtype=signal.dtype, device=signal.device)[at][:, :, None, None]
        low, high, fs, step = rows.unbind(dim=1)
        high = torch.minimum(high, 0.45 * fs)
        own = independent_part(signal, setting.leads)
        own = filtered(own, setting.fs, lambda hz: high_pass(hz, low) * low_pass(hz, high))
        own = own + ((own / step).round() * step - own).detach()
        return expanded(own, setting.leads)


@dataclass(frozen=True, kw_only=True)
class BandFilter(Transform):
    """A pass band drawn per record, the same for all leads, without delay.

    Attributes
    ----------
    low_hz : (low, high)
        Range of the lower edge (-3 dB) in Hz; logarithm uniform.
    high_hz : (low, high)
        Range of the upper edge; edges over half the sampling rate leave everything there is.
    """

    low_hz: tuple[float, float] = (0.05, 1.0)
    high_hz: tuple[float, float] = (20.0, 150.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "low_hz", (1e-3, 1e4))
        check_range(self, "high_hz", (1e-3, 1e4))
        if self.low_hz[1] >= self.high_hz[0]:
            raise OptionError(
                f"BandFilter: low_hz {self.low_hz} reaches into high_hz {self.high_hz}; nothing would pass."
            )

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Filter each record."""
        low = log_uniform(signal, (len(signal), 1, 1), *self.low_hz, rng)
        high = log_uniform(signal, (len(signal), 1, 1), *self.high_hz, rng)
        return filtered(signal, setting.fs, lambda hz: high_pass(hz, low) * low_pass(hz, high))


@dataclass(frozen=True, kw_only=True)
class Gain(Transform):
    """Amplitude: one factor for a record, and one more for each chest lead; all limb leads keep the record's.

    A factor per limb lead would break ``III = II - I``.

    Attributes
    ----------
    factor : (low, high)
        Of the record; logarithm uniform.
    chest : (low, high)
        Further factor of each chest lead, as of electrodes a little nearer or farther.
    """

    factor: tuple[float, float] = (0.7, 1.4)
    chest: tuple[float, float] = (0.9, 1.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "factor", (1e-3, 1e3))
        check_range(self, "chest", (1e-3, 1e3))

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Scale each record."""
        whole = log_uniform(signal, (len(signal), 1), *self.factor, rng)
        each = log_uniform(signal, (len(signal), len(setting.leads)), *self.chest, rng)
        chest = torch.tensor([lead in CHEST_LEADS for lead in setting.leads], device=signal.device)
        return signal * (whole * torch.where(chest, each, torch.ones_like(each)))[:, :, None]


@dataclass(frozen=True, kw_only=True)
class ElectrodeDropout(Transform):
    """An electrode comes off for a while: its potential is that of the central terminal, without noise.

    Every lead that uses it changes as on a real recorder: without the right arm's, I, II and the augmented
    leads are wrong and chest leads lose their reference. A lead that stands alone goes flat.

    Attributes
    ----------
    seconds : (low, high)
        How long it is off, drawn uniformly; at most the strip.
    """

    seconds: tuple[float, float] = (0.5, 5.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "seconds", (0.0, 3600.0))

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Take one electrode off each record."""
        rows, _, samples = signal.shape
        wiring = montage(setting.leads)
        off = torch.randint(len(wiring.electrodes), (rows,), generator=rng, device=signal.device)
        length = uniform(signal, (rows, 1), *self.seconds, rng) * setting.fs
        length = length.clamp(max=samples)
        start = uniform(signal, (rows, 1), 0.0, 1.0, rng) * (samples - length)
        at = torch.arange(samples, dtype=signal.dtype, device=signal.device)
        gone = ((at >= start) & (at < start + length)).to(signal.dtype)
        reading = torch.as_tensor(wiring.electrodes_from_leads).to(signal)[off]
        effect = torch.as_tensor(wiring.leads_from_electrodes).to(signal).T[off]
        potential = torch.einsum("bl,blt->bt", reading, signal) * gone
        return signal - effect[:, :, None] * potential[:, None]


@dataclass(frozen=True, kw_only=True)
class LeadMask(Transform):
    """Whole leads set to zero, as absent ones are fed to a model; those that are left are not touched.

    Random lead masking of Oh et al., Lead-agnostic self-supervised learning, CHIL 2022. At least one lead
    stays. A masked limb lead is absent rather than wrong, and Einthoven's law says nothing of it.

    Attributes
    ----------
    share : float
        Probability of each lead to be masked, 0 to 1.
    """

    share: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.share <= 1:
            raise OptionError(f"LeadMask: share is {self.share}; allowed is a probability, 0 to 1.")

    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Mask leads of each record."""
        drawn = uniform(signal, signal.shape[:2], 0.0, 1.0, rng)
        best = drawn.argmax(dim=1, keepdim=True)
        kept = (drawn >= self.share).scatter(1, best, True)
        return torch.where(kept[:, :, None], signal, torch.zeros_like(signal))

"""Several transforms in a row, from one seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ecgsynth.augment.devices import ElectrodeDropout, Gain, LeadMask, OtherDevice
from ecgsynth.augment.electrodes import expanded, independent_leads, independent_part
from ecgsynth.augment.noise import BaselineWander, EMGNoise, GaussianNoise, PowerLine
from ecgsynth.augment.timing import TimeShift, TimeWarp
from ecgsynth.augment.transform import Setting, Transform, check_batch
from ecgsynth.errors import OptionError


class Chain:
    """Transforms applied one after the other to batches of one sampling rate and lead set.

    Where I and II are there, the leads that follow from them are left out on the way and derived again at
    the end: a third less work on twelve leads, and Einthoven's law holds to rounding whatever the input
    was. Only `LeadMask` acts afterwards, on the leads themselves. Signal-to-noise ratios are then those of
    the independent leads.

    Parameters
    ----------
    transforms : sequence of Transform
    fs : float
        Sampling rate in Hz.
    leads : tuple of str

    Raises
    ------
    OptionError
        If fs is not positive, a lead is named twice, or a mask is followed by anything else.

    Examples
    --------
    >>> chain = Chain([GaussianNoise(snr_db=(20, 20), p=1.0)], fs=100, leads=("I",))
    >>> strips = torch.sin(torch.arange(1000.0) / 8).expand(4, 1, -1)
    >>> torch.equal(chain(strips, seed=7), chain(strips, seed=7))
    True
    """

    def __init__(self, transforms: Sequence[Transform], *, fs: float, leads: tuple[str, ...]) -> None:
        if not fs > 0 or not leads or len(set(leads)) < len(leads):
            raise OptionError(
                f"chain: fs {fs}, leads {leads}; allowed are a positive rate and distinct leads."
            )
        self.setting = Setting(float(fs), tuple(leads))
        masks = [isinstance(transform, LeadMask) for transform in transforms]
        if sorted(masks) != masks:
            raise OptionError("chain: LeadMask must come last; a transform after it would fill masked leads.")
        first_mask = masks.index(True) if any(masks) else len(masks)
        self.transforms, self.masks = tuple(transforms[:first_mask]), tuple(transforms[first_mask:])
        for transform in transforms:
            transform.check(self.setting)

    def __call__(self, signal: Tensor, seed: int) -> Tensor:
        """Transformed strips; the same seed and batch give the same bytes.

        Parameters
        ----------
        signal : Tensor [B, L, T]
            In mV, without gaps; it is not changed.
        seed : int
            From 0 up.
        """
        check_batch(signal, self.setting)
        rng = torch.Generator(device=signal.device).manual_seed(seed)
        leads = self.setting.leads
        inner = self.setting.with_leads(independent_leads(leads))
        free = not (torch.is_grad_enabled() and signal.requires_grad)
        out = signal
        if self.transforms:
            out = independent_part(signal, leads)
            out = out.clone() if free and out is signal else out
            for transform in self.transforms:
                out = transform(out, inner, rng, in_place=free)
            out = expanded(out, leads)
        for mask in self.masks:
            out = mask(out, self.setting, rng, in_place=free and out is not signal)
        return out


def default_chain(fs: float, leads: tuple[str, ...]) -> Chain:
    """What may happen to any recording without changing its rhythm, in the order in which it happens.

    The heart (shift, small warp), the electrodes (gain, dropout, wander, mains where the rate can hold it,
    muscle), the recorder (band and resolution, white noise), and leads that are missing.
    """
    chain: list[Transform] = [
        TimeShift(),
        TimeWarp(p=0.3),
        Gain(),
        ElectrodeDropout(p=0.1),
        BaselineWander(),
        EMGNoise(p=0.3),
        OtherDevice(p=0.3),
        GaussianNoise(p=0.3),
    ]
    mains = PowerLine(p=0.3)
    held = mains.usable(fs)
    if held:
        chain.insert(5, PowerLine(hz=held, p=0.3))
    if len(leads) > 1:
        chain.append(LeadMask(p=0.2))
    return Chain(chain, fs=fs, leads=leads)

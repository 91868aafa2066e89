"""What every transform is: a frozen set of physical parameters, applied to batches of strips."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ecgsynth.errors import OptionError


@dataclass(frozen=True)
class Setting:
    """What a batch was recorded with.

    Attributes
    ----------
    fs : float
        Sampling rate in Hz.
    leads : tuple of str
        One per row of a strip.
    """

    fs: float
    leads: tuple[str, ...]

    def with_leads(self, leads: tuple[str, ...]) -> Setting:
        """The same with other leads."""
        return replace(self, leads=leads)


@dataclass(frozen=True, kw_only=True)
class Transform(ABC):
    """Base of the transforms.

    Attributes
    ----------
    p : float
        Probability that a record is transformed at all, 0 to 1.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise OptionError(f"{type(self).__name__}: p is {self.p}; allowed is a probability, 0 to 1.")

    def __call__(
        self, signal: Tensor, setting: Setting, rng: torch.Generator, *, in_place: bool = False
    ) -> Tensor:
        """Transform each record with probability `p`.

        Parameters
        ----------
        signal : Tensor [B, L, T]
            In mV.
        setting : Setting
        rng : torch.Generator
            On the signal's device; the only source of randomness.
        in_place : bool
            The signal may be overwritten, and needs no gradient; it is left as it is otherwise.

        Raises
        ------
        OptionError
            If the batch does not fit the setting, or the setting does not suit the transform.
        """
        check_batch(signal, setting)
        if self.p >= 1:
            return self.apply(signal, setting, rng)
        chosen = torch.rand(len(signal), generator=rng, device=signal.device) < self.p
        rows = chosen.nonzero()[:, 0]
        if len(rows) == 0:
            return signal
        done = self.apply(signal.index_select(0, rows), setting, rng)
        return signal.index_copy_(0, rows, done) if in_place else signal.index_copy(0, rows, done)

    @abstractmethod
    def apply(self, signal: Tensor, setting: Setting, rng: torch.Generator) -> Tensor:
        """Transform every record of the batch."""

    def check(self, setting: Setting) -> None:  # noqa: B027
        """Refuse, before any work, a setting that the transform has no meaning for."""


def check_batch(signal: Tensor, setting: Setting) -> None:
    """Refuse what is no batch of strips with the setting's leads."""
    if signal.dim() != 3 or not signal.is_floating_point():
        raise OptionError(
            f"transforms: got {signal.dtype} of shape {tuple(signal.shape)}; expected floats [B, L, T] in mV."
        )
    if signal.shape[1] != len(setting.leads):
        raise OptionError(
            f"transforms: got {signal.shape[1]} leads, the setting names {len(setting.leads)} "
            f"({', '.join(setting.leads)})."
        )


def check_range(owner: object, name: str, allowed: tuple[float, float]) -> None:
    """Refuse a (low, high) attribute that is out of order or out of `allowed`."""
    low, high = getattr(owner, name)
    if not (allowed[0] <= low <= high <= allowed[1] and math.isfinite(low) and math.isfinite(high)):
        raise OptionError(
            f"{type(owner).__name__}: {name} is ({low}, {high}); allowed are two numbers in order from "
            f"{allowed[0]:g} to {allowed[1]:g}."
        )


def uniform(like: Tensor, shape: tuple[int, ...], low: float, high: float, rng: torch.Generator) -> Tensor:
    """Uniform random numbers on the device and of the type of `like`."""
    drawn = torch.rand(shape, generator=rng, dtype=like.dtype, device=like.device)
    return low + (high - low) * drawn


def log_uniform(
    like: Tensor, shape: tuple[int, ...], low: float, high: float, rng: torch.Generator
) -> Tensor:
    """Random numbers whose logarithm is uniform, for amplitudes, gains and cut-off frequencies."""
    return torch.exp(uniform(like, shape, math.log(low), math.log(high), rng))

"""Everything that a checkpoint of a learned generator holds: its architecture, networks and fitted tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgsynth.generators.blocks import HOP, Decoder, Encoder, LappedTransform
from ecgsynth.generators.hiss import PROFILE_S, WINDOW_HZ
from ecgsynth.generators.latent_prior import LatentFlow
from ecgsynth.generators.noise_sway import SWAY_FROM
from ecgsynth.generators.wander import DRIFT_HZ, WANDER_HZ


@dataclass(frozen=True)
class LearnedConfig:
    """Architecture of a learned generator.

    Attributes
    ----------
    outputs : tuple of str
        Leads generated at once: one name that stands for "the lead asked" (``"*"``), or the eight
        independent leads.
    leads : tuple of str
        Lead names that can be asked for.
    sources : tuple of str
        Databases whose people and devices it learned.
    latent : int
        Numbers in the record latent.
    width : int
        Channels per frame.
    film : int
        Channels of the record vector.
    """

    outputs: tuple[str, ...]
    leads: tuple[str, ...]
    sources: tuple[str, ...]
    latent: int = 48
    width: int = 128
    film: int = 96


class StripNet(nn.Module):
    """Encoder, decoder, prior over latents and wander spectra: everything a checkpoint holds."""

    wander_power: Tensor
    drift_power: Tensor
    drift_sway: Tensor
    noise_sway: Tensor
    noise_bursts: Tensor
    noise_trim: Tensor
    noise_profile: Tensor
    drift_trim: Tensor
    beat_trim: Tensor
    p_gain: Tensor
    beat_sway: Tensor
    beat_bend: Tensor

    def __init__(self, config: LearnedConfig) -> None:
        super().__init__()
        self.config = config
        channels, leads, sources = len(config.outputs), len(config.leads), len(config.sources)
        self.encoder = Encoder(channels, leads, sources, config.latent, config.width, config.film)
        self.decoder = Decoder(channels, leads, sources, config.latent + 1, config.width, config.film)
        self.prior = LatentFlow(config.latent, leads, sources, 144)
        self.lapped = LappedTransform()
        self.register_buffer("wander_power", torch.full((sources, len(WANDER_HZ)), 1.0 / len(WANDER_HZ)))
        self.register_buffer("drift_power", torch.full((sources, len(DRIFT_HZ)), 1.0 / len(DRIFT_HZ)))
        self.register_buffer("drift_sway", torch.zeros(sources, 2))
        # Tables with 2 after the sources: rhythms that have P waves, and those that have none.
        self.register_buffer("beat_sway", torch.tensor([[-3.2, 0.6]]).repeat(sources, 2, 1))
        self.register_buffer("beat_bend", torch.tensor([[0.0, 0.5]]).repeat(sources, 2, 1))
        self.register_buffer("noise_trim", torch.zeros(sources, 2, HOP))
        self.register_buffer("noise_profile", torch.zeros(sources, 2, len(PROFILE_S)))
        self.register_buffer("drift_trim", torch.tensor([[1.0, 0.0]]).repeat(sources, 1))
        self.register_buffer("p_gain", torch.ones(sources))
        self.register_buffer("beat_trim", torch.zeros(sources, len(WINDOW_HZ)))
        self.register_buffer("noise_bursts", torch.zeros(sources, 2, 2))
        self.register_buffer("noise_sway", torch.zeros(sources, 2, len(SWAY_FROM), 2))


def demographics_vector(age: float | None, sex: str | None) -> list[float]:
    """Age in units of 20 years around 60 and whether it is known, then male, female."""
    known = age is not None and np.isfinite(age)
    return [(float(age) - 60) / 20 if known else 0.0, float(known), float(sex == "M"), float(sex == "F")]  # type: ignore[arg-type]


def heart_numbers(beat_times: NDArray[np.float64]) -> list[float]:
    """Mean log RR interval relative to 0.8 s (0 without beats) and whether there are beats."""
    if len(beat_times) < 2:
        return [0.0, 0.0]
    return [float(np.log(np.clip(np.diff(beat_times).mean(), 0.2, 3.0) / 0.8)), 1.0]

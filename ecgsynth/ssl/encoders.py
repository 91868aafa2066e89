"""Small encoders: strips in, one vector each out. A residual network, a hybrid, and a pure Transformer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

from ecgsynth.errors import OptionError

KINDS: Final = ("resnet", "hybrid", "transformer")
#: Channels per group of a group norm, which knows no batch: small ones do, and a queue cannot leak by it.
_GROUP = 8


@dataclass(frozen=True)
class EncoderConfig:
    """Which encoder, for which strips.

    Attributes
    ----------
    kind : {"resnet", "hybrid", "transformer"}
    leads : tuple of str
    fs : float
        In Hz.
    samples : int
        Of a strip.
    width : int
        Numbers in the vector that comes out.
    depth : int
        Transformer layers, or residual blocks per stage.
    patch_s : float
        Seconds of a patch, which is one token of a Transformer.
    """

    kind: str = "resnet"
    leads: tuple[str, ...] = ("I",)
    fs: float = 100.0
    samples: int = 1000
    width: int = 96
    depth: int = 2
    patch_s: float = 0.2

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(f"encoder {self.kind!r}; known are {', '.join(KINDS)}.")
        if self.width % 16 or not 16 <= self.width <= 1024:
            raise OptionError(f"encoder: width {self.width}; allowed are multiples of 16 up to 1024.")
        if not 1 <= self.depth <= 24 or not self.leads or self.fs <= 0:
            raise OptionError(
                f"encoder: depth {self.depth}, {len(self.leads)} leads, fs {self.fs}; allowed are 1 to 24 "
                "layers, at least one lead and a positive rate."
            )
        if self.kind != "resnet" and self.tokens < 2:
            raise OptionError(
                f"encoder: {self.samples} samples hold {self.tokens} patches of {self.patch_s:g} s; at least "
                "2 are needed."
            )

    @property
    def patch(self) -> int:
        """Samples of a patch."""
        return max(1, round(self.patch_s * self.fs))

    @property
    def tokens(self) -> int:
        """Whole patches in a strip; what is left over at its end is not looked at."""
        return self.samples // self.patch


class Encoder(nn.Module, ABC):
    """Strips [B, leads, samples] in mV to vectors [B, width].

    Each lead's mean is taken away and the strip divided by its standard deviation over all leads: gains of
    devices do not matter, the proportion between leads does.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, signal: Tensor) -> Tensor:
        """Vectors [B, width]."""
        return self.features(standardised(signal)).mean(dim=1)

    @abstractmethod
    def features(self, signal: Tensor) -> Tensor:
        """Vectors along the strip [B, steps, width], from a standardised one."""


def standardised(signal: Tensor) -> Tensor:
    """Strips with zero mean per lead and unit variance over all leads; flat strips stay zero."""
    centred = signal - signal.mean(dim=-1, keepdim=True)
    level = centred.square().mean(dim=(1, 2), keepdim=True)
    return centred * (level + 1e-6).rsqrt()


class _Block(nn.Module):
    """Two convolutions with a shortcut, group-normalised first (He et al. 2016, pre-activation)."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            [nn.GroupNorm(before // _GROUP, before), nn.GroupNorm(width // _GROUP, width)]
        )
        self.first = nn.Conv1d(before, width, 7, stride, 3)
        self.second = nn.Conv1d(width, width, 7, 1, 3)
        self.past = nn.Conv1d(before, width, 1, stride) if (before, stride) != (width, 1) else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.first(torch.relu(self.norms[0](x)))
        return self.past(x) + self.second(torch.relu(self.norms[1](inner)))


class ResNet(Encoder):
    """A 1-D residual network of four stages, each at half the rate of the one before."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        narrow = max(16, config.width // 3 // _GROUP * _GROUP)
        widths = [
            narrow,
            narrow,
            max(16, config.width * 2 // 3 // _GROUP * _GROUP),
            config.width,
            config.width,
        ]
        self.stem = nn.Conv1d(len(config.leads), narrow, 15, 2, 7)
        blocks: list[nn.Module] = []
        for before, width in pairwise(widths):
            blocks += [
                _Block(before if i == 0 else width, width, 2 if i == 0 else 1) for i in range(config.depth)
            ]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.GroupNorm(config.width // _GROUP, config.width)

    def features(self, signal: Tensor) -> Tensor:
        """Vectors at a 32nd of the strip's rate."""
        return torch.relu(self.norm(self.blocks(self.stem(signal)))).transpose(1, 2)


class _Layers(nn.Module):
    """Transformer layers, normalised first, over tokens whose places are told by sines."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            width, width // 16, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.norm(self.layers(tokens))


def places(count: int, width: int) -> Tensor:
    """Sines and cosines [count, width] that tell places apart (Vaswani et al. 2017, section 3.5)."""
    at = torch.arange(count, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    return torch.stack([torch.sin(at * rate), torch.cos(at * rate)], dim=2).reshape(count, width)


class Hybrid(Encoder):
    """Convolutions that see the shape of a beat, then a Transformer over patches that sees the rhythm."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        narrow = max(16, config.width // 2 // _GROUP * _GROUP)
        self.stem = nn.Conv1d(len(config.leads), narrow, 15, 2, 7)
        self.block = _Block(narrow, narrow, 1)
        stride = max(1, config.patch // 2)
        self.join = nn.Conv1d(narrow, config.width, stride, stride)
        self.layers = _Layers(config.width, config.depth)

    def features(self, signal: Tensor) -> Tensor:
        """One vector per patch."""
        tokens = self.join(self.block(self.stem(signal))).transpose(1, 2)
        return self.layers(tokens + places(tokens.shape[1], tokens.shape[2]).to(tokens))


class Transformer(Encoder):
    """Patches of all leads as tokens."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.embed = nn.Linear(len(config.leads) * config.patch, config.width)
        self.layers = _Layers(config.width, config.depth)

    def patches(self, signal: Tensor) -> Tensor:
        """A standardised strip as patches [B, tokens, leads x samples of a patch]."""
        rows, leads, _ = signal.shape
        whole = signal[..., : self.config.tokens * self.config.patch]
        split = whole.reshape(rows, leads, self.config.tokens, self.config.patch)
        return split.transpose(1, 2).reshape(rows, self.config.tokens, -1)

    def encode(self, patches: Tensor, kept: Tensor | None = None) -> Tensor:
        """Vectors of patches; only of those `kept` [B, K], which are all that the layers then see."""
        tokens = self.embed(patches)
        tokens = tokens + places(tokens.shape[1], tokens.shape[2]).to(tokens)
        if kept is not None:
            tokens = tokens.gather(1, kept[:, :, None].expand(-1, -1, tokens.shape[2]))
        return self.layers(tokens)

    def features(self, signal: Tensor) -> Tensor:
        """One vector per patch."""
        return self.encode(self.patches(signal))


def build_encoder(config: EncoderConfig) -> Encoder:
    """An encoder with random weights, from torch's own random numbers.

    Examples
    --------
    >>> net = build_encoder(EncoderConfig("transformer", leads=("I", "II"), samples=400))
    >>> net(torch.randn(3, 2, 400)).shape
    torch.Size([3, 96])
    """
    kinds: dict[str, type[Encoder]] = {"resnet": ResNet, "hybrid": Hybrid, "transformer": Transformer}
    return kinds[config.kind](config)

"""What is asked of ``ecgsynth pretrain``, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecgsynth.errors import OptionError
from ecgsynth.ssl.tasks import METHODS
from ecgsynth.training.ranks import Team


@dataclass(frozen=True, kw_only=True)
class PretrainOptions:
    """Options of ``ecgsynth pretrain``.

    Attributes
    ----------
    data : tuple of Path
        Databases or WFDB folders; labels are not used.
    out : Path
        Folder to make: ``encoder.safetensors``, ``split.json``, the strips, and what ``resume`` goes on from.
    method : {"simclr", "moco", "mae"}
    encoder : {"resnet", "hybrid", "transformer"}
    width, depth : int
        As in `EncoderConfig`.
    fs, seconds, leads
        As in `Cut`.
    split : Path or None
        Split of people; only ``train`` is learned from. None splits anew.
    pairs : {"view", "person"}
        Contrastive: two views of one strip, or two strips of one person.
    epochs, batch_size : int
    lr : float
    workers : int
        Processes that load and transform; 0 does it in this one.
    seed : int
    resume : bool
        Go on from the last complete epoch in `out`.
    max_minutes : float or None
    devices, strategy : str
        Processes that train together on this machine; see :class:`ecgsynth.training.ranks.Team`. Each takes
        `batch_size` strips a step, and contrasts those.
    """

    data: tuple[Path, ...]
    out: Path
    method: str = "simclr"
    encoder: str = "resnet"
    width: int = 96
    depth: int = 2
    fs: float = 100.0
    seconds: float = 10.0
    leads: tuple[str, ...] | None = None
    split: Path | None = None
    pairs: str = "view"
    epochs: int = 20
    batch_size: int = 64
    lr: float = 1e-3
    workers: int = 0
    seed: int = 0
    resume: bool = False
    max_minutes: float | None = None
    devices: str = "auto"
    strategy: str = "auto"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(f"--method {self.method!r}; known are {', '.join(METHODS)}.")
        if self.epochs < 1 or self.batch_size < 2 or self.workers < 0:
            raise OptionError(
                f"--epochs {self.epochs}, --batch-size {self.batch_size}, --workers {self.workers}; allowed "
                "are 1, 2 and 0 or more."
            )
        if not self.data and not self.resume:
            raise OptionError("--data: no folder; name at least one with recordings.")
        if self.team().many and self.devices == "auto":
            raise OptionError("--strategy ddp: say how many processes; allowed are --devices 1 and more.")

    def team(self) -> Team:
        """Processes that train together."""
        return Team(self.strategy, self.devices)

    @property
    def world(self) -> int:
        """How many they are."""
        return int(self.devices) if self.team().many else 1


@dataclass(frozen=True)
class PretrainResult:
    """What was learned.

    Attributes
    ----------
    encoder : Path
    people, strips, steps : int
        People and strips of ``train``, and optimiser steps.
    loss : float
        Of the last step.
    complete : bool
        False where ``max_minutes`` ended it early.
    helped : bool
        Another process of the team wrote `encoder`; this one has nothing to say.
    """

    encoder: Path
    people: int
    strips: int
    steps: int
    loss: float
    complete: bool
    helped: bool = False

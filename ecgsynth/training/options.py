"""What is asked of ``ecgsynth train``, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecgsynth.training.ranks import Team


@dataclass(frozen=True)
class TrainOptions:
    """Options of ``ecgsynth train``.

    Attributes
    ----------
    data : Path
        Folder of WFDB records.
    out : Path
        Checkpoint to write, with the copy index of its people beside it (``<out>`` ending in
        ``.copies.safetensors``); ``<out>.training`` holds logs and what ``resume`` goes on from.
    rhythm : str or None
        Rhythm of records that do not say it themselves.
    labels : Path or None
        CSV of record, rhythm and subject.
    generator : {"cvae", "cgan"}
    from_weights : Path or None
        Checkpoint to start from; None takes the shipped single-lead one.
    steps : int
        Optimiser steps at most.
    max_minutes : float or None
    batch_size : int
    lr : float
        Peak learning rate.
    patience : int
        cVAE: validations without a better loss after which training stops.
    resume : bool
    log : {"csv", "tensorboard"}
    seed : int
    allow_few_people : bool
        Learn rhythms shown by fewer than six people.
    devices, strategy : str
    num_nodes : int
        Processes that train together; see :class:`ecgsynth.training.ranks.Team`.
    dp_epsilon : float or None
        Train with differential privacy, one person as the unit: see :mod:`ecgsynth.training.private`.
        What that covers is written beside the checkpoint (``.privacy.md``).
    dp_delta : float
    adapt : bool
        Learn an adapter instead: see :mod:`ecgsynth.training.adapter`.
    """

    data: Path
    out: Path
    rhythm: str | None = None
    labels: Path | None = None
    generator: Literal["cvae", "cgan"] = "cvae"
    from_weights: Path | None = None
    steps: int = 2000
    max_minutes: float | None = None
    batch_size: int = 24
    lr: float = 3e-4
    patience: int = 5
    resume: bool = False
    log: Literal["csv", "tensorboard"] = "csv"
    seed: int = 0
    allow_few_people: bool = False
    devices: str = "auto"
    strategy: str = "auto"
    num_nodes: int = 1
    dp_epsilon: float | None = None
    dp_delta: float = 1e-5
    adapt: bool = False

    def team(self) -> Team:
        """Processes that train together."""
        return Team(self.strategy, self.devices, self.num_nodes)


@dataclass(frozen=True)
class TrainResult:
    """What a training made.

    Attributes
    ----------
    out : Path
    people, steps : int
    stopped : str
        Why it ended.
    copies : Path or None
        Index by which ``generate`` refuses copies of these people; none of a private training.
    helped : bool
        Another process of the team wrote `out`; this one has nothing to say.
    """

    out: Path
    people: int
    steps: int
    stopped: str
    copies: Path | None
    helped: bool = False

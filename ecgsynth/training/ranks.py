"""Training by several processes: who of them writes, and how Lightning is to share the steps.

With ``ddp`` every process runs the same command, reads the same recordings and takes every step with batches
of its own; gradients are averaged. Lightning starts the others on this machine, a scheduler or torchrun those
of other machines. The first process alone writes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ecgsynth.errors import OptionError

STRATEGIES = ("auto", "ddp")
#: Set by Lightning, torchrun or SLURM in processes that are not the first.
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")


@dataclass(frozen=True)
class Team:
    """The processes of a training.

    Attributes
    ----------
    strategy : {"auto", "ddp"}
        ``auto`` is one process, ``ddp`` if more are asked for.
    devices : str
        Processes on each machine, one per accelerator; ``auto`` takes one, with ``ddp`` what is there.
    nodes : int
        Machines.
    """

    strategy: str = "auto"
    devices: str = "auto"
    nodes: int = 1

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise OptionError(f"--strategy {self.strategy}: unknown; allowed are {', '.join(STRATEGIES)}.")
        if self.devices != "auto" and not (self.devices.isdecimal() and int(self.devices) >= 1):
            raise OptionError(f"--devices {self.devices}: allowed are auto and numbers from 1 up.")
        if self.nodes < 1:
            raise OptionError(f"--num-nodes {self.nodes}: allowed are numbers from 1 up.")

    @property
    def many(self) -> bool:
        """Whether there may be more than one process."""
        several = self.devices != "auto" and int(self.devices) > 1
        return self.strategy == "ddp" or several or self.nodes > 1

    @property
    def size(self) -> str:
        """How many processes, in words."""
        return f"{self.devices} on each of {self.nodes}"

    @property
    def follower(self) -> bool:
        """Whether this process only takes its steps, and another one writes."""
        return self.many and any(_positive(os.environ.get(name)) for name in _RANKS)

    def trainer_options(self) -> dict[str, Any]:
        """What Lightning's Trainer is to be told."""
        if not self.many:
            return {"devices": 1}
        from pytorch_lightning.strategies import DDPStrategy

        return {
            # The prior is fitted later, and a GAN's two halves take turns: no step uses all weights.
            "strategy": DDPStrategy(find_unused_parameters=True),
            "devices": "auto" if self.devices == "auto" else int(self.devices),
            "num_nodes": self.nodes,
        }


def _positive(text: str | None) -> bool:
    return text is not None and text.isdecimal() and int(text) > 0

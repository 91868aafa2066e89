"""The rows that a decoder is called with: as many at every call, whatever is wanted.

A matrix product may round differently at another size; so a record would depend on those drawn beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgsynth.generators.blocks import HOP
from ecgsynth.generators.conditions import HOP_FRAMES, PATCH, Conditions
from ecgsynth.generators.noise_sway import draw_sway
from ecgsynth.generators.strip_net import LearnedConfig


class Gauss:
    """The normal numbers of up to `filled` records, each from its own generator, in a fixed order."""

    def __init__(
        self,
        rngs: Sequence[np.random.Generator],
        frames: int,
        config: LearnedConfig,
        filled: int,
        injects: bool,
        sway: Sequence[NDArray[np.float32]],
    ) -> None:
        self.filled = filled
        hops = frames // HOP_FRAMES + 1
        observed = [
            rng.standard_normal((len(config.outputs), hops, HOP), dtype=np.float32)
            * draw_sway(hops, table, HOP, rng)
            for rng, table in zip(rngs, sway, strict=True)
        ]
        self.observed = filled_up(filled, torch.from_numpy(np.stack(observed)))[0]
        self._injected: Tensor | None = None
        if injects:
            injected = [rng.standard_normal((frames, config.width), dtype=np.float32) for rng in rngs]
            self._injected = torch.from_numpy(np.stack(injected))

    def injected(self, low: int, high: int) -> Tensor | None:
        """What a decoder trained with a critic is given at frames from `low` to `high`; else None."""
        if self._injected is None:
            return None
        return filled_up(self.filled, self._injected[:, low:high])[0]


def filled_up(rows: int, *tensors: Tensor) -> list[Tensor]:
    """Each tensor with its last row repeated up to `rows` rows."""
    return [
        torch.cat([x, x[-1:].expand(rows - len(x), *x.shape[1:])]) if len(x) < rows else x for x in tensors
    ]


def stacked(conditions: list[Conditions], low: int, high: int, rows: int) -> list[Tensor]:
    """Conditions of frames `low` to `high` in `rows` rows: fine, coarse, rhythm, lost P waves."""
    fine = np.stack([c.fine[:, low * PATCH : high * PATCH] for c in conditions])
    coarse = np.stack([c.coarse[:, low:high] for c in conditions])
    rhythm = np.stack([c.rhythm[low:high] for c in conditions])
    kept = np.zeros(high - low, np.float32)
    lost = np.stack([kept if c.p_lost is None else c.p_lost[low:high] for c in conditions])
    return filled_up(rows, *map(torch.from_numpy, (fine, coarse, rhythm, lost)))

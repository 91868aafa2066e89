"""Learning without labels: SimCLR, MoCo and masked autoencoding, as Lightning modules."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from ecgsynth.augment.mixing import batch_seed
from ecgsynth.errors import OptionError
from ecgsynth.ssl.encoders import Encoder, Transformer, places, standardised

#: Numbers in the vectors that contrastive losses compare.
PROJECTED: Final = 64


@dataclass(frozen=True)
class TaskOptions:
    """How to learn.

    Attributes
    ----------
    steps : int
        Optimiser steps in all, for the learning rate's schedule.
    lr : float
        Peak learning rate.
    temperature : float
        Of the contrastive losses.
    momentum : float
        MoCo: how slowly the second encoder follows the first.
    queue : int
        MoCo: vectors kept as further negatives.
    masked : float
        MAE: share of patches hidden.
    seed : int
        Of the masks.
    """

    steps: int
    lr: float = 1e-3
    temperature: float = 0.1
    momentum: float = 0.99
    queue: int = 512
    masked: float = 0.6
    seed: int = 0

    def __post_init__(self) -> None:
        sound = self.temperature > 0 and 0 <= self.momentum < 1 and self.queue >= 1 and 0 < self.masked < 1
        if not sound or self.lr <= 0:
            raise OptionError(
                f"pretraining: temperature {self.temperature}, momentum {self.momentum}, queue {self.queue}, "
                f"masked {self.masked}, lr {self.lr}; allowed: over 0, 0 to below 1, 1 or more, between 0 "
                "and 1, over 0."
            )


def info_nce(one: Tensor, two: Tensor, others: Tensor, same: Tensor, temperature: float) -> Tensor:
    """Contrastive loss: each row of `one` has to find its row of `two` among all of `others`.

    ``-log exp(s(a, b) / t) / (exp(s(a, b) / t) + sum over negatives exp(s(a, n) / t))`` with cosine
    similarity s (van den Oord et al. 2018; Chen et al. 2020, equation 1).

    Parameters
    ----------
    one, two : Tensor [B, D]
        Vectors of length 1.
    others : Tensor [N, D]
        Candidates that are no positives, of length 1.
    same : Tensor of bool [B, N]
        Candidates that do not count as negatives: the same person, or the row itself.
    temperature : float
    """
    positive = (one * two).sum(dim=1, keepdim=True) / temperature
    negative = (one @ others.T / temperature).masked_fill(same, float("-inf"))
    return (torch.cat([positive, negative], dim=1).logsumexp(dim=1) - positive[:, 0]).mean()


def head(width: int) -> nn.Sequential:
    """Projection that is thrown away after pretraining."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTED))


class _Task(pl.LightningModule, ABC):
    """An encoder, and what is learned along with it and left behind."""

    def __init__(self, encoder: Encoder, options: TaskOptions) -> None:
        super().__init__()
        self.encoder, self.options = encoder, options

    @abstractmethod
    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """What is made small, for one batch."""

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Loss of a batch."""
        loss = self.loss(batch)
        self.log("loss", loss, prog_bar=True, batch_size=len(batch["signal"]))
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW; linear warm-up over a tenth of the steps, then a cosine to zero."""
        learned = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(learned, lr=self.options.lr, weight_decay=0.05)
        total = max(self.options.steps, 1)
        warm = max(1, total // 10)

        def factor(step: int) -> float:
            rest = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
            return min(1.0, (step + 1) / warm) * rest

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class SimCLR(_Task):
    """Two views of a strip, or of a person, find each other in the batch (Chen et al. 2020).

    Other strips of the same person are not used as negatives.
    """

    def __init__(self, encoder: Encoder, options: TaskOptions) -> None:
        super().__init__(encoder, options)
        self.project = head(encoder.config.width)

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """NT-Xent over both directions."""
        rows = len(batch["signal"])
        found = self.project(self.encoder(torch.cat([batch["signal"], batch["second"]])))
        found = functional.normalize(found, dim=1)
        person = torch.cat([batch["person"]] * 2)
        # The row itself and its partner are of one person too, so this mask covers both.
        same = person[:, None] == person[None]
        partner = found.roll(rows, dims=0)
        return info_nce(found, partner, found, same, self.options.temperature)


class MoCo(_Task):
    """A queue of vectors from a slowly following encoder makes up for small batches (He et al. 2020)."""

    queue: Tensor
    queue_person: Tensor
    filled: Tensor

    def __init__(self, encoder: Encoder, options: TaskOptions) -> None:
        super().__init__(encoder, options)
        self.project = head(encoder.config.width)
        self.slow = copy.deepcopy(nn.Sequential(encoder, self.project)).requires_grad_(False)
        self.register_buffer("queue", torch.zeros(options.queue, PROJECTED))
        self.register_buffer("queue_person", torch.full((options.queue,), -1))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Find each view, as the slow encoder sees it, among the queue; both directions (MoCo v3)."""
        views = torch.cat([batch["signal"], batch["second"]])
        query = functional.normalize(self.project(self.encoder(views)), dim=1)
        with torch.no_grad():
            key = functional.normalize(self.slow(views), dim=1).roll(len(batch["signal"]), dims=0)
        own = torch.cat([batch["person"]] * 2)
        # The other rows of the batch are negatives as well, which matters while the queue fills.
        others, person = torch.cat([key, self.queue]), torch.cat([own, self.queue_person])
        same = own[:, None] == person[None]
        empty = torch.arange(len(others), device=others.device) >= len(key) + self.filled
        loss = info_nce(query, key, others, same | empty[None], self.options.temperature)
        if self.training:
            self._push(key, own)
        return loss

    @torch.no_grad()
    def _push(self, key: Tensor, person: Tensor) -> None:
        kept = min(len(key), len(self.queue))
        self.queue.copy_(torch.cat([key[:kept], self.queue[: len(self.queue) - kept]]))
        self.queue_person.copy_(torch.cat([person[:kept], self.queue_person[: len(self.queue) - kept]]))
        self.filled.copy_((self.filled + kept).clamp(max=len(self.queue)))

    @torch.no_grad()
    def on_train_batch_end(self, *_: Any) -> None:
        """Let the slow encoder follow."""
        fast = [*self.encoder.parameters(), *self.project.parameters()]
        for slow, now in zip(self.slow.parameters(), fast, strict=True):
            slow.lerp_(now, 1 - self.options.momentum)


class MAE(_Task):
    """Most patches are hidden, and a small decoder has to draw them from the rest (He et al. 2022).

    The loss is the mean squared error on hidden patches, each patch standardised. Only the Transformer can
    leave patches out.
    """

    def __init__(self, encoder: Encoder, options: TaskOptions) -> None:
        if not isinstance(encoder, Transformer):
            raise OptionError(
                f"--method mae: works on patches, which the {encoder.config.kind} has none of; use --encoder "
                "transformer."
            )
        super().__init__(encoder, options)
        width = encoder.config.width
        self.hidden = nn.Parameter(torch.zeros(width))
        self.decoder = nn.TransformerEncoderLayer(
            width, width // 16, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.draw = nn.Linear(width, len(encoder.config.leads) * encoder.config.patch)

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean squared error on hidden patches."""
        net = self.encoder
        if not isinstance(net, Transformer):
            raise TypeError("MAE was built on a Transformer")
        patches = net.patches(standardised(batch["signal"]))
        rows, count, _ = patches.shape
        shown = max(1, count - round(self.options.masked * count))
        order = self._order(batch, rows, count).to(patches.device)
        kept = order[:, :shown]
        found = net.encode(patches, kept)
        # Hidden everywhere, then what was found is put back in its place.
        tokens = self.hidden.to(found).expand(rows, count, -1)
        tokens = tokens.scatter(1, kept[:, :, None].expand_as(found), found)
        drawn = self.draw(self.decoder(tokens + places(count, tokens.shape[2]).to(tokens)))
        level = patches.mean(dim=2, keepdim=True)
        spread = (patches.var(dim=2, keepdim=True, unbiased=False) + 1e-3).sqrt()
        error = (drawn - (patches - level) / spread).square().mean(dim=2)
        hidden = torch.ones_like(error).scatter(1, kept, 0.0)
        return (error * hidden).sum() / hidden.sum()

    def _order(self, batch: dict[str, Tensor], rows: int, count: int) -> Tensor:
        """A random order of the patches of each strip; the first are shown. Decided by seed and strips."""
        rng = torch.Generator().manual_seed(batch_seed(self.options.seed, batch["index"], view=2))
        return torch.rand((rows, count), generator=rng).argsort(dim=1)


METHODS: Final[dict[str, type[_Task]]] = {"simclr": SimCLR, "moco": MoCo, "mae": MAE}


def build_task(method: str, encoder: Encoder, options: TaskOptions) -> _Task:
    """The Lightning module of a method in `METHODS`.

    Raises
    ------
    OptionError
        If there is none of that name, or it does not go with the encoder.
    """
    if method not in METHODS:
        raise OptionError(f"--method {method!r}; known are {', '.join(METHODS)}.")
    return METHODS[method](encoder, options)

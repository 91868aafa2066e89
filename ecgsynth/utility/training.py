"""One small classifier: batches of real and synthetic strips in, a score per strip out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ecgsynth.augment.chain import default_chain
from ecgsynth.records import INDEPENDENT_LEADS
from ecgsynth.ssl.encoders import Encoder, EncoderConfig, build_encoder
from ecgsynth.utility.arms import Arm
from ecgsynth.utility.study import Study

_EVAL_ROWS = 128
_MIXUP_ALPHA = 0.2
_SMOTE_NEIGHBOURS = 5
#: Signal-to-noise ratio in dB of the jittered copies: a strip that anybody would recognise.
_JITTER_DB = 20.0


@dataclass(frozen=True)
class Pool:
    """Strips to draw from, per class.

    Attributes
    ----------
    negative, positive : float32 array [N, leads, samples]
    negative_owner, positive_owner : int array [N]
        Whose strip it is: people are drawn equally often, whatever the length of their recording.
    """

    negative: NDArray[np.float32]
    positive: NDArray[np.float32]
    negative_owner: NDArray[np.int64]
    positive_owner: NDArray[np.int64]

    def draw(self, positive: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
        """One strip for each wanted label: a person, then one of their strips."""
        out = np.empty((len(positive), *self.negative.shape[1:]), np.float32)
        for wanted, strips, owner in (
            (False, self.negative, self.negative_owner),
            (True, self.positive, self.positive_owner),
        ):
            places = np.flatnonzero(positive == wanted)
            people = rng.choice(np.unique(owner), len(places))
            rows = [int(rng.choice(np.flatnonzero(owner == person))) for person in people]
            out[places] = strips[rows]
        return out

    @property
    def share(self) -> float:
        """Share of the people who are positive."""
        rare, common = len(np.unique(self.positive_owner)), len(np.unique(self.negative_owner))
        return rare / (rare + common)


class Classifier(torch.nn.Module):
    """An encoder and a last layer."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.last = torch.nn.Linear(encoder.config.width, 1)

    def forward(self, signal: Tensor) -> Tensor:
        """Logits [B]."""
        return self.last(self.encoder(signal))[:, 0]


def train_classifier(
    study: Study, arm: Arm, real: Pool, made: Pool | None, ratio: float, seed: int
) -> Classifier:
    """Train for the study's number of steps; first weights and order depend on the seed only.

    Parameters
    ----------
    study : Study
    arm : Arm
    real : Pool
    made : Pool or None
        Synthetic strips; None in arms without.
    ratio : float
        Synthetic strips per real one in what the training sees; 0 if `made` is None.
    seed : int
    """
    leads = INDEPENDENT_LEADS if study.twelve else ("I",)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0xCE,)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = EncoderConfig(
            leads=leads,
            fs=study.fs,
            samples=round(study.fs * study.seconds),
            width=study.width,
            depth=study.depth,
        )
        net = Classifier(build_encoder(config))
    learning = list(net.last.parameters() if arm.frozen else net.parameters())
    optimizer = torch.optim.AdamW(learning, lr=study.lr, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, study.lr, total_steps=study.steps, pct_start=0.2
    )
    chain = default_chain(study.fs, leads) if arm.chain else None
    share = real.share if arm.draw == "as they come" else 0.5
    weight = torch.tensor((1 - share) / share if arm.weighted else 1.0)
    from_made = 1.0 if not arm.real else ratio / (1 + ratio)
    net.train()
    for step in range(study.steps):
        positive = rng.random(study.batch) < share if share != 0.5 else np.arange(study.batch) % 2 == 1
        signal = torch.from_numpy(batch(real, made, positive, from_made, rng))
        if chain is not None:
            signal = chain(signal, seed * 1_000_003 + step)
        truth = torch.from_numpy(positive.astype(np.float32))
        if arm.mixup:
            signal, truth = mixed_up(signal, truth, rng)
        loss = functional.binary_cross_entropy_with_logits(net(signal), truth, pos_weight=weight)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
    net.eval()
    if arm.smote:
        retrain_last(net, real, rng)
    return net


def batch(
    real: Pool, made: Pool | None, positive: NDArray[np.bool_], from_made: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Strips of the wanted labels, a share of them synthetic; a class without synthetic strips stays real."""
    out = real.draw(positive, rng)
    if made is None or not from_made:
        return out
    synthetic = rng.random(len(positive)) < from_made
    for wanted, strips in ((False, made.negative), (True, made.positive)):
        places = np.flatnonzero(synthetic & (positive == wanted))
        if len(strips) and len(places):
            out[places] = strips[rng.integers(0, len(strips), len(places))]
    return out


def mixed_up(signal: Tensor, truth: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Each strip, at unit variance, with some of another, and the label in the same proportion."""
    level = (signal - signal.mean(-1, keepdim=True)).square().mean((1, 2), keepdim=True)
    signal = signal * (level + 1e-6).rsqrt()
    other = torch.from_numpy(rng.permutation(len(truth)))
    part = torch.from_numpy(rng.beta(_MIXUP_ALPHA, _MIXUP_ALPHA, len(truth)).astype(np.float32))
    mixed = part[:, None, None] * signal + (1 - part[:, None, None]) * signal[other]
    return mixed, part * truth + (1 - part) * truth[other]


def retrain_last(net: Classifier, real: Pool, rng: np.random.Generator) -> None:
    """Fit the last layer on vectors of all strips and interpolated ones of the rare class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import NearestNeighbors

    common, rare = embed(net.encoder, real.negative), embed(net.encoder, real.positive)
    lacking = len(common) - len(rare)
    if len(rare) > 1 and lacking > 0:
        near = NearestNeighbors(n_neighbors=min(_SMOTE_NEIGHBOURS + 1, len(rare))).fit(rare)
        others = near.kneighbors(rare, return_distance=False)[:, 1:]
        first = rng.integers(0, len(rare), lacking)
        second = others[first, rng.integers(0, others.shape[1], lacking)]
        between = rng.random((lacking, 1)).astype(np.float32)
        rare = np.concatenate([rare, rare[first] + between * (rare[second] - rare[first])])
    vectors = np.concatenate([common, rare])
    labels = np.arange(len(vectors)) >= len(common)
    mean, spread = vectors.mean(0), vectors.std(0) + 1e-6
    model = LogisticRegression(max_iter=2000, class_weight="balanced").fit((vectors - mean) / spread, labels)
    weight = model.coef_[0] / spread
    with torch.no_grad():
        net.last.weight.copy_(torch.from_numpy(weight[None].astype(np.float32)))
        net.last.bias.fill_(float(model.intercept_[0] - weight @ mean))


@torch.no_grad()
def embed(encoder: Encoder, signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors [N, width]."""
    parts = [
        encoder(torch.from_numpy(signal[i : i + _EVAL_ROWS])).numpy()
        for i in range(0, len(signal), _EVAL_ROWS)
    ]
    return np.concatenate(parts).astype(np.float32)


@torch.no_grad()
def scores(net: Classifier, signal: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probability [N] of the rhythm."""
    logits = net.last(torch.from_numpy(embed(net.encoder, signal)))[:, 0]
    return np.asarray(logits.sigmoid().double().numpy())


def jittered(strips: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Copies of strips with a gain of 0.9 to 1.1 and white noise `_JITTER_DB` below them."""
    chosen = strips[rng.integers(0, len(strips), count)]
    level = chosen.std(axis=(1, 2), keepdims=True) * math.pow(10, -_JITTER_DB / 20)
    gain = rng.uniform(0.9, 1.1, (count, 1, 1))
    return (gain * chosen + level * rng.standard_normal(chosen.shape)).astype(np.float32)

"""Train the network that looks at strips: ecgsynth/fidelity/fault_net.py without torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gate_artefacts import artefact
from gate_strips import OFTEN, Strips
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from ecgsynth.fidelity.fault_net import (
    ASKED,
    BEAT_LAYERS,
    BEAT_NUMBERS,
    BRANCHES,
    COMPARED,
    CUT_HIDDEN,
    CUTS,
    FARTHEST,
    HIDDEN,
    HOP,
    JOINED,
    LAYERS,
    LEAST_SPREAD,
    LEAST_VARIANCE,
    SAMPLES,
    FaultNet,
    Strip,
    asked_of,
    beat_frames,
    height_of,
    packed,
    unpacked,
)
from ecgsynth.fidelity.faults import FAULTS
from ecgsynth.fidelity.measures import FS

#: Faults that the network is asked for: those that show in how parts of the strip differ, in its pace, or in
#: the outline of its beats. It adds nothing to what trees say of the others.
NAMES = tuple(OFTEN)
STEPS, BATCH, PEAK_RATE, DECAY, DROPPED = 2500, 64, 3e-3, 2e-3, 0.2
#: How often a strip is cut shorter, down to how many samples; how often it gets noise, up to which share of
#: its height; by how much the logarithm of the height in mV varies; how often it gets an artefact.
CUT_OFTEN, CUT_LEAST, NOISE_OFTEN, NOISE_MOST, HEIGHT_SD = 0.25, 1250, 0.3, 0.01, 0.1
ARTEFACT_OFTEN = 0.2
#: Least height of a strip with an artefact, in heights of the strip without.
LEAST_HEIGHT = 0.1


class TrainedNet(nn.Module):
    """The same network as `FaultNet` in torch, with batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.beat = (_convolutions(*BRANCHES[name]) for name in ("conv", "beat"))
        channels = LAYERS[-1][0]
        self.beats = nn.Linear(beat_frames() * BEAT_LAYERS[-1][0], BEAT_NUMBERS)
        inputs = 5 * channels + BEAT_NUMBERS + ASKED
        self.head = nn.ModuleList([nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, len(NAMES))])
        self.project = nn.Linear(channels, COMPARED)
        self.cut = nn.ModuleList([nn.Linear(2 * COMPARED + ASKED, CUT_HIDDEN), nn.Linear(CUT_HIDDEN, 1)])
        self.drop = nn.Dropout(DROPPED)

    def forward(self, signal: Tensor, samples: Tensor, beats: Tensor, asked: Tensor) -> Tensor:
        """Log-odds [strips, faults] of strips [strips, `SAMPLES`] and their beats [strips, views, width]."""
        frames = self.conv(signal[:, None])
        n = torch.div(samples + HOP - 1, HOP, rounding_mode="floor")
        place = torch.arange(frames.shape[-1])[None]
        here = (place < n[:, None]).float()[:, None]
        summary = _summary(frames, here, place, n)
        seen = relu(self.beats(self.drop(self.beat(beats).flatten(1))))
        odds = self.head[1](self.drop(relu(self.head[0](torch.cat([summary, seen, asked], dim=1)))))
        where = torch.tensor([float(name == JOINED) for name in NAMES])
        return odds + self._joined(frames, here, n, asked)[:, None] * where

    def _joined(self, frames: Tensor, here: Tensor, n: Tensor, asked: Tensor) -> Tensor:
        parts = self.project(frames.transpose(1, 2)) * here.transpose(1, 2)
        at = (
            (torch.tensor(CUTS, dtype=torch.float32)[None] * n[:, None]).long().clamp(1, frames.shape[-1] - 1)
        )
        index = (at - 1)[:, :, None].expand(-1, -1, parts.shape[2])
        first, square = parts.cumsum(dim=1), (parts * parts).cumsum(dim=1)
        before, behind = at[:, :, None].float(), (n[:, None] - at)[:, :, None].float()
        one, two = first.gather(1, index), square.gather(1, index)
        means = one / before, (first[:, -1:] - one) / behind
        spreads = [
            (part / count - mean**2).clamp(min=0)
            for part, count, mean in zip((two, square[:, -1:] - two), (before, behind), means, strict=True)
        ]
        step = (means[0] - means[1]).abs() / ((spreads[0] + spreads[1]) / 2 + LEAST_VARIANCE).sqrt()
        ratio = ((spreads[0] + LEAST_VARIANCE) / (spreads[1] + LEAST_VARIANCE)).log().abs()
        rows = torch.cat([step, ratio, asked[:, None].expand(-1, len(CUTS), -1)], dim=2)
        odds = self.cut[1](relu(self.cut[0](rows)))[..., 0]
        return odds.logsumexp(dim=1) - float(np.log(len(CUTS)))

    def folded(self) -> FaultNet:
        """Without torch, in half precision, as it is stored."""
        state = {name: value.detach().double().numpy() for name, value in self.state_dict().items()}
        arrays: dict[str, Any] = {}
        for conv in (f"{name}.{i}" for name in BRANCHES for i in range(len(getattr(self, name)))):
            norm = {k: state[f"{conv}.1.{k}"] for k in ("weight", "bias", "running_mean", "running_var")}
            gain = norm["weight"] / np.sqrt(norm["running_var"] + 1e-5)
            kernel = state[f"{conv}.0.weight"]
            arrays[f"{conv}.weight"] = (kernel * gain[:, None, None]).reshape(len(kernel), -1)
            arrays[f"{conv}.bias"] = norm["bias"] - norm["running_mean"] * gain
        arrays |= {name: value for name, value in state.items() if name.split(".")[0] not in BRANCHES}
        return unpacked(NAMES, packed(FaultNet(NAMES, arrays)))


def _convolutions(layers: Sequence[tuple[int, int, int]], channels: int) -> nn.Sequential:
    made = []
    for own, width, stride in layers:
        conv = nn.Conv1d(channels, own, width, stride, width // 2, bias=False)
        made.append(nn.Sequential(conv, nn.BatchNorm1d(own), nn.ReLU()))
        channels = own
    return nn.Sequential(*made)


def _summary(frames: Tensor, here: Tensor, place: Tensor, n: Tensor) -> Tensor:
    count = n[:, None].float()
    along = ((place - (count - 1) / 2) / count)[:, None]
    mean = (frames * here).sum(-1) / count
    spread = (((frames - mean[..., None]) ** 2 * here).sum(-1) / count + LEAST_SPREAD).sqrt()
    trend = (frames * here * along).sum(-1) / count * 6.0
    halves = (frames * here * torch.where(along < 0, 1.0, -1.0)).sum(-1).abs() / count * 2.0
    return torch.cat([mean, spread, (frames * here).amax(-1), trend, halves], dim=1)


def train(data: Sequence[Strips], without: NDArray[np.str_], seed: int) -> FaultNet:
    """A network from all strips but those of the people in ``without``.

    Sound strips and strips with each fault weigh the same in sum; a person's as the square root of their
    number.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pool = _Pool(data, without)
    net = TrainedNet().train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=STEPS, pct_start=0.2)
    order = np.concatenate(
        [rng.permutation(len(pool.strips)) for _ in range(STEPS * BATCH // len(pool.strips) + 1)]
    )
    for step in range(STEPS):
        rows = order[step * BATCH : (step + 1) * BATCH]
        odds = net(*pool.batch(rows, rng))
        losses = binary_cross_entropy_with_logits(odds, torch.tensor(pool.labels[rows]), reduction="none")
        loss = (losses * torch.tensor(pool.weights[rows])).sum() / BATCH
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        if step % 200 == 199:
            print(f"network: step {step + 1} of {STEPS}, {loss.item():.3f}", file=sys.stderr, flush=True)
    return net.eval().folded()


class _Pool:
    """Strips to train on, as arrays; labels and weights [strips, faults]."""

    def __init__(self, data: Sequence[Strips], without: NDArray[np.str_]) -> None:
        self.strips: list[Strip] = []
        self.claims: list[tuple[str, str]] = []
        faults, people = [], []
        for some in data:
            use = ~np.isin(some.subject, without) & np.isin(some.fault, ("", *NAMES))
            for i in np.flatnonzero(use).tolist():
                self.strips.append(some.strips[i])
                self.claims.append((str(some.rhythm[i]), str(some.lead[i])))
                people.append(f"{some.subject[i]}/{some.rhythm[i]}")
            faults.append(some.fault[use])
        fault = np.concatenate(faults)
        _, owner = np.unique(np.array(people), return_inverse=True)
        each = 1.0 / np.sqrt(np.maximum(np.bincount(owner, weights=fault == ""), 1.0))[owner]
        self.labels = np.stack([fault == name for name in NAMES], axis=1).astype(np.float32)
        weights = np.zeros(self.labels.shape)
        for j, name in enumerate(NAMES):
            here = np.array([FAULTS[name].sought(rhythm) for rhythm, _ in self.claims])
            for side in (here & (fault == ""), here & (fault == name)):
                weights[side, j] = each[side] / each[side].sum() * len(fault) / 2
        self.weights = weights.astype(np.float32)

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Strips, their lengths, their beats and what is asked beside them, varied at random."""
        signal = np.zeros((len(rows), SAMPLES), dtype=np.float32)
        beats, asked, samples = [], [], []
        for b, i in enumerate(rows.tolist()):
            strip = self._varied(i, rng)
            signal[b] = strip.signal
            samples.append(strip.samples)
            beats.append(strip.views)
            asked.append(asked_of(strip, *self.claims[i]))
        arrays = signal, np.array(samples), np.stack(beats), np.stack(asked)
        return tuple(torch.tensor(array) for array in arrays)

    def _varied(self, i: int, rng: np.random.Generator) -> Strip:
        """A strip, at times a part of it, with noise or an artefact."""
        strip = self.strips[i]
        signal, peaks = strip.signal[: strip.samples].astype(np.float32), strip.peaks
        # A strip with a splice may have lost the cut: it stays whole.
        joined = self.labels[i, NAMES.index(JOINED)] > 0
        if len(signal) > CUT_LEAST and not joined and rng.random() < CUT_OFTEN:
            left = int(rng.integers(CUT_LEAST, len(signal)))
            start = int(rng.integers(0, len(signal) - left + 1))
            signal = signal[start : start + left]
            peaks = peaks[(peaks >= start) & (peaks < start + left)] - start
        if rng.random() < NOISE_OFTEN:
            noise = rng.standard_normal(len(signal), dtype=np.float32)
            signal = signal + noise * np.float32(rng.uniform(0, NOISE_MOST))
        height = strip.height + rng.normal(0, HEIGHT_SD)
        if rng.random() < ARTEFACT_OFTEN:
            signal = signal + artefact(len(signal), FS, rng).astype(np.float32)
            size = max(height_of(signal - np.median(signal)), LEAST_HEIGHT)
            signal, height = signal / size, height + float(np.log(size))
        whole = np.zeros(SAMPLES, dtype=np.float32)
        whole[: len(signal)] = np.clip(signal, -FARTHEST, FARTHEST)
        return Strip(whole, len(signal), height, peaks)


def kept_net(data: Sequence[Strips], without: NDArray[np.str_], seed: int, keep: Path | None) -> FaultNet:
    """`train`, or what an earlier run left in the folder ``keep``."""
    path = keep / f"net_{seed}.bin" if keep else None
    if path is not None and path.is_file():
        return unpacked(NAMES, path.read_bytes())
    net = train(data, without, seed)
    if path is not None:
        path.write_bytes(packed(net))
    return net

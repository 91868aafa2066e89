"""Train the frozen encoder in which sets of records are compared, on people no generator has learned from.

    python scripts/train_encoder.py --data DIR --split split.json [--out encoder.safetensors]
    python scripts/train_encoder.py --data DIR --split split.json --hold-out 0.3 --report held-out.json

The network learns to read a strip: its features (`ecgsynth.fidelity.features`), its rhythm, and how much
of what was done to it (`HARMS`). Who it is of is not asked: a network that knows its people sees strangers
as far from them, real or not. So each strip is varied first (height, pace, tilt of the spectrum), as if of
one more person. The second form leaves people out and writes how well it reads them; the weights that ship
have learned from everyone in ``test``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, huber_loss, mse_loss

from ecgsynth.datasets import read_all
from ecgsynth.fidelity.encoder import WIDTH, StripEncoder, save_encoder
from ecgsynth.fidelity.features import FEATURES, record_features
from ecgsynth.pack import pack, trainable
from ecgsynth.records import TWELVE_LEADS, twelve_from_eight
from ecgsynth.split import SplitManifest

FS = 250.0
SHIPPED = Path(__file__).resolve().parent.parent / "ecgsynth" / "weights" / "encoder.safetensors"
#: Samples of the strips that are learned from: 5.12 and 10.24 s.
LENGTHS = (1280, 2560)
#: What may be done to a strip; how much of it, 0 to 1, is to be read off.
HARMS = ("noise", "low_pass", "inverted", "reversed", "wander", "splice", "tiled", "shuffled")
#: Share of strips that nothing is done to.
CLEAN = 0.5
#: Features that are not asked for: they tell converters apart (steps, bandwidth) and not hearts.
LEFT_OUT = frozenset({"flat_share", "band_50_125", "diff_kurtosis"})
ASKED = tuple(name for name in FEATURES if name not in LEFT_OUT)
#: Weights of the losses; the features carry the most because they are what fidelity is about.
LOSSES = {"features": 1.0, "harm": 2.0, "rhythm": 0.1}
BATCH = 64

Signal = NDArray[np.float64]


@dataclass(frozen=True)
class Strips:
    """Rows ``signal`` [rows, 2560] in mV, and each one's person and rhythm."""

    signal: NDArray[np.float32]
    subject: NDArray[Any]
    rhythm: NDArray[Any]

    def of(self, people: set[str]) -> Strips:
        rows = np.flatnonzero(np.isin(self.subject, sorted(people)))
        return Strips(self.signal[rows], self.subject[rows], self.rhythm[rows])


def read_strips(data: Path, people: set[str]) -> Strips:
    """Single-lead rows of ``people``; those with twelve leads bring all twelve."""
    real = [record for record in trainable(read_all(data)) if record.subject in people]
    one, eight = pack(real, FS), pack(real, FS, leads="twelve")
    twelve = np.concatenate([twelve_from_eight(row.astype(np.float32)) for row in eight["signal"]])
    single = ~np.isin(one["record"], eight["record"])  # the others' leads are among the twelve
    signal = np.concatenate([one["signal"][single, 0].astype(np.float32), twelve])
    names = (
        np.concatenate([one[name][single], np.repeat(eight[name], len(TWELVE_LEADS))])
        for name in ("subject", "rhythm")
    )
    return Strips(signal, *names)


def varied(strip: Signal, length: int, rng: np.random.Generator) -> Signal:
    """``length`` samples from somewhere in the strip, higher or lower, faster or slower, sharp or dull."""
    pace = np.exp(rng.uniform(np.log(0.85), np.log(1.2)))
    pace = min(pace, (len(strip) - 1) / length)
    start = rng.uniform(0.0, len(strip) - 1 - length * pace)
    part = np.interp(start + pace * np.arange(length), np.arange(len(strip)), strip)
    hz = np.fft.rfftfreq(length, 1.0 / FS)
    tilt = (1.0 + hz / 10.0) ** rng.uniform(-0.25, 0.25)
    return np.fft.irfft(np.fft.rfft(part) * tilt, length) * np.exp(rng.uniform(-0.5, 0.5))


def harmed(strip: Signal, other: Signal, harm: str, rng: np.random.Generator) -> tuple[Signal, float]:
    """The strip after ``harm`` and how much of it was done; ``other`` is someone else's."""
    n, u = len(strip), rng.random()
    if harm == "noise":  # 0.01 to 0.5 mV, white to pink
        spectrum = np.fft.rfft(rng.normal(size=n)) / np.maximum(np.arange(n // 2 + 1), 1) ** (
            rng.random() / 2
        )
        noise = np.fft.irfft(spectrum, n)
        return strip + noise / noise.std() * 0.01 * 50.0**u, u
    if harm == "low_pass":  # 30 to 5 Hz
        cut = 30.0 * 6.0**-u
        return np.fft.irfft(np.fft.rfft(strip) / (1 + (np.fft.rfftfreq(n, 1 / FS) / cut) ** 8), n), u
    if harm == "wander":  # 0.1 to 1 mV
        at = np.arange(n) / FS
        return strip + 0.1 * 10.0**u * np.sin(2 * np.pi * (rng.uniform(0.1, 0.5) * at + rng.random())), u
    if harm == "tiled":
        tile = strip[int(u * FS) : int(u * FS) + int(rng.uniform(0.6, 1.2) * FS)]
        return np.tile(tile, -(-n // len(tile)))[:n], 1.0
    if harm == "shuffled":  # 8 to 64 pieces
        pieces = np.array_split(strip, int(8 * 8.0**u))
        return np.concatenate([pieces[i] for i in rng.permutation(len(pieces))]), 0.5 + u / 2
    done = {
        "inverted": -strip,
        "reversed": strip[::-1],
        "splice": np.concatenate([strip[: n // 2], other[n // 2 :]]),
    }
    return done[harm], 1.0


@dataclass(frozen=True)
class Pool:
    """Strips to learn from: ``signal`` [strips, samples], and what is to be read off them."""

    signal: Tensor
    features: Tensor
    harm: Tensor
    rhythm: Tensor


def make_pool(strips: Strips, count: int, length: int, rhythms: list[str], seed: int) -> Pool:
    """Strips of ``length`` samples: rhythms as often as the root of their people, their people alike."""
    rng = np.random.default_rng(seed)
    chance = chances(strips)
    signal = np.empty((count, length), dtype=np.float32)
    features = np.empty((count, len(ASKED)), dtype=np.float32)
    done = np.zeros((count, len(HARMS)), dtype=np.float32)
    # the rhythm of a strip that was tampered with is no longer what its label says: -100 is not asked for
    rhythm = np.full(count, -100)
    for i in range(count):
        row, stranger = rng.choice(len(chance), 2, p=chance)
        clean = varied(strips.signal[row].astype(np.float64), length, rng)
        if rng.random() < CLEAN:
            signal[i], rhythm[i] = clean, rhythms.index(strips.rhythm[row])
        else:
            k = int(rng.integers(len(HARMS)))
            other = varied(strips.signal[stranger].astype(np.float64), length, rng)
            signal[i], done[i, k] = harmed(clean, other, HARMS[k], rng)
        values = record_features(signal[i], FS)
        features[i] = [values[name] for name in ASKED]
    return Pool(*(torch.from_numpy(array) for array in (signal, features, done, rhythm)))


def chances(strips: Strips) -> Signal:
    """How often each row is taken."""
    chance = np.zeros(len(strips.signal))
    for rhythm in np.unique(strips.rhythm):
        people = np.unique(strips.subject[strips.rhythm == rhythm])
        for person in people:
            rows = (strips.rhythm == rhythm) & (strips.subject == person)
            chance[rows] = 1.0 / np.sqrt(len(people)) / rows.sum()
    return chance / chance.sum()


class Reader(nn.Module):
    """The encoder and the heads that teach it: linear, so what they read lies open in the embedding."""

    def __init__(self, rhythms: int) -> None:
        super().__init__()
        self.encoder = StripEncoder()
        self.norm = nn.BatchNorm1d(WIDTH, affine=False)
        self.drop = nn.Dropout(0.1)
        sizes = {"features": len(ASKED), "harm": len(HARMS), "rhythm": rhythms}
        self.heads = nn.ModuleDict({name: nn.Linear(WIDTH, size) for name, size in sizes.items()})

    def forward(self, strips: Tensor) -> dict[str, Tensor]:
        z = self.norm(self.encoder.head(self.drop(self.encoder.pooled(strips))))
        return {name: head(z) for name, head in self.heads.items()}


def losses(
    out: dict[str, Tensor], pool: Pool, rows: Tensor, scale: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    wanted = in_spreads(pool.features[rows], scale)
    known = wanted.isfinite()
    return {
        "features": huber_loss(out["features"][known], wanted[known]),
        "harm": mse_loss(out["harm"], pool.harm[rows]) * len(HARMS),
        "rhythm": cross_entropy(out["rhythm"], pool.rhythm[rows], ignore_index=-100, label_smoothing=0.1),
    }


def feature_scale(pools: list[Pool]) -> tuple[Tensor, Tensor]:
    """Median and robust spread of each feature over strips that nothing was done to."""
    values = torch.cat([pool.features[pool.rhythm >= 0] for pool in pools]).numpy()
    low, middle, high = np.nanquantile(values, (0.16, 0.5, 0.84), axis=0)
    spread = np.maximum((high - low) / 2, 1e-4)
    return torch.from_numpy(middle).float(), torch.from_numpy(spread).float()


def in_spreads(features: Tensor, scale: tuple[Tensor, Tensor]) -> Tensor:
    return ((features - scale[0]) / scale[1]).clamp(-4, 4)


def train(pools: list[Pool], rhythms: int, scale: tuple[Tensor, Tensor], steps: int, seed: int) -> Reader:
    """A reader after ``steps`` batches, from the pools in turn."""
    torch.manual_seed(seed)
    model = Reader(rhythms)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=0.1)
    orders: list[list[Tensor]] = [[] for _ in pools]
    started = time.monotonic()
    mean: dict[str, float] = {}
    for step in range(steps):
        k = step % len(pools)
        if not orders[k]:
            orders[k] = [
                rows for rows in torch.randperm(len(pools[k].harm)).split(BATCH) if len(rows) == BATCH
            ]
        rows = orders[k].pop()
        each = losses(model(pools[k].signal[rows]), pools[k], rows, scale)
        optimiser.zero_grad()
        sum(LOSSES[name] * value for name, value in each.items()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        mean = {name: 0.98 * mean.get(name, loss.item()) + 0.02 * loss.item() for name, loss in each.items()}
        if step % 100 == 99:
            text = " ".join(f"{name} {value:.3f}" for name, value in mean.items())
            print(f"step {step + 1}, {time.monotonic() - started:.0f} s: {text}", file=sys.stderr, flush=True)
    return model.eval()


def freeze(model: Reader, strips: Strips) -> StripEncoder:
    """The encoder alone, its embeddings of real strips (before they are bent) of mean 0 and mean square 1."""
    encoder, weight = model.encoder, torch.from_numpy(chances(strips)).float()
    with torch.no_grad():
        # the batch norm is folded into the head
        gain = (model.norm.running_var + model.norm.eps).rsqrt()
        encoder.head.weight.mul_(gain[:, None])
        encoder.head.bias.sub_(model.norm.running_mean).mul_(gain)
        parts = torch.from_numpy(strips.signal).split(64)
        z = torch.cat([encoder.head(encoder.pooled(part)) for part in parts])
        encoder.centre.copy_(weight @ z)
        encoder.scale.copy_((weight @ (z - encoder.centre).square().mean(dim=1)).rsqrt())
    return encoder


def held_out_report(model: Reader, pools: list[Pool], scale: tuple[Tensor, Tensor]) -> dict[str, Any]:
    """How well the heads read people that were left out."""
    with torch.no_grad():
        parts = [model(part) for pool in pools for part in pool.signal.split(BATCH)]
    said = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
    wanted = {name: torch.cat([getattr(pool, name) for pool in pools]) for name in said}
    true = in_spreads(wanted["features"], scale).numpy()
    explained = 1 - np.nanvar(said["features"] - true, axis=0) / np.nanvar(true, axis=0)
    known = wanted["rhythm"].numpy() >= 0
    right = said["rhythm"].argmax(axis=1)[known] == wanted["rhythm"].numpy()[known]
    done = wanted["harm"].numpy()
    return {
        "explained_variance_median": round(float(np.median(explained)), 3),
        "explained_variance": {n: round(float(v), 3) for n, v in zip(ASKED, explained, strict=True)},
        "harm_correlation": {
            name: round(float(np.corrcoef(said["harm"][:, k], done[:, k])[0, 1]), 3)
            for k, name in enumerate(HARMS)
        },
        "rhythm_right": round(float(right.mean()), 3),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, required=True, help="split by person; only `test` is read")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--strips", type=int, default=6000, help="strips per length")
    parser.add_argument(
        "--hold-out", type=float, default=0.0, help="share of people left out and reported on"
    )
    parser.add_argument("--report", type=Path, help="JSON with what was read on the people left out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
    people = np.random.default_rng(options.seed).permutation(np.array(split.test))
    left_out = set(people[: round(options.hold_out * len(people))].tolist())
    strips = read_strips(options.data, set(split.test))
    rhythms = sorted(set(strips.rhythm.tolist()))
    seen = strips.of(set(split.test) - left_out)
    count = len(set(seen.subject.tolist()))
    print(f"{len(seen.signal)} rows of {count} people", file=sys.stderr, flush=True)
    pools = [make_pool(seen, options.strips, n, rhythms, options.seed + n) for n in LENGTHS]
    scale = feature_scale(pools)
    model = train(pools, len(rhythms), scale, options.steps, options.seed)
    if left_out:
        rest = strips.of(left_out)
        others = [make_pool(rest, options.strips // 10, n, rhythms, options.seed + n) for n in LENGTHS]
        report = {"people": len(left_out)} | held_out_report(model, others, scale)
        text = json.dumps(report, indent=1) + "\n"
        print(text, end="")
        if options.report:
            options.report.write_text(text, encoding="utf-8")
    about = {"split_sha256": split.sha256, "part": "test", "people": count}
    save_encoder(freeze(model, seen), options.out, about | {"steps": options.steps, "seed": options.seed})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

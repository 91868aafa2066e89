"""Train the verification encoder of the privacy audit, on people who are on neither side of the audits.

    python scripts/train_verifier.py --data DIR --split split.json [--out FILE] [--steps 2500]

It learns from the people of the part ``val`` (whom no audit of the shipped weights counts as training or
holdout) and of LUDB and QTDB, and is measured on pairs of the part ``test``: strips of one person from
different recordings or times against strips of different people.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.datasets import read_all
from ecgsynth.fidelity.beatshape import aligned_beats, remove_baseline
from ecgsynth.privacy.samples import BEAT, FINE_HZ
from ecgsynth.privacy.verifier import beat_channels, build_net
from ecgsynth.records import Record
from ecgsynth.rpeaks import bridge_gaps, detect_r_peaks
from ecgsynth.split import SplitManifest
from ecgsynth.windows import resample

STRIP_S = 10.24
#: Strips per lead and recording, fewest beats of a strip.
STRIPS, BEATS = 10, 4
WITHOUT_BEATS = frozenset({"vf", "vflutter"})
IDENTITIES, VIEWS, TEMPERATURE = 64, 4, 0.1
#: Median beats made of each strip.
MEDIANS = 6

Floats = NDArray[np.float64]


def strips_of(record: Record) -> dict[str, list[Floats]]:
    """Beats [beats, BEAT] of some strips of every lead, by lead."""
    found: dict[str, list[Floats]] = defaultdict(list)
    length = round(STRIP_S * record.fs)
    last = max(0, record.n_samples - length)
    if any(e.rhythm in WITHOUT_BEATS for e in record.episodes):
        return found
    for start in sorted({int(s) for s in np.linspace(0, last, min(STRIPS, 1 + last // length))}):
        part = resample(record.slice(start, start + length), FINE_HZ)
        level = bridge_gaps(np.asarray(part.signal, dtype=np.float64))
        for lead, row in zip(record.leads, level, strict=True):
            clean = remove_baseline(row, FINE_HZ)
            beats, _ = aligned_beats(clean, FINE_HZ, detect_r_peaks(row, FINE_HZ))
            if len(beats) >= BEATS:
                found[lead].append(beats[:, : 2 * BEAT].reshape(len(beats), BEAT, 2).mean(axis=2))
    return found


def identities(records: Iterable[Record]) -> dict[tuple[str, str], list[Floats]]:
    """Strips of each person and lead."""
    found: dict[tuple[str, str], list[Floats]] = defaultdict(list)
    for record in records:
        for lead, strips in strips_of(record).items():
            found[record.subject, lead] += strips
    return dict(found)


class Views:
    """Median beats of every person and lead as other recordings of them might show them.

    Medians of random halves of the beats of each strip are made once; rate, level, bandwidth and noise are
    changed anew for every batch.
    """

    def __init__(self, people: dict[tuple[str, str], list[Floats]], rng: np.random.Generator) -> None:
        self.first = np.cumsum([0] + [MEDIANS * len(strips) for strips in people.values()])
        self.pool = np.stack(
            [
                np.median(_some(beats, rng), axis=0)
                for s in people.values()
                for beats in s
                for _ in range(MEDIANS)
            ]
        )
        self.rng = rng

    def draw(self, identity: NDArray[np.int64]) -> Floats:
        """One beat [n, BEAT] for each of ``identity`` [n]."""
        rng, n = self.rng, len(identity)
        low, high = self.first[identity], self.first[identity + 1]
        beat = self.pool[rng.integers(low, high)]
        at = np.arange(BEAT, dtype=np.float64)
        centre = 0.32 * 125
        # Another rate moves the T wave, another time of day shifts the level, another device filters.
        rate = rng.uniform(0.93, 1.07, (n, 1))
        moved = np.where(at > centre, centre + (at - centre) * rate, at) + rng.uniform(-1.5, 1.5, (n, 1))
        base = np.clip(np.floor(moved).astype(np.int64), 0, BEAT - 2)
        part = np.clip(moved - base, 0, 1)
        rows = np.arange(n)[:, None]
        beat = beat[rows, base] * (1 - part) + beat[rows, base + 1] * part
        size = np.abs(beat).max(axis=1, keepdims=True)
        blur = rng.uniform(0, 0.3, (n, 1))
        beat[:, 1:-1] = (1 - blur) * beat[:, 1:-1] + blur * (beat[:, :-2] + beat[:, 2:]) / 2
        along = np.linspace(-1, 1, BEAT)
        slope = along * rng.normal(0, 0.04, (n, 1)) + along**2 * rng.normal(0, 0.03, (n, 1))
        noise = rng.normal(0, 1, (n, BEAT)) * rng.uniform(0, 0.02, (n, 1))
        return np.asarray(beat + size * (slope + noise))


def _some(beats: Floats, rng: np.random.Generator) -> Floats:
    least = min(BEATS, len(beats))
    return beats[rng.permutation(len(beats))[: rng.integers(least, len(beats) + 1)]]


def train(people: dict[tuple[str, str], list[Floats]], steps: int, seed: int) -> Any:
    """Supervised contrastive learning (Khosla et al., NeurIPS 2020) over people and leads."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    keys = sorted(people)
    views = Views({key: people[key] for key in keys}, rng)
    owner = np.unique([subject for subject, _ in keys], return_inverse=True)[1]
    # Everyone as often, however many leads were recorded.
    weight = 1.0 / np.bincount(owner)[owner]
    net = build_net(BEAT)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * 0.5 * (1 + np.cos(np.pi * step / steps)) + 1e-5
        chosen = rng.choice(len(keys), IDENTITIES, replace=False, p=weight / weight.sum())
        beats = views.draw(np.repeat(chosen, VIEWS))
        identity = torch.from_numpy(np.repeat(np.arange(IDENTITIES), VIEWS))
        person = torch.from_numpy(np.repeat(owner[chosen], VIEWS))
        loss = contrast(net(torch.from_numpy(beat_channels(beats))), identity, person)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 200 == 0:
            print(f"step {step}: loss {float(loss.detach()):.3f}", flush=True)
    return net.eval()


def contrast(embedded: Any, identity: Any, person: Any) -> Any:
    """Views of one person and lead attract, those of others repel; other leads of a person do neither."""
    import torch

    likeness = embedded @ embedded.T / TEMPERATURE
    self_mask = torch.eye(len(embedded), dtype=torch.bool)
    same = (identity[:, None] == identity[None]) & ~self_mask
    apart = person[:, None] != person[None]
    weights = torch.where(same | apart, likeness, torch.full_like(likeness, -1e9))
    log_share = likeness - torch.logsumexp(weights, dim=1, keepdim=True)
    return -(log_share * same).sum() / same.sum()


def tar_at_far(net: Any, people: dict[tuple[str, str], list[Floats]], far: float = 1e-3) -> dict[str, Any]:
    """True accepts at ``far`` between the first and the last strip of each person and lead."""
    import torch

    pairs = {
        key: (np.median(s[0], axis=0), np.median(s[-1], axis=0)) for key, s in people.items() if len(s) > 1
    }
    keys = sorted(pairs)
    with torch.inference_mode():
        first, second = (
            net(torch.from_numpy(beat_channels(np.stack([pairs[k][i] for k in keys])))).numpy()
            for i in (0, 1)
        )
    likeness = first @ second.T
    subject = np.array([k[0] for k in keys])
    lead = np.array([k[1] for k in keys])
    stranger = (subject[:, None] != subject[None]) & (lead[:, None] == lead[None])
    limit = float(np.quantile(likeness[stranger], 1 - far))
    accepted = np.diag(likeness) > limit
    raw = np.array([[np.median(s, axis=0) for s in (people[k][0], people[k][-1])] for k in keys])
    unit = raw - raw.mean(axis=2, keepdims=True)
    unit /= np.linalg.norm(unit, axis=2, keepdims=True)
    plain = unit[:, 0] @ unit[:, 1].T
    plain_limit = np.quantile(plain[stranger], 1 - far)
    by_person = [accepted[subject == s].mean() for s in np.unique(subject)]
    plain_by_person = [(np.diag(plain) > plain_limit)[subject == s].mean() for s in np.unique(subject)]
    return {
        "far": far,
        "people": len(by_person),
        "tar": round(float(np.mean(by_person)), 3),
        "tar_of_plain_correlation": round(float(np.mean(plain_by_person)), 3),
        "threshold": round(limit, 4),
    }


CARD = """\
# The verification encoder of the privacy audit

Embeds a median beat (one lead, 125 Hz, {beat} samples) as {size} numbers; the product of two embeddings says
how
alike two beats are, as beats of one person are. `ecgsynth audit` uses it to compare synthetic records with
training people and with holdout people. It is not meant to identify anyone, and is too weak for it.

| | |
|---|---|
| Parameters | {parameters} |
| Learned from | {people} people, {identities} pairs of person and lead: the part `val` of the split, LUDB,
QTDB | | Steps | {steps} |
| Measured on | {test_people} people of the part `test` with two strips: another recording, or another time |
| True accepts at 0.1 % false accepts | {tar:.3f} (plain correlation of the beats: {plain:.3f}) |

People it learned from are left out of every comparison made with it. Made by
`scripts/train_verifier.py`. The databases, their licences and citations are in the README.
"""


def main() -> int:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("ecgsynth/weights/verifier.safetensors"))
    options = parser.parse_args()
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
    elsewhere = {*split.train, *split.test}
    learn: list[Record] = []
    judge: list[Record] = []
    for record in read_all(options.data):
        if record.subject in split.val or (
            record.source in ("ludb", "qtdb") and record.subject not in elsewhere
        ):
            learn.append(record)
        elif record.subject in split.test and record.source != "qtdb":
            judge.append(record)
    people = identities(learn)
    subjects = sorted({subject for subject, _ in people})
    print(f"{len(subjects)} people, {len(people)} pairs of person and lead", flush=True)
    net = train(people, options.steps, options.seed)
    measured = tar_at_far(net, identities(judge))
    print(measured)
    notes = {
        "subjects": subjects,
        "steps": options.steps,
        "seed": options.seed,
        "split": split.sha256,
        **measured,
    }
    from safetensors.torch import save

    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    options.out.write_bytes(save(state, {"verifier": json.dumps(notes, sort_keys=True)}))
    card = CARD.format(
        beat=BEAT,
        size=state["body.10.weight"].shape[0]
        if "body.10.weight" in state
        else list(state.values())[-1].shape[0],
        parameters=sum(v.numel() for v in state.values()),
        people=len(subjects),
        identities=len(people),
        steps=options.steps,
        test_people=measured["people"],
        tar=measured["tar"],
        plain=measured["tar_of_plain_correlation"],
    )
    options.out.with_suffix(".md").write_text(card, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

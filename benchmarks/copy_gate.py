"""What the copy index of `ecgsynth generate` finds, refuses wrongly, costs, and gives away.

    python benchmarks/copy_gate.py single.npz [--twelve twelve.npz] [--out docs/results]

Writes copy_gate.json and copy_gate.md. Copies are made of strips of the training people that the index holds;
people of the part test, whom it has never met, are the strangers. `reconstruction` tries to draw the median
beat and the strip from a code, with half of the training people as the attacker's own recordings.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from copy_reconstruction import reconstruction
from leaks_planting import bent
from numpy.typing import NDArray

from ecgsynth.privacy.copy_build import pack_strips
from ecgsynth.privacy.copy_file import SHIPPED, load_index
from ecgsynth.privacy.copy_index import CopyIndex
from ecgsynth.privacy.descriptors import stretched
from ecgsynth.privacy.traces import SLOW_HZ, STRIP, Strip
from ecgsynth.sampling import load_generator

Floats = NDArray[np.float32]
#: White noise of 1 mV at 250 Hz, of which this share of the amplitude is left below 25 Hz.
IN_BAND = float(np.sqrt(25 / 125))


def planted(strips: list[Strip], rng: np.random.Generator) -> dict[str, Callable[[int], Floats | None]]:
    """How copies are made of strip i: functions that give None where it cannot be done."""
    after = {(s.record, s.lead, round(s.at, 2)): s.signal for s in strips}

    def shifted(i: int) -> Floats | None:
        s = strips[i]
        more = after.get((s.record, s.lead, round(s.at + 10.24, 2)))
        if more is None:
            return None
        start = int(rng.integers(32, STRIP - 32))
        return np.concatenate([s.signal, more])[start : start + STRIP]

    def noisy(i: int, mv: float) -> Floats:
        x = strips[i].signal
        return x + rng.normal(0, mv * IN_BAND, len(x)).astype(np.float32)

    def rolled(i: int) -> Floats:
        return np.roll(strips[i].signal, int(rng.integers(40, STRIP - 40)))

    def warped(i: int, share: float) -> Floats:
        return stretched(strips[i].signal, 1 + float(rng.choice([-share, share])))

    def mixed(i: int) -> Floats:
        x, other = strips[i].signal, strips[int(rng.integers(len(strips)))].signal
        n = min(len(x), len(other))
        return 0.5 * (x[:n] + other[:n])

    return {
        "exact": lambda i: strips[i].signal,
        "rescaled 0.7 and 1.3": lambda i: strips[i].signal * float(rng.choice([0.7, 1.3])),
        "inverted": lambda i: -strips[i].signal,
        "shifted within the recording": shifted,
        "rolled (two pieces swapped)": rolled,
        "noise 0.05 mV": lambda i: noisy(i, 0.05),
        "noise 0.15 mV": lambda i: noisy(i, 0.15),
        "stretched 1.5 %": lambda i: warped(i, 0.015),
        "stretched 3 %": lambda i: warped(i, 0.03),
        "stretched 5 %": lambda i: warped(i, 0.05),
        "stretched 3 to 6 %": lambda i: warped(i, float(rng.uniform(0.03, 0.06))),
        "bent 3 to 6 %": lambda i: bent(strips[i].signal, SLOW_HZ, rng),
        "mix of two people": mixed,
    }


def over(index: CopyIndex, signals: list[Floats], rhythms: list[str]) -> NDArray[np.bool_]:
    """Which strips are over a limit of their rhythm."""
    return index.over(index.likeness(signals), rhythms).any(axis=1)


def share_over_people(hits: NDArray[np.bool_], people: list[str], seed: int = 0) -> dict[str, Any]:
    """Share with its 95 % interval from people drawn with replacement."""
    who, row = np.unique(people, return_inverse=True)
    of, n = np.bincount(row, hits), np.bincount(row)
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(who), len(who)) for _ in range(1000)]
    low, high = np.quantile([of[d].sum() / n[d].sum() for d in drawn], (0.025, 0.975))
    return {
        "share": round(float(hits.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "strips": len(hits),
        "people": len(who),
    }


def chosen(strips: Iterable[Strip], rng: np.random.Generator, each: int = 2) -> list[Strip]:
    """At most ``each`` strips per person and rhythm."""
    pool = list(strips)
    kept: dict[tuple[str, str], list[Strip]] = {}
    for i in rng.permutation(len(pool)):
        own = kept.setdefault((pool[i].subject, pool[i].rhythm), [])
        if len(own) < each:
            own.append(pool[i])
    return [strip for own in kept.values() for strip in own]


def detection(index: CopyIndex, train: list[Strip], tried: int, rng: np.random.Generator) -> dict[str, Any]:
    """Share of planted copies that are refused, by kind; one strip per person and rhythm."""
    known = {id(s) for s in chosen(train, rng, each=1)}
    rows = rng.permutation([i for i, s in enumerate(train) if id(s) in known])[:tried].tolist()
    found = {}
    for name, change in planted(train, rng).items():
        # Neighbouring windows are rare among strips of short recordings: look for more.
        pool = rng.permutation(len(train)).tolist() if name.startswith("shifted") else rows
        made = []
        for i in pool:
            signal = change(i)
            if signal is not None:
                made.append((i, signal))
            if len(made) == tried:
                break
        own = [train[i] for i, _ in made]
        hits = over(index, [x for _, x in made], [s.rhythm for s in own])
        found[name] = share_over_people(hits, [s.subject for s in own])
    return found


def strangers(index: CopyIndex, test: list[Strip]) -> dict[str, Any]:
    """Share of strips of people outside training that would be refused, by rhythm."""
    hits = over(index, [s.signal for s in test], [s.rhythm for s in test])
    rhythm = np.array([s.rhythm for s in test])
    groups = {"all": np.ones(len(test), dtype=bool), **{r: rhythm == r for r in sorted(set(rhythm.tolist()))}}
    return {
        name: share_over_people(hits[rows], [s.subject for s, own in zip(test, rows, strict=True) if own])
        for name, rows in groups.items()
        if len({s.subject for s, own in zip(test, rows, strict=True) if own}) >= 10 or name == "all"
    }


def generated(index: CopyIndex, rhythms: list[str], n: int) -> dict[str, Any]:
    """Share of what the shipped generators draw that is refused, and what judging a record costs."""
    found: dict[str, Any] = {}
    for name in ("cvae", "cgan"):
        for rhythm in rhythms:
            sampler = load_generator(name)
            records = sampler.sample(rhythm, n, seed=7, allow_few_people=True)
            index.judge(records[:32])
            began = time.process_time()
            reasons = [r for i in range(0, n, 32) for r in index.judge(records[i : i + 32])]
            cost = (time.process_time() - began) / n
            refused = sum(reason is not None for reason in reasons)
            found[f"{name} {rhythm}"] = {"records": n, "refused": refused, "ms": round(1000 * cost, 2)}
    return found


def page(found: dict[str, Any]) -> str:
    """The numbers as Markdown."""

    def table(head: str, rows: Iterable[str]) -> str:
        return "\n".join([head, "|---" * (head.count("|") - 1) + "|", *rows])

    def percent(row: dict[str, Any]) -> str:
        return f"{100 * row['share']:.1f} % ({100 * row['low']:.1f} to {100 * row['high']:.1f})"

    copies = (f"| {k} | {percent(r)} | {r['strips']} | {r['people']} |" for k, r in found["copies"].items())
    others = (
        f"| {k} | {percent(r)} | {r['strips']} | {r['people']} |" for k, r in found["strangers"].items()
    )
    made = (
        f"| {k} | {r['refused']} of {r['records']} | {r['ms']:.2f} |" for k, r in found["generated"].items()
    )
    attack = found["reconstruction"]
    beats = (
        f"| {k} | {r['mean']:.3f} | {r['median']:.3f} | {100 * r['over_0.95']:.1f} % "
        f"| {100 * r['over_0.99']:.1f} % |"
        for k, r in attack["beat"].items()
    )
    strips = (f"| {k} | {r['mean']:.3f} | {r['median']:.3f} |" for k, r in attack["strip"].items())
    index = found["index"]
    return (
        "\n\n".join(
            [
                "# The copy gate of `ecgsynth generate`",
                "Made by `benchmarks/copy_gate.py`; the index is `ecgsynth/weights/copy_index.safetensors` "
                f"({index['megabytes']} MB, {index['people']} people, {index['windows']} windows). "
                "Intervals: 95 %, people drawn with replacement.",
                "## Copies of training strips that are refused",
                table("| Copy | Refused | Strips | People |", copies),
                "## Strips of strangers that are refused (people of the part test)",
                table("| Rhythm | Refused | Strips | People |", others),
                "## Draws of the shipped generators that are refused, and CPU per record of 10 s",
                table("| Generator | Refused | ms |", made),
                "## What a code gives away",
                f"The attacker holds recordings of {attack['attacker_people']} people and their codes, knows "
                f"which lead each code is of, and is after {attack['target_people']} others. Correlation of "
                "what they draw with the true median beat, and largest correlation over shifts with the true "
                "strip:",
                table("| Median beat, drawn from | Mean | Median | Over 0.95 | Over 0.99 |", beats),
                table("| Strip, drawn from | Mean | Median |", strips),
            ]
        )
        + "\n"
    )


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("pack", type=Path, help="single-lead pack")
    parser.add_argument("--index", type=Path, default=SHIPPED)
    parser.add_argument("--tried", type=int, default=400, help="copies of each kind")
    parser.add_argument("--records", type=int, default=320, help="draws per generator and rhythm")
    parser.add_argument("--rhythms", default="nsr,afib,vt,bigeminy,sinus_bradycardia")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    with np.load(options.pack, allow_pickle=False) as file:
        pack = {key: file[key] for key in file.files}
    held = {str(name) for name in pack["subject"][pack["part"] == "test"]}
    everyone = list(pack_strips(pack))
    train, test = ([s for s in everyone if (s.subject in held) == side] for side in (False, True))
    index, rng = load_index(options.index), np.random.default_rng(options.seed)
    size = options.index.stat().st_size / 1e6
    found: dict[str, Any] = {
        "index": {**index.notes, "megabytes": round(size, 2), "limits": index.limits},
        "copies": detection(index, train, options.tried, rng),
        "strangers": strangers(index, chosen(test, rng)),
        "generated": generated(index, options.rhythms.split(","), options.records),
        "reconstruction": reconstruction(index, pack, chosen(train, rng, each=1), rng),
        "at_hz": SLOW_HZ,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "copy_gate.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    (options.out / "copy_gate.md").write_text(page(found), encoding="utf-8")
    print(page(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

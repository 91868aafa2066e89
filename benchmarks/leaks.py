"""How many planted leaks the audit finds, per kind and rhythm, beside sdmetrics' DCR scores.

    python benchmarks/leaks.py --data DIR --split split.json [--rhythm nsr,afib] [--leaks 12] [--seeds 3]
    [--out DIR]

Training people are the part train, the limits come from the part test, and false positives are counted on
the part val: real people whom neither side has seen, which no generator can be less alike to training
than. A leak counts as found when it is listed and a person that it was made from is named.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from leaks_dcr import dcr
from leaks_planting import CHANGES, Source, as_record, set_aside, sources_of
from leaks_report import markdown, plot

from ecgsynth.datasets import read_all
from ecgsynth.pack import trainable
from ecgsynth.privacy.calibration import Limits, fit_limits
from ecgsynth.privacy.copies import Match, find_copies
from ecgsynth.privacy.gallery import Gallery, build_gallery
from ecgsynth.privacy.membership import membership
from ecgsynth.privacy.near_duplicates import near_duplicates
from ecgsynth.privacy.same_person import same_person
from ecgsynth.privacy.samples import Sample, read_side
from ecgsynth.privacy.verifier import load_verifier
from ecgsynth.records import Record
from ecgsynth.rhythms import find_rhythm
from ecgsynth.split import SplitManifest

#: Leaks per record, in shares.
CONTAMINATIONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
RHYTHMS = "nsr,afib,sinus_bradycardia,bigeminy,paced,vt,vf"
#: Leaks that contaminated sets are made of.
SETS_OF = ("exact", "noise 0.05 mV")
#: Records of a contaminated set.
SET_SIZE = 600


@dataclass(frozen=True)
class Planted:
    """Leaks of one kind and rhythm: the records' strips, their matches, and whom each was made from."""

    samples: list[Sample]
    matches: list[Match]
    owners: dict[str, set[str]]


class World:
    """Everything read once: recordings searched, limits, and strangers."""

    def __init__(self, data: Path, split: SplitManifest, workers: int) -> None:
        parts: dict[str, list[Record]] = {"train": [], "val": [], "test": []}
        for record in trainable(read_all(data)):
            part = split.part_of(record.subject)
            if part is not None:
                parts[part].append(record)
        searched, spare = set_aside(parts["train"])
        self.workers = workers
        self.train = read_side("train", searched, whole=True)
        self.holdout = read_side("holdout", parts["test"])
        self.clean = read_side("synthetic", parts["val"])
        self.sources, self.spare = sources_of(searched), sources_of(spare)
        self.gallery: Gallery = build_gallery(self.train.traces)
        self.limits: dict[str, Limits] = fit_limits(self.search(self.holdout.samples))
        self.clean_matches = self.search(self.clean.samples)
        self.verifier = load_verifier()
        print(
            f"{len(self.train.people)} people searched, {len(self.gallery.page_trace)} pages", file=sys.stderr
        )

    def search(self, samples: Sequence[Sample]) -> list[Match]:
        """The nearest recordings of the strips of ``samples``."""
        return find_copies(self.gallery, [s.strip for s in samples], self.workers)

    def plant(self, kind: str, rhythm: str, count: int, rng: np.random.Generator) -> Planted | None:
        """``count`` leaks of people of ``rhythm``, as many of each person as can be; None without any."""
        pool = [s for s in (self.spare if kind == "same person" else self.sources) if s.rhythm == rhythm]
        chosen = _spread(pool, count, rng)
        records, owners = [], {}
        for k, source in enumerate(chosen):
            others = [s for s in pool if s.subject != source.subject]
            if kind == "mix of two people" and not others:
                continue
            name = f"leak_{k}"
            other = others[int(rng.integers(len(others)))] if others else source
            signal = CHANGES[kind](source.strip, source, [other], rng)
            records.append(as_record(signal, source, name))
            owners[name] = {source.subject, other.subject} if kind.startswith("mix") else {source.subject}
        if not records:
            return None
        side = read_side("synthetic", records, every_strip=True)
        return Planted(side.samples, self.search(side.samples), owners)


def _spread(pool: list[Source], count: int, rng: np.random.Generator) -> list[Source]:
    """People in turn, in random order."""
    turns: dict[str, list[Source]] = {}
    for i in rng.permutation(len(pool)):
        turns.setdefault(pool[i].subject, []).append(pool[i])
    ordered = [
        own[k]
        for k in range(max(map(len, turns.values()), default=0))
        for own in turns.values()
        if k < len(own)
    ]
    return ordered[:count]


def found_share(world: World, planted: Planted) -> dict[str, Any]:
    """How many leaks are listed as near-duplicates of the right person, and as theirs by the verification."""
    pairs = near_duplicates(world.gallery, planted.matches, world.limits)["pairs"]
    near = {p["synthetic"] for p in pairs if p["subject"] in planted.owners[p["synthetic"]]}
    met = verified(world, planted.samples, world.holdout.samples)
    known = {name for name, subject in met.items() if subject in planted.owners[name]}
    n = len(planted.owners)
    return {"n": n, "near": len(near), "known": len(known), "either": len(near | known)}


def verified(world: World, samples: Sequence[Sample], limits: Sequence[Sample]) -> dict[str, str]:
    """Records that are listed for a person, by the beats; the limit is set by the people of ``limits``."""
    rows = same_person(world.train.samples, world.train.known, limits, samples, world.verifier)
    return {row["synthetic"]: row["subject"] for row in rows}


def false_positives(world: World) -> dict[str, dict[str, Any]]:
    """Strangers' records that are listed, per rhythm and in all.

    Near-duplicates are counted on the part val. The verification learned from those people, so it is
    counted on either half of the test people with the limit from the other half.
    """
    pairs = near_duplicates(world.gallery, world.clean_matches, world.limits)["pairs"]
    near = {p["synthetic"] for p in pairs}
    people = np.random.default_rng(0).permutation(sorted(world.holdout.people))
    half = set(people[::2].tolist())
    sides = [
        [s for s in world.holdout.samples if (s.strip.subject in half) == side] for side in (True, False)
    ]
    known = set(verified(world, sides[0], sides[1])) | set(verified(world, sides[1], sides[0]))
    rows: dict[str, dict[str, Any]] = {}
    rhythms = sorted({s.strip.rhythm for s in [*world.clean.samples, *world.holdout.samples]})
    for rhythm in ["all", *rhythms]:
        own, other = (
            {s.strip.record for s in side.samples if rhythm in ("all", s.strip.rhythm)}
            for side in (world.clean, world.holdout)
        )
        rows[rhythm] = {"n": len(own), "near": len(own & near)}
        rows[rhythm] |= {"n_known": len(other), "known": len(other & known)}
    return rows


def contaminated(
    world: World, planted: Planted, rhythm: str, share: float, rng: np.random.Generator
) -> dict[str, Any]:
    """The verdict on a set with this share of leaks, strangers else; and what sdmetrics' DCR scores say."""
    clean = [
        (m, s)
        for m, s in zip(world.clean_matches, world.clean.samples, strict=True)
        if s.strip.rhythm == rhythm
    ]
    leaks = list(zip(planted.matches, planted.samples, strict=True))
    rows = [(leaks if k < round(share * SET_SIZE) else clean) for k in range(SET_SIZE)]
    drawn = [pool[int(rng.integers(len(pool)))] for pool in rows]
    matches = [
        replace(m, strip=replace(m.strip, record=f"{k}/{m.strip.record}", subject=f"{k}"))
        for k, (m, _) in enumerate(drawn)
    ]
    found = near_duplicates(world.gallery, matches, world.limits)
    verdict = found["per_rhythm"][rhythm]["verdict"]
    scores = dcr(world.train.of(rhythm), world.holdout.of(rhythm), [s for _, s in drawn], rng)
    return {"verdict": verdict, "listed": found["count"], **scores}


def membership_power(world: World, share: float, seeds: int) -> dict[str, Any]:
    """How often the membership attacks notice training people among strangers' records."""
    made = {s.strip.rhythm for s in world.clean.samples}
    sides = [[s for s in side.samples if s.strip.rhythm in made] for side in (world.train, world.holdout)]
    people = np.array(sorted({s.strip.subject for s in sides[0]}))
    verdicts, worst = [], []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, round(1000 * share)])
        leaked = set(rng.permutation(people)[: round(share * len(people))].tolist())
        copies = [s for s in sides[0] if s.strip.subject in leaked]
        found = membership(*sides, [*world.clean.samples, *copies], seed=seed)
        verdicts.append(found["verdict"])
        worst.append(found["attacks"][found["worst"]]["tpr"])
    return {
        "share": share,
        "seeds": seeds,
        "noticed": verdicts.count("fail"),
        "worst_tpr": [round(float(v), 4) for v in worst],
        "train_people": found["train_people"],
        "holdout_people": found["holdout_people"],
        "expected_power": found["power_at_5_percent"],
        "people_needed": found["people_needed"],
    }


def one_in_a_thousand(world: World, planted: Planted, rhythm: str, rng: np.random.Generator) -> bool:
    """Whether one leak among 999 strangers' records is listed by name."""
    clean = [m for m in world.clean_matches if m.strip.rhythm == rhythm]
    leak = planted.matches[int(rng.integers(len(planted.matches)))]
    drawn = [leak, *(clean[int(rng.integers(len(clean)))] for _ in range(999))]
    matches = [
        replace(m, strip=replace(m.strip, record=m.strip.record if k == 0 else f"{k}"))
        for k, m in enumerate(drawn)
    ]
    pairs = near_duplicates(world.gallery, matches, world.limits)["pairs"]
    return any(p["synthetic"] == leak.strip.record for p in pairs)


def run(world: World, rhythms: list[str], leaks: int, seeds: int) -> dict[str, Any]:
    """All tables."""
    detection: list[dict[str, Any]] = []
    sets: list[dict[str, Any]] = []
    thousand = {"tried": 0, "listed": 0}
    for rhythm in rhythms:
        clean = sum(s.strip.rhythm == rhythm for s in world.clean.samples)
        for number, kind in enumerate(CHANGES):
            total = {"n": 0, "near": 0, "known": 0, "either": 0}
            for seed in range(seeds):
                rng = np.random.default_rng([seed, number, len(rhythm)])
                planted = world.plant(kind, rhythm, leaks, rng)
                if planted is None:
                    continue
                for key, value in found_share(world, planted).items():
                    total[key] += value
                if kind == "exact" and clean:
                    thousand["tried"] += 1
                    thousand["listed"] += one_in_a_thousand(world, planted, rhythm, rng)
                if kind in SETS_OF and clean >= 20:
                    for share in CONTAMINATIONS:
                        row = {"rhythm": rhythm, "kind": kind, "seed": seed, "share": share}
                        sets.append(row | contaminated(world, planted, rhythm, share, rng))
            if total["n"]:
                detection.append({"rhythm": rhythm, "kind": kind, **total})
                print(f"{rhythm}, {kind}: {total}", file=sys.stderr, flush=True)
    return {
        "people_searched": len(world.train.people),
        "people_of_limits": len(world.holdout.people),
        "people_of_false_positives": len(world.clean.people),
        "detection": detection,
        "false_positives": false_positives(world),
        "one_in_a_thousand": thousand,
        "sets": sets,
        "membership": [membership_power(world, share, 2 * seeds) for share in (0.0, 0.05)],
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--rhythm", default=RHYTHMS)
    parser.add_argument("--leaks", type=int, default=12, help="leaks of each kind, rhythm and seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
    world = World(options.data, split, options.workers)
    rhythms = [find_rhythm(name).name for name in options.rhythm.split(",")]
    results = run(world, rhythms, options.leaks, options.seeds)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "leaks.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (options.out / "leaks.md").write_text(markdown(results), encoding="utf-8")
    plot(results, options.out / "leaks.png")
    print(markdown(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

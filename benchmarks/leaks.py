"""How many planted leaks the audit finds, per kind and rhythm, beside sdmetrics' DCR scores.

    python benchmarks/leaks.py --data DIR [--split split.json] [--rhythm nsr,afib] [--leaks 12] [--seeds 2]
    [--work DIR] [--out DIR]

Training people are the part train, the limits come from the part test, and false positives are counted on
the part val: real people whom neither side has seen, which no generator can be less alike to training
than. A leak counts as found when it is listed and a person that it was made from is named.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from leaks_dcr import dcr
from leaks_planting import CHANGES
from leaks_report import markdown, plot
from leaks_verification import verification
from leaks_world import Planted, World

from ecgsynth.privacy.beat_gallery import places_of
from ecgsynth.privacy.intervals import people_needed
from ecgsynth.privacy.membership import ATTACKS, membership
from ecgsynth.privacy.near_duplicates import near_duplicates
from ecgsynth.privacy.same_person import listed
from ecgsynth.privacy.samples import Side
from ecgsynth.privacy.verifier import load_verifier
from ecgsynth.rhythms import find_rhythm
from ecgsynth.split import SplitManifest

#: Leaks per record, in shares.
CONTAMINATIONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
RHYTHMS = "nsr,afib,sinus_bradycardia,bigeminy,paced,vt,vf"
#: Leaks that contaminated sets are made of.
SETS_OF = ("exact", "noise 0.05 mV")
#: Records of a contaminated set.
SET_SIZE = 600


def found_share(world: World, planted: Planted) -> dict[str, Any]:
    """How many leaks are listed as near-duplicates of the right person, and as theirs by the verification."""
    pairs = near_duplicates(world.gallery, planted.matches, world.limits)["pairs"]
    near = {p["synthetic"] for p in pairs if p["subject"] in planted.owners[p["synthetic"]]}
    met = verified(world, planted.side, world.beat_limits)
    known = {name for name, subject in met.items() if subject in planted.owners[name]}
    n = len(planted.owners)
    return {"n": n, "near": len(near), "known": len(known), "either": len(near | known)}


def verified(world: World, side: Side, limits: dict[int, float]) -> dict[str, str]:
    """Records that are listed for a person by the beats."""
    return {row["synthetic"]: row["subject"] for row in listed(world.beats, places_of(side), limits)}


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
        replace(
            world.holdout,
            samples=[s for s in world.holdout.samples if (s.strip.subject in half) == side],
            known=[k for k in world.holdout.known if (k.subject in half) == side],
        )
        for side in (True, False)
    ]
    limits = [world.limits_beside(side) for side in sides]
    known = set(verified(world, sides[0], limits[1])) | set(verified(world, sides[1], limits[0]))
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
    leaks = list(zip(planted.matches, planted.side.samples, strict=True))
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


def membership_power(world: World, share: float, seeds: int, size: int) -> dict[str, Any]:
    """How often the attacks notice ``share`` of ``size`` training people among strangers' records.

    As many training people as holdout people are drawn anew for every seed.
    """
    made = {s.strip.rhythm for s in world.clean.samples}
    sides = [[s for s in side.samples if s.strip.rhythm in made] for side in (world.train, world.holdout)]
    people = [sorted({s.strip.subject for s in side}) for side in sides]
    size = min(size, *map(len, people))
    verdicts, worst = [], []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, round(1000 * share), size])
        drawn = [[own[i] for i in rng.permutation(len(own))[:size]] for own in people]
        leaked = set(drawn[0][: round(share * size)])
        chosen = [
            [s for s in side if s.strip.subject in set(own)] for side, own in zip(sides, drawn, strict=True)
        ]
        copies = [s for s in chosen[0] if s.strip.subject in leaked]
        found = membership(*chosen, [*world.clean.samples, *copies], seed=seed)
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


def run_rhythm(world: World, rhythm: str, leaks: int, seeds: int) -> dict[str, Any]:
    """Detection of every kind of leak, contaminated sets and one leak in a thousand, for one rhythm."""
    detection: list[dict[str, Any]] = []
    sets: list[dict[str, Any]] = []
    thousand = {"tried": 0, "listed": 0}
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
    return {"detection": detection, "sets": sets, "one_in_a_thousand": thousand}


def run(world: World, rhythms: list[str], leaks: int, seeds: int, work: Path) -> dict[str, Any]:
    """All tables; what is done of a rhythm is kept in ``work`` and not done again."""
    work.mkdir(parents=True, exist_ok=True)
    parts = []
    for rhythm in rhythms:
        done = work / f"leaks-{rhythm}-{leaks}-{seeds}.json"
        if not done.is_file():
            text = json.dumps(run_rhythm(world, rhythm, leaks, seeds))
            done.write_text(text, encoding="utf-8")
        parts.append(json.loads(done.read_text(encoding="utf-8")))
    tried = [part["one_in_a_thousand"] for part in parts]
    needed = people_needed(level=0.05 / len(ATTACKS)) or 0
    return {
        "people_searched": len(world.train.people),
        "people_of_limits": len(world.holdout.people),
        "people_of_false_positives": len(world.clean.people),
        "detection": [row for part in parts for row in part["detection"]],
        "false_positives": false_positives(world),
        "one_in_a_thousand": {key: sum(row[key] for row in tried) for key in ("tried", "listed")},
        "sets": [row for part in parts for row in part["sets"]],
        "membership": [membership_power(world, share, 10, needed) for share in (0.0, 0.05)],
        "verification": verification(
            world.train.samples,
            world.spare,
            [*world.holdout.samples, *world.clean.samples],
            rhythms,
            load_verifier(),
        ),
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, default=Path("docs/results/split.json"))
    parser.add_argument("--rhythm", default=RHYTHMS)
    parser.add_argument("--leaks", type=int, default=12, help="leaks of each kind, rhythm and seed")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("leaks-work"), help="what is done; resumes from it")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
    world = World(options.data, split, options.workers)
    rhythms = [find_rhythm(name).name for name in options.rhythm.split(",")]
    results = run(world, rhythms, options.leaks, options.seeds, options.work)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "leaks.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (options.out / "leaks.md").write_text(markdown(results), encoding="utf-8")
    plot(results, options.out / "leaks.png")
    print(markdown(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

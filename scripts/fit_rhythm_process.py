"""Fit the rhythm process to annotated recordings and write ``ecgsynth/weights/rhythm_process.json``.

    python scripts/fit_rhythm_process.py --data DIR [--split split.json]

DIR holds the databases as folders (mitdb, cinc2017, ptbxl, ...). With a split manifest only its training
people are used. Per rhythm and person: mean RR, coefficient of variation (CV) and nRMSSD / CV of RR
intervals over stretches of up to 10 s; over people: mean vector and Cholesky factor of the covariance of
their logarithms. Rhythms with fewer than `ENOUGH` people keep the literature's values, named in "source".
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rhythm_evidence import ENOUGH, Array, Evidence, restlessness, robust_sd, stretch_traits
from rhythm_habits import fit_ectopy, fit_transients
from rhythm_literature import (
    BEAT_JITTER_S,
    DISORDER,
    LITERATURE,
    LOG_AMP_MEAN,
    OSC_KEYS,
    OSC_RANGE,
    OSCILLATION,
    USUAL_SPREAD,
    VF_SHAPE,
)

from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.plan_parts import oscillation as plan_oscillation
from ecgsynth.generators.rr_basics import Person
from ecgsynth.generators.rr_models import MODELS, SINUS
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.split import SplitManifest

#: Rhythms whose model is checked against people's stretches, and people from whom their spread is taken.
CALIBRATED, MANY = (*SINUS, "afib", "paced"), 15


def read_databases(root: Path) -> Iterator[Record]:
    """Records of every database found under ``root``."""
    from ecgsynth.datasets import find_reader, recognise

    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        database = recognise(folder)
        if database not in ("folder", "qtdb"):
            yield from find_reader(database)(folder)


def training_people(split: Path | None) -> set[str] | None:
    """People of the training part of a split manifest, or None for everyone."""
    return None if split is None else set(SplitManifest.from_json(split.read_text(encoding="utf-8")).train)


def over_people(people: dict[str, list[Array]]) -> tuple[Array, Array, float]:
    """Mean [3] and covariance [3, 3] of people's mean traits, less what few beats explain; mean count."""
    means = np.array([np.mean(stretches, axis=0) for stretches in people.values()])
    # A detector that fails on one person must not widen everybody's spread.
    centre = np.median(means, axis=0)
    reach = 2.5 * robust_sd(means) + 1e-3
    means = np.clip(means, centre - reach, centre + reach)
    beats = np.array([np.sum(stretches, axis=0)[3] for stretches in people.values()])
    cov = np.cov(means[:, :3].T)
    noise = np.mean(1.0 / (2.0 * np.maximum(beats - 1, 1)))
    for k in (1, 2):
        kept = np.sqrt(max(cov[k, k] - noise, 0.25 * cov[k, k]) / cov[k, k])
        cov[k] *= kept
        cov[:, k] *= kept
    return means[:, :3].mean(axis=0), cov, float(beats.mean())


def literature_entry(name: str) -> dict[str, Any]:
    """Parameters of a rhythm from the literature alone."""
    given = dict(LITERATURE[name])
    entry: dict[str, Any] = {"people": 0, "source": given.pop("source")}
    if name in OSCILLATION:
        entry["oscillation"] = dict(zip(OSC_KEYS, OSCILLATION[name], strict=True))
        entry["oscillation"]["freq_range"] = list(OSC_RANGE[name])
        if name in DISORDER:
            entry["oscillation"]["disorder"] = list(DISORDER[name])
        if name in LOG_AMP_MEAN:
            entry["oscillation"]["log_amp_mean"] = LOG_AMP_MEAN[name]
    if "rate" not in given:
        return entry
    low, high = given.pop("limits")
    entry["log_mean"] = [
        float(np.log(60 / given.pop("rate"))),
        float(np.log(given.pop("cv"))),
        float(np.log(given.pop("ratio"))),
    ]
    entry["log_scale"] = np.diag([given.pop("spread"), *USUAL_SPREAD]).tolist()
    entry["rr_range"] = [60 / high, 60 / low]
    entry["cv_range"] = [given.pop("cv_low", 0.004), given.pop("cv_high", 0.45)]
    return entry | given


def fit_rhythm(name: str, evidence: Evidence) -> dict[str, Any]:
    """Parameters of one rhythm: fitted where at least `ENOUGH` people show it, else the literature's."""
    entry = literature_entry(name)
    people = evidence.traits[name]
    entry["people"] = len(people) or len(evidence.frequency[name])
    if len(people) >= ENOUGH and name != "aflutter":
        entry |= fit_traits(name, entry, people, 5.0)
        if name in CALIBRATED:
            entry["by_source"] = {
                source: fit_traits(name, entry | {"jitter": BEAT_JITTER_S.get(source, 0.0)}, own, 10.0)
                for source, own in by_source(people).items()
                if len(own) >= ENOUGH
            }
        entry["source"] = f"fitted to {len(people)} people; limits and the rest: {entry['source']}"
    fit_coupling(entry, evidence.coupling[name])
    fit_frequency(name, entry, evidence.frequency[name], evidence.restless[name])
    if name == "vf":
        entry["shape"] = VF_SHAPE | fit_transients(list(evidence.spikes.values()), evidence.smooth)
    return entry


def by_source(people: dict[str, list[Array]]) -> dict[str, dict[str, list[Array]]]:
    """The people of each source: ``mitdb/201`` is of mitdb."""
    table: dict[str, dict[str, list[Array]]] = {}
    for person, stretches in sorted(people.items()):
        table.setdefault(person.split("/")[0], {})[person] = stretches
    return table


def fit_traits(
    name: str, entry: dict[str, Any], people: dict[str, list[Array]], usual: float
) -> dict[str, Any]:
    """Mean and spread of people's traits, and the skew of their RR; `entry` stands in for `usual` people."""
    mean, cov, _ = over_people(people)
    shrink = len(people) / (len(people) + usual)
    before = np.asarray(entry["log_scale"])
    # What the literature gives has no correlations to lend.
    before = before if "skew" in entry else np.diag(np.diag(before))
    mean = shrink * mean + (1 - shrink) * np.asarray(entry["log_mean"])
    cov = shrink * cov + (1 - shrink) * before @ before.T
    found = {"log_mean": mean.tolist(), "log_scale": np.linalg.cholesky(cov).tolist()}
    return calibrated(name, entry | found, people) if name in CALIBRATED else found


def calibrated(name: str, entry: dict[str, Any], people: dict[str, list[Array]]) -> dict[str, Any]:
    """Parameters with which the model's own stretches show what people's stretches do.

    A short stretch misses slow drift, so its CV is below that of the process, and it is skew by chance;
    matched by simulated moments: medians of the traits and, with `MANY` people, their spread over stretches
    (each person counts the same).
    """
    shown = np.array([stretch for own in people.values() for stretch in own[:3]])
    count = int(np.median([stretch[3] for own in people.values() for stretch in own]))
    target = np.asarray(entry["log_mean"])
    trial, scale = target.copy(), np.asarray(entry["log_scale"])
    wanted, skew = robust_sd(shown[:, 1:3]), np.asarray(entry.get("skew", [0.0, 0.0]))
    if len(people) >= MANY:
        target[1:] = np.median(shown[:, 1:3], axis=0)
    bent = name in SINUS and len(people) >= MANY
    for _ in range(8):
        fit = entry | {"log_mean": trial.tolist(), "log_scale": scale.tolist(), "skew": skew.tolist()}
        seen = simulated(name, fit, count)
        trial[1:] += 0.7 * (target[1:] - np.median(seen[:, 1:3], axis=0))
        trial[2] = float(np.clip(trial[2], -0.9, 0.4))
        if len(people) < MANY:
            continue
        scale[1:] *= np.clip(wanted / robust_sd(seen[:, 1:3]), 0.8, 1.25)[:, None]
        if bent:
            skew = bent_more(skew, shown[:, 4], seen[:, 4])
    found = {"log_mean": trial.tolist(), "log_scale": scale.tolist()}
    return found | ({"skew": skew.tolist()} if name in SINUS else {})


def bent_more(skew: Array, shown: Array, seen: Array) -> Array:
    """Mean and SD of the bend that bring the skewness `seen` to that `shown`: some 2.5 times the bend."""
    more = (np.median(shown) - np.median(seen)) / 2.5
    wider = (robust_sd(shown) ** 2 - robust_sd(seen) ** 2) / 2.5**2
    return np.array(
        [np.clip(skew[0] + 0.7 * more, -0.5, 0.5), np.sqrt(np.clip(skew[1] ** 2 + 0.5 * wider, 0.0, 0.36))]
    )


def simulated(name: str, fit: dict[str, Any], count: int) -> Array:
    """What `stretch_traits` shows of stretches of ``count`` intervals of 400 people of the model."""
    rng = np.random.default_rng(7)
    seen = []
    for _ in range(400):
        traits = np.clip(rng.standard_normal(3), -2.5, 2.5)
        breathing = float(np.clip(rng.normal(0.26, 0.05), 0.14, 0.42))
        person = Person(traits, breathing, 0.145, rng.uniform(size=6))
        course = MODELS[name](fit, person, None, 1.5 * count, rng)
        jitter = fit.get("jitter", 0.0) * rng.standard_normal(len(course.clock))
        rr = np.diff(course.clock + course.fixed + jitter)[:count]
        shows = stretch_traits(rr, np.ones(len(rr), dtype=bool))
        if shows is not None:
            seen.append(shows)
    return np.array(seen)


def fit_coupling(entry: dict[str, Any], people: dict[str, list[Array]]) -> None:
    """Coupling interval over sinus cycle: mean and SD over people, and relative SD within one."""
    if len(people) < ENOUGH:
        return
    means = [float(np.concatenate(c).mean()) for c in people.values()]
    within = [float(np.concatenate(c).std() / np.concatenate(c).mean()) for c in people.values()]
    entry["coupling"] = [float(np.mean(means)), float(np.std(means, ddof=1))]
    entry["coupling_within"] = float(np.median(within))


def fit_frequency(
    name: str,
    entry: dict[str, Any],
    people: dict[str, list[float]],
    restless: dict[str, list[float]] | None = None,
) -> None:
    """Dominant frequencies: of fibrillation and ventricular flutter, and the rate of unmarked VT."""
    if len(people) < 3:
        return
    means = np.array([np.median(values) for values in people.values()])
    strips = [np.asarray(values) for values in people.values() if len(values) > 2]
    within = np.mean([robust_sd(values) for values in strips])
    if name == "vt":
        intervals = np.log(60 / np.clip(60 * means, 100, 260))
        weight = len(means) / (len(means) + 5.0)
        entry["log_mean"][0] = float(weight * intervals.mean() + (1 - weight) * entry["log_mean"][0])
        entry["log_scale"] = np.diag([max(float(intervals.std(ddof=1)), 0.18), *USUAL_SPREAD]).tolist()
        entry["people"] = max(entry["people"], len(people))
        entry["source"] = (
            f"rate: dominant frequency in {len(people)} people; the rest: {LITERATURE['vt']['source']}"
        )
        return
    # Robust: a few strips of agonal or mislabelled activity must not set the spread.
    spread = float(robust_sd(means))
    entry["oscillation"] |= {
        "freq_mean": float(np.median(means)),
        "freq_sd_people": spread,
        "freq_sd_within": float(within),
    }
    if name in DISORDER and restless is not None and len(restless) >= ENOUGH:
        entry["oscillation"]["disorder"] = fit_disorder(name, entry["oscillation"], restless)
    entry["source"] = f"frequencies: {len(people)} people; amplitude and time constants: {entry['source']}"


def fit_disorder(name: str, oscillation: dict[str, Any], people: dict[str, list[float]]) -> list[float]:
    """Mean and SD over people of the log of the noise in a fibrillation wave, from how its frequency jumps.

    Waves with known shares of noise are drawn and measured as the real ones were; each person's share is
    read off the curve.
    """
    shares = np.geomspace(0.1, 2.0, 12)
    n = 10 * PLAN_FS
    person = Person(np.zeros(3), 0.25, 0.16, np.full(6, 0.5))
    curve = []
    for share in shares:
        fit = {**oscillation, "disorder": [float(np.log(share)), 0.0]}
        rngs = [np.random.default_rng(seed) for seed in range(40)]
        curve.append(np.mean([restlessness(plan_oscillation(name, fit, n, person, rng)[0]) for rng in rngs]))
    rising = np.maximum.accumulate(curve)
    logs = np.array([np.interp(np.median(x), rising, np.log(shares)) for x in people.values()])
    return [float(np.median(logs)), float(robust_sd(logs))]


def fit_age(evidence: Evidence) -> list[float]:
    """Slope per year of each trait score on age in people in sinus rhythm, in units of its SD."""
    people = evidence.traits["nsr"]
    known = [p for p in people if p in evidence.ages]
    if len(known) < 50:
        return [0.0, -0.01, 0.0]
    ages = np.array([evidence.ages[p] for p in known])
    traits = np.array([np.mean(people[p], axis=0)[:3] for p in known])
    mean, cov, _ = over_people(people)
    scores = np.linalg.solve(np.linalg.cholesky(cov), (traits - mean).T).T
    return [float(np.polyfit(ages, scores[:, k], 1)[0]) for k in range(3)]


def rounded(value: Any) -> Any:
    """The same nested value with floats at five decimals, so that the file stays small and diffs readable."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def main() -> None:
    """Read, fit, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="folder of databases; without it only literature values are written"
    )
    parser.add_argument("--split", type=Path, help="split manifest; only its training people are used")
    default = Path(__file__).resolve().parents[1] / "ecgsynth" / "weights" / "rhythm_process.json"
    parser.add_argument("--out", type=Path, default=default)
    args = parser.parse_args()
    evidence, train = Evidence(), training_people(args.split)
    for record in read_databases(args.data) if args.data else ():
        if train is None or record.subject in train:
            evidence.add(record)
    table: dict[str, Any] = {
        "made_by": "scripts/fit_rhythm_process.py",
        "split": args.split.name if args.split else None,
        "age_slope": fit_age(evidence),
        "ectopy": fit_ectopy(evidence),
        "beat_jitter_s": BEAT_JITTER_S,
        "rhythms": {name: fit_rhythm(name, evidence) for name in RHYTHMS},
    }
    args.out.write_text(json.dumps(rounded(table), indent=1) + "\n", encoding="utf-8")
    for name, entry in table["rhythms"].items():
        print(f"{name:18s} {entry['people']:4d} people  {entry['source']}")


if __name__ == "__main__":
    main()

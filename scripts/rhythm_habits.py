"""Premature beats of sinus rhythms and spikes of fibrillation, fitted for fit_rhythm_process.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from rhythm_evidence import ENOUGH, Array, Evidence, robust_sd

from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.vf_shape import draw_transients, find_transients


def fit_ectopy(evidence: Evidence) -> dict[str, Any]:
    """Habits of premature beats, atrial (A) and ventricular (V), by ``source/rhythm``, source, elsewhere.

    Elsewhere is what the 12-lead recordings with statements show in sinus rhythms, all sources together, and
    mitdb's own is that of its unselected people (100-124).
    """
    unselected = [
        np.array([sum(v for v, _ in counts), sum(n for _, n in counts)])
        for counts in evidence.ectopy.values()
    ]
    table: dict[str, Any] = {"source": "training people; mitdb: annotations; others: statement and timing"}
    for kind, places in evidence.premature.items():
        clinical = [
            row
            for place, people in places.items()
            if not place.startswith("mitdb") and not place.endswith("tachycardia")
            for row in people.values()
        ]
        share, log_share = habit_of(clinical, (0.1, [-4.0, 1.0]))
        entry: dict[str, Any] = {
            "people": {"elsewhere": share},
            "log_share": {"elsewhere": log_share},
            "most": 0.3,
        }
        groups = {place: list(people.values()) for place, people in places.items()}
        if kind == "V":
            groups["mitdb"] = unselected
        for place, rows in sorted(groups.items()):
            if len(rows) >= ENOUGH:
                entry["people"][place], own = habit_of(rows, (share, log_share))
                entry["log_share"] |= {place: own} if own != log_share else {}
        table[kind] = entry
    people = [np.array(beats) for beats in evidence.atrial.values()]
    table["A"] |= atrial_timing(people)
    return table


def habit_of(rows: list[Array], usual: tuple[float, list[float]]) -> tuple[float, list[float]]:
    """Share of people with ectopic beats, and mean and SD of the log of their share of beats.

    `rows` are each person's ectopic and all beats; `usual` stands in for two people and, below `ENOUGH`
    people with such beats, for the spread of their shares. One in 500 beats counts as a habit. Someone who
    has one shows none in a short recording now and then: those seen are weighed up for those not seen.
    """
    having = [row for row in rows if row[0] > 0.002 * row[1]]
    seen = sum(1.0 / (1.0 - (1.0 - row[0] / row[1]) ** row[1]) for row in having)
    share = float(min((seen + 2 * usual[0]) / (len(rows) + 2), 0.95))
    if len(having) < ENOUGH:
        return share, usual[1]
    logs = np.log([row[0] / row[1] for row in having])
    return share, [float(logs.mean()), float(logs.std(ddof=1))]


def atrial_timing(people: list[Array]) -> dict[str, Any]:
    """Coupling and pause of atrial ectopic beats over the sinus cycle, from people's [beats, 2]."""
    several = [beats for beats in people if len(beats) > 2]
    if len(several) < ENOUGH:
        return {"coupling": [0.7, 0.08], "coupling_within": 0.05, "pause": [1.1, 0.1]}
    means = np.array([np.median(beats, axis=0) for beats in people])
    within = np.median([beats[:, 0].std(ddof=1) for beats in several])
    pauses = np.concatenate([beats[:, 1] for beats in people])
    return {
        "coupling": [float(means[:, 0].mean()), float(means[:, 0].std(ddof=1))],
        "coupling_within": float(within),
        "pause": [float(np.median(pauses)), float(robust_sd(pauses))],
    }


def fit_transients(people: list[list[Array]], smooth: list[Array]) -> dict[str, Any]:
    """Spikes of fibrillation from people's strips of 10 s: who has them, how many in a second, how high.

    Small spikes hide in the wave, and close ones are one: spikes of the heights that were found are drawn
    over the `smooth` strips, which have none of their own, in so many strips and so often that as many are
    found as in people's strips (people weigh the same).
    """
    target = spikes_seen(people)
    fit = {"strips": target[0], "log_rate": target[1:3].tolist(), "log_size": target[3:].tolist()}
    if len(people) < ENOUGH or len(smooth) < ENOUGH:
        return fit
    for _ in range(8):
        rngs = [np.random.default_rng(seed) for seed in range(400)]
        backs = [smooth[k % len(smooth)] for k in range(len(rngs))]
        drawn = [x + draw_transients(len(x), fit, rng) for x, rng in zip(backs, rngs, strict=True)]
        seen = spikes_seen([[find_transients(strip, PLAN_FS)] for strip in drawn])
        more = 0.7 * (target - seen)
        fit["strips"] = float(np.clip(fit["strips"] + more[0], 0.05, 0.95))
        fit["log_rate"][0] = float(fit["log_rate"][0] + more[1])
    return fit


def spikes_seen(people: list[list[Array]]) -> Array:
    """Share of strips of 10 s with spikes; mean and SD of the log of spikes a second in these; of heights."""
    showing = [[sizes for sizes in strips if len(sizes)] for strips in people]
    share = np.mean([len(has) / len(strips) for has, strips in zip(showing, people, strict=True)])
    rates = [np.mean([np.log(len(sizes) / 10.0) for sizes in strips]) for strips in showing if strips]
    spread = np.std([np.log(len(sizes) / 10.0) for strips in showing for sizes in strips])
    sizes = [np.log(np.concatenate(strips)) for strips in showing if strips]
    means = [own.mean() for own in sizes]
    wide = np.sqrt(np.mean([own.var() for own in sizes]) + np.var(means))
    return np.array([share, np.mean(rates), spread, np.mean(means), wide])

"""Which strips go on the sheet: as many real as synthetic ones of each rhythm and lead, few of one person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ecgsynth.blind.candidates import Candidate, Pool
from ecgsynth.errors import TooFewPeopleError
from ecgsynth.report.leads import UNNAMED


def choose(
    real: Pool, synthetic: Pool, rhythms: Sequence[str], n: int, per_person: int, seed: int
) -> list[Candidate]:
    """``n`` strips of each side, shuffled; rhythms share them evenly, the first get what is left over.

    Strips are taken in pairs of one rhythm and lead, so that neither tells the side; where the lead of one
    is not known, that of the other is left unsaid. Of those who have the lead, people with the fewest strips
    on the sheet so far come first. Rhythms of few people choose first.

    Raises
    ------
    TooFewPeopleError
        If a rhythm has too few people or records for its share of the strips.
    """
    rng = np.random.default_rng(seed)
    share = {name: n // len(rhythms) + (i < n % len(rhythms)) for i, name in enumerate(rhythms)}
    used: Counter[str] = Counter()
    chosen: list[Candidate] = []
    for name in sorted(rhythms, key=lambda name: (len(_people(real, name)), rhythms.index(name))):
        sides = [[s for s in pool.strips if s.rhythm == name] for pool in (real, synthetic)]
        for taken in range(share[name]):
            pair = _next_pair(sides, used, per_person, rng)
            if pair is None:
                raise TooFewPeopleError(_too_few(name, taken, share[name], real, synthetic, per_person))
            chosen += pair
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _next_pair(
    sides: list[list[Candidate]], used: Counter[str], per_person: int, rng: np.random.Generator
) -> list[Candidate] | None:
    """One strip of each side in the same lead, taken out of the sides; None where there is none."""
    free = [[s for s in side if used[s.person] < per_person] for side in sides]
    free = [free[0] + _unnamed(free[0], free[1]), free[1] + _unnamed(free[1], free[0])]
    people = [Counter(lead for lead, _ in {(s.lead, s.person) for s in side}) for side in free]
    leads = sorted(people[0].keys() & people[1].keys())
    if not leads:
        return None
    weights = np.array([min(people[0][lead], people[1][lead]) for lead in leads], dtype=float)
    lead = leads[int(rng.choice(len(leads), p=weights / weights.sum()))]
    pair = []
    for side, able in zip(sides, free, strict=True):
        strip = min((s for s in able if s.lead == lead), key=lambda s: (used[s.person], s.place))
        used[strip.person] += 1
        pair.append(strip)
        # The same seconds in another lead would be the same beats twice.
        side[:] = [
            s for s in side if (s.person, s.record, s.start) != (strip.person, strip.record, strip.start)
        ]
    return pair


def _unnamed(side: list[Candidate], other: list[Candidate]) -> list[Candidate]:
    """Strips whose lead is left unsaid, as that of some of the other side is not known."""
    if not any(s.lead == UNNAMED for s in other):
        return []
    return [replace(s, lead=UNNAMED) for s in side if s.lead != UNNAMED]


def _people(pool: Pool, rhythm: str) -> set[str]:
    return {strip.person for strip in pool.strips if strip.rhythm == rhythm}


def _too_few(rhythm: str, found: int, wanted: int, real: Pool, synthetic: Pool, per_person: int) -> str:
    leads = [sorted({s.lead for s in pool.strips if s.rhythm == rhythm}) for pool in (real, synthetic)]
    said = [", ".join(names) or "none" for names in leads]
    return (
        f"{rhythm}: {found} pairs of strips where {wanted} were asked for. Real: "
        f"{len(_people(real, rhythm))} people (leads {said[0]}), at most {per_person} strips each; "
        f"synthetic: {len(_people(synthetic, rhythm))} records (leads {said[1]}). Add folders, or ask for a "
        "smaller --n or other --rhythms."
    )

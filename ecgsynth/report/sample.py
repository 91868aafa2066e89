"""A sample of strips from a stream: few of each person, no more than fit in memory, any order the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from ecgsynth.report.ground import Ground
from ecgsynth.report.strips import Strip


class Sample:
    """Keeps the strips with the lowest places.

    Parameters
    ----------
    most : int
        Strips in all.
    per_person : int
        Strips of one person and lead.
    """

    def __init__(self, most: int, per_person: int) -> None:
        self.most, self.per_person = most, per_person
        self.seen = 0
        self._of: dict[tuple[str, str], list[Strip]] = defaultdict(list)
        self._count = 0
        self._bar: int | None = None

    def add(self, strip: Strip) -> None:
        """Take a strip, or leave it."""
        self.seen += 1
        if self._bar is not None and strip.place > self._bar:
            return
        own = self._of[strip.subject, strip.lead]
        own.append(strip)
        self._count += 1
        if len(own) > self.per_person:
            own.remove(max(own, key=lambda s: s.place))
            self._count -= 1
        if self._count > 2 * self.most:
            self._keep(self._lowest())

    def _lowest(self) -> list[Strip]:
        strips = sorted((s for own in self._of.values() for s in own), key=lambda s: s.place)
        return strips[: self.most]

    def _keep(self, strips: Sequence[Strip]) -> None:
        self._bar = strips[-1].place
        self._of.clear()
        self._count = len(strips)
        for strip in strips:
            self._of[strip.subject, strip.lead].append(strip)

    def strips(self) -> list[Strip]:
        """The sample, in the order of record, place in the record and lead."""
        return sorted(self._lowest(), key=lambda s: (s.record, s.start, s.lead))


def same_mix(ground: Ground, first: list[Strip], second: list[Strip]) -> tuple[list[Strip], list[Strip]]:
    """Both samples with the same share of each lead, where leads are pooled; else as they are.

    The share of a lead is what the side has that has less of it; of the rest, strips with the lowest places
    are kept.
    """
    if not ground.pooled:
        return first, second
    counts = [Counter(strip.lead for strip in side) for side in (first, second)]
    wanted = np.array([min(c[lead] / max(1, sum(c.values())) for c in counts) for lead in ground.leads])
    if not wanted.any():
        return [], []
    wanted = wanted / wanted.sum()
    kept = []
    for side, count in zip((first, second), counts, strict=True):
        room = min(count[ld] / w for ld, w in zip(ground.leads, wanted, strict=True) if w > 0)
        quota = {ld: round(room * w) for ld, w in zip(ground.leads, wanted, strict=True)}
        chosen: list[Strip] = []
        for lead, n in quota.items():
            own = sorted((s for s in side if s.lead == lead), key=lambda s: s.place)
            chosen += own[:n]
        kept.append(sorted(chosen, key=lambda s: (s.record, s.start, s.lead)))
    return kept[0], kept[1]


def mix_note(ground: Ground, strips: Sequence[Strip]) -> str | None:
    """The share of each lead in a sentence, where leads are pooled."""
    if not ground.pooled or not strips:
        return None
    counts = Counter(strip.lead for strip in strips)
    parts = [f"{lead} {counts[lead] / len(strips):.0%}" for lead in ground.leads if counts[lead]]
    return f"Strips by lead: {', '.join(parts)}."

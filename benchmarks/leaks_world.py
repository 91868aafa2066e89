"""People searched, limits, strangers and leaks, read once. Used by leaks.py."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from leaks_planting import CHANGES, SAME_PERSON, Source, as_record, set_aside, sources_of, with_all_leads

from ecgsynth.datasets import read_all
from ecgsynth.engine import Engine
from ecgsynth.pack import trainable
from ecgsynth.privacy.beat_gallery import BeatGallery, places_of
from ecgsynth.privacy.calibration import Limits, fit_limits
from ecgsynth.privacy.copies import Match, find_copies
from ecgsynth.privacy.gallery import Gallery, build_gallery
from ecgsynth.privacy.same_person import limits_of
from ecgsynth.privacy.samples import Sample, Side, read_side
from ecgsynth.privacy.verifier import load_verifier
from ecgsynth.records import Record
from ecgsynth.split import SplitManifest


@dataclass(frozen=True)
class Planted:
    """Leaks of one kind and rhythm: the records, their strips' matches, and whom each was made from."""

    side: Side
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
        self.crew = Engine(workers=workers)
        self.train = read_side("train", searched, whole=True)
        self.holdout = read_side("holdout", parts["test"])
        self.clean = read_side("synthetic", parts["val"])
        self.sources, self.spare = sources_of(searched), sources_of(spare)
        self.gallery: Gallery = build_gallery(self.train.traces)
        self.limits: dict[str, Limits] = fit_limits(self.search(self.holdout.samples))
        self.clean_matches = self.search(self.clean.samples)
        self.beats = BeatGallery(self.train, load_verifier())
        self.beat_limits = self.limits_beside(self.holdout)
        print(
            f"{len(self.train.people)} people searched, {len(self.gallery.page_trace)} pages", file=sys.stderr
        )

    def limits_beside(self, strangers: Side) -> dict[int, float]:
        """Limits of the beats, by strangers and by training people."""
        return limits_of(self.beats, places_of(strangers), places_of(self.train))

    def search(self, samples: Sequence[Sample]) -> list[Match]:
        """The nearest recordings of the strips of ``samples``."""
        return find_copies(self.gallery, [s.strip for s in samples], self.crew)

    def plant(self, kind: str, rhythm: str, count: int, rng: np.random.Generator) -> Planted | None:
        """``count`` leaks of people of ``rhythm``, as many of each person as can be; None without any."""
        pool = [s for s in (self.spare if kind in SAME_PERSON else self.sources) if s.rhythm == rhythm]
        chosen = _spread(pool, count, rng)
        records, owners = [], {}
        for k, source in enumerate(chosen):
            others = [s for s in pool if s.subject != source.subject]
            if kind == "mix of two people" and not others:
                continue
            name = f"leak_{k}"
            other = others[int(rng.integers(len(others)))] if others else source
            signal = CHANGES[kind](source.strip, source, [other], rng)
            whole = kind == "same person"
            records.append(with_all_leads(source, name) if whole else as_record(signal, source, name))
            owners[name] = {source.subject, other.subject} if kind.startswith("mix") else {source.subject}
        if not records:
            return None
        side = read_side("synthetic", records, every_strip=True)
        return Planted(side, self.search(side.samples), owners)


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

"""Who is trained on, who chooses the model, and who is kept to judge it: people, never records, split once.

A split is a small JSON file with a hash of its content. Whatever is trained or measured carries that hash,
so a later tool can tell whether the people it is shown were seen in training.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ecgsynth.errors import OptionError, RecordError
from ecgsynth.records import Record

PARTS: Final = ("train", "val", "test")
#: Shuffles tried; the one taken leaves the fewest rhythms without someone in a part, and then keeps closest
#: to the fractions.
TRIES = 32


@dataclass(frozen=True)
class SplitManifest:
    """People per part.

    Attributes
    ----------
    train, val, test : tuple of str
        Subjects as in `Record.subject`, sorted; no subject in two parts.
    seed : int
        Seed of the shuffle.
    fractions : tuple of float
        Shares of people asked for, in the order of the parts.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    seed: int
    fractions: tuple[float, float, float]

    @property
    def sha256(self) -> str:
        """Hex digest over the canonical JSON (sorted keys, no spaces) of everything but itself."""
        text = json.dumps(self._content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def _content(self) -> dict[str, Any]:
        parts = {part: list(getattr(self, part)) for part in PARTS}
        return {"seed": self.seed, "fractions": list(self.fractions), **parts}

    def part_of(self, subject: str) -> str | None:
        """``train``, ``val`` or ``test``; None for someone who is not in the split."""
        return next((part for part in PARTS if subject in getattr(self, part)), None)

    def to_json(self) -> str:
        """The manifest as JSON, with its own hash in it."""
        return json.dumps({"sha256": self.sha256, **self._content()}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> SplitManifest:
        """Read what `to_json` wrote.

        Raises
        ------
        RecordError
            If it is not such a manifest, was edited since (the hash differs), or a person is in two parts.
        """
        try:
            raw = json.loads(text)
            low, mid, high = (float(share) for share in raw["fractions"])
            people = {part: tuple(str(name) for name in raw[part]) for part in PARTS}
            manifest = cls(**people, seed=int(raw["seed"]), fractions=(low, mid, high))
            stated = raw["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(
                f"split manifest: not readable ({type(error).__name__}: {error}); expected the JSON that the "
                "split wrote. Make the split again."
            ) from error
        if stated != manifest.sha256:
            raise RecordError(
                f"split manifest: sha256 says {str(stated)[:12]}, its content gives {manifest.sha256[:12]}; "
                "it was edited. Use the original, or make the split again."
            )
        check_disjoint(train=manifest.train, val=manifest.val, test=manifest.test)
        return manifest


def check_disjoint(**groups: Iterable[str]) -> None:
    """Make sure that no person is in two of the named groups.

    Raises
    ------
    RecordError
        Naming the first such person, the two groups and how many they have in common.

    Examples
    --------
    >>> check_disjoint(train=["mitdb/100"], test=["mitdb/101"])
    """
    names = list(groups)
    sets = {name: set(group) for name, group in groups.items()}
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            both = sets[one] & sets[other]
            if both:
                raise RecordError(
                    f"split: {len(both)} people are in both {one} and {other}, first {min(both)}; a "
                    "person may be in one part only. Split again by subject."
                )


def people_of(records: Iterable[Record]) -> dict[str, set[str]]:
    """Subjects and the rhythms each was seen in (as `split_people` wants it)."""
    people: dict[str, set[str]] = {}
    for record in records:
        seen = people.setdefault(record.subject, set())
        seen.update(e.rhythm for e in record.episodes if e.rhythm is not None)
    return people


def split_people(
    people: Mapping[str, Iterable[str]],
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int = 0,
) -> SplitManifest:
    """Split people so that each rhythm is spread over the parts as the fractions say.

    Iterative stratification (Sechidis, Tsoumakas & Vlahavas, ECML PKDD 2011): the rhythm with the fewest
    people first, each person to the part that lacks most. A rhythm with at least 3 people gets someone in
    every part where that is possible; people of a rhythm with fewer all go to ``train``, as two people can
    not be held out and learned from.

    Parameters
    ----------
    people : mapping of str to rhythms
        Subject to the rhythms it was seen in.
    fractions : (train, val, test)
        Positive shares that sum to 1.
    seed : int
        Same people, fractions and seed, same split, whatever the order of ``people``.

    Raises
    ------
    OptionError
        If the fractions are not positive or do not sum to 1, or there are fewer than 3 people.
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise OptionError(f"split: fractions {fractions}; allowed are three positive shares that sum to 1.")
    if len(people) < len(PARTS):
        raise OptionError(f"split: {len(people)} people; three parts need at least 3. Add recordings.")
    sorted_people = {name: frozenset(people[name]) for name in sorted(people)}
    rng = np.random.default_rng(seed)
    drawn = [_assign(sorted_people, fractions, rng) for _ in range(TRIES)]
    best = min(drawn, key=lambda part_of: _badness(sorted_people, part_of, fractions))
    parts = {part: tuple(sorted(n for n, at in best.items() if PARTS[at] == part)) for part in PARTS}
    return SplitManifest(**parts, seed=seed, fractions=fractions)


def _by_rhythm(people: Mapping[str, frozenset[str]]) -> list[tuple[str, list[str]]]:
    """Rhythms and their people, fewest first; people without any rhythm come last as a group of their own."""
    groups: dict[str, list[str]] = {}
    for name, rhythms in people.items():
        for rhythm in sorted(rhythms) or [""]:
            groups.setdefault(rhythm, []).append(name)
    return sorted(groups.items(), key=lambda item: (item[0] == "", len(item[1]), item[0]))


def _assign(
    people: Mapping[str, frozenset[str]], fractions: tuple[float, float, float], rng: np.random.Generator
) -> dict[str, int]:
    part_of: dict[str, int] = {}
    for _, members in _by_rhythm(people):
        counts = np.zeros(len(PARTS))
        for name in members:
            if name in part_of:
                counts[part_of[name]] += 1
        wanted = np.array(fractions) * len(members)
        waiting = [name for name in members if name not in part_of]
        for i in rng.permutation(len(waiting)):
            lacking = wanted - counts + (1e3 * (counts == 0))
            at = int(np.argmax(lacking)) if len(members) >= len(PARTS) else 0
            part_of[waiting[i]] = at
            counts[at] += 1
    return part_of


def _badness(
    people: Mapping[str, frozenset[str]], part_of: Mapping[str, int], fractions: tuple[float, float, float]
) -> tuple[int, float]:
    missing, off = 0, 0.0
    for _, members in _by_rhythm(people):
        if len(members) < len(PARTS):
            continue
        seen = Counter(part_of[name] for name in members)
        missing += sum(seen[at] == 0 for at in range(len(PARTS)))
        off += sum(abs(seen[at] / len(members) - share) for at, share in enumerate(fractions))
    return missing, off

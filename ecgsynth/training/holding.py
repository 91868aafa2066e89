"""Who of a user's folder is learned from, and who is kept out to stop by."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ecgsynth.split import split_people

#: Fewest people in all for keeping some out to stop by.
ENOUGH_TO_HOLD_OUT = 8


def hold_out(arrays: dict[str, NDArray[Any]], seed: int) -> tuple[set[str], set[str]]:
    """People to learn from and people to stop by; nobody is held out where there are few."""
    rhythms: dict[str, set[str]] = {}
    for subject, rhythm in zip(arrays["subject"], arrays["rhythm"], strict=True):
        rhythms.setdefault(str(subject), set()).add(str(rhythm))
    if len(rhythms) < ENOUGH_TO_HOLD_OUT:
        return set(rhythms), set()
    split = split_people(rhythms, fractions=(0.7, 0.2, 0.1), seed=seed)
    learned = set(split.train) | set(split.test)
    return (learned, set(split.val)) if learned and split.val else (set(rhythms), set())

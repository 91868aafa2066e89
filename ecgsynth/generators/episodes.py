"""How long paroxysms last: episodes of two rhythms that take turns, drawn as people of mitdb have them."""

from __future__ import annotations

import numpy as np

from ecgsynth.wish import PAROXYSMAL

#: Median episode in s over people (mean and SD of its log) and SD of the log within one, of atrial
#: fibrillation or flutter and of what lies between. Measured on the 4 people of mitdb (201, 217, 219, 222; 76
#: episodes each) who go in and out of it within half an hour: medians 148, 7, 40, 5 s and 43, 12, 36, 13 s.
#: Paroxysms of hours are not among them. People are drawn no farther out than `_PEOPLE` SDs.
_PAROXYSM, _BETWEEN, _PEOPLE = (3.1, 1.3, 1.2), (3.1, 0.7, 1.3), 1.5
#: Shortest episode in s. Shorter ones cannot be told from a few early beats.
SHORTEST_S = 3.0
#: Draws of a record until it shows both rhythms.
_TRIES = 200


def draw_episodes(
    first: str, second: str, seconds: float, rng: np.random.Generator
) -> tuple[tuple[str, float], ...]:
    """Rhythm and seconds of each episode of a record that begins in `first`, somewhere within an episode.

    One of the two is atrial fibrillation or flutter. Every record shows both: lengths are drawn again, the
    person with them, until it does.
    """
    laws = [_PAROXYSM if name in PAROXYSMAL else _BETWEEN for name in (first, second)]
    for _ in range(_TRIES):
        scores = np.clip(rng.standard_normal(2), -_PEOPLE, _PEOPLE)
        own = [mean + spread * score for (mean, spread, _), score in zip(laws, scores.tolist(), strict=True)]
        edges = _edges(own, [within for *_, within in laws], seconds, rng)
        if len(edges) > 2:
            names = [(first, second)[k % 2] for k in range(len(edges) - 1)]
            return tuple(zip(names, np.diff(edges).tolist(), strict=True))
    return (first, seconds / 2), (second, seconds / 2)


def _edges(own: list[float], within: list[float], seconds: float, rng: np.random.Generator) -> list[float]:
    """Where episodes begin and end, in whole samples at any usual rate: from 0 to `seconds`."""
    edges = [0.0]
    while True:
        turn = (len(edges) - 1) % 2
        length = float(np.exp(rng.normal(own[turn], within[turn])))
        length *= float(rng.uniform()) if len(edges) == 1 else 1.0
        edge = round(edges[-1] + max(length, SHORTEST_S), 1)
        if edge > seconds - SHORTEST_S:
            return [*edges, seconds]
        edges.append(edge)

"""What a checkpoint says of the people it learned from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Ages of a group are kept as this many quantiles, and only of groups of at least this many people: fewer
#: would come close to listing them.
_QUANTILES, _FEWEST = 11, 10


def describe_people(pack: Mapping[str, NDArray[Any]], people: set[str]) -> dict[str, Any]:
    """People per rhythm and how they are spread.

    Parameters
    ----------
    pack : mapping of arrays
        See :func:`ecgsynth.pack.pack`.
    people : set of str
        Those trained on.

    Returns
    -------
    dict
        ``population``: rhythm to people and seconds; ``spread``: rows of rhythm, source, lead, people;
        ``demographics``: ``rhythm/source`` (and ``*/source``) to the share of people whose age and sex are
        known, eleven quantiles of age, and the share of men.
    """
    rows = np.flatnonzero(np.isin(pack["subject"], sorted(people)))
    who: dict[str, set[str]] = defaultdict(set)
    covered: dict[str, set[tuple[str, int]]] = defaultdict(set)
    places: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    groups: dict[str, dict[str, tuple[float, int]]] = defaultdict(dict)
    for i in rows:
        rhythm, source, lead = (str(pack[key][i]) for key in ("rhythm", "source", "lead"))
        subject = str(pack["subject"][i])
        who[rhythm].add(subject)
        places[rhythm, source, lead].add(subject)
        # Leads and overlapping windows show the same seconds again: count each second of a recording once.
        first = int(pack["start"][i]) // 250
        record = str(pack["record"][i])
        covered[rhythm].update((record, first + s) for s in range(10))
        for group in (f"{rhythm}/{source}", f"*/{source}"):
            groups[group][subject] = (float(pack["age"][i]), int(pack["sex"][i]))
    return {
        "population": {r: {"people": len(who[r]), "seconds": len(covered[r])} for r in sorted(who)},
        "spread": [[*place, len(found)] for place, found in sorted(places.items())],
        "demographics": {
            key: _summary(found) for key, found in sorted(groups.items()) if len(found) >= _FEWEST
        },
    }


def _summary(found: Mapping[str, tuple[float, int]]) -> dict[str, Any]:
    known = [(age, sex) for age, sex in found.values() if np.isfinite(age) and sex >= 0]
    if len(known) < _FEWEST:
        return {"known": 0.0, "age": [], "male": 0.5}
    ages = np.quantile([age for age, _ in known], np.linspace(0.02, 0.98, _QUANTILES))
    return {
        "known": round(len(known) / len(found), 3),
        "age": [round(float(age)) for age in ages],
        "male": round(float(np.mean([sex == 1 for _, sex in known])), 3),
    }

"""What a checkpoint says of the people it learned from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import OptionError

#: Ages of a group are kept as this many quantiles, and only of groups of at least this many people: fewer
#: would come close to listing them.
_QUANTILES, _FEWEST = 11, 10
_PLACE = ("rhythm", "source", "lead")


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


def private_description(metadata: Mapping[str, Any], pack: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """What a privately trained checkpoint says of people: those of the weights that it started from.

    Of the people of `pack` it says which rhythms and leads there are, which is taken as public, and nothing
    else. Counts and ages are those of the weights before.

    Raises
    ------
    OptionError
        If a rhythm of `pack` is one that the weights have not learned from people before: with its conditions
        never seen, a bounded update would not make it.
    """
    places = sorted(
        {(str(r), str(s), str(lead)) for r, s, lead in zip(*(pack[k] for k in _PLACE), strict=True)}
    )
    names = sorted({place[0] for place in places})
    known = metadata["population"]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise OptionError(
            f"--dp-epsilon: the weights to start from know no {', '.join(unknown)}; private training refines "
            f"rhythms that they know ({', '.join(known)}). Leave the others out, or use other --from-weights."
        )
    return {
        "population": {name: known[name] for name in names},
        "spread": [[*place, 1] for place in places],
        "demographics": {},
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

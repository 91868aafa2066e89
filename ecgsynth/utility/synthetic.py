"""Synthetic strips for a study: both classes on the same devices and leads, gated."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import GateError, OptionError
from ecgsynth.fidelity.calibration import Calibration, load_calibration
from ecgsynth.fidelity.gate import check_records
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS, Record
from ecgsynth.sampling import CHUNK, Sampler
from ecgsynth.utility.study import Study
from ecgsynth.wish import Wish

#: Redraws after which a record that keeps failing the gate ends the study.
_MOST_REDRAWS = 20
#: What the table of a twelve-lead generator's people calls the leads.
_ALL_LEADS = "8"
#: Where the generators' people were recorded with the leads of a study.
_PLACES_SOURCES = ("cinc2017", "ptbxl", "mitdb", "vfdb", "cudb", "ningbo", "chapman")


def places_of(study: Study, sampler: Sampler, rhythm: str) -> list[tuple[str | None, tuple[str, ...]]]:
    """Devices and leads in which `sampler` makes strips of a rhythm, like those of the study.

    A device must have shown the generator both a rhythm that is looked for and one that is not, or the device
    would give the answer away; and this rhythm itself, where one of them has: a generator asked for what a
    device never recorded (ventricular tachycardia in the manner of cudb, which holds fibrillation only)
    extrapolates, to 29 mV in that case.

    Raises
    ------
    OptionError
        If there is none.
    """
    sources = study.sources if study.same_device else _PLACES_SOURCES
    if sampler.name == "parametric":
        if study.twelve:
            return [(None, TWELVE_LEADS)]
        known = ("mitdb", "cinc2017", "ptbxl")
        leads = [lead for lead in study.leads if lead != "ECG"] or ["II"]
        return [(s, (lead,)) for s, lead in product(known, leads) if s in sources]
    learned = {(row[0], row[1], row[2]) for row in sampler.load(study.twelve)[1]["spread"]}
    names = {_ALL_LEADS: TWELVE_LEADS} if study.twelve else {lead: (lead,) for lead in study.leads}

    def knows(rhythms: tuple[str, ...], place: tuple[str, str]) -> bool:
        return any((r, *place) in learned for r in rhythms)

    both = [
        place
        for place in product(sources, names)
        if knows(study.positive, place) and knows(study.synthetic_negative, place)
    ]
    if not both:
        raise OptionError(
            f"study {study.name}: {sampler.name} knows {', '.join(study.positive)} and the rest from no "
            f"{', '.join(study.leads)} of {', '.join(sources)} alike."
        )
    own: list[tuple[str | None, tuple[str, ...]]] = [
        (source, names[lead]) for source, lead in both if knows((rhythm,), (source, lead))
    ]
    return own or [(None, names[lead]) for lead in dict.fromkeys(lead for _, lead in both)]


def draw_pool(
    study: Study, generator: str, rhythms: tuple[str, ...], seed: int, gated: bool
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """`study.pool` strips [N, leads, samples] evenly over rhythms and places, and what was turned down.

    Raises
    ------
    OptionError, TooFewPeopleError, CheckpointError
        As ``ecgsynth generate``.
    GateError
        If a record kept failing.
    """
    sampler, calibration = Sampler(generator), load_calibration() if gated else None
    kinds = []
    for i, rhythm in enumerate(rhythms):
        places = places_of(study, sampler, rhythm)
        own = _part(study.pool, len(rhythms), i)
        kinds += [(rhythm, place, _part(own, len(places), j)) for j, place in enumerate(places)]
    strips: list[NDArray[np.float32]] = []
    rejected: Counter[str] = Counter()
    for i, (rhythm, (source, leads), count) in enumerate(kinds):
        wish = Wish(
            rhythm=rhythm,
            seconds=max(study.seconds, 5.0),
            leads=leads,
            source=source,
            seed=1000 * seed + i,
            allow_few_people=study.allow_few_people,
        )
        sampler.check(wish)
        strips += [_strip(record, study) for record in _passed(sampler, wish, count, calibration, rejected)]
    order = np.random.default_rng(seed).permutation(len(strips))
    return np.stack(strips)[order], {"made": len(strips), "rejected": dict(sorted(rejected.items()))}


def _part(total: int, parts: int, i: int) -> int:
    """Size of the i-th of `parts` nearly equal parts."""
    return total // parts + (i < total % parts)


def _passed(
    sampler: Sampler, wish: Wish, count: int, calibration: Calibration | None, rejected: Counter[str]
) -> list[Record]:
    pending, done = dict.fromkeys(range(count), 0), dict[int, Record]()
    while pending:
        some = list(pending)[:CHUNK]
        drawn = sampler.draw(wish, some, [pending[i] for i in some])
        verdicts = [None] * len(drawn) if calibration is None else check_records(drawn, calibration)
        for i, record, verdict in zip(some, drawn, verdicts, strict=True):
            if verdict is None or verdict.passed:
                done[i] = record
                del pending[i]
                continue
            rejected[f"{wish.rhythm}: {verdict.reasons[0].split(':')[0]}"] += 1
            pending[i] += 1
            if pending[i] > _MOST_REDRAWS:
                raise GateError(
                    f"{record.name}: failed the gate {pending[i]} times, last for "
                    f"{'; '.join(verdict.reasons)}."
                )
    return [done[i] for i in range(count)]


def _strip(record: Record, study: Study) -> NDArray[np.float32]:
    from ecgsynth.windows import resample

    kept = record.pick(INDEPENDENT_LEADS) if study.twelve else record
    signal = resample(kept, study.fs).signal[:, : round(study.seconds * study.fs)]
    return np.asarray(signal - np.median(signal, axis=1, keepdims=True), np.float32)

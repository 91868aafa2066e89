"""Is the person in the strip? Real strips against one person's and others', by rhythm. Used by leaks.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from leaks_planting import Source, as_record
from numpy.typing import NDArray

from ecgsynth.privacy.descriptors import spectrum_shape
from ecgsynth.privacy.representation import unit_beats
from ecgsynth.privacy.samples import Sample, chosen_leads, sample_of
from ecgsynth.privacy.traces import STRIP, strips_of, traces_of
from ecgsynth.privacy.verifier import Verifier

Floats = NDArray[np.float64]

#: Strips of a person and rhythm that are looked for, from recordings or times that are not searched.
EACH = 4
FEWEST = 3
_DRAWS = 1000
#: Share of strangers' strips that a limit may list, and what counts beside a likeness: its lead.
STRANGERS = 0.01
_LEAD = 2.0


def verification(
    searched: Sequence[Sample],
    spare: Sequence[Source],
    held_out: Sequence[Sample],
    rhythms: Sequence[str],
    verifier: Verifier,
) -> list[dict[str, Any]]:
    """How often a strip is more like its own person's than another person's of the same rhythm (AUROC).

    A person's strips are those searched; the likeness to a person is that of the most alike strip. By the
    median beat (as the audit compares), by the spectrum (rate, and repertoire of waves), by all features of
    the strip, and by spectrum and features together. Intervals from drawing the people who are looked for.
    ``listed``: how many strips a limit that `STRANGERS` of searched strips exceed among others' would list;
    ``strange``: how many of the ``strange_people`` held out have a strip over it.
    """
    rows = []
    for rhythm in rhythms:
        known = [s for s in searched if s.strip.rhythm == rhythm and s.strip.subject not in verifier.people]
        people = {s.strip.subject for s in known}
        asked = _asked([s for s in spare if s.rhythm == rhythm and s.subject in people])
        if len({s.strip.subject for s in asked}) < FEWEST:
            continue
        row: dict[str, Any] = {"rhythm": rhythm, "people": len({s.strip.subject for s in asked})}
        row |= {"searched": len(people), "strips": len(asked)}
        among = _likenesses(known, known, verifier)
        strange = [s for s in held_out if s.strip.rhythm == rhythm]
        apart = _likenesses(strange, known, verifier) if strange else {}
        for name, likeness in _likenesses(asked, known, verifier).items():
            row[name] = _auroc(likeness, asked, known)
            limit, found = _listed(likeness, among[name], asked, known)
            row[name] |= found | (_strange(apart[name], limit, strange, known) if strange else {})
        rows.append(row)
    return rows


def _asked(sources: Sequence[Source]) -> list[Sample]:
    found: list[Sample] = []
    count: dict[str, int] = {}
    for source in sources:
        if count.get(source.subject, 0) < EACH:
            record = as_record(source.strip, source, source.subject)
            for trace in chosen_leads(traces_of(record)):
                for strip in strips_of(trace, 1):
                    found.append(sample_of(record, strip))
                    count[source.subject] = count.get(source.subject, 0) + 1
    return [_owned(s) for s in found]


def _owned(sample: Sample) -> Sample:
    """The sample under its person's name, which the record bears here."""
    return replace(sample, strip=replace(sample.strip, subject=sample.strip.record))


def _likenesses(
    asked: Sequence[Sample], known: Sequence[Sample], verifier: Verifier
) -> dict[str, NDArray[np.float64]]:
    """Likeness [asked, known] by what is compared; NaN where either strip lacks it."""
    spectra = [spectrum_shape(_padded(side)).astype(np.float64) for side in (asked, known)]
    tables = [np.array([s.features for s in side]) for side in (asked, known)]
    centre = np.nanmedian(tables[1], axis=0)
    spread = np.nanmedian(np.abs(tables[1] - centre), axis=0) * 1.4826 + 1e-9
    scaled = [np.clip(np.nan_to_num((t - centre) / spread), -4, 4) for t in tables]
    far = np.array([np.abs(row - scaled[1]).mean(axis=1) for row in scaled[0]])
    has = [np.array([s.beat is not None for s in side]) for side in (asked, known)]
    beats = np.full(far.shape, np.nan)
    if has[0].any() and has[1].any():
        own, others = (np.array([s.beat for s in side if s.beat is not None]) for side in (asked, known))
        both = verifier.embed(own) @ verifier.embed(others).T + unit_beats(own) @ unit_beats(others).T
        beats[np.ix_(has[0], has[1])] = both / 2
    alike = spectra[0] @ spectra[1].T
    return {"beat": beats, "spectrum": alike, "features": -far, "both": alike - far}


def _padded(samples: Sequence[Sample]) -> NDArray[np.float32]:
    rows = np.zeros((len(samples), STRIP), dtype=np.float32)
    for row, sample in zip(rows, samples, strict=True):
        part = sample.strip.signal[:STRIP]
        row[: len(part)] = part
    return rows


def _auroc(likeness: Floats, asked: Sequence[Sample], known: Sequence[Sample]) -> dict[str, Any]:
    """Mean over people of the share of others who are less alike than the own person, ties half; 95 %.

    ``first``: how often nobody is more alike, mean over people.
    """
    names, by_person = _by_person(likeness, known)
    shares: dict[str, list[float]] = {}
    first: dict[str, list[bool]] = {}
    for best, sample in zip(by_person, asked, strict=True):
        own = np.flatnonzero(names == sample.strip.subject)[0]
        others = np.delete(best, own)
        if np.isfinite(best[own]) and len(others):
            share = (others < best[own]).mean() + 0.5 * (others == best[own]).mean()
            shares.setdefault(sample.strip.subject, []).append(float(share))
            first.setdefault(sample.strip.subject, []).append(bool(best[own] > others.max()))
    means = np.array([np.mean(own) for own in shares.values()])
    if len(means) < FEWEST:
        return {"people": len(means)}
    rng = np.random.default_rng(0)
    drawn = means[rng.integers(0, len(means), (_DRAWS, len(means)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {"people": len(means), "auroc": round(float(means.mean()), 3)} | {
        "low": round(float(low), 3),
        "high": round(float(high), 3),
        "first": round(float(np.mean([np.mean(own) for own in first.values()])), 3),
    }


def _by_person(likeness: Floats, known: Sequence[Sample]) -> tuple[NDArray[np.str_], Floats]:
    """The people known, and the likeness [asked, people] to the most alike strip of each."""
    names, owner = np.unique([s.strip.subject for s in known], return_inverse=True)
    best = np.full((len(likeness), len(names)), -np.inf)
    for column, row in zip(owner, np.where(np.isnan(likeness), -np.inf, likeness).T, strict=True):
        best[:, column] = np.maximum(best[:, column], row)
    return names, best


def _listed(
    likeness: Floats, among: Floats, asked: Sequence[Sample], known: Sequence[Sample]
) -> tuple[float, dict[str, Any]]:
    """A limit, and the share of strips that it lists for the right person, mean over people.

    `STRANGERS` of the strips of others exceed the limit.
    """
    names, best = _by_person(likeness, known)
    others = _by_person(among, known)[1]
    others[np.arange(len(known)), np.searchsorted(names, [s.strip.subject for s in known])] = -np.inf
    told = [np.isfinite(side).sum(axis=1) >= 2 for side in (best, others)]
    if len(names) < FEWEST or not all(side.any() for side in told):
        return float("inf"), {}
    limit = float(np.quantile(_score(others[told[1]]), 1 - STRANGERS))
    right = names[best.argmax(axis=1)] == np.array([s.strip.subject for s in asked])
    hit = right & told[0]
    hit[told[0]] &= _score(best[told[0]]) > limit
    people = {
        name: hit[[s.strip.subject == name for s in asked]] for name in {s.strip.subject for s in asked}
    }
    share = round(float(np.mean([own.mean() for own in people.values()])), 3)
    return limit, {"listed": share, "strangers": int(told[1].sum())}


def _strange(
    likeness: Floats, limit: float, held_out: Sequence[Sample], known: Sequence[Sample]
) -> dict[str, Any]:
    """How many people held out have a strip over the limit."""
    best = _by_person(likeness, known)[1]
    told = np.isfinite(best).sum(axis=1) >= 2
    over = np.zeros(len(best), dtype=bool)
    over[told] = _score(best[told]) > limit
    people = {s.strip.subject for s in held_out}
    listed = {s.strip.subject for s, hit in zip(held_out, over, strict=True) if hit}
    return {"strange": len(listed), "strange_people": len(people)}


def _score(best: Floats) -> Floats:
    """The largest likeness of each row plus `_LEAD` times its lead over the second."""
    ordered = np.sort(best, axis=1)
    return np.asarray(ordered[:, -1] + _LEAD * (ordered[:, -1] - ordered[:, -2]))

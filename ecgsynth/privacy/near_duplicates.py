"""Near-duplicates: synthetic records that are nearer to someone's recording than strangers ever are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from ecgsynth.privacy.calibration import (
    FALSE_CERTAIN,
    FALSE_HITS,
    FLOOR,
    Limits,
    is_near,
    most_striking,
)
from ecgsynth.privacy.copies import Match, place_of
from ecgsynth.privacy.gallery import Gallery
from ecgsynth.privacy.intervals import lower_limit, upper_limit
from ecgsynth.privacy.traces import SLOW_HZ

#: Gate: upper 95 % limit of the share of near-duplicates above what strangers have.
MOST_EXCESS: Final = 0.005
#: What a pair says of a copy where there is none, only the beats of one person.
_NO_COPY: Final = {
    "kind": "same person",
    "ncc_half": None,
    "ncc_bent": None,
    "stretch": None,
    "certain": False,
}
#: Share of what the best single fit leaves unexplained that two people together leave at most.
_LEFT_OF_TWO: Final = 0.25
#: Fewest holdout people of a rhythm behind a pass.
FEWEST_PEOPLE: Final = 20


def near_duplicates(
    gallery: Gallery, synthetic: Sequence[Match], limits: dict[str, Limits]
) -> dict[str, Any]:
    """All near-duplicates by name, and the verdict of each rhythm.

    A record is one when any of its strips exceeds what `FALSE_HITS` of strangers' records do; it is
    ``certain`` where chance would give one such in a hundred audits and the NCC is at least `FLOOR`.

    Returns
    -------
    dict
        ``count``, ``certain``, ``records``, ``pairs`` (worst first) and ``per_rhythm``, where each rhythm has
        its ``count``, ``pairs`` (names) and ``verdict``.
    """
    records: dict[str, list[Match]] = defaultdict(list)
    for match in synthetic:
        records[match.strip.record].append(match)
    pairs = []
    for name, matches in records.items():
        found = _worst(matches, limits, len(records))
        if found is not None:
            pair = _pair(gallery, name, *found)
            pairs.append(pair | _mixture(gallery, found[0]) if _of_two(found[0], limits) else pair)
    pairs.sort(key=lambda pair: (-pair["score"], pair["synthetic"]))
    rhythms = {name: matches[0].strip.rhythm for name, matches in records.items()}
    per_rhythm = {}
    for rhythm in sorted(set(rhythms.values())):
        own = [pair for pair in pairs if pair["rhythm"] == rhythm]
        n = sum(r == rhythm for r in rhythms.values())
        per_rhythm[rhythm] = _verdict(own, n, limits.get(rhythm))
    return {
        "count": len(pairs),
        "certain": sum(pair["certain"] for pair in pairs),
        "records": len(records),
        "pairs": pairs,
        "per_rhythm": per_rhythm,
    }


def with_same_person(found: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The findings of `near_duplicates` with the records that are listed for a person by their beats.

    These come after the copies, marked ``kind`` "same person"; the verdicts stay those on copies.
    """
    copied = {pair["synthetic"] for pair in found["pairs"]}
    more = [{**_NO_COPY, **row} for row in rows if row["synthetic"] not in copied]
    pairs = found["pairs"] + more
    per_rhythm = {
        rhythm: row | {"pairs": _names(pairs, rhythm), "count": sum(p["rhythm"] == rhythm for p in pairs)}
        for rhythm, row in found["per_rhythm"].items()
    }
    counts = {"count": len(pairs), "copies": len(copied), "same_person": len(more)}
    return found | counts | {"pairs": pairs, "per_rhythm": per_rhythm}


def _names(pairs: Sequence[dict[str, Any]], rhythm: str) -> list[list[str]]:
    return [[pair["synthetic"], pair["train"]] for pair in pairs if pair["rhythm"] == rhythm]


def _worst(
    matches: list[Match], limits: dict[str, Limits], n_records: int
) -> tuple[Match, float, bool] | None:
    share = FALSE_HITS / len(matches)
    scored = [(match, *is_near(match, limits, share)) for match in matches]
    near = [(match, score) for match, hit, score in scored if hit]
    if not near:
        return None
    match, score = max(near, key=lambda item: item[1])
    certain = is_near(match, limits, min(share, FALSE_CERTAIN / (n_records * len(matches))))[0]
    strongest = max(abs(fit.ncc) for fit in (match.full, match.half, match.bent))
    return match, score, bool(certain and strongest >= FLOOR)


def _pair(gallery: Gallery, name: str, match: Match, score: float, certain: bool) -> dict[str, Any]:
    fit = max((match.full, match.half, match.bent), key=lambda f: abs(f.ncc))
    number, at = place_of(gallery, fit)
    trace = gallery.traces[number]
    begins = max(0.0, at - len(match.strip.signal) / (2 * SLOW_HZ)) % (gallery.length[number] / SLOW_HZ)
    return {
        "kind": "copy",
        "synthetic": name,
        "lead": match.strip.lead,
        "at_s": round(match.strip.at, 2),
        "rhythm": match.strip.rhythm,
        "train": trace.record,
        "subject": trace.subject,
        "train_lead": trace.lead,
        "train_at_s": round(float(begins), 2),
        "ncc": round(fit.ncc, 4),
        "ncc_half": round(match.half.ncc, 4),
        "ncc_bent": round(match.bent.ncc, 4),
        "stretch": round(fit.stretch, 4),
        "margin": round(match.margin, 3),
        "score": round(score, 2),
        "certain": certain,
    }


def _of_two(match: Match, limits: dict[str, Limits]) -> bool:
    """Whether it is two people together who make a match near, and no one person is."""
    alone = max(abs(fit.ncc) for fit in (match.full, match.half, match.bent))
    told = 1 - match.mixed.ncc**2 < _LEFT_OF_TWO * (1 - alone**2)
    return told and match.mixed.second is not None and most_striking(match, limits[""]) == "mixed"


def _mixture(gallery: Gallery, match: Match) -> dict[str, Any]:
    """What a pair says where two people's recordings together explain a strip, and neither alone."""
    first, second = match.mixed.first, match.mixed.second
    traces = [gallery.traces[place_of(gallery, fit)[0]] for fit in (first, second) if fit is not None]
    return {
        "kind": "two people mixed",
        "train": traces[0].record,
        "subject": traces[0].subject,
        "train_lead": traces[0].lead,
        "train_at_s": None,
        "ncc": round(match.mixed.ncc, 4),
        "stretch": 1.0,
        "mixed_with": {"train": traces[-1].record, "subject": traces[-1].subject},
    }


def _verdict(pairs: list[dict[str, Any]], n: int, limits: Limits | None) -> dict[str, Any]:
    """Share of near-duplicates of a rhythm less what strangers have, with its limits, and what follows."""
    hits, certain = len(pairs), sum(pair["certain"] for pair in pairs)
    low, high = lower_limit(hits, n) - FALSE_HITS, upper_limit(hits, n) - FALSE_HITS
    people = limits.people if limits is not None else 0
    if certain or low > 0:
        verdict = "fail"
    elif people < FEWEST_PEOPLE or high > MOST_EXCESS:
        verdict = "not assessable"
    else:
        verdict = "pass"
    return {
        "records": n,
        "count": hits,
        "copies": hits,
        "pairs": _names(pairs, pairs[0]["rhythm"]) if pairs else [],
        "certain": certain,
        "excess": round(hits / n - FALSE_HITS, 5),
        "excess_low": round(low, 5),
        "excess_high": round(high, 5),
        "gate": MOST_EXCESS,
        "holdout_people": people,
        "records_needed": _records_needed(),
        "verdict": verdict,
    }


def _records_needed() -> int:
    return next(n for n in range(100, 10_000, 10) if upper_limit(0, n) - FALSE_HITS <= MOST_EXCESS)

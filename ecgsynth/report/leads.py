"""Which leads two folders have in common, whatever they are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ecgsynth.datasets.marks import lead_name
from ecgsynth.errors import OptionError
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS

#: Name of a lead whose place nobody wrote down.
UNNAMED: Final = "ECG"
#: Leads that look along the same axis from other places on the body. Compared as one only where the two
#: folders share no lead by name: MLII is lead II with the limb electrodes on the torso (Holter).
FAMILY: Final = {"MLII": "II", "MLI": "I", "MLIII": "III"}
#: What a lead without a name counts as where those of the other folder have names, the preferred first.
PREFERRED: Final = ("II", "I", "V5", "V2", "V1")
#: A lead counts as common where at least this share of the people of either folder have it.
COMMON_SHARE: Final = 0.9
_UNNAMED = re.compile(r"(?:ecg|ekg|ch|channel|lead|signal|sig|unknown|col)?[\s_#-]*\d*", re.IGNORECASE)


def standard_leads(names: Sequence[str]) -> tuple[str, ...]:
    """Names in standard spelling; leads without a place (``ECG1``, ``ch0``) become ``ECG``, the first one."""
    found: list[str] = []
    for name in (lead_name(name) for name in names):
        name = UNNAMED if _UNNAMED.fullmatch(name) else name
        found.append(f"{name}#{len(found)}" if name in found else name)
    return tuple(found)


def parse_leads(text: str) -> tuple[str, ...]:
    """Leads of ``--lead``: ``12``, or names with commas.

    Raises
    ------
    OptionError
        If no name is left.
    """
    if text.strip() == "12":
        return TWELVE_LEADS
    leads = tuple(lead_name(part) for part in text.split(",") if part.strip())
    if not leads:
        raise OptionError(f"--lead {text!r}: names no lead; write 12, or names such as II or I,II,V1.")
    return leads


def independent(leads: Sequence[str]) -> tuple[str, ...]:
    """The leads without those that are sums of I and II, where both are there."""
    if {"I", "II"} <= set(leads):
        return tuple(lead for lead in leads if lead in INDEPENDENT_LEADS or lead not in TWELVE_LEADS)
    return tuple(leads)


def place_of(lead: str, leads: Sequence[str], same: Mapping[str, str]) -> int | None:
    """Row of ``lead`` among a record's standard ``leads``, or of one that is the ``same``; None without."""
    if lead in leads:
        return leads.index(lead)
    for row, name in enumerate(leads):
        if same.get(name) == lead:
            return row
    return None


def common_leads(
    sides: Sequence[Sequence[tuple[str, Sequence[str]]]], asked: Sequence[str] | None
) -> tuple[tuple[str, ...], bool, Mapping[str, str]] | None:
    """Leads to compare two sides in.

    Parameters
    ----------
    sides : two sequences of (person, leads)
    asked : sequence of str or None
        What the user wants, instead of a choice.

    Returns
    -------
    (leads, pooled, same) or None
        ``pooled``: no lead is in nearly all records of both sides, so that a strip is one of these leads,
        and both sides get the same share of each. ``same``: names that count as another, by `FAMILY`, or as
        nobody wrote them down. None without any in common.
    """
    for same in ({}, FAMILY, FAMILY | _named_by(sides, asked)):
        shares = [_shares(side, same) for side in sides]
        both = [lead for lead in shares[0] if lead in shares[1]]
        if asked is not None:
            if all(lead in both for lead in asked):
                return independent(asked), False, same
            continue
        if not both:
            continue
        both = [*(lead for lead in TWELVE_LEADS if lead in both), *sorted(set(both) - set(TWELVE_LEADS))]
        all_have = [lead for lead in both if min(side[lead] for side in shares) >= COMMON_SHARE]
        if all_have:
            return independent(all_have), False, same
        return tuple(both), len(both) > 1, same
    return None


def _named_by(
    sides: Sequence[Sequence[tuple[str, Sequence[str]]]], asked: Sequence[str] | None
) -> dict[str, str]:
    """Which lead those without a name count as: the one asked for, or one that the other side has."""
    shares = [_shares(side, FAMILY) for side in sides]
    named = [side for side in shares if UNNAMED not in side]
    if len(named) != 1 or not named[0]:
        return {}
    if asked is not None:
        return {UNNAMED: asked[0]} if len(asked) == 1 else {}
    order = [*PREFERRED, *sorted(set(named[0]) - set(PREFERRED))]
    return {UNNAMED: max(order, key=lambda lead: named[0].get(lead, 0.0))}


def _shares(side: Sequence[tuple[str, Sequence[str]]], same: Mapping[str, str]) -> dict[str, float]:
    """Share of the people that have each lead."""
    people: dict[str, set[str]] = {}
    for person, leads in side:
        for lead in leads:
            people.setdefault(same.get(lead, lead), set()).add(person)
    total = len({person for person, _ in side})
    return {lead: len(who) / total for lead, who in people.items()}

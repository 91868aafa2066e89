"""The people a checkpoint learned from: whether there are enough, and whom the next record resembles."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ecgsynth.errors import CheckpointError, OptionError, TooFewPeopleError
from ecgsynth.wish import Wish

#: Fewest people a learned generator may have learned a rhythm from to offer it unasked. Of rhythms of three
#: and of five people, a third and a sixth of the records bore the beats of one of them
#: (docs/privacy-of-shipped-weights.md).
FEWEST_PEOPLE = 6
#: The same for twelve leads: how leads go together varies from person to person, and three do not show it.
FEWEST_PEOPLE_TWELVE = 10


def fewest_people(twelve: bool) -> int:
    """Fewest people behind a rhythm that a learned generator offers unasked."""
    return FEWEST_PEOPLE_TWELVE if twelve else FEWEST_PEOPLE


def check_people(rhythm: str, generator: str, metadata: dict[str, Any], wish: Wish) -> None:
    """Refuse a rhythm learned from too few people.

    Raises
    ------
    TooFewPeopleError
        If it was learned from nobody, or from fewer than :func:`fewest_people` and that is not allowed.
    """
    fewest = fewest_people(wish.twelve)
    people = metadata["population"].get(rhythm, {}).get("people", 0)
    kind = "twelve-lead" if wish.twelve else "single-lead"
    others = [r for r, seen in metadata["population"].items() if seen["people"] >= fewest]
    if people == 0:
        raise TooFewPeopleError(
            f"--rhythm {rhythm}: the {kind} {generator} has learned it from nobody. It offers "
            f"{', '.join(others)}. Use --generator parametric, or train it on your own recordings."
        )
    if people < fewest and not wish.allow_few_people:
        raise TooFewPeopleError(
            f"--rhythm {rhythm}: the {kind} {generator} has learned it from {people} "
            f"{'person' if people == 1 else 'people'}, whose fingerprint its records would bear "
            f"({fewest} are needed). Use --generator parametric, or --allow-few-people."
        )


def draw_place(
    wish: Wish, rhythm: str, metadata: dict[str, Any], rng: np.random.Generator
) -> tuple[str, str]:
    """Source and lead: what is asked, the rest drawn as the rhythm's training people are spread."""
    config, rows = metadata["config"], metadata["spread"]
    lead = None if wish.leads is None or wish.twelve else wish.leads[0]
    if lead is not None and lead not in config["leads"]:
        raise OptionError(
            f"--lead {lead}: this generator knows {', '.join(config['leads'])}, and 12 for all."
        )
    check_source(rhythm, metadata, wish)
    taught = [row for row in rows if row[0] == rhythm and wish.source in (None, row[1])]
    fits = [row for row in taught if lead in (None, row[2])]
    if fits:
        chosen = _by_people(fits, rng)
        return chosen[1], lead or chosen[2]
    # Nobody with this rhythm was recorded in that lead: keep the lead, and a device that showed the rhythm.
    fits = taught or [row for row in rows if lead in (None, row[2])] or rows
    if not fits:
        raise CheckpointError(
            "the checkpoint does not say whom it learned from (spread is empty); name --source and --lead,"
            " or train it again."
        )
    chosen = _by_people(fits, rng)
    return wish.source or chosen[1], lead or chosen[2]


def sources_of(rhythm: str, metadata: dict[str, Any]) -> list[str]:
    """Databases whose people showed a learned generator a rhythm; none for the parametric simulator."""
    return sorted({row[1] for row in metadata.get("spread", ()) if row[0] == rhythm})


def check_source(rhythm: str, metadata: dict[str, Any], wish: Wish) -> None:
    """Refuse a source that is not known, or in which nobody showed a rhythm that others elsewhere showed.

    What a device never recorded a generator can only extrapolate: ventricular tachycardia in the manner of
    cudb, which holds fibrillation, came out at up to 29 mV.

    Raises
    ------
    OptionError
        Naming the sources that taught it.
    """
    if wish.source is None:
        return
    known = metadata["config"]["sources"]
    if wish.source not in known:
        raise OptionError(f"--source {wish.source}: known sources are {', '.join(known)}.")
    taught = sources_of(rhythm, metadata)
    if taught and wish.source not in taught:
        raise OptionError(
            f"--source {wish.source}: nobody recorded there showed this generator {rhythm}; it learned it "
            f"from {', '.join(taught)}. Name one of these, or leave --source out."
        )


def _by_people(rows: list[Any], rng: np.random.Generator) -> Any:
    """One of the rows (rhythm, source, lead, people), in proportion to its people."""
    weights = np.array([row[3] for row in rows], float)
    return rows[int(rng.choice(len(rows), p=weights / weights.sum()))]


def draw_demographics(
    demographics: dict[str, Any], rhythm: str, source: str, rng: np.random.Generator
) -> tuple[float | None, Literal["M", "F"] | None]:
    """Age and sex as among the training people of a rhythm in a source, unknown as often as there."""
    level, share, coin = rng.random(3)
    group = demographics.get(f"{rhythm}/{source}") or demographics.get(f"*/{source}")
    if not group or share >= group["known"]:
        return None, None
    age = float(np.round(np.interp(level, np.linspace(0, 1, len(group["age"])), group["age"])))
    return age, "M" if coin < group["male"] else "F"

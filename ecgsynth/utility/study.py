"""A study as a file: which task, whose recordings, which arms, how much of everything."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Final

from ecgsynth.augment.plan import check_ratio
from ecgsynth.errors import OptionError
from ecgsynth.generators import GENERATORS
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.utility.arms import ARMS

#: A recording whose source says "none of the named rhythms" (class O of CinC 2017).
OTHER: Final = "other"
#: Databases, as `Record.source` names them, and the reader of each (`ecgsynth.datasets.DATASETS`).
SOURCES: Final = {
    "mitdb": "mitdb",
    "vfdb": "vfdb",
    "cudb": "cudb",
    "cinc2017": "cinc2017",
    "ludb": "ludb",
    "ptbxl": "ptbxl",
    "chapman": "cinc2021",
    "ningbo": "cinc2021",
    "folder": "folder",
}
#: Studies that ship, as files beside this one.
SHIPPED: Final = ("af-single", "vt-vf", "afl-12lead")


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Whom a classifier is tested on.

    Attributes
    ----------
    sources : tuple of str
        Databases, as in `Record.source`.
    negative : tuple of str
        Rhythms that are not the one looked for; empty takes every labelled one.
    """

    sources: tuple[str, ...]
    negative: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Study:
    """One task with everything that is varied.

    Attributes
    ----------
    name, title : str
    positive, negative : tuple of str
        Rhythms looked for, and those trained on as the rest.
    sources : tuple of str
        Databases trained on.
    leads : tuple of str
        Single leads that are each a strip of their own, or ``("12",)``.
    tests : mapping of str to Cohort
        The first is the one that decides.
    people : tuple of int
        How many people with the rhythm are trained on; everyone without it is.
    arms, generators : tuple of str
    ratios : tuple of float
        Synthetic strips per real one that the training sees.
    seeds : int
        Draws of the people and of the first weights.
    sweep_seeds : int
        Seeds of the cells that choose the ratio, and of the controls; the chosen ratio is run with all.
    pools : int
        Draws of the synthetic strips; seeds take them in turn.
    synthetic_negative : tuple of str
        What the generators make besides: rhythms that are not looked for.
    pool : int
        Synthetic strips of each class.
    same_device : bool
        Whether synthetic strips resemble the sources trained on only.
    steps, batch, width, depth : int
        Of the classifier; the same for every arm.
    lr : float
    seconds, fs : float
        Of a strip, in seconds and Hz.
    per_person : int
        Most strips of one person, rhythm and lead.
    allow_few_people : bool
        As for ``ecgsynth generate``.
    robustness : bool
        Also test with noise, wander and mains added to the first test, for ``sweep_seeds`` seeds.
    """

    name: str
    title: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    sources: tuple[str, ...]
    leads: tuple[str, ...]
    tests: Mapping[str, Cohort]
    people: tuple[int, ...] = (2, 10)
    arms: tuple[str, ...] = tuple(ARMS)
    generators: tuple[str, ...] = ("parametric", "cvae", "cgan")
    ratios: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    seeds: int = 5
    sweep_seeds: int = 2
    pools: int = 1
    synthetic_negative: tuple[str, ...] = ("nsr",)
    pool: int = 400
    same_device: bool = False
    steps: int = 150
    batch: int = 32
    width: int = 32
    depth: int = 1
    lr: float = 2e-3
    seconds: float = 10.0
    fs: float = 100.0
    per_person: int = 6
    allow_few_people: bool = False
    robustness: bool = False

    def __post_init__(self) -> None:
        for ratio in self.ratios:
            check_ratio(ratio)
        _known("arms", self.arms, ARMS)
        _known("generators", self.generators, GENERATORS)
        rhythms = (*RHYTHMS, OTHER)
        named = (*self.positive, *self.negative, *self.synthetic_negative)
        _known("rhythms", (*named, *(r for c in self.tests.values() for r in c.negative)), rhythms)
        cohorts = (s for c in self.tests.values() for s in c.sources)
        _known("sources", (*self.sources, *cohorts), SOURCES)
        if both := set(self.positive) & {*self.negative, *self.synthetic_negative}:
            raise OptionError(f"study {self.name}: {', '.join(sorted(both))} is both positive and negative.")
        counts = (
            *self.people,
            self.seeds,
            self.sweep_seeds,
            self.pools,
            self.pool,
            self.steps,
            self.batch,
            self.per_person,
        )
        if (
            not self.people
            or min(counts) < 1
            or self.steps < 10
            or not (math.isfinite(self.lr) and self.lr > 0)
        ):
            raise OptionError(
                f"study {self.name}: people, seeds, pool, steps, batch, per_person and lr must be positive; "
                "steps at least 10."
            )
        if not self.tests or not self.positive or not self.negative or not self.leads:
            raise OptionError(
                f"study {self.name}: positive, negative, leads and at least one test are needed."
            )

    @property
    def twelve(self) -> bool:
        """Whether a strip holds twelve leads."""
        return self.leads == ("12",)

    def wants(self, rhythm: str) -> bool:
        """Whether strips of a rhythm are of use: to train on, or in a test that names no negatives."""
        named = {*self.positive, *self.negative, *(r for c in self.tests.values() for r in c.negative)}
        return rhythm in named or any(not cohort.negative for cohort in self.tests.values())


def _known(what: str, given: tuple[str, ...], allowed: Any) -> None:
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise OptionError(f"study: unknown {what} {', '.join(unknown)}; known are {', '.join(allowed)}.")


def load_study(name: str) -> Study:
    """A study that ships, by name, or one of your own, by path.

    Raises
    ------
    OptionError
        If there is none, it is no TOML, a key is missing or unknown, or a value cannot be met.

    Examples
    --------
    >>> load_study("af-single").positive
    ('afib',)
    """
    if name in SHIPPED:
        text = (resources.files("ecgsynth.utility") / "studies" / f"{name}.toml").read_text(encoding="utf-8")
    elif Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    else:
        raise OptionError(
            f"--config {name}: no such file, and none of the studies that ship ({', '.join(SHIPPED)})."
        )
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"--config {name}: is not TOML ({error}).") from error
    return study_from(raw, name)


def study_from(raw: Mapping[str, Any], where: str) -> Study:
    """A study from the tables of a TOML file; `where` is named in errors."""
    try:
        tests = {key: Cohort(**_tuples(value)) for key, value in dict(raw.get("tests", {})).items()}
        known = {f.name for f in fields(Study)}
        if unknown := sorted(set(raw) - known):
            raise OptionError(
                f"--config {where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}."
            )
        return Study(**{**_tuples(raw), "tests": tests})
    except (TypeError, ValueError) as error:
        raise OptionError(f"--config {where}: {error}; see the studies that ship for an example.") from error


def _tuples(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}

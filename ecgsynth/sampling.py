"""From a request to a stream of synthetic records: who, when, what it looks like, at which rate."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecgsynth.checkpoint import file_sha256, load_checkpoint, shipped_weights
from ecgsynth.errors import CheckpointError, OptionError, TooFewPeopleError
from ecgsynth.generators import GENERATORS
from ecgsynth.generators.plan import PLAN_FS, Plan, Request
from ecgsynth.generators.rhythm_process import draw_plan
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS, Beats, Episode, Record, twelve_from_eight
from ecgsynth.rhythms import find_rhythm

#: Fewest people a learned generator may have learned a rhythm from to offer it unasked.
FEWEST_PEOPLE = 3
#: Records drawn and rendered together; a multiple of the decoder's rows.
CHUNK = 32
_FS_RANGE = (100.0, 1000.0)
_SECONDS_RANGE = (2.0, 3600.0)
#: What the parametric simulator, which has no training people, may resemble.
_PARAMETRIC_SOURCES = ("mitdb", "cinc2017", "ptbxl")


@dataclass(frozen=True)
class Wish:
    """What a user asks of every record; None means "as real people have it".

    Attributes
    ----------
    rhythm : str
        A rhythm in any spelling, or a script ``nsr:30,afib:60,nsr:30`` of rhythms and seconds.
    seconds : float
        Duration where `rhythm` is not a script, 2 to 3600.
    fs : float
        Sampling rate in Hz, 100 to 1000.
    leads : tuple of str or None
        One lead, or the twelve standard ones.
    source : str or None
        Database whose people and device to resemble.
    heart_rate : float or None
        Beats/min.
    ectopy : float or None
        Fraction of premature ventricular beats.
    age : float or None
        Years.
    sex : {"M", "F"} or None
    seed : int
    allow_few_people : bool
        Offer rhythms learned from fewer than three people.
    """

    rhythm: str
    seconds: float = 10.0
    fs: float = 250.0
    leads: tuple[str, ...] | None = None
    source: str | None = None
    heart_rate: float | None = None
    ectopy: float | None = None
    age: float | None = None
    sex: Literal["M", "F"] | None = None
    seed: int = 0
    allow_few_people: bool = False

    @property
    def twelve(self) -> bool:
        """Whether all twelve leads are asked for."""
        return self.leads == TWELVE_LEADS

    def script(self) -> tuple[tuple[str, float], ...]:
        """Canonical rhythm and seconds of each episode.

        Raises
        ------
        OptionError
            If a rhythm is unknown, a duration is no number, or the whole is not 2 to 3600 s long.
        """
        script = tuple(self._episode(part) for part in self.rhythm.split(","))
        total = sum(seconds for _, seconds in script)
        low, high = _SECONDS_RANGE
        if not low <= total <= high:
            raise OptionError(f"--seconds: a record of {total:g} s; allowed are {low:g} to {high:g} s.")
        return script

    def _episode(self, part: str) -> tuple[str, float]:
        name, colon, length = part.strip().rpartition(":")
        if not colon:
            if "," in self.rhythm:
                raise OptionError(f"--rhythm: {part!r} in a script has no seconds; write {part.strip()}:30.")
            return find_rhythm(part).name, float(self.seconds)
        try:
            seconds = float(length)
        except ValueError:
            raise OptionError(f"--rhythm: {length!r} in {part!r} is no number of seconds, as in afib:60.") from None
        if not 1 <= seconds <= _SECONDS_RANGE[1]:
            raise OptionError(f"--rhythm: {part!r} lasts {seconds:g} s; an episode is 1 to 3600 s long.")
        return find_rhythm(name).name, seconds


class Sampler:
    """A generator with its weights, ready to draw records.

    Parameters
    ----------
    name : str
        Key of `GENERATORS`.
    weights : Path or None
        Own checkpoint; None takes the shipped ones.
    """

    def __init__(self, name: str, weights: Path | None = None) -> None:
        if name not in GENERATORS:
            raise OptionError(f"unknown generator {name!r}; known: {', '.join(GENERATORS)}.")
        self.name, self.weights = name, weights
        self._loaded: dict[bool, tuple[Any, dict[str, Any], str]] = {}

    def sample(
        self,
        rhythm: str,
        n: int = 1,
        seed: int = 0,
        **wishes: Any,
    ) -> list[Record]:
        """Draw `n` records, ungated.

        Parameters
        ----------
        rhythm : str
            As in :class:`Wish`.
        n : int
            Records 0 to n - 1 of the seed: a smaller `n` is a prefix of a larger one.
        seed : int
        **wishes
            Further fields of :class:`Wish`, such as ``leads=("V1",)`` or ``heart_rate=120``.

        Examples
        --------
        >>> records = Sampler("parametric").sample(rhythm="afib", n=2, seed=0)
        >>> records[0].signal.shape
        (1, 2500)
        """
        wish = Wish(rhythm=rhythm, seed=seed, **wishes)
        self.check(wish)
        records: list[Record] = []
        for first in range(0, n, CHUNK):
            records += self.draw(wish, range(first, min(first + CHUNK, n)))
        return records

    def check(self, wish: Wish) -> None:
        """Refuse what cannot be met, before any work.

        Raises
        ------
        OptionError
            Unknown lead, source or rhythm, or an impossible combination.
        TooFewPeopleError
            A rhythm learned from fewer than `FEWEST_PEOPLE` people, unless allowed.
        CheckpointError
            Weights that cannot be used.
        """
        script = wish.script()
        low, high = _FS_RANGE
        if not low <= wish.fs <= high:
            raise OptionError(f"--fs: {wish.fs:g} Hz; allowed are {low:g} to {high:g} Hz.")
        if wish.age is not None and not 0 <= wish.age <= 120:
            raise OptionError(f"--age: {wish.age:g} years; allowed are 0 to 120.")
        metadata = self.load(wish.twelve)[1]
        for name, _ in script:
            self._check_people(name, metadata, wish)
        self._request(wish, np.random.default_rng(0))
        draw_plan(self._request(wish, np.random.default_rng(0)), np.random.default_rng(0))

    def _check_people(self, name: str, metadata: dict[str, Any], wish: Wish) -> None:
        if self.name == "parametric":
            return
        people = metadata["population"].get(name, {}).get("people", 0)
        kind = "twelve-lead" if wish.twelve else "single-lead"
        others = [r for r, seen in metadata["population"].items() if seen["people"] >= FEWEST_PEOPLE]
        if people == 0:
            raise TooFewPeopleError(
                f"--rhythm {name}: the {kind} {self.name} has learned it from nobody. It offers "
                f"{', '.join(others)}. Use --generator parametric, or train it on your own recordings."
            )
        if people < FEWEST_PEOPLE and not wish.allow_few_people:
            raise TooFewPeopleError(
                f"--rhythm {name}: the {kind} {self.name} has learned it from {people} "
                f"{'person' if people == 1 else 'people'}, whose fingerprint its records would bear "
                f"({FEWEST_PEOPLE} are needed). Use --generator parametric, or --allow-few-people."
            )

    def load(self, twelve: bool) -> tuple[Any, dict[str, Any], str]:
        """The generator, its metadata and the hash of its weights, loaded once."""
        if twelve not in self._loaded:
            self._loaded[twelve] = self._load(twelve)
        return self._loaded[twelve]

    def _load(self, twelve: bool) -> tuple[Any, dict[str, Any], str]:
        kind = pkgutil.resolve_name(GENERATORS[self.name])
        if self.name == "parametric":
            return kind(), {}, "none"
        path = self.weights or shipped_weights(self.name, twelve)
        net, metadata = load_checkpoint(path)
        if metadata.get("generator") != self.name:
            raise CheckpointError(
                f"{path}: holds a {metadata.get('generator')!r}; --generator {self.name} was asked for."
            )
        if (len(net.config.outputs) > 1) != twelve:
            has = "twelve leads" if not twelve else "one lead"
            raise CheckpointError(f"{path}: generates {has} at a time; change --lead or the weights.")
        return kind(net), metadata, file_sha256(path)

    def draw(self, wish: Wish, indices: Sequence[int], attempts: Sequence[int] | None = None) -> list[Record]:
        """Records `indices` of the wish's seed; `attempts` counts the redraws of each, 0 at first."""
        attempts = attempts if attempts is not None else [0] * len(indices)
        generator, _, _ = self.load(wish.twelve)
        rngs = [
            np.random.default_rng(np.random.SeedSequence(wish.seed, spawn_key=(int(i), int(a))))
            for i, a in zip(indices, attempts, strict=True)
        ]
        plans = [draw_plan(self._request(wish, rng), rng) for rng in rngs]
        signals = generator.render(plans, rngs)
        return [
            self._record(wish, plan, signal, i, a)
            for plan, signal, i, a in zip(plans, signals, indices, attempts, strict=True)
        ]

    def _request(self, wish: Wish, rng: np.random.Generator) -> Request:
        script = wish.script()
        main = max(script, key=lambda episode: episode[1])[0]
        metadata = self.load(wish.twelve)[1]
        source, lead = (
            self._parametric_place(wish, rng)
            if self.name == "parametric"
            else _learned_place(wish, main, metadata, rng)
        )
        age, sex = _draw_person(metadata.get("demographics", {}), main, source, rng)
        return Request(
            script=script,
            leads=INDEPENDENT_LEADS if wish.twelve else (lead,),
            source=source,
            heart_rate=wish.heart_rate,
            ectopy=wish.ectopy,
            age=age if wish.age is None else wish.age,
            sex=sex if wish.sex is None else wish.sex,
        )

    def _parametric_place(self, wish: Wish, rng: np.random.Generator) -> tuple[str, str]:
        source = wish.source or str(rng.choice(_PARAMETRIC_SOURCES))
        lead = wish.leads[0] if wish.leads else "II"
        if lead not in (*TWELVE_LEADS, "MLII"):
            raise OptionError(f"--lead {lead}: known leads are {', '.join(TWELVE_LEADS)}, MLII, and 12 for all.")
        return source, lead

    def _record(self, wish: Wish, plan: Plan, signal: NDArray[np.float32], index: int, attempt: int) -> Record:
        seconds = plan.request.seconds
        n = round(seconds * wish.fs)
        leads = plan.request.leads
        if wish.twelve:
            signal, leads = twelve_from_eight(signal), TWELVE_LEADS
        signal = _at_rate(signal, wish.fs, n)
        at = np.rint(plan.beat_times * wish.fs).astype(np.int64)
        inside = np.flatnonzero((at >= 0) & (at < n) & np.diff(at, prepend=-1).astype(bool))
        name = f"{'-'.join(dict.fromkeys(r for r, _ in plan.request.script))}{index:05d}".replace("_", "-")
        edges = np.cumsum([0.0] + [s for _, s in plan.request.script])
        marks = np.minimum(np.rint(edges * wish.fs).astype(int), n)
        return Record(
            name=name,
            signal=signal,
            fs=wish.fs,
            leads=leads,
            subject=f"synthetic/{name}",
            source=plan.request.source,
            episodes=tuple(
                Episode(int(a), int(b), rhythm)
                for a, b, (rhythm, _) in zip(marks[:-1], marks[1:], plan.request.script, strict=True)
            ),
            beats=Beats(at[inside], tuple(plan.symbols[i] for i in inside), "generated"),
            age=plan.request.age,
            sex=plan.request.sex,
            extra={"synthetic": self.name, "index": str(index), "attempt": str(attempt)},
        )


def _learned_place(
    wish: Wish, rhythm: str, metadata: dict[str, Any], rng: np.random.Generator
) -> tuple[str, str]:
    """Source and lead: what is asked, the rest drawn as the rhythm's training people are spread."""
    config, rows = metadata["config"], metadata["spread"]
    lead = None if wish.leads is None or wish.twelve else wish.leads[0]
    if lead is not None and lead not in config["leads"]:
        raise OptionError(f"--lead {lead}: this generator knows {', '.join(config['leads'])}, and 12 for all.")
    if wish.source is not None and wish.source not in config["sources"]:
        raise OptionError(f"--source {wish.source}: known sources are {', '.join(config['sources'])}.")
    fits = [
        row
        for row in rows
        if row[0] == rhythm and wish.source in (None, row[1]) and (lead is None or wish.twelve or lead == row[2])
    ]
    if fits:
        weights = np.array([row[3] for row in fits], float)
        chosen = fits[int(rng.choice(len(fits), p=weights / weights.sum()))]
        return chosen[1], lead or chosen[2]
    # Nobody with this rhythm was recorded so: keep what was asked, take the rest from all people.
    fits = [row for row in rows if wish.source in (None, row[1]) and (lead is None or lead == row[2])] or rows
    weights = np.array([row[3] for row in fits], float)
    chosen = fits[int(rng.choice(len(fits), p=weights / weights.sum()))]
    return wish.source or chosen[1], lead or chosen[2]


def _draw_person(
    demographics: dict[str, Any], rhythm: str, source: str, rng: np.random.Generator
) -> tuple[float | None, Literal["M", "F"] | None]:
    """Age and sex as among the training people of a rhythm in a source, unknown as often as there."""
    level, share, coin = rng.random(3)
    group = demographics.get(f"{rhythm}/{source}") or demographics.get(f"*/{source}")
    if not group or share >= group["known"]:
        return None, None
    age = float(np.round(np.interp(level, np.linspace(0, 1, len(group["age"])), group["age"])))
    return age, "M" if coin < group["male"] else "F"


def _at_rate(signal: NDArray[np.float32], fs: float, n: int) -> NDArray[np.float32]:
    """Signal ``[leads, n]`` at `fs` Hz from one at `PLAN_FS`; a polyphase filter keeps aliases out."""
    if fs == PLAN_FS:
        return signal[:, :n]
    from scipy.signal import resample_poly

    ratio = Fraction(fs / PLAN_FS).limit_denominator(1000)
    out = resample_poly(signal, ratio.numerator, ratio.denominator, axis=1, padtype="line")
    if out.shape[1] < n:
        out = np.pad(out, ((0, 0), (0, n - out.shape[1])), mode="edge")
    return out[:, :n].astype(np.float32)


def load_generator(name: str = "cvae", weights: str | Path | None = None) -> Sampler:
    """A generator by name, with the weights that ship or with your own.

    Parameters
    ----------
    name : {"cvae", "cgan", "parametric"}
    weights : path or None
        A file written by ``ecgsynth train``.

    Examples
    --------
    >>> load_generator("parametric").sample(rhythm="nsr", n=1, seed=0)[0].episodes[0].rhythm
    'nsr'
    """
    return Sampler(name, Path(weights) if weights is not None else None)


def describe_conditions(wish: Wish) -> str:
    """The wish as JSON with sorted keys, for manifests."""
    asked = {key: value for key, value in vars(wish).items() if value is not None and key != "seed"}
    return json.dumps(asked, sort_keys=True)

"""From a request to a stream of synthetic records: who, when, what it looks like, at which rate."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.checkpoint import file_sha256, load_checkpoint, shipped_weights
from ecgsynth.errors import CheckpointError, OptionError
from ecgsynth.generators import GENERATORS
from ecgsynth.generators.episodes import draw_episodes
from ecgsynth.generators.plan import PLAN_FS, Plan, Request
from ecgsynth.generators.recorders import as_recorded, load_recorders, quantised
from ecgsynth.generators.rhythm_process import draw_plan
from ecgsynth.population import check_people, check_source, draw_demographics, draw_place
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS, Beats, Episode, Record, twelve_from_eight
from ecgsynth.wish import Wish

#: Records drawn and rendered together; a multiple of the decoder's rows.
CHUNK = 32
_FS_RANGE = (100.0, 1000.0)
#: What the parametric simulator, which has no training people, may resemble.
_PARAMETRIC_SOURCES = ("mitdb", "cinc2017", "ptbxl")


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
            Unknown lead, source or rhythm, a source that never showed the generator the rhythm, or an
            impossible combination.
        TooFewPeopleError
            A rhythm learned from fewer people than :func:`ecgsynth.population.fewest_people` says, unless
            allowed.
        CheckpointError
            Weights that cannot be used.
        """
        script = wish.script()
        low, high = _FS_RANGE
        if not low <= wish.fs <= high:
            raise OptionError(f"--fs: {wish.fs:g} Hz; allowed are {low:g} to {high:g} Hz.")
        if wish.age is not None and not 0 <= wish.age <= 120:
            raise OptionError(f"--age: {wish.age:g} years; allowed are 0 to 120.")
        wish.check_noise()
        metadata = self.load(wish.twelve)[1]
        for name, _ in script:
            if self.name != "parametric":
                check_people(name, self.name, metadata, wish)
                check_source(name, metadata, wish)
        draw_plan(self.request(wish, np.random.default_rng(0)), np.random.default_rng(0))

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
        """Records `indices` of the wish's seed; `attempts` counts the redraws of each, 0 at first.

        Those that are drawn again are drawn one by one.
        """
        attempts = attempts if attempts is not None else [0] * len(indices)
        generator, _, _ = self.load(wish.twelve)
        rngs = [
            np.random.default_rng(np.random.SeedSequence(wish.seed, spawn_key=(int(i), int(a))))
            for i, a in zip(indices, attempts, strict=True)
        ]
        plans = [draw_plan(self.request(wish, rng), rng) for rng in rngs]
        if wish.noise is not None or wish.snr is not None:
            pairs = generator.render_pairs(plans, rngs, alone=any(attempts))
            made = zip(plans, pairs, indices, attempts, strict=True)
            return [self._recorded(wish, plan, pair, i, a) for plan, pair, i, a in made]
        signals = generator.render(plans, rngs, alone=any(attempts))
        return [
            self.finished(wish, plan, signal, i, a)
            for plan, signal, i, a in zip(plans, signals, indices, attempts, strict=True)
        ]

    def _recorded(
        self,
        wish: Wish,
        plan: Plan,
        pair: tuple[NDArray[np.float32], NDArray[np.float32]],
        index: int,
        attempt: int,
    ) -> Record:
        """The record of a heart with the noise that was asked for."""
        # A stream of its own: what a device adds to record i is the same whoever drew the heart.
        rng = np.random.default_rng(
            np.random.SeedSequence(wish.seed, spawn_key=(int(index), int(attempt), 1))
        )
        signal, ratio = as_recorded(*pair, plan.beat_times, plan.request.source, wish.noise, wish.snr, rng)
        record = self.finished(wish, plan, signal, index, attempt)
        return replace(record, extra={**record.extra, "snr_db": f"{ratio:.2f}"})

    def request(self, wish: Wish, rng: np.random.Generator) -> Request:
        """What is asked of one record: the wish, and what it leaves open drawn as people have it."""
        script = wish.script()
        main = max(script, key=lambda episode: episode[1])[0]
        metadata = self.load(wish.twelve)[1]
        source, lead = (
            self._parametric_place(wish, rng)
            if self.name == "parametric"
            else draw_place(wish, main, metadata, rng)
        )
        age, sex = draw_demographics(metadata.get("demographics", {}), main, source, rng)
        if wish.in_turn:
            script = draw_episodes(script[0][0], script[1][0], wish.seconds, rng)
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
            raise OptionError(
                f"--lead {lead}: known leads are {', '.join(TWELVE_LEADS)}, MLII, and 12 for all."
            )
        return source, lead

    def finished(
        self, wish: Wish, plan: Plan, signal: NDArray[np.float32], index: int, attempt: int
    ) -> Record:
        """The record of a signal at `PLAN_FS`: its rate, its leads, its marks."""
        seconds = plan.request.seconds
        n = round(seconds * wish.fs)
        leads = plan.request.leads
        recorder = load_recorders().get(wish.noise or "")
        if recorder is not None:
            # The eight leads that a machine samples are in its steps; the others are computed from them.
            signal = quantised(_at_rate(signal, wish.fs, n), recorder)
        if wish.twelve:
            signal, leads = twelve_from_eight(signal), TWELVE_LEADS
        if recorder is None:
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

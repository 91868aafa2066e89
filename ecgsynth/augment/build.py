"""``ecgsynth augment`` as a function: real strips, synthetic ones of rare rhythms, one split, one folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from ecgsynth.augment.plan import Proposal, check_ratio, propose
from ecgsynth.augment.provenance import MixedWriter, check_parts
from ecgsynth.augment.rest import rest_of, shared_out
from ecgsynth.augment.shards import write_shards
from ecgsynth.augment.strips import Census, StripOptions, real_strips, take_census
from ecgsynth.augment.synthesis import Synthesis
from ecgsynth.checkpoint import read_metadata, shipped_weights
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.records import Record
from ecgsynth.rhythms import find_rhythm
from ecgsynth.split import PARTS, SplitManifest, split_people

#: Called with strips written and strips in all.
Progress = Callable[[int, int], None]
#: Options that are those of ``ecgsynth generate``.
_SHARED: Final = ("generator", "weights", "seed", "workers", "allow_few_people", "max_redraws")


@dataclass(frozen=True, kw_only=True)
class AugmentOptions:
    """Options of ``ecgsynth augment``.

    Attributes
    ----------
    strips : StripOptions
        Which real recordings, and how they are cut.
    out : Path
        Folder to make.
    rhythms : tuple of str
        Rhythms to generate, in any spelling.
    ratio : float
        Synthetic strips per real training strip of each rhythm, 0 to 20.
    rest : str
        What is generated besides, as often and in the image of the same databases, so that a model cannot
        take synthetic for the rhythm: rhythms with commas, ``auto`` for all that training shows, or ``none``.
    split : Path or None
        Split manifest of people; None splits anew.
    generator, weights, seed, workers, allow_few_people, max_redraws
        As for ``ecgsynth generate``.
    shards : {"tar", "parquet"} or None
        Also write shards for streaming.
    overwrite : bool
        Replace `out` if it is a dataset.
    """

    strips: StripOptions
    out: Path
    rhythms: tuple[str, ...]
    ratio: float = 1.0
    rest: str = "auto"
    split: Path | None = None
    generator: str = "cvae"
    weights: Path | None = None
    seed: int = 0
    workers: int = 0
    allow_few_people: bool = False
    max_redraws: int = 20
    shards: Literal["tar", "parquet"] | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_ratio(self.ratio)

    def names(self) -> tuple[str, ...]:
        """Canonical rhythms, each once."""
        return tuple(dict.fromkeys(find_rhythm(rhythm).name for rhythm in self.rhythms))


@dataclass(frozen=True)
class AugmentSummary:
    """What was written.

    Attributes
    ----------
    out : Path
    counts : Counter of (part, rhythm, "real" or "synthetic")
        Strips.
    people : dict of str to int
        People by part.
    dropped : Counter of str
        What was left out of the real recordings, by reason.
    redrawn : int
        Draws that the gate turned down.
    notes : tuple of str
        What a reader should know before trusting a result.
    shards : int
        Shards written.
    """

    out: Path
    counts: Counter[tuple[str, str, str]]
    people: dict[str, int]
    dropped: Counter[str]
    redrawn: int
    notes: tuple[str, ...]
    shards: int


def plan_dataset(options: AugmentOptions) -> list[Proposal]:
    """What `options` would have to work with, and what to generate; writes nothing.

    Raises
    ------
    RecordError, OptionError
        As `augment_dataset`.
    """
    census = take_census(options.strips)
    split = _split(options, census)
    return propose(census, _parts(split), options.generator, options.weights)


def augment_dataset(options: AugmentOptions, progress: Progress | None = None) -> AugmentSummary:
    """Write one WFDB dataset of real and synthetic strips; nothing appears under its name unless all does.

    Synthetic strips are in ``train`` only, and are generated at the rate, length and leads of the real ones.

    Raises
    ------
    OptionError
        If the ratio, a rhythm or the leads cannot be met.
    RecordError
        If a recording is damaged or synthetic, rates or lead sets differ, nothing is labelled, the split does
        not fit the people, or nobody in ``train`` shows a rhythm.
    OutputError
        If `out` exists or cannot be written.
    TooFewPeopleError, CheckpointError, GateError
        As ``ecgsynth generate``.
    """
    names = options.names()
    _check_output(options)
    census = take_census(options.strips)
    split = _split(options, census)
    parts = _parts(split)
    wanted = {name: _wanted(name, census, parts, options) for name in names}
    synthesis = _synthesis(options, census)
    for name, count in wanted.items():
        if count:
            synthesis.check(name)
    rest = rest_of(options.rest, names, census, parts, synthesis) if options.ratio else ()
    made_of_both = sum(wanted.values()) * (2 if rest else 1)
    total = sum(census.strips.values()) + made_of_both
    notes = _notes(census, split, options)
    counts: Counter[tuple[str, str, str]] = Counter()
    redrawn = 0
    writer = MixedWriter(options.out, n_records=total, overwrite=options.overwrite)
    writer.split, writer.notes = split, notes
    with writer:
        for record, line in _real(options, census, parts, split.sha256):
            _add(writer, record, line, counts, progress, total)
        sources: Counter[str] = Counter()
        for own, name, count, first in _batches(synthesis, wanted, rest, sources):
            with own.strips(name, count, options.out, first) as (turned_down, made):
                redrawn += turned_down
                for record, line in made:
                    sources[line["source"]] += name not in rest
                    _add(writer, record, {**line, "split": split.sha256}, counts, progress, total)
        shards = write_shards(writer, writer.members, options.shards, options.seed) if options.shards else 0
        out = writer.finish(_summary_rows(options, census, counts, redrawn, split))
    check_parts(out)
    people = {part: len({who for who, _ in census.strips if parts[who] == part}) for part in PARTS}
    return AugmentSummary(out, counts, people, census.dropped, redrawn, notes, shards)


def _batches(
    synthesis: Synthesis, wanted: dict[str, int], rest: tuple[str, ...], sources: Counter[str]
) -> Iterator[tuple[Synthesis, str, int, int]]:
    """Who makes which rhythm, how often, and the number of the first; the rest once `sources` are known."""
    for name, count in wanted.items():
        if count:
            yield synthesis, name, count, 0
    made: Counter[str] = Counter()
    for number, (source, name, count) in enumerate(shared_out(sources, rest)):
        yield synthesis.resembling(source, name, number), name, count, made[name]
        made[name] += count


def _add(
    writer: MixedWriter,
    record: Record,
    line: dict[str, Any],
    counts: Counter[tuple[str, str, str]],
    progress: Progress | None,
    total: int,
) -> None:
    writer.add(record, line)
    counts[line["part"], line["rhythm"], "synthetic" if line["synthetic"] else "real"] += 1
    if progress is not None:
        progress(writer.added, total)


def _check_output(options: AugmentOptions) -> None:
    """Refuse a target that exists before any recording is read."""
    MixedWriter(options.out, n_records=0, overwrite=options.overwrite)


def _split(options: AugmentOptions, census: Census) -> SplitManifest:
    people = census.people()
    if options.split is None:
        return split_people(people, seed=options.seed)
    try:
        manifest = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"--split {options.split}: cannot be read ({error}). Check the path.") from None
    strangers = sorted(set(people) - set(_parts(manifest)))
    if strangers:
        raise RecordError(
            f"--split {options.split}: {len(strangers)} of {len(people)} people are in no part, first "
            f"{strangers[0]}. Use the split that was made of these recordings, or leave --split out."
        )
    return manifest


def _parts(split: SplitManifest) -> dict[str, str]:
    return {name: part for part in PARTS for name in getattr(split, part)}


def _wanted(name: str, census: Census, parts: dict[str, str], options: AugmentOptions) -> int:
    people, strips = census.of(name, parts, "train")
    if not strips:
        shown = sorted({rhythm for _, rhythm in census.strips})
        raise RecordError(
            f"--rhythm {name}: nobody in train shows it, so there is nothing to take the ratio of. Shown are "
            f"{', '.join(shown)}; see --plan for who shows what."
        )
    count = round(options.ratio * strips)
    if options.ratio > 0 and count == 0:
        raise OptionError(
            f"--ratio: {options.ratio:g} of {strips} strips of {name} ({people} people) is none; choose a "
            "larger one."
        )
    return count


def _synthesis(options: AugmentOptions, census: Census) -> Synthesis:
    shared = {key: getattr(options, key) for key in _SHARED}
    return Synthesis(seconds=options.strips.seconds, fs=census.fs, leads=census.leads, **shared)


def _real(
    options: AugmentOptions, census: Census, parts: dict[str, str], split: str
) -> Iterator[tuple[Record, dict[str, Any]]]:
    for strip in real_strips(options.strips, census):
        part = parts[strip.subject]
        line = {
            "part": part,
            "person": strip.subject,
            "synthetic": False,
            "rhythm": strip.episodes[0].rhythm,
            "source": strip.source,
            "origin": strip.extra["origin"],
            "split": split,
        }
        yield replace(strip, extra={**strip.extra, "part": part}), line


def _notes(census: Census, split: SplitManifest, options: AugmentOptions) -> tuple[str, ...]:
    """What stands between this folder and an honest result on its test part."""
    if options.generator == "parametric" or options.ratio == 0:
        return ()
    own = read_metadata(options.weights or shipped_weights(options.generator, len(census.leads) > 1))
    shared = sorted(census.sources & set(own["config"]["sources"]))
    if not shared:
        return ()
    trained_with = str(own.get("training", {}).get("pack", "unknown"))
    if trained_with == split.sha256:
        return (
            "The generator was trained with this split: it has not seen people of `test`, but may have seen "
            "those of `val`.",
        )
    return (
        f"The generator learned from people of {', '.join(shared)}, and some of them may be in `val` or "
        f"`test` here. For an honest result give the split it was trained with (sha256 {trained_with[:12]}), "
        "or train it on the people of `train`.",
    )


def _summary_rows(
    options: AugmentOptions,
    census: Census,
    counts: Counter[tuple[str, str, str]],
    redrawn: int,
    split: SplitManifest,
) -> dict[str, object]:
    def total(part: str, kind: str) -> int:
        return sum(n for (at, _, what), n in counts.items() if at == part and what == kind)

    parts = {f"Part {part}": f"{total(part, 'real')} real" for part in PARTS}
    parts["Part train"] += f", {total('train', 'synthetic')} synthetic"
    return {
        **parts,
        "Synthetic rhythms": ", ".join(
            dict.fromkeys(rhythm for (_, rhythm, kind), n in counts.items() if kind == "synthetic" and n)
        )
        or "none",
        "Synthetic per real strip": f"{options.ratio:g}",
        "Generator": options.generator if options.ratio else "none",
        "Seed": options.seed,
        "Draws the gate turned down": redrawn,
        "Strips": f"{options.strips.seconds:g} s at {census.fs:g} Hz, leads {', '.join(census.leads)}",
        "Sources": ", ".join(sorted(census.sources)),
        "Split (SHA-256)": split.sha256,
    }

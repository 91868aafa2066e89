"""``ecgsynth generate`` as a function: draw, judge, redraw, write, in a bounded stream.

Records are made in blocks by worker processes and written by the one that called, in order. What a record
holds depends on the seed and its number, not on the block's worker, so any number of workers gives the
same bytes; memory holds a few blocks, however many records are asked for.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ecgsynth import __version__
from ecgsynth.engine import Engine, can_fork, in_order
from ecgsynth.errors import CheckpointError, GateError, OptionError
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.privacy.copy_gate import CopyGate, open_gate
from ecgsynth.processes import keep_memory, loading
from ecgsynth.records import Record
from ecgsynth.sampling import CHUNK, Sampler
from ecgsynth.wish import Wish

#: Called with records written and records in all.
Progress = Callable[[int, int], None]
#: Blocks longer than this, in seconds of signal over all records, are made smaller.
_BLOCK_SECONDS = 1920.0
#: Fewer records than this are not worth starting processes for.
_FEW_RECORDS = 128


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(Wish):
    """Options of ``ecgsynth generate``; those that shape a record are explained in :class:`Wish`.

    Attributes
    ----------
    records : int
        How many.
    out : Path
        Folder to make.
    overwrite : bool
        Replace `out` if it is a dataset, once the new one is complete.
    workers : int
        Tasks at a time; 0 takes one per core.
    engine : {"processes", "ray"}
        Who does the work, and for Ray at which `address`; see `ecgsynth.engine.Engine`.
    shard : tuple of int, optional
        ``(k, n)``: only the k-th (from 1) of n nearly equal parts of the records, as a dataset of its own.
        Records are the same as without, so that the shards of one request together are the whole.
    weights : Path or None
        Own checkpoint instead of the shipped one.
    max_redraws : int
        How often one record may be drawn again when it fails the gate.
    resume : bool
        Go on from what an interrupted run with the same options left, if there is any.
    copy_gate : bool
        Turn down records that are too near to a training person; False is said in the dataset card.
    train : Path or None
        Folder of recordings to keep records apart from, besides those the weights bring an index of.
    """

    out: Path
    generator: str = "cvae"
    records: int = 32
    overwrite: bool = False
    workers: int = 0
    engine: str = "processes"
    address: str | None = None
    shard: tuple[int, int] | None = None
    weights: Path | None = None
    max_redraws: int = 20
    resume: bool = False
    copy_gate: bool = True
    train: Path | None = None

    def wish(self) -> Wish:
        """What is asked of every record."""
        shared = {name: getattr(self, name) for name in Wish.__dataclass_fields__}
        return Wish(**shared)

    def request(self, digest: str, copies: str) -> dict[str, Any]:
        """All that the bytes of the dataset depend on: `digest` of the weights, `copies` of the copy gate."""
        asked = {key: value for key, value in vars(self.wish()).items() if key not in ("rhythm", "seconds")}
        asked |= {key: getattr(self, key) for key in ("generator", "records", "shard", "max_redraws")}
        said = {"weights": digest, "copies": copies, "version": __version__}
        if self.wish().in_turn:
            said["in_turn"] = self.rhythm
        return {**asked, "script": self.wish().script(), **said}

    def crew(self) -> Engine:
        """Who does the work."""
        return Engine(self.engine, self.workers, self.address)

    @property
    def block(self) -> int:
        """Records that are drawn and rendered together, by one worker."""
        seconds = sum(length for _, length in self.wish().script())
        return max(1, min(CHUNK, int(_BLOCK_SECONDS / seconds)))

    def span(self) -> range:
        """Numbers of the records to make: all, or those of the shard, which are whole blocks.

        Raises
        ------
        OptionError
            If there is no such shard.
        """
        if self.shard is None:
            return range(self.records)
        part, parts = self.shard
        blocks = -(-self.records // self.block)
        if not 1 <= part <= parts <= blocks:
            raise OptionError(
                f"--shard {part}/{parts}: allowed are 1/1 to {blocks}/{blocks}: {self.records} records "
                f"are made in blocks of {self.block}."
            )
        first, stop = (self.block * (blocks * k // parts) for k in (part - 1, part))
        return range(first, min(stop, self.records))


@dataclass(frozen=True)
class Summary:
    """What was done.

    Attributes
    ----------
    out : Path
    records : int
    redrawn : int
        Draws that failed the gate.
    rejected : dict of str to int
        How many of them failed each check (``copy``: near a training person); one can fail several.
    copies : str
        Whom records were kept apart from.
    contact_sheet : Path
    seconds_elapsed : float
    taken_over : int
        Records that an interrupted run had written.
    """

    out: Path
    records: int
    redrawn: int
    rejected: dict[str, int]
    copies: str
    contact_sheet: Path
    seconds_elapsed: float
    taken_over: int = 0


#: Records of one block with their manifest lines.
_Block = list[tuple[Record, dict[str, Any]]]


def generate_dataset(options: GenerateOptions, progress: Progress | None = None) -> Summary:
    """Write a synthetic dataset; nothing appears under its name unless all of it does.

    Raises
    ------
    OptionError, TooFewPeopleError, CheckpointError
        For a request that cannot be met, before any work.
    OutputError
        If `out` exists or cannot be written.
    GateError
        If a record failed the gate ``max_redraws + 1`` times.
    """
    from ecgsynth.export import DatasetWriter
    from ecgsynth.plot import contact_sheet

    began = time.monotonic()
    # Before the weights are loaded, as that starts torch's threads.
    fork = can_fork()
    engine = options.crew()
    total = len(options.span())
    tally = _Tally()
    writer = DatasetWriter(
        options.out,
        n_records=total,
        overwrite=options.overwrite,
        contact_sheet=contact_sheet,
        resume=options.resume,
    )
    with loading():
        sampler = Sampler(options.generator, options.weights)
        _one_torch_thread(options.generator)
        sampler.check(options.wish())
        _, metadata, digest = sampler.load(options.wish().twelve)
    copies = open_gate(options.generator, options.weights, metadata, options.train, wanted=options.copy_gate)
    writer.request = options.request(digest, copies.note)
    with writer:
        for text in writer.taken_over:
            tally.add(json.loads(text))
        for record, line in _made(options, sampler, copies, engine, fork, writer.added):
            tally.add(line)
            writer.add(record, line)
            if progress is not None:
                progress(writer.added, total)
        taken_over = len(writer.taken_over)
        rows = _card_rows(options, digest, tally.redrawn, tally.rejected)
        out = writer.finish({**rows, "Copy gate": copies.note, **_bound(metadata)})
    elapsed = time.monotonic() - began
    sheet = out / "contact_sheet.png"
    return Summary(out, total, tally.redrawn, dict(tally.rejected), copies.note, sheet, elapsed, taken_over)


@dataclass
class _Tally:
    """What the gate turned down, from the lines of the manifest: so a resumed run counts it all too."""

    rejected: Counter[str] = field(default_factory=Counter)
    redrawn: int = 0

    def add(self, line: Mapping[str, Any]) -> None:
        self.redrawn += line["attempt"]
        self.rejected.update(line["turned_down"])


def _made(
    options: GenerateOptions,
    sampler: Sampler,
    copies: CopyGate,
    engine: Engine,
    fork: bool,
    done: int,
) -> Iterator[tuple[Record, dict[str, Any]]]:
    """Records in order, without the first `done`."""
    span, size = options.span(), options.block
    first = span.start + done
    # The same blocks wherever a run begins: what is rendered together may matter to the last bit.
    begin = span.start + done // size * size
    parts = (range(i, min(i + size, span.stop)) for i in range(begin, span.stop, size))
    seconds = sum(length for _, length in options.wish().script())
    blocks = in_order(
        _Worker(options, sampler, copies).make,
        parts,
        engine,
        batch=1,
        few=len(span) * seconds < _FEW_RECORDS * 10,
        fork=fork,
        what="generating",
        advice="Go on with --resume and fewer --workers.",
    )
    for block in blocks:
        yield from (made for made in block if made[1]["index"] >= first)


class _Worker:
    """Makes blocks of records that pass the gate."""

    def __init__(self, options: GenerateOptions, sampler: Sampler, copies: CopyGate) -> None:
        from ecgsynth.fidelity.calibration import load_calibration

        # Slow to import, and wanted for the first record: processes that are forked share it.
        with loading():
            import_module("ecgsynth.fidelity.gate")
        keep_memory()
        self.options, self.sampler, self.wish = options, sampler, options.wish()
        self.calibration, self.copies = load_calibration(), copies
        _one_torch_thread(options.generator)
        self.digest = sampler.load(self.wish.twelve)[2]

    def __reduce__(self) -> tuple[Callable[..., _Worker], tuple[GenerateOptions, CopyGate, str]]:
        return _start_worker, (self.options, self.copies, self.digest)

    def make(self, part: range) -> _Block:
        """Draw the records of `part`, and draw again those that fail."""
        from ecgsynth.fidelity.gate import check_records

        pending = dict.fromkeys(part, 0)
        turned_down: dict[int, list[str]] = {i: [] for i in part}
        done: dict[int, tuple[Record, dict[str, Any]]] = {}
        while pending:
            indices, attempts = list(pending), list(pending.values())
            drawn = self.sampler.draw(self.wish, indices, attempts)
            verdicts = check_records(drawn, self.calibration)
            # Judged together: faster than one by one, and the same.
            sound = [record for record, verdict in zip(drawn, verdicts, strict=True) if verdict.passed]
            near = iter(self.copies.judge(sound))
            for i, record, verdict in zip(indices, drawn, verdicts, strict=True):
                copied = next(near) if verdict.passed else None
                reasons = verdict.reasons if copied is None else (copied,)
                if not reasons:
                    line = {**self._line(record, verdict.numbers), "turned_down": sorted(turned_down[i])}
                    done[i] = (self._labelled(record), line)
                    del pending[i]
                    continue
                turned_down[i] += {reason.split(":")[0] for reason in reasons}
                if pending[i] >= self.options.max_redraws:
                    raise GateError(
                        f"{record.name}: failed the gate {pending[i] + 1} times, last for "
                        f"{'; '.join(reasons)}. Try another --seed, --generator or other conditions."
                    )
                pending[i] += 1
        return [done[i] for i in part]

    def _labelled(self, record: Record) -> Record:
        top = min(record.fs, PLAN_FS) / 2
        text = f"0-{top:g} Hz (generated at {PLAN_FS} Hz, written at {record.fs:g} Hz)"
        return replace(record, extra={**record.extra, "bandwidth": text})

    def _line(self, record: Record, numbers: dict[str, float]) -> dict[str, Any]:
        asked = {k: v for k, v in vars(self.wish).items() if v is not None and k not in ("rhythm", "seed")}
        got = {"source": record.source, "leads": list(record.leads), "age": record.age, "sex": record.sex}
        if "snr_db" in record.extra:
            got["snr_db"] = float(record.extra["snr_db"]) if self.wish.noise != "clean" else None
        return {
            "seed": self.wish.seed,
            "index": int(record.extra["index"]),
            "attempt": int(record.extra["attempt"]),
            "rhythm": [[e.rhythm, round((e.stop - e.start) / record.fs, 6)] for e in record.episodes],
            "generator": self.options.generator,
            "weights_sha256": self.digest,
            "conditions": {"asked": asked, "drawn": got},
            "copy_gate": self.copies.state,
            "checks": {"passed": True, **{key: round(value, 4) for key, value in sorted(numbers.items())}},
        }


def _one_torch_thread(generator: str) -> None:
    """Let torch have one thread: two processes that spin two each on two cores slow each other tenfold.

    Before weights are loaded, which one thread alone does sooner, too.
    """
    if generator != "parametric":
        import torch

        torch.set_num_threads(1)


def _start_worker(options: GenerateOptions, copies: CopyGate, digest: str) -> _Worker:
    """What a worker has of a `_Worker`: it loads the weights itself, and they must be the same."""
    worker = _Worker(options, Sampler(options.generator, options.weights), copies)
    if worker.digest != digest:
        raise CheckpointError(
            f"{options.weights or options.generator}: a worker found other weights ({worker.digest[:12]}) "
            f"than were asked for ({digest[:12]}); give all machines the same file."
        )
    return worker


def _card_rows(
    options: GenerateOptions, digest: str, redrawn: int, rejected: Counter[str]
) -> dict[str, object]:
    wish = options.wish()
    asked = {
        k: v for k, v in vars(wish).items() if v not in (None, False) and k not in ("rhythm", "seed", "leads")
    }
    span = options.span()
    turned_down = ", ".join(f"{reason} {count}" for reason, count in sorted(rejected.items()))
    return {
        "Rhythm": wish.said(),
        "Records": len(span),
        **({"Shard": _shard(options)} if options.shard else {}),
        "Leads": ", ".join(wish.leads) if wish.leads else "as the training people's",
        "Generator": options.generator,
        "Weights (SHA-256)": digest,
        "Seed": options.seed,
        "Asked": ", ".join(f"{key} {value}" for key, value in sorted(asked.items())),
        "Draws the gate turned down": f"{redrawn} ({turned_down})" if redrawn else "none",
    }


def _shard(options: GenerateOptions) -> str:
    part, parts = options.shard or (1, 1)
    span = options.span()
    return f"{part} of {parts}: records {span.start} to {span.stop - 1} of {options.records}"


def _bound(metadata: dict[str, Any]) -> dict[str, str]:
    """The differential privacy that a checkpoint states."""
    said = metadata.get("training", {}).get("dp")
    text = "epsilon {epsilon:g}, delta {delta:g}, unit {unit}"
    return {"Differential privacy of the weights": text.format(**said)} if said else {}

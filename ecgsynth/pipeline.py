"""``ecgsynth generate`` as a function: draw, judge, redraw, write, in a bounded stream.

Records are made in blocks by worker processes and written by the one that called, in order. What a record
holds depends on the seed and its number, not on the block's worker, so any number of workers gives the
same bytes; memory holds a few blocks, however many records are asked for.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ecgsynth.errors import GateError
from ecgsynth.generators.plan import PLAN_FS
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
        Processes; 0 takes one per core.
    weights : Path or None
        Own checkpoint instead of the shipped one.
    max_redraws : int
        How often one record may be drawn again when it fails the gate.
    """

    out: Path
    generator: str = "cvae"
    records: int = 32
    overwrite: bool = False
    workers: int = 0
    weights: Path | None = None
    max_redraws: int = 20

    def wish(self) -> Wish:
        """What is asked of every record."""
        shared = {name: getattr(self, name) for name in Wish.__dataclass_fields__}
        return Wish(**shared)


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
        How many of them failed each check; one draw can fail several.
    contact_sheet : Path
    seconds_elapsed : float
    """

    out: Path
    records: int
    redrawn: int
    rejected: dict[str, int]
    contact_sheet: Path
    seconds_elapsed: float


@dataclass
class _Block:
    """Records of one block with their manifest lines, and what the gate turned down on the way."""

    made: list[tuple[Record, dict[str, Any]]] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    redrawn: int = 0


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
    # Forked workers need not import and load anything again; that is safe only while there are no
    # threads, and none of torch's, which it starts at its first operation.
    start = "fork" if _can_fork() else "spawn"
    rejected: Counter[str] = Counter()
    redrawn = 0
    with DatasetWriter(
        options.out, n_records=options.records, overwrite=options.overwrite, contact_sheet=contact_sheet
    ) as writer:
        sampler = Sampler(options.generator, options.weights)
        sampler.check(options.wish())
        digest = sampler.load(options.wish().twelve)[2]
        for block in _blocks(options, sampler, start):
            rejected += block.rejected
            redrawn += block.redrawn
            for record, line in block.made:
                writer.add(record, line)
                if progress is not None:
                    progress(writer.added, options.records)
        out = writer.finish(_card_rows(options, digest, redrawn, rejected))
    elapsed = time.monotonic() - began
    return Summary(out, options.records, redrawn, dict(rejected), out / "contact_sheet.png", elapsed)


def _blocks(options: GenerateOptions, sampler: Sampler, start: str) -> Iterator[_Block]:
    """All blocks in order, from this process or from workers."""
    seconds = sum(length for _, length in options.wish().script())
    size = max(1, min(CHUNK, int(_BLOCK_SECONDS / seconds)))
    parts = [range(i, min(i + size, options.records)) for i in range(0, options.records, size)]
    workers = options.workers or os.cpu_count() or 1
    first = _Worker(options, sampler)
    small = options.records * seconds < _FEW_RECORDS * 10
    if workers == 1 or len(parts) == 1 or (options.workers == 0 and small):
        yield from map(first.make, parts)
        return
    global _worker
    _worker = first
    initializer = (_ignore_ctrl_c, ()) if start == "fork" else (_start_worker, (options,))
    pool = ProcessPoolExecutor(min(workers, len(parts)), get_context(start), *initializer)
    try:
        waiting: deque[Future[_Block]] = deque()
        for part in parts:
            waiting.append(pool.submit(_make, part))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Worker:
    """Makes blocks of records that pass the gate."""

    def __init__(self, options: GenerateOptions, sampler: Sampler) -> None:
        from ecgsynth.fidelity.calibration import load_calibration

        self.options, self.sampler, self.wish = options, sampler, options.wish()
        self.calibration = load_calibration()
        self.digest = sampler.load(self.wish.twelve)[2]
        if options.generator != "parametric":
            import torch

            # One thread each: two processes that spin two threads each on two cores slow each other tenfold.
            torch.set_num_threads(1)

    def make(self, part: range) -> _Block:
        """Draw the records of `part`, and draw again those that fail."""
        from ecgsynth.fidelity.gate import check_record

        block = _Block()
        pending = dict.fromkeys(part, 0)
        done: dict[int, tuple[Record, dict[str, Any]]] = {}
        while pending:
            indices, attempts = list(pending), list(pending.values())
            for i, record in zip(indices, self.sampler.draw(self.wish, indices, attempts), strict=True):
                verdict = check_record(record, self.calibration)
                if verdict.passed:
                    done[i] = (self._labelled(record), self._line(record, verdict.numbers))
                    del pending[i]
                    continue
                block.redrawn += 1
                block.rejected.update({reason.split(":")[0] for reason in verdict.reasons})
                if pending[i] >= self.options.max_redraws:
                    raise GateError(
                        f"{record.name}: failed the gate {pending[i] + 1} times, last for "
                        f"{'; '.join(verdict.reasons)}. Try another --seed, --generator or other conditions."
                    )
                pending[i] += 1
        block.made = [done[i] for i in part]
        return block

    def _labelled(self, record: Record) -> Record:
        top = min(record.fs, PLAN_FS) / 2
        text = f"0-{top:g} Hz (generated at {PLAN_FS} Hz, written at {record.fs:g} Hz)"
        return replace(record, extra={**record.extra, "bandwidth": text})

    def _line(self, record: Record, numbers: dict[str, float]) -> dict[str, Any]:
        asked = {k: v for k, v in vars(self.wish).items() if v is not None and k not in ("rhythm", "seed")}
        got = {"source": record.source, "leads": list(record.leads), "age": record.age, "sex": record.sex}
        return {
            "seed": self.wish.seed,
            "index": int(record.extra["index"]),
            "attempt": int(record.extra["attempt"]),
            "rhythm": [[e.rhythm, round((e.stop - e.start) / record.fs, 6)] for e in record.episodes],
            "generator": self.options.generator,
            "weights_sha256": self.digest,
            "conditions": {"asked": asked, "drawn": got},
            "checks": {"passed": True, **{key: round(value, 4) for key, value in sorted(numbers.items())}},
        }


_worker: _Worker


def _can_fork() -> bool:
    return sys.platform == "linux" and threading.active_count() == 1 and "torch" not in sys.modules


def _ignore_ctrl_c() -> None:
    # Ctrl-C reaches every process of the terminal; the one that writes decides and stops the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _start_worker(options: GenerateOptions) -> None:
    global _worker
    _ignore_ctrl_c()
    _worker = _Worker(options, Sampler(options.generator, options.weights))


def _make(part: range) -> _Block:
    return _worker.make(part)


def _card_rows(
    options: GenerateOptions, digest: str, redrawn: int, rejected: Counter[str]
) -> dict[str, object]:
    wish = options.wish()
    asked = {
        k: v for k, v in vars(wish).items() if v not in (None, False) and k not in ("rhythm", "seed", "leads")
    }
    turned_down = ", ".join(f"{reason} {count}" for reason, count in sorted(rejected.items()))
    return {
        "Rhythm": ", ".join(f"{name} {seconds:g} s" for name, seconds in wish.script()),
        "Records": options.records,
        "Leads": ", ".join(wish.leads) if wish.leads else "as the training people's",
        "Generator": options.generator,
        "Weights (SHA-256)": digest,
        "Seed": options.seed,
        "Asked": ", ".join(f"{key} {value}" for key, value in sorted(asked.items())),
        "Draws the gate turned down": f"{redrawn} ({turned_down})" if redrawn else "none",
    }

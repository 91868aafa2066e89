"""``ecgsynth benchmark utility`` as a function: cells in parallel, each written when done, then a summary."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ecgsynth.checkpoint import file_sha256, read_metadata, shipped_weights
from ecgsynth.engine import Engine, in_order
from ecgsynth.errors import OptionError, OutputError
from ecgsynth.split import SplitManifest
from ecgsynth.utility.cells import Cell, first_cells, part_rows, second_cells
from ecgsynth.utility.energy import COMPUTE_FILE, energy_of
from ecgsynth.utility.strips import Strips, read_strips
from ecgsynth.utility.study import Study
from ecgsynth.utility.summary import chosen_ratios, summarise
from ecgsynth.utility.trial import Bench, PoolTask
from ecgsynth.utility.writing import write_results

#: Called with tasks done, tasks in all and a note.
Progress = Callable[[int, int | None, str], None]
_STUDY_FILE = "study.json"
#: What a resumed study may have more of: cells that are done stay as they are.
_MAY_GROW = ("seeds", "sweep_seeds", "people", "ratios", "arms", "generators")


@dataclass(frozen=True, kw_only=True)
class UtilityOptions:
    """Options of ``ecgsynth benchmark utility``.

    Attributes
    ----------
    study : Study
    data : Path
        Folder with one sub-folder per database.
    split : Path
        Split manifest: who was trained on, who chooses, who is tested on.
    out : Path
    workers : int
        Processes; 0 takes one per core.
    resume : bool
        Go on with what is in `out`.
    """

    study: Study
    data: Path
    split: Path
    out: Path
    workers: int = 0
    resume: bool = False


def run_study(options: UtilityOptions, progress: Progress | None = None) -> dict[str, Any]:
    """Run every cell that is not there yet and write ``utility.json``, ``utility.md`` and ``utility.png``.

    Raises
    ------
    OptionError
        If the study or the split cannot be met, or a generator learned from people of the test part.
    RecordError
        If recordings are missing or damaged, synthetic, or somebody is on both sides.
    OutputError
        If `out` is there and is not to be resumed, or is another study's.
    """
    split = _read_split(options.split)
    about = _about(options.study, split)
    _open(options, about)
    strips_path = options.out / "strips.npz"
    if not strips_path.is_file():
        read_strips(options.study, options.data, split).save(strips_path)
    strips = Strips.load(strips_path)
    part_rows(options.study, strips)
    study, show = options.study, progress or (lambda *_: None)
    with energy_of(options.out):
        first = list(dict.fromkeys(first_cells(study)))
        _work(options, [*_pools(study, first), *first], show)
        chosen, best = chosen_ratios(study, strips, options.out / "cells", first)
        second = list(dict.fromkeys(second_cells(study, chosen, best)))
        _work(options, [*_pools(study, second), *second], show)
    results = summarise(study, strips, options.out / "cells", first + second, chosen, best) | about
    write_results(options.out, study, results)
    return results


def count_cells(study: Study) -> tuple[int, int]:
    """Cells of the first round, and at most of the second."""
    chosen = {(g, k): study.ratios[0] for g in study.generators for k in study.people}
    best = {k: g for g, k in chosen if g != "parametric"}
    return len(set(first_cells(study))), len(set(second_cells(study, chosen, best)))


def _read_split(path: Path) -> SplitManifest:
    try:
        return SplitManifest.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(
            f"--split {path}: cannot be read ({error.strerror}); name the split manifest."
        ) from error


def _about(study: Study, split: SplitManifest) -> dict[str, Any]:
    """What must not change between a start and its resumption."""
    weights: dict[str, str] = {}
    if study.generators:
        for name in ("rhythm_process.json", "gate.json"):
            weights[name] = file_sha256(shipped_weights("cvae").parent / name)
    for generator in study.generators:
        if generator == "parametric":
            continue
        path = shipped_weights(generator, study.twelve)
        pack = read_metadata(path)["training"].get("pack")
        if pack != split.sha256:
            raise OptionError(
                f"--split: {split.sha256[:12]}, but {path.name} was trained by {str(pack)[:12]}: its people "
                "could be among those tested. Give that split, or your own weights."
            )
        weights[path.name] = file_sha256(path)
    return {"study": json.loads(json.dumps(asdict(study))), "split": split.sha256, "weights": weights}


def _open(options: UtilityOptions, about: dict[str, Any]) -> None:
    path = options.out / _STUDY_FILE
    text = json.dumps(about, indent=1) + "\n"
    if options.out.exists() and any(options.out.iterdir()):
        if not path.is_file():
            raise OutputError(f"{options.out}: exists and is no study; choose another --out.")
        if not options.resume:
            raise OutputError(
                f"{options.out}: exists already; pass --resume to go on, or choose another --out."
            )
        before = json.loads(path.read_text(encoding="utf-8"))
        if _fixed(before, about) != _fixed(about, about):
            raise OutputError(
                f"{options.out}: was started with another study, split or weights; choose another --out."
            )
        text = json.dumps(about | {"weights": before.get("weights", {}) | about.get("weights", {})}, indent=1)
        text += "\n"
    for folder in ("cells", "pools"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _fixed(about: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What must be the same; generators that only one of the two studies has may differ."""
    kept = {key: value for key, value in about["study"].items() if key not in _MAY_GROW}
    weights = {**now.get("weights", {}), **about.get("weights", {})}
    return {**about, "study": kept, "weights": {name: weights[name] for name in now.get("weights", {})}}


def _pools(study: Study, cells: Iterable[Cell]) -> list[PoolTask]:
    from ecgsynth.utility.arms import ARMS

    needed: dict[PoolTask, None] = {}
    for cell in cells:
        if not cell.generator:
            continue
        how = ARMS[cell.arm].synthetic
        for positive in (True,) if how == "positive" else (True, False):
            needed[PoolTask(cell.generator, positive, cell.seed % study.pools, how != "ungated")] = None
    return list(needed)


def _work(options: UtilityOptions, tasks: list[PoolTask | Cell], show: Progress) -> None:
    """Do what has no file yet: pools first, then cells."""
    out, done = options.out, 0
    for kind, folder, suffix in ((PoolTask, "pools", "npy"), (Cell, "cells", "json")):
        own = [task for task in tasks if isinstance(task, kind)]
        todo = [task for task in own if not (out / folder / f"{task.name}.{suffix}").is_file()]
        done += len(own) - len(todo)
        if not todo:
            continue
        engine = Engine(workers=min(options.workers or os.cpu_count() or 1, len(todo)))
        made = in_order(
            Bench(options.study, out),
            todo,
            engine,
            batch=1,
            fork=False,
            what="benchmark utility",
            advice="Give fewer --workers, and go on with --resume.",
        )
        for task, seconds in zip(todo, made, strict=True):
            done += 1
            with (out / COMPUTE_FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"task": task.name, "processor_s": round(seconds, 2)}) + "\n")
            show(done, len(tasks), task.name)

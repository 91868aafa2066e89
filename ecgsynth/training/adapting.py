"""``ecgsynth train --adapt`` as a function: a rhythm of a user's folder added to weights that are there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgsynth.batches import load_strips
from ecgsynth.checkpoint import file_sha256, save_checkpoint
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.generators.conditions import RHYTHM_INDEX
from ecgsynth.generators.strip_net import StripNet
from ecgsynth.privacy.copy_build import build_index, pack_strips
from ecgsynth.privacy.copy_file import load_index, save_index
from ecgsynth.privacy.copy_gate import index_beside
from ecgsynth.privacy.copy_index import CopyIndex
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.training.adapter import FEWEST_STRIPS, MOST_STRIPS, Progress, adapt, joined_people
from ecgsynth.training.describe import describe_people
from ecgsynth.training.sources import measured_wander

if TYPE_CHECKING:
    from ecgsynth.training.options import TrainOptions

#: Optimiser steps of an adapter where none are asked for: a few minutes on one core.
STEPS = 300


def adapt_to_folder(
    net: StripNet,
    metadata: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
    fresh: list[str],
    options: TrainOptions,
    start: Path,
    progress: Progress | None,
) -> tuple[int, str]:
    """Write the checkpoint and the copy index of an adapter; returns its steps and what it learned.

    Parameters
    ----------
    net : StripNet
        The weights to start from, with rows for `fresh`.
    metadata : dict
        Of those weights.
    arrays : dict of arrays
        Pack of the folder.
    fresh : list of str
        Sources that the weights did not know.
    options : TrainOptions
    start : Path
        Where the weights came from.
    progress : callable, optional

    Raises
    ------
    RecordError
        If there are fewer than five strips.
    OptionError
        If the weights know no rhythm to start from.
    """
    net.wander_power.copy_(torch.from_numpy(measured_wander(net, arrays)))
    strips = load_strips(arrays, net.config)
    if len(strips) < FEWEST_STRIPS:
        raise RecordError(
            f"{options.data}: {len(strips)} strips of ten seconds; an adapter needs {FEWEST_STRIPS} or more "
            f"(it is meant for up to about {MOST_STRIPS}). Add recordings."
        )
    known = [RHYTHM_INDEX[name] for name in sorted(metadata["population"]) if name in RHYTHM_INDEX]
    if not known:
        raise OptionError(f"--from-weights {start}: knows no rhythm to start an adapter from.")
    steps = min(options.steps, STEPS)
    sources = [net.config.sources.index(name) for name in fresh]
    found = adapt(net, strips, known, sources, seed=options.seed, steps=steps, progress=progress)
    names = list(RHYTHMS)
    began = {names[rhythm]: names[other] for rhythm, other in found["started_from"].items()}
    notes = {
        "seed": options.seed,
        "steps": steps,
        "started_from": file_sha256(start),
        "adapted": {**found, "started_from": began, "strips": len(strips)},
    }
    people = joined_people(metadata, describe_people(arrays, set(arrays["subject"].tolist())))
    # First, so that weights are never there without it.
    save_index(_index(arrays, start), index_beside(options.out))
    save_checkpoint(options.out, net.eval(), {"generator": options.generator, "training": notes, **people})
    said = f"{found['numbers']} numbers, starting from {', '.join(sorted(set(began.values())))}"
    return steps, f"{said}; all else as it was"


def _index(arrays: dict[str, NDArray[Any]], start: Path) -> CopyIndex:
    """Index of the folder's people, with those of the weights before, which are still in there."""
    index = build_index(pack_strips(arrays), {}, like=load_index())
    beside = index_beside(start)
    if not beside.is_file():
        return index
    before = load_index(beside)
    codes = {kind: np.concatenate([rows, before.codes[kind]]) for kind, rows in index.codes.items()}
    sums = {key: int(index.notes[key]) + int(before.notes[key]) for key in ("people", "windows")}
    return dataclasses.replace(index, codes=codes, notes={**index.notes, **sums})

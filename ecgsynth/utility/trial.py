"""What a worker process does: make a pool of synthetic strips, or train and judge one cell."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ecgsynth.augment.noise import BaselineWander, EMGNoise, GaussianNoise, PowerLine
from ecgsynth.augment.transform import Setting, Transform
from ecgsynth.records import INDEPENDENT_LEADS
from ecgsynth.utility.arms import ARMS
from ecgsynth.utility.cells import Cell, chosen_people, part_rows, tested_of, write_cell
from ecgsynth.utility.metrics import auprc
from ecgsynth.utility.strips import Strips
from ecgsynth.utility.study import Study
from ecgsynth.utility.synthetic import draw_pool
from ecgsynth.utility.training import Classifier, Pool, jittered, scores, train_classifier

#: What is done to the first test set in studies with ``robustness``, by name.
TROUBLES: Final[dict[str, Transform]] = {
    **{f"white noise {db} dB": GaussianNoise(snr_db=(db, db), p=1.0) for db in (20, 10, 5, 0)},
    **{f"muscle noise {db} dB": EMGNoise(snr_db=(db, db), p=1.0) for db in (10, 0)},
    "wander 0.5 mV": BaselineWander(peak_mv=(0.5, 0.5), p=1.0),
    "wander 2 mV": BaselineWander(peak_mv=(2.0, 2.0), p=1.0),
    "mains 50 Hz 0.1 mV": PowerLine(hz=(50.0,), peak_mv=(0.1, 0.1), p=1.0),
    "mains 60 Hz 0.1 mV": PowerLine(hz=(60.0,), peak_mv=(0.1, 0.1), p=1.0),
}


@dataclass(frozen=True)
class PoolTask:
    """Strips of one class by one generator."""

    generator: str
    positive: bool
    seed: int
    gated: bool = True

    @property
    def name(self) -> str:
        """Of its file."""
        kind = "positive" if self.positive else "negative"
        return f"{self.generator}_{kind}_{'gated' if self.gated else 'ungated'}_s{self.seed}"


class Bench:
    """A study's strips and folder, in memory of one process; does a task and returns seconds of processor."""

    def __init__(self, study: Study, out: Path) -> None:
        torch.set_num_threads(1)
        self.study, self.out = study, out
        self.strips = Strips.load(out / "strips.npz")
        self.rows = part_rows(study, self.strips)

    def __reduce__(self) -> tuple[Any, ...]:
        return Bench, (self.study, self.out)  # a worker reads the strips by itself

    def __call__(self, task: PoolTask | Cell) -> float:
        """Do a task."""
        return self.pool(task) if isinstance(task, PoolTask) else self.cell(task)

    def pool(self, task: PoolTask) -> float:
        """Make a pool's file; returns seconds of processor."""
        began = time.process_time()
        rhythms = self.study.positive if task.positive else self.study.synthetic_negative
        made, _ = draw_pool(self.study, task.generator, rhythms, 2 * task.seed + task.positive, task.gated)
        path = self.out / "pools" / f"{task.name}.npy"
        partial = path.with_suffix(".partial.npy")
        np.save(partial, made.astype(np.float16))
        partial.replace(path)
        return time.process_time() - began

    def cell(self, cell: Cell) -> float:
        """Train, judge and write one cell; returns seconds of processor."""
        began = time.process_time()
        arm = ARMS[cell.arm]
        real = self._real(cell)
        net = train_classifier(self.study, arm, real, self._made(cell, real), cell.ratio, cell.seed)
        found: dict[str, Any] = {"scores": {}}
        for name, rows in self.rows.items():
            if name != "train":
                found["scores"][name] = np.round(scores(net, self.strips.signal[rows]), 5).tolist()
        if self.study.robustness and cell.seed < self.study.sweep_seeds:
            found["robustness"] = self._robustness(net)
        write_cell(self.out / "cells", cell, found)
        return time.process_time() - began

    def _real(self, cell: Cell) -> Pool:
        rows = self.rows["train"]
        rare = np.isin(self.strips.rhythm[rows], self.study.positive)
        common, wanted = rows[~rare], rows[rare]
        people = chosen_people(self.strips.subject[wanted], cell.people, cell.seed)
        wanted = wanted[np.isin(self.strips.subject[wanted], people)]
        return Pool(
            self.strips.signal[common], self.strips.signal[wanted], self._owner(common), self._owner(wanted)
        )

    def _owner(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.unique(self.strips.subject[rows], return_inverse=True)[1].astype(np.int64)

    def _made(self, cell: Cell, real: Pool) -> Pool | None:
        how = ARMS[cell.arm].synthetic
        if not how:
            return None
        rng = np.random.default_rng(np.random.SeedSequence(cell.seed, spawn_key=(0x5A,)))
        none = real.negative[:0]
        if how == "jittered":
            common, rare = none, jittered(real.positive, self.study.pool, rng)
        else:
            rare = self._load_pool(cell, positive=True)
            common = none if how == "positive" else self._load_pool(cell, positive=False)
        if how == "shuffled":
            both = np.concatenate([common, rare])[rng.permutation(len(common) + len(rare))]
            common, rare = both[: len(common)], both[len(common) :]
        return Pool(common, rare, np.arange(len(common)), np.arange(len(rare)))

    def _load_pool(self, cell: Cell, positive: bool) -> NDArray[np.float32]:
        gated = ARMS[cell.arm].synthetic != "ungated"
        task = PoolTask(cell.generator, positive, cell.seed % self.study.pools, gated)
        return np.asarray(np.load(self.out / "pools" / f"{task.name}.npy"), np.float32)

    def _robustness(self, net: Classifier) -> dict[str, float]:
        """AUPRC on the first test set, disturbed; mains that the rate cannot hold are left out."""
        rows = self.rows[next(iter(self.study.tests))]
        tested = tested_of(self.study, self.strips, rows)
        leads = INDEPENDENT_LEADS if self.study.twelve else ("I",)
        setting = Setting(self.study.fs, leads)
        signal = torch.from_numpy(self.strips.signal[rows])
        found: dict[str, float] = {}
        for name, trouble in TROUBLES.items():
            if isinstance(trouble, PowerLine) and not trouble.usable(self.study.fs):
                continue
            rng = torch.Generator().manual_seed(0)
            found[name] = auprc(tested, scores(net, trouble(signal, setting, rng).numpy()))
        return found

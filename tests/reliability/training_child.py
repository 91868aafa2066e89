"""A process that trains when told, each time in a child of its own, so that the child can be killed.

Reads a folder and, after tabs, the steps and then the seconds after which the child is killed; answers with
the child's exit code.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from ecgsynth.batches import Strips, load_strips
from ecgsynth.generators.strip_net import LearnedConfig, StripNet
from ecgsynth.pack import pack
from ecgsynth.records import Record
from ecgsynth.sampling import load_generator
from ecgsynth.training.run import RunOptions, run
from ecgsynth.training.tasks import CVAETask, Schedule

CONFIG = LearnedConfig(("*",), ("I", "II"), ("mitdb", "ptbxl"), latent=4, width=16, film=8)
STEPS, EPOCH = 16, 2


def people() -> Iterator[Record]:
    for record in load_generator("parametric").sample("nsr", 4, seed=1, seconds=12.0, source="ptbxl"):
        yield replace(record, source="ptbxl", subject=f"ptbxl/{record.name}")


def train(folder: Path, strips: Strips) -> None:
    """Train as a user would who resumes wherever there is something to resume."""
    torch.manual_seed(0)
    task = CVAETask(StripNet(CONFIG), Schedule(steps=STEPS))
    resume = any(folder.glob("*.ckpt"))

    def show(done: int, total: int, note: str) -> None:
        with (folder / "steps.txt").open("a") as file:
            file.write(f"{done}\n")

    folder.mkdir(exist_ok=True)
    with (folder / "steps.txt").open("a") as file:
        file.write(f"begin, {'resumed' if resume else 'fresh'}\n")
    run(task, strips, None, RunOptions(folder, batch_size=4, epoch=EPOCH, resume=resume), show)
    torch.save(task.mean_net.state_dict(), folder / "trained.pt")


def main() -> None:
    torch.set_num_threads(1)
    strips = load_strips(pack(people()), CONFIG)
    for line in sys.stdin:
        name, *kill = line.rstrip("\n").split("\t")
        folder = Path(name)
        begun = begins(folder)
        child = os.fork()
        if child == 0:
            try:
                train(folder, strips)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        steps, seconds = (int(kill[0]), float(kill[1])) if kill else (math.inf, 0.0)
        print(end_of(child, partial(is_due, folder, begun, steps), seconds), flush=True)


def begins(folder: Path) -> int:
    return lines(folder).count("begin")


def is_due(folder: Path, begun: int, steps: float) -> bool:
    """Whether the training that is the `begun` + 1st to begin has done so many steps."""
    seen = lines(folder)
    return seen.count("begin") > begun and seen[::-1].index("begin") >= steps


def lines(folder: Path) -> list[str]:
    """First words of what was noted."""
    try:
        return [line.split(",")[0] for line in (folder / "steps.txt").read_text().splitlines()]
    except FileNotFoundError:
        return []


def end_of(child: int, due: Callable[[], bool], seconds: float) -> int:
    """Exit code of a child that is killed so long after it is due; nobody else may wait for it before."""
    deadline = math.inf
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if deadline == math.inf and due():
            deadline = time.monotonic() + seconds
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            deadline, due = math.inf, lambda: False
        time.sleep(0.005)


if __name__ == "__main__":
    main()

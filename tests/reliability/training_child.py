"""A process that trains when told, each time in a child of its own, so that the child can be killed.

Reads a folder and, after a tab, the seconds until the child is killed; answers with the child's exit code.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from ecgsynth.batches import Strips, load_strips
from ecgsynth.generators.learned import LearnedConfig, StripNet
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
        folder, _, kill_after = line.rstrip("\n").partition("\t")
        child = os.fork()
        if child == 0:
            try:
                train(Path(folder), strips)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        print(end_of(child, float(kill_after) if kill_after else None), flush=True)


def end_of(child: int, kill_after: float | None) -> int:
    """Exit code of a child that is killed after so many seconds; waited for here, so its number stays its."""
    deadline = time.monotonic() + kill_after if kill_after is not None else math.inf
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            deadline = math.inf
        time.sleep(0.005)


if __name__ == "__main__":
    main()

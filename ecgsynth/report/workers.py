"""A function over a stream, in order, by several processes, with only a few items in memory."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

from ecgsynth.processes import named_faults, start_worker, stop

Item = TypeVar("Item")
Made = TypeVar("Made")

#: Items that travel to a process together.
BATCH = 32
_FAULTS = partial(named_faults, "judging", "Try again with fewer --workers.")


def in_order(
    act: Callable[[Item], Made], items: Iterable[Item], workers: int, few: bool = False
) -> Iterator[Made]:
    """``map(act, items)``, by ``workers`` processes (0: one per core).

    Parameters
    ----------
    act : callable
        Must depend on its argument only, so that the number of processes cannot matter; must be picklable.
    items : iterable
        Read as processes become free: at most a few batches are in memory.
    workers : int
    few : bool
        There are so few items that processes are not worth starting, unless asked for.
    """
    wanted = workers or os.cpu_count() or 1
    if wanted == 1 or (few and not workers):
        yield from map(act, items)
        return
    # Forked processes need not import everything again; safe only without threads, torch's included.
    can_fork = sys.platform == "linux" and threading.active_count() == 1 and "torch" not in sys.modules
    context = get_context("fork" if can_fork else "spawn")
    stream = iter(items)
    pool = ProcessPoolExecutor(wanted, context, initializer=_start, initargs=(act,))
    done = False
    try:
        waiting: deque[Future[list[Any]]] = deque()
        while batch := list(islice(stream, BATCH)):
            waiting.append(_submit(pool, batch))
            if len(waiting) > 2 * wanted:
                yield from _result(waiting.popleft())
        while waiting:
            yield from _result(waiting.popleft())
        done = True
    finally:
        # Waited for where nothing is pending: the pool's thread must be gone before the next one may fork.
        stop(pool, done)


def _submit(pool: ProcessPoolExecutor, batch: list[Any]) -> Future[list[Any]]:
    with _FAULTS():
        return pool.submit(_run, batch)


def _result(made: Future[list[Any]]) -> list[Any]:
    with _FAULTS():
        return made.result()


_act: Callable[[Any], Any]


def _start(act: Callable[[Any], Any]) -> None:
    global _act
    start_worker()
    _act = act


def _run(batch: list[Any]) -> list[Any]:
    return [_act(item) for item in batch]

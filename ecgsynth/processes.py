"""Worker processes: they leave Ctrl-C to the one that writes, end with it, and their faults get a name."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.connection import wait

from ecgsynth.errors import ResourceError


def start_worker() -> None:
    """First thing in a worker process.

    Ctrl-C reaches every process of a terminal; the one that writes decides and stops the others. One that is
    killed can stop nobody: its workers see that it is gone and end, instead of waiting for work for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def stop(pool: ProcessPoolExecutor, done: bool) -> None:
    """End a pool: wait for its processes if the work is `done`, else end them in the middle of theirs."""
    workers = [] if done else list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=done, cancel_futures=True)
    for worker in workers:
        worker.terminate()


@contextmanager
def named_faults(what: str, advice: str) -> Iterator[None]:
    """Turn running out of memory, here, on a GPU or in a worker, into ResourceError.

    Parameters
    ----------
    what : str
        What was being done, such as ``"generating"``.
    advice : str
        What to do next.
    """
    try:
        yield
    except BrokenProcessPool:
        reason = "a worker process was killed, most often for lack of memory"
        raise ResourceError(f"{what}: {reason}. {advice}") from None
    except MemoryError:
        raise ResourceError(f"{what}: out of memory. {advice}") from None
    except RuntimeError as error:
        # torch.OutOfMemoryError, told by its name: torch need not be there.
        if type(error).__name__ != "OutOfMemoryError":
            raise
        raise ResourceError(f"{what}: out of memory on the GPU. {advice}") from None

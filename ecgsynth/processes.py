"""Worker processes: they leave Ctrl-C to the one that writes, end with it, and their faults get a name."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from queue import SimpleQueue
from typing import Any, Final

from ecgsynth.errors import EcgSynthError, ResourceError

#: What asks a process to end.
_SIGNALS: Final = {signal.SIGTERM, signal.SIGINT}
#: Seconds that a worker has to end before it is killed.
_PATIENCE: Final = 5.0
#: Numbers of two settings of glibc, malloc.h: from which size memory is had from the system piece by piece
#: (32 MiB is the most it takes), and how much may lie free before it goes back.
_M_MMAP_THRESHOLD: Final = -3
_M_TRIM_THRESHOLD: Final = -1
_KEPT: Final = 128 << 20


class WorkerKilledError(Exception):
    """A worker process is gone in the middle of its work; `named_faults` says so to the user."""


@dataclass(eq=False)
class _Worker:
    """A process, its pipe, and the numbers of the batches that it has, first come first."""

    process: BaseProcess
    pipe: Connection
    has: deque[int] = field(default_factory=deque)
    ready: bool = False
    gone: bool = False


class Workers:
    """Processes that make something of batches; a batch is known by its number.

    Each has a pipe of its own. With `concurrent.futures` all share one for what they made, and all hold it
    open: the parent then waits for ever for the rest of what a killed one was writing.

    There is no thread in the parent, so that it may fork again afterwards.
    """

    #: Batches that a worker has at a time: one to work on, and the next.
    _DEPTH = 2

    def __init__(self, act: Callable[[Any], Any], count: int, fork: bool) -> None:
        self.workers = count
        self._act, self._fork = act, fork
        self._crew: list[_Worker] = []
        self._queue: deque[tuple[int, list[Any]]] = deque()
        self._made: dict[int, tuple[list[Any], Exception | None, str]] = {}
        self._batches = 0
        while fork and len(self._crew) < count:  # later, the parent may have threads
            self._hire()

    def submit(self, batch: list[Any]) -> int:
        """Hand a batch over; its number."""
        number, self._batches = self._batches, self._batches + 1
        self._queue.append((number, batch))
        if len(self._crew) < self.workers and all(one.has or not one.ready for one in self._crew):
            self._hire()
        self._receive(0)
        return number

    def result(self, number: int) -> list[Any]:
        """What was made of a batch; waits for it.

        Raises
        ------
        WorkerKilledError
            If the worker that had it died. What others have made is still to be had.
        Exception
            What the function raised.
        """
        while number not in self._made:
            self._receive(None)
        made, error, where = self._made.pop(number)
        if error is not None:
            meant = isinstance(error, EcgSynthError | WorkerKilledError)
            raise error from (None if meant else RuntimeError(f"in a worker process:\n{where}"))
        return made

    def close(self, done: bool) -> None:
        """Let the workers go: at once if there is work left, which is dropped."""
        for worker in self._crew:
            if done:
                with suppress(OSError):  # it may be gone by itself
                    worker.pipe.send(None)
            else:
                worker.process.terminate()
        for worker in self._crew:
            worker.process.join(_PATIENCE)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._crew.clear()

    def _hire(self) -> None:
        context = get_context("fork") if self._fork else get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._act, not self._fork), daemon=True)
        # A forked one must not act on a signal by the parent's handler before it has set its own.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS) if self._fork else None
        try:
            process.start()
            self._crew.append(_Worker(process, ours, ready=self._fork))
        finally:
            theirs.close()  # held by nobody else: the pipe ends with the process
            if held is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _receive(self, timeout: float | None) -> None:
        """Take what is there, or wait for it, and hand out what can be."""
        self._hand_out()
        pipes = {one.pipe: one for one in self._crew if not one.gone and (one.has or not one.ready)}
        for pipe in wait(list(pipes), timeout):
            worker = pipes[pipe]  # type: ignore[index]
            try:
                made = worker.pipe.recv()
            except (EOFError, OSError):
                self._lose(worker)
                continue
            if worker.ready:
                self._made[worker.has.popleft()] = made
            worker.ready = True
        self._hand_out()

    def _hand_out(self) -> None:
        while self._queue:
            crew = [one for one in self._crew if not one.gone]
            free = [one for one in crew if one.ready and len(one.has) < self._DEPTH]
            if crew and not free:
                return
            number, batch = self._queue.popleft()
            if not free:  # nobody is left
                self._made[number] = [], WorkerKilledError(), ""
                continue
            worker = min(free, key=lambda one: len(one.has))
            worker.has.append(number)
            try:
                worker.pipe.send(batch)
            except OSError:
                self._lose(worker)

    def _lose(self, worker: _Worker) -> None:
        worker.gone = True
        for number in worker.has:
            self._made[number] = [], WorkerKilledError(), ""
        worker.has.clear()


def _work(pipe: Connection, act: Callable[[Any], Any], greet: bool) -> None:
    """The life of a worker: says that it is there, where starting takes long; then works until told to end.

    Two threads read and write, so that neither side ever waits for the other to read.
    """
    start_worker()
    batches: SimpleQueue[bytes] = SimpleQueue()
    made: SimpleQueue[Any] = SimpleQueue()
    if greet:
        made.put(ForkingPickler.dumps(True))
    threading.Thread(target=_read, args=(pipe, batches), daemon=True).start()
    threading.Thread(target=_write, args=(pipe, made), daemon=True).start()
    while (batch := ForkingPickler.loads(batches.get())) is not None:
        made.put(_outcome(act, batch))


def _outcome(act: Callable[[Any], Any], batch: list[Any]) -> Any:
    """Pickled: what was made, or what was raised, and where."""
    try:
        return ForkingPickler.dumps(([act(item) for item in batch], None, ""))
    except Exception as error:
        said = traceback.format_exc()
        try:
            ForkingPickler.loads(ForkingPickler.dumps(error))
        except Exception:  # one that cannot travel
            return ForkingPickler.dumps(([], RuntimeError(repr(error)), said))
        return ForkingPickler.dumps(([], error, said))


def _read(pipe: Connection, batches: SimpleQueue[bytes]) -> None:
    try:
        while True:
            batches.put(pipe.recv_bytes())
    finally:
        os._exit(1)  # whatever it is: the parent sees that the pipe ends


def _write(pipe: Connection, made: SimpleQueue[Any]) -> None:
    try:
        while True:
            pipe.send_bytes(made.get())
    finally:
        os._exit(1)


def keep_memory() -> None:
    """Let this process and those that it forks keep what they free, up to `_KEPT` bytes (Linux with glibc).

    Arrays of a megabyte come and go by the thousand. By default glibc hands each back to the system, which
    then has to clear every page again: a fifth of the time that a record takes to draw.
    """
    if sys.platform == "linux":
        tune = getattr(ctypes.CDLL(None), "mallopt", None)
        if tune is not None:
            tune(_M_MMAP_THRESHOLD, _KEPT // 4)
            tune(_M_TRIM_THRESHOLD, _KEPT)


@contextmanager
def loading() -> Iterator[None]:
    """Load modules and weights without looking for garbage among them: a tenth of the time that torch takes.

    All of it stays, and counts as old at once.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        gc.enable()


def _one_blas_thread() -> None:
    """Let this process multiply matrices with one thread: workers are as many as cores.

    Two that spin two threads each on two cores slow each other by a third in the small products of the record
    gate.
    """
    from threadpoolctl import threadpool_limits

    # For a library that is not loaded yet, in a process that was not forked.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    threadpool_limits(1, user_api="blas")


def start_worker() -> None:
    """First thing in a worker process.

    Ctrl-C reaches every process of a terminal; the one that writes decides and stops the others. One that is
    killed can stop nobody: its workers see that it is gone and end, instead of waiting for work for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    _one_blas_thread()
    # What it was forked with stays; a search for garbage in it would copy its pages, too.
    gc.freeze()
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


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
    except WorkerKilledError:
        reason = "a worker process was killed, most often for lack of memory"
        raise ResourceError(f"{what}: {reason}. {advice}") from None
    except MemoryError:
        raise ResourceError(f"{what}: out of memory. {advice}") from None
    except RuntimeError as error:
        # torch.OutOfMemoryError, told by its name: torch need not be there.
        if type(error).__name__ != "OutOfMemoryError":
            raise
        raise ResourceError(f"{what}: out of memory on the GPU. {advice}") from None

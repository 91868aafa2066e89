"""A function over a stream, in order, by processes of this machine or by Ray, with few items in memory.

Whoever uses it has one code path: what is made of an item depends on the item only, results come back in
order, and so neither the engine nor the number of workers can change a byte.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

from ecgsynth import __version__
from ecgsynth.errors import OptionError, ResourceError
from ecgsynth.processes import Workers, named_faults

Item = TypeVar("Item")
Made = TypeVar("Made")

#: Small items, such as records, that travel together.
BATCH = 32
#: How often Ray runs a task again whose worker or machine died before it counts as lost.
RETRIES = 5


@dataclass(frozen=True)
class Engine:
    """Who does the work.

    Attributes
    ----------
    name : {"processes", "ray"}
        Key of `ENGINES`.
    workers : int
        Tasks at a time; 0 takes one per core of this machine, or of the cluster.
    address : str or None
        Ray cluster to join, such as ``"auto"`` or ``"ray://head:10001"``; None starts Ray on this machine.
    """

    name: str = "processes"
    workers: int = 0
    address: str | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise OptionError(f"--engine {self.name}: unknown; allowed are {', '.join(ENGINES)}.")
        if self.address is not None and self.name != "ray":
            raise OptionError(f"--address {self.address}: is for --engine ray; leave it out or add that.")


class Pool(Protocol):
    """Workers that take batches."""

    #: Batches at a time.
    workers: int

    def submit(self, batch: list[Any]) -> Any:
        """Hand a batch over; what comes back is for `result`."""

    def result(self, handle: Any) -> list[Any]:
        """What was made of a batch; waits for it."""

    def close(self, done: bool) -> None:
        """Let the workers go; ``done`` says that no batch is left."""


def can_fork() -> bool:
    """Whether processes may be forked, which saves importing and loading everything again.

    Safe only without threads, torch's included, which it starts at its first operation: ask before that.
    """
    return sys.platform == "linux" and threading.active_count() == 1 and "torch" not in sys.modules


def in_order(
    act: Callable[[Item], Made],
    items: Iterable[Item],
    engine: Engine,
    *,
    batch: int = BATCH,
    few: bool = False,
    fork: bool | None = None,
    what: str = "judging",
    advice: str = "Try again with fewer --workers.",
) -> Iterator[Made]:
    """``map(act, items)`` by the workers of an engine.

    Parameters
    ----------
    act : callable
        Must depend on its argument only, so that the workers cannot matter. Is pickled once for a worker,
        unless processes are forked: its ``__reduce__`` may leave out what a worker can load by itself.
    items : iterable
        Read as workers become free: at most a few batches are in memory.
    engine : Engine
    batch : int
        Items that travel together.
    few : bool
        There is so little to do that processes are not worth starting, unless a number of them is asked for.
    fork : bool, optional
        What `can_fork` said before torch was loaded; by default it is asked now.
    what, advice : str
        What is being done, and what to do next if the machine cannot: see `named_faults`.

    Raises
    ------
    OptionError
        If the engine is not installed, or no cluster answers.
    ResourceError
        If memory runs out, or a worker process is killed; with Ray, if a task was lost over `RETRIES` times.
    """
    stream = iter(items)
    batches = iter(lambda: list(islice(stream, batch)), [])
    with named_faults(what, advice):
        first = list(islice(batches, 2))
        alone = len(first) < 2 or engine.workers == 1 or (few and not engine.workers)
        if engine.name == "processes" and (alone or (not engine.workers and os.cpu_count() == 1)):
            yield from map(act, chain(*first, stream))
            return
        pool = ENGINES[engine.name](act, engine, can_fork() if fork is None else fork)
        yield from _from_pool(pool, chain(first, batches), 2 * pool.workers)


def _from_pool(pool: Pool, batches: Iterable[list[Any]], most: int) -> Iterator[Any]:
    """What the workers make of the batches, in order; some `most` batches are out at a time."""
    done = False
    try:
        waiting: deque[Any] = deque()
        for part in batches:
            waiting.append(pool.submit(part))
            if len(waiting) > most:
                yield from pool.result(waiting.popleft())
        while waiting:
            yield from pool.result(waiting.popleft())
        done = True
    finally:
        pool.close(done)


class Processes(Workers):
    """Processes of this machine."""

    def __init__(self, act: Callable[[Any], Any], engine: Engine, fork: bool) -> None:
        super().__init__(act, engine.workers or os.cpu_count() or 1, fork)


class Ray:
    """Workers of a Ray cluster, or of this machine; a task whose worker dies is run again elsewhere."""

    def __init__(self, act: Callable[[Any], Any], engine: Engine, fork: bool) -> None:
        # It would report what is run to its makers, and nothing here may use the network unasked.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError:
            raise OptionError(
                "--engine ray: Ray is not installed; install ecgsynth[scale], or leave --engine out."
            ) from None
        self._ray = ray
        self._own = not ray.is_initialized()
        if self._own:
            _join(ray, engine)
        self.workers = engine.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        # In a list, so that a worker fetches it once and not with every task.
        self._box = [ray.put(act)]
        self._token = os.urandom(8).hex()
        self._task = ray.remote(num_cpus=1, max_retries=RETRIES)(_run_far)
        self._open: set[Any] = set()

    def submit(self, batch: list[Any]) -> Any:
        """Hand a batch over."""
        handle = self._task.remote(self._token, self._box, __version__, batch)
        self._open.add(handle)
        return handle

    def result(self, handle: Any) -> list[Any]:
        """What was made of a batch."""
        lost = self._ray.exceptions
        try:
            return list(self._ray.get(handle))
        except lost.RayTaskError as error:
            raise error.cause from None
        except (lost.WorkerCrashedError, lost.NodeDiedError, lost.ObjectLostError) as error:
            raise ResourceError(
                f"Ray lost a task {RETRIES + 1} times ({type(error).__name__}); its workers may lack memory: "
                "try again with fewer --workers."
            ) from None
        finally:
            self._open.discard(handle)

    def close(self, done: bool) -> None:
        """Let the workers go."""
        for handle in self._open:
            self._ray.cancel(handle, force=True)
        if self._own:
            self._ray.shutdown()


def _join(ray: Any, engine: Engine) -> None:
    """Connect to the cluster asked for, or start Ray on this machine."""
    quiet = {"include_dashboard": False} if engine.address is None else {}
    cores = {"num_cpus": engine.workers or os.cpu_count()} if engine.address is None else {}
    try:
        ray.init(engine.address or "local", log_to_driver=False, logging_level="ERROR", **quiet, **cores)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        what = f"no Ray cluster at --address {engine.address}" if engine.address else "Ray does not start"
        raise OptionError(f"{what} ({error}); start one with 'ray start --head', or leave it out.") from None


_held: dict[str, Callable[[Any], Any]] = {}


def _run_far(token: str, box: list[Any], version: str, batch: list[Any]) -> list[Any]:
    """One batch in a worker of Ray, which keeps the function that it was sent until there is another."""
    if version != __version__:
        raise OptionError(
            f"--engine ray: a worker has ecgsynth {__version__}, you have {version}; they must be the "
            "same, or the bytes would not be."
        )
    if token not in _held:
        import ray

        act = ray.get(box[0])
        _held.clear()
        _held[token] = act
    return [_held[token](item) for item in batch]


#: An engine takes the function, the options and whether it may fork.
ENGINES: dict[str, Callable[[Callable[[Any], Any], Engine, bool], Pool]] = {
    "processes": Processes,
    "ray": Ray,
}
#: This process, without help.
ALONE = Engine(workers=1)

"""What the reliability tests have in common: how long they may take, and processes that are killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

#: Set by ``make test-long``: thousands of mutated files and dozens of kills instead of a few.
LONG = bool(os.environ.get("ECGSYNTH_TEST_LONG"))


@pytest.fixture(scope="session")
def times() -> Callable[[int, int], int]:
    """How often to try something: ``times(few, many)``."""
    return lambda few, many: many if LONG else few


class Child:
    """A forked process that does one thing, and the signals sent to it."""

    def __init__(self, act: Callable[..., Any], *args: Any) -> None:
        self._process = multiprocessing.get_context("fork").Process(target=act, args=args)
        self._began = time.monotonic()
        self._process.start()

    @property
    def exit_code(self) -> int:
        """Waits; minus the number of the signal that ended it."""
        self._process.join(120)
        if self._process.exitcode is None:
            self._process.kill()
            raise AssertionError("the process hangs")
        return self._process.exitcode

    def kill_after(self, seconds: float, number: int = signal.SIGKILL) -> int:
        """Send a signal that many seconds after the start, unless it is done; the exit code."""
        self._process.join(max(0.0, self._began + seconds - time.monotonic()))
        if self._process.exitcode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)
        return self.exit_code

    def wait_until(self, true: Callable[[], bool]) -> None:
        """Wait for something that the process does."""
        deadline = time.monotonic() + 60
        while not true():
            assert self._process.exitcode is None and time.monotonic() < deadline
            time.sleep(0.02)

    def group_is_gone(self) -> bool:
        """Whether the process and those that it started end within some seconds."""
        assert self._process.pid is not None
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                os.killpg(self._process.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.1)
        os.killpg(self._process.pid, signal.SIGKILL)
        return False


@pytest.fixture
def child() -> type[Child]:
    return Child


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2026)


@pytest.fixture(scope="session")
def people() -> Callable[[Path, int], None]:
    """``people(folder, seed)`` writes recordings of a dozen people, not marked as synthetic."""
    from ecgsynth.rhythms import RHYTHMS
    from ecgsynth.sampling import load_generator
    from ecgsynth.wfdb_io import write_record

    def write(folder: Path, seed: int) -> None:
        folder.mkdir()
        for i, record in enumerate(load_generator("parametric").sample("afib", 12, seed, leads=("II",))):
            about = [f"Dx: {RHYTHMS['afib'].snomed}", f"Subject: {seed}-{i}"]
            write_record(folder, record.name, record.signal, record.fs, record.leads, about)

    return write


def tree(folder: Path) -> dict[str, bytes]:
    """Contents of all files below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

"""What the commands show while they work: a bar for people, a few plain lines for logs."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
#: Seconds between two pictures of a progress bar.
REDRAW_S = 0.2


class Progress(Protocol):
    """Called by the work as it goes.

    Parameters
    ----------
    done : int
        How much is done, in records or steps.
    total : int or None
        How much there is to do; None where that is not known.
    note : str
        A few words on how it goes, such as ``"loss 0.21"``.
    """

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Say how far the work is."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, by which schedulers end a job: treated as Ctrl-C, with the exit code that it is known by."""


class Interrupted(click.ClickException):
    """Ctrl-C, where it is known what became of the output."""

    exit_code = 128 + signal.SIGINT


class InterruptedBySystem(Interrupted):
    """The same for SIGTERM."""

    exit_code = 128 + signal.SIGTERM


def exit_code_of(cause: BaseException) -> int:
    """128 and the number of the signal, as shells have it."""
    return InterruptedBySystem.exit_code if isinstance(cause, Terminated) else Interrupted.exit_code


def engine_options(command: Command) -> Command:
    """Add the options that say who does the work, besides ``--workers``."""
    engine = click.option(
        "--engine", type=click.Choice(["processes", "ray"]), default="processes", show_default=True
    )
    address = click.option(
        "--address", default=None, help="Ray cluster to join, such as auto.  [default: none]"
    )
    return engine(address(command))


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` at SIGTERM, so that what is half-written is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> NoReturn:
    raise Terminated


@contextmanager
def guarded(out: Path, advice: str | Callable[[], str] = "") -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a line that says that nothing was written to ``out``; see `exit_code_of`.

    ``advice`` says what to do next, or is asked that then; it begins with a blank.
    """

    def interrupted(cause: BaseException) -> Interrupted:
        said = advice if isinstance(advice, str) else advice()
        kind = InterruptedBySystem if isinstance(cause, Terminated) else Interrupted
        return kind(f"Interrupted; nothing was written to {out}.{said}")

    try:
        yield
    except KeyboardInterrupt as error:
        raise interrupted(error) from None
    except SystemExit as end:
        cause = end.__context__
        if isinstance(cause, KeyboardInterrupt):  # what Lightning makes of Ctrl-C
            raise interrupted(cause) from None
        raise


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """A progress bar on stderr where that is a terminal, else a line for every quarter of the work."""
    if sys.stderr.isatty():
        with _bar(title) as bar:
            yield bar
    else:
        yield _lines(title)


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    # No refreshing thread: worker processes are forked while the bar is shown.
    bar = RichProgress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
    with bar as display:
        task = display.add_task(title, total=None, note="")

        drawn = 0.0

        def show(done: int, total: int | None, note: str = "") -> None:
            nonlocal drawn
            due = time.monotonic() - drawn > REDRAW_S
            drawn = time.monotonic() if due else drawn
            display.update(task, completed=done, total=total, note=note, refresh=due)

        yield show


def _lines(title: str) -> Progress:
    shown = 0

    def show(done: int, total: int | None, note: str = "") -> None:
        nonlocal shown
        quarter = 4 * done // total if total else 0
        if quarter > shown:
            shown = quarter
            click.echo(f"{title}: {done} of {total}" + (f", {note}" if note else ""), err=True)

    return show

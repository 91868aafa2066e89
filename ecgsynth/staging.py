"""A folder appears under its name whole or not at all: made under a hidden name, renamed once complete.

One process at a time may prepare a target. What a killed one left behind is told from what a living one is
writing by a lock that the system takes back when its holder dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecgsynth.errors import OutputError

#: Targets that this process prepares: the system's lock keeps other processes out, not this one.
_held: set[str] = set()


@dataclass(frozen=True)
class Kind:
    """What is published.

    Attributes
    ----------
    name : str
        As in messages: ``dataset``, ``report``.
    mark : str
        The file that tells such a folder, which ``--overwrite`` may replace, from any other.
    """

    name: str
    mark: str


def partial_of(target: Path) -> Path:
    """Where `target` is prepared: a hidden folder beside it, so that renaming is one step."""
    target = Path(os.path.abspath(target))
    return target.with_name(f".{target.name}.partial")


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.replaced")


class Lock:
    """Keeps other writers from a target, whichever process they are in, until it is released or dies."""

    def __init__(self, target: Path) -> None:
        self.target = Path(os.path.abspath(target))
        self._file = self.target.with_name(f".{self.target.name}.lock")
        self._key = os.path.realpath(self._file)
        self._opened: int | None = None

    def acquire(self) -> None:
        """Take it; `fcntl.lockf`, because forked workers must not inherit it.

        Raises
        ------
        OutputError
            If it is taken.
        """
        while self._key not in _held:
            opened = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            try:
                fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(opened)
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    break
                raise
            # Whoever held it until now may have removed the name: then this one keeps nobody out.
            if _same_file(opened, self._file):
                _held.add(self._key)
                self._opened = opened
                return
            os.close(opened)
        raise OutputError(
            f"{self.target}: another process is writing it; allowed: one at a time. Wait for it, or choose "
            "another name."
        )

    def release(self) -> None:
        """Let others write the target."""
        if self._opened is not None:
            self._file.unlink(missing_ok=True)
            os.close(self._opened)
            _held.discard(self._key)
            self._opened = None


def _same_file(opened: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened), os.lstat(path))
    except FileNotFoundError:
        return False


@contextmanager
def only_writer(target: Path) -> Iterator[None]:
    """Hold the `Lock` of a target.

    Raises
    ------
    OutputError
        If it is taken, or cannot be made.
    """
    lock = Lock(target)
    with writing(target):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class Stage:
    """The hidden folder in which a target is prepared, locked against other writers until it is closed.

    Attributes
    ----------
    target, folder : Path
        The name to be, and the hidden folder.
    """

    def __init__(self, target: Path, kind: Kind, overwrite: bool) -> None:
        self.target = Path(os.path.abspath(target))
        self.kind, self.overwrite = kind, overwrite
        self.folder = partial_of(self.target)
        self._lock = Lock(self.target)

    def open(self, stale: Literal["keep", "discard", "refuse"] = "discard") -> bool:
        """Take the lock and make the folder.

        Parameters
        ----------
        stale : {"keep", "discard", "refuse"}
            What to do with a folder that a dead process left.

        Returns
        -------
        bool
            Whether the folder is one that a dead process left.

        Raises
        ------
        OutputError
            If another process prepares the same target, the folder cannot be made, or there is one left
            and `stale` refuses it.
        """
        with writing(self.target):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        try:
            with writing(self.target):
                return self._make(stale)
        except BaseException:
            self.close()
            raise

    def _make(self, stale: str) -> bool:
        self._bring_back()
        left = os.path.lexists(self.folder)
        if left and (self.folder.is_symlink() or not self.folder.is_dir()):
            raise OutputError(
                f"{self.folder}: is not a folder that ecgsynth left; it is in the way of {self.target.name}. "
                "Remove it, or choose another target."
            )
        if left and stale == "refuse":
            raise OutputError(
                f"{self.target}: an interrupted run left its records in {self.folder.name}; allowed: "
                "--resume to go on with them, or --overwrite to start afresh."
            )
        if left and stale == "discard":
            shutil.rmtree(self.folder)
        self.folder.mkdir(exist_ok=left and stale == "keep")
        return left and stale == "keep"

    def _bring_back(self) -> None:
        """Undo a replacement that was killed between its two renames, and finish one killed after them."""
        aside = _aside(self.target)
        if aside.is_symlink() or not (aside / self.kind.mark).is_file():
            return
        if os.path.lexists(self.target):
            shutil.rmtree(aside)
        else:
            aside.rename(self.target)
            check_target(self.target, self.overwrite, self.kind)

    def publish(self) -> None:
        """Give the folder the target's name; the old one is put aside first, and comes back if that fails.

        Raises
        ------
        OutputError
            If the target is there and may not be replaced, or cannot be written.
        """
        aside = _aside(self.target)
        with writing(self.target):
            check_target(self.target, self.overwrite, self.kind)
            try:
                if self.target.exists():
                    self.target.rename(aside)
                self.folder.rename(self.target)
            except BaseException:
                if aside.exists() and not self.target.exists():
                    aside.rename(self.target)
                raise
        shutil.rmtree(aside, ignore_errors=True)
        self.close()

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Let others prepare the target; the folder stays as it is."""
        self._lock.release()


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn the system's complaints about writing `target` into OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(unwritable(target, error)) from None


def check_target(target: Path, overwrite: bool, kind: Kind) -> None:
    """Refuse a target that is there and is not of its kind and to be replaced.

    Raises
    ------
    OutputError
    """
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise OutputError(
            f"{target}: exists already; allowed: a new folder. Choose another or pass --overwrite."
        )
    if target.is_symlink() or not target.is_dir():
        raise OutputError(f"{target}: is not a folder; allowed: a {kind.name} to replace. Choose another.")
    if not (target / kind.mark).is_file() and any(target.iterdir()):
        raise OutputError(
            f"{target}: holds no {kind.mark}, so it is not a {kind.name} that --overwrite may replace. "
            "Choose another folder."
        )


def unwritable(target: Path, error: OSError) -> str:
    """What to say of a target that the system refuses."""
    return f"{target}: cannot be written ({error.strerror}). Check space and permissions, or choose another."

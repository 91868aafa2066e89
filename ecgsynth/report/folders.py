"""One of the two folders of a report: its records one by one, what could not be read, and its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from ecgsynth.datasets import open_dataset, recognise
from ecgsynth.datasets.folder import read_one
from ecgsynth.datasets.marks import header_stems
from ecgsynth.errors import RecordError
from ecgsynth.records import Episode, Record

#: Files that the hash of a folder covers: headers, samples, annotations, and the tables that databases
#: keep their labels in.
HASHED = frozenset({".hea", ".dat", ".mat", ".atr", ".csv"})


@dataclass(frozen=True)
class Unreadable:
    """A record that could not be read, and the reader's sentence on why."""

    record: str
    why: str


@dataclass
class Folder:
    """A folder of recordings that can be read more than once.

    Attributes
    ----------
    path : Path
    database : str
        Name in `ecgsynth.datasets.DATASETS`; ``"folder"`` for a plain WFDB folder.
    unreadable : dict of str to Unreadable
        Filled while reading, by record.
    claim : str or None
        Rhythm of every record, where the records themselves name none.
    """

    path: Path
    database: str
    unreadable: dict[str, Unreadable] = field(default_factory=dict)
    claim: str | None = None

    @property
    def name(self) -> str:
        """Name of the folder without the way to it."""
        return self.path.resolve().name

    def records(self) -> Iterator[Record]:
        """Records in order, each read when asked for.

        Raises
        ------
        RecordError
            If there is no record at all.
        """
        source = self._plain() if self.database == "folder" else open_dataset(self.path, skip=self._skip)
        for record in source:
            if self.claim is not None:
                episodes = (Episode(0, record.n_samples, self.claim),)
                record = replace(record, episodes=episodes)
            yield record

    def _plain(self) -> Iterator[Record]:
        for name in self._names():
            try:
                yield self._read(name)
            except RecordError as error:
                self._skip(self.path / name, error)

    def _skip(self, stem: Path, error: RecordError) -> None:
        name = stem.relative_to(self.path).as_posix()
        self.unreadable[name] = Unreadable(name, self._without_path(str(error)))

    def _names(self) -> list[str]:
        """Record names relative to the folder: those that ``RECORDS`` lists, its folders' too, or all."""
        listing = self.path / "RECORDS"
        if not listing.is_file():
            return self._below(self.path)
        lines = listing.read_text(encoding="utf-8", errors="replace").splitlines()
        names = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
        if not names:
            raise RecordError(f"{listing} is empty: expected one record name a line; list them or delete it.")
        parts = (self._below(self.path / name) if self._holds(name) else [name] for name in names)
        return list(dict.fromkeys(chain.from_iterable(parts)))

    def _holds(self, name: str) -> bool:
        """Whether this is a folder below this one."""
        path = self.path / name
        return path.is_dir() and path.resolve().is_relative_to(self.path.resolve())

    def _below(self, folder: Path) -> list[str]:
        """Names of the records in ``folder`` or, where it has none itself, in all folders below it."""
        if folder.is_dir() and next(folder.glob("*.hea"), None) is None:
            inside = [path for path in sorted(folder.iterdir()) if path.is_dir()]
            known = [path.name for path in inside if recognise(path) != "folder"]
            if known:
                raise RecordError(
                    f"{folder}: holds databases ({', '.join(known[:5])}), no records; give one of them."
                )
            headers = sorted(folder.rglob("*.hea"))
            if headers:
                return [path.with_suffix("").relative_to(self.path).as_posix() for path in headers]
        return [stem.relative_to(self.path).as_posix() for stem in header_stems(folder)]

    def _read(self, name: str) -> Record:
        stem = self.path / name
        if not stem.resolve().is_relative_to(self.path.resolve()):
            raise RecordError(f"RECORDS names {name!r}, which lies outside the folder; remove the line.")
        record = read_one(stem)
        # Records in sub-folders (000/, 001/) are of one source, and a person may be in several of them.
        person = record.subject.removeprefix(f"{record.source}/")
        person = name if person == record.name else person
        return replace(record, name=name, source=self.name, subject=f"{self.name}/{person}")

    def _without_path(self, text: str) -> str:
        for way in (str(self.path.resolve()), str(self.path)):
            text = text.replace(f"{way}/", "").replace(way, self.name)
        return " ".join(text.split())

    def sha256(self) -> str:
        """Hash over names and contents of the recordings (`HASHED`), the same wherever the folder lies."""
        total = hashlib.sha256()
        for path in sorted(self.path.rglob("*"), key=lambda p: p.relative_to(self.path).as_posix()):
            if path.suffix.lower() in HASHED and path.is_file():
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                total.update(f"{digest}  {path.relative_to(self.path).as_posix()}\n".encode())
        return total.hexdigest()


def open_folder(path: Path) -> Folder:
    """The folder at ``path``.

    Raises
    ------
    RecordError
        If there is none.
    """
    return Folder(Path(path), recognise(Path(path)))

"""One reader per database, in one table; each yields `Record` objects, read when asked for.

A new database is one file with ``read_<db>(root, *, skip=None) -> Iterator[Record]``, one line in
`DATASETS` and, if it can be told by its files, one in `RECOGNISED_BY`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Final, Protocol

from ecgsynth.datasets.marks import Skip
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.records import Record


class Reader(Protocol):
    """What every reader is: records of a folder, and who is told of those that cannot be read."""

    def __call__(self, root: Path, /, *, skip: Skip | None = None) -> Iterator[Record]:
        """Records in ``root``; one that is damaged raises unless there is a ``skip`` to tell."""


DATASETS: Final[dict[str, str]] = {
    "mitdb": "ecgsynth.datasets.mitdb:read_mitdb",
    "vfdb": "ecgsynth.datasets.vfdb:read_vfdb",
    "cudb": "ecgsynth.datasets.cudb:read_cudb",
    "cinc2017": "ecgsynth.datasets.cinc2017:read_cinc2017",
    "qtdb": "ecgsynth.datasets.qtdb:read_qtdb",
    "ludb": "ecgsynth.datasets.ludb:read_ludb",
    "ptbxl": "ecgsynth.datasets.ptbxl:read_ptbxl",
    "cinc2021": "ecgsynth.datasets.cinc2021:read_cinc2021",
    "folder": "ecgsynth.datasets.folder:read_folder",
}
#: What tells a database: a file or folder that must be there, and the names that all its headers must have
#: (None: headers lie further down and are not looked at). First match wins; ``folder`` is the rest.
RECOGNISED_BY: Final[tuple[tuple[str, str, str | None], ...]] = (
    ("ptbxl", "ptbxl_database.csv", None),
    ("ludb", "ludb.csv", None),
    ("cinc2021", "chapman_shaoxing", None),
    ("cinc2021", "ningbo", None),
    ("cinc2017", "REFERENCE.csv", r"A\d{5}"),
    ("mitdb", ".", r"[12]\d\d"),
    ("vfdb", ".", r"(4[123]\d|6[01]\d)(_e\d+)?"),
    ("cudb", ".", r"cu\d\d(_\w+)?"),
    ("qtdb", ".", r"sele?\d+m?(_w)?"),
)


def find_reader(name: str) -> Reader:
    """The reader of a database in `DATASETS`.

    Raises
    ------
    OptionError
        If there is none of that name; the message lists them.
    """
    if name not in DATASETS:
        raise OptionError(f"unknown dataset {name!r}; known are {', '.join(DATASETS)}.")
    reader: Reader = resolve_name(DATASETS[name])
    return reader


def recognise(path: Path) -> str:
    """Name in `DATASETS` of the database in a folder, by its files; ``folder`` where it is none of them.

    Raises
    ------
    RecordError
        If there is no such folder.
    """
    path = Path(path)
    if not path.is_dir():
        raise RecordError(f"no folder {path}: expected one with WFDB records; check the path.")
    stems = [header.stem for header in path.glob("*.hea")]
    for name, mark, pattern in RECOGNISED_BY:
        if not (path / mark).exists():
            continue
        if pattern is None or (stems and all(re.fullmatch(pattern, stem) for stem in stems)):
            return name
    return "folder"


def open_dataset(path: Path, *, skip: Skip | None = None) -> Iterator[Record]:
    """Records of whatever database or plain WFDB folder ``path`` is, read lazily.

    Parameters
    ----------
    path : Path
    skip : callable, optional
        Told of each record that cannot be read (its path without suffix, and why), which is then left out.

    Raises
    ------
    RecordError
        If there is no such folder, no record in it, or one is damaged and there is no ``skip`` to tell.
    """
    return find_reader(recognise(path))(Path(path), skip=skip)


def read_all(root: Path) -> Iterator[Record]:
    """Records of every database among the sub-folders of ``root``, in order of their names.

    Sub-folders without a header anywhere below are passed over.

    Raises
    ------
    RecordError
        If there is no such folder, no database in it, or a record is damaged.
    """
    root = Path(root)
    if not root.is_dir():
        raise RecordError(f"no folder {root}: expected one sub-folder per database; check the path.")
    found = False
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if next(folder.rglob("*.hea"), None) is None:
            continue
        found = True
        yield from open_dataset(folder)
    if not found:
        raise RecordError(f"no databases in {root}: none of its sub-folders holds a WFDB header (*.hea).")

"""Writing a dataset of synthetic records: a stream of records in, a complete folder or nothing out.

Nothing written depends on the clock, the machine or the path, and only the records of the contact sheet
stay in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from ecgsynth import __version__
from ecgsynth.errors import OutputError
from ecgsynth.export.card import ANNOTATORS, LICENCE, dataset_card, header_comments, rhythm_marks
from ecgsynth.records import Record
from ecgsynth.staging import Kind, check_target, publish, unwritable
from ecgsynth.wfdb_io import write_record

#: Most records in one folder; larger datasets are split into ``000/``, ``001/``, ...
RECORDS_PER_FOLDER = 1000
DATASET = Kind("dataset", "manifest.jsonl")
#: Records on the contact sheet, and the seconds of each that are kept for it.
SHEET_RECORDS, SHEET_SECONDS = 32, 10.0
#: What a manifest line must say, besides the name, which the writer adds.
MANIFEST_KEYS = frozenset({"seed", "rhythm", "generator", "weights_sha256", "conditions", "checks"})

ContactSheet = Callable[[list[Record], Path], None]


class _HashedFile:
    """A text file whose SHA-256 is known without reading it back."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._sha256 = hashlib.sha256()

    def line(self, text: str) -> None:
        data = f"{text}\n".encode()
        self._file.write(data)
        self._sha256.update(data)

    def close(self) -> str:
        self._file.close()
        return self._sha256.hexdigest()


class DatasetWriter:
    """Writes records into a hidden folder beside `target` and renames it once complete.

    If the block ends in an exception (Ctrl-C too) or without `finish`, the hidden folder is removed and
    the target is as before.

    Parameters
    ----------
    target : Path
        Folder to make.
    n_records : int
        How many records will be added at most; over 1,000 they go into sub-folders.
    overwrite : bool
        Replace `target` if it is a dataset, once the new one is complete.
    contact_sheet : callable, optional
        Draws the first records to a PNG: ``contact_sheet(records, path)``.

    Raises
    ------
    OutputError
        If the target exists or cannot be written.

    Examples
    --------
    >>> with DatasetWriter(Path("afib"), n_records=2) as writer:  # doctest: +SKIP
    ...     for record, line in made:
    ...         writer.add(record, line)
    ...     writer.finish({"Rhythm": "afib", "Records": 2})
    """

    #: What a manifest line must say here, besides the name.
    manifest_keys: ClassVar[frozenset[str]] = MANIFEST_KEYS

    def __init__(
        self,
        target: Path,
        *,
        n_records: int,
        overwrite: bool = False,
        contact_sheet: ContactSheet | None = None,
    ) -> None:
        self.target = Path(os.path.abspath(target))
        self.overwrite = overwrite
        self.n_records = n_records
        self.added = 0
        self._contact_sheet = contact_sheet
        self._shown: list[Record] = []
        self._staging: Path | None = None
        try:
            check_target(self.target, overwrite, DATASET)
        except OSError as error:
            raise OutputError(unwritable(self.target, error)) from None

    def __enter__(self) -> DatasetWriter:
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            hidden = self.target.parent / f".{self.target.name}.{secrets.token_hex(4)}.partial"
            hidden.mkdir()
            self._staging = hidden
            self._records = _HashedFile(hidden / "RECORDS")
            self._manifest = _HashedFile(hidden / "manifest.jsonl")
            self._sums = _HashedFile(hidden / "SHA256SUMS.txt")
        except OSError as error:
            self._discard()
            raise OutputError(unwritable(self.target, error)) from None
        return self

    def add(self, record: Record, manifest: Mapping[str, object]) -> None:
        """Write one record and its manifest line.

        Parameters
        ----------
        record : Record
            Its name becomes the file name; ``extra["synthetic"]`` names the generator.
        manifest : mapping
            At least `MANIFEST_KEYS`, everything JSON can hold.

        Raises
        ------
        OutputError
            If the name, rhythm or manifest is not fit to publish, or the disk is full.
        RecordError
            If the signal or annotations cannot be stored exactly.
        """
        missing = self.manifest_keys - manifest.keys()
        if missing:
            raise OutputError(f"{record.name}: manifest lacks {', '.join(sorted(missing))}.")
        if self.added >= self.n_records:
            raise OutputError(f"{record.name}: is one record more than the {self.n_records} announced.")
        try:
            line = json.dumps({**manifest, "name": record.name}, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise OutputError(f"{record.name}: manifest is not plain JSON ({error}).") from None
        try:
            self._write(record, line)
        except OSError as error:
            raise OutputError(unwritable(self.target, error)) from None
        self.added += 1

    def _write(self, record: Record, line: str) -> None:
        prefix = f"{self.added // RECORDS_PER_FOLDER:03d}/" if self.n_records > RECORDS_PER_FOLDER else ""
        folder = self._open_staging() / prefix
        folder.mkdir(exist_ok=True)
        files = write_record(
            folder,
            record.name,
            record.signal,
            record.fs,
            record.leads,
            self.comments(record),
            beats=record.beats,
            marks=rhythm_marks(record),
        )
        for name, content in files.items():
            self._sums.line(f"{hashlib.sha256(content).hexdigest()}  {prefix}{name}")
        self._records.line(f"{prefix}{record.name}")
        self._manifest.line(line)
        if self._contact_sheet is not None and len(self._shown) < SHEET_RECORDS:
            part = record.slice(0, int(SHEET_SECONDS * record.fs))
            self._shown.append(replace(part, signal=part.signal.copy()))
            if len(self._shown) == SHEET_RECORDS:
                # Now and not at the end: worker processes make the next records meanwhile.
                self._draw_sheet()

    def finish(self, summary: Mapping[str, object]) -> Path:
        """Write the files about the dataset and publish it under its name.

        Parameters
        ----------
        summary : mapping of str to object
            Rows of the dataset card; nothing that depends on the clock, the machine or the path.

        Returns
        -------
        Path
            The target.

        Raises
        ------
        OutputError
            If nothing was added, or the folder cannot be written or renamed.
        """
        if not self.added:
            raise OutputError(f"{self.target}: no records to publish; allowed: at least one.")
        staging = self._open_staging()
        try:
            for name, text in self.texts(summary).items():
                (staging / name).write_text(text, encoding="utf-8", newline="\n")
                self._sums.line(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}")
            if len(self._shown) < SHEET_RECORDS:
                self._draw_sheet()
            self._sums.line(f"{self._records.close()}  RECORDS")
            self._sums.line(f"{self._manifest.close()}  manifest.jsonl")
            self._sums.close()
            publish(staging, self.target, self.overwrite, DATASET)
        except OSError as error:
            raise OutputError(unwritable(self.target, error)) from None
        self._staging = None
        return self.target

    def comments(self, record: Record) -> list[str]:
        """Header comments of a record."""
        return header_comments(record)

    def texts(self, summary: Mapping[str, object]) -> dict[str, str]:
        """Files about the dataset, by name."""
        return {
            "ANNOTATORS": ANNOTATORS,
            "DATASET_CARD.md": dataset_card(__version__, summary),
            "LICENSE.txt": LICENCE,
        }

    def attach(self, name: str) -> Path:
        """Where to write a further file of the dataset, which `seal` then takes into the sums."""
        path = self._open_staging() / name
        path.parent.mkdir(exist_ok=True)
        return path

    def seal(self, name: str) -> None:
        """Take a file that was written where `attach` said into the sums."""
        with (self._open_staging() / name).open("rb") as file:
            self._sums.line(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}")

    def _draw_sheet(self) -> None:
        if self._contact_sheet is None:
            return
        sheet = self._open_staging() / "contact_sheet.png"
        self._contact_sheet(self._shown, sheet)
        self._sums.line(f"{hashlib.sha256(sheet.read_bytes()).hexdigest()}  {sheet.name}")

    def _open_staging(self) -> Path:
        if self._staging is None:
            raise OutputError(f"{self.target}: the writer is not open; use it in a with block, finish once.")
        return self._staging

    def _discard(self) -> None:
        staging, self._staging = self._staging, None
        if staging is not None:
            for file in ("_records", "_manifest", "_sums"):
                if hasattr(self, file):
                    getattr(self, file).close()
            shutil.rmtree(staging, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unfinished = self._staging is not None
        self._discard()
        if unfinished and kind is None:
            raise OutputError(f"{self.target}: the block ended without finish(); nothing was published.")

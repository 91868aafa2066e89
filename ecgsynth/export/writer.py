"""Writing a dataset of synthetic records: a stream of records in, a complete folder or nothing out.

Nothing written depends on the clock, the machine or the path, and only the records of the contact sheet
stay in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from ecgsynth import __version__
from ecgsynth.errors import EcgSynthError, OutputError, ResourceError
from ecgsynth.export.card import ANNOTATORS, LICENCE, dataset_card, header_comments, rhythm_marks
from ecgsynth.export.recovery import (
    JOURNAL,
    StagedRecord,
    journal_line,
    read_request,
    remove_others,
    staged_records,
    sum_of,
)
from ecgsynth.records import Record
from ecgsynth.staging import Kind, Stage, check_target, writing
from ecgsynth.wfdb_io import write_record

#: Most records in one folder; larger datasets are split into ``000/``, ``001/``, ...
RECORDS_PER_FOLDER = 1000
DATASET = Kind("dataset", "manifest.jsonl")
#: Records on the contact sheet, and the seconds of each that are kept for it.
SHEET_RECORDS, SHEET_SECONDS = 32, 10.0
SHEET = "contact_sheet.png"
_LISTS = ("RECORDS", "manifest.jsonl", "SHA256SUMS.txt", JOURNAL)
#: What a manifest line must say, besides the name, which the writer adds.
MANIFEST_KEYS = frozenset({"seed", "rhythm", "generator", "weights_sha256", "conditions", "checks"})

ContactSheet = Callable[[list[Record], Path], None]


def sub_folder(number: int, n_records: int) -> str:
    """Where record `number` (from 0) of so many lies: ``"000/"``, or ``""`` where one folder holds all.

    With more than a million records names get longer, so that they still sort as the records do.
    """
    if n_records <= RECORDS_PER_FOLDER:
        return ""
    digits = max(3, len(str((n_records - 1) // RECORDS_PER_FOLDER)))
    return f"{number // RECORDS_PER_FOLDER:0{digits}d}/"


class _HashedFile:
    """A text file whose SHA-256 is known without reading it back; whole lines reach the system at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._sha256 = hashlib.sha256()

    def lines(self, *texts: str) -> None:
        data = "".join(f"{text}\n" for text in texts).encode()
        self._file.write(data)
        self._file.flush()
        self._sha256.update(data)

    def close(self) -> str:
        self._file.close()
        return self._sha256.hexdigest()


class DatasetWriter:
    """Writes records into a hidden folder beside `target` and renames it once complete.

    If the block ends in an exception or without `finish`, the target is as before. The hidden folder is
    removed, unless `request` says what is asked of the run and the fault lies outside of it (Ctrl-C, a full
    disk): then a later writer with the same request and ``resume=True`` goes on from its records.

    Parameters
    ----------
    target : Path
        Folder to make.
    n_records : int
        How many records will be added at most; over 1,000 they go into sub-folders.
    overwrite : bool
        Replace `target` if it is a dataset, once the new one is complete; also start afresh where a run was
        interrupted.
    contact_sheet : callable, optional
        Draws the first records to a PNG: ``contact_sheet(records, path)``.
    request : mapping, optional
        All that the records depend on, as plain JSON; may be set until the block begins. Without it nothing
        can be resumed.
    resume : bool
        Go on from what an interrupted run with the same `request` left, if there is any.

    Attributes
    ----------
    added : int
        Records that are in the folder; when the block begins, those that were taken over.
    taken_over : tuple of str
        Manifest lines of the records that were taken over.

    Raises
    ------
    OutputError
        If the target exists, is being written, cannot be written, or was begun with another request.

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
        request: Mapping[str, Any] | None = None,
        resume: bool = False,
    ) -> None:
        self.target = Path(os.path.abspath(target))
        self.overwrite = overwrite
        self.n_records = n_records
        self.added = 0
        self.taken_over: tuple[str, ...] = ()
        self.resume = resume
        self.request = request
        self._contact_sheet = contact_sheet
        self._shown: list[Record] = []
        self._sheet_due = contact_sheet is not None
        self._stage = Stage(self.target, DATASET, overwrite)
        self._staging: Path | None = None
        self._lists: list[_HashedFile] = []
        with writing(self.target):
            check_target(self.target, overwrite, DATASET)

    def __enter__(self) -> Self:
        # As it comes back from a file: lists for tuples.
        self.request = None if self.request is None else json.loads(json.dumps(self.request))
        stale: Literal["keep", "discard", "refuse"] = "discard"
        if self.request is not None and not self.overwrite:
            stale = "refuse"
        if self.request is not None and self.resume:
            stale = "keep"
        left = self._stage.open(stale)
        self._staging = self._stage.folder
        try:
            with writing(self.target):
                self._begin(self._recover() if left else [])
        except BaseException:
            self._discard(keep=left)
            raise
        return self

    def _recover(self) -> list[StagedRecord]:
        """Records that an interrupted run left and that need not be made again."""
        folder, asked = self._open_staging(), read_request(self._open_staging())
        if asked is not None and asked != self.request:
            now = self.request or {}
            changed = sorted(key for key in asked.keys() | now.keys() if asked.get(key) != now.get(key))
            raise OutputError(
                f"{self.target}: the interrupted run in {folder.name} was asked for something else "
                f"({', '.join(changed)}). Ask for the same, or start afresh with --overwrite."
            )
        kept = list(staged_records(folder)) if asked is not None else []
        # The sheet is drawn from samples before they are rounded: without it, its records are made again.
        drawn = self._contact_sheet is None or sum_of(folder, SHEET) is not None
        return kept if drawn and len(kept) >= SHEET_RECORDS else []

    def _begin(self, kept: list[StagedRecord]) -> None:
        """Open the lists anew, with what was taken over in them."""
        folder = self._open_staging()
        sheet = sum_of(folder, SHEET) if kept and self._contact_sheet is not None else None
        files = [name for record in kept for _, name in record.sums]
        remove_others(folder, [*files, *([SHEET] if sheet else []), *_LISTS])
        # Under other names until they are complete, so that a kill right now loses nothing either.
        self._lists = [_HashedFile(folder / f"{name}.new") for name in _LISTS]
        self._records, self._manifest, self._sums, self._journal = self._lists
        self._records.lines(*(record.path for record in kept))
        self._manifest.lines(*(record.manifest for record in kept))
        for number, record in enumerate(kept, 1):
            self._sums.lines(*(f"{digest}  {name}" for digest, name in record.sums))
            if sheet is not None and number == SHEET_RECORDS:
                self._sums.lines(f"{sheet}  {SHEET}")
        self._journal.lines(json.dumps(self.request, sort_keys=True))
        self._journal.lines(*(journal_line(record.path, record.manifest) for record in kept))
        for name in _LISTS:
            (folder / f"{name}.new").replace(folder / name)
        self.added, self._sheet_due = len(kept), self._sheet_due and not kept
        self.taken_over = tuple(record.manifest for record in kept)

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
        with writing(self.target):
            self._write(record, line)
        self.added += 1

    def _write(self, record: Record, line: str) -> None:
        prefix = sub_folder(self.added, self.n_records)
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
        self._sums.lines(
            *(f"{hashlib.sha256(content).hexdigest()}  {prefix}{name}" for name, content in files.items())
        )
        self._records.lines(f"{prefix}{record.name}")
        self._manifest.lines(line)
        self._journal.lines(journal_line(f"{prefix}{record.name}", line))
        if self._sheet_due:
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
        with writing(self.target):
            for name, text in self.texts(summary).items():
                (staging / name).write_text(text, encoding="utf-8", newline="\n")
                self._sums.lines(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}")
            if self._sheet_due:
                self._draw_sheet()
            self._sums.lines(f"{self._records.close()}  RECORDS", f"{self._manifest.close()}  manifest.jsonl")
            self._sums.close()
            self._journal.close()
            (staging / JOURNAL).unlink()
            self._stage.publish()
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
            self._sums.lines(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}")

    def _draw_sheet(self) -> None:
        if self._contact_sheet is None:
            return
        sheet = self._open_staging() / SHEET
        self._contact_sheet(self._shown, sheet)
        self._sums.lines(f"{hashlib.sha256(sheet.read_bytes()).hexdigest()}  {SHEET}")
        self._sheet_due = False
        self._shown.clear()

    def _open_staging(self) -> Path:
        if self._staging is None:
            raise OutputError(f"{self.target}: the writer is not open; use it in a with block, finish once.")
        return self._staging

    def _discard(self, keep: bool = False) -> None:
        staging, self._staging = self._staging, None
        if staging is None:
            return
        for file in self._lists:
            with suppress(OSError):  # a full disk says so once more
                file.close()
        if keep:
            self._stage.close()
        else:
            self._stage.discard()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unfinished = self._staging is not None
        # What the request itself is to blame for would happen again: nothing to go on with.
        outside = not isinstance(error, EcgSynthError) or isinstance(error, OutputError | ResourceError)
        worth = self.added >= SHEET_RECORDS and kind is not None
        self._discard(keep=self.request is not None and outside and worth)
        if unfinished and kind is None:
            raise OutputError(f"{self.target}: the block ended without finish(); nothing was published.")

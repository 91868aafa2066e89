"""Strips of WFDB folders as a PyTorch data set: read when asked for, in any worker, in bounded memory."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ecgsynth.augment.index import Entry, agreed_layout, index_folders, places
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.records import Record
from ecgsynth.wfdb_io import read_record
from ecgsynth.windows import resample

#: Most memory for recordings that are longer than a strip, per worker, in bytes.
CACHE_BYTES = 64 << 20
#: Seconds beside a strip that are read along where it has to be resampled, so that its ends are sound.
BESIDE_S = 0.5
#: Share of records that may be unreadable before training on the rest is refused.
MOST_UNREADABLE = 0.05

Item = dict[str, Any]


class StripDataset(Dataset[Item]):
    """Strips of one length, rate and lead set.

    An item holds ``signal`` float32 [leads, samples] in mV, ``label`` (number of its rhythm in `rhythms`, -1
    without labels), ``index``, ``person`` (number, equal for strips of one person) and ``synthetic``.

    A record that cannot be read while training is named in a warning and counted, and another strip of the
    same rhythm takes its place; see `unreadable`.

    Parameters
    ----------
    folders : path or sequence of paths
        WFDB folders. Those that ``ecgsynth augment`` wrote are held to their split.
    part : {"train", "val", "test"} or None
        Only this part; None takes everything.
    rhythms : sequence of str or None
        Only these, numbered in this order; None takes all there are, in alphabetical order.
    labelled : bool
        False takes any stretch of a recording, whatever its rhythm, for learning without labels.
    fs, leads : float, tuple of str or None
        What strips shall have; None takes what the records agree on.
    seconds : float
        Length of a strip.
    labels : Path or None
        CSV of record, rhythm and subject.
    cache_bytes : int
        Most memory for long recordings that are kept for their next strip.

    Raises
    ------
    RecordError
        If a folder has no records or breaks its split, rates or leads differ, or no strip has a label.
    OptionError
        If the part or a rhythm is not there.
    """

    def __init__(
        self,
        folders: Path | str | Sequence[Path | str],
        *,
        part: str | None = None,
        rhythms: Sequence[str] | None = None,
        labelled: bool = True,
        fs: float | None = None,
        leads: tuple[str, ...] | None = None,
        seconds: float = 10.0,
        labels: Path | None = None,
        cache_bytes: int = CACHE_BYTES,
        entries: list[Entry] | None = None,
    ) -> None:
        several = [folders] if isinstance(folders, str | Path) else folders
        where = ", ".join(map(str, several))
        found = index_folders([Path(one) for one in several], labels) if entries is None else entries
        self.entries = [entry for entry in found if part is None or entry.part == part]
        if not self.entries:
            raise OptionError(f"{where}: no record in part {part}; the folder has none such.")
        self.fs, self.leads = agreed_layout(self.entries, fs, leads)
        self.seconds, self.samples = seconds, round(seconds * self.fs)
        self.places = list(places(self.entries, seconds, labelled))
        present = sorted({place.rhythm for place in self.places})
        if not self.places:
            raise RecordError(
                f"{where}: no strip of {seconds:g} s with a rhythm among {len(self.entries)} records. Give "
                "labels, or shorter strips."
            )
        self.rhythms = self._checked_rhythms(where, rhythms, present) if labelled else ()
        if labelled:
            self.places = [place for place in self.places if place.rhythm in self.rhythms]
        number = {name: i for i, name in enumerate(self.rhythms)}
        people = {name: i for i, name in enumerate(sorted({entry.person for entry in self.entries}))}
        self.label = torch.tensor([number.get(place.rhythm, -1) for place in self.places])
        self.person = torch.tensor([people[self.entries[place.entry].person] for place in self.places])
        self.synthetic = torch.tensor([self.entries[place.entry].synthetic for place in self.places])
        self.people = tuple(people)
        # In shared memory, so that what a worker meets is known to all.
        self._failures = torch.zeros(len(self.entries), dtype=torch.int32).share_memory_()
        self._cache: OrderedDict[int, Record] = OrderedDict()
        self._cache_bytes = cache_bytes

    @staticmethod
    def _checked_rhythms(where: str, wanted: Sequence[str] | None, present: list[str]) -> tuple[str, ...]:
        if wanted is None:
            return tuple(present)
        missing = [name for name in wanted if name not in present]
        if len(missing) == len(wanted):
            raise OptionError(
                f"{where}: no strip of {', '.join(missing)}; there are {', '.join(present) or 'none'}."
            )
        return tuple(wanted)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Item:
        index = int(index)
        read, signal = index, self._try(index)
        while signal is None:
            read = self._another(index, read)
            signal = self._try(read)
        return {
            "signal": torch.from_numpy(signal),
            "label": self.label[read],
            "index": torch.tensor(index),
            "person": self.person[read],
            "synthetic": self.synthetic[read],
        }

    def unreadable(self) -> dict[str, int]:
        """Records that could not be read, in any worker, and how often each was asked for."""
        rows = self._failures.nonzero()[:, 0].tolist()
        return {str(self.entries[i].stem): int(self._failures[i]) for i in rows}

    def _try(self, index: int) -> NDArray[np.float32] | None:
        place = self.places[index]
        try:
            return self._read(index)
        except (RecordError, OSError) as error:
            known = bool(self._failures[place.entry])
            self._failures[place.entry] += 1
            if not known:
                warnings.warn(f"skipped: {error}", stacklevel=2)
            self._check_share(error)
            return None

    def _check_share(self, error: Exception) -> None:
        failed, total = int((self._failures > 0).sum()), len(self.entries)
        if failed > max(1, MOST_UNREADABLE * total):
            raise RecordError(
                f"{failed} of {total} records cannot be read, more than {MOST_UNREADABLE:.0%}; last: {error}"
            ) from error

    def _another(self, index: int, last: int) -> int:
        """The next strip after `last` that can stand in for `index`: same rhythm, and real or synthetic."""
        alike = (self.label == self.label[index]) & (self.synthetic == self.synthetic[index])
        sound = torch.tensor([not self._failures[place.entry] for place in self.places])
        rows = (alike & sound).nonzero()[:, 0]
        if not len(rows):
            name = self.places[index].rhythm or "strips"
            raise RecordError(f"no readable record of {name} is left; see the warnings above.")
        later = rows[rows > last]
        return int(later[0] if len(later) else rows[0])

    def _read(self, index: int) -> NDArray[np.float32]:
        place = self.places[index]
        entry = self.entries[place.entry]
        record = self._record(place.entry)
        beside = round(BESIDE_S * entry.fs) if entry.fs != self.fs else 0
        first = max(0, place.start - beside)
        part = record.slice(first, min(record.n_samples, place.stop + beside))
        moved = resample(part, self.fs)
        start = round((place.start - first) * self.fs / entry.fs)
        start = min(start, max(0, moved.n_samples - self.samples))
        signal = moved.signal[:, start : start + self.samples]
        if signal.shape[1] != self.samples or not np.isfinite(signal).all():
            raise RecordError(f"{entry.stem}: has gaps from {place.start / entry.fs:g} s; leave it out.")
        return np.ascontiguousarray(signal, dtype=np.float32)

    def _record(self, number: int) -> Record:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        entry = self.entries[number]
        raw = read_record(entry.stem, root=entry.folder)
        if (raw.fs, raw.signal.shape[1]) != (entry.fs, entry.n_samples):
            raise RecordError(f"{entry.stem}: changed since it was indexed; start again.")
        rows = [entry.leads.index(lead) for lead in self.leads]
        record = Record(entry.name, raw.signal[rows], entry.fs, self.leads, entry.person, "")
        if record.n_samples > 2 * round(self.seconds * entry.fs):
            self._keep(number, replace(record, signal=np.ascontiguousarray(record.signal)))
        return record

    def _keep(self, number: int, record: Record) -> None:
        self._cache[number] = record
        while len(self._cache) > 1 and self._held() > self._cache_bytes:
            self._cache.popitem(last=False)

    def _held(self) -> int:
        return sum(record.signal.nbytes for record in self._cache.values())


def stacked(items: Sequence[Item]) -> dict[str, Tensor]:
    """A batch: every entry of the items stacked."""
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}

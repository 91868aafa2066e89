"""Strips of any databases in one file on disk, mapped into memory: read once, then cheap for any worker."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ecgsynth.augment.provenance import SPLIT_FILE, check_parts
from ecgsynth.datasets import open_dataset
from ecgsynth.errors import OptionError, OutputError, RecordError
from ecgsynth.records import TWELVE_LEADS, Record
from ecgsynth.split import PARTS, SplitManifest, split_people
from ecgsynth.windows import fault, resample

#: Units per mV of the samples on disk; larger swings than 32 mV were dropped as artefacts.
_UNITS: Final = 1000.0
_SAMPLES, _ABOUT = "strips.i16", "strips.json"


@dataclass(frozen=True)
class Cut:
    """How recordings are cut: rate in Hz, seconds of a strip, and leads (None: all, which must agree)."""

    fs: float = 100.0
    seconds: float = 10.0
    leads: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not (50 <= self.fs <= 1000 and 1 <= self.seconds <= 3600):
            raise OptionError(
                f"--fs {self.fs:g}, --seconds {self.seconds:g}; allowed are 50 to 1000 Hz and 1 to 3600 s."
            )


class StripStore(Dataset[dict[str, Any]]):
    """Strips that `gather` wrote.

    Attributes
    ----------
    fs : float
        In Hz.
    leads : tuple of str
    people, rhythms : tuple of str
        What the numbers in `person` and `rhythm` mean.
    person, rhythm : int64 array [N]
        Rhythm is -1 where a strip is in none, or in more than one.
    synthetic : bool array [N]
    part : array of str [N]
        ``train``, ``val`` or ``test``.
    """

    def __init__(self, folder: Path) -> None:
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            shape = tuple(about["shape"])
            self.samples = np.memmap(folder / _SAMPLES, dtype="<i2", mode="r", shape=shape)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(
                f"{folder}: holds no strips that pretraining wrote ({error}). Start again without --resume."
            ) from None
        self.fs, self.leads = float(about["fs"]), tuple(about["leads"])
        self.people, self.rhythms = tuple(about["people"]), tuple(about["rhythms"])
        self.person, self.rhythm = np.array(about["person"]), np.array(about["rhythm"])
        self.synthetic, self.part = np.array(about["synthetic"], dtype=bool), np.array(about["part"])
        self.dropped = Counter(about["dropped"])

    def __len__(self) -> int:
        return len(self.samples)

    def signal(self, rows: NDArray[np.int64] | Sequence[int]) -> NDArray[np.float32]:
        """Strips [B, leads, samples] in mV."""
        return np.asarray(self.samples[np.asarray(rows)], dtype=np.float32) / np.float32(_UNITS)

    def rows(self, part: str) -> NDArray[np.int64]:
        """Numbers of the strips of a part."""
        return np.flatnonzero(self.part == part)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {
            "signal": torch.from_numpy(self.signal([index])[0]),
            "label": torch.tensor(int(self.rhythm[index])),
            "index": torch.tensor(index),
            "person": torch.tensor(int(self.person[index])),
            "synthetic": torch.tensor(bool(self.synthetic[index])),
        }


class Pairs(Dataset[dict[str, Any]]):
    """Strips with a partner to be recognised by: themselves, or another strip of the same person.

    Item numbers carry the epoch (``epoch * len + number``), so that partners and transforms change with it.

    Parameters
    ----------
    store : StripStore
    rows : int array
        Strips to take.
    by : {"view", "person"}
        A person with one strip is its own partner.
    seed : int
    """

    def __init__(self, store: StripStore, rows: NDArray[np.int64], by: str = "view", seed: int = 0) -> None:
        if by not in ("view", "person"):
            raise OptionError(f"--pairs {by!r}; allowed are view and person.")
        self.store, self.rows, self.by, self.seed = store, rows, by, seed
        self._of = {p: rows[store.person[rows] == p] for p in np.unique(store.person[rows]).tolist()}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row = int(self.rows[number % len(self.rows)])
        item = {**self.store[row], "index": torch.tensor(number)}
        partner = row
        if self.by == "person":
            others = self._of[int(self.store.person[row])]
            others = others[others != row] if len(others) > 1 else others
            rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number,)))
            partner = int(rng.choice(others))
        return {**item, "second": torch.from_numpy(self.store.signal([partner])[0])}


def gather(
    folders: Sequence[Path], out: Path, cut: Cut, split: SplitManifest | None, seed: int
) -> tuple[StripStore, SplitManifest]:
    """Cut every recording of some databases into strips, labelled or not, and write them to `out`.

    Folders that ``ecgsynth augment`` wrote keep their parts. Others follow `split`; people who are not in
    it, or all where there is none, are split anew. Synthetic strips are in ``train``.

    Parameters
    ----------
    folders : sequence of Path
        Databases or WFDB folders.
    out : Path
        An existing folder.
    cut : Cut
    split : SplitManifest or None
    seed : int
        Of a new split.

    Returns
    -------
    StripStore, SplitManifest
        And who is in which part.

    Raises
    ------
    RecordError
        If a recording is damaged, lead sets differ, a folder breaks its split, or nothing is usable.
    """
    rows: list[tuple[str, str, bool, str]] = []
    dropped: Counter[str] = Counter()
    shape: tuple[int, int] = (0, 0)
    leads: tuple[str, ...] = ()
    try:
        with (out / (_SAMPLES + ".partial")).open("wb") as file:
            for record, part in _records(folders):
                leads = _leads(record, cut, leads)
                for signal, rhythm in _strips(record.pick(leads), cut, dropped):
                    file.write(np.clip(np.rint(signal * _UNITS), -32768, 32767).astype("<i2").tobytes())
                    rows.append((record.subject, rhythm, "synthetic" in record.extra, part))
                    shape = (signal.shape[0], signal.shape[1])
    except OSError as error:
        raise OutputError(
            f"{out}: cannot be written ({error.strerror}). Check space and permissions."
        ) from None
    if not rows:
        raise RecordError(
            f"{', '.join(map(str, folders))}: no usable strip of {cut.seconds:g} s; left out: "
            f"{dict(dropped)}."
        )
    merged = _split(rows, split, seed)
    _write_about(out, rows, merged, cut, leads, (len(rows), *shape), dropped)
    return StripStore(out), merged


def _records(folders: Sequence[Path]) -> Iterator[tuple[Record, str]]:
    """Records and their part; ``""`` where that is still to be decided."""
    for folder in folders:
        lines = check_parts(folder) if (Path(folder) / SPLIT_FILE).is_file() else None
        for record in open_dataset(folder):
            if lines is None:
                yield record, "train" if "synthetic" in record.extra else ""
                continue
            line = lines[record.name.rpartition("/")[2]]
            yield replace(record, subject=str(line["person"])), str(line["part"])


def _leads(record: Record, cut: Cut, before: tuple[str, ...]) -> tuple[str, ...]:
    leads = cut.leads or (TWELVE_LEADS if set(record.leads) >= set(TWELVE_LEADS) else record.leads)
    if not set(leads) <= set(record.leads) or (before and leads != before):
        raise RecordError(
            f"{record.source}/{record.name} has leads {', '.join(record.leads)}; "
            f"{', '.join(before or leads)} are needed. Choose --lead, or leave that folder out."
        )
    return leads


def _strips(record: Record, cut: Cut, dropped: Counter[str]) -> Iterator[tuple[NDArray[np.float32], str]]:
    native, length = round(cut.seconds * record.fs), round(cut.seconds * cut.fs)
    moved: Record | None = None
    for start in range(0, record.n_samples - native + 1, native):
        part = record.slice(start, start + native)
        reason = next(filter(None, (fault(lead, record.fs) for lead in part.signal)), None)
        if reason is not None:
            dropped[reason] += 1
            continue
        moved = resample(record, cut.fs) if moved is None else moved
        at = min(round(start * cut.fs / record.fs), moved.n_samples - length)
        rhythms = {episode.rhythm for episode in part.episodes}
        yield moved.signal[:, at : at + length], (rhythms.pop() or "") if len(rhythms) == 1 else ""


def _split(rows: list[tuple[str, str, bool, str]], split: SplitManifest | None, seed: int) -> SplitManifest:
    """Everyone's part: as their folder says, as `split` says, or anew."""
    known: dict[str, str] = {}
    free: dict[str, set[str]] = {}
    for person, rhythm, _, part in rows:
        own = part or (split.part_of(person) if split is not None else None)
        if not own:
            free.setdefault(person, set()).update({rhythm} - {""})
        elif known.setdefault(person, own) != own:
            raise RecordError(
                f"{person}: is in both {known[person]} and {own} of the folders given. Make them with one "
                "split."
            )
    if split is not None and not free and all(split.part_of(p) == part for p, part in known.items()):
        return split
    if len(free) < len(PARTS):
        known |= dict.fromkeys(free, "train")
    else:
        fresh = split_people(free, seed=seed)
        known |= {person: str(fresh.part_of(person)) for person in free}
    parts = {part: tuple(sorted(p for p, at in known.items() if at == part)) for part in PARTS}
    fractions = split.fractions if split is not None else (0.7, 0.15, 0.15)
    return SplitManifest(**parts, seed=seed, fractions=fractions)


def _write_about(
    out: Path,
    rows: list[tuple[str, str, bool, str]],
    split: SplitManifest,
    cut: Cut,
    leads: tuple[str, ...],
    shape: tuple[int, ...],
    dropped: Mapping[str, int],
) -> None:
    people = sorted({row[0] for row in rows})
    rhythms = sorted({row[1] for row in rows} - {""})
    number, named = {p: i for i, p in enumerate(people)}, {r: i for i, r in enumerate(rhythms)}
    part_of = {p: part for part in PARTS for p in getattr(split, part)}
    about = {
        "shape": shape,
        "fs": cut.fs,
        "leads": leads,
        "people": people,
        "rhythms": rhythms,
        "person": [number[row[0]] for row in rows],
        "rhythm": [named.get(row[1], -1) for row in rows],
        "synthetic": [row[2] for row in rows],
        "part": [part_of[row[0]] for row in rows],
        "dropped": dict(dropped),
    }
    (out / (_SAMPLES + ".partial")).replace(out / _SAMPLES)
    (out / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
    (out / SPLIT_FILE).write_text(split.to_json(), encoding="utf-8")

"""Which training people the records of ``generate`` are kept apart from, and what a dataset says of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgsynth.errors import OptionError
from ecgsynth.privacy.copy_file import SHIPPED, load_index
from ecgsynth.privacy.copy_index import CopyIndex, refusals
from ecgsynth.records import Record


@dataclass(frozen=True)
class CopyGate:
    """Indexes that a record must not be too near to.

    Attributes
    ----------
    indexes : tuple of CopyIndex
        Empty where nothing is compared.
    state : {"on", "off", "not needed"}
    note : str
        For the dataset card.
    """

    indexes: tuple[CopyIndex, ...]
    state: str
    note: str

    def judge(self, records: Sequence[Record]) -> list[str | None]:
        """Why each record may not be exported, or None; see :func:`~ecgsynth.privacy.copy_index.refusals`."""
        return refusals(self.indexes, records)


def index_beside(weights: Path) -> Path:
    """Where ``ecgsynth train`` puts the index of the people that a checkpoint learned from."""
    return weights.with_suffix(".copies.safetensors")


def open_gate(
    generator: str,
    weights: Path | None,
    metadata: dict[str, Any],
    train: Path | None = None,
    wanted: bool = True,
) -> CopyGate:
    """The gate of a generator.

    Parameters
    ----------
    generator : str
    weights : Path or None
        Own checkpoint; None for the shipped ones.
    metadata : dict
        What the checkpoint says of itself.
    train : Path or None
        Folder of recordings to keep apart from as well.
    wanted : bool
        False for ``--no-copy-gate``.

    Raises
    ------
    OptionError
        If own weights have no index beside them and no folder is given, or both options contradict.
    CheckpointError
        If an index is damaged.
    RecordError
        If `train` cannot be read.
    """
    if not wanted:
        if train is not None:
            raise OptionError(f"--train {train} and --no-copy-gate contradict each other; give one of them.")
        return CopyGate((), "off", "**OFF (--no-copy-gate): a record may be a copy of a training person's**")
    if generator == "parametric" and train is None:
        return CopyGate((), "not needed", "not needed: the simulator has learned no waveform from anybody")
    found, told = [], []
    if generator != "parametric":
        found.append(load_index())
        told.append(f"{found[0].notes['people']} people of the shipped weights ({_digest(SHIPPED)})")
    if weights is not None and not _of_shipped_people(weights, metadata, load_index()):
        beside = index_beside(weights)
        if beside.is_file():
            found.append(load_index(beside))
            told.append(f"{found[-1].notes['people']} people of {beside.name} ({_digest(beside)})")
        elif "dp" in metadata.get("training", {}):
            told.append("not those of the private training, whose bound a comparison would break")
        elif train is None:
            raise OptionError(
                f"--weights {weights}: {beside.name} is not beside it, so no record can be kept "
                "apart from the people it learned from. Give their recordings with --train DIR, copy that "
                "file too, or pass --no-copy-gate, which the dataset card will say."
            )
    if train is not None:
        found.append(_index_of(train))
        told.append(f"{found[-1].notes['people']} people of the folder given with --train")
    return CopyGate(tuple(found), "on", f"on: kept apart from {'; '.join(told)}")


def _of_shipped_people(weights: Path, metadata: dict[str, Any], index: CopyIndex) -> bool:
    """Whether weights are the shipped ones, or were made by the project's script from the same split."""
    stated = metadata.get("training", {}).get("pack")
    if stated is not None and stated == index.notes.get("split"):
        return True
    return weights.resolve().parent == SHIPPED.parent.resolve()


def _index_of(train: Path) -> CopyIndex:
    from ecgsynth.privacy.copy_build import build_index, record_strips
    from ecgsynth.privacy.inputs import open_side

    return build_index(record_strips(open_side(train, None, ())), {}, like=load_index())


def _digest(path: Path) -> str:
    return f"index SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"

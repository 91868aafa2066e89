"""Copy indexes as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import CheckpointError
from ecgsynth.privacy.copy_codes import KINDS, LEVELS, POWER, WIDTHS, Coder, Codes
from ecgsynth.privacy.copy_index import CopyIndex
from ecgsynth.privacy.descriptors import Describer

SHIPPED: Final = Path(__file__).parent.parent / "weights" / "copy_index.safetensors"


def save_index(index: CopyIndex, path: Path) -> None:
    """Write an index: two numbers of four bits to a byte; of the people of a folder the codes only."""
    from safetensors.numpy import save

    tensors: dict[str, NDArray[Any]] = {}
    for kind, codes in index.codes.items():
        shifted = (codes + LEVELS + 1).astype(np.uint8)
        tensors[f"{kind}.codes"] = np.ascontiguousarray(shifted[:, 0::2] << 4 | shifted[:, 1::2])
        if index.like is None:
            coder = index.coders[kind]
            tensors[f"{kind}.mean"] = coder.describe.mean
            tensors[f"{kind}.basis"] = np.ascontiguousarray(coder.describe.basis)
            tensors[f"{kind}.scale"] = coder.scale
            tensors[f"{kind}.blocks"] = index.blocks[kind]
            tensors[f"{kind}.weights"] = index.weights[kind]
    said: dict[str, Any] = {"notes": index.notes}
    if index.like is None:
        said |= {"limits": index.limits, "scale": index.scale}
    else:
        said["like"] = index.like.key
    staged = path.with_name(path.name + ".partial")
    staged.write_bytes(save(tensors, {"copy_index": json.dumps(said, sort_keys=True)}))
    staged.replace(path)


@lru_cache(maxsize=2)
def load_index(path: Path = SHIPPED) -> CopyIndex:
    """Read an index.

    Raises
    ------
    CheckpointError
        If the file is missing, not such an index, or made by a version with other codes.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            said = json.loads((file.metadata() or {})["copy_index"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        codes = {kind: _unpacked(tensors[f"{kind}.codes"]) for kind in KINDS}
        if "like" in said:
            return _like_shipped(path, codes, said)
        return CopyIndex(
            coders={kind: _coder(tensors, kind) for kind in KINDS},
            codes=codes,
            blocks={kind: tensors[f"{kind}.blocks"] for kind in KINDS},
            weights={kind: tensors[f"{kind}.weights"] for kind in KINDS},
            limits=said["limits"],
            scale=said["scale"],
            notes=said["notes"],
        )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a copy index of this version ({type(error).__name__}); expected what "
            "scripts/build_copy_index.py or `ecgsynth train` writes. Install the package again, train again, "
            "or give the recordings with --train DIR."
        ) from error


def _like_shipped(path: Path, codes: dict[str, Codes], said: dict[str, Any]) -> CopyIndex:
    """The index of people of a folder."""
    base = load_index()
    if said["like"] != base.key:
        raise CheckpointError(
            f"{path}: its codes go with another shipped index ({said['like']}; here it is {base.key}). "
            "Train again with this version, or give the recordings with --train DIR."
        )
    return CopyIndex(
        base.coders, codes, {}, base.weights, base.limits, base.scale, notes=said["notes"], like=base
    )


def _unpacked(packed: NDArray[np.uint8]) -> Codes:
    both = np.empty((len(packed), 2 * packed.shape[1]), dtype=np.int8)
    both[:, 0::2], both[:, 1::2] = packed >> 4, packed & 15
    return both - np.int8(LEVELS + 1)


def _coder(tensors: Mapping[str, NDArray[Any]], kind: str) -> Coder:
    describe = Describer(WIDTHS[kind], tensors[f"{kind}.mean"], tensors[f"{kind}.basis"], POWER)
    return Coder(describe, tensors[f"{kind}.scale"])

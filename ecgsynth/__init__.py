"""Synthetic ECG recordings of rare rhythms, as WFDB datasets with beat and rhythm annotations.

The names in ``__all__`` are loaded on first use, so that ``import ecgsynth`` costs nothing:

``load_generator``
    A generator by name, with its weights: :func:`ecgsynth.sampling.load_generator`.
``generate_dataset``, ``GenerateOptions``
    What ``ecgsynth generate`` does: :mod:`ecgsynth.pipeline`.
``read_folder``
    The records of a WFDB folder: :func:`ecgsynth.datasets.folder.read_folder`.
``RHYTHMS``, ``find_rhythm``
    The table of rhythms: :mod:`ecgsynth.rhythms`.
"""

from __future__ import annotations

import pkgutil
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "RHYTHMS": "ecgsynth.rhythms:RHYTHMS",
    "GenerateOptions": "ecgsynth.pipeline:GenerateOptions",
    "find_rhythm": "ecgsynth.rhythms:find_rhythm",
    "generate_dataset": "ecgsynth.pipeline:generate_dataset",
    "load_generator": "ecgsynth.sampling:load_generator",
    "read_folder": "ecgsynth.datasets.folder:read_folder",
}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'ecgsynth' has no attribute {name!r}; it has {', '.join(__all__)}")
    return globals().setdefault(name, pkgutil.resolve_name(_LAZY[name]))


def __dir__() -> list[str]:
    return sorted(__all__)

"""Learning from recordings without labels, to show what they are worth: encoders, pretraining, probes.

Names are loaded on first use; importing the room costs nothing.
"""

from __future__ import annotations

import pkgutil
from typing import Any

_LAZY = {
    "EncoderConfig": "ecgsynth.ssl.encoders:EncoderConfig",
    "PretrainOptions": "ecgsynth.ssl.options:PretrainOptions",
    "ProbeOptions": "ecgsynth.ssl.probe:ProbeOptions",
    "build_encoder": "ecgsynth.ssl.encoders:build_encoder",
    "load_encoder": "ecgsynth.ssl.encoder_file:load_encoder",
    "pretrain_encoder": "ecgsynth.ssl.pretrain:pretrain_encoder",
    "probe_encoders": "ecgsynth.ssl.probe:probe_encoders",
}

__all__ = list(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'ecgsynth.ssl' has no attribute {name!r}; it has {', '.join(__all__)}")
    return globals().setdefault(name, pkgutil.resolve_name(_LAZY[name]))


def __dir__() -> list[str]:
    return sorted(__all__)

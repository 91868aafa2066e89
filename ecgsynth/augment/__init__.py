"""Real and synthetic recordings as training data: transforms, mixing data sets, folders to train on.

Names are loaded on first use; importing the room costs nothing.
"""

from __future__ import annotations

import pkgutil
from typing import Any

_LAZY = {
    "AugmentOptions": "ecgsynth.augment.build:AugmentOptions",
    "BandFilter": "ecgsynth.augment.devices:BandFilter",
    "BaselineWander": "ecgsynth.augment.noise:BaselineWander",
    "Chain": "ecgsynth.augment.chain:Chain",
    "ElectrodeDropout": "ecgsynth.augment.devices:ElectrodeDropout",
    "EMGNoise": "ecgsynth.augment.noise:EMGNoise",
    "Gain": "ecgsynth.augment.devices:Gain",
    "GaussianNoise": "ecgsynth.augment.noise:GaussianNoise",
    "LeadMask": "ecgsynth.augment.devices:LeadMask",
    "OtherDevice": "ecgsynth.augment.devices:OtherDevice",
    "MixedSampler": "ecgsynth.augment.mixing:MixedSampler",
    "MixedStream": "ecgsynth.augment.mixing:MixedStream",
    "PowerLine": "ecgsynth.augment.noise:PowerLine",
    "RandomCrop": "ecgsynth.augment.timing:RandomCrop",
    "StripData": "ecgsynth.augment.datamodule:StripData",
    "StripDataset": "ecgsynth.augment.dataset:StripDataset",
    "StripOptions": "ecgsynth.augment.strips:StripOptions",
    "TimeShift": "ecgsynth.augment.timing:TimeShift",
    "TimeWarp": "ecgsynth.augment.timing:TimeWarp",
    "TransformedBatches": "ecgsynth.augment.mixing:TransformedBatches",
    "augment_dataset": "ecgsynth.augment.build:augment_dataset",
    "check_parts": "ecgsynth.augment.provenance:check_parts",
    "default_chain": "ecgsynth.augment.chain:default_chain",
    "plan_dataset": "ecgsynth.augment.build:plan_dataset",
    "read_shard": "ecgsynth.augment.shards:read_shard",
    "resampled": "ecgsynth.augment.spectra:resampled",
}

__all__ = list(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(
            f"module 'ecgsynth.augment' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    return globals().setdefault(name, pkgutil.resolve_name(_LAZY[name]))


def __dir__() -> list[str]:
    return sorted(__all__)

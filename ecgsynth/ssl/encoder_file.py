"""Encoders as safetensors files that carry their configuration, what they learned from, and how."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ecgsynth.checkpoint import read_metadata
from ecgsynth.errors import CheckpointError, OptionError
from ecgsynth.ssl.encoders import Encoder, EncoderConfig, build_encoder

#: What ``metadata["generator"]`` says of a file that is no generator.
KIND = "encoder"


def save_encoder(path: Path, encoder: Encoder, training: dict[str, Any]) -> None:
    """Write an encoder, replacing `path` at once.

    Parameters
    ----------
    path : Path
    encoder : Encoder
    training : dict
        Method, steps, people and so on; plain JSON.
    """
    import json

    from safetensors.torch import save

    own = {"format": 1, "generator": KIND, "config": dataclasses.asdict(encoder.config), "training": training}
    tensors = {key: value.detach().contiguous() for key, value in encoder.state_dict().items()}
    staged = path.with_name(path.name + ".partial")
    staged.write_bytes(save(tensors, {"ecgsynth": json.dumps(own, sort_keys=True)}))
    staged.replace(path)


def load_encoder(path: Path) -> tuple[Encoder, dict[str, Any]]:
    """The encoder of a file in evaluation mode, and how it was trained.

    Raises
    ------
    CheckpointError
        If the file is no encoder, is damaged, or does not fit its own configuration.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    metadata = read_metadata(path)
    if metadata.get("generator") != KIND:
        raise CheckpointError(
            f"{path}: holds a {metadata.get('generator')!r}, no encoder. Use a file that `ecgsynth pretrain` "
            "wrote."
        )
    try:
        stored = metadata["config"]
        config = EncoderConfig(**{**stored, "leads": tuple(stored["leads"])})
        encoder = build_encoder(config)
        encoder.load_state_dict(load_file(path))
    except (KeyError, TypeError, OptionError, RuntimeError, SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or of another version ({error}). Train it again.") from None
    if not all(tensor.isfinite().all() for tensor in encoder.state_dict().values()):
        raise CheckpointError(f"{path}: holds NaN or infinite values; train it again.")
    return encoder.eval(), dict(metadata["training"])

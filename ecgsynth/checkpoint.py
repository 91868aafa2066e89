"""Checkpoints: safetensors with everything needed to use them in the metadata. Pickles are refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgsynth.errors import CheckpointError

if TYPE_CHECKING:
    from ecgsynth.generators.learned import LearnedConfig, StripNet

FORMAT = 1
#: Largest safetensors header read, in bytes; ours are about 40 kB.
_MAX_HEADER = 2_000_000
_KEY = "ecgsynth"


def read_metadata(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself, without loading torch or any weights.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict
        ``generator``, ``config``, ``population`` (people and seconds per rhythm), ``spread`` (rows of rhythm,
        source, lead, people), ``demographics``, ``training``.

    Raises
    ------
    CheckpointError
        If the file is missing, is a pickle, is not safetensors, or was not written by ecgsynth.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
            _refuse_pickle(path, start)
            length = struct.unpack("<Q", start[:8])[0] if len(start) == 9 else 0
            if not 2 <= length <= min(_MAX_HEADER, path.stat().st_size - 8):
                raise CheckpointError(
                    f"{path}: not a safetensors file (header of {length} bytes; at most {_MAX_HEADER}). "
                    "Use a file written by `ecgsynth train`."
                )
            header = json.loads(start[8:] + file.read(length - 1))
        own = json.loads(header["__metadata__"][_KEY])
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read the checkpoint ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: no ecgsynth metadata in its header. Use a file written by `ecgsynth train`."
        ) from error
    if not isinstance(own, dict) or own.get("format") != FORMAT:
        found = own.get("format") if isinstance(own, dict) else own
        raise CheckpointError(f"{path}: checkpoint format {found!r}; this version reads format {FORMAT}.")
    return own


def _refuse_pickle(path: Path, start: bytes) -> None:
    # A safetensors header whose length ends in 0x80 begins like a pickle, but its ninth byte is a brace.
    if start[:2] == b"PK" or (start[:1] == b"\x80" and start[8:] != b"{"):
        raise CheckpointError(
            f"{path}: a pickle (torch.save) file, which could run code when loaded; it was not opened. "
            "Only safetensors written by `ecgsynth train` are accepted."
        )


def save_checkpoint(path: Path, net: StripNet, metadata: dict[str, Any]) -> None:
    """Write `net` and `metadata` (``generator``, ``population``, ...) to `path`, replacing it at once.

    The encoder, which only further training uses, is stored in half precision: a sampled byte does not
    depend on it, and the file stays small.
    """
    from safetensors.torch import save

    own = {**metadata, "format": FORMAT, "config": dataclasses.asdict(net.config)}
    tensors = {
        key: (value.half() if key.startswith("encoder.") else value).contiguous()
        for key, value in net.state_dict().items()
    }
    content = save(tensors, {_KEY: json.dumps(own, sort_keys=True)})
    staged = path.with_name(path.name + ".partial")
    staged.write_bytes(content)
    staged.replace(path)


def load_checkpoint(path: Path) -> tuple[StripNet, dict[str, Any]]:
    """The network of a checkpoint in evaluation mode, and its metadata.

    Raises
    ------
    CheckpointError
        As :func:`read_metadata`, and for another architecture, tensors of the wrong shape, or NaN weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from ecgsynth.generators.learned import StripNet

    metadata = read_metadata(path)
    net = StripNet(_config(path, metadata.get("config")))
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged safetensors file ({error}). Copy it again.") from error
    expected = net.state_dict()
    for key in sorted(expected.keys() ^ tensors.keys()):
        where = "missing" if key in expected else "unexpected"
        raise CheckpointError(f"{path}: tensor {key} is {where}; the file is of another architecture.")
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape:
            found, wanted = tuple(tensor.shape), tuple(expected[key].shape)
            raise CheckpointError(f"{path}: tensor {key} has shape {found}; its config asks for {wanted}.")
        if not tensor.isfinite().all():
            raise CheckpointError(f"{path}: tensor {key} holds NaN or infinite values; train it again.")
    net.load_state_dict(tensors)
    return net.eval(), metadata


def _config(path: Path, stored: Any) -> LearnedConfig:
    from ecgsynth.generators.learned import LearnedConfig

    known = {field.name for field in dataclasses.fields(LearnedConfig)}
    if not isinstance(stored, dict) or set(stored) != known:
        found = sorted(stored) if isinstance(stored, dict) else stored
        raise CheckpointError(f"{path}: config has {found}; valid keys are {', '.join(sorted(known))}.")
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
    }
    sizes = [len(values[key]) for key in ("outputs", "leads", "sources")]
    sizes += [values[key] for key in ("latent", "width", "film")]
    if not all(isinstance(size, int) and 1 <= size <= 1024 for size in sizes):
        raise CheckpointError(f"{path}: config has sizes {sizes}; each must be 1 to 1024.")
    return LearnedConfig(**values)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shipped_weights(generator: str, twelve: bool = False) -> Path:
    """Where the weights that come with the package are: one lead at a time, or all twelve."""
    return Path(__file__).parent / "weights" / f"{generator}-{'twelve' if twelve else 'single'}.safetensors"

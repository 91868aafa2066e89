"""Checkpoints: safetensors with everything needed to use them in the metadata. Pickles are refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ecgsynth.errors import CheckpointError

if TYPE_CHECKING:
    from ecgsynth.generators.strip_net import LearnedConfig, StripNet

FORMAT = 1
#: Largest safetensors header read, in bytes; ours are about 40 kB.
_MAX_HEADER = 2_000_000
_KEY = "ecgsynth"
_KINDS: dict[str, type] = {
    "config": dict,
    "population": dict,
    "demographics": dict,
    "training": dict,
    "spread": list,
}


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
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: no ecgsynth metadata in its header. Use a file written by `ecgsynth train`."
        ) from error
    if not isinstance(own, dict) or own.get("format") != FORMAT:
        found = own.get("format") if isinstance(own, dict) else own
        raise CheckpointError(f"{path}: checkpoint format {found!r}; this version reads format {FORMAT}.")
    for key, kind in _KINDS.items():
        if not isinstance(own.get(key, kind()), kind):
            raise CheckpointError(
                f"{path}: {key} is a {type(own[key]).__name__}; allowed: {kind.__name__}. Train it again."
            )
    # What is not said is empty: learned from nobody, which is refused where it is asked for.
    return {key: kind() for key, kind in _KINDS.items()} | own


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

    for key, value in net.state_dict().items():
        if not value.isfinite().all():
            raise CheckpointError(f"{path}: not written, {key} holds NaN or infinite values; lower --lr.")
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

    from ecgsynth.generators.strip_net import StripNet

    metadata = read_metadata(path)
    config = _config(path, metadata.get("config"))
    with _hollow():  # what the config asks for, without the memory that it may ask for
        expected = StripNet(config).state_dict()
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged safetensors file ({error}). Copy it again.") from error
    for key in sorted(expected.keys() ^ tensors.keys()):
        where = "missing" if key in expected else "unexpected"
        raise CheckpointError(f"{path}: tensor {key} is {where}; the file is of another architecture.")
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape:
            found, wanted = tuple(tensor.shape), tuple(expected[key].shape)
            raise CheckpointError(f"{path}: tensor {key} has shape {found}; its config asks for {wanted}.")
        if not tensor.isfinite().all():
            raise CheckpointError(f"{path}: tensor {key} holds NaN or infinite values; train it again.")
    _check_people(path, metadata, config)
    net = StripNet(config)
    net.load_state_dict(tensors)
    return net.eval(), metadata


def _hollow() -> AbstractContextManager[object]:
    """Modules are built with weights that have a shape but take no memory and are never drawn.

    Not by the meta device for everything: arithmetic on it (of buffers) loads torch's compiler (1 s).
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Hollow(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            named = kwargs or {}
            if getattr(func, "__module__", None) == "torch.nn.init":
                return named["tensor"] if "tensor" in named else args[0]
            if func is torch.empty:
                named = {**named, "device": "meta"}
            return func(*args, **named)

    return Hollow()


def _config(path: Path, stored: Any) -> LearnedConfig:
    from ecgsynth.generators.strip_net import LearnedConfig

    known = {field.name for field in dataclasses.fields(LearnedConfig)}
    if not isinstance(stored, dict) or set(stored) != known:
        found = sorted(stored) if isinstance(stored, dict) else stored
        raise CheckpointError(f"{path}: config has {found}; valid keys are {', '.join(sorted(known))}.")
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
    }
    sizes = [
        len(values[key]) if isinstance(values[key], tuple) else 0 for key in ("outputs", "leads", "sources")
    ]
    sizes += [values[key] for key in ("latent", "width", "film")]
    # True is an int, too, and 1.
    if not all(type(size) is int and 1 <= size <= 1024 for size in sizes):
        raise CheckpointError(f"{path}: config has sizes {sizes}; each must be 1 to 1024.")
    names = [name for key in ("outputs", "leads", "sources") for name in values[key]]
    if not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"{path}: config has outputs, leads or sources that are no names.")
    return LearnedConfig(**values)


def _check_people(path: Path, own: dict[str, Any], config: LearnedConfig) -> None:
    """Hold what a checkpoint says of its training people to the form that generating relies on.

    Raises
    ------
    CheckpointError
        Naming the table and the entry.
    """
    population, spread = own.get("population", {}), own.get("spread", [])
    for name, seen in population.items():
        if not isinstance(seen, dict) or not _is_number(seen.get("people"), 0, 1e9):
            _refuse_entry(path, f"population of {name}", seen, "people, a number")
    for row in spread:
        fits = isinstance(row, list) and len(row) == 4 and all(isinstance(cell, str) for cell in row[:3])
        if not fits or not _is_number(row[3], 1, 1e9) or row[1] not in config.sources:
            _refuse_entry(path, "row of spread", row, "rhythm, source of the config, lead, people over 0")
        if len(config.outputs) == 1 and row[2] not in config.leads:
            _refuse_entry(path, "row of spread", row, f"a lead of {', '.join(config.leads)}")
    for name, group in own.get("demographics", {}).items():
        fits = isinstance(group, dict) and all(_is_number(group.get(key), 0, 1) for key in ("known", "male"))
        ages = group.get("age") if fits else None
        if not isinstance(ages, list) or not all(_is_number(age, 0, 150) for age in ages):
            _refuse_entry(path, f"demographics of {name}", group, "known and male from 0 to 1, age in years")
        if group["known"] and not ages:
            _refuse_entry(path, f"demographics of {name}", group, "ages, as some are known")


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _refuse_entry(path: Path, what: str, found: object, allowed: str) -> NoReturn:
    raise CheckpointError(f"{path}: {what} is {str(found)[:80]}; allowed: {allowed}. Train it again.")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shipped_weights(generator: str, twelve: bool = False) -> Path:
    """Where the weights that come with the package are: one lead at a time, or all twelve."""
    return Path(__file__).parent / "weights" / f"{generator}-{'twelve' if twelve else 'single'}.safetensors"

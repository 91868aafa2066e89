"""A frozen encoder: 64 numbers per strip of one lead, in which sets of records are compared.

A small convolutional network, trained by ``scripts/train_encoder.py`` on people from whom no shipped
generator has learned. Its card, ``weights/encoder.md``, says what it sees and what it does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import gelu

from ecgsynth.errors import CheckpointError, OptionError
from ecgsynth.rpeaks import bridge_gaps

#: Sampling rate that the network was trained at, in Hz; other rates are resampled to it.
FS: Final = 250.0
#: Numbers per strip.
WIDTH: Final = 64
#: Shortest strip, in seconds: below it there may be no whole beat.
SHORTEST_S: Final = 2.0
#: Rows embedded at once. Fixed, and padded with zeros: another number would change the order of sums.
ROWS: Final = 64
#: Voltage in mV up to which the network's input is about linear; beyond it grows with the logarithm, so that
#: one artefact does not drown the rest.
LINEAR_MV: Final = 0.25
#: Root mean square that no embedding exceeds: a kernel that grows with the cube would else hear only the one
#: strip that is farthest out.
FARTHEST: Final = 2.0
#: Limb leads that are sums of I and II and say nothing new beside them.
DERIVED: Final = frozenset({"III", "aVR", "aVL", "aVF"})

_FORMAT = 1
_KEY = "ecgsynth_encoder"
_WEIGHTS = Path(__file__).resolve().parent.parent / "weights" / "encoder.safetensors"


class Residual(nn.Module):
    """``x + conv(gelu(norm(x)))`` on [rows, channels, frames]."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv = nn.Conv1d(channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x + self.conv(gelu(self.norm(x)))


class StripEncoder(nn.Module):
    """Strips [rows, samples] in mV at `FS` to embeddings [rows, `WIDTH`].

    Fifty frames per second, then 25 and 12.5; mean and standard deviation over time, so any length goes in.
    The last steps move the mean of real strips to 0 and their mean square to 1, and bend what is far out
    inwards: no embedding is longer than ``FARTHEST * sqrt(WIDTH)``.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(1, 32, 15, stride=5, padding=7),
            nn.GELU(),
            nn.Conv1d(32, 64, 7, stride=2, padding=3),
            *(Residual(64, 5, d) for d in (1, 2, 4)),
            nn.Conv1d(64, 128, 5, stride=2, padding=2),
            *(Residual(128, 3, d) for d in (1, 2, 4)),
            nn.GELU(),
        )
        self.head = nn.Linear(256, WIDTH)
        self.register_buffer("centre", torch.zeros(WIDTH))
        self.register_buffer("scale", torch.ones(()))

    def pooled(self, strips: Tensor) -> Tensor:
        """Mean and standard deviation over time of the last frames [rows, 256]."""
        level = strips - strips.median(dim=1, keepdim=True).values
        frames = self.body(torch.asinh(level / LINEAR_MV)[:, None])
        spread = (frames.var(dim=-1, unbiased=False) + 1e-6).sqrt()
        return torch.cat([frames.mean(dim=-1), spread], dim=1)

    def forward(self, strips: Tensor) -> Tensor:
        """Embeddings [rows, `WIDTH`]."""
        z = (self.head(self.pooled(strips)) - self.centre) * self.scale
        return z / (1.0 + z.square().mean(dim=1, keepdim=True) / FARTHEST**2).sqrt()


def embed(
    signals: NDArray[np.float32],
    fs: float,
    leads: tuple[str, ...],
    tick: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Embeddings of records, one row each.

    Parameters
    ----------
    signals : float32 array [records, leads, samples]
        In mV; NaN gaps are bridged with straight lines.
    fs : float
        In Hz; resampled to `FS` (polyphase filter).
    leads : tuple of str
        Names of the leads. With I and II, the limb leads derived from them are left out.
    tick : callable, optional
        Called with the number of records done, now and then.

    Returns
    -------
    float32 array [records, width]
        One lead: its 64 numbers. Several: the mean over leads, and the mean over leads of each lead's numbers
        turned by a rotation that belongs to its name (128 numbers), so that swapped leads are seen.

    Raises
    ------
    OptionError
        If the strips are shorter than `SHORTEST_S` seconds.
    CheckpointError
        If the shipped weights are missing or damaged.
    """
    if signals.shape[2] < SHORTEST_S * fs:
        raise OptionError(
            f"encoder: strips of {signals.shape[2] / fs:.2f} s; at least {SHORTEST_S:g} s are needed. "
            "Use longer records."
        )
    net = load_encoder()
    kept = _informative(leads)
    parts = []
    for start in range(0, len(signals), ROWS):
        block = _at_250(signals[start : start + ROWS, kept].astype(np.float64), fs)
        each = np.stack([_embed_rows(net, block[:, i]) for i in range(len(kept))], axis=1)
        parts.append(_joined(each, tuple(leads[i] for i in kept)))
        if tick is not None:
            tick(min(start + ROWS, len(signals)))
    return np.concatenate(parts) if parts else np.empty((0, WIDTH), dtype=np.float32)


def _informative(leads: tuple[str, ...]) -> list[int]:
    both = "I" in leads and "II" in leads
    return [i for i, lead in enumerate(leads) if not (both and lead in DERIVED)]


def _at_250(block: NDArray[np.float64], fs: float) -> NDArray[np.float32]:
    """Records [records, leads, samples] without gaps, at `FS`."""
    if not np.isfinite(block).all():
        block = np.stack([bridge_gaps(record) for record in block])
    if fs != FS:
        from scipy.signal import resample_poly

        ratio = Fraction(FS / fs).limit_denominator(2000)
        block = resample_poly(block, ratio.numerator, ratio.denominator, axis=2, padtype="line")
    return block.astype(np.float32)


def _embed_rows(net: StripEncoder, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most `ROWS` strips [rows, samples], padded to exactly that many."""
    padded = np.zeros((ROWS, rows.shape[1]), dtype=np.float32)
    padded[: len(rows)] = rows
    with torch.inference_mode():
        return np.asarray(net(torch.from_numpy(padded)).numpy()[: len(rows)])


def _joined(each: NDArray[np.float32], leads: tuple[str, ...]) -> NDArray[np.float32]:
    """One row per record from embeddings [records, leads, `WIDTH`]."""
    if len(leads) == 1:
        return each[:, 0]
    turned = sum(each[:, i] @ _rotation(lead) for i, lead in enumerate(leads)) / np.sqrt(len(leads))
    return np.concatenate([each.mean(axis=1), turned], axis=1).astype(np.float32)


@lru_cache(maxsize=64)
def _rotation(lead: str) -> NDArray[np.float32]:
    """A random orthogonal matrix [`WIDTH`, `WIDTH`] that depends on the lead's name alone."""
    seed = int.from_bytes(hashlib.sha256(lead.encode()).digest()[:8], "little")
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(WIDTH, WIDTH)))
    return np.asarray(q * np.sign(np.diag(r)), dtype=np.float32)


def save_encoder(net: StripEncoder, path: Path, about: dict[str, Any]) -> None:
    """Write the network as safetensors with ``about`` (how it was trained) in the metadata."""
    from safetensors.torch import save

    tensors = {key: value.contiguous() for key, value in net.state_dict().items()}
    text = json.dumps({**about, "format": _FORMAT}, sort_keys=True)
    path.write_bytes(save(tensors, {_KEY: text}))


@lru_cache(maxsize=2)
def load_encoder(path: Path = _WEIGHTS) -> StripEncoder:
    """The network in evaluation mode.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not an encoder of this version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{path.name}: cannot read the encoder's weights ({error}). Install the package again."
        ) from error
    net = StripEncoder()
    wanted = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    if about.get("format") != _FORMAT or found != wanted:
        raise CheckpointError(
            f"{path.name}: format {about.get('format')!r} with {len(found)} tensors is not this version's "
            f"encoder (format {_FORMAT}, {len(wanted)} tensors). Install the package again."
        )
    net.load_state_dict(tensors)
    return net.eval()


def encoder_sha256(path: Path = _WEIGHTS) -> str:
    """SHA-256 of the weights, for a report to state which encoder it used."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""The verification encoder: how alike two median beats are, as beats of one person are alike.

Trained by ``scripts/train_verifier.py`` on people who are on neither side of the audits it serves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import CheckpointError

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]

SHIPPED: Final = Path(__file__).parent.parent / "weights" / "verifier.safetensors"
#: Numbers of an embedding, and channels of the network.
SIZE: Final = 48
WIDTHS: Final = (24, 48, 64)
_BATCH = 512


@dataclass(frozen=True)
class Verifier:
    """The encoder with what it says of itself.

    Attributes
    ----------
    net : torch.nn.Module
    people : frozenset of str
        Whom it was trained on; they cannot be judged with it.
    notes : dict
        ``people``, ``tar`` and more, as in its card.
    """

    net: torch.nn.Module
    people: frozenset[str]
    notes: dict[str, Any]

    def embed(self, beats: Floats) -> Floats:
        """Unit vectors [n, SIZE] of median beats [n, BEAT] in mV; their products are the likeness."""
        import torch

        inputs = torch.from_numpy(beat_channels(beats))
        with torch.inference_mode():
            parts = [self.net(inputs[i : i + _BATCH]) for i in range(0, len(inputs), _BATCH)]
        return np.asarray(torch.cat(parts).numpy(), dtype=np.float64) if parts else np.empty((0, SIZE))


def beat_channels(beats: Floats) -> NDArray[np.float32]:
    """Network input [n, 2, BEAT] of beats [n, BEAT]: shape and slope, without scale, level or polarity."""
    level = beats - np.median(beats, axis=1, keepdims=True)
    rows = np.arange(len(level))
    # A strip turned upside down is the same person's: the largest deflection always points up.
    level = level * np.where(level[rows, np.abs(level).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
    slope = np.diff(level, axis=1, prepend=level[:, :1])
    both = np.stack([level, slope], axis=1)
    # Square roots tame the QRS, which is ten times as high as the waves that also tell people apart.
    both = np.sign(both) * np.sqrt(np.abs(both))
    scale = np.sqrt((both**2).mean(axis=2, keepdims=True))
    return np.asarray(both / np.maximum(scale, 1e-6), dtype=np.float32)


def build_net(beat: int) -> torch.nn.Module:
    """The untrained network for beats of ``beat`` samples."""
    from torch import Tensor, nn

    layers: list[nn.Module] = []
    channels, length = 2, beat
    for width, kernel in zip(WIDTHS, (9, 7, 5), strict=True):
        layers += [
            nn.Conv1d(channels, width, kernel, stride=2, padding=kernel // 2),
            nn.GroupNorm(4, width),
            nn.GELU(),
        ]
        channels, length = width, (length + 1) // 2
    body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(channels * length, SIZE))

    class Unit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, beats: Tensor) -> Tensor:
            return nn.functional.normalize(self.body(beats), dim=1)

    return Unit()


@lru_cache(maxsize=2)
def load_verifier(path: Path = SHIPPED) -> Verifier:
    """Load a verifier.

    Raises
    ------
    CheckpointError
        If the file is missing or not such a verifier.
    """
    from safetensors import SafetensorError, safe_open

    from ecgsynth.privacy.samples import BEAT

    try:
        with safe_open(path, framework="pt") as file:
            notes = json.loads((file.metadata() or {})["verifier"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        net = build_net(BEAT)
        net.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: not a verification encoder ({type(error).__name__}); expected what "
            "scripts/train_verifier.py writes. Install the package again, or train one."
        ) from error
    return Verifier(net.eval(), frozenset(notes["subjects"]), notes)

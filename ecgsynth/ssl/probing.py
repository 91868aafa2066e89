"""``ecgsynth probe`` as a function: a pretrained encoder beside one that learned nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ecgsynth.errors import CheckpointError
from ecgsynth.split import SplitManifest
from ecgsynth.ssl.encoder_file import load_encoder
from ecgsynth.ssl.encoders import Encoder, build_encoder
from ecgsynth.ssl.pretrain import ENCODER_FILE
from ecgsynth.ssl.probe import ProbeOptions, Score, probe_encoders
from ecgsynth.ssl.store import Cut, StripStore, gather


def probe_folder(
    folder: Path,
    data: Sequence[Path],
    options: ProbeOptions,
    *,
    random: bool = True,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Score]:
    """Score the encoder of a pretraining, beside the same one with random weights.

    Parameters
    ----------
    folder : Path
        What `pretrain_encoder` made.
    data : sequence of Path
        Labelled recordings; none takes those that were pretrained on. People keep the part that they had in
        pretraining, so that nobody is tested on who was learned from.
    options : ProbeOptions
    random : bool
        Also score an encoder with random weights.

    Raises
    ------
    CheckpointError
        If there is no encoder in the folder.
    RecordError
        If data are damaged, or too few people show two rhythms.
    """
    path = folder / ENCODER_FILE
    if not path.is_file():
        raise CheckpointError(f"{path}: no encoder there; name a folder that `ecgsynth pretrain` made.")
    encoder, training = load_encoder(path)
    encoders: dict[str, Encoder] = {str(training["method"]): encoder}
    if random:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            encoders["random"] = build_encoder(encoder.config).eval()
    if not data:
        return probe_encoders(encoders, StripStore(folder), options, progress)
    split = SplitManifest.from_json((folder / "split.json").read_text(encoding="utf-8"))
    config = encoder.config
    with tempfile.TemporaryDirectory() as scratch:
        cut = Cut(config.fs, config.samples / config.fs, config.leads)
        store, _ = gather(data, Path(scratch), cut, split, options.seed)
        return probe_encoders(encoders, store, options, progress)

"""Fit the corrections of noise and beats of a checkpoint anew, and nothing else.

    python scripts/refit_corrections.py --pack single.npz --weights cvae-single.safetensors --out new

The networks stay as they are: what changes is how loud, how bursty and how swaying the noise of each source
is drawn, and how much beats differ (``ecgsynth/training/trim.py``); for when that code changes.
Two minutes of one core. People of the part ``test`` are never read. The weights that ship are those of
``train_weights.py`` with their corrections fitted anew by this, as they are to the byte.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch

from ecgsynth.batches import load_strips
from ecgsynth.checkpoint import load_checkpoint, save_checkpoint
from ecgsynth.training.trim import fit_trim


@click.command()
@click.option("--pack", "pack_path", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--weights", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(pack_path: Path, weights: Path, seed: int, out: Path) -> None:
    """Write `weights` with other corrections to `out`."""
    torch.set_num_threads(1)
    pack = dict(np.load(pack_path))
    net, metadata = load_checkpoint(weights)
    strips = load_strips(pack, net.config, set(pack["subject"][pack["part"] != "test"].tolist()))
    metadata["training"]["trim"] = fit_trim(net, strips, seed=seed)
    save_checkpoint(out, net, metadata)
    click.echo(f"{out}: {metadata['training']['trim']}")


if __name__ == "__main__":
    main()

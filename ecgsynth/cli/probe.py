"""``ecgsynth probe``: what an encoder is worth on people it has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ecgsynth.cli.console import progress
from ecgsynth.errors import OptionError


@click.command()
@click.option(
    "--encoder",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder that pretrain made.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Labelled recordings; repeatable.  [default: those pretrained on]",
)
@click.option("--fractions", default="0.1,1", show_default=True, help="Shares of labelled people.")
@click.option(
    "--mode", type=click.Choice(["linear", "finetune", "both"]), default="linear", show_default=True
)
@click.option("--fewest", type=int, default=3, show_default=True, help="People a rhythm needs in a part.")
@click.option("--steps", type=int, default=150, show_default=True, help="Of fine-tuning.")
@click.option("--random/--no-random", default=True, show_default=True, help="Beside an untrained encoder.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--json", "json_out", type=click.Path(path_type=Path), default=None, help="Also write the scores."
)
def probe(
    folder: Path,
    data: tuple[Path, ...],
    fractions: str,
    mode: str,
    fewest: int,
    steps: int,
    random: bool,
    seed: int,
    json_out: Path | None,
) -> None:
    """Judge an encoder: train on few labelled people, test on people it has not seen.

    A rhythm against the rest, with intervals from resampling test people, beside the same encoder with random
    weights.

    \b
    Examples:
      ecgsynth probe --encoder enc
      ecgsynth probe --encoder enc --data ptbxl --fractions 0.01,0.1,1 --mode both
    """
    shares = _fractions(fractions)
    with progress("Probing") as show:
        from ecgsynth.ssl.probe import ProbeOptions, score_table
        from ecgsynth.ssl.probing import probe_folder

        modes = ("linear", "finetune") if mode == "both" else (mode,)
        options = ProbeOptions(fractions=shares, modes=modes, steps=steps, fewest=fewest, seed=seed)
        scores = probe_folder(folder, data, options, random=random, progress=show)
    click.echo(score_table(scores))
    if json_out is not None:
        rows: list[dict[str, Any]] = [vars(score) for score in scores]
        json_out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _fractions(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--fractions {text!r}; allowed are numbers with commas, such as 0.1,1.") from None

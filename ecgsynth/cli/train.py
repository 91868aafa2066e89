"""``ecgsynth train``: a generator for recordings of one's own, starting from the shipped weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ecgsynth.cli.console import guarded, progress


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--rhythm", default=None, help="What every record shows, where the folder itself does not say.")
@click.option(
    "--labels", type=click.Path(path_type=Path), default=None, help="CSV of record, rhythm, subject."
)
@click.option("--generator", type=click.Choice(["cvae", "cgan"]), default="cvae", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="FILE.safetensors to write.")
@click.option("--from-weights", type=click.Path(path_type=Path), default=None, help="[default: the shipped]")
@click.option("--steps", type=click.IntRange(min=1), default=2000, show_default=True, help="At most so many.")
@click.option("--max-minutes", type=float, default=None, help="Stop after so many minutes.")
@click.option("--batch-size", type=click.IntRange(min=1), default=24, show_default=True)
@click.option("--lr", type=float, default=3e-4, show_default=True, help="Learning rate.")
@click.option(
    "--patience", type=click.IntRange(min=1), default=5, show_default=True, help="Checks without gain."
)
@click.option("--resume", is_flag=True, help="Continue a training that was interrupted.")
@click.option("--log", type=click.Choice(["csv", "tensorboard"]), default="csv", show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--allow-few-people", is_flag=True, help="Learn rhythms shown by fewer than 6 people.")
@click.option(
    "--dp-epsilon",
    type=float,
    default=None,
    help="Differential privacy: bound on what one person can change. Needs Opacus (extra dp).",
)
@click.option("--dp-delta", type=float, default=1e-5, show_default=True, help="Its delta, under 1/people.")
@click.option(
    "--adapt", is_flag=True, help="Add a rhythm from 5 to 40 strips; all else stays as it was. A few minutes."
)
@click.option("--devices", default="auto", show_default=True, help="Accelerators or processes to train on.")
@click.option("--strategy", type=click.Choice(["auto", "ddp"]), default="auto", show_default=True)
@click.option("--num-nodes", type=click.IntRange(min=1), default=1, show_default=True, help="Machines.")
def train(data: Path, out: Path, **options: Any) -> None:
    """Train a generator on a folder of WFDB records.

    Starts from the weights that ship, unless told otherwise, and writes a checkpoint for generate --weights.
    The rhythm of each record of DATA comes from its .atr marks, its SNOMED Dx comment, a CSV, or --rhythm.
    Some people are held out; training stops when it no longer gets better on them.

    With --dp-epsilon, --steps steps are taken, each of --batch-size people on average, and nobody is held
    out: only the mean waveforms are refined, and whatever is done with the weights is bounded.

    With --adapt, only what belongs to the rhythm and to DATA's device is learned, some 900 numbers: for 5 to
    40 strips. The checkpoint makes every other rhythm as before, to the byte.

    \b
    Examples:
      ecgsynth train my_vt --rhythm vt --out vt.safetensors
      ecgsynth train my_trigeminy --rhythm trigeminy --adapt --out trigeminy.safetensors
      ecgsynth train my_af --rhythm afib --out af.safetensors --dp-epsilon 8 --steps 150 --batch-size 64
      ecgsynth generate --rhythm vt --weights vt.safetensors -n 500
      ecgsynth train my_vt --rhythm vt --out vt.safetensors --strategy ddp --devices 4
    """
    with guarded(out, " Continue with --resume."), progress("Training") as show:
        from ecgsynth.training import TrainOptions, train_on_folder

        result = train_on_folder(TrainOptions(data=data, out=out, **options), progress=show)
    if result.helped:
        return
    click.echo(f"Wrote {result.out}: {result.people} people, {result.steps} steps, {result.stopped}.")
    if options["dp_epsilon"] is not None:
        click.echo(f"What is bounded, and what is not: {result.out.with_suffix('.privacy.md')}")
    if result.copies is not None:
        click.echo(
            f"Beside it, {result.copies.name}: what generate keeps records apart by. Whoever holds it and a "
            "recording can ask whether that was in training; keep it where the recordings are."
        )
    click.echo(
        f"Use it: ecgsynth generate --generator {options['generator']} --weights {result.out} --rhythm ..."
    )

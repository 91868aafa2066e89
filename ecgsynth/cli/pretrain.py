"""``ecgsynth pretrain``: an encoder from recordings without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ecgsynth.cli.console import guarded, progress


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), multiple=True, help="A database or folder; repeatable."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option("--method", type=click.Choice(["simclr", "moco", "mae"]), default="simclr", show_default=True)
@click.option(
    "--encoder",
    type=click.Choice(["resnet", "hybrid", "transformer"]),
    default=None,
    help="[default: resnet; transformer for mae]",
)
@click.option("--width", type=int, default=96, show_default=True, help="Numbers in a strip's vector.")
@click.option("--depth", type=int, default=2, show_default=True, help="Layers, or blocks per stage.")
@click.option("--fs", type=float, default=100.0, show_default=True, help="Sampling rate in Hz.")
@click.option("--seconds", type=float, default=10.0, show_default=True, help="Length of a strip.")
@click.option("--lead", default=None, help="One lead, or 12.  [default: the recordings']")
@click.option(
    "--split", type=click.Path(path_type=Path), default=None, help="Split of people; train is used."
)
@click.option("--pairs", type=click.Choice(["view", "person"]), default="view", show_default=True)
@click.option("--epochs", type=int, default=20, show_default=True)
@click.option("--batch-size", type=int, default=64, show_default=True)
@click.option("--lr", type=float, default=1e-3, show_default=True, help="Learning rate.")
@click.option("--workers", type=int, default=0, show_default=True, help="Processes that load strips.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--resume", is_flag=True, help="Continue from the last complete epoch.")
@click.option("--max-minutes", type=float, default=None, help="Stop after so many minutes.")
@click.option("--devices", default="auto", show_default=True, help="Accelerators or processes to train on.")
@click.option("--strategy", type=click.Choice(["auto", "ddp"]), default="auto", show_default=True)
def pretrain(
    data: tuple[Path, ...], out: Path, lead: str | None, encoder: str | None, **options: Any
) -> None:
    """Learn an encoder from recordings, without their labels.

    Contrastive (simclr, moco) or by filling in hidden patches (mae). Only people of the part train are
    learned from, so that the others can judge it.

    \b
    Examples:
      ecgsynth pretrain --method simclr --data my_data --out enc
      ecgsynth pretrain --method moco --pairs person --data mitdb --data af --lead MLII --out enc
      ecgsynth probe --encoder enc
    """
    kind = encoder or ("transformer" if options["method"] == "mae" else "resnet")
    with guarded(out / "encoder.safetensors", " Continue with --resume."), progress("Pretraining") as show:
        from ecgsynth.ssl.options import PretrainOptions
        from ecgsynth.ssl.pretrain import pretrain_encoder

        leads = _leads(lead)
        made = pretrain_encoder(
            PretrainOptions(data=data, out=out, encoder=kind, leads=leads, **options), progress=show
        )
    if made.helped:
        return
    click.echo(
        f"Wrote {made.encoder.name} to {out}: {made.people} people, {made.strips} strips, {made.steps} "
        f"steps, loss {made.loss:.4g}."
    )
    if not made.complete:
        click.echo("Stopped after --max-minutes; continue with --resume.")
    click.echo(f"Judge it: ecgsynth probe --encoder {out}")


def _leads(lead: str | None) -> tuple[str, ...] | None:
    if lead is None:
        return None
    if lead.strip() == "12":
        from ecgsynth.records import TWELVE_LEADS

        return TWELVE_LEADS
    return (lead.strip(),)

"""``ecgsynth augment``: real strips and synthetic ones in one dataset, ready to train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ecgsynth.cli.console import guarded, progress
from ecgsynth.errors import OptionError

if TYPE_CHECKING:
    from ecgsynth.augment.build import AugmentOptions, AugmentSummary


@click.command()
@click.option(
    "--real",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="A database or a folder of WFDB records; repeatable.",
)
@click.option("--rhythm", default=None, help="What to generate, in any spelling; several with commas.")
@click.option(
    "--ratio", type=float, default=1.0, show_default=True, help="Synthetic per real training strip, 0 to 20."
)
@click.option(
    "--rest",
    default="auto",
    show_default=True,
    help="Rhythms to generate besides, as often: names with commas, auto (all others in training) or none.",
)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Folder to make.")
@click.option("--plan", is_flag=True, help="Propose what to generate, and write nothing.")
@click.option(
    "--split", type=click.Path(path_type=Path), default=None, help="Split of people.  [default: a new one]"
)
@click.option(
    "--labels", type=click.Path(path_type=Path), default=None, help="CSV of record, rhythm, subject."
)
@click.option("--seconds", type=float, default=10.0, show_default=True, help="Length of a strip.")
@click.option("--fs", type=float, default=None, help="Sampling rate in Hz.  [default: the recordings']")
@click.option("--lead", default=None, help="One lead, or 12.  [default: the recordings']")
@click.option("--per-person", type=int, default=None, help="Most strips per person and rhythm.")
@click.option(
    "--generator", type=click.Choice(["cvae", "cgan", "parametric"]), default="cvae", show_default=True
)
@click.option("--weights", type=click.Path(path_type=Path), default=None, help="A checkpoint of your own.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--shards", type=click.Choice(["tar", "parquet"]), default=None, help="Also write shards.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="0: one per core.")
@click.option("--allow-few-people", is_flag=True, help="Offer rhythms learned from fewer than 6 people.")
@click.option("--max-redraws", type=click.IntRange(min=0), default=20, show_default=True, help="Per record.")
def augment(rhythm: str | None, out: Path | None, plan: bool, **options: Any) -> None:
    """Write one dataset of real and synthetic strips, split by person.

    Recordings are cut into strips of one rhythm each. Synthetic ones are added to the training part only;
    nobody is in two parts. As many of the other rhythms are generated (--rest), on the same devices: a model
    could otherwise learn that synthetic means the rhythm. --plan shows who has which rhythm and what could
    be generated.

    \b
    Examples:
      ecgsynth augment --real my_data --plan
      ecgsynth augment --real my_data --rhythm afib --ratio 1 --out train_set
      ecgsynth augment --real mitdb --real cinc2017 --lead I --fs 250 --rhythm afib --out af
    """
    if not plan and (rhythm is None or out is None):
        missing = "--rhythm" if rhythm is None else "--out"
        raise OptionError(f"{missing} is missing: say what to generate and where, or ask for a --plan.")
    if plan:
        from ecgsynth.augment.build import plan_dataset
        from ecgsynth.augment.plan import plan_table

        click.echo(plan_table(plan_dataset(_options(rhythm, out or Path("out"), options))))
        click.echo(
            "Generate with: ecgsynth augment --rhythm NAME --ratio RATIO --out DIR and the same options."
        )
        return
    target = out or Path("out")
    with guarded(target), progress("Writing") as show:
        from ecgsynth.augment.build import augment_dataset

        summary = augment_dataset(_options(rhythm, target, options), progress=show)
    click.echo(_report(summary))


def _options(rhythm: str | None, out: Path, given: dict[str, Any]) -> AugmentOptions:
    from ecgsynth.augment.build import AugmentOptions
    from ecgsynth.augment.strips import StripOptions

    strips = StripOptions(
        real=given.pop("real"),
        seconds=given.pop("seconds"),
        fs=given.pop("fs"),
        leads=_leads(given.pop("lead")),
        labels=given.pop("labels"),
        per_person=given.pop("per_person"),
    )
    names = tuple(part for part in (rhythm or "").split(",") if part.strip())
    return AugmentOptions(strips=strips, out=out, rhythms=names, **given)


def _leads(lead: str | None) -> tuple[str, ...] | None:
    if lead is None:
        return None
    if lead.strip() == "12":
        from ecgsynth.records import TWELVE_LEADS

        return TWELVE_LEADS
    return (lead.strip(),)


def _report(summary: AugmentSummary) -> str:
    lines = [f"Wrote {sum(summary.counts.values())} strips to {summary.out.name}:"]
    for part, people in summary.people.items():
        kinds = {
            kind: sum(n for (at, _, what), n in summary.counts.items() if at == part and what == kind)
            for kind in ("real", "synthetic")
        }
        made = f" and {kinds['synthetic']} synthetic" if kinds["synthetic"] else ""
        lines.append(f"  {part:<5} {kinds['real']} real strips of {people} people{made}")
    if summary.dropped:
        why = ", ".join(f"{reason} {count}" for reason, count in sorted(summary.dropped.items()))
        lines.append(f"Left out: {why}.")
    if summary.shards:
        lines.append(f"Shards: {summary.shards} in {summary.out.name}/shards.")
    lines += [f"Note: {note}" for note in summary.notes]
    return "\n".join(lines)

"""``ecgsynth generate``: a synthetic WFDB dataset of one rhythm, or of a script of rhythms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ecgsynth.cli.console import engine_options, guarded, progress
from ecgsynth.rhythms import find_rhythm

if TYPE_CHECKING:
    from ecgsynth.pipeline import Summary


@click.command()
@click.option(
    "--rhythm",
    required=True,
    help="Any spelling of a rhythm, a script (nsr:30,afib:60,nsr:30), or nsr~afib: paroxysms.",
)
@click.option(
    "--generator", type=click.Choice(["cvae", "cgan", "parametric"]), default="cvae", show_default=True
)
@click.option("-n", "--records", type=click.IntRange(min=1), default=32, show_default=True)
@click.option(
    "--seconds", type=float, default=10.0, show_default=True, help="2 to 3600; a script has its own."
)
@click.option("--fs", type=float, default=250.0, show_default=True, help="Sampling rate in Hz, 100 to 1000.")
@click.option(
    "--lead", default=None, help="I, II, MLII, V1 or V5; 12 for twelve leads.  [default: by source]"
)
@click.option(
    "--source", default=None, help="Database whose people and device to resemble, such as cinc2017."
)
@click.option("--heart-rate", type=float, default=None, help="Mean ventricular rate in beats/min.")
@click.option("--ectopy", type=float, default=None, help="Fraction of premature ventricular beats, 0 to 0.5.")
@click.option("--age", type=float, default=None, help="In years.")
@click.option("--sex", type=click.Choice(["M", "F"]), default=None)
@click.option(
    "--noise",
    type=click.Choice(["clean", "holter", "handheld", "12lead"]),
    default=None,
    help="Noise, wander, band, steps and gain of a kind of machine, or none.  [default: as the source's]",
)
@click.option(
    "--snr",
    type=float,
    default=None,
    metavar="DB",
    help="Scale the noise, not the heart, to this signal-to-noise ratio (QRS-T over noise, 0.5-40 Hz).",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="[default: ecgsynth-<rhythm>]")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option("--resume", is_flag=True, help="Go on with the records that an interrupted run left.")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="0: one per core.")
@engine_options
@click.option("--shard", default=None, help="K/N: only part K of N, to join later.")
@click.option("--weights", type=click.Path(path_type=Path), default=None, help="A checkpoint of your own.")
@click.option(
    "--allow-few-people", is_flag=True, help="Offer rhythms learned from fewer than 6 people (12 leads: 10)."
)
@click.option(
    "--train",
    type=click.Path(path_type=Path),
    default=None,
    help="Keep records apart from these people, too.",
)
@click.option(
    "--copy-gate/--no-copy-gate",
    default=True,
    help="Whether to refuse records that are too near to a training person.  [default: yes]",
)
@click.option("--max-redraws", type=click.IntRange(min=0), default=20, show_default=True, help="Per record.")
def generate(lead: str | None, out: Path | None, shard: str | None, **options: Any) -> None:
    """Write a synthetic WFDB dataset with beat and rhythm annotations.

    Every record passes a gate (integrity, lead algebra, the rhythm it claims, not too near to a training
    person) or is drawn again. The same seed and options give the same bytes, and -n 5 gives the first five
    records of -n 50. What an interrupted run had written stays in a hidden folder beside OUT; --resume goes
    on with it, to the same bytes.

    \b
    Examples:
      ecgsynth generate --rhythm afib -n 100 --seed 1 --out af
      ecgsynth generate --rhythm nsr:30,afib:60,nsr:30 -n 10 --heart-rate 75
      ecgsynth generate --rhythm nsr~afib --seconds 3600 -n 10
      ecgsynth generate --rhythm afib --lead I --noise handheld --snr 6
      ecgsynth generate --rhythm bigeminy --lead 12 --fs 500 --age 70 --sex F
    """
    out = out or _default_out(options["rhythm"])
    with guarded(out, lambda: _left(out)), progress("Generating") as show:
        from ecgsynth.pipeline import GenerateOptions, generate_dataset

        wanted = GenerateOptions(leads=_leads(lead), shard=_shard(shard), out=out, **options)
        summary = generate_dataset(wanted, progress=show)
    click.echo(_report(summary, out))


def _left(out: Path) -> str:
    from ecgsynth.staging import partial_of

    return " Go on with --resume." if partial_of(out).is_dir() else ""


def _default_out(script: str) -> Path:
    names = [
        find_rhythm(part.rpartition(":")[0] or part).name for part in script.replace("~", ",").split(",")
    ]
    return Path("ecgsynth-" + "-".join(names))


def _leads(lead: str | None) -> tuple[str, ...] | None:
    """None leaves the choice to the source."""
    if lead is None:
        return None
    if lead.strip() == "12":
        from ecgsynth.records import TWELVE_LEADS

        return TWELVE_LEADS
    return tuple(part.strip() for part in lead.split(","))


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal()):
        raise click.BadParameter(f"{text!r} is not K/N, such as 3/100.", param_hint="'--shard'")
    return int(part), int(parts)


def _report(summary: Summary, out: Path) -> str:
    rate = (summary.records - summary.taken_over) / max(summary.seconds_elapsed, 1e-9)
    return "\n".join(
        (
            f"Wrote {summary.records} records to {out} in {summary.seconds_elapsed:.1f} s"
            f" ({rate:.0f} records/s).",
            *_taken_over(summary),
            _redrawn(summary),
            f"Copy gate: {summary.copies.replace('**', '')}.",
            f"Contact sheet: {out / summary.contact_sheet.name}",
            f"Look closer:   ecgsynth plot {out}",
            f"Check it:      ecgsynth verify {out}",
        )
    )


def _taken_over(summary: Summary) -> list[str]:
    count = summary.taken_over
    return [f"{count} of them were there from the run that was interrupted."] if count else []


def _redrawn(summary: Summary) -> str:
    if not summary.redrawn:
        return "The gate passed every draw."
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(summary.rejected.items()))
    return f"The gate turned down {summary.redrawn} draws, which were drawn again (checks failed: {reasons})."

"""``ecgsynth report``: whether a folder of synthetic records could pass for the real ones of another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ecgsynth.cli.console import engine_options, guarded, progress
from ecgsynth.rhythms import RHYTHMS, find_rhythm

if TYPE_CHECKING:
    from ecgsynth.report import Outcome


@click.command()
@click.argument("synthetic", type=click.Path(path_type=Path))
@click.option("--real", type=click.Path(path_type=Path), required=True, help="Folder of real recordings.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option(
    "--rhythm",
    "rhythms",
    multiple=True,
    help="Only this one, or that of records without labels; repeatable.",
)
@click.option("--lead", default=None, help="12, or names such as II or I,V1.  [default: those in common]")
@click.option("--show-real", is_flag=True, help="Draw real strips too: the report then shows people.")
@click.option("--strict", is_flag=True, help="Exit code 3 if a record cannot be read.")
@click.option(
    "--privacy",
    type=click.Path(path_type=Path),
    default=None,
    help="Findings of ecgsynth audit to show.  [default: privacy.json in SYNTHETIC, if any]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="0: one per core.")
@engine_options
@click.option("--overwrite", is_flag=True, help="Replace OUT if it is a report.")
@click.option("--quick", is_flag=True, help="Fewer strips and resamples, for a first look.")
def report(rhythms: tuple[str, ...], lead: str | None, **options: Any) -> None:
    """Judge the WFDB records in SYNTHETIC, whoever made them, beside real ones.

    Writes fidelity.json, report.html and report.pdf: a verdict per rhythm (looks real, distinguishable,
    fails, not assessable), the numbers behind it, and strips to look at. Exit code 7 if a rhythm fails,
    6 if none can be assessed.

    \b
    Examples:
      ecgsynth report af --real mitdb --out af-report
      ecgsynth report other_tool --real ptbxl --rhythm nsr --lead 12 --out report
    """
    names = tuple(dict.fromkeys(find_rhythm(part).name for text in rhythms for part in text.split(",")))
    with guarded(options["out"]):
        from ecgsynth.report import ReportOptions, write_report
        from ecgsynth.report.leads import parse_leads

        leads = parse_leads(lead) if lead is not None else None
        outcome = write_report(ReportOptions(rhythms=names, leads=leads, **options), progress)
    click.echo(_summary(outcome))
    if outcome.error is not None:
        raise outcome.error


def _summary(outcome: Outcome) -> str:
    from ecgsynth.report.words import left_out

    found = outcome.findings
    gate = found.gate
    claimed = {name: own for name, own in found.rhythms.items() if own.claimed}
    lines = [f"{RHYTHMS[n].title}: {own.verdict}. {_sentence(own.because)}" for n, own in claimed.items()]
    others = [RHYTHMS[name].title for name in found.rhythms if name not in claimed]
    if others:
        lines.append(f"Only in {found.real.folder.name}, so not judged: {', '.join(others)}.")
    lines.append(f"Record gate: {gate.passed} of {gate.total} records pass.")
    for side in (found.synthetic, found.real):
        unreadable = list(side.folder.unreadable.values())
        if unreadable:
            lines.append(
                f"{side.folder.name}: {left_out(len(unreadable))}, such as {unreadable[0].record}: "
                f"{unreadable[0].why}"
            )
        lines += [f"{side.folder.name}: {note}" for note in side.notes]
    lines.append(f"Look at it: {outcome.out / 'report.html'} (or report.pdf; all numbers: fidelity.json)")
    return "\n".join(lines)


def _sentence(because: tuple[str, ...]) -> str:
    first = because[0] if because else ""
    return first[:1].upper() + first[1:] + ("." if first else "")

"""``ecgsynth audit``: whether a synthetic dataset gives a person away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ecgsynth.cli.console import engine_options, guarded, progress
from ecgsynth.rhythms import find_rhythm

#: Exit code when a gate fails.
FAILED = 8


@click.command()
@click.argument("synthetic", type=click.Path(path_type=Path))
@click.option(
    "--train", type=click.Path(path_type=Path), required=True, help="What the generator learned from."
)
@click.option(
    "--holdout",
    type=click.Path(path_type=Path),
    required=True,
    help="People that it never saw, of the same kind.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the findings.")
@click.option(
    "--split",
    type=click.Path(path_type=Path),
    default=None,
    help="Split by person (JSON): its parts train and val are TRAIN's people, its part test HOLDOUT's.",
)
@click.option("--rhythm", "rhythms", default="", help="Only these, comma-separated.  [default: all]")
@click.option(
    "--weights", type=click.Path(path_type=Path), default=None, help="Checkpoint that made SYNTHETIC."
)
@click.option(
    "--private-annex",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder for plots of the nearest pairs. They show people's recordings.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="0: one per core.")
@engine_options
@click.option("--overwrite", is_flag=True, help="Replace the findings in OUT.")
@click.pass_context
def audit(
    ctx: click.Context, rhythms: str, out: Path, private_annex: Path | None, overwrite: bool, **options: Any
) -> None:
    """Look for training people in the dataset SYNTHETIC: copies, membership, identity, singling out.

    Writes privacy.json and privacy.html to OUT. Exit code 8 when a gate fails. Where there are too few people
    to tell, the answer is "not assessable", which is not a pass.

    \b
    Examples:
      ecgsynth audit af --train clinic/train --holdout clinic/holdout --out af-privacy
      ecgsynth audit af --train data --holdout data --split split.json --out af-privacy
    """
    with guarded(out), progress("Auditing") as show:
        from ecgsynth.privacy.audit import AuditOptions, run_audit
        from ecgsynth.privacy.output import check_target, summary, write_findings

        check_target(out, overwrite)
        names = tuple(find_rhythm(name).name for name in rhythms.split(",") if name.strip())
        found = run_audit(AuditOptions(rhythms=names, **options), progress=show)
        write_findings(out, found, private_annex)
    click.echo(summary(found.report))
    click.echo(f"Findings: {out / 'privacy.html'}")
    if private_annex is not None:
        click.echo(f"Nearest pairs (people's recordings, keep inside): {private_annex}")
    if found.report["verdict"] == "fail":
        ctx.exit(FAILED)

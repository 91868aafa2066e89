"""``ecgsynth benchmark``: what synthetic records are worth."""

from __future__ import annotations

from pathlib import Path

import click

from ecgsynth.cli.console import Interrupted, progress


@click.group()
def benchmark() -> None:
    """Measure what synthetic records are worth.

    \b
    Example:
      ecgsynth benchmark utility --config af-single --data DIR --split split.json --out af-study
    """


@benchmark.command()
@click.option(
    "--config",
    default="af-single",
    show_default=True,
    help="A study: af-single, vt-vf, afl-12lead, or a TOML file of your own.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    envvar="ECGSYNTH_DATA",
    help="Folder with one sub-folder per database.",
)
@click.option("--split", type=click.Path(path_type=Path), required=True, help="Split manifest of people.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="0: one per core.")
@click.option("--resume", is_flag=True, help="Go on with what is in OUT.")
@click.option("--dry-run", is_flag=True, help="Count the cells, and run none.")
def utility(
    config: str, data: Path, split: Path, out: Path, workers: int, resume: bool, dry_run: bool
) -> None:
    """Train small classifiers with and without synthetic records; test them on people nobody saw.

    A cell is one training: an arm, a generator, how many people have the rhythm, a ratio, a seed. Each is
    written when it is done, so a study that was stopped goes on with --resume. Writes utility.json,
    utility.md and utility.png; "better" is only written where the test people can show it.

    \b
    Examples:
      ecgsynth benchmark utility --config af-single --data DIR --split split.json --out af-study
      ecgsynth benchmark utility --config my_study.toml --data DIR --split split.json --out study --resume
    """
    from ecgsynth.utility.study import load_study

    study = load_study(config)
    if dry_run:
        from ecgsynth.utility.run import count_cells

        first, most = count_cells(study)
        click.echo(f"{study.title}: {first} cells, then up to {most} at the ratio that validation chose.")
        return
    try:
        with progress("Cells") as show:
            from ecgsynth.utility.run import UtilityOptions, run_study

            run_study(
                UtilityOptions(study=study, data=data, split=split, out=out, workers=workers, resume=resume),
                show,
            )
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; finished cells are in {out}. Go on with --resume.") from None
    click.echo(
        (out / "utility.md")
        .read_text(encoding="utf-8")
        .split("### What may be said")[-1]
        .split("Best ")[0]
        .strip()
    )
    click.echo(
        f"Tables: {out / 'utility.md'}; curve: {out / 'utility.png'}; all numbers: {out / 'utility.json'}"
    )

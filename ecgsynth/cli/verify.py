"""``ecgsynth verify``: whether a dataset still is as it was written."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ecgsynth.cli.console import engine_options, progress
from ecgsynth.errors import OutputError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="0: one per core.")
@engine_options
def verify(folder: Path, engine: str, workers: int, address: str | None) -> None:
    """Check the dataset FOLDER: sums, lists, headers and samples. Exit code 5 if anything does not match.

    \b
    Example:
      ecgsynth verify af
    """
    from ecgsynth.engine import Engine
    from ecgsynth.export import verify_dataset

    crew = Engine(engine, workers, address)
    with progress("Verifying") as show:
        # For people only: scripts read what is wrong, and nothing if nothing is.
        report = verify_dataset(folder, crew, show if sys.stderr.isatty() else None)
    for problem in report.problems:
        click.echo(f"{problem.file}: {problem.what}")
    if not report.ok:
        raise OutputError(
            f"{folder} is not as it was written: {len(report.problems)} problems, listed above."
            " Copy or generate it again."
        )
    click.echo(f"OK: {folder}, {report.records} records, {report.files} files match their sums.")

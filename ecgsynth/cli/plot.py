"""``ecgsynth plot``: a record or a folder on ECG paper."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

from ecgsynth.errors import OptionError


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="PNG or PDF.  [default: <name>.png]"
)
@click.option("--seconds", type=float, default=10.0, show_default=True, help="How much to draw.")
@click.option("--start", type=float, default=0.0, show_default=True, help="From which second.")
@click.option("--beats/--no-beats", default=True, show_default=True, help="Mark the annotated beats.")
@click.option(
    "-n", "limit", type=click.IntRange(min=1), default=32, show_default=True, help="Records of a folder."
)
def plot(path: Path, out: Path | None, seconds: float, start: float, beats: bool, limit: int) -> None:
    """Draw PATH, a WFDB record or a folder of them, on ECG paper.

    A record is drawn true to scale, 25 mm/s and 10 mm/mV; a folder as a contact sheet at half that, or as a
    PDF with one record per page at full scale.

    \b
    Examples:
      ecgsynth plot af
      ecgsynth plot af/afib00003 --seconds 30 --out strip.pdf
      ecgsynth plot af -n 100 --out all.pdf
    """
    out = out or Path(f"{path.resolve().name}.png")
    if out.suffix.lower() not in {".png", ".pdf"}:
        raise OptionError(
            f"--out {out}: cannot draw a {out.suffix or 'file without suffix'}; use .png or .pdf."
        )
    from ecgsynth.datasets.folder import read_folder, read_one
    from ecgsynth.plot import contact_sheet, plot_record, plot_records

    if not path.is_dir():
        plot_record(read_one(path), out, start=start, seconds=seconds, beats=beats)
    elif out.suffix.lower() == ".pdf":
        some = islice(read_folder(path), limit)
        plot_records(some, out, start=start, seconds=seconds, beats=beats)
    else:
        contact_sheet(read_folder(path), out, limit=limit, start=start, seconds=seconds, beats=beats)
    click.echo(f"Wrote {out}")

"""Pack real recordings into one .npz for training, and split their people once for everything.

    python scripts/pack_training_data.py --data DIR --out single.npz --split split.json
    python scripts/pack_training_data.py --data DIR --out twelve.npz --split split.json --leads twelve

The split is made from the first pack's people and reused, so a person is in one part everywhere.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ecgsynth.datasets import read_all
from ecgsynth.errors import EcgSynthError, RecordError
from ecgsynth.pack import LeadLayout, pack, trainable
from ecgsynth.records import Record
from ecgsynth.split import PARTS, SplitManifest, split_people

#: Of people: 10 % choose the model, 15 % are kept to judge it.
FRACTIONS = (0.75, 0.10, 0.15)

Arrays = dict[str, NDArray[Any]]


@click.command()
@click.option("--data", required=True, envvar="ECGSYNTH_DATA", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--split", "split_file", type=click.Path(path_type=Path, dir_okay=False), help="Default: OUT.split.json."
)
@click.option("--leads", type=click.Choice(["single", "twelve"]), default="single", show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the split, where it is made anew.")
def main(data: Path, out: Path, split_file: Path | None, leads: LeadLayout, seed: int) -> None:
    """Pack the databases under DATA into OUT and print what is in it."""
    try:
        dropped: Counter[str] = Counter()
        arrays = pack(_with_progress(trainable(read_all(data))), leads=leads, dropped=dropped)
        manifest = _split(arrays, split_file or out.with_suffix(".split.json"), seed)
        arrays["part"] = np.array([manifest.part_of(name) for name in arrays["subject"].tolist()])
        arrays["split_sha256"] = np.array([manifest.sha256])
        _write(out, arrays)
    except EcgSynthError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo(table(arrays))
    click.echo(f"dropped, in leads of windows: {dict(dropped.most_common())}")
    click.echo(f"split {manifest.sha256[:12]}, written {out} ({out.stat().st_size / 1e6:.0f} MB)")


def _with_progress(records: Iterator[Record]) -> Iterator[Record]:
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed} records, {task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("reading", total=None)
        for record in records:
            progress.update(task, advance=1, description=f"{record.source} {record.name}")
            yield record


def _split(arrays: Arrays, path: Path, seed: int) -> SplitManifest:
    """The split in the file where there is one, else a new one that is written to it."""
    if path.is_file():
        manifest = SplitManifest.from_json(path.read_text(encoding="utf-8"))
        strangers = {name for name in arrays["subject"].tolist() if manifest.part_of(name) is None}
        if strangers:
            raise RecordError(
                f"{path}: {len(strangers)} people of this pack are not in it, first {min(strangers)}; delete "
                "the file to split anew, or pack the same data."
            )
        return manifest
    manifest = split_people(_strata(arrays), FRACTIONS, seed)
    path.write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _strata(arrays: Arrays) -> dict[str, set[str]]:
    """Rhythms of each person; those with twelve leads count apart, so both kinds of model get their share."""
    people: dict[str, set[str]] = {}
    columns = (arrays[key].tolist() for key in ("subject", "rhythm", "record_leads"))
    for subject, rhythm, n_leads in zip(*columns, strict=True):
        people.setdefault(subject, set()).update({rhythm, f"{rhythm}, 12 leads"} if n_leads > 2 else {rhythm})
    return people


def _write(out: Path, arrays: Arrays) -> None:
    """Write beside the target and rename, so a stop in between leaves no half file under its name."""
    handle, name = tempfile.mkstemp(dir=out.parent, suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(name, out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def table(arrays: Arrays) -> str:
    """Rhythm, people (in train/val/test), windows, rows and seconds of distinct recording, as text."""
    lines = [
        f"{'rhythm':18} {'people':>6} {'tr/va/te':>11} {'windows':>8} {'rows':>6} {'seconds':>8}  sources"
    ]
    fs = float(arrays["fs"][0])
    for rhythm in sorted(set(arrays["rhythm"].tolist())):
        at = np.flatnonzero(arrays["rhythm"] == rhythm)
        part_of = dict(zip(arrays["subject"][at].tolist(), arrays["part"][at].tolist(), strict=True))
        places = set(zip(arrays["record"][at].tolist(), arrays["start"][at].tolist(), strict=True))
        parts = "/".join(str(sum(part == name for part in part_of.values())) for name in PARTS)
        sources = Counter(name.split("/")[0] for name in part_of)
        lines.append(
            f"{rhythm:18} {len(part_of):6} {parts:>11} {len(places):8} {len(at):6} "
            f"{_seconds(arrays, at) / fs:8.0f}  {' '.join(f'{k} {v}' for k, v in sources.most_common())}"
        )
    return "\n".join(lines)


def _seconds(arrays: Arrays, rows: NDArray[np.int64]) -> int:
    """Samples of recording that the rows cover in their rhythm, each counted once however they overlap."""
    spans: dict[str, set[tuple[int, int]]] = {}
    for i in rows.tolist():
        start = int(arrays["start"][i])
        low = max(arrays["episode_start"][i], arrays["valid_start"][i])
        span = (start + int(low), start + int(min(arrays["episode_stop"][i], arrays["valid_stop"][i])))
        spans.setdefault(f"{arrays['source'][i]}/{arrays['record'][i]}", set()).add(span)
    total = 0
    for found in spans.values():
        reached = -(10**9)
        for low, high in sorted(found):
            total += max(0, high - max(low, reached))
            reached = max(reached, high)
    return total


if __name__ == "__main__":
    main()

"""``ecgsynth rhythms``: the table of rhythms, with the people and seconds behind each checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ecgsynth.rhythms import RHYTHMS

WEIGHTS = Path(__file__).parent.parent / "weights"

Population = Mapping[str, Mapping[str, float]]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs; seconds and people as numbers.")
def rhythms(as_json: bool) -> None:
    """List the rhythms and the people behind each checkpoint.

    With the codes of each rhythm, and the seconds that each shipped checkpoint saw of it.

    \b
    Examples:
      ecgsynth rhythms
      ecgsynth rhythms --json
    """
    seen = shipped_populations()
    click.echo(json.dumps(_as_dicts(seen), indent=2) if as_json else _as_text(seen))


def shipped_populations() -> dict[str, Population]:
    """Per shipped checkpoint, by file stem: per rhythm ``{"people": n, "seconds": s}``."""
    # Other weights that ship, such as a judge's, are named without a dash.
    files = sorted(WEIGHTS.glob("*-*.safetensors"))
    if not files:
        return {}
    from ecgsynth.checkpoint import read_metadata

    return {file.stem: read_metadata(file)["population"] for file in files}


def _as_dicts(seen: Mapping[str, Population]) -> list[dict[str, Any]]:
    return [
        {
            "name": rhythm.name,
            "title": rhythm.title,
            "aux": rhythm.aux,
            "snomed": rhythm.snomed,
            "scp": list(rhythm.scp),
            "checkpoints": {stem: dict(people[name]) for stem, people in seen.items() if name in people},
        }
        for name, rhythm in RHYTHMS.items()
    ]


def _as_text(seen: Mapping[str, Population]) -> str:
    head = ["RHYTHM", "TITLE", "AUX", "SNOMED CT", "SCP-ECG", *seen]
    rows = [
        [
            r.name,
            r.title,
            r.aux,
            r.snomed,
            " ".join(r.scp) or "-",
            *(_cell(p.get(r.name)) for p in seen.values()),
        ]
        for r in RHYTHMS.values()
    ]
    note = (
        "Columns of checkpoints: people (seconds) seen in training."
        if seen
        else "No checkpoint is installed: only the parametric generator is available."
    )
    return "\n".join((*_align([head, *rows]), "", note))


def _cell(seen: Mapping[str, float] | None) -> str:
    return f"{seen['people']:.0f} ({seen['seconds']:.0f} s)" if seen else "-"


def _align(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]

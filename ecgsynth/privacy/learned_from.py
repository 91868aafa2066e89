"""Whether the training folder of an audit is what the weights learned from: by word and by content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ecgsynth.errors import CheckpointError
from ecgsynth.privacy.copy_file import SHIPPED, load_index
from ecgsynth.privacy.copy_gate import index_beside
from ecgsynth.privacy.samples import Side
from ecgsynth.privacy.traces import Strip
from ecgsynth.split import SplitManifest

#: How a warning begins that stands on every page: TRAIN is not what the weights learned from.
ANOTHER: Final = "Not the training folder of these weights: "
#: People of TRAIN who are looked up in the copy index of the weights, and strips of each.
_PEOPLE, _STRIPS = 200, 3
#: Fewest of them that the index has to know. Of people whom weights learned from it knows nearly all, of
#: others one in a hundred strips (docs/results/copy_gate.md).
_KNOWN: Final = 0.5


def weights_notes(
    folder: Path, weights: Path | None, split: SplitManifest | None, train: Side
) -> tuple[list[str], Any]:
    """Warnings on whether training is what the weights learned from, and differential privacy if stated.

    The weights are those given, or the shipped ones whose SHA-256 the manifest of the synthetic folder names.
    """
    from ecgsynth.checkpoint import read_metadata

    path = weights or _shipped(folder)
    if path is None:
        return [
            "Which weights made these records is not known, so it was not checked that the training folder "
            "is what they learned from. Where ecgsynth made them, give --weights; where another tool did, "
            "see to it that TRAIN holds everyone that it learned from: copies of others cannot be found."
        ], None
    metadata = read_metadata(path)
    notes = metadata.get("training", {})
    said = []
    stated = notes.get("pack")
    if split is not None and stated and stated != split.sha256:
        said.append(
            f"{ANOTHER}the weights were trained on another split (manifest {str(stated)[:12]}) than the one "
            f"given ({split.sha256[:12]}): people counted as holdout may have been learned from, and the "
            "reverse."
        )
    made_of = {r: int(seen["people"]) for r, seen in metadata.get("population", {}).items()}
    found: dict[str, set[str]] = {}
    for trace in train.traces:
        for _, _, rhythm in trace.spans:
            found.setdefault(rhythm, set()).add(trace.subject)
    short = [
        f"{rhythm} {len(found.get(rhythm, ()))} of {people}"
        for rhythm, people in sorted(made_of.items())
        if len(found.get(rhythm, ())) < people and any(s == rhythm for s in found)
    ]
    if short:
        said.append(
            f"{ANOTHER}it holds fewer people than the weights learned from "
            f"({', '.join(short)}): copies of the others cannot be found."
        )
    return said + _by_content(path, found, train), notes.get("dp")


def _by_content(weights: Path, found: Mapping[str, set[str]], train: Side) -> list[str]:
    """Whether the copy index of the weights knows the training people, and all that it holds are there."""
    path = SHIPPED if weights.resolve().parent == SHIPPED.parent.resolve() else index_beside(weights)
    if not path.is_file():
        return []
    try:
        index = load_index(path)
    except CheckpointError as error:
        return [f"Whether the training folder is what the weights learned from was not looked up: {error}"]
    strips: dict[str, list[Strip]] = {}
    for sample in train.samples:
        strips.setdefault(sample.strip.subject, []).append(sample.strip)
    names = sorted(strips)
    some = names[:: max(1, -(-len(names) // _PEOPLE))]
    asked = [(name, strip) for name in some for strip in strips[name][:_STRIPS]]
    nearest = index.likeness([strip.signal for _, strip in asked])
    over = index.over(nearest, [strip.rhythm for _, strip in asked])
    known = {name for (name, _), limits in zip(asked, over.tolist(), strict=True) if any(limits)}
    if len(known) < _KNOWN * len(some):
        return [
            f"{ANOTHER}of {len(some)} of its people, the index of those whom the weights learned from "
            f"({path.name}) knows {len(known)}. Copies of the people they did learn from cannot be found."
        ]
    people = int(index.notes["people"])
    if not set(found) - {"unknown"} and len(names) < people:
        return [
            f"{ANOTHER}it holds {len(names)} people, and the weights learned from {people}: copies of the "
            "others cannot be found."
        ]
    return []


def _shipped(folder: Path) -> Path | None:
    """The shipped checkpoint that a synthetic folder's manifest names, if it names one."""
    from ecgsynth.checkpoint import file_sha256, shipped_weights

    manifest = folder / "manifest.jsonl"
    if not manifest.is_file():
        return None
    with manifest.open(encoding="utf-8") as file:
        line = file.readline()
    try:
        stated = json.loads(line).get("weights_sha256")
    except (ValueError, AttributeError):
        return None
    for generator in ("cvae", "cgan"):
        for twelve in (False, True):
            path = shipped_weights(generator, twelve)
            if path.is_file() and file_sha256(path) == stated:
                return path
    return None

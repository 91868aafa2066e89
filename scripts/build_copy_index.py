"""Write the copy index that ships with the weights, from the packs that they were trained on.

    python scripts/build_copy_index.py single.npz twelve.npz [--out ecgsynth/weights/copy_index.safetensors]

Training strips are those of the parts train and val; the limits come from strips of the part test. Prints how
many strips of strangers would be refused (limits from one half of the test people, strips of the other), and
how many copies of training strips: as they are, rolled, with noise, stretched, inverted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.copy_index import CopyIndex, build_index, load_index, save_index
from ecgsynth.privacy.descriptors import stretched
from ecgsynth.privacy.traces import FLAT_MV, STRIP, slow_signal

Floats = NDArray[np.float32]
#: Subject, rhythm and strip.
Rows = list[tuple[str, str, Floats]]


def strips(paths: list[Path]) -> dict[str, list[tuple[str, str, Floats]]]:
    """Subject, rhythm and strip of every row and lead, by part (train and val together)."""
    found: dict[str, list[tuple[str, str, Floats]]] = {"train": [], "test": []}
    for path in paths:
        with np.load(path, allow_pickle=False) as pack:
            columns = [pack[key].tolist() for key in ("subject", "rhythm", "part")]
            signal, fs = pack["signal"], float(pack["fs"][0])
        for row, (subject, rhythm, part) in zip(signal, zip(*columns, strict=True), strict=True):
            for lead in slow_signal(row.astype(np.float32), fs):
                if lead.std() > FLAT_MV:
                    found["test" if part == "test" else "train"].append((subject, rhythm, lead[:STRIP]))
    return found


def refused(index: CopyIndex, rows: list[tuple[str, str, Floats]]) -> float:
    """Share of strips over a limit."""
    hits = 0
    for _, rhythm, signal in rows:
        found = index.likeness(signal)
        hits += any(
            value > index.limits[kind].get(rhythm, index.limits[kind][""]) for kind, value in found.items()
        )
    return hits / max(1, len(rows))


def copies(rows: Rows, kind: str, rng: np.random.Generator) -> Rows:
    """Strips changed as a copy might be."""
    changed = []
    for subject, rhythm, signal in rows:
        if kind == "rolled":
            signal = np.roll(signal, int(rng.integers(40, len(signal) - 40)))
        elif kind == "noise 0.05 mV":
            signal = signal + rng.normal(0, 0.05 * np.sqrt(50 / 250), len(signal)).astype(np.float32)
        elif kind == "stretched 3 %":
            signal = stretched(signal, float(rng.choice([0.97, 1.03])))
        elif kind == "inverted":
            signal = -0.7 * signal
        changed.append((subject, rhythm, signal))
    return changed


def main() -> int:
    """Build, measure and write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("packs", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tried", type=int, default=400, help="strips that each kind of copy is tried on")
    parser.add_argument("--out", type=Path, default=Path("ecgsynth/weights/copy_index.safetensors"))
    options = parser.parse_args()
    sides = strips(options.packs)
    rng = np.random.default_rng(options.seed)
    people = np.array(sorted({subject for subject, _, _ in sides["test"]}))
    half = set(rng.permutation(people)[: len(people) // 2].tolist())
    train = [signal for _, _, signal in sides["train"]]
    groups = [[row for row in sides["test"] if (row[0] in half) == side] for side in (True, False)]
    measured: dict[str, Any] = {}
    # Limits from one half of the people, the false-refusal rate on the other half.
    trial = build_index(train, groups[0], {}, options.seed)
    measured["strangers refused"] = round(refused(trial, groups[1]), 4)
    notes = {"people": len({subject for subject, _, _ in sides["train"]}), "limits_from_people": len(people)}
    index = build_index(train, sides["test"], notes | {"measured": measured}, options.seed)
    some = [sides["train"][i] for i in np.sort(rng.permutation(len(sides["train"]))[: options.tried])]
    for kind in ("as they are", "rolled", "noise 0.05 mV", "stretched 3 %", "inverted"):
        measured[kind] = round(refused(index, copies(some, kind, rng)), 3)
    save_index(index, options.out)
    index = load_index(options.out)
    began = time.process_time()
    for _, _, signal in some[:100]:
        index.likeness(signal)
    print(json.dumps(measured, indent=1))
    print(f"{options.out.stat().st_size / 1e6:.2f} MB, {10 * (time.process_time() - began):.2f} ms per strip")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Minutes and hours: HRV, heights of beats, T waves and RR, block, fusion beats, paroxysms, noise.

    python benchmarks/physiology.py --data DIR [--part heights,t_waves] [--generator cvae,cgan] [--out DIR]

What ten-second strips cannot show, of the MIT-BIH Arrhythmia Database (five minutes, lead MLII) and of
records asked for in its manner, by the same functions. Parts are kept in ``physiology.json`` as they come.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import physiology_parts as parts
from physiology_page import page, picture

from ecgsynth.checkpoint import file_sha256, shipped_weights

PARTS = ("variability", "heights", "t_waves", "fusions", "paroxysms", "wenckebach", "noises")
#: Records of a generator.
MADE = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", default=",".join(PARTS))
    parser.add_argument("--generator", default="parametric,cvae,cgan")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-picture", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    target = options.out / "physiology.json"
    found: dict[str, Any] = json.loads(target.read_text()) if target.is_file() else {}
    for part in options.part.split(","):
        began = time.process_time()
        found[part] = measured(part, options)
        print(part, json.dumps(found[part]), flush=True)
        weights = [shipped_weights(name) for name in ("cvae", "cgan")]
        found["weights"] = {path.name: file_sha256(path)[:12] for path in weights}
        found.setdefault("cpu_s", {})[part] = round(time.process_time() - began)
        target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (options.out / "physiology.md").write_text(page(found), encoding="utf-8")
    if not options.no_picture:
        picture(options.data, options.seed, options.out / "physiology.png")


def measured(part: str, options: argparse.Namespace) -> Any:
    names = options.generator.split(",")
    if part in ("variability", "heights"):
        measure = getattr(parts, part)
        rows = {"mitdb": parts.quartiles(parts.real_strips(options.data, "nsr", 290.0), measure)}
        for name in names:
            rows[name] = parts.quartiles(parts.made_strips(name, "nsr", MADE, options.seed), measure)
        return rows
    if part == "t_waves":
        rows = {}
        for rhythm in ("nsr", "afib"):
            real = parts.real_strips(options.data, rhythm, 120.0)
            rows[f"{rhythm}, mitdb"] = parts.quartiles(real, parts.t_waves)
            for name in names:
                made = parts.made_strips(name, rhythm, 3 * MADE // 2, options.seed, seconds=180.0)
                rows[f"{rhythm}, {name}"] = parts.quartiles(made, parts.t_waves)
        return rows
    if part == "fusions":
        whole = parts.whole_strips(options.data)
        made = {
            name: parts.fusions(
                parts.made_strips(name, "vt", 2 * MADE, options.seed, seconds=30.0, source=None, leads=None),
                1,
            )
            for name in names
        }
        return {"mitdb": parts.fusions(whole, 10), **made}
    if part == "paroxysms":
        return parts.paroxysms(options.data)
    if part == "wenckebach":
        return parts.wenckebach()
    if part == "noises":
        return parts.noises(options.seed)
    raise SystemExit(f"no part {part!r}; choose from {', '.join(PARTS)}")


if __name__ == "__main__":
    main()

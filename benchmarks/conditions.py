"""Do conditions work: rate, age and sex, ways between rhythms and people, how sure the VAE is, noise.

    python benchmarks/conditions.py --single single.npz --twelve twelve.npz [--part rates] [--out DIR]

Packs are those of ``scripts/pack_training_data.py``. Each part is written to ``conditions.json`` when it is
done, so a run can be cut and asked for the rest; the page and the picture are made from that file.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from conditions_pages import page, picture
from conditions_parts import age_and_sex, certainty, noises, ways
from conditions_rates import rates

from ecgsynth.checkpoint import file_sha256, shipped_weights

PARTS = ("rates", "age_and_sex", "ways", "certainty", "noises")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--single", type=Path, required=True)
    parser.add_argument("--twelve", type=Path, required=True)
    parser.add_argument("--part", default=",".join(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    target = options.out / "conditions.json"
    found: dict[str, Any] = json.loads(target.read_text()) if target.is_file() else {}
    for part in [p for p in options.part.split(",") if p]:
        began = time.process_time()
        found[part] = measured(part, options)
        names = [shipped_weights(g, t) for g in ("cvae", "cgan") for t in (False, True)]
        found["weights"] = {path.name: file_sha256(path)[:12] for path in names}
        found.setdefault("cpu_s", {})[part] = round(time.process_time() - began)
        target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (options.out / "conditions.md").write_text(page(found), encoding="utf-8")
    picture(found, options.out / "conditions.png")


def measured(part: str, options: argparse.Namespace) -> Any:
    if part == "rates":
        return rates(dict(np.load(options.single)), options.seed)
    if part == "age_and_sex":
        return age_and_sex(dict(np.load(options.twelve)), options.seed)
    if part == "ways":
        return ways(options.seed)
    if part == "certainty":
        return certainty(dict(np.load(options.single)), shipped_weights("cvae"), options.seed)
    if part == "noises":
        return noises(options.seed)
    raise SystemExit(f"no part {part!r}; choose from {', '.join(PARTS)}")


if __name__ == "__main__":
    main()

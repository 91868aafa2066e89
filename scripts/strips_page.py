"""Draw real and synthetic strips of the same rhythms, in the same style.

    python scripts/strips_page.py --data DIR --split split.json --out docs

``strips.png`` mixes them unlabelled (``strips-key.md`` tells which is which); ``side-by-side.png`` has real
people on the left and synthetic records on the right. Real strips are of people that no generator has
learned from; synthetic ones are the first of seed 0 that pass the gate, not chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from ecgsynth.datasets import read_all
from ecgsynth.fidelity.calibration import load_calibration
from ecgsynth.fidelity.gate import check_record
from ecgsynth.pack import SINGLE_LEADS, trainable
from ecgsynth.plot import strips_page
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.sampling import load_generator
from ecgsynth.split import SplitManifest
from ecgsynth.windows import cut, ensure_beats, resample

SECONDS = 8.0
RHYTHM_NAMES = ("nsr", "afib", "aflutter", "bigeminy", "vt", "vf", "paced")


@click.command()
@click.option("--data", required=True, envvar="ECGSYNTH_DATA", type=click.Path(path_type=Path))
@click.option("--split", "split_file", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--generator", default="cvae", show_default=True)
@click.option("--out", default=Path("docs"), type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True)
def main(data: Path, split_file: Path, generator: str, out: Path, seed: int) -> None:
    """Write strips.png, strips-key.md and side-by-side.png into OUT."""
    rng = np.random.default_rng(seed)
    split = SplitManifest.from_json(split_file.read_text())
    held = [record for record in trainable(read_all(data)) if record.subject in split.test]
    mixed, sides, key = [], [], ["# Which strips are real", "", "Left to right, top to bottom.", ""]
    for name in RHYTHM_NAMES:
        real = real_strips(held, name, 2, rng)
        made = synthetic(generator, name, real, seed)
        sides.append((f"{RHYTHMS[name].title}: real person (left), synthetic (right)", [real[0], made[0]]))
        order = rng.permutation(len(real) + len(made))
        both = [*real, *made]
        mixed.append((RHYTHMS[name].title, [both[i] for i in order]))
        words = ", ".join("real" if i < len(real) else "synthetic" for i in order)
        key.append(f"- {RHYTHMS[name].title}: {words}")
    strips_page(mixed, out / "strips.png", seconds=SECONDS)
    strips_page(sides, out / "side-by-side.png", seconds=SECONDS)
    (out / "strips-key.md").write_text("\n".join(key) + "\n")


def real_strips(records: list[Record], rhythm: str, n: int, rng: np.random.Generator) -> list[Record]:
    """One strip of each of `n` people, one lead, less its median."""
    found: list[Record] = []
    for i in rng.permutation(len(records)):
        if any(e.rhythm == rhythm for e in records[i].episodes) and len(found) < n:
            if records[i].subject in {strip.subject for strip in found}:
                continue
            found += list(first_strip(records[i], rhythm))
    if not found:
        raise click.ClickException(f"no held-out person shows {rhythm}")
    return (found * n)[:n]


def first_strip(record: Record, rhythm: str) -> Iterator[Record]:
    leads = [lead for lead in record.leads if lead in SINGLE_LEADS]
    if not leads:
        return
    strips = cut(ensure_beats(resample(record, 250.0)), SECONDS, SECONDS)
    for strip in strips:
        if strip.episodes[0].rhythm == rhythm:
            one = strip.pick((leads[0],))
            yield replace(one, signal=one.signal - np.median(one.signal))
            return


def synthetic(generator: str, rhythm: str, like: list[Record], seed: int) -> list[Record]:
    """A synthetic record for each real strip, of the same source and lead, the first that passes the gate."""
    sampler, calibration = load_generator(generator), load_calibration()
    made = []
    for k, strip in enumerate(like):
        wishes = {"source": strip.source, "leads": (SINGLE_LEADS[strip.leads[0]],), "seconds": SECONDS}
        draws = sampler.sample(rhythm, 12, seed + k, **wishes)
        passed = [record for record in draws if check_record(record, calibration).passed]
        made.append((passed or draws)[0])
    return [replace(r, signal=np.round(r.signal - np.median(r.signal), 3)) for r in made]


if __name__ == "__main__":
    main()

"""Write the copy index that ships with the weights, and its card, from the packs that they were trained on.

    python scripts/build_copy_index.py single.npz twelve.npz [--out ecgsynth/weights/copy_index.safetensors]

The people are those of the parts train and val; limits come from comparing them with each other. What the
index finds, refuses and gives away is measured by benchmarks/copy_gate.py.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ecgsynth.privacy.copy_build import OWN_LIMIT, REFUSED, build_index, pack_strips
from ecgsynth.privacy.copy_codes import SIZE
from ecgsynth.privacy.copy_expectation import TERMS
from ecgsynth.privacy.copy_file import save_index
from ecgsynth.privacy.copy_index import CopyIndex
from ecgsynth.privacy.traces import Strip

_CARD = """\
# Copy index of the shipped weights

`copy_index.safetensors` lets `ecgsynth generate` refuse records that are too near to a training strip of the
weights beside it. Made by `scripts/build_copy_index.py`; SHA-256 `{digest}`.

- **People:** {people} (train and val of the split `{split}`), all rhythms, single-lead and twelve-lead;
  {windows} windows: strips of 10.24 s and their two halves.
- **Content:** of each window {size} numbers of four bits ({bytes} bytes): the shape of its amplitude spectrum
  between 0.7 and 13 Hz, along directions in which people differ most beside what noise, small shifts and
  stretches change. No signal, no phase, no name, no order of people or time: rows are in {blocks} blocks
  ({half_blocks} for halves) and sorted by their values in each. All windows of a person are in one block,
  with those of some {each} others, drawn at random: that much of who belongs together is in there. Besides,
  {terms} weights by which the blocks and four traits of a strip (noise, spikes) tell how near strangers come
  to it.
- **Limits:** on how much nearer a strip is than that, as a difference of `atanh` of the cosine, by rhythm
  where {own} people or more show it, else one for all ({limits};
  *both* is the sum of both differences, each over what strangers' vary by).
  What {full} of the whole strips, {half} of the half strips and {both} of both together of training people
  exceed when compared with all *other* training people.
- **What it reveals:** whoever holds a recording of a person can ask whether a strip like it was in training:
  that is what an index is for, and why an index of private recordings should stay where the recordings are.
  These people's recordings are public databases. From a code alone, a beat can be guessed little better than
  by the average beat of its lead; `docs/results/copy_gate.md` has the attack and the numbers.
"""


def strips(paths: list[Path]) -> Iterator[Strip]:
    """Strips of everyone the weights have learned from."""
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            pack = {key: file[key] for key in file.files}
        yield from pack_strips(pack, {str(name) for name in pack["subject"][pack["part"] != "test"]})


def split_of(paths: list[Path]) -> str:
    """The split that all packs were made with."""
    found = {str(np.load(path, allow_pickle=False)["split_sha256"][0]) for path in paths}
    if len(found) > 1:
        raise SystemExit(f"packs of different splits: {', '.join(sorted(found))}; pack again with one split.")
    return found.pop()


def card(index: CopyIndex, digest: str) -> str:
    """Markdown that says what the index holds."""
    limits = "; ".join(
        f"{kind} strips {', '.join(f'{rhythm or chr(42)} {limit:.3f}' for rhythm, limit in own.items())}"
        for kind, own in index.limits.items()
    )
    return _CARD.format(
        digest=digest,
        split=index.notes["split"][:16],
        people=index.notes["people"],
        windows=index.notes["windows"],
        size=SIZE,
        bytes=SIZE // 2,
        own=OWN_LIMIT,
        blocks=len(index.blocks["full"]) - 1,
        half_blocks=len(index.blocks["half"]) - 1,
        each=round(index.notes["people"] / (len(index.blocks["full"]) - 1)),
        terms=TERMS,
        **{kind: f"{100 * share:g} %" for kind, share in REFUSED.items()},
        limits=limits,
    )


def main() -> int:
    """Build and write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("packs", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("ecgsynth/weights/copy_index.safetensors"))
    options = parser.parse_args()
    index = build_index(strips(options.packs), {"split": split_of(options.packs)}, seed=options.seed)
    save_index(index, options.out)
    digest = hashlib.sha256(options.out.read_bytes()).hexdigest()
    options.out.with_suffix(".md").write_text(card(index, digest), encoding="utf-8")
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB, {index.notes}, limits {index.limits}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Does the encoder of the cVAE know an abnormal record when it sees one?

    python benchmarks/vae_judge.py PACK --data DIR [--weights cvae.safetensors] [--out results/]

PACK holds windows of single leads with their part (``scripts/pack_training_data.py``). Every window is
offered to the shipped cVAE as normal sinus rhythm with normal beats where its R peaks are, and scored by

- reconstruction: error of the decoded mean, as the training weighs it;
- latent: distance of the posterior mean from those of training people (Mahalanobis, Ledoit-Wolf);
- rhythm: how much better another rhythm than the claimed one explains it;

beside the same distance of the plain features that the report uses anyway. All are standardised on sinus
rhythm of training people. AUROC: held-out people (part ``test``) in sinus rhythm against those who are not;
and, in PTB-XL, people in sinus rhythm with a normal ECG against those with another diagnosis. One score a
person: the mean over their windows. 95 % intervals by resampling people.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgsynth.batches import CROP, crop, load_strips
from ecgsynth.checkpoint import file_sha256, load_checkpoint, shipped_weights
from ecgsynth.fidelity.features import feature_table
from ecgsynth.generators.conditions import RHYTHM_INDEX
from ecgsynth.generators.cvae import encode, reconstruction
from ecgsynth.generators.strip_net import StripNet

Array = NDArray[np.float64]
CLAIM = "nsr"
#: Explanations that a window is offered besides the claimed one.
OTHERS = ("afib", "aflutter", "vt", "vf", "paced", "bigeminy", "sinus_tachycardia", "sinus_bradycardia")
#: What a person of the held-out part is taken for.
GROUPS = {
    "atrial fibrillation": ("afib",),
    "ventricular and paced rhythms": ("vt", "vf", "vflutter", "bigeminy", "trigeminy", "paced"),
    "flutter and first-degree block": ("aflutter", "avb1"),
    "sinus tachycardia and bradycardia": ("sinus_tachycardia", "sinus_bradycardia"),
}
#: Windows of one person and rhythm, training people, and resamples.
PER_PERSON, MOST_TRAIN, RESAMPLES = 4, 400, 1000
COLUMNS = ("reconstruction", "latent", "rhythm", "all three", "features", "features and all three")


def pick(pack: dict[str, NDArray[Any]], part: str, rhythms: tuple[str, ...], most: int = 10**9) -> NDArray:
    """Rows of a part and rhythms, few of one person, in a fixed order."""
    rows = np.flatnonzero((pack["part"].astype(str) == part) & np.isin(pack["rhythm"], rhythms))
    np.random.default_rng(0).shuffle(rows)
    seen: dict[str, int] = {}
    kept = []
    for row in rows:
        person = str(pack["subject"][row])
        seen[person] = seen.get(person, 0) + 1
        if seen[person] <= PER_PERSON:
            kept.append(row)
    return np.sort(kept[:most])


def as_claimed(pack: dict[str, NDArray[Any]], rows: NDArray, rhythm: str) -> dict[str, NDArray[Any]]:
    """The rows as a pack in which all claim one rhythm and normal beats, of people of unknown age and sex."""
    whole = ("signal", "subject", "source", "lead", "valid_start", "valid_stop")
    own: dict[str, Any] = {name: pack[name][rows] for name in whole}
    edges = [pack["beats_offsets"][row : row + 2] for row in rows]
    beats = np.concatenate([pack["beats_samples"][a:b] for a, b in edges])
    return {
        **own,
        "rhythm": np.full(len(rows), rhythm),
        "age": np.full(len(rows), np.nan, dtype=np.float32),
        "sex": np.full(len(rows), -1),
        "beats_samples": beats,
        "beats_symbols": np.full(len(beats), "N"),
        "beats_offsets": np.concatenate([[0], np.cumsum([b - a for a, b in edges])]),
        "changes_samples": np.zeros(len(rows), dtype=np.int64),
        "changes_rhythm": np.full(len(rows), rhythm),
        "changes_offsets": np.arange(len(rows) + 1),
    }


@torch.inference_mode()
def explained(net: StripNet, pack: dict[str, NDArray[Any]], rows: NDArray) -> dict[str, Array]:
    """Error ``[rows, 1 + others]`` under each rhythm; posterior means ``[rows, latent]`` under `CLAIM`."""
    strips = load_strips(as_claimed(pack, rows, CLAIM), net.config)
    errors, means = np.zeros((len(rows), 1 + len(OTHERS))), np.zeros((len(rows), net.config.latent))
    for first in range(0, len(rows), 32):
        index = np.arange(first, min(first + 32, len(rows)))
        for start in (0, CROP):
            at = np.minimum(start, strips.usable[index] - CROP)
            batch = crop(strips, index, at)
            batch |= {
                name: torch.from_numpy(getattr(strips, name)[index])
                for name in ("lead", "source", "demographics", "gain", "level", "colour")
            }
            for k, rhythm in enumerate((CLAIM, *OTHERS)):
                batch["rhythm"] = torch.full_like(batch["rhythm"], RHYTHM_INDEX[rhythm])
                mean, _ = encode(net, batch, prefix="")
                errors[index, k] += reconstruction(net, batch, mean)[1].numpy() / CROP / 2
                if k == 0:
                    means[index] += mean.numpy() / 2
    return {"errors": errors, "means": means}


class Judge:
    """Scores of windows, standardised on windows of training people."""

    def __init__(self, net: StripNet, pack: dict[str, NDArray[Any]], rows: NDArray) -> None:
        from sklearn.covariance import LedoitWolf

        self.net, self.pack = net, pack
        own, table = explained(net, pack, rows), self._features(rows)
        self._latents = LedoitWolf().fit(own["means"])
        self._middle = np.nanmedian(table, axis=0)
        self._width = np.subtract(*np.nanquantile(table, [0.75, 0.25], axis=0)) + 1e-6
        self._table = LedoitWolf().fit(self._plain(table))
        raw = self._raw(own, table)
        self._levels = {name: np.quantile(x, [0.25, 0.5, 0.75]) for name, x in raw.items()}

    def _features(self, rows: NDArray) -> Array:
        pack = self.pack
        bounds = zip(rows, pack["valid_start"][rows], pack["valid_stop"][rows], strict=True)
        return feature_table([pack["signal"][r, 0, a:b].astype(np.float64) for r, a, b in bounds], 250.0)

    def _plain(self, table: Array) -> Array:
        known = np.where(np.isfinite(table), table, self._middle)
        return np.clip((known - self._middle) / self._width, -8, 8)

    def _raw(self, own: dict[str, Array], table: Array) -> dict[str, Array]:
        errors = own["errors"]
        return {
            "reconstruction": errors[:, 0],
            "latent": np.sqrt(self._latents.mahalanobis(own["means"])),
            "rhythm": errors[:, 0] - errors[:, 1:].min(axis=1),
            "features": np.sqrt(self._table.mahalanobis(self._plain(table))),
        }

    def __call__(self, rows: NDArray) -> dict[str, Array]:
        """Score of each row by `COLUMNS`."""
        raw = self._raw(explained(self.net, self.pack, rows), self._features(rows))
        z = {n: (x - self._levels[n][1]) / (self._levels[n][2] - self._levels[n][0]) for n, x in raw.items()}
        z["all three"] = z["reconstruction"] + z["latent"] + z["rhythm"]
        z["features and all three"] = z["features"] + z["all three"] / 3
        return {name: z[name] for name in COLUMNS}


def by_person(scores: dict[str, Array], people: NDArray) -> dict[str, Array]:
    """Mean score of each person."""
    owner = np.unique(people, return_inverse=True)[1]
    return {name: np.bincount(owner, x) / np.bincount(owner) for name, x in scores.items()}


def compared(normal: dict[str, Array], abnormal: dict[str, Array]) -> dict[str, list[float]]:
    """AUROC with its interval of each score, and what the VAE adds to the features."""
    rng = np.random.default_rng(0)
    n, m = len(normal["features"]), len(abnormal["features"])
    draws = [(rng.integers(0, n, n), rng.integers(0, m, m)) for _ in range(RESAMPLES)]
    table, drawn = {}, {}
    for name in COLUMNS:
        drawn[name] = np.array([area(normal[name][a], abnormal[name][b]) for a, b in draws])
        ends = np.quantile(drawn[name], [0.025, 0.975])
        table[name] = [area(normal[name], abnormal[name]), *map(float, ends)]
    gain = drawn["features and all three"] - drawn["features"]
    own = table["features and all three"][0] - table["features"][0]
    table["gain"] = [own, *map(float, np.quantile(gain, [0.025, 0.975]))]
    return {name: [round(x, 4) for x in values] for name, values in table.items()}


def area(normal: Array, abnormal: Array) -> float:
    """Area under the ROC curve: the share of pairs in the right order, ties as half."""
    gap = abnormal[:, None] - normal[None]
    return float(((gap > 0) + 0.5 * (gap == 0)).mean())


def diagnoses(data: Path) -> dict[int, bool]:
    """Whether the ECG of each record of PTB-XL was called normal."""
    with (data / "ptbxl" / "ptbxl_database.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {int(row["ecg_id"]): ast.literal_eval(row["scp_codes"]).get("NORM", 0.0) >= 50 for row in rows}


def run(pack: dict[str, NDArray[Any]], data: Path, weights: Path) -> dict[str, Any]:
    """All comparisons."""
    net = load_checkpoint(weights)[0]
    judge = Judge(net, pack, pick(pack, "train", (CLAIM,), MOST_TRAIN))
    rows = pick(pack, "test", (CLAIM,))
    normal = by_person(judge(rows), pack["subject"][rows])
    found: dict[str, Any] = {"weights_sha256": file_sha256(weights), "normal_people": len(normal["features"])}
    for title, rhythms in GROUPS.items():
        rows = pick(pack, "test", rhythms)
        other = by_person(judge(rows), pack["subject"][rows])
        found[title] = {"people": len(other["features"]), **compared(normal, other)}
    called = diagnoses(data)
    rows = pick(pack, "test", (CLAIM,))
    rows = rows[pack["source"][rows] == "ptbxl"]
    fine = np.array([called[int(str(name).split("_")[0])] for name in pack["record"][rows]])
    sides = [by_person(judge(rows[side]), pack["subject"][rows[side]]) for side in (fine, ~fine)]
    people = len(sides[1]["features"])
    found["another diagnosis, in sinus rhythm"] = {
        "people": people,
        "normal_people": len(sides[0]["features"]),
        **compared(*sides),
    }
    return found


def markdown(found: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "# The cVAE as a judge",
        "",
        f"AUROC for telling people from {found['normal_people']} held-out people in normal sinus rhythm",
        "(last row: from people of PTB-XL whose ECG was called normal), with 95 % intervals over people, by",
        "the cVAE that ships and by a plain distance of features. The last column is what the cVAE adds to",
        f"these. Made by `benchmarks/vae_judge.py`; weights {found['weights_sha256'][:12]}.",
        "",
        f"| told from normal | people | {' | '.join(COLUMNS)} | gain |",
        "|---|---:|" + "---|" * (len(COLUMNS) + 1),
    ]
    for title, row in found.items():
        if isinstance(row, dict):
            cells = [f"{v:.2f} ({low:.2f} to {high:.2f})" for v, low, high in (row[n] for n in COLUMNS)]
            gain = "{:+.3f} ({:+.3f} to {:+.3f})".format(*row["gain"])
            lines.append(f"| {title} | {row['people']} | {' | '.join(cells)} | {gain} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--weights", type=Path, default=shipped_weights("cvae"))
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with np.load(options.pack) as file:
        pack = {name: file[name] for name in file.files}
    found = run(pack, options.data, options.weights)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "vae_judge.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (options.out / "vae_judge.md").write_text(markdown(found), encoding="utf-8")
    print(markdown(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

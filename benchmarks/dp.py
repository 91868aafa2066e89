"""What differential privacy costs: the cVAE refined on a clinic's people, at several epsilons.

    python benchmarks/dp.py single.npz [--epsilons 1,3,8,inf] [--steps 60] [--people 32] [--out docs/results]

The clinic are the training people of CinC 2017 in sinus rhythm and AF under a source name that the weights
do not know, so that they start from the mean of all sources. (The weights that ship have met these people in
their own training: what is measured is the way back to them, and what the noise takes from it.) Everything is
judged on the people of the part test. Writes dp.json, replaced after every epsilon, and dp.md.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgsynth.batches import StripBatches, Strips, load_strips
from ecgsynth.checkpoint import load_checkpoint, save_checkpoint, shipped_weights
from ecgsynth.fidelity.distances import frechet, kid
from ecgsynth.fidelity.encoder import embed
from ecgsynth.generators.cvae import encode, record_vector
from ecgsynth.generators.strip_net import StripNet
from ecgsynth.sampling import load_generator
from ecgsynth.training.describe import private_description
from ecgsynth.training.private import Budget, train_private
from ecgsynth.training.sources import with_sources

Pack = dict[str, NDArray[Any]]
RHYTHMS = ("nsr", "afib")
SOURCE, CLINIC = "cinc2017", "clinic"
#: Crops that the error of a person is a mean of.
CROPS = 4


def rows_of(pack: Pack, keep: NDArray[np.bool_]) -> Pack:
    """Some rows of a pack, ragged columns included, under the clinic's name."""
    some = {key: value[keep] if value.shape[:1] == keep.shape else value for key, value in pack.items()}
    for offsets, columns in (
        ("beats_offsets", ("beats_samples", "beats_symbols")),
        ("changes_offsets", ("changes_samples", "changes_rhythm")),
    ):
        first, last = pack[offsets][:-1][keep], pack[offsets][1:][keep]
        inside = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
        some[offsets] = np.concatenate([[0], np.cumsum(last - first)])
        some |= {name: pack[name][inside] for name in columns}
    return some | {"source": np.full(int(keep.sum()), CLINIC)}


@torch.no_grad()
def errors(net: StripNet, strips: Strips) -> NDArray[np.float64]:
    """Absolute error of the mean per person, over gain: how well the decoder draws people it never saw."""
    batches, total = StripBatches(strips, 1, 0), np.zeros(int(strips.person.max()) + 1)
    count = np.zeros_like(total)
    for k in range(CROPS):
        rng = np.random.default_rng(k)
        for first in range(0, len(strips), 48):
            rows = np.arange(first, min(first + 48, len(strips)))
            batch = batches.batch(rows, rng)
            record = record_vector(net, batch, encode(net, batch)[0])
            mean = net.decoder(
                batch["fine"], batch["coarse"], batch["rhythm"], record, batch["level"], batch["colour"]
            )[0]
            own = (batch["signal"] / batch["gain"].exp()[:, None, None] - mean).abs().mean((1, 2)).numpy()
            np.add.at(total, strips.person[rows], own)
            np.add.at(count, strips.person[rows], 1)
    return total / count


def generated(net: StripNet, pack: Pack, metadata: dict[str, Any], n: int, folder: Path) -> dict[str, Any]:
    """Signals [n, 1, 2500] of each rhythm, drawn as the clinic's."""
    path = folder / "weights.safetensors"
    save_checkpoint(path, net, {"generator": "cvae", **private_description(metadata, pack)})
    sampler = load_generator("cvae", path)
    return {
        rhythm: np.stack([r.signal for r in sampler.sample(rhythm, n, seed=5, source=CLINIC)])
        for rhythm in RHYTHMS
    }


def told_apart(known: dict[str, Any], asked: dict[str, Any]) -> float:
    """AUROC of a logistic regression on embeddings, learned from ``known``: AF or sinus rhythm."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    (x, y), (points, labels) = (
        (np.concatenate([s[r] for r in RHYTHMS]), np.repeat([0, 1], [len(s[r]) for r in RHYTHMS]))
        for s in (known, asked)
    )
    return round(float(roc_auc_score(labels, model.fit(x, y).predict_proba(points)[:, 1])), 4)


def fidelity(made: dict[str, Any], real: dict[str, Any], person: dict[str, Any]) -> dict[str, Any]:
    """Distances to real people per rhythm, and a classifier trained on made strips, tested on real ones."""
    points = {r: embed(made[r], 250.0, ("I",)) for r in RHYTHMS}
    found: dict[str, Any] = {}
    for rhythm in RHYTHMS:
        owner = np.arange(len(points[rhythm]))
        found[rhythm] = {
            "kid": round(float(kid(real[rhythm], person[rhythm], points[rhythm], owner).value), 4),
            "frechet": round(float(frechet(real[rhythm], points[rhythm]).value), 3),
        }
    return found | {"auroc": told_apart(points, real)}


def interval(values: NDArray[np.float64], seed: int = 0) -> list[float]:
    """95 % interval of a mean over people."""
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(2000)]
    return [round(float(x), 4) for x in np.quantile(means, (0.025, 0.975))]


def real_points(pack: Pack) -> tuple[dict[str, Any], dict[str, Any]]:
    """Embeddings of real strips per rhythm, and whose they are."""
    points, people = {}, {}
    for rhythm in RHYTHMS:
        rows = np.flatnonzero(pack["rhythm"] == rhythm)
        points[rhythm] = embed(pack["signal"][rows][:, :, :2500].astype(np.float32), 250.0, ("I",))
        people[rhythm] = np.unique(pack["subject"][rows], return_inverse=True)[1]
    return points, people


def page(found: dict[str, Any]) -> str:
    """The numbers as Markdown."""
    head = ("Epsilon", "Noise", "Error", "Change", "KID nsr / afib", "Frechet nsr / afib", "AUROC", "Minutes")
    rows = "\n".join(_row(name, run) for name, run in found["runs"].items())
    return f"""# What differential privacy costs

Made by `benchmarks/dp.py`: the shipped single-lead cVAE, refined on {found["people"]} people of CinC 2017
(sinus rhythm and AF) as a new source, {found["steps"]} steps of {found["people_per_step"]} people on average;
delta 1e-5; unit: the person. The shipped weights met these people in their own training, under their own
source; here they start from the mean of all sources. One run each, with fresh noise.

Judged on {found["test_people"]} people outside training. Error: absolute error of the decoder's mean per
sample, in units of the strip's gain, 95 % interval over people; its change against the start is paired. KID
and Frechet distance: drawn strips beside real ones, on the frozen encoder. AUROC: a logistic regression on
the encoder's numbers, trained on drawn strips alone, tells AF from sinus rhythm in real ones; trained on the
real training people it reaches {found["real_auroc"]:.3f}. `inf`: clipped, but without noise: no guarantee.

| {" | ".join(head)} |
|{"---|" * len(head)}
{rows}
"""


def _row(name: str, run: dict[str, Any]) -> str:
    own, change = run["fidelity"], ""
    if "change" in run:
        low, high = run["change_ci"]
        change = f"{run['change']:+.4f} ({low:+.4f} to {high:+.4f})"
    cells = [
        name,
        run["noise"],
        f"{run['error']:.4f} ({run['error_ci'][0]:.4f} to {run['error_ci'][1]:.4f})",
        change,
        *(
            " / ".join(f"{own[r][key]:.{digits}f}" for r in RHYTHMS)
            for key, digits in (("kid", 3), ("frechet", 2))
        ),
        f"{own['auroc']:.3f}",
        run["minutes"],
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("pack", type=Path, help="single-lead pack")
    parser.add_argument("--epsilons", default="8,1,inf,3")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--people", type=int, default=32, help="expected per step")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--records", type=int, default=200, help="drawn per rhythm")
    parser.add_argument("--work", type=Path, required=True, help="folder for weights on the way")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    with np.load(options.pack, allow_pickle=False) as file:
        pack = {key: file[key] for key in file.files}
    wanted = (pack["source"] == SOURCE) & np.isin(pack["rhythm"], RHYTHMS)
    clinic, judge = (rows_of(pack, wanted & ((pack["part"] == "test") == side)) for side in (False, True))
    before, metadata = load_checkpoint(shipped_weights("cvae"))
    before = with_sources(before, [CLINIC])
    strips = load_strips(judge, before.config)
    real, person = real_points(judge)
    found: dict[str, Any] = {
        "people": len(np.unique(clinic["subject"])),
        "test_people": len(np.unique(judge["subject"])),
        "steps": options.steps,
        "people_per_step": options.people,
        "lr": options.lr,
        "real_auroc": told_apart(real_points(clinic)[0], real),
        "runs": {},
    }
    start: NDArray[np.float64] | None = None
    for name in ("start", *options.epsilons.split(",")):
        net = with_sources(load_checkpoint(shipped_weights("cvae"))[0], [CLINIC])
        began, said = time.monotonic(), {"noise_multiplier": "-"}
        if name != "start":
            budget = Budget(float(name), 1e-5, options.steps, options.people, options.lr)
            said = train_private(net, clinic, budget, lambda d, n, note: print(d, n, note, flush=True))
        minutes = round((time.monotonic() - began) / 60, 1)
        own = errors(net.eval(), strips)
        run = {
            "noise": said["noise_multiplier"],
            "error": round(float(own.mean()), 4),
            "error_ci": interval(own),
            "fidelity": fidelity(
                generated(net, clinic, metadata, options.records, options.work), real, person
            ),
            "minutes": minutes,
        }
        if start is None:
            start = own
        else:
            run |= {"change": round(float((own - start).mean()), 4), "change_ci": interval(own - start)}
            run["epsilon_spent"] = said["epsilon"] if math.isfinite(said["epsilon"]) else None
        found["runs"][name] = run
        (options.out / "dp.json").write_text(json.dumps(found, indent=1) + "\n")
        (options.out / "dp.md").write_text(page(found), encoding="utf-8")
        print(name, run, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

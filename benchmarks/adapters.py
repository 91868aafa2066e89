"""A rhythm, or a device, that weights never saw: an adapter of few strips beside other ways to learn them.

    python benchmarks/adapters.py --folder DATA/ludb --rhythm nsr --work runs/adapters [--out DIR]
    python benchmarks/adapters.py --single single.npz --rhythm vf --work runs/adapters [--out DIR]

With ``--folder``, strips of one lead of a database that the shipped weights never saw. With ``--single`` (a
pack of ``scripts/pack_training_data.py``), a rhythm as if new: a base is trained on people who never showed
it. Half of the people with the rhythm give the strips; the other half judge, by a classifier that is tested
on people whom it has not seen, and the record gate. What is learned stays in ``--work``: a run can be cut.
"""

from __future__ import annotations

import argparse
import json
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablations_measures import points_of
from numpy.typing import NDArray
from short_training import fresh_net, rows_of, train_short

import ecgsynth
from ecgsynth.batches import load_strips
from ecgsynth.checkpoint import load_checkpoint, save_checkpoint, shipped_weights
from ecgsynth.datasets import open_dataset
from ecgsynth.fidelity.calibration import load_calibration
from ecgsynth.fidelity.distances import kid
from ecgsynth.fidelity.features import feature_table
from ecgsynth.fidelity.gate import check_record
from ecgsynth.fidelity.two_sample import boosting_judge, two_sample_auc
from ecgsynth.generators.conditions import RHYTHM_INDEX
from ecgsynth.pack import pack
from ecgsynth.records import Episode, Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.training.adapter import adapt, joined_people
from ecgsynth.training.describe import describe_people
from ecgsynth.training.sources import measured_wander, with_sources

#: Rhythms that are kept from the base together: who shows one of these is not in it.
ALIKE = {"vf": ("vf", "vflutter")}
DEVICE = "mine"


def main() -> None:
    options = asked()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.folder is None:
        pack_of = dict(np.load(options.single))
        name, base = options.rhythm, options.base or train_base(pack_of, options)
    else:
        name, base = f"{options.rhythm} of {options.folder.name}", shipped_weights("cvae")
        pack_of = one_lead(options.folder, options.rhythm)
    few, judges = people_apart(pack_of, options)
    row: dict[str, Any] = {
        "strips": len(few["subject"]),
        "people": len(set(few["subject"].tolist())),
        "judging": len(set(judges["subject"].tolist())),
        "steps": options.steps,
        "base": load_checkpoint(base)[1]["training"] if options.folder is None else "shipped",
        "ways": {},
    }
    ways: dict[str, Callable[[Path], None]] = {
        "adapter": lambda out: learn_adapter(base, few, out, options),
        "everything": lambda out: learn_everything(base, few, out, options),
        "scratch": lambda out: learn_from_scratch(few, out, options),
    }
    row["real"] = real_against_real(judges, options)
    row["ways"] = kept_ways(options, name, row)
    for way in options.ways.split(","):
        began = time.process_time()
        path = options.work / f"{name.replace(' ', '-')}-{way}.safetensors"
        kept = path.is_file()
        if way in ways and not kept:
            ways[way](path)
        spent = round(time.process_time() - began)
        weights = {"parametric": None, "as they are": base}.get(way, path)
        row["ways"][way] = {**judged(weights, few, judges, options), "cpu_s": None if kept else spent}
        print(way, row["ways"][way], flush=True)
        found = {**results(options), name: row}
        (options.out / "adapters.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (options.out / "adapters.md").write_text(page(found), encoding="utf-8")


def results(options: argparse.Namespace) -> dict[str, Any]:
    target = options.out / "adapters.json"
    return json.loads(target.read_text()) if target.is_file() else {}


def kept_ways(options: argparse.Namespace, name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Ways that were measured before with the same strips, steps and base."""
    before = results(options).get(name, {})
    same = all(before.get(key) == row[key] for key in ("strips", "people", "judging", "steps", "base"))
    return before["ways"] if same else {}


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--single", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rhythm", default="vf")
    parser.add_argument("--strips", type=int, default=20)
    parser.add_argument("--ways", default="adapter,everything,scratch,as they are,parametric")
    parser.add_argument("--steps", type=int, default=150, help="Of each way of learning.")
    parser.add_argument("--base", type=Path, default=None, help="A base that never saw the rhythm.")
    parser.add_argument("--base-steps", type=int, nargs=3, default=(2000, 600, 1500))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    if (options.single is None) == (options.folder is None):
        parser.error("give either --single or --folder")
    return options


def one_lead(folder: Path, rhythm: str, lead: str = "II") -> dict[str, Any]:
    """Strips of a rhythm in one lead of a database."""
    shown = (r for r in open_dataset(folder) if any(e.rhythm == rhythm for e in r.episodes))
    whole = pack(shown)
    some = rows_of(whole, np.flatnonzero(whole["lead"] == lead))
    return {**some, "part": np.full(len(some["subject"]), "train")}


def train_base(pack: Mapping[str, Any], options: argparse.Namespace) -> Path:
    """A cVAE of everybody of train and val who does not show the rhythm."""
    out = Path(options.work / f"base-{options.rhythm}.safetensors")
    if not out.is_file():
        shown = set(
            pack["subject"][np.isin(pack["rhythm"], ALIKE.get(options.rhythm, (options.rhythm,)))].tolist()
        )
        rows = np.flatnonzero(~np.isin(pack["subject"], sorted(shown)) & (pack["part"] != "test"))
        some = rows_of(pack, rows)
        templates, steps, prior = options.base_steps
        net = fresh_net(some, tuple(sorted(set(pack["lead"].tolist()))))
        train_short(net, some, out, template_steps=templates, steps=steps, prior_steps=prior)
    return out


def people_apart(
    pack: Mapping[str, Any], options: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Strips to learn from and strips to judge by: of other people, whole windows of the rhythm."""
    rng = np.random.default_rng(options.seed)
    rows = np.flatnonzero(pack["rhythm"] == options.rhythm)
    people = rng.permutation(np.unique(pack["subject"][rows]))
    learned = set(people[: len(people) // 2].tolist())
    sides = ([], [])
    for side, most in ((0, options.strips), (1, 60)):
        mine = [i for i in rng.permutation(rows).tolist() if (pack["subject"][i] in learned) == (side == 0)]
        # One strip of each person, then a second of each, until there are enough.
        order: dict[int, int] = {}
        seen: dict[str, int] = {}
        for i in mine:
            seen[str(pack["subject"][i])] = turn = seen.get(str(pack["subject"][i]), 0) + 1
            order[i] = turn
        sides[side].extend(sorted(sorted(mine, key=lambda i: order[i])[:most]))
    few, judges = (rows_of(pack, np.array(side)) for side in sides)
    few["source"] = np.full(len(few["source"]), DEVICE)
    few["part"] = np.full(len(few["part"]), "train")
    return few, judges


def learn_adapter(base: Path, few: dict[str, Any], out: Path, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    net, metadata = load_checkpoint(base)
    net = with_sources(net, [DEVICE])
    net.wander_power.copy_(torch.from_numpy(measured_wander(net, few)))
    strips = load_strips(few, net.config)
    known = [RHYTHM_INDEX[name] for name in metadata["population"]]
    fresh = [net.config.sources.index(DEVICE)]
    notes = adapt(net, strips, known, fresh, seed=options.seed, steps=options.steps)
    people = joined_people(metadata, describe_people(few, set(few["subject"].tolist())))
    save_checkpoint(out, net, {"generator": "cvae", "training": {"adapted": notes}, **people})


def learn_everything(base: Path, few: dict[str, Any], out: Path, options: argparse.Namespace) -> None:
    """What ``ecgsynth train`` does: all weights, from the base."""
    net = with_sources(load_checkpoint(base)[0], [DEVICE])
    steps = options.steps
    learn = {"template_steps": 0, "steps": steps, "prior_steps": 5 * steps, "lr": 3e-4, "warm": True}
    train_short(net, few, out, seed=options.seed, **learn)


def learn_from_scratch(few: dict[str, Any], out: Path, options: argparse.Namespace) -> None:
    net = fresh_net(few, tuple(sorted(set(few["lead"].tolist()))), options.seed)
    steps = options.steps
    train_short(net, few, out, template_steps=steps, steps=steps, prior_steps=5 * steps, seed=options.seed)


def judged(
    weights: Path | None, few: Mapping[str, Any], judges: Mapping[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """AUC of a classifier against people who gave nothing, and the share that passes the gate."""
    n = len(judges["subject"])
    wish: dict[str, Any] = {"leads": (str(judges["lead"][0]),)} if options.folder else {}
    if weights is None:
        model = ecgsynth.load_generator("parametric")
    else:
        model, wish = ecgsynth.load_generator("cvae", weights), {**wish, "allow_few_people": True}
        learned = load_checkpoint(weights)[1]["spread"]
        # An adapter of a rhythm that was known learns it on the new device alone.
        wish |= {"source": DEVICE} if any(row[1] == DEVICE for row in learned) else {}
    records = model.sample(options.rhythm, n, 7, seconds=10.0, **wish)
    calibration = load_calibration()
    passed = [check_record(record, calibration).passed for record in records]
    made = feature_table([record.signal[0] for record in records], 250.0)
    real = feature_table(list(strips_of(judges)), 250.0)
    names = [f"made/{i}" for i in range(n)]
    found = two_sample_auc(real, judges["subject"].tolist(), made, names, boosting_judge, folds=5, seed=0)
    drawn = np.stack([r.signal[0] for r in records]).astype(float)
    near = nearest(drawn, strips_of(few))
    return {
        "kid": kernel_distance(strips_of(judges), judges["subject"], drawn, np.array(names)),
        "auc": [round(float(x), 3) for x in (found.auc, found.low, found.high)],
        "gate": round(float(np.mean(passed)), 3),
        "nearest": round(float(np.median(near)), 3),
    }


def kernel_distance(
    one: NDArray[np.float64], whose: NDArray[Any], other: NDArray[np.float64], names: NDArray[Any]
) -> float:
    """KID of two sets of strips on the frozen encoder."""
    owners = [np.unique(who, return_inverse=True)[1] for who in (whose, names)]
    found = kid(points_of(one), owners[0], points_of(other), owners[1])
    return round(float(found.value), 3)


def strips_of(pack: Mapping[str, Any]) -> NDArray[np.float64]:
    """Strips of ten seconds ``[rows, samples]``, median 0."""
    strips = np.array(
        [pack["signal"][i, 0, pack["valid_start"][i] :][:2500] for i in range(len(pack["subject"]))], float
    )
    return strips - np.median(strips, axis=1, keepdims=True)


def nearest(made: NDArray[np.floating], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest correlation, over all lags, of each strip with a strip that was learned from."""

    def unit(x: NDArray[np.floating]) -> NDArray[np.complex128]:
        centred = x - x.mean(1, keepdims=True)
        centred = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        return np.fft.rfft(centred, 2 * x.shape[1], axis=1)

    one, two = unit(made), unit(known)
    return np.array([np.abs(np.fft.irfft(row[None].conj() * two, axis=1)).max() for row in one])


def real_against_real(judges: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The same classifier between two halves of the people who judge, mean of three halvings."""
    table, people = feature_table(list(strips_of(judges)), 250.0), np.array(judges["subject"])
    found = []
    for k in range(3):
        half = set(np.random.default_rng(k).permutation(np.unique(people))[: len(set(people.tolist())) // 2])
        side = np.array([p in half for p in people])
        one, two = people[side].tolist(), people[~side].tolist()
        found.append(two_sample_auc(table[side], one, table[~side], two, boosting_judge, folds=4, seed=k))
    auc = [float(np.mean([getattr(f, name) for f in found])) for name in ("auc", "low", "high")]
    distance = kernel_distance(strips_of(judges)[side], people[side], strips_of(judges)[~side], people[~side])
    calibrated = load_calibration()
    passed = []
    for i, strip in enumerate(strips_of(judges)):
        whole = (Episode(0, len(strip), options.rhythm),)
        record = Record(f"r{i}", strip[None].astype(np.float32), 250.0, ("II",), "p", "real", whole)
        passed.append(check_record(record, calibrated).passed)
    row = {"auc": [round(x, 3) for x in auc], "kid": distance}
    return row | {"gate": round(float(np.mean(passed)), 3)}


def page(found: dict[str, Any]) -> str:
    lines = [
        "# A rhythm learned from few strips",
        "",
        "Made by `benchmarks/adapters.py`. Half of the people with a rhythm give strips, the others judge,",
        "by the AUC of gradient boosting on features, tested on people it has not seen (0.5: cannot tell),",
        "by KID on the frozen encoder, and by the share of draws that pass the gate. Nearest: median over",
        "draws of the largest correlation, at any shift, with a strip that was learned from. All start from",
        "the same weights: of a database, from the shipped ones, which never saw it; of a rhythm alone,",
        "from a base that was trained for this comparison with everybody left out who shows it (shortly:",
        "steps in the JSON). The rhythm process is the shipped one.",
    ]
    words = {
        "adapter": "adapter (`--adapt`)",
        "everything": "all weights from the base",
        "scratch": "all weights from nothing",
        "as they are": "the shipped weights as they are",
        "parametric": "parametric simulator",
    }
    for rhythm, row in found.items():
        lines += [
            "",
            f"## {title_of(rhythm)}",
            "",
            f"{row['strips']} strips of {row['people']} people; {row['judging']} people judge; "
            f"{row['steps']} steps.",
            "",
            "| | AUC | KID | passes the gate | nearest | CPU s |",
            "|---|---|---:|---:|---:|---:|",
        ]
        for name, way in row["ways"].items():
            auc = "{:.2f} ({:.2f}-{:.2f})".format(*way["auc"])
            near = "-" if name in ("parametric", "as they are") else f"{way['nearest']:.2f}"
            cells = f"{auc} | {way.get('kid', float('nan')):.2f} | {way['gate']:.2f} | {near}"
            lines.append(f"| {words[name]} | {cells} | {way['cpu_s'] or '-'} |")
        auc = "{:.2f} ({:.2f}-{:.2f})".format(*row["real"]["auc"])
        distance = row["real"].get("kid", float("nan"))
        lines.append(f"| real against real | {auc} | {distance:.2f} | {row['real']['gate']:.2f} | - | - |")
        lines += ["", *textwrap.wrap(row["note"], 100)] if "note" in row else []
    return "\n".join(lines) + "\n"


def title_of(name: str) -> str:
    rhythm, _, database = name.partition(" of ")
    return RHYTHMS[rhythm].title + (f", {database}" if database else "")


if __name__ == "__main__":
    main()

"""What pretraining without labels is worth: on real recordings, on synthetic ones, on both, and none at all.

    python benchmarks/pretraining.py --data DIR --split docs/results/split.json --work DIR
        [--only real,random] [--generator cvae] [--strips 2048] [--steps 400] [--seeds 3] [--out docs/results]

Encoders are pretrained by SimCLR for the same number of steps on the training people of CinC 2017, on as many
synthetic strips in the manner of that database, and on both; then judged on its test people, whom neither the
encoders nor the generator have seen: atrial fibrillation against sinus rhythm, by a linear probe and by
fine-tuning with 1, 10 and 100 % of the labelled people. --work keeps what is done; --only does a part of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

FS, SECONDS, LEADS, BATCH = 100.0, 10.0, ("I",), 64
WIDTH, DEPTH = 64, 1
RHYTHMS: Final = ("afib", "nsr")
FRACTIONS: Final = (0.01, 0.1, 1.0)
PRETRAINED: Final = {
    "random": "none (random weights)",
    "real": "real",
    "synthetic": "synthetic",
    "both": "real and synthetic",
}


def real_store(options: argparse.Namespace) -> Any:
    """Strips of CinC 2017 with their parts, cut once."""
    from ecgsynth.split import SplitManifest
    from ecgsynth.ssl.store import Cut, StripStore, gather

    folder = options.work / "strips"
    if (folder / "split.json").is_file():
        return StripStore(folder)
    folder.mkdir(parents=True, exist_ok=True)
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
    store, _ = gather([options.data / "cinc2017"], folder, Cut(FS, SECONDS, LEADS), split, 0)
    return store


def synthetic_folders(options: argparse.Namespace) -> list[Path]:
    """Folders of synthetic strips, one per rhythm, made once."""
    from ecgsynth.pipeline import GenerateOptions, generate_dataset

    folders = [options.work / f"made_{options.generator}_{rhythm}" for rhythm in RHYTHMS]
    for number, (rhythm, out) in enumerate(zip(RHYTHMS, folders, strict=True)):
        if not out.is_dir():
            wanted = GenerateOptions(
                rhythm=rhythm,
                records=options.strips // len(RHYTHMS),
                out=out,
                generator=options.generator,
                leads=LEADS,
                seconds=SECONDS,
                fs=FS,
                source="cinc2017",
                seed=number,
                workers=1,
            )
            generate_dataset(wanted)
    return folders


def pretrained(kind: str, seed: int, options: argparse.Namespace, real_strips: int) -> Any:
    """The encoder of a kind of pretraining, trained if it is not there yet."""
    import torch

    from ecgsynth.ssl import EncoderConfig, PretrainOptions, build_encoder, load_encoder, pretrain_encoder

    if kind == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build_encoder(EncoderConfig("resnet", LEADS, FS, round(FS * SECONDS), WIDTH, DEPTH)).eval()
    folder = options.work / f"{kind}_{seed}"
    if not (folder / "encoder.safetensors").is_file():
        data = [options.data / "cinc2017"] if kind in ("real", "both") else []
        made = synthetic_folders(options) if kind in ("synthetic", "both") else []
        strips = (real_strips if data else 0) + (options.strips if made else 0)
        pretrain_encoder(
            PretrainOptions(
                data=(*data, *made),
                out=folder,
                width=WIDTH,
                depth=DEPTH,
                leads=LEADS,
                fs=FS,
                seconds=SECONDS,
                split=options.split,
                epochs=max(1, round(options.steps / (strips // BATCH))),
                batch_size=BATCH,
                seed=seed,
                resume=folder.exists(),
            )
        )
    return load_encoder(folder / "encoder.safetensors")[0]


def probed(kind: str, seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Scores for atrial fibrillation of one encoder and one draw of the labelled people."""
    from ecgsynth.ssl import ProbeOptions, probe_encoders

    path = options.work / f"scores_{kind}_{seed}.json"
    if not path.is_file():
        store = real_store(options)
        encoder = pretrained(kind, seed, options, int((store.part == "train").sum()))
        how = ProbeOptions(
            fractions=FRACTIONS, modes=("linear", "finetune"), steps=100, batch_size=32, seed=seed
        )
        scores = probe_encoders({kind: encoder}, store, how)
        path.write_text(json.dumps([asdict(s) for s in scores if s.rhythm == "afib"]), encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def table(scores: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """A row for each kind, way of judging and share of labels: means over seeds."""
    for kind, rows in scores.items():
        for mode in ("linear", "finetune"):
            for fraction in FRACTIONS:
                own = [r for r in rows if r["mode"] == mode and r["fraction"] == fraction]
                yield {
                    "pretrained": kind,
                    "mode": mode,
                    "fraction": fraction,
                    "people": own[0]["people"],
                    "positives": own[0]["positives"],
                    "seeds": len(own),
                    **{
                        name: float(np.mean([r[name] for r in own]))
                        for name in ("auprc", "low", "high", "auroc")
                    },
                    "lowest": min(r["auprc"] for r in own),
                    "highest": max(r["auprc"] for r in own),
                }


def markdown(found: dict[str, Any]) -> str:
    """The rows as a table, shares of labels side by side."""
    rows = found["rows"]
    heads = [f"{fraction:.0%} ({_people(rows, fraction)} people)" for fraction in FRACTIONS]
    lines = [
        f"AUPRC for atrial fibrillation on {rows[0]['positives']} test people with it. Seeds, of pretraining "
        f"and of which people are labelled: {rows[0]['seeds']} (means over them); in brackets 95 % over test "
        "people, bounds averaged over seeds.",
        "",
        f"| pretrained on | judged by | {' | '.join(heads)} | AUROC at 100 % |",
        "|" + "---|" * (len(FRACTIONS) + 3),
    ]
    for mode, name in (("linear", "linear probe"), ("finetune", "fine-tuning")):
        for kind, title in PRETRAINED.items():
            own = [row for row in rows if (row["pretrained"], row["mode"]) == (kind, mode)]
            if own:
                cells = [f"{r['auprc']:.3f} ({r['low']:.3f}-{r['high']:.3f})" for r in own]
                lines.append(f"| {title} | {name} | {' | '.join(cells)} | {own[-1]['auroc']:.3f} |")
    return "\n".join(lines) + "\n"


def _people(rows: list[dict[str, Any]], fraction: float) -> int:
    return next(int(row["people"]) for row in rows if row["fraction"] == fraction)


def main(arguments: list[str] | None = None) -> int:
    """Pretrain, probe and write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="where what is done is kept")
    parser.add_argument("--only", default=",".join(PRETRAINED), help="comma-separated kinds of pretraining")
    parser.add_argument("--generator", default="cvae")
    parser.add_argument("--strips", type=int, default=2048, help="synthetic ones")
    parser.add_argument("--steps", type=int, default=400, help="of pretraining, about")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args(arguments)
    kinds = options.only.split(",")
    if not set(kinds) <= set(PRETRAINED) or min(options.strips, options.steps, options.seeds) < 1:
        parser.error(f"--only takes {', '.join(PRETRAINED)}; --strips, --steps and --seeds must be positive")
    scores: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for seed in range(options.seeds):
        for kind in kinds:
            scores[kind] += probed(kind, seed, options)
            print(f"{kind} seed {seed} done", file=sys.stderr, flush=True)
    found = {
        "generator": options.generator,
        "synthetic_strips": options.strips,
        "steps": options.steps,
        "rows": list(table(scores)),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "pretraining.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (options.out / "pretraining.md").write_text(markdown(found), encoding="utf-8")
    print(markdown(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

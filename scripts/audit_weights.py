"""Audit every shipped checkpoint, rhythm by rhythm, against its training people and people it never saw.

    python scripts/audit_weights.py --data DIR [--split docs/results/split.json] [--records 500]
    [--twelve 150] [--few 25] [--also NAME=MADE[:TRAIN]] [--work DIR] [--out docs]

Datasets are made as a user makes them, gate and copy gate included, and kept in the work folder; so is what
is found of each checkpoint, and neither is done again: a run that was stopped goes on where it was.
``--also`` audits something else beside them, MADE being a folder of records, or weights
(``FILE.safetensors``) that `OTHERS` records of atrial fibrillation are drawn from with the copy gate off;
against the folder TRAIN, or against the people of the single-lead weights where TRAIN is left out. The
generators overfitted on purpose and trained privately that the page shows are made by

    ecgsynth train FIVE --rhythm afib --out over.safetensors --patience 1000 --lr 0.001 --allow-few-people
    ecgsynth train AF --rhythm afib --out dp.safetensors --dp-epsilon 8 --steps 80 --batch-size 48

Writes privacy-of-shipped-weights.md and results/privacy_weights.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from audit_weights_page import page

from ecgsynth.checkpoint import file_sha256, read_metadata, shipped_weights
from ecgsynth.pipeline import GenerateOptions, generate_dataset
from ecgsynth.population import fewest_people
from ecgsynth.privacy.audit import AuditOptions, Searched, audit_sides, search_people
from ecgsynth.privacy.inputs import (
    HOLDOUT_PARTS,
    TRAIN_PARTS,
    check_sides,
    open_side,
    read_split,
    warnings_of,
)
from ecgsynth.privacy.samples import Side, read_side
from ecgsynth.records import TWELVE_LEADS, Record
from ecgsynth.split import SplitManifest

CHECKPOINTS = (("cvae", False), ("cgan", False), ("cvae", True), ("cgan", True))
#: Fewest training people of a rhythm that is audited, for one lead and for twelve; fewer are a fingerprint.
AUDITED = {False: 3, True: 10}
#: Fewest holdout people of a rhythm for as many records as a pass needs; the others get few.
MANY_PEOPLE = 20
GENERATE_SEED = 40_000
#: Records of another generator.
OTHERS = 200
#: What findings depend on besides the checkpoint.
JUDGES = ("copy_index.safetensors", "copy_reference.json", "verifier.safetensors", "gate.json")


class People:
    """Training and holdout people that datasets are audited against, searched once."""

    def __init__(self, train: Side, holdout: Side, options: AuditOptions) -> None:
        self.train, self.holdout, self.options = train, holdout, options
        self.searched: Searched = search_people(self.train, self.holdout, options, lambda done, n: None)

    def audit(self, synthetic: Side, notes: dict[str, Any]) -> dict[str, Any]:
        """The findings on a set."""
        check_sides(synthetic, self.train, self.holdout)
        notes = {"warnings": warnings_of(synthetic, self.train, self.holdout), **notes}
        show = (self.train, self.holdout, self.searched, self.options, notes, lambda done, n, what: None)
        return audit_sides(synthetic, *show).report


def read_people(data: Path, split: SplitManifest, options: AuditOptions) -> dict[bool, People]:
    """People of the single-lead (False) and of the twelve-lead weights (True)."""
    parts = {"train": TRAIN_PARTS, "holdout": HOLDOUT_PARTS}
    records = {name: list(open_side(data, split, own)) for name, own in parts.items()}
    twelve = {name: [r for r in own if set(TWELVE_LEADS) <= set(r.leads)] for name, own in records.items()}
    people = {}
    for is_twelve, own in ((False, records), (True, twelve)):
        train, holdout = read_side("train", own["train"], whole=True), read_side("holdout", own["holdout"])
        people[is_twelve] = People(train, holdout, options)
    return people


class Everyone:
    """`read_people`, once the first audit asks for them: where all is kept, nothing is read."""

    def __init__(self, data: Path, split: SplitManifest, options: AuditOptions) -> None:
        self.data, self.split, self.options = data, split, options

    @cached_property
    def people(self) -> dict[bool, People]:
        """People of the single-lead (False) and of the twelve-lead weights (True)."""
        return read_people(self.data, self.split, self.options)


def state(path: Path) -> str:
    """Hash of weights and of all that judges their records."""
    judges = [file_sha256(shipped_weights("cvae", False).parent / name) for name in JUDGES]
    return hashlib.sha256(" ".join([file_sha256(path), *judges]).encode()).hexdigest()[:12]


def made(path: Path, rhythm: str, count: int, folder: Path, generator: str, twelve: bool) -> Path:
    """A dataset of one rhythm, made once for each state of the weights."""
    out = folder / state(path) / f"{path.stem}-{rhythm}-{count}"
    shipped = path == shipped_weights(generator, twelve)
    if not out.is_dir():
        out.parent.mkdir(parents=True, exist_ok=True)
        leads = TWELVE_LEADS if twelve else None
        options = GenerateOptions(
            rhythm=rhythm,
            leads=leads,
            out=out,
            generator=generator,
            records=count,
            seed=GENERATE_SEED,
            allow_few_people=True,
            workers=1,
            resume=True,
            weights=None if shipped else path,
            copy_gate=shipped,
        )
        print(f"{out.name}: {generate_dataset(options).records} records", file=sys.stderr, flush=True)
    return out


def checkpoint_audit(
    generator: str, twelve: bool, everyone: Everyone, options: argparse.Namespace
) -> dict[str, Any]:
    """The findings on one checkpoint, with what it is; kept in the work folder."""
    path = shipped_weights(generator, twelve)
    metadata = read_metadata(path)
    if metadata["training"]["pack"] != everyone.split.sha256:
        raise SystemExit(
            f"{path.name} was trained on another split than the one given: its people are not known."
        )
    sizes = "-".join(map(str, (options.records, options.twelve, options.few)))
    kept = options.work / f"{path.stem}-{state(path)}-{sizes}.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    people = everyone.people[twelve]
    records: list[Record] = []
    for rhythm, seen in metadata["population"].items():
        if seen["people"] < AUDITED[twelve]:
            continue
        enough = len({s.strip.subject for s in people.holdout.of(rhythm)}) >= MANY_PEOPLE
        most = options.twelve if twelve else options.records
        folder = made(path, rhythm, most if enough else options.few, options.work, generator, twelve)
        records += [replace(r, name=f"{rhythm}/{r.name}") for r in open_side(folder, None, ())]
    notes = {"split_sha256": everyone.split.sha256, "differential_privacy": None}
    found = people.audit(read_side("synthetic", records, every_strip=True), notes)
    offered = [r for r, seen in metadata["population"].items() if seen["people"] >= fewest_people(twelve)]
    found |= {"name": path.stem, "sha256": file_sha256(path), "offered": offered}
    kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def other_audit(said: str, everyone: Everyone, work: Path) -> dict[str, Any]:
    """The findings on a set that was made elsewhere, ``NAME=MADE[:TRAIN]``; kept in the work folder."""
    name, _, folders = said.rpartition("=")
    source, _, train = folders.partition(":")
    if Path(source).suffix == ".safetensors":
        source = str(made(Path(source), "afib", OTHERS, work, "cvae", twelve=False))
    what = hashlib.sha256(f"{Path(source).resolve()}:{train}".encode()).hexdigest()[:8]
    kept = work / f"other-{state(shipped_weights('cvae', False))}-{what}.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text(encoding="utf-8"))) | {"name": name}
    made_of = read_side("synthetic", open_side(Path(source), None, ()), every_strip=True)
    notes = {"split_sha256": None, "differential_privacy": None}
    people = everyone.people[False]
    if train:
        side = read_side("train", open_side(Path(train), None, ()), whole=True)
        people = People(side, people.holdout, everyone.options)
    found = people.audit(made_of, notes) | {"name": name}
    kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """What is published of findings: no name of a training person."""
    near = found["near_duplicates"]
    kept = {key: near[key] for key in ("count", "copies", "certain", "records", "same_person")}
    kept["per_rhythm"] = {
        rhythm: {key: value for key, value in row.items() if key != "pairs"}
        for rhythm, row in near["per_rhythm"].items()
    }
    names = (
        "name",
        "sha256",
        "offered",
        "inputs",
        "warnings",
        "verdict",
        "failed",
        "not_assessable",
        "membership",
    )
    names += ("reidentification", "singling_out", "linkability", "inference")
    rest = {key: found[key] for key in names if key in found}
    rest["inputs"] = {
        side: {k: v for k, v in row.items() if k != "left_out"} for side, row in found["inputs"].items()
    }
    rest["same_person"] = {key: found["same_person"][key] for key in ("count", "per_rhythm")}
    rest["unusual"] = {key: found["unusual"][key] for key in ("people", "gates") if key in found["unusual"]}
    return {"near_duplicates": kept, **rest}


def main() -> int:
    """Audit all."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, default=Path("docs/results/split.json"))
    parser.add_argument(
        "--records", type=int, default=500, help="where enough holdout people show the rhythm"
    )
    parser.add_argument("--twelve", type=int, default=150, help="the same of twelve leads")
    parser.add_argument("--few", type=int, default=25, help="records of every other rhythm")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=MADE[:TRAIN]")
    parser.add_argument("--work", type=Path, default=Path("audit-work"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    split = read_split(options.split)
    wanted = AuditOptions(synthetic=options.work, train=options.data, holdout=options.data, workers=1)
    everyone = Everyone(options.data, split, wanted)
    others = [other_audit(said, everyone, options.work) for said in options.also]
    for found in others:
        print(f"{found['name']}: {found['verdict']} {found['failed']}", file=sys.stderr, flush=True)
    shipped = []
    for generator, twelve in CHECKPOINTS:
        shipped.append(checkpoint_audit(generator, twelve, everyone, options))
        print(
            f"{shipped[-1]['name']}: {shipped[-1]['verdict']} {shipped[-1]['failed']}",
            file=sys.stderr,
            flush=True,
        )
        content = {"shipped": [summary(row) for row in shipped], "others": [summary(row) for row in others]}
        (options.out / "results" / "privacy_weights.json").write_text(
            json.dumps(content, indent=1) + "\n", encoding="utf-8"
        )
        (options.out / "privacy-of-shipped-weights.md").write_text(page(content), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

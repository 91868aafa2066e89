"""The privacy audit: three folders in, one dictionary of findings out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ecgsynth import __version__
from ecgsynth.engine import Engine
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.privacy.attributes import attribute_risks
from ecgsynth.privacy.calibration import FALSE_HITS, Limits, fit_limits
from ecgsynth.privacy.copies import Match, find_copies, place_of
from ecgsynth.privacy.gallery import Gallery, build_gallery
from ecgsynth.privacy.inputs import (
    HOLDOUT_PARTS,
    TRAIN_PARTS,
    check_sides,
    open_side,
    read_split,
    warnings_of,
)
from ecgsynth.privacy.learned_from import weights_notes
from ecgsynth.privacy.membership import ATTACKS, membership
from ecgsynth.privacy.near_duplicates import near_duplicates, with_same_person
from ecgsynth.privacy.reidentification import reidentification
from ecgsynth.privacy.same_person import judge_listed, same_person
from ecgsynth.privacy.samples import Sample, Side, read_side
from ecgsynth.privacy.unusual import unusual_few
from ecgsynth.privacy.verifier import load_verifier

#: Called with how much is done of 1,000, and what is being done.
Progress = Callable[[int, int, str], None]
#: |NCC| at which a holdout strip is the same recording as one in training.
SAME_RECORDING: Final = 0.9995
#: The name that all rhythms together go by.
ALL: Final = "all rhythms"
#: Attacks with a verdict per rhythm, in the order of the report.
SECTIONS: Final = ("membership", "reidentification", "singling_out", "linkability", "inference")


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """What to audit.

    Attributes
    ----------
    synthetic, train, holdout : Path
        WFDB folders, databases, or folders of databases.
    split : Path or None
        Split by person: training people are its parts train and val, holdout people its part test.
    rhythms : tuple of str
        Canonical names; empty for all that the synthetic records show.
    weights : Path or None
        The checkpoint that made the records, to check that training is what it learned from.
    seed : int
    workers : int
        Tasks at a time; 0 takes one per core.
    engine : {"processes", "ray"}
        Who reads and searches, and for Ray at which `address`; see `ecgsynth.engine.Engine`.
    """

    synthetic: Path
    train: Path
    holdout: Path
    split: Path | None = None
    rhythms: tuple[str, ...] = ()
    weights: Path | None = None
    seed: int = 0
    workers: int = 1
    engine: str = "processes"
    address: str | None = None

    def crew(self) -> Engine:
        """Who does the work."""
        return Engine(self.engine, self.workers, self.address)


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes
    ----------
    report : dict
        What ``privacy.json`` holds.
    gallery : Gallery
    matches : list of Match
        The nearest recording of every synthetic strip, for the private annex.
    """

    report: dict[str, Any]
    gallery: Gallery
    matches: list[Match]


@dataclass(frozen=True)
class Searched:
    """Training people made searchable, and what strangers reach in that search.

    Attributes
    ----------
    gallery : Gallery
    limits : dict of str to Limits
        By rhythm; ``""`` for all together.
    """

    gallery: Gallery
    limits: dict[str, Limits]


def run_audit(options: AuditOptions, progress: Progress | None = None) -> Audit:
    """Read the three sides, run every attack, judge.

    Raises
    ------
    RecordError
        If a side is empty or unreadable, or training and holdout share a person or a recording.
    OptionError
        If none of the synthetic records shows a rhythm asked for.
    """
    show = progress or (lambda done, total, note: None)
    crew = options.crew()
    split = read_split(options.split) if options.split else None
    show(0, 1000, "reading")
    synthetic = read_side(
        "synthetic", open_side(options.synthetic, None, (), "synthetic"), every_strip=True, engine=crew
    )
    show(150, 1000, "reading")
    holdout = read_side("holdout", open_side(options.holdout, split, HOLDOUT_PARTS, "holdout"), engine=crew)
    show(200, 1000, "reading")
    train = read_side(
        "train", open_side(options.train, split, TRAIN_PARTS, "training"), whole=True, engine=crew
    )
    synthetic = _wanted(synthetic, options.rhythms)
    check_sides(synthetic, train, holdout)
    said, dp = weights_notes(options.synthetic, options.weights, split, train)
    warnings = said + warnings_of(synthetic, train, holdout)
    show(300, 1000, "searching for copies")
    searched = search_people(train, holdout, options, lambda d, n: show(330 + 120 * d // n, 1000, "holdout"))
    notes = {"split_sha256": split.sha256 if split else None, "warnings": warnings}
    notes["differential_privacy"] = dp
    return audit_sides(synthetic, train, holdout, searched, options, notes, show)


def search_people(
    train: Side, holdout: Side, options: AuditOptions, show: Callable[[int, int], None]
) -> Searched:
    """Make training searchable, and find how alike strangers are; both serve any number of synthetic sets.

    Raises
    ------
    RecordError
        If a recording of the holdout is in training.
    """
    gallery = build_gallery(train.traces, options.seed)
    return Searched(gallery, _limits(gallery, holdout, options, show))


def audit_sides(
    synthetic: Side,
    train: Side,
    holdout: Side,
    searched: Searched,
    options: AuditOptions,
    notes: dict[str, Any],
    show: Progress,
) -> Audit:
    """Run every attack on sides that were read and checked, and judge; ``notes`` go into the report."""
    gallery = searched.gallery
    strips = [sample.strip for sample in synthetic.samples]
    matches = find_copies(
        gallery, strips, options.crew(), lambda d, n: show(450 + 400 * d // n, 1000, "searching for copies")
    )
    report = {
        "ecgsynth": __version__,
        "seed": options.seed,
        "inputs": {side.name: _input(side) for side in (synthetic, train, holdout)},
        **notes,
        "near_duplicates": near_duplicates(gallery, matches, searched.limits),
    }
    show(860, 1000, "attacks")
    report |= _attacks(
        synthetic, train, holdout, options.seed, lambda d, n: show(860 + 120 * d // n, 1000, "attacks")
    )
    rows = same_person(train, holdout, synthetic, load_verifier())
    per_rhythm = judge_listed(rows, synthetic.samples, holdout.samples)
    report["near_duplicates"] = with_same_person(report["near_duplicates"], rows)
    report["same_person"] = {"count": len(rows), "pairs": rows, "per_rhythm": per_rhythm}
    report["unusual"] = unusual_few(
        synthetic, train, holdout, report["near_duplicates"]["pairs"], options.seed
    )
    report |= overall(report)
    show(1000, 1000, "done")
    return Audit(report, gallery, matches)


def _wanted(synthetic: Side, rhythms: Sequence[str]) -> Side:
    if not rhythms:
        return synthetic
    kept = [s for s in synthetic.samples if s.strip.rhythm in rhythms]
    if not kept:
        found = sorted({s.strip.rhythm for s in synthetic.samples})
        raise OptionError(
            f"--rhythm {', '.join(rhythms)}: no synthetic record shows it; found "
            f"{', '.join(found) or 'none'}."
        )
    records = {s.strip.record for s in kept}
    return replace(synthetic, samples=kept, records=records)


def _limits(
    gallery: Gallery, holdout: Side, options: AuditOptions, show: Callable[[int, int], None]
) -> dict[str, Limits]:
    matches = find_copies(gallery, [s.strip for s in holdout.samples], options.crew(), show)
    same = [m for m in matches if abs(m.full.ncc) > SAME_RECORDING and m.full.stretch == 1.0]
    if same:
        named = []
        for match in same[:5]:
            trace = gallery.traces[place_of(gallery, match.full)[0]]
            named.append(f"{match.strip.record} ({match.strip.subject}) is {trace.record} ({trace.subject})")
        raise RecordError(
            f"audit: {len({m.strip.record for m in same})} holdout records are in training under another "
            "name: "
            f"{'; '.join(dict.fromkeys(named))}. The holdout must be people whom the generator never saw; "
            "remove them."
        )
    return fit_limits(matches)


def _input(side: Side) -> dict[str, Any]:
    rhythms: dict[str, dict[str, set[str]]] = {}
    for sample in side.samples:
        row = rhythms.setdefault(sample.strip.rhythm, {"people": set(), "records": set()})
        row["people"].add(sample.strip.subject)
        row["records"].add(sample.strip.record)
    return {
        "records": len(side.records),
        "people": len(side.people) if side.name != "synthetic" else None,
        "fs": sorted(side.rates),
        "rhythms": {r: {key: len(names) for key, names in row.items()} for r, row in sorted(rhythms.items())},
        "left_out": sorted(side.unusable),
    }


def _attacks(
    synthetic: Side, train: Side, holdout: Side, seed: int, show: Callable[[int, int], None]
) -> dict[str, Any]:
    made = sorted({s.strip.rhythm for s in synthetic.samples})
    groups = [ALL, *made] if len(made) > 1 else made
    verifier = load_verifier()
    found: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    level = 0.05 / (len(ATTACKS) * len(groups))
    for k, rhythm in enumerate(groups):
        known, others, drawn = (_of(side, rhythm, made) for side in (train, holdout, synthetic))
        found["membership"][rhythm] = membership(known, others, drawn, seed=seed, level=level)
        found["reidentification"][rhythm] = reidentification(
            known, others, drawn, verifier, seed=seed, level=0.05 / len(groups)
        )
        for name, risk in attribute_risks(known, others, drawn, seed=seed).items():
            found[name][rhythm] = risk
        show(k + 1, len(groups))
    return found


def _of(side: Side, rhythm: str, made: Sequence[str]) -> list[Sample]:
    return [s for s in side.samples if s.strip.rhythm == rhythm or (rhythm == ALL and s.strip.rhythm in made)]


def overall(report: dict[str, Any]) -> dict[str, Any]:
    """The verdict on the whole, and which gates failed or could not be judged."""
    rows = [
        (name, r, row)
        for name in ("near_duplicates", "same_person")
        for r, row in report[name]["per_rhythm"].items()
    ]
    rows += [(name, r, row) for name in SECTIONS for r, row in report[name].items()]
    rows += [("unusual", r, row) for r, row in report["unusual"]["gates"].items()]
    failed = [f"{name}: {rhythm}" for name, rhythm, row in rows if row["verdict"] == "fail"]
    open_ = [f"{name}: {rhythm}" for name, rhythm, row in rows if row["verdict"] == "not assessable"]
    verdict = "fail" if failed else "not assessable" if open_ else "pass"
    return {"failed": failed, "not_assessable": open_, "verdict": verdict}


__all__ = [
    "ALL",
    "FALSE_HITS",
    "SECTIONS",
    "Audit",
    "AuditOptions",
    "Searched",
    "audit_sides",
    "overall",
    "run_audit",
    "search_people",
]

"""What an audit is given: three folders, who is in them, and whether the answer would mean anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from ecgsynth.datasets import open_dataset, read_all, recognise
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.fidelity.features import FEATURES
from ecgsynth.pack import trainable
from ecgsynth.privacy.samples import Side, person_medians
from ecgsynth.records import Record
from ecgsynth.split import SplitManifest

#: Parts of a split that the shipped generators learned from, and the part that they never saw.
TRAIN_PARTS: Final = ("train", "val")
HOLDOUT_PARTS: Final = ("test",)
#: How a warning begins that makes failures doubtful.
COHORT: Final = "The holdout is another cohort"
#: Names listed in an error or a warning.
_NAMED = 10
#: Significance, over all features, of a difference between training and holdout people that is said.
_COHORT_LEVEL = 0.001


def open_side(
    path: Path, split: SplitManifest | None, parts: tuple[str, ...], name: str = ""
) -> Iterator[Record]:
    """Records of a WFDB folder, a database, or a folder of databases; with a split those of its ``parts``.

    ``name`` is what an error calls the side.

    Raises
    ------
    RecordError
        If there are no records, or one cannot be read.
    """
    path = Path(path)
    if name and path.is_dir() and next(path.rglob("*.hea"), None) is None:
        raise RecordError(
            f"audit: the {name} folder {path} holds no WFDB record (*.hea), nor does any folder in it. "
            "Without it nothing can be said; give one with recordings"
            + (" of people the generator did not learn from." if name == "holdout" else ".")
        )
    one = not path.is_dir() or (path / "RECORDS").is_file() or next(path.glob("*.hea"), None) is not None
    records = open_dataset(path) if one or recognise(path) != "folder" else read_all(path)
    if split is None:
        yield from records
        return
    wanted = {subject for part in parts for subject in getattr(split, part)}
    yield from trainable(record for record in records if record.subject in wanted)


def read_split(path: Path) -> SplitManifest:
    """A split by person from its JSON file.

    Raises
    ------
    OptionError
        If there is no such file.
    RecordError
        If it is damaged or was edited.
    """
    if not path.is_file():
        raise OptionError(f"--split {path}: no such file; expected the JSON of a split by person.")
    return SplitManifest.from_json(path.read_text(encoding="utf-8"))


def check_sides(synthetic: Side, train: Side, holdout: Side) -> None:
    """Make sure that the three sides can be compared at all.

    Raises
    ------
    RecordError
        If a side is empty, or a person is in training and in the holdout; the people are named.
    """
    for side in (synthetic, train, holdout):
        if not side.samples:
            what = (
                f"{len(side.records)} records, none with {4:g} s of signal" if side.records else "no records"
            )
            raise RecordError(
                f"audit: the {side.name} side has {what}. Without it nothing can be said; give a folder of "
                "WFDB records" + (" of people the generator did not learn from." if side is holdout else ".")
            )
    both = shared_people(train, holdout)
    if both:
        more = f" and {len(both) - _NAMED} more" if len(both) > _NAMED else ""
        raise RecordError(
            f"audit: {len(both)} {'person is' if len(both) == 1 else 'people are'} in training and in the "
            f"holdout: "
            f"{', '.join(both[:_NAMED])}{more}. "
            "The holdout must be people whom the generator never saw; remove them from it, or split by "
            "person."
        )


def shared_people(train: Side, holdout: Side) -> list[str]:
    """People on both sides, by their full name, or by their name within a folder if the source gives one.

    In plain folders a subject is called ``<folder>/<subject>``; the same person keeps the second half. A
    record that names no subject counts as a person of the record's name, which says nothing across folders.
    """
    both = train.people & holdout.people
    names = [_names_of(side) for side in (train, holdout)]
    both |= {full for bare, full in names[1].items() if bare in names[0]}
    return sorted(both)


def _names_of(side: Side) -> dict[str, str]:
    named = {}
    for sample in side.samples:
        full = sample.strip.subject
        bare = full.partition("/")[2]
        if bare and bare != sample.strip.record:
            named[bare] = full
    return named


def warnings_of(synthetic: Side, train: Side, holdout: Side) -> list[str]:
    """What limits the answer, each as a sentence for people."""
    said = []
    rates = {side.name: sorted(side.rates) for side in (synthetic, train, holdout)}
    if len({tuple(values) for values in rates.values()}) > 1:
        text = "; ".join(f"{name} {', '.join(f'{v:g}' for v in values)} Hz" for name, values in rates.items())
        said.append(
            f"Sampling rates differ ({text}). Everything was brought to one rate before it was compared; "
            "what lies "
            "above the lowest band was not compared."
        )
    said += _cohort(train, holdout)
    for side in (synthetic, train, holdout):
        if side.unusable:
            named = ", ".join(sorted(side.unusable)[:_NAMED])
            said.append(
                f"{len(side.unusable)} {side.name} records are too short or flat to compare and were left "
                f"out: {named}."
            )
    made = {s.strip.rhythm for s in synthetic.samples}
    missing = sorted(made - {s.strip.rhythm for s in holdout.samples})
    if missing:
        said.append(
            f"Nobody in the holdout shows {', '.join(missing)}: for these, limits come from all rhythms "
            "together and most attacks cannot be judged."
        )
    known = sorted({s.strip.rhythm for s in train.samples} - {"unknown"})
    nameless = len({s.strip.record for s in synthetic.samples if s.strip.rhythm == "unknown"})
    if nameless and known:
        said.append(
            f"{nameless} synthetic records name no rhythm, while training does ({', '.join(known)}): copies "
            "are found all the same, but these records are compared with nobody of their rhythm. Name it in "
            "the headers (Dx codes) or annotations."
        )
    unnamed = len({s.strip.record for s in train.samples if s.strip.rhythm == "unknown"})
    absent = sorted(made - {s.strip.rhythm for s in train.samples})
    if absent and unnamed:
        said.append(
            f"{unnamed} training records name no rhythm, and none of the others shows {', '.join(absent)}: "
            "copies are found all the same, but for these rhythms training people cannot be compared with "
            "holdout people. Name the rhythm in the headers (Dx codes) or annotations."
        )
    return said


def _cohort(train: Side, holdout: Side) -> list[str]:
    """Whether the holdout is another kind of people than training."""
    from scipy.stats import ks_2samp

    sources = [sorted({s.source for s in side.samples}) for side in (train, holdout)]
    rhythms = {s.strip.rhythm for s in train.samples} & {s.strip.rhythm for s in holdout.samples}
    lowest, which = 1.0, ""
    tests = 0
    for rhythm in sorted(rhythms):
        tables = [person_medians(side.of(rhythm)) for side in (train, holdout)]
        if min(len(table) for table in tables) < 8:
            continue
        for k, name in enumerate(FEATURES):
            first, second = (table[np.isfinite(table[:, k]), k] for table in tables)
            if min(len(first), len(second)) >= 8:
                tests += 1
                p = float(ks_2samp(first, second).pvalue)
                lowest, which = min((lowest, which), (p, f"{name} in {rhythm}"))
    if tests and lowest * tests < _COHORT_LEVEL:
        return [
            f"{COHORT} than training (clearest: {which}; p {lowest * tests:.1g} over "
            f"{tests} "
            f"comparisons; sources {', '.join(sources[0])} and {', '.join(sources[1])}). A difference "
            "between "
            "cohorts can look like a leak, or hide one: failures may be false, and passes mean less."
        ]
    return []

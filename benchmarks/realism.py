"""How well a judge tells synthetic strips from real ones, and real ones from each other, per rhythm.

    python benchmarks/realism.py --data DIR [--split split.json] [--generator parametric,cvae,cgan]
        [--synthetic NAME=FOLDER] [--rhythm afib,nsr] [--out results/]

The judges (gradient boosting on features, a small CNN on the signal) are tested on people they did not
train on. Synthetic records are asked for in the sources and leads of the real ones, and both sides get
the same band limit, 1 uV steps and zero median. An AUC of 0.5 means that the judge is guessing. ``real`` is
the same test between two halves of the real people: no generator can be asked to be below it. AUCs and their
intervals are means over several draws, and halvings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from realism_plots import plot_aucs, plot_distributions

from ecgsynth.datasets import open_dataset, read_all
from ecgsynth.errors import EcgSynthError, OptionError
from ecgsynth.fidelity.features import FEATURES, feature_table
from ecgsynth.fidelity.two_sample import JUDGES, TwoSample, feature_gaps, two_sample_auc
from ecgsynth.pack import pack, trainable
from ecgsynth.records import Record
from ecgsynth.rhythms import RHYTHMS, find_rhythm
from ecgsynth.split import SplitManifest

FS = 250.0
#: Window lengths tried in turn until enough people have one that their rhythm fills, in seconds.
LENGTHS = (10.0, 5.0)
#: Halvings of the real people over which real-versus-real is averaged, and draws of a generator. One draw of
#: a generator differs from the next by some 0.03.
HALVINGS, DRAWS = 3, 3


@dataclass(frozen=True)
class Strips:
    """One side of a test: ``signals`` [records, samples] in mV, and each one's person, source and lead."""

    signals: NDArray[np.float64]
    people: tuple[str, ...]
    sources: tuple[str, ...]
    leads: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.signals)

    def take(self, rows: Iterable[int]) -> Strips:
        """The strips of ``rows``."""
        index = list(rows)
        columns = ([column[i] for i in index] for column in (self.people, self.sources, self.leads))
        people, sources, leads = (tuple(column) for column in columns)
        return Strips(self.signals[index], people, sources, leads)


def same_chain(signals: NDArray[np.floating[Any]], bandwidth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signals [records, samples] cut at their ``bandwidth`` [records] in Hz, in 1 uV steps, median 0."""
    spectrum = np.fft.rfft(signals.astype(np.float64))
    frequency = np.fft.rfftfreq(signals.shape[1], 1 / FS)
    spectrum[frequency[None, :] > bandwidth[:, None]] = 0.0
    filtered = np.fft.irfft(spectrum, signals.shape[1])
    return np.round(filtered - np.median(filtered, axis=1, keepdims=True), 3)


class RealPeople:
    """Real strips of every rhythm, packed once per window length."""

    def __init__(self, data: Path, split: SplitManifest | None, per_person: int, most: int) -> None:
        self.records = list(trainable(read_all(data)))
        self.split, self.per_person, self.most = split, per_person, most
        self.packs: dict[float, dict[str, NDArray[Any]]] = {}
        self.bandwidth: dict[str, float] = {}

    def _packed(self, seconds: float) -> dict[str, NDArray[Any]]:
        if seconds not in self.packs:
            arrays = pack(self.records, FS, seconds)
            self.packs[seconds] = arrays
            for source in np.unique(arrays["source"]):
                own = arrays["bandwidth"][arrays["source"] == source]
                self.bandwidth[str(source)] = float(np.min(own)) * 0.9
        return self.packs[seconds]

    def bandwidths(self, sources: Iterable[str]) -> NDArray[np.float64]:
        """Band limit in Hz of each source; a source that is not real has that of all (100 Hz)."""
        return np.array([self.bandwidth.get(source, 100.0) for source in sources])

    def strips(self, rhythm: str, fewest: int, rng: np.random.Generator) -> tuple[Strips, float, str] | None:
        """Strips, seconds and which people: those held out if there are enough, else all; or None."""
        # The weights that ship have learned from train and val.
        held = set(self.split.test) if self.split else set()
        for which in ("held out", "all") if held else ("all",):
            for seconds in LENGTHS:
                arrays = self._packed(seconds)
                length = arrays["signal"].shape[-1]
                whole = (arrays["episode_start"] <= 0) & (arrays["episode_stop"] >= length)
                mask = whole & (arrays["rhythm"] == rhythm)
                if which == "held out":
                    mask &= np.isin(arrays["subject"], list(held))
                if len(np.unique(arrays["subject"][mask])) >= fewest:
                    return self._choose(arrays, np.flatnonzero(mask), rng), seconds, which
        return None

    def _choose(
        self, arrays: dict[str, NDArray[Any]], rows: NDArray[np.int64], rng: np.random.Generator
    ) -> Strips:
        """At most ``per_person`` strips of each person and ``most`` in all, drawn at random."""
        seen: Counter[str] = Counter()
        chosen: list[int] = []
        for row in rng.permutation(rows):
            person = str(arrays["subject"][row])
            if seen[person] < self.per_person:
                seen[person] += 1
                chosen.append(int(row))
        chosen = chosen[: self.most]
        columns = (tuple(str(v) for v in arrays[k][chosen]) for k in ("subject", "source", "lead"))
        people, sources, leads = columns
        signals = same_chain(arrays["signal"][chosen, 0], self.bandwidths(sources))
        return Strips(signals, people, sources, leads)


def generated(name: str, rhythm: str, like: Strips, seconds: float, seed: int, real: RealPeople) -> Strips:
    """As many strips of a generator as there are real ones, in the same sources and leads.

    A place that the generator does not offer is asked for as lead II of the same source, then of any.
    """
    import ecgsynth

    generator = ecgsynth.load_generator(name)
    rows, sources, leads = [], [], []
    for k, ((source, lead), n) in enumerate(
        sorted(Counter(zip(like.sources, like.leads, strict=True)).items())
    ):
        options = {"rhythm": rhythm, "n": n, "seed": 1000 * seed + k, "seconds": seconds}
        for place in (
            {"leads": (lead,), "source": source},
            {"leads": ("II",), "source": source},
            {"leads": ("II",)},
        ):
            try:
                drawn = generator.sample(**options, **place)
                break
            except OptionError as error:
                refused = error
        else:
            raise refused
        rows += [record.signal[0] for record in drawn]
        sources += [source] * n
        leads += [lead] * n
    signals = same_chain(np.stack(rows), real.bandwidths(sources))
    names = tuple(f"{name}/{i}" for i in range(len(rows)))
    return Strips(signals, names, tuple(sources), tuple(leads))


def from_folder(name: str, records: list[Record], rhythm: str, like: Strips, seconds: float) -> Strips | None:
    """Strips of a WFDB folder that claim ``rhythm``, at most as many as the real ones; None without any."""
    own = [r for r in records if any(e.rhythm == rhythm for e in r.episodes)]
    if not own:
        return None
    arrays = pack(own, FS, seconds, step_s={rhythm: seconds}, cap=len(like))
    rows = np.flatnonzero(arrays["rhythm"] == rhythm)[: len(like)]
    limit = np.full(len(rows), float(np.median([0.9 * b for b in arrays["bandwidth"][rows]])))
    people = tuple(f"{name}/{arrays['subject'][i]}" for i in rows)
    sources, leads = (tuple(str(v) for v in arrays[k][rows]) for k in ("source", "lead"))
    return Strips(same_chain(arrays["signal"][rows, 0], limit), people, sources, leads)


def compare(first: Strips, second: Strips, judges: Iterable[str], seed: int) -> dict[str, TwoSample]:
    """The two-sample test by each judge."""
    fewest = min(len(set(first.people)), len(set(second.people)))
    folds = max(2, min(5, fewest))
    outcomes = {}
    for judge in judges:
        sides = [
            feature_table(list(s.signals), FS) if judge == "boosting" else s.signals for s in (first, second)
        ]
        outcomes[judge] = two_sample_auc(
            sides[0], first.people, sides[1], second.people, JUDGES[judge], folds=folds, seed=seed
        )
    return outcomes


def real_versus_real(real: Strips, judges: Iterable[str], seed: int) -> dict[str, dict[str, Any]]:
    """Mean test outcome over random halvings of the real people."""
    people = np.unique(real.people)
    found: dict[str, list[TwoSample]] = {judge: [] for judge in judges}
    for k in range(HALVINGS):
        half = set(np.random.default_rng(seed + k).permutation(people)[: len(people) // 2])
        sides = [[i for i, p in enumerate(real.people) if (p in half) == side] for side in (True, False)]
        for judge, outcome in compare(real.take(sides[0]), real.take(sides[1]), judges, seed + k).items():
            found[judge].append(outcome)
    return {judge: _mean(outcomes) for judge, outcomes in found.items()}


def _mean(outcomes: list[TwoSample]) -> dict[str, Any]:
    """The first outcome with the AUC and its interval averaged over all."""
    means = {key: float(np.mean([getattr(o, key) for o in outcomes])) for key in ("auc", "low", "high")}
    return asdict(outcomes[0]) | means


def one_rhythm(
    rhythm: str,
    real: RealPeople,
    names: list[str],
    folders: dict[str, list[Record]],
    options: argparse.Namespace,
) -> dict[str, Any] | None:
    """All tests of one rhythm, and its plot; None with too few people."""
    people = real.strips(rhythm, options.people, np.random.default_rng(options.seed))
    if people is None:
        return None
    strips, seconds, which = people
    row: dict[str, Any] = {
        "rhythm": rhythm,
        "people": len(set(strips.people)),
        "which": which,
        "records": len(strips),
    }
    row |= {"seconds": seconds, "tests": {"real": real_versus_real(strips, options.judge, options.seed)}}
    row["give_away"] = {}
    table = feature_table(list(strips.signals), FS)
    sides: dict[str, Strips] = {}
    again: dict[str, list[Strips]] = {}
    for name in names:
        try:
            seeds = range(options.seed, options.seed + DRAWS)
            drawn = [generated(name, rhythm, strips, seconds, seed, real) for seed in seeds]
            sides[name], again[name] = drawn[0], drawn[1:]
        except EcgSynthError as error:
            row["tests"][name] = {"refused": str(error)}
    for name, records in folders.items():
        own = from_folder(name, records, rhythm, strips, seconds)
        if own is not None and len(own) >= options.people:
            sides[name] = own
    tables = {name: feature_table(list(side.signals), FS) for name, side in sides.items()}
    for name, side in sides.items():
        found = [
            compare(strips, one, options.judge, options.seed + k)
            for k, one in enumerate([side, *again.get(name, [])])
        ]
        row["tests"][name] = {judge: _mean([one[judge] for one in found]) for judge in options.judge}
        gaps = feature_gaps(table, tables[name], FEATURES)
        row["give_away"][name] = dict(list(gaps.items())[:8])
    signals = {"real": strips.signals, **{name: side.signals for name, side in sides.items()}}
    path = options.out / f"realism_{rhythm}.png"
    plot_distributions(rhythm, {"real": table, **tables}, signals, FS, path)
    return row


def markdown(rows: list[dict[str, Any]]) -> str:
    """AUC with its 95 % interval per rhythm, side and judge."""
    lines = [
        "| rhythm | people | strips | against real people | judge | AUC (95 %) | given away by |",
        "|" + "---|" * 7,
    ]
    for row in rows:
        for name, tests in row["tests"].items():
            who, strips = f"{row['people']} ({row['which']})", f"{row['records']} x {row['seconds']:g} s"
            head = f"| {row['rhythm']} | {who} | {strips} | {name} |"
            if "refused" in tests:
                lines.append(f"{head} - | not offered | |")
                continue
            away = ", ".join(f"{k} {v:.2f}" for k, v in list(row["give_away"].get(name, {}).items())[:3])
            for judge, o in tests.items():
                lines.append(f"{head} {judge} | {o['auc']:.3f} ({o['low']:.3f}-{o['high']:.3f}) | {away} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    parser.add_argument(
        "--split", type=Path, help="split by person; its held-out people are used where enough"
    )
    parser.add_argument("--generator", default="parametric,cvae,cgan", help="comma-separated; empty for none")
    parser.add_argument(
        "--synthetic", action="append", default=[], help="NAME=FOLDER of WFDB records; repeatable"
    )
    parser.add_argument("--rhythm", default="", help="comma-separated; all with enough people by default")
    parser.add_argument("--judge", default="boosting,cnn", help="boosting, cnn or both")
    parser.add_argument("--people", type=int, default=8, help="fewest people of a rhythm")
    parser.add_argument("--per-person", type=int, default=4, help="most strips of one real person")
    parser.add_argument("--most", type=int, default=400, help="most strips of a rhythm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args(arguments)
    options.judge = [name for name in options.judge.split(",") if name]
    if unknown := sorted(set(options.judge) - set(JUDGES)) or not options.judge:
        parser.error(f"--judge: {unknown}; allowed are {', '.join(JUDGES)}")
    if bad := [text for text in options.synthetic if "=" not in text]:
        parser.error(f"--synthetic {bad[0]}: write NAME=FOLDER")
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8")) if options.split else None
    rhythms = [find_rhythm(name).name for name in options.rhythm.split(",") if name] or list(RHYTHMS)
    folders = {}
    for text in options.synthetic:
        name, _, folder = text.partition("=")
        folders[name] = list(open_dataset(Path(folder)))
    options.out.mkdir(parents=True, exist_ok=True)
    real = RealPeople(options.data, split, options.per_person, options.most)
    rows = []
    for rhythm in rhythms:
        row = one_rhythm(rhythm, real, [n for n in options.generator.split(",") if n], folders, options)
        if row is not None:
            rows.append(row)
            print(markdown([row]), file=sys.stderr, flush=True)
    (options.out / "realism.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (options.out / "realism.md").write_text(markdown(rows), encoding="utf-8")
    plot_aucs(rows, options.out / "realism.png")
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

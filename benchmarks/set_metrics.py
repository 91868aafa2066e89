"""Do the metrics of sets order what has an order, and how long do they take?

    python benchmarks/set_metrics.py --data DIR --split split.json [--rhythm nsr,afib] [--out results/]
        [--card ecgsynth/weights/encoder.md]
    python benchmarks/set_metrics.py --speed 2000 [--out results/]

First form: on real people that the encoder has not learned from (``train`` and ``val``), the distance of one
half from the other after faults of growing strength, and all metrics of real people, generators and noise;
``--card`` puts the table of generators into the encoder's card, between its marks. Second form: seconds of
one processor and memory for so many records on either side.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ecgsynth
from ecgsynth.datasets import read_all
from ecgsynth.fidelity.distances import kid
from ecgsynth.fidelity.distribution import METRICS, StripSet, compare_numbers, compare_sets, measure_strips
from ecgsynth.fidelity.encoder import embed
from ecgsynth.fidelity.halves import number_people
from ecgsynth.pack import pack, trainable
from ecgsynth.rhythms import RHYTHMS, find_rhythm
from ecgsynth.split import SplitManifest

FS = 250.0
SECONDS = 10.0
#: Most strips of a set and of one person, so that nobody speaks for all.
MOST, PER_PERSON = 300, 2
GENERATORS = ("cvae", "cgan", "parametric")
#: Rhythms that the distance of another rhythm is taken to.
OTHERS = ("nsr", "sinus_bradycardia", "afib", "aflutter", "bigeminy", "paced", "vt", "vf")

Signals = NDArray[np.float64]


def low_pass(x: Signals, cut: float) -> Signals:
    hz = np.fft.rfftfreq(x.shape[1], 1.0 / FS)
    return np.fft.irfft(np.fft.rfft(x) / (1.0 + (hz / cut) ** 8), x.shape[1])


def noisy(x: Signals, size: float) -> Signals:
    return x + np.random.default_rng(0).normal(0.0, size, x.shape)


def some(x: Signals, share: float, changed: Signals) -> Signals:
    """``changed`` in the place of the first ``share`` of the rows."""
    rows = round(share * len(x))
    return np.concatenate([changed[:rows], x[rows:]])


#: Fault -> its strengths, mildest first, and what it does to signals [records, samples].
FAULTS: dict[str, tuple[tuple[float, ...], Callable[[Signals, float], Signals]]] = {
    "white noise, mV": ((0.01, 0.02, 0.05, 0.1, 0.2, 0.5), noisy),
    "low-pass, Hz": ((40, 30, 20, 12, 8), low_pass),
    "gain up": ((1.1, 1.3, 1.6, 2.0, 3.0), lambda x, g: x * g),
    "gain down": ((0.9, 0.7, 0.5, 0.3), lambda x, g: x * g),
    "share inverted": ((0.05, 0.1, 0.2, 0.5, 1.0), lambda x, s: some(x, s, -x)),
    "share reversed in time": ((0.05, 0.1, 0.2, 0.5, 1.0), lambda x, s: some(x, s, x[:, ::-1])),
    "share noise only": ((0.05, 0.1, 0.2, 0.5, 1.0), lambda x, s: some(x, s, noisy(0 * x, 0.3))),
    "records that all are copies of": ((60, 20, 5, 1), lambda x, m: x[np.arange(len(x)) % int(m)]),
}


class People:
    """Real strips by rhythm of people in some parts of a split."""

    def __init__(self, data: Path, split: SplitManifest, parts: tuple[str, ...]) -> None:
        wanted = {name for part in parts for name in getattr(split, part)}
        arrays = pack((r for r in trainable(read_all(data)) if r.subject in wanted), FS, SECONDS)
        whole = (arrays["episode_start"] <= 0) & (arrays["episode_stop"] >= arrays["signal"].shape[-1])
        self.rhythm, self.people = arrays["rhythm"][whole], arrays["subject"][whole]
        self.signal = arrays["signal"][whole].astype(np.float32)

    def strips(self, rhythm: str, seed: int = 0) -> StripSet | None:
        """At most `MOST` strips, `PER_PERSON` of one person; None for no one."""
        rng = np.random.default_rng(seed)
        seen: dict[str, int] = {}
        rows = []
        for row in rng.permutation(np.flatnonzero(self.rhythm == rhythm)):
            person = str(self.people[row])
            seen[person] = seen.get(person, 0) + 1
            if seen[person] <= PER_PERSON:
                rows.append(row)
        rows = rows[:MOST]
        if not rows:
            return None
        return StripSet(self.signal[rows], FS, ("pooled",), tuple(self.people[rows].tolist()))


def synthetic(generator: str, rhythm: str, n: int) -> StripSet:
    """Strips of a generator, in the leads and sources that it draws by itself."""
    records = ecgsynth.load_generator(generator).sample(rhythm=rhythm, n=n, seed=1, seconds=SECONDS)
    signals = np.stack([record.signal[:1] for record in records])
    return StripSet(signals, FS, ("pooled",), tuple(f"{generator}/{i}" for i in range(n)))


def fault_table(real: StripSet, others: dict[str, StripSet]) -> dict[str, Any]:
    """KID of one half of the people to the other, whole and after each fault; and to other rhythms."""
    owner = number_people(real.people)
    first = np.isin(owner, np.random.default_rng(0).permutation(owner.max() + 1)[: (owner.max() + 1) // 2])
    base, rest = embed(real.signals[first], FS, real.leads), real.signals[~first, 0].astype(np.float64)

    def distance(x: Signals, people: NDArray[np.int64]) -> float:
        z = embed(x[:, None].astype(np.float32), FS, real.leads)
        return round(
            kid(base, number_people(owner[first].tolist()), z, number_people(people.tolist())).value, 4
        )

    table: dict[str, Any] = {"real": distance(rest, owner[~first])}
    for name, (strengths, harm) in FAULTS.items():
        # copies of a few count as people of their own, or there would be none to compare
        people = np.arange(len(rest)) if "copies" in name else owner[~first]
        table[name] = {f"{s:g}": distance(harm(rest, s), people) for s in strengths}
    table["other rhythm"] = {
        name: distance(strips.signals[:, 0].astype(np.float64), number_people(strips.people))
        for name, strips in others.items()
    }
    return table


def order_table(real: StripSet, rhythm: str) -> dict[str, Any]:
    """All metrics of real against real, generators and noise."""
    numbers = measure_strips(real)
    sets = {name: synthetic(name, rhythm, len(real.people)) for name in GENERATORS}
    noise = noisy(real.signals[:, 0].astype(np.float64), 0.2)[:, None].astype(np.float32)
    sets["real + 0.2 mV noise"] = StripSet(noise, FS, real.leads, tuple(f"n{i}" for i in range(len(noise))))
    table: dict[str, Any] = {"people": numbers.people, "records": len(numbers.owner)}
    for name, strips in sets.items():
        found = compare_numbers(numbers, measure_strips(strips), real.leads)
        table["compared"] = found.compared
        for metric, measured in found.metrics.items():
            if not measured.assessable:
                continue
            row = table.setdefault("metrics", {}).setdefault(metric, {})
            row["real"] = [measured.real_value, measured.real_low, measured.real_high]
            row[name] = [measured.value, measured.low, measured.high]
    return table


def speed(n: int) -> dict[str, float]:
    """Processor seconds and peak memory of `compare_sets` on n against n records."""
    sets = []
    for side, seed in (("r", 0), ("s", 1)):
        records = ecgsynth.load_generator("parametric").sample(
            rhythm="nsr", n=min(n, 2000), seed=seed, seconds=SECONDS
        )
        signals = np.stack([record.signal[:1] for record in records])
        rows = np.arange(n) % len(signals)  # more records than that are these again, a little louder
        signals = signals[rows] * (1.0 + 0.01 * (np.arange(n) // len(signals)))[:, None, None]
        sets.append(StripSet(signals.astype(np.float32), FS, ("II",), tuple(f"{side}{i}" for i in range(n))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    wall, cpu = time.perf_counter(), time.process_time()
    compare_sets(*sets, progress=lambda line: print(f"\r{line:60}", end="", file=sys.stderr))
    return {
        "records": n,
        "cpu_s": round(time.process_time() - cpu, 1),
        "wall_s": round(time.perf_counter() - wall, 1),
        "memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "memory_before_gb": round(before, 2),
    }


HEAD = """# Metrics of sets

What the metrics of `ecgsynth.fidelity.distribution` say of sets of known worth: real people of `train` and
`val`, strangers to the encoder, after faults, and beside generators and noise. Made by
`benchmarks/set_metrics.py`.

"""


def markdown(table: dict[str, Any]) -> str:
    """The tables of one rhythm."""
    lines = [
        f"## {table['rhythm']}",
        "",
        "KID to real people after",
        "",
        "| fault | mild to strong |",
        "|---|---|",
    ]
    lines.append(f"| nothing | {table['faults']['real']:.3f} |")
    for name, row in table["faults"].items():
        if isinstance(row, dict):
            lines.append(f"| {name} | {', '.join(f'{k}: {v:.3f}' for k, v in row.items())} |")
    lines += ["", f"{table['order']['compared']} against {table['order']['compared']} records:", ""]
    names = list(next(iter(table["order"]["metrics"].values())))
    lines += [f"| metric | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for metric, row in table["order"]["metrics"].items():
        cells = [f"{v:.2f} ({low:.2f} to {high:.2f})" for v, low, high in row.values()]
        lines.append(f"| {METRICS[metric].title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


#: Lines of the card between which the table of generators stands.
BEGIN, END = "<!-- generators: written by benchmarks/set_metrics.py -->", "<!-- end of generators -->"


def update_card(card: Path, tables: list[dict[str, Any]]) -> None:
    """Put KID of real people, generators and noise into the card, between `BEGIN` and `END`."""
    names = list(tables[0]["order"]["metrics"]["kid"])
    heads = ["real against real" if name == "real" else name for name in names]
    lines = [f"| rhythm | {' | '.join(heads)} |", "|---" * (len(names) + 1) + "|"]
    for table in tables:
        row = table["order"]["metrics"]["kid"]
        cells = (
            f"{v:.2f} ({low:.2f} to {high:.2f})".replace("-0.00", "0.00") for v, low, high in row.values()
        )
        lines.append(f"| {RHYTHMS[table['rhythm']].title} | {' | '.join(cells)} |")
    before, rest = card.read_text(encoding="utf-8").split(BEGIN)
    made = "\n".join(lines)
    card.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="folder with one sub-folder per database")
    parser.add_argument("--split", type=Path, help="split by person (JSON)")
    parser.add_argument("--rhythm", default="nsr,afib")
    parser.add_argument("--speed", type=int, help="only measure time and memory, on so many records a side")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--card", type=Path, help="the encoder's card, to put the table of generators in")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.speed:
        found = speed(options.speed)
        print(json.dumps(found))
        text = json.dumps(found, indent=1) + "\n"
        (options.out / f"set_metrics_speed_{options.speed}.json").write_text(text, encoding="utf-8")
        return 0
    if options.data is None or options.split is None:
        parser.error("--data and --split, or --speed")
    split = SplitManifest.from_json(options.split.read_text(encoding="utf-8"))
    people = People(options.data, split, ("train", "val"))
    others = {name: strips for name in OTHERS if (strips := people.strips(name)) is not None}
    tables = []
    for name in options.rhythm.split(","):
        rhythm = find_rhythm(name).name
        real = people.strips(rhythm)
        if real is None:
            parser.error(f"--rhythm {rhythm}: no one in train or val shows it")
        rest = {other: strips for other, strips in others.items() if other != rhythm}
        tables.append(
            {"rhythm": rhythm, "faults": fault_table(real, rest), "order": order_table(real, rhythm)}
        )
        print(markdown(tables[-1]), flush=True)
    (options.out / "set_metrics.json").write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")
    text = HEAD + "\n".join(map(markdown, tables))
    (options.out / "set_metrics.md").write_text(text, encoding="utf-8")
    if options.card:
        update_card(options.card, tables)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""How long one ten-second record takes: ecgsynth beside deepfake-ecg, NeuroKit2 and physiokit.

    python benchmarks/speed.py --out results/ [--records 200] [--peer-python peers/bin/python]

Every contender runs in its own process with one thread, one after the other, and is asked for the CPU
seconds (user and system) that a record costs once it is loaded, and for the wall seconds until the first
record is there. ``end to end`` rows run the command line, start-up, gate and writing included. A
contender that is not installed is listed as such; nothing is filled in for it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

#: Exit status of a worker whose package is missing.
NOT_INSTALLED = 3
SECONDS = 10.0
#: Import name of a distribution where it differs.
MODULES = {"deepfake-ecg": "deepfakeecg"}


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes
    ----------
    title : str
        As shown.
    package : str
        Distribution whose version is reported.
    leads : int
        Leads per record.
    fs : int
        Samples per second and lead.
    share : float
        Fraction of ``--records`` it is asked for; slow ones are asked for fewer.
    what : str
        What one record's time includes.
    """

    title: str
    package: str
    leads: int
    fs: int
    share: float
    what: str


def _contenders() -> dict[str, Contender]:
    table = {}
    for generator in ("parametric", "cvae", "cgan"):
        for leads in (1, 12):
            name = f"ecgsynth {generator}"
            table[f"{generator}-{leads}"] = Contender(name, "ecgsynth", leads, 250, 1.0, "sampling")
            table[f"{generator}-{leads}-cli"] = Contender(name, "ecgsynth", leads, 250, 1.0, "end to end")
    table["deepfake-8"] = Contender("deepfake-ecg", "deepfake-ecg", 8, 500, 0.25, "sampling")
    table["deepfake-8-files"] = Contender("deepfake-ecg", "deepfake-ecg", 8, 500, 0.25, "end to end")
    table["neurokit2-1"] = Contender("NeuroKit2 ecg_simulate", "neurokit2", 1, 250, 0.25, "sampling")
    table["neurokit2-12"] = Contender("NeuroKit2 ecg_simulate", "neurokit2", 12, 250, 0.25, "sampling")
    table["physiokit-1"] = Contender("physiokit synthesize", "physiokit", 1, 250, 1.0, "sampling")
    table["physiokit-12"] = Contender("physiokit synthesize", "physiokit", 12, 250, 1.0, "sampling")
    return table


CONTENDERS = _contenders()


# --- inside a worker process -------------------------------------------------------------------------


def _ecgsynth(generator: str, leads: int) -> Callable[[int], object]:
    import ecgsynth
    from ecgsynth.records import TWELVE_LEADS

    loaded = ecgsynth.load_generator(generator)
    names = TWELVE_LEADS if leads == 12 else ("I",)

    def sample(n: int) -> object:
        return list(loaded.sample(rhythm="afib", n=n, seed=0, leads=names, seconds=SECONDS))

    return sample


def _deepfake() -> Callable[[int], object]:
    import torch
    from deepfakeecg import Generator
    from deepfakeecg import deepfakeecg as module

    weights = Path(module.__file__).parent / "checkpoints" / "g_stat.pt"
    net = Generator()
    net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True)["stat_dict"])
    net.eval()

    def sample(n: int) -> object:
        with torch.no_grad():
            return [net(torch.rand(1, 8, 5000) * 2 - 1) for _ in range(n)]

    return sample


def _deepfake_files() -> Callable[[int], object]:
    import deepfakeecg

    def sample(n: int) -> object:
        with tempfile.TemporaryDirectory() as folder:
            deepfakeecg.generate(n, folder)
        return n

    return sample


def _neurokit2(leads: int) -> Callable[[int], object]:
    import neurokit2

    method = "multileads" if leads == 12 else "ecgsyn"

    def sample(n: int) -> object:
        return [
            neurokit2.ecg_simulate(duration=int(SECONDS), sampling_rate=250, method=method, random_state=i)
            for i in range(n)
        ]

    return sample


def _physiokit(leads: int) -> Callable[[int], object]:
    from physiokit.ecg.synthesize import synthesize

    def sample(n: int) -> object:
        return [synthesize(signal_length=2500, sample_rate=250, leads=leads) for _ in range(n)]

    return sample


def _loader(key: str) -> Callable[[int], object]:
    name, leads, *rest = key.split("-")
    if name == "deepfake":
        return _deepfake_files() if rest else _deepfake()
    if name == "neurokit2":
        return _neurokit2(int(leads))
    if name == "physiokit":
        return _physiokit(int(leads))
    return _ecgsynth(name, int(leads))


def work(key: str, records: int) -> int:
    """Measure one contender in this process and print its numbers as JSON on the last line."""
    module = MODULES.get(CONTENDERS[key].package, CONTENDERS[key].package)
    if importlib.util.find_spec(module) is None:
        return NOT_INSTALLED
    started = time.perf_counter()
    sample = _loader(key)
    sample(1)
    first = time.perf_counter() - started
    cpu, wall = time.process_time(), time.perf_counter()
    sample(records)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    version = importlib.metadata.version(CONTENDERS[key].package)
    print(
        json.dumps({"cpu_s": cpu / records, "wall_s": wall / records, "first_s": first, "version": version})
    )
    return 0


# --- in the parent -----------------------------------------------------------------------------------


def measure(key: str, records: int, pythons: list[str]) -> dict[str, object]:
    """One row: the contender's description, and its numbers or why there are none."""
    contender = CONTENDERS[key]
    count = max(4, round(records * contender.share))
    row: dict[str, object] = {"key": key, **asdict(contender), "records": count}
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if key.endswith("-cli"):
        return row | _end_to_end(key, count, env)
    for python in pythons:
        done = subprocess.run(
            [python, __file__, "--worker", key, "--records", str(count)],
            capture_output=True,
            text=True,
            env=env,
            check=False,
        )
        if done.returncode == 0:
            return row | {"status": "ok", **json.loads(done.stdout.strip().splitlines()[-1])}
        if done.returncode != NOT_INSTALLED:
            lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
            return row | {"status": f"failed: {lines[-1][:160]}"}
    return row | {"status": "not installed"}


def _end_to_end(key: str, count: int, env: dict[str, str]) -> dict[str, object]:
    """The ``ecgsynth generate`` command: CPU seconds of the command and its workers over its records."""
    generator, leads, _ = key.split("-")
    command = shutil.which(
        "ecgsynth", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    if command is None:
        return {"status": "not installed"}
    with tempfile.TemporaryDirectory() as folder:
        line = [command, "generate", "--rhythm", "afib", "-n", str(count), "--generator", generator]
        line += ["--seed", "0", "--out", str(Path(folder) / "set"), "--workers", "1"]
        line += ["--lead", "12" if leads == "12" else "I"]
        before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(line, capture_output=True, text=True, env=env, check=False)
        wall = time.perf_counter() - wall
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        return {"status": f"failed: {lines[-1][:160]}"}
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    version = importlib.metadata.version("ecgsynth")
    return {"status": "ok", "cpu_s": cpu / count, "wall_s": wall / count, "version": version}


def markdown(rows: list[dict[str, object]]) -> str:
    """The table, fastest first, those without numbers last."""
    lines = [
        "| package | what | leads | fs (Hz) | CPU ms per 10 s record | records/s "
        "| CPU us per lead-second | first record (s) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda r: float(str(r.get("cpu_s", "inf")))):
        head = f"| {row['title']} {row.get('version', '')} | {row['what']} | {row['leads']} | {row['fs']} |"
        if row["status"] != "ok":
            lines.append(f"{head} {row['status']} | | | |")
            continue
        cpu = float(str(row["cpu_s"]))
        per_lead = 1e6 * cpu / (SECONDS * int(str(row["leads"])))
        first = f"{float(str(row['first_s'])):.2f}" if "first_s" in row else "included"
        lines.append(f"{head} {1000 * cpu:.2f} | {1 / cpu:.0f} | {per_lead:.0f} | {first} |")
    return "\n".join(lines) + "\n"


def plot(rows: list[dict[str, object]], path: Path) -> None:
    """Bars of CPU milliseconds per record on a logarithmic scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    done = sorted((r for r in rows if r["status"] == "ok"), key=lambda r: -float(str(r["cpu_s"])))
    values = [1000 * float(str(r["cpu_s"])) for r in done]
    names = [f"{r['title']}, {r['leads']} lead{'s' if r['leads'] != 1 else ''}, {r['what']}" for r in done]
    colours = ["#c0392b" if r["package"] == "ecgsynth" else "#7f8c8d" for r in done]
    figure, axes = plt.subplots(figsize=(9, 0.36 * len(done) + 1.4), layout="constrained")
    axes.barh(names, values, color=colours)
    axes.set_xscale("log")
    axes.set_xlabel("CPU ms per 10 s record, one thread (lower is better)")
    for y, value in enumerate(values):
        axes.text(value * 1.05, y, f"{value:.3g}", va="center", fontsize=8)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> int:
    """Run all contenders, or one as a worker."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--records", type=int, default=200, help="records per contender (slow ones fewer)")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for speed.json, .md, .png")
    parser.add_argument(
        "--peer-python",
        action="append",
        default=[],
        help="another Python to look for the peers in; repeatable",
    )
    parser.add_argument("--only", default="", help="comma-separated keys, such as cvae-1,neurokit2-1")
    parser.add_argument("--worker", choices=sorted(CONTENDERS), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.records < 1:
        parser.error(f"--records is {options.records}; allowed is 1 or more")
    if options.worker:
        return work(options.worker, options.records)
    keys = options.only.split(",") if options.only else list(CONTENDERS)
    unknown = sorted(set(keys) - set(CONTENDERS))
    if unknown:
        parser.error(f"unknown contender {', '.join(unknown)}; known are {', '.join(CONTENDERS)}")
    rows = []
    for key in keys:
        rows.append(measure(key, options.records, [sys.executable, *options.peer_python]))
        print(f"{key}: {rows[-1].get('cpu_s', rows[-1]['status'])}", file=sys.stderr, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "speed.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (options.out / "speed.md").write_text(markdown(rows), encoding="utf-8")
    plot(rows, options.out / "speed.png")
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

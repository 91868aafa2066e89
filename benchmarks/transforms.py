"""How fast strips are transformed, and whether a training step has to wait for them.

    python benchmarks/transforms.py --out results/ [--seconds 8] [--processes 2]

Three measurements on ten-second, twelve-lead strips that the parametric simulator makes:

- the default chain of ``ecgsynth.augment`` on batches, one process and several, each with one thread;
- the same steps, with the same probabilities, one strip at a time in numpy and scipy, as is usual;
- the share of a training step that is spent waiting for the loader, for a small ResNet on a WFDB folder.

Rates are windows per second of wall time, and per second of CPU time, which suffers less from whatever else
the machine is doing.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

STRIP_S = 10.0


def strips(fs: float, n: int) -> Any:
    """Twelve-lead strips [n, 12, samples] in mV."""
    import ecgsynth
    from ecgsynth.records import TWELVE_LEADS

    made = ecgsynth.load_generator("parametric").sample(
        rhythm="afib", n=n, seed=0, leads=TWELVE_LEADS, fs=fs, seconds=STRIP_S
    )
    return np.stack([record.signal for record in made]).astype(np.float32)


# --- the two chains --------------------------------------------------------------------------------------


def batched(fs: float, batch: int, seconds: float) -> dict[str, float]:
    """Windows, and wall and CPU seconds they took, of the default chain."""
    import torch

    from ecgsynth.augment import default_chain
    from ecgsynth.records import TWELVE_LEADS

    torch.set_num_threads(1)
    chain = default_chain(fs, TWELVE_LEADS)
    signal = torch.from_numpy(strips(fs, 32)).repeat(-(-batch // 32), 1, 1)[:batch].contiguous()
    return timed(lambda seed: chain(signal, seed), batch, seconds)


def naive(fs: float, seconds: float) -> dict[str, float]:
    """The same of the chain in numpy, one strip after the other."""
    signal = strips(fs, 32).astype(np.float64)

    def one(seed: int) -> None:
        naive_chain(signal[seed % 32], fs, np.random.default_rng(seed))

    return timed(one, 1, seconds)


def timed(work: Any, windows: int, seconds: float) -> dict[str, float]:
    work(0)
    began, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        work(count)
        count += 1
    return {
        "windows": count * windows,
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
    }


def naive_chain(strip: Any, fs: float, rng: np.random.Generator) -> Any:
    """Shift, warp, gain, dropout, wander, mains, muscle, other device, noise, mask: lead by lead."""
    from scipy.signal import butter, sosfilt, sosfiltfilt

    out = strip.copy()
    leads, n = out.shape
    t = np.arange(n) / fs
    if rng.random() < 0.5:
        out = np.stack([np.interp(t - rng.uniform(-0.5, 0.5), t, lead) for lead in out])
    if rng.random() < 0.3:
        place = t + 0.05 * np.sin(np.pi * t / t[-1]) * rng.standard_normal()
        out = np.stack([np.interp(place, t, lead) for lead in out])
    if rng.random() < 0.5:
        out = out * rng.uniform(0.7, 1.4)
    if rng.random() < 0.1:
        start = rng.integers(n // 2)
        out[rng.integers(leads), start : start + n // 4] = 0
    if rng.random() < 0.5:
        for lead in out:
            for hz in rng.uniform(0.05, 0.5, 5):
                lead += 0.05 * rng.standard_normal() * np.sin(2 * np.pi * hz * t + rng.uniform(0, 6.3))
    if fs > 120 and rng.random() < 0.3:
        for lead in out:
            lead += 0.05 * np.sin(2 * np.pi * 50 * t + rng.uniform(0, 6.3))
    if rng.random() < 0.3:
        sos = butter(2, min(20.0, 0.4 * fs), "highpass", fs=fs, output="sos")
        for lead in out:
            muscle = sosfilt(sos, rng.standard_normal(n))
            lead += muscle * lead.std() / muscle.std() * 10 ** (-rng.uniform(10, 35) / 20)
    if rng.random() < 0.3:
        sos = butter(2, [0.5, min(40.0, 0.45 * fs)], "bandpass", fs=fs, output="sos")
        out = np.stack([np.round(sosfiltfilt(sos, lead) / 0.005) * 0.005 for lead in out])
    if rng.random() < 0.3:
        for lead in out:
            lead += lead.std() * 10 ** (-rng.uniform(15, 40) / 20) * rng.standard_normal(n)
    if rng.random() < 0.2:
        out[rng.random(leads) < 0.3] = 0
    return out


def rate(runs: list[dict[str, float]], processes: int) -> dict[str, float]:
    """Windows per second of wall time and of CPU time, and per second on that many idle cores by CPU time."""
    windows, cpu = sum(run["windows"] for run in runs), sum(run["cpu_s"] for run in runs)
    return {
        "processes": processes,
        "windows_per_s": windows / max(run["wall_s"] for run in runs),
        "windows_per_cpu_s": windows / cpu,
        "share_of_cores_got": cpu / sum(run["wall_s"] for run in runs),
    }


def several(fs: float, batch: int, seconds: float, processes: int) -> dict[str, float]:
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        runs = [pool.submit(batched, fs, batch, seconds) for _ in range(processes)]
        return rate([run.result() for run in runs], processes)


# --- a training step -------------------------------------------------------------------------------------


def waiting(fs: float, workers: int, batch: int, steps: int) -> dict[str, float]:
    """How a training step of a small ResNet spends its time."""
    import torch

    from ecgsynth.augment import StripDataset, TransformedBatches, default_chain
    from ecgsynth.pipeline import GenerateOptions, generate_dataset
    from ecgsynth.records import TWELVE_LEADS

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "strips"
        generate_dataset(
            GenerateOptions(
                rhythm="afib",
                records=256,
                out=out,
                generator="parametric",
                leads=TWELVE_LEADS,
                fs=fs,
                workers=1,
            )
        )
        data = StripDataset(out, seconds=STRIP_S)
        loader = torch.utils.data.DataLoader(
            data,
            batch_size=batch,
            sampler=torch.utils.data.RandomSampler(data, replacement=True, num_samples=steps * batch),
            num_workers=workers,
            collate_fn=TransformedBatches(default_chain(fs, TWELVE_LEADS)),
        )
        net = small_resnet(len(TWELVE_LEADS))
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
        waited = worked = 0.0
        iterator = iter(loader)
        next(iterator)  # starting the workers is not a step
        for _ in range(steps - 1):
            began = time.perf_counter()
            found = next(iterator)
            ready = time.perf_counter()
            loss = torch.nn.functional.cross_entropy(net(found["signal"]), found["label"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            waited, worked = waited + ready - began, worked + time.perf_counter() - ready
    return {
        "workers": workers,
        "batch": batch,
        "step_ms": 1000 * worked / (steps - 1),
        "wait_ms": 1000 * waited / (steps - 1),
        "share_waiting": waited / (waited + worked),
    }


def small_resnet(leads: int) -> Any:
    """Four residual stages of a 1-D ResNet."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before: int, width: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv1d(before, width, 7, 2, 3), nn.BatchNorm1d(width), nn.ReLU(),
                nn.Conv1d(width, width, 7, 1, 3), nn.BatchNorm1d(width),
            )  # fmt: skip
            self.past = nn.Conv1d(before, width, 1, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.body(x) + self.past(x))

    widths = (32, 32, 64, 64, 128)
    blocks = [Block(a, b) for a, b in pairwise(widths)]
    first = nn.Conv1d(leads, widths[0], 15, 2, 7)
    return nn.Sequential(first, *blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(widths[-1], 2))


# --- the page --------------------------------------------------------------------------------------------


def markdown(found: dict[str, Any]) -> str:
    lines = [
        "| chain | fs (Hz) | processes | windows/s | windows per CPU second | share of cores it got |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in found["chains"]:
        lines.append(
            f"| {row['chain']} | {row['fs']:g} | {row['processes']} | {row['windows_per_s']:.0f} | "
            f"{row['windows_per_cpu_s']:.0f} | {row['share_of_cores_got']:.0%} |"
        )
    lines += ["", "| fs (Hz) | loader workers | batch | step (ms) | waiting (ms) | share of time waiting |"]
    lines.append("|---:|---:|---:|---:|---:|---:|")
    for row in found["training"]:
        lines.append(
            f"| {row['fs']:g} | {row['workers']} | {row['batch']} | {row['step_ms']:.1f} | "
            f"{row['wait_ms']:.1f} | {row['share_waiting']:.1%} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for the JSON and the table")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each measurement of a chain")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--fs", default="100,250", help="sampling rates in Hz")
    parser.add_argument("--steps", type=int, default=40, help="training steps to time; 0 leaves them out")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.processes < 1 or options.batch < 1:
        parser.error("--seconds, --processes and --batch must be positive")
    found: dict[str, Any] = {"strip_s": STRIP_S, "leads": 12, "chains": [], "training": []}
    for fs in (float(text) for text in options.fs.split(",")):
        rows = [("default chain, batched", rate([batched(fs, options.batch, options.seconds)], 1))]
        if options.processes > 1:
            shared = several(fs, options.batch, options.seconds, options.processes)
            rows.append(("default chain, batched", shared))
        rows.append(("numpy, one strip at a time", rate([naive(fs, options.seconds)], 1)))
        found["chains"] += [{"chain": name, "fs": fs, **row} for name, row in rows]
        if options.steps > 1:
            found["training"].append({"fs": fs, **waiting(fs, 1, 64, options.steps)})
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "transforms.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (options.out / "transforms.md").write_text(markdown(found), encoding="utf-8")
    print(markdown(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The page and the picture of ``benchmarks/physiology.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from physiology_parts import SOURCE, cut

import ecgsynth
from ecgsynth.datasets import open_dataset

TITLES = {
    "variability": "RR over five minutes of sinus rhythm",
    "heights": "Heights of beats over five minutes of sinus rhythm",
    "t_waves": "T waves and the interval before",
    "fusions": "Fusion and capture beats",
    "paroxysms": "AF that comes and goes (`nsr~afib`, half an hour)",
    "wenckebach": "Wenckebach (second-degree block of the simulator, plans)",
    "noises": "Noise as asked for",
}


def page(found: dict[str, Any]) -> str:
    """Markdown of what has been measured so far."""
    lines = [
        "# Minutes and hours",
        "",
        "Made by `benchmarks/physiology.py`: what strips of ten seconds cannot show. Medians and quartiles",
        "over records of the MIT-BIH Arrhythmia Database (lead MLII) and over records asked for in its",
        "manner. The learned generators learned from most of these people; constants of the heights of beats",
        "and of the T waves were set by hand from them, so that agreement there is a fit, not a finding.",
        f"Weights: {', '.join(f'{k} {v}' for k, v in found['weights'].items())}.",
        "",
        "![Five minutes of heights and intervals; fusion beats; an hour of paroxysms](physiology.png)",
    ]
    for part, title in TITLES.items():
        if part in found:
            lines += ["", f"## {title}", "", *_section(part, found[part])]
    return "\n".join(lines) + "\n"


def _section(part: str, rows: dict[str, Any]) -> list[str]:
    if part == "wenckebach":
        return [f"- {name}: {value}" for name, value in rows.items()]
    if part == "fusions":
        lines = [
            "Correlation with the record's ventricular beat (in brackets quartiles, and how many beats).",
            "Real fusions are of all rhythms: in tachycardia mitdb has three. A quarter of the people with",
            "VT have such beats, one in fifty of theirs (set by hand).",
            "",
            "| | V | F (fusion) | N (conducted, captured) |",
            "|---|---|---|---|",
        ]
        for name, row in rows.items():
            cells = ["{:.2f} ({:.2f} to {:.2f}; {})".format(*row[k]) if k in row else "-" for k in "VFN"]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        return lines
    if part == "noises":
        lines = ["| `--snr`, dB | measured against the clean twin (half of the range) |", "|---:|---|"]
        lines += [f"| {asked} | {mean} ({half}) |" for asked, (mean, half) in rows["ratio"].items()]
        lines += [
            "",
            "| `--noise` | step, uV | power under 0.4 Hz, % | 45 to 100 Hz, ppm |",
            "|---|---:|---:|---:|",
        ]
        return lines + [f"| {k} | {v[0]:g} | {v[1]:g} | {v[2]:g} |" for k, v in rows["machine"].items()]
    names = [name for name in next(iter(rows.values())) if name != "strips"]
    lines = [f"| | strips | {' | '.join(names)} |", "|---|---:|" + "---|" * len(names)]
    for who, row in rows.items():
        cells = ["{:.3g} ({:.3g} to {:.3g})".format(*row[name]) if name in row else "-" for name in names]
        lines.append(f"| {who} | {row['strips']} | {' | '.join(cells)} |")
    return lines


def picture(data: Path, seed: int, path: Path) -> None:
    """Heights in a real and a made five minutes, tachycardia with fusion beats, an hour of paroxysms."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(4, 1, figsize=(12, 9), layout="constrained")
    model = ecgsynth.load_generator("cvae")
    real = next(r for r in open_dataset(data / SOURCE) if r.name == "100")
    made = model.sample("nsr", 1, seed, seconds=300.0, source=SOURCE, leads=("MLII",))[0]
    for axis, record, title in ((axes[0], real, "mitdb 100"), (axes[1], made, "cvae")):
        strip = cut(record, 0, 0, int(300 * record.fs))
        at = np.rint(strip.times * strip.fs).astype(int)
        at = at[(at > 20) & (at < len(strip.signal) - 20)]
        axis.plot(at / strip.fs, np.ptp(strip.signal[at[:, None] + np.arange(-15, 16)], axis=1), lw=0.8)
        axis.set_title(f"{title}: height of QRS, mV", loc="left", fontsize=9)
    tachycardia = model.sample("vt", 40, seed, seconds=20.0, noise="clean")
    mixed = [r for r in tachycardia if r.beats and {"F", "N"} & set(r.beats.symbols)] or tachycardia
    one = max(mixed, key=lambda r: sum(s != "V" for s in r.beats.symbols) if r.beats else 0)
    axes[2].plot(np.arange(one.signal.shape[1]) / one.fs, one.signal[0], lw=0.7, color="#212f3c")
    for sample, symbol in zip(one.beats.samples, one.beats.symbols, strict=True) if one.beats else ():
        axes[2].text(sample / one.fs, one.signal.max(), symbol, fontsize=7, ha="center")
    axes[2].set_title("cvae: tachycardia, fusion (F) and capture beats (N)", loc="left", fontsize=9)
    hour = model.sample("nsr~afib", 1, seed, seconds=3600.0)[0]
    assert hour.beats is not None
    times = hour.beats.samples / hour.fs / 60
    axes[3].plot(times[1:], 1 / np.diff(times), ".", ms=1)
    for e in hour.episodes:
        if e.rhythm == "afib":
            axes[3].axvspan(e.start / hour.fs / 60, e.stop / hour.fs / 60, color="#f5b041", alpha=0.3, lw=0)
    axes[3].set_ylim(30, 200)
    axes[3].set_title("cvae: `nsr~afib`, one hour: rate per minute, AF shaded", loc="left", fontsize=9)
    figure.savefig(path, dpi=90)
    plt.close(figure)

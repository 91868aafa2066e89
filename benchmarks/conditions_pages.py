"""The page and the picture of ``benchmarks/conditions.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conditions_parts import GENERATORS, MEASURES

from ecgsynth.rhythms import RHYTHMS


def page(found: dict[str, Any]) -> str:
    """Markdown of what has been measured so far."""
    parts = [
        ("rates", rates_table),
        ("age_and_sex", shifts_table),
        ("ways", ways_table),
        ("certainty", certainty_table),
        ("noises", noises_table),
    ]
    lines = ["# Conditions that work", ""]
    lines += [
        "Made by `benchmarks/conditions.py`; 95 % intervals in brackets, by resampling records or people."
    ]
    lines += [f"Weights: {', '.join(f'{k} {v}' for k, v in found['weights'].items())}.", ""]
    if found.get("earlier"):
        lines += [
            f"Not measured again since the last refit of noise and RR: {', '.join(found['earlier'])}.",
            "",
        ]
    for name, table in parts:
        if name in found:
            lines += [*table(found[name]), ""]
    return "\n".join(lines)


def said(values: list[float] | None, digits: int = 2) -> str:
    if values is None:
        return "-"
    middle, low, high = (f"{v:.{digits}f}" for v in values)
    return f"{middle} ({low} to {high})"


def rates_table(rows: dict[str, Any]) -> list[str]:
    lines = [
        "## Heart rate asked and delivered",
        "",
        "Mean absolute error in beats/min against the rate asked for, in records of 20 s; three rates per",
        "rhythm, three records each, parametric / cVAE / cGAN (intervals in the JSON). Annotations: of the",
        "records' own marks. Then of what is found in the signal: by the package's detector (the gate's),",
        "by PhysioNet's XQRS, and, in regular rhythms, by the signal's period, without looking for beats.",
        "Real: the same on parts of real strips in the rhythm against the marks of cardiologists; a",
        "detector that is wrong there is wrong here. Clean: the cVAE's records by `--noise clean`.",
        "",
        "| rhythm | asked | annotations | our detector | real | clean "
        "| XQRS | real | clean | period | clean |",
        "|---|---|---|---|---:|---:|---|---:|---:|---|---:|",
    ]
    for name, row in rows.items():
        cells = [", ".join(f"{v:g}" for v in row["asked"])]
        cells += [" / ".join("-" if not row[g] else f"{row[g]['marks'][0]:.2f}" for g in GENERATORS)]
        for way in ("ours", "xqrs", "period"):
            cells += [" / ".join(_first(row[g] and row[g]["as recorded"], way) for g in GENERATORS)]
            cells += [_first(row["real"], way)] if way != "period" else []
            cells += [_first(row["cvae"] and row["cvae"]["clean"], way)]
        lines.append(f"| {RHYTHMS[name].title} | {' | '.join(cells)} |")
    return lines


def _first(errors: dict[str, Any] | None, way: str) -> str:
    return f"{errors[way][0]:.2f}" if errors and errors[way] else "-"


def shifts_table(rows: dict[str, Any]) -> list[str]:
    lines = [
        "## Age and sex",
        "",
        "Sinus rhythm of PTB-XL, twelve leads, one strip a person, beside 24 records asked for of each",
        "sex at 25, 40, 55, 70 and 85 years. Least squares on both at once; intervals by resampling people.",
        "Real people: those that the weights learned from, those held out, and all.",
        "",
    ]
    for kind, title in (("women_less_men", "Women less men"), ("per_ten_years", "Per ten years of age")):
        lines += [
            f"{title}:",
            "",
            "| | " + " | ".join(MEASURES.values()) + " |",
            "|---|" + "---|" * len(MEASURES),
        ]
        for who, row in rows.items():
            count = max(row[m]["people"] for m in MEASURES)
            cells = [said(row[m][kind], 1 if m.endswith("ms") else 3) for m in MEASURES]
            lines.append(f"| {who} ({count}) | {' | '.join(cells)} |")
        lines.append("")
    return lines[:-1]


def ways_table(rows: dict[str, Any]) -> list[str]:
    lines = [
        "## From one rhythm or person to another",
        "",
        "`ecgsynth.interpolation.interpolate`, nine steps, five people. Pass: share of records that pass",
        "the gate as either end's rhythm, at the ends, at the least good step and over all. Order: rank",
        "correlation of the feature with the way gone. Largest step: median over people of the largest",
        "step's share of the way (0.125 if even).",
        "",
        "![Features along the ways, and what the VAE's intervals hold](conditions.png)",
        "",
        "| way | feature, from start to end | order | pass at ends | least | all | largest step |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for name, row in rows.items():
        passed = list(row["pass"].values())
        feature = " ".join(f"{v:.3g}" for v in row["feature"][::2])
        ends, mean = (passed[0] + passed[-1]) / 2, sum(passed) / len(passed)
        lines.append(
            f"| {name} | {feature} | {said(row['spearman'])} | {ends:.2f} | {min(passed):.2f} | {mean:.2f} "
            f"| {row['largest_step']:.3f} |"
        )
    return lines


def certainty_table(row: dict[str, Any]) -> list[str]:
    lines = [
        "## How sure the VAE is",
        "",
        "The middle beat of the second half of a strip, foreseen from the first half",
        "(`ecgsynth.training.uncertainty`): 24 latents of the posterior, decoded with noise.",
        f"{row['people']['test']} people held out from training ({row['strips']['test']} strips). Share of",
        "the beat's samples within the interval that should hold so many, as it is; with all spreads times",
        f"{row['factor']:g}, fitted at 80 % on {row['people']['val']} other people; and with a factor of",
        "each level's own. Those other people (val) are among the ones that the weights learned from. Rank",
        f"correlation of error and spread over strips: {row['error_and_spread']:.2f}.",
        "",
        "| should hold | as it is | one factor | own factor |",
        "|---:|---|---|---|",
    ]
    for level in ("0.5", "0.8", "0.95"):
        own = row[level]
        cells = [said(own[k]) for k in ("as it is", "one factor", "own factor")]
        lines.append(
            f"| {float(level):.0%} | {cells[0]} | {cells[1]} | {cells[2]} (x {own['its factor']:g}) |"
        )
    return lines


def noises_table(rows: dict[str, Any]) -> list[str]:
    names = list(next(iter(rows.values())))
    lines = [
        "## What the gate makes of noise",
        "",
        "Share of draws of `cvae` that pass the gate under `--noise` and `--snr`; others are drawn again.",
        "",
        "| rhythm | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    for rhythm, row in rows.items():
        lines.append(f"| {RHYTHMS[rhythm].title} | " + " | ".join(f"{row[n]:.2f}" for n in names) + " |")
    return lines


def picture(found: dict[str, Any], path: Path) -> None:
    """Features along the ways, and coverage of the VAE's intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    if "ways" not in found or "certainty" not in found:
        return
    rows = {k: v for k, v in found["ways"].items() if v["spearman"]}
    titles = list(dict.fromkeys(k.split(": ")[1] for k in rows))
    size = (3.2 * (len(titles) + 1), 3.2)
    figure, axes = plt.subplots(1, len(titles) + 1, figsize=size, layout="constrained")
    for axis, title in zip(axes, titles, strict=False):
        for name, row in rows.items():
            generator, way = name.split(": ")
            if way == title:
                shares = [float(s) for s in row["pass"]]
                axis.plot(shares, row["feature"], marker="o", ms=4, label=generator)
        axis.set_title(title.replace(", ", "\n"), fontsize=9)
        axis.set_xlabel("way gone", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    levels = [0.5, 0.8, 0.95]
    for name in ("as it is", "one factor"):
        values = [found["certainty"][f"{level:g}"][name][0] for level in levels]
        axes[-1].plot(levels, values, marker="o", ms=4, label=name)
    axes[-1].plot([0.4, 1], [0.4, 1], color="0.7", lw=1)
    axes[-1].set_title("interval of the VAE:\nshould hold, holds", fontsize=9)
    axes[-1].legend(frameon=False, fontsize=8)
    axes[-1].spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)

"""The judge's results as a page of Markdown and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: What is asked of each fault: share found.
BAR = {"splice": 0.80, "reversed": 0.80}
HARD = 0.95
#: Share of sets with an alarm from which on a fault is noticed, and that on sound sets which is too many.
NOTICED, UNSURE = 0.8, 0.2


def write_report(result: Mapping[str, Any], groups: Sequence[str]) -> str:
    """The whole page."""
    faults = result["faults"]
    lines = [
        "# Judging the judge",
        "",
        "Faults planted in strips of people whom the record gate was not fitted on (test of "
        f"`split.json`), {result['seeds']} times each; {result['per_person']} strips per person and rhythm, "
        "as recorded and one lead alone. Shares of strips turned down in %, every person weighing the same, "
        "with 95 % intervals from resampling people. *own*: share in which the check made for the fault is "
        "among the reasons. Made by `benchmarks/judge.py`.",
        "",
        "## Sound strips",
        "",
        "| rhythm | people | strips | pass | 95 % |",
        "|---|---:|---:|---:|---|",
    ]
    sound = faults["sound"]
    for name, row in (("all", sound["all"]), *sound["rhythms"].items()):
        passed = f"{100 * (1 - row['by_person']):.1f}"
        lines.append(
            f"| {name} | {row['people']} | {row['records']} | {passed} | "
            f"{100 * (1 - row['high']):.1f} to {100 * (1 - row['low']):.1f} |"
        )
    lines += ["", _reasons(sound), "", "## Faults", ""]
    lines.append(f"| fault | bar | found | 95 % | own | {' | '.join(groups)} | twelve leads | people |")
    lines.append("|---|---:|---:|---|---:|" + "---:|" * (len(groups) + 2))
    for name, row in faults.items():
        if name == "sound":
            continue
        every = row["all"]
        cells = [_percent(row["groups"].get(group)) for group in groups]
        lines.append(
            f"| {row['title']} | {100 * BAR.get(name, HARD):.0f} | **{100 * every['by_person']:.1f}** "
            f"| {100 * every['low']:.1f} to {100 * every['high']:.1f} | {100 * row['own']:.0f} "
            f"| {' | '.join(cells)} | {_percent(row['twelve'])} | {every['people']} |"
        )
    for rhythm, sets in result.get("sets", {}).items():
        lines += _sets(rhythm, sets)
    return "\n".join(lines) + "\n"


def _reasons(row: Mapping[str, Any]) -> str:
    return "Turned down for: " + (", ".join(f"{k} {v}" for k, v in row["reasons"].items()) or "nothing") + "."


def _percent(row: Mapping[str, Any] | None) -> str:
    return f"{100 * row['by_person']:.1f}" if row else ""


def _sets(rhythm: str, sets: Mapping[str, Any]) -> list[str]:
    """Smallest share of faulty records that each judge notices; of a family of metrics the best counts."""
    levels = sets["levels"]
    families: dict[str, list[str]] = {}
    noisy = []
    for title, rows in sets["power"].items():
        if max(row[0] for row in rows.values()) >= UNSURE:
            noisy.append(title)
        else:
            families.setdefault(title.split(":")[0], []).append(title)
    columns = {
        (titles[0] if len(titles) == 1 else f"{family}, best of {len(titles)}"): titles
        for family, titles in families.items()
    }
    lines = [
        "",
        f"## Sets of {rhythm}, beside other judges",
        "",
        f"Four fifths of {sets['size']} strips, one lead and one strip each of as many people, against as "
        f"many of others ({sets['people']} people in all, unknown to the verification encoder). A judge "
        "raises the alarm where its score is worse than that of 95 % of sets without a fault. Told is the "
        f"smallest share of faulty records, in %, from which on at least {100 * NOTICED:.0f} % of "
        f"{sets['draws']} sets (ECGEN-Eval: {sets['peer_draws']}) raise it; a dash where none does. Judges "
        "of sets get strips with gaps bridged. All shares and metrics are in `judge.json`.",
        "",
    ]
    if sets.get("note"):
        lines += [sets["note"], ""]
    if noisy:
        lines += [f"Left out, as they raise the alarm on sound sets too: {', '.join(noisy)}.", ""]
    lines += ["| fault | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for fault in next(iter(sets["power"].values())):
        cells = [
            min((_noticed(sets["power"][title][fault], levels) for title in titles), default=np.inf)
            for titles in columns.values()
        ]
        shown = " | ".join("-" if cell == np.inf else f"{100 * cell:g}" for cell in cells)
        lines.append(f"| {sets['titles'].get(fault, fault)} | {shown} |")
    return lines


def _noticed(row: Sequence[float], levels: Sequence[float]) -> float:
    """Smallest level from which on alarms are frequent; infinite if there is none."""
    found = np.inf
    for level, share in zip(reversed(levels[1:]), reversed(row[1:]), strict=True):
        if share < NOTICED:
            break
        found = level
    return float(found)


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Share found per fault with its interval, beside the bar, and the sound strips turned down."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [(name, row) for name, row in result["faults"].items() if name != "sound"]
    rows.sort(key=lambda item: item[1]["all"]["by_person"])
    figure, axes = plt.subplots(figsize=(8.5, 0.34 * len(rows) + 1.6), layout="constrained")
    at = np.arange(len(rows))
    for y, (name, row) in zip(at, rows, strict=True):
        every = row["all"]
        bar = BAR.get(name, HARD)
        colour = "#1b7f5c" if every["by_person"] >= bar else "#c05a1c"
        axes.barh(y, 100 * every["by_person"], color=colour, alpha=0.85, height=0.62)
        axes.plot([100 * every["low"], 100 * every["high"]], [y, y], color="black", lw=1.2)
        axes.plot([100 * bar] * 2, [y - 0.4, y + 0.4], color="black", lw=1.6, ls=":")
        axes.text(
            1.5, y, f"{100 * every['by_person']:.1f}", va="center", color="white", fontsize=8, weight="bold"
        )
    axes.set_yticks(at, [row["title"] for _, row in rows], fontsize=9)
    axes.set_xlim(0, 101)
    axes.set_xlabel("strips turned down, % (line: 95 % interval over people; dots: the bar)")
    sound = result["faults"]["sound"]["all"]
    lost = f"{100 * sound['by_person']:.1f} %"
    axes.set_title(f"Planted faults found by the record gate; of sound strips it refuses {lost}", fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)

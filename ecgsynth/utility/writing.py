"""The findings of a study as JSON, tables and the curve over the ratio."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ecgsynth.utility.arms import ARMS
from ecgsynth.utility.study import Study

Line = Mapping[str, Any]


def write_results(out: Path, study: Study, results: Line) -> None:
    """Write ``utility.json``, ``utility.md`` and ``utility.png``; the same cells give the same bytes."""
    (out / "utility.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (out / "utility.md").write_text(markdown(study, results), encoding="utf-8")
    plot_curve(study, results, out / "utility.png")


def name_of(arm: str, generator: str) -> str:
    """An arm as tables call it."""
    title = ARMS[arm].title
    return title.replace("synthetic", f"`{generator}`", 1) if generator else title


def markdown(study: Study, results: Line) -> str:
    """All tables."""
    lines = [f"## {study.title}", "", _setting(study), ""]
    for test, about in results["tests"].items():
        lines += [
            f"### Tested on {test}: {about['positives']} people with it, {about['negatives']} without",
            "",
            f"AUPRC (95 %, resampling people; chance {about['chance']:.2f}), mean over seeds.",
            "",
            *_table(study, [row for row in results["rows"] if row["test"] == test], results),
            "",
        ]
    lines += ["### What may be said", "", *_claims(results), "", *_details(results), ""]
    lines += _groups(results["groups"])
    lines += _robustness(results["robustness"])
    return "\n".join(lines).rstrip() + "\n"


def _setting(study: Study) -> str:
    return (
        f"Trained on {', '.join(study.sources)}; {study.steps} steps of {study.batch} strips of "
        f"{study.seconds:g} s at {study.fs:g} Hz for every arm; {study.seeds} seeds "
        f"({study.sweep_seeds} for ratios that were not chosen and for controls)."
    )


def _chosen(results: Line) -> set[tuple[str, int, float]]:
    return {(c["generator"], c["people"], c["ratio"]) for c in results["chosen_ratios"]}


def shown_rows(rows: Iterable[Line], results: Line) -> list[Line]:
    """Rows at the chosen ratio."""
    chosen = _chosen(results)
    return [
        row
        for row in rows
        if not ARMS[row["arm"]].swept or (row["generator"], row["people"], row["ratio"]) in chosen
    ]


def _table(study: Study, rows: list[Line], results: Line) -> list[str]:
    shown = shown_rows(rows, results)
    keys = list(dict.fromkeys((row["arm"], row["generator"]) for row in shown))
    keys.sort(key=lambda key: (list(ARMS).index(key[0]), key[1] != "parametric", key[1]))
    regimes = [k for k in (*study.people, 0) if any(row["people"] == k for row in shown)]
    heads = [f"{k} people" if k else "no limit" for k in regimes]
    fewest = study.people[0]
    lines = [
        f"| arm | {' | '.join(heads)} | sens. at 95 % spec. | F1 | spec. | ECE |",
        "|" + "---|" * (len(heads) + 5),
    ]
    for arm, generator in keys:
        own = {row["people"]: row for row in shown if (row["arm"], row["generator"]) == (arm, generator)}
        cells = [_cell(own.get(k)) for k in regimes]
        row = own.get(fewest) or own.get(0)
        rest = (
            [f"{row[name]:.2f}" for name in ("sensitivity_at_95", "f1", "specificity", "ece")]
            if row
            else ["-"] * 4
        )
        lines.append(f"| {name_of(arm, generator)} | {' | '.join([*cells, *rest])} |")
    lines += [
        "",
        f"Last four columns: {fewest} people where limited, at the threshold of validation people.",
    ]
    return lines


def _cell(row: Line | None) -> str:
    if row is None:
        return ""
    ratio = f", x{row['ratio']:g}" if row["ratio"] and ARMS[row["arm"]].real else ""
    return f"{row['auprc']:.3f} ({row['low']:.3f}-{row['high']:.3f}{ratio})"


def _said(line: Line) -> str:
    return (
        f"{line['mean']:+.3f} ({line['low']:+.3f} to {line['high']:+.3f}; smallest effect that can be shown "
        f"{line['smallest']:.3f}; {line['seeds_better']} of {line['seeds']} seeds)"
    )


def _claims(results: Line) -> list[str]:
    lines = []
    for line in results["comparisons"]:
        names = [name_of(line[at]["arm"], line[at]["generator"]) for at in ("first", "second")]
        if line["best_rival"]:
            lines.append(
                f"- {line['test']}, {line['people']} people: {names[0]} beside {names[1]}, the best of the "
                f"rivals: **{line['words']}**, "
                f"{_said(line)}, Holm p {line['p_holm']:.3f}."
            )
        elif "share_of_real" in line:
            lines.append(
                f"- {line['test']}: {names[0]} reaches {line['share_of_real']:.0%} of "
                f"training on all real people, {_said(line)}."
            )
    return lines


def _details(results: Line) -> list[str]:
    lines = [
        "Best learned arm (chosen on validation people) beside every other, difference of AUPRC:",
        "",
        "| test | people | arm | beside | difference (95 %) | can show | |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in results["comparisons"]:
        if "share_of_real" in line:
            continue
        first, second = (name_of(line[at]["arm"], line[at]["generator"]) for at in ("first", "second"))
        lines.append(
            f"| {line['test']} | {line['people']} | {first} | {second} | {line['mean']:+.3f} "
            f"({line['low']:+.3f} to {line['high']:+.3f}) | {line['smallest']:.3f} | {line['words']} |"
        )
    return lines


def _groups(groups: list[Line]) -> list[str]:
    if not groups:
        return []
    lines = [
        "### By age and sex",
        "",
        "| test | group | people | arm | AUPRC (95 %) |",
        "|---|---|---|---|---|",
    ]
    for row in groups:
        who = f"{row['group']} ({row['positives']}/{row['negatives']})"
        value = f"{row['auprc']:.3f} ({row['low']:.3f}-{row['high']:.3f})"
        lines.append(
            f"| {row['test']} | {who} | {row['people']} | {name_of(row['arm'], row['generator'])} | {value} |"
        )
    return [*lines, ""]


def _robustness(rows: list[Line]) -> list[str]:
    if not rows:
        return []
    troubles = list(dict.fromkeys(row["trouble"] for row in rows))
    lines = [
        "### Disturbed",
        "",
        f"| arm | people | {' | '.join(troubles)} |",
        "|" + "---|" * (len(troubles) + 2),
    ]
    keys = list(dict.fromkeys((r["arm"], r["generator"], r["people"], r["ratio"]) for r in rows))
    for key in keys:
        own = {
            r["trouble"]: r["auprc"]
            for r in rows
            if (r["arm"], r["generator"], r["people"], r["ratio"]) == key
        }
        ratio = f", x{key[3]:g}" if key[3] else ""
        values = " | ".join(f"{own[t]:.3f}" for t in troubles)
        lines.append(f"| {name_of(key[0], key[1])}{ratio} | {key[2]} | {values} |")
    return [*lines, ""]


def plot_curve(study: Study, results: Line, path: Path) -> None:
    """AUPRC over the ratio, one panel per number of people, on the first test set."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    test = next(iter(study.tests))
    rows = [row for row in results["rows"] if row["test"] == test]
    figure = Figure(figsize=(3.4 * len(study.people) + 1.6, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(study.people), squeeze=False, sharey=True)[0]
    colours = dict(
        zip(study.generators, ("#7f7f7f", "#1f77b4", "#d62728", "#2ca02c", "#9467bd"), strict=False)
    )
    for axis, people in zip(axes, study.people, strict=True):
        start = next((r for r in rows if r["arm"] == "oversampling" and r["people"] == people), None)
        for generator, colour in colours.items():
            own = sorted(
                (r["ratio"], r["auprc"], r["low"], r["high"])
                for r in rows
                if ARMS[r["arm"]].swept and r["people"] == people and r["generator"] == generator
            )
            if start is not None:
                own = [(0.0, start["auprc"], start["low"], start["high"]), *own]
            x = range(len(own))
            axis.plot(x, [o[1] for o in own], "o-", color=colour, label=generator)
            axis.fill_between(x, [o[2] for o in own], [o[3] for o in own], color=colour, alpha=0.12)
            axis.set_xticks(list(x), [f"{o[0]:g}" for o in own])
        for arm, style in (("classical", "--"), ("everyone", ":")):
            line = next((r for r in rows if r["arm"] == arm and r["people"] in (people, 0)), None)
            if line is not None:
                axis.axhline(
                    line["auprc"], color="black", linestyle=style, linewidth=1, label=ARMS[arm].title
                )
        axis.set_title(f"{people} people with the rhythm", fontsize=10)
        axis.set_xlabel("synthetic strips per real one")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(f"AUPRC on {test}")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})

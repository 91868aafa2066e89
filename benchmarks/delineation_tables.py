"""Tables and plot of the delineation benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: Sensitivity and PPV in per cent, and SD of onsets and offsets in ms, that the best publications report for
#: QTDB, the target that was set; Martinez et al. 2004 and most others give the mean SD within recordings.
PUBLISHED = {"p": (98.9, 97.9, 16), "qrs": (99.8, 99.2, 14), "t": (98.7, 95.9, 26)}
WAVE_TITLES = {"p": "P", "qrs": "QRS", "t": "T"}
COLOURS = {"ecgsynth": "#c0392b", "neurokit2": "#2471a3", "wfdb": "#7f8c8d"}


def markdown(result: dict[str, Any]) -> str:
    """All tables."""
    versions = ", ".join(f"{result['titles'][name]} {v}" for name, v in result["versions"].items())
    lines = [
        "# Delineation against human marks",
        "",
        f"Made by `benchmarks/delineation.py`: {versions}. Only people that nothing was tuned on. A wave is "
        "found if its peak is within 150 ms of the marked one; 95 % intervals by resampling people. Errors "
        "are found less marked, in ms; *SD* over all beats of all people, *SD within* the mean over "
        "recordings of the SD within each, which leaves out what reader and program differ by in a person "
        "throughout.",
    ]
    for protocol, rows in result["protocols"].items():
        lines += [
            "",
            f"## {protocol}",
            "",
            *_found_table(rows, result["titles"]),
            "",
            *_edge_table(rows, result["titles"]),
        ]
    lines += ["", "Published best on QTDB: " + "; ".join(
        f"{WAVE_TITLES[w]} {se}/{ppv} %, SD {sd} ms" for w, (se, ppv, sd) in PUBLISHED.items()
    ) + "."]  # fmt: skip
    lines += ["", "## Beats with a P wave (%)", "", *_share_table(result)]
    if "median_beat" in result:
        lines += ["", "## Median beat: interval less the median marked one, LUDB, every lead (ms)", ""]
        lines += ["| interval | leads | mean | SD |", "|---|---|---|---|"]
        names = {"p_ms": "P", "pr_ms": "PR", "qrs_ms": "QRS", "qt_ms": "QT"}
        lines += [
            f"| {names[k]} | {v['n']} | {v['mean']} | {v['sd']} |" for k, v in result["median_beat"].items()
        ]
    lines += ["", "## Ten-second records per CPU second, one thread, R-peak search included", ""]
    lines += ["| method | records/s |", "|---|---|"]
    lines += [
        f"| {result['titles'][name]}, lead by lead | {v} |" for name, v in result["per_cpu_second"].items()
    ]
    batch = result.get("batch_per_cpu_second", {})
    lines += [f"| ecgsynth, many at once, {name} | {v} |" for name, v in batch.items()]
    failed = {result["titles"][name]: n for name, n in result["failed_leads"].items() if n}
    if failed:
        lines += ["", "Leads in which a method raised an error (no waves found there): "
                  + ", ".join(f"{name} {n}" for name, n in failed.items()) + "."]  # fmt: skip
    return "\n".join(lines) + "\n"


def _with_interval(value: list[float]) -> str:
    return f"{value[0]:.1f} ({value[1]:.1f}-{value[2]:.1f})"


def _found_table(rows: dict[str, Any], titles: dict[str, str]) -> list[str]:
    head = "| method | people | " + " | ".join(f"{t} Se % | {t} PPV %" for t in WAVE_TITLES.values()) + " |"
    lines = [head, "|" + "---|" * (2 + 2 * len(WAVE_TITLES))]
    for method, row in rows.items():
        cells = []
        for wave in WAVE_TITLES:
            there = row[wave]["found"] > 0
            cells += [_with_interval(row[wave][kind]) if there else "-" for kind in ("se", "ppv")]
        lines.append(f"| {titles[method]} | {row['people']} | " + " | ".join(cells) + " |")
    return lines


def _edge_table(rows: dict[str, Any], titles: dict[str, str]) -> list[str]:
    edges = [(wave, edge) for wave in WAVE_TITLES for edge in ("on", "peak", "off")]
    head = " | ".join(f"{WAVE_TITLES[wave]} {edge}" for wave, edge in edges)
    lines = [f"| method | error | {head} |", "|" + "---|" * (2 + len(edges))]
    for method, row in rows.items():
        for kind, title in (("mean", "mean"), ("sd", "SD"), ("sd_within", "SD within")):
            cells = [str(row[wave]["edges"].get(edge, {}).get(kind, "-")) for wave, edge in edges]
            lines.append(f"| {titles[method]} | {title} | " + " | ".join(cells) + " |")
    return lines


def _share_table(result: dict[str, Any]) -> list[str]:
    methods = [name for name in result["titles"] if name != "wfdb"]
    head = " | ".join(result["titles"][name] for name in methods)
    lines = [f"| rhythm | database | people | beats | {head} |", "|" + "---|" * (4 + len(methods))]
    for rhythm, title in (("afib", "AF"), ("nsr", "Sinus")):
        databases = result["p_share"].get(rhythm, {})
        for database, row in databases.items():
            some = next(iter(row.values()))
            cells = [_with_interval(row[name]["share"]) if name in row else "-" for name in methods]
            start = f"| {title} | {database} | {some['people']} | {some['beats']} | "
            lines.append(start + " | ".join(cells) + " |")
        single = [row for database, row in databases.items() if database != "LUDB, 12 leads"]
        if single:
            cells = [f"{_pooled_share(single, name):.1f}" for name in methods]
            lines.append(f"| {title} | all, lead by lead | | | " + " | ".join(cells) + " |")
    return lines


def _pooled_share(rows: list[dict[str, Any]], method: str) -> float:
    """Share over the beats of all databases."""
    beats = sum(row[method]["beats"] for row in rows)
    return float(sum(row[method]["share"][0] * row[method]["beats"] for row in rows) / max(1, beats))


def plot(result: dict[str, Any], path: Path) -> None:
    """SD of the edges per database and method, and share of beats with a P wave."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = [p for p in ("LUDB, lead by lead", "QTDB, better lead") if p in result["protocols"]]
    figure, axes = plt.subplots(
        1, len(shown) + 1, figsize=(6 * (len(shown) + 1), 4.6), layout="constrained", squeeze=False
    )
    for axis, protocol in zip(axes[0], shown, strict=False):
        _plot_edges(axis, result, protocol)
    _plot_shares(axes[0, -1], result)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _plot_edges(axis: Any, result: dict[str, Any], protocol: str) -> None:
    """Bars: SD over all beats; line across each bar: mean SD within recordings; dashes: published best."""
    edges = [(wave, edge) for wave in WAVE_TITLES for edge in ("on", "off")]
    rows = {m: row for m, row in result["protocols"][protocol].items() if m != "wfdb"}
    width = 0.8 / max(1, len(rows))
    for i, (method, row) in enumerate(rows.items()):
        for k, (wave, edge) in enumerate(edges):
            values = row[wave]["edges"].get(edge)
            if values is None:
                continue
            x = k + (i - (len(rows) - 1) / 2) * width
            label = result["titles"][method] if k == 0 else None
            axis.bar(x, values["sd"], width * 0.92, color=COLOURS[method], label=label)
            axis.hlines(values["sd_within"], x - width / 2.2, x + width / 2.2, color="white", lw=2)
    for k, wave in enumerate(WAVE_TITLES):
        label = "best published" if k == 0 else None
        axis.hlines(PUBLISHED[wave][2], 2 * k - 0.5, 2 * k + 1.5, color="black", ls="--", lw=1, label=label)
    axis.set_xticks(range(len(edges)), [f"{WAVE_TITLES[w]} {e}" for w, e in edges])
    axis.set_title(
        f"{protocol}: SD of the error (ms)\nbar: all beats; white line: within recordings", fontsize=10
    )
    axis.spines[["top", "right"]].set_visible(False)


def _plot_shares(axis: Any, result: dict[str, Any]) -> None:
    """Share of beats with a P wave with its interval, per rhythm, database and method."""
    labels = []
    for rhythm, title in (("nsr", "sinus"), ("afib", "AF")):
        for database, row in result["p_share"].get(rhythm, {}).items():
            y = len(labels)
            for i, (method, values) in enumerate(row.items()):
                share, low, high = values["share"]
                axis.errorbar(
                    share,
                    y + 0.15 * i,
                    xerr=[[share - low], [high - share]],
                    fmt="o",
                    ms=5,
                    color=COLOURS[method],
                )
            labels.append(f"{title}\n{database}")
    axis.axvline(10, color="black", ls="--", lw=1)
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.set_xlim(0, 101)
    axis.set_title("Beats with a P wave (%)\ndashes: at most 10 % in AF is aimed at", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)

"""Plots of the realism benchmark: distributions of synthetic over real strips, and AUCs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.features import FEATURES

Array = NDArray[np.float64]

#: Panels: title, feature, and factor or function to what is shown.
PANELS = (
    ("RR, median (ms)", "rate"),
    ("RR irregularity, nRMSSD", "nrmssd"),
    ("P peak to R (ms)", "p_at_ms"),
    ("P wave repeats (share)", "p_share"),
    ("QRS, steep part (ms)", "qrs_ms"),
    ("R to T end, estimated (ms)", "qt_ms"),
    ("QRS peak to peak (mV)", "qrs_span"),
    ("T height (mV)", "t_height"),
    ("QRS height, CV over beats", "qrs_cv"),
)
COLOURS = {"real": "#9aa5ab", "parametric": "#2471a3", "cvae": "#c0392b", "cgan": "#e08e0b"}
SPARE = ("#117a65", "#7d3c98", "#212f3c")


def colour(name: str, k: int) -> str:
    """Colour of a side; folders take the spare ones in turn."""
    return COLOURS.get(name, SPARE[k % len(SPARE)])


def _panel_values(table: Array, feature: str) -> Array:
    values = table[:, FEATURES.index(feature)]
    values = values[np.isfinite(values)]
    if feature == "rate":
        return 60000.0 / np.maximum(values, 1.0)
    return -values if feature == "p_at_ms" else values


def plot_distributions(
    rhythm: str, tables: dict[str, Array], signals: dict[str, Array], fs: float, path: Path
) -> None:
    """Histograms of intervals and amplitudes and the mean spectrum, synthetic lines over real areas."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 5, figsize=(17, 6), layout="constrained")
    for axis, (title, feature) in zip(axes.flat, PANELS, strict=False):
        values = {name: _panel_values(table, feature) for name, table in tables.items()}
        known = [v for v in values.values() if len(v)]
        axis.set_title(title, fontsize=9)
        axis.set_yticks([])
        if not known:
            axis.text(0.5, 0.5, "not measurable", ha="center", transform=axis.transAxes, fontsize=8)
            continue
        low, high = np.quantile(np.concatenate(known), (0.005, 0.995))
        edges = np.linspace(low, max(high, low + 1e-6), 36)
        for k, (name, own) in enumerate(values.items()):
            if not len(own):
                continue
            style: dict[str, Any] = (
                {"histtype": "stepfilled", "alpha": 0.6}
                if name == "real"
                else {"histtype": "step", "lw": 1.5}
            )
            weights = np.full(len(own), 1 / len(own))
            axis.hist(own, edges, weights=weights, color=colour(name, k), label=name, **style)
        axis.spines[["top", "right", "left"]].set_visible(False)
    _spectrum(axes.flat[-1], signals, fs)
    handles, labels = axes.flat[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    counts = ", ".join(f"{name} {len(table)}" for name, table in tables.items())
    figure.suptitle(f"{rhythm}: strips of {counts}", fontsize=11)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _spectrum(axis: Any, signals: dict[str, Array], fs: float) -> None:
    for k, (name, strips) in enumerate(signals.items()):
        power = np.abs(np.fft.rfft(strips * np.hanning(strips.shape[1]))) ** 2
        frequency = np.fft.rfftfreq(strips.shape[1], 1 / fs)
        median = np.median(power / power.sum(axis=1, keepdims=True), axis=0)
        wide = max(1, round(0.6 * strips.shape[1] / fs))
        smooth = np.convolve(median, np.ones(wide) / wide, "same")
        shown = (frequency > 0.5) & (frequency < 100) & (smooth > 1e-12)
        axis.loglog(
            frequency[shown],
            smooth[shown],
            color=colour(name, k),
            lw=3 if name == "real" else 1.5,
            label=name,
        )
    axis.set_title("median power spectrum (share)", fontsize=9)
    axis.set_xlabel("Hz", fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def plot_aucs(rows: list[dict[str, Any]], path: Path) -> None:
    """AUC with interval per rhythm and side, one panel per judge."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    judges = sorted({j for row in rows for tests in row["tests"].values() for j in tests if j != "refused"})
    sides = list(dict.fromkeys(name for row in rows for name in row["tests"]))
    figure, axes = plt.subplots(
        1, max(1, len(judges)), figsize=(6.5 * max(1, len(judges)), 0.6 * len(rows) + 1.8), squeeze=False,
        sharey=True, layout="constrained",
    )  # fmt: skip
    for axis, judge in zip(axes[0], judges, strict=False):
        for k, name in enumerate(sides):
            for y, row in enumerate(rows):
                outcome = row["tests"].get(name, {}).get(judge)
                if outcome is None:
                    continue
                at = y + 0.18 * (k - (len(sides) - 1) / 2)
                axis.plot([outcome["low"], outcome["high"]], [at, at], color=colour(name, k), lw=2)
                axis.plot(outcome["auc"], at, "o", color=colour(name, k), ms=5)
            axis.plot([], [], "o-", color=colour(name, k), label=name)
        axis.axvline(0.5, color="#555", lw=0.8, ls=":")
        axis.set_xlim(0.3, 1.02)
        axis.set_title(
            f"{judge}: AUC, synthetic told from real people held out (0.5 = cannot tell)", fontsize=9
        )
        axis.set_yticks(range(len(rows)), [f"{r['rhythm']} ({r['people']})" for r in rows])
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].legend(frameon=False, fontsize=8, loc="lower left")
    figure.savefig(path, dpi=120)
    plt.close(figure)

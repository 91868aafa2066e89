"""Tables and plot of leaks.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ecgsynth.privacy.intervals import lower_limit, upper_limit
from ecgsynth.rhythms import RHYTHMS

#: What the audit is held to: least share found.
BARS = {
    "exact": 0.95,
    "time shift": 0.95,
    "crop and shift": 0.95,
    "noise 0.05 mV": 0.95,
    "gain +-30 %": 0.95,
    "inverted": 0.95,
    "warp 3-6 %": 0.8,
    "bent 3-6 %": 0.8,
    "same person": 0.8,
}


#: Rhythms without conducted beats: nobody's beats can be known in them.
WITHOUT = ("vt", "vf", "vflutter")


def _kinds(results: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["kind"] for row in results["detection"]))


def _pooled(results: dict[str, Any], kind: str) -> dict[str, int]:
    rows = [row for row in results["detection"] if row["kind"] == kind]
    return {key: sum(row[key] for row in rows) for key in ("n", "near", "known", "either")}


def _share(hits: int, n: int) -> str:
    if n == 0:
        return "-"
    low, high = (100 * limit(hits, n, 0.975) for limit in (lower_limit, upper_limit))
    return f"{100 * hits / n:.0f} ({low:.0f}-{high:.0f})"


def markdown(results: dict[str, Any]) -> str:
    """Detection per kind and rhythm, false positives, DCR, power."""
    rhythms = list(dict.fromkeys(row["rhythm"] for row in results["detection"]))
    lines = [
        "# Planted leaks: what `ecgsynth audit` finds",
        "",
        "Planted leaks that the audit lists with the right person, in % (95 % interval). "
        f"{results['people_searched']} training people are searched; limits come from "
        f"{results['people_of_limits']} people, false positives are counted on "
        f"{results['people_of_false_positives']} "
        "others. Made by `benchmarks/leaks.py`.",
        "",
        f"| leak | bar | all | copy search alone | {' | '.join(rhythms)} |",
        "|" + "---|" * (4 + len(rhythms)),
    ]
    for kind in _kinds(results):
        total, key = _pooled(results, kind), "either"
        cells = []
        for rhythm in rhythms:
            own = [r for r in results["detection"] if r["kind"] == kind and r["rhythm"] == rhythm]
            cells.append(f"{100 * own[0][key] / own[0]['n']:.0f} (n {own[0]['n']})" if own else "-")
        bar = f"{100 * BARS[kind]:.0f}" if kind in BARS else ""
        lines.append(
            f"| {kind} | {bar} | {_share(total[key], total['n'])} | {_share(total['near'], total['n'])} "
            f"| {' | '.join(cells)} |"
        )
    false = results["false_positives"]
    cells = [
        f"{100 * false[r]['near'] / false[r]['n']:.1f} (n {false[r]['n']})" if r in false else "-"
        for r in rhythms
    ]
    lines.append(
        f"| **false positives** | 1 | {_rate(false['all'], 'known', 'n_known')} by beats | "
        f"{_rate(false['all'], 'near')} | {' | '.join(cells)} |"
    )
    same, thousand = _pooled(results, "same person"), results["one_in_a_thousand"]
    beats = [
        row for row in results["detection"] if row["kind"] == "same person" and row["rhythm"] not in WITHOUT
    ]
    n, hits = sum(row["n"] for row in beats), sum(row["either"] for row in beats)
    lines += [
        "",
        f"Same person: {same['near']} of {same['n']} by the copy search alone, {same['known']} by their "
        "beats; in "
        f"rhythms with conducted beats {_share(hits, n)} %. By their beats "
        f"{_rate(false['all'], 'known', 'n_known')} of "
        "strangers' records are listed. "
        f"One exact leak among 1,000 records: listed by name in {thousand['listed']} of {thousand['tried']} "
        "sets.",
        "",
        *_sets(results),
        "",
        *_membership(results),
        "",
        *_verification(results),
    ]
    return "\n".join(lines) + "\n"


def _verification(results: dict[str, Any]) -> list[str]:
    def cell(row: dict[str, Any]) -> str:
        if "auroc" not in row:
            return "-"
        said = f"{row['auroc']:.2f} ({row['low']:.2f}-{row['high']:.2f}), first {100 * row['first']:.0f} %"
        if "listed" not in row:
            return said
        strange = f", strangers {row['strange']} of {row['strange_people']}" if "strange" in row else ""
        return f"{said}, listed {100 * row['listed']:.0f} %{strange}"

    lines = [
        "Is the person in the strip? Real strips of training people from a time or recording that is not "
        "searched, against all strips of the same rhythm that are: how often the right person is more alike "
        "than another (AUROC, 95 % interval over people), how often the most alike of all, and how often a "
        "limit would list it that 1 % of the searched strips exceed among other people's, and how many of "
        "the people held out (parts val and test) have a strip over that limit. In VT and VF nobody is known "
        "by a beat; size, spectrum and noise of the strip, which are as much the recording's as the "
        "person's, tell them apart in part. A limit set by the few people there does not hold for others: "
        "the audit does not look for a person in these rhythms, only for copies.",
        "",
        "| rhythm | people | searched | strips | strangers' strips | by the median beat | by the spectrum "
        "| by all features | by spectrum and features |",
        "|" + "---|" * 9,
    ]
    lines += [
        f"| {row['rhythm']} | {row['people']} | {row['searched']} | {row['strips']} | "
        f"{row['features'].get('strangers', '-')} | "
        f"{' | '.join(cell(row[name]) for name in ('beat', 'spectrum', 'features', 'both'))} |"
        for row in results["verification"]
    ]
    return lines


def _rate(row: dict[str, Any], key: str, of: str = "n") -> str:
    n = row[of]
    low, high = (100 * limit(row[key], n, 0.975) for limit in (lower_limit, upper_limit))
    return f"{100 * row[key] / n:.1f} % ({low:.1f}-{high:.1f})"


def _sets(results: dict[str, Any]) -> list[str]:
    lines = [
        "Sets of 600 records with a share of leaks: how often the gate fails, and the scores of sdmetrics "
        "(1 is said to "
        "be private; mean over seeds).",
        "",
        "| rhythm | leak | share of leaks | sets | near-duplicate gate fails | records listed | DCR "
        "baseline protection "
        "| DCR overfitting protection |",
        "|" + "---|" * 8,
    ]
    groups: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for row in results["sets"]:
        groups.setdefault((row["rhythm"], row["kind"], row["share"]), []).append(row)
    for (rhythm, kind, share), rows in groups.items():
        failed = sum(row["verdict"] == "fail" for row in rows)
        listed, baseline, over = (
            float(np.mean([row[k] for row in rows])) for k in ("listed", "dcr_baseline", "dcr_overfitting")
        )
        lines.append(
            f"| {rhythm} | {kind} | {100 * share:g} % | {len(rows)} | {failed} | {listed:.1f} | "
            f"{baseline:.2f} | "
            f"{over:.2f} |"
        )
    return lines


def _membership(results: dict[str, Any]) -> list[str]:
    lines = [
        "Membership attacks when a share of the training people is among strangers' records:",
        "",
        "| leaked people | runs | noticed | TPR at 1 % FPR of the worst attack | people (training / holdout) "
        "| expected power |",
        "|" + "---|" * 6,
    ]
    for row in results["membership"]:
        tpr = f"{min(row['worst_tpr']):.3f}-{max(row['worst_tpr']):.3f}"
        lines.append(
            f"| {100 * row['share']:g} % | {row['seeds']} | {row['noticed']} | {tpr} | "
            f"{row['train_people']} / "
            f"{row['holdout_people']} | {row['expected_power']:.2f} |"
        )
    needed = results["membership"][-1]["people_needed"]
    return [
        *lines,
        "",
        f"80 % power to notice 5 % needs {needed} people in training and as many in the holdout.",
    ]


def plot(results: dict[str, Any], path: Path) -> None:
    """Detection per kind with intervals, and the DCR scores beside the gate."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    kinds = _kinds(results)[::-1]
    for k, kind in enumerate(kinds):
        total, key = _pooled(results, kind), "either"
        share = total[key] / total["n"]
        low, high = lower_limit(total[key], total["n"], 0.975), upper_limit(total[key], total["n"], 0.975)
        colour = "#1f6f54" if share >= BARS.get(kind, 0) else "#a40000"
        colour = "#5b6770" if kind not in BARS else colour
        left.barh(k, 100 * share, color=colour, height=0.62)
        left.plot([100 * low, 100 * high], [k, k], color="#1d1d1f", lw=1)
        if kind in BARS:
            left.plot([100 * BARS[kind]] * 2, [k - 0.42, k + 0.42], color="#e0a100", lw=2)
    left.set_yticks(range(len(kinds)), kinds)
    left.set_xlim(0, 100)
    left.set_xlabel("leaks listed with the right person, % (amber: bar)")
    false = results["false_positives"]["all"]
    said = f"False positives: {_rate(false, 'near')} as copies, {_rate(false, 'known', 'n_known')} by beats"
    left.set_title(said, fontsize=10, loc="left")
    for rhythm in dict.fromkeys(row["rhythm"] for row in results["sets"]):
        rows = [r for r in results["sets"] if r["rhythm"] == rhythm and r["kind"] == "exact"]
        shares = sorted({r["share"] for r in rows})
        at = np.arange(len(shares))
        failed = [np.mean([r["verdict"] == "fail" for r in rows if r["share"] == s]) for s in shares]
        score = [np.mean([r["dcr_overfitting"] for r in rows if r["share"] == s]) for s in shares]
        (line,) = right.plot(at, failed, marker="o", label=f"{RHYTHMS[rhythm].title}: gate fails")
        right.plot(
            at, score, marker="s", ls=":", color=line.get_color(), label=f"{RHYTHMS[rhythm].title}: DCR score"
        )
        right.set_xticks(at, [f"{100 * s:g}" for s in shares])
    right.set_ylim(-0.03, 1.05)
    right.set_xlabel("exact copies in the set, %")
    right.set_title("Gate, and sdmetrics' DCR score (1 = private)", fontsize=10, loc="left")
    right.legend(fontsize=8, frameon=False)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})

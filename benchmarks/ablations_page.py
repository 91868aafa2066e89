"""The page of ``benchmarks/ablations.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Tables: title, what is compared with what, arms in order.
TABLES: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "Parts taken out while training goes on",
        "All start from the shipped cVAE and train on, cVAE arms for {on} steps (batch 24), cGAN arms for\n"
        "{critic} (batch 16). Compare with the control of the same kind, which trained on with everything;\n"
        "not with the shipped weights, which learned from more people, longer, and came to rest.",
        {
            "cvae-shipped": "cVAE as it ships, no further training",
            "cvae-control": "cVAE, control",
            "cvae-no-phase": "cVAE without phase conditioning",
            "cvae-no-spectral": "cVAE without the spectral loss of the mean",
            "cgan-control": "cGAN, control",
            "cgan-no-critic": "cGAN without the adversarial loss",
            "cgan-no-phase": "cGAN without phase conditioning",
            "cgan-no-spectral": "cGAN from a cVAE without the spectral loss",
        },
    ),
    (
        "Pretraining taken out of a training from nothing",
        "The beats are learned first ({templates} steps of templates, then {fresh} of waveforms), or that\n"
        "time goes to waveforms, too. Short: the shipped weights took 9000 and 5000 steps.",
        {
            "cvae-fresh": "cVAE, beats learned first",
            "cvae-fresh-no-pretraining": "cVAE, waveforms at once",
            "cgan-fresh": "cGAN from the former",
            "cgan-fresh-no-pretraining": "cGAN from the latter",
        },
    ),
    (
        "The prior over people",
        "The shipped cVAE, nothing trained: latents and record numbers drawn by flow matching in so many\n"
        "steps of Heun's method (two evaluations each; 12 ship), or independently and normal, each with the\n"
        "mean and spread over everybody.",
        {
            "cvae-shipped": "flow, 12 steps",
            "cvae-flow-4": "flow, 4 steps",
            "cvae-flow-2": "flow, 2 steps",
            "cvae-flow-1": "flow, 1 step",
            "cvae-no-flow": "no flow: independent normal numbers",
        },
    ),
)
#: Rhythms with enough people for a kernel distance.
PEOPLE_HELD_OUT = ("nsr", "afib")
COLUMNS = ("auc", "auc_beat", "kid", "ks_beat", "ks_sway", "ks_spectrum")
HEAD = "| | AUC | AUC, beat | KID | KS beat | KS sway | KS spectrum | NSR, % | its P, % | AF, % | CPU s |"


def page(found: dict[str, Any]) -> str:
    """Markdown of the arms that are measured."""
    lines = [
        "# Ablations",
        "",
        "Made by `benchmarks/ablations.py`: one lead, sinus rhythm, AF, bigeminy and VT; one seed.",
        "Noise, its corrections and the prior are fitted again for every trained arm, as",
        "`scripts/train_weights.py` does, in fewer steps. Lower is better everywhere:",
        "",
        "- AUC of gradient boosting between draws and real strips, mean over the rhythms (0.5: cannot tell);",
        "- the same on the median beat alone (sinus rhythm and AF), where noise is averaged out;",
        "- KID on the frozen encoder (sinus rhythm and AF), from which a 0 can differ by chance either way;",
        "- mean Kolmogorov-Smirnov statistics of features of the median beat, of what varies from beat to",
        "  beat, and of the spectrum;",
        "- mean absolute error, in % of its span, of the median beat of half a strip foreseen from the other",
        "  half, of people in sinus rhythm (and of their P wave) and in AF, on people nobody learned from.",
        "",
        "Real strips are of test people in sinus rhythm and AF, of the training people in bigeminy and VT",
        "(others are too few). The last row of each table is real against real (mean of halvings, so of half",
        "as many strips: KS statistics are larger for that).",
        "",
        found.get("note", ""),
    ]
    for title, words, arms in TABLES:
        rows = [(name, said) for name, said in arms.items() if found["arms"].get(name)]
        if not rows:
            continue
        lines += ["", f"## {title}", "", words.format(**found["steps"]), "", HEAD, "|---|" + "---:|" * 10]
        for name, said in rows:
            seeds = [row for row in found["arms"][name].values() if "auc" in row]
            if seeds:
                several = f" ({len(seeds)} seeds)" if len(seeds) > 1 else ""
                lines.append(f"| {said}{several} | {' | '.join(_cells(seeds))} |")
        real = dict(found["real against real"])
        real["kid"] = np.mean([real["rhythms"][r]["kid"] for r in PEOPLE_HELD_OUT])
        cells = [f"{real[c]:.3f}" if c == "kid" else f"{real[c]:.2f}" for c in COLUMNS]
        lines.append(f"| real against real | {' | '.join(cells)} | | | | |")
    left = [said for _, _, arms in TABLES for name, said in arms.items() if name not in found["arms"]]
    if left:
        lines += ["", f"Not measured yet: {'; '.join(left)}.", ""]
    return "\n".join([*lines, *_intervals(found), ""])


def _cells(seeds: list[dict[str, Any]]) -> list[str]:
    def mean(*keys: str) -> str:
        values = []
        for row in seeds:
            value: Any = row
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            values.append(value)
        digits = 3 if keys == ("kid",) else 2
        return f"{np.mean(values):.{digits}f}" if None not in values else "-"

    for row in seeds:
        own = row["rhythms"]
        row["kid"] = np.mean([own[r]["kid"] for r in own if r in PEOPLE_HELD_OUT])
    cost = [row.get("training_cpu_s") for row in seeds]
    spent = f"{np.mean(cost):.0f}" if None not in cost and any(cost) else "-"
    forecasts = [mean("forecast", key) for key in ("nsr", "p_wave", "afib")]
    return [*(mean(column) for column in COLUMNS), *forecasts, spent]


def _intervals(found: dict[str, Any]) -> list[str]:
    """AUC and its interval per rhythm, first seed."""
    rhythms = list(found["real against real"]["rhythms"])
    lines = [
        "## AUC per rhythm, with 95 % intervals over people (first seed)",
        "",
        f"| | {' | '.join(rhythms)} |",
        "|---|" + "---|" * len(rhythms),
    ]
    for name, seeds in found["arms"].items():
        row = next((r for r in seeds.values() if "auc" in r), None)
        if row is not None:
            own = [row["rhythms"][r] for r in rhythms]
            cells = [f"{x['auc']:.2f} ({x['auc_low']:.2f}-{x['auc_high']:.2f})" for x in own]
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines

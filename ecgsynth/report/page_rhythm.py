"""One rhythm on the page: what was compared, strips, distributions, spectrum, every metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ecgsynth.report.charts import (
    correlation_figure,
    distribution_figure,
    spectrum_figure,
    strip_figure,
    strip_record,
)
from ecgsynth.report.findings import RhythmFindings, Shown
from ecgsynth.report.markup import interval, items, number, outcome_tag, table, text, verdict_badge
from ecgsynth.report.svg import inline_svg
from ecgsynth.report.words import check_title, feature_title
from ecgsynth.rhythms import RHYTHMS

#: Words for the goal of a metric.
GOALS: Final = {"low": "lower is better", "high": "higher is better", "half": "0.5 is best"}
ROLES: Final = {
    "worst": "Worst",
    "median": "Median",
    "best": "Best",
    "first": "Not ranked",
    "real": "Real",
}
#: Features listed among those that give a set away.
MOST_GIVE_AWAY: Final = 6
#: Share of strips in which a feature cannot be measured from which the chart says so.
WORTH_SAYING: Final = 0.02


def rhythm_section(content: Mapping[str, Any], found: RhythmFindings) -> str:
    """The section of a rhythm."""
    own = content["rhythms"][found.rhythm]
    title = text(RHYTHMS[found.rhythm].title)
    parts = [
        f'<h2 id="{found.rhythm}">{title} {verdict_badge(own["verdict"])}</h2>',
        _decided(own),
        _notes(own),
        _strips(found),
        _distributions(own, found.rhythm),
        _spectrum(own, found.rhythm),
        _metrics(content, own),
        _gate(content, found.rhythm),
    ]
    return "".join(parts)


def _decided(own: Mapping[str, Any]) -> str:
    lines = [f"{outcome_tag(c['outcome'])} {text(c['words'])}." for c in own["decided_by"].values()]
    if own["why_not"]:
        lines.insert(0, f"{text(own['why_not'])}.")
    return items(line[0].upper() + line[1:] for line in lines)


def _notes(own: Mapping[str, Any]) -> str:
    lines = [text(note) for note in own["notes"]]
    if own["faulty_real_strips"]:
        lines.append(
            f"{own['faulty_real_strips']} real strips were left out: gaps, a lead switched off, or an "
            "amplifier at its limit."
        )
    if own["unusable_synthetic_strips"]:
        lines.append(
            f"{own['unusable_synthetic_strips']} synthetic strips have gaps: the gate fails them, nothing "
            "else can measure them."
        )
    if not lines:
        return ""
    summary = "<summary>What was done to compare</summary>"
    return f'<details>{summary}<div class="small">{items(lines)}</div></details>'


def _strips(found: RhythmFindings) -> str:
    if not found.shown or found.ground is None:
        return ""
    figures = []
    for k, shown in enumerate(found.shown):
        record = strip_record(shown.strip, found.ground)
        words = caption(shown)
        drawn = inline_svg(strip_figure(record), words, f"{found.rhythm}-strip{k}")
        wide = " wide" if len(record.leads) > 3 else ""
        figures.append(
            f'<figure><figcaption>{text(words)}</figcaption><div class="paper{wide}">{drawn}</div></figure>'
        )
    return (
        '<h3>Strips</h3><p class="small quiet">As compared, not as stored. A square is 0.2 s by 0.5 mV. '
        "Ranked by a classifier that has seen neither them nor their people.</p>"
        f"{''.join(figures)}"
    )


def caption(shown: Shown) -> str:
    """What a strip is."""
    if shown.role == "real":
        return "Real"
    score = (
        "" if shown.score is None else f", looks more synthetic than {100 * shown.score:.0f} % of all strips"
    )
    gate = "passes the gate" if shown.strip.passed else "fails the gate"
    return f"{ROLES[shown.role]}: {shown.strip.record}{score}; {gate}"


def _distributions(own: Mapping[str, Any], rhythm: str) -> str:
    entries = own.get("distributions", {})
    charts = []
    for k, (name, entry) in enumerate(entries.items()):
        title, unit = feature_title(name)
        words = f"{title}: distribution of synthetic over real strips"
        drawn = inline_svg(distribution_figure(entry, unit), words, f"{rhythm}-chart{k}")
        charts.append(f"<figure><h4>{text(title)}</h4>{drawn}{_unmeasured(entry)}</figure>")
    if not charts:
        return ""
    told = ", ".join(
        f"{text(feature_title(name)[0])} ({number(value)})"
        for name, value in list(own["give_away"].items())[:MOST_GIVE_AWAY]
    )
    return (
        f'<h3>Distributions</h3><div class="key"><span><i style="background:var(--real-fill)"></i>real</span>'
        '<span><i style="background:var(--synthetic)"></i>synthetic</span></div>'
        f'<div class="grid">{"".join(charts)}</div>'
        f'<p class="small">Told apart most by, each alone (AUC, 0.5: not at all): {told}.</p>'
    )


def _unmeasured(entry: Mapping[str, Any]) -> str:
    """How many strips of either side lack the feature, where that is worth saying."""
    shares = entry["unmeasured"]
    if max(shares.values()) < WORTH_SAYING:
        return ""
    real, synthetic = (number(shares[side], percent=True) for side in ("real", "synthetic"))
    return f"<figcaption>not measurable: real {real}, synthetic {synthetic}</figcaption>"


def _spectrum(own: Mapping[str, Any], rhythm: str) -> str:
    if "spectrum" not in own:
        return ""
    words = "Power spectrum: median and the middle 80 % of synthetic over real strips"
    parts = [f"<figure>{inline_svg(spectrum_figure(own['spectrum']), words, f'{rhythm}-spectrum')}"]
    parts.append(
        "<figcaption>Power spectrum, dB over 1 mV²/Hz: medians, and the middle 80 % of strips.</figcaption>"
        "</figure>"
    )
    if "lead_correlation" in own:
        words = "Correlation of leads, real and synthetic"
        drawn = inline_svg(correlation_figure(own["lead_correlation"]), words, f"{rhythm}-leads")
        parts.append(
            f"<figure>{drawn}<figcaption>Correlation of leads, mean over strips.</figcaption></figure>"
        )
    return (
        f'<h3>Spectrum{" and leads" if len(parts) > 2 else ""}</h3><div class="pair">{"".join(parts)}</div>'
    )


def _metrics(content: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    rows = []
    for name, measured in own.get("metrics", {}).items():
        about = content["metrics"].get(name, {"title": name, "goal": "", "meaning": ""})
        goal = GOALS.get(about["goal"], "")
        head = f"<strong>{text(about['title'])}</strong><br><small class='quiet'>{goal}</small>"
        if measured["assessable"]:
            values = [
                f"{number(measured[f'{side}value'])}<br><small>({spread_of(measured, side)})</small>"
                for side in ("", "real_")
            ]
        else:
            values = [f"not assessable: {text(measured['note'])}", "–"]
        rows.append((head, *values, f"<small>{text(about['meaning'])}</small>"))
    if not rows:
        return ""
    heads = ("Metric", "Synthetic", "Real against real", "What it says")
    return (
        f'<h3>Every metric, with 95 % intervals</h3><div class="metrics">{table(heads, rows, (1, 2))}</div>'
    )


def spread_of(measured: Mapping[str, Any], side: str) -> str:
    """The interval of the synthetic (``""``) or of the real number (``"real_"``), in its decimals."""
    return interval(measured[f"{side}low"], measured[f"{side}high"], measured[f"{side}value"])


def _gate(content: Mapping[str, Any], rhythm: str) -> str:
    entry = content["gate"]["rhythms"].get(rhythm)
    if entry is None or not (entry["reasons"] or entry["real"]["reasons"]):
        return ""
    names = {**entry["reasons"], **entry["real"]["reasons"]}
    rows = [
        (
            f"{text(check_title(name))} <code>{text(name)}</code>",
            str(entry["reasons"].get(name, 0)),
            str(entry["real"]["reasons"].get(name, 0)),
        )
        for name in names
    ]
    heads = (
        "Check that failed",
        f"Of {entry['total']} synthetic records",
        f"Of {entry['real']['total']} real strips",
    )
    return f"<h3>What the gate turned down</h3>{table(heads, rows, (1, 2))}"

"""``report.pdf``: the report on paper, A4 across; sections in the order of `PAGES`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ecgsynth.paper import FULL, HALF, QUIET, Scale
from ecgsynth.records import Record
from ecgsynth.report.charts import (
    ONE_COLUMN,
    draw_correlation,
    draw_distribution,
    draw_spectrum,
    draw_strip,
    strip_record,
    strip_size,
)
from ecgsynth.report.deciding import Deciding, deciding_numbers
from ecgsynth.report.findings import RhythmFindings
from ecgsynth.report.flow import MARGIN, WIDTH, Flow
from ecgsynth.report.markup import interval, number
from ecgsynth.report.page import Report, heading, passed
from ecgsynth.report.page_rhythm import GOALS, caption, spread_of
from ecgsynth.report.words import LIMITS, VERDICT_MEANING, check_title, feature_title, left_out
from ecgsynth.rhythms import RHYTHMS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colours of the verdicts on paper.
INK: Final = {
    "looks real": "#166534",
    "distinguishable": "#8a4b08",
    "fails": "#a11414",
    "not assessable": "#4a5361",
}
#: Small charts in a row, and how many of them are printed.
ACROSS, MOST_CHARTS = 4, 16


def write_pdf(report: Report, path: Path) -> None:
    """Write the report to ``path``; the same report gives the same bytes."""
    from matplotlib.backends.backend_pdf import PdfPages

    nothing = {"CreationDate": None, "Creator": None, "Producer": None}
    content = report.content
    with PdfPages(path, metadata=nothing) as pdf:

        def done(figure: Figure) -> None:
            pdf.savefig(figure)

        foot = (
            f"{content['synthetic']['name']} beside {content['real']['name']}; ecgsynth "
            f"{content['ecgsynth']}, seed {content['options']['seed']}"
        )
        flow = Flow(foot, done)
        for section in PAGES:
            section(report, flow)
        flow.close()


def verdicts(report: Report, flow: Flow) -> None:
    """The first page: a verdict per rhythm and the three numbers that decide it."""
    content = report.content
    flow.text(f"Fidelity of {content['synthetic']['name']}", 15, bold=True)
    flow.text(
        heading(content),
        9,
        QUIET,
        before=1.5,
    )
    for name, own in content["rhythms"].items():
        if not report.findings.rhythms[name].claimed:
            continue
        flow.need(34)
        flow.rule()
        flow.text(f"{RHYTHMS[name].title}: {own['verdict']}", 11.5, INK[own["verdict"]], bold=True, before=1)
        flow.text(VERDICT_MEANING[own["verdict"]], 8, QUIET, before=0.5)
        if own["because"] and own["verdict"] != "looks real":
            flow.text(f"Why: {own['because'][0]}.", 8.5, before=0.5)
        rows = [_row(entry) for entry in deciding_numbers(content, name)]
        if rows:
            heads = ("", "Synthetic (95 %)", "Beside", "Needed", "")
            flow.top -= 1.5
            flow.rows(heads, (0.25, 0.18, 0.25, 0.25, 0.07), rows, 8)
    flow.text(LIMITS, 7.5, QUIET, before=3)


def _row(entry: Deciding) -> tuple[str, str, str, str, str]:
    own, real = entry.own, entry.real
    shown = number(own["value"], percent=entry.percent)
    spread = interval(own["low"], own["high"], own["value"], percent=entry.percent)
    beside = f"{number(real['value'], percent=entry.percent)}, {entry.real_title}"
    return entry.title, f"{shown} ({spread})", beside, entry.needs, entry.outcome


def rhythms(report: Report, flow: Flow) -> None:
    """Two pages or so for each rhythm that was compared."""
    for found in report.findings.rhythms.values():
        own = report.content["rhythms"][found.rhythm]
        if not own["compared"] and not found.shown:
            continue
        flow.new_page()
        flow.text(RHYTHMS[found.rhythm].title, 13, bold=True)
        flow.text(" ".join(own["notes"]), 7.5, QUIET, before=1)
        _strips(found, flow)
        if own["compared"]:
            _charts(report, found.rhythm, flow)
            _metrics(report, found.rhythm, flow)


def _strips(found: RhythmFindings, flow: Flow) -> None:
    if found.ground is None:
        return
    if found.shown:
        flow.text(_scale_of(strip_record(found.shown[0].strip, found.ground)), 7.5, QUIET, before=1)
    for shown in found.shown:
        record = strip_record(shown.strip, found.ground)
        scale = _paper(record)
        height = strip_size(record, scale)[1]
        flow.need(height + 9)
        flow.text(caption(shown), 8, before=2.5)
        flow.top -= 1.5
        draw_strip(flow.ax, record, MARGIN, flow.top, scale)
        flow.top -= height


def _paper(record: Record) -> Scale:
    """True to scale where a strip fits across the page, else half of it."""
    return FULL if len(record.leads) <= ONE_COLUMN else HALF


def _scale_of(record: Record) -> str:
    scale = _paper(record)
    return f"Strips as compared, not as stored; {scale.mm_per_s:g} mm/s, {scale.mm_per_mv:g} mm/mV."


def _charts(report: Report, rhythm: str, flow: Flow) -> None:
    own = report.content["rhythms"][rhythm]
    entries = list(own["distributions"].items())[:MOST_CHARTS]
    flow.new_page()
    flow.text(f"{RHYTHMS[rhythm].title}: synthetic over real", 11, bold=True)
    flow.text("Synthetic: orange line. Real: grey. Shares of strips.", 7.5, QUIET, before=0.5)
    width = (WIDTH - 2 * MARGIN) / ACROSS
    flow.top -= 6
    for k, (name, entry) in enumerate(entries):
        if k and k % ACROSS == 0:
            flow.top -= 30
        draw_distribution(
            flow.axes(MARGIN + (k % ACROSS) * width, width - 8, 18), entry, *feature_title(name)
        )
    flow.top -= 33
    ax = flow.axes(MARGIN + 8, 120, 36, 0)
    draw_spectrum(ax, own["spectrum"])
    ax.set_title("Power spectrum, dB over 1 mV²/Hz", fontsize=7.5, loc="left", pad=3)
    if "lead_correlation" in own:
        for k, (side, title) in enumerate((("real", "Real"), ("synthetic", "Synthetic"))):
            place = flow.axes(MARGIN + 142 + 64 * k, 52, 40, 0)
            draw_correlation(place, own["lead_correlation"]["leads"], own["lead_correlation"][side], title)
    flow.top -= 50


def _metrics(report: Report, rhythm: str, flow: Flow) -> None:
    content = report.content
    rows = []
    for name, measured in content["rhythms"][rhythm]["metrics"].items():
        about = content["metrics"].get(name, {"title": name, "goal": ""})
        if measured["assessable"]:
            own, real = (f"{number(measured[p + 'value'])} ({spread_of(measured, p)})" for p in ("", "real_"))
        else:
            own, real = f"not assessable: {measured['note']}", ""
        rows.append((about["title"], GOALS.get(about["goal"], ""), own, real))
    flow.new_page()
    flow.text(f"{RHYTHMS[rhythm].title}: every metric, with 95 % intervals", 11, bold=True)
    flow.top -= 2
    flow.rows(("Metric", "", "Synthetic", "Real against real"), (0.28, 0.16, 0.28, 0.28), rows)


def rejected(report: Report, flow: Flow) -> None:
    """What the gate turned down, and what could not be read."""
    gate = report.content["gate"]
    flow.new_page()
    flow.text("Rejected by the record gate", 13, bold=True)
    flow.text(passed(gate), before=1)
    flow.top -= 2
    rows = [(check_title(n), str(count), gate["examples"][n]) for n, count in gate["reasons"].items()]
    if rows:
        flow.rows(("Check", "Records", "First example"), (0.3, 0.1, 0.6), rows)
    for side in ("synthetic", "real"):
        found = report.content[side]["unreadable"]
        if found["count"]:
            flow.text(
                f"{left_out(found['count'], side)}, such as {found['records'][0]['record']}: "
                f"{found['records'][0]['why']}",
                8,
                before=2,
            )


def calibrated(report: Report, flow: Flow) -> None:
    """How each number was calibrated, and what was read."""
    content = report.content
    flow.text("How each number was calibrated", 13, bold=True, before=8)
    for name, words in content["thresholds"]["why"].items():
        flow.text(f"{name.capitalize()}: {words}", 8, before=1.5)
    rows = [
        (RHYTHMS[n].title, str(e["people"]), number(e.get("pass_out_of_fold"), percent=True))
        for n, e in content["gate"]["calibration"]["rhythms"].items()
    ]
    flow.top -= 2
    flow.rows(("The gate was fitted on", "People", "Pass when left out"), (0.4, 0.15, 0.45), rows)
    for side in ("synthetic", "real"):
        s = content[side]
        flow.text(
            f"{side}: {s['name']}, {s['records']} records, SHA-256 {s['sha256']}", 7.5, QUIET, before=1.5
        )
        for note in s["notes"]:
            flow.text(note, 7.5, before=0.5)


#: Sections in order; one takes the report and a `Flow`.
PAGES: Final[tuple[Callable[[Report, Flow], None], ...]] = (verdicts, rhythms, rejected, calibrated)

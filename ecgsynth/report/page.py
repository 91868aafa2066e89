"""``report.html``: one file, no scripts, nothing to load; sections in the order of `SECTIONS`.

A section is a function from `Report` to HTML, empty where it has nothing to say. To add one, write it and
put it in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ecgsynth.report.deciding import Deciding, deciding_numbers
from ecgsynth.report.findings import Findings
from ecgsynth.report.markup import (
    counted,
    interval,
    items,
    number,
    outcome_tag,
    scale,
    table,
    text,
    verdict_badge,
)
from ecgsynth.report.page_privacy import find_audit, privacy_section
from ecgsynth.report.page_rhythm import rhythm_section
from ecgsynth.report.style import CSS
from ecgsynth.report.words import LIMITS, VERDICT_MEANING, check_title, left_out
from ecgsynth.rhythms import RHYTHMS

#: Rejected records listed on the page; the document lists more.
MOST_REJECTED: Final = 25


@dataclass(frozen=True)
class Report:
    """What sections are made of: the document, and the strips and arrays behind it."""

    content: dict[str, Any]
    findings: Findings


Section = Callable[[Report], str]


def verdicts(report: Report) -> str:
    """The first screen: a verdict per rhythm and the three numbers that decide it."""
    content = report.content
    claimed = {name: found.claimed for name, found in report.findings.rhythms.items()}
    cards = "".join(_card(report, name) for name, ours in claimed.items() if ours)
    others = ", ".join(text(RHYTHMS[name].title) for name, ours in claimed.items() if not ours)
    rest = f'<p class="small">Only in the real folder, so not judged: {others}.</p>' if others else ""
    return f'{_notices(content)}{cards}{_key()}{rest}<p class="small quiet">{text(LIMITS)}</p>{_contents()}'


def _notices(content: dict[str, Any]) -> str:
    """What a reader must know of the folders before the verdicts."""
    lines = []
    for side in ("synthetic", "real"):
        lines += [
            f"In the {side} folder, {text(note[0].lower() + note[1:])}" for note in content[side]["notes"]
        ]
        if content[side]["unreadable"]["count"]:
            count = content[side]["unreadable"]["count"]
            lines.append(f'{left_out(count, side)}: <a href="#rejected">which</a>.')
    return f'<div class="card warn small">{items(lines)}</div>' if lines else ""


def _card(report: Report, rhythm: str) -> str:
    own = report.content["rhythms"][rhythm]
    numbers = deciding_numbers(report.content, rhythm)
    three = "".join(_number(entry) for entry in numbers)
    people = ""
    if own["compared"]:
        people = (
            f'<span class="quiet small">{own["records_synthetic"]} synthetic strips, '
            f"{own['records_real']} real ones of {own['people_real']} people</span>"
        )
    why = own["because"][0] if own["because"] else ""
    lead = VERDICT_MEANING[own["verdict"]]
    because = (
        f'<p class="small"><strong>Why:</strong> {text(why)}.</p>' if own["verdict"] != "looks real" else ""
    )
    return (
        f'<section class="card"><header><h2><a href="#{rhythm}">{text(RHYTHMS[rhythm].title)}</a></h2>'
        f"{verdict_badge(own['verdict'])}{people}</header>"
        f'<p class="small">{text(lead)}</p>{because}<div class="three">{three}</div></section>'
    )


def _number(entry: Deciding) -> str:
    own, real = entry.own, entry.real
    if own["value"] is None:
        return f'<div><div class="name">{text(entry.title)}</div><b>–</b>{outcome_tag(entry.outcome)}</div>'
    shown = number(own["value"], percent=entry.percent)
    spread = interval(own["low"], own["high"], own["value"], percent=entry.percent)
    beside = f"{entry.real_title}: {number(real['value'], percent=entry.percent)}"
    told = f"{entry.title} {shown} ({spread}); {beside}; {entry.needs}"
    bars = [] if entry.bar is None else [entry.bar]
    return (
        f'<div><div class="name">{text(entry.title)}</div><b>{shown}</b>{outcome_tag(entry.outcome)}'
        f"{scale(entry.ends, real, own, bars, told, entry.names)}"
        f'<div class="small">95 % interval {spread}</div><div class="small quiet">{text(beside)}'
        f"{'; ' if entry.needs else ''}{text(entry.needs)}</div></div>"
    )


def _key() -> str:
    return (
        '<div class="key"><span><i style="background:var(--synthetic)"></i>synthetic, with its 95 % interval'
        '</span><span><i style="background:var(--real-fill)"></i>real, with its own</span>'
        "<span>dotted: where “met” ends</span></div>"
    )


def _contents() -> str:
    places = {
        "rejected": "Rejected records",
        "calibration": "How it was calibrated",
        "folders": "What was read",
    }
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title in places.items())
    return f'<nav class="key">{links}</nav>'


def rhythms(report: Report) -> str:
    """Each rhythm in full."""
    claimed = [found for found in report.findings.rhythms.values() if found.claimed]
    return "".join(rhythm_section(report.content, found) for found in claimed)


def privacy(report: Report) -> str:
    """What an audit found, where there was one."""
    options = report.findings.options
    path = find_audit(options.synthetic, options.privacy)
    return "" if path is None else privacy_section(path, report.content["synthetic"]["records"])


def rejected(report: Report) -> str:
    """What the gate turned down and why, and what could not be read."""
    gate = report.content["gate"]
    said = passed(gate)
    rows = [
        (f"{text(check_title(name))} <code>{text(name)}</code>", str(count), text(gate["examples"][name]))
        for name, count in gate["reasons"].items()
    ]
    parts = ['<h2 id="rejected">Rejected by the record gate</h2>', f"<p>{said}</p>"]
    if rows:
        parts.append(table(("Check", "Records", "First example"), rows, (1,)))
        listed = [
            (
                f"<code>{text(r['record'])}</code>",
                text(", ".join(r["rhythms"])),
                text("; ".join(r["reasons"])),
            )
            for r in gate["rejected"][:MOST_REJECTED]
        ]
        more = gate["total"] - gate["passed"] - len(listed)
        rest = f"<p class='small quiet'>{more} more in fidelity.json.</p>" if more > 0 else ""
        inside = table(("Record", "Rhythm", "Reasons"), listed)
        parts.append(f"<details><summary>The records, by name</summary>{inside}{rest}</details>")
    return "".join(parts) + _unreadable(report)


def passed(gate: Mapping[str, Any]) -> str:
    """How many records passed, in a sentence."""
    if gate["passed"] == gate["total"]:
        return f"None: all {gate['total']} synthetic records pass in all that they claim."
    return (
        f"{gate['total'] - gate['passed']} of {gate['total']} synthetic records fail. A record can fail "
        "several checks."
    )


def heading(content: Mapping[str, Any]) -> str:
    """What stands beside what, in a sentence."""
    real = content["real"]
    quick = " A first look (--quick): fewer strips and resamples." if content["options"]["quick"] else ""
    return (
        f"{content['synthetic']['records']} synthetic records beside {real['records']} real ones of "
        f"{real['people']} people ({real['name']}).{quick}"
    )


def _unreadable(report: Report) -> str:
    parts = []
    for side in ("synthetic", "real"):
        found = report.content[side]["unreadable"]
        if found["count"]:
            lines = [
                f"<code>{text(r['record'])}</code>: {text(r['why'])}"
                for r in found["records"][:MOST_REJECTED]
            ]
            parts.append(
                f'<h3>{left_out(found["count"], side)}</h3><div class="small wrap">{items(lines)}</div>'
            )
    return "".join(parts)


def calibrated(report: Report) -> str:
    """How each number came about: thresholds, the gate's people, and every metric in a sentence."""
    content = report.content
    why = content["thresholds"]["why"]
    titles = {"gate": "Record gate", "auc": "Classifier", "coverage": "Coverage"}
    lines = [f"<strong>{titles[name]}.</strong> {text(words)}" for name, words in why.items()]
    rows = []
    for name, entry in content["gate"]["calibration"]["rhythms"].items():
        out = entry.get("pass_out_of_fold")
        shown = "not measured (too few)" if out is None else number(out, percent=True)
        rows.append((text(RHYTHMS[name].title), str(entry["people"]), shown))
    metrics = [
        (
            f"<strong>{text(m['title'])}</strong> <code>{text(name)}</code>",
            text(m["meaning"]),
            text(m["source"]),
        )
        for name, m in content["metrics"].items()
    ]
    return (
        '<h2 id="calibration">How each number was calibrated</h2>'
        "<p>Every number of a set stands beside the same number between two halves of the real people, on "
        "equally many strips: what no generator can be asked to beat. Intervals come from drawing people "
        f"with replacement, not records.</p>{items(lines)}"
        "<h3>The gate’s bounds</h3><p class='small'>Fitted on real training people per rhythm; the pass rate "
        "is that of people left out of the fit in turn. Split "
        f"<code>{text(content['gate']['calibration']['split'][:16])}</code>.</p>"
        f"{table(('Rhythm', 'People', 'Pass when left out'), rows, (1, 2))}"
        f"<details><summary>What each metric says</summary>"
        f"{table(('Metric', 'Meaning', 'Source'), metrics)}</details>"
    )


def folders(report: Report) -> str:
    """What was read: counts, hashes, seed."""
    rows = []
    for side in ("synthetic", "real"):
        s = report.content[side]
        said = [
            f"{s['records']} records, {s['people']} {'people' if side == 'real' else 'subjects'}, "
            f"{number(s['seconds']['median'])} s (median)",
            f"Hz: {counted(s['fs_hz'])}",
            f"leads: {counted(s['leads'], 6)}",
            f"read as {text(s['kind'])}",
        ]
        if s["rhythm_claimed"]:
            said.append(f"no record names a rhythm: all taken as {text(s['rhythm_claimed'])}, as asked")
        if s["without_rhythm"]:
            said.append(f"{s['without_rhythm']} records name no known rhythm")
        said += [f"<strong>{text(note)}</strong>" for note in s["notes"]]
        rows.append(
            (f"{side}<br><strong>{text(s['name'])}</strong>", items(said), f"<code>{s['sha256']}</code>")
        )
    options = report.content["options"]
    return (
        '<h2 id="folders">What was read</h2>'
        f"{table(('Folder', 'Content', 'SHA-256 of the recordings'), rows)}"
        f'<p class="small quiet">ecgsynth {text(report.content["ecgsynth"])}, seed {options["seed"]}, '
        f"{options['resamples']} resamples, at most {options['strips_per_person']} strips of a person and "
        f"{options['most_strips']} of a rhythm{', --quick' if options['quick'] else ''}. The same folders, "
        "options and version give the same report. All numbers: <code>fidelity.json</code>.</p>"
    )


#: Sections after the heading, in order.
SECTIONS: Final[tuple[Section, ...]] = (verdicts, rhythms, privacy, rejected, calibrated, folders)


def page(report: Report) -> str:
    """The page."""
    content = report.content
    real, synthetic = text(content["real"]["name"]), text(content["synthetic"]["name"])
    title = f"{synthetic} beside {real}"
    body = "".join(section(report) for section in SECTIONS)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Fidelity: {title}</title><style>{CSS}</style></head>\n<body><main>"
        f"<h1>Fidelity of {synthetic}</h1><p class='quiet'>{text(heading(content))}</p>"
        f"{body}</main></body></html>\n"
    )

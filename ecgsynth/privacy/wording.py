"""The audit in words for a data-protection officer: plain sentences first, numbers after.

What is written here never promises that nobody can be recognised: an audit says which attacks were tried, on
whom, and what they found.
"""

from __future__ import annotations

from html import escape
from typing import Any, Final

from ecgsynth.privacy.inputs import COHORT
from ecgsynth.privacy.learned_from import ANOTHER
from ecgsynth.privacy.markup import STYLE, mark, percent, table
from ecgsynth.privacy.questions import QUESTIONS, TITLES
from ecgsynth.rhythms import RHYTHMS

#: What a pair of a synthetic record and a training recording shares.
_HOW: Final = {
    ("copy", True): "certain copy",
    ("copy", False): "near copy",
    ("same person", False): "the person's beats",
    ("two people mixed", True): "certain mixture with another person",
    ("two people mixed", False): "mixture with another person",
}
#: Pairs on the page.
_LISTED: Final = 50
#: Sections with a row per rhythm and people on both sides.
SECTIONS: Final = ("membership", "reidentification", "singling_out", "linkability", "inference")


def privacy_page(report: dict[str, Any]) -> str:
    """A page of its own (HTML) of the findings of :func:`ecgsynth.privacy.audit.run_audit`."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<title>Privacy audit</title></head><body style="margin:1.5rem">\n'
        f"{officer_section(report)}\n</body></html>\n"
    )


def officer_section(report: dict[str, Any]) -> str:
    """An HTML fragment for the officer; holds no recording and no plot of one."""
    warnings = [f'<p class="warn">{escape(text)}</p>' for text in report["warnings"]]
    every = [text for text in report["warnings"] if text.startswith(ANOTHER)][:1]
    parts = [
        STYLE,
        '<section class="privacy">',
        *(f'<p class="every">{escape(text.partition(" (")[0])}.</p>' for text in every),
        "<h2>Privacy: does this dataset give a patient away?</h2>",
        *warnings,
        _answer(report),
        _attacker(),
        _counts(report),
        _copies(report["near_duplicates"]),
        _same(report["same_person"]),
        *(_per_rhythm(name, report[name]) for name in SECTIONS),
        _unusual(report["unusual"]),
        _formal(report["differential_privacy"]),
        _remains(report),
        "</section>",
    ]
    return "\n".join(parts)


def _answer(report: dict[str, Any]) -> str:
    found = report["near_duplicates"]
    kind = {"pass": "is-pass", "fail": "is-fail"}.get(report["verdict"], "is-open")
    text = {
        "fail": "At least one attack found training people in this dataset. It should not be passed on as "
        "it is.",
        "pass": "None of the attacks tried found training people in this dataset, and there were enough "
        "people to tell.",
        "not assessable": "None of the attacks tried found training people in this dataset, but for some "
        "questions "
        "there are too few people or records to tell. That is not a pass.",
    }[report["verdict"]]
    copies = (
        f"{found['count']} of {found['records']} synthetic records are nearer to a training person than "
        f"strangers are: {found['copies']} by their course ({found['certain']} of them certainly copies), "
        f"{found['same_person']} by the form of their beats. Remove the records listed below, whatever the "
        "verdict."
        if found["count"]
        else f"None of the {found['records']} synthetic records is nearer to a training recording than "
        "strangers are."
    )
    doubtful = report["verdict"] == "fail" and any(w.startswith(COHORT) for w in report["warnings"])
    if doubtful:
        copies += (
            " As the holdout is another cohort, failures other than copies may be differences between the "
            "cohorts: repeat the audit with a holdout of the same kind before you believe them."
        )
    failed = "".join(f"<li>{escape(_gate(name))}</li>" for name in report["failed"])
    listed = f"<p>Failed:</p><ul>{failed}</ul>" if failed else ""
    return f'<div class="verdict {kind}"><p><b>{escape(text)}</b></p><p>{escape(copies)}</p>{listed}</div>'


def _gate(name: str) -> str:
    section, _, rhythm = name.partition(": ")
    return f"{TITLES.get(section, section)}: {_title(rhythm)}"


def _title(rhythm: str) -> str:
    return RHYTHMS[rhythm].title if rhythm in RHYTHMS else rhythm


def _attacker() -> str:
    return (
        "<h3>Against whom</h3><p>Someone who has this dataset, and real recordings of people of whom they "
        "ask whether "
        "the generator learned from them; they may know other people's recordings, too. They do not have the "
        "generator itself: an attacker who also has its weights was not tried. People are counted, not "
        "records.</p>"
    )


def _counts(report: dict[str, Any]) -> str:
    sides = report["inputs"]
    rhythms = sorted(sides["synthetic"]["rhythms"])
    rows = []
    for rhythm in rhythms:
        seen = [sides[name]["rhythms"].get(rhythm, {}) for name in ("synthetic", "train", "holdout")]
        rows.append(
            [_title(rhythm), seen[0].get("records", 0), seen[1].get("people", 0), seen[2].get("people", 0)]
        )
    total = ["In all", sides["synthetic"]["records"], sides["train"]["people"], sides["holdout"]["people"]]
    head = ["Rhythm", "Synthetic records", "Training people", "Holdout people"]
    return "<h3>Who was compared</h3>" + table(head, [*rows, total])


def _copies(found: dict[str, Any]) -> str:
    rows = [
        [
            _title(rhythm),
            row["records"],
            row["copies"],
            row["certain"],
            f"{percent(row['excess'])} ({percent(row['excess_low'])} to {percent(row['excess_high'])})",
            percent(row["gate"]),
            mark(row["verdict"]),
        ]
        for rhythm, row in found["per_rhythm"].items()
    ]
    head = [
        "Rhythm",
        "Records",
        "Copies",
        "Certain copies",
        "Excess over strangers (90 %)",
        "Gate",
        "Verdict",
    ]
    needed = max((row["records_needed"] for row in found["per_rhythm"].values()), default=0)
    text = (
        f'<p class="q">{escape(QUESTIONS["near_duplicates"])}</p>{table(head, rows)}<p>A record counts as a '
        "near-duplicate where only one in a thousand records of people outside training comes as near. A "
        "pass needs "
        f"at least {needed} synthetic records of a rhythm.</p>"
    )
    pairs = [
        [
            pair["synthetic"],
            pair["train"],
            pair["subject"],
            f"{pair['lead']} / {pair['train_lead']}",
            f"{pair['ncc']:.3f}",
            _HOW[pair["kind"], pair["certain"]],
        ]
        for pair in found["pairs"]
    ]
    head = ["Synthetic", "Training recording", "Person", "Leads", "Correlation", "What"]
    return "<h3>Near-duplicates</h3>" + text + _listed("Remove these records", head, pairs)


def _listed(title: str, head: list[str], rows: list[list[Any]]) -> str:
    """The first `_LISTED` rows under a title; nothing where there are none."""
    if not rows:
        return ""
    more = f"<p>{len(rows) - _LISTED} more in privacy.json.</p>" if len(rows) > _LISTED else ""
    return f"<p>{title}:</p>{table(head, rows[:_LISTED])}{more}"


def _same(found: dict[str, Any]) -> str:
    rows = [
        [
            _title(rhythm),
            row["records"],
            row["count"],
            f"{percent(row['share'])} ({percent(row['share_low'])} to {percent(row['share_high'])})",
            percent(row["expected"]),
            percent(row["gate"]),
            mark(row["verdict"]),
        ]
        for rhythm, row in found["per_rhythm"].items()
    ]
    head = ["Rhythm", "Records", "Listed", "Share (90 %)", "By chance", "Gate", "Verdict"]
    question = f'<p class="q">{escape(QUESTIONS["same_person"])}</p>'
    return f"<h3>Same person</h3>{question}{table(head, rows)}"


def _per_rhythm(name: str, found: dict[str, dict[str, Any]]) -> str:
    head, cells = {
        "membership": (
            ["Training / holdout people", "Worst attack", "TPR at 1 % FPR (90 %)", "Gate", "Power"],
            _member,
        ),
        "reidentification": (
            ["Training / holdout people", "Accepted as training", "Accepted as holdout", "Difference (90 %)"],
            _verified,
        ),
    }.get(name, (["Training / holdout people", "Success", "On strangers", "Risk (95 %)", "Gate"], _risk))
    rows = [[_title(rhythm), *cells(row), mark(row["verdict"])] for rhythm, row in found.items()]
    text = table(["Rhythm", *head, "Verdict"], rows)
    if name == "membership":
        needed = next((row["people_needed"] for row in found.values()), None)
        text += (
            "<p>Power: the chance to notice if 5 % of the training people had leaked. 80 % needs "
            f"{needed} people in training and as many in the holdout.</p>"
        )
    return f'<h3>{TITLES[name]}</h3><p class="q">{escape(QUESTIONS[name])}</p>{text}'


def _people(row: dict[str, Any]) -> str:
    return f"{row['train_people']} / {row['holdout_people']}"


def _member(row: dict[str, Any]) -> list[Any]:
    power = percent(row["power_at_5_percent"], 0)
    if "worst" not in row:
        return [_people(row), "", "", percent(row["gate"]), power]
    worst = row["attacks"][row["worst"]]
    rate = f"{percent(worst['tpr'])} ({percent(worst['tpr_low'])} to {percent(worst['tpr_high'])})"
    return [_people(row), row["worst"], rate, percent(row["gate"]), power]


def _verified(row: dict[str, Any]) -> list[Any]:
    if "tar_train" not in row:
        return [_people(row), "", "", ""]
    low, high = (percent(row[key], 2) for key in ("difference_low", "difference_high"))
    difference = f"{percent(row['difference'], 2)} ({low} to {high})"
    return [_people(row), percent(row["tar_train"], 2), percent(row["tar_holdout"], 2), difference]


def _risk(row: dict[str, Any]) -> list[Any]:
    if "risk" not in row:
        return [_people(row), "", "", "", ""]
    risk = f"{row['risk']:.3f} ({row['risk_low']:.3f} to {row['risk_high']:.3f})"
    return [_people(row), percent(row["attack"]), percent(row["control"]), risk, f"{row['gate']:.2f}"]


def _unusual(found: dict[str, Any]) -> str:
    rows = [
        [TITLES.get(name, name.capitalize()), mark(row["verdict"])] for name, row in found["gates"].items()
    ]
    rare = "".join(
        f"<li>{escape(_title(rhythm))}: learned from {row['people']} training people; near-duplicates "
        f"{row['near_duplicates']}.</li>"
        for rhythm, row in found["rare"].items()
    )
    listed = f"<p>Rare classes, whose few people a generator may repeat:</p><ul>{rare}</ul>" if rare else ""
    return (
        f"<h3>The unusual few</h3><p>The same attacks on the {found['people']} training people who stand "
        "out most "
        "(5 %); near-duplicates of them: "
        f"{found['near_duplicates']}.</p>{table(['Attack', 'Verdict'], rows)}{listed}"
    )


def _formal(dp: Any) -> str:
    if isinstance(dp, dict) and "epsilon" in dp:
        text = (
            f"The generator was trained with differential privacy: epsilon {dp['epsilon']:g}, delta "
            f"{dp.get('delta', 0):g}. That bounds what anyone can learn of one training record; it does not "
            "replace "
            "the attacks above."
        )
    else:
        text = "The generator states no differential privacy; nothing bounds what an untried attack may find."
    return f"<h3>Differential privacy</h3><p>{escape(text)}</p>"


def _remains(report: dict[str, Any]) -> str:
    open_ = "".join(f"<li>{escape(_gate(name))}</li>" for name in report["not_assessable"])
    listed = f"<p>Not assessable with these people and records:</p><ul>{open_}</ul>" if open_ else ""
    return (
        "<h3>What remains</h3><p>Attacks that were not tried, attackers who know more, and combinations "
        "with other "
        "datasets. Synthetic records made from people's recordings stay a matter of those people's data: "
        "weigh the "
        "dataset as such, say whom it was learned from, and look again when a new attack is published, when "
        "the "
        f"dataset grows or its generator is trained again, and after a year at the latest.</p>{listed}"
    )

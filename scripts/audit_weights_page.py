"""The page of audit_weights.py."""

from __future__ import annotations

from textwrap import fill
from typing import Any

from ecgsynth.privacy.audit import ALL, SECTIONS
from ecgsynth.privacy.questions import QUESTIONS, TITLES
from ecgsynth.rhythms import RHYTHMS

_MARKS = {"pass": "passed", "fail": "**FAILED**", "not assessable": "open"}
_COLUMNS = ("near_duplicates", "same_person", *SECTIONS)


def page(content: dict[str, Any]) -> str:
    """Markdown of all findings."""
    shipped, others = content["shipped"], content["others"]
    lines = [
        "# Do the shipped weights give a person away?",
        "",
        _text(
            "Each checkpoint made records as `ecgsynth generate` makes them (gate and copy gate on), and "
            "`ecgsynth audit` compared them, rhythm by rhythm, with the people that the weights learned from "
            "(parts train and val of [the split](results/split.json)) and with people that they never saw "
            "(part test). All of these people are in public databases. *Open* means not assessable: too few "
            "people or records to tell, which is not a pass. Made by `scripts/audit_weights.py`; numbers in "
            "[results/privacy_weights.json](results/privacy_weights.json)."
        ),
        "",
        "## In short",
        "",
        *(_short(row) for row in shipped),
        "",
        _text(_what_follows(shipped)),
        "",
        "## What was asked",
        "",
        *(f"- **{TITLES[name]}.** {QUESTIONS[name]}" for name in _COLUMNS),
        "",
    ]
    for found in shipped:
        lines += _checkpoint(found)
    lines += _why_open(shipped)
    if others:
        lines += _beside(shipped, others)
    return "\n".join(lines).rstrip() + "\n"


def _text(text: str, first: str = "", rest: str = "") -> str:
    return fill(text, 118, initial_indent=first, subsequent_indent=rest, break_long_words=False)


def _short(found: dict[str, Any]) -> str:
    near, rows = found["near_duplicates"], _verdicts(found)
    counts = {v: sum(value == v for row in rows.values() for value in row.values()) for v in _MARKS}
    failed = f" Failed: {', '.join(found['failed'])}." if found["failed"] else ""
    return _text(
        f"**{found['name']}**: near-duplicates {near['copies']} ({near['certain']} certain) and "
        f"records known as one person's {near['same_person']}, among {near['records']}; of the questions per "
        f"rhythm "
        f"{counts['pass']} passed, {counts['fail']} failed, {counts['not assessable']} are open.{failed}",
        "- ",
        "  ",
    )


def _what_follows(shipped: list[dict[str, Any]]) -> str:
    failed = sorted({(row["name"], text) for row in shipped for text in row["failed"]})
    offered = {row["name"]: row["offered"] for row in shipped}
    kept = [f"{name} ({text})" for name, text in failed if text.partition(": ")[2] in offered[name]]
    withheld = [f"{name} ({text})" for name, text in failed if text.partition(": ")[2] not in offered[name]]
    said = []
    if withheld:
        said.append(
            f"**A class that fails does not ship.** These failed and are not offered: {'; '.join(withheld)}. "
            "Few people are behind them, and records bear those people's beats more often than chance would "
            "have it. `--allow-few-people` draws them all the same."
        )
    if kept:
        said.append(f"**FAILED and still offered, which must not be:** {'; '.join(kept)}.")
    if not kept:
        said.append("Of what is offered, no class failed.")
    said.append(
        "What is open stays open: few people cannot show that a rhythm is safe. Records that the copy gate "
        "lets through and this audit lists are to be dropped: audit your own dataset before you pass it on."
    )
    return " ".join(said)


def _verdicts(found: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Verdict of each question for each rhythm."""
    tables = {name: found[name] for name in SECTIONS}
    tables |= {name: found[name]["per_rhythm"] for name in ("near_duplicates", "same_person")}
    rhythms = [*sorted(found["near_duplicates"]["per_rhythm"]), ALL]
    return {
        rhythm: {name: tables[name][rhythm]["verdict"] for name in _COLUMNS if rhythm in tables[name]}
        for rhythm in rhythms
    }


def _checkpoint(found: dict[str, Any]) -> list[str]:
    near, people = found["near_duplicates"]["per_rhythm"], found["inputs"]
    head = ["Rhythm", "Records", "People (training / holdout)", "Copies", *(TITLES[n] for n in _COLUMNS)]
    lines = [
        f"## {found['name']}",
        "",
        f"SHA-256 `{found['sha256'][:16]}`; {people['train']['people']} people in training, "
        f"{people['holdout']['people']} in the holdout.",
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
    ]
    for rhythm, verdicts in _verdicts(found).items():
        title = "All together" if rhythm == ALL else RHYTHMS[rhythm].title
        title += "" if rhythm == ALL or rhythm in found["offered"] else " (not offered)"
        sides = " / ".join(str(_people(found, side, rhythm)) for side in ("train", "holdout"))
        row = near.get(
            rhythm,
            {"records": found["near_duplicates"]["records"], "copies": found["near_duplicates"]["copies"]},
        )
        cells = [_cell(found, name, rhythm, verdicts.get(name)) for name in _COLUMNS]
        lines.append(f"| {title} | {row['records']} | {sides} | {row['copies']} | {' | '.join(cells)} |")
    warnings = [f"- {text}" for text in found["warnings"]]
    return [*lines, "", *(["What limits the answer:", "", *warnings, ""] if warnings else [])]


def _people(found: dict[str, Any], side: str, rhythm: str) -> int:
    row = found["inputs"][side]
    return int(row["people"] if rhythm == ALL else row["rhythms"].get(rhythm, {"people": 0})["people"])


def _cell(found: dict[str, Any], name: str, rhythm: str, verdict: str | None) -> str:
    if verdict is None:
        return "-"
    row = (
        found[name]["per_rhythm"][rhythm]
        if name in ("near_duplicates", "same_person")
        else found[name][rhythm]
    )
    return f"{_MARKS[verdict]}{_number(name, row)}"


def _number(name: str, row: dict[str, Any]) -> str:
    """The number that decides, with its upper limit."""
    if name == "near_duplicates":
        return f" (excess at most {100 * row['excess_high']:.1f} %)"
    if name == "same_person":
        return f" ({row['count']} listed, at most {100 * row['share_high']:.1f} %)"
    if name == "membership" and row["attacks"]:
        worst = row["attacks"][row["worst"]]
        return f" (TPR {100 * worst['tpr']:.1f} %, at most {100 * worst['tpr_high']:.1f} %)"
    if name == "reidentification" and "difference" in row:
        low, high = (100 * row[f"difference_{end}"] for end in ("low", "high"))
        return f" ({low:+.2f} to {high:+.2f} points)"
    if name in ("singling_out", "linkability", "inference") and "risk_high" in row:
        return f" (at most {row['risk_high']:.2f})"
    return ""


def _why_open(shipped: list[dict[str, Any]]) -> list[str]:
    near = next(iter(shipped[0]["near_duplicates"]["per_rhythm"].values()))
    members = next(iter(shipped[0]["membership"].values()))
    reasons = (
        f"A pass on near-duplicates needs {near['records_needed']} records without a hit and 20 holdout "
        "people with the rhythm: sinus rhythm and atrial fibrillation (one lead), sinus rhythm (twelve). "
        "Of every other rhythm few records were made, as no number of records could pass it.",
        "A pass on membership needs an upper limit of 2 % on the true positives at 1 % false positives. To "
        f"notice 5 % leakage with 80 % power takes {members['people_needed']} people on either side; there "
        f"are {_people(shipped[0], 'holdout', 'nsr')} holdout people in sinus rhythm. A *failure* needs "
        "fewer: its tests are exact however few people there are.",
        "People of the part val taught the verification encoder, so re-identification and same person count "
        "those of train alone.",
    )
    return ["## Why so much is open", "", *(_text(text, "- ", "  ") for text in reasons), ""]


def _beside(shipped: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[str]:
    head = ("Generator", "Records", "Training people", "Copies", "Same person", "Membership")
    lines = [
        "## Would it have noticed?",
        "",
        _text(
            "The same audit on other generators, among them one that was overfitted on purpose, and on those "
            "that ship (atrial fibrillation, single lead):"
        ),
        "",
        f"| {' | '.join(head)} | Re-identification | Verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for found in [*others, *(row for row in shipped if row["name"].endswith("-single"))]:
        near = found["near_duplicates"]["per_rhythm"]["afib"]
        rows = _verdicts(found)["afib"]
        names = ("same_person", "membership", "reidentification")
        cells = [found["name"], near["records"], _people(found, "train", "afib"), near["copies"]]
        cells += [_cell(found, name, "afib", rows[name]) for name in names]
        cells.append("**caught**" if "fail" in rows.values() else "not caught: nothing found")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return [*lines, ""]

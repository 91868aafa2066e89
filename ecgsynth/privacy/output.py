"""What an audit leaves behind: a JSON of everything, a page to read, and a few lines on the screen."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from ecgsynth.errors import OutputError
from ecgsynth.privacy.annex import write_annex
from ecgsynth.privacy.audit import Audit
from ecgsynth.privacy.questions import TITLES
from ecgsynth.privacy.wording import privacy_page

FINDINGS: Final = ("privacy.json", "privacy.html")
#: Near-duplicates named on the screen.
_NAMED = 10


def check_target(out: Path, overwrite: bool) -> None:
    """Make sure that the findings can be written, before any work.

    Raises
    ------
    OutputError
        If ``out`` is a file, or holds findings and ``overwrite`` is not set.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"--out {out}: is a file; expected a folder to write {' and '.join(FINDINGS)} to.")
    taken = [name for name in FINDINGS if (out / name).exists()]
    if taken and not overwrite:
        raise OutputError(f"--out {out}: already holds {taken[0]}; choose another folder, or --overwrite.")


def write_findings(out: Path, found: Audit, private_annex: Path | None = None) -> None:
    """Write ``privacy.json`` and ``privacy.html`` to ``out``, and the nearest pairs where asked."""
    out.mkdir(parents=True, exist_ok=True)
    content = {
        "privacy.json": json.dumps(found.report, indent=1, sort_keys=True) + "\n",
        "privacy.html": privacy_page(found.report),
    }
    for name, text in content.items():
        partial = out / f".{name}.partial"
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, out / name)
    if private_annex is not None:
        write_annex(private_annex, found.gallery, found.matches, found.report["near_duplicates"]["pairs"])


def _how(pair: dict[str, Any]) -> str:
    if pair["kind"] == "same person":
        return " of the beats, no copy"
    if pair["kind"] == "two people mixed":
        return f", mixed with {pair['mixed_with']['train']}"
    return ", certainly a copy" if pair["certain"] else ""


def summary(report: dict[str, Any]) -> str:
    """The findings in a few lines."""
    lines = [f"Warning: {text}" for text in report["warnings"]]
    found = report["near_duplicates"]
    lines.append(
        f"Near-duplicates: {found['count']} of {found['records']} records: {found['copies']} copies "
        f"({found['certain']} certain), {found['same_person']} with the beats of one person."
    )
    for pair in found["pairs"][:_NAMED]:
        lines.append(
            f"  {pair['synthetic']} is like {pair['train']} ({pair['subject']}), correlation "
            f"{pair['ncc']:.3f}" + _how(pair)
        )
    if found["count"] > _NAMED:
        lines.append(f"  and {found['count'] - _NAMED} more, in privacy.json")
    members = list(report["membership"].values())
    if members:
        first = members[0]
        lines.append(
            f"Power to see 5 % of the training people leaked: {100 * first['power_at_5_percent']:.0f} % "
            f"with {first['train_people']} in training and {first['holdout_people']} in the holdout; "
            f"80 % needs {first['people_needed']} on either side."
        )
    for name in report["failed"]:
        section, _, rhythm = name.partition(": ")
        lines.append(f"Failed: {TITLES[section].lower()}, {rhythm}")
    if report["not_assessable"]:
        lines.append(f"Not assessable (too few people or records): {len(report['not_assessable'])} gates.")
    words = {"pass": "passed", "fail": "FAILED", "not assessable": "not assessable, which is not a pass"}
    lines.append(f"Verdict: {words[report['verdict']]}.")
    return "\n".join(lines)

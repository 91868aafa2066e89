"""The privacy section of a report: what ``ecgsynth audit`` found, for a data-protection officer.

The words are the audit's own (`ecgsynth.privacy.wording`). Here they take the colours of the page, and
training people lose their names: a report travels with the dataset, evidence stays in the audit's folder and
its private annex.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from ecgsynth.errors import OptionError
from ecgsynth.privacy.wording import officer_section

#: What is looked for in the synthetic folder where no file is given.
NAME: Final = "privacy.json"
_STYLE: Final = """<style>
.privacy h3{margin:1.6em 0 .2em}.privacy table{font-variant-numeric:tabular-nums}
.privacy td{padding-right:1rem}
.privacy .scroll{overflow-x:auto}.privacy .q{color:var(--quiet)}
.privacy .warn,.privacy .verdict{display:block;white-space:normal;font-weight:400;border-radius:8px}
.privacy .warn{padding:.5em 1em;margin:.6em 0;max-width:none}
.privacy .verdict{padding:.6em 1em;background:var(--card);border-left:5px solid var(--open)}
.privacy .verdict.is-fail{border-color:var(--bad)}.privacy .verdict.is-pass{border-color:var(--good)}
.privacy .verdict.is-open{border-color:var(--warn)}
.privacy span.fail{color:var(--bad);font-weight:600}.privacy span.pass{color:var(--good)}
.privacy span.open{color:var(--open);background:none}
</style>"""
_WITHHELD: Final = {"train": "in the audit's folder", "subject": "withheld", "train_lead": "–"}


def find_audit(synthetic: Path, given: Path | None) -> Path | None:
    """The findings of an audit: the file or folder given, or what lies in the synthetic folder, or None.

    Raises
    ------
    OptionError
        If what is given is not there, or is not what ``ecgsynth audit`` writes.
    """
    path = given if given is not None else synthetic / NAME
    path = path / NAME if path.is_dir() else path
    if given is None and not path.is_file():
        return None
    privacy_section(path, records=None)
    return path


def privacy_section(path: Path, records: int | None) -> str:
    """The section (HTML) of the findings in ``path``.

    Parameters
    ----------
    path : Path
    records : int or None
        Records of the dataset that the report is of; a warning is given where the audit saw another number.

    Raises
    ------
    OptionError
        If it cannot be read or is not what ``ecgsynth audit`` writes.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        body = officer_section(_without_names(found, records))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise OptionError(
            f"--privacy {path}: not findings of an audit ({type(error).__name__}); expected the {NAME} that "
            "`ecgsynth audit` of this version writes. Run the audit again, or leave the option out."
        ) from error
    inside = re.sub(r"<style>.*?</style>", "", body, flags=re.DOTALL).replace(
        '<section class="privacy">', '<section class="privacy" id="privacy">'
    )
    note = (
        '<p class="small quiet">From <code>ecgsynth audit</code>. The recordings and people behind the '
        "findings are named in the audit’s own folder; plots of them are in its private annex.</p>"
    )
    return f"{_STYLE}{inside.replace('</section>', note + '</section>')}"


def _without_names(found: dict[str, Any], records: int | None) -> dict[str, Any]:
    """Findings without what names a training or holdout person or recording."""
    inputs = found["inputs"]
    left_out = [name for side in ("train", "holdout") for name in inputs[side]["left_out"]]
    warnings = [_cut(text, left_out) for text in found["warnings"]]
    seen = inputs["synthetic"]["records"]
    if records is not None and seen != records:
        warnings.insert(
            0,
            f"The audit looked at {seen} synthetic records, this report at {records}: it is not of this "
            "dataset as it is now. Run the audit again.",
        )
    return {**_withheld(found), "warnings": warnings}


def _withheld(value: Any) -> Any:
    """`value` with the people withheld of every row that says which recording a synthetic record is like."""
    if isinstance(value, dict):
        named = "synthetic" in value and "subject" in value
        return {
            key: _WITHHELD[key] if named and key in _WITHHELD else _withheld(own)
            for key, own in value.items()
        }
    return [_withheld(own) for own in value] if isinstance(value, list) else value


def _cut(text: str, names: list[str]) -> str:
    return f"{text.partition(':')[0]}." if any(name in text for name in names) else text

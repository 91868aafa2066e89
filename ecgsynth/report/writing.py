"""The three files of a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from ecgsynth.report.document import document, to_json
from ecgsynth.report.findings import Findings
from ecgsynth.report.page import Report, page
from ecgsynth.report.pdf import write_pdf


class Progress(Protocol):
    """How far the writing is."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """``done`` of ``total`` files."""


def write_files(findings: Findings, folder: Path, show: Progress) -> None:
    """Write ``fidelity.json``, ``report.html`` and ``report.pdf`` into ``folder``."""
    import matplotlib

    with matplotlib.rc_context():
        # Nothing of the user's own settings, and no formulas in names with dollar signs.
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        _write(findings, folder, show)


def _write(findings: Findings, folder: Path, show: Progress) -> None:
    show(0, 3, "fidelity.json")
    text = to_json(document(findings))
    (folder / "fidelity.json").write_text(text, encoding="utf-8", newline="\n")
    # What is drawn is what stands in the file.
    report = Report(json.loads(text), findings)
    show(1, 3, "report.html")
    (folder / "report.html").write_text(page(report), encoding="utf-8", newline="\n")
    show(2, 3, "report.pdf")
    write_pdf(report, folder / "report.pdf")
    show(3, 3)

"""Pieces of the page: style, tables, shares and verdicts as HTML."""

from __future__ import annotations

from html import escape
from typing import Any, Final

VERDICTS: Final = {"pass": "passed", "fail": "FAILED", "not assessable": "not assessable"}
STYLE: Final = """<style>
.privacy{font:15px/1.5 system-ui,sans-serif;max-width:62rem;color:#1d1d1f}
.privacy h2{font-size:1.4rem;margin:1.2em 0 .4em}.privacy h3{font-size:1.05rem;margin:1.6em 0 .2em}
.privacy table{border-collapse:collapse;margin:.6em 0;font-size:.9rem;font-variant-numeric:tabular-nums}
.privacy th,.privacy td{padding:.25em .7em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
.privacy td{white-space:nowrap}.privacy td.n{text-align:right}.privacy .scroll{overflow-x:auto}
.privacy .warn{border-left:4px solid #b58100;background:#fdf6e3;padding:.5em 1em;margin:.6em 0}
.privacy .verdict{border-left:4px solid #888;padding:.6em 1em;font-size:1.05rem;background:#f5f5f7}
.privacy .fail{color:#a40000;font-weight:600}.privacy .pass{color:#136613}.privacy .open{color:#7a5a00}
.privacy .verdict.is-fail{border-color:#a40000}.privacy .verdict.is-pass{border-color:#136613}
.privacy .verdict.is-open{border-color:#b58100}.privacy .q{color:#444;margin:.1em 0 .4em}
.privacy .every{display:none}
@media print{.privacy .every{display:block;position:fixed;top:0;left:0;right:0;margin:0;padding:.2em 1em;
font-size:.8rem;background:#fdf6e3;border-bottom:2px solid #b58100}}
</style>"""


def percent(share: float, digits: int = 1) -> str:
    """A share as per cent."""
    return f"{100 * share:.{digits}f} %"


class Marked(str):
    """HTML that is not to be escaped."""


def mark(verdict: str) -> Marked:
    """A verdict in its colour."""
    kind = {"pass": "pass", "fail": "fail"}.get(verdict, "open")
    return Marked(f'<span class="{kind}">{VERDICTS[verdict]}</span>')


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A table that scrolls on its own where the page is narrow; everything is escaped but `Marked`."""

    def cell(value: Any) -> str:
        if isinstance(value, Marked):
            return f"<td>{value}</td>"
        number = isinstance(value, int | float)
        return f'<td class="n">{value}</td>' if number else f"<td>{escape(str(value))}</td>"

    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(cell(value) for value in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'

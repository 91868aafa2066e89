"""Pieces of HTML: numbers as people read them, tables, the scale with its real band; all text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

VERDICT_CLASS: Final = {
    "looks real": "good",
    "distinguishable": "warn",
    "fails": "bad",
    "not assessable": "open",
}
OUTCOME: Final = {"met": ("good", "met"), "missed": ("bad", "missed"), "unclear": ("open", "unclear")}


def text(value: object) -> str:
    """Escaped."""
    return escape(str(value), quote=True)


def decimals(value: float) -> int:
    """Decimals that leave two or three significant digits."""
    return 3 if abs(value) < 0.1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0


def number(value: float | None, digits: int | None = None, *, percent: bool = False) -> str:
    """``value`` with so many decimals, or a share in percent; a dash where there is none."""
    if value is None or value != value:
        return "–"
    if percent:
        return "100 %" if value == 1 else f"{100 * value:.1f} %"
    shown = f"{value:.{decimals(value) if digits is None else digits}f}"
    return (shown.lstrip("-") if float(shown) == 0 else shown).replace("-", "−")


def interval(
    low: float | None, high: float | None, value: float | None = None, *, percent: bool = False
) -> str:
    """``0.41 to 0.67``, with as many decimals as ``value`` has."""
    if percent:
        return f"{number(low, percent=True).removesuffix(' %')} to {number(high, percent=True)}"
    digits = None if value is None or value != value else decimals(value)
    return f"{number(low, digits)} to {number(high, digits)}"


def verdict_badge(verdict: str) -> str:
    """The verdict in its colour."""
    return f'<span class="verdict {VERDICT_CLASS[verdict]}">{text(verdict)}</span>'


def outcome_tag(outcome: str) -> str:
    """Met, missed or unclear."""
    colour, word = OUTCOME[outcome]
    return f'<span class="tag {colour}">{word}</span>'


def scale(
    ends: tuple[float, float],
    real: Mapping[str, float | None],
    own: Mapping[str, float | None],
    bars: Iterable[float],
    told: str,
    names: tuple[str, str],
) -> str:
    """A track from one end to the other with the real interval, the synthetic one, and where the bars stand.

    ``real`` and ``own`` have ``value``, ``low`` and ``high``; ``names`` stand under the ends.
    """
    low, high = ends

    def at(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 2)

    parts = ['<i class="track"></i>']
    if real["low"] is not None and real["high"] is not None:
        left = at(real["low"])
        parts.append(f'<i class="band" style="left:{left}%;width:{at(real["high"]) - left:.2f}%"></i>')
    if real["value"] is not None:
        parts.append(f'<i class="mark" style="left:{at(real["value"])}%"></i>')
    parts += [f'<i class="bar" style="left:{at(bar)}%"></i>' for bar in bars]
    if own["low"] is not None and own["high"] is not None:
        left = at(own["low"])
        parts.append(f'<i class="whisker" style="left:{left}%;width:{at(own["high"]) - left:.2f}%"></i>')
    if own["value"] is not None:
        parts.append(f'<i class="dot" style="left:{at(own["value"])}%"></i>')
    track = f'<div class="scale" role="img" aria-label="{text(told)}">{"".join(parts)}</div>'
    return f'{track}<div class="ends"><span>{text(names[0])}</span><span>{text(names[1])}</span></div>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A table of ready HTML cells that becomes a list on a phone; ``numbers`` are columns of figures."""
    figures = set(numbers)
    body = []
    for row in rows:
        cells = []
        for k, (head, cell) in enumerate(zip(heads, row, strict=True)):
            kind = ' class="number"' if k in figures else ""
            name = f' data-name="{text(head)}"' if k and head else ""
            cells.append(f"<td{kind}{name}>{cell}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f"<th>{text(h)}</th>" for h in heads)
    return f'<table class="stack"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def items(lines: Iterable[str]) -> str:
    """A list of ready HTML."""
    return f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>"


def counted(counts: Mapping[str, Any], most: int = 12) -> str:
    """``I 55, MLII 30`` as escaped text."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{text(name)} ({count})" for name, count in ranked[:most])
    return shown + (f" and {len(ranked) - most} more" if len(ranked) > most else "")

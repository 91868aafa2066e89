"""Charts as SVG inside a page: its colours, its fonts, no fixed size, and a text for who cannot see them."""

from __future__ import annotations

import re
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from ecgsynth.paper import MAJOR, MINOR, QUIET, SHEET, TRACE
from ecgsynth.report.charts import REAL_FILL, REAL_LINE, RULE, SYNTHETIC

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colours of a chart and the page's own that take their place.
SWAPPED: Final = {
    SHEET: "--paper",
    MINOR: "--paper-minor",
    MAJOR: "--paper-major",
    TRACE: "--trace",
    QUIET: "--quiet",
    REAL_FILL: "--real-fill",
    REAL_LINE: "--real",
    SYNTHETIC: "--synthetic",
    RULE: "--rule",
}
_SIZE = re.compile(r'(<svg\b[^>]*?) width="[\d.]+pt" height="[\d.]+pt"')
_COLOUR = re.compile("|".join(re.escape(colour) for colour in SWAPPED))


def inline_svg(figure: Figure, text: str, key: str) -> str:
    """The figure as an ``<svg>`` element.

    Parameters
    ----------
    figure : Figure
    text : str
        What it shows, in a sentence.
    key : str
        Unique in the page: ids within the SVG begin with it.
    """
    import matplotlib

    file = StringIO()
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": key, "path.simplify_threshold": 0.2}
    with matplotlib.rc_context(style):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing)
    drawn = file.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = _COLOUR.sub(lambda match: f"var({SWAPPED[match[0]]})", drawn)
    drawn = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', drawn)
    drawn = re.sub(r'(href="|url\()#([^")]+)', rf"\1#{key}-\2", drawn)
    drawn = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", drawn)
    drawn = _SIZE.sub(rf'\1 role="img" aria-label="{escape(text, quote=True)}"', drawn, count=1)
    drawn = re.sub(r"\s*\n\s*", " ", drawn)
    return re.sub(r'<g id="[^"]*-(?:figure|patch|line2d|text|matplotlib)[^"]*">', "<g>", drawn)

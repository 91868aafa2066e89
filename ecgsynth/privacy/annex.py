"""The private annex: the nearest pairs drawn one over the other.

It shows people's recordings, so it stays where those are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.copies import Match, place_of
from ecgsynth.privacy.gallery import Gallery
from ecgsynth.privacy.traces import SLOW_HZ

#: Pairs drawn, worst first, and pairs on one page.
MOST_PAIRS: Final = 40
_PER_PAGE: Final = 5
NOTICE: Final = (
    "These plots show recordings of people. Keep them where those recordings are kept, and delete them when "
    "the "
    "audit is settled.\n"
)


def write_annex(
    folder: Path, gallery: Gallery, matches: Sequence[Match], near: Sequence[dict[str, Any]]
) -> list[Path]:
    """Draw the near-duplicates, then the nearest of all other pairs, into ``folder`` as PNG pages.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    gallery : Gallery
    matches : sequence of Match
    near : sequence of dict
        ``near_duplicates["pairs"]`` of the report.

    Returns
    -------
    list of Path
    """
    order = {(pair["synthetic"], pair["lead"], pair["at_s"]): k for k, pair in enumerate(near)}

    def rank(match: Match) -> tuple[int, float]:
        key = (match.strip.record, match.strip.lead, round(match.strip.at, 2))
        return order.get(key, len(order)), -max(abs(match.full.ncc), abs(match.bent.ncc))

    chosen = sorted(matches, key=rank)[:MOST_PAIRS]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.txt").write_text(NOTICE, encoding="utf-8")
    pages = []
    for start in range(0, len(chosen), _PER_PAGE):
        path = folder / f"pairs-{start // _PER_PAGE + 1:02d}.png"
        _page(path, gallery, chosen[start : start + _PER_PAGE], set(order))
        pages.append(path)
    return pages


def _page(path: Path, gallery: Gallery, matches: Sequence[Match], near: set[tuple[str, str, float]]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.1 * len(matches) + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(len(matches), 1))
    for axis, match in zip(axes, matches, strict=True):
        fit = max((match.full, match.bent), key=lambda f: abs(f.ncc))
        number, middle = place_of(gallery, fit)
        trace = gallery.traces[number]
        strip = match.strip.signal
        real = _piece(trace.signal, middle, len(strip))
        size = float(np.sqrt((real**2).sum() / max(float((strip**2).sum()), 1e-12))) * np.sign(fit.ncc)
        at = np.arange(len(strip)) / SLOW_HZ
        axis.plot(at, real, color="#c0392b", lw=1.0, label=f"{trace.record} {trace.lead} ({trace.subject})")
        axis.plot(
            at,
            size * strip,
            color="#1f3a93",
            lw=0.8,
            label=f"{match.strip.record} {match.strip.lead}, scaled",
        )
        key = (match.strip.record, match.strip.lead, round(match.strip.at, 2))
        mark = "NEAR-DUPLICATE, " if key in near else ""
        axis.set_title(
            f"{mark}{match.strip.rhythm}: correlation {fit.ncc:.3f}, played {fit.stretch:.3f} times as long",
            loc="left",
            fontsize=9,
        )
        axis.set_xlim(0, at[-1])
        axis.set_ylabel("mV", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.legend(loc="upper right", fontsize=7, frameon=False, ncols=2)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("s", fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _piece(signal: NDArray[np.float32], middle: float, length: int) -> NDArray[np.float32]:
    start = round(middle * SLOW_HZ - (length - 1) / 2)
    out = np.zeros(length, dtype=np.float32)
    first, last = max(0, start), min(len(signal), start + length)
    if last > first:
        out[first - start : last - start] = signal[first:last]
    return out

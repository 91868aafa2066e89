"""Whether a record has P waves, and which of its beats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.delineation_beats import FEW, Array
from ecgsynth.fidelity.delineation_search import Search

#: Chosen on the tuning half. A beat of the main kind has no P wave when it answers less than this share of
#: the median beat's; one of another kind has one when it answers more than that share.
P_MISSING, P_LIKE = 0.25, 0.5


def p_log_odds(found: Search, odds: Sequence[float]) -> Array:
    """Natural log-odds [leads, records] that the main median beat's P wave is one; -inf without beats.

    ``odds[0] + odds[1] ln(height / noise) + odds[2] ln(beats)``: in sinus rhythm the P wave comes at a fixed
    distance before the QRS, and what single beats differ by is small beside it; what is left of fibrillation
    in a median beat is smaller than what single beats differ by. Fitted to people in sinus rhythm and
    fibrillation, then moved so that 6 % of the latter's recordings have one.
    """
    k = np.maximum(found.main, 0)
    ratio = found.height[:, k] / np.maximum(found.noise[:, k], 1e-3)
    value = odds[0] + odds[1] * np.log(np.maximum(ratio, 1e-3)) + odds[2] * np.log(found.beats.size[k])
    return np.where((found.main >= 0) & (found.beats.size[k] >= FEW), value, -np.inf)


def pooled_odds(odds: Array) -> Array:
    """Log-odds [records] over leads [leads, records]: the mean of the better half.

    In some leads a P wave is flat; a single lead out of twelve in which noise looks like one must not decide.
    """
    best = np.sort(odds, axis=0)[len(odds) // 2 :]
    return np.asarray(best.mean(0))


def p_present(found: Search, odds: Array) -> NDArray[np.bool_]:
    """Which beats have a P wave [beats].

    None do in a record whose median beat has none (`pooled_odds` of 0 or less). In the others a
    beat of the main kind has one unless it plainly answers otherwise, and a beat of another kind if
    it answers like the main ones.
    """
    k = np.maximum(found.main, 0)[found.beats.record]
    height, noise = found.height[:, k], np.maximum(found.noise[:, k], 1e-3)
    power = np.maximum((height**2).sum(0), 1e-9)
    share = (height * np.where(np.isfinite(found.answer), found.answer, 0.0)).sum(0) / power
    doubt = np.sqrt((height**2 * noise**2).sum(0)) / power
    plainly_not = (share < P_MISSING) & (share + 3.0 * doubt < 1.0)
    own = found.beats.kind == k
    return np.asarray(
        (pooled_odds(odds)[found.beats.record] > 0) & np.where(own, ~plainly_not, share > P_LIKE)
    )

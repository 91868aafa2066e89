"""How leads come from electrodes, so that what disturbs an electrode disturbs its leads consistently.

Limb leads are differences of three electrodes and chest leads refer to their mean (Wilson's central
terminal): whatever is added to electrodes, or done to all leads alike, keeps Einthoven's ``III = II - I``
and Goldberger's augmented leads. Whatever is done to each lead for itself breaks them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Limb leads over the electrodes (RA, LA, LL): Einthoven's three and Goldberger's three.
LIMB_LEADS: Final = {
    "I": (-1.0, 1.0, 0.0),
    "II": (-1.0, 0.0, 1.0),
    "III": (0.0, -1.0, 1.0),
    "aVR": (1.0, -0.5, -0.5),
    "aVL": (-0.5, 1.0, -0.5),
    "aVF": (-0.5, -0.5, 1.0),
}
#: The four limb leads that are sums of I and II, as weights of these two.
DERIVED_LEADS: Final = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}
CHEST_LEADS: Final = frozenset({"V1", "V2", "V3", "V4", "V5", "V6"})


@dataclass(frozen=True)
class Montage:
    """Electrodes behind a set of leads.

    Attributes
    ----------
    leads : tuple of str
    electrodes : tuple of str
        ``RA``, ``LA`` and ``LL`` where two independent limb leads are there to tell them apart, one for each
        chest lead, and one for each lead that stands alone.
    leads_from_electrodes : float64 array [leads, electrodes]
    electrodes_from_leads : float64 array [electrodes, leads]
        Potentials against Wilson's central terminal.
    mixing : float64 array [leads, rank]
        ``mixing @ mixing.T`` is the covariance that unit noise on each electrode has on the leads; fewer
        columns than electrodes, so that less noise has to be drawn.
    """

    leads: tuple[str, ...]
    electrodes: tuple[str, ...]
    leads_from_electrodes: NDArray[np.float64]
    electrodes_from_leads: NDArray[np.float64]
    mixing: NDArray[np.float64]


@lru_cache(maxsize=64)
def montage(leads: tuple[str, ...]) -> Montage:
    """The electrodes behind `leads`.

    Examples
    --------
    >>> montage(("I", "II", "V1")).electrodes
    ('RA', 'LA', 'LL', 'V1')
    >>> montage(("MLII",)).electrodes
    ('MLII',)
    """
    limb = [i for i, lead in enumerate(leads) if lead in LIMB_LEADS]
    weights = np.array([LIMB_LEADS[leads[i]] for i in limb]).reshape(len(limb), 3)
    known = len(limb) > 1 and np.linalg.matrix_rank(weights) == 2
    others = [i for i in range(len(leads)) if not known or i not in limb]
    electrodes = (*(("RA", "LA", "LL") if known else ()), *(leads[i] for i in others))
    first = 3 if known else 0
    forward, backward = np.zeros((len(leads), len(electrodes))), np.zeros((len(electrodes), len(leads)))
    if known:
        forward[limb, :3] = weights
        # The minimum-norm solution is the one whose three potentials sum to zero: the central terminal's.
        backward[:3, limb] = np.linalg.pinv(weights)
    for electrode, i in enumerate(others, start=first):
        forward[i, electrode] = backward[electrode, i] = 1.0
        if known and leads[i] in CHEST_LEADS:
            forward[i, :3] = -1 / 3
    return Montage(leads, electrodes, forward, backward, _factor(forward @ forward.T))


def _factor(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cholesky factor [leads, rank] of a covariance that need not have full rank."""
    rest, columns = covariance.copy(), []
    for i in range(len(rest)):
        if rest[i, i] > 1e-9:
            column = rest[:, i] / np.sqrt(rest[i, i])
            columns.append(column)
            rest = rest - np.outer(column, column)
    return np.stack(columns, axis=1)


def independent_leads(leads: tuple[str, ...]) -> tuple[str, ...]:
    """`leads` less those that follow from I and II; all of them where I or II is missing."""
    if not {"I", "II"} <= set(leads):
        return leads
    return tuple(lead for lead in leads if lead not in DERIVED_LEADS)


@lru_cache(maxsize=64)
def expansion(leads: tuple[str, ...]) -> NDArray[np.float64]:
    """Matrix [leads, independent leads] that gives all `leads` from the independent ones."""
    own = independent_leads(leads)
    matrix = np.zeros((len(leads), len(own)))
    for i, lead in enumerate(leads):
        if lead in own:
            matrix[i, own.index(lead)] = 1.0
        else:
            matrix[i, [own.index("I"), own.index("II")]] = DERIVED_LEADS[lead]
    return matrix


def independent_part(signal: Tensor, leads: tuple[str, ...]) -> Tensor:
    """The independent ones [B, K, T] of `leads` [B, L, T]."""
    own = independent_leads(leads)
    if own == leads:
        return signal
    return signal.index_select(1, torch.tensor([leads.index(lead) for lead in own], device=signal.device))


def expanded(signal: Tensor, leads: tuple[str, ...]) -> Tensor:
    """All `leads` [B, L, T] from the independent ones [B, K, T]; Einthoven's law holds in the result."""
    if signal.shape[1] == len(leads):
        return signal
    return torch.as_tensor(expansion(leads), dtype=signal.dtype, device=signal.device) @ signal


def einthoven_residual(signal: Tensor, leads: tuple[str, ...]) -> Tensor:
    """RMS in mV, per record [B], of what Einthoven's and Goldberger's laws leave over.

    Zero where no lead follows from I and II.
    """
    own = independent_part(signal, leads)
    return (signal - expanded(own, leads)).square().mean(dim=(1, 2)).sqrt()

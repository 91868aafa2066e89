"""Sliding means and maxima, and lengths of fast transforms: what is wanted of scipy at every start.

To import any part of scipy takes 0.2 s, most of it for parts of numpy that nobody here uses. These give the
same numbers, to the last bit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def moving_mean(x: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Mean [..., samples] of ``size`` samples around each, as ``scipy.ndimage.uniform_filter1d``.

    Of an even number there is one more before than behind; at its ends a signal is continued by its mirror
    image.
    """
    longer = _mirrored(x, size)
    # A running sum, in the order in which scipy adds.
    first = np.cumsum(longer[..., :size], axis=-1)[..., -1:]
    steps = longer[..., size:] - longer[..., :-size]
    return np.asarray(np.cumsum(np.concatenate([first, steps], axis=-1), axis=-1) / size)


def moving_max(x: NDArray[Any], size: int) -> NDArray[Any]:
    """Maximum [..., samples] of ``size`` samples around each, as ``scipy.ndimage.maximum_filter1d``."""
    top, width = _mirrored(x, size), 1
    while 2 * width <= size:
        top = np.maximum(top[..., :-width], top[..., width:])
        width *= 2
    n = x.shape[-1]
    return np.maximum(top[..., :n], top[..., size - width : size - width + n])


def _mirrored(x: NDArray[Any], size: int) -> NDArray[Any]:
    before = size // 2
    behind = size - before - 1
    if size > x.shape[-1]:
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, behind)], mode="symmetric")
    ends = x[..., :before][..., ::-1], x[..., x.shape[-1] - behind :][..., ::-1]
    return np.concatenate([ends[0], x, ends[1]], axis=-1)


@lru_cache(maxsize=64)
def fast_length(least: int) -> int:
    """The smallest number from ``least`` on without prime factors over 5: transforms of so many are fast."""
    n = least
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1

"""The few filters that are not scipy's give its numbers, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from ecgsynth.filters import fast_length, moving_max, moving_mean


@pytest.mark.parametrize("shape", [(2500,), (8, 3000), (57,), (3, 20)])
@pytest.mark.parametrize("size", [1, 2, 3, 25, 26, 151])
def test_sliding_means_and_maxima_are_scipys(shape: tuple[int, ...], size: int) -> None:
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    x = 3.7 * np.random.default_rng(size).standard_normal(shape)
    assert np.array_equal(moving_mean(x, size), uniform_filter1d(x, size, axis=-1))
    assert np.array_equal(moving_max(x, size), maximum_filter1d(x, size, axis=-1))
    assert np.array_equal(moving_max(x > 5, size), maximum_filter1d((x > 5).astype(np.int8), size, axis=-1))


def test_fast_lengths_are_scipys() -> None:
    from scipy.fft import next_fast_len

    asked = [*range(1, 3000), 9_000_011]
    assert [fast_length(n) for n in asked] == [next_fast_len(n, real=True) for n in asked]

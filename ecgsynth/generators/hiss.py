"""How loud and of which colour the noise of a recording is, seen where no beat is near.

What is left of a QRS when the median beat is taken away is a hundred times louder over 40 Hz than the
noise of a good recording, and rings through any sharp filter. So noise is measured in short Hann windows
(their sidelobes fall off fast) that stay clear of every QRS, and by the median over windows.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.blocks import HOP
from ecgsynth.generators.oscillation import noise_of
from ecgsynth.generators.plan import PLAN_FS

#: Samples of a window: 256 ms. Windows lie `HOP` apart, as the hops of the noise transform do.
WINDOW = 64
WINDOW_HZ = np.fft.rfftfreq(WINDOW, 1 / PLAN_FS)
#: Bands in Hz whose noise makes the colour of a recording, over that of the first: movement differs below,
#: filters and converters cut off above.
COLOUR_HZ = ((12.0, 40.0), (3.5, 12.0), (40.0, 70.0), (70.0, 126.0))
#: Seconds that a window's centre keeps off an R peak that follows (its P wave) and one before (its T wave).
_CLEAR_S = (0.26, 0.38)
#: Seconds from an R peak, between which noise over 12 Hz is compared with that far from beats.
PROFILE_EDGES_S = (-0.26, -0.18, -0.12, -0.06, 0.06, 0.12, 0.2, 0.3, 0.4)
#: Where a profile has its knots: in the middle of those, and nought beyond. The flanks of the QRS, `FLANKS`,
#: are told apart by other means, see :func:`flank_power`.
PROFILE_S = np.array([-0.32, -0.22, -0.15, -0.09, -0.05, 0.05, 0.09, 0.16, 0.25, 0.35, 0.45])
FLANKS = (4, 5)
#: Seconds from an R peak of its flanks, and the band in Hz, above what a median beat keeps of them.
_FLANK_S, _FLANK_HZ = (0.035, 0.065), (50.0, 100.0)
#: Second differences of what binomial weights smooth: passes noise around 42 Hz, where mains hum is not.
_ROUGH = np.convolve([1.0, -2.0, 1.0], np.array([1, 6, 15, 20, 15, 6, 1]) / 64)
#: Sixth differences, smoothed: passes noise around 85 Hz, and a tenth of that at 40 Hz, where it is louder.
_ROUGHER = np.convolve([1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0], [0.25, 0.5, 0.25])
_FEWEST = 6
#: Power in mV^2 below which nothing is told apart: a tenth of a step of the finest converter.
_FLOOR = 1e-8


def noise_power(
    signal: NDArray[np.floating],
    times: NDArray[np.float64],
    classes: NDArray[np.int64],
    rhythm: str,
    found: tuple[NDArray[np.float32], NDArray[np.bool_]] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float32]]:
    """Power of a strip's noise in windows, and which of them stay clear of beats.

    Parameters
    ----------
    signal : float array [leads, samples]
        In mV at `PLAN_FS`, without wander.
    times, classes : arrays [beats]
        R peaks in s, and kinds of beat.
    rhythm : str
    found : pair of arrays, optional
        What :func:`ecgsynth.generators.oscillation.noise_of` made of the same, where it is at hand.

    Returns
    -------
    power : float64 array [leads, windows, WINDOW // 2 + 1]
        mV^2; white noise of variance v has power v in every bin. Window m is centred on sample ``m * HOP``.
    quiet : bool array [windows]
        Clear of beats; where fewer than six are, the quarter that is farthest from them.
    fast : float32 array [leads, samples]
        The noise itself, above some 7 Hz.
    """
    rest, known = found or noise_of(signal, times, classes, rhythm, PLAN_FS)
    power, quiet = quiet_spectra(rest, times, known)
    # A median over beats that drift is jagged where one beat takes over from another: over 12 Hz the beats
    # are taken away without their drift.
    hz = np.fft.rfftfreq(signal.shape[1], 1 / PLAN_FS)
    keep = 0.5 - 0.5 * np.cos(np.pi * np.clip((hz - 6) / 3, 0, 1))
    fast = np.fft.irfft(np.fft.rfft(signal) * keep, signal.shape[1])
    rest, known = noise_of(fast, times, classes, rhythm, PLAN_FS)
    first = int(np.searchsorted(WINDOW_HZ, COLOUR_HZ[0][0]))
    power[..., first:] = quiet_spectra(rest, times, known)[0][..., first:]
    return power, quiet, rest


def quiet_spectra(
    rest: NDArray[np.floating], times: NDArray[np.float64], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Power of noise in windows, and which of them stay clear of beats.

    Parameters
    ----------
    rest : float array [leads, samples]
        A strip without its beats, see :func:`ecgsynth.generators.oscillation.noise_of`.
    times : float64 array [beats]
        R peaks in s.
    known : bool array [samples]
        Where `rest` is noise.

    Returns
    -------
    power : float64 array [leads, windows, WINDOW // 2 + 1]
        mV^2; white noise of variance v has power v in every bin. Window m is centred on sample ``m * HOP``.
    quiet : bool array [windows]
        Clear of beats; where fewer than six are, the quarter that is farthest from them.
    """
    n = rest.shape[1]
    count = n // HOP + 1
    padded = np.pad(rest.astype(np.float64), ((0, 0), (WINDOW // 2, WINDOW)))
    at = (np.arange(count) * HOP)[:, None] + np.arange(WINDOW)
    shape = np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(padded[:, at] * shape)) ** 2 / np.square(shape).sum()
    centre = np.arange(count) * HOP
    whole = (centre >= WINDOW // 2) & (centre + WINDOW // 2 <= n)
    steady = np.pad(known, (WINDOW // 2, WINDOW))[at].all(1) & whole
    away = _distance(centre / PLAN_FS, times)
    quiet = steady & (away >= 1)
    if quiet.sum() < _FEWEST and steady.any():
        wanted = max(_FEWEST, int(steady.sum()) // 4)
        quiet = steady & (away >= np.sort(away[steady])[::-1][min(wanted, int(steady.sum())) - 1])
    return power, quiet


def _distance(centre: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance ``[windows]`` to the nearest R peaks, in units of what keeps clear of them."""
    ahead, since = nearest_beats(centre, times)
    return np.minimum(ahead / _CLEAR_S[0], since / _CLEAR_S[1])


def hiss_spectrum(power: NDArray[np.float64], quiet: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Log power ``[leads, bins]``: the median over quiet windows, over ln 2, as for Gaussian noise."""
    return np.log(np.median(power[:, quiet], axis=1) / np.log(2) + _FLOOR)


def hiss_numbers(spectrum: NDArray[np.float64]) -> tuple[float, ...]:
    """Log amplitude (of mV) of the first band of `COLOUR_HZ`, and of the others over it."""
    power = np.exp(spectrum).mean(0)
    bands = [power[slice(*np.searchsorted(WINDOW_HZ, (low, high)))].mean() for low, high in COLOUR_HZ]
    level, *others = (0.5 * float(np.log(band)) for band in bands)
    return level, *(other - level for other in others)


def burstiness(fast: NDArray[np.floating], quiet: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Variance ``[2]`` of the log amplitude of noise `fast` in quiet windows, around 42 Hz and around 85 Hz.

    Of Gaussian noise whose amplitude is log-normal with variance s2 the RMS is ``exp(s2)`` times what its
    median absolute value says; unlike a kurtosis, the median shows it in a few seconds. NaN where quiet
    windows hold too little.
    """
    reach = WINDOW // 2 - 8
    centres = np.flatnonzero(quiet) * HOP
    centres = centres[(centres >= 2 * reach) & (centres + 2 * reach <= fast.shape[1])]
    if len(centres) < _FEWEST:
        return np.full(2, np.nan)
    at = centres[:, None] + np.arange(-reach, reach)
    found = []
    for taps in (_ROUGH, _ROUGHER):
        size = np.abs(np.stack([np.convolve(row, taps, mode="same")[at] for row in fast]))
        rms = np.sqrt(np.square(size).mean((1, 2)))
        ratio = rms / np.maximum(np.median(size, axis=(1, 2)) / 0.6745, 1e-9)
        found.append(float(np.log(np.median(ratio))))
    return np.array(found)


def beat_profile(
    fast: NDArray[np.floating], times: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Log of how much louder noise is near a beat than far from it, at the knots `PROFILE_S`.

    Parameters
    ----------
    fast : float array [leads, samples]
        Noise over some 12 Hz of a strip without its beats.
    times : float64 array [beats]
        R peaks in s.
    known : bool array [samples]

    Returns
    -------
    float64 array [knots]
        0 at both ends and at `FLANKS`; NaN where less than a second lies far from beats. Real waves differ
        from beat to beat in more than height, and no record is as quiet in them as between them.
    """
    t = np.arange(fast.shape[1]) / PLAN_FS
    ahead, since = nearest_beats(t, times)
    offset = np.where(ahead <= since, -ahead, since)
    # What moves a P wave a little is slow, and louder here than the noise that is looked for.
    size = np.abs([np.convolve(row, _ROUGH, mode="same") for row in fast])
    far = known & (ahead > -PROFILE_EDGES_S[0]) & (since > PROFILE_EDGES_S[-1])
    if far.sum() < PLAN_FS:
        return np.full(len(PROFILE_S), np.nan)
    # Means, not medians: near beats noise comes in fewer bursts than far from them, and power is what shows.
    floor = np.log(size[:, far].mean() + 1e-6)
    out = np.zeros(len(PROFILE_S))
    spans = [span for span in pairwise(PROFILE_EDGES_S) if span[1] != 0.06]
    knots = [k for k in range(1, len(PROFILE_S) - 1) if k not in FLANKS]
    for k, (low, high) in zip(knots, spans, strict=True):
        inside = known & (offset >= low) & (offset < high)
        out[k] = np.log(size[:, inside].mean() + 1e-6) - floor if inside.sum() >= 25 else np.nan
    return out


def flank_power(signal: NDArray[np.floating], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power in mV^2 at 50 to 100 Hz before R peaks, behind them and far from them, ``[3]``.

    Parameters
    ----------
    signal : float array [leads, samples]
        With its beats: a QRS is notched otherwise in every beat, and a median beat holds none of that.
    times : float64 array [beats]
        R peaks in s.

    Returns
    -------
    float64 array [3]
        Medians of squares; NaN where there is less than 0.2 s of a place.
    """
    n = signal.shape[1]
    hz = np.fft.rfftfreq(n, 1 / PLAN_FS)
    edges = np.clip((hz - _FLANK_HZ[0] + 5) / 10, 0, 1) * np.clip((_FLANK_HZ[1] + 5 - hz) / 10, 0, 1)
    square = np.square(np.fft.irfft(np.fft.rfft(signal) * edges, n))
    t = np.arange(n) / PLAN_FS
    ahead, since = nearest_beats(t, times)
    whole = (t > 0.1) & (t < t[-1] - 0.1)
    places = (
        (ahead >= _FLANK_S[0]) & (ahead < _FLANK_S[1]),
        (since >= _FLANK_S[0]) & (since < _FLANK_S[1]),
        (ahead > -PROFILE_EDGES_S[0]) & (since > PROFILE_EDGES_S[-1]),
    )
    inside = [place & whole for place in places]
    enough = 0.2 * PLAN_FS
    return np.array([float(np.median(square[:, x])) if x.sum() >= enough else np.nan for x in inside])


def nearest_beats(
    t: NDArray[np.float64], times: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds ``[samples]`` to the next and since the last of R peaks `times`, 9 where there is none."""
    if len(times) == 0:
        return np.full(len(t), 9.0), np.full(len(t), 9.0)
    after = np.searchsorted(times, t, side="right")
    ahead = np.where(after < len(times), times[np.minimum(after, len(times) - 1)] - t, 9.0)
    since = np.where(after > 0, t - times[np.maximum(after - 1, 0)], 9.0)
    return ahead, since

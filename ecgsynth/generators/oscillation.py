"""Phase and amplitude of continuous waves in real strips: f waves, flutter waves, fibrillation.

A network that must invent the phase of an atrial wave from noise draws a different wave in every frame.
Given the phase as a condition, it only has to learn the wave's shape; when generating, the rhythm
process supplies the phase.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: Hz passed for the wave of each rhythm. f waves 4-9 Hz (Platonov PG et al. Europace 16 Suppl 4, 2014);
#: flutter 250-350/min, slower under drugs (ESC 2019); ventricular flutter 150-300/min; VF 3-9 Hz
#: (Strohmenger HU et al. Chest 111:584-589, 1997).
BANDS: dict[str, tuple[float, float]] = {
    "afib": (3.5, 9.5),
    "aflutter": (3.2, 6.5),
    "vflutter": (2.0, 6.0),
    "vf": (2.0, 9.0),
}
#: Rhythms whose wave lies under QRS and T, which must be taken away first.
_UNDER_BEATS = ("afib", "aflutter")
_BEFORE_S, _AFTER_S = 0.24, 0.46


def cancel_beats(signal: NDArray[np.floating], beats: NDArray[np.int64], fs: float) -> NDArray[np.float64]:
    """`signal` [samples] without its median beat: average beat subtraction (Slocum J et al. 1985).

    Each beat is fitted to the median beat by gain, so that amplitude changes do not leave a rest.
    Fewer than three whole beats leave the signal as it is.
    """
    rest = np.array(signal, np.float64)[None]
    before, after = int(_BEFORE_S * fs), int(_AFTER_S * fs)
    whole = beats[(beats >= before) & (beats < rest.shape[1] - after)]
    if len(whole) >= 3:
        _subtract(rest, whole, before, after, fs, (0.3, 1.7))
    return rest[0]


def measure_oscillation(
    signal: NDArray[np.floating], beats: NDArray[np.int64], rhythm: str | None, fs: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Phase and relative amplitude of the continuous wave in one strip.

    Parameters
    ----------
    signal : float array [samples]
        One lead in mV.
    beats : int64 array [beats]
        R peaks in samples; those outside the strip are ignored.
    rhythm : str or None
        Canonical name. Rhythms that are not keys of `BANDS` have no such wave.
    fs : float
        Hz.

    Returns
    -------
    phase : float32 array [samples]
        Cycles since the start, unwrapped: the angle of the analytic signal over ``2 pi``.
    amplitude : float32 array [samples]
        Envelope over its mean; both are 0 throughout where the rhythm has no wave.
    """
    n = len(signal)
    if rhythm not in BANDS:
        return np.zeros(n, np.float32), np.zeros(n, np.float32)
    rest = cancel_beats(signal, beats, fs) if rhythm in _UNDER_BEATS else np.asarray(signal, np.float64)
    analytic = wave_in_band(rest, rhythm, fs)
    envelope = np.abs(analytic)
    phase = np.unwrap(np.angle(analytic)) / (2 * np.pi)
    return phase.astype(np.float32), (envelope / max(envelope.mean(), 1e-9)).astype(np.float32)


def wave_in_band(signal: NDArray[np.floating], rhythm: str, fs: float) -> NDArray[np.complex128]:
    """Analytic signal ``[..., samples]`` of what `signal` holds in the band of a rhythm's wave."""
    n = signal.shape[-1]
    pad = min(n - 1, int(fs))
    centred = signal - signal.mean(-1, keepdims=True)
    ends = centred[..., pad:0:-1], centred[..., -2 : -pad - 2 : -1]
    padded = np.concatenate([ends[0], centred, ends[1]], axis=-1)
    analytic = np.fft.ifft(2 * np.fft.fft(padded) * _band_gain(padded.shape[-1], rhythm, fs))
    return np.asarray(analytic[..., pad : pad + n], np.complex128)


@lru_cache(maxsize=16)
def _band_gain(n: int, rhythm: str, fs: float) -> NDArray[np.float64]:
    """Gain of the rhythm's band at each frequency of a complex transform of `n` samples."""
    low, high = BANDS[rhythm]
    hz = np.fft.fftfreq(n, 1 / fs)
    # Raised-cosine skirts half a hertz wide: a sharp edge would ring through the whole strip.
    band = np.clip((hz - low) / 0.5 + 1, 0, 1) * np.clip((high - hz) / 0.5 + 1, 0, 1)
    return np.asarray(np.sin(band * np.pi / 2) ** 2)


def noise_of(
    signal: NDArray[np.floating],
    times: NDArray[np.float64],
    classes: NDArray[np.int64],
    rhythm: str,
    fs: float,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What is left of a strip without its beats and its wave: the noise of the recording itself.

    Parameters
    ----------
    signal : float array [leads, samples]
        In mV, without wander.
    times, classes : arrays [beats]
        R peaks in s from the start, and kinds of beat.
    rhythm : str
    fs : float
        Hz.

    Returns
    -------
    rest : float32 array [leads, samples]
        The strip less the median beat of each kind, scaled to each beat by 0.8 to 1.2, less the wave. What
        is left within 30 ms of an R peak is the beat's own variation and is turned down to a seventh.
    known : bool array [samples]
        Where that could be done: not under beats of which the strip holds fewer than three, nor at its ends.
    """
    rest = np.array(signal, np.float64)
    known = np.ones(rest.shape[1], bool)
    at = np.rint(times * fs).astype(np.int64)
    before, after = int(_BEFORE_S * fs), int(_AFTER_S * fs)
    whole = (at >= before) & (at < rest.shape[1] - after)
    for kind in np.unique(classes):
        mine = at[(classes == kind) & whole]
        if len(mine) >= 3:
            _subtract(rest, mine, before, after, fs, (0.8, 1.2))
    lost = [kind for kind in np.unique(classes) if ((classes == kind) & whole).sum() < 3]
    for beat in at[~whole | np.isin(classes, lost)]:
        known[max(beat - before, 0) : max(beat + after, 0)] = False
    t = np.arange(rest.shape[1]) / fs
    for beat in times[(times > -0.1) & (times < t[-1] + 0.1)]:
        rest *= 1 - 0.85 * np.exp(-0.5 * ((t - beat) / 0.03) ** 2)
    if rhythm in BANDS:
        rest -= wave_in_band(rest, rhythm, fs).real
    return rest.astype(np.float32), known


#: Seconds by which a beat's label may lie beside its peak.
_MOVED_S = 0.016


def beat_height_sd(
    signal: NDArray[np.floating], times: NDArray[np.float64], classes: NDArray[np.int64], fs: float
) -> float:
    """SD of the heights of a strip's beats over their mean, NaN where no kind has five whole beats.

    The height of a beat is its least-squares gain on the median QRS (70 ms around the R peak) of its kind.
    """
    reach = int(0.07 * fs)
    at = np.rint(times * fs).astype(np.int64)
    inside = (at >= reach) & (at < signal.shape[-1] - reach)
    kinds, counts = np.unique(classes[inside], return_counts=True)
    if not len(kinds) or counts.max() < 5:
        return float("nan")
    mine = at[inside & (classes == kinds[counts.argmax()])]
    beats = signal[:, mine[:, None] + np.arange(-reach, reach + 1)].astype(np.float64)
    beats -= beats.mean(2, keepdims=True)
    median = np.median(beats, axis=1)
    gain = np.einsum("lbw,lw->b", beats, median) / max(float((median**2).sum()), 1e-9)
    return float(gain.std() / max(abs(float(gain.mean())), 1e-6))


def beat_bend_sd(
    signal: NDArray[np.floating], times: NDArray[np.float64], classes: NDArray[np.int64], fs: float
) -> float:
    """How much blunter one beat of a strip is than another; NaN where not nearly all beats are normal.

    Robust SD over beats of the coefficient, in samples squared, of the second derivative of the median QRS
    (70 ms around the R peak), when each beat is made of the QRS, its two derivatives and a line. Beats are
    moved by up to `_MOVED_S` first, to where they are most like the median: labels may be off the peak.
    """
    reach, moved = int(0.07 * fs), int(_MOVED_S * fs)
    at = np.rint(times * fs).astype(np.int64)
    inside = (at >= reach + moved) & (at < signal.shape[-1] - reach - moved)
    mine = at[inside & (classes == 0)]
    if len(mine) < max(5, 0.8 * inside.sum()):
        return float("nan")
    window = np.arange(-reach, reach + 1)
    steps = np.arange(-moved, moved + 1)
    tried = signal[:, mine[:, None, None] + steps[:, None] + window].astype(np.float64)
    tried -= tried.mean(-1, keepdims=True)
    like = np.einsum("lbsw,lw->bs", tried, np.median(tried[:, :, moved], axis=1))
    beats = tried[:, np.arange(len(mine)), like.argmax(1)]
    median = np.median(beats, axis=1)
    slope = np.gradient(median, axis=1)
    line = np.broadcast_to(np.linspace(-1, 1, median.shape[1]), median.shape)
    # Leads one after the other: a beat is blunter in all of them at once.
    shapes = [median, slope, np.gradient(slope, axis=1), line, np.ones_like(line)]
    basis = np.stack([x.ravel() for x in shapes], 1)
    found = np.linalg.lstsq(basis, beats.transpose(0, 2, 1).reshape(len(basis), -1), rcond=None)[0][2]
    return float(1.4826 * np.median(np.abs(found - np.median(found))))


def middle_beat(beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean ``[leads, samples]`` of the middle half of ``[leads, beats, samples]``, at each sample.

    As little moved by an odd beat as a median, but smooth: a median of beats that drift jumps from one beat
    to another, and the jumps are louder over 40 Hz than the noise of a good recording.
    """
    count = beats.shape[1]
    cut = max(count // 4, int(count >= 3))
    return np.asarray(np.sort(beats, axis=1)[:, cut : count - cut].mean(1))


def _subtract(
    rest: NDArray[np.float64],
    beats: NDArray[np.int64],
    before: int,
    after: int,
    fs: float,
    gains: tuple[float, float],
) -> None:
    """Take the median beat off `rest` ``[leads, samples]`` in place, scaled to each beat within `gains`.

    The median beat is cut where the next one begins, and stands on the line between its ends: what is left
    between two beats is then neither a step nor a second copy.
    """
    if len(beats) > 1:
        after = min(after, max(int(np.median(np.diff(beats))) - before, int(0.2 * fs)))
    rows = beats[:, None] + np.arange(-before, after)
    strips = rest[:, rows]
    level = strips.mean(2, keepdims=True)
    template = middle_beat(strips - level)
    end = int(0.03 * fs)
    first, last = template[:, :end].mean(1, keepdims=True), template[:, -end:].mean(1, keepdims=True)
    edge = np.arange(before + after)
    template -= first + (last - first) * edge / (before + after - 1)
    template *= np.sin(np.pi / 2 * np.minimum(1.0, np.minimum(edge, edge[::-1]) / (0.1 * fs))) ** 2
    shape = template - template.mean(1, keepdims=True)
    gain = np.einsum("lbw,lw->b", strips - level, shape) / max(float((shape**2).sum()), 1e-9)
    for row, factor in zip(rows, np.clip(gain, *gains), strict=True):
        rest[:, row] -= factor * template

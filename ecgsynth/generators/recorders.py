"""Kinds of recorder: the noise, wander, band, steps and gain they lay over a heart; signal-to-noise ratios.

What a recorder adds does not know the rhythm: so any rhythm of any generator can be had as a Holter, a
handheld device or a twelve-lead machine would have written it. The numbers in ``weights/recorders.json`` were
measured on training people by ``scripts/fit_recorders.py``, with the measures by which the learned
generators' own noise is fitted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.generators.noise_sway import draw_bursts, draw_sway
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.wander import above_drift, draw_drift, draw_wander

Array = NDArray[np.float64]

#: Band in Hz within which the powers of a signal-to-noise ratio are taken: what a monitor shows (AHA 2007
#: recommendations, Kligfield P et al.); wander below it can be filtered out without loss.
SNR_BAND_HZ = (0.5, 40.0)
#: Seconds before and after an R peak in which a beat's power is taken: QRS, ST segment and T wave.
QRST_S = (0.06, 0.40)
#: Frequencies in Hz at which the level and the three colours of noise stand: the middle of their bands.
_COLOUR_AT_HZ = np.array([6.5, 22.0, 53.0, 93.0])
#: Order of those in (level, colours).
_COLOUR_ORDER = np.array([1, 0, 2, 3])
#: Samples per hop of the noise's sway, 160 ms as in the learned generators, and columns of its three bands.
_HOP, _BANDS_HZ = 40, (12.5, 40.625)
#: Standard deviations at which a recording's numbers are cut: beyond them are faults, not a kind of machine.
_CUT_SD = 2.5
#: Numbers of a recording: log wander (SD in mV), log drift, log noise at 12 to 40 Hz, three log colours.
N_NUMBERS = 6


@dataclass(frozen=True)
class Recorder:
    """One kind of machine.

    Attributes
    ----------
    band_hz : (float, float)
        -3 dB points of what it passes.
    step_mv, full_mv : float
        Step and range (to either side) of its converter.
    gain : float
        Amplitude of a heart beside that on a twelve-lead machine, in the lead that both have.
    mean : float64 array [6]
    factor : float64 array [6, 6]
        Mean and Cholesky factor of the covariance, over recordings, of the numbers of a recording.
    spectrum : float64 array [bins]
        Log power over what the level and the colours say, at `hz`.
    hz : float64 array [bins]
    sway : float64 array [3, 2]
        As in :func:`ecgsynth.generators.noise_sway.draw_sway`.
    bursts : float64 array [2]
        SD of the log amplitude of bursts, at 12 to 40 Hz and above.
    drift_power, drift_sway, wander_power : float64 arrays
        As :func:`ecgsynth.generators.wander.draw_drift` and ``draw_wander`` take them.
    """

    band_hz: tuple[float, float]
    step_mv: float
    full_mv: float
    gain: float
    mean: Array
    factor: Array
    spectrum: Array
    hz: Array
    sway: Array
    bursts: Array
    drift_power: Array
    drift_sway: Array
    wander_power: Array


@cache
def load_recorders() -> dict[str, Recorder]:
    """The kinds of recorder that ship, by name."""
    stored = json.loads((files("ecgsynth.weights") / "recorders.json").read_text(encoding="utf-8"))
    return {name: _recorder(row) for name, row in stored["recorders"].items()}


@cache
def kind_of_source() -> dict[str, str]:
    """Kind of recorder of each database."""
    stored = json.loads((files("ecgsynth.weights") / "recorders.json").read_text(encoding="utf-8"))
    return {source: name for name, row in stored["recorders"].items() for source in row["sources"]}


def _recorder(row: dict[str, Any]) -> Recorder:
    arrays = (
        *("mean", "factor", "spectrum", "hz", "sway", "bursts"),
        *("drift_power", "drift_sway", "wander_power"),
    )
    low, high = row["band_hz"]
    numbers: dict[str, Any] = {key: float(row[key]) for key in ("step_mv", "full_mv", "gain")}
    numbers |= {key: np.array(row[key], float) for key in arrays}
    return Recorder(band_hz=(low, high), **numbers)


def recorder_noise(recorder: Recorder, channels: int, n: int, rng: np.random.Generator) -> Array:
    """Noise, drift and wander ``[channels, n]`` in mV at `PLAN_FS` of one recording, all leads alike."""
    own = np.clip(rng.standard_normal(N_NUMBERS), -_CUT_SD, _CUT_SD)
    wander, drift, level, *colours = recorder.mean + recorder.factor @ own
    out = _hiss(recorder, colour_spectrum(level, np.array(colours)), channels, n, rng)
    out += np.exp(drift) * draw_drift(n, channels, recorder.drift_power, recorder.drift_sway, rng)
    out += np.exp(wander) * draw_wander(n, channels, recorder.wander_power, rng)
    return out


def colour_spectrum(level: float, colours: Array) -> Array:
    """Log power at the middles of the four bands: of a level (log amplitude) and three colours over it."""
    return np.asarray(2 * (level + np.concatenate([[0.0], colours])[_COLOUR_ORDER]))


def smooth_spectrum(bands: Array, hz: NDArray[np.floating]) -> Array:
    """Log power at `hz` between that of the four bands: straight lines over log frequency."""
    return np.interp(np.log(np.maximum(hz, 1.0)), np.log(_COLOUR_AT_HZ), bands)


def _hiss(recorder: Recorder, bands: Array, channels: int, n: int, rng: np.random.Generator) -> Array:
    """Noise over the drift, its three bands swaying each for itself, over 12 Hz in bursts."""
    hz = np.fft.rfftfreq(n, 1 / PLAN_FS)
    log_power = smooth_spectrum(bands, hz) + np.interp(hz, recorder.hz, recorder.spectrum)
    white = np.fft.rfft(rng.standard_normal((channels, n), dtype=np.float32))
    spectrum = white * np.exp(log_power / 2) * above_drift(hz)
    sway = draw_sway(n // _HOP + 2, recorder.sway, _HOP, rng)[:, [0, 4, 13]]
    bursts = draw_bursts(n, recorder.bursts, rng)
    out = np.zeros((channels, n))
    edges = (0.0, *_BANDS_HZ, np.inf)
    for band in range(3):
        inside = (hz >= edges[band]) & (hz < edges[band + 1])
        envelope = np.interp(np.arange(n) / _HOP, np.arange(len(sway)), sway[:, band])
        out += np.fft.irfft(spectrum * inside, n) * envelope * (bursts[band - 1] if band else 1.0)
    return out


def as_recorded(
    signal: NDArray[np.float32],
    heart: NDArray[np.float32],
    beat_times: Array,
    source: str,
    noise: str | None,
    snr: float | None,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], float]:
    """A recording with the noise that was asked for.

    Parameters
    ----------
    signal, heart : float32 arrays [leads, samples]
        As generated, in mV at `PLAN_FS`, and the heart in it.
    beat_times : float64 array [beats]
        R peaks in s.
    source : str
        Database whose gain the heart has.
    noise : {"clean", "holter", "handheld", "12lead"} or None
        None keeps the noise of `signal`.
    snr : float or None
        Ratio in dB to scale the noise to (:func:`snr_db`). Wander under its band is turned down with the
        rest, but never up: it does not count, and would leave the page.
    rng : Generator
        Of the recorder's noise.

    Returns
    -------
    recording : float32 array [leads, samples]
        Not yet in the recorder's steps: that comes after resampling.
    ratio : float
        Its signal-to-noise ratio in dB.
    """
    # A heart alone rests at 0 mV, as the isoelectric line of a real recording does.
    level = np.median(heart, axis=1, keepdims=True)
    alone = (heart - level).astype(np.float64)
    if noise == "clean":
        return alone.astype(np.float32), float("inf")
    if noise is None:
        added = signal - alone
    else:
        recorder = load_recorders()[noise]
        known = load_recorders().get(kind_of_source().get(source, ""))
        alone = through_band(
            alone * (recorder.gain / (known.gain if known else recorder.gain)), recorder.band_hz
        )
        added = recorder_noise(recorder, len(alone), alone.shape[1], rng)
    ratio = snr_db(alone, added, beat_times, PLAN_FS)
    if snr is not None and np.isfinite(ratio):
        factor = 10 ** ((ratio - snr) / 20)
        wander = in_band(added, PLAN_FS, (0.0, SNR_BAND_HZ[0]))
        added = wander * min(factor, 1.0) + (added - wander) * factor
        ratio = snr
    return (alone + added).astype(np.float32), ratio


def through_band(signal: NDArray[np.floating], band_hz: tuple[float, float]) -> Array:
    """`signal` ``[leads, samples]`` at `PLAN_FS` through a recorder's filters, without delay.

    Butterworth edges of order 2 below and 4 above, as
    :class:`ecgsynth.augment.OtherDevice` has them; ends are mirrored.
    """
    n = signal.shape[1]
    pad = min(n - 1, 2 * PLAN_FS)
    padded = np.pad(signal.astype(np.float64), ((0, 0), (pad, pad)), mode="reflect")
    hz = np.fft.rfftfreq(padded.shape[1], 1 / PLAN_FS)
    low = hz**4 / (hz**4 + band_hz[0] ** 4)
    high = 1 / (1 + (hz / band_hz[1]) ** 8)
    passed = np.fft.irfft(np.fft.rfft(padded) * np.sqrt(low * high), padded.shape[1])
    return np.asarray(passed[:, pad : pad + n])


def quantised(signal: NDArray[np.floating], recorder: Recorder) -> NDArray[np.float32]:
    """`signal` in mV in whole steps of the converter, cut at its range."""
    limit = np.floor(recorder.full_mv / recorder.step_mv)
    steps = np.clip(np.rint(signal / recorder.step_mv), -limit, limit)
    return np.asarray(steps * recorder.step_mv, np.float32)


def in_band(signal: NDArray[np.floating], fs: float, band_hz: tuple[float, float] = SNR_BAND_HZ) -> Array:
    """`signal` ``[leads, samples]`` without what lies outside a band.

    By the cosine transform, whose mirrored ends do not turn wander into a step at every frequency.
    """
    from scipy.fft import dct, idct

    n = signal.shape[1]
    hz = np.arange(n) * fs / (2 * n)
    keep = (hz >= band_hz[0]) & (hz < band_hz[1])
    return np.asarray(idct(dct(signal.astype(np.float64), norm="ortho") * keep, norm="ortho"))


def qrst_samples(r_peaks_s: Array, n: int, fs: float) -> NDArray[np.bool_]:
    """Samples ``[n]`` from 60 ms before to 400 ms after an R peak; all of them where there is no beat."""
    inside = np.zeros(n, bool)
    for at in r_peaks_s:
        inside[max(0, round((at - QRST_S[0]) * fs)) : max(0, round((at + QRST_S[1]) * fs))] = True
    return inside if inside.any() else np.ones(n, bool)


def snr_db(heart: NDArray[np.floating], noise: NDArray[np.floating], r_peaks_s: Array, fs: float) -> float:
    """Signal-to-noise ratio in dB of a recording of which both parts are known.

    ``10 log10(P_heart / P_noise)``, mean squares over all leads in `SNR_BAND_HZ`: of the clean heart between
    60 ms before and 400 ms after each R peak (over the whole record where a rhythm has no beats), so that a
    slow heart is not a bad recording; of the noise over the whole record.

    Parameters
    ----------
    heart, noise : float arrays [leads, samples]
        In one unit.
    r_peaks_s : float64 array [beats]
        In s from the first sample; those outside count where their window reaches in.
    fs : float
        Hz.

    Returns
    -------
    float
        ``inf`` without noise.
    """
    beats = in_band(heart, fs)[:, qrst_samples(r_peaks_s, heart.shape[1], fs)]
    ratio = np.square(beats).mean() / max(float(np.square(in_band(noise, fs)).mean()), 1e-30)
    return float(10 * np.log10(max(ratio, 1e-30))) if noise.any() else float("inf")

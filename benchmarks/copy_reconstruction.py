"""An attack on the copy index: draw a person's median beat, and strip, from a code of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.privacy.copy_index import CopyIndex
from ecgsynth.privacy.correlation import PAGE, PageSpectra
from ecgsynth.privacy.samples import median_beat
from ecgsynth.privacy.traces import STRIP, Strip
from ecgsynth.rpeaks import detect_r_peaks

Floats = NDArray[np.float64]
#: Strips that the attack on strips is tried on.
STRIPS = 300


def reconstruction(
    index: CopyIndex, pack: Mapping[str, NDArray[Any]], strips: list[Strip], rng: np.random.Generator
) -> dict[str, Any]:
    """Correlations with the truth of what several attackers draw, beside what averages reach."""
    beats, kept = _beats(pack, strips)
    coder = index.coders["full"]
    codes = coder.vectors(np.concatenate([coder(s.signal[None]) for s in kept])).astype(float)
    codes /= np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1.0)
    people = np.unique([s.subject for s in kept])
    targets = set(rng.permutation(people)[: len(people) // 2].tolist())
    mine = np.array([s.subject not in targets for s in kept])
    lead = np.array([s.lead for s in kept])
    drawn = _guesses(codes[mine], beats[mine], lead[mine], codes[~mine], lead[~mine])
    own = [s.signal for s, known in zip(kept, mine, strict=True) if known]
    theirs = [s.signal for s, known in zip(kept, mine, strict=True) if not known]
    return {
        "attacker_people": len(people) - len(targets),
        "target_people": len(targets),
        "beat": {name: _said((guess * beats[~mine]).sum(1)) for name, guess in drawn.items()},
        "strip": _strips(index, codes[~mine], codes[mine], theirs, own, rng),
    }


def _beats(pack: Mapping[str, NDArray[Any]], strips: list[Strip]) -> tuple[Floats, list[Strip]]:
    """Median beats of strips, without mean and of length 1, and the strips that have one."""
    fs = float(pack["fs"][0])
    columns = [pack[key].tolist() for key in ("subject", "record", "lead", "start")]
    row = {key: i for i, key in enumerate(zip(*columns, strict=True))}
    beats, kept = [], []
    for strip in strips:
        i = row[strip.subject, strip.record, strip.lead, round(strip.at * fs)]
        level = pack["signal"][i, 0].astype(np.float64)
        beat = median_beat(level, fs, detect_r_peaks(level, fs))
        if beat is not None and np.ptp(beat) > 0:
            beats.append(beat - beat.mean())
            kept.append(strip)
    return _unit(np.array(beats)), kept


def _unit(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12))


def _guesses(known: Floats, beats: Floats, lead: NDArray, asked: Floats, of: NDArray) -> dict[str, Floats]:
    """Beats drawn for the codes ``asked`` of leads ``of``, by attackers of growing cunning."""
    from sklearn.linear_model import Ridge
    from sklearn.neural_network import MLPRegressor

    names = np.unique(np.concatenate([lead, of]))
    inputs, wanted = (np.c_[c, n[:, None] == names] for c, n in ((known, lead), (asked, of)))
    average = {name: beats[lead == name].mean(0) if (lead == name).any() else beats.mean(0) for name in names}
    same = np.where(of[:, None] == lead[None], asked @ known.T, -9.0)
    near = np.argsort(-same, axis=1)
    network = MLPRegressor(hidden_layer_sizes=(256, 256), early_stopping=True, random_state=0, max_iter=200)
    guesses = {
        "no code: everybody's mean": np.repeat(beats.mean(0)[None], len(asked), axis=0),
        "no code: the lead's mean": np.array([average[name] for name in of]),
        "code: least squares (ridge)": Ridge(alpha=1.0).fit(inputs, beats).predict(wanted),
        "code: network, 256 x 256": network.fit(inputs, beats).predict(wanted),
        "code: beat of the nearest code": beats[near[:, 0]],
        "code: mean of the 5 nearest": beats[near[:, :5]].mean(axis=1),
    }
    return {name: _unit(np.asarray(rows)) for name, rows in guesses.items()}


def _strips(
    index: CopyIndex,
    asked: Floats,
    known: Floats,
    truth: list[NDArray[np.float32]],
    own: list[NDArray[np.float32]],
    rng: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """Largest correlation over all shifts, both signs, of drawn strips with the true ones."""
    from sklearn.linear_model import Ridge

    some = rng.permutation(len(truth))[:STRIPS]
    nearest = (asked[some] @ known.T).argmax(axis=1)
    padded = np.zeros((len(own), STRIP))
    for line, signal in zip(padded, own, strict=True):
        line[: len(signal)] = signal[:STRIP]
    straight = Ridge(alpha=1.0).fit(known, _unit(padded)).predict(asked[some])
    drawn = {
        "no code: a random person's strip": [own[i] for i in rng.integers(0, len(own), len(some))],
        "code: strip of the nearest code": [own[i] for i in nearest],
        "code: its spectrum with made-up phases": [_rebuilt(index, asked[i], 1, rng) for i in some],
        "code: the square of its spectrum, so": [_rebuilt(index, asked[i], 2, rng) for i in some],
        "code: least squares (ridge)": list(straight.astype(np.float32)),
    }
    return {
        name: _said(np.array([_ncc(truth[i], guess) for i, guess in zip(some, guesses, strict=True)]))
        for name, guesses in drawn.items()
    }


def _rebuilt(index: CopyIndex, unit: Floats, power: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A power of the amplitude spectrum that a code describes, with random phases."""
    from scipy import fft

    describer = index.coders["full"].describe
    # How far from the mean spectra lie, which codes do not say, is known of the attacker's own recordings.
    off = np.sqrt(max(0.0, 1 - float(np.linalg.norm(describer.mean)) ** 2))
    shape = unit @ np.linalg.pinv(describer.basis)
    shape *= off / max(float(np.linalg.norm(shape)), 1e-9)
    size = np.clip(describer.mean + shape, 0, None) ** (power / describer.power)
    spectrum = np.zeros(513, dtype=complex)
    first = round(0.7 * 1024 / 64)
    spectrum[first : first + len(size)] = size * np.exp(2j * np.pi * rng.random(len(size)))
    return np.asarray(fft.irfft(spectrum, 1024)[:STRIP], dtype=np.float32)


def _ncc(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    page = np.zeros((1, PAGE), dtype=np.float32)
    page[0, 350 : 350 + len(second)] = second
    once = np.zeros(1, dtype=np.int64)
    return float(np.abs(PageSpectra(page).ncc(first[None], once, once)).max())


def _said(values: Floats) -> dict[str, float]:
    return {
        "mean": round(float(values.mean()), 4),
        "median": round(float(np.median(values)), 4),
        "over_0.95": round(float((values > 0.95).mean()), 4),
        "over_0.99": round(float((values > 0.99).mean()), 4),
    }

"""What ``benchmarks/ablations.py`` measures: draws beside people held out, and forecasts of their beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from realism import same_chain
from short_training import rows_of

import ecgsynth
from ecgsynth.batches import load_strips
from ecgsynth.checkpoint import load_checkpoint
from ecgsynth.fidelity.distances import kid
from ecgsynth.fidelity.encoder import embed
from ecgsynth.fidelity.features import FEATURES, feature_table
from ecgsynth.fidelity.two_sample import boosting_judge, two_sample_auc
from ecgsynth.rpeaks import detect_r_peaks
from ecgsynth.training.uncertainty import forecast_beats

Array = NDArray[np.float64]
FS = 250.0
REAL = "real against real"
#: Strips of a rhythm that draws are put beside, and of a person: of many people, and of few.
MOST, OF_MANY, OF_FEW = 110, 3, 8
#: Rhythms whose middle beat is one kind of beat.
ONE_KIND = ("nsr", "afib")
#: Features by what they tell of; their Kolmogorov-Smirnov statistics are averaged.
_BEAT = "p_score p_height p_at_ms q_depth r_height s_depth qrs_ms qrs_steep st_level t_height t_at_ms qt_ms"
_SWAY = "qrs_cv likeness likeness_low repeat_1 residual_qrs residual_tp fwave_power"
_BANDS = [name for name in FEATURES if name.startswith(("band_", "diff"))]
GROUPS = {
    "ks_beat": _BEAT.split(),
    "ks_sway": _SWAY.split(),
    "ks_spectrum": [*_BANDS, "spectral_entropy", "residual_tp_high"],
}
HALVINGS = 6


@dataclass(frozen=True)
class Side:
    """The real strips of each rhythm ``[strips, samples]``, whose they are, and the pack's rows."""

    pack: Mapping[str, Any]
    rows: Mapping[str, NDArray[np.int64]]
    strips: Mapping[str, Array]
    people: Mapping[str, Sequence[str]]

    def against_itself(self) -> dict[str, Any]:
        """The measures between halves of the people, means over `HALVINGS`; none of forecasts."""
        found: dict[str, list[dict[str, float]]] = {}
        for rhythm, strips in self.strips.items():
            table, owner = feature_table(list(strips), FS), np.array(self.people[rhythm])
            beats, points = middle_beats(strips), points_of(strips)
            for k in range(HALVINGS):
                names = np.random.default_rng(k).permutation(np.unique(owner))
                half = np.isin(owner, names[: len(names) // 2])
                row = distances(
                    table[half], table[~half], points[half], points[~half], owner[half], owner[~half]
                )
                if k < 3:
                    row |= told(
                        (table[half], table[~half]), (beats[half], beats[~half]), owner[half], owner[~half]
                    )
                found.setdefault(rhythm, []).append(row)
        return joined({r: {k: mean_of(rows, k) for k in rows[0]} for r, rows in found.items()})


def mean_of(rows: Sequence[Mapping[str, float]], name: str) -> float:
    return float(np.mean([row[name] for row in rows if name in row]))


def real_side(pack: dict[str, Any], rhythms: Sequence[str]) -> Side:
    """Whole strips of test people, of all where fewer than eight have the rhythm."""
    rows: dict[str, NDArray[np.int64]] = {}
    for rhythm in rhythms:
        whole = (pack["rhythm"] == rhythm) & (pack["episode_start"] <= 0) & (pack["episode_stop"] >= 2500)
        held = whole & (pack["part"] == "test")
        mine = held if len(np.unique(pack["subject"][held])) >= 8 else whole
        of_one = OF_MANY if len(np.unique(pack["subject"][mine])) >= 20 else OF_FEW
        seen: dict[str, int] = {}
        own = []
        for i in np.random.default_rng(0).permutation(np.flatnonzero(mine)).tolist():
            person = str(pack["subject"][i])
            seen[person] = seen.get(person, 0) + 1
            if seen[person] <= of_one:
                own.append(i)
        rows[rhythm] = np.array(own[:MOST])
    strips = {r: chained(pack, own, _whole(pack, own)) for r, own in rows.items()}
    people = {r: [str(pack["subject"][i]) for i in own] for r, own in rows.items()}
    return Side(pack, rows, strips, people)


def _whole(pack: Mapping[str, Any], rows: NDArray[np.int64]) -> Array:
    return np.array([pack["signal"][i, 0, pack["valid_start"][i] :][:2500] for i in rows], float)


def chained(pack: Mapping[str, Any], rows: NDArray[np.int64], strips: Array) -> Array:
    """Strips with the band of their source, the same for real and drawn ones, as in ``realism.py``."""
    sources = pack["source"][rows]
    limit = {s: 0.9 * float(pack["bandwidth"][pack["source"] == s].min()) for s in np.unique(sources)}
    return same_chain(strips, np.array([limit[s] for s in sources]))


def measured(kind: str, path: Path, side: Side, seed: int, steps: int | None = None) -> dict[str, Any]:
    """All measures of a checkpoint, means over rhythms and each rhythm's own; `steps` of its prior's flow."""
    generator, found = ecgsynth.load_generator(kind, path), {}
    if steps is not None:
        prior = generator.load(False)[0].net.prior
        prior.sample = partial(prior.sample, steps=steps)
    for rhythm, real in side.strips.items():
        made = draws(generator, rhythm, side, seed)
        tables = feature_table(list(real), FS), feature_table(list(made), FS)
        owner, names = np.array(side.people[rhythm]), np.array([f"made/{i}" for i in range(len(made))])
        found[rhythm] = distances(*tables, points_of(real), points_of(made), owner, names)
        found[rhythm] |= told(tables, (middle_beats(real), middle_beats(made)), owner, names)
    return {**joined(found), "forecast": forecast_error(path, side)}


def draws(generator: Any, rhythm: str, side: Side, seed: int) -> Array:
    """One strip in the source and lead of each real one."""
    places: dict[tuple[str, str], list[int]] = {}
    for k, i in enumerate(side.rows[rhythm].tolist()):
        places.setdefault((str(side.pack["source"][i]), str(side.pack["lead"][i])), []).append(k)
    out = np.empty((len(side.rows[rhythm]), 2500))
    for turn, ((source, lead), at) in enumerate(sorted(places.items())):
        wish: dict[str, Any] = {"source": source, "leads": (lead,), "allow_few_people": True}
        records = generator.sample(rhythm, len(at), 1000 + 100 * seed + turn, seconds=10.0, **wish)
        out[at] = [record.signal[0] for record in records]
    return chained(side.pack, side.rows[rhythm], out)


def points_of(strips: Array) -> NDArray[np.float32]:
    return embed(strips[:, None].astype(np.float32), FS, ("pooled",))


def middle_beats(strips: Array) -> Array:
    """Median of all beats of each strip from 0.26 s before to 0.44 s after the R peak, at 125 Hz."""
    before, after = round(0.26 * FS), round(0.44 * FS)
    out = np.full((len(strips), len(range(0, before + after, 2))), np.nan)
    for row, strip in zip(out, strips, strict=True):
        peaks = np.asarray(detect_r_peaks(strip, FS))
        peaks = peaks[(peaks >= before) & (peaks < len(strip) - after)]
        if len(peaks) >= 3:
            beat = np.median(strip[peaks[:, None] + np.arange(-before, after)], axis=0)
            row[:] = (beat - np.median(beat))[::2]
    return out


def distances(
    first: Array, second: Array, points: Any, others: Any, owner: NDArray[Any], names: NDArray[Any]
) -> dict[str, float]:
    """KID, and mean Kolmogorov-Smirnov statistics of `GROUPS`."""
    from scipy.stats import ks_2samp

    owners = [np.unique(x, return_inverse=True)[1] for x in (owner, names)]
    row = {"kid": float(kid(points, owners[0], others, owners[1]).value)}
    for group, features in GROUPS.items():
        found = []
        for name in features:
            a, b = (t[:, FEATURES.index(name)] for t in (first, second))
            a, b = a[np.isfinite(a)], b[np.isfinite(b)]
            if min(len(a), len(b)) >= 8:
                found.append(ks_2samp(a, b).statistic)
        row[group] = float(np.mean(found))
    return row


def told(
    tables: tuple[Array, Array], beats: tuple[Array, Array], owner: NDArray[Any], names: NDArray[Any]
) -> dict[str, float]:
    """AUC of boosting on all features, and on the middle beat alone; intervals by resampling people."""
    row: dict[str, float] = {}
    for name, (first, second) in (("auc", tables), ("auc_beat", beats)):
        folds = max(2, min(5, len(set(owner.tolist())), len(set(names.tolist()))))
        own, other = owner.tolist(), names.tolist()
        found = two_sample_auc(first, own, second, other, boosting_judge, folds=folds, resamples=100)
        row |= {name: found.auc, f"{name}_low": found.low, f"{name}_high": found.high}
    return row


def joined(rhythms: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Means over rhythms; of the middle beat, over those of one kind of beat."""
    names = ("auc", "auc_beat", "kid", *GROUPS)
    kept = {n: [r for r in rhythms if n != "auc_beat" or r in ONE_KIND] for n in names}
    means = {n: round(float(np.mean([rhythms[r][n] for r in own])), 4) for n, own in kept.items()}
    return {**means, "rhythms": {r: {k: round(v, 4) for k, v in x.items()} for r, x in rhythms.items()}}


def forecast_error(path: Path, side: Side) -> dict[str, float]:
    """Mean absolute error over 99 % range of the middle beat of a half strip, foreseen from the other half.

    Over test people in sinus rhythm and AF, each counting the same: of the whole beat, and of where the P
    wave lies (sinus rhythm).
    """
    net, _ = load_checkpoint(path)
    out: dict[str, float] = {}
    for rhythm in ONE_KIND:
        strips = load_strips(rows_of(side.pack, side.rows[rhythm]), net.config)
        found = forecast_beats(net, strips, np.arange(len(strips)), seed=0, draws=4)
        by_person: dict[int, list[list[float]]] = {}
        for one in found:
            error = np.abs(one.real - one.mean) / max(float(np.ptp(one.real)), 1e-6)
            by_person.setdefault(one.person, []).append([float(error.mean()), float(error[5:50].mean())])
        rows = np.array([np.mean(own, axis=0) for own in by_person.values()])
        out[rhythm] = round(float(100 * rows[:, 0].mean()), 3)
        if rhythm == "nsr":
            out["p_wave"] = round(float(100 * rows[:, 1].mean()), 3)
        out[f"{rhythm}_people"] = len(rows)
    return out

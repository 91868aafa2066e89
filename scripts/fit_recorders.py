"""Measure kinds of recorder on training people and write ``ecgsynth/weights/recorders.json``.

    python scripts/fit_recorders.py --pack single.npz

The pack is one of ``scripts/pack_training_data.py``; its people of the part ``test`` are not read. A person
counts once however many windows there are. PTB-XL's rate of 100 Hz hides noise over 40 Hz, so for
twelve-lead machines that is taken from Chapman-Shaoxing and Ningbo. Bands and steps are those that the
databases' papers state: mitdb 0.1-100 Hz and 5 uV (Moody GB, Mark RG, IEEE EMB 2001), cinc2017 0.5-40 Hz and
1 uV (Clifford GD et al. Comput Cardiol 2017), ptbxl 0.05-150 Hz and 1 uV (Wagner P et al. Sci Data 2020).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.batches import Strips, load_strips, source_wander
from ecgsynth.generators.conditions import RHYTHM_INDEX
from ecgsynth.generators.hiss import WINDOW_HZ
from ecgsynth.generators.recorders import colour_spectrum, smooth_spectrum
from ecgsynth.generators.strip_net import LearnedConfig, StripNet
from ecgsynth.training.noise import fit_sources

Array = NDArray[np.float64]

#: Kind: its databases, the leads by which its gain is compared, band in Hz, step and range in mV.
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[float, float], float, float]] = {
    "holter": (("mitdb",), ("V1",), (0.1, 100.0), 0.005, 5.12),
    "handheld": (("cinc2017",), ("I",), (0.5, 40.0), 0.001, 32.767),
    "12lead": (("ptbxl", "chapman", "ningbo"), (), (0.05, 150.0), 0.001, 32.767),
}
#: Databases whose hearts stand at the gain of a kind, though its noise is not measured on them.
SAME_GAIN = {"holter": ("vfdb",)}
#: Databases sampled at 100 Hz, whose noise over 40 Hz is not seen.
NARROW = ("ptbxl",)
#: Windows of a person and lead that are read.
MOST = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("ecgsynth/weights/recorders.json"))
    options = parser.parse_args()
    pack = dict(np.load(options.pack))
    wanted = [source for sources, *_ in KINDS.values() for source in sources]
    rows = chosen(pack, wanted)
    some = taken(pack, rows)
    config = LearnedConfig(("*",), tuple(sorted(set(some["lead"].tolist()))), tuple(sorted(wanted)))
    strips = load_strips(some, config)
    tables = fit_sources(StripNet(config), strips, seed=0)
    tables["wander_power"] = source_wander(some, config)
    gains = nsr_gains(strips, config)
    fitted = {kind: fit_kind(kind, strips, config, tables, gains, some) for kind in KINDS}
    options.out.write_text(json.dumps({"recorders": fitted}, indent=1) + "\n", encoding="utf-8")
    for kind, row in fitted.items():
        print(kind, row["people"], "people, gain", row["gain"], "mean", row["mean"])


def chosen(pack: dict[str, Array], sources: list[str]) -> list[int]:
    """Windows to read: of training people, few of each person and lead."""
    known = np.isin(pack["part"], ("train", "val")) & np.isin(pack["source"], sources)
    seen: Counter[tuple[str, str]] = Counter()
    rows = []
    for i in np.random.default_rng(0).permutation(np.flatnonzero(known)):
        key = (str(pack["subject"][i]), str(pack["lead"][i]))
        seen[key] += 1
        if seen[key] <= MOST:
            rows.append(int(i))
    return sorted(rows)


def taken(pack: dict[str, Any], rows: list[int]) -> dict[str, Any]:
    """The pack with `rows` alone."""
    n = len(pack["subject"])
    some = {key: value[rows] if len(value) == n else value for key, value in pack.items()}
    for name, columns in (("beats", ("samples", "symbols")), ("changes", ("samples", "rhythm"))):
        offsets = pack[f"{name}_offsets"]
        index = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in rows])
        lengths = [int(offsets[i + 1] - offsets[i]) for i in rows]
        some[f"{name}_offsets"] = np.cumsum([0, *lengths])
        some |= {f"{name}_{column}": pack[f"{name}_{column}"][index] for column in columns}
    return some


def nsr_gains(strips: Strips, config: LearnedConfig) -> dict[tuple[str, str], float]:
    """Median log gain of sinus rhythm per source and lead."""
    gains = {}
    for s, source in enumerate(config.sources):
        for k, lead in enumerate(config.leads):
            mine = (strips.source == s) & (strips.lead == k) & (strips.rhythm == RHYTHM_INDEX["nsr"])
            if mine.sum() >= 5:
                gains[source, lead] = float(np.median(strips.gain[mine]))
    return gains


def fit_kind(
    kind: str,
    strips: Strips,
    config: LearnedConfig,
    tables: dict[str, NDArray[Any]],
    gains: dict[tuple[str, str], float],
    some: dict[str, Any],
) -> dict[str, Any]:
    """All numbers of one kind of recorder."""
    sources, leads, band, step, full = KINDS[kind]
    names = np.array(config.sources)[strips.source]
    rows = np.flatnonzero(np.isin(names, sources) & np.isfinite(strips.hiss).all((1, 2)))
    numbers = np.column_stack(
        [strips.wander, strips.drift + strips.gain, strips.level + strips.gain, strips.colour]
    )[rows].astype(float)
    narrow = np.isin(names[rows], NARROW)
    numbers[np.ix_(narrow, (4, 5))] = np.nan
    weight = 1 / np.bincount(strips.person)[strips.person[rows]]
    mean, factor = mean_and_factor(numbers, weight)
    # Sources of a kind count by their people.
    people = {s: len(set(some["subject"][names == s].tolist())) for s in sources}
    shares = np.array([people[s] for s in sources]) / sum(people.values())
    index = [config.sources.index(s) for s in sources]
    wide = ~narrow
    gaps = [gains[sources[0], lead] - gains["ptbxl", lead] for lead in leads]

    def over_sources(name: str) -> Any:
        table = tables[name][:, 0] if name.startswith("noise_") else tables[name]
        return round_all(np.tensordot(shares, table[index].astype(float), 1))

    return {
        "sources": [*sources, *SAME_GAIN.get(kind, ())],
        "people": sum(people.values()),
        "band_hz": list(band),
        "step_mv": step,
        "full_mv": full,
        "gain": round(float(np.exp(np.mean(gaps))), 3) if gaps else 1.0,
        "mean": round_all(mean),
        "factor": round_all(factor),
        "hz": round_all(WINDOW_HZ),
        "spectrum": round_all(shape(strips, rows[wide], weight[wide])),
        "sway": over_sources("noise_sway"),
        "bursts": over_sources("noise_bursts"),
        "drift_power": over_sources("drift_power"),
        "drift_sway": over_sources("drift_sway"),
        "wander_power": over_sources("wander_power"),
    }


def mean_and_factor(numbers: Array, weight: Array) -> tuple[Array, Array]:
    """Weighted median, and Cholesky factor of a covariance from pairs that are known, made definite.

    Numbers are cut at the 2nd and 98th percentile first: a broken electrode is not a kind of machine.
    """
    low, high = np.nanquantile(numbers, (0.02, 0.98), axis=0)
    cut = np.clip(numbers, low, high)
    mean = np.array([weighted_median(column, weight) for column in cut.T])
    centred = np.nan_to_num(cut - mean)
    known = np.isfinite(cut).astype(float)
    products = (centred * weight[:, None]).T @ centred
    covariance = products / ((known * weight[:, None]).T @ known)
    values, vectors = np.linalg.eigh(covariance)
    definite = (vectors * np.maximum(values, 1e-4)) @ vectors.T
    return mean, np.linalg.cholesky(definite)


def weighted_median(column: Array, weight: Array) -> float:
    known = np.isfinite(column)
    order = np.argsort(column[known])
    total = np.cumsum(weight[known][order])
    return float(column[known][order][np.searchsorted(total, total[-1] / 2)])


def shape(strips: Strips, rows: NDArray[np.int64], weight: Array) -> Array:
    """Mean log power ``[bins]`` over what level and colours of each strip say."""
    rest = []
    for row in rows:
        bands = colour_spectrum(float(strips.level[row] + strips.gain[row]), strips.colour[row].astype(float))
        rest.append(strips.hiss[row].mean(0) - smooth_spectrum(bands, WINDOW_HZ))
    return np.average(np.array(rest), axis=0, weights=weight)


def round_all(values: NDArray[Any]) -> Any:
    return np.round(values, 4).tolist()


if __name__ == "__main__":
    main()

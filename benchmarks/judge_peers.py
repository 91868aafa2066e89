"""The same question to sdmetrics and ECGEN-Eval: is this set worse than sets of real people usually are?"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from judge_planting import FS, LEVELS, NULLS, SECONDS, Scorer, drawn, level_of, mixes
from numpy.typing import NDArray

from ecgsynth.fidelity.features import FEATURES
from ecgsynth.records import Record

Array = NDArray[np.float64]

#: Columns that sdmetrics gets; those of ``ecgsynth report``.
COLUMNS = ("rate", "nrmssd", "p_score", "p_height", "qrs_ms", "r_height", "q_depth", "s_depth", "st_level",
           "t_height", "qt_ms", "likeness", "residual_tp", "wander_rms", "kurtosis", "band_4_8", "band_13_20",
           "band_35_50")  # fmt: skip
#: Metrics of ECGEN-Eval that need no pairing of records and no download; larger is worse but for ``sqi``. Its
#: ``psd`` is left out: it takes a second of processor time per set.
PEER_METRICS = ("mmd", "fd", "hrv", "heart_rate", "spectral_entropy", "pr_dist", "sqi", "swd")
#: Sets per fault and level that it gets.
PEER_DRAWS = 3


def sdmetrics_scorers(a: Array, tables: dict[str, Array]) -> dict[str, Scorer]:
    """Scores of a set by the mean KSComplement, CorrelationSimilarity over neighbours, and detection."""
    import pandas as pd
    from sdmetrics.column_pairs import CorrelationSimilarity
    from sdmetrics.single_column import KSComplement
    from sdmetrics.single_table import LogisticDetection

    index = [FEATURES.index(name) for name in COLUMNS]
    size = len(tables["sound"])

    def mixed(mask: NDArray[np.bool_], fault: str, draw: int) -> tuple[Any, Any]:
        rows = drawn(size, draw)
        both = np.where(mask[:, None], tables[fault], tables["sound"])[rows][:, index]
        return tuple(pd.DataFrame(side, columns=COLUMNS) for side in (a[:, index], both))

    def ks(mask: NDArray[np.bool_], fault: str, draw: int) -> float:
        real, other = mixed(mask, fault, draw)
        return float(np.nanmean([KSComplement.compute(real[c].dropna(), other[c].dropna()) for c in COLUMNS]))

    def correlation(mask: NDArray[np.bool_], fault: str, draw: int) -> float:
        real, other = mixed(mask, fault, draw)
        real, other = real.fillna(real.median()), other.fillna(real.median())
        pairs = [(COLUMNS[i], COLUMNS[i + 1]) for i in range(0, len(COLUMNS) - 1, 2)]
        return float(
            np.nanmean([CorrelationSimilarity.compute(real[list(p)], other[list(p)]) for p in pairs])
        )

    def detection(mask: NDArray[np.bool_], fault: str, draw: int) -> float:
        real, other = mixed(mask, fault, draw)
        filled = [side.fillna(real.median()) for side in (real, other)]
        np.random.seed(draw)  # sdmetrics offers no other way to repeat a result
        return float(LogisticDetection.compute(*filled))

    return {"KSComplement": ks, "CorrelationSimilarity": correlation, "LogisticDetection": detection}


_PEER = """
import json, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from ecgen_eval import AVAILABLE_METRICS
data, jobs = np.load(sys.argv[1]), json.load(open(sys.argv[2]))
made = {}
for name in jobs["metrics"]:
    try:
        made[name] = AVAILABLE_METRICS[name](fs=250.0)
    except TypeError:
        made[name] = AVAILABLE_METRICS[name]()
out = {name: [] for name in made}
for fault, rows, bad in jobs["sets"]:
    part = data["sound"].copy()
    part[bad] = data[fault][bad]
    for name, metric in made.items():
        try:
            out[name].append(float(metric.compute(data["real"], part[rows]).score))
        except Exception as error:
            out[name].append(repr(error)[:80])
json.dump(out, open(sys.argv[3], "w"))
"""


def peer_power(
    a: Sequence[Record], bad: dict[str, list[Any]], python: str | None
) -> tuple[dict[str, dict[str, list[float | None]]], str]:
    """The same for ECGEN-Eval, in its own Python; a note where that cannot be had."""
    python = python or sys.executable
    probe = subprocess.run([python, "-c", "import ecgen_eval"], capture_output=True, check=False)
    if probe.returncode:
        return {}, "ECGEN-Eval: not installed in the Python that was given, so not measured."
    size = len(bad["sound"])
    jobs: list[tuple[str, list[int], list[int]]] = [
        ("sound", drawn(size, d).tolist(), []) for d in range(NULLS)
    ]
    for fault, records in bad.items():
        for level in LEVELS if fault != "sound" else ():
            masks = mixes(size, records, level, PEER_DRAWS, 3)
            jobs += [
                (fault, drawn(size, NULLS + k).tolist(), np.flatnonzero(m).tolist())
                for k, m in enumerate(masks)
            ]
    blank = np.zeros(round(SECONDS * FS), np.float32)
    arrays = {
        name: np.stack([blank if r is None else level_of(r) for r in records])[:, None]
        for name, records in (("real", list(a)), *bad.items())
    }
    with tempfile.TemporaryDirectory() as folder:
        signals, todo, done = (Path(folder) / name for name in ("signals.npz", "jobs.json", "scores.json"))
        np.savez(signals, **arrays)
        todo.write_text(json.dumps({"metrics": PEER_METRICS, "sets": jobs}), encoding="utf-8")
        subprocess.run([python, "-c", _PEER, str(signals), str(todo), str(done)], check=True)
        found = json.loads(done.read_text(encoding="utf-8"))
    return {
        f"ECGEN-Eval: {name}": _peer_rows(values, list(bad), "low" if name == "sqi" else "high")
        for name, values in found.items()
        if all(isinstance(value, float) for value in values[:NULLS])
    }, ""


def _peer_rows(values: list[Any], names: list[str], worst: str) -> dict[str, list[float | None]]:
    sign = 1.0 if worst == "high" else -1.0
    scores = np.array([sign * v if isinstance(v, float) else np.inf for v in values])
    limit = float(np.quantile(scores[:NULLS], 0.95))
    power = (
        (np.nan_to_num(scores[NULLS:], nan=np.inf) > limit).reshape(-1, len(LEVELS), PEER_DRAWS).mean(axis=2)
    )
    return {name: row.tolist() for name, row in zip(names[1:], power, strict=True)}

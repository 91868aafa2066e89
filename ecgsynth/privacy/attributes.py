"""Singling out, linkability and inference on metadata and features: the criteria of WP29 opinion 05/2014.

The attacks are those of Giomi et al., A unified framework for quantifying privacy risk in synthetic data,
PoPETs 2023(2):312-328 (Anonymeter), written here. Each is run on training people and, as its control, on
holdout people: what succeeds on those is knowledge of the population and no leak. One row is one person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.features import FEATURES
from ecgsynth.privacy.samples import Sample, by_person, person_medians

Floats = NDArray[np.float64]

#: Gate: upper 95 % limit of each risk.
MOST_RISK: Final = 0.09
#: Fewest people of each side, and how many attacks are tried.
FEWEST: Final = 10
ATTACKS: Final = 1000
#: What an attacker may know of a person: metadata, rates and intervals, amplitudes, form.
COLUMNS: Final = (
    "age",
    "sex",
    "rate",
    "nrmssd",
    "qrs_ms",
    "qt_ms",
    "p_at_ms",
    "p_height",
    "r_height",
    "s_depth",
    "t_height",
    "st_level",
    "wander_rms",
    "skew",
)
#: Columns that take one of a few values, compared for equality.
CATEGORICAL: Final = ("sex",)
#: Predicates of a multivariate singling-out attack look at so many columns; links at so many neighbours.
PREDICATE_COLUMNS: Final = 4
NEIGHBOURS: Final = 1
#: A guess of a number is right within this share of the spread (5 to 95 %) of real people.
TOLERANCE: Final = 0.05


def person_table(samples: Sequence[Sample]) -> Floats:
    """Rows [people, COLUMNS]: medians over a person's strips; sex as 0, 1 or NaN; NaN where unknown."""
    features = person_medians(samples)
    table = np.full((len(features), len(COLUMNS)), np.nan)
    for k, name in enumerate(COLUMNS):
        if name in FEATURES:
            table[:, k] = features[:, FEATURES.index(name)]
    for row, own in zip(table, by_person(samples).values(), strict=True):
        row[COLUMNS.index("age")] = own[0].age
        row[COLUMNS.index("sex")] = {"M": 1.0, "F": 0.0}.get(own[0].sex, np.nan)
    return table


def attribute_risks(
    train: Sequence[Sample], holdout: Sequence[Sample], synthetic: Sequence[Sample], seed: int = 0
) -> dict[str, Any]:
    """The three risks of one rhythm, and ``verdict`` of each against `MOST_RISK`.

    Returns
    -------
    dict
        ``singling_out``, ``linkability``, ``inference``; each with ``risk`` and 95 % limits, the success
        rates
        ``attack`` and ``control``, and how many attacks were tried. Not assessable below `FEWEST` people.
    """
    rng = np.random.default_rng(seed)
    tables = [person_table(side) for side in (train, holdout, synthetic)]
    few = min(len(table) for table in tables) < FEWEST
    known = np.concatenate(tables[:2]) if not few else np.empty((0, len(COLUMNS)))
    columns = [k for k in range(len(COLUMNS)) if not few and _varies(known[:, k], tables[2][:, k])]
    result: dict[str, Any] = {}
    for name, attack in _RISKS.items():
        if few or len(columns) < PREDICATE_COLUMNS:
            people = [len(table) for table in tables[:2]]
            result[name] = {
                "train_people": people[0],
                "holdout_people": people[1],
                "verdict": "not assessable",
            }
            continue
        scaled = _scaled([table[:, columns] for table in tables])
        flags = np.array([COLUMNS[k] in CATEGORICAL for k in columns])
        result[name] = attack(scaled, flags, rng) | {
            "train_people": len(tables[0]),
            "holdout_people": len(tables[1]),
        }
        if name == "inference":
            result[name]["worst_column"] = COLUMNS[columns[result[name].pop("column")]]
    return result


def _varies(real: Floats, made: Floats) -> bool:
    share = min(np.isfinite(real).mean(), np.isfinite(made).mean())
    return bool(share > 0.5 and np.nanstd(real) > 0)


def _scaled(tables: list[Floats]) -> list[Floats]:
    """Columns in shares of the spread of real people; what is missing lies at their median."""
    real = np.concatenate(tables[:2])
    low, middle, high = np.nanquantile(real, (0.05, 0.5, 0.95), axis=0)
    spread = np.where(high > low, high - low, 1.0)
    return [np.where(np.isfinite(t), t - middle, 0.0) / spread for t in tables]


def singling_out(
    tables: list[Floats], categorical: NDArray[np.bool_], rng: np.random.Generator
) -> dict[str, Any]:
    """Predicates made from synthetic rows that hold for exactly one person.

    A predicate says of a few columns that the value is at most, or at least, that of a synthetic row, on
    the side away from the median. As a larger set holds more people, both sides are cut to one size.
    """
    size = min(len(tables[0]), len(tables[1]))
    train, holdout = (t[np.sort(rng.permutation(len(t))[:size])] for t in tables[:2])
    made = tables[2]
    hits = np.zeros(2)
    seen: set[tuple[int, ...]] = set()
    tried = 0
    for _ in range(ATTACKS):
        columns = np.sort(rng.permutation(made.shape[1])[:PREDICATE_COLUMNS])
        row = int(rng.integers(len(made)))
        if (row, *columns.tolist()) in seen:
            continue
        seen.add((row, *columns.tolist()))
        tried += 1
        values = made[row, columns]
        for k, side in enumerate((train, holdout)):
            part = side[:, columns]
            fits = np.where(values >= 0, part >= values, part <= values)
            fits[:, categorical[columns]] = part[:, categorical[columns]] == values[categorical[columns]]
            hits[k] += fits.all(axis=1).sum() == 1
    # The predicates are drawn again and again over the same people: no more of them count than there are
    # people.
    return _risk(hits[0] / tried, hits[1] / tried, min(tried, size), min(tried, size)) | {"attacks": tried}


def linkability(
    tables: list[Floats], categorical: NDArray[np.bool_], rng: np.random.Generator
) -> dict[str, Any]:
    """Whether one synthetic row is nearest to a person by one half of the columns and by the other half."""
    halves = np.array_split(rng.permutation(tables[0].shape[1]), 2)
    rates = []
    for side in tables[:2]:
        first, second = (_neighbours(side[:, half], tables[2][:, half], categorical[half]) for half in halves)
        rates.append(float((first[:, :, None] == second[:, None, :]).any(axis=(1, 2)).mean()))
    return _risk(rates[0], rates[1], len(tables[0]), len(tables[1])) | {"attacks": len(tables[0])}


def inference(
    tables: list[Floats], categorical: NDArray[np.bool_], rng: np.random.Generator
) -> dict[str, Any]:
    """Guess each column in turn from the synthetic row nearest by all others; the worst column counts.

    The limits are widened for having looked at every column (Bonferroni).
    """
    del rng
    worst: dict[str, Any] = {"risk_high": -1.0}
    count = tables[0].shape[1]
    for secret in range(count):
        rest = np.delete(np.arange(count), secret)
        rates = []
        for side in tables[:2]:
            guess = tables[2][_neighbours(side[:, rest], tables[2][:, rest], categorical[rest])[:, 0], secret]
            off = np.abs(guess - side[:, secret])
            right = off < 1e-9 if categorical[secret] else off <= TOLERANCE
            rates.append(float(right.mean()))
        found = _risk(rates[0], rates[1], len(tables[0]), len(tables[1]), columns=count)
        if found["risk_low"] > worst.get("risk_low", -1) or found["risk_high"] > worst["risk_high"]:
            worst = found | {"column": secret}
    return worst | {"attacks": len(tables[0])}


def _neighbours(points: Floats, made: Floats, categorical: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The `NEIGHBOURS` nearest synthetic rows [n, k] by Gower's distance (Biometrics 27:857-871, 1971)."""
    found = np.empty((len(points), NEIGHBOURS), dtype=np.int64)
    for i, point in enumerate(points):
        gaps = np.minimum(np.abs(made - point), 1.0)
        gaps[:, categorical] = gaps[:, categorical] > 1e-9
        found[i] = np.argpartition(gaps.sum(axis=1), NEIGHBOURS - 1)[:NEIGHBOURS]
    return found


def _risk(attack: float, control: float, n_attack: int, n_control: int, columns: int = 1) -> dict[str, Any]:
    """``(attack - control) / (1 - control)`` with limits from the intervals of both rates (Giomi eq. 4)."""
    from scipy.stats import norm

    z = float(norm.ppf(1 - 0.025 / columns))
    low, high = _difference(attack, control, n_attack, n_control, z)
    room = max(1 - control, 1e-9)
    risk = {
        "risk": round(float(np.clip((attack - control) / room, 0, 1)), 4),
        "risk_low": round(float(np.clip(low / room, 0, 1)), 4),
        "risk_high": round(float(np.clip(high / room, 0, 1)), 4),
        "attack": round(float(attack), 4),
        "control": round(float(control), 4),
        "gate": MOST_RISK,
    }
    return risk | {"verdict": _verdict(risk)}


def _difference(first: float, second: float, n_first: int, n_second: int, z: float) -> tuple[float, float]:
    """Interval of a difference of two rates (Newcombe, Stat Med 17:873-890, 1998, method 10)."""
    (l1, u1), (l2, u2) = _wilson(first, n_first, z), _wilson(second, n_second, z)
    gap = first - second
    return (
        gap - float(np.hypot(first - l1, u2 - second)),
        gap + float(np.hypot(u1 - first, second - l2)),
    )


def _wilson(rate: float, n: int, z: float) -> tuple[float, float]:
    """Interval of a rate (Wilson, J Am Stat Assoc 22:209-212, 1927)."""
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)))
    return max(0.0, centre - half), min(1.0, centre + half)


def _verdict(risk: dict[str, Any]) -> str:
    if risk["risk_low"] > 0 and risk["risk_high"] > MOST_RISK:
        return "fail"
    return "pass" if risk["risk_high"] <= MOST_RISK else "not assessable"


_RISKS: Final[dict[str, Callable[[list[Floats], NDArray[np.bool_], np.random.Generator], dict[str, Any]]]] = {
    "singling_out": singling_out,
    "linkability": linkability,
    "inference": inference,
}

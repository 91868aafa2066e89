"""From three numbers to one verdict per rhythm, in words.

A number is ``met``, ``missed``, or ``unclear``: too few people or records to tell. Unclear is never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from ecgsynth.report.tally import Rate, difference

if TYPE_CHECKING:
    from ecgsynth.fidelity.distribution import Measured

Outcome = Literal["met", "missed", "unclear"]
Verdict = Literal["looks real", "distinguishable", "fails", "not assessable"]

#: The pass rate may be this far under that of real strips.
GATE_SLACK: Final = 0.02
#: A classifier's AUC may exceed real-against-real by this much, the step from no effect (0.5) to a medium one
#: (0.639, d = 0.5), and its upper limit by the step to a large one (0.714, d = 0.8): Rice & Harris, Law Hum
#: Behav 29:615-620, 2005, table 1.
AUC_MEDIUM: Final = 0.139
AUC_LARGE: Final = 0.214
AUC_SMALL: Final = 0.056
#: An AUC whose upper limit is under this, and under that of real against real, is a sign of copies: a judge
#: that learned a real strip takes its copy for real.
AUC_COPIES: Final = 0.45
#: Coverage over that of real against real.
COVERAGE_RATIO: Final = 0.9
#: Under this share of it most kinds of real people have no counterpart at all, and the set fails.
COVERAGE_MOST: Final = 0.5
#: Metrics of `ecgsynth.fidelity.distribution` that decide, with the gate.
DECIDING: Final = ("auc", "coverage")

WHY: Final = {
    "gate": (
        "Pass rate of the record gate within 2 points of that of the real strips here. Missed: the 95 % "
        "interval of the difference (Newcombe 1998) lies under −2 points as a whole. Where only the point "
        "estimate does, it is unclear."
    ),
    "auc": (
        "AUC of a classifier that tells synthetic strips from real ones, on people it has not seen. Met: "
        "under the real-against-real AUC (at least 0.5) plus 0.139, a medium effect (d = 0.5), with the "
        "upper 95 % limit under plus 0.214, a large one (d = 0.8; Rice & Harris 2005). Missed: over plus "
        "0.139 with the lower limit over real against real. An upper limit under 0.45 and under "
        "the lower one of real against real is a sign of copies and fails; under 0.45 alone it is unclear."
    ),
    "coverage": (
        "Share of real strips that have a synthetic one nearby, at least 0.9 of what other real people "
        "reach. Missed: under 0.9 with the upper 95 % limit under it too. Where only the point estimate is, "
        "it is unclear. Missed and under half of what other real people reach, the set stands for a minority "
        "of them, and fails."
    ),
}


@dataclass(frozen=True)
class Criterion:
    """One of the numbers that decide.

    Attributes
    ----------
    name : {"gate", "auc", "coverage"}
    outcome : {"met", "missed", "unclear"}
    words : str
        The number in a sentence.
    fails : bool
        Missed in a way that makes the set unfit, not only told apart.
    """

    name: str
    outcome: Outcome
    words: str
    fails: bool = False


def judge_gate(synthetic: Rate | None, real: Rate | None, reference: str) -> Criterion:
    """The record gate's pass rate against that of ``reference``, such as ``"real strips"``."""
    if synthetic is None:
        return Criterion("gate", "unclear", "no record of this rhythm could be judged")
    if real is None:
        return Criterion(
            "gate",
            "unclear",
            f"{percent(synthetic.value)} pass the record gate; no real pass rate to compare with",
        )
    gap = difference(synthetic, real)
    words = f"{percent(synthetic.value)} of the records pass the gate, {percent(real.value)} of {reference}"
    if gap.high < -GATE_SLACK:
        return Criterion("gate", "missed", words, fails=True)
    if gap.value < -GATE_SLACK:
        return Criterion("gate", "unclear", f"{words}: too few to tell whether they fall short")
    return Criterion("gate", "met", words)


def percent(share: float) -> str:
    """A share in percent."""
    return "100 %" if share == 1 else f"{100 * share:.1f} %"


def judge_auc(measured: Measured | None) -> Criterion:
    """How well a classifier tells the sets apart, over what it does between real people."""
    if measured is None or not measured.assessable:
        return Criterion("auc", "unclear", _not_assessable("a classifier's AUC", measured))
    bar = max(0.5, measured.real_value)
    excess = measured.value - bar
    words = (
        f"a classifier {_how_well(excess)} them from real ones (AUC {measured.value:.2f}, "
        f"real against real {measured.real_value:.2f})"
    )
    if measured.high < min(AUC_COPIES, measured.real_low):
        return Criterion(
            "auc",
            "missed",
            f"AUC {measured.value:.2f} is below chance and below real against real "
            f"({measured.real_value:.2f}), a sign of copies of the real records",
            fails=True,
        )
    if measured.high < AUC_COPIES:
        return Criterion(
            "auc",
            "unclear",
            f"AUC {measured.value:.2f} is below chance, as for copies of the real records; too few people to "
            "tell whether it is more than chance",
        )
    if excess > AUC_MEDIUM and measured.low > bar:
        return Criterion("auc", "missed", words)
    if excess > AUC_MEDIUM or measured.high - bar > AUC_LARGE:
        return Criterion("auc", "unclear", f"{words}, with too wide an interval to tell")
    return Criterion("auc", "met", words)


def _how_well(excess: float) -> str:
    for limit, words in (
        (AUC_SMALL, "hardly tells"),
        (AUC_MEDIUM, "tells few of"),
        (AUC_LARGE, "tells many of"),
        (0.4, "tells most of"),
    ):
        if excess <= limit:
            return words
    return "tells nearly all of"


def judge_coverage(measured: Measured | None) -> Criterion:
    """Share of real strips with a synthetic one nearby, over what other real people reach."""
    if measured is None or not measured.assessable or not measured.real_value > 0:
        return Criterion("coverage", "unclear", _not_assessable("coverage", measured))
    ratio, high = measured.value / measured.real_value, measured.high / measured.real_value
    words = f"they cover {percent(ratio)} of what other real people cover"
    if ratio >= COVERAGE_RATIO:
        return Criterion("coverage", "met", words)
    if high < COVERAGE_RATIO and ratio < COVERAGE_MOST:
        return Criterion("coverage", "missed", f"{words}: most kinds of people are missing", fails=True)
    if high < COVERAGE_RATIO:
        return Criterion("coverage", "missed", f"{words}: less varied than real people")
    return Criterion("coverage", "unclear", f"{words}, with too wide an interval to tell")


def _not_assessable(what: str, measured: Measured | None) -> str:
    note = f": {measured.note}" if measured is not None and measured.note else ""
    return f"{what} cannot be assessed{note}"


def decide(criteria: Sequence[Criterion]) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict, and the sentences behind it, those that decided first."""
    by: Mapping[str, list[str]] = {
        "fails": [c.words for c in criteria if c.fails],
        "missed": [c.words for c in criteria if c.outcome == "missed" and not c.fails],
        "unclear": [c.words for c in criteria if c.outcome == "unclear"],
        "met": [c.words for c in criteria if c.outcome == "met"],
    }
    because = tuple(word for words in by.values() for word in words)
    if by["fails"]:
        return "fails", because
    if by["missed"]:
        return "distinguishable", because
    return ("not assessable" if by["unclear"] else "looks real"), because

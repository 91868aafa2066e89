"""One rhythm: the sets compared, the verdict, and which strips to show for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ecgsynth.report.findings import Findings, RhythmFindings, Shown
from ecgsynth.report.ground import Ground
from ecgsynth.report.sample import mix_note, same_mix
from ecgsynth.report.strips import Strip, place_in_line
from ecgsynth.report.tally import Rate, wilson
from ecgsynth.report.verdicts import decide, judge_auc, judge_coverage, judge_gate

if TYPE_CHECKING:
    from ecgsynth.fidelity.distribution import SetComparison, StripSet

#: Fewer strips or people on a side than this are not compared at all: cross-validation by people needs five
#: folds with two each.
FEWEST: Final = 10
#: Fewer real strips than this give no pass rate worth comparing with; the gate's calibration does instead.
FEWEST_GATE: Final = 20
#: Folds by people for the scores of single strips.
FOLDS: Final = 5


def compare_rhythm(found: RhythmFindings, findings: Findings, say: Callable[[str], None]) -> None:
    """Fill in the comparison, the verdict and the strips to show, and let go of the other strips."""
    real, synthetic = found.strips.pop("real", []), found.strips.pop("synthetic", [])
    if found.ground is not None:
        real, synthetic = same_mix(found.ground, real, synthetic)
        note = mix_note(found.ground, synthetic)
        found.notes += [note] if note else []
        found.why_not = _too_few(found.ground, real, synthetic)
        if found.why_not is None:
            found.comparison = _compared(found.ground, real, synthetic, findings, say)
        found.shown = _to_show(found.comparison, real, synthetic, findings)
    metrics = found.comparison.metrics if found.comparison is not None else {}
    found.reference = _gate_reference(found, findings)
    gate = judge_gate(found.gate.rate(), *(found.reference or (None, "")))
    if found.why_not is not None:
        found.verdict, found.because = decide([gate])
        if found.verdict != "fails":
            found.verdict, found.because = "not assessable", (found.why_not, *found.because)
        found.criteria = (gate,)
        return
    found.criteria = (gate, judge_auc(metrics.get("auc")), judge_coverage(metrics.get("coverage")))
    found.verdict, found.because = decide(found.criteria)


def _too_few(ground: Ground, real: Sequence[Strip], synthetic: Sequence[Strip]) -> str | None:
    leads = (" or " if ground.pooled else ", ").join(ground.leads)
    for name, side in (("real", real), ("synthetic", synthetic)):
        people = len({strip.subject for strip in side})
        if people < FEWEST:
            who = {"real": ("people", "person"), "synthetic": ("records", "record")}[name][people == 1]
            return (
                f"{people} {who} with a usable strip in {leads} on the {name} side; at least {FEWEST} are "
                "needed to compare sets"
            )
    return None


def _compared(
    ground: Ground,
    real: Sequence[Strip],
    synthetic: Sequence[Strip],
    findings: Findings,
    say: Callable[[str], None],
) -> SetComparison:
    from ecgsynth.fidelity.distribution import compare_sets

    return compare_sets(
        strip_set(real, ground),
        strip_set(synthetic, ground),
        seed=findings.options.seed,
        resamples=findings.options.size.resamples,
        progress=lambda note: say(f"{ground.rhythm}: {note}"),
    )


def strip_set(strips: Sequence[Strip], ground: Ground) -> StripSet:
    """The strips as arrays."""
    from ecgsynth.fidelity.distribution import StripSet

    signals = np.stack([strip.signal for strip in strips if strip.signal is not None])
    leads = ("pooled",) if ground.pooled else ground.leads
    return StripSet(signals, ground.fs, leads, tuple(strip.subject for strip in strips))


def _gate_reference(found: RhythmFindings, findings: Findings) -> tuple[Rate, str] | None:
    """The pass rate to compare with and whose it is."""
    real = found.gate_real
    rate = real.rate()
    if rate is not None and real.total >= FEWEST_GATE:
        return rate, "real strips"
    fitted = findings.calibration["rhythms"].get(found.rhythm, {})
    if "pass_out_of_fold" in fitted:
        share, people = float(fitted["pass_out_of_fold"]), int(fitted["people"])
        return Rate(
            share, *wilson(share, people)
        ), f"the {people} people that the gate was fitted on, left out in turn"
    return None


def _to_show(
    comparison: SetComparison | None,
    real: Sequence[Strip],
    synthetic: Sequence[Strip],
    findings: Findings,
) -> list[Shown]:
    """Worst, median and best synthetic strip, and as many real ones of other people where asked."""
    if not synthetic:
        return []
    scores = _scores(comparison, real, synthetic, findings.options.seed)
    if scores is None:
        shown = [Shown("first", strip) for strip in synthetic[:3]]
    else:
        order = np.argsort(-scores, kind="stable")
        picks = dict(zip(("worst", "median", "best"), order[[0, len(order) // 2, -1]], strict=True))
        shown = [Shown(role, synthetic[i], float(scores[i])) for role, i in picks.items()]
    if findings.options.show_real:
        people: dict[str, Strip] = {}
        for strip in sorted(real, key=lambda s: s.place):
            people.setdefault(strip.subject, strip)
        shown += [Shown("real", strip) for strip in list(people.values())[: len(shown)]]
    return shown


def _scores(
    comparison: SetComparison | None, real: Sequence[Strip], synthetic: Sequence[Strip], seed: int
) -> NDArray[np.float64] | None:
    """How synthetic each synthetic strip looks to a classifier that saw neither it nor its person.

    The share of all strips of the fold that look less so, 0 to 1; None where a fold lacks one of the sides.
    """
    from ecgsynth.fidelity.two_sample import boosting_judge

    if comparison is None or not comparison.features:
        return None
    rows = np.column_stack([np.concatenate(pair) for pair in comparison.features.values()])
    if len(rows) != len(real) + len(synthetic):
        return None
    labels = np.r_[np.zeros(len(real), dtype=np.int64), np.ones(len(synthetic), dtype=np.int64)]
    folds = np.array([place_in_line(seed, "fold", s.subject) % FOLDS for s in (*real, *synthetic)])
    scores = np.zeros(len(rows))
    for fold in range(FOLDS):
        inside = folds != fold
        if inside.all():
            continue
        if len(np.unique(labels[inside])) < 2:
            return None
        raw = boosting_judge(rows[inside], labels[inside], rows[~inside], seed + fold)
        scores[~inside] = (np.argsort(np.argsort(raw, kind="stable"), kind="stable") + 0.5) / len(raw)
    return scores[len(real) :]

"""Faults planted in sound recordings, so that a judge of recordings can itself be judged.

Each fault takes a whole :class:`~ecgsynth.records.Record` and returns it damaged, beats and lead algebra
consistent with the damage wherever a real mistake would leave them so: a time-reversed record has its beats
mirrored, swapped electrodes change the derived leads too. How strong a fault is comes from a table with two
columns: ``judge`` for benchmarks and ``learn`` for fitting a detector, which never sees the judged strength.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ecgsynth.fidelity.planting import (
    clipped,
    drifting_pr,
    einthoven,
    flat,
    gain,
    inverted,
    low_pass,
    missing,
    no_p_wave,
    permuted_leads,
    reversed_in_time,
    sampling_rate,
    spliced,
    swapped_arms,
    tiled,
    wide_qrs,
)
from ecgsynth.records import INDEPENDENT_LEADS, Beats, Record
from ecgsynth.rhythms import RHYTHMS

#: Rhythms without a P wave before each QRS whose beats are conducted nevertheless.
CONDUCTED = ("afib", "aflutter", "svt")

#: Leads in which one lead alone tells that it is upside down. In V1 P and QRS point either way; of the people
#: of CinC 2017, who held a recorder in their hands, 17 % show P, QRS and T upside down in what is called I.
UPRIGHT = ("II", "MLII", "V5")

Rng = np.random.Generator
Strength = Literal["learn", "judge"]
Plant = Callable[[Record, Rng, float, Record | None], Record | None]


@dataclass(frozen=True)
class Fault:
    """One way in which a recording can be wrong.

    Attributes
    ----------
    name : str
    title : str
        For people to read.
    plant : callable
        ``plant(record, rng, strength, partner) -> Record`` or None where the fault would change nothing.
    strengths : mapping of str to tuple of float
        Values of ``strength`` under ``learn`` and ``judge``; what they mean is in the docstring of ``plant``.
    where : str
        ``any`` rhythm, ``p`` (a P wave is required), ``conducted`` beats, or ``narrow`` (conducted without
        bundle branch block).
    twelve : bool
        Whether it needs the eight independent leads.
    partner : bool
        Whether it needs a record of another person.
    """

    name: str
    title: str
    plant: Plant
    strengths: Mapping[str, tuple[float, ...]]
    where: str = "any"
    twelve: bool = False
    partner: bool = False

    def applies(self, record: Record, rhythm: str) -> bool:
        """Whether the fault means something in ``rhythm`` and can be planted in ``record``."""
        if self.twelve and not set(INDEPENDENT_LEADS) <= set(record.leads):
            return False
        if not self.sought(rhythm):
            return False
        if self.where == "any":
            return True
        if record.beats is None or len(record.beats.samples) < 6:
            return False
        return self.where != "narrow" or known_narrow(record.beats)

    def sought(self, rhythm: str) -> bool:
        """Whether the fault is looked for in ``rhythm``."""
        has_p = RHYTHMS[rhythm].p_wave == "required"
        if self.where == "p":
            return has_p
        if self.where == "conducted":
            return conducted(rhythm)
        if self.where == "narrow":
            return has_p or rhythm == "afib"
        if self.where == "any":
            return True
        raise ValueError(f"fault {self.name}: where is {self.where!r}")


def plant(
    fault: Fault, record: Record, rng: Rng, strength: Strength = "judge", partner: Record | None = None
) -> Record | None:
    """``record`` with ``fault``, rounded to 1 uV as a file would hold it; None where it changes nothing.

    The strength is drawn from the fault's row by ``rng``, which decides everything else too.
    """
    value = float(rng.choice(fault.strengths[strength]))
    damaged = fault.plant(record, rng, value, partner)
    if damaged is None:
        return None
    return replace(damaged, signal=(np.round(damaged.signal * 1000.0) / 1000.0).astype(np.float32))


def find_partner(record: Record, pool: Sequence[Record], rng: Rng) -> Record | None:
    """A strip of another person from ``pool``, of the same source and leads if there is one; None without."""
    others = [r for r in pool if r.subject != record.subject and r.fs == record.fs]
    others = [r for r in others if r.leads == record.leads] or [
        r for r in others if len(r.leads) > 1 and set(r.leads) & set(record.leads)
    ]
    near = [r for r in others if r.source == record.source] or others
    return near[int(rng.integers(len(near)))] if near else None


def conducted(rhythm: str) -> bool:
    """Whether the atria drive the ventricles: elsewhere any lead may point any way."""
    return RHYTHMS[rhythm].p_wave == "required" or rhythm in CONDUCTED


def told(fault: str, lead: str, twelve: bool) -> bool:
    """Whether a fault's score says something where ``lead`` was measured, of one lead or of ``twelve``."""
    return fault != "inverted" or twelve or lead in UPRIGHT


def known_narrow(beats: Beats) -> bool:
    """Whether at least nine beats in ten are conducted without bundle branch block, as far as is known."""
    return sum(symbol in "NASJaejQ" for symbol in beats.symbols) >= 0.9 * len(beats.symbols)


def _row(learn: tuple[float, ...], *judge: float) -> dict[str, tuple[float, ...]]:
    return {"learn": learn, "judge": judge}


_ONE = _row((1.0,), 1.0)
_GAINS = (0.05, 0.08, 0.13, 7.0, 14.0, 20.0)
_RATES = (0.4, 0.45, 0.56, 1.8, 2.2, 2.5)
_CUTS = (0.35, 0.42, 0.58, 0.65)
_DRIFTS = (0.05, 0.065, 0.1, 0.12)
#: Every fault of a signal, by name. Mislabelled records are real ones of another rhythm and need no planting.
FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("nan", "NaN samples", missing, _row((5.0, 50.0), 1.0, 25.0)),
        Fault("flat", "flat for 1 to 3 s", flat, _row((1.5, 4.0), 1.0, 3.0)),
        Fault("clipped", "clipped at 60 % of its height", clipped, _row((0.4, 0.5, 0.7, 0.75), 0.6)),
        Fault("gain", "gain 10 times too high or low", gain, _row(_GAINS, 0.1, 10.0)),
        Fault("fs", "sampling rate off twofold", sampling_rate, _row(_RATES, 0.5, 2.0)),
        Fault("no_p", "P waves missing", no_p_wave, _ONE, "p"),
        Fault("inverted", "upside down", inverted, _ONE, "conducted"),
        Fault("reversed", "reversed in time", reversed_in_time, _ONE),
        Fault("splice", "two people spliced", spliced, _row(_CUTS, 0.4, 0.5, 0.6), partner=True),
        Fault("pr_drift", "PR interval drifts by 80 ms", drifting_pr, _row(_DRIFTS, 0.08), "p"),
        Fault("wide_qrs", "QRS twice as wide", wide_qrs, _row((1.7, 1.85, 2.2, 2.4), 2.0), "narrow"),
        Fault("tiled", "one beat repeated", tiled, _row((2.0, 3.0), 1.0)),
        Fault("low_pass", "low-pass at 8 Hz", low_pass, _row((5.0, 6.5, 10.0, 12.0), 8.0)),
        Fault("lead_swap", "arm electrodes swapped", swapped_arms, _ONE, "conducted", twelve=True),
        Fault("permuted", "leads under wrong names", permuted_leads, _ONE, "conducted", twelve=True),
        Fault("einthoven", "lead algebra off by 20 uV", einthoven, _row((10.0, 40.0), 20.0), twelve=True),
    )
}  # fmt: skip

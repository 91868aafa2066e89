"""The strips behind the gate's rows, and more of them, for the network that looks at strips themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from gate_recorders import Recorder
from gate_rows import SHORTEST, Plan, Row, kind_of, variants_of
from numpy.typing import NDArray

from ecgsynth.fidelity.beatshape import remove_baseline
from ecgsynth.fidelity.fault_net import Strip, strip_of
from ecgsynth.fidelity.faults import FAULTS, find_partner, plant
from ecgsynth.fidelity.measures import FS, at_common_rate
from ecgsynth.fidelity.sound import one_lead, shortened
from ecgsynth.records import Record
from ecgsynth.rpeaks import detect_r_peaks

#: Further draws of each strip, those of rhythms with many people apart.
DRAWS, MANY_DRAWS = 3, 2
#: How often each fault is planted in a draw; under 1 a share.
OFTEN = {"splice": 2.0, "fs": 0.8, "reversed": 0.4, "wide_qrs": 0.8}


@dataclass(frozen=True)
class Strips:
    """What the network sees of strips, one entry each everywhere; ``fault`` is empty for sound ones."""

    strips: list[Strip]
    subject: NDArray[np.str_]
    rhythm: NDArray[np.str_]
    lead: NDArray[np.str_]
    fault: NDArray[np.str_]

    @classmethod
    def of(cls, seen: Sequence[tuple[Strip, str, str, str, str]]) -> Strips:
        """From strips with person, rhythm, lead and fault."""
        strips, *names = (list(column) for column in zip(*seen, strict=True))
        return cls(strips, *(np.array(column) for column in names))


def strips_of_rows(plan: Plan, rows: Sequence[Row], seed: int) -> Strips:
    """The strips that `gate_rows.rows_of` measured as ``rows``, drawn again: the lead that was measured."""
    seen = []
    for record, fault in variants_of(plan, seed, elsewhere=True):
        row = rows[len(seen)]
        if (row.subject, row.fault) != (record.subject, fault):
            raise ValueError(f"row {len(seen)} is of {row.subject} {row.fault}: other strips were measured")
        seen.append((_seen(record, row.lead), row.subject, row.rhythm, row.lead, fault))
    return Strips.of(seen)


def further_strips(plan: Plan, strips: Iterable[Record], seed: int) -> Strips:
    """Each strip's leads as other recorders store them, sound and with faults of `OFTEN`."""
    seen = []
    for k, strip in enumerate(strips):
        rng = np.random.default_rng([seed, k])
        rhythm = str(strip.episodes[0].rhythm)
        for _ in range(MANY_DRAWS if rhythm in ("nsr", "afib") else DRAWS):
            alone = one_lead(strip, rng)
            if alone is not None:
                about = strip.subject, rhythm, alone.leads[0]
                seen += [
                    (_seen(made, alone.leads[0]), *about, fault) for made, fault in _draw(alone, plan, rng)
                ]
    return Strips.of(seen)


def _draw(record: Record, plan: Plan, rng: np.random.Generator) -> list[tuple[Record, str]]:
    recorder = Recorder.drawn(rng)
    moved = shortened(recorder.store(record), rng)
    elsewhere = rng.random() < 0.5
    sound = moved if elsewhere else shortened(record, rng)
    made = [(moved, "")]
    for name, often in OFTEN.items():
        times = int(often) if often >= 1 else int(rng.random() < often)
        for _ in range(times):
            fault = FAULTS[name]
            if not fault.applies(sound, str(sound.episodes[0].rhythm)):
                continue
            partner = find_partner(record, plan.pools[kind_of(record)], rng) if fault.partner else None
            if partner is not None and elsewhere:
                partner = recorder.store(partner)
            damaged = plant(fault, sound, rng, "learn", partner)
            if damaged is not None and damaged.seconds >= SHORTEST:
                made.append((damaged, name))
    return made


def _seen(record: Record, lead: str) -> Strip:
    row = record.leads.index(lead)
    level = at_common_rate(record.signal[row : row + 1], record.fs)
    return strip_of(remove_baseline(level, FS)[0], detect_r_peaks(level[0], FS))

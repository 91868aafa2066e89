"""The common ground of one rhythm: leads, sampling rate, length and band that both folders are brought to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS
from ecgsynth.report.leads import FAMILY, UNNAMED, common_leads
from ecgsynth.report.survey import Entry

#: Lengths of a strip in seconds, longest first. 10 s is what the gate was calibrated on and what a resting
#: ECG lasts; under 5 s the gate judges the rate only.
LENGTHS: Final = (10.0, 9.0, 8.0, 7.0, 6.0, 5.0)
#: A shorter strip is taken only where it brings more people: the longest that keeps this share of those
#: that the shortest would have, in both folders.
KEPT_PEOPLE: Final = 0.9
#: Highest and lowest sampling rate of a comparison in Hz. 250 Hz holds what a diagnostic ECG holds up to
#: 112 Hz; under 90 Hz a QRS complex is a handful of samples.
HIGHEST_FS, LOWEST_FS = 250.0, 90.0
#: Share of the narrowest band among the records that is kept: what lies close to the cut-off of a resampling
#: filter tells how a record was stored, not whose heart it is.
BAND_SHARE: Final = 0.9
#: Share of the records whose narrower band is not waited for.
NARROW_SHARE: Final = 0.05


@dataclass(frozen=True)
class Ground:
    """What strips of one rhythm are brought to.

    Attributes
    ----------
    rhythm : str
    leads : tuple of str
    pooled : bool
        A strip is one of the leads, and both sides get the same share of each; else it is all of them.
    same : mapping of str to str
        Leads that count as another, see `ecgsynth.report.leads.common_leads`.
    fs, bandwidth : float
        In Hz.
    seconds : float
    said : tuple of str
        What was done, in sentences.
    """

    rhythm: str
    leads: tuple[str, ...]
    pooled: bool
    same: Mapping[str, str]
    fs: float
    bandwidth: float
    seconds: float
    said: tuple[str, ...]

    @property
    def n_samples(self) -> int:
        """Samples of a strip."""
        return round(self.seconds * self.fs)

    @property
    def shape(self) -> tuple[int, int]:
        """Leads and samples of a strip."""
        return (1 if self.pooled else len(self.leads)), self.n_samples


def find_ground(
    rhythm: str, real: Sequence[Entry], synthetic: Sequence[Entry], leads: Sequence[str] | None
) -> Ground | str:
    """The common ground of a rhythm, or a sentence on why there is none.

    Parameters
    ----------
    rhythm : str
    real, synthetic : sequence of Entry
        All records of either folder.
    leads : sequence of str or None
        What the user wants to compare in.
    """
    sides = [[e for e in side if rhythm in e.longest] for side in (real, synthetic)]
    for side, other in ((0, 1), (1, 0)):
        if not sides[side]:
            where = ("synthetic", "real")[side]
            n = len(sides[other])
            return f"only in the {where} folder ({n} record{'s' if n > 1 else ''})"
    seconds = _length(rhythm, sides)
    if seconds is None:
        return f"no stretch of at least {LENGTHS[-1]:g} s in one of the folders"
    sides = [[e for e in side if e.longest[rhythm] >= seconds - 0.5 / e.fs] for side in sides]
    fs = min(HIGHEST_FS, *(Counter(e.fs for e in side).most_common(1)[0][0] for side in sides))
    if fs < LOWEST_FS:
        return f"recorded at {fs:g} Hz in one of the folders; at least {LOWEST_FS:g} Hz are needed"
    found = common_leads([[(e.subject, e.leads) for e in side] for side in sides], leads)
    if found is None:
        names = [", ".join(sorted({lead for e in side for lead in e.leads})) for side in sides]
        wanted = f" that are {', '.join(leads)}" if leads else ""
        return f"no leads in common{wanted}: the real folder has {names[0]}, the synthetic one {names[1]}"
    bands = [np.quantile([e.bandwidth for e in side], NARROW_SHARE) for side in sides]
    bandwidth = BAND_SHARE * float(min(fs / 2, *bands))
    said = _said(sides, fs, bandwidth, seconds, found)
    return Ground(rhythm, *found, fs, round(bandwidth, 2), seconds, said)


def _length(rhythm: str, sides: Sequence[Sequence[Entry]]) -> float | None:
    """The longest of `LENGTHS` that costs few people; None where a side has not even the shortest."""

    def people(side: Sequence[Entry], seconds: float) -> int:
        return len({e.subject for e in side if e.longest[rhythm] >= seconds - 0.5 / e.fs})

    most = [people(side, LENGTHS[-1]) for side in sides]
    if not min(most):
        return None
    for seconds in LENGTHS:
        if all(people(side, seconds) >= KEPT_PEOPLE * n for side, n in zip(sides, most, strict=True)):
            return seconds
    return LENGTHS[-1]


def _said(
    sides: Sequence[Sequence[Entry]],
    fs: float,
    bandwidth: float,
    seconds: float,
    found: tuple[tuple[str, ...], bool, Mapping[str, str]],
) -> tuple[str, ...]:
    names = ("real", "synthetic")
    rates = [
        f"{name} {', '.join(f'{rate:g}' for rate in sorted({e.fs for e in side}))} Hz"
        for name, side in zip(names, sides, strict=True)
    ]
    durations = [
        f"{name} {np.median([e.seconds for e in side]):g} s" for name, side in zip(names, sides, strict=True)
    ]
    leads, pooled, same = found
    said = [f"Strips of {seconds:g} s, cut from records that last ({', '.join(durations)}, medians)."]
    if any(e.fs != fs for side in sides for e in side):
        said.append(f"Resampled to {fs:g} Hz ({', '.join(rates)}).")
    said.append(f"Both cut off above {bandwidth:.3g} Hz, the band that nearly all records have.")
    if pooled:
        said.append(
            f"No lead is in nearly all records: each strip is one of {', '.join(leads)}, with the same "
            "share of each on both sides."
        )
    else:
        said.append(f"Compared in the common lead{'s' if len(leads) > 1 else ''} {', '.join(leads)}.")
    sums = set(TWELVE_LEADS) - set(INDEPENDENT_LEADS) if {"I", "II"} <= set(leads) else set()
    others = [
        sorted({same.get(lead, lead) for e in side for lead in e.leads} - set(leads) - sums) for side in sides
    ]
    if any(others) and not pooled:
        parts = [f"{n}: {', '.join(o)}" for n, o in zip(names, others, strict=True) if o]
        said.append(f"Not compared ({'; '.join(parts)}).")
    if sums and any(sums & set(e.leads) for side in sides for e in side):
        said.append("III, aVR, aVL and aVF are sums of I and II and say nothing of their own.")
    counted = {lead for side in sides for e in side for lead in e.leads} & set(same)
    if counted & set(FAMILY):
        said.append("MLII counts as II (the same axis, electrodes on the torso), as MLI and MLIII do.")
    if UNNAMED in counted:
        said.append(
            f"Leads without a name count as {same[UNNAMED]}: which lead they are was not written down, and "
            "heights and outlines may differ for that alone. --lead names another."
        )
    return tuple(said)

"""What a report has found, before it is written down: numbers, and the strips and arrays for the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ecgsynth.engine import Engine
from ecgsynth.report.folders import Folder
from ecgsynth.report.ground import Ground
from ecgsynth.report.sample import Sample
from ecgsynth.report.strips import Strip
from ecgsynth.report.tally import Rate, Tally
from ecgsynth.report.verdicts import Criterion, Verdict

if TYPE_CHECKING:
    from ecgsynth.fidelity.distribution import SetComparison


@dataclass(frozen=True)
class Size:
    """How much is compared.

    Attributes
    ----------
    most : int
        Strips of one rhythm and side.
    per_person : int
        Strips of one person, lead and rhythm.
    resamples : int
        Of people, for the intervals.
    """

    most: int
    per_person: int
    resamples: int


#: 2,000 strips a side leave an AUC's standard error under 0.01 (Hanley & McNeil, Radiology 143:29-36, 1982);
#: more would change no verdict.
FULL: Final = Size(most=2000, per_person=4, resamples=200)
QUICK: Final = Size(most=200, per_person=2, resamples=50)
#: Bytes that the strips of all rhythms and both sides may take.
MEMORY: Final = 400 << 20


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Options of ``ecgsynth report``.

    Attributes
    ----------
    synthetic, real : Path
        Folders of WFDB records, or databases that the readers know.
    out : Path
        Folder to make.
    rhythms : tuple of str
        Only these (canonical names); all that both folders have by default. One names the rhythm of folders
        that do not say theirs.
    leads : tuple of str or None
        To compare in, instead of those in common.
    show_real : bool
        Draw real strips too.
    strict : bool
        An unreadable record is an error, after the report has been written.
    seed : int
    workers : int
        Tasks at a time; 0 takes one per core.
    engine, address : str
        Who does the work; see `ecgsynth.engine.Engine`.
    overwrite : bool
        Replace `out` if it is a report.
    quick : bool
        A tenth of the strips and a quarter of the resamples: for a first look.
    privacy : Path or None
        Findings of ``ecgsynth audit`` to show; those in the synthetic folder by default.
    """

    synthetic: Path
    real: Path
    out: Path
    rhythms: tuple[str, ...] = ()
    leads: tuple[str, ...] | None = None
    show_real: bool = False
    strict: bool = False
    seed: int = 0
    workers: int = 0
    engine: str = "processes"
    address: str | None = None
    overwrite: bool = False
    quick: bool = False
    privacy: Path | None = None

    def crew(self) -> Engine:
        """Who does the work."""
        return Engine(self.engine, self.workers, self.address)

    @property
    def size(self) -> Size:
        """How much is compared."""
        return QUICK if self.quick else FULL


@dataclass
class Side:
    """One folder and what was found in it.

    Attributes
    ----------
    folder : Folder
    sha256 : str
    about : dict
        Counts, from `ecgsynth.report.survey.describe`.
    notes : list of str
    """

    folder: Folder
    sha256: str
    about: dict[str, object]
    notes: list[str] = field(default_factory=list)


@dataclass
class Shown:
    """A strip that is drawn: ``role`` is ``worst``, ``median``, ``best`` or ``real``.

    ``score`` is the classifier's: the share of all strips that look less synthetic to it.
    """

    role: str
    strip: Strip
    score: float | None = None


@dataclass
class RhythmFindings:
    """One rhythm.

    Attributes
    ----------
    rhythm : str
    ground : Ground or None
        None where the folders cannot be compared; ``why_not`` says why.
    records : Tally
        Of synthetic records that claim the rhythm, each judged as a whole.
    gate, gate_real : Tally
        Of the stretches that the pass rates count: strips where records are longer than those.
    faulty : int
        Real strips with gaps, a lead switched off or an amplifier at its limit, which were left out.
    unusable : int
        Synthetic strips with gaps: the gate fails them, nothing else can measure them.
    notes : list of str
        What was done to compare, in sentences.
    reference : (Rate, str) or None
        The gate's pass rate to compare with, and whose it is.
    strips : dict of str to list of Strip
        By side; emptied once they have been compared.
    """

    rhythm: str
    ground: Ground | None
    why_not: str | None = None
    records: Tally = field(default_factory=Tally)
    gate: Tally = field(default_factory=Tally)
    gate_real: Tally = field(default_factory=Tally)
    faulty: int = 0
    unusable: int = 0
    notes: list[str] = field(default_factory=list)
    strips: dict[str, list[Strip]] = field(default_factory=dict)
    comparison: SetComparison | None = None
    reference: tuple[Rate, str] | None = None
    criteria: tuple[Criterion, ...] = ()
    verdict: Verdict = "not assessable"
    because: tuple[str, ...] = ()
    shown: list[Shown] = field(default_factory=list)

    @property
    def claimed(self) -> bool:
        """Whether a synthetic record claims the rhythm; else it is only in the real folder."""
        return self.records.total > 0

    def keep(self, side: str, sample: Sample) -> None:
        """Take over a side's sample of strips."""
        self.strips[side] = sample.strips()
        if sample.seen > len(self.strips[side]):
            self.notes.append(
                f"Of {sample.seen} {side} strips, {len(self.strips[side])} were compared: at most "
                f"{sample.per_person} of a person and lead, {sample.most} in all, drawn with the seed."
            )


@dataclass
class Findings:
    """Everything a report says.

    Attributes
    ----------
    options : ReportOptions
    real, synthetic : Side
    gate : Tally
        Of all synthetic records, each judged as a whole.
    rejected : list of (record, rhythms, reasons)
    rhythms : dict of str to RhythmFindings
    metrics : mapping of str to Metric
        `ecgsynth.fidelity.distribution.METRICS`.
    calibration : dict
        What the gate's bounds rest on.
    """

    options: ReportOptions
    real: Side
    synthetic: Side
    gate: Tally
    rejected: list[tuple[str, tuple[str, ...], tuple[str, ...]]]
    rhythms: dict[str, RhythmFindings]
    metrics: Mapping[str, Any]
    calibration: dict[str, Any]

"""``ecgsynth report`` as a function: survey, examine, compare, decide, write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

from ecgsynth.engine import in_order
from ecgsynth.errors import GateError, OptionError, RecordError, TooFewPeopleError
from ecgsynth.fidelity.calibration import Calibration, load_calibration
from ecgsynth.records import Record
from ecgsynth.report.comparing import compare_rhythm
from ecgsynth.report.findings import MEMORY, Findings, ReportOptions, RhythmFindings, Side
from ecgsynth.report.folders import Folder, open_folder
from ecgsynth.report.ground import Ground, find_ground
from ecgsynth.report.sample import Sample
from ecgsynth.report.staging import REPORT, staged
from ecgsynth.report.strips import Examined, Examiner
from ecgsynth.report.strips import Side as SideName
from ecgsynth.report.survey import Entry, claimed, describe, survey, unit_note
from ecgsynth.report.tally import Tally
from ecgsynth.report.words import left_out
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.staging import check_target

#: Fewer records than this are not worth starting processes for.
FEW_RECORDS = 400
#: Records that one worker examines together.
TOGETHER = 24


class Progress(Protocol):
    """How far a stage is."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """``done`` of ``total`` (None: not known), and a few words."""


Stage = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Attributes
    ----------
    out : Path
    findings : Findings
    error : EcgSynthError or None
        What the command should end with: a failed gate, unreadable records with ``strict``, or nothing that
        could be assessed. The report has been written all the same.
    """

    out: Path
    findings: Findings
    error: GateError | RecordError | TooFewPeopleError | None


def _nothing(done: int, total: int | None, note: str = "") -> None:
    """Show no progress."""


def _silent(_: str) -> AbstractContextManager[Progress]:
    return nullcontext(_nothing)


def write_report(options: ReportOptions, stage: Stage = _silent) -> Outcome:
    """Judge the folder ``synthetic`` beside ``real`` and write the report to ``out``.

    Parameters
    ----------
    options : ReportOptions
    stage : callable
        Opens a progress display: ``with stage("Reading") as show: show(3, 10)``.

    Raises
    ------
    RecordError
        If a folder is missing, empty, or nothing in it can be read.
    OptionError
        If a rhythm is asked for that the synthetic folder does not have, or no rhythm is named anywhere.
    OutputError
        If ``out`` exists or cannot be written.
    """
    from ecgsynth.report.page_privacy import find_audit
    from ecgsynth.report.writing import write_files

    check_target(options.out, options.overwrite, REPORT)
    options.crew()  # refuses an engine that is not there before any work
    find_audit(options.synthetic, options.privacy)
    findings = examine(options, stage)
    with stage("Comparing") as show:
        for done, found in enumerate(findings.rhythms.values()):
            show(done, len(findings.rhythms), found.rhythm)
            compare_rhythm(found, findings, partial(show, done, len(findings.rhythms)))
        show(len(findings.rhythms), len(findings.rhythms))
    with staged(options.out, options.overwrite) as folder, stage("Writing") as show:
        write_files(findings, folder, show)
    return Outcome(options.out, findings, _error(findings))


def examine(options: ReportOptions, stage: Stage) -> Findings:
    """Read both folders, find their common ground, ask the gate, and sample strips."""
    from ecgsynth.fidelity.distribution import METRICS

    calibration = load_calibration()
    folders = {"synthetic": open_folder(options.synthetic), "real": open_folder(options.real)}
    entries: dict[str, list[Entry]] = {}
    sides: dict[str, Side] = {}
    for name, folder in folders.items():
        with stage(f"Reading {name}") as show:
            read = survey(folder, partial(_so_far, show))
            entries[name] = claimed(folder, read, options.rhythms)
            sides[name] = Side(folder, folder.sha256(), describe(entries[name]))
            note = unit_note(entries[name])
            sides[name].notes += [note] if note else []
    rhythms = _common(options, entries)
    found = Findings(
        options,
        sides["real"],
        sides["synthetic"],
        Tally(),
        [],
        rhythms,
        METRICS,
        _about(calibration, list(rhythms)),
    )
    names: tuple[SideName, SideName] = ("synthetic", "real")
    for side in names:
        with stage(f"Gate on {side}") as show:
            _examine_side(side, folders[side], len(entries[side]), found, calibration, show)
    return found


def _so_far(show: Progress, done: int) -> None:
    show(done, None)


def _common(options: ReportOptions, entries: dict[str, list[Entry]]) -> dict[str, RhythmFindings]:
    """The rhythms to speak of, each with its common ground or why there is none."""
    present = {name for entry in entries["synthetic"] for name in entry.longest}
    either = present | {name for entry in entries["real"] for name in entry.longest}
    missing = [name for name in options.rhythms if name not in present]
    if missing:
        raise OptionError(
            f"--rhythm {', '.join(missing)}: no record of {options.synthetic} shows it; there are "
            f"{', '.join(sorted(present))}."
        )
    rhythms = {}
    for name in (name for name in RHYTHMS if name in either):
        if options.rhythms and name not in options.rhythms:
            continue
        ground = find_ground(name, entries["real"], entries["synthetic"], options.leads)
        if isinstance(ground, str):
            rhythms[name] = RhythmFindings(name, None, why_not=ground)
        else:
            rhythms[name] = RhythmFindings(name, ground, notes=list(ground.said))
    return rhythms


def _examine_side(
    name: SideName, folder: Folder, total: int, found: Findings, calibration: Calibration, show: Progress
) -> None:
    """Fill the tallies and the samples of one side."""
    grounds = {key: r.ground for key, r in found.rhythms.items() if r.ground is not None}
    size = found.options.size
    most = _most(grounds, size.most)
    samples = {key: Sample(most, size.per_person) for key in grounds}
    examiner = Examiner(name, grounds, calibration, size.per_person, found.options.seed)
    wanted = set(grounds) if name == "real" else set(found.rhythms) | _anything(found)
    records = _of_rhythms(folder.records(), wanted, lambda n: show(n, total))
    groups = iter(lambda: list(islice(records, TOGETHER)), [])
    made = in_order(examiner, groups, found.options.crew(), batch=1, few=total < FEW_RECORDS)
    for examined in chain.from_iterable(made):
        _count(examined, name, found, samples)
    show(total, total)
    for key, sample in samples.items():
        found.rhythms[key].keep(name, sample)


def _anything(found: Findings) -> set[str]:
    """The empty name, for records without a rhythm, unless the user asked for some rhythms."""
    return set() if found.options.rhythms else {""}


def _of_rhythms(
    records: Iterator[Record], wanted: set[str], count: Callable[[int], None]
) -> Iterator[Record]:
    for n, record in enumerate(records, start=1):
        count(n)
        if wanted & {episode.rhythm or "" for episode in record.episodes}:
            yield record


def _most(grounds: dict[str, Ground], most: int) -> int:
    """Strips of one rhythm and side that fit in memory; a sample may hold twice as many for a while."""
    if not grounds:
        return most
    largest = max(4 * ground.shape[0] * ground.shape[1] for ground in grounds.values())
    return max(100, min(most, MEMORY // (4 * len(grounds) * largest)))


def _count(examined: Examined, name: SideName, found: Findings, samples: dict[str, Sample]) -> None:
    verdict = examined.verdict
    if verdict is not None:
        found.gate.add(examined.record, verdict.passed, verdict.reasons)
        if not verdict.passed:
            found.rejected.append((examined.record, examined.rhythms, verdict.reasons))
        for rhythm in examined.rhythms:
            if rhythm in found.rhythms:
                found.rhythms[rhythm].records.add(examined.subject, verdict.passed, verdict.reasons)
    for rhythm, passed, reasons in examined.gate:
        if rhythm in found.rhythms:
            tally = found.rhythms[rhythm].gate_real if name == "real" else found.rhythms[rhythm].gate
            tally.add(examined.subject, passed, reasons)
    for strip in examined.strips:
        if strip.signal is None:
            found.rhythms[strip.rhythm].unusable += 1
        else:
            samples[strip.rhythm].add(strip)
    for rhythm in examined.faulty:
        found.rhythms[rhythm].faulty += 1


def _about(calibration: Calibration, rhythms: list[str]) -> dict[str, object]:
    return {
        "split": calibration.split,
        "rhythms": {
            name: {"people": calibration.people.get(name, 0), **calibration.fitted.get(name, {})}
            for name in rhythms
        },
    }


def _error(findings: Findings) -> GateError | RecordError | TooFewPeopleError | None:
    verdicts = {name: found.verdict for name, found in findings.rhythms.items() if found.claimed}
    failing = [name for name, verdict in verdicts.items() if verdict == "fails"]
    if failing:
        why = findings.rhythms[failing[0]].because[0]
        return GateError(
            f"{findings.synthetic.folder.name}: {', '.join(failing)} fails: {why}. The report shows the "
            "numbers and the records."
        )
    unreadable = [u for side in (findings.synthetic, findings.real) for u in side.folder.unreadable.values()]
    if unreadable and findings.options.strict:
        return RecordError(
            f"{left_out(len(unreadable))}, and --strict was given; the first, "
            f"{unreadable[0].record}: {unreadable[0].why}"
        )
    if all(verdict == "not assessable" for verdict in verdicts.values()):
        why = "; ".join(f"{name}: {findings.rhythms[name].because[0]}" for name in list(verdicts)[:3])
        return TooFewPeopleError(f"no rhythm could be assessed, which is not a pass ({why}).")
    return None

"""What the readers share: beats and episodes out of WFDB annotations, names, header comments, files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ecgsynth.errors import RecordError
from ecgsynth.records import Beats, BeatSource, Episode, Record
from ecgsynth.rhythms import rhythm_from_aux

#: Told of a record that cannot be read: its path without suffix, and why. Without one, readers raise.
Skip = Callable[[Path, RecordError], None]

#: WFDB annotation codes that mark a QRS complex. ``!`` (a ventricular flutter wave), ``[`` and ``]``
#: (its onset and end), ``x`` (a blocked P wave) and the rest are not beats.
BEAT_CODES: Final = frozenset("NLRaAJSVFejE/fQ")

_STANDARD_NAMES = {
    name.casefold(): name
    for name in ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6", "MLII", "MLIII")
}


#: What some recorders write before the name of a lead: ``lead i``, ``ECG II``, ``ECG Lead V1``.
_BEFORE_NAME = re.compile(r"(?:(?:ecg|ekg|lead)[\s_:-]+)+")


def lead_name(name: str) -> str:
    """Lead name in standard spelling (``AVR``, ``lead avr`` to ``aVR``); unknown names unchanged."""
    bare = _BEFORE_NAME.sub("", name.strip().casefold(), count=1)
    return _STANDARD_NAMES.get(bare, name.strip())


def lead_names(names: Iterable[str]) -> tuple[str, ...]:
    """`lead_name` of each; one that repeats (``ECG``, ``ECG``) is numbered from its second place on."""
    told = [lead_name(name) for name in names]
    return tuple(f"{n}#{told[:i].count(n) + 1}" if n in told[:i] else n for i, n in enumerate(told))


def beats_from(
    samples: NDArray[np.int64], symbols: Sequence[str], source: BeatSource = "annotated"
) -> Beats | None:
    """The beats among annotations, in order and one per sample; None where there is no beat code at all."""
    found: dict[int, str] = {}
    for sample, symbol in zip(samples.tolist(), symbols, strict=True):
        if symbol in BEAT_CODES and sample >= 0:
            found.setdefault(sample, symbol)
    if not found:
        return None
    at = sorted(found)
    return Beats(np.array(at, dtype=np.int64), tuple(found[sample] for sample in at), source)


def episodes_from(
    samples: NDArray[np.int64], symbols: Sequence[str], aux: Sequence[str], n_samples: int
) -> tuple[Episode, ...]:
    """Episodes between WFDB rhythm marks (``+`` with an ``aux_note`` that opens with ``(``).

    A mark holds until the next one or the end of the record. Before the first mark nothing is known.
    A mark that repeats the rhythm before it does not start a new episode.
    """
    marks = [
        (int(sample), rhythm_from_aux(note))
        for sample, symbol, note in zip(samples, symbols, aux, strict=True)
        if symbol == "+" and note.startswith("(")
    ]
    episodes: list[Episode] = []
    stops = [*(start for start, _ in marks), n_samples][1:]
    for (start, rhythm), stop in zip(marks, stops, strict=True):
        stop = min(stop, n_samples)
        if stop <= start:
            continue
        if episodes and rhythm is not None and episodes[-1].rhythm == rhythm:
            episodes[-1] = Episode(episodes[-1].start, stop, rhythm)
        else:
            episodes.append(Episode(start, stop, rhythm))
    return tuple(episodes)


def comment_field(comments: Iterable[str], field: str) -> str | None:
    """Value of ``field: value`` in header comments, whatever the case, ``#``, ``<`` or ``>`` around it."""
    pattern = re.compile(rf"\s*#?\s*<?{re.escape(field)}>?\s*:\s*(.*)", re.IGNORECASE)
    for comment in comments:
        match = pattern.fullmatch(comment.strip())
        if match:
            return match.group(1).strip()
    return None


def parse_age(text: str | None) -> float | None:
    """Age in years, None where it is missing or out of 0-120 (databases write -1, NaN or 300)."""
    try:
        age = float(text) if text else float("nan")
    except ValueError:
        return None
    return age if 0 <= age <= 120 else None


def parse_sex(text: str | None) -> Literal["M", "F"] | None:
    """Sex from ``M``, ``Male``, ``f`` and the like; None otherwise."""
    first = (text or "").strip()[:1].upper()
    return "M" if first == "M" else "F" if first == "F" else None


def each(stems: Iterable[Path], read: Callable[[Path], Record], skip: Skip | None) -> Iterator[Record]:
    """The record at every path; one that is damaged raises, or is passed over and ``skip`` told.

    Raises
    ------
    RecordError
        The reader's, for the first damaged record, if there is no ``skip`` to tell.
    """
    for stem in stems:
        try:
            record = read(stem)
        except RecordError as error:
            if skip is None:
                raise
            skip(stem, error)
        else:
            yield record


def header_stems(folder: Path, pattern: str = "*.hea") -> list[Path]:
    """Paths without suffix of the WFDB headers in ``folder``, sorted.

    Raises
    ------
    RecordError
        If the folder does not exist or holds no header that matches.
    """
    if not folder.is_dir():
        raise RecordError(f"no folder {folder}: expected a folder of WFDB records (*.hea); check the path.")
    stems = sorted(path.with_suffix("") for path in folder.glob(pattern))
    if not stems:
        raise RecordError(
            f"no records in {folder}: found no file {pattern}; point to a folder that holds WFDB headers."
        )
    return stems

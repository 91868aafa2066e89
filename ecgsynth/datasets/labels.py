"""One rhythm for a short record that carries many diagnostic codes.

Twelve-lead databases describe ten seconds with a list of statements: SCP-ECG codes (PTB-XL), SNOMED CT
concepts (PhysioNet/CinC 2021) or sentences (LUDB). A record here carries exactly one rhythm, so the
statements are ranked and the first one that applies wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ecgsynth.rhythms import rhythm_from_scp, rhythm_from_snomed

#: Highest first. A pacemaker sets the rhythm whatever else is written; atrial fibrillation and flutter
#: exclude sinus rhythm; a high-grade block and a tachycardia outrank the sinus rhythm above them; a
#: first-degree block and an accessory pathway say more than the plain sinus rhythm they come with.
#: Rate words are kept over plain "sinus rhythm", which PTB-XL writes beside them.
PRIORITY: Final = (
    "vf",
    "vflutter",
    "paced",
    "afib",
    "aflutter",
    "avb3",
    "avb2",
    "vt",
    "svt",
    "idioventricular",
    "junctional",
    "wpw",
    "bigeminy",
    "trigeminy",
    "atrial_bigeminy",
    "avb1",
    "sinus_arrhythmia",
    "sinus_tachycardia",
    "sinus_bradycardia",
    "nsr",
)

#: SNOMED CT concepts of the challenge that mean one of our rhythms besides the table's own concept.
SNOMED_ALSO: Final = {
    "713422000": "svt",  # atrial tachycardia
    "233896004": "svt",  # AV nodal re-entry tachycardia
    "233897008": "svt",  # AV re-entry tachycardia
    "67198005": "svt",  # paroxysmal supraventricular tachycardia
    "54016002": "avb2",  # Mobitz type I
    "28189009": "avb2",  # Mobitz type II
    "251268003": "paced",  # atrial pacing pattern
    "251266004": "paced",  # ventricular pacing pattern
    "426995002": "junctional",  # junctional escape
    "426664006": "junctional",  # accelerated junctional rhythm
    "61277005": "idioventricular",  # accelerated idioventricular rhythm
}
#: Concepts that make the rhythm something we have no name for, or that nobody reviewed: the record gets none.
SNOMED_UNNAMED: Final = frozenset({"425856008", "195101003", "106068003", "5609005"})

_SNOMED_PVC = frozenset({"427172004", "17338001", "164884008", "251182009", "11157007", "251180001"})
_SNOMED_PAC = frozenset({"284470004", "63593006", "251168009", "251170000", "251173003"})
_SNOMED_CONDUCTION = {
    "59118001": "RBBB",
    "713427006": "RBBB",
    "164909002": "LBBB",
    "733534002": "LBBB",
}
_SCP_ECTOPY = frozenset({"PVC", "PAC", "BIGU", "TRIGU", "PRC(S)"})
_SCP_CONDUCTION = {"CRBBB": "RBBB", "CLBBB": "LBBB"}

#: LUDB's sentences (start of line, lower case) and the rhythm they mean.
LUDB_RHYTHM: Final = {
    "rhythm: sinus rhythm": "nsr",
    "rhythm: sinus bradycardia": "sinus_bradycardia",
    "rhythm: sinus tachycardia": "sinus_tachycardia",
    "rhythm: sinus arrhythmia": "sinus_arrhythmia",
    "rhythm: irregular sinus rhythm": "sinus_arrhythmia",
    "rhythm: atrial fibrillation": "afib",
    "rhythm: atrial flutter": "aflutter",
    "i degree av block": "avb1",
    "ii degree av": "avb2",
    "iii degree av": "avb3",
    "unipolar atrial pacing": "paced",
    "unipolar ventricular pacing": "paced",
    "bipolar ventricular pacing": "paced",
    "bipolar atrial pacing": "paced",
    "biventricular pacing": "paced",
}


def choose_rhythm(candidates: Iterable[str | None]) -> str | None:
    """The candidate that ranks first in `PRIORITY`, or None where there is none.

    Parameters
    ----------
    candidates : iterable of str or None
        Canonical rhythm names; None (a code that is no rhythm) is passed over.

    Examples
    --------
    >>> choose_rhythm(["nsr", None, "avb1"])
    'avb1'
    """
    ranked = sorted({name for name in candidates if name is not None}, key=PRIORITY.index)
    return ranked[0] if ranked else None


def label_snomed(codes: Iterable[str]) -> tuple[str | None, dict[str, str]]:
    """Rhythm and notes (``ectopy``, ``conduction``) of a record from its SNOMED CT concepts."""
    codes = [code.strip() for code in codes]
    rhythm = choose_rhythm(SNOMED_ALSO.get(code) or rhythm_from_snomed(code) for code in codes)
    if not SNOMED_UNNAMED.isdisjoint(codes):
        rhythm = None
    notes = _notes(
        any(code in _SNOMED_PVC or code in _SNOMED_PAC for code in codes),
        next((_SNOMED_CONDUCTION[code] for code in codes if code in _SNOMED_CONDUCTION), None),
    )
    return rhythm, notes


def label_scp(likelihoods: dict[str, float]) -> tuple[str | None, dict[str, str]]:
    """Rhythm and notes of a PTB-XL record from its ``scp_codes``.

    A statement counts when its likelihood is 0 (not given, as for every rhythm statement) or at least
    50 %: PTB-XL writes 15 and 35 for "cannot be ruled out" and "consider" (Wagner et al. 2020, table 5).
    """
    codes = [code for code, percent in likelihoods.items() if percent == 0 or percent >= 50]
    notes = _notes(
        not _SCP_ECTOPY.isdisjoint(codes),
        next((_SCP_CONDUCTION[code] for code in codes if code in _SCP_CONDUCTION), None),
    )
    return choose_rhythm(rhythm_from_scp(code) for code in codes), notes


def label_ludb(sentences: Iterable[str]) -> tuple[str | None, dict[str, str]]:
    """Rhythm and notes of a LUDB record from the sentences of its header."""
    lines = [line.strip().casefold() for line in sentences]
    starts = LUDB_RHYTHM.items()
    rhythm = choose_rhythm(name for line in lines for start, name in starts if line.startswith(start))
    if any(line.startswith("wandering atrial pacemaker") for line in lines):
        rhythm = None
    side = {"complete right bundle": "RBBB", "complete left bundle": "LBBB"}
    block = next((name for start, name in side.items() if any(x.startswith(start) for x in lines)), None)
    return rhythm, _notes(any("extrasystole" in line for line in lines), block)


def _notes(ectopy: bool, conduction: str | None) -> dict[str, str]:
    notes = {"ectopy": "yes"} if ectopy else {}
    return notes | ({"conduction": conduction} if conduction else {})

"""The rhythms ecgsynth knows, in one table: codes, spellings, and what each must look like.

Bounds are for orientation of the gate and for refusing impossible requests, not a diagnosis.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from ecgsynth.errors import OptionError

PWave = Literal["required", "forbidden", "any"]

SOURCES = {
    "ACLS": "Soar J et al. European Resuscitation Council Guidelines 2021: adult advanced life support.",
    "AHA-2018": "Kusumoto FM et al. 2018 ACC/AHA/HRS guideline on bradycardia and conduction delay.",
    "ESC-SVT": "Brugada J et al. 2019 ESC guidelines for supraventricular tachycardia.",
    "ESC-AF": "Hindricks G et al. 2020 ESC guidelines for atrial fibrillation.",
    "ESC-VA": "Zeppenfeld K et al. 2022 ESC guidelines for ventricular arrhythmias.",
    "MIT-BIH": "Moody GB, Mark RG. IEEE Eng Med Biol 20(3):45-50, 2001 (ranges seen in the database).",
    "WHI": "Women's Health Initiative norms (n = 36,299): 2-98th percentile HR 49-88/min, PR 118-212 ms.",
    "DASH": "Dash S et al. Ann Biomed Eng 37:1701-1709, 2009: nRMSSD near 0.1 parts AF from sinus.",
}


@dataclass(frozen=True)
class Rhythm:
    """One rhythm and its bounds.

    Attributes
    ----------
    name : str
        Canonical name, as the command line spells it.
    title : str
        For people to read.
    aux : str
        WFDB rhythm mark (``aux_note``) written at its start.
    snomed : str
        SNOMED CT concept, as in the headers of the PhysioNet/CinC 2021 challenge.
    scp : tuple of str
        SCP-ECG statements of PTB-XL that mean this rhythm; empty where there is none.
    synonyms : tuple of str
        Further spellings; case, spaces, ``-``, ``_`` and ``(`` do not matter.
    aux_synonyms : tuple of str
        Further WFDB marks that databases use for it.
    rate : tuple of float
        Lowest and highest plausible ventricular rate in beats/min; (0, 0) where there are no beats.
    p_wave : {"required", "forbidden", "any"}
        Whether a P wave must, must not or may precede the QRS.
    irregular : tuple of float
        Lowest and highest plausible nRMSSD of the RR intervals (RMSSD over mean RR, dimensionless).
    sources : tuple of str
        Keys of `SOURCES` behind the bounds.
    """

    name: str
    title: str
    aux: str
    snomed: str
    scp: tuple[str, ...]
    synonyms: tuple[str, ...]
    aux_synonyms: tuple[str, ...]
    rate: tuple[float, float]
    p_wave: PWave
    irregular: tuple[float, float]
    sources: tuple[str, ...]

    @property
    def has_beats(self) -> bool:
        """False for the rhythms without discernible QRS complexes (ventricular flutter, fibrillation)."""
        return self.rate[1] > 0


def _table(*rhythms: Rhythm) -> dict[str, Rhythm]:
    return {rhythm.name: rhythm for rhythm in rhythms}


RHYTHMS: dict[str, Rhythm] = _table(
    Rhythm(
        "nsr",
        "Normal sinus rhythm",
        "(N",
        "426783006",
        ("SR", "NORM"),
        ("sinus", "normal", "normal sinus rhythm", "sr", "n"),
        ("(SR",),
        (40, 110),
        "required",
        (0.0, 0.25),
        ("AHA-2018", "WHI", "DASH"),
    ),
    Rhythm(
        "sinus_bradycardia",
        "Sinus bradycardia",
        "(SBR",
        "426177001",
        ("SBRAD",),
        ("sbrad", "sbr", "sb", "brady", "bradycardia"),
        ("(SB",),
        (25, 62),
        "required",
        (0.0, 0.30),
        ("AHA-2018",),
    ),
    Rhythm(
        "sinus_tachycardia",
        "Sinus tachycardia",
        "(ST",
        "427084000",
        ("STACH",),
        ("stach", "st", "tachy"),
        ("(STACH",),
        (95, 200),
        "required",
        (0.0, 0.15),
        ("ESC-SVT",),
    ),
    Rhythm(
        "sinus_arrhythmia",
        "Sinus arrhythmia",
        "(SA",
        "427393009",
        ("SARRH",),
        ("sarrh", "sa", "respiratory sinus arrhythmia"),
        ("(SARRH",),
        (35, 120),
        "required",
        (0.02, 0.50),
        ("AHA-2018",),
    ),
    Rhythm(
        "afib",
        "Atrial fibrillation",
        "(AFIB",
        "164889003",
        ("AFIB",),
        ("af", "atrial fibrillation", "fibrillation"),
        ("(AF",),
        (30, 220),
        "forbidden",
        (0.07, 0.80),
        ("ESC-AF", "DASH"),
    ),
    Rhythm(
        "aflutter",
        "Atrial flutter",
        "(AFL",
        "164890007",
        ("AFLT",),
        ("afl", "aflt", "flutter", "atrial flutter"),
        (),
        (30, 320),
        "any",
        (0.0, 0.60),
        ("ESC-SVT", "MIT-BIH"),
    ),
    Rhythm(
        "svt",
        "Supraventricular tachycardia",
        "(SVTA",
        "426761007",
        ("SVTAC", "PSVT", "SVARR"),
        ("svta", "svtac", "psvt", "supraventricular tachycardia"),
        ("(SVT",),
        (95, 280),
        "any",
        (0.0, 0.30),
        ("ESC-SVT",),
    ),
    Rhythm(
        "vt",
        "Ventricular tachycardia",
        "(VT",
        "164895002",
        (),
        ("vtach", "ventricular tachycardia"),
        (),
        (95, 300),
        "any",
        (0.0, 0.40),
        ("ESC-VA", "MIT-BIH"),
    ),
    Rhythm(
        "vflutter",
        "Ventricular flutter",
        "(VFL",
        "111288001",
        (),
        ("vfl", "ventricular flutter"),
        (),
        (0, 0),
        "any",
        (0.0, 0.0),
        ("ESC-VA", "ACLS"),
    ),
    Rhythm(
        "vf",
        "Ventricular fibrillation",
        "(VF",
        "164896001",
        (),
        ("vfib", "ventricular fibrillation"),
        ("(VFIB",),
        (0, 0),
        "any",
        (0.0, 0.0),
        ("ESC-VA", "ACLS"),
    ),
    Rhythm(
        "bigeminy",
        "Ventricular bigeminy",
        "(B",
        "11157007",
        ("BIGU",),
        ("b", "vbig", "bigu", "ventricular bigeminy"),
        (),
        (25, 180),
        "any",
        (0.08, 1.20),
        ("MIT-BIH",),
    ),
    Rhythm(
        "trigeminy",
        "Ventricular trigeminy",
        "(T",
        "251180001",
        ("TRIGU",),
        ("t", "vtrig", "trigu", "ventricular trigeminy"),
        (),
        (25, 180),
        "any",
        (0.06, 1.00),
        ("MIT-BIH",),
    ),
    Rhythm(
        "atrial_bigeminy",
        "Atrial bigeminy",
        "(AB",
        "251173003",
        (),
        ("ab", "abig"),
        (),
        (25, 180),
        "any",
        (0.05, 1.00),
        ("MIT-BIH",),
    ),
    Rhythm(
        "avb1",
        "First-degree AV block",
        "(BI",
        "270492004",
        ("1AVB",),
        ("iavb", "1avb", "first degree av block", "bi"),
        (),
        (30, 120),
        "required",
        (0.0, 0.30),
        ("AHA-2018",),
    ),
    Rhythm(
        "avb2",
        "Second-degree AV block",
        "(BII",
        "195042002",
        ("2AVB",),
        ("iiavb", "2avb", "second degree av block", "bii", "wenckebach"),
        (),
        (20, 110),
        "any",
        (0.0, 0.90),
        ("AHA-2018", "MIT-BIH"),
    ),
    Rhythm(
        "avb3",
        "Third-degree AV block",
        "(BIII",
        "27885002",
        ("3AVB",),
        ("iiiavb", "3avb", "third degree av block", "biii", "complete heart block", "chb"),
        (),
        (15, 80),
        "any",
        (0.0, 0.25),
        ("AHA-2018",),
    ),
    Rhythm(
        "paced",
        "Paced rhythm",
        "(P",
        "10370003",
        ("PACE",),
        ("pace", "p", "pm", "pacing", "pacemaker"),
        ("(PM",),
        (35, 150),
        "any",
        (0.0, 0.45),
        ("AHA-2018", "MIT-BIH"),
    ),
    Rhythm(
        "wpw",
        "Pre-excitation (WPW)",
        "(PREX",
        "74390002",
        ("WPW",),
        ("prex", "preexcitation", "wolff parkinson white"),
        (),
        (35, 150),
        "any",
        (0.0, 0.45),
        ("ESC-SVT", "MIT-BIH"),
    ),
    Rhythm(
        "junctional",
        "Junctional rhythm",
        "(NOD",
        "29320008",
        (),
        ("nod", "nodal", "junctional rhythm"),
        (),
        (25, 140),
        "any",
        (0.0, 0.30),
        ("AHA-2018", "MIT-BIH"),
    ),
    Rhythm(
        "idioventricular",
        "Idioventricular rhythm",
        "(IVR",
        "49260003",
        (),
        ("ivr", "idioventricular rhythm", "ver"),
        ("(VER",),
        (15, 125),
        "any",
        (0.0, 0.40),
        ("AHA-2018", "MIT-BIH"),
    ),
)


def _key(spelling: str) -> str:
    return re.sub(r"[\s\-_()]+", "", spelling).casefold()


_BY_SPELLING = {
    _key(spelling): rhythm.name
    for rhythm in RHYTHMS.values()
    for spelling in (
        rhythm.name,
        rhythm.aux,
        *rhythm.aux_synonyms,
        *rhythm.scp,
        *rhythm.synonyms,
        rhythm.snomed,
    )
}
_BY_AUX = {aux: rhythm.name for rhythm in RHYTHMS.values() for aux in (rhythm.aux, *rhythm.aux_synonyms)}
_BY_SNOMED = {rhythm.snomed: rhythm.name for rhythm in RHYTHMS.values()}
_BY_SCP = {code: rhythm.name for rhythm in RHYTHMS.values() for code in rhythm.scp}


def find_rhythm(spelling: str) -> Rhythm:
    """The rhythm a user means by any accepted spelling, mark or code.

    Parameters
    ----------
    spelling : str
        Such as ``afib``, ``AF``, ``(AFIB`` or ``164889003``.

    Raises
    ------
    OptionError
        If it is none of them; the message lists the known names and suggests the nearest.

    Examples
    --------
    >>> find_rhythm("(AFIB").title
    'Atrial fibrillation'
    """
    name = _BY_SPELLING.get(_key(spelling))
    if name is not None:
        return RHYTHMS[name]
    near = difflib.get_close_matches(_key(spelling), _BY_SPELLING, n=1, cutoff=0.5)
    hint = f" Did you mean {_BY_SPELLING[near[0]]}?" if near else ""
    raise OptionError(f"unknown rhythm {spelling!r}.{hint} Known rhythms: {', '.join(RHYTHMS)}.")


def rhythm_from_aux(aux_note: str) -> str | None:
    """Canonical name for a WFDB rhythm mark such as ``(AFIB``, or None where it is not one of ours."""
    return _BY_AUX.get(aux_note.strip("\x00 "))


def rhythm_from_snomed(code: str) -> str | None:
    """Canonical name for a SNOMED CT concept, or None."""
    return _BY_SNOMED.get(code.strip())


def rhythm_from_scp(code: str) -> str | None:
    """Canonical name for an SCP-ECG statement of PTB-XL, or None (``NORM`` and ``SR`` are both nsr)."""
    return _BY_SCP.get(code.strip())

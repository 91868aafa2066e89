"""What each section of an audit is called and asks, in words for people."""

from __future__ import annotations

from typing import Final

TITLES: Final = {
    "near_duplicates": "Near-duplicates",
    "same_person": "Same person",
    "membership": "Membership inference",
    "reidentification": "Re-identification",
    "singling_out": "Singling out",
    "linkability": "Linkability",
    "inference": "Inference",
    "unusual": "The unusual few",
}
#: What each section asks, for people.
QUESTIONS: Final = {
    "same_person": "Are the beats of a synthetic record as like one training person's as only that person's "
    "are, though no stretch was copied?",
    "near_duplicates": "Is a synthetic record a copy of someone's recording: shifted, cut, rescaled, turned "
    "upside down, stretched in time, with noise added or mixed with another's?",
    "membership": "Can someone who has a person's recording tell from the dataset whether that person was "
    "in training?",
    "reidentification": "Does a verification system take synthetic records for training people more often "
    "than for people whom the generator never saw?",
    "singling_out": "Does a description made from the dataset fit exactly one training person (WP29: "
    "singling out)?",
    "linkability": "Do two partial descriptions of a training person lead to the same synthetic record "
    "(WP29: linkability)?",
    "inference": "Does the dataset tell an unknown attribute of a training person better than of a stranger "
    "(WP29: inference)?",
}

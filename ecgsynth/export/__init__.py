"""WFDB datasets as folders: written beside their target and renamed once complete, verified by their sums."""

from __future__ import annotations

from ecgsynth.export.card import header_comments, rhythm_marks
from ecgsynth.export.verify import Problem, VerifyReport, verify_dataset
from ecgsynth.export.writer import DatasetWriter

__all__ = ["DatasetWriter", "Problem", "VerifyReport", "header_comments", "rhythm_marks", "verify_dataset"]

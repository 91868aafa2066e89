"""Judges a folder of synthetic records beside a folder of real ones and writes down what it found."""

from __future__ import annotations

from ecgsynth.report.findings import ReportOptions
from ecgsynth.report.run import Outcome, write_report

__all__ = ["Outcome", "ReportOptions", "write_report"]

"""Errors a user can act on: what, where, what was found, what is allowed, what to do next.

Every error the package raises on purpose is an :class:`EcgSynthError`. The command line prints its
message on one line and exits with its ``exit_code``, so scripts can tell a bad option from a bad file.
"""

from __future__ import annotations


class EcgSynthError(Exception):
    """Base of all errors raised on purpose; exit code 1."""

    exit_code = 1


class OptionError(EcgSynthError):
    """A request that cannot be met: unknown rhythm, impossible rate, duration or fs; exit code 2."""

    exit_code = 2


class RecordError(EcgSynthError):
    """A recording or annotation file that is missing, damaged or not trustworthy; exit code 3."""

    exit_code = 3


class CheckpointError(EcgSynthError):
    """A checkpoint that is not safetensors, is damaged, or is of another architecture; exit code 4."""

    exit_code = 4


class OutputError(EcgSynthError):
    """An output folder that exists, cannot be written, or does not match its sums; exit code 5."""

    exit_code = 5


class TooFewPeopleError(EcgSynthError):
    """A class with fewer people than a learned generator may be offered for; exit code 6."""

    exit_code = 6


class GateError(EcgSynthError):
    """Generated records kept failing the gate after every allowed redraw; exit code 7."""

    exit_code = 7


class ResourceError(EcgSynthError):
    """The machine ran out of something while it worked, such as memory; exit code 9."""

    exit_code = 9

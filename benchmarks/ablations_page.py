"""The page of ``benchmarks/ablations.py``."""

from typing import Any


def page(found: dict[str, Any]) -> str:
    return "\n"

"""Counting what the gate says: pass rates with intervals that know how many people there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959964


@dataclass(frozen=True)
class Rate:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float

    def rounded(self) -> dict[str, float]:
        """For the document."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


@dataclass
class Tally:
    """How many passed, and why the others did not.

    Attributes
    ----------
    passed, total : int
    reasons : Counter of str
        Failures per check; one record can fail several.
    examples : dict of str to str
        The first sentence that each check gave.
    people : dict of str to [int, int]
        Passed and total of each person.
    """

    passed: int = 0
    total: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    people: dict[str, list[int]] = field(default_factory=dict)

    def add(self, subject: str, passed: bool, reasons: Sequence[str]) -> None:
        """Count one record or strip."""
        own = self.people.setdefault(subject, [0, 0])
        own[0] += passed
        own[1] += 1
        self.passed += passed
        self.total += 1
        for reason in reasons:
            self.examples.setdefault(reason.split(":")[0], reason)
        self.reasons.update({reason.split(":")[0] for reason in reasons})

    def rate(self) -> Rate | None:
        """Share that passed; None where nothing was judged."""
        if not self.total:
            return None
        return Rate(self.passed / self.total, *wilson(self.passed / self.total, self.worth()))

    def worth(self) -> float:
        """Effective number of independent records: the total over the design effect of people.

        Design effect (Kish, Survey Sampling, 1965): variance of the share when people are the units, over its
        variance if records were independent; at least 1, and never so large that the worth falls under the
        number of people. With all passed or all failed nothing is known of it, and people count.
        """
        counts = np.array(list(self.people.values()), dtype=np.float64)
        passed, total = counts[:, 0], counts[:, 1]
        n, share = len(counts), self.passed / self.total
        if n == self.total:
            return float(n)
        if share in (0.0, 1.0) or n < 2:
            return float(n)
        spread = float(((passed - share * total) ** 2).sum()) * n / (n - 1) / self.total**2
        effect = max(1.0, spread / (share * (1 - share) / self.total))
        return max(float(n), self.total / effect)

    def document(self) -> dict[str, Any]:
        """For the document."""
        rate = self.rate()
        return {
            "passed": self.passed,
            "total": self.total,
            "people": len(self.people),
            "rate": rate.rounded() if rate else None,
            "reasons": dict(sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))),
        }


def wilson(share: float, n: float) -> tuple[float, float]:
    """95 % interval of a share of ``n`` (Wilson, J Am Stat Assoc 22:209-212, 1927).

    Examples
    --------
    >>> [round(end, 3) for end in wilson(1.0, 20)]
    [0.839, 1.0]
    """
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def difference(first: Rate, second: Rate) -> Rate:
    """``first - second`` with its 95 % interval (Newcombe, Stat Med 17:873-890, 1998, method 10)."""
    gap = first.value - second.value
    low = np.hypot(first.value - first.low, second.high - second.value)
    high = np.hypot(first.high - first.value, second.value - second.low)
    return Rate(gap, float(gap - low), float(gap + high))

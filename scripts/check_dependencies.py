"""Refuse dependencies with known vulnerabilities, without a network.

Holds three things against the list in scripts/vulnerable.toml: the lowest version of every requirement in
pyproject.toml that the list names, the pins in constraints.txt, and what is installed. The list is kept by
hand; ``pip-audit -r constraints.txt``, where there is a network, tells what it lacks.

python scripts/check_dependencies.py    # exit 1 and name what is too old
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LIST = Path(__file__).with_name("vulnerable.toml")


def problems(root: Path = ROOT, installed: dict[str, str] | None = None) -> list[str]:
    """A line for each dependency that may be, or is, a version with a known vulnerability."""
    advisories = {
        canonicalize_name(one["package"]): one for one in tomllib.loads(LIST.read_text())["advisory"]
    }
    found: list[str] = []
    for place, name, version in _versions(root, _installed() if installed is None else installed):
        advisory = advisories.get(name)
        if place == "installed" and advisory is not None and advisory.get("builds_only"):
            continue
        if advisory is not None and (version is None or Version(version) < Version(advisory["safe"])):
            found.append(f"{place}: {name} {version or 'of any version'}; {_why(advisory)}")
    return found


def _why(advisory: dict[str, Any]) -> str:
    return f"allowed from {advisory['safe']} on ({', '.join(advisory['ids'])}: {advisory['what']})"


def _versions(root: Path, installed: dict[str, str]) -> Iterator[tuple[str, str, str | None]]:
    """Where, which package, and the lowest version that may come."""
    stated = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    extras = stated["project"]["optional-dependencies"].values()
    for text in (
        *stated["build-system"]["requires"],
        *stated["project"]["dependencies"],
        *(line for lines in extras for line in lines),
    ):
        requirement = Requirement(text)
        floors = [part.version for part in requirement.specifier if part.operator in (">=", "==", "~=")]
        lowest = max(floors, key=Version, default=None)
        yield "pyproject.toml", canonicalize_name(requirement.name), lowest
    for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            yield "constraints.txt", canonicalize_name(name), version
    for name, version in installed.items():
        yield "installed", canonicalize_name(name), version


def _installed() -> dict[str, str]:
    return {found.metadata["Name"]: found.version for found in distributions()}


def main() -> int:
    found = problems()
    print("\n".join(found) or f"no dependency with a vulnerability known to {LIST.name}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

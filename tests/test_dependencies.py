"""Known vulnerabilities are refused by floor versions, pins and what is installed, without a network."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "check_dependencies.py"


@pytest.fixture(scope="module")
def check() -> Any:
    spec = importlib.util.spec_from_file_location("check_dependencies", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_floor_and_no_pin_is_known_to_be_vulnerable(check: Any) -> None:
    assert check.problems(installed={}) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"torch>=2.11,<3"',
            '"torch>=2.9,<3"',
            ["pyproject.toml: torch 2.9; allowed from 2.11 on (CVE-2026-24747"],
        ),
        ('"torch>=2.11,<3"', '"torch<3"', ["pyproject.toml: torch of any version"]),
        ('"ray>=2.55"', '"ray>=2.55,!=2.56"', []),
        ("\npillow==13", "\npillow==11", ["constraints.txt: pillow 11.0.0"]),
        ("\nJinja2==3.1.6", "\nJinja2==3.1.5", ["constraints.txt: jinja2 3.1.5"]),
    ],
)
def test_an_older_one_is_named(check: Any, tmp_path: Path, old: str, new: str, says: list[str]) -> None:
    texts = {name: (SCRIPT.parents[1] / name).read_text() for name in ("pyproject.toml", "constraints.txt")}
    assert sum(old in text for text in texts.values()) == 1
    for name, text in texts.items():
        (tmp_path / name).write_text(text.replace(old, new))
    found = check.problems(tmp_path, installed={})
    assert [line[: len(part)] for line, part in zip(found, says, strict=True)] == says


def test_what_is_installed_counts(check: Any) -> None:
    assert check.problems(installed={"Torch": "2.13.0+cpu", "setuptools": "65.5"}) == []
    (line,) = check.problems(installed={"PyTorch_Lightning": "2.6.3"})
    assert line.startswith("installed: pytorch-lightning 2.6.3; allowed from 2.6.6 on")

"""The house has levels: a module imports only from lower ones or from its own room."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ecgsynth

PACKAGE = Path(ecgsynth.__file__).parent
LEVELS = {
    room: level
    for level, rooms in enumerate(
        (
            ("errors", "weights"),
            ("rhythms", "records", "alignment", "staging", "processes", "filters"),
            ("wfdb_io", "rpeaks", "split", "paper", "wish", "engine"),
            ("datasets", "windows", "plot", "pack_columns", "population"),
            ("pack", "export"),
            ("generators", "fidelity"),
            ("batches", "checkpoint"),
            ("sampling", "privacy"),
            ("training", "pipeline", "report", "interpolation"),
            ("augment", "blind"),
            ("ssl",),
            ("utility",),
            ("cli",),
        )
    )
    for room in rooms
}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(source: str) -> set[str]:
    """Modules that a source imports anywhere in it, inside functions and for types too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_of(source: str) -> set[str]:
    rooms = {name.split(".")[1] for name in imported(source) if name.startswith("ecgsynth.")}
    return rooms - {"__version__"}


def broken_rules(own: str, rooms: set[str]) -> list[str]:
    return sorted(other for other in rooms if other != own and LEVELS[other] >= LEVELS[own])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_lower_levels(path: Path) -> None:
    own = room(path)
    assert own in LEVELS, f"give the room {own!r} a level in docs/architecture.md and in LEVELS here"
    assert broken_rules(own, rooms_of(path.read_text())) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_wfdb_io_knows_the_wfdb_library(path: Path) -> None:
    users = any(name.split(".")[0] == "wfdb" for name in imported(path.read_text()))
    assert not users or room(path) == "wfdb_io"


@pytest.mark.parametrize(
    ("own", "source", "wrong"),
    [
        ("fidelity", "from ecgsynth.generators.plan import Plan", ["generators"]),
        ("windows", "def f():\n    import ecgsynth.training", ["training"]),
        ("sampling", "from ecgsynth.cli.console import progress", ["cli"]),
        ("records", "from ecgsynth import errors, wfdb_io", ["wfdb_io"]),
        ("export", "from ecgsynth.sampling import sample", ["sampling"]),
        ("cli", "from ecgsynth.export import verify_dataset", []),
    ],
)
def test_the_rule_finds_what_it_is_for(own: str, source: str, wrong: list[str]) -> None:
    assert broken_rules(own, rooms_of(source)) == wrong


def test_architecture_describes_every_room() -> None:
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    rooms = {room(path) for path in FILES}
    assert sorted(name for name in rooms if f"`{name}" not in text) == []


def modules_after(code: str) -> set[str]:
    """Names in sys.modules once a fresh interpreter has run ``code``."""
    report = f"{code}\nimport sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def loaded_after(code: str) -> set[str]:
    """Top-level modules of those."""
    return {name.split(".")[0] for name in modules_after(code)}


HEAVY = {
    "numpy",
    "torch",
    "scipy",
    "wfdb",
    "matplotlib",
    "sklearn",
    "pandas",
    "sleepecg",
    "rich",
    "pytorch_lightning",
}


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["generate", "--help"], ["rhythms"], ["nonsense"]]
)
def test_the_command_line_starts_light(words: list[str]) -> None:
    code = f"import ecgsynth.cli\ntry: ecgsynth.cli.main({words!r})\nexcept SystemExit: pass"
    expected_heavy = HEAVY if words != ["rhythms"] else HEAVY - {"numpy"}
    assert loaded_after(code) & expected_heavy == set()


def test_generating_loads_no_compiler_and_no_statistics(tmp_path: Path) -> None:
    """Each would take a second before the first record."""
    asked = f"rhythm='afib', records=1, out=Path({str(tmp_path / 'out')!r})"
    code = (
        "from pathlib import Path\n"
        "from ecgsynth.pipeline import GenerateOptions, generate_dataset\n"
        f"generate_dataset(GenerateOptions({asked}))"
    )
    names = modules_after(code)
    assert "torch" in names and "sleepecg._heartbeat_detection" in names
    assert names & {"torch._dynamo", "sympy", "scipy", "sleepecg"} == set()


def test_importing_the_package_is_free() -> None:
    assert loaded_after("import ecgsynth; ecgsynth.__version__; dir(ecgsynth)") & (HEAVY | {"click"}) == set()


@pytest.mark.parametrize("name", ecgsynth.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(ecgsynth, name) is not None


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(AttributeError, match="load_generator"):
        ecgsynth.no_such_name  # noqa: B018

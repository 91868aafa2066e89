"""What is exported is read alike by the oldest and the newest wfdb that pyproject.toml allows, and by us."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ecgsynth.cli import main
from ecgsynth.wfdb_io import read_beats_and_marks, read_record

HERE = Path(__file__).parent
#: One lead and twelve, three rates, a script of rhythms, notes on noise, a shard, a set for training.
EXPORTS = """
generate --rhythm afib -n 3 --fs 360 --lead MLII --out one
generate --rhythm nsr -n 3 --fs 500 --lead 12 --age 60 --sex F --out twelve
generate --rhythm nsr:3,vt:4,afib:3 -n 2 --noise holter --out script
generate --rhythm paced -n 40 --generator parametric --seconds 4 --fs 1000 --shard 2/2 --out shard
augment --real ../people0/real --rhythm afib --generator parametric --out set
"""


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory, people: Callable[[Path, int], None]) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    people(tmp_path_factory.mktemp("people") / "real", 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in EXPORTS.strip().splitlines():
            result = CliRunner().invoke(main, [*line.split(), "--workers", "1"])
            assert result.exit_code == 0, f"{line}: {result.output}"
    return folder


def ours(folder: Path) -> dict[str, Any]:
    """The same as `wfdb_reader.py`, by our own decoders."""
    found = {}
    for header in sorted(folder.rglob("*.hea")):
        record = read_record(header.with_suffix(""), root=folder)
        marks = read_beats_and_marks(header.with_suffix(""), root=folder)
        found[str(header.relative_to(folder))] = {
            "leads": list(record.leads),
            "fs": record.fs,
            "units": list(record.units),
            "gain": list(record.gains),
            "samples": hashlib.sha256(record.digital.astype("<i2").tobytes()).hexdigest(),
            "largest_mv": round(float(abs(record.signal).max()), 3),
            "comments": list(record.comments),
            "at": marks.samples.tolist(),
            "symbols": list(marks.symbols),
            "notes": list(marks.aux),
        }
    return found


def read_by(folder: Path, library: Path | None) -> dict[str, Any]:
    env = {**os.environ, **({"PYTHONPATH": str(library)} if library else {})}
    words = [sys.executable, str(HERE / "wfdb_reader.py"), str(folder)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_installed_wfdb_reads_what_we_do(exports: Path) -> None:
    found = read_by(exports, None)["records"]
    assert found == ours(exports)
    assert len(found) > 30 and {int(own["fs"]) for own in found.values()} == {250, 360, 500, 1000}


def allowed() -> list[str]:
    """What to ask pip for: the oldest and the newest that pyproject.toml allows."""
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())["project"]
    (floor,) = (
        re.fullmatch(r"wfdb>=([\d.]+)", line) for line in project["dependencies"] if line[:4] == "wfdb"
    )
    assert floor is not None
    return [f"wfdb=={floor[1]}", floor[0]]


@pytest.mark.skipif(not os.environ.get("ECGSYNTH_TEST_LONG"), reason="installs packages: make test-long")
@pytest.mark.parametrize("which", [0, 1], ids=["oldest", "newest"])
def test_every_allowed_wfdb_reads_it(exports: Path, tmp_path: Path, which: int) -> None:
    wanted = allowed()[which]
    # Without what it needs, which is here already: seconds instead of minutes.
    words = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(tmp_path),
        wanted,
    ]
    installed = subprocess.run(words, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"pip cannot install {wanted} here (no network?): {installed.stderr.strip()[-200:]}")
    found = read_by(exports, tmp_path)
    assert found["records"] == ours(exports)
    print(f"wfdb {found['version']}: {len(found['records'])} records")

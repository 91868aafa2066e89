"""Across machines: samples within 1 ADC unit of the golden records, the same beats, the same verdicts.

After new weights, or a change of bytes: ``python scripts/write_golden.py``.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "write_golden.py"
#: What stands in for other processors: older instruction sets, for every library that picks its own.
OLDER = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3",
}


@pytest.fixture(scope="module")
def golden() -> Any:
    spec = importlib.util.spec_from_file_location("write_golden", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def kept(golden: Any) -> Any:
    return golden.read()


def test_this_machine_makes_the_golden_records(golden: Any, kept: Any) -> None:
    assert golden.differences(kept, golden.make()) == []


def test_the_golden_records_can_tell(golden: Any, kept: Any) -> None:
    """One unit is allowed, two are not; any other verdict, beat or weight is named."""
    verdicts = [draw for draws in kept[1]["draws"].values() for draw in draws]
    assert any(draw["fails_as_vt"] for draw in verdicts) and not all(draw["fails_as_vt"] for draw in verdicts)
    for step, lines in ((1, 0), (2, 1)):
        signals = {**kept[0], "cgan-afib-0": kept[0]["cgan-afib-0"] + step}
        assert len(golden.differences(kept, (signals, kept[1]))) == lines
    for key, value in (("fails", ["rhythm"]), ("copy", "copy"), ("beats", [7]), ("sex", "X")):
        said = deepcopy(kept[1])
        said["draws"]["cvae-vt"][3][key] = value
        assert [line.split(" ")[:4] for line in golden.differences(kept, (kept[0], said))] == [
            ["cvae-vt,", "draw", "3:", key]
        ]
    said = deepcopy(kept[1])
    said["weights"]["cvae"] = "0" * 64
    assert golden.differences(kept, (kept[0], said)) == [
        "cvae: other weights than the golden records'; run scripts/write_golden.py"
    ]


@pytest.mark.skipif(not os.environ.get("ECGSYNTH_TEST_LONG"), reason="half a minute: make test-long")
@pytest.mark.parametrize("threads", ["1", "3"])
def test_an_older_processor_makes_them_too(threads: str) -> None:
    env = {**os.environ, **OLDER, "OMP_NUM_THREADS": threads}
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], env=env, capture_output=True, text=True, cwd=SCRIPT.parents[1]
    )
    assert done.returncode == 0 and done.stdout.startswith("as kept"), done.stdout + done.stderr
    print(done.stdout)

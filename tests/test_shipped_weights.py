"""The checkpoints that ship: small, described, and good for what they offer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ecgsynth.checkpoint import file_sha256, load_checkpoint, read_metadata, shipped_weights
from ecgsynth.fidelity.calibration import load_calibration
from ecgsynth.fidelity.gate import check_record
from ecgsynth.records import TWELVE_LEADS
from ecgsynth.sampling import load_generator

ROOT = Path(__file__).parent.parent
CHECKPOINTS = [shipped_weights(name, twelve) for name in ("cvae", "cgan") for twelve in (False, True)]


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.stem)
def test_a_checkpoint_is_small_sound_and_has_its_card(path: Path) -> None:
    assert path.stat().st_size <= 8_000_000
    net, metadata = load_checkpoint(path)
    assert metadata["generator"] == path.stem.split("-")[0]
    assert net.config.latent > 0
    card = path.with_suffix(".md").read_text()
    assert file_sha256(path) in card, "run scripts/write_model_cards.py"
    for rhythm, seen in metadata["population"].items():
        assert f"(`{rhythm}`) | {seen['people']} |" in card


def test_single_lead_offers_what_the_issue_of_rare_rhythms_is_about() -> None:
    offered = {
        r for r, seen in read_metadata(shipped_weights("cvae"))["population"].items() if seen["people"] >= 3
    }
    assert {"nsr", "afib", "aflutter", "bigeminy", "trigeminy", "vt", "vf", "paced"} <= offered


@pytest.mark.parametrize("generator", ["cvae", "cgan"])
@pytest.mark.parametrize("rhythm", ["nsr", "afib", "vt", "bigeminy", "vf"])
def test_most_draws_pass_the_gate(generator: str, rhythm: str) -> None:
    records = load_generator(generator).sample(rhythm, 16, seed=11)
    calibration = load_calibration()
    assert sum(check_record(record, calibration).passed for record in records) >= 10


@pytest.mark.parametrize("generator", ["cvae", "cgan"])
def test_twelve_leads_pass_the_gate_and_obey_einthoven(generator: str) -> None:
    records = load_generator(generator).sample("afib", 4, seed=2, leads=TWELVE_LEADS)
    calibration = load_calibration()
    verdicts = [check_record(record, calibration) for record in records]
    assert sum(verdict.passed for verdict in verdicts) >= 3
    assert max(verdict.numbers["lead_uv"] for verdict in verdicts) < 1.0


@pytest.mark.parametrize("generator", ["cvae", "cgan"])
def test_beats_of_one_record_are_alike_and_of_two_are_not(generator: str) -> None:
    records = load_generator(generator).sample("nsr", 6, seed=4, leads=("II",), source="ptbxl", heart_rate=65)
    medians, likeness = [], []
    for record in records:
        assert record.beats is not None
        peaks = [p for p in record.beats.samples if 60 <= p < record.n_samples - 60]
        beats = np.stack([record.signal[0, p - 50 : p + 50] for p in peaks])
        median = np.median(beats, axis=0)
        medians.append(median)
        likeness.append(np.mean([np.corrcoef(beat, median)[0, 1] for beat in beats]))
    assert np.median(likeness) > 0.95
    others = np.corrcoef(np.stack(medians))[np.triu_indices(len(medians), 1)]
    assert np.median(others) < np.median(likeness)


def test_readme_shows_the_people_behind_the_shipped_weights() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "scripts/readme_table.py", "--check"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert check.returncode == 0, check.stdout + check.stderr

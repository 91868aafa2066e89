"""The privacy section of a report: the audit's words, the page's colours, nobody's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ecgsynth.errors import OptionError
from ecgsynth.report import page_privacy
from ecgsynth.report.page_privacy import find_audit, privacy_section


def findings(**changes: Any) -> dict[str, Any]:
    """As much of an audit's findings as the section itself looks at."""
    pair = {
        "synthetic": "afib00003",
        "train": "A01234",
        "subject": "clinic/Jane",
        "lead": "II",
        "train_lead": "V5",
        "ncc": 0.99,
        "certain": True,
    }
    sides = {
        side: {"records": 40, "people": 20, "left_out": [f"{side}-7"]}
        for side in ("synthetic", "train", "holdout")
    }
    return {
        "inputs": sides,
        "warnings": ["Sampling rates differ (a; b).", "1 train records are too short: train-7."],
        "near_duplicates": {"pairs": [pair], "count": 1},
        "same_person": {"pairs": [{"synthetic": "afib00004", "train": "A01234", "subject": "clinic/Jane"}]},
        **changes,
    }


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Findings on disk, and a wording that prints them all: the real one has its own tests."""
    monkeypatch.setattr(
        page_privacy,
        "officer_section",
        lambda found: (
            f'<style>\n.privacy{{color:red}}\n</style><section class="privacy">{json.dumps(found)}</section>'
        ),
    )
    path = tmp_path / "made" / "privacy.json"
    path.parent.mkdir()
    path.write_text(json.dumps(findings()))
    return path


def test_training_people_lose_their_names_and_synthetic_records_keep_theirs(audit: Path) -> None:
    section = privacy_section(audit, 40)
    assert "afib00003" in section and "afib00004" in section and "Sampling rates differ (a; b)." in section
    assert not [name for name in ("A01234", "Jane", "V5", "too short: train-7") if name in section]
    assert "1 train records are too short." in section


def test_the_section_takes_the_colours_of_the_page(audit: Path) -> None:
    section = privacy_section(audit, 40)
    assert "color:red" not in section and "var(--bad)" in section and section.count('id="privacy"') == 1


def test_an_audit_of_another_dataset_is_said_first(audit: Path) -> None:
    assert "it is not of this dataset as it is now" not in privacy_section(audit, 40)
    section = privacy_section(audit, 39)
    assert section.index("40 synthetic records, this report at 39") < section.index("Sampling rates")


def test_findings_are_found_in_the_folder_or_where_said(audit: Path, tmp_path: Path) -> None:
    assert find_audit(audit.parent, None) == audit
    assert find_audit(tmp_path, None) is None
    assert find_audit(tmp_path, audit) == audit and find_audit(tmp_path, audit.parent) == audit


def test_what_is_no_audit_is_an_error_before_any_work(tmp_path: Path) -> None:
    for content in ("nothing", "[]", "{}", json.dumps({"warnings": []})):
        (tmp_path / "privacy.json").write_text(content)
        with pytest.raises(OptionError, match=r"--privacy .*not findings of an audit.*leave the option out"):
            find_audit(tmp_path, None)
    with pytest.raises(OptionError, match="not findings"):
        find_audit(tmp_path, tmp_path / "missing.json")

"""The page on the shipped weights names what failed and what is open, and no person."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ecgsynth
from ecgsynth.privacy.audit import AuditOptions, audit_sides, search_people
from ecgsynth.privacy.samples import read_side
from ecgsynth.records import Record

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def people(seed: int, n: int, name: str) -> list[Record]:
    made = ecgsynth.load_generator("parametric").sample(rhythm="afib", n=n, seed=seed, seconds=10.24)
    return [replace(r, name=f"{name}{i}", subject=f"secret/{name}{i}") for i, r in enumerate(made)]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    known, strangers, drawn = people(1, 12, "t"), people(2, 12, "h"), people(3, 6, "s")
    leak = replace(known[3], name="leaked", subject="leaked")
    options = AuditOptions(synthetic=Path("."), train=Path("."), holdout=Path("."), workers=1)
    train, holdout = read_side("train", known, whole=True), read_side("holdout", strangers)
    synthetic = read_side("synthetic", [*drawn, leak], every_strip=True)
    searched = search_people(train, holdout, options, lambda done, n: None)
    notes = {"warnings": ["Something limits this."], "differential_privacy": None}
    report = audit_sides(synthetic, train, holdout, searched, options, notes, lambda d, n, what: None).report
    return report | {"name": "cvae-single", "sha256": "0" * 64, "offered": ["afib"]}


def test_a_leak_fails_its_class_and_names_no_person(found: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    summary = importlib.import_module("audit_weights").summary(found)
    page = importlib.import_module("audit_weights_page").page({"shipped": [summary], "others": []})
    assert "near_duplicates: afib" in page and "must not be" in page and "Something limits" in page
    withheld = importlib.import_module("audit_weights_page").page(
        {"shipped": [summary | {"offered": []}], "others": []}
    )
    assert "not offered: cvae-single (near_duplicates: afib" in withheld.replace("\n", " ")
    assert "Atrial fibrillation (not offered)" in withheld and "must not be" not in withheld
    assert "secret" in json.dumps(found) and "secret" not in json.dumps(summary) + page
    assert "leaked" not in page


def test_what_is_open_is_not_called_passed(found: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    clean = found | {"failed": [], "near_duplicates": found["near_duplicates"] | {"per_rhythm": {}}}
    clean["near_duplicates"]["per_rhythm"] = {
        "afib": found["near_duplicates"]["per_rhythm"]["afib"] | {"verdict": "not assessable"}
    }
    summary = importlib.import_module("audit_weights").summary(clean)
    page = importlib.import_module("audit_weights_page").page({"shipped": [summary], "others": [summary]})
    assert "no class failed" in page and "FAILED" not in page
    row = next(line for line in page.splitlines() if line.startswith("| Atrial fibrillation | 7 | 12 / 12"))
    assert row.count("open") >= 6 and "passed" not in row
    assert "| cvae-single | 7 | 12 |" in page and "not caught" in page

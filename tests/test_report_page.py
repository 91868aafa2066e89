"""What a report writes: numbers, charts, strips, and a folder that is whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ecgsynth.errors import OutputError
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS, Episode
from ecgsynth.report.charts import distribution_figure, strip_figure, strip_record, strip_size
from ecgsynth.report.deciding import deciding_numbers
from ecgsynth.report.document import to_json
from ecgsynth.report.ground import Ground
from ecgsynth.report.histograms import distribution
from ecgsynth.report.markup import interval, number, scale
from ecgsynth.report.staging import staged
from ecgsynth.report.strips import Strip
from ecgsynth.report.svg import inline_svg


def test_distributions_hold_every_measured_value() -> None:
    real, synthetic = np.r_[np.arange(100.0), np.nan], np.r_[np.arange(50.0), 1e9, [np.nan] * 49]
    entry_ = distribution(real, synthetic)
    assert entry_["real"].sum() == pytest.approx(1)
    assert entry_["synthetic"].sum() == pytest.approx(1)
    assert entry_["unmeasured"] == {"real": pytest.approx(1 / 101), "synthetic": pytest.approx(0.49)}


def test_a_document_is_plain_and_finite() -> None:
    text = to_json({"a": np.float32(1) / 3, "b": [np.nan, np.inf], "c": np.arange(2), 3: np.bool_(True)})
    assert (
        text == '{\n "a": 0.333333,\n "b": [\n  null,\n  null\n ],\n "c": [\n  0,\n  1\n ],\n "3": true\n}\n'
    )


def test_charts_take_the_colours_of_the_page_and_keep_their_ids_apart() -> None:
    entry_ = distribution(np.arange(9.0), np.arange(9.0))
    drawn = [inline_svg(distribution_figure(entry_, "ms"), 'a "<b>"', key) for key in ("a", "b", "a")]
    assert drawn[0] == drawn[2]
    assert "var(--synthetic)" in drawn[0]
    assert "var(--real-fill)" in drawn[0]
    assert "#c2410c" not in drawn[0]
    assert 'aria-label="a &quot;&lt;b&gt;&quot;"' in drawn[0]
    ids = [{part.split('"')[0] for part in svg.split(' id="')[1:]} for svg in drawn]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_eight_leads_are_drawn_as_twelve() -> None:
    ground = Ground("nsr", INDEPENDENT_LEADS, False, {}, 100.0, 45.0, 10.0, ())
    signal = np.random.default_rng(0).normal(0, 0.2, (8, 1000)).astype(np.float32)
    record = strip_record(Strip("nsr", "r", "p", "", 0.0, 1, True, signal), ground)
    assert record.leads == TWELVE_LEADS
    assert record.episodes == (Episode(0, 1000, "nsr"),)
    width, height = strip_size(record)
    assert width > height
    assert strip_figure(record).get_size_inches()[0] * 25.4 == pytest.approx(width + 1)


def test_numbers_read_well() -> None:
    assert [number(v) for v in (None, 0.0123, 0.5, 12.34, 512.0, -0.5)] == [
        "–",
        "0.012",
        "0.50",
        "12.3",
        "512",
        "−0.50",
    ]
    assert (number(1.0, percent=True), number(0.995, percent=True)) == ("100 %", "99.5 %")
    assert interval(0.9813, 1.0, percent=True) == "98.1 to 100 %"
    assert interval(-0.0004, 4.2, 1.23) == "0.00 to 4.20"
    drawn = scale(
        (0, 1),
        {"value": 2, "low": 0, "high": 3},
        dict.fromkeys(("value", "low", "high")),
        [],
        "x",
        ("0", "1"),
    )
    assert "left:100.0%" in drawn
    assert "dot" not in drawn


@pytest.mark.parametrize(
    ("own", "real_low", "ends", "copies"),
    [
        ((0.6, 0.5, 0.7), 0.4, 0.3, False),
        ((0.2, 0.05, 0.34), 0.2, 0.0, True),
        ((0.5, 0.4, 0.6), 0.21, 0.2, False),
    ],
)
def test_the_scale_of_the_auc_holds_it(
    own: tuple[float, float, float], real_low: float, ends: float, copies: bool
) -> None:
    entry = dict(zip(("value", "low", "high"), own, strict=True))
    entry |= {"real_value": 0.5, "real_low": real_low, "real_high": 0.7, "assessable": True}
    rhythm = {"decided_by": {"auc": {"outcome": "met"}}, "metrics": {"auc": entry}}
    (number_,) = deciding_numbers({"rhythms": {"nsr": rhythm}, "gate": {"rhythms": {}}}, "nsr")
    assert number_.ends == (ends, 1.0) and number_.names[0] == f"{ends:g}"
    assert ("copies" in number_.needs) == copies


def test_a_report_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "r"
    with pytest.raises(KeyError), staged(target, False) as folder:
        (folder / "fidelity.json").write_text("{}")
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        with staged(target, True) as folder:
            (folder / "fidelity.json").write_text("{}")
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    with pytest.raises(OutputError, match="exists already"), staged(target, False):
        pass
    (target / "fidelity.json").rename(target / "thesis.docx")
    with pytest.raises(OutputError, match="not a report"), staged(target, True):
        pass
    assert (target / "thesis.docx").exists()

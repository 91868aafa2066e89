"""Drawings are true to scale, show what the record says, and are the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.image import imread

from ecgsynth.errors import OptionError, RecordError
from ecgsynth.paper import FULL, HALF, NORMAL, Window, cut, new_page, span, strip
from ecgsynth.plot import contact_sheet, plot_record, plot_records, record_page, strips_page
from ecgsynth.records import TWELVE_LEADS, Beats, Episode, Record

FS = 250


def make(leads: tuple[str, ...] = ("MLII",), seconds: float = 10.0, name: str = "r1") -> Record:
    """A spike of 1 mV every 0.8 s, sinus at first and AF from 4 s on, every third beat ventricular."""
    n = round(seconds * FS)
    peaks = np.arange(100, n, 200)
    signal = np.zeros((len(leads), n), np.float32)
    signal[:, peaks] = 1.0
    symbols = tuple("V" if i % 3 == 2 else "N" for i in range(len(peaks)))
    episodes = (Episode(0, 4 * FS, "nsr"), Episode(4 * FS, n, "afib"))
    return Record(name, signal, FS, leads, "s", "made", episodes, Beats(peaks, symbols, "generated"), 71, "F")


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("scale", [FULL, HALF])
def test_a_second_and_a_millivolt_have_their_length_on_paper(scale) -> None:
    _, ax = new_page(300, 50)
    strip(ax, make(), Window(10, 20, 10, scale=scale))
    x, y = ax.lines[0].get_data()
    assert x[FS] - x[0] == pytest.approx(scale.mm_per_s)
    assert max(y) - 20 == pytest.approx(scale.mm_per_mv)


def test_the_page_itself_is_in_millimetres() -> None:
    figure, ax = new_page(254, 127)
    assert figure.get_size_inches() == pytest.approx((10, 5))
    pixels = ax.transData.transform([(0, 0), (25.4, 25.4)])
    assert np.diff(pixels, axis=0)[0] == pytest.approx((figure.dpi, figure.dpi))


def test_a_png_of_ten_seconds_is_as_wide_as_it_prints(tmp_path: Path) -> None:
    plot_record(make(), tmp_path / "a.png", dpi=127)
    height, width, _ = imread(tmp_path / "a.png").shape
    assert width == pytest.approx((250 + 10 + 16) * 5, abs=2)
    content = (tmp_path / "a.png").read_bytes()
    assert content[content.index(b"pHYs") + 4 :][:4] == (5000).to_bytes(4, "big"), "127 dpi is 5000 per metre"
    assert height > 25 * 5


def test_grid_lines_are_a_fifth_of_a_second_and_half_a_millivolt_apart() -> None:
    _, ax = new_page(300, 50)
    strip(ax, make(), Window(10, 20, 10, scale=HALF), beats=False)
    grid = next(c for c in ax.collections if isinstance(c, LineCollection))
    ends = np.array(grid.get_segments())
    upright = np.unique(ends[ends[:, 0, 0] == ends[:, 1, 0]][:, 0, 0])
    level = np.unique(ends[ends[:, 0, 1] == ends[:, 1, 1]][:, 0, 1])
    assert np.diff(upright) == pytest.approx(0.2 * HALF.mm_per_s)
    assert np.diff(level) == pytest.approx(0.5 * HALF.mm_per_mv)


def beat_ticks(ax) -> LineCollection:
    return ax.collections[-1]


def test_every_beat_has_its_tick_and_only_the_abnormal_a_letter() -> None:
    from matplotlib.colors import to_rgba

    record = make()
    _, ax = new_page(300, 50)
    strip(ax, record, Window(10, 20, 10), rhythms=False)
    at = [segment[0][0] for segment in beat_ticks(ax).get_segments()]
    assert at == pytest.approx(10 + record.beats.samples / FS * 25)
    assert texts(ax) == ["V"] * record.beats.symbols.count("V")
    quiet = (beat_ticks(ax).get_edgecolors() == to_rgba(NORMAL)).all(axis=1)
    assert quiet.tolist() == [symbol == "N" for symbol in record.beats.symbols]


def test_no_beats_when_not_wanted_or_not_known() -> None:
    drawn = []
    for record, wanted in ((make(), False), (replace(make(), beats=None), True)):
        _, ax = new_page(300, 50)
        strip(ax, record, Window(10, 20, 10), beats=wanted, rhythms=False, grid=False)
        drawn.append(len(ax.collections) + len(ax.texts))
    assert drawn == [0, 0]


def test_rhythm_marks_stand_where_the_rhythm_starts() -> None:
    _, ax = new_page(300, 50)
    strip(ax, make(), Window(10, 20, 10), beats=False)
    assert {text.get_text(): text.get_position()[0] - 0.8 for text in ax.texts} == pytest.approx(
        {"(N": 10, "(AFIB": 10 + 4 * 25}
    )


def test_a_strip_that_starts_later_shows_the_rhythm_it_is_in() -> None:
    _, ax = new_page(300, 50)
    strip(ax, make(), Window(10, 20, 4), start=5, beats=False)
    assert texts(ax) == ["(AFIB"]


def test_an_unlabelled_stretch_is_marked_as_such() -> None:
    _, ax = new_page(300, 50)
    strip(ax, replace(make(), episodes=(Episode(0, 2500, None),)), Window(10, 20, 10), beats=False)
    assert texts(ax) == ["?"]


def test_gaps_stay_gaps_and_the_offset_goes() -> None:
    record = make()
    record.signal[0] += 3.0
    record.signal[0, 500:600] = np.nan
    _, trace = cut(record, None, 0, 10)
    assert np.isnan(trace[500:600]).all()
    assert np.nanmedian(trace) == 0
    assert np.nanmax(trace) == pytest.approx(1.0)


def test_lead_two_is_shown_by_default() -> None:
    record = make(("I", "II"))
    record.signal[1] *= 2
    assert cut(record, None, 0, 10)[1].max() == 2
    assert cut(record, "I", 0, 10)[1].max() == 1


@pytest.mark.parametrize("low, high", [(-0.2, 0.3), (-1.1, 2.2), (-30.0, 30.0)])
def test_the_window_holds_the_trace_within_reason(low: float, high: float) -> None:
    below, above = span([np.array([low, high], np.float32)], most=4.0)
    assert 1.0 <= below <= 4.0 and 1.5 <= above <= 4.0
    assert below >= min(-low, 4.0) and above >= min(high, 4.0)
    assert 2 * below == round(2 * below)


def test_a_signal_of_only_gaps_can_be_drawn(tmp_path: Path) -> None:
    record = make()
    record.signal[:] = np.nan
    plot_record(record, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_twelve_leads_have_the_standard_places() -> None:
    ax = record_page(make(TWELVE_LEADS)).axes[0]
    places = {text.get_text(): text.get_position() for text in ax.texts if text.get_text() in TWELVE_LEADS}
    rows = [("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6")]
    for row in (rows[0], rows[2]):
        assert len({places[lead][1] for lead in row}) == 1
    for column in zip(rows[0], rows[2], strict=True):
        assert len({places[lead][0] for lead in column}) == 1
    assert places["aVR"][0] - places["I"][0] == pytest.approx(2.5 * 25)
    assert texts(ax).count("II") == 2, "once in its place and once as rhythm strip"


def test_a_long_record_continues_on_the_next_line() -> None:
    ax = record_page(make(seconds=30), seconds=25).axes[0]
    assert [t for t in texts(ax) if t == "MLII" or t.endswith(" s")] == [
        "MLII",
        "MLII",
        "10 s",
        "MLII",
        "20 s",
    ]


def test_a_page_says_who_and_what() -> None:
    record = replace(make(), extra={"synthetic": "cvae"})
    words = " ".join(texts(record_page(record).axes[0]))
    for word in (
        "r1",
        "Normal sinus rhythm",
        "Atrial fibrillation",
        "71 years",
        "female",
        "synthetic",
        "25 mm/s",
    ):
        assert word in words


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    for suffix in ("png", "pdf"):
        first, second = tmp_path / f"1.{suffix}", tmp_path / f"2.{suffix}"
        for path in (first, second):
            plot_record(make(), path)
        assert first.read_bytes() == second.read_bytes()
        assert b"Matplotlib" not in first.read_bytes()


def test_a_contact_sheet_names_each_record_and_stops_at_the_limit(tmp_path: Path) -> None:
    made = (make(name=f"n{i}") for i in range(1000))
    contact_sheet(made, tmp_path / "a.pdf", limit=5)
    assert next(made).name == "n5", "records beyond the limit are not read"
    contact_sheet([make(TWELVE_LEADS)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_contact_sheet_says_what_is_synthetic(tmp_path: Path) -> None:
    pages = []
    for extra in ({}, {"synthetic": "cgan"}):
        contact_sheet([replace(make(), extra=extra)], tmp_path / "a.png")
        pages.append((tmp_path / "a.png").read_bytes())
    assert pages[0] != pages[1]


def test_a_page_of_strips_does_not_tell_which_is_which(tmp_path: Path) -> None:
    def page(name: str) -> bytes:
        record = replace(make(name=name), extra={"synthetic": name}, source=name)
        strips_page([("Atrial fibrillation", [record] * 3), ("VT", [record])], tmp_path / "a.png")
        return (tmp_path / "a.png").read_bytes()

    assert page("real") == page("made")


def test_many_pages_need_a_pdf(tmp_path: Path) -> None:
    plot_records([make(), make()], tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert content.count(b"/Type /Page ") == 2
    with pytest.raises(OptionError, match=r"\.pdf"):
        plot_records([make()], tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.svg", "a", "a.png.txt"])
def test_other_endings_are_refused_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"\.png or \.pdf"):
        plot_record(make(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("start, seconds", [(-1, 10), (10, 10), (99, 10), (0, 0), (0, -3), (float("nan"), 1)])
def test_times_outside_the_record_are_refused(tmp_path: Path, start: float, seconds: float) -> None:
    with pytest.raises(OptionError, match="r1"):
        plot_record(make(), tmp_path / "a.png", start=start, seconds=seconds)
    assert list(tmp_path.iterdir()) == []


def test_no_records_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="at least 1"):
        contact_sheet([], tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_drawing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    plot_record(make(), path)
    before = path.read_bytes()

    def breaks():
        yield make()
        raise RecordError("damaged")

    with pytest.raises(RecordError, match="damaged"):
        plot_records(breaks(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.pdf"]


@pytest.mark.realdata
def test_a_real_record_is_drawn_with_its_beats(data_root: Path, tmp_path: Path) -> None:
    from ecgsynth.datasets.folder import read_one

    record = read_one(data_root / "mitdb" / "119")
    plot_record(record, tmp_path / "119.png", start=5, seconds=10)
    ax = record_page(record, start=5).axes[0]
    inside = [s for s in record.beats.samples if 5 * record.fs <= s < 15 * record.fs]
    ticks = [c for c in ax.collections if isinstance(c, LineCollection) and c.get_zorder() == 4]
    assert [len(c.get_segments()) for c in ticks] == [len(inside)] * len(record.leads)

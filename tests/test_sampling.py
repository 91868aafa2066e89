"""From wish to records: what is asked is what comes, and what cannot be is refused with a reason."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgsynth.checkpoint import save_checkpoint
from ecgsynth.errors import CheckpointError, OptionError, TooFewPeopleError
from ecgsynth.generators import GENERATORS
from ecgsynth.generators.episodes import draw_episodes
from ecgsynth.generators.strip_net import LearnedConfig, StripNet
from ecgsynth.population import check_people
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS
from ecgsynth.sampling import Sampler, load_generator
from ecgsynth.wish import Wish

METADATA: dict[str, Any] = {
    "population": {
        "nsr": {"people": 40, "seconds": 4000},
        "afib": {"people": 12, "seconds": 900},
        "wpw": {"people": 2, "seconds": 100},
    },
    "spread": [
        ["nsr", "mitdb", "II", 30],
        ["nsr", "ptbxl", "I", 10],
        ["afib", "ptbxl", "I", 12],
        ["wpw", "mitdb", "II", 2],
    ],
    "demographics": {"*/ptbxl": {"known": 1.0, "age": [30, 50, 90], "male": 1.0}},
}


@pytest.fixture(params=["cvae", "cgan"])
def learned(request: pytest.FixtureRequest, tmp_path: Path) -> Sampler:
    torch.manual_seed(0)
    config = LearnedConfig(("*",), ("I", "II"), ("mitdb", "ptbxl"), latent=4, width=16, film=8)
    path = tmp_path / "single.safetensors"
    save_checkpoint(path, StripNet(config), {"generator": request.param, **METADATA})
    return load_generator(request.param, path)


def everyone() -> list[str]:
    return sorted(GENERATORS)


def test_every_generator_is_in_these_tests() -> None:
    assert everyone() == ["cgan", "cvae", "parametric"], "a new generator joins the fixtures above"


def test_fewer_records_are_a_prefix_of_more(learned: Sampler) -> None:
    few, many = learned.sample("afib", 3, seed=5), learned.sample("afib", 20, seed=5)
    for a, b in zip(few, many, strict=False):
        assert a.name == b.name and np.array_equal(a.signal, b.signal)
        assert np.array_equal(a.beats.samples, b.beats.samples) if a.beats and b.beats else False


def test_another_seed_or_attempt_is_another_record(learned: Sampler) -> None:
    a = learned.sample("nsr", 1, seed=0)[0]
    b = learned.sample("nsr", 1, seed=1)[0]
    again = learned.draw(Wish("nsr", seed=0), [0], [1])[0]
    assert not np.array_equal(a.signal, b.signal) and not np.array_equal(a.signal, again.signal)
    assert again.extra["attempt"] == "1"


@pytest.mark.parametrize("fs", [100.0, 250.0, 360.0, 500.0, 1000.0])
@pytest.mark.parametrize("generator", ["parametric"])
def test_rate_changes_samples_not_seconds(generator: str, fs: float) -> None:
    slow, fast = (load_generator(generator).sample("nsr", 1, 3, fs=rate)[0] for rate in (250.0, fs))
    assert fast.signal.shape == (1, round(10 * fs)) and fast.fs == fs
    assert fast.beats is not None and slow.beats is not None
    shared = min(len(fast.beats.samples), len(slow.beats.samples))
    assert np.abs(fast.beats.samples[:shared] / fs - slow.beats.samples[:shared] / 250).max() < 0.0071, (
        "half a sample at each rate"
    )


def test_a_script_changes_rhythm_where_it_says() -> None:
    record = load_generator("parametric").sample("nsr:3,af:4.5,nsr:3", 1)[0]
    assert [(e.start, e.stop, e.rhythm) for e in record.episodes] == [
        (0, 750, "nsr"),
        (750, 1875, "afib"),
        (1875, 2625, "nsr"),
    ]
    assert record.n_samples == 2625


def test_paroxysms_come_and_go_in_each_record_at_other_times() -> None:
    records = load_generator("parametric").sample("nsr~af", 4, seconds=120.0)
    marks = [[e.start for e in r.episodes] for r in records]
    assert len({tuple(m) for m in marks}) == 4
    for record in records:
        names = [e.rhythm for e in record.episodes]
        assert names[0] == "nsr" and "afib" in names
        assert all(a != b for a, b in pairwise(names))
        assert record.n_samples == record.episodes[-1].stop == 30000
        assert all(e.stop - e.start >= 2 * 250 for e in record.episodes[1:])


def test_paroxysms_last_as_long_as_in_people() -> None:
    drawn = [draw_episodes("nsr", "afib", 1800.0, np.random.default_rng(i)) for i in range(200)]
    medians = [np.median([s for name, s in script if name == "afib"]) for script in drawn]
    assert 15 < np.median(medians) < 45
    assert np.quantile(medians, 0.1) < 9 and np.quantile(medians, 0.9) > 60
    burden = [sum(s for name, s in script if name == "afib") / 1800 for script in drawn]
    assert 0.3 < np.median(burden) < 0.65 and max(burden) < 1


def test_twelve_leads_obey_einthoven_and_goldberger() -> None:
    record = load_generator("parametric").sample("nsr", 1, leads=TWELVE_LEADS)[0]
    lead = dict(zip(record.leads, record.signal.astype(float), strict=True))
    assert record.leads == TWELVE_LEADS
    assert np.allclose(lead["III"], lead["II"] - lead["I"], atol=1e-5)
    assert np.allclose(lead["aVR"], -(lead["I"] + lead["II"]) / 2, atol=1e-5)
    assert np.allclose(lead["aVL"], lead["I"] - lead["II"] / 2, atol=1e-5)
    assert np.allclose(lead["aVF"], lead["II"] - lead["I"] / 2, atol=1e-5)


def test_source_and_lead_are_drawn_as_people_are_spread(learned: Sampler) -> None:
    records = learned.sample("nsr", 60, seconds=2.0)
    share = np.mean([r.source == "mitdb" for r in records])
    assert 0.55 < share < 0.95
    assert {(r.source, r.leads[0]) for r in records} == {("mitdb", "II"), ("ptbxl", "I")}
    assert {r.source for r in learned.sample("nsr", 8, source="ptbxl", seconds=2.0)} == {"ptbxl"}
    assert {r.leads for r in learned.sample("nsr", 4, leads=("I",), seconds=2.0)} == {("I",)}


def test_age_and_sex_come_from_people_or_the_wish(learned: Sampler) -> None:
    drawn = learned.sample("afib", 20, seconds=2.0)
    assert all(r.sex == "M" and r.age is not None and 30 <= r.age <= 90 for r in drawn)
    asked = learned.sample("afib", 2, age=44, sex="F", seconds=2.0)
    assert {(r.age, r.sex) for r in asked} == {(44, "F")}
    assert {r.age for r in learned.sample("nsr", 3, source="mitdb", seconds=2.0)} == {None}


def test_heart_rate_asked_is_heart_rate_made(learned: Sampler) -> None:
    for record in learned.sample("nsr", 5, heart_rate=90, seconds=20.0):
        assert record.beats is not None
        made = 60 * 250 / np.diff(record.beats.samples).mean()
        assert made == pytest.approx(90, abs=3)


@pytest.mark.parametrize(
    ("wish", "error", "says"),
    [
        ({"rhythm": "afob"}, OptionError, "Did you mean afib"),
        ({"rhythm": "nsr", "seconds": 1}, OptionError, "2 to 3600"),
        ({"rhythm": "nsr", "seconds": 4000}, OptionError, "2 to 3600"),
        ({"rhythm": "nsr", "fs": 20}, OptionError, "100 to 1000"),
        ({"rhythm": "nsr", "heart_rate": 300}, OptionError, "300"),
        ({"rhythm": "vf", "heart_rate": 80}, OptionError, "vf"),
        ({"rhythm": "nsr:10,afib"}, OptionError, "no seconds"),
        ({"rhythm": "nsr:ten"}, OptionError, "no number"),
        ({"rhythm": "nsr~vt", "seconds": 60}, OptionError, "take turns"),
        ({"rhythm": "afib~aflutter", "seconds": 60}, OptionError, "take turns"),
        ({"rhythm": "nsr~afib", "seconds": 10}, OptionError, "30 to 3600"),
        ({"rhythm": "nsr", "age": 300}, OptionError, "0 to 120"),
        ({"rhythm": "nsr", "leads": ("V9",)}, OptionError, "V9"),
        ({"rhythm": "nsr", "ectopy": 0.9}, OptionError, "ectopy"),
    ],
)
def test_what_cannot_be_is_refused(wish: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        load_generator("parametric").sample(**wish)


def test_rhythms_of_few_people_need_the_user_s_word(learned: Sampler) -> None:
    with pytest.raises(TooFewPeopleError, match=r"2 people.*--allow-few-people"):
        learned.sample("wpw")
    assert len(learned.sample("wpw", 1, allow_few_people=True, seconds=2.0)) == 1


@pytest.mark.parametrize(
    ("leads", "people", "refused"), [(("II",), 9, False), (TWELVE_LEADS, 9, True), (TWELVE_LEADS, 10, False)]
)
def test_twelve_leads_ask_for_more_people(leads: tuple[str, ...], people: int, refused: bool) -> None:
    metadata = {"population": {"afib": {"people": people}}}
    wish = Wish(rhythm="afib", leads=leads)
    if refused:
        with pytest.raises(TooFewPeopleError, match="10 are needed"):
            check_people("afib", "cvae", metadata, wish)
    else:
        check_people("afib", "cvae", metadata, wish)


def test_rhythms_of_nobody_are_never_offered(learned: Sampler) -> None:
    with pytest.raises(TooFewPeopleError, match=r"nobody.*nsr"):
        learned.sample("svt", allow_few_people=True)


def test_unknown_source_lead_or_generator(learned: Sampler) -> None:
    with pytest.raises(OptionError, match="known sources are mitdb, ptbxl"):
        learned.sample("nsr", source="elsewhere")
    with pytest.raises(OptionError, match="--lead V1"):
        learned.sample("nsr", leads=("V1",))
    with pytest.raises(OptionError, match="cgan, parametric"):
        load_generator("diffusion")


@pytest.mark.parametrize("rhythm", ["afib", "nsr:6,afib:4", "nsr:4,afib:6"])
def test_a_source_that_never_showed_a_rhythm_is_refused(learned: Sampler, rhythm: str) -> None:
    with pytest.raises(OptionError, match=r"--source mitdb: nobody.*afib; it learned it from ptbxl\."):
        learned.sample(rhythm, source="mitdb", seconds=2.0)


def test_a_lead_nobody_showed_a_rhythm_in_comes_from_a_device_that_showed_it(learned: Sampler) -> None:
    made = learned.sample("afib", 6, leads=("II",), seconds=2.0)
    assert {(record.source, record.leads) for record in made} == {("ptbxl", ("II",))}


def test_weights_of_another_generator_or_layout_are_refused(learned: Sampler) -> None:
    other = "cgan" if learned.name == "cvae" else "cvae"
    with pytest.raises(CheckpointError, match=f"--generator {other}"):
        load_generator(other, learned.weights).sample("nsr")
    with pytest.raises(CheckpointError, match="one lead at a time"):
        learned.sample("nsr", leads=TWELVE_LEADS)


def test_twelve_leads_come_from_eight(tmp_path: Path) -> None:
    config = LearnedConfig(INDEPENDENT_LEADS, ("12",), ("ptbxl",), latent=4, width=16, film=8)
    path = tmp_path / "twelve.safetensors"
    metadata = {**METADATA, "spread": [["nsr", "ptbxl", "8", 5]]}
    save_checkpoint(path, StripNet(config), {"generator": "cvae", **metadata})
    record = load_generator("cvae", path).sample("nsr", 1, leads=TWELVE_LEADS, seconds=4.0)[0]
    assert record.signal.shape == (12, 1000) and record.leads == TWELVE_LEADS
    with pytest.raises(CheckpointError, match="twelve leads at a time"):
        load_generator("cvae", path).sample("nsr", 1, leads=("II",))

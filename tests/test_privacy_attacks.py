"""The attacks find what was planted, find nothing where there is nothing, and say when they cannot tell."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgsynth import load_generator
from ecgsynth.fidelity.features import FEATURES
from ecgsynth.privacy.attributes import COLUMNS, attribute_risks, person_table
from ecgsynth.privacy.beat_gallery import BeatGallery, places_of
from ecgsynth.privacy.intervals import (
    allowed_rank,
    lower_limit,
    overtaken,
    overtaking_p,
    people_needed,
    power,
    upper_limit,
)
from ecgsynth.privacy.membership import ATTACKS, judge_attack, membership
from ecgsynth.privacy.reidentification import reidentification
from ecgsynth.privacy.representation import nearest
from ecgsynth.privacy.same_person import judge_listed, limits_of, listed, same_person
from ecgsynth.privacy.samples import BEAT, Known, Sample, Side, read_side
from ecgsynth.privacy.traces import Strip
from ecgsynth.privacy.unusual import unusual_few
from ecgsynth.privacy.verifier import Verifier, beat_channels, build_net, load_verifier
from ecgsynth.records import TWELVE_LEADS


def sample(name: str, rng: np.random.Generator, rhythm: str = "afib", each: int = 0) -> Sample:
    """A made person: features and a beat of Gaussian waves, all drawn from one population."""
    at = np.arange(BEAT) / 125 - 0.32
    beat = np.zeros(BEAT)
    for centre, width, height in (
        (-0.18, 0.025, 0.15),
        (0.0, 0.012, 1.0),
        (0.03, 0.015, -0.3),
        (0.3, 0.05, 0.3),
    ):
        beat += (
            height
            * rng.lognormal(0, 0.3)
            * np.exp(-0.5 * ((at - centre - rng.normal(0, 0.012)) / width / rng.lognormal(0, 0.2)) ** 2)
        )
    # What makes a person: notches and humps of their own, without which all would have one beat.
    for centre in rng.uniform(-0.2, 0.4, 5):
        beat += rng.normal(0, 0.3) * np.exp(-0.5 * ((at - centre) / rng.uniform(0.015, 0.05)) ** 2)
    strip = Strip(f"{name}_{each}", name, "II", rhythm, 0.0, np.zeros(10, dtype=np.float32))
    features = rng.normal(0, 1, len(FEATURES))
    return Sample(strip, "made", features, beat, float(rng.integers(30, 90)), str(rng.choice(["M", "F"])))


def side(prefix: str, n: int, seed: int) -> list[Sample]:
    rng = np.random.default_rng(seed)
    return [sample(f"{prefix}/{i}", rng) for i in range(n)]


def jittered(source: Sample, name: str, rng: np.random.Generator) -> Sample:
    strip = replace(source.strip, record=name, subject=name)
    assert source.beat is not None
    beat = source.beat + rng.normal(0, 0.002, BEAT)
    return replace(
        source, strip=strip, features=source.features + rng.normal(0, 0.01, len(FEATURES)), beat=beat
    )


TRAIN, HOLDOUT, CLEAN = side("train", 160, 0), side("holdout", 160, 1), side("made", 160, 2)


def leaky(share: float) -> list[Sample]:
    rng = np.random.default_rng(3)
    count = round(share * len(TRAIN))
    return [jittered(s, f"made/{i}", rng) for i, s in enumerate(TRAIN[:count])] + CLEAN[count:]


def test_no_attack_sees_members_where_nothing_leaked() -> None:
    found = membership(TRAIN, HOLDOUT, CLEAN, seed=0)
    assert set(found["attacks"]) == set(ATTACKS)
    assert found["verdict"] != "fail"
    assert all(0.38 < row["auc"] < 0.62 for row in found["attacks"].values())


def test_a_leak_of_a_tenth_of_the_people_is_found_although_the_auc_hides_it() -> None:
    found = membership(TRAIN, HOLDOUT, leaky(0.1), seed=0)
    assert found["verdict"] == "fail"
    worst = found["attacks"][found["worst"]]
    assert (
        worst["tpr"] >= 0.08 and worst["p"] < 0.01 and worst["tpr_low"] <= worst["tpr"] <= worst["tpr_high"]
    )
    assert worst["auc"] < 0.7


@pytest.mark.parametrize("name", list(ATTACKS))
def test_every_attack_sees_a_generator_that_only_repeats(name: str) -> None:
    found = membership(TRAIN, HOLDOUT, leaky(1.0), seed=0)["attacks"][name]
    assert found["auc"] > 0.6


def test_too_few_people_are_never_a_pass() -> None:
    for n in (2, 30):
        found = membership(TRAIN[:n], HOLDOUT[:n], CLEAN, seed=0)
        assert found["verdict"] == "not assessable"
        assert found["power_at_5_percent"] < 0.8 < found["people_needed"]


def test_strips_without_beats_are_attacked_by_the_rest() -> None:
    def bare(samples: list[Sample]) -> list[Sample]:
        return [replace(s, beat=None) for s in samples]

    found = membership(bare(TRAIN[:40]), bare(HOLDOUT[:40]), bare(CLEAN[:40]), seed=0)
    assert "beat nearest neighbour" not in found["attacks"] and len(found["attacks"]) == len(ATTACKS) - 1


def test_same_seed_same_findings() -> None:
    assert membership(TRAIN[:40], HOLDOUT[:40], CLEAN, 7) == membership(TRAIN[:40], HOLDOUT[:40], CLEAN, 7)


def test_tpr_counts_people_above_the_best_stranger() -> None:
    members, strangers = np.r_[np.full(5, 9.0), np.zeros(45)], np.r_[8.0, np.linspace(0, 1, 49)]
    found = judge_attack(members, strangers, np.random.default_rng(0))
    assert found["tpr"] == pytest.approx(0.1) and found["p"] == pytest.approx(
        overtaking_p(5, 50, 50), abs=1e-5
    )


def test_the_exact_test_is_a_distribution_and_agrees_with_shuffling() -> None:
    chances = overtaken(20, 15, 2)
    assert chances.sum() == pytest.approx(1.0)
    rng = np.random.default_rng(0)
    counts = np.zeros(21)
    for _ in range(4000):
        scores = rng.random(35)
        counts[int((scores[:20] > np.sort(scores[20:])[-2]).sum())] += 1
    assert np.abs(counts / 4000 - chances).max() < 0.03


def test_power_grows_with_people_and_leak_and_names_how_many_are_needed() -> None:
    assert power(50, 50, 0.05) < power(150, 150, 0.05) < power(150, 150, 0.2) + 1e-12
    needed = people_needed(0.05, 0.8)
    assert needed is not None and 100 <= needed <= 200
    assert power(needed, needed, 0.05) >= 0.8
    harder = people_needed(0.05, 0.8, found=0.6)
    assert harder is not None and harder > needed
    assert (allowed_rank(99, 0.01), allowed_rank(100, 0.01)) == (1, 2)


def test_limits_of_a_rate_hold_it() -> None:
    assert lower_limit(3, 100) < 0.03 < upper_limit(3, 100)
    assert upper_limit(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert (lower_limit(0, 9), upper_limit(9, 9), upper_limit(0, 0)) == (0.0, 1.0, 1.0)


def test_nearest_is_the_distance_and_skips_ones_own() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 3)), rng.normal(size=(9, 3))
    plain = np.linalg.norm(a[:, None] - b[None], axis=2)
    assert nearest(a, b, block=2) == pytest.approx(plain.min(axis=1))
    own = np.eye(7, dtype=bool)
    alone = np.linalg.norm(a[:, None] - a[None], axis=2) + np.where(own, np.inf, 0)
    assert nearest(a, a, own) == pytest.approx(alone.min(axis=1))


def test_attributes_of_repeated_people_are_linked_and_inferred_and_those_of_others_are_not() -> None:
    clean, leaked = attribute_risks(TRAIN, HOLDOUT, CLEAN), attribute_risks(TRAIN, HOLDOUT, leaky(1.0))
    assert leaked["linkability"]["verdict"] == "fail" and leaked["linkability"]["risk_low"] > 0.5
    assert leaked["inference"]["verdict"] == "fail" and leaked["inference"]["worst_column"] in COLUMNS
    assert leaked["singling_out"]["attack"] > leaked["singling_out"]["control"]
    assert all(row["verdict"] != "fail" and row["risk_low"] < 0.05 for row in clean.values())


def test_attributes_of_few_people_are_not_assessed() -> None:
    found = attribute_risks(TRAIN[:5], HOLDOUT[:5], CLEAN)
    assert {row["verdict"] for row in found.values()} == {"not assessable"}


def test_a_person_is_one_row_whatever_the_number_of_strips() -> None:
    rng = np.random.default_rng(0)
    rows = [sample("p/1", rng, each=k) for k in range(3)] + [sample("p/2", rng)]
    rows[3] = replace(rows[3], sex="", age=float("nan"))
    table = person_table(rows)
    assert table.shape == (2, len(COLUMNS))
    rate = FEATURES.index("rate")
    assert table[0, COLUMNS.index("rate")] == pytest.approx(np.median([s.features[rate] for s in rows[:3]]))
    assert np.isnan(table[1, COLUMNS.index("sex")]) and np.isnan(table[1, COLUMNS.index("age")])


def untrained(people: frozenset[str] = frozenset()) -> Verifier:
    """An encoder that has learned nothing keeps what is near near, which is enough to see copies."""
    import torch

    torch.manual_seed(0)
    return Verifier(build_net(BEAT).eval(), people, {})


def test_reidentification_sees_repeated_people_and_no_others() -> None:
    clean = reidentification(TRAIN, HOLDOUT, CLEAN, untrained())
    assert clean["verdict"] != "fail" and clean["difference_low"] <= 0 <= clean["difference_high"]
    leaked = reidentification(TRAIN, HOLDOUT, leaky(1.0), untrained())
    assert leaked["verdict"] == "fail"
    assert leaked["people_met_train"] > 3 * leaked["people_met_holdout"]


def test_repeated_people_are_listed_by_name_and_strangers_are_not() -> None:
    verifier, sides = load_verifier(), (Side("train", samples=TRAIN), Side("holdout", samples=HOLDOUT))
    rows = same_person(*sides, Side("synthetic", samples=leaky(0.25)), verifier)
    right = {
        row["synthetic"] for row in rows if row["synthetic"].split("/")[1] == row["subject"].split("/")[1]
    }
    assert len(right) >= 36 and len(rows) <= len(right) + 4
    assert judge_listed(rows, leaky(0.25), HOLDOUT)["afib"]["verdict"] == "fail"
    clean = same_person(*sides, Side("synthetic", samples=CLEAN), verifier)
    assert len(clean) <= 6 and judge_listed(clean, CLEAN, HOLDOUT)["afib"]["verdict"] != "fail"
    assert same_person(sides[0], Side("holdout"), Side("synthetic", samples=CLEAN), verifier) == []


def test_a_person_is_known_by_any_of_their_beats() -> None:
    target, verifier = TRAIN[7], load_verifier()
    assert target.beat is not None
    assert CLEAN[3].beat is not None
    known = [Known(target.strip.subject, "late", "II", 600.0, CLEAN[3].beat)]
    train, made = Side("train", samples=TRAIN, known=known), Side("synthetic", samples=[CLEAN[3]])
    rows = same_person(train, Side("holdout", samples=HOLDOUT), made, verifier)
    assert [(row["subject"], row["train"]) for row in rows] == [(target.strip.subject, "late")]


def in_two_leads(prefix: str, n: int, seed: int) -> Side:
    """Made people in two leads that have nothing to do with each other."""
    first, second = side(prefix, n, seed), side(prefix, n, seed + 100)
    other = [replace(s, strip=replace(s.strip, lead="V1")) for s in second]
    return Side("made", samples=[s for pair in zip(first, other, strict=True) for s in pair])


def test_two_leads_have_a_limit_of_their_own_that_strangers_hold_and_repeated_people_pass() -> None:
    train, holdout, strangers = (in_two_leads(*a) for a in (("t", 120, 20), ("h", 60, 21), ("s", 120, 22)))
    gallery = BeatGallery(train, load_verifier())
    limits = limits_of(gallery, places_of(holdout), places_of(train))
    assert limits[2] < limits[1] - 0.05
    assert limits[8] == limits[2]
    made = listed(gallery, places_of(strangers), limits)
    assert len(made) <= 5 and all(row["leads"] == 2 and row["limit"] == round(limits[2], 4) for row in made)
    rng = np.random.default_rng(5)
    copies = [jittered(s, f"c{k // 2}", rng) for k, s in enumerate(train.samples[:80])]
    rows = listed(gallery, places_of(Side("made", samples=copies)), limits)
    assert sum(row["subject"] == f"t/{row['synthetic'][1:]}" for row in rows) >= 38


def test_beats_of_more_leads_belong_to_the_place_of_their_strip() -> None:
    leads = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    record = next(iter(load_generator("parametric").sample(rhythm="nsr", n=1, seed=3, leads=TWELVE_LEADS)))
    read = read_side("synthetic", [record])
    assert sorted(s.strip.lead for s in read.samples) == ["I", "II"]
    place = places_of(read)[0]
    assert [lead for lead, _ in place.beats[:2]] == [s.strip.lead for s in place.samples]
    assert sorted(lead for lead, _ in place.beats) == sorted(leads)
    assert place.cut(1).beats == place.beats[:1] and place.cut(1).samples == place.samples[:1]


def test_people_whom_the_verifier_learned_from_are_left_out() -> None:
    known = frozenset(s.strip.subject for s in TRAIN[:40])
    found = reidentification(TRAIN, HOLDOUT, CLEAN, untrained(known))
    assert found["left_out"] == 40 and found["train_people"] == 120
    assert reidentification(TRAIN[:40], HOLDOUT, CLEAN, untrained(known))["verdict"] == "not assessable"


def test_the_verifier_ignores_scale_level_and_polarity() -> None:
    beats = np.stack([s.beat for s in TRAIN[:8] if s.beat is not None])
    inputs: NDArray[np.float32] = beat_channels(beats)
    assert beat_channels(-3 * beats + 0.5) == pytest.approx(inputs, abs=1e-5)
    vectors = untrained().embed(beats)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_the_unusual_are_few_are_the_far_ones_and_never_pass_for_lack_of_hits() -> None:
    rng = np.random.default_rng(5)
    odd = [replace(s, features=rng.normal(8, 1, len(FEATURES))) for s in side("odd", 6, 9)]
    sides = [
        Side(n, samples=s) for n, s in (("synthetic", CLEAN), ("train", TRAIN + odd), ("holdout", HOLDOUT))
    ]
    pair = {"subject": "odd/1", "rhythm": "afib", "certain": True}
    found = unusual_few(*sides, pairs=[pair])
    assert found["people"] == round(0.05 * 166) and found["near_duplicates"] == 1
    assert found["gates"]["near-duplicates"]["verdict"] == "fail"
    none = unusual_few(*sides, pairs=[])
    assert none["gates"]["near-duplicates"]["verdict"] == "not assessable"


def test_monotone_power_in_people() -> None:
    values = [power(n, n, 0.05, level=0.01) for n in (100, 200, 400)]
    assert all(a <= b + 1e-9 for a, b in pairwise(values))

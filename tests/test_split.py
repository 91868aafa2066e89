"""The split: people never in two parts, rare rhythms in every part, and a manifest nobody can edit."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgsynth.errors import OptionError, RecordError
from ecgsynth.split import PARTS, SplitManifest, check_disjoint, split_people

people_of_rhythms = st.dictionaries(
    st.integers(0, 500).map(lambda i: f"db/{i:03}"),
    st.sets(st.sampled_from(["nsr", "afib", "vt", "paced", "wpw"]), max_size=3),
    min_size=3,
    max_size=60,
)


@settings(max_examples=40, deadline=None)
@given(people=people_of_rhythms, seed=st.integers(0, 99))
def test_everyone_is_in_exactly_one_part(people: dict[str, set[str]], seed: int) -> None:
    manifest = split_people(people, seed=seed)
    members = [*manifest.train, *manifest.val, *manifest.test]
    assert sorted(members) == sorted(people)


def test_rare_rhythm_with_three_people_reaches_every_part() -> None:
    people = {f"a/{i}": {"nsr"} for i in range(100)} | {f"b/{i}": {"nsr", "wpw"} for i in range(3)}
    for seed in range(5):
        manifest = split_people(people, seed=seed)
        assert {manifest.part_of(f"b/{i}") for i in range(3)} == set(PARTS)


def test_fewer_than_three_people_are_all_trained_on() -> None:
    people = {f"a/{i}": {"nsr"} for i in range(30)} | {"b/0": {"prex"}, "b/1": {"prex"}}
    manifest = split_people(people)
    assert {"b/0", "b/1"} <= set(manifest.train)


def test_fractions_hold_per_rhythm() -> None:
    people = {f"a/{i}": {"nsr"} for i in range(200)} | {f"b/{i}": {"afib"} for i in range(40)}
    manifest = split_people(people, (0.7, 0.15, 0.15), seed=3)
    for prefix, total in (("a", 200), ("b", 40)):
        for part, share in zip(PARTS, (0.7, 0.15, 0.15), strict=True):
            count = sum(name.startswith(prefix) for name in getattr(manifest, part))
            assert abs(count - share * total) <= 2


def test_order_does_not_matter_but_the_seed_does() -> None:
    people = {f"a/{i}": {"nsr"} for i in range(50)}
    backwards = dict(reversed(people.items()))
    assert split_people(people, seed=1) == split_people(backwards, seed=1)
    assert split_people(people, seed=1) != split_people(people, seed=2)


def test_json_round_trip_keeps_content_and_hash() -> None:
    manifest = split_people({f"a/{i}": {"nsr"} for i in range(20)}, seed=7)
    again = SplitManifest.from_json(manifest.to_json())
    assert again == manifest
    assert again.sha256 == manifest.sha256 and len(manifest.sha256) == 64
    assert again.part_of("someone else") is None


def test_hash_tells_one_moved_person() -> None:
    manifest = split_people({f"a/{i}": {"nsr"} for i in range(20)}, seed=7)
    moved = json.loads(manifest.to_json())
    moved["train"].append(moved["test"].pop())
    with pytest.raises(RecordError, match="edited"):
        SplitManifest.from_json(json.dumps(moved))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"train": 3}', "not json"])
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="split manifest"):
        SplitManifest.from_json(text)


def test_person_in_two_parts_is_refused_even_with_a_matching_hash() -> None:
    double = SplitManifest(("a", "b"), ("c",), ("b",), 0, (0.7, 0.15, 0.15))
    with pytest.raises(RecordError, match="both train and test, first b"):
        SplitManifest.from_json(double.to_json())


def test_people_in_two_sets_are_named() -> None:
    check_disjoint(train=["a"], test=["b"], real=[])
    with pytest.raises(RecordError, match="2 people are in both train and test, first a"):
        check_disjoint(train=["a", "b", "c"], test=["b", "a"])


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1)])
def test_bad_fractions_are_refused(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(OptionError, match="fractions"):
        split_people({f"a/{i}": {"nsr"} for i in range(9)}, fractions)


def test_two_people_cannot_be_split_in_three() -> None:
    with pytest.raises(OptionError, match="2 people"):
        split_people({"a": {"nsr"}, "b": {"nsr"}})

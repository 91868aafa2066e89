"""Checkpoints from anybody: used, or refused by name; nothing in them is ever run, whatever they claim."""

from __future__ import annotations

import json
import resource
import struct
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgsynth.checkpoint import load_checkpoint, save_checkpoint
from ecgsynth.errors import CheckpointError, EcgSynthError, TooFewPeopleError
from ecgsynth.generators.strip_net import LearnedConfig, StripNet
from ecgsynth.sampling import Sampler
from ecgsynth.ssl.encoder_file import load_encoder
from ecgsynth.training.keeping import LAST, PREVIOUS, KeepingIO, last_good
from ecgsynth.wish import Wish

CONFIG = LearnedConfig(("*",), ("I", "II"), ("mitdb", "ptbxl"), latent=4, width=16, film=8)
METADATA = {
    "generator": "cvae",
    "population": {"afib": {"people": 20, "seconds": 600.0}},
    "spread": [["afib", "mitdb", "II", 20]],
    "demographics": {},
    "training": {},
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "net.safetensors"
    torch.manual_seed(0)
    save_checkpoint(path, StripNet(CONFIG), METADATA)
    return path.read_bytes()


def parts(raw: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def joined(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def with_own(raw: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    header, data = parts(raw)
    own = json.loads(header["__metadata__"]["ecgsynth"])
    change(own)
    header["__metadata__"]["ecgsynth"] = json.dumps(own)
    return joined(header, data)


ODD: tuple[Any, ...] = (None, 0, -1, 1e308, "", "x", [], {}, [[]], True, "afib", 10**9, [1, 2], {"a": 1})


def mutate(raw: bytes, rng: np.random.Generator) -> bytes:
    """A bit, the length of the file, a value of the header or a value of our metadata, changed."""
    kind = int(rng.integers(4))
    if kind == 0:
        content = bytearray(raw)
        limit = 9 if rng.random() < 0.2 else 3000 if rng.random() < 0.5 else len(content)
        content[int(rng.integers(limit))] ^= 1 << int(rng.integers(8))
        return bytes(content)
    if kind == 1:
        return raw[: int(rng.integers(len(raw)))]
    odd = ODD[int(rng.integers(len(ODD)))]
    if kind == 2:
        header, data = parts(raw)
        key = sorted(header)[int(rng.integers(len(header)))]
        if rng.random() < 0.3:
            header[key] = odd
        else:
            field = ["dtype", "shape", "data_offsets"][int(rng.integers(3))]
            header[key] = {**header[key], field: odd}
        return joined(header, data)

    def change(own: dict[str, Any]) -> None:
        place: Any = own
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = keys[int(rng.integers(len(keys)))]
            if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.3:
                place[key] = odd
                return
            place = place[key]

    return with_own(raw, change)


def test_spoilt_checkpoints_are_used_or_refused(
    tmp_path: Path, sound: bytes, times: Callable[[int, int], int]
) -> None:
    path = tmp_path / "net.safetensors"
    wish = Wish("afib", seconds=2.0, leads=("II",), source="mitdb")
    outcomes: Counter[str] = Counter()
    for case in range(times(80, 4000)):
        path.write_bytes(mutate(sound, np.random.default_rng(case)))
        began = time.process_time()
        try:
            sampler = Sampler("cvae", path)
            sampler.check(wish)
            if not case % 20:
                sampler.draw(wish, [0])
            outcomes["used"] += 1
        except EcgSynthError as error:
            assert len(str(error)) < 3000
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(f"case {case}: {error!r}") from error
        assert time.process_time() - began < 2.0
    assert min(outcomes["used"], outcomes["refused"]) > 10, outcomes


def test_a_checkpoint_that_names_nobody_offers_nothing(tmp_path: Path, sound: bytes) -> None:
    (tmp_path / "net.safetensors").write_bytes(with_own(sound, lambda own: own.pop("population")))
    with pytest.raises(TooFewPeopleError, match="from nobody"):
        Sampler("cvae", tmp_path / "net.safetensors").check(Wish("afib", leads=("II",), source="mitdb"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda own: own["config"].update(width=1024, film=1024, latent=1024), "config asks for"),
        (lambda own: own["config"].update(sources=[f"s{i}" for i in range(1024)]), "config asks for"),
        (lambda own: own["config"].update(outputs="abc"), "1 to 1024"),
        (lambda own: own["config"].update(width=True), "1 to 1024"),
        (lambda own: own["config"].update(leads=[1, 2]), "no names"),
        (lambda own: own.update(population=[1]), "population is a list"),
        (lambda own: own.update(note="x" * 3_000_000), "at most 2000000"),
    ],
)
def test_claims_of_a_checkpoint_cost_nothing(tmp_path: Path, sound: bytes, change: Any, says: str) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(with_own(sound, change))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=says):
        load_checkpoint(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_a_header_that_nests_deeply_is_refused(tmp_path: Path) -> None:
    path, text = tmp_path / "net.safetensors", b'{"a":' + b"[" * 900_000
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    for load in (load_checkpoint, load_encoder):
        with pytest.raises(CheckpointError, match="no ecgsynth metadata"):
            load(path)


def test_weights_that_diverged_are_not_written(tmp_path: Path) -> None:
    net = StripNet(CONFIG)
    net.decoder.norm.weight.data[0] = float("nan")
    with pytest.raises(CheckpointError, match=r"decoder\.norm\.weight holds NaN"):
        save_checkpoint(tmp_path / "net.safetensors", net, METADATA)
    assert not list(tmp_path.iterdir())


class Bomb:
    """Leaves a sentinel when unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.sentinel,)


def keep(folder: Path, value: float) -> None:
    KeepingIO().save_checkpoint({"state_dict": {"w": torch.full((5000,), value)}}, folder / LAST)


def value_of(path: Path) -> float:
    return float(torch.load(path, weights_only=True)["state_dict"]["w"][0])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(path.read_bytes()[:3000]),
        flip,
        lambda path: torch.save({"a": Bomb(path.parent / "ran")}, path),
    ],
)
def test_a_training_goes_on_from_the_last_sound_checkpoint(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    for value in (1.0, 2.0, 3.0):
        keep(tmp_path, value)
    assert last_good(tmp_path) == tmp_path / LAST and value_of(tmp_path / LAST) == 3.0
    damage(tmp_path / LAST)
    assert last_good(tmp_path) == tmp_path / PREVIOUS and value_of(tmp_path / PREVIOUS) == 2.0
    damage(tmp_path / PREVIOUS)
    with pytest.raises(CheckpointError, match=r"nothing to resume from"):
        last_good(tmp_path)
    assert not (tmp_path / "ran").exists(), "a pickle was run"


def test_a_checkpoint_that_diverged_does_not_replace_a_sound_one(tmp_path: Path) -> None:
    keep(tmp_path, 1.0)
    with pytest.raises(CheckpointError, match=r"diverged.*--lr"):
        keep(tmp_path, float("nan"))
    assert value_of(last_good(tmp_path)) == 1.0

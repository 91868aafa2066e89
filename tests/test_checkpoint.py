"""Checkpoints: they come back as they were, and everything else is refused with a reason."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ecgsynth.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from ecgsynth.errors import CheckpointError
from ecgsynth.generators.strip_net import LearnedConfig, StripNet

CONFIG = LearnedConfig(("*",), ("I", "II"), ("mitdb",), latent=4, width=16, film=8)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "own.safetensors"
    save_checkpoint(path, StripNet(CONFIG), {"generator": "cvae", "population": {"afib": {"people": 5}}})
    return path


def rewrite(path: Path, tensors: dict[str, torch.Tensor], own: dict[str, object]) -> None:
    save_file(tensors, path, {"ecgsynth": json.dumps(own)})


def test_a_checkpoint_comes_back_as_it_was(saved: Path) -> None:
    net, metadata = load_checkpoint(saved)
    torch.manual_seed(0)
    fresh = StripNet(CONFIG).state_dict()
    assert net.config == CONFIG and metadata["population"]["afib"]["people"] == 5
    for key, value in net.state_dict().items():
        # The encoder is stored in half precision.
        assert torch.equal(value, fresh[key].half().float() if key.startswith("encoder.") else fresh[key])
    assert not net.training


def test_saving_twice_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    again = tmp_path / "again.safetensors"
    save_checkpoint(again, StripNet(CONFIG), {"population": {"afib": {"people": 5}}, "generator": "cvae"})
    assert saved.read_bytes() == again.read_bytes()
    assert not list(tmp_path.glob("*.partial"))


class Bomb:
    """Leaves a sentinel when unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.sentinel,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_and_never_run(tmp_path: Path, zipped: bool) -> None:
    path, sentinel = tmp_path / "evil.safetensors", tmp_path / "ran"
    if zipped:
        torch.save({"a": Bomb(sentinel)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(sentinel)))
    for read in (read_metadata, load_checkpoint):
        with pytest.raises(CheckpointError, match="pickle"):
            read(path)
    assert not sentinel.exists()


def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    own = {"format": 1, "generator": "cvae", "note": ""}
    for length in range(300):
        save_file({"w": torch.zeros(1)}, path, {"ecgsynth": json.dumps({**own, "note": "x" * length})})
        if path.read_bytes()[:1] == b"\x80":
            assert read_metadata(path)["generator"] == "cvae"
            return
    pytest.fail("no length ended in 0x80")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        b"\x00" * 100,
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        b"x" * 4096,
    ],
)
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"garbage\.safetensors"):
        load_checkpoint(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.safetensors.*No such file"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_a_truncated_file_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(saved)


def test_somebody_else_s_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="no ecgsynth metadata"):
        load_checkpoint(path)


@pytest.mark.parametrize("fault", ["shape", "missing", "unexpected", "nan", "format", "key", "size"])
def test_what_does_not_fit_is_named(saved: Path, fault: str) -> None:
    tensors, own = load_file(saved), read_metadata(saved)
    name = "decoder.norm.weight"
    if fault == "shape":
        tensors[name] = torch.zeros(3)
    elif fault == "missing":
        del tensors[name]
    elif fault == "unexpected":
        tensors["decoder.more"] = torch.zeros(1)
    elif fault == "nan":
        tensors[name] = tensors[name] * float("nan")
    elif fault == "format":
        own["format"] = 99
    elif fault == "key":
        own["config"]["depth"] = 3
    else:
        own["config"]["width"] = 10**9
    rewrite(saved, tensors, own)
    expected = {
        "shape": rf"{name} has shape",
        "missing": rf"{name} is missing",
        "unexpected": "more is unexpected",
        "nan": rf"{name} holds NaN",
        "format": "format 99",
        "key": "valid keys are",
        "size": "1 to 1024",
    }
    with pytest.raises(CheckpointError, match=expected[fault]):
        load_checkpoint(saved)

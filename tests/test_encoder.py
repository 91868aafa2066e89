"""The frozen encoder that ships: repeatable, sensitive to what matters, careful about what it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ecgsynth
from ecgsynth.errors import CheckpointError, OptionError
from ecgsynth.fidelity.distances import kid
from ecgsynth.fidelity.encoder import FARTHEST, WIDTH, embed, encoder_sha256, load_encoder, save_encoder

FS = 250.0


@pytest.fixture(scope="module")
def strips() -> np.ndarray:
    """Strips [70, 1, 1250] in mV: more than one chunk."""
    records = ecgsynth.load_generator("parametric").sample(rhythm="nsr", n=70, seed=0, seconds=5)
    return np.stack([record.signal[:1, :1250] for record in records])


def test_the_same_strip_gives_the_same_numbers_wherever_it_stands(strips: np.ndarray) -> None:
    whole = embed(strips, FS, ("II",))
    assert whole.shape == (70, WIDTH)
    np.testing.assert_array_equal(whole, embed(strips, FS, ("II",)))
    np.testing.assert_array_equal(whole[66:], embed(strips[66:], FS, ("II",)))
    assert np.sqrt(np.square(whole).mean(axis=1)).max() <= FARTHEST


def test_an_offset_is_nothing_and_a_fault_is_something(strips: np.ndarray) -> None:
    plain = embed(strips, FS, ("II",))
    np.testing.assert_allclose(embed(strips + 0.5, FS, ("II",)), plain, atol=1e-3)
    for other in (-strips, strips[:, :, ::-1], strips * 3):
        assert np.abs(embed(np.ascontiguousarray(other), FS, ("II",)) - plain).mean() > 0.05


def test_distance_grows_with_noise(strips: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(size=strips.shape).astype(np.float32)
    owner = np.arange(35)
    plain = embed(strips, FS, ("II",))
    found = [
        kid(plain[:35], owner, embed(strips[35:] + size * noise[35:], FS, ("II",)), owner).value
        for size in (0.0, 0.05, 0.1, 0.2, 0.4)
    ]
    assert (np.diff(found) > 0).all()


def test_the_sampling_rate_is_no_fault(strips: np.ndarray) -> None:
    """Down to 125 Hz and back: less apart than 30 uV of noise puts them."""
    at_half = strips[:, :, ::2]
    plain = embed(strips, FS, ("II",))
    noisy = strips + np.random.default_rng(0).normal(0, 0.03, strips.shape).astype(np.float32)
    apart = np.abs(embed(at_half, FS / 2, ("II",)) - plain).mean()
    assert apart < np.abs(embed(noisy, FS, ("II",)) - plain).mean()


def test_gaps_are_bridged(strips: np.ndarray) -> None:
    holed = strips[:4].copy()
    holed[:, :, 500:520] = np.nan
    assert np.isfinite(embed(holed, FS, ("II",))).all()


def test_swapped_leads_are_seen_and_derived_ones_ignored(strips: np.ndarray) -> None:
    one, two = strips[:10, 0], strips[10:20, 0]
    both = embed(np.stack([one, two], axis=1), FS, ("I", "II"))
    assert both.shape == (10, 2 * WIDTH)
    swapped = embed(np.stack([two, one], axis=1), FS, ("I", "II"))
    np.testing.assert_allclose(swapped[:, :WIDTH], both[:, :WIDTH], atol=1e-5)
    assert np.abs(swapped[:, WIDTH:] - both[:, WIDTH:]).mean() > 0.05
    three = embed(np.stack([one, two, two - one], axis=1), FS, ("I", "II", "III"))
    np.testing.assert_array_equal(three, both)


def test_too_short_a_strip_is_refused(strips: np.ndarray) -> None:
    with pytest.raises(OptionError, match=r"1\.00 s; at least 2 s"):
        embed(strips[:, :, :250], FS, ("II",))


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    net = load_encoder()
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    save_encoder(net, good, {"people": 1})
    load_encoder(good)
    for content, message in (
        (good.read_bytes()[:-100], "cannot read"),
        (b"nonsense", "cannot read"),
        (good.read_bytes().replace(b"ecgsynth_encoder", b"ecgsynth_another"), "not this version's"),
    ):
        bad.write_bytes(content)
        load_encoder.cache_clear()
        with pytest.raises(CheckpointError, match=message):
            load_encoder(bad)
    with pytest.raises(CheckpointError, match=r"none.safetensors"):
        load_encoder(tmp_path / "none.safetensors")


def test_the_card_is_of_the_weights_that_ship() -> None:
    card = Path(ecgsynth.__file__).parent / "weights" / "encoder.md"
    assert encoder_sha256() in card.read_text(encoding="utf-8")
    assert card.with_suffix(".safetensors").stat().st_size < 2_000_000

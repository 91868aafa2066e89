"""Noise as asked for: kinds of recorder, a clean heart, and a signal-to-noise ratio that is delivered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ecgsynth.errors import OptionError
from ecgsynth.generators.hiss import WINDOW, WINDOW_HZ
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.recorders import (
    in_band,
    load_recorders,
    qrst_samples,
    quantised,
    recorder_noise,
    smooth_spectrum,
    snr_db,
    through_band,
)
from ecgsynth.generators.wander import split_wander, wander_level
from ecgsynth.pipeline import GenerateOptions, generate_dataset
from ecgsynth.records import TWELVE_LEADS, Record
from ecgsynth.sampling import load_generator
from ecgsynth.wish import NOISES, Wish

KINDS = tuple(load_recorders())
GENERATORS = ("parametric", "cvae", "cgan")


def sample(generator: str, **wish: object) -> list[Record]:
    return load_generator(generator).sample(**{"rhythm": "nsr", "n": 2, "seed": 3, **wish})  # type: ignore[arg-type]


def measured_snr(noisy: Record, clean: Record) -> float:
    """Written anew: Welch-free, by a brick-wall band pass of the mirrored strip."""

    def banded(x: np.ndarray) -> np.ndarray:
        mirrored = np.concatenate([x, x[:, ::-1]], axis=1)
        spectrum = np.fft.rfft(mirrored)
        hz = np.fft.rfftfreq(mirrored.shape[1], 1 / noisy.fs)
        spectrum[:, (hz < 0.5) | (hz > 40)] = 0
        return np.fft.irfft(spectrum, mirrored.shape[1])[:, : x.shape[1]]

    heart, noise = banded(clean.signal.astype(float)), banded((noisy.signal - clean.signal).astype(float))
    beats = np.zeros(heart.shape[1], bool)
    assert clean.beats is not None
    for at in clean.beats.samples / clean.fs:
        beats[round(max(at - 0.06, 0) * clean.fs) : round((at + 0.4) * clean.fs)] = True
    return float(10 * np.log10(np.square(heart[:, beats]).mean() / np.square(noise).mean()))


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("asked", [24.0, 12.0, 0.0])
def test_the_ratio_asked_is_the_ratio_between_a_noisy_record_and_its_clean_twin(
    generator: str, asked: float
) -> None:
    for clean, noisy in zip(sample(generator, noise="clean"), sample(generator, snr=asked), strict=True):
        assert measured_snr(noisy, clean) == pytest.approx(asked, abs=1.0)
        assert noisy.extra["snr_db"] == f"{asked:.2f}" and clean.extra["snr_db"] == "inf"


def test_the_ratio_holds_for_twelve_leads_and_for_a_rhythm_without_beats() -> None:
    twelve = [
        sample("parametric", leads=TWELVE_LEADS, n=1, **w)[0] for w in ({"noise": "clean"}, {"snr": 9.0})
    ]
    independent = [i for i, lead in enumerate(TWELVE_LEADS) if lead not in ("III", "aVR", "aVL", "aVF")]
    heart, noisy = (record.signal[independent] for record in twelve)
    beats = twelve[0].beats
    assert beats is not None
    assert snr_db(heart, noisy - heart, beats.samples / 250, 250) == pytest.approx(9, abs=0.5)
    heart, noisy = (
        sample("parametric", rhythm="vf", n=1, **w)[0].signal for w in ({"noise": "clean"}, {"snr": 9.0})
    )
    assert snr_db(heart, noisy - heart, np.zeros(0), 250) == pytest.approx(9, abs=0.01)


def test_snr_of_known_parts() -> None:
    t = np.arange(2500) / 250
    tone = np.sin(2 * np.pi * 10 * t)[None]
    none = np.zeros(0)
    assert snr_db(tone, 0.1 * tone, none, 250) == pytest.approx(20, abs=0.05)
    slow = tone + 5 * np.sin(2 * np.pi * 0.1 * t)
    assert snr_db(tone, 0.1 * slow, none, 250) == pytest.approx(20, abs=0.1), "wander does not count"
    assert snr_db(tone, 0 * tone, none, 250) == float("inf")
    assert qrst_samples(np.array([1.0]), 2500, 250).sum() == 115


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("noise", NOISES)
def test_noise_is_another_recording_of_the_same_heart(generator: str, noise: str) -> None:
    alike = []
    for plain, asked in zip(sample(generator, n=5), sample(generator, n=5, noise=noise), strict=True):
        assert plain.beats is not None and asked.beats is not None
        assert np.array_equal(plain.beats.samples, asked.beats.samples) and plain.leads == asked.leads
        assert not np.array_equal(plain.signal, asked.signal)
        alike.append(np.corrcoef([in_band(x.signal, 250, (1.0, 20.0))[0] for x in (plain, asked)])[0, 1])
    assert np.median(alike) > 0.7


def test_clean_has_no_hiss_between_beats() -> None:
    record = sample("parametric", noise="clean", n=1)[0]
    quiet = np.sort(np.abs(in_band(record.signal, 250, (50.0, 125.0))[0]))[: record.n_samples // 2]
    noisy = np.sort(np.abs(in_band(sample("parametric", n=1)[0].signal, 250, (50.0, 125.0))[0]))[:1250]
    assert quiet.max() < 5e-4 < noisy.max()
    assert abs(float(np.median(record.signal))) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_noise_of_a_recorder_is_measured_as_it_was_fitted(kind: str) -> None:
    """Spectrum over 4 Hz and wander of many drawn recordings, against the fitted mean recording."""
    recorder = load_recorders()[kind]
    drawn = [recorder_noise(recorder, 1, 2560, np.random.default_rng(i))[0] for i in range(80)]
    shape = np.hanning(WINDOW)
    log_power = []
    for x in drawn:
        parts = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[:: WINDOW // 2]
        power = np.abs(np.fft.rfft(parts * shape)) ** 2 / np.square(shape).sum()
        log_power.append(np.log(np.median(power, 0) / np.log(2)))
    level = recorder.mean[2]
    bands = 2 * (level + np.array([recorder.mean[3], 0.0, recorder.mean[4], recorder.mean[5]]))
    fitted = smooth_spectrum(bands, WINDOW_HZ) + recorder.spectrum
    seen = (WINDOW_HZ > 4) & (WINDOW_HZ < 100)
    assert np.abs(np.median(log_power, 0) - fitted)[seen].mean() < 0.45, "of 0.45 in log power: 2 dB"
    wander = [wander_level(split_wander(x[None, None])[1])[0] for x in drawn]
    assert np.log(np.median(wander)) == pytest.approx(recorder.mean[0], abs=0.4)


def test_kinds_differ_as_their_machines_do() -> None:
    power = {
        kind: np.mean(
            [np.square(in_band(recorder_noise(r, 1, 2500, np.random.default_rng(i)), 250, (45, 110))).mean()
             for i in range(30)]
        )
        for kind, r in load_recorders().items()
    }  # fmt: skip
    assert power["holter"] > 4 * power["12lead"] > 4 * power["handheld"]


def test_steps_and_range_of_a_converter() -> None:
    recorder = load_recorders()["holter"]
    record = sample("parametric", noise="holter", fs=360.0, n=1)[0]
    steps = record.signal / recorder.step_mv
    assert np.abs(steps - np.rint(steps)).max() < 1e-3
    assert np.abs(quantised(np.array([[99.0, -99.0]]), recorder)).max() <= recorder.full_mv + 1e-6


def test_a_handheld_passes_what_lies_between_half_a_hertz_and_forty() -> None:
    t = np.arange(5000) / PLAN_FS
    band = load_recorders()["handheld"].band_hz
    gains = [
        np.std(through_band(np.sin(2 * np.pi * hz * t)[None], band)) * np.sqrt(2) for hz in (0.1, 5, 40, 80)
    ]
    assert gains[0] < 0.1 and gains[1] == pytest.approx(1, abs=0.01)
    assert gains[2] == pytest.approx(2**-0.5, abs=0.03) and gains[3] < 0.1


def test_twelve_leads_of_a_recorder_obey_einthoven() -> None:
    record = sample("parametric", noise="holter", leads=TWELVE_LEADS, n=1)[0]
    lead = dict(zip(record.leads, record.signal.astype(float), strict=True))
    assert np.allclose(lead["III"], lead["II"] - lead["I"], atol=1e-5)
    assert np.allclose(lead["aVF"], lead["II"] - lead["I"] / 2, atol=1e-5)


def test_fewer_records_are_a_prefix_of_more_under_noise() -> None:
    wish = {"noise": "holter", "snr": 12.0, "rhythm": "afib"}
    few, many = sample("cvae", n=2, **wish), sample("cvae", n=11, **wish)
    assert all(np.array_equal(a.signal, b.signal) for a, b in zip(few, many, strict=False))


def test_a_dataset_says_what_was_asked_and_delivered_whatever_the_workers(tmp_path: Path) -> None:
    made = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        asked = {"rhythm": "nsr", "noise": "handheld", "snr": 15.0, "generator": "parametric"}
        generate_dataset(GenerateOptions(**asked, records=3, workers=workers, out=out))  # type: ignore[arg-type]
        made.append((out / "SHA256SUMS.txt").read_text())
    assert made[0] == made[1]
    line = json.loads((tmp_path / "1" / "manifest.jsonl").read_text().splitlines()[0])
    assert line["conditions"]["asked"]["noise"] == "handheld" and line["conditions"]["asked"]["snr"] == 15.0
    assert line["conditions"]["drawn"]["snr_db"] == 15.0
    assert "noise handheld" in (tmp_path / "1" / "DATASET_CARD.md").read_text()


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"noise": "phone"}, "choose from clean, holter"),
        ({"snr": 90.0}, "-10 to 60"),
        ({"snr": float("nan")}, "-10 to 60"),
        ({"noise": "clean", "snr": 10.0}, "no noise to scale"),
    ],
)
def test_noise_that_cannot_be_is_refused(wish: dict[str, object], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        Wish("nsr", **wish).check_noise()  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=says):
        sample("parametric", **wish)

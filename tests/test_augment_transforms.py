"""Transforms do what they claim, in mV, Hz and dB, and leave alone what they must."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ecgsynth.augment import (
    BandFilter,
    BaselineWander,
    Chain,
    ElectrodeDropout,
    EMGNoise,
    Gain,
    GaussianNoise,
    LeadMask,
    OtherDevice,
    PowerLine,
    RandomCrop,
    TimeShift,
    TimeWarp,
    default_chain,
    resampled,
)
from ecgsynth.augment.devices import DEVICES
from ecgsynth.augment.electrodes import (
    einthoven_residual,
    expanded,
    independent_leads,
    montage,
)
from ecgsynth.augment.noise import emg_gain
from ecgsynth.augment.transform import Setting, Transform
from ecgsynth.errors import OptionError
from ecgsynth.records import TWELVE_LEADS

FS = 250.0
TWELVE = Setting(FS, TWELVE_LEADS)
ONE = Setting(FS, ("II",))

#: Every transform, certain to act.
TRANSFORMS: dict[str, Transform] = {
    "gaussian": GaussianNoise(p=1.0),
    "emg": EMGNoise(p=1.0),
    "wander": BaselineWander(p=1.0),
    "mains": PowerLine(p=1.0),
    "shift": TimeShift(p=1.0),
    "crop": RandomCrop(seconds=1.5),
    "warp": TimeWarp(p=1.0),
    "band": BandFilter(p=1.0),
    "device": OtherDevice(p=1.0),
    "gain": Gain(p=1.0),
    "dropout": ElectrodeDropout(p=1.0, seconds=(0.5, 1.0)),
    "mask": LeadMask(p=1.0),
}
every = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS.keys())


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strips(rows: int = 4, seconds: float = 4.0, setting: Setting = TWELVE) -> Tensor:
    """Twelve leads (or one) of peaks over a slow wave, in float64, with Einthoven's law in them."""
    t = torch.arange(round(seconds * setting.fs), dtype=torch.float64) / setting.fs
    own = independent_leads(setting.leads)
    height = 0.3 + torch.rand(rows, len(own), 1, generator=rng(5), dtype=torch.float64)
    beat = torch.exp(-(((t % 0.8) - 0.4) ** 2) / (2 * 0.012**2)).where((t % 0.8 - 0.4).abs() < 0.1, 0)
    wave = 0.2 * torch.sin(2 * torch.pi * 1.25 * t)
    return expanded(height * beat + height.flip(0) * wave, setting.leads)


def tone(hz: float, setting: Setting = ONE, seconds: float = 10.0) -> Tensor:
    t = torch.arange(round(seconds * setting.fs), dtype=torch.float64) / setting.fs
    return torch.sin(2 * torch.pi * hz * t).expand(1, len(setting.leads), -1)


def power(signal: Tensor, fs: float = FS) -> tuple[Tensor, Tensor]:
    window = torch.hann_window(signal.shape[-1], dtype=signal.dtype)
    return torch.fft.rfftfreq(signal.shape[-1], 1 / fs), torch.fft.rfft(signal * window).abs().square()


def share(signal: Tensor, inside: Callable[[Tensor], Tensor], fs: float = FS) -> float:
    hz, found = power(signal, fs)
    return float((found * inside(hz)).sum() / found.sum())


def middle(signal: Tensor) -> Tensor:
    n = signal.shape[-1]
    return signal[..., n // 5 : -n // 5]


# ------------------------------------------------------------------ electrodes


def test_twelve_leads_come_from_nine_electrodes_with_eight_degrees_of_freedom() -> None:
    wiring = montage(TWELVE_LEADS)
    assert wiring.electrodes == ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")
    assert wiring.mixing.shape == (12, 8)
    forward = wiring.leads_from_electrodes
    assert np.allclose(wiring.mixing @ wiring.mixing.T, forward @ forward.T)
    # What is read off the leads gives the leads back, and averages to zero over the limbs.
    signal = strips(1)[0].numpy()
    read = wiring.electrodes_from_leads @ signal
    assert np.allclose(forward @ read, signal)
    assert np.allclose(read[:3].sum(axis=0), 0)


def test_leads_that_stand_alone_have_an_electrode_each() -> None:
    assert montage(("II",)).electrodes == ("II",)
    assert montage(("MLII", "V5")).electrodes == ("MLII", "V5")
    assert np.array_equal(montage(("MLII", "V5")).leads_from_electrodes, np.eye(2))


def test_the_residual_shows_what_a_gain_per_lead_breaks() -> None:
    signal = strips()
    assert einthoven_residual(signal, TWELVE_LEADS).max() < 1e-12
    gains = 1 + 0.1 * torch.rand(4, 12, 1, generator=rng(), dtype=torch.float64)
    assert einthoven_residual(signal * gains, TWELVE_LEADS).min() > 0.001


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "mask"])
def test_einthovens_law_holds_afterwards(name: str) -> None:
    done = TRANSFORMS[name](strips(), TWELVE, rng(3))
    assert einthoven_residual(done, TWELVE_LEADS).max() < 1e-9


def test_einthovens_law_holds_after_the_default_chain_in_single_precision() -> None:
    chain = default_chain(FS, TWELVE_LEADS)
    chain.masks = ()
    broken = strips(32).float() + 0.02 * torch.randn(32, 12, 1000, generator=rng())
    assert einthoven_residual(broken, TWELVE_LEADS).min() > 0.01
    assert einthoven_residual(chain(broken, seed=1), TWELVE_LEADS).max() < 1e-6


# ------------------------------------------------------------------ what holds of all


@every
def test_the_seed_decides_every_byte_and_the_input_stays(transform: Transform) -> None:
    signal = strips().float()
    before = signal.clone()
    torch.manual_seed(1)
    one = transform(signal, TWELVE, rng(7))
    torch.manual_seed(2)
    two = transform(signal, TWELVE, rng(7))
    assert torch.equal(one, two)
    assert torch.equal(signal, before)
    assert not torch.equal(one, transform(signal, TWELVE, rng(8)))
    assert one.dtype == torch.float32


@every
def test_no_transform_moves_the_global_random_numbers(transform: Transform) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    transform(strips(), TWELVE, rng())
    assert torch.equal(torch.rand(1), expected)


@every
def test_gradients_flow_and_are_right(transform: Transform) -> None:
    setting = Setting(50.0, ("I", "II", "III", "V1"))
    signal = strips(2, 2.0, setting).requires_grad_()
    chosen = PowerLine(hz=(10.0,), p=1.0) if isinstance(transform, PowerLine) else transform
    if isinstance(chosen, OtherDevice):  # rounding has no gradient of its own; it passes that of the filter
        (gradient,) = torch.autograd.grad(chosen(signal, setting, rng()).square().sum(), signal)
        assert gradient.isfinite().all() and gradient.abs().sum() > 0
        return
    assert torch.autograd.gradcheck(lambda x: chosen(x, setting, rng()), signal, fast_mode=True)


@every
def test_a_flat_strip_gives_finite_values_and_gradients(transform: Transform) -> None:
    signal = torch.zeros(2, 12, 500, dtype=torch.float64, requires_grad=True)
    done = transform(signal, TWELVE, rng())
    (gradient,) = torch.autograd.grad(done.sum(), signal)
    assert done.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "crop"])
def test_p_is_the_share_of_records(name: str) -> None:
    transform = type(TRANSFORMS[name])(**{**vars(TRANSFORMS[name]), "p": 0.25})
    signal = strips(200, 1.0)
    done = transform(signal, TWELVE, rng())
    changed = (done != signal).flatten(1).any(dim=1).double().mean()
    assert 0.1 < changed < 0.36  # a shift by 0 or a mask of nothing changes nothing
    assert torch.equal(type(transform)(**{**vars(transform), "p": 0.0})(signal, TWELVE, rng()), signal)


# ------------------------------------------------------------------ noise


@pytest.mark.parametrize("kind", [GaussianNoise, EMGNoise])
@pytest.mark.parametrize("setting", [TWELVE, ONE], ids=["12 leads", "1 lead"])
@pytest.mark.parametrize("wanted", [-6.0, 0.0, 20.0])
def test_the_ratio_measured_is_the_ratio_stated(kind: type, setting: Setting, wanted: float) -> None:
    signal = strips(6, setting=setting)
    noise = kind(snr_db=(wanted, wanted), p=1.0)(signal, setting, rng()) - signal
    ratio = signal.var(dim=-1, unbiased=False).sum(1) / noise.square().mean(-1).sum(1)
    assert (10 * ratio.log10() - wanted).abs().max() < 1e-6


def test_ratios_are_spread_over_their_range() -> None:
    signal = strips(300, 2.0, ONE)
    noise = GaussianNoise(snr_db=(10, 30), p=1.0)(signal, ONE, rng()) - signal
    found = 10 * (signal.var(dim=-1, unbiased=False).sum(1) / noise.square().mean(-1).sum(1)).log10()
    assert found.min() >= 10 - 1e-6 and found.max() <= 30 + 1e-6
    assert abs(found.mean() - 20) < 1.5


def test_gaussian_noise_is_white_and_that_of_electrodes() -> None:
    signal = strips(200, 2.0)
    noise = GaussianNoise(snr_db=(0, 0), p=1.0)(signal, TWELVE, rng()) - signal
    for low in (1, 40, 80):
        assert share(noise, lambda hz, low=low: (hz > low) & (hz < low + 40)) == pytest.approx(0.32, abs=0.02)
    unit = noise / noise[:, TWELVE_LEADS.index("I")].std(dim=-1)[:, None, None]
    one, two = unit[:, 0].flatten(), unit[:, 1].flatten()
    # I and II share the right arm: correlation 1/2. Chest leads do not share noise with I.
    assert torch.corrcoef(torch.stack([one, two]))[0, 1] == pytest.approx(0.5, abs=0.02)
    assert torch.corrcoef(torch.stack([one, unit[:, 6].flatten()]))[0, 1] == pytest.approx(0, abs=0.02)


def test_muscle_noise_has_the_spectrum_of_muscle() -> None:
    setting = Setting(500.0, ("II",))
    signal = strips(60, 4.0, setting)
    noise = EMGNoise(snr_db=(0, 0), swell=0.0, p=1.0)(signal, setting, rng()) - signal
    hz, found = power(noise, 500.0)
    expected = emg_gain(hz.double()) ** 2
    measured, claimed = found.mean((0, 1)) / found.mean((0, 1)).sum(), expected / expected.sum()
    for low in range(10, 240, 40):
        inside = (hz >= low) & (hz < low + 40)
        assert measured[inside].sum() == pytest.approx(float(claimed[inside].sum()), rel=0.08)
    assert share(noise, lambda hz: hz < 5, 500.0) < 0.005


def test_muscle_noise_swells() -> None:
    signal = strips(20, 10.0, ONE)

    def unevenness(swell: float) -> float:
        noise = EMGNoise(snr_db=(0, 0), swell=swell, p=1.0)(signal, ONE, rng()) - signal
        level = noise.unfold(-1, 50, 50).square().mean(-1).sqrt()
        return float((level.std(-1) / level.mean(-1)).mean())

    assert unevenness(0.9) > 2.5 * unevenness(0.0)


def test_wander_is_slow_and_as_high_as_stated() -> None:
    signal = strips(8, 20.0)
    drift = BaselineWander(peak_mv=(0.3, 0.3), p=1.0)(signal, TWELVE, rng()) - signal
    assert torch.allclose(drift.abs().amax(dim=(1, 2)), torch.full((8,), 0.3, dtype=torch.float64))
    assert share(drift, lambda hz: hz <= 0.65) > 0.999
    doubled = BaselineWander(peak_mv=(0.6, 0.6), p=1.0)(signal, TWELVE, rng()) - signal
    assert torch.allclose(doubled, 2 * drift)  # added in proportion, and to whatever is there
    shifted = BaselineWander(peak_mv=(0.3, 0.3), p=1.0)(signal + 1, TWELVE, rng()) - (signal + 1)
    assert torch.allclose(shifted, drift)


@pytest.mark.parametrize(("hz", "fs"), [(50.0, 250.0), (60.0, 250.0), (50.0, 500.0), (50.0, 125.0)])
def test_mains_is_a_line_of_the_stated_height(hz: float, fs: float) -> None:
    setting = Setting(fs, TWELVE_LEADS)
    signal = strips(8, 10.0, setting)
    mains = PowerLine(hz=(hz,), peak_mv=(0.1, 0.1), third=0.0, drift_hz=0.1, p=1.0)
    hum = mains(signal, setting, rng()) - signal
    assert share(hum, lambda f: (f > hz - 0.6) & (f < hz + 0.6), fs) > 0.99
    amplitude = (2**0.5 * hum.square().mean(-1).sqrt()).amax(dim=1)
    assert torch.allclose(amplitude, torch.full((8,), 0.1, dtype=torch.float64), rtol=0.02)


def test_the_third_harmonic_is_there_where_the_rate_holds_it() -> None:
    for fs, expected in ((500.0, 0.2**2 / (1 + 0.2**2)), (250.0, 0.0)):
        setting = Setting(fs, ("II",))
        signal = strips(4, 10.0, setting)
        hum = PowerLine(hz=(50.0,), third=0.2, p=1.0)(signal, setting, rng()) - signal
        assert share(hum, lambda f: f > 100, fs) == pytest.approx(expected, abs=2e-3)


def test_mains_that_would_alias_is_left_out_with_a_warning() -> None:
    setting = Setting(100.0, ("II",))
    signal = strips(4, 4.0, setting)
    with pytest.warns(UserWarning, match=r"50 and 60 Hz cannot be held at 100 Hz"):
        assert torch.equal(PowerLine(p=1.0)(signal, setting, rng()), signal)
    with pytest.warns(UserWarning, match="60 Hz cannot be held"):
        Chain([PowerLine(p=1.0)], fs=110, leads=("II",))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chain = default_chain(100, TWELVE_LEADS)
    assert not any(isinstance(one, PowerLine) for one in chain.transforms)
    assert any(isinstance(one, PowerLine) for one in default_chain(250, TWELVE_LEADS).transforms)


# ------------------------------------------------------------------ time


def test_a_shift_moves_without_wrapping() -> None:
    ramp = torch.arange(1000, dtype=torch.float64).expand(50, 1, -1)
    done = TimeShift(seconds=0.2, p=1.0)(ramp, ONE, rng())
    by = done[:, 0, 500] - 500
    assert by.abs().max() <= 50 and by.unique().numel() > 20
    expected = (torch.arange(1000) + by[:, None]).clamp(0, 999)
    assert torch.equal(done[:, 0], expected)


def test_crops_are_pieces_of_the_strip() -> None:
    ramp = torch.arange(1000, dtype=torch.float64).expand(50, 1, -1)
    done = RandomCrop(seconds=2.0)(ramp, ONE, rng())
    assert done.shape == (50, 1, 500)
    assert (done.diff(dim=-1) == 1).all()
    assert done[:, 0, 0].unique().numel() > 30 and done.max() <= 999
    with pytest.raises(OptionError, match="RandomCrop: 5 s are 1250 samples"):
        RandomCrop(seconds=5.0)(ramp, ONE, rng())


def test_a_warp_changes_speed_by_no_more_than_stated_and_keeps_the_ends() -> None:
    ramp = torch.arange(2500, dtype=torch.float64).expand(40, 1, -1)
    done = TimeWarp(speed=0.08, p=1.0)(ramp, ONE, rng())[:, 0]
    assert torch.allclose(done[:, 0], torch.tensor(0.0, dtype=torch.float64))
    assert torch.allclose(done[:, -1], torch.tensor(2499.0, dtype=torch.float64))
    speed = done[:, 2:-2].diff(dim=-1)
    assert 0.92 - 1e-3 < speed.min() < 0.94 and 1.06 < speed.max() < 1.08 + 1e-3


def test_a_warp_keeps_every_beat_and_its_height() -> None:
    signal = strips(10, 10.0, ONE)
    done = TimeWarp(speed=0.05, p=1.0)(signal, ONE, rng())

    def peaks(row: Tensor) -> Tensor:
        inner = row[1:-1]
        return (inner > row[:-2]).logical_and(inner >= row[2:]).logical_and(inner > 0.6 * row.max()).nonzero()

    for before, after in zip(signal[:, 0], done[:, 0], strict=True):
        assert len(peaks(before)) == len(peaks(after)) == 12
        rr = peaks(after)[:, 0].diff() / peaks(before)[:, 0].diff()
        assert (rr - 1).abs().max() < 0.06
        assert after.max() == pytest.approx(float(before.max()), rel=0.05)


@pytest.mark.parametrize(("fs", "to"), [(500.0, 100.0), (360.0, 100.0), (100.0, 250.0), (300.0, 360.0)])
def test_resampling_keeps_tones_that_fit_and_removes_the_others(fs: float, to: float) -> None:
    old, new = Setting(fs, ("II",)), Setting(to, ("II",))
    kept = resampled(tone(12.5, old), fs, to)
    assert kept.shape[-1] == round(10 * to)
    assert torch.allclose(middle(kept), middle(tone(12.5, new)), atol=0.01)
    if to < fs:
        lost = resampled(tone(0.56 * to, old), fs, to)
        assert middle(lost).abs().max() < 0.2
        assert middle(resampled(tone(0.7 * to, old), fs, to)).abs().max() < 0.03


def test_resampling_there_and_back_gives_the_strip_again() -> None:
    signal = strips(2, 10.0) + 0.5  # a level must survive too
    back = resampled(resampled(signal, 250, 500), 500, 250)
    assert (back - signal)[..., 50:-50].abs().max() < 0.02
    with pytest.raises(OptionError, match="no simple ratio"):
        resampled(signal, 250, 250 * np.pi)


# ------------------------------------------------------------------ devices


def test_a_band_passes_and_stops_what_it_says_without_delay() -> None:
    band = BandFilter(low_hz=(0.5, 0.5), high_hz=(40.0, 40.0), p=1.0)
    assert torch.allclose(middle(band(tone(10), ONE, rng())), middle(tone(10)), atol=0.01)
    at_edge = middle(band(tone(40), ONE, rng())).square().mean() / 0.5
    assert 10 * at_edge.log10() == pytest.approx(-3.0, abs=0.1)
    assert middle(band(tone(80), ONE, rng())).abs().max() < 0.08
    assert middle(band(torch.ones(1, 1, 2500, dtype=torch.float64), ONE, rng())).abs().max() < 1e-9
    signal = strips(1, 10.0, ONE)[0, 0]
    done = band(signal[None, None], ONE, rng())[0, 0]
    assert int(done.argmax()) % 200 == int(signal.argmax()) % 200  # a beat every 0.8 s


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_has_its_band_and_resolution(name: str) -> None:
    device, setting = DEVICES[name], Setting(500.0, ("II",))
    other = OtherDevice(names=(name,), p=1.0)
    done = other(strips(1, 10.0, setting), setting, rng())
    steps = done / device.step_mv
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    top = min(device.high_hz, 0.45 * device.fs)
    inside = middle(other(tone(0.5 * top, setting), setting, rng()))
    assert (2 * inside.square().mean()).sqrt() == pytest.approx(1, abs=0.02)
    assert middle(other(tone(1.6 * top, setting), setting, rng())).abs().max() < 0.2


def test_an_unknown_device_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match="diagnostic, monitor"):
        OtherDevice(names=("phone",))


def test_a_gain_is_one_for_all_limb_leads_and_one_for_each_chest_lead() -> None:
    signal = strips(50)
    factor = (Gain(p=1.0)(signal, TWELVE, rng()) / signal).nanmedian(dim=-1).values
    assert torch.allclose(factor[:, :6], factor[:, :1].expand(-1, 6))
    assert 0.7 <= factor[:, 0].min() < 0.8 and 1.25 < factor[:, 0].max() <= 1.4
    chest = factor[:, 6:] / factor[:, :1]
    assert chest.min() >= 0.9 and chest.max() <= 1.1 and chest.std() > 0.03


def test_an_electrode_that_comes_off_spoils_its_leads_only_while_it_is_off() -> None:
    signal = strips(150, 2.0)
    done = ElectrodeDropout(seconds=(1.0, 1.0), p=1.0)(signal, TWELVE, rng())
    changed = (done - signal).abs() > 1e-9
    assert changed.any(dim=1).sum(dim=1).max() <= 251
    patterns = {tuple(row.tolist()) for row in changed.any(dim=2)}
    names = {frozenset(lead for lead, hit in zip(TWELVE_LEADS, row, strict=True) if hit) for row in patterns}
    chest = {f"V{i}" for i in range(1, 7)}
    assert {frozenset({lead}) for lead in chest} <= names
    without = {"RA": "III", "LA": "II", "LL": "I"}  # the one limb lead that does not use the electrode
    assert {frozenset(set(TWELVE_LEADS) - {lead}) for lead in without.values()} <= names
    assert len(names) == 9


def test_a_single_lead_goes_flat_while_its_electrode_is_off() -> None:
    signal = strips(20, 4.0, ONE) + 2
    done = ElectrodeDropout(seconds=(1.0, 2.0), p=1.0)(signal, ONE, rng())
    off = (done == 0).sum(dim=-1)
    assert off.min() >= 249 and off.max() <= 501


def test_a_mask_leaves_some_leads_and_does_not_touch_them() -> None:
    signal = strips(400, 0.5)
    done = LeadMask(share=0.5, p=1.0)(signal, TWELVE, rng())
    masked = (done == 0).all(dim=-1)
    assert torch.equal(done[~masked], signal[~masked])
    assert masked.double().mean() == pytest.approx(0.5, abs=0.03)
    assert (~LeadMask(share=1.0, p=1.0)(signal, TWELVE, rng()).eq(0).all(-1)).sum(1).eq(1).all()


# ------------------------------------------------------------------ chains and refusals


def test_a_chain_is_decided_by_its_seed_and_leaves_its_input() -> None:
    chain, signal = default_chain(FS, TWELVE_LEADS), strips(16).float()
    before = signal.clone()
    assert torch.equal(chain(signal, seed=4), chain(signal, seed=4))
    assert not torch.equal(chain(signal, seed=4), chain(signal, seed=5))
    assert torch.equal(signal, before)
    one = default_chain(FS, ("II",))
    assert torch.equal(one(signal[:, :1], seed=1), one(signal[:, :1], seed=1))
    assert torch.equal(signal, before)


def test_a_chain_passes_gradients_and_gives_the_same_with_and_without_them() -> None:
    chain, signal = default_chain(FS, TWELVE_LEADS), strips(16).float()
    plain = chain(signal, seed=9)
    followed = signal.clone().requires_grad_()
    done = chain(followed, seed=9)
    assert torch.equal(done.detach(), plain)
    (gradient,) = torch.autograd.grad(done.square().sum(), followed)
    assert gradient.isfinite().all() and gradient.flatten(1).abs().sum(1).min() > 0


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: GaussianNoise(p=1.5), "p is 1.5"),
        (lambda: GaussianNoise(snr_db=(30, 10)), r"snr_db is \(30, 10\)"),
        (lambda: EMGNoise(snr_db=(float("nan"), 10)), "snr_db"),
        (lambda: EMGNoise(swell=2), "swell is 2"),
        (lambda: BaselineWander(peak_mv=(0, 1)), "peak_mv"),
        (lambda: PowerLine(hz=()), "positive"),
        (lambda: TimeShift(seconds=-1), "seconds is -1"),
        (lambda: RandomCrop(seconds=0), "over 0 s"),
        (lambda: TimeWarp(speed=0.6), "below 0.5"),
        (lambda: BandFilter(low_hz=(1, 50), high_hz=(20, 40)), "nothing would pass"),
        (lambda: Gain(factor=(0, 1)), "factor"),
        (lambda: ElectrodeDropout(seconds=(2, 1)), "seconds"),
        (lambda: LeadMask(share=-0.1), "share is -0.1"),
        (lambda: Chain([], fs=0, leads=("I",)), "positive rate"),
        (lambda: Chain([], fs=100, leads=("I", "I")), "distinct"),
        (lambda: Chain([LeadMask(), Gain()], fs=100, leads=("I", "II")), "must come last"),
    ],
)
def test_impossible_parameters_are_refused(build: Callable[[], object], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        build()


def test_a_batch_of_another_shape_is_refused() -> None:
    chain = default_chain(FS, TWELVE_LEADS)
    with pytest.raises(OptionError, match=r"expected floats \[B, L, T\]"):
        chain(torch.zeros(12, 100), seed=0)
    with pytest.raises(OptionError, match="got 2 leads, the setting names 12"):
        chain(torch.zeros(1, 2, 100), seed=0)
    with pytest.raises(OptionError, match="floats"):
        chain(torch.zeros(1, 12, 100, dtype=torch.int16), seed=0)

"""The networks and how they render plans, with untrained weights: shapes, seams, and who depends on whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ecgsynth.generators import learned
from ecgsynth.generators.atrial_waves import atrial_waves, people_of
from ecgsynth.generators.beat_heights import beat_heights
from ecgsynth.generators.blocks import CONTEXT, HOP, Block, Decoder, LappedTransform, StripEmbedding
from ecgsynth.generators.cgan import CGAN, Critic, gradient_penalty
from ecgsynth.generators.conditions import (
    BEAT_CLASSES,
    N_COARSE,
    N_FINE,
    PATCH,
    RHYTHM_INDEX,
    beat_class,
    make_conditions,
    rhythm_per_frame,
)
from ecgsynth.generators.cvae import CVAE, kl_to_standard_normal
from ecgsynth.generators.ectopy import ventricular_heights
from ecgsynth.generators.learned import PIECE_FRAMES, plan_conditions
from ecgsynth.generators.plan import PLAN_FS, Plan, Request
from ecgsynth.generators.recording import heart_factor
from ecgsynth.generators.repolarisation import with_adapted_t
from ecgsynth.generators.rhythm_process import draw_plan
from ecgsynth.generators.strip_net import LearnedConfig, StripNet, heart_numbers
from ecgsynth.records import INDEPENDENT_LEADS, Episode
from ecgsynth.rhythms import RHYTHMS

SINGLE = LearnedConfig(("*",), ("I", "II"), ("mitdb", "ptbxl"), latent=6, width=16, film=12)
TWELVE = LearnedConfig(INDEPENDENT_LEADS, ("12",), ("ptbxl",), latent=6, width=16, film=12)


def untrained(config: LearnedConfig, seed: int = 0) -> StripNet:
    torch.manual_seed(seed)
    return StripNet(config)


def plans(n: int, seconds: float = 6.0, rhythm: str = "nsr", leads: tuple[str, ...] = ("II",)) -> list[Plan]:
    request = Request(((rhythm, seconds),), leads, "ptbxl")
    return [draw_plan(request, np.random.default_rng(i)) for i in range(n)]


def rngs(n: int, first: int = 100) -> list[np.random.Generator]:
    return [np.random.default_rng(first + i) for i in range(n)]


@pytest.mark.parametrize("dilation", [1, 2, 4, 8])
def test_a_block_is_the_same_however_its_convolution_is_laid_out(dilation: int) -> None:
    torch.manual_seed(0)
    block, x = Block(16, dilation), torch.randn(3, 52, 16)
    mixed = block.mix(x.permute(0, 2, 1).unsqueeze(2)).squeeze(2).permute(0, 2, 1)
    wanted = x + block.down(torch.nn.functional.gelu(block.up(block.norm(mixed))))
    torch.testing.assert_close(block(x), wanted)
    torch.testing.assert_close(block._mixed(x), mixed)


def test_patches_as_products_of_matrices_are_the_convolutions() -> None:
    torch.manual_seed(0)
    embed, frames = StripEmbedding(N_FINE, 16), 2 * HOP // PATCH
    fine, rhythm = torch.randn(3, N_FINE, frames * PATCH), torch.zeros(3, frames, dtype=torch.int64)
    coarse = torch.randn(3, N_COARSE, frames)
    rest = embed.coarse(coarse.transpose(1, 2)) + embed.rhythm(rhythm)
    torch.testing.assert_close(embed(fine, coarse, rhythm), embed.fine(fine).transpose(1, 2) + rest)
    for channels in (1, 8):
        net, x = Decoder(channels, 2, 2, 5, 16, 12), torch.randn(3, frames, 16)
        torch.testing.assert_close(net._samples(x), net.mean(x.transpose(1, 2)))


def test_lapped_transform_is_orthonormal_and_inverts() -> None:
    torch.manual_seed(0)
    signal = torch.randn(3, 10 * HOP)
    lapped = LappedTransform()
    coefficients = lapped(signal)
    assert torch.allclose(lapped.inverse(coefficients), signal, atol=1e-5)
    assert torch.allclose(coefficients.square().sum((1, 2)), signal.square().sum(1), rtol=1e-5)


def test_lapped_transform_puts_a_tone_where_its_frequency_is() -> None:
    hz = 25.0
    tone = torch.sin(2 * torch.pi * hz * torch.arange(40 * HOP) / PLAN_FS)
    power = LappedTransform()(tone).square().mean(0)
    assert int(power.argmax()) in (int(hz / 3.125) - 1, int(hz / 3.125))


def test_bumps_stand_at_the_beats_in_the_channel_of_their_class() -> None:
    times, symbols = np.array([-0.5, 0.4004, 1.2]), ["N", "V", "/"]
    classes = np.array([beat_class(s) for s in symbols])
    zeros = np.zeros(500, np.float32)
    made = make_conditions(times, classes, zeros, zeros, np.zeros(50, np.int64))
    assert made.fine.shape == (N_FINE, 500) and made.coarse.shape == (N_COARSE, 50)
    v, paced = BEAT_CLASSES.index("V"), BEAT_CLASSES.index("/")
    assert made.fine[v].argmax() == 100 and made.fine[paced].argmax() == 300
    assert made.fine[0].max() < 1e-3, "the beat before the strip leaves no bump in it"


def test_time_since_and_to_a_beat_count_in_seconds() -> None:
    zeros = np.zeros(500, np.float32)
    times, classes = np.array([0.4, 1.2]), np.zeros(2, np.int64)
    fine = make_conditions(times, classes, zeros, zeros, np.zeros(50, np.int64)).fine
    since, to_next = fine[len(BEAT_CLASSES)], fine[len(BEAT_CLASSES) + 1]
    assert since[150] == pytest.approx(0.2) and to_next[150] == pytest.approx(0.6)
    assert since[10] == pytest.approx(2.0) and to_next[400] == pytest.approx(2.0), "far is 2 s"


def test_a_strip_without_beats_has_finite_conditions() -> None:
    zeros = np.zeros(250, np.float32)
    none = np.zeros(0)
    made = make_conditions(none, none.astype(np.int64), zeros, zeros, np.zeros(25, np.int64))
    assert np.isfinite(made.fine).all() and not made.coarse.any()


def test_rhythm_changes_at_the_frame_of_the_episode() -> None:
    names = list(RHYTHMS)
    frames = rhythm_per_frame((Episode(0, 500, "nsr"), Episode(500, 1000, "afib")), 1040)
    assert frames[49] == names.index("nsr") and frames[50] == names.index("afib")
    assert frames[-1] == names.index("afib"), "padding goes on with the last rhythm"


def test_unknown_beat_codes_count_as_normal() -> None:
    assert beat_class("N") == beat_class("Q") == 0 and beat_class("E") == BEAT_CLASSES.index("V")


def test_heart_numbers_say_rate_and_whether_there_are_beats() -> None:
    assert heart_numbers(np.arange(10) * 0.8) == pytest.approx([0.0, 1.0])
    assert heart_numbers(np.zeros(0)) == [0.0, 0.0]


@pytest.mark.parametrize("kind", [CVAE, CGAN])
@pytest.mark.parametrize(("config", "leads"), [(SINGLE, ("II",)), (TWELVE, INDEPENDENT_LEADS)])
def test_rendered_signals_have_one_row_per_lead_and_the_plan_s_length(
    kind: type[CVAE], config: LearnedConfig, leads: tuple[str, ...]
) -> None:
    made = kind(untrained(config)).render(plans(2, leads=leads), rngs(2))
    assert [x.shape for x in made] == [(len(config.outputs), 1500)] * 2
    assert all(np.isfinite(x).all() and x.dtype == np.float32 for x in made)


def test_a_record_does_not_depend_on_its_companions_or_place() -> None:
    generator = CVAE(untrained(SINGLE))
    whole = generator.render(plans(20), rngs(20))
    alone = generator.render(plans(20)[7:8], rngs(20)[7:8])
    few = generator.render(plans(5), rngs(5))
    assert np.array_equal(whole[7], alone[0])
    assert all(np.array_equal(a, b) for a, b in zip(whole, few, strict=False))
    # One by one they are the same but for rounding, and each the same with others beside it or without.
    again = generator.render(plans(5), rngs(5), alone=True)
    assert np.allclose(again[3], few[3], atol=1e-4)
    assert np.array_equal(again[3], generator.render(plans(5)[3:4], rngs(5)[3:4], alone=True)[0])


def test_atrial_waves_are_there_in_fibrillation_and_flutter_only() -> None:
    assert atrial_waves(plans(1)[0], ("V1",), np.random.default_rng(0)) is None
    request = Request((("nsr", 4.0), ("afib", 4.0)), INDEPENDENT_LEADS, "ptbxl")
    mixed = atrial_waves(draw_plan(request, np.random.default_rng(1)), INDEPENDENT_LEADS, rngs(1)[0])
    assert mixed is not None and mixed.shape == (8, 2000) and mixed.dtype == np.float32
    assert not mixed[:, :950].any() and mixed[:, 1050:].any(1).all()


@pytest.mark.parametrize(("rhythm", "low", "high"), [("afib", 0.015, 0.08), ("aflutter", 0.04, 0.2)])
def test_atrial_waves_have_the_size_and_rate_of_real_ones(rhythm: str, low: float, high: float) -> None:
    """Real f waves in V1: 0.04 to 0.15 mV from peak to peak and 4 to 9 Hz; flutter 240 to 350/min."""
    made = [
        atrial_waves(plan, ("V1",), rng) for plan, rng in zip(plans(30, rhythm=rhythm), rngs(30), strict=True)
    ]
    waves = np.stack([wave[0] for wave in made if wave is not None])
    assert low < np.median(waves.std(1)) < high
    power = np.abs(np.fft.rfft(waves - waves.mean(1, keepdims=True))) ** 2
    hz = np.fft.rfftfreq(waves.shape[1], 1 / PLAN_FS)[power.argmax(1)]
    assert 3.0 < np.median(hz) < 8.0


@pytest.mark.parametrize("rhythm", ["afib", "nsr"])
def test_twelve_lead_hearts_carry_atrial_waves(monkeypatch: pytest.MonkeyPatch, rhythm: str) -> None:
    generator, some = CVAE(untrained(TWELVE)), plans(2, rhythm=rhythm, leads=INDEPENDENT_LEADS)
    both = generator.render_pairs(some, rngs(2))
    monkeypatch.setattr(learned, "atrial_waves", lambda *_: None)
    without = generator.render_pairs(some, rngs(2))
    for (signal, heart), (bare, bare_heart) in zip(both, without, strict=True):
        assert np.allclose(signal - bare, heart - bare_heart, atol=1e-5)
        assert (np.abs(signal - bare).max() > 0.02) == (rhythm == "afib")


def test_plans_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        CVAE(untrained(SINGLE)).render([*plans(1), *plans(1, seconds=7.0)], rngs(2))


def test_a_long_record_decoded_in_pieces_has_no_seam() -> None:
    """Pieces share enough context that they equal one pass over the whole record."""
    config = SINGLE
    net = untrained(config).eval()
    for name, parameter in net.named_parameters():
        if name.endswith("down.weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    seconds = (PIECE_FRAMES + 3 * CONTEXT) * PATCH / PLAN_FS
    plan = plans(1, seconds=float(int(seconds)))
    pieces = CVAE(net).render(plan, rngs(1))[0]
    import ecgsynth.generators.learned as learned

    before = learned.PIECE_FRAMES
    try:
        learned.PIECE_FRAMES = 10 * before
        whole = CVAE(net).render(plan, rngs(1))[0]
    finally:
        learned.PIECE_FRAMES = before
    assert np.abs(whole - pieces).max() < 1e-4 * np.abs(whole).max()


def test_what_is_far_away_does_not_reach_a_frame() -> None:
    torch.manual_seed(1)
    net = Decoder(1, 2, 2, 5, 16, 12).eval()
    n = 4 * CONTEXT // 4 * 4
    fine, coarse = torch.randn(1, N_FINE, n * PATCH), torch.randn(1, N_COARSE, n)
    rhythm, record = torch.zeros(1, n, dtype=torch.long), torch.randn(1, 12)
    changed = fine.clone()
    changed[..., : (n // 2 - CONTEXT) * PATCH] += 5
    with torch.no_grad():
        a, b = (net(x, coarse, rhythm, record, torch.zeros(1), torch.zeros(1, 3))[0] for x in (fine, changed))
    assert torch.allclose(a[..., n // 2 * PATCH :], b[..., n // 2 * PATCH :], atol=1e-5)
    assert not torch.allclose(a, b, atol=1e-3)


def test_kl_is_zero_for_the_prior_itself_and_positive_elsewhere() -> None:
    zero = torch.zeros(2, 3)
    assert kl_to_standard_normal(zero, zero).abs().max() == 0
    assert (kl_to_standard_normal(zero + 1, zero - 1) > 0).all()


def test_gradient_penalty_is_the_squared_slope_of_the_critic() -> None:
    """Checked against a finite difference along the gradient's own direction."""
    torch.manual_seed(2)
    critic = Critic(SINGLE, width=16).double()
    n = 32
    batch = {
        "fine": torch.randn(1, N_FINE, n * PATCH).double(),
        "coarse": torch.randn(1, N_COARSE, n).double(),
        "rhythm": torch.zeros(1, n, dtype=torch.long),
        "lead": torch.zeros(1, dtype=torch.long),
        "source": torch.zeros(1, dtype=torch.long),
        "demographics": torch.zeros(1, 4).double(),
        "gain": torch.zeros(1).double(),
    }
    signal = torch.randn(1, 1, n * PATCH).double()

    def total(x: torch.Tensor) -> torch.Tensor:
        logits = critic(x, batch)
        return logits.sum() / logits.shape[1] ** 0.5

    at = signal.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(total(at), at)
    step = 1e-5 * slope / slope.norm()
    with torch.no_grad():
        rise = (total(signal + step) - total(signal - step)) / 2e-5
    penalty = gradient_penalty(critic, signal, batch).detach()
    assert float(penalty) == pytest.approx(float(rise) ** 2, rel=1e-4)


def test_noise_does_not_change_the_level_of_a_record() -> None:
    rng = np.random.default_rng(0)
    mean, noise = 0.6 * rng.standard_normal((2, 1, 2000)), 0.3 * rng.standard_normal((2, 1, 2000))
    made = mean * heart_factor(mean.astype(np.float32), noise.astype(np.float32)) + noise
    assert made.std((1, 2)) == pytest.approx(1.0, abs=0.03)


def test_beats_of_a_record_differ_by_a_few_percent() -> None:
    spread = [beat_heights(np.arange(12.0), np.array([-3.2, 0.6]), rng).std() for rng in rngs(200)]
    assert 0.02 < np.median(spread) < 0.06 and max(spread) < 0.3


def test_a_paroxysm_is_had_by_somebody_who_has_p_waves() -> None:
    net = untrained(SINGLE).eval()
    request = Request((("nsr", 4.0), ("afib", 8.0)), SINGLE.leads[:1], SINGLE.sources[0])
    mixed = draw_plan(request, np.random.default_rng(0))
    alone = draw_plan(replace(request, script=(("afib", 12.0),)), np.random.default_rng(0))
    rhythms = CVAE(net)._ids([mixed, alone])[0].tolist()
    assert [list(RHYTHMS)[k] for k in rhythms] == ["nsr", "afib"]


def test_t_waves_come_later_after_longer_intervals_and_nothing_else_moves() -> None:
    rng = np.random.default_rng(0)
    plan = draw_plan(Request((("afib", 120.0),), ("II",), "mitdb", heart_rate=70, ectopy=0.0), rng)
    at = np.arange(plan.n_samples) / PLAN_FS
    since = at[:, None] - plan.beat_times
    qrs = np.exp(-0.5 * (since / 0.012) ** 2).sum(1)
    wave = 0.3 * np.exp(-0.5 * ((since - 0.29) / 0.03) ** 2).sum(1)
    heart = (qrs + wave)[None].astype(np.float32)
    noise = rng.standard_normal(heart.shape).astype(np.float32)
    slopes = []
    for seed in range(12):
        strip, moved = with_adapted_t(plan, (heart + noise, heart), np.random.default_rng(seed))
        assert np.allclose(strip - moved, noise, atol=1e-5)
        near = np.abs(since).min(1) < 0.055
        assert np.array_equal(moved[0, near], heart[0, near])
        inside = [k for k in range(1, len(plan.beat_times) - 1) if 0.5 < plan.beat_times[k] < 119.0]
        rr = np.diff(plan.beat_times)
        wide = [k for k in inside if rr[k] > 0.7]
        start = [round(plan.beat_times[k] * PLAN_FS) + 45 for k in wide]
        peaks = [(i + moved[0, i : i + 55].argmax()) / PLAN_FS for i in start]
        after = np.array(peaks) - plan.beat_times[wide]
        slopes.append(np.polyfit(rr[np.array(wide) - 1], after, 1)[0])
    assert 0.015 < np.median(slopes) < 0.06
    assert max(slopes) < 0.12


def test_ventricular_beats_of_a_record_are_of_one_height_and_taller_than_a_latent_knows() -> None:
    def factors(script: str, seeds: int = 60) -> list[np.ndarray]:
        made = []
        for seed in range(seeds):
            share = {} if script in ("vt", "bigeminy") else {"ectopy": 0.2}
            plan = draw_plan(
                Request(((script, 10.0),), ("II",), "mitdb", **share), np.random.default_rng(seed)
            )
            heights = ventricular_heights(plan, np.random.default_rng(seed))
            early = np.array(plan.symbols) == "V"
            assert (heights[~np.isin(plan.symbols, ("V", "F"))] == 1).all()
            assert len(set(heights[early].tolist())) <= 1
            made.append(heights[early])
        return [x for x in made if len(x)]

    assert np.concatenate(factors("vt", 5)).std() == 0
    assert np.median([x[0] for x in factors("nsr")]) == pytest.approx(1.55, rel=0.15)
    assert np.median([x[0] for x in factors("bigeminy")]) == pytest.approx(1.25, rel=0.15)


def test_heights_drift_over_minutes_and_differ_little_within_seconds() -> None:
    times = np.cumsum(np.full(400, 0.8))
    made = [beat_heights(times, np.array([-3.2, 0.0]), rng) for rng in rngs(20)]
    near = [np.corrcoef(x[1:], x[:-1])[0, 1] for x in made]
    assert 0.45 < np.median(near) < 0.75
    within = np.median([x[:396].reshape(-1, 6).std(1).mean() for x in made])
    assert within == pytest.approx(np.exp(-3.2), rel=0.4)
    assert 1.3 * within < np.median([x.std() for x in made]) < 2.4 * within


def test_heights_breathe_as_the_sinus_node_does() -> None:
    at = np.cumsum(0.8 + 0.06 * np.sin(2 * np.pi * 0.27 * 0.8 * np.arange(400)))
    breath = np.sin(2 * np.pi * 0.27 * 0.8 * np.arange(400))

    def together(sinus: bool) -> float:
        made = [beat_heights(at, np.array([-3.2, 0.0]), rng, sinus) for rng in rngs(40)]
        return float(np.mean([abs(np.corrcoef(x, breath)[0, 1]) for x in made]))

    assert together(True) > 0.13
    assert together(False) < 0.08


def test_fusion_beats_of_tachycardia_are_part_ventricular_part_conducted() -> None:
    plan = draw_plan(Request((("vt", 6.0),), ("II",), "vfdb"), np.random.default_rng(0))
    symbols = ["V"] * len(plan.symbols)
    symbols[8] = "F"
    mixed = replace(plan, symbols=tuple(symbols))
    made = plan_conditions(mixed, rng=np.random.default_rng(1)).fine
    at = round(float(plan.beat_times[8]) * PLAN_FS)
    parts = [made[BEAT_CLASSES.index(kind), at - 2 : at + 3].max() for kind in ("F", "N")]
    assert 0.1 < parts[0] < 0.7 and sum(parts) == pytest.approx(1.1, abs=0.15)
    paced = replace(mixed, episodes=tuple(replace(e, rhythm="paced") for e in plan.episodes))
    assert plan_conditions(paced, rng=np.random.default_rng(1)).fine[0].max() == 0.0


def test_atrial_beats_are_drawn_with_the_qrs_of_the_others_and_a_p_wave_of_their_own() -> None:
    request = Request((("nsr", 6.0),), ("II",), "ptbxl", ectopy=0.0)
    plan = draw_plan(request, np.random.default_rng(0))
    symbols = ["N"] * len(plan.symbols)
    symbols[4] = "A"
    early = replace(plan, symbols=tuple(symbols))
    made = plan_conditions(early, rng=np.random.default_rng(1))
    assert np.array_equal(made.fine, plan_conditions(plan).fine)
    assert made.p_lost is not None
    lost = np.flatnonzero(made.p_lost)
    assert 0 < len(lost) <= 3
    assert abs(lost.mean() * PATCH / PLAN_FS - plan.beat_times[4]) < 0.05
    of_mitdb = replace(early, request=replace(request, source="mitdb"))
    assert plan_conditions(of_mitdb).fine[BEAT_CLASSES.index("S")].max() > 0.9
    assert plan_conditions(plan, rng=np.random.default_rng(1)).p_lost is None


def test_a_p_wave_that_is_lost_leaves_the_rest_of_the_strip() -> None:
    net = untrained(SINGLE).eval()
    made = plan_conditions(plans(1)[0])
    given = (torch.from_numpy(made.fine[None]), torch.from_numpy(made.coarse[None]))
    rhythm = torch.from_numpy(made.rhythm[None])
    record = torch.randn(1, SINGLE.film)
    lost = torch.zeros(1, rhythm.shape[1])
    frame = round(float(plans(1)[0].beat_times[4]) * PLAN_FS / PATCH)
    lost[0, frame - 1 : frame + 2] = 1.0
    means = [
        net.decoder(*given, rhythm, record, torch.zeros(1), torch.zeros(1, 3), None, True, None, p)[0]
        for p in (None, lost)
    ]
    moved = np.flatnonzero((means[0] - means[1])[0, 0].abs().detach().numpy() > 1e-6)
    at = plans(1)[0].beat_times[4] * PLAN_FS
    assert len(moved) and moved.min() > at - 0.3 * PLAN_FS and moved.max() < at


@pytest.mark.parametrize(("rhythm", "lost"), [("aflutter", 1.0), ("afib", 1.0), ("nsr", None)])
def test_beats_without_a_p_wave_in_the_plan_are_drawn_without(rhythm: str, lost: float | None) -> None:
    request = Request(((rhythm, 6.0),), ("II",), "ptbxl", ectopy=0.0)
    for seed in range(10):
        plan = draw_plan(request, np.random.default_rng(seed))
        made = plan_conditions(plan, rng=np.random.default_rng(seed)).p_lost
        if lost is None:
            assert made is None
            continue
        assert made is not None
        frames = (plan.beat_times * PLAN_FS / PATCH).astype(int)
        inside = frames[(frames >= 0) & (frames < len(made))]
        assert (made[inside] == lost).all()


def test_paced_beats_that_follow_no_atrium_have_no_p_wave() -> None:
    made = [
        plan_conditions(plan, rng=np.random.default_rng(0)).p_lost
        for plan in plans(40, rhythm="paced")
        if not len(plan.p_times) and set(plan.symbols) <= {"/", "f"}
    ]
    assert len(made) > 5 and all(lost is not None and lost.max() == 1.0 for lost in made)


def test_people_in_fibrillation_are_drawn_from_all_sinus_rhythms() -> None:
    kinds = torch.tensor([RHYTHM_INDEX["afib"]] * 400 + [RHYTHM_INDEX["aflutter"], RHYTHM_INDEX["paced"]])
    scores = torch.randn(402, 5, generator=torch.Generator().manual_seed(0))
    found = people_of(kinds, scores)
    sinus = ("nsr", "sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia")
    counts = [int((found[:400] == RHYTHM_INDEX[name]).sum()) for name in sinus]
    assert sum(counts) == 400 and min(counts) > 70
    assert found[400] in [RHYTHM_INDEX[name] for name in sinus] and found[401] == kinds[401]
    assert torch.equal(people_of(kinds[5:9], scores[5:9]), found[5:9])


def test_waves_point_as_those_of_people_in_fibrillation_and_flutter() -> None:
    """f waves are larger in V1 than in II (Platonov PG et al. 2014), flutter waves in II than in I."""
    size = {}
    for rhythm in ("afib", "aflutter"):
        made = [
            atrial_waves(plan, ("I", "II", "V1"), rng)
            for plan, rng in zip(plans(40, rhythm=rhythm), rngs(40), strict=True)
        ]
        size[rhythm] = np.median([wave.std(1) for wave in made if wave is not None], axis=0)
    assert size["afib"][2] > 1.3 * size["afib"][1]
    assert size["aflutter"][1] > 1.5 * size["aflutter"][0]
    assert (size["aflutter"] > size["afib"]).all()

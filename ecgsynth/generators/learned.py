"""What the cVAE and the cGAN have in common: rendering a plan with a trained net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgsynth.generators.atrial_waves import atrial_waves, people_of
from ecgsynth.generators.beat_heights import beat_bends, beat_heights, fused
from ecgsynth.generators.blocks import CONTEXT, HOP, N_COLOURS
from ecgsynth.generators.conditions import (
    HOP_FRAMES,
    PATCH,
    RHYTHM_INDEX,
    Conditions,
    add_bumps,
    beat_class,
    make_conditions,
    rhythm_per_frame,
)
from ecgsynth.generators.decoder_rows import Gauss, filled_up, stacked
from ecgsynth.generators.ectopy import drawn_symbols, lost_p_waves, ventricular_heights
from ecgsynth.generators.latent_prior import N_EXTRAS
from ecgsynth.generators.plan import PLAN_FS, Plan
from ecgsynth.generators.recording import (
    filtered,
    heart_factor,
    kind_of,
    lively_noise,
    slow_parts,
    without_floor,
)
from ecgsynth.generators.repolarisation import with_adapted_t
from ecgsynth.generators.rr_models import SINUS
from ecgsynth.generators.strip_net import StripNet, demographics_vector, heart_numbers
from ecgsynth.generators.vf_shape import with_vf_shape
from ecgsynth.generators.wander import split_wander
from ecgsynth.rhythms import RHYTHMS

#: Rows per decoder call. Fixed, because a matrix product may round differently at another size.
ROWS = 8
#: Rows per draw of latents: the flow is so small that rows cost next to nothing.
LATENT_ROWS = 32
#: Frames decoded at once; longer records are decoded in pieces that share `CONTEXT` frames.
PIECE_FRAMES = 1024


def plan_conditions(
    plan: Plan,
    heights: NDArray[np.float64] | None = None,
    bends: NDArray[np.float64] | None = None,
    rng: np.random.Generator | None = None,
) -> Conditions:
    """Conditions of a plan, padded at the end to whole hops of the noise transform.

    `rng` draws what is left of the P waves of atrial ectopic beats, and of fusion beats how much is which;
    without it the former keep theirs and the latter are the network's.
    """
    padded = -(-plan.n_samples // HOP) * HOP
    extra = padded - plan.n_samples
    phase = np.pad(plan.osc_phase, (0, extra), mode="edge")
    amplitude = np.pad(plan.osc_amplitude, (0, extra), mode="edge")
    classes = np.array([beat_class(symbol) for symbol in drawn_symbols(plan)], np.int64)
    rhythm = rhythm_per_frame(plan.episodes, padded)
    if rng is None:
        return make_conditions(plan.beat_times, classes, phase, amplitude, rhythm, heights, bends)
    heights = np.ones(len(classes)) if heights is None else heights.copy()
    which, ventricular, conducted = fused(plan, rng)
    conducted = conducted * heights[which]
    heights[which] *= ventricular
    made = make_conditions(plan.beat_times, classes, phase, amplitude, rhythm, heights, bends)
    add_bumps(made.fine, plan.beat_times[which], np.zeros_like(which), conducted)
    return replace(made, p_lost=lost_p_waves(plan, padded // PATCH, rng))


class Learned:
    """A learned generator: renders plans with a trained `StripNet`.

    Parameters
    ----------
    net : StripNet
        In evaluation mode.
    """

    name = "learned"
    fs = PLAN_FS

    def __init__(self, net: StripNet) -> None:
        self.net = net.eval()
        self.config = net.config
        # A decoder trained without a critic never uses the noise that is injected: then none is drawn.
        self._injects = bool(net.decoder.noise_gain.any())

    def render(
        self, plans: Sequence[Plan], rngs: Sequence[np.random.Generator], *, alone: bool = False
    ) -> list[NDArray[np.float32]]:
        """Signals ``[outputs, samples]`` in mV at `PLAN_FS`, one per plan.

        Record i depends on plan i, generator i and its place in the call modulo `ROWS`, on nothing else:
        calls are cut into blocks of `ROWS` rows, filled up with repeats; of one, where records are long or
        `alone`: most of a block would be waste for the few that are drawn again.

        Raises
        ------
        ValueError
            If the plans are of different length.
        """
        return [signal for signal, _ in self.render_pairs(plans, rngs, alone=alone)]

    def render_pairs(
        self, plans: Sequence[Plan], rngs: Sequence[np.random.Generator], *, alone: bool = False
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """As :meth:`render`, with the heart alone beside each signal: no noise, drift or wander."""
        if len({plan.n_samples for plan in plans}) > 1:
            raise ValueError("plans rendered together must have one length")
        rows, drawn = (1, 1) if alone else (_rows_at_once(plans), LATENT_ROWS)
        pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        for begin in range(0, len(plans), drawn):
            some, own = plans[begin : begin + drawn], rngs[begin : begin + drawn]
            latents = self._draw_latents(some, _scores(own, self.net), drawn)
            for first in range(0, len(some), rows):
                part = slice(first, first + rows)
                pairs += self._render_rows(some[part], own[part], latents[: len(some)][part], rows)
        return pairs

    def render_as(
        self, plans: Sequence[Plan], people: NDArray[np.float32], rngs: Sequence[np.random.Generator]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """As :meth:`render_pairs`, of one or a few people given by the numbers that the prior starts from.

        `people` is ``[plans, latent + N_EXTRAS]``, standard normal; generators give all but these numbers.
        """
        latents = self._draw_latents(plans, people, LATENT_ROWS)
        return self._render_rows(plans, rngs, latents[: len(plans)], _rows_at_once(plans))

    def _render_rows(
        self, plans: Sequence[Plan], rngs: Sequence[np.random.Generator], latents: Tensor, filled: int
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        ids = self._ids(plans)
        conditions = []
        for plan, rng, rhythm, source in zip(plans, rngs, ids[0].numpy(), ids[2].tolist(), strict=True):
            kind = kind_of(rhythm[None])
            sway = self.net.beat_sway[source, kind].numpy()
            sinus = all(episode.rhythm in SINUS for episode in plan.episodes)
            heights = beat_heights(plan.beat_times, sway, rng, sinus)
            heights *= ventricular_heights(plan, rng)
            bends = beat_bends(len(heights), self.net.beat_bend[source, kind].numpy(), rng)
            conditions.append(plan_conditions(plan, heights, bends, rng))
        pairs = self.compose(conditions, ids[1:], latents, rngs, plans[0].n_samples, filled)
        pairs = [with_adapted_t(*row) for row in zip(plans, pairs, rngs, strict=True)]
        pairs = [with_vf_shape(plan, pair, rng) for plan, pair, rng in zip(plans, pairs, rngs, strict=True)]
        if len(self.config.outputs) == 1:
            return pairs
        return [_with_waves(*row, self.config.outputs) for row in zip(pairs, plans, rngs, strict=True)]

    @torch.inference_mode()
    def compose(
        self,
        conditions: list[Conditions],
        ids: Sequence[Tensor],
        latents: Tensor,
        rngs: Sequence[np.random.Generator],
        n: int,
        filled: int = ROWS,
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Strips ``[outputs, n]`` in mV from conditions and record numbers, and the heart in each.

        Parameters
        ----------
        conditions : list of Conditions
            Of whole hops, at least `n` samples.
        ids : lead [B], source [B], demographics [B, 4]
        latents : Tensor
            ``[B, latent + N_EXTRAS]``.
        rngs : sequence of Generator
            Where the noise of each strip comes from.
        n : int
            Samples.
        filled : int
            Rows per decoder call, at least B.
        """
        rows, sources = len(conditions), ids[1].tolist()
        frames = conditions[0].coarse.shape[1]
        latent = filled_up(filled, latents)[0]
        record = self.net.decoder.record(*filled_up(filled, *ids), latent[:, : self.config.latent + 1])
        kinds = [kind_of(made.rhythm) for made in conditions]
        sway = list(self.net.noise_sway[sources, kinds].numpy())
        gauss = Gauss(rngs, frames, self.config, filled, self._injects, sway)
        trims = filled_up(filled, self.net.noise_trim[sources, kinds], self.net.p_gain[sources])
        mean, noise = self._decode(conditions, record, latent[:, -1 - N_COLOURS :], gauss, *trims)
        fast_noise = lively_noise(self.net, noise[:rows, :, :n].numpy(), conditions, sources, rngs)
        gain, wander, offset, drift = latent[:rows, self.config.latent : -1 - N_COLOURS].numpy().T
        slow, drifts = slow_parts(self.net, n, fast_noise.shape[1], sources, rngs)
        drifts *= without_floor(np.exp(np.clip(drift, -6, -0.2)), self.net.drift_trim[sources].numpy())
        clear = filtered(mean[:rows, :, :n].numpy(), self.net.beat_trim[sources].numpy())
        factor = heart_factor(clear, fast_noise + drifts)
        # A strip's numbers were read from its fast part and its wander apart; so they are put together.
        strips = split_wander((clear * factor + (fast_noise + drifts)).astype(np.float32))[0]
        level = np.exp(np.clip(wander, -9, 0.5))[:, None, None]
        start = 0.1 * np.sinh(np.clip(offset, -4, 4))[:, None, None]
        height = np.exp(np.clip(gain, -5, 1.5))[:, None, None]
        signal = (height * strips + level * slow + start).astype(np.float32)
        heart = (height * (clear * factor)).astype(np.float32)
        return list(zip(signal, heart, strict=True))

    def _ids(self, plans: Sequence[Plan]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rhythm, lead and source index and demographics of each plan."""
        requests = [plan.request for plan in plans]
        longest = [_main_rhythm(plan) for plan in plans]
        lead = [self._lead_index(request.leads) for request in requests]
        return (
            torch.tensor([RHYTHM_INDEX[name] for name in longest]),
            torch.tensor(lead),
            torch.tensor([self.config.sources.index(request.source) for request in requests]),
            torch.tensor([demographics_vector(request.age, request.sex) for request in requests]),
        )

    def _lead_index(self, leads: tuple[str, ...]) -> int:
        return self.config.leads.index(leads[0]) if len(self.config.outputs) == 1 else 0

    @torch.inference_mode()
    def _draw_latents(self, plans: Sequence[Plan], scores: NDArray[np.float32], filled: int) -> Tensor:
        rhythm, lead, source, demographics = self._ids(plans)
        noise = torch.from_numpy(scores)
        if len(self.config.outputs) > 1:
            rhythm = people_of(rhythm, noise)
        numbers = torch.cat(
            [demographics, torch.tensor([heart_numbers(plan.beat_times) for plan in plans])], 1
        )
        noise, rhythm, lead, source, numbers = filled_up(filled, noise, rhythm, lead, source, numbers)
        prior = self.net.prior
        return prior.sample(noise, (rhythm, lead, source), numbers)

    def _decode(
        self,
        conditions: list[Conditions],
        record: Tensor,
        noise: Tensor,
        gauss: Gauss,
        trim: Tensor,
        p_gain: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Mean and noise ``[ROWS, outputs, samples]`` in units of the gain, piece by piece.

        `noise` ``[ROWS, 1 + N_COLOURS]`` is the level and colour of the record's noise; `trim`
        ``[ROWS, HOP]`` corrects its log variance, `p_gain` ``[ROWS]`` the height of P waves.
        """
        level, colour = noise[:, 0], noise[:, 1:]
        frames = conditions[0].coarse.shape[1]
        context = -(-CONTEXT // HOP_FRAMES) * HOP_FRAMES
        means, spreads = [], []
        for start in range(0, frames, PIECE_FRAMES):
            stop = min(start + PIECE_FRAMES, frames)
            low, high = max(start - context, 0), min(stop + context, frames)
            fine, coarse, rhythm, p_lost = stacked(conditions, low, high, gauss.filled)
            injected = gauss.injected(low, high)
            mean, spread = self.net.decoder(
                fine, coarse, rhythm, record, level, colour, injected, True, p_gain, p_lost
            )
            means.append(mean[..., (start - low) * PATCH : (stop - low) * PATCH])
            first = (start - low) // HOP_FRAMES
            last = (stop - low) // HOP_FRAMES + (stop == frames)
            spreads.append(spread[:, :, first:last])
        mean, spread = torch.cat(means, -1), torch.cat(spreads, 2) + trim[:, None, None]
        return mean, self.net.lapped.inverse(torch.exp(spread / 2) * gauss.observed)


def _main_rhythm(plan: Plan) -> str:
    """Rhythm of whose people the record's person is drawn: the longest; of those with P waves if some have.

    Somebody learned in fibrillation has no P wave to show when it ends; where there must be none, P waves of
    somebody in sinus rhythm are taken off.
    """
    required = [e for e in plan.episodes if RHYTHMS[e.rhythm or "nsr"].p_wave == "required"]
    return max(required or plan.episodes, key=lambda e: e.stop - e.start).rhythm or "nsr"


def _with_waves(
    pair: tuple[NDArray[np.float32], NDArray[np.float32]],
    plan: Plan,
    rng: np.random.Generator,
    leads: tuple[str, ...],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A strip and the heart in it, both with the plan's fibrillation and flutter waves."""
    waves = atrial_waves(plan, leads, rng)
    return pair if waves is None else (pair[0] + waves, pair[1] + waves)


def _rows_at_once(plans: Sequence[Plan]) -> int:
    # Long records keep the processor busy one by one; filling up rows beside them would be waste.
    return ROWS if len(plans) and plans[0].n_samples <= PIECE_FRAMES * PATCH else 1


def _scores(rngs: Sequence[np.random.Generator], net: StripNet) -> NDArray[np.float32]:
    """Standard normal numbers ``[records, latent + N_EXTRAS]`` from which the prior draws who it is."""
    size = net.config.latent + N_EXTRAS
    return np.stack([rng.standard_normal(size, dtype=np.float32) for rng in rngs])

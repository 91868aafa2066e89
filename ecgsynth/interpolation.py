"""The way from one rhythm to another, or from one person to another, in equal steps.

Between two rhythms everything that says which it is moves together: the time of each beat, the wave,
the rhythm's rows in the tables of the networks, what the templates hold of a P wave. Between two people the
beats stay, and the numbers from which the prior draws who it is turn from the one's to the other's on a great
circle (Shoemake K. SIGGRAPH 1985): on a straight line they would pass through nobody's, too near to the mean.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgsynth.errors import OptionError
from ecgsynth.generators.conditions import RHYTHM_INDEX
from ecgsynth.generators.latent_prior import N_EXTRAS
from ecgsynth.generators.learned import Learned
from ecgsynth.generators.plan import PLAN_FS, Plan
from ecgsynth.generators.rhythm_process import draw_plan
from ecgsynth.records import Episode, Record
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.sampling import Sampler
from ecgsynth.wish import Wish

#: How much longer than asked plans are drawn, so that the faster rhythm has beats enough for the slower one.
LONGER = 3.0
_REACH_S = 1.5


def between_plans(first: Plan, second: Plan, share: float, seconds: float) -> Plan:
    """A plan of `seconds`, `share` of the way from one to another; both may be longer.

    The k-th beat from the start lies between the two k-th beats, and has the kind of the nearer plan; as many
    beats as both have.
    """
    n = round(seconds * PLAN_FS)
    (one, kinds), (two, others) = (_from_start(plan) for plan in (first, second))
    before = min(one[1], two[1])
    after = min(len(one[0]) - one[1], len(two[0]) - two[1])
    a, b = (times[at - before : at + after] for times, at in (one, two))
    times = (1 - share) * a + share * b
    nearer, at = (kinds, one[1]) if share < 0.5 else (others, two[1])
    symbols = nearer[at - before : at + after]
    inside = np.flatnonzero((times > -_REACH_S) & (times < seconds + _REACH_S))
    phase, amplitude = _between_waves(first, second, share, n)
    return replace(
        first,
        request=replace(first.request, script=((first.request.script[0][0], seconds),)),
        n_samples=n,
        episodes=(Episode(0, n, first.episodes[0].rhythm),),
        beat_times=times[inside],
        symbols=tuple(symbols[i] for i in inside),
        osc_phase=phase,
        osc_amplitude=amplitude,
    )


def _from_start(plan: Plan) -> tuple[tuple[NDArray[np.float64], int], tuple[str, ...]]:
    """Beat times, the number of beats before the start, and their kinds."""
    return (plan.beat_times, int(np.searchsorted(plan.beat_times, 0.0))), plan.symbols


def _between_waves(
    first: Plan, second: Plan, share: float, n: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Phase and amplitude of the continuous wave; a rhythm without one takes the other's phase."""
    one, two = first.osc_phase[:n], second.osc_phase[:n]
    if not first.osc_amplitude.any():
        one = two
    if not second.osc_amplitude.any():
        two = one
    amplitude = (1 - share) * first.osc_amplitude[:n] + share * second.osc_amplitude[:n]
    return ((1 - share) * one + share * two).astype(np.float32), amplitude.astype(np.float32)


def between_rhythms(model: Learned, first: str, second: str, share: float) -> Learned:
    """A generator that takes `first` for a rhythm `share` of the way to `second`."""
    net = copy.deepcopy(model.net)
    a, b = RHYTHM_INDEX[first], RHYTHM_INDEX[second]
    tables = (net.decoder.embed.rhythm.weight, net.prior.rhythm.weight, net.decoder.forbids_p)
    with torch.no_grad():
        for table in tables:
            table[a] = (1 - share) * table[a] + share * table[b]
    return type(model)(net)


def between_people(
    first: NDArray[np.float32], second: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Standard normal numbers `share` of the way from one draw to another, on a great circle."""
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    cosine = float(first @ second / (lengths[0] * lengths[1]))
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    if angle < 1e-6:
        return first
    weights = np.sin((1 - share) * angle) / np.sin(angle), np.sin(share * angle) / np.sin(angle)
    length = (1 - share) * lengths[0] + share * lengths[1]
    direction = weights[0] * first / lengths[0] + weights[1] * second / lengths[1]
    return np.asarray(length * direction, np.float32)


def interpolate(
    generator: Sampler,
    rhythm: str,
    to: str | None = None,
    steps: int = 9,
    seed: int = 0,
    people: tuple[int, int] = (0, 1),
    **wishes: Any,
) -> list[Record]:
    """Records on the way from one rhythm to another, or from one person to another.

    Parameters
    ----------
    generator : Sampler
        A learned one, from :func:`ecgsynth.load_generator`.
    rhythm : str
        Where it begins.
    to : str or None
        Rhythm at the end, of the same person; None goes to another person, with the same beats.
    steps : int
        Records, both ends included; 2 to 101.
    seed : int
    people : (int, int)
        Numbers of the records of `seed` whose people the way begins with and (without `to`) ends with.
    **wishes
        Further fields of :class:`ecgsynth.wish.Wish`, such as ``leads=("II",)``; noise is as the source's.

    Returns
    -------
    list of Record
        Ungated, all with the same noise. ``extra["share"]`` says how far each has come; its rhythm is that of
        the nearer end.

    Raises
    ------
    OptionError
        For the parametric generator, a rhythm without beats, a script of rhythms, or another number of steps.
    """
    wish = Wish(rhythm=rhythm, seed=seed, **wishes)
    other = Wish(rhythm=to or rhythm, seed=seed, **wishes)
    _check(generator, wish, other, steps)
    shares = np.linspace(0, 1, steps).tolist()
    model = generator.load(wish.twelve)[0]
    names = wish.script()[0][0], other.script()[0][0]
    if to is None:
        (first, start, rng), (_, end, _) = (_end(generator, wish, i, 1.0) for i in people)
        models, plans = [model] * steps, [first] * steps
        scores = [between_people(start, end, share) for share in shares]
    else:
        first, start, rng = _end(generator, wish, people[0], LONGER)
        second = _end(generator, other, people[0], LONGER, first)[0]
        models = [between_rhythms(model, *names, share) for share in shares]
        plans = [between_plans(first, second, share, wish.script()[0][1]) for share in shares]
        scores = [start] * steps
    records = []
    for k, share in enumerate(shares):
        # Each step draws its noise from the same state, so that nothing moves but what is asked to.
        ((signal, _),) = models[k].render_as([plans[k]], scores[k][None], [copy.deepcopy(rng)])
        nearer = names[0] if share < 0.5 else names[1]
        record = generator.finished(wish, plans[k], signal, k, 0)
        episodes = tuple(replace(episode, rhythm=nearer) for episode in record.episodes)
        extra = {**record.extra, "share": f"{share:.4f}"}
        records.append(replace(record, name=f"way{k:05d}", episodes=episodes, extra=extra))
    return records


def _check(generator: Sampler, wish: Wish, other: Wish, steps: int) -> None:
    if generator.name == "parametric":
        raise OptionError("interpolate: the parametric generator has nothing to turn; choose cvae or cgan.")
    if not 2 <= steps <= 101:
        raise OptionError(f"interpolate: {steps} steps; allowed are 2 to 101.")
    for one in (wish, other):
        generator.check(one)
        one.check_noise()
        if len(one.script()) > 1 or not RHYTHMS[one.script()[0][0]].has_beats:
            raise OptionError(f"interpolate: {one.rhythm}; give one rhythm that has beats at either end.")
    if wish.noise is not None or wish.snr is not None:
        raise OptionError("interpolate: noise is that of the source; leave out noise and snr.")


def _end(
    generator: Sampler, wish: Wish, index: int, longer: float, like: Plan | None = None
) -> tuple[Plan, NDArray[np.float32], np.random.Generator]:
    """Plan of an end, the numbers of its person, and where its noise comes from.

    The place (lead, source, age, sex) is that of the plan `like`.
    """
    rng = np.random.default_rng(np.random.SeedSequence(wish.seed, spawn_key=(index, 0)))
    request = generator.request(wish, rng)
    script = ((request.script[0][0], longer * request.seconds),)
    request = replace(request if like is None else like.request, script=script)
    plan = draw_plan(request, rng)
    size = generator.load(wish.twelve)[0].config.latent + N_EXTRAS
    return plan, rng.standard_normal(size, dtype=np.float32), rng

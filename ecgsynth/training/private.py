"""Training with differential privacy: what one person's recordings can change is bounded.

The unit is the person. Every step takes each person with the same chance, on their own (Poisson sampling),
makes one gradient of all strips drawn of a person, clips it, adds the gradients up and adds normal noise to
the sum (Abadi M et al. Deep learning with differential privacy, CCS 2016; per user: McMahan HB et al., ICLR
2018). Opacus clips, adds the noise and keeps the account.

What is private is the update of `TRAINED`, which make the mean waveform of a strip. All else is held at the
values of the weights that training starts from: encoder, noise, wander, sway, the prior over latents, the
rhythm process, and what the checkpoint says of people. No step looks at two people at once outside that sum:
strips are prepared person by person, there is no validation and no early stopping.
"""

from __future__ import annotations

import math
import secrets
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgsynth.batches import StripBatches, load_strips
from ecgsynth.errors import OptionError
from ecgsynth.generators.cvae import encode, error_of_mean, record_vector
from ecgsynth.generators.strip_net import StripNet

#: Parts of the decoder that make the mean of a strip and nothing else: the only ones that change.
TRAINED: Final = ("decoder.templates.", "decoder.mean.")
#: Largest norm of one person's gradient, in units of the loss (absolute error per sample, over gain). Fixed
#: in advance, not fitted to the data; gradients of people of public databases are 2 to 6 long.
CLIP: Final = 1.0
#: Strips of a person, drawn once. A person with longer recordings counts no more.
STRIPS_EACH: Final = 4
#: Beyond this the bound says nothing: exp(50) is more than any odds.
MOST_EPSILON: Final = 50.0
#: Decay of the running mean of the weights, which takes off some of the noise and costs no privacy.
_EMA = 0.98
_INSTALL = (
    "--dp-epsilon: training with differential privacy needs Opacus, which is not installed. Install it with "
    "pip install 'ecgsynth[dp]'."
)

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Budget:
    """How much may be learned of a person, and how.

    Attributes
    ----------
    epsilon, delta : float
        The bound: whatever is done with the weights, any event is at most exp(epsilon) times as likely as
        without the person, plus delta. Infinity clips, but adds no noise: to compare with.
    steps : int
    people_per_step : int
        Expected number; the chance to be taken is this over the number of people.
    lr : float
    """

    epsilon: float
    delta: float
    steps: int
    people_per_step: int
    lr: float


@dataclass(frozen=True)
class _Person:
    """Strips of one person as the trained parts meet them."""

    frames: Tensor
    fine: Tensor
    record: Tensor
    spread: Tensor
    target: Tensor


def check_budget(epsilon: float, delta: float, generator: str, resume: bool) -> None:
    """Refuse what cannot be trained privately, before any work.

    Raises
    ------
    OptionError
        If epsilon or delta is out of range, the generator has no private training, or Opacus is missing.
    """
    if not (math.isfinite(epsilon) and 0 < epsilon <= MOST_EPSILON):
        raise OptionError(
            f"--dp-epsilon: {epsilon:g}; allowed are numbers above 0, up to {MOST_EPSILON:g}. 1 is "
            "strict, 8 is usual for networks."
        )
    if not (math.isfinite(delta) and 0 < delta < 1):
        raise OptionError(
            f"--dp-delta: {delta:g}; allowed are numbers above 0 and below one over the number of people, "
            "such as 1e-5."
        )
    if generator != "cvae":
        raise OptionError(
            f"--dp-epsilon: the {generator} has no private training (its critic sees people unclipped); "
            "use --generator cvae."
        )
    if resume:
        raise OptionError(
            "--resume: a private training cannot be resumed, its noise is secret and kept nowhere; start "
            "afresh."
        )
    _opacus()


def _opacus() -> tuple[Any, Any, Any, str]:
    """Optimizer, accountant and noise search of Opacus, and its version."""
    try:
        import opacus
        from opacus.accountants import RDPAccountant
        from opacus.accountants.utils import get_noise_multiplier
        from opacus.optimizers import DPOptimizer
    except ImportError as error:
        raise OptionError(_INSTALL) from error
    return DPOptimizer, RDPAccountant, get_noise_multiplier, str(opacus.__version__)


def train_private(
    net: StripNet,
    arrays: Mapping[str, NDArray[Any]],
    budget: Budget,
    progress: Progress | None = None,
    secret: int | None = None,
) -> dict[str, Any]:
    """Train `net` in place on the people of a pack; returns what the checkpoint says of the guarantee.

    Parameters
    ----------
    net : StripNet
    arrays : mapping of arrays
        See :func:`ecgsynth.pack.pack`.
    budget : Budget
    progress : callable, optional
        Called with steps done, steps in all, and the epsilon spent.
    secret : int, optional
        Seed of sampling and noise, for tests only: whoever knows it can take the noise off. Drawn from the
        system's entropy and kept nowhere by default.

    Raises
    ------
    OptionError
        If delta is not below one over the number of people, the budget is too small for any noise, or Opacus
        is missing.
    """
    optimizer_kind, accountant_kind, find_noise, version = _opacus()
    names = sorted({str(name) for name in arrays["subject"]})
    if budget.delta >= 1 / len(names):
        raise OptionError(
            f"--dp-delta: {budget.delta:g} with {len(names)} people; it must be below {1 / len(names):.2g}, "
            "or one person in all may be given away entirely."
        )
    rate = min(1.0, budget.people_per_step / len(names))
    noise = _noise(find_noise, budget, rate)
    seed = secrets.randbits(63) if secret is None else secret
    draw, gauss = np.random.default_rng((seed, 0)), torch.Generator().manual_seed(seed)
    strips = np.random.default_rng((seed, 1))
    people = [_prepare(net, arrays, name, strips) for name in names]
    trained = _only(net, TRAINED)
    optimizer = optimizer_kind(
        torch.optim.Adam(trained, lr=budget.lr),
        noise_multiplier=noise,
        max_grad_norm=CLIP,
        expected_batch_size=rate * len(names),
        generator=gauss,
    )
    accountant = accountant_kind()
    mean = [p.detach().clone() for p in trained]
    for step in range(budget.steps):
        taken = [own for own, drawn in zip(people, draw.random(len(people)) < rate, strict=True) if drawn]
        optimizer.zero_grad()
        for p, grads in zip(trained, _per_person(net, trained, taken), strict=True):
            p.grad_sample = grads  # type: ignore[attr-defined]
        optimizer.step()
        accountant.step(noise_multiplier=noise, sample_rate=rate)
        decay = min(_EMA, (1 + step) / (10 + step))
        for kept, p in zip(mean, trained, strict=True):
            kept.lerp_(p.detach(), 1 - decay)
        if progress is not None:
            spent = f"epsilon {_spent(accountant, budget.delta):.3g}" if step % 10 == 9 else ""
            progress(step + 1, budget.steps, spent)
    with torch.no_grad():
        for kept, p in zip(mean, trained, strict=True):
            p.copy_(kept)
            p.grad = None
    return {
        "epsilon": round(_spent(accountant, budget.delta), 4),
        "delta": budget.delta,
        "unit": _unit(arrays),
        "accountant": f"Opacus {version}, Renyi",
        "people": len(names),
        "chance_per_step": rate,
        "noise_multiplier": round(noise, 4),
        "clip": CLIP,
        "steps": budget.steps,
        "trained": list(TRAINED),
        "held": "all else, at the values of the weights it started from",
        "taken_as_public": "number of people; names of the folder, its rhythms and leads; who is a person",
    }


def _unit(arrays: Mapping[str, NDArray[Any]]) -> str:
    pairs = zip(arrays["subject"].tolist(), arrays["record"].tolist(), strict=True)
    if all(str(subject).rpartition("/")[2] == str(record) for subject, record in pairs):
        return "recording (no recording names its person, so each counts as one person)"
    return "person (all recordings of one person added or removed)"


def _spent(accountant: Any, delta: float) -> float:
    with warnings.catch_warnings():
        # "Optimal order is the largest alpha": the bound holds, a finer search might tighten it.
        warnings.simplefilter("ignore", UserWarning)
        return float(accountant.get_epsilon(delta))


def _noise(find_noise: Any, budget: Budget, rate: float) -> float:
    if math.isinf(budget.epsilon):
        return 0.0
    wanted = {"target_epsilon": budget.epsilon, "target_delta": budget.delta, "sample_rate": rate}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = find_noise(
                **wanted, steps=budget.steps, accountant="rdp", epsilon_tolerance=budget.epsilon / 100
            )
    except ValueError as error:
        raise OptionError(
            f"--dp-epsilon: {budget.epsilon:g} at delta {budget.delta:g} cannot be kept over {budget.steps} "
            "steps with any noise; raise one of them, or take fewer --steps."
        ) from error
    return float(found)


def _only(net: StripNet, prefixes: tuple[str, ...]) -> list[torch.nn.Parameter]:
    """Parameters whose names begin so; all others are frozen."""
    chosen = []
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name.startswith(prefixes))
        if parameter.requires_grad:
            chosen.append(parameter)
    return chosen


def _per_person(net: StripNet, trained: list[torch.nn.Parameter], taken: list[_Person]) -> list[Tensor]:
    """One gradient per person: ``[people, *shape]`` of each parameter; nobody may have been taken."""
    rows = [torch.autograd.grad(_loss(net, own), trained) for own in taken]
    if not rows:
        return [p.new_zeros((0, *p.shape)) for p in trained]
    return [torch.stack(parts) for parts in zip(*rows, strict=True)]


@torch.no_grad()
def _prepare(
    net: StripNet, arrays: Mapping[str, NDArray[Any]], name: str, rng: np.random.Generator
) -> _Person:
    """What the parts that stay make of some strips of one person: made once, in half precision."""
    own = StripBatches(load_strips(arrays, net.config, {name}), STRIPS_EACH, 0)
    batch = own.batch(own.draw(rng), rng)
    seen: list[Tensor] = []
    hook = net.decoder.norm.register_forward_hook(lambda module, inputs, x: seen.append(x))
    record = record_vector(net, batch, encode(net, batch)[0])
    _, spread = net.decoder(
        batch["fine"], batch["coarse"], batch["rhythm"], record, batch["level"], batch["colour"]
    )
    hook.remove()
    target = batch["signal"] / batch["gain"].exp()[:, None, None]
    return _Person(*(x.half() for x in (seen[0], batch["fine"], record, spread, target)))


def _loss(net: StripNet, own: _Person) -> Tensor:
    """Error of the mean over the strips of one person, in units of the gain and per sample."""
    frames, fine, record, spread, target = (getattr(own, f.name).float() for f in fields(own))
    mean = net.decoder.mean(frames.transpose(1, 2)) + net.decoder.templates(fine, record)
    error = target - mean
    return error_of_mean(error, net.lapped(error), spread, fine).mean() / target[0].numel()

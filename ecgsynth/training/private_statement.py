"""What a privately trained checkpoint guarantees, in words for whoever decides on its release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_STATEMENT: Final = """\
# Differential privacy of this checkpoint

Epsilon {epsilon:g} at delta {delta:g}. Unit: {unit}.

Whatever anyone does with these weights, and with records drawn from them, any outcome is at most
exp({epsilon:g}) times as likely as if that unit had not been in training, but for a chance of {delta:g}.

- **Covered:** the update of {trained}, the only parts that changed. Everyone counted alike: each step took
  each person with a chance of {chance_per_step:.3g}, clipped their one gradient to {clip:g}, and added normal
  noise of {noise_multiplier:g} times that.
- **Not learned from these people:** encoder, noise, wander, prior over latents, rhythm process, counts and
  ages. They are those of the weights that training started from; the bound says nothing of the people behind
  those.
- **Taken as public:** {taken_as_public}.
- **Not covered:** anything else made from the recordings, such as a copy index, a dataset that was filtered
  by comparing it with them (`generate --train`), a report or an audit. There is no copy index beside these
  weights.
- **Noise:** PyTorch's generator, seeded from the system's entropy; the seed is kept nowhere. It is no
  cryptographic generator, and rounding of floating-point numbers is not modelled (Mironov I, CCS 2012).
- The account was kept by {accountant}, for {steps} steps. A bound is not an audit: attacks are tried with
  `ecgsynth audit`.

| | |
|---|---|
{rows}
"""


def statement(said: Mapping[str, Any]) -> str:
    """The guarantee as a page (Markdown) to keep beside the checkpoint.

    Parameters
    ----------
    said : mapping
        What :func:`ecgsynth.training.private.train_private` returns.
    """
    rows = "\n".join(f"| {key.replace('_', ' ')} | {value} |" for key, value in said.items())
    return _STATEMENT.format(rows=rows, **said)

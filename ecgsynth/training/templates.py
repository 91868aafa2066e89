"""Learning the beats of a record before anything else.

Whose beat it is has to pass through the record latent. Trained together with the frame-rate blocks, the
blocks win: they draw everybody's average P wave well before the latent says whose it is, and what is
left to gain no longer pulls. So the short path, from the average beat of a real strip through the
latent to the template, is trained on its own first; without the blocks a step costs a tenth.
"""

from __future__ import annotations

import numpy as np
import torch

from ecgsynth.batches import StripBatches, Strips
from ecgsynth.generators.cvae import absolute_error, kl_to_standard_normal, record_vector
from ecgsynth.generators.strip_net import StripNet
from ecgsynth.training.tasks import Schedule, learning_rate


def fit_templates(
    net: StripNet, strips: Strips, *, seed: int, steps: int = 3000, size: int = 48
) -> dict[str, float]:
    """Train the beats' way through the latent in place; the blocks stay as they are.

    Parameters
    ----------
    net : StripNet
    strips : Strips
        Training people.
    seed : int
    steps, size : int
        Optimiser steps and strips per step.

    Returns
    -------
    dict
        Mean error per sample, in units of the gain, of the first and of the last steps.
    """
    decoder = net.decoder
    parts = [net.encoder.beats, decoder.record, decoder.templates]
    optimizer = torch.optim.AdamW(
        [p for part in parts for p in part.parameters()], lr=2e-3, weight_decay=0.01
    )
    schedule = Schedule(steps=steps)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: learning_rate(schedule, s))
    batches = StripBatches(strips, size, seed)
    torch.manual_seed(seed)
    errors = []
    for step in range(steps):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3, step)))
        batch = batches.batch(batches.draw(rng), rng)
        seen = batch["seen_signal"] / batch["gain"].exp()[:, None, None]
        mean, log_variance = net.encoder.split(net.encoder.beats(seen, batch["seen_fine"]))
        latent = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        drawn = decoder.templates(batch["fine"], record_vector(net, batch, latent))
        error = batch["signal"] / batch["gain"].exp()[:, None, None] - drawn
        lost = absolute_error(error, batch["fine"])
        loss = (lost + kl_to_standard_normal(mean, log_variance).sum(1)).mean() / error[0].numel()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        errors.append(float(lost.detach().mean()) / error[0].numel())
    return {"first": float(np.mean(errors[:20])), "last": float(np.mean(errors[-20:]))}

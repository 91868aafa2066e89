"""Lightning modules that train the two learned generators."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from ecgsynth.generators.blocks import N_COLOURS
from ecgsynth.generators.cgan import Critic, gradient_penalty, relativistic_loss
from ecgsynth.generators.cvae import encode, kl_to_standard_normal, reconstruction, record_vector
from ecgsynth.generators.plan import PLAN_FS
from ecgsynth.generators.strip_net import StripNet


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    lr : float
        Peak learning rate; warmed up over 200 steps, then a cosine down to a twentieth.
    kl_start, kl_ramp : int
        Step at which the KL term sets in, and steps until it has full weight. Set in at once, it empties
        the latents before the decoder has learned to use them.
    mean_weight : float
        Weight of the mean's own loss beside the likelihood.
    free_nats : float
        KL per latent and record that costs nothing.
    anchor : float
        cGAN: weight of the absolute error of reconstructed people beside the adversarial loss.
    penalty : float
        cGAN: weight of the gradient penalties.
    penalty_every : int
        cGAN: steps between two evaluations of the penalties, which are scaled up to make up for it.
    ema : float
        Decay of the running mean of the generator's weights.
    """

    steps: int
    lr: float = 1e-3
    kl_start: int = 500
    kl_ramp: int = 800
    mean_weight: float = 2.0
    free_nats: float = 0.05
    anchor: float = 1.0
    penalty: float = 0.3
    penalty_every: int = 4
    ema: float = 0.998


def learning_rate(schedule: Schedule, step: int) -> float:
    """Factor on the peak rate at `step`: linear warm-up, cosine decay to 0.05."""
    warm = min(1.0, (step + 1) / 200)
    done = min(1.0, step / max(schedule.steps, 1))
    return warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


class _Averaged(pl.LightningModule):
    """A net and the running mean of its weights; the mean is what ships."""

    seen: Tensor

    def __init__(self, net: StripNet, schedule: Schedule) -> None:
        super().__init__()
        self.net, self.schedule = net, schedule
        # Batches seen: Lightning's own count goes up twice a batch where there are two optimisers.
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.mean_net = copy.deepcopy(net).requires_grad_(False).eval()

    def update_mean(self) -> None:
        """One step of the running mean; early on it follows the net more closely."""
        done = int(self.seen)
        decay = min(self.schedule.ema, (1 + done) / (10 + done))
        with torch.no_grad():
            for mean, now in zip(self.mean_net.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
            self.seen.add_(1)

    def adam(self, parameters: Any, betas: tuple[float, float]) -> dict[str, Any]:
        """AdamW with the schedule's learning rate, as Lightning wants it."""
        optimizer = torch.optim.AdamW(parameters, lr=self.schedule.lr, betas=betas, weight_decay=0.01)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: learning_rate(self.schedule, s))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class CVAETask(_Averaged):
    """Evidence lower bound, in nats per sample."""

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Minus the ELBO with the KL term warmed up."""
        nll, error, kl = self._terms(self.net, batch)
        done = (int(self.seen) - self.schedule.kl_start) / self.schedule.kl_ramp
        weight = float(np.clip(done, 0.0, 1.0))
        held = kl.clamp(min=self.schedule.free_nats).sum(1)
        samples = batch["signal"][0].numel()
        loss = (nll + self.schedule.mean_weight * error + weight * held).mean() / samples
        self.log_dict(
            {"nll": nll.mean() / samples, "error": error.mean() / samples, "kl": kl.sum(1).mean()},
            prog_bar=True,
        )
        return loss

    def _terms(self, net: StripNet, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = encode(net, batch)
        latent = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        return *reconstruction(net, batch, latent), kl_to_standard_normal(mean, log_variance)

    def on_train_batch_end(self, *_: Any) -> None:
        """Follow the weights."""
        self.update_mean()

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Minus the ELBO of people not trained on, with averaged weights."""
        nll, _error, kl = self._terms(self.mean_net, batch)
        samples = batch["signal"][0].numel()
        loss = (nll + kl.sum(1)).mean() / samples
        self.log("val_loss", loss, prog_bar=True, batch_size=len(nll), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW over encoder and decoder; the prior is fitted afterwards."""
        parameters = [p for name, p in self.net.named_parameters() if not name.startswith("prior.")]
        return self.adam(parameters, (0.9, 0.98))


def augmented(signal: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Strips ``[B, channels, T]`` as the critic sees them: gain, slow sway and a little noise at random.

    Real and fake strips alike, so that a critic cannot learn few people by heart (Zhao S et al.
    Differentiable augmentation, NeurIPS 2020). Nothing here changes what the rhythm is.
    """
    rows, channels, samples = signal.shape
    gain = torch.exp(0.15 * torch.randn(rows, 1, 1))
    hz = 0.2 + 0.6 * torch.rand(rows, channels, 1)
    angle = 2 * torch.pi * (hz * torch.arange(samples) / PLAN_FS + torch.rand(rows, channels, 1))
    sway = 0.15 * torch.rand(rows, channels, 1) * torch.sin(angle)
    noise = 0.02 * torch.randn(rows, channels, samples)
    return signal * gain + batch["gain"].exp()[:, None, None] * (sway + noise)


class CGANTask(_Averaged):
    """Relativistic adversarial training of the decoder, anchored by the reconstruction of real strips."""

    automatic_optimization = False

    def __init__(self, net: StripNet, schedule: Schedule) -> None:
        super().__init__(net, schedule)
        self.critic = Critic(net.config)

    def training_step(self, batch: dict[str, Tensor], i: int) -> None:
        """One step of the critic, one of the generator."""
        critic_optimizer, generator_optimizer = self.optimizers()  # type: ignore[attr-defined]
        fake, own, anchor = self._fake(batch)
        real_seen, fake_seen = augmented(batch["signal"], batch), augmented(fake.detach(), own)
        critic_loss = relativistic_loss(self.critic(real_seen, batch), self.critic(fake_seen, own))
        if i % self.schedule.penalty_every == 0:
            penalty = gradient_penalty(self.critic, real_seen, batch)
            penalty = penalty + gradient_penalty(self.critic, fake_seen, own)
            critic_loss = critic_loss + 0.5 * self.schedule.penalty * self.schedule.penalty_every * penalty
            self.log("penalty", penalty)
        self._step(critic_optimizer, critic_loss, self.critic)
        self.critic.requires_grad_(False)
        with torch.no_grad():
            real = self.critic(augmented(batch["signal"], batch), batch)
        judged = self.critic(augmented(fake, own), own)
        adversarial = relativistic_loss(judged, real)
        self.critic.requires_grad_(True)
        loss = adversarial + self.schedule.anchor * anchor
        self._step(generator_optimizer, loss, self.net.decoder)
        self.update_mean()
        for scheduler in self.lr_schedulers():  # type: ignore[union-attr]
            scheduler.step()
        self.log_dict({"critic": critic_loss, "fooling": adversarial, "anchor": anchor}, prog_bar=True)

    def _fake(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Fake strips, their conditions, and the anchor: first half reconstructed people, second half new."""
        half = len(batch["gain"]) // 2
        latent, gain, level, colour = self._latents(batch, half)
        own = {**batch, "gain": gain, "level": level}
        noise = torch.randn(*batch["coarse"].shape[::2], self.net.config.width)
        mean, spread = self.net.decoder(
            batch["fine"],
            batch["coarse"],
            batch["rhythm"],
            record_vector(self.net, own, latent),
            own["level"],
            colour,
            noise,
            strict=True,
        )
        drawn = mean + self.net.lapped.inverse(torch.exp(spread / 2) * torch.randn_like(spread))
        scale = gain.exp()[:, None, None]
        error = batch["signal"][:half] / scale[:half] - mean[:half]
        return drawn * scale, own, error.abs().mean() + 4 * error.diff(dim=-1).abs().mean()

    @torch.no_grad()
    def _latents(self, batch: dict[str, Tensor], half: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, log_variance = encode(self.net, batch)
        latent = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        prior, size = self.net.prior, self.net.config.latent
        place = (batch["main_rhythm"], batch["lead"], batch["source"])
        was_training = prior.training
        prior.eval()
        drawn = prior.sample(torch.randn(len(mean), prior.size), place, batch["numbers"], steps=6)
        prior.train(was_training)
        latent = torch.cat([latent[:half], drawn[half:, :size]])
        gain = torch.cat([batch["gain"][:half], drawn[half:, size].clamp(-5, 1.5)])
        level = torch.cat([batch["level"][:half], drawn[half:, -1 - N_COLOURS]])
        return latent, gain, level, torch.cat([batch["colour"][:half], drawn[half:, -N_COLOURS:]])

    def _step(self, optimizer: Any, loss: Tensor, module: torch.nn.Module) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()

    def configure_optimizers(self) -> Any:
        """AdamW for critic and decoder, without momentum."""
        critic = self.adam(self.critic.parameters(), (0.0, 0.95))
        decoder = self.adam(self.net.decoder.parameters(), (0.0, 0.95))
        return [critic["optimizer"], decoder["optimizer"]], [critic["lr_scheduler"], decoder["lr_scheduler"]]

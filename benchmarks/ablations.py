"""What each part of the training is worth: short trainings of one budget, each without one part.

    python benchmarks/ablations.py --single single.npz --work runs/ablations [--scale 1] [--out docs/results]

The pack is one of ``scripts/pack_training_data.py``. Checkpoints stay in ``--work``: a run that was cut goes
on with the next arm. Realism is that of ``benchmarks/realism.py``, on whole strips of the pack: AUC of
gradient boosting on features, tested on people whom it has not seen, 0.5 being indistinguishable.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from short_training import fresh_net, rows_of, train_short
from torch import Tensor

import ecgsynth
from ecgsynth.checkpoint import load_checkpoint
from ecgsynth.fidelity.features import feature_table
from ecgsynth.fidelity.two_sample import boosting_judge, two_sample_auc
from ecgsynth.generators.conditions import BEAT_CLASSES
from ecgsynth.generators.cvae import absolute_error, encode, kl_to_standard_normal, record_vector
from ecgsynth.generators.learned import StripNet
from ecgsynth.training.tasks import CVAETask

RHYTHMS = ("nsr", "afib", "vt")
#: Template, waveform, prior and adversarial steps at scale 1.
TEMPLATES, STEPS, PRIOR, CRITIC = 1200, 300, 1000, 100
#: Template steps cost about a tenth of a waveform step.
TEMPLATE_COST = 10
WORDS = {
    "cvae": "cVAE, as it is",
    "cvae-no-phase": "without phase conditioning",
    "cvae-no-spectral": "without the spectral loss of the mean",
    "cvae-no-pretraining": "without learning the beats first",
    "cvae-longer": "cVAE, trained on as long as the cGAN",
    "cgan": "cGAN from the cVAE, as it is",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--single", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0, help="Factor on all numbers of steps.")
    parser.add_argument("--arms", default=",".join(WORDS))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    pack = dict(np.load(options.single))
    target = options.out / "ablations.json"
    found: dict[str, Any] = json.loads(target.read_text()) if target.is_file() else {"arms": {}}
    found["scale"] = options.scale
    for arm in options.arms.split(","):
        path = options.work / f"{arm}.safetensors"
        began = time.process_time()
        if not path.is_file():
            arms(options.scale)[arm](pack, path)
            found["arms"].setdefault(arm, {})["cpu_s"] = round(time.process_time() - began)
        kind = arm.split("-")[0]
        found["arms"].setdefault(arm, {})["auc"] = realism(kind, path, pack)
        found["real"] = found.get("real") or real(pack)
        print(arm, found["arms"][arm], flush=True)
        target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (options.out / "ablations.md").write_text(page(found), encoding="utf-8")


def arms(scale: float) -> dict[str, Callable[[dict[str, Any], Path], Any]]:
    """How each arm is trained, all of train and val, from the same seed."""
    templates, steps, prior, critic = (round(scale * n) for n in (TEMPLATES, STEPS, PRIOR, CRITIC))
    longer = steps + templates // TEMPLATE_COST

    def fresh(pack: dict[str, Any], out: Path, **how: Any) -> None:
        some, net = training_people(pack)
        budget = {"template_steps": templates, "steps": steps, "prior_steps": prior}
        train_short(how.pop("change", lambda x: x)(net), some, out, **{**budget, **how})

    def onward(pack: dict[str, Any], out: Path, **how: Any) -> None:
        some, _ = training_people(pack)
        start = out.with_name("cvae.safetensors")
        if not start.is_file():
            raise SystemExit(f"{start}: train the arm cvae first")
        budget = {"template_steps": 0, "steps": critic, "prior_steps": prior, "lr": 3e-4, "warm": True}
        train_short(load_checkpoint(start)[0], some, out, **{**budget, **how})

    return {
        "cvae": fresh,
        "cvae-no-phase": lambda pack, out: fresh(pack, out, change=without_phase),
        "cvae-no-spectral": lambda pack, out: fresh(pack, out, task_of=WithoutSpectral),
        "cvae-no-pretraining": lambda pack, out: fresh(pack, out, template_steps=0, steps=longer),
        "cvae-longer": lambda pack, out: onward(pack, out, steps=2 * critic),
        "cgan": lambda pack, out: onward(pack, out, kind="cgan"),
    }


def training_people(pack: dict[str, Any]) -> tuple[dict[str, Any], StripNet]:
    some = rows_of(pack, np.flatnonzero(pack["part"] != "test"))
    return some, fresh_net(some, tuple(sorted(set(pack["lead"].tolist()))))


def without_phase(net: StripNet) -> StripNet:
    """Blind to time since and to a beat, to the phase between beats and to that of the continuous wave.

    Weights of those channels are 0 and stay so; where beats lie (the bumps that templates are laid under), of
    which kind they are, and RR intervals are left.
    """
    k = len(BEAT_CLASSES)
    for side in (net.encoder, net.decoder):
        for weight, channels in (
            (side.embed.fine.weight, slice(k, k + 4)),
            (side.embed.coarse.weight, slice(2 * k, 2 * k + 2)),
        ):
            mask = torch.ones_like(weight)
            mask[:, channels] = 0.0
            with torch.no_grad():
                weight.mul_(mask)
            weight.register_hook(lambda slope, mask=mask: slope * mask)
    return net


class WithoutSpectral(CVAETask):
    """The mean learns from absolute errors of samples and slopes alone, not from those of its spectrum."""

    def _terms(self, net: StripNet, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = encode(net, batch)
        latent = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        record = record_vector(net, batch, latent)
        seen = (batch[key] for key in ("fine", "coarse", "rhythm"))
        made, spread = net.decoder(*seen, record, batch["level"], batch["colour"])
        error = batch["signal"] / batch["gain"].exp()[:, None, None] - made
        rest = net.lapped(error).detach()
        likelihood = 0.5 * (rest.square() * torch.exp(-spread) + spread).flatten(1).sum(1)
        return likelihood, absolute_error(error, batch["fine"]), kl_to_standard_normal(mean, log_variance)


def judging_rows(pack: dict[str, Any], rhythm: str) -> list[int]:
    """Whole strips of test people, of all where those are under eight; three of a person at most."""
    whole = (pack["rhythm"] == rhythm) & (pack["episode_start"] <= 0) & (pack["episode_stop"] >= 2500)
    held = whole & (pack["part"] == "test")
    mine = held if len(np.unique(pack["subject"][held])) >= 8 else whole
    seen: dict[str, int] = {}
    rows = []
    for i in np.random.default_rng(0).permutation(np.flatnonzero(mine)).tolist():
        person = str(pack["subject"][i])
        seen[person] = seen.get(person, 0) + 1
        if seen[person] <= 3:
            rows.append(i)
    return rows[:120]


def strips_of(pack: dict[str, Any], rows: list[int]) -> list[np.ndarray]:
    strips = [pack["signal"][i, 0, pack["valid_start"][i] :][:2500].astype(float) for i in rows]
    return [strip - np.median(strip) for strip in strips]


def realism(kind: str, path: Path, pack: dict[str, Any]) -> dict[str, list[float]]:
    """AUC and interval per rhythm; draws in the sources and leads of the real strips."""
    generator, out = ecgsynth.load_generator(kind, path), {}
    for rhythm in RHYTHMS:
        rows = judging_rows(pack, rhythm)
        made = []
        for k, i in enumerate(rows):
            place = {"source": str(pack["source"][i]), "leads": (str(pack["lead"][i]),)}
            made += generator.sample(rhythm, 1, 1000 + k, allow_few_people=True, **place)
        tables = [feature_table(s, 250.0) for s in (strips_of(pack, rows), [r.signal[0] for r in made])]
        people = [str(pack["subject"][i]) for i in rows]
        names = [f"made/{i}" for i in range(len(made))]
        auc = two_sample_auc(tables[0], people, tables[1], names, boosting_judge, folds=5)
        out[rhythm] = [round(float(x), 3) for x in (auc.auc, auc.low, auc.high)] + [len(set(people))]
    return out


def real(pack: dict[str, Any]) -> dict[str, list[float]]:
    """The same between halves of the real people, mean of three halvings."""
    out = {}
    for rhythm in RHYTHMS:
        rows = judging_rows(pack, rhythm)
        table, people = feature_table(strips_of(pack, rows), 250.0), pack["subject"][rows]
        found = []
        for k in range(3):
            names = np.random.default_rng(k).permutation(np.unique(people))
            side = np.isin(people, names[: len(names) // 2])
            one, two = people[side].tolist(), people[~side].tolist()
            found.append(two_sample_auc(table[side], one, table[~side], two, boosting_judge, folds=4))
        out[rhythm] = [
            round(float(np.mean([getattr(f, x) for f in found])), 3) for x in ("auc", "low", "high")
        ]
    return out


def page(found: dict[str, Any]) -> str:
    scale = found["scale"]
    steps = [round(scale * n) for n in (TEMPLATES, STEPS, PRIOR, CRITIC)]
    lines = [
        "# Ablations",
        "",
        "Made by `benchmarks/ablations.py`. Short trainings of one seed, not those of the shipped weights:",
        f"{steps[0]} steps of templates, {steps[1]} of waveforms, {steps[2]} of the prior; the cGAN goes on",
        f"from the cVAE for {steps[3]} steps of critic and generator (shipped: 9000, 5000, 4000, 1000).",
        "An arm without one part gets its time for the others. AUC of gradient boosting on features, people",
        "held out of the classifier; lower is better, intervals by resampling people. One seed: differences",
        "smaller than the intervals say nothing.",
        "",
        "A cGAN from nothing is not in it: it trains no encoder and no prior of its own, so without the cVAE",
        "that it starts from there is nobody to draw, and what it would show is that alone.",
        "",
        "| | " + " | ".join(r.upper() if r != "afib" else "AF" for r in RHYTHMS) + " | CPU s |",
        "|---|" + "---|" * len(RHYTHMS) + "---:|",
    ]
    for arm, words in WORDS.items():
        if arm in found["arms"]:
            row = found["arms"][arm]
            cells = ["{:.2f} ({:.2f}-{:.2f})".format(*row["auc"][r][:3]) for r in RHYTHMS]
            lines.append(f"| {words} | {' | '.join(cells)} | {row.get('cpu_s', '-')} |")
    cells = ["{:.2f} ({:.2f}-{:.2f})".format(*found["real"][r]) for r in RHYTHMS]
    lines += [f"| real against real | {' | '.join(cells)} | |", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

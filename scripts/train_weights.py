"""Train the weights that ship, from a pack made by ``scripts/pack_training_data.py``.

One run makes one checkpoint; a cGAN starts from the cVAE of the same leads:

    python scripts/train_weights.py --pack single.npz --generator cvae --steps 5000 --lr 0.0015 \
        --template-steps 9000 --work runs/cvae-single --out cvae-single.safetensors
    python scripts/train_weights.py --pack single.npz --generator cgan --steps 1000 --lr 0.0003 \
        --batch-size 16 --start cvae-single.safetensors --work runs/cgan-single --out cgan-single.safetensors
    python scripts/train_weights.py --pack twelve.npz --generator cvae --steps 1600 --lr 0.0015 \
        --batch-size 16 --work runs/cvae-twelve --out cvae-twelve.safetensors
    python scripts/train_weights.py --pack twelve.npz --generator cgan --steps 400 --lr 0.0002 \
        --batch-size 10 --start cvae-twelve.safetensors --work runs/cgan-twelve --out cgan-twelve.safetensors

These are the runs behind the weights that ship: about 55, 12, 20 and 8 minutes of one core, 95 in all. By the
rates of CodeCarbon (rated power of the processor, a fixed one for memory) that is some 25 Wh, an estimate.
Their corrections of noise were fitted anew since, by ``scripts/refit_corrections.py``.
People of the part ``test`` are never read. ``--resume`` goes on after a kill.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
import torch

from ecgsynth.batches import load_strips, source_wander
from ecgsynth.checkpoint import load_checkpoint, save_checkpoint
from ecgsynth.generators.strip_net import LearnedConfig, StripNet
from ecgsynth.records import INDEPENDENT_LEADS
from ecgsynth.training.describe import describe_people
from ecgsynth.training.noise import fit_noise
from ecgsynth.training.prior import fit_prior
from ecgsynth.training.run import Progress, RunOptions, run
from ecgsynth.training.tasks import CGANTask, CVAETask, Schedule
from ecgsynth.training.templates import fit_templates
from ecgsynth.training.trim import fit_trim


@click.command()
@click.option("--pack", "pack_path", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--generator", type=click.Choice(["cvae", "cgan"]), required=True)
@click.option("--start", type=click.Path(exists=True, path_type=Path), help="Checkpoint to start from.")
@click.option("--steps", default=5000, show_default=True)
@click.option("--batch-size", default=24, show_default=True)
@click.option("--lr", default=1e-3, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--max-minutes", type=float, default=None, help="Stop training after this time.")
@click.option("--threads", default=1, show_default=True)
@click.option("--prior-steps", default=4000, show_default=True)
@click.option("--template-steps", default=3000, show_default=True)
@click.option("--resume", is_flag=True)
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder of last.ckpt and logs.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(
    pack_path: Path,
    generator: str,
    start: Path | None,
    steps: int,
    batch_size: int,
    lr: float,
    seed: int,
    max_minutes: float | None,
    threads: int,
    prior_steps: int,
    template_steps: int,
    resume: bool,
    work: Path,
    out: Path,
) -> None:
    """Train one generator and write its checkpoint."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    pack = dict(np.load(pack_path))
    parts = {part: set(pack["subject"][pack["part"] == part].tolist()) for part in ("train", "val")}
    learned = parts["train"] | parts["val"]
    net = load_checkpoint(start)[0] if start else StripNet(_config(pack))
    strips, held = load_strips(pack, net.config, learned), load_strips(pack, net.config, parts["val"])
    templates = None
    if start is None:
        net.wander_power.copy_(torch.from_numpy(source_wander(pack, net.config)))
        if not resume:
            templates = fit_templates(net, strips, seed=seed, steps=template_steps)
            click.echo(f"templates: {templates}")
    schedule = Schedule(steps=steps, lr=lr)
    task = (CVAETask if generator == "cvae" else CGANTask)(net, schedule)
    options = RunOptions(work, seed, batch_size, resume=resume, max_minutes=max_minutes)
    run(task, strips, held, options, _print_progress(time.monotonic()))
    final = task.mean_net.eval()
    notes = {"seed": seed, "steps": int(task.seen), "batch_size": batch_size, "lr": lr, "pack": _digest(pack)}
    if templates is not None:
        notes["templates"] = templates
    notes["noise"] = fit_noise(final, strips, seed=seed)
    notes["trim"] = fit_trim(final, strips, seed=seed)
    if generator == "cvae":
        train_only = load_strips(pack, net.config, parts["train"])
        notes["prior"] = fit_prior(final, train_only, held, seed=seed, steps=prior_steps)
    people = describe_people(pack, learned)
    save_checkpoint(out, final, {"generator": generator, "training": notes, **people})
    click.echo(f"{out}: {notes}")


def _config(pack: dict[str, np.ndarray]) -> LearnedConfig:
    twelve = pack["signal"].shape[1] == len(INDEPENDENT_LEADS)
    leads = tuple(sorted(set(pack["lead"].tolist()))) if not twelve else ("12",)
    return LearnedConfig(
        INDEPENDENT_LEADS if twelve else ("*",), leads, tuple(sorted(set(pack["source"].tolist())))
    )


def _digest(pack: dict[str, np.ndarray]) -> str:
    return str(pack["split_sha256"][0])


def _print_progress(began: float) -> Progress:
    def show(done: int, total: int, note: str) -> None:
        if done % 50 == 0:
            click.echo(f"{done}/{total}  {(time.monotonic() - began) / 60:.1f} min  {note}")

    return show


if __name__ == "__main__":
    main()

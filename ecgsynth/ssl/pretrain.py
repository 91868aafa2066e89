"""``ecgsynth pretrain`` as a function: an encoder learned from recordings without their labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader, Sampler

from ecgsynth.augment.chain import default_chain
from ecgsynth.augment.mixing import TransformedBatches
from ecgsynth.errors import CheckpointError, OutputError, RecordError
from ecgsynth.split import SplitManifest
from ecgsynth.ssl.encoder_file import save_encoder
from ecgsynth.ssl.encoders import EncoderConfig, build_encoder
from ecgsynth.ssl.options import PretrainOptions, PretrainResult
from ecgsynth.ssl.store import Cut, Pairs, StripStore, gather
from ecgsynth.ssl.tasks import TaskOptions, build_task
from ecgsynth.training.keeping import KeepingIO, last_good
from ecgsynth.training.run import quiet_lightning

#: Called with steps done, steps in all, and what was logged last.
Progress = Callable[[int, int, str], None]
ENCODER_FILE, _NOTE = "encoder.safetensors", "pretraining.json"


class _Epochs(Sampler[int]):
    """Every strip once an epoch, in an order of seed and epoch; numbers carry the epoch, see `Pairs`.

    Processes that train together deal them out among themselves, as many to each.
    """

    def __init__(self, length: int, seed: int, task: pl.LightningModule, world: int) -> None:
        self.length, self.seed, self.epoch = length, seed, 0
        self.task, self.world = task, world

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.world

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.epoch,)))
        order = self.epoch * self.length + rng.permutation(self.length)
        yield from order[self.task.global_rank :: self.world][: len(self)].tolist()


class _Batches(TransformedBatches):
    """Both strips of a pair transformed, each in its own way."""

    def __call__(self, items: Any) -> dict[str, torch.Tensor]:
        partners = [{**item, "signal": item["second"]} for item in items]
        plain = [{key: value for key, value in item.items() if key != "second"} for item in items]
        first = super().__call__(plain)
        other = TransformedBatches(self.chain, self.seed + 1)(partners)
        return {**first, "second": other["signal"]}


class _Report(Callback):
    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total = progress, total

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if not trainer.is_global_zero:
            return
        loss = trainer.callback_metrics.get("loss")
        self.progress(trainer.global_step, self.total, "" if loss is None else f"loss {float(loss):.4g}")


def pretrain_encoder(options: PretrainOptions, progress: Progress | None = None) -> PretrainResult:
    """Learn an encoder and write it to ``<out>/encoder.safetensors`` once training ends.

    Resumed at the end of any epoch, a training ends with the same bytes as an uninterrupted one.

    Raises
    ------
    OptionError
        If options cannot be met or do not go together.
    RecordError
        If a recording is damaged, lead sets differ, or too few strips are usable.
    CheckpointError
        If there is nothing to resume, or it was begun with other options.
    OutputError
        If `out` exists and `resume` is not given, or it cannot be written.
    """
    store = _store(options)
    rows = store.rows("train")
    together = options.batch_size * options.world
    if len(rows) < together:
        raise RecordError(
            f"--batch-size {options.batch_size}: part train has {len(rows)} strips only, and a step takes "
            f"{together}; choose a smaller one."
        )
    config = EncoderConfig(
        options.encoder, store.leads, store.fs, store.samples.shape[2], options.width, options.depth
    )
    per_epoch = len(rows) // together
    total = per_epoch * options.epochs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)  # nothing else is drawn from torch's own random numbers
        how = TaskOptions(total, lr=options.lr, seed=options.seed)
        task = build_task(options.method, build_encoder(config), how)
    trainer = _fit(task, _loader(store, rows, task, options), options, total, progress)
    people, steps = len(np.unique(store.person[rows])), int(trainer.global_step)
    path, complete = options.out / ENCODER_FILE, steps >= total
    loss = float(trainer.callback_metrics.get("loss", float("nan")))
    if options.team().follower:
        return PretrainResult(path, people, len(rows), steps, loss, complete, helped=True)
    notes = {
        **{key: getattr(options, key) for key in ("method", "pairs", "batch_size", "lr", "seed")},
        "steps": steps,
        **({"processes": options.world} if options.world > 1 else {}),
        "people": people,
        "strips": len(rows),
        "synthetic_strips": int(store.synthetic[rows].sum()),
        "split": SplitManifest.from_json((options.out / "split.json").read_text()).sha256,
    }
    save_encoder(path, task.encoder, notes)
    return PretrainResult(path, people, len(rows), steps, loss, complete)


def _loader(
    store: StripStore, rows: NDArray[np.int64], task: pl.LightningModule, options: PretrainOptions
) -> DataLoader[Any]:
    chain = None if options.method == "mae" else default_chain(store.fs, store.leads)
    return DataLoader(
        Pairs(store, rows, options.pairs, options.seed),
        batch_size=options.batch_size,
        sampler=_Epochs(len(rows), options.seed, task, options.world),
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        collate_fn=_Batches(chain, options.seed),
        drop_last=True,
    )


def _fit(
    task: pl.LightningModule,
    loader: DataLoader[Any],
    options: PretrainOptions,
    total: int,
    progress: Progress | None,
) -> pl.Trainer:
    quiet_lightning()
    callbacks: list[Callback] = [
        ModelCheckpoint(
            options.out,
            filename="last",
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
    ]
    if progress is not None:
        callbacks.append(_Report(progress, total))
    trainer = pl.Trainer(
        max_epochs=options.epochs,
        max_time=timedelta(minutes=options.max_minutes) if options.max_minutes else None,
        callbacks=callbacks,
        plugins=[KeepingIO()],
        logger=CSVLogger(options.out, name="logs", version=0),
        **options.team().trainer_options(),
        use_distributed_sampler=False,
        gradient_clip_val=1.0,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
    )
    start = str(last_good(options.out)) if options.resume else None
    trainer.fit(task, loader, ckpt_path=start, weights_only=True)
    return trainer


def _store(options: PretrainOptions) -> StripStore:
    """The strips: of a training that is resumed, or gathered now."""
    note, now = options.out / _NOTE, _note(options)
    if options.team().follower:
        return StripStore(options.out)
    if options.resume:
        if not note.is_file():
            raise CheckpointError(f"{note}: nothing to resume; leave out --resume to start.")
        before = json.loads(note.read_text(encoding="utf-8"))
        changed = sorted(key for key in now if before.get(key) != now[key])
        if changed:
            raise CheckpointError(
                f"{note}: {', '.join(changed)} changed since; resume with the same options."
            )
        return StripStore(options.out)
    if options.out.exists() and any(options.out.iterdir()):
        raise OutputError(f"{options.out}: exists already; choose another --out, or continue with --resume.")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        split = None if options.split is None else SplitManifest.from_json(options.split.read_text("utf-8"))
    except OSError as error:
        raise OutputError(f"{error.filename}: cannot be used ({error.strerror}); check the path.") from None
    cut = Cut(options.fs, options.seconds, options.leads)
    store, _ = gather(options.data, options.out, cut, split, options.seed)
    note.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    return store


def _note(options: PretrainOptions) -> dict[str, Any]:
    """Options that a resumed training must share with the one it goes on from."""
    keys = ("method", "encoder", "width", "depth", "pairs", "epochs", "batch_size", "lr", "seed")
    team = {"processes": options.world} if options.world > 1 else {}
    return {**{key: getattr(options, key) for key in keys}, **team}

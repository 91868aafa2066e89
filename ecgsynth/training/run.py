"""One training run: batches, checkpoints to resume from, logs, early stopping."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader

from ecgsynth.batches import StripBatches, Strips
from ecgsynth.errors import CheckpointError
from ecgsynth.processes import named_faults
from ecgsynth.training.keeping import KeepingIO, last_good
from ecgsynth.training.ranks import Team
from ecgsynth.training.tasks import CGANTask, CVAETask

#: Called with steps done, steps in all, and what was logged last.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class RunOptions:
    """How to run a training.

    Attributes
    ----------
    folder : Path
        Where ``last.ckpt`` and the logs go.
    seed : int
    batch_size : int
        Strips per step.
    epoch : int
        Steps between two validations, each followed by a checkpoint.
    patience : int or None
        Validations without a better loss after which training stops; None trains to the end.
    log : {"csv", "tensorboard"}
    resume : bool
        Go on from the last sound checkpoint in `folder`.
    max_minutes : float or None
        Stop after this time, at the end of a step.
    team : Team
        Processes that share the work.
    """

    folder: Path
    seed: int = 0
    batch_size: int = 24
    epoch: int = 250
    patience: int | None = None
    log: Literal["csv", "tensorboard"] = "csv"
    resume: bool = False
    max_minutes: float | None = None
    team: Team = field(default_factory=Team)


class _Epoch(StripBatches):
    """The batches of one epoch, from where the task is."""

    def __init__(self, task: CVAETask | CGANTask, strips: Strips, options: RunOptions) -> None:
        super().__init__(strips, options.batch_size, options.seed, steps=options.epoch)
        self._task, self._base = task, options.seed

    def __iter__(self) -> Any:
        self.first_step = int(self._task.seen)
        # Processes that train together see other batches and noise; the first one sees what a lone one does.
        self.seed = self._base + 7_368_787 * self._task.global_rank
        # Noise is drawn inside the task from torch's own generator: tie it to the step as well.
        torch.manual_seed(self.seed * 1_000_003 + self.first_step)
        return super().__iter__()


class _Report(Callback):
    def __init__(self, task: CVAETask | CGANTask, progress: Progress) -> None:
        self._task, self._progress, self._total = task, progress, task.schedule.steps

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        # Asked by every process: at the end of an epoch they are averaged, for which all must be there.
        logged = sorted(trainer.callback_metrics.items())
        if not trainer.is_global_zero:
            return
        note = "  ".join(f"{key} {float(value):.4g}" for key, value in logged)
        self._progress(int(self._task.seen), self._total, note)


def run(
    task: CVAETask | CGANTask,
    strips: Strips,
    validation: Strips | None,
    options: RunOptions,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Train `task` in place; returns what was logged last.

    Raises
    ------
    CheckpointError
        If asked to resume and there is no sound checkpoint, or it is of another training; if the training
        diverges.
    ResourceError
        If memory runs out.
    """
    start = last_good(options.folder) if options.resume else None
    quiet_lightning()
    steps = task.schedule.steps
    callbacks: list[Callback] = [
        # One file, replaced after every epoch: what --resume goes on from.
        ModelCheckpoint(
            options.folder,
            filename="last",
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
    ]
    if progress is not None:
        callbacks.append(_Report(task, progress))
    if options.patience is not None and validation is not None and isinstance(task, CVAETask):
        callbacks.append(EarlyStopping("val_loss", patience=options.patience))
    trainer = pl.Trainer(
        max_epochs=-(-steps // options.epoch),
        max_time=timedelta(minutes=options.max_minutes) if options.max_minutes else None,
        callbacks=callbacks,
        plugins=[KeepingIO()],
        logger=_logger(options),
        **options.team.trainer_options(),
        gradient_clip_val=1.0 if task.automatic_optimization else None,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=50,
    )
    learned = DataLoader(_Epoch(task, strips, options), batch_size=None)
    held: DataLoader[Any] | None = None
    if validation is not None and isinstance(task, CVAETask):
        some = StripBatches(validation, options.batch_size, options.seed + 1, steps=12)
        held = DataLoader(some, batch_size=None)
    torch.manual_seed(options.seed)
    advice = "Free memory and go on with --resume, or start afresh with a smaller --batch-size."
    with _ctrl_c(), named_faults("training", advice):
        try:
            trainer.fit(
                task, learned, held, ckpt_path=None if start is None else str(start), weights_only=True
            )
        except (RuntimeError, KeyError) as error:
            if options.resume and "state_dict" in str(error):
                raise CheckpointError(
                    f"{start}: of another architecture or training; start afresh."
                ) from error
            raise
    return {key: float(value) for key, value in trainer.callback_metrics.items()}


@contextmanager
def _ctrl_c() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt; Lightning turns it into an exit and stays deaf to it afterwards."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    try:
        yield
    except SystemExit as error:
        cause = error.__context__
        # Of the same kind, so that SIGTERM and Ctrl-C stay apart.
        raise (type(cause) if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt) from error
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _logger(options: RunOptions) -> Any:
    if options.log == "tensorboard":
        from pytorch_lightning.loggers import TensorBoardLogger

        return TensorBoardLogger(options.folder, name="logs", version=0)
    from pytorch_lightning.loggers import CSVLogger

    return CSVLogger(options.folder, name="logs", version=0)


def quiet_lightning() -> None:
    """Keep Lightning's advice on hardware and data loaders out of a user's terminal."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")

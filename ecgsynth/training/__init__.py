"""Training of the learned generators: Lightning tasks, the prior, the run, and a user's own folder."""

from __future__ import annotations

from ecgsynth.training.folder import TrainOptions, TrainResult, train_on_folder

__all__ = ["TrainOptions", "TrainResult", "train_on_folder"]

"""Training of the learned generators: Lightning tasks, the prior, the run, and a user's own folder."""

from __future__ import annotations

from ecgsynth.training.folder import train_on_folder
from ecgsynth.training.options import TrainOptions, TrainResult

__all__ = ["TrainOptions", "TrainResult", "train_on_folder"]

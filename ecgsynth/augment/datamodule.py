"""A Lightning data module over a folder of real and synthetic strips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from torch import Tensor
from torch.utils.data import DataLoader

from ecgsynth.augment.chain import Chain, default_chain
from ecgsynth.augment.dataset import CACHE_BYTES, StripDataset
from ecgsynth.augment.index import index_folders
from ecgsynth.augment.mixing import MixedSampler, MixedStream, TransformedBatches, batch_seed
from ecgsynth.augment.plan import check_ratio
from ecgsynth.errors import OptionError
from ecgsynth.wish import Wish


class StripData(pl.LightningDataModule):
    """Batches of ``signal`` [B, leads, samples] in mV and ``label`` [B], augmented in training only.

    Synthetic strips are in the training batches only; a folder that has them elsewhere is refused.

    Parameters
    ----------
    folders : path or sequence of paths
        As ``ecgsynth augment`` writes them.
    rhythms, fs, leads, seconds
        As for `StripDataset`.
    ratio : float or None
        Synthetic strips per real one of a rhythm; None takes those in the folder once each.
    generate : mapping of str to Wish, or None
        Generate synthetic strips of these rhythms while training, at `ratio` (1 if None), and pass over
        those in the folder.
    generator : str
        For `generate`.
    chain : Chain, "default" or None
        Transforms of training batches.
    balanced : bool
        Draw rhythms equally often.
    on_device : bool
        Transform after the batch has reached the accelerator instead of in the workers.
    batch_size, workers, seed : int
    """

    def __init__(
        self,
        folders: Path | str | Sequence[Path | str],
        *,
        rhythms: Sequence[str] | None = None,
        fs: float | None = None,
        leads: tuple[str, ...] | None = None,
        seconds: float = 10.0,
        ratio: float | None = None,
        generate: Mapping[str, Wish] | None = None,
        generator: str = "cvae",
        chain: Chain | Literal["default"] | None = "default",
        balanced: bool = False,
        on_device: bool = False,
        batch_size: int = 64,
        workers: int = 2,
        seed: int = 0,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        super().__init__()
        check_ratio(ratio or 0.0)
        if batch_size < 1 or workers < 0:
            raise OptionError(f"batch_size {batch_size}, workers {workers}; allowed: 1 or more, 0 or more.")
        self.folders = [Path(folders)] if isinstance(folders, str | Path) else [Path(one) for one in folders]
        self.rhythms, self.layout = rhythms, {"fs": fs, "leads": leads, "seconds": seconds}
        self.ratio, self.generate, self.generator = ratio, generate, generator
        self.chain, self.balanced, self.on_device = chain, balanced, on_device
        self.batch_size, self.workers, self.seed, self.cache_bytes = batch_size, workers, seed, cache_bytes
        self.parts: dict[str, StripDataset] = {}

    def setup(self, stage: str | None = None) -> None:
        """Index the folders and hold them to their split."""
        if self.parts:
            return
        entries = index_folders(self.folders)
        present = {entry.part for entry in entries} - {None}
        if "train" not in present:
            raise OptionError(
                f"{', '.join(map(str, self.folders))}: has no part train; make the folder with "
                "`ecgsynth augment`."
            )
        train = self._part("train", entries, self.rhythms)
        self.parts["train"] = train
        for part in sorted(str(one) for one in present - {"train"}):
            self.parts[part] = self._part(part, entries, train.rhythms)
        if self.chain == "default":
            self.chain = default_chain(train.fs, train.leads)

    def _part(self, part: str, entries: list[Any], rhythms: Sequence[str] | None) -> StripDataset:
        return StripDataset(
            self.folders,
            part=part,
            rhythms=rhythms,
            entries=entries,
            cache_bytes=self.cache_bytes,
            **self.layout,  # type: ignore[arg-type]
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """Real and synthetic strips, transformed."""
        train = self.parts["train"]
        chain = None if self.on_device else self.chain
        collate = TransformedBatches(chain if isinstance(chain, Chain) else None, self.seed)
        if self.generate is not None:
            ratio = 1.0 if self.ratio is None else self.ratio
            stream = MixedStream(train, self.generate, self.generator, ratio, self.seed)
            return self._loader(stream, collate)
        sampler = MixedSampler(train, self.ratio, balanced=self.balanced, seed=self.seed)
        return self._loader(train, collate, sampler=sampler, drop_last=len(sampler) > self.batch_size)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Real strips of the validation part, as they are."""
        return self._plain("val")

    def test_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Real strips of the test part, as they are."""
        return self._plain("test")

    def _plain(self, part: str) -> DataLoader[Any] | list[Any]:
        return self._loader(self.parts[part], TransformedBatches(None)) if part in self.parts else []

    def _loader(self, data: Any, collate: TransformedBatches, **options: Any) -> DataLoader[Any]:
        return DataLoader(
            data,
            batch_size=self.batch_size,
            num_workers=self.workers,
            collate_fn=collate,
            persistent_workers=self.workers > 0,
            **options,
        )

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """Transform training batches on the accelerator, where that was asked for."""
        if not (self.on_device and isinstance(self.chain, Chain) and self.trainer and self.trainer.training):
            return batch
        return {**batch, "signal": self.chain(batch["signal"], batch_seed(self.seed, batch["index"]))}

    def unreadable(self) -> dict[str, int]:
        """Records that could not be read so far, and how often each was asked for."""
        return {name: n for data in self.parts.values() for name, n in data.unreadable().items()}

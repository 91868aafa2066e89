"""Real and synthetic strips in proportion: from a folder, or generated while training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, Sampler, get_worker_info

from ecgsynth.augment.chain import Chain
from ecgsynth.augment.dataset import Item, StripDataset, stacked
from ecgsynth.augment.plan import check_ratio
from ecgsynth.errors import GateError, OptionError
from ecgsynth.fidelity.calibration import load_calibration
from ecgsynth.fidelity.gate import check_records
from ecgsynth.sampling import CHUNK, load_generator
from ecgsynth.sampling import Sampler as Generator
from ecgsynth.wish import Wish

#: Records of one epoch and worker are numbered from multiples of this, so that none comes twice.
_EPOCH_RECORDS = 1_000_000
_MOST_REDRAWS = 20


class MixedSampler(Sampler[int]):
    """Indices of one epoch: every real strip once, and synthetic ones at a ratio to the real ones.

    Where the ratio asks for fewer synthetic strips than there are, each epoch takes the next ones; where it
    asks for more, they come again. The order is decided by seed and epoch.

    Parameters
    ----------
    data : StripDataset
    ratio : float or None
        Synthetic strips per real one of the same rhythm; None takes every synthetic strip once.
    balanced : bool
        Draw rhythms equally often, real strips with replacement; the number of real strips in all stays.
    seed : int
    """

    def __init__(
        self, data: StripDataset, ratio: float | None = None, *, balanced: bool = False, seed: int = 0
    ) -> None:
        check_ratio(ratio or 0.0)
        self.data, self.ratio, self.balanced, self.seed, self.epoch = data, ratio, balanced, seed, 0
        labels, synthetic = data.label.numpy(), data.synthetic.numpy()
        self._real = {int(n): np.flatnonzero((labels == n) & ~synthetic) for n in np.unique(labels)}
        self._made = {int(n): np.flatnonzero((labels == n) & synthetic) for n in np.unique(labels)}
        lacking = [n for n, rows in self._real.items() if len(rows) and not len(self._made[n])]
        if ratio and len(lacking) == len(self._real):
            raise OptionError(f"ratio: {ratio:g} asked for, but there is no synthetic strip.")

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; Lightning does."""
        self.epoch = epoch

    def _wanted(self, label: int) -> int:
        made = len(self._made[label])
        if self.ratio is None or not made:
            return made
        return round(self.ratio * len(self._real[label]))

    def __len__(self) -> int:
        return sum(map(len, self._real.values())) + sum(self._wanted(n) for n in self._made)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.epoch,)))
        chosen = [self._balanced(rng) if self.balanced else np.concatenate(list(self._real.values()))]
        chosen += [self._some_made(label) for label in self._made]
        yield from rng.permutation(np.concatenate(chosen)).tolist()

    def _balanced(self, rng: np.random.Generator) -> Any:
        groups = [rows for rows in self._real.values() if len(rows)]
        total = sum(map(len, groups))
        shares = [total // len(groups) + (i < total % len(groups)) for i in range(len(groups))]
        return np.concatenate([rng.choice(rows, n) for rows, n in zip(groups, shares, strict=True)])

    def _some_made(self, label: int) -> Any:
        """The next synthetic strips of a rhythm, in an order that goes on from epoch to epoch."""
        rows, wanted = self._made[label], self._wanted(label)
        if not wanted:
            return rows[:0]
        place = np.arange(self.epoch * wanted, (self.epoch + 1) * wanted)
        orders = {
            turn: np.random.default_rng(
                np.random.SeedSequence(self.seed, spawn_key=(turn, label, 1))
            ).permutation(rows)
            for turn in np.unique(place // len(rows)).tolist()
        }
        return np.array([orders[turn][i] for turn, i in zip(*divmod(place, len(rows)), strict=True)])


class MixedStream(IterableDataset[Item]):
    """Real strips with synthetic ones that are generated, and gated, while training; none comes twice.

    Every worker generates its own share. What an epoch holds is decided by the seed, the epoch and the number
    of workers.

    Parameters
    ----------
    real : StripDataset
        With labels. Synthetic strips in it are passed over.
    wishes : mapping of str to Wish
        What to ask of the generator, by rhythm; rate, leads and length are set to those of `real`.
    generator : str or Generator
        As for ``ecgsynth generate``.
    ratio : float
        Synthetic strips per real one of the same rhythm.
    seed : int
    """

    def __init__(
        self,
        real: StripDataset,
        wishes: Mapping[str, Wish],
        generator: str | Generator = "cvae",
        ratio: float = 1.0,
        seed: int = 0,
    ) -> None:
        check_ratio(ratio)
        unknown = sorted(set(wishes) - set(real.rhythms))
        if unknown:
            raise OptionError(f"wishes: no real strip of {', '.join(unknown)}; there are {real.rhythms}.")
        self.real, self.ratio, self.seed = real, ratio, seed
        self.generator = load_generator(generator) if isinstance(generator, str) else generator
        fixed = {"fs": real.fs, "leads": real.leads, "seconds": real.seconds, "seed": seed}
        self.wishes = {
            real.rhythms.index(name): Wish(**{**vars(wish), **fixed, "rhythm": name})
            for name, wish in wishes.items()
        }
        for wish in self.wishes.values():
            self.generator.check(wish)
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; workers that live on are told too."""
        self._epoch.fill_(epoch)

    def __iter__(self) -> Iterator[Item]:
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        epoch = int(self._epoch)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch,)))
        order = rng.permutation(np.flatnonzero(~self.real.synthetic.numpy()))[number::workers]
        streams = {
            label: self._generated(label, (epoch * workers + number) * _EPOCH_RECORDS)
            for label in self.wishes
        }
        # Half a strip of debt to begin with rounds each worker's share instead of cutting it off.
        debt = dict.fromkeys(self.wishes, 0.5)
        for index in order.tolist():
            yield self.real[index]
            label = int(self.real.label[index])
            if label not in debt:
                continue
            debt[label] += self.ratio
            while debt[label] >= 1:
                debt[label] -= 1
                yield next(streams[label])

    def _generated(self, label: int, first: int) -> Iterator[Item]:
        wish, calibration = self.wishes[label], load_calibration()
        while True:
            pending = dict.fromkeys(range(first, first + CHUNK), 0)
            first += CHUNK
            done: dict[int, Item] = {}
            while pending:
                drawn = self.generator.draw(wish, list(pending), list(pending.values()))
                verdicts = check_records(drawn, calibration)
                for i, record, verdict in zip(list(pending), drawn, verdicts, strict=True):
                    if verdict.passed:
                        done[i] = self._item(record.signal, label, i)
                        del pending[i]
                    elif pending[i] >= _MOST_REDRAWS:
                        raise GateError(
                            f"{record.name}: failed the gate {pending[i] + 1} times, last for "
                            f"{'; '.join(verdict.reasons)}. Ask for other conditions."
                        )
                    else:
                        pending[i] += 1
            yield from (done[i] for i in sorted(done))

    def _item(self, signal: Any, label: int, number: int) -> Item:
        return {
            "signal": torch.from_numpy(np.ascontiguousarray(signal, dtype=np.float32)),
            "label": torch.tensor(label),
            "index": torch.tensor(len(self.real) + number),
            "person": torch.tensor(-1),
            "synthetic": torch.tensor(True),
        }


def batch_seed(seed: int, index: Tensor, view: int = 0) -> int:
    """A seed for the transforms of a batch: of the strips in it, so that its maker does not matter."""
    key = np.random.SeedSequence([seed, *index.tolist()], spawn_key=(view,))
    return int(key.generate_state(1, np.uint64)[0] >> np.uint64(1))


class TransformedBatches:
    """Stacks items and transforms the batch; the indices in it and the seed decide how.

    So which worker makes a batch does not matter, and no two batches are transformed alike.

    Parameters
    ----------
    chain : Chain or None
    seed : int
    views : int
        1 gives ``signal``; 2 gives ``signal`` and ``second``, transformed independently.
    """

    def __init__(self, chain: Chain | None, seed: int = 0, views: int = 1) -> None:
        if views not in (1, 2):
            raise OptionError(f"views: {views}; allowed are 1 and 2.")
        self.chain, self.seed, self.views = chain, seed, views

    def __call__(self, items: Sequence[Item]) -> dict[str, Tensor]:
        """A batch of the items."""
        batch = stacked(items)
        plain = batch["signal"]
        for view, name in enumerate(("signal", "second")[: self.views]):
            seed = batch_seed(self.seed, batch["index"], view)
            batch[name] = plain if self.chain is None else self.chain(plain, seed)
        return batch

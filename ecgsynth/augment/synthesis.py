"""Synthetic strips that fit the real ones: same rate, length and leads, from the pipeline of ``generate``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecgsynth.datasets.folder import read_folder
from ecgsynth.errors import OptionError
from ecgsynth.pipeline import GenerateOptions, generate_dataset
from ecgsynth.population import sources_of
from ecgsynth.records import TWELVE_LEADS, Record
from ecgsynth.sampling import Sampler


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """How synthetic strips are made; see :class:`ecgsynth.pipeline.GenerateOptions`."""

    seconds: float
    fs: float
    leads: tuple[str, ...]
    generator: str = "cvae"
    weights: Path | None = None
    seed: int = 0
    workers: int = 0
    allow_few_people: bool = False
    max_redraws: int = 20

    source: str | None = None

    def options(self, rhythm: str, records: int, out: Path) -> GenerateOptions:
        """As ``ecgsynth generate`` takes them."""
        return GenerateOptions(rhythm=rhythm, records=records, out=out, **vars(self))

    def resembling(self, source: str, rhythm: str, number: int) -> Synthesis:
        """The same in the image of one database, where it showed the rhythm, from a seed of its own."""
        seed = int(np.random.SeedSequence(self.seed, spawn_key=(number,)).generate_state(1)[0])
        sampler = Sampler(self.generator, self.weights)
        taught = sources_of(rhythm, sampler.load(len(self.leads) > 1)[1])
        return replace(self, source=source if not taught or source in taught else None, seed=seed)

    def check(self, rhythm: str) -> None:
        """Refuse what the generator cannot make, before any work.

        Raises
        ------
        OptionError, TooFewPeopleError, CheckpointError
            As ``ecgsynth generate``; OptionError also for sets of leads that no generator makes.
        """
        if self.leads != TWELVE_LEADS and len(self.leads) > 1:
            raise OptionError(
                f"--lead: the recordings have {', '.join(self.leads)}; generators make one lead or the "
                f"standard twelve. Choose one, such as --lead {self.leads[0]}."
            )
        Sampler(self.generator, self.weights).check(self.options(rhythm, 1, Path()).wish())

    @contextmanager
    def strips(
        self, rhythm: str, records: int, beside: Path, first: int = 0
    ) -> Iterator[tuple[int, Iterator[tuple[Record, dict[str, Any]]]]]:
        """Draws turned down by the gate, and the strips with their manifest lines.

        They lie in a hidden folder next to `beside`, which is gone once they are read, and are named as if
        they were number `first` and following.
        """
        target = Path(os.path.abspath(beside))
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            out = Path(folder) / rhythm
            summary = generate_dataset(self.options(rhythm, records, out))
            yield summary.redrawn, _read_back(out, self.generator, first)


def _read_back(folder: Path, generator: str, first: int) -> Iterator[tuple[Record, dict[str, Any]]]:
    told = [json.loads(text) for text in (folder / "manifest.jsonl").read_text().splitlines()]
    for record, line in zip(read_folder(folder), told, strict=True):
        origin = f"{generator}, seed {line['seed']}, index {line['index']}"
        name = f"{line['name'].rstrip('0123456789')}{line['index'] + first:05d}" if first else line["name"]
        source = line["conditions"]["drawn"]["source"]
        extra = {**record.extra, "synthetic": generator, "part": "train", "origin": origin}
        person = f"synthetic/{name}"
        beats = replace(record.beats, source="generated") if record.beats is not None else None
        own = {
            **line,
            "name": name,
            "part": "train",
            "person": person,
            "synthetic": True,
            "rhythm": line["rhythm"][0][0],
            "source": source,
            "origin": origin,
        }
        yield replace(record, name=name, subject=person, source=source, beats=beats, extra=extra), own

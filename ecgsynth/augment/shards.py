"""Strips as a few large files for training from object stores: tar (WebDataset) or Parquet."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from ecgsynth.augment.provenance import MixedWriter
from ecgsynth.datasets.folder import read_one
from ecgsynth.datasets.marks import comment_field
from ecgsynth.errors import OptionError, RecordError
from ecgsynth.split import PARTS
from ecgsynth.wfdb_io import read_header, to_digital

#: Strips per shard: some 25 MB of ten-second twelve-lead strips at 100 Hz.
STRIPS_PER_SHARD: Final = 1000
#: ADC units per mV of the samples in shards, as in the WFDB files.
UNITS_PER_MV: Final = 1000

ShardKind = Literal["tar", "parquet"]


def write_shards(writer: MixedWriter, members: Sequence[tuple[str, str]], kind: ShardKind, seed: int) -> int:
    """Write the strips of a dataset that is being written as shards, shuffled, one part after the other.

    ``shards/train-000000.tar`` and so on. A tar shard holds ``<name>.npy`` (int16 [leads, samples], 1,000
    units per mV) and ``<name>.json`` for each strip, as WebDataset expects; a Parquet shard has a row for
    each.

    Returns
    -------
    int
        Shards written.

    Raises
    ------
    OptionError
        If Parquet is asked for and pyarrow is not installed.
    """
    write = _tar if kind == "tar" else _parquet
    if kind == "parquet":
        _pyarrow()
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0x5A,)))
    count = 0
    for part in PARTS:
        names = [name for name, at in members if at == part]
        order = rng.permutation(len(names))
        for first in range(0, len(names), STRIPS_PER_SHARD):
            file = f"shards/{part}-{first // STRIPS_PER_SHARD:06d}.{kind}"
            some = [names[i] for i in order[first : first + STRIPS_PER_SHARD]]
            write(writer.attach(file), (_strip(writer.attach(name)) for name in some))
            writer.seal(file)
            count += 1
    return count


def _strip(stem: Path) -> tuple[np.ndarray[Any, np.dtype[np.int16]], dict[str, Any]]:
    """Samples as stored, and what is known of them."""
    record = read_one(stem)
    comments = read_header(stem).comments
    beats = record.beats
    return to_digital(record.signal, record.leads), {
        "name": record.name,
        "rhythm": record.episodes[0].rhythm,
        "part": comment_field(comments, "Part"),
        "person": comment_field(comments, "Subject"),
        "source": comment_field(comments, "Source"),
        "synthetic": "synthetic" in record.extra,
        "fs": record.fs,
        "leads": list(record.leads),
        "age": record.age,
        "sex": record.sex,
        "beats": [] if beats is None else beats.samples.tolist(),
        "symbols": "" if beats is None else "".join(beats.symbols),
        "units_per_mv": UNITS_PER_MV,
    }


def _tar(path: Path, strips: Iterator[tuple[np.ndarray[Any, np.dtype[np.int16]], dict[str, Any]]]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for samples, about in strips:
            buffer = io.BytesIO()
            np.save(buffer, samples)
            _put(tar, f"{about['name']}.npy", buffer.getvalue())
            _put(tar, f"{about['name']}.json", json.dumps(about, sort_keys=True).encode())


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # owner, time and mode as TarInfo has them: 0, so that bytes repeat
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise OptionError(
            "--shards parquet: pyarrow is not installed; pip install 'ecgsynth[parquet]', or use "
            "--shards tar."
        ) from None
    return pyarrow


def _parquet(
    path: Path, strips: Iterator[tuple[np.ndarray[Any, np.dtype[np.int16]], dict[str, Any]]]
) -> None:
    arrow = _pyarrow()
    rows = [{**about, "signal": samples.tobytes()} for samples, about in strips]
    table = arrow.Table.from_pylist(rows)
    arrow.parquet.write_table(table, path, compression="zstd", row_group_size=100)


def read_shard(path: Path) -> Iterator[tuple[np.ndarray[Any, np.dtype[np.float32]], dict[str, Any]]]:
    """Strips of one shard: signal float32 [leads, samples] in mV, and what is known of it.

    Raises
    ------
    RecordError
        If the file is no shard.
    """
    try:
        for samples, about in _read_parquet(path) if path.suffix == ".parquet" else _read_tar(path):
            yield samples.astype(np.float32) / about["units_per_mv"], about
    except (OSError, ValueError, KeyError, tarfile.TarError) as error:
        raise RecordError(
            f"{path}: is no shard that ecgsynth wrote, or damaged ({error}). Make it again."
        ) from error


def _read_tar(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    with tarfile.open(path, "r|") as tar:
        samples: Any = None
        for member in tar:
            file = tar.extractfile(member)
            content = file.read() if file is not None else b""
            if member.name.endswith(".npy"):
                samples = np.load(io.BytesIO(content), allow_pickle=False)
            else:
                yield samples, json.loads(content)


def _read_parquet(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    for batch in _pyarrow().parquet.ParquetFile(path).iter_batches(batch_size=100):
        for row in batch.to_pylist():
            samples = np.frombuffer(row.pop("signal"), dtype="<i2")
            yield samples.reshape(len(row["leads"]), -1), row

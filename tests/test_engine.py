"""One engine under generate, report and audit: whoever works, in order, the same bytes, nothing lost."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import active_children, connection
from pathlib import Path
from typing import Any

import pytest

from ecgsynth import load_generator
from ecgsynth.engine import ALONE, BATCH, Engine, in_order
from ecgsynth.errors import GateError, OptionError, ResourceError
from ecgsynth.export import verify_dataset
from ecgsynth.pipeline import GenerateOptions, generate_dataset
from ecgsynth.privacy.copies import find_copies
from ecgsynth.privacy.gallery import build_gallery
from ecgsynth.privacy.samples import Sample, read_side
from ecgsynth.processes import loading

needs_ray = pytest.mark.skipif(
    not any((Path(p) / "ray" / "__init__.py").is_file() for p in sys.path), reason="needs the extra: scale"
)
TWO = [
    pytest.param(Engine("processes", 2), id="processes"),
    pytest.param(Engine("ray", 2), id="ray", marks=needs_ray),
]


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    """Ray on this machine for the whole module where it is installed: starting it takes seconds."""
    try:
        import ray
    except ImportError:
        yield
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


class Half:
    """Halves numbers; ``where`` gets a file per process that was at work."""

    def __init__(self, where: Path | None = None) -> None:
        self.where = where

    def __call__(self, number: int) -> float:
        if self.where is not None:
            (self.where / str(os.getpid())).touch()
        return number / 2


class Mortal(Half):
    """Kills its process at ``number``: the first time only, or ``always``."""

    def __init__(self, where: Path, number: int, always: bool = False) -> None:
        super().__init__(where)
        self.number, self.always = number, always

    def __call__(self, number: int) -> float:
        died = self.where / "died"  # type: ignore[operator]
        if number == self.number and (self.always or not died.exists()):
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(number)


def refuse(number: int) -> int:
    if number == 70:
        raise GateError("number 70 fails")
    return number


class Loaded:
    """Has something that is not sent, and loads it again where it arrives."""

    def __init__(self) -> None:
        self.big = lambda number: number + 1  # cannot be pickled

    def __reduce__(self) -> tuple[type[Loaded], tuple[()]]:
        return Loaded, ()

    def __call__(self, number: int) -> int:
        return int(self.big(number))


# ----------------------------------------------------------------------------- the order


@pytest.mark.parametrize("engine", [Engine(workers=1), *TWO])
@pytest.mark.parametrize("n", [0, 1, BATCH, 5 * BATCH + 3])
def test_results_come_in_order(engine: Engine, n: int, tmp_path: Path) -> None:
    assert list(in_order(Half(tmp_path), range(n), engine)) == [k / 2 for k in range(n)]
    others = {path.name for path in tmp_path.iterdir()} - {str(os.getpid())}
    assert bool(others) == (n > 0 and engine.workers == 2 and (n > BATCH or engine.name == "ray"))


@pytest.mark.parametrize("engine", TWO)
def test_only_a_few_batches_are_in_memory(engine: Engine) -> None:
    read = 0

    def counted() -> Iterator[int]:
        nonlocal read
        for k in range(100 * BATCH):
            read += 1
            yield k

    made = in_order(Half(), counted(), engine)
    for done in range(20 * BATCH):
        next(made)
        assert 2 * BATCH < read - done <= 7 * BATCH
    made.close()


@pytest.mark.parametrize("engine", TWO)
def test_what_the_function_raises_arrives_as_it_is(engine: Engine) -> None:
    made = in_order(refuse, range(4 * BATCH), engine)
    with pytest.raises(GateError, match=r"^number 70 fails$"):
        list(made)


@pytest.mark.parametrize("engine", [*TWO, pytest.param("spawn", id="spawn")])
def test_a_function_may_load_by_itself_what_cannot_be_sent(engine: Any) -> None:
    if engine == "spawn":
        made = in_order(Loaded(), range(3), Engine("processes", 2), batch=1, fork=False)
    else:
        made = in_order(Loaded(), range(3), engine, batch=1)
    assert list(made) == [1, 2, 3]


def test_few_items_start_no_process_unless_asked(tmp_path: Path) -> None:
    list(in_order(Half(tmp_path), range(3 * BATCH), Engine(), few=True))
    assert [path.name for path in tmp_path.iterdir()] == [str(os.getpid())]


@pytest.mark.parametrize(
    ("words", "part"),
    [(("dask",), "processes, ray"), (("processes", 2, "auto"), "--engine ray")],
)
def test_an_engine_that_is_not_there_is_said(words: tuple[Any, ...], part: str) -> None:
    with pytest.raises(OptionError, match=part):
        Engine(*words)


def test_ray_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match=r"ecgsynth\[scale\]"):
        list(in_order(Half(), range(3), Engine("ray")))


# ----------------------------------------------------------------------------- deaths


def test_a_process_that_is_killed_has_a_name(tmp_path: Path) -> None:
    made = in_order(Mortal(tmp_path, 70), range(4 * BATCH), Engine("processes", 2))
    with pytest.raises(ResourceError, match="was killed"):
        list(made)


def die_in_the_middle(number: int) -> bytes:
    """Makes this process die when half of what is returned is written."""

    def half(self: Any, buf: Any) -> None:
        os.write(self._handle, bytes(buf)[: len(buf) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    if number == 70:
        connection.Connection._send = half  # type: ignore[attr-defined]
    return b"x" * 50_000


@pytest.mark.parametrize("fork", [True, False])
def test_a_process_that_dies_while_it_answers_is_not_waited_for(fork: bool) -> None:
    made = in_order(die_in_the_middle, range(4 * BATCH), Engine("processes", 2), fork=fork)
    with pytest.raises(ResourceError, match="was killed"):
        list(made)


def test_large_batches_go_both_ways_at_once() -> None:
    """Neither side may wait for the other to read first."""
    items = [bytes([k]) * 3_000_000 for k in range(12)]
    assert list(in_order(bytes.swapcase, items, Engine("processes", 2), batch=1)) == [
        x.swapcase() for x in items
    ]


def threads_of_blas(_: int) -> list[int]:
    """How many threads a matrix product takes here."""
    import numpy as np
    from threadpoolctl import threadpool_info

    assert np.ones((2, 2)).dot(np.ones(2)).sum() == 4
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.parametrize("fork", [True, False])
def test_a_worker_multiplies_with_one_thread(fork: bool) -> None:
    """As many workers as cores that take a thread per core each would wait for each other."""
    found = list(in_order(threads_of_blas, range(2 * BATCH), Engine("processes", 2), fork=fork))
    assert found[0] and {number for threads in found for number in threads} == {1}


def fail_oddly(number: int) -> int:
    class Local(Exception):
        """Cannot be sent."""

    raise Local(f"number {number}") if number else KeyError("beats")


@pytest.mark.parametrize(
    ("items", "kind", "part"), [((0, 0), KeyError, "beats"), ((1, 1), RuntimeError, "number 1")]
)
def test_a_fault_of_the_program_says_where_it_was(
    items: tuple[int, int], kind: type[Exception], part: str
) -> None:
    with pytest.raises(kind, match=part) as caught:
        list(in_order(fail_oddly, items, Engine("processes", 2), batch=1))
    assert "fail_oddly" in str(caught.value.__cause__)


def test_no_process_stays_when_results_are_left_unread() -> None:
    made = in_order(Half(), range(10 * BATCH), Engine("processes", 2))
    next(made)
    workers = active_children()
    made.close()
    assert len(workers) == 2 and not active_children()


@needs_ray
def test_a_ray_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    made = in_order(Mortal(tmp_path, 70), range(6 * BATCH), Engine("ray", 2))
    assert list(made) == [k / 2 for k in range(6 * BATCH)]
    assert (tmp_path / "died").exists()


@needs_ray
def test_a_task_that_always_kills_its_worker_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecgsynth.engine.RETRIES", 1)
    with pytest.raises(ResourceError, match="lost a task 2 times"):
        list(in_order(Mortal(tmp_path, 1, always=True), range(4), Engine("ray", 2), batch=1))


@needs_ray
def test_a_worker_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgsynth.engine.__version__", "0.0.1")
    with pytest.raises(OptionError, match=r"you have 0\.0\.1"):
        list(in_order(Half(), range(4), Engine("ray", 2)))


# ----------------------------------------------------------------------------- the same bytes

WISH: dict[str, Any] = {
    "rhythm": "afib",
    "generator": "parametric",
    "records": 160,
    "seconds": 4.0,
    "seed": 3,
}


def sums(folder: Path) -> bytes:
    return (folder / "SHA256SUMS.txt").read_bytes()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by one process."""
    out = tmp_path_factory.mktemp("alone") / "af"
    return generate_dataset(GenerateOptions(**WISH, workers=1, out=out)).out


@pytest.mark.parametrize("engine", TWO)
def test_an_engine_does_not_change_a_byte(engine: Engine, alone: Path, tmp_path: Path) -> None:
    options = GenerateOptions(**WISH, workers=2, engine=engine.name, out=tmp_path / "af")
    assert sums(generate_dataset(options).out) == sums(alone)


@pytest.mark.parametrize("engine", TWO)
def test_damage_is_found_whoever_reads(
    engine: Engine, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecgsynth.export.verify.FEW_RECORDS", 0)
    assert verify_dataset(alone, engine).ok
    copy = shutil.copytree(alone, tmp_path / "copy")
    for name in ("afib00003.dat", "afib00131.atr"):
        raw = (copy / name).read_bytes()
        (copy / name).write_bytes(bytes([raw[0] ^ 1]) + raw[1:])
    found = verify_dataset(copy, engine)
    assert found == verify_dataset(copy) and found.records == 160
    said = [(problem.file, problem.what.partition(" of ")[0]) for problem in found.problems]
    assert said == [
        ("afib00003.dat", "does not match its SHA-256"),
        ("afib00003.hea", f"{copy / 'afib00003.hea'}: checksum"),
        ("afib00131.atr", "does not match its SHA-256"),
    ]


@pytest.mark.parametrize("engine", TWO)
def test_an_audit_measures_and_finds_the_same_whoever_works(engine: Engine) -> None:
    made = load_generator("parametric").sample("afib", n=18, seed=5, seconds=12.0, leads=("II",))
    real = [replace(record, name=f"p{k}", subject=f"p/{k}") for k, record in enumerate(made)]
    sides = [read_side("train", real, whole=True, engine=one) for one in (ALONE, engine)]
    first, second = ([_numbers(sample) for sample in side.samples] for side in sides)
    assert first == second and len(first) == 18
    assert [k.beat.tolist() for k in sides[0].known] == [k.beat.tolist() for k in sides[1].known]
    gallery = build_gallery(sides[1].traces)
    strips = [sample.strip for sample in sides[0].samples]
    alone, shared = (find_copies(gallery, strips[:6], one) for one in (ALONE, engine))
    assert [(m.full, m.half, m.bent, m.margin) for m in alone] == [
        (m.full, m.half, m.bent, m.margin) for m in shared
    ]


def _numbers(sample: Sample) -> tuple[str, bytes, bytes]:
    return sample.strip.record, sample.strip.signal.tobytes(), sample.features.tobytes()


@needs_ray
def test_killing_ray_workers_while_they_generate_changes_no_byte(alone: Path, tmp_path: Path) -> None:
    killed: set[int] = set()

    def reap(done: int, total: int) -> None:
        """After the first records, whoever runs tasks of ours is killed."""
        if done in (1, 40):
            for pid in _ray_workers() - killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)

    options = GenerateOptions(**WISH, workers=2, engine="ray", out=tmp_path / "af")
    assert sums(generate_dataset(options, progress=reap).out) == sums(alone)
    assert killed


def _ray_workers() -> set[int]:
    """Processes of this machine that run our function for Ray, children of this test's Ray."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::_run_far"):
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def test_shards_together_are_the_whole(alone: Path, tmp_path: Path) -> None:
    made: dict[str, bytes] = {}
    listed: list[str] = []
    lines: list[str] = []
    for part in (1, 2, 3):
        options = GenerateOptions(**WISH, workers=1, shard=(part, 3), out=tmp_path / str(part))
        out = generate_dataset(options).out
        made |= {p.name: p.read_bytes() for p in out.iterdir() if p.suffix in {".hea", ".dat", ".atr"}}
        listed += (out / "RECORDS").read_text().splitlines()
        lines += (out / "manifest.jsonl").read_text().splitlines()
        assert f"{part} of 3" in (out / "DATASET_CARD.md").read_text()
    assert listed == (alone / "RECORDS").read_text().splitlines()
    assert lines == (alone / "manifest.jsonl").read_text().splitlines()
    assert made == {p.name: p.read_bytes() for p in alone.iterdir() if p.suffix in {".hea", ".dat", ".atr"}}


@pytest.mark.parametrize("shard", [(0, 3), (4, 3), (1, 6)])
def test_a_shard_that_is_none_is_refused(shard: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="blocks of 32"):
        generate_dataset(GenerateOptions(**WISH, shard=shard, out=tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_loading_puts_garbage_off_and_loses_none() -> None:
    class Ring:
        itself: Any

    ring = Ring()
    ring.itself = ring
    gone = weakref.ref(ring)
    with loading():
        assert not gc.isenabled()
        del ring
    assert gc.isenabled() and gone() is not None
    gc.collect()
    assert gone() is None and gc.get_freeze_count() == 0

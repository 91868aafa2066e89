"""Generation survives kills, full disks and meddling; --resume gives the same bytes."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgsynth import pipeline, plot
from ecgsynth.errors import GateError, OutputError, ResourceError
from ecgsynth.export import verify_dataset, writer
from ecgsynth.pipeline import GenerateOptions, Summary, generate_dataset
from ecgsynth.sampling import Sampler

RECORDS = 70


def quick_sheet(records: list[Any], path: Path) -> None:
    path.write_bytes(b"PNG" + b"".join(record.signal.tobytes() for record in records))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot, "contact_sheet", quick_sheet)
    # Another test may have imported torch, which is not used here.
    monkeypatch.setattr(pipeline, "can_fork", lambda: True)


def make(out: Path, **changes: Any) -> Summary:
    options = {"rhythm": "afib", "generator": "parametric", "records": RECORDS, "workers": 1, "seconds": 4.0}
    return generate_dataset(GenerateOptions(out=out, **{**options, **changes}))  # type: ignore[arg-type]


def sums(folder: Path) -> bytes:
    return (folder / "SHA256SUMS.txt").read_bytes()


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Sums of an undisturbed run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot, "contact_sheet", quick_sheet)
        return sums(make(tmp_path_factory.mktemp("whole") / "af").out)


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int, act: Callable[[], None]) -> None:
    """Do `act` in the middle of writing record number `at`."""
    real, calls = writer.write_record, iter(range(10**6))

    def meddled(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == at:
            act()
        return real(*args, **kwargs)

    monkeypatch.setattr(writer, "write_record", meddled)


def fail(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def left_behind(tmp_path: Path, at: int = 50) -> Path:
    """A run that stopped at record `at`; its hidden folder."""
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, at, fail(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "af")
    assert not (tmp_path / "af").exists()
    return tmp_path / ".af.partial"


def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    tmp_path: Path, whole: bytes, child: Any, rng: np.random.Generator, times: Callable[[int, int], int]
) -> None:
    began = time.monotonic()
    assert child(make, tmp_path / "timed").exit_code == 0
    length = time.monotonic() - began
    kills = finished = 0
    while kills < times(6, 50):
        out = tmp_path / f"af{finished}"
        code = child(_resumed, out).kill_after(float(rng.uniform(0, 1.1 * length)))
        kills += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL)
        assert out.exists() == (code == 0), "half a dataset under its name"
        if code == 0:
            assert sums(out) == whole and verify_dataset(out).ok
            finished += 1
    out = tmp_path / f"af{finished}"
    make(out, resume=True)
    assert sums(out) == whole and verify_dataset(out).ok
    assert hidden(tmp_path) == []


def _resumed(out: Path) -> None:
    make(out, resume=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_resumed_is_not_made_again(
    tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    left_behind(tmp_path)
    summary = make(tmp_path / "af", resume=True, workers=workers)
    assert summary.taken_over == 50 and sums(tmp_path / "af") == whole and hidden(tmp_path) == []


def test_the_card_of_a_resumed_run_counts_all_redraws(tmp_path: Path) -> None:
    # Pacing is turned down often enough: the counts stand on the card, which is summed.
    wish = {"rhythm": "paced", "seconds": 10.0, "records": 40}
    first = make(tmp_path / "whole", **wish)
    assert first.redrawn > 0
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, 36, fail(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "af", **wish)
    again = make(tmp_path / "af", resume=True, **wish)
    assert again.taken_over == 36 and (again.redrawn, again.rejected) == (first.redrawn, first.rejected)
    assert sums(again.out) == sums(first.out)


def test_few_records_are_made_again_and_leave_nothing(tmp_path: Path, whole: bytes) -> None:
    hiding = left_behind(tmp_path, at=20)
    assert not hiding.exists() and hidden(tmp_path) == []
    assert make(tmp_path / "af", resume=True).taken_over == 0 and sums(tmp_path / "af") == whole


def test_a_stale_run_is_named_and_either_resumed_or_replaced(tmp_path: Path, whole: bytes) -> None:
    hiding = left_behind(tmp_path)
    with pytest.raises(OutputError, match=r"interrupted run left.*--resume.*--overwrite"):
        make(tmp_path / "af")
    assert len(list(hiding.glob("*.hea"))) == 50
    with pytest.raises(OutputError, match=r"asked for something else \(seed\)"):
        make(tmp_path / "af", seed=1, resume=True)
    assert make(tmp_path / "af", overwrite=True).taken_over == 0
    assert sums(tmp_path / "af") == whole and hidden(tmp_path) == []


def test_another_spelling_of_the_rhythm_is_the_same_request(tmp_path: Path) -> None:
    left_behind(tmp_path)
    assert make(tmp_path / "af", rhythm="AF:4", seconds=10.0, resume=True).taken_over == 50


def corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def swap(path: Path) -> None:
    """A link to a file with the very same content, elsewhere."""
    elsewhere = path.parent.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    path.rename(elsewhere / path.name)
    path.symlink_to(elsewhere / path.name)


@pytest.mark.parametrize(
    ("act", "name", "kept"),
    [
        (corrupt, "afib00040.dat", 40),
        (tear, "afib00040.hea", 40),
        (swap, "afib00033.dat", 33),
        (Path.unlink, "afib00033.atr", 33),
        (swap, "contact_sheet.png", 0),
    ],
)
def test_a_staged_file_that_changed_is_made_again(
    tmp_path: Path, whole: bytes, act: Callable[[Path], None], name: str, kept: int
) -> None:
    hiding = left_behind(tmp_path)
    act(hiding / name)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("elsewhere/*")}
    assert make(tmp_path / "af", resume=True).taken_over == kept
    assert sums(tmp_path / "af") == whole and verify_dataset(tmp_path / "af").ok
    assert {path.name: path.read_bytes() for path in tmp_path.glob("elsewhere/*")} == before


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (corrupt, "RECORDS"),
        (corrupt, "manifest.jsonl"),
        (tear, "manifest.jsonl"),
        (swap, "SHA256SUMS.txt"),
        (Path.unlink, "SHA256SUMS.txt"),
        (corrupt, "journal"),
        (swap, "journal"),
    ],
)
def test_a_staged_list_that_changed_costs_no_more_than_work(
    tmp_path: Path, whole: bytes, act: Callable[[Path], None], name: str
) -> None:
    hiding = left_behind(tmp_path)
    act(hiding / name)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("elsewhere/*")}
    try:
        make(tmp_path / "af", resume=True)
    except OutputError as error:  # a flipped bit in the request may be another request
        assert name == "journal" and "asked for something else" in str(error)
        make(tmp_path / "af", overwrite=True)
    assert sums(tmp_path / "af") == whole and verify_dataset(tmp_path / "af").ok
    assert {path.name: path.read_bytes() for path in tmp_path.glob("elsewhere/*")} == before


def test_a_planted_link_is_never_followed(tmp_path: Path, whole: bytes) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years of work")
    hiding = left_behind(tmp_path)
    (hiding / "afib00055.dat").symlink_to(precious / "thesis.tex")
    (hiding / "000").symlink_to(precious)
    make(tmp_path / "af", resume=True)
    assert sums(tmp_path / "af") == whole and verify_dataset(tmp_path / "af").ok
    for name in (".vt.partial", ".vt.lock"):
        (tmp_path / name).symlink_to(precious)
        for changes in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(OutputError):
                make(tmp_path / "vt", records=2, **changes)
        (tmp_path / name).unlink()
    assert (precious / "thesis.tex").read_text() == "years of work" and len(list(precious.iterdir())) == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(
    tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, 50, fail(OSError(code, os.strerror(code))))
        with pytest.raises(OutputError, match="cannot be written"):
            make(tmp_path / "af")
    assert make(tmp_path / "af", resume=True).taken_over == 50 and sums(tmp_path / "af") == whole


def test_an_output_that_vanishes_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    interrupt(monkeypatch, 40, lambda: shutil.rmtree(tmp_path / ".af.partial"))
    with pytest.raises(OutputError, match="No such file"):
        make(tmp_path / "af")
    assert not (tmp_path / "af").exists()


def test_an_output_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        make(Path("/proc/ecgsynth/af"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        make(tmp_path / "file" / "af")


def test_two_writers_on_one_folder(
    tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch, child: Any
) -> None:
    """A second one is refused, whatever it is asked, from this process and from another."""

    def second() -> None:
        for changes in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(OutputError, match="another process is writing it"):
                make(tmp_path / "af", **changes)

    def both() -> None:
        second()
        assert child(second).exit_code == 0

    interrupt(monkeypatch, 40, both)
    make(tmp_path / "af")
    assert sums(tmp_path / "af") == whole and hidden(tmp_path) == []


def test_a_replacement_that_is_killed_between_its_renames_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "af", records=2)
    old = sums(tmp_path / "af")
    (tmp_path / "af").rename(tmp_path / ".af.replaced")  # as a kill at that moment leaves it
    with pytest.raises(OutputError, match="exists already"):
        make(tmp_path / "af", records=3)
    assert sums(tmp_path / "af") == old and hidden(tmp_path) == []


def test_out_of_memory_has_a_name(tmp_path: Path, whole: bytes, child: Any) -> None:
    assert child(_run_out_of_memory, tmp_path / "af").exit_code == 0
    assert make(tmp_path / "af", resume=True).taken_over == 64
    assert sums(tmp_path / "af") == whole


def _run_out_of_memory(out: Path) -> None:
    import torch  # here, in a process of its own: others can fork only without it

    real = Sampler.draw
    faults = ((32, torch.cuda.OutOfMemoryError("CUDA"), " on the GPU"), (64, MemoryError(), ""))
    for first, error, place in faults:

        def draw(
            self: Sampler, wish: Any, indices: Any, attempts: Any, first: int = first, error: Any = error
        ) -> Any:
            if indices[0] >= first:
                raise error
            return real(self, wish, indices, attempts)

        Sampler.draw = draw  # type: ignore[method-assign]
        with pytest.raises(ResourceError, match=rf"out of memory{place}\..*--resume"):
            make(out, resume=True)


def test_a_worker_that_is_killed_has_a_name(tmp_path: Path, whole: bytes, child: Any) -> None:
    assert child(_lose_a_worker, tmp_path / "af").exit_code == 0
    assert make(tmp_path / "af", resume=True).taken_over == 64
    assert sums(tmp_path / "af") == whole


def _lose_a_worker(out: Path) -> None:
    real = pipeline._Worker.make

    def die(self: Any, part: range) -> Any:
        if part.start == 64:
            while not (out.parent / ".af.partial" / "afib00031.hea").exists():
                time.sleep(0.01)  # what it made before is on its way until then
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, part)

    pipeline._Worker.make = die  # type: ignore[method-assign]
    with pytest.raises(ResourceError, match=r"worker process was killed.*--resume"):
        make(out, workers=2)


def test_nan_from_a_generator_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ecgsynth.generators.parametric import Parametric

    real = Parametric.render

    def render(self: Any, plans: Any, rngs: Any, **how: Any) -> Any:
        signals = real(self, plans, rngs, **how)
        for strip in signals:
            strip[:, 100] = np.nan
        return signals

    monkeypatch.setattr(Parametric, "render", render)
    with pytest.raises(GateError, match=r"failed the gate 3 times.*(NaN|finite|missing)"):
        make(tmp_path / "af", records=4, max_redraws=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_process_behind(tmp_path: Path, whole: bytes, child: Any, number: int) -> None:
    def command() -> None:
        from ecgsynth.cli import main

        os.setpgid(0, 0)
        # Where a shell started the tests in the background, Ctrl-C is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        words = ["--rhythm", "afib", "--generator", "parametric", "--seconds", "4", "-n", str(RECORDS)]
        main(["generate", *words, "--workers", "2", "--out", str(tmp_path / "af"), "--resume"])

    def written() -> bool:
        return len(list(tmp_path.glob(".af.partial/*.hea"))) > 34

    process = child(command)
    process.wait_until(written)
    assert process.kill_after(0, number) == 128 + number
    assert not (tmp_path / "af").exists()
    assert process.group_is_gone(), "a worker outlives its parent"
    assert make(tmp_path / "af", resume=True).taken_over >= 32
    assert sums(tmp_path / "af") == whole


def test_workers_end_when_their_parent_is_killed(tmp_path: Path, child: Any) -> None:
    def command() -> None:
        os.setpgid(0, 0)
        make(tmp_path / "af", workers=2, records=100_000)

    process = child(command)
    process.wait_until(lambda: any(tmp_path.glob(".af.partial/*/*.hea")))
    assert process.kill_after(0) == -signal.SIGKILL
    assert process.group_is_gone(), "a worker outlives its parent"

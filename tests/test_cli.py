"""The command line: what it prints, where it writes, and one line and an exit code for each way to fail."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ecgsynth import __version__
from ecgsynth.checkpoint import FORMAT
from ecgsynth.cli import COMMANDS, main
from ecgsynth.errors import (
    CheckpointError,
    EcgSynthError,
    GateError,
    OptionError,
    OutputError,
    TooFewPeopleError,
)
from ecgsynth.pipeline import Summary
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.wfdb_io import write_record


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def failed(result: Result, code: int, *parts: str) -> None:
    """One line on stderr, under those of a slow run's progress, that names the parts; no traceback."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code
    *progress, last = result.stderr.splitlines(keepends=True)
    assert all(re.fullmatch(r"\w+: \d+ of \d+.*\n", line) for line in progress), result.stderr
    for part in parts:
        assert part in last


def generating(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    monkeypatch.setattr("ecgsynth.pipeline.generate_dataset", act)


def raising(error: BaseException) -> Any:
    def act(*_: Any, **__: Any) -> None:
        raise error

    return act


# ----------------------------------------------------------------------------- help


def test_help_lists_every_command() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert all(re.search(rf"^  {name} +\S", result.output, re.M) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example_of_itself(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"  ecgsynth {name}" in result.output.partition("Example")[2]


def test_version() -> None:
    assert run("--version").output == f"ecgsynth {__version__}\n"


def test_without_words_it_shows_its_help() -> None:
    result = run()
    assert result.exit_code == 2
    assert "generate" in result.output


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["genrate"], "genrate"),
        (["--colour"], "--colour"),
        (["generate"], "--rhythm"),
        (["generate", "--rhythm", "afib", "-n", "0"], "0"),
        (["generate", "--rhythm", "afib", "-n", "many"], "many"),
        (["generate", "--rhythm", "afib", "--generator", "gpt"], "cvae"),
        (["generate", "--rhythm", "afib", "--shard", "3"], "K/N"),
        (["generate", "--rhythm", "afib", "--seed", "-1"], "-1"),
        (["generate", "--rhythm", "afib", "--sex", "X"], "M"),
        (["train", "folder"], "--out"),
        (["verify"], "FOLDER"),
        (["plot"], "PATH"),
    ],
)
def test_a_wrong_word_is_one_line_that_says_where_help_is(words: list[str], part: str) -> None:
    failed(run(*words), 2, "Error: ", part, "--help")


# ------------------------------------------------------------------------- generate


def test_options_arrive_as_they_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def act(options: Any, progress: Any) -> None:
        seen.append(options)
        raise OptionError("enough")

    generating(monkeypatch, act)
    line = (
        "generate --rhythm nsr:5,AF:5 --generator cgan -n 7 --seconds 12 --fs 500 --lead 12 --source ptbxl"
        " --heart-rate 80 --ectopy 0.1 --age 70 --sex F --seed 3 --out here --overwrite --workers 2"
        " --weights w.safetensors --allow-few-people --max-redraws 4 --resume"
        " --engine ray --address auto --shard 2/3 --train people --no-copy-gate --noise holter --snr 12"
    )
    run(*line.split())
    expected = {
        "rhythm": "nsr:5,AF:5",
        "generator": "cgan",
        "records": 7,
        "seconds": 12.0,
        "fs": 500.0,
        "source": "ptbxl",
        "heart_rate": 80.0,
        "ectopy": 0.1,
        "age": 70.0,
        "sex": "F",
        "seed": 3,
        "out": Path("here"),
        "overwrite": True,
        "workers": 2,
        "weights": Path("w.safetensors"),
        "allow_few_people": True,
        "max_redraws": 4,
        "resume": True,
        "engine": "ray",
        "address": "auto",
        "shard": (2, 3),
        "train": Path("people"),
        "copy_gate": False,
        "noise": "holter",
        "snr": 12.0,
    }
    assert {key: getattr(seen[0], key) for key in expected} == expected
    assert seen[0].leads[:3] == ("I", "II", "III") and len(seen[0].leads) == 12
    assert set(expected) | {"leads"} == {field.name for field in fields(seen[0])}


@pytest.mark.parametrize(("words", "leads"), [([], None), (["--lead", "V1"], ("V1",))])
def test_the_lead(monkeypatch: pytest.MonkeyPatch, words: list[str], leads: Any) -> None:
    def act(options: Any, progress: Any) -> None:
        raise OptionError(f"leads are {options.leads!r}")

    generating(monkeypatch, act)
    failed(run("generate", "--rhythm", "afib", *words), 2, repr(leads))


@pytest.mark.parametrize(
    ("rhythm", "folder"), [("AF", "ecgsynth-afib"), ("nsr:30,(AFIB:60,N:30", "ecgsynth-nsr-afib-nsr")]
)
def test_the_default_folder_is_named_after_the_rhythm(
    monkeypatch: pytest.MonkeyPatch, rhythm: str, folder: str
) -> None:
    def act(options: Any, progress: Any) -> None:
        raise OptionError(f"out is {options.out}!")

    generating(monkeypatch, act)
    failed(run("generate", "--rhythm", rhythm), 2, f"out is {folder}!")


def test_an_unknown_rhythm_gets_the_nearest_one() -> None:
    failed(run("generate", "--rhythm", "afibb"), 2, "afibb", "Did you mean afib?", "trigeminy")


@pytest.mark.parametrize("kind", [OptionError, CheckpointError, OutputError, TooFewPeopleError, GateError])
def test_each_kind_of_error_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, kind: type[EcgSynthError]
) -> None:
    generating(monkeypatch, raising(kind("what went\nwrong")))
    failed(run("generate", "--rhythm", "afib"), kind.exit_code, "Error: what went wrong\n")


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    generating(monkeypatch, raising(OSError(errno.ENOSPC, "No space left on device", "af/x.dat")))
    failed(run("generate", "--rhythm", "afib"), 5, "af/x.dat", "No space left")


def test_ctrl_c_says_that_nothing_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    generating(monkeypatch, raising(KeyboardInterrupt()))
    result = run("generate", "--rhythm", "afib", "--out", "af")
    failed(result, 130)
    assert result.stderr.startswith("Interrupted; nothing was written to af")
    assert not Path("af").exists()


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    generating(monkeypatch, raising(ZeroDivisionError()))
    assert isinstance(run("generate", "--rhythm", "afib").exception, ZeroDivisionError)


def test_the_summary_says_what_was_drawn_again_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    done = Summary(Path("/x/af"), 50, 2, {"rate": 2, "p_wave": 1}, "none", Path("/x/sheet.png"), 0.5)
    generating(monkeypatch, lambda *_, **__: done)
    result = run("generate", "--rhythm", "afib", "-n", "50", "--out", "af")
    assert result.stdout.splitlines()[:3] == [
        "Wrote 50 records to af in 0.5 s (100 records/s).",
        "The gate turned down 2 draws, which were drawn again (checks failed: p_wave 1, rate 2).",
        "Copy gate: none.",
    ]


def made(out: Path, *words: str) -> Result:
    base = [
        "generate",
        "--rhythm",
        "afib",
        "--generator",
        "parametric",
        "-n",
        "3",
        "--workers",
        "1",
        "--out",
        out,
    ]
    return run(*base, *words)


def test_generate_verify_plot_from_end_to_end(tmp_path: Path) -> None:
    result = made(Path("af"))
    assert result.exit_code == 0, result.stderr
    assert "Wrote 3 records to af in" in result.stdout
    assert re.search(r"^The gate (passed every draw|.* per check: \w+ \d+)", result.stdout, re.M)
    sheet = Path(re.search(r"Contact sheet: (.+)", result.stdout)[1])
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert len(Path("af/RECORDS").read_text().split()) == 3

    assert run("verify", "af").stdout.startswith("OK: af, 3 records")
    name = Path("af/RECORDS").read_text().split()[0]
    for words, file in (
        (["af"], "af.png"),
        (["af", "--out", "all.pdf"], "all.pdf"),
        ([f"af/{name}"], f"{name}.png"),
        ([f"af/{name}.hea", "--out", "one.pdf", "--no-beats", "--seconds", "3", "--start", "2"], "one.pdf"),
    ):
        result = run("plot", *words)
        assert result.stdout == f"Wrote {file}\n", result.stderr
        assert Path(file).read_bytes()[:4] in (b"\x89PNG", b"%PDF")

    failed(made(Path("af")), 5, "af", "--overwrite")
    assert made(Path("af"), "--overwrite").exit_code == 0


def test_ctrl_c_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    what = ["generate", "--rhythm", "afib", "--generator", "parametric"]
    words = [*what, "-n", "100000", "--workers", "2", "--out", "af"]
    code = f"from ecgsynth.cli import main; main({words!r})"
    work = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        deadline = time.monotonic() + 60
        while not any(tmp_path.glob(".af.*/*.dat")) and not any(tmp_path.glob(".af.*/*/*.dat")):
            assert work.poll() is None, work.communicate()
            assert time.monotonic() < deadline, "no record within a minute"
            time.sleep(0.05)
        os.killpg(work.pid, signal.SIGINT)
        _, stderr = work.communicate(timeout=60)
    finally:
        work.kill()
    assert work.returncode == 130
    assert stderr.splitlines()[-1] == "Interrupted; nothing was written to af."
    assert "Traceback" not in stderr
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------- verify


def test_verify_lists_what_is_wrong(tmp_path: Path) -> None:
    made(Path("af"))
    name = Path("af/RECORDS").read_text().split()[1]
    content = bytearray(Path(f"af/{name}.dat").read_bytes())
    content[100] ^= 1
    Path(f"af/{name}.dat").write_bytes(content)
    result = run("verify", "af")
    failed(result, 5, "af", "listed above")
    assert f"{name}.dat" in result.stdout


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_verify_needs_a_dataset(folder: str) -> None:
    failed(run("verify", folder), 5, "SHA256SUMS.txt")


# ----------------------------------------------------------------------------- plot


@pytest.fixture
def record(tmp_path: Path) -> Path:
    signal = np.sin(np.arange(2500) / 10)[None].astype(np.float32)
    write_record(tmp_path, "wave", signal, 250.0, ("I",), [])
    return tmp_path / "wave"


def test_plot_draws_a_record_without_annotations(record: Path) -> None:
    assert run("plot", record).stdout == "Wrote wave.png\n"


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["nowhere"], 3, "nowhere"),
        (["wave", "--out", "wave.svg"], 2, ".pdf"),
        (["wave", "--start", "60"], 2, "60"),
        (["wave", "--out", "no/such/folder.png"], 5, "no/such"),
    ],
)
def test_plot_says_what_it_cannot_draw(record: Path, words: list[str], code: int, part: str) -> None:
    failed(run("plot", *words), code, part)


def test_plot_of_a_folder_without_records(tmp_path: Path) -> None:
    failed(run("plot", tmp_path), 3, str(tmp_path))


def test_plot_of_a_damaged_record(record: Path) -> None:
    Path("wave.dat").write_bytes(Path("wave.dat").read_bytes()[:-100])
    failed(run("plot", "wave"), 3, "wave")
    assert not Path("wave.png").exists()


# -------------------------------------------------------------------------- rhythms


def test_rhythms_prints_every_rhythm_with_its_codes() -> None:
    lines = run("rhythms").stdout.splitlines()
    for rhythm in RHYTHMS.values():
        line = next(line for line in lines if line.startswith(rhythm.name + " "))
        assert rhythm.title in line and rhythm.aux in line and rhythm.snomed in line


def test_rhythms_as_json() -> None:
    table = json.loads(run("rhythms", "--json").stdout)
    assert [row["name"] for row in table] == list(RHYTHMS)
    assert set(table[0]) == {"name", "title", "aux", "snomed", "scp", "checkpoints"}


def checkpoint(path: Path, population: dict[str, Any]) -> None:
    """A safetensors file with one tensor and, in its metadata, who was learned from."""
    metadata = {"ecgsynth": json.dumps({"format": FORMAT, "population": population})}
    head = json.dumps({"__metadata__": metadata, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    path.write_bytes(struct.pack("<Q", len(head)) + head.encode() + bytes(4))


def test_rhythms_shows_who_each_checkpoint_saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgsynth.cli.rhythms.WEIGHTS", tmp_path)
    seen = {"afib": {"people": 352, "seconds": 18264.0}}
    checkpoint(tmp_path / "cvae-1.safetensors", seen)
    checkpoint(tmp_path / "cvae-12.safetensors", {})
    lines = run("rhythms").stdout.splitlines()
    assert lines[0].split()[-2:] == ["cvae-1", "cvae-12"]
    assert re.search(r"352 \(18264 s\) +-$", next(line for line in lines if line.startswith("afib ")))
    assert re.search(r" - +-$", next(line for line in lines if line.startswith("wpw ")))
    table = {row["name"]: row["checkpoints"] for row in json.loads(run("rhythms", "--json").stdout)}
    assert table["afib"] == {"cvae-1": seen["afib"]}
    assert table["wpw"] == {}


def test_without_checkpoints_rhythms_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgsynth.cli.rhythms.WEIGHTS", tmp_path)
    assert "only the parametric generator" in run("rhythms").stdout


def test_a_damaged_checkpoint_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgsynth.cli.rhythms.WEIGHTS", tmp_path)
    (tmp_path / "cvae-single.safetensors").write_bytes(b"\x80\x04 not a checkpoint")
    failed(run("rhythms"), 4, "cvae-single.safetensors")


# ---------------------------------------------------------------------------- train


def test_training_options_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def act(options: Any, progress: Any) -> None:
        seen.append(options)
        raise TooFewPeopleError("vt: 1 person")

    monkeypatch.setattr("ecgsynth.training.train_on_folder", act)
    failed(
        run("train", "mine", "--rhythm", "vt", "--out", "vt.safetensors", "--steps", "5", "--resume"),
        6,
        "1 person",
    )
    assert (seen[0].data, seen[0].rhythm, seen[0].out) == (Path("mine"), "vt", Path("vt.safetensors"))
    assert (seen[0].steps, seen[0].resume, seen[0].from_weights) == (5, True, None)


def exits_as_lightning_does(*_: Any, **__: Any) -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


@pytest.mark.parametrize("act", [raising(KeyboardInterrupt()), exits_as_lightning_does])
def test_ctrl_c_in_training_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    monkeypatch.setattr("ecgsynth.training.train_on_folder", act)
    failed(
        run("train", "mine", "--out", "vt.safetensors"),
        130,
        "nothing was written to vt.safetensors",
        "--resume",
    )


# ------------------------------------------------------------------------- progress

WORK = """
from ecgsynth.cli.console import progress
with progress("Working") as show:
    for i in range(101):
        show(i, 100, f"loss {i}")
print("done")
"""


def test_in_a_log_progress_is_a_few_plain_lines_on_stderr() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"
    assert [line.split(",")[0] for line in done.stderr.splitlines()] == [
        f"Working: {n} of 100" for n in (25, 50, 75, 100)
    ]


def test_on_a_terminal_progress_is_a_bar() -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", WORK],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(theirs)
        shown = b"".join(iter_terminal(ours)).decode()
    finally:
        os.close(ours)
    assert done.stdout == b"done\n"
    assert "Working" in shown and "\x1b[" in shown and "of 100" not in shown


def iter_terminal(handle: int) -> Iterator[bytes]:
    while True:
        try:
            block = os.read(handle, 4096)
        except OSError:  # the other end has closed
            return
        if not block:
            return
        yield block


def test_a_closed_pipe_is_not_an_error() -> None:
    line = (
        f"{sys.executable} -c 'from ecgsynth.cli import main; main()' rhythms --json | head -c 10 >/dev/null"
    )
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True)
    assert done.stderr == ""

"""The commands of the README, twice, elsewhere and without a network: the same bytes, and nobody's traces."""

from __future__ import annotations

import datetime
import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LONG = bool(os.environ.get("ECGSYNTH_TEST_LONG"))
OFFLINE = Path(__file__).with_name("offline")
SOURCE = Path(__file__).parents[2]
#: Runs commands, one a line; the exit codes come out.
RUN = """
import shlex, sys
from ecgsynth.cli import main
for line in filter(str.strip, sys.stdin):
    try:
        main(shlex.split(line))
    except SystemExit as end:
        print("exit", end.code or 0, flush=True)
"""
COMMANDS = """
generate --rhythm afib -n 40 --seed 1 --lead II --out af --workers {workers}
verify af
plot af
"""
MORE = """
report af --real train --quick --out report --workers {workers}
audit af --train train --holdout holdout --out audit --workers {workers}
augment --real train --rhythm afib --generator parametric --out set --shards tar --workers {workers}
verify set
rhythms
generate --rhythm afib -n 34 --seed 1 --lead II --out few --workers {workers}
"""


class Run:
    """The commands, done in a folder."""

    def __init__(self, folder: Path, people: Callable[[Path, int], None], commands: str, **env: str) -> None:
        folder.mkdir(parents=True)
        for seed, name in enumerate(("train", "holdout")):
            people(folder / name, seed)
        self.folder, self.log = folder, folder.with_name(f"{folder.name}.log")
        paths = os.pathsep.join((str(OFFLINE), str(SOURCE)))
        self.env = {**os.environ, "PYTHONPATH": paths, "OFFLINE_LOG": str(self.log), **env}
        self.output = self.python(RUN, commands.strip())

    def python(self, code: str, text: str = "") -> str:
        """What a program prints that has no network."""
        words = [*_without_network(), sys.executable, "-c", code]
        done = subprocess.run(
            words, input=text, env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=900
        )
        return done.stdout + done.stderr

    def tree(self) -> dict[str, bytes]:
        return {
            str(p.relative_to(self.folder)): p.read_bytes() for p in self.folder.rglob("*") if p.is_file()
        }


def _without_network() -> list[str]:
    """An empty network, where the system gives one: it stops libraries that are not Python, too."""
    words = ["unshare", "--map-root-user", "--net"]
    found = shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0
    return words if found else []


# Slow: all in all a minute of one core.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, people: Callable[[Path, int], None]
) -> Iterator[tuple[Run, Run]]:
    root = tmp_path_factory.mktemp("demo")
    one = Run(root / "here", people, (COMMANDS + MORE).format(workers=1))
    time.sleep(1.1)  # for clocks that count seconds
    again = (COMMANDS + MORE if LONG else COMMANDS).format(workers=2)
    other = {"TZ": "Asia/Tokyo", "HOSTNAME": "other", "USER": "other", "LANG": "C"}
    yield one, Run(root / "else" / "where", people, again, **other)


def test_the_commands_work_without_a_network(runs: tuple[Run, Run]) -> None:
    for run in runs:
        codes = re.findall(r"^exit (\d+)$", run.output, re.MULTILINE)
        # The report may say that the parametric people and the learned records differ, or that the people are
        # too few to tell.
        assert len(codes) in (3, 9) and set(codes[:3] + codes[4:]) == {"0"}, run.output
        assert len(codes) == 3 or codes[3] in "067", run.output
        assert not run.log.exists(), run.log.read_text()


def test_a_look_at_the_network_would_be_seen(runs: tuple[Run, Run]) -> None:
    run = runs[0]
    asked = "import urllib.request as r; r.urlopen('http://example.org')"
    socketed = "import socket; socket.socket(socket.AF_INET6).connect(('::1', 9))"
    try:
        for code in (asked, socketed):
            assert "no network in this test" in run.python(code)
        assert len(run.log.read_text().splitlines()) == 2
    finally:
        run.log.unlink(missing_ok=True)


def test_the_same_bytes_elsewhere_later_and_by_more_workers(runs: tuple[Run, Run]) -> None:
    one, two = (run.tree() for run in runs)
    assert len(two) > 140 and two.keys() <= one.keys() and (len(two) == len(one) or not LONG)
    assert [name for name in two if one[name] != two[name]] == []


def test_fewer_records_are_the_first_of_more(runs: tuple[Run, Run]) -> None:
    """By the network, whose last batch is smaller then."""
    made = runs[0].tree()
    few = {name[4:]: content for name, content in made.items() if name.startswith("few/afib")}
    assert len(few) == 3 * 34 and few.items() <= {name[3:]: made[name] for name in made}.items()


def test_nothing_of_the_clock_the_machine_or_the_path_is_written(runs: tuple[Run, Run]) -> None:
    now = datetime.datetime.now().astimezone()
    days = [now + datetime.timedelta(days=shift) for shift in (-1, 0, 1)]
    styles = ("%Y-%m-%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d %b %Y", "%b %d %Y", "%B %d, %Y", "%d %B %Y")
    traces = {day.strftime(style) for day in days for style in styles}
    traces |= {str(runs[0].folder.parent), str(SOURCE), str(Path.home()) + "/", sys.executable, sys.prefix}
    traces |= {name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 5}
    for name, content in runs[0].tree().items():
        text = content + b"".join(_inflated(content))
        assert [trace for trace in traces if trace.encode() in text] == [], name


def _inflated(content: bytes) -> Iterator[bytes]:
    """What is compressed in a PDF or PNG."""
    for found in re.finditer(rb"stream\r?\n|iTXt|zTXt|IDAT", content):
        try:
            yield zlib.decompressobj().decompress(content[found.end() :])
        except zlib.error:
            continue


def test_a_trace_would_be_found() -> None:
    assert list(_inflated(b"stream\n" + zlib.compress(b"/home/anna"))) == [b"/home/anna"]

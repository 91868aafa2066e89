"""Verdicts of ``ecgsynth report`` on sets of which it is known what they are worth.

    python benchmarks/verdicts.py --data DIR [--split split.json] [--work DIR] [--out results/]
        [--peer-python peers/bin/python] [--only real,cvae] [--screen report-screen.png]

Real people beside other real people, the generators of this package beside people that they have not learned
from, and, where ``--peer-python`` has deepfake-ecg installed, its records beside PTB-XL; then, to know how
much of that verdict is another hospital and no fault, real records of LUDB beside the same PTB-XL ones.
Folders and reports are kept in ``--work``. Of real people only numbers are written to ``--out``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgsynth.datasets import open_dataset
from ecgsynth.pipeline import GenerateOptions, generate_dataset
from ecgsynth.records import Record
from ecgsynth.report import ReportOptions, write_report
from ecgsynth.report.strips import place_in_line
from ecgsynth.rhythms import RHYTHMS
from ecgsynth.split import SplitManifest
from ecgsynth.wfdb_io import write_record
from ecgsynth.windows import fault

RHYTHMS_ASKED = ("nsr", "afib")
GENERATORS = ("parametric", "cvae", "cgan")
#: deepfake-ecg's network in millivolts: it multiplies by 6000 to get microvolts (its `generate`).
DEEPFAKE_LEADS, DEEPFAKE_MV = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), 6.0
DEEPFAKE = """
import sys, numpy, torch
from pathlib import Path
from deepfakeecg import Generator
from deepfakeecg import deepfakeecg as module
net = Generator()
weights = Path(module.__file__).parent / "checkpoints" / "g_stat.pt"
net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True)["stat_dict"])
net.eval()
torch.manual_seed(0)
with torch.no_grad():
    made = [net(torch.rand(1, 8, 5000) * 2 - 1)[0].numpy() for _ in range(int(sys.argv[1]))]
numpy.save(sys.argv[2], numpy.stack(made))
"""


@dataclass(frozen=True)
class Case:
    """One report: two folders in ``work``, and which rhythm the first one claims where it does not say."""

    title: str
    synthetic: str
    real: str
    rhythms: tuple[str, ...] = ()


CASES = {
    "real": Case("Real people beside other real people (CinC 2017)", "real_first", "real_second"),
    "parametric": Case("`parametric` beside held-out people (CinC 2017)", "parametric", "real_held_out"),
    "cvae": Case("`cvae` beside held-out people (CinC 2017)", "cvae", "real_held_out"),
    "cgan": Case("`cgan` beside held-out people (CinC 2017)", "cgan", "real_held_out"),
    "deepfake": Case("deepfake-ecg beside PTB-XL, 8 leads", "deepfake_ecg", "real_ptbxl", ("nsr",)),
    "hospital": Case("Real people of LUDB beside PTB-XL, 8 leads", "real_ludb", "real_ptbxl"),
}


class Folders:
    """Makes the folders that a report needs, each once."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.data, self.work, self.records = options.data, options.work, options.records
        self.peer: Path | None = options.peer_python
        self.held_out = set(SplitManifest.from_json(options.split.read_text(encoding="utf-8")).test)

    def get(self, name: str) -> Path:
        """The folder ``name`` in ``work``."""
        folder = self.work / name
        if folder.is_dir() and (name not in GENERATORS or (folder / "RECORDS").is_file()):
            return folder
        if name in GENERATORS:
            return self._generated(name)
        hidden = Path(tempfile.mkdtemp(dir=self.work))
        self._fill(name, hidden)
        return hidden.rename(folder)

    def _fill(self, name: str, folder: Path) -> None:
        if name == "deepfake_ecg":
            return self._deepfake(folder)
        chosen: dict[str, tuple[str, Callable[[Record], bool], tuple[str, ...]]] = {
            "real_first": ("cinc2017", lambda r: _half(r) == 0, RHYTHMS_ASKED),
            "real_second": ("cinc2017", lambda r: _half(r) == 1, RHYTHMS_ASKED),
            "real_held_out": ("cinc2017", lambda r: r.subject in self.held_out, RHYTHMS_ASKED),
            "real_ptbxl": ("ptbxl", lambda r: r.fs >= 500, ("nsr",)),
            "real_ludb": ("ludb", _whole, ("nsr",)),
        }
        database, keep, rhythms = chosen[name]
        export(filter(keep, open_dataset(self.data / database)), rhythms, folder)
        return None

    def _generated(self, generator: str) -> Path:
        for rhythm in RHYTHMS_ASKED:
            out = self.work / generator / rhythm
            wish = {"rhythm": rhythm, "seed": 3, "source": "cinc2017", "leads": ("I",), "fs": 300.0}
            generate_dataset(
                GenerateOptions(
                    out=out, generator=generator, records=self.records, workers=1, overwrite=True, **wish
                )  # type: ignore[arg-type]
            )
        made = self.work / generator
        names = sorted(path.relative_to(made).with_suffix("").as_posix() for path in made.glob("*/*.hea"))
        (made / "RECORDS").write_text("\n".join(names) + "\n", encoding="ascii")
        return made

    def _deepfake(self, folder: Path) -> None:
        if self.peer is None:
            raise SystemExit("deepfake: --peer-python must name a Python that has deepfake-ecg")
        with tempfile.TemporaryDirectory() as scratch:
            array = Path(scratch) / "made.npy"
            subprocess.run([self.peer, "-c", DEEPFAKE, str(self.records), array], check=True)
            signals = np.load(array) * DEEPFAKE_MV
        for i, signal in enumerate(signals):
            write_record(
                folder, f"dfe{i:04d}", signal.astype(np.float32), 500.0, DEEPFAKE_LEADS, ["synthetic"]
            )


def _whole(record: Record) -> bool:
    """No lead that stands still or is cut off: what a report leaves out of its real side anyway."""
    return not any(fault(lead, record.fs) for lead in record.signal)


def _half(record: Record) -> int:
    return place_in_line(0, record.subject) % 2


def export(records: Iterator[Record], rhythms: tuple[str, ...], folder: Path) -> None:
    """Write the records that show a rhythm of ``rhythms`` as a WFDB folder."""
    for record in records:
        if not {e.rhythm for e in record.episodes} & set(rhythms) or not np.isfinite(record.signal).all():
            continue
        marks = [(e.start, RHYTHMS[e.rhythm].aux) for e in record.episodes if e.rhythm]
        name = f"{record.subject}_{record.name}".replace("/", "_")
        comments = [f"Subject: {record.subject.split('/')[-1]}"]
        write_record(
            folder, name, record.signal, record.fs, record.leads, comments, beats=record.beats, marks=marks
        )


def row(case: Case, document: dict[str, Any], rhythm: str) -> dict[str, Any]:
    """What the table says of one rhythm: numbers only."""
    own, gate = document["rhythms"][rhythm], document["gate"]["rhythms"][rhythm]
    found = {"set": case.title, "rhythm": rhythm, "verdict": own["verdict"], "why": own["because"][0]}
    found["people"] = own.get("people_real")
    found["strips"] = [own.get("records_synthetic"), own.get("records_real")]
    found["gate"] = {"synthetic": gate["stretches"]["rate"], "real": (gate["reference"] or {}).get("rate")}
    found["outcomes"] = {name: c["outcome"] for name, c in own["decided_by"].items()}
    for name in ("auc", "coverage", "kid", "authenticity"):
        found[name] = own.get("metrics", {}).get(name)
    return found


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = [
        "# Verdicts",
        "",
        "`ecgsynth report` on sets of which it is known what they are worth; 95 % intervals over people. In",
        "brackets: real against real. Made by `benchmarks/verdicts.py`.",
        "",
        "| set | rhythm | people | verdict | gate | AUC | coverage |",
        "|---|---|---:|---|---|---|---|",
    ]
    for r in rows:
        gate = f"{_percent(r['gate']['synthetic'])} [{_percent(r['gate']['real'])}]"
        cells = [r["set"], RHYTHMS[r["rhythm"]].title, str(r["people"]), f"**{r['verdict']}**", gate]
        lines.append("| " + " | ".join([*cells, _value(r["auc"]), _value(r["coverage"])]) + " |")
    return "\n".join(lines) + "\n"


def _percent(rate: dict[str, float] | None) -> str:
    return "-" if rate is None else f"{100 * rate['value']:.1f} %"


def _value(m: dict[str, Any] | None) -> str:
    if m is None or not m["assessable"]:
        return "-"
    return f"{m['value']:.2f} ({m['low']:.2f} to {m['high']:.2f}) [{m['real_value']:.2f}]"


def screenshot(page: Path, target: Path) -> None:
    """The first screen of a page, without strips: the reader must not see people."""
    browser = next((b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None)
    if browser is None:
        raise SystemExit("--screen: no chromium found")
    size = ["--window-size=1280,785", "--hide-scrollbars", "--force-device-scale-factor=1"]
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        *size,
        f"--screenshot={target.resolve()}",
    ]
    subprocess.run([*command, page.resolve().as_uri()], check=True, stderr=subprocess.DEVNULL)


def parser() -> argparse.ArgumentParser:
    """Options."""
    made = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    made.add_argument("--data", type=Path, required=True, help="folder with one sub-folder per database")
    made.add_argument("--split", type=Path, default=Path("docs/results/split.json"))
    made.add_argument("--work", type=Path, default=Path("verdicts-work"), help="for folders and reports")
    made.add_argument("--out", type=Path, default=Path("results"))
    made.add_argument("--only", default=",".join(CASES), help="sets, comma-separated")
    made.add_argument("--records", type=int, default=200, help="synthetic records of a rhythm")
    made.add_argument("--peer-python", type=Path, help="a Python that has deepfake-ecg")
    made.add_argument("--screen", type=Path, help="picture of the cVAE's first screen to write")
    return made


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    folders, rows = Folders(options), []
    for name in options.only.split(","):
        case = CASES[name]
        if (
            name == "deepfake"
            and options.peer_python is None
            and not (options.work / case.synthetic).is_dir()
        ):
            print("deepfake: left out, as --peer-python is not given", file=sys.stderr)
            continue
        out = options.work / f"report-{name}"
        asked = ReportOptions(
            synthetic=folders.get(case.synthetic),
            real=folders.get(case.real),
            out=out,
            rhythms=case.rhythms,
            overwrite=True,
        )
        write_report(asked)
        document = json.loads((out / "fidelity.json").read_text(encoding="utf-8"))
        rows += [row(case, document, rhythm) for rhythm in document["gate"]["rhythms"]]
        print(markdown(rows), flush=True)
        if name == "cvae" and options.screen:
            screenshot(out / "report.html", options.screen)
    (options.out / "verdicts.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (options.out / "verdicts.md").write_text(markdown(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

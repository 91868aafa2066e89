"""Write tests/golden: a few records, what the gate says of them, and the weights that they come from.

What one machine writes is the same to the byte; other processors may add up in another order. The golden
records say how far that may go: 1 ADC unit (1 uV) per sample, the same beats, the same verdicts.

python scripts/write_golden.py            # after new weights or a change listed under "Bytes"
python scripts/write_golden.py --check    # exit 1 and say what differs
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgsynth.fidelity.calibration import load_calibration
from ecgsynth.fidelity.gate import check_record
from ecgsynth.privacy.copy_gate import open_gate
from ecgsynth.records import INDEPENDENT_LEADS, TWELVE_LEADS, Record
from ecgsynth.sampling import Sampler
from ecgsynth.wfdb_io import to_digital
from ecgsynth.wish import Wish

FOLDER = Path(__file__).parent.parent / "tests" / "golden"
#: Samples may differ by this many ADC units between machines.
TOLERANCE = 1
#: Every generator, one lead and twelve, a script, another rate, a machine's noise; draws some of which fail.
CASES: dict[str, tuple[str, Wish]] = {
    "cvae-afib": ("cvae", Wish("afib", seed=1)),
    "cvae-vt": ("cvae", Wish("vt", seed=2)),
    "cvae-script": ("cvae", Wish("nsr:3,afib:4,nsr:3", seed=3, leads=("II",))),
    "cvae-handheld": ("cvae", Wish("nsr", seed=4, fs=300.0, leads=("I",), noise="handheld")),
    "cvae-twelve": ("cvae", Wish("nsr", seed=5, leads=TWELVE_LEADS)),
    "cgan-afib": ("cgan", Wish("afib", seed=6)),
    "cgan-twelve": ("cgan", Wish("afib", seed=7, leads=TWELVE_LEADS)),
    "parametric-vf": ("parametric", Wish("vf", seed=8)),
    "parametric-bigeminy": ("parametric", Wish("bigeminy", seed=9, leads=("V1",))),
}
#: Draws that are judged, and those of them whose samples are kept.
_JUDGED, _KEPT = 6, 1

Golden = tuple[dict[str, NDArray[np.int16]], dict[str, Any]]


def make() -> Golden:
    """Samples in ADC units, and all else, as this machine makes them."""
    signals: dict[str, NDArray[np.int16]] = {}
    said: dict[str, Any] = {"weights": {}, "draws": {}}
    calibration = load_calibration()
    for case, (generator, wish) in CASES.items():
        sampler = Sampler(generator)
        _, metadata, digest = sampler.load(wish.twelve)
        said["weights"][f"{generator}{'-twelve' * wish.twelve}"] = digest
        records = sampler.draw(wish, range(_JUDGED))
        near = open_gate(generator, None, metadata).judge(records)
        said["draws"][case] = [
            {
                **_described(record),
                "fails": _kinds(check_record(record, calibration).reasons),
                "fails_as_vt": _kinds(check_record(_as_vt(record), calibration).reasons),
                "copy": _kind(copy),
            }
            for record, copy in zip(records, near, strict=True)
        ]
        signals |= {f"{case}-{i}": _samples(record) for i, record in enumerate(records[:_KEPT])}
    return signals, said


def _described(record: Record) -> dict[str, Any]:
    beats = record.beats
    return {
        "leads": ",".join(record.leads),
        "source": record.source,
        "age": record.age,
        "sex": record.sex,
        "beats": [] if beats is None else [int(at) for at in beats.samples],
    }


def _as_vt(record: Record) -> Record:
    """With another name on it: what comes out of a generator hardly ever fails."""
    return replace(record, episodes=tuple(replace(episode, rhythm="vt") for episode in record.episodes))


def _kinds(reasons: tuple[str, ...]) -> list[str]:
    return sorted({_kind(reason) or "" for reason in reasons})


def _kind(reason: str | None) -> str | None:
    """A reason without its numbers."""
    return None if reason is None else reason.split(":")[0]


def _samples(record: Record) -> NDArray[np.int16]:
    # The other limb leads follow from I and II; rounding may double what those two differ by.
    digital = to_digital(record.signal, record.leads)
    return digital[
        [i for i, lead in enumerate(record.leads) if lead not in set(TWELVE_LEADS) - set(INDEPENDENT_LEADS)]
    ]


def read(folder: Path = FOLDER) -> Golden:
    """What was kept."""
    with np.load(folder / "signals.npz") as file:
        signals = {key: file[key] for key in file.files}
    return signals, json.loads((folder / "draws.json").read_text(encoding="utf-8"))


def write(golden: Golden, folder: Path = FOLDER) -> None:
    folder.mkdir(exist_ok=True)
    np.savez_compressed(folder / "signals.npz", **golden[0])  # type: ignore[arg-type]
    (folder / "draws.json").write_text(
        json.dumps(golden[1], indent=None, separators=(",", ":")) + "\n", encoding="utf-8"
    )


def differences(kept: Golden, made: Golden) -> list[str]:
    """A line for everything that differs by more than it may."""
    if kept[1]["weights"] != made[1]["weights"]:
        changed = [
            name for name, digest in made[1]["weights"].items() if kept[1]["weights"].get(name) != digest
        ]
        return [f"{', '.join(changed)}: other weights than the golden records'; run scripts/write_golden.py"]
    found = [f"{case}: made no longer, or not kept" for case in sorted(kept[0].keys() ^ made[0].keys())]
    for case in sorted(kept[0].keys() & made[0].keys()):
        old, new = kept[0][case].astype(int), made[0][case].astype(int)
        if old.shape != new.shape:
            found.append(f"{case}: {new.shape} samples, kept are {old.shape}")
        elif (worst := int(np.abs(old - new).max())) > TOLERANCE:
            found.append(f"{case}: samples differ by up to {worst} ADC units; allowed: {TOLERANCE}")
    for case, draws in made[1]["draws"].items():
        for number, (new_draw, old_draw) in enumerate(
            zip(draws, kept[1]["draws"].get(case, []), strict=False)
        ):
            found += [
                f"{case}, draw {number}: {key} {new_draw[key]}, kept is {old_draw.get(key)}"
                for key in new_draw
                if new_draw[key] != old_draw.get(key)
            ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something differs")
    if not parser.parse_args().check:
        write(make())
        return 0
    kept, made = read(), make()
    found = differences(kept, made)
    same = sum(np.array_equal(kept[0][case], made[0].get(case)) for case in kept[0])
    print(
        "\n".join(found)
        or f"as kept: {same} of {len(kept[0])} records to the byte, the others within 1 ADC unit"
    )
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

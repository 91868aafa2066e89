"""Reads a folder by whatever version of wfdb there is; used by test_interop.py in a process of its own."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import wfdb


def main(folder: Path) -> None:
    found: dict[str, Any] = {"version": wfdb.__version__, "records": {}}
    for header in sorted(folder.rglob("*.hea")):
        name = str(header.with_suffix(""))
        digital, physical = wfdb.rdrecord(name, physical=False), wfdb.rdrecord(name)
        marks = wfdb.rdann(name, "atr")
        assert np.isfinite(physical.p_signal).all()
        found["records"][str(header.relative_to(folder))] = {
            "leads": digital.sig_name,
            "fs": float(digital.fs),
            "units": digital.units,
            "gain": [float(gain) for gain in digital.adc_gain],
            "samples": hashlib.sha256(digital.d_signal.T.astype("<i2").tobytes()).hexdigest(),
            "largest_mv": round(float(np.abs(physical.p_signal).max()), 3),
            "comments": digital.comments,
            "at": marks.sample.tolist(),
            "symbols": marks.symbol,
            "notes": [note.rstrip("\0") for note in marks.aux_note],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

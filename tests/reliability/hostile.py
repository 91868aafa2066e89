"""Sound WFDB records, and ways to spoil them: headers, annotations, samples."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import wfdb

from ecgsynth.records import Beats
from ecgsynth.wfdb_io import write_record

#: What a header may hold where something else is expected.
NASTY = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "3",
        "256",
        "257",
        "65536",
        "999999999",
        "999999999999999999999",
        "9" * 5000,
        "0.5",
    ),
    *(
        "nan",
        "inf",
        "-inf",
        "1e308",
        "1e-308",
        "1e999",
        "0x10",
        "1_0",
        "\u0661",
        "\u00b5V",
        "",
        "-",
        "~",
        ".",
        "..",
    ),
    *(
        "../r0.dat",
        "/etc/passwd",
        "s3://bucket/x",
        "http://localhost/x.dat",
        "r0",
        "r0.hea",
        "r0.dat",
        "r9.dat",
    ),
    *(
        "16",
        "16x2",
        "16:3",
        "16+7",
        "16+99999999999999",
        "212",
        "8",
        "310",
        "311",
        "24",
        "32",
        "80",
        "160",
        "61",
    ),
    *(
        "508",
        "516",
        "524",
        "0",
        "17",
        "200(0)/mV",
        "1e-30(0)/mV",
        "0(0)/V",
        "1000(99999999999)/uV",
        "/",
        "(",
        "#",
    ),
    *("r0/2", "r0/99999999", "x" * 3000, "\x00", "\x1b[2J", "\u202e", "12:00:00", "31/02/2020", "99:99"),
)


def plant(folder: Path) -> list[str]:
    """Write one sound record of each kind into `folder`; their names."""
    rng = np.random.default_rng(0)
    beats = Beats(np.array([50, 250, 450]), ("N", "V", "N"), "generated")
    for i, leads in enumerate((("II",), ("II", "V1"), ("I", "II", "V5"))):
        signal = rng.normal(0, 0.5, (len(leads), 500)).astype(np.float32)
        write_record(folder, f"r{i}", signal, 250, leads, ["Age: 63"], beats=beats, marks=[(0, "(AFIB")])
    for fmt in ("212", "80", "24", "516"):
        digital = rng.integers(-100, 100, (501, 2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wfdb.wrsamp(
                f"f{fmt}",
                fs=250,
                units=["mV", "uV"],
                sig_name=["I", "V2"],
                d_signal=digital,
                fmt=[fmt] * 2,
                adc_gain=[200.0, 200.0],
                baseline=[0, 5],
                write_dir=str(folder),
            )
    (folder / "f310.dat").write_bytes(rng.integers(0, 64, 400, dtype=np.uint8).tobytes())
    (folder / "f310.hea").write_text("f310 1 250 300\nf310.dat 310 200(0)/mV 10 0\n")
    (folder / "fixed.hea").write_text("fixed/3 2 250 1200\nr1 500\n~ 200\nr1 500\n")
    (folder / "lay.hea").write_text(
        "lay 2 250 0\n~ 0 1000(0)/mV 16 0 0 0 0 V1\n~ 0 1000(0)/mV 16 0 0 0 0 II\n"
    )
    (folder / "variable.hea").write_text("variable/4 2 250 1050\nlay 0\nr0 500\n~ 50\nr1 500\n")
    return ["r0", "r1", "r2", "f212", "f80", "f24", "f516", "f310", "fixed", "variable"]


def spoil_header(raw: bytes, rng: np.random.Generator) -> bytes:
    """One to three faults in the text of a header."""
    for _ in range(int(rng.integers(1, 4))):
        text = raw.decode("latin-1")
        lines = text.split("\n")
        row = int(rng.integers(len(lines)))
        fields = lines[row].split(" ")
        nasty = NASTY[int(rng.integers(len(NASTY)))].encode().decode("latin-1")
        kind = int(rng.integers(9))
        if kind < 4:
            fields[int(rng.integers(len(fields)))] = nasty
            lines[row] = " ".join(fields)
        elif kind == 4:
            lines[row] = nasty + lines[row] if rng.random() < 0.5 else lines[row] + nasty
        elif kind == 5:
            del lines[row]
        elif kind == 6:
            lines.insert(row, lines[int(rng.integers(len(lines)))])
        elif kind == 7:
            lines = [line + "\r" for line in lines]
        else:
            return (b"\xef\xbb\xbf" + raw) if rng.random() < 0.3 else spoil_bytes(raw, rng)
        raw = "\n".join(lines).encode("latin-1")
    return raw


def spoil_bytes(raw: bytes, rng: np.random.Generator) -> bytes:
    """Cut, flip, repeat, insert or lengthen bytes."""
    content = bytearray(raw)
    at = int(rng.integers(len(content) + 1))
    kind = int(rng.integers(5))
    if kind == 0:
        del content[at:]
    elif kind == 1:
        for place in rng.integers(0, max(1, len(content)), 4).tolist():
            if content:
                content[place] ^= int(rng.integers(1, 256))
    elif kind == 2:
        content[at:at] = rng.integers(0, 256, int(rng.integers(1, 40)), dtype=np.uint8).tobytes()
    elif kind == 3:
        content[at:at] = content[: int(rng.integers(1, 200))]
    else:
        content[at:at] = b"\xff\xff\xff\x7f" if rng.random() < 0.5 else b"\x00" * int(rng.integers(1, 3000))
    return bytes(content)


def spoil(folder: Path, name: str, rng: np.random.Generator) -> None:
    """Spoil one or two files of the record `name` in place."""
    files = sorted(path for path in folder.glob(f"{name}.*"))
    ways: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {".hea": spoil_header}
    weights = np.array([3.0 if path.suffix == ".hea" else 1.0 for path in files])
    for _ in range(1 + (rng.random() < 0.3)):
        path = files[int(rng.choice(len(files), p=weights / weights.sum()))]
        path.write_bytes(ways.get(path.suffix, spoil_bytes)(path.read_bytes(), rng))

"""A blind sheet: the strips, what is handed to the raters, and the key that stays behind."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ecgsynth.blind.answers import COLUMNS
from ecgsynth.blind.candidates import BAND, FS, SECONDS, STEP_MV, Candidate, gather
from ecgsynth.blind.choosing import choose
from ecgsynth.blind.page import sheet_pages
from ecgsynth.errors import OptionError, OutputError, RecordError
from ecgsynth.plot import save_pages
from ecgsynth.report.staging import staged
from ecgsynth.staging import Kind, check_target

SHEET: Final = Kind("blind sheet", "answers.csv")
FORMAT: Final = "ecgsynth blind key 1"
#: Records drawn for each synthetic strip, so that its lead can be that of a real one.
DRAWN: Final = 4


@dataclass(frozen=True, kw_only=True)
class SheetOptions:
    """Options of ``ecgsynth blind-test``.

    Attributes
    ----------
    real, synthetic : tuple of Path
        Folders of WFDB records, or databases that the readers know.
    generator : str or None
        Instead of ``synthetic``: draws the strips, gated as ``ecgsynth generate`` does.
    weights : Path or None
        Own checkpoint of the generator.
    rhythms : tuple of str
        Canonical names.
    n : int
        Strips of each side.
    per_person : int
        Most strips of one person on the sheet.
    seed : int
    out : Path
        Folder for the raters: ``sheet.pdf`` and ``answers.csv``.
    key : Path or None
        File of the key; beside ``out`` by default.
    overwrite, allow_few_people : bool
    """

    real: tuple[Path, ...]
    out: Path
    rhythms: tuple[str, ...]
    synthetic: tuple[Path, ...] = ()
    generator: str | None = None
    weights: Path | None = None
    n: int = 50
    per_person: int = 3
    seed: int = 0
    key: Path | None = None
    overwrite: bool = False
    allow_few_people: bool = False


@dataclass(frozen=True)
class Sheet:
    """What was made.

    Attributes
    ----------
    out, key : Path
    name : str
        First digits of the hash that sheet, answers and key share.
    strips, people : int
        Strips on the sheet, and people who gave the real ones.
    unreadable : int
        Records of both sides that could not be read and were passed over.
    """

    out: Path
    key: Path
    name: str
    strips: int
    people: int
    unreadable: int


def make_sheet(options: SheetOptions) -> Sheet:
    """Write the sheet, the form for the answers and the key.

    Raises
    ------
    OptionError
        For a request that cannot be met.
    RecordError
        If a folder is missing or damaged.
    TooFewPeopleError
        If a rhythm has too few people or records.
    OutputError
        If ``out`` or the key exists, or cannot be written.
    """
    _check(options)
    key = options.key or options.out.with_name(f"{options.out.name}-key.json")
    if key.exists() and not options.overwrite:
        raise OutputError(f"{key}: exists already; choose another --key or pass --overwrite.")
    check_target(options.out, options.overwrite, SHEET)
    args = (options.rhythms, options.per_person, options.seed)
    with TemporaryDirectory(prefix="ecgsynth-blind-") as scratch:
        real = gather(options.real, "real", *args)
        folders = options.synthetic or _generated(options, Path(scratch))
        synthetic = gather(folders, "synthetic", *args)
    strips = choose(real, synthetic, options.rhythms, options.n, options.per_person, options.seed)
    rows = [_row(number, strip) for number, strip in enumerate(strips, start=1)]
    name = sheet_name(rows)
    with staged(options.out, options.overwrite, SHEET) as folder:
        save_pages(sheet_pages(strips, name), folder / "sheet.pdf", 150)
        _write_form(folder / "answers.csv", name, len(rows))
        _write_key(key, name, rows, options)
    people = len({strip.person for strip in strips if strip.truth == "real"})
    return Sheet(options.out, key, name, len(rows), people, real.unreadable + synthetic.unreadable)


def _check(options: SheetOptions) -> None:
    if bool(options.synthetic) == bool(options.generator):
        raise OptionError(
            "blind-test: give either --synthetic DIR (repeatable) or --generator, and not both."
        )
    if not options.rhythms:
        raise OptionError("--rhythms: names no rhythm; give some with commas, such as nsr,afib,vt.")
    if not len(options.rhythms) <= options.n <= 500:
        raise OptionError(
            f"--n: {options.n} strips of each side for {len(options.rhythms)} rhythms; allowed are "
            f"{len(options.rhythms)} to 500."
        )


def _generated(options: SheetOptions, scratch: Path) -> tuple[Path, ...]:
    """Folders of records of the generator, one per rhythm, as ``ecgsynth generate`` writes them."""
    from ecgsynth.pipeline import GenerateOptions, generate_dataset

    share = -(-options.n // len(options.rhythms))
    for name in options.rhythms:
        generate_dataset(
            GenerateOptions(
                rhythm=name,
                records=DRAWN * share,
                seed=options.seed,
                generator=str(options.generator),
                weights=options.weights,
                allow_few_people=options.allow_few_people,
                workers=1,
                out=scratch / name,
            )
        )
    return tuple(scratch / name for name in options.rhythms)


def _row(number: int, strip: Candidate) -> dict[str, Any]:
    digest = hashlib.sha256(strip.signal.astype("<f4").tobytes()).hexdigest()
    return {
        "number": number,
        "truth": strip.truth,
        "rhythm": strip.rhythm,
        "lead": strip.lead,
        "person": strip.person,
        "record": strip.record,
        "start_s": round(strip.start, 6),
        "samples_sha256": digest,
    }


def sheet_name(rows: Sequence[Mapping[str, Any]]) -> str:
    """Twelve digits of the hash over everything that the key says of the strips."""
    return hashlib.sha256(json.dumps(list(rows), sort_keys=True).encode()).hexdigest()[:12]


def _write_form(path: Path, name: str, n_strips: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((name, number, "", "") for number in range(1, n_strips + 1))


def _write_key(path: Path, name: str, rows: list[dict[str, Any]], options: SheetOptions) -> None:
    content = {
        "format": FORMAT,
        "sheet": name,
        "seed": options.seed,
        "synthetic": options.generator or [folder.name for folder in options.synthetic],
        "form": {"fs_hz": FS, "seconds": SECONDS, "band_hz": BAND, "step_mv": STEP_MV},
        "strips": rows,
    }
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another --key.") from None
    finally:
        partial.unlink(missing_ok=True)


def read_key(path: Path) -> dict[str, Any]:
    """The key of a sheet.

    Raises
    ------
    RecordError
        If it is missing, no key, or does not match the hash that names its sheet.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        rows, name = content["strips"], content["sheet"]
        whole = content["format"] == FORMAT and all(
            {"number", "truth", "rhythm", "person"} <= row.keys() for row in rows
        )
    except FileNotFoundError:
        raise RecordError(f"--key {path}: no such file; expected the key that blind-test wrote.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise RecordError(
            f"--key {path}: is not the key of a blind sheet; give the file that blind-test wrote."
        )
    if sheet_name(rows) != name:
        raise RecordError(
            f"--key {path}: its strips do not match its name {name}; it was changed. "
            "Take the one blind-test wrote."
        )
    return dict(content)

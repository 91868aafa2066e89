"""PTB-XL: ten-second twelve-lead records of clinical routine, SCP-ECG statements, patient ids."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ecgsynth.datasets.labels import label_scp
from ecgsynth.datasets.marks import Skip, each, lead_names, parse_age
from ecgsynth.errors import RecordError
from ecgsynth.records import Episode, Record
from ecgsynth.wfdb_io import read_record

#: PTB-XL writes 300 for anyone older than 89; this is what such a person's age becomes.
OVER_89 = 90.0
_SEX = {"0": "M", "1": "F"}


def read_ptbxl(root: Path, *, skip: Skip | None = None) -> Iterator[Record]:
    """Records of PTB-XL (Wagner et al. 2020), 12 leads, 10 s, no beat labels.

    Each record is read at 500 Hz where that file is present, else at 100 Hz. The 100 Hz files hold nothing
    above 50 Hz however they are resampled, which ``extra["bandwidth"]`` says.

    Parameters
    ----------
    root : Path
        Folder with ``ptbxl_database.csv`` and ``records100`` and/or ``records500``. Rows whose files are not
        there are passed over.

    Raises
    ------
    RecordError
        If the table is missing or malformed, none of its records is present, or one is damaged and there
        is no ``skip`` to tell.
    """
    root = Path(root)
    table = root / "ptbxl_database.csv"
    if not table.is_file():
        raise RecordError(f"{table} is missing: labels and patients stand there; copy it beside the records.")
    found = False
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            stem = _stem(root, row)
            if stem is not None:
                found = True
                yield from each([stem], partial(_record, row, table), skip)
    if not found:
        raise RecordError(f"no records in {root}: none of the files that {table.name} names is there.")


def _stem(root: Path, row: dict[str, str]) -> Path | None:
    for column in ("filename_hr", "filename_lr"):
        stem = root / row.get(column, "")
        if row.get(column) and stem.with_name(stem.name + ".hea").is_file():
            return stem
    return None


def _record(row: dict[str, str], table: Path, stem: Path) -> Record:
    try:
        likelihoods = {str(k): float(v) for k, v in ast.literal_eval(row["scp_codes"]).items()}
        patient = str(int(float(row["patient_id"])))
    except (KeyError, ValueError, SyntaxError, AttributeError, TypeError) as error:
        raise RecordError(
            f"{table}, ecg_id {row.get('ecg_id')}: scp_codes or patient_id is not readable ({error}); "
            "expected a dict such as {'SR': 0.0} and a number. Fetch the table again."
        ) from error
    raw = read_record(stem)
    rhythm, notes = label_scp(likelihoods)
    sex = _SEX.get(row.get("sex", "").split(".")[0])
    age = OVER_89 if row.get("age", "").startswith("300") else parse_age(row.get("age"))
    return Record(
        name=raw.name,
        signal=raw.signal,
        fs=raw.fs,
        leads=lead_names(raw.leads),
        subject=f"ptbxl/{patient}",
        source="ptbxl",
        episodes=(Episode(0, raw.signal.shape[1], rhythm),),
        age=age,
        sex="M" if sex == "M" else "F" if sex == "F" else None,
        extra={
            "scp": ";".join(likelihoods),
            "device": row.get("device", "").strip(),
            "bandwidth": f"{raw.fs / 2:g}",
            **notes,
        },
    )

"""Energy that a study took, where CodeCarbon (extra ``energy``) is installed; nothing is sent anywhere."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Where processor seconds and energy go: apart from the results, which know no clock.
COMPUTE_FILE = "compute.jsonl"
_EVERY_S = 15


@contextmanager
def energy_of(folder: Path) -> Iterator[None]:
    """Append what CodeCarbon measures of this process and its workers to `folder`'s ``compute.jsonl``.

    Processor, memory and graphics card, in kWh; where the machine has no meter, CodeCarbon estimates by the
    processor's rated power and its load. An interrupted run counts too. Does nothing without CodeCarbon.
    """
    tracker = _tracker()
    if tracker is None:
        yield
        return
    tracker.start()
    try:
        yield
    finally:
        tracker.stop()
        _note(folder, getattr(tracker, "final_emissions_data", None))


def _note(folder: Path, found: Any) -> None:
    """Append what was measured; CodeCarbon keeps its errors to itself, and then there is nothing."""
    if found is None:
        warnings.warn(
            "codecarbon: could not say what the study took; it is left out. Install the extra energy anew.",
            stacklevel=4,
        )
        return
    kinds = ("cpu", "ram", "gpu")
    line = {
        "task": "run",
        "energy_kwh": found.energy_consumed,
        **{f"{kind}_kwh": getattr(found, f"{kind}_energy") for kind in kinds},
    }
    with (folder / COMPUTE_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _tracker() -> Any:
    try:
        from codecarbon import OfflineEmissionsTracker
    except ImportError:
        return None
    # The country decides about grams of CO2 only, which are not reported.
    return OfflineEmissionsTracker(
        country_iso_code="DEU",
        save_to_file=False,
        log_level="error",
        measure_power_secs=_EVERY_S,
        allow_multiple_runs=True,
        tracking_mode="process",
    )

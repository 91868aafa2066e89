"""What every test may use: the folder of real recordings, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

NO_DATA = "needs real recordings: set ECGSYNTH_DATA to their folder"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("ECGSYNTH_DATA"):
        return
    for item in items:
        if item.get_closest_marker("realdata"):
            item.add_marker(pytest.mark.skip(reason=NO_DATA))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real recordings, one folder per database."""
    root = os.environ.get("ECGSYNTH_DATA")
    if not root:
        pytest.skip(NO_DATA)
    return Path(root)

"""Real data for tests: the folder that TORCHSSE_DATA names, or a skip."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where there is none."""
    folder = os.environ.get("TORCHSSE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TORCHSSE_DATA names no folder")
    return Path(folder)

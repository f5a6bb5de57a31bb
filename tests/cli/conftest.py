"""Files that several tests of commands read."""

from __future__ import annotations

from pathlib import Path

import cli_case
import pytest


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cli_case.write_files(tmp_path_factory.mktemp("files"))

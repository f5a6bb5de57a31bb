"""Shared fixtures."""

from __future__ import annotations

import pytest
from recsys_data import planted

from torchsse.data import Ratings


@pytest.fixture(scope="session")
def ratings() -> Ratings:
    return planted()

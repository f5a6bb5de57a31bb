"""The tests that need a GPU (`pytest -m gpu`), and their outcomes as JSON. Fails where one fails, or where all skip.

python -m benchmarks.gpu_tests [--device cuda] [--out FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.common import chosen_device, device_parser, write_result

ROOT = Path(__file__).parents[1]


class Outcomes:
    """A plugin of pytest that keeps what came of each test."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.seen[report.nodeid] = report.outcome


def main() -> int:
    given = device_parser(__doc__).parse_args()
    chosen_device(given.device)
    try:
        import pytest
    except ImportError:
        sys.exit("error: pytest is not installed")
    outcomes = Outcomes()
    # no plugins are counted on: the options of pyproject.toml name some
    code = pytest.main(["-m", "gpu", "-q", "-o", "addopts=", "-p", "no:cacheprovider", str(ROOT / "tests")], [outcomes])
    passed = sum(outcome == "passed" for outcome in outcomes.seen.values())
    write_result("gpu_tests", {"exit_code": int(code), "passed": passed, "tests": outcomes.seen}, given.out)
    return 0 if code == 0 and passed else 1


if __name__ == "__main__":
    sys.exit(main())

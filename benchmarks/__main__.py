"""Run every benchmark that needs no options and keep the JSON in benchmarks/results.

python -m benchmarks            # all
python -m benchmarks swap_speed # one or several by name
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_ALONE = {"__init__", "__main__", "common", "peer_quality", "recbole_peer"} | {
    path.stem for path in HERE.glob("gpu_*.py")
}
"""No benchmarks, needing a finished comparison, or a GPU (`gpu.sh`)."""


def main() -> int:
    """Each benchmark in a process of its own, one after another; the exit code counts the failures."""
    known = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_ALONE)
    chosen = sys.argv[1:] or known
    unknown = [name for name in chosen if name not in known]
    if unknown:
        print(f"error: no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 1
    failures = 0
    for name in chosen:
        print(f"== {name}", flush=True)
        out = HERE / "results" / f"{name}.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(out)]
        failures += subprocess.run(command, cwd=HERE.parent, check=False).returncode != 0
    return failures


if __name__ == "__main__":
    sys.exit(main())

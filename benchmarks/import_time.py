"""How much longer all public names take to import than torch and numpy: interleaved fresh processes, median of ratios.

python -m benchmarks.import_time --runs 15 --out import_time.json
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.common import parser, write_result


def seconds(statement: str) -> float:
    """Wall time of a fresh interpreter that runs one statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__)
    arguments.add_argument("--runs", type=int, default=15)
    args = arguments.parse_args()
    base, ours = "import torch, numpy", "import torch, numpy; from torchsse import *"  # each name loads its room
    seconds(base), seconds(ours)
    pairs = [(seconds(ours), seconds(base)) for _ in range(args.runs)]
    result = {
        "ratio_median": statistics.median(a / b for a, b in pairs),
        "torchsse_seconds": statistics.median(a for a, _ in pairs),
        "torch_numpy_seconds": statistics.median(b for _, b in pairs),
        "runs": args.runs,
        "limit": 1.10,
    }
    write_result("import_time", result, args.out)


if __name__ == "__main__":
    main()

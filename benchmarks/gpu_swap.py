"""Swaps on a GPU: time and bytes a second over `ids.clone()`, which moves the same bytes (16 for an int64 id).

For each law, eager and under torch.compile: milliseconds, the ratio to the clone, gigabytes a second as if an id were
read and written once (the floor of one fused pass), the most memory beyond ids and result, and microseconds at the
size of a training step, 16 x 128 ids, where launches count. Fails where the share of replaced ids is off, an id outside
the table does not pass through, a call waits for the device, or a law does not compile.

python -m benchmarks.gpu_swap [--device cuda] [--ids 100000000] [--rounds 20] [--no-compile] [--out FILE]
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.common import Clock, chosen_device, device_parser, write_result
from benchmarks.swap_speed import EDGES, NODES, modules
from torchsse.modules.sse import SSE
from torchsse.swap import swap
from torchsse.transition.walk_law import WalkLaw

P0, STEP, REPEATS = 0.01, (16, 128), 50
Swap = Callable[[Tensor], Tensor]


def timed(action: Swap, ids: Tensor, rounds: int) -> float:
    """The median of so many calls, in seconds; one comes before, unmeasured."""
    clock, action_result = Clock(ids.device), action(ids)
    clock.mark()
    for _ in range(rounds):
        action_result = action(ids)
        clock.mark()
    del action_result
    return statistics.median(clock.seconds())


def extra_bytes(action: Swap, ids: Tensor) -> int | None:
    """The most memory that a call takes beyond its result, on CUDA."""
    if ids.device.type != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = action(ids)
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated() - before - result.numel() * result.element_size())


def check(action: Swap, sse: SSE, ids: Tensor) -> dict[str, Any]:
    """What must hold of a swap on a device; `waits` is None where it cannot be told."""
    waits = None
    if ids.device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            action(ids)
            waits = False
        except RuntimeError:
            waits = True
        finally:
            torch.cuda.set_sync_debug_mode("default")
    changed = float((action(ids) != ids).double().mean())
    noise = 6 * math.sqrt(P0 / ids.numel())
    active = 1 - len(sse.exclude) / sse.num_embeddings
    # a walk may end where it began, so its share has no bound below
    least = 0.0 if isinstance(sse.law, WalkLaw) else P0 * active - noise
    most = P0 * active + noise
    outside = torch.tensor([-1, sse.num_embeddings], device=ids.device)
    passed = bool(torch.equal(action(outside), outside)) if ids.device.type == "cuda" else None
    return {"changed": changed, "share_holds": least <= changed <= most, "outside_pass": passed, "waits": waits}


def measure(action: Swap, sse: SSE, ids: Tensor, small: Tensor, rounds: int) -> dict[str, Any]:
    """Time, memory and checks of one action."""
    seconds, clone = timed(action, ids, rounds), timed(Tensor.clone, ids, rounds)
    moved = 2 * ids.numel() * ids.element_size()
    return {
        "milliseconds": 1e3 * seconds, "clone_milliseconds": 1e3 * clone, "ratio": seconds / clone,
        "gigabytes_per_second": moved / seconds / 1e9, "clone_gigabytes_per_second": moved / clone / 1e9,
        "extra_bytes_per_id": None if (extra := extra_bytes(action, ids)) is None else extra / ids.numel(),
        "step_microseconds": 1e6 * timed(action, small, REPEATS), **check(action, sse, ids),
    }  # fmt: skip


def run(
    device: torch.device, count: int, rounds: int, compiled: bool, nodes: int = NODES, edges: int = EDGES
) -> dict[str, Any]:
    """Every law, int64; SSE-SE with int32 too."""
    table = modules(P0, nodes, edges)
    ids = torch.randint(nodes, (count,), device=device)
    small = torch.randint(nodes, STEP, device=device)
    result: dict[str, Any] = {}
    for name, sse in table.items():
        kinds = (torch.int64, torch.int32) if name == "sse-se" else (torch.int64,)
        for dtype in kinds:
            given, few = ids.to(dtype), small.to(dtype)
            label = name if dtype == torch.int64 else f"{name}, int32"

            def eager(ids: Tensor, sse: SSE = sse) -> Tensor:
                return swap(ids, sse)

            result[f"{label}, eager"] = measure(eager, sse, given, few, rounds)
            if not compiled:
                continue
            torch.compiler.reset()
            try:
                fused = torch.compile(eager, fullgraph=True, dynamic=True)
                result[f"{label}, compiled"] = measure(fused, sse, given, few, rounds)
            except Exception as error:  # a compiler that fails is a result, and the next law may do
                result[f"{label}, compiled"] = {"error": str(error).strip().splitlines()[0][:300]}
    return result


def holds(found: dict[str, Any]) -> bool:
    """Whether nothing that was checked of a law is wrong; what could not be told is not."""
    if "error" in found:
        return False
    return bool(found["share_holds"]) and found["outside_pass"] is not False and not found["waits"]


def main() -> int:
    """Measure, print, and fail where a check does."""
    arguments = device_parser(__doc__)
    arguments.add_argument("--ids", type=int, default=10**8)
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--no-compile", action="store_true")
    given = arguments.parse_args()
    device = chosen_device(given.device)
    found = run(device, given.ids, given.rounds, not given.no_compile)
    write_result("gpu_swap", {"ids": given.ids, "p0": P0, "nodes": NODES, "edges": EDGES, "laws": found}, given.out)
    return 0 if all(map(holds, found.values())) else 1


if __name__ == "__main__":
    sys.exit(main())

"""`torchsse bench`: how fast is it here?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from torchsse.cli.searching import cores
from torchsse.cli.shell import say

__all__ = ["bench"]


def bench(
    factors: Annotated[int, typer.Option(help="Rank.", min=1)] = 100,
    pairs: Annotated[int, typer.Option(help="Generated ratings.", min=1000)] = 1_000_000,
    rounds: Annotated[int, typer.Option(help="Of each piece of work; the median counts.", min=1)] = 5,
    num_threads: Annotated[int | None, typer.Option(help="Default: one, then all cores.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """How fast torchsse is on this machine, and what SSE adds.

    Data of MovieLens-1M's size are generated. Against other libraries: `make bench` in the repository.

    \b
    torchsse bench
    torchsse bench --factors 32 --pairs 200000
    """
    from torchsse.experiments.bench import Size, Timing
    from torchsse.experiments.bench import bench as measure
    from torchsse.experiments.provenance import provenance

    counts = (num_threads,) if num_threads is not None else tuple(dict.fromkeys((1, cores())))
    size = Size(factors=factors, pairs=pairs, rounds=rounds)
    say(f"{size.users:,} users, {size.items:,} items, {size.pairs:,} pairs, rank {size.factors}; compiling first ...")
    lines: list[Timing] = []
    if not as_json:
        typer.echo(f"{'':22}{'SSE':12}{'threads':>7}{'time':>12}{'per second':>20}{'over none':>11}")
    for line in measure(size, counts):
        lines.append(line)
        if not as_json:
            rate = f"{line.rate / 1e6:,.1f} M {line.unit}" if line.rate >= 1e5 else f"{line.rate:,.0f} {line.unit}"
            over = "" if line.law == "none" else f"{line.ratio:.2f} x"
            text = f"{line.what:22}{line.law:12}{line.threads:7}{1e3 * line.seconds:9,.1f} ms{rate:>20}{over:>11}"
            typer.echo(text)
    if as_json:
        document = {"schema": 1, "provenance": provenance(), "results": [asdict(line) for line in lines]}
        typer.echo(json.dumps(document, indent=2))
    else:
        typer.echo("\nOver none: time with SSE over the same without; for the swap, over copying the ids.")

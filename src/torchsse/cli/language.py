"""What the commands on text share: device, threads, provenance."""

from __future__ import annotations

from typing import Annotated, Any

import typer

__all__ = ["DATA", "RESUME", "SSE", "TRAINING", "Device", "NumThreads", "Precision", "origin", "set_threads"]

RESUME = "the same command goes on from the last saved state"
DATA, SSE, TRAINING = "Data", "Stochastic Shared Embeddings", "Training"

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.", rich_help_panel=TRAINING)]
NumThreads = Annotated[
    int | None,
    typer.Option("--num-threads", help="Of the CPU. Default: torch's.", min=1, rich_help_panel=TRAINING),
]
Precision = Annotated[
    str,
    typer.Option(
        help="fp32 or bf16: faster on a GPU, and on a CPU with instructions for it.", rich_help_panel=TRAINING
    ),
]


def origin(device: str) -> dict[str, Any]:
    """Provenance with what matters to language models.

    Raises:
        MissingDependencyError: without transformers or tokenizers.
    """
    import torch

    from torchsse.experiments.provenance import language_versions, now, provenance

    return {**provenance(device), **language_versions(), "threads": torch.get_num_threads(), "time": now()}


def set_threads(number: int | None) -> None:
    """Threads that torch and tokenizers take; None leaves theirs."""
    if number is None:
        return
    import os

    import torch

    os.environ.setdefault("RAYON_NUM_THREADS", str(number))
    torch.set_num_threads(number)

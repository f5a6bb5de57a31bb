"""Stochastic Shared Embeddings (SSE) for PyTorch.

SSE regularises embedding tables: during training an id is replaced, with a small probability p0, by another id before
the look-up, along a knowledge graph (SSE-Graph) or over the whole table (SSE-SE). Wu, Li, Hsieh and Sharpnack,
"Stochastic Shared Embeddings: Data-driven Regularization of Embedding Layers", NeurIPS 2019.

    >>> import torch
    >>> from torchsse import SSE, attach
    >>> model = torch.nn.Sequential(torch.nn.Embedding(1000, 16), torch.nn.Flatten(), torch.nn.Linear(16 * 5, 2))
    >>> handle = attach(model, {"0": SSE(num_embeddings=1000, p0=0.01)})
    >>> model(torch.randint(1000, (8, 5))).shape
    torch.Size([8, 2])
    >>> handle.remove()

This module needs torch and numpy only. Recommenders live in `torchsse.recsys`, readers in `torchsse.data`, metrics and
statistics in `torchsse.metrics`, the paper's theory in `torchsse.theory`; the command line is `torchsse --help`.
"""

from __future__ import annotations

from torchsse.graph import Graph
from torchsse.labels import SSECrossEntropyLoss
from torchsse.modules import SSE, Handle, SSESchedule, attach
from torchsse.swap import swap
from torchsse.transition import Walk

__version__ = "0.1.0"

__all__ = ["SSE", "Graph", "Handle", "SSECrossEntropyLoss", "SSESchedule", "Walk", "__version__", "attach", "swap"]

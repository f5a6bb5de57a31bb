"""SSE for Hugging Face transformers: on a model's word embeddings, on its labels, in its Trainer; and SSE's peers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchsse.integrations.hf.attach import attach_sse
from torchsse.integrations.hf.labels import sse_labels

if TYPE_CHECKING:
    from torchsse.integrations.hf.callback import SSECallback

__all__ = ["SSECallback", "attach_sse", "sse_labels"]


def __getattr__(name: str) -> Any:
    # a TrainerCallback: it alone needs transformers to be imported
    if name == "SSECallback":
        from torchsse.integrations.hf.callback import SSECallback

        return SSECallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

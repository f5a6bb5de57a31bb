"""SSE for Hugging Face transformers: on a model's word embeddings."""

from __future__ import annotations

from torchsse.integrations.hf.attach import attach_sse

__all__ = ["attach_sse"]

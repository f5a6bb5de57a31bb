"""Stochastic Shared Embeddings (SSE) for PyTorch."""

__version__ = "0.1.0"

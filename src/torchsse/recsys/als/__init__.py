"""Alternating least squares, with SSE in its marginalised form: no sampling, the expectation itself is minimised."""

from __future__ import annotations

"""SSE as a module, on any model by name, and over time: shells round `swap`."""

from __future__ import annotations

from torchsse.modules.attach import attach, attached
from torchsse.modules.handle import Handle
from torchsse.modules.schedule import SSESchedule
from torchsse.modules.sse import SSE

__all__ = ["SSE", "Handle", "SSESchedule", "attach", "attached"]

"""SSE on targets: drawn, or its exact expectation, which is label smoothing along the law."""

from torchsse.labels.loss import SSECrossEntropyLoss
from torchsse.labels.targets import expected_targets

__all__ = ["SSECrossEntropyLoss", "expected_targets"]

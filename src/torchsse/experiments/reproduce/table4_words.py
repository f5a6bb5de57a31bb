"""What the arms of Table 4 are called on its page, and which of the paper's rows they stand beside."""

from __future__ import annotations

__all__ = ["MODELS", "labels"]

MODELS = {
    "none": "SASRec, b = 2",
    "sse-se-input": "SSE-SE + SASRec, b = 2, px",
    "sse-se-output": "SSE-SE + SASRec, b = 2, py",
    "sse-se": "SSE-SE + SASRec, b = 2, px and py",
    "b6": "SASRec, b = 6",
    "b6 sse-se": "SSE-SE + SASRec, b = 6, px and py",
    "paper": "SASRec, b = 2",
    "paper sse-se-input": "SSE-SE + SASRec, b = 2, px",
    "paper sse-se-output": "SSE-SE + SASRec, b = 2, py",
    "paper sse-se": "SSE-SE + SASRec, b = 2, px and py",
    "paper-b6": "SASRec, b = 6",
    "paper-b6 sse-se": "SSE-SE + SASRec, b = 6, px and py",
}
"""Arm -> row of the paper."""


def labels(loss: str) -> dict[str, str]:
    """Arm -> what it is, where `loss` is the strong one that has no prefix of its own.

    >>> labels("softmax")["softmax sse-se"]
    'the same, both swapped'
    """
    strong = {
        "softmax": "SASRec with the cross-entropy over all items",
        "sampled-softmax": "SASRec with the cross-entropy over 256 shared random items",
    }[loss]
    return {
        "none": "SASRec, 2 blocks, one negative; dropout and weight decay",
        "dropout": "dropout without weight decay",
        "weight-decay": "weight decay without dropout",
        "sse-se-input": "items of the history swapped",
        "sse-se-output": "items that should follow swapped",
        "sse-se": "both swapped",
        "sse-graph": "both swapped along shared actors",
        "sse-cooccurrence": "both swapped along nearest neighbours by co-occurrence in train",
        "sse-pt": "SSE-PT of the same width: a table of users, swapped with large p",
        "paper": "the paper's own settings, nothing searched: dropout .1, weight decay 1e-5",
        "paper sse-se-input": "the same, items of the history swapped with p .1",
        "paper sse-se-output": "the same, items that should follow swapped with p .1",
        "paper sse-se": "the same, both swapped with p .1",
        "paper-b6": "the paper's own settings with 6 blocks",
        "paper-b6 sse-se": "the same, both swapped with p .1",
        "b6": "6 blocks",
        "b6 sse-se": "the same, both swapped",
        loss: strong,
        f"{loss} sse-se": "the same, both swapped",
        f"{loss} sse-graph": "the same, both swapped along shared actors",
        "modern": "SASRec as it is trained today: cross-entropy over cosines of 256 shared random items that the "
        "user has not, rotary positions, any stretch of long histories, learning rate .002",
        "modern sse-se": "the same, both swapped",
        "modern sse-graph": "the same, both swapped along shared actors",
        "modern-b6": "the same as modern with 6 blocks and learning rate .001",
        "modern-b6 sse-se": "the same, both swapped",
        "bce-8": "the paper's loss with eight negatives for each target, rotary positions, any stretch of long "
        "histories, learning rate .002",
        "bce-8 sse-se": "the same, both swapped",
        "bce-8 sse-graph": "the same, both swapped along shared actors",
        "bce-8-wide": "the same as bce-8 with two heads, and feed-forward parts four times as wide within",
        "bce-8-wide sse-se": "the same, both swapped",
        "bce-8-b6": "the same as bce-8 with 6 blocks and learning rate .001",
        "bce-8-b6 sse-se": "the same, both swapped",
        "bce-8-b6-wide": "the same as bce-8-wide with 6 blocks and learning rate .001",
        "bce-8-b6-wide sse-se": "the same, both swapped",
        "bce-32-wide": "the same as bce-8-wide with 32 negatives for each target",
        "bce-32-wide sse-se": "the same, both swapped",
        "bce-32-b6-wide": "the same as bce-8-b6-wide with 32 negatives for each target, 32 histories a step, and a "
        "learning rate that falls by 2.5 % each epoch",
        "bce-32-b6-wide sse-se": "the same, both swapped",
    }

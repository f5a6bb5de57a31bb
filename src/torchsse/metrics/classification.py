"""Accuracy, F1 and AUC of classifiers; which examples are right is kept, so that two arms compare pair by pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import DataError

__all__ = ["Scores", "auc", "classification_scores", "f1_scores"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Metrics of one classifier on one test set.

    Attributes:
        n: examples.
        accuracy: part of them that is right.
        f1: of the positive class, the last of two; None for more classes.
        f1_macro: mean over the classes of the F1 of each.
        auc: area under the ROC curve of the probabilities: of the positive class, or the mean over the classes of each
            against the rest. None where a class has no example, or all.
        balanced_accuracy: mean over the classes of the recall of each. For two classes it is the AUC of hard
            predictions, which papers at times report as AUC.
        correct: per example, in the order of the data: for paired tests.
    """

    n: int
    accuracy: float
    f1: float | None
    f1_macro: float
    auc: float | None
    balanced_accuracy: float
    correct: npt.NDArray[np.bool_]

    def summary(self) -> dict[str, Any]:
        """All but the examples, for JSON."""
        return {
            "n": self.n, "accuracy": self.accuracy, "f1": self.f1, "f1_macro": self.f1_macro, "auc": self.auc,
            "balanced_accuracy": self.balanced_accuracy,
        }  # fmt: skip


def classification_scores(truth: npt.ArrayLike, probabilities: npt.ArrayLike) -> Scores:
    """Metrics of class probabilities against true classes.

    The prediction is the most probable class, the first of equals.

    Shape: truth (n,), integers in 0 .. C-1; probabilities (n, C).

    Raises:
        DataError: other shapes, classes out of range, values that are not finite, fewer than two classes.

    >>> scores = classification_scores([0, 1, 1, 0], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    >>> scores.accuracy, round(scores.f1, 4), scores.auc, scores.correct.tolist()
    (0.75, 0.6667, 1.0, [True, True, False, True])
    """
    y, p = np.asarray(truth), np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 2 or y.shape != p.shape[:1] or not len(y) or y.dtype.kind not in "iu":
        raise DataError(
            f"expected classes of shape (n,) and probabilities of shape (n, C) with C of 2 or more, got {y.dtype} of "
            f"shape {y.shape} and {p.shape}"
        )
    classes = p.shape[1]
    if not np.isfinite(p).all() or y.min() < 0 or y.max() >= classes:
        raise DataError(f"expected finite probabilities and classes in 0 .. {classes - 1}")
    told = p.argmax(axis=1)
    correct = told == y
    each = f1_scores(y, told, classes)
    there = [k for k in range(classes) if (y == k).any()]
    recalls = [float(correct[y == k].mean()) for k in there]
    areas = [auc(y == k, p[:, k]) for k in ([1] if classes == 2 else range(classes))]
    return Scores(
        n=len(y),
        accuracy=float(correct.mean()),
        f1=float(each[1]) if classes == 2 else None,
        f1_macro=float(each.mean()),
        auc=None if None in areas else float(np.mean([area for area in areas if area is not None])),
        balanced_accuracy=float(np.mean(recalls)),
        correct=correct,
    )


def f1_scores(truth: Ints, told: Ints, classes: int) -> Floats:
    """F1 of each class; 0 for one that is neither there nor told.

    >>> f1_scores(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).round(3).tolist()
    [0.667, 0.667]
    """
    right = np.bincount(truth[truth == told], minlength=classes)
    both = np.bincount(truth, minlength=classes) + np.bincount(told, minlength=classes)
    scores: Floats = 2 * right / np.maximum(both, 1)
    return scores


def auc(positive: npt.NDArray[np.bool_], scores: Floats) -> float | None:
    """Chance that a positive scores above a negative, ties counted half; None without one of both.

    >>> auc(np.array([True, False, True]), np.array([0.9, 0.5, 0.5]))
    0.75
    """
    above, below = int(positive.sum()), int((~positive).sum())
    if not above or not below:
        return None
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    # mean rank of each distinct score, from 1
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[positive].sum() - above * (above + 1) / 2) / (above * below))

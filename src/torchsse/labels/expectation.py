"""sum_k q(y, k) s_k for many targets y at once, without the C x C matrix: the exact form of SSE on labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchsse.transition import CompleteLaw, GraphLaw, Law
from torchsse.transition.tables import DeviceTables

__all__ = ["Expectation"]

# A law given by rows keeps those it has computed when all of them would fit in 32 MiB; else rows live for one call.
KEEP_ROWS = 1 << 22


class Expectation:
    """Where a label goes, on average: E[s_k] over k drawn from row y, for scores s that differ from example to example.

    For M targets and C classes: O(M C) for the complete law; with a graph, Eq. 3 as a mixture, O(M C + sum of the
    targets' degrees); walks and matrices go through the rows of the targets that occur, O(M C + rows).
    """

    def __init__(self, law: Law) -> None:
        self.law = law
        self._kept: dict[int, np.ndarray[Any, Any]] = {}
        arrays: dict[str, np.ndarray[Any, Any] | None] = {"stays": law.stays}
        if law.position is not None:
            arrays["excluded"] = law.position < 0
        if isinstance(law, GraphLaw):
            total = law.weight_sum
            share = np.divide(law.link, total, out=np.zeros_like(total), where=total > 0)
            graph = law.graph
            arrays |= {"link": law.link, "share": share, "indptr": graph.indptr, "indices": graph.indices}
            arrays["weights"] = graph.weights if graph.weights is not None and graph.num_edges else None
        self._tables = DeviceTables(**arrays)

    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """E[scores[i, k]], k drawn from q(targets[i], .), the law given that the coin fell.

        Args:
            scores: (M, C) floating.
            targets: (M,) int64 in 0 .. C-1.

        Returns:
            (M,) of the dtype of `scores`; scores[i, targets[i]] for a target that stays.
        """
        if not isinstance(self.law, (CompleteLaw, GraphLaw)):
            return self._by_rows(scores, targets)
        own = scores.gather(1, targets.unsqueeze(1)).squeeze(1)
        if self.law.num_active < 2:
            return own
        tables = self._tables.on(scores.device)
        if isinstance(self.law, CompleteLaw):
            moved = self._over_others(scores, own, tables)
        else:
            moved = self._over_neighbours(scores, targets, tables)
            if not math.isinf(self.law.rho):
                link = tables["link"][targets].to(scores.dtype)
                moved = moved + (1 - link) * self._over_others(scores, own, tables)
        return torch.where(tables["stays"][targets], own, moved)

    def _over_others(self, scores: Tensor, own: Tensor, tables: dict[str, Tensor]) -> Tensor:
        """The mean over the other active classes."""
        drawn = scores.masked_fill(tables["excluded"], 0.0) if "excluded" in tables else scores
        return (drawn.sum(dim=1) - own) / (self.law.num_active - 1)

    def _over_neighbours(self, scores: Tensor, targets: Tensor, tables: dict[str, Tensor]) -> Tensor:
        """link_y * sum_k w_yk s_k / W_y, over the edges of all targets laid end to end."""
        begin = tables["indptr"][targets].long()
        degree = tables["indptr"][targets + 1].long() - begin
        example = torch.repeat_interleave(degree)
        first = degree.cumsum(0) - degree
        edge = torch.arange(len(example), device=scores.device) + (begin - first)[example]
        value = scores[example, tables["indices"][edge].long()]
        if "weights" in tables:
            value = value * tables["weights"][edge].to(scores.dtype)
        total = torch.zeros(len(targets), dtype=scores.dtype, device=scores.device).index_add(0, example, value)
        return total * tables["share"][targets].to(scores.dtype)

    def _by_rows(self, scores: Tensor, targets: Tensor) -> Tensor:
        occurring, which = torch.unique(targets, return_inverse=True)
        if not len(occurring):
            return scores.sum(dim=1)
        rows = torch.from_numpy(np.stack([self._row(label) for label in occurring.tolist()]))
        chance = rows.to(device=scores.device, dtype=scores.dtype)[which]
        # a class of chance 0 counts 0 even where the score is -inf
        return torch.where(chance > 0, chance * scores, 0.0).sum(dim=1)

    def _row(self, label: int) -> np.ndarray[Any, Any]:
        row = self._kept.get(label)
        if row is None:
            row = self.law.row(label)
            if self.law.num_embeddings**2 <= KEEP_ROWS:
                self._kept[label] = row
        return row

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}

    def __deepcopy__(self, memo: dict[int, Any]) -> Expectation:
        return self  # like its law: nothing in it ever changes but what it remembers

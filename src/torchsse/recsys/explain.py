"""Why this item: the items of the user's history that a recommendation rests on, strongest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError, DataError
from torchsse.recsys.als.contributions import Contributions
from torchsse.recsys.als.weighted import WeightedALS
from torchsse.recsys.base import Codes, Recommender
from torchsse.recsys.item_knn import ItemKNN
from torchsse.recsys.params import check_integer
from torchsse.transition import build_law
from torchsse.transition.rows import find

if TYPE_CHECKING:
    from torchsse.graph import Graph

__all__ = ["MEANING", "Explainer", "Explanation", "Tie", "explain"]

Doubles = npt.NDArray[np.float64]

#: What the ties of an explanation are, by its `kind`.
MEANING = {
    "graph": "items of the history that are neighbours of the item in the graph; strength: the probability that a "
    "swap of that item lands on the recommended one; share: of all such swaps from the user's history",
    "edges": "items of the history that are neighbours of the item in the graph; strength: the weight of the edge; "
    "share: of all edges from the user's history",
    "contributions": "items of the history by what they add to the score; share: of the score",
    "factors": "items of the history that are most alike in factor space; strength: the cosine. The model has no "
    "graph that ties them to the item; this is likeness, not a cause",
    "none": "the score does not depend on the user's history",
}


@dataclass(frozen=True)
class Tie:
    """One item of the user's history that ties them to the item explained.

    Attributes:
        item: raw id.
        strength: by `Explanation.kind`, see `MEANING`.
        share: part of the whole, where there is a whole; else None.
        weight: of the edge in the item graph; None without a graph.
    """

    item: Any
    strength: float
    share: float | None = None
    weight: float | None = None


@dataclass(frozen=True)
class Explanation:
    """Why `item` has its score for `user`.

    Attributes:
        user, item: raw ids.
        score: as `recommend` gives it.
        kind: "graph", "edges", "contributions", "factors" or "none": what the ties are, see `MEANING`.
        ties: strongest first.
        rest: "contributions": the part of the score that no item of the history accounts for; else None.
    """

    user: Any
    item: Any
    score: float
    kind: str
    ties: tuple[Tie, ...]
    rest: float | None = None


class Explainer:
    """Explains many recommendations of one fitted model: what they share is computed once.

    - SSE-Graph (an item graph, rho_item above 1, and p0_item above 0; for histories p0_input or p0_output): kind
      "graph". A swap of item j of the user's history to item i trained i with the user's rows: the probability q(j, i)
      that a swap of j lands on i says how much. GraphALS: kind "edges", its graph is a penalty without probabilities.
      An item without a neighbour in the history is explained by "factors", if the model has them.
    - WeightedALS without a graph: kind "contributions". Given the item factors, a user's factors are linear in what
      the items of their history weigh, and so are their scores (Hu, Koren and Volinsky 2008, section 5; here with
      SSE-SE). `rest` holds what is left: other users' examples by SSE on users, and that the items have been solved for
      once more after the users.
    - ItemKNN: kind "contributions", exact: rest is 0.
    - any other model with factors: kind "factors".

    Raises:
        NotFittedError: before `fit`.
    """

    def __init__(self, model: Recommender) -> None:
        model._check_fitted()
        self._model = model
        self._graph = _acting_graph(model)
        self._law = None
        words = model.get_params()
        if self._graph is not None and "rho_item" in words:
            counts = np.bincount(model._indices, minlength=len(model.item_ids))
            exclude = None if words.get("swap_unseen") else np.flatnonzero(counts == 0)
            self._law = build_law(len(counts), graph=self._graph, rho=words["rho_item"], exclude=exclude)
        self._parts = None
        if isinstance(model, WeightedALS) and not _acting_graph(model, "user") and self._graph is None:
            self._parts = Contributions(model)

    def explain(self, user: Any, items: Any = None, *, k: int = 10, ties: int = 5) -> list[Explanation]:
        """Explain the `k` best items for `user`, or the `items` given.

        Args:
            user: raw id.
            items: raw ids; None: what `recommend` gives.
            k: items to recommend, where `items` is None.
            ties: items of the history for each explanation, at most.

        Raises:
            DataError: the user or an item is not in train. ConfigError: k or ties below 1.
        """
        check_integer("ties", ties, 1)
        model = self._model
        code = model.user_ids.encode([user])
        if items is None:
            found = model.recommend([user], k)[0][0]
            items = [item for item in found if item is not None]
        if code[0] < 0:
            raise DataError(f"explain: user {user!r} is not in the train set")
        asked = model.item_ids.encode(items)
        if len(asked) and asked.min() < 0:
            raise DataError(f"explain: item {items[int(np.argmin(asked))]!r} is not in the train set")
        history = np.unique(model._indices[model._indptr[code[0]] : model._indptr[code[0] + 1]]).astype(np.int64)
        scores = model._score_users(code)[0][asked].astype(np.float64)
        user = model.user_ids.ids[code[0]]
        columns = self._columns(int(code[0]), history, asked)
        return [self._one(user, int(item), float(score), history, column, ties) for item, score, column in zip(
            asked, scores, columns)]  # fmt: skip

    def _columns(self, user: int, history: Codes, asked: Codes) -> list[dict[str, Any]]:
        """For each item asked: the kind, and a strength for each item of the history."""
        model = self._model
        if isinstance(model, ItemKNN):
            values = np.asarray(model._histories[[user]].toarray()[0][history], np.float64)
            near = model._near[asked].toarray()[:, history]
            return [{"kind": "contributions", "strength": values * row} for row in near]
        if self._parts is not None:
            return [{"kind": "contributions", "strength": row} for row in self._parts.of(user, history, asked)]
        if self._graph is not None and len(history):
            return [self._linked(history, int(item), user) for item in asked]
        return [self._alike(history, int(item)) for item in asked]

    def _linked(self, history: Codes, item: int, user: int) -> dict[str, Any]:
        """Neighbours of `item` in the history; likeness if there are none."""
        graph = self._graph
        assert graph is not None
        edge, found = find(graph.indptr, graph.indices, history, np.full(len(history), item))
        found &= history != item
        if not found.any():
            return self._alike(history, item)
        weight = np.ones(len(history)) if graph.weights is None else np.where(found, graph.weights[edge], 0.0)
        weight = np.where(found, weight, 0.0)
        strength = weight if self._law is None else np.asarray(self._law.probability(history, item), np.float64)
        strength = np.where(history == item, 0.0, strength)
        return {
            "kind": "edges" if self._law is None else "graph",
            "strength": np.where(found, strength, 0.0),
            "weight": weight,
            "whole": float(strength.sum()),
        }

    def _alike(self, history: Codes, item: int) -> dict[str, Any]:
        factors = getattr(self._model, "_factors", None)
        if factors is None:
            return {"kind": "none", "strength": np.zeros(len(history))}
        rows, one = factors.Q[history].astype(np.float64), factors.Q[item].astype(np.float64)
        length = np.linalg.norm(rows, axis=1) * np.linalg.norm(one)
        cosine = np.divide(rows @ one, length, out=np.zeros(len(history)), where=length > 0)
        return {"kind": "factors", "strength": np.where(history == item, 0.0, cosine)}

    def _one(
        self, user: Any, item: int, score: float, history: Codes, column: dict[str, Any], ties: int
    ) -> Explanation:
        names, strength, kind = self._model.item_ids.ids, column["strength"], column["kind"]
        order = np.argsort(-strength, kind="stable")[:ties]
        weight, whole = column.get("weight"), column.get("whole")
        rest = None
        if kind == "contributions":
            whole, rest = score, score - float(strength.sum())
        chosen = tuple(
            Tie(
                _plain(names[history[at]]),
                float(strength[at]),
                float(strength[at]) / whole if whole else None,
                None if weight is None else float(weight[at]),
            )
            for at in order
            if strength[at] > 0
        )
        return Explanation(_plain(user), _plain(names[item]), score, kind, chosen, rest)


def explain(model: Recommender, user: Any, items: Any = None, *, k: int = 10, ties: int = 5) -> list[Explanation]:
    """Why these items: see `Explainer`, which explains to many users without starting anew.

    >>> from torchsse.recsys import ItemKNN
    >>> model = ItemKNN(neighbors=2).fit((["ann", "ann", "bob", "bob", "cy"], [1, 2, 1, 2, 2]))
    >>> why = explain(model, "cy")[0]
    >>> why.item, why.kind, [(tie.item, round(tie.share, 2)) for tie in why.ties]
    (1, 'contributions', [(2, 1.0)])
    """
    return Explainer(model).explain(user, items, k=k, ties=ties)


def _acting_graph(model: Recommender, side: str = "item") -> Graph | None:
    """The graph of one table if the fit made use of it."""
    graph, words = model._graphs.get(side), model.get_params()
    if graph is None or not graph.num_edges:
        return None
    if f"rho_{side}" in words:
        rho = words[f"rho_{side}"]
        if rho is None:
            raise ConfigError(f"explain: the model has a {side} graph, but rho_{side} was taken away since its fit")
        return graph if _p0(words, side) > 0 and rho > 1 else None
    return graph if words.get("graph_weight", 1.0) > 0 else None


def _p0(words: dict[str, Any], side: str) -> float:
    """Of a table; models of histories swap the items that go in and those that should come out apart."""
    names = (f"p0_{side}", *(("p0_input", "p0_output") if side == "item" else ()))
    return max(float(words.get(name) or 0.0) for name in names)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value

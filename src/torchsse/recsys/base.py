"""What every estimator shares: raw ids in and out, prediction, recommendation, files."""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from torchsse.data import IdMap
from torchsse.errors import ConfigError, CorruptFileError, DataError, NotFittedError
from torchsse.graph import Graph
from torchsse.recsys import storage
from torchsse.recsys.graphs import fitted_graphs
from torchsse.recsys.params import Params
from torchsse.recsys.topk import mask_seen, top_k

if TYPE_CHECKING:
    from torchsse.data import Ratings
    from torchsse.recsys.explain import Explanation

__all__ = ["Codes", "Recommender"]

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
R = TypeVar("R", bound="Recommender")

#: Scores held at once by `recommend`: 64 MiB of float32.
_BLOCK_SCORES = 1 << 24


class Recommender(Params):
    """An estimator over users and items. A subclass fits, scores pairs and blocks of users, and lists its state.

    Attributes, once fitted:
        user_ids, item_ids: `IdMap` of the train set.
    """

    #: Parameters that are no JSON values: graphs are stored beside them, the place of a checkpoint is not.
    _not_stored: ClassVar[tuple[str, ...]] = ("user_graph", "item_graph", "checkpoint")

    user_ids: IdMap
    item_ids: IdMap
    _indptr: npt.NDArray[np.int64]
    _indices: npt.NDArray[np.int32]
    #: Ratings of the pairs seen where they matter and are not all 1, else None.
    _values: npt.NDArray[np.float32] | None
    _graphs: dict[str, Graph]

    @abstractmethod
    def _score_pairs(self, users: Codes, items: Codes) -> Floats:
        """Predictions for codes, -1 = unknown."""

    @abstractmethod
    def _score_users(self, users: Codes) -> Floats:
        """(len(users), num_items) scores to rank by, in memory of their own."""

    @abstractmethod
    def _state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Facts (JSON values) and arrays that `_restore` needs."""

    @abstractmethod
    def _restore(self, facts: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None: ...

    # fitting ----------------------------------------------------------------------------------------------------

    def _remember(self, train: Ratings, users: Codes, items: Codes, values: npt.NDArray[Any] | None = None) -> None:
        """Keep the id maps, the graphs, and which pairs were seen, with `values` if prediction or `explain` needs them.

        `users` and `items` sorted by user.
        """
        self.user_ids, self.item_ids = train.user_ids, train.item_ids
        self._indptr = np.zeros(train.num_users + 1, dtype=np.int64)
        np.cumsum(np.bincount(users, minlength=train.num_users), out=self._indptr[1:])
        self._indices = items.astype(np.int32)
        self._values = None if values is None or (values == 1).all() else values.astype(np.float32)
        self._graphs = fitted_graphs(self, self.user_ids, self.item_ids)

    def _check_fitted(self) -> None:
        if not hasattr(self, "user_ids"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit(train) first")

    # prediction -------------------------------------------------------------------------------------------------

    def _codes_of(self, ratings: Ratings) -> tuple[Codes, Codes]:
        """Codes of this model for the rows of any `Ratings`; -1 where an id is unknown here."""
        users = _translate(self.user_ids, ratings.user_ids)[ratings.users]
        items = _translate(self.item_ids, ratings.item_ids)[ratings.items]
        return users, items

    def predict(self, users: Any, items: Any) -> Floats:
        """Predictions for pairs of raw ids.

        Args:
            users: raw ids, one-dimensional.
            items: raw ids, as many. On either side a single id stands for as many as the other side has.

        Returns:
            float32, shape (n,). Unknown ids are predicted by the rule for cold rows, see the class.

        Raises:
            NotFittedError: before `fit`. DataError: lengths differ, or an id is missing or of no valid type.
        """
        self._check_fitted()
        left, right = _listed(users), _listed(items)
        user, item = self.user_ids.encode(left), self.item_ids.encode(right)
        if len(user) != len(item):
            if 1 not in (len(user), len(item)) or 0 in (len(user), len(item)):
                raise DataError(f"predict: expected as many users as items, got {len(user)} and {len(item)}")
            user, item = (np.ascontiguousarray(codes) for codes in np.broadcast_arrays(user, item))
        return self._score_pairs(user, item)

    def recommend(self, users: Any, k: int = 10, exclude_seen: bool = True) -> tuple[npt.NDArray[Any], Floats]:
        """The k best items of each user.

        Args:
            users: raw ids, one-dimensional, or a single id.
            k: items per user.
            exclude_seen: leave out the items that the user has in train.

        Returns:
            (items, scores), both (n, k), best first, equal scores in the order of the item codes: raw ids in an array
            of objects, and float32 scores, not clipped. Rows with fewer than k items end in None and -inf.

        Raises:
            NotFittedError: before `fit`. DataError: a user is unknown. ConfigError: k below 1.
        """
        self._check_fitted()
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ConfigError(f"recommend: expected k of at least 1, got {k!r}")
        raw = _listed(users)
        codes = self.user_ids.encode(raw)
        if len(codes) and codes.min() < 0:
            unknown = [raw[q] for q in np.flatnonzero(codes < 0)[:5].tolist()]
            raise DataError(
                f"recommend: {int((codes < 0).sum())} of {len(codes)} users are not in the train set: "
                f"{', '.join(repr(getattr(u, 'item', lambda u=u: u)()) for u in unknown)}"
            )
        items = np.full((len(codes), k), None, dtype=object)
        scores = np.full((len(codes), k), -np.inf, dtype=np.float32)
        names = self.item_ids.ids.astype(object)
        rows = max(1, _BLOCK_SCORES // max(1, len(names)))
        for start in range(0, len(codes), rows):
            block = codes[start : start + rows]
            score = self._score_users(block)
            if exclude_seen:
                mask_seen(score, block, self._indptr, self._indices)
            best, scores[start : start + rows] = top_k(score, k)
            found = best >= 0
            items[start : start + rows][found] = names[best[found]]
        return items, scores

    def explain(self, user: Any, items: Any = None, *, k: int = 10, ties: int = 5) -> list[Explanation]:
        """Why these items: the items of the user's history that each rests on. See `torchsse.recsys.explain`.

        Args:
            user: raw id.
            items: raw ids; None: the `k` that `recommend` gives.
            k: see `items`.
            ties: items of the history for each item explained, at most.

        Raises:
            NotFittedError: before `fit`. DataError: the user or an item is unknown.
        """
        from torchsse.recsys.explain import explain

        return explain(self, user, items, k=k, ties=ties)

    # files ------------------------------------------------------------------------------------------------------

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the model to a directory: safetensors and JSON, atomically; an earlier model there is replaced.

        Its graphs are stored with it, as `Graph.save` does, so that a loaded model can explain itself and be fitted
        again. The checkpoint directory is not part of it.

        Raises:
            NotFittedError: before `fit`. ConfigError: the directory holds something else.
        """
        import torchsse

        self._check_fitted()
        facts, arrays = self._state()
        params = {k: _plain(v) for k, v in self.get_params().items() if k not in self._not_stored}
        document = {
            "estimator": type(self).__name__,
            "version": torchsse.__version__,
            "params": params,
            "fitted": facts,
        }
        ids = {"users": self.user_ids.to_json(), "items": self.item_ids.to_json()}
        seen: dict[str, npt.NDArray[Any]] = {"seen_indptr": self._indptr, "seen_indices": self._indices}
        if self._values is not None:
            seen["seen_values"] = self._values
        storage.write(directory, document, {**arrays, **seen}, ids, graphs=self._graphs)

    @classmethod
    def load(cls: type[R], directory: str | os.PathLike[str]) -> R:
        """Read a model that `save` wrote; it predicts exactly as before.

        Raises:
            CorruptFileError: no model, a damaged or foreign one, another schema, or another estimator's.
        """
        document, arrays, ids = storage.read(directory, cls.__name__)
        model = cls()
        try:
            for name, value in document["params"].items():
                if name not in cls._defaults():
                    raise CorruptFileError(f"{directory}: unknown parameter {name!r}; written by another version")
                setattr(model, name, math.inf if value == "inf" else value)
            model.user_ids, model.item_ids = IdMap.from_json(ids["users"]), IdMap.from_json(ids["items"])
            model._indptr, model._indices = arrays.pop("seen_indptr"), arrays.pop("seen_indices")
            model._values = arrays.pop("seen_values", None)
            model._graphs = document["graphs"]
            for side, ids_of in (("user", model.user_ids), ("item", model.item_ids)):
                graph = model._graphs.get(side)
                if graph is None:
                    continue
                if f"{side}_graph" not in cls._defaults() or graph.num_nodes != len(ids_of):
                    raise CorruptFileError(f"{directory}: its {side} graph does not belong to it")
                setattr(model, f"{side}_graph", graph)
            model._restore(document["fitted"], arrays)
        except (KeyError, TypeError, DataError) as error:
            raise CorruptFileError(f"{Path(directory)}: not a complete {cls.__name__} ({error!r})") from None
        return model


def _listed(values: Any) -> Any:
    """Raw ids as a sequence; one id becomes a sequence of one."""
    if isinstance(values, (str, bytes)) or np.ndim(values) == 0:
        return [values.item() if isinstance(values, np.generic) else values]
    return values if hasattr(values, "__len__") else list(values)


def _translate(known: IdMap, other: IdMap) -> Codes:
    """For each code of `other` the code in `known`, -1 if unknown."""
    if other is known or other == known:
        return np.arange(len(known))
    return known.encode(other.ids)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return "inf" if value == math.inf else value

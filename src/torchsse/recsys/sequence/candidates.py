"""The paper's protocol: each user's next item against random others, drawn once, stored, and named as what it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from torchsse.data import IdMap
from torchsse.errors import ConfigError
from torchsse.metrics.ranking import checked_ks
from torchsse.recsys import storage
from torchsse.recsys.sequence.draws import UnseenItems

__all__ = ["Candidates", "draw_candidates", "measure_candidates"]

_MOST = 100_000

Ints = npt.NDArray[np.int64]
_KIND = "candidates"


@dataclass(frozen=True)
class Candidates:
    """Random negatives of users, to measure every model against the same.

    Attributes:
        users: raw ids, (n,).
        targets: raw ids of the items that followed, (n,).
        negatives: raw ids, (n, m), none of them in the user's history or test.
        seed: of the draw.
    """

    users: npt.NDArray[Any]
    targets: npt.NDArray[Any]
    negatives: npt.NDArray[Any]
    seed: int

    def __repr__(self) -> str:
        return f"Candidates({len(self.users)} users, {self.negatives.shape[1]} random negatives, seed {self.seed})"

    @property
    def protocol(self) -> str:
        """One line that says what is measured."""
        return (
            f"next item against {self.negatives.shape[1]} random items that the user has not, "
            f"drawn once (seed {self.seed})"
        )

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write to a directory: JSON and safetensors."""
        items, codes = np.unique(np.concatenate([self.targets, self.negatives.reshape(-1)]), return_inverse=True)
        ids = {"users": IdMap(self.users).to_json(), "items": IdMap(items).to_json()}
        count = len(self.users)
        arrays = {
            "targets": codes[:count].astype(np.int32),
            "negatives": codes[count:].reshape(self.negatives.shape).astype(np.int32),
        }
        storage.write(directory, {"estimator": _KIND, "seed": self.seed}, arrays, ids)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Candidates:
        """Read what `save` wrote; `CorruptFileError` if it is something else."""
        facts, arrays, ids = storage.read(directory, _KIND)
        items = IdMap.from_json(ids["items"]).ids
        users = IdMap.from_json(ids["users"]).ids
        return cls(users, items[arrays["targets"]], items[arrays["negatives"]], facts["seed"])


def draw_candidates(
    indptr: Ints,
    items: npt.NDArray[np.int32],
    users: Ints,
    targets: Ints,
    user_ids: IdMap,
    item_ids: IdMap,
    count: int,
    seed: int,
) -> Candidates:
    """`count` negatives of each user, uniform and independent over the items it has not; who has all is left out.

    Args:
        indptr: of all that users did, test included.
        items: codes.
        users: who is measured.
        targets: code of the next item of each.
        user_ids: raw ids.
        item_ids: raw ids.
        count: negatives, at least 1.
        seed: of the draw.
    """
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ConfigError(f"negatives: expected an integer of at least 1, got {count!r}")
    if count > _MOST:
        raise ConfigError(f"negatives: expected at most {_MOST:,} for each user, got {count:,}")
    if not 0 <= seed < 1 << 63:
        raise ConfigError(f"seed: expected an integer from 0 to below 2^63, got {seed!r}")
    draws = UnseenItems(indptr, items, len(item_ids), torch.device("cpu"))
    some = draws.some()[users]
    users, targets = users[some], targets[some]
    found = draws.draw(torch.from_numpy(users), int(count), torch.Generator().manual_seed(seed)).numpy()
    return Candidates(user_ids.ids[users], item_ids.ids[targets], item_ids.ids[found], seed)


def measure_candidates(
    vectors: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], candidates: Candidates, item_ids: IdMap, ks: Any
) -> dict[str, npt.NDArray[np.float64]]:
    """NDCG@k and HR@k of every user, (n,). A tie counts against the target, and an item unknown here scores -inf.

    Args:
        vectors: of `candidates.users`, (n, width).
        weight: item rows, (items, width).
        candidates: what is ranked.
        item_ids: rows of `weight`.
        ks: cut-offs.
    """
    cuts = checked_ks(ks)
    wanted = item_ids.encode(candidates.targets)
    others = item_ids.encode(candidates.negatives.reshape(-1)).reshape(candidates.negatives.shape)
    rank = np.empty(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), 512):
        part = slice(start, start + 512)
        target = np.einsum("nd,nd->n", vectors[part], weight[wanted[part]])
        target[wanted[part] < 0] = -np.inf
        scores = np.matmul(weight[others[part]], vectors[part, :, None])[..., 0]
        scores[others[part] < 0] = -np.inf
        rank[part] = (scores >= target[:, None]).sum(1)
    found = {}
    for k in cuts:
        found[f"ndcg@{k}"] = np.where(rank < k, 1.0 / np.log2(rank + 2.0), 0.0)
        found[f"hr@{k}"] = (rank < k).astype(np.float64)
    return found

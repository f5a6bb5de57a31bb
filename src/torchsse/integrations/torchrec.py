"""SSE for TorchRec: swaps the ids in a KeyedJaggedTensor, before an EmbeddingBagCollection or EmbeddingCollection.

torchrec asks pip for fbgemm-gpu, which needs CUDA. On a machine without it: `pip install fbgemm-gpu-cpu tensordict
torchmetrics==1.0.3 pyre-extensions tqdm`, then `pip install --no-deps torchrec`, in the release that goes with torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from torchsse.errors import ConfigError, IdRangeError, IdTypeError, MissingDependencyError
from torchsse.modules import SSE
from torchsse.swap import swap

if TYPE_CHECKING:
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

__all__ = ["SSEKeyedJagged", "swap_kjt"]


class SSEKeyedJagged(nn.Module):
    """Swaps the ids of named features of a KeyedJaggedTensor, in training only: a layer before an embedding collection.

    Put it where the input enters, for example `nn.Sequential(SSEKeyedJagged({...}), collection)`. Nothing of the
    collection changes, so sharding plans, optimisers fused into the backward and checkpoints stay as they are; the swap
    happens before the ids leave for the rank that holds their rows.

    Args:
        sse: `SSE` by feature key. Features that share a table may share an SSE: its `num_embeddings` is that of the
            table. Features not named stay as they are.

    Shape:
        KeyedJaggedTensor to KeyedJaggedTensor, see `swap_kjt`. The very same object in eval(), and when every SSE
        is in eval() or has p0 = 0.

    The state dict is empty.

    Raises:
        ConfigError: an empty mapping, a key that is no string, a value that is no SSE. In forward: as `swap_kjt`.
        MissingDependencyError: torchrec is not installed.

    Example:
        >>> import pytest; _ = pytest.importorskip("torchrec")
        >>> import torch
        >>> from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor
        >>> from torchsse import SSE
        >>> tables = [
        ...     EmbeddingBagConfig(num_embeddings=100, embedding_dim=8, name="item", feature_names=["click", "view"]),
        ...     EmbeddingBagConfig(num_embeddings=50, embedding_dim=8, name="user", feature_names=["user"]),
        ... ]
        >>> item = SSE(num_embeddings=100, p0=0.01)
        >>> model = torch.nn.Sequential(
        ...     SSEKeyedJagged({"click": item, "view": item, "user": SSE(num_embeddings=50, p0=0.05)}),
        ...     EmbeddingBagCollection(tables=tables),
        ... )
        >>> batch = KeyedJaggedTensor.from_lengths_sync(
        ...     keys=["click", "view", "user"],
        ...     values=torch.tensor([3, 14, 15, 92, 65, 35, 8]),
        ...     lengths=torch.tensor([2, 1, 0, 2, 1, 1]),  # two examples a feature
        ... )
        >>> model(batch).to_dict()["user"].shape
        torch.Size([2, 8])
    """

    def __init__(self, sse: Mapping[str, SSE]) -> None:
        super().__init__()
        _keyed_jagged_tensor()
        given = _checked(sse)
        different = list(dict.fromkeys(given.values()))
        # Not a ModuleDict: feature keys may hold dots, or be named like its methods.
        self.swaps = nn.ModuleList(different)
        self._place = {key: different.index(one) for key, one in given.items()}

    @property
    def sse(self) -> dict[str, SSE]:
        """`SSE` by feature key."""
        return {key: cast("SSE", self.swaps[place]) for key, place in self._place.items()}

    def forward(self, kjt: KeyedJaggedTensor) -> KeyedJaggedTensor:
        if not self.training:
            return kjt
        sse = self.sse
        _check_input(kjt, sse)
        # compiled code must not look at p0: it would be guarded on
        looks = not torch.compiler.is_compiling()
        acting = {key: one for key, one in sse.items() if one.training and not (looks and one.p0 == 0.0)}
        return swap_kjt(kjt, acting) if acting else kjt

    def extra_repr(self) -> str:
        return ", ".join(f"{key}: {place}" for key, place in self._place.items())


def swap_kjt(
    kjt: KeyedJaggedTensor, sse: Mapping[str, SSE], generator: torch.Generator | None = None
) -> KeyedJaggedTensor:
    """A KeyedJaggedTensor with the ids of the named features swapped, each id by itself (Algorithm 1).

    What `SSEKeyedJagged` does in training, as a function: it acts whatever the module's mode. For train pipelines that
    prefetch and distribute the input before the model runs: apply it to the batch.

    Neighbouring features with the same SSE are swapped in one pass over their values, all features in one pass if all
    have it: name them in that order where it matters. Compiled, features with different SSEs cost a pass over all
    values for each SSE.

    Args:
        kjt: values int32 or int64. Not modified.
        sse: `SSE` by feature key; at least one.
        generator: of the device of the values, eager only. Default: the device's default generator.

    Returns:
        New KeyedJaggedTensor with new values. Keys, lengths, offsets, weights, strides (variable batch sizes included)
        and inverse indices are those of `kjt`, the same tensors. Lengths per key that had to be computed (on a GPU at
        the cost of a synchronisation, as in the collection itself) are kept in both.

    Raises:
        ConfigError: a key that `kjt` lacks, an empty mapping, a value that is no SSE; a generator under torch.compile.
        IdTypeError: `kjt` is no KeyedJaggedTensor, or its values are not int32 / int64.
        IdRangeError: an id outside its table, on the CPU in eager mode; the feature is named.
        MissingDependencyError: torchrec is not installed.

    Example:
        >>> import pytest; _ = pytest.importorskip("torchrec")
        >>> import torch
        >>> from torchrec import KeyedJaggedTensor
        >>> from torchsse import SSE
        >>> kjt = KeyedJaggedTensor(["a", "b"], values=torch.tensor([0, 1, 1, 0]), lengths=torch.tensor([1, 2, 0, 1]))
        >>> swap_kjt(kjt, {"b": SSE(num_embeddings=2, p0=1.0)}).values()
        tensor([0, 1, 1, 1])
    """
    given = _checked(sse)
    _check_input(kjt, given)
    keys, values = kjt.keys(), kjt.values()
    parts = [given.get(key) for key in keys]
    if all(part is parts[0] for part in parts) and parts[0] is not None:
        values = _swapped(values, parts[0], generator, keys)
    elif torch.compiler.is_compiling():
        values = _swapped_compiled(kjt, parts, generator)
    else:
        values = _swapped_in_runs(kjt, parts, generator)
    return _with_values(kjt, values)


def _swapped_in_runs(kjt: KeyedJaggedTensor, parts: list[SSE | None], generator: torch.Generator | None) -> Tensor:
    """Values with each run of neighbouring features of one SSE swapped at once."""
    values, keys, bounds = kjt.values(), kjt.keys(), kjt.offset_per_key()
    starts = [i for i in range(len(parts)) if i == 0 or parts[i] is not parts[i - 1]]
    pieces = []
    for first, last in pairwise([*starts, len(parts)]):
        piece, part = values[bounds[first] : bounds[last]], parts[first]
        pieces.append(piece if part is None else _swapped(piece, part, generator, keys[first:last]))
    pieces.append(values[bounds[-1] :])  # values beyond the last feature: padding
    return torch.cat(pieces)


def _swapped_compiled(kjt: KeyedJaggedTensor, parts: list[SSE | None], generator: torch.Generator | None) -> Tensor:
    """The same without knowing where features begin: static shapes, no host synchronisation."""
    values = kjt.values()
    strides = kjt._stride_per_key_per_rank if kjt.variable_stride_per_key() else None
    if strides is None:
        ends = torch.arange(1, len(parts) + 1, device=values.device) * kjt.stride()
    else:
        ends = strides.sum(dim=1).cumsum(0).to(values.device)
    ends = kjt.offsets().index_select(0, ends)
    feature = torch.searchsorted(ends, torch.arange(values.numel(), device=values.device, dtype=ends.dtype), right=True)
    new: Tensor = values
    for one in dict.fromkeys(part for part in parts if part is not None):
        named = torch.tensor([part is one for part in parts] + [False], device=values.device)
        new = torch.where(named.index_select(0, feature), swap(values, one, generator), new)
    return new


def _swapped(values: Tensor, sse: SSE, generator: torch.Generator | None, keys: list[str]) -> Tensor:
    if torch.compiler.is_compiling():
        return swap(values, sse, generator)
    try:
        return swap(values, sse, generator)
    except (IdRangeError, IdTypeError) as error:
        raise type(error)(f"features {', '.join(map(repr, keys))} of the KeyedJaggedTensor: {error}") from error


def _with_values(kjt: KeyedJaggedTensor, values: Tensor) -> KeyedJaggedTensor:
    # Under torch.compile lengths per key are numbers that would be guarded on.
    known = not torch.compiler.is_compiling()
    return type(kjt)(
        keys=kjt.keys(),
        values=values,
        weights=kjt.weights_or_none(),
        lengths=kjt.lengths_or_none(),
        offsets=kjt.offsets_or_none(),
        stride=kjt._stride,
        stride_per_key_per_rank=kjt._stride_per_key_per_rank if kjt.variable_stride_per_key() else None,
        stride_per_key=kjt._stride_per_key,
        length_per_key=kjt.length_per_key_or_none() if known else None,
        offset_per_key=kjt.offset_per_key_or_none() if known else None,
        lengths_offset_per_key=kjt._lengths_offset_per_key,
        index_per_key=kjt._index_per_key,
        inverse_indices=kjt.inverse_indices_or_none(),
    )


def _checked(sse: object) -> dict[str, SSE]:
    if not isinstance(sse, Mapping) or not sse:
        raise ConfigError(f"expected SSEs by feature key, as {{'item': SSE(...)}}, got {sse!r}")
    for key, one in sse.items():
        if not isinstance(key, str) or not isinstance(one, SSE):
            raise ConfigError(f"expected SSEs by feature key, got {type(one).__name__} for key {key!r}")
    return dict(sse)


def _check_input(kjt: object, sse: Mapping[str, SSE]) -> None:
    if not isinstance(kjt, _keyed_jagged_tensor()):
        raise IdTypeError(f"expected a KeyedJaggedTensor, got {type(kjt).__name__}")
    keys = kjt.keys()
    unknown = [key for key in sse if key not in keys]
    if unknown:
        raise ConfigError(f"no feature {', '.join(map(repr, unknown))} in the KeyedJaggedTensor; it has {keys}")


def _keyed_jagged_tensor() -> type[Any]:
    try:
        from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
    except (ImportError, OSError) as error:  # OSError: fbgemm built for another torch
        raise MissingDependencyError(
            f'SSE on a KeyedJaggedTensor needs torchrec ({error}): pip install "torchsse[torchrec]"'
        ) from error
    return KeyedJaggedTensor  # type: ignore[no-any-return]

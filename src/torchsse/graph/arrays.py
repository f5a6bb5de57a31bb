"""Turn what a caller hands over (lists, NumPy, torch, pandas) into checked one-dimensional NumPy arrays."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from torchsse.errors import GraphError, IdTypeError, MissingDependencyError

__all__ = [
    "INT32_LIMIT",
    "Array",
    "as_ids",
    "as_numpy",
    "as_weights",
    "check_count",
    "import_scipy_sparse",
    "index_dtype",
]

Array = npt.NDArray[Any]

INT32_LIMIT = 2**31


def index_dtype(count: int) -> type[np.int32] | type[np.int64]:
    """int32 if the values 0 .. count-1 fit, else int64."""
    return np.int32 if count <= INT32_LIMIT else np.int64


def as_numpy(values: Any) -> Array:
    """A NumPy view of `values` where there is one; torch tensors are detached and brought to the CPU."""
    if hasattr(values, "detach") and hasattr(values, "cpu"):  # torch.Tensor, without importing torch
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # NumPy has no bfloat16
            values = values.float()
        return np.asarray(values.numpy())
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise GraphError("got a masked array with masked entries; fill or drop them first")
    return np.asarray(values)


def as_ids(values: Any, name: str) -> Array:
    """A one-dimensional integer array. Raises IdTypeError on other dtypes, GraphError on other shapes."""
    array = as_numpy(values)
    if array.ndim != 1:
        raise GraphError(f"{name} must be one-dimensional, got shape {array.shape}")
    if array.size == 0:
        return np.empty(0, dtype=np.int64)  # np.asarray([]) is float64, and an empty list is a fine list of ids
    if array.dtype.kind not in "iu":
        raise IdTypeError(f"{name} must hold integer node ids 0 .. num_nodes-1, got dtype {array.dtype}")
    return array


def as_weights(values: Any, length: int, name: str = "weight") -> Array:
    """A one-dimensional float32 or float64 array of `length` entries; other real dtypes become float32."""
    array = as_numpy(values)
    if array.shape != (length,):
        raise GraphError(f"{name} must have one entry per edge, shape ({length},), got shape {array.shape}")
    if array.dtype.kind not in "fiub" and array.size:
        raise GraphError(f"{name} must hold real numbers in [0, 1], got dtype {array.dtype}")
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)


def check_count(value: Any, name: str, minimum: int = 0) -> int:
    """`value` as a Python int of at least `minimum`; GraphError otherwise (True and 3.0 are no counts)."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        raise GraphError(f"{name} must be an integer of at least {minimum}, got {value!r}") from None
    if count < minimum:
        raise GraphError(f"{name} must be an integer of at least {minimum}, got {count}")
    return count


def import_scipy_sparse() -> Any:
    """scipy.sparse, or MissingDependencyError with the line that installs it."""
    try:
        import scipy.sparse
    except ImportError as error:
        raise MissingDependencyError("this needs scipy: pip install 'torchsse[recsys]'") from error
    return scipy.sparse

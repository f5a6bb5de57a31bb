"""Ratings and edges to files: CSV (plain or gzip) and Parquet, written beside and put in place in one step."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from torchsse.data.ids import require_pyarrow
from torchsse.data.ratings import Ratings
from torchsse.errors import ConfigError

__all__ = ["check_target", "write_ratings", "write_table"]


def write_ratings(ratings: Ratings, path: str | Path) -> None:
    """Write ratings as the columns user, item, rating and timestamp, as far as there are any; raw ids.

    Args:
        ratings: the rows.
        path: its name says the form: ``.csv``, ``.csv.gz``, ``.parquet``. An existing file is replaced.

    Raises:
        ConfigError: another ending.

    >>> import pathlib, tempfile
    >>> from torchsse.data import read_ratings
    >>> ratings = Ratings.from_arrays(["ann", "bob"], [10, 30], [4.5, 3])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ratings(ratings, pathlib.Path(folder, "r.csv"))
    ...     pathlib.Path(folder, "r.csv").read_text().split()
    ['user,item,rating', '"ann",10,4.5', '"bob",30,3']
    """
    pa = require_pyarrow()
    columns: dict[str, Any] = {
        "user": _ids(ratings.users, ratings.user_ids.ids),
        "item": _ids(ratings.items, ratings.item_ids.ids),
    }
    if ratings.ratings is not None:
        columns["rating"] = pa.array(ratings.ratings)
    if ratings.timestamps is not None:
        # missing times are empty fields
        columns["timestamp"] = pa.array(ratings.timestamps, from_pandas=True)
    write_table(columns, path)


def _ids(codes: Any, ids: Any) -> Any:
    """A column of raw ids; text by way of its codes, so that 32 M rows hold each text once."""
    pa = require_pyarrow()
    if ids.dtype.kind == "i":
        return pa.array(ids[codes])
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(ids.tolist(), type=pa.string()))


def check_target(path: str | Path) -> str:
    """``csv``, ``csv.gz`` or ``parquet``, by the name of a file to write.

    Raises:
        ConfigError: another ending; a directory of that name; a file where a directory should be.
    """
    if Path(path).is_dir():
        raise ConfigError(f"{path}: expected the name of a file, found a directory")
    if Path(path).parent.is_file():
        raise ConfigError(f"{path}: {Path(path).parent} is a file, not a directory")
    name = Path(path).name.lower()
    for ending in ("csv", "csv.gz", "parquet"):
        if name.endswith(f".{ending}"):
            return ending
    raise ConfigError(f"{path}: expected a name that ends in .csv, .csv.gz or .parquet")


def write_table(columns: Mapping[str, Any], path: str | Path) -> None:
    """Columns of equal length to CSV or Parquet, by the name of the file; atomic.

    Raises:
        ConfigError: the name has another ending.
    """
    pa = require_pyarrow()
    import pyarrow.csv
    import pyarrow.parquet

    ending, target = check_target(path), Path(path)
    table = pa.table({k: pa.array(v.tolist()) if _is_text(v) else v for k, v in columns.items()})
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        if ending == "parquet":
            pyarrow.parquet.write_table(table, half)
        else:
            for at, kind in enumerate(table.schema.types):
                if pa.types.is_dictionary(kind):
                    table = table.set_column(at, table.column_names[at], table.column(at).cast(pa.string()))
            names = ",".join(table.column_names).encode() + b"\n"
            options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
            with half.open("wb") as plain:
                plain.write(names)
                pyarrow.csv.write_csv(table, plain, options)
            if ending == "csv.gz":
                packed = half.with_name(half.name + ".gz")
                with half.open("rb") as source, gzip.GzipFile(packed, "wb", mtime=0) as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                os.replace(packed, half)
        os.replace(half, target)
    finally:
        half.unlink(missing_ok=True)
        half.with_name(half.name + ".gz").unlink(missing_ok=True)


def _is_text(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind == "O"

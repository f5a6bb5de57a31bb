"""`torchsse export`: a saved model's factors for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from torchsse.cli.using import ModelDir

__all__ = ["export"]


class Layout(StrEnum):
    """Formats."""

    numpy = "numpy"
    parquet = "parquet"
    hnsw = "hnsw"
    faiss = "faiss"


def export(
    directory: ModelDir,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.", show_default=False)],
    layout: Annotated[
        Layout,
        typer.Option(
            "--format",
            help="numpy: .npy files. parquet: one row an item or user. hnsw, faiss: an index of approximate nearest "
            "neighbours (pip install hnswlib or faiss-cpu).",
        ),
    ] = Layout.numpy,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an export that --out holds.")] = False,
) -> None:
    """Write a saved model's factors, or an index of its items.

    Factors come with raw ids and biases.

    \b
    torchsse export model --out factors
    torchsse export model --out factors --format parquet
    torchsse export model --out index --format faiss
    """
    from torchsse.errors import ConfigError
    from torchsse.experiments.models import load_model
    from torchsse.recsys.export import check_export
    from torchsse.recsys.export import export as write

    check_export(out, layout.value)
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ConfigError(f"{out} is not empty; choose another --out, or --overwrite to replace the export in it")
    facts = write(load_model(directory), out, layout.value)
    what = f"{facts['num_users']:,} users and {facts['num_items']:,} items of {facts['factors']} factors"
    if "indexed_items" in facts:
        what += f", {facts['indexed_items']:,} items indexed"
    typer.echo(f"{what}, in {out}")
    typer.echo(f"score = {facts['score']}; mean = {facts['mean']:g}")

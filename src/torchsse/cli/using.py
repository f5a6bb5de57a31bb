"""`torchsse evaluate` and `torchsse recommend`: use a saved model."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from torchsse.cli import options as o

__all__ = ["evaluate", "recommend"]

ModelDir = Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `torchsse fit` wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def evaluate(
    directory: ModelDir,
    test: Annotated[Path, typer.Argument(metavar="TEST", help="Ratings in the form of train.")],
    user_column: o.UserColumn = None,
    item_column: o.ItemColumn = None,
    rating_column: o.RatingColumn = None,
    timestamp_column: o.TimestampColumn = None,
    as_json: AsJson = False,
) -> None:
    """Measure a saved model on test ratings: RMSE and MAE, on all pairs and on those whose user and item it knows.

    \b
    torchsse evaluate model test.csv
    """
    from torchsse.errors import ConfigError
    from torchsse.recsys import MatrixFactorization

    model = MatrixFactorization.load(directory)
    columns = o.columns(user_column, item_column, rating_column, timestamp_column)
    ratings = columns.read(test, feedback="explicit")
    if ratings.ratings is None:
        raise ConfigError(f"{test}: evaluate needs a rating column; name it with --rating-column")
    scores = model.evaluate(ratings)
    if as_json:
        typer.echo(json.dumps({name: value if math.isfinite(value) else None for name, value in scores.items()}))
        return
    typer.echo(f"RMSE {scores['rmse']:.4f}, MAE {scores['mae']:.4f} on {scores['n']:,} ratings")
    if scores["n_cold"]:
        warm = f"; RMSE {scores['rmse_warm']:.4f} on the others" if math.isfinite(scores["rmse_warm"]) else ""
        typer.echo(f"{scores['n_cold']:,} of them cold (user or item not in train){warm}")


def recommend(
    directory: ModelDir,
    user: Annotated[
        list[str], typer.Option("--user", metavar="ID", help="Raw user id; may be repeated.", show_default=False)
    ],
    k: Annotated[int, typer.Option("-k", help="Items per user.", min=1)] = 10,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Items the user rated in train too.")] = False,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout: user,rank,item,score.")] = False,
) -> None:
    """The best items for users, best first.

    \b
    torchsse recommend model --user 42 -k 10
    torchsse recommend model --user 42 --user 43 --csv > best.csv
    """
    from torchsse.errors import ConfigError
    from torchsse.recsys import MatrixFactorization

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other")
    model = MatrixFactorization.load(directory)
    users = o.typed_ids(user, model.user_ids)
    items, scores = model.recommend(users, k, exclude_seen=not include_seen)
    found = [
        {"user": _plain(raw), "rank": rank, "item": _plain(item), "score": round(float(score), 6)}
        for raw, row, values in zip(users, items, scores)
        for rank, (item, score) in enumerate(zip(row, values), 1)
        if item is not None
    ]
    if as_json:
        typer.echo(json.dumps(found))
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, ["user", "rank", "item", "score"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    else:
        _show(found)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _show(found: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("user", "rank", "item", "score", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in found:
        table.add_row(str(row["user"]), str(row["rank"]), str(row["item"]), f"{row['score']:.4f}")
    Console(highlight=False).print(table)

"""`torchsse fit`: train one model and save it."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from torchsse.cli import options as o
from torchsse.cli.progress import duration
from torchsse.cli.shell import say, stderr
from torchsse.report.metric import label

__all__ = ["fit"]

SSE = "Stochastic Shared Embeddings"
TRAINING = "Training"
GIVEN = "Default: the model's."


class ModelName(StrEnum):
    """Models that `fit` knows."""

    mf = "mf"
    bpr = "bpr"


def fit(
    model: Annotated[
        ModelName,
        typer.Argument(
            metavar="MODEL",
            help="mf: matrix factorisation of explicit ratings. bpr: pairwise ranking of implicit feedback, where "
            "every pair in TRAIN is a positive.",
        ),
    ],
    train: Annotated[Path, typer.Argument(metavar="TRAIN", help="Ratings: CSV, TSV, ::, Parquet; gzip or plain.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the model goes.", show_default=False)],
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ratings for early stopping.", rich_help_panel=o.DATA)
    ] = None,
    user_column: o.UserColumn = None,
    item_column: o.ItemColumn = None,
    rating_column: o.RatingColumn = None,
    timestamp_column: o.TimestampColumn = None,
    factors: o.Factors = 100,
    biases: Annotated[
        bool | None,
        typer.Option(
            help="mf: global mean and biases, default with. bpr: item biases, default without.",
            rich_help_panel=o.MODEL,
            show_default=False,
        ),
    ] = None,
    num_negatives: o.NumNegatives = None,
    hard_negatives: o.HardNegatives = False,
    p0_user: Annotated[float, typer.Option(help="SSE probability of users.", rich_help_panel=SSE)] = 0.0,
    p0_item: Annotated[float, typer.Option(help="SSE probability of items.", rich_help_panel=SSE)] = 0.0,
    user_graph: o.UserGraph = None,
    item_graph: o.ItemGraph = None,
    edge_weight: o.EdgeWeight = None,
    rho_user: Annotated[
        float | None,
        typer.Option(help="Weight of a neighbour against any other user; inf: neighbours only.", rich_help_panel=SSE),
    ] = None,
    rho_item: Annotated[float | None, typer.Option(help="The same for items.", rich_help_panel=SSE)] = None,
    epochs: Annotated[int | None, typer.Option(help=GIVEN, rich_help_panel=TRAINING)] = None,
    learning_rate: Annotated[float | None, typer.Option(help=GIVEN, rich_help_panel=TRAINING)] = None,
    learning_rate_decay: Annotated[float | None, typer.Option(help=GIVEN, rich_help_panel=TRAINING)] = None,
    weight_decay: Annotated[float | None, typer.Option(help=GIVEN, rich_help_panel=TRAINING)] = None,
    dropout: Annotated[float | None, typer.Option(help=GIVEN, rich_help_panel=TRAINING)] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Epochs without a better value on validation before it stops.", rich_help_panel=TRAINING),
    ] = None,
    num_threads: Annotated[int | None, typer.Option(help=GIVEN, rich_help_panel=TRAINING)] = None,
    seed: Annotated[int | None, typer.Option(help=GIVEN, rich_help_panel=TRAINING)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that --out holds.")] = False,
) -> None:
    """Train a model and save it.

    \b
    torchsse fit mf ratings.csv --out model
    torchsse fit bpr clicks.csv --p0-user 0.1 --p0-item 0.05 --out model
    torchsse fit mf ratings.csv --p0-user 0.005 --p0-item 0.02 --item-graph edges.csv --rho-item 200 --out model
    """
    from torchsse.errors import ConfigError
    from torchsse.experiments.loading import load_graph
    from torchsse.recsys import BPR, MatrixFactorization

    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is not a directory; choose another --out")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ConfigError(f"{out} is not empty; choose another --out, or --overwrite to replace the model in it")
    if edge_weight is not None and user_graph is None and item_graph is None:
        raise ConfigError("--edge-weight names a column of --item-graph or --user-graph; neither is given")
    columns = o.columns(user_column, item_column, rating_column, timestamp_column)
    settings: dict[str, Any] = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "learning_rate_decay": learning_rate_decay,
        "weight_decay": weight_decay,
        "dropout": dropout,
        "patience": patience,
        "num_threads": num_threads,
        "seed": seed,
        "rho_user": rho_user,
        "rho_item": rho_item,
        "biases": biases,
        "num_negatives": num_negatives,
        "hard_negatives": hard_negatives or None,
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    settings |= {"factors": factors, "p0_user": p0_user, "p0_item": p0_item}
    kind: type[Any] = BPR if model is ModelName.bpr else MatrixFactorization
    for name in ("num_negatives", "hard_negatives"):
        if name in settings and kind is not BPR:
            raise ConfigError(f"--{name.replace('_', '-')}: only bpr draws negatives, not {model.value}")
    kind(**_without_graphs(settings))  # a wrong setting shows before anything is read
    ratings = columns.read(train, feedback="implicit" if kind is BPR else None)
    held_out = None if validation is None else columns.read(validation, like=ratings)
    what = "ratings" if ratings.feedback == "explicit" else "positives"
    say(f"train: {len(ratings):,} {what}, {ratings.num_users:,} users, {ratings.num_items:,} items")
    for side, path, ids in (("user", user_graph, ratings.user_ids), ("item", item_graph, ratings.item_ids)):
        if path is not None:
            settings[f"{side}_graph"], note = load_graph(path, ids, side, o.position(edge_weight))
            say(note)
    estimator = kind(**settings)
    started = time.perf_counter()
    _fit_with_progress(estimator, ratings, held_out)
    estimator.save(out)
    typer.echo(
        f"{len(estimator.history_)} epochs in {duration(time.perf_counter() - started)}, {_reached(estimator)}; "
        f"saved in {out}"
    )


def _reached(estimator: Any) -> str:
    """The last error or loss on train, and the best value on validation with its epoch."""
    rows = estimator.history_
    trained = next(name for name in rows[-1] if name.startswith("train_"))
    text = f"train {label(trained.removeprefix('train_'))} {rows[-1][trained]:.4f}"
    measured = next((name for row in rows for name in row if name.startswith("validation_")), None)
    if measured is not None:
        # the epoch whose parameters were kept has the best value
        best = next(row[measured] for row in rows if row["epoch"] == estimator.best_epoch_)
        text += f", validation {label(measured.removeprefix('validation_'))} {best:.4f} (epoch {estimator.best_epoch_})"
    return text


def _without_graphs(settings: dict[str, Any]) -> dict[str, Any]:
    """rho belongs to a graph, which is not read yet."""
    return {name: value for name, value in settings.items() if not name.startswith("rho_")}


def _fit_with_progress(estimator: Any, train: Any, validation: Any) -> None:
    """Fit with a bar on a terminal; silently elsewhere."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    parts = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*parts, console=stderr(), disable=not stderr().is_terminal) as bar:
        task = bar.add_task("epoch 0", total=estimator.epochs)

        def after_epoch(epoch: int, info: dict[str, Any]) -> None:
            measured = next((name for name in info if name.startswith("validation_")), None)
            text = f"epoch {epoch}"
            if measured is not None:
                text += f", validation {label(measured.removeprefix('validation_'))} {info[measured]:.4f}"
            bar.update(task, completed=epoch, description=text)

        estimator.fit(train, validation=validation, callback=after_epoch)

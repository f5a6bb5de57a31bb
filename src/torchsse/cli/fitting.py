"""`torchsse fit`: train one model and save it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from torchsse.cli import fit_options as f
from torchsse.cli import options as o
from torchsse.cli.models import MODELS, Kind, ModelName, check_words, estimator_of
from torchsse.cli.progress import duration
from torchsse.cli.shell import say, stderr
from torchsse.report.metric import label

__all__ = ["fit"]

#: Options that are not words of an estimator.
OTHERS = {"model", "train", "out", "validation", "feedback", "edge_weight", "overwrite"}
OTHERS |= {"user_column", "item_column", "rating_column", "timestamp_column", "data_format"}


def fit(
    ctx: typer.Context,
    model: Annotated[
        ModelName,
        typer.Argument(metavar="MODEL", help="See above; an option that a model does not have is refused."),
    ],
    train: Annotated[
        Path,
        typer.Argument(metavar="TRAIN", help="Ratings: CSV, TSV, ::, Parquet, or a published format; gzip or plain."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the model goes.", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that --out holds.")] = False,
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ratings for early stopping.", rich_help_panel=o.DATA)
    ] = None,
    feedback: o.FeedbackOption = None,
    user_column: o.UserColumn = None,
    item_column: o.ItemColumn = None,
    rating_column: o.RatingColumn = None,
    timestamp_column: o.TimestampColumn = None,
    data_format: o.DataFormat = None,
    user_graph: o.UserGraph = None,
    item_graph: o.ItemGraph = None,
    edge_weight: o.EdgeWeight = None,
    # words of the estimators: read from the context, all in one way
    factors: f.Factors = None,
    biases: f.Biases = None,
    p0_user: f.P0User = None,
    p0_item: f.P0Item = None,
    rho_user: f.RhoUser = None,
    rho_item: f.RhoItem = None,
    swap_unseen: f.SwapUnseen = None,
    p0_schedule: f.P0Schedule = None,
    p0_power: f.P0Power = None,
    epochs: f.Epochs = None,
    patience: f.Patience = None,
    metric: f.Metric = None,
    num_threads: f.NumThreads = None,
    seed: f.Seed = None,
    checkpoint: f.CheckpointDir = None,
    learning_rate: f.LearningRate = None,
    learning_rate_decay: f.LearningRateDecay = None,
    weight_decay: f.WeightDecay = None,
    bias_weight_decay: f.BiasWeightDecay = None,
    dropout: f.Dropout = None,
    num_negatives: f.NumNegatives = None,
    list_length: f.ListLength = None,
    hard_negatives: f.HardNegatives = None,
    swap_negatives: f.SwapNegatives = None,
    validate_every: f.ValidateEvery = None,
    device: f.Device = None,
    regularization: f.Regularization = None,
    alpha: f.Alpha = None,
    graph_weight: f.GraphWeight = None,
    bias_regularization: f.BiasRegularization = None,
    per_example: f.PerExample = None,
    solver: f.Solver = None,
    cg_steps: f.CgSteps = None,
    neighbors: f.Neighbors = None,
    similarity: f.Similarity = None,
    shrinkage: f.Shrinkage = None,
    binary: f.Binary = None,
) -> None:
    """Train a model and save it, with its graphs.

    \b
    For ratings:
    mf            matrix factorisation by gradient descent, as in the paper
    marginalized  the same in expectation, by least squares: nothing is drawn
    graph-als     graphs pull linked rows together by a penalty
    \b
    For positives, every pair in TRAIN being one:
    bpr           pairwise ranking by gradient descent
    als           weighted least squares; ratings, if any, are confidences
    sqlrank       listwise ranking; ratings, if any, order the list
    item-knn      items that the same users have
    popularity    the same for everybody: the baseline
    \b
    torchsse fit mf ratings.csv --out model
    torchsse fit mf ratings.csv --p0-item 0.02 --item-graph edges.csv \\
      --rho-item 200 --out model
    torchsse fit bpr clicks.csv --p0-user 0.1 --p0-item 0.05 \\
      --validation later.csv --patience 5 --out model
    torchsse fit als clicks.csv --alpha 10 --regularization 100 --checkpoint run \\
      --out model
    torchsse fit graph-als ratings.csv --item-graph edges.csv --graph-weight 0.5 \\
      --out model
    torchsse fit item-knn clicks.csv --similarity bm25 --neighbors 100 --out model
    """
    from torchsse.errors import ConfigError
    from torchsse.experiments.loading import load_graph

    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is not a directory; choose another --out")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ConfigError(f"{out} is not empty; choose another --out, or --overwrite to replace the model in it")
    if edge_weight is not None and user_graph is None and item_graph is None:
        raise ConfigError("--edge-weight names a column of --item-graph or --user-graph; neither is given")
    kind = MODELS[model]
    words = {name: value for name, value in ctx.params.items() if name not in OTHERS and value is not None}
    check_words(model, words)
    make = estimator_of(model)
    make(**words)  # a wrong setting shows before anything is read
    ratings, held_out = _read(
        kind,
        model,
        o.columns(user_column, item_column, rating_column, timestamp_column, data_format),
        train,
        validation,
        feedback,
    )
    for side, path, ids in (("user", user_graph, ratings.user_ids), ("item", item_graph, ratings.item_ids)):
        if path is not None:
            words[f"{side}_graph"], note = load_graph(path, ids, side, o.position(edge_weight))
            say(note)
    if checkpoint is not None:
        ctx.find_root().obj = f"the same command goes on from {checkpoint}"
        _say_where_it_goes_on(checkpoint, kind)
    estimator = make(**words)
    started = time.perf_counter()
    _fit_with_progress(estimator, kind, ratings, held_out)
    estimator.save(out)
    typer.echo(f"{_reached(estimator, kind, duration(time.perf_counter() - started))}; saved in {out}")


def _read(kind: Kind, model: ModelName, columns: Any, train: Path, validation: Path | None, feedback: Any) -> Any:
    """Train and validation part as the model takes them."""
    from torchsse.errors import ConfigError

    asked = None if feedback is None else feedback.value
    if not kind.explicit and not kind.weighs:
        if asked == "explicit":
            raise ConfigError(f"--feedback explicit: {model.value} ranks positives, whatever their ratings")
        asked = "implicit"
    ratings = columns.read(train, feedback=asked)
    held_out = None if validation is None else columns.read(validation, like=ratings, feedback=asked)
    what = "ratings" if ratings.feedback == "explicit" else "positives"
    say(f"train: {len(ratings):,} {what}, {ratings.num_users:,} users, {ratings.num_items:,} items")
    return ratings, held_out


def _say_where_it_goes_on(checkpoint: Path, kind: Kind) -> None:
    """A note if an earlier run is there; `fit` itself checks whether it belongs to this one."""
    try:
        done = json.loads((checkpoint / "model.json").read_bytes())["progress"]["epoch"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    say(f"going on after {kind.unit} {done} of the run in {checkpoint}")


def _reached(estimator: Any, kind: Kind, took: str) -> str:
    """Epochs and time, the last error or loss on train, and the best value on validation with its epoch."""
    rows = estimator.history_
    parts = [f"fitted in {took}" if kind.unit is None else f"{len(rows)} {kind.unit}s in {took}"]
    trained = next((name for name in rows[-1] if name.startswith("train_")), None)
    if trained is not None:
        parts.append(f"train {label(trained.removeprefix('train_'))} {rows[-1][trained]:.4f}")
    elif "objective" in rows[-1]:
        parts.append(f"objective {rows[-1]['objective']:.6g}")
    measured = next((name for row in rows for name in row if name.startswith("validation_")), None)
    if measured is not None:
        # the epoch whose parameters were kept has the best value
        best = next(row[measured] for row in rows if row["epoch"] == estimator.best_epoch_)
        where = "" if kind.unit is None else f" ({kind.unit} {estimator.best_epoch_})"
        parts.append(f"validation {label(measured.removeprefix('validation_'))} {best:.4f}{where}")
    return ", ".join(parts)


def _fit_with_progress(estimator: Any, kind: Kind, train: Any, validation: Any) -> None:
    """Fit with a bar on a terminal; silently elsewhere."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    parts = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*parts, console=stderr(), disable=not stderr().is_terminal) as bar:
        unit = kind.unit or "counting"
        task = bar.add_task(unit if kind.unit is None else f"{unit} 0", total=getattr(estimator, "epochs", 1))

        def after_epoch(epoch: int, info: dict[str, Any]) -> None:
            text = f"{unit} {epoch}"
            measured = next((name for name in info if name.startswith("validation_")), None)
            if measured is not None:
                text += f", validation {label(measured.removeprefix('validation_'))} {info[measured]:.4f}"
            elif "objective" in info:
                text += f", objective {info['objective']:.6g}"
            bar.update(task, completed=epoch, description=text)

        estimator.fit(train, validation=validation, callback=after_epoch)

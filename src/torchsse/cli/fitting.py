"""`torchsse fit`: train one model and save it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from torchsse.cli import fit_options as f
from torchsse.cli import options as o
from torchsse.cli.fitting_progress import fit_with_progress
from torchsse.cli.models import MODELS, Kind, ModelName, check_words, estimator_of
from torchsse.cli.progress import duration
from torchsse.cli.shell import say
from torchsse.cli.side_graphs import SideOptions, check_graphs, read_graphs
from torchsse.report.metric import label

__all__ = ["fit"]

#: Options that are not words of an estimator.
OTHERS = {"model", "train", "out", "validation", "feedback", "edge_weight", "overwrite", "order", "setting"}
OTHERS |= {"user_nearest", "item_nearest"}
OTHERS |= {"user_column", "item_column", "rating_column", "timestamp_column", "data_format", "header"}


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
        Path | None,
        typer.Option(
            metavar="FILE|last|time",
            help="Ratings for early stopping. sasrec, ssept: what followed TRAIN; or the word last: of each user in "
            "TRAIN the last action is left out, for `evaluate`, and the one before is for early stopping; or time: the "
            "same with the latest tenth of all actions and the tenth before.",
            rich_help_panel=o.DATA,
        ),
    ] = None,
    feedback: o.FeedbackOption = None,
    user_column: o.UserColumn = None,
    item_column: o.ItemColumn = None,
    rating_column: o.RatingColumn = None,
    timestamp_column: o.TimestampColumn = None,
    data_format: o.DataFormat = None,
    header: o.Header = None,
    order: o.OrderOption = None,
    user_graph: o.UserGraph = None,
    item_graph: o.ItemGraph = None,
    user_nearest: o.UserNearest = None,
    item_nearest: o.ItemNearest = None,
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
    setting: f.Setting = None,
    hidden: f.Hidden = None,
    user_hidden: f.UserHidden = None,
    blocks: f.Blocks = None,
    heads: f.Heads = None,
    inner: f.Inner = None,
    max_length: f.MaxLength = None,
    attention_dropout: f.AttentionDropout = None,
    p0_input: f.P0Input = None,
    p0_output: f.P0Output = None,
    coupled: f.Coupled = None,
    loss: f.Loss = None,
    shared_negatives: f.SharedNegatives = None,
    calibration: f.Calibration = None,
    unseen_negatives: f.UnseenNegatives = None,
    random_window: f.RandomWindow = None,
    positions: f.Positions = None,
    temperature: f.Temperature = None,
    ema_decay: f.EmaDecay = None,
    precision: f.Precision = None,
    batch_size: f.BatchSize = None,
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
    For histories, what each user did in the order of time:
    sasrec        self-attention over the history
    ssept         the same with a row for each user
    \b
    torchsse fit mf ratings.csv --out model
    torchsse fit mf ratings.csv --p0-item 0.02 --item-graph edges.csv \\
      --rho-item 200 --out model
    torchsse fit mf ratings.csv --p0-item 0.2 --item-nearest 4 --out model
    torchsse fit bpr clicks.csv --p0-user 0.1 --p0-item 0.05 \\
      --validation later.csv --patience 5 --out model
    torchsse fit als clicks.csv --alpha 10 --regularization 100 --checkpoint run \\
      --out model
    torchsse fit graph-als ratings.csv --item-graph edges.csv --graph-weight 0.5 \\
      --out model
    torchsse fit item-knn clicks.csv --similarity bm25 --neighbors 100 --out model
    torchsse fit sasrec actions.txt --loss softmax --p0-input 0.1 \\
      --p0-output 0.1 --validation last --checkpoint run --out model
    torchsse fit sasrec actions.txt --setting table4-b2-both --validation last \\
      --epochs 200 --device cuda --out model
    """
    from torchsse.errors import ConfigError

    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is not a directory; choose another --out")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ConfigError(f"{out} is not empty; choose another --out, or --overwrite to replace the model in it")
    if checkpoint is not None and checkpoint.resolve() == out.resolve():
        raise ConfigError(f"--checkpoint and --out are both {out}: the run and the finished model need a folder each")
    kind = MODELS[model]
    words = {name: value for name, value in ctx.params.items() if name not in OTHERS and value is not None}
    check_words(model, words)
    sides = SideOptions("user", user_graph, user_nearest), SideOptions("item", item_graph, item_nearest)
    check_graphs(model, words, sides, edge_weight)
    for option, value in (("setting", setting), ("order", order)):
        if value is not None and not kind.ordered:
            raise ConfigError(f"--{option}: {model.value} has no such option; it is for sasrec, ssept")
    make = estimator_of(model)
    if setting is not None:
        words = {**_named(setting, make), **words}
    make(**words)  # a wrong setting shows before anything is read
    columns = o.columns(user_column, item_column, rating_column, timestamp_column, data_format, header)
    if kind.ordered:
        if feedback is not None:
            raise ConfigError(f"--feedback: to {model.value} every row is an action, whatever its rating")
        ratings, held_out = _read_sequences(columns, train, validation, None if order is None else order.value)
    else:
        ratings, held_out = _read(kind, model, columns, train, validation, feedback)
    graphs, notes = read_graphs(ratings, sides, edge_weight)
    words |= graphs
    for note in notes:
        say(note)
    if checkpoint is not None:
        ctx.find_root().obj = f"the same command goes on from {checkpoint}"
        _say_where_it_goes_on(checkpoint, kind)
    estimator = make(**words)
    started = time.perf_counter()
    fit_with_progress(estimator, kind, ratings, held_out)
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


def _named(setting: str, make: type[Any]) -> dict[str, Any]:
    """Words of a published setting, if they are for this estimator."""
    from torchsse.errors import ConfigError
    from torchsse.recsys.sequence import setting as named

    words = named(setting)
    if not words.keys() <= make._defaults().keys():
        raise ConfigError(f"--setting {setting}: is one of ssept, not of sasrec")
    return words


def _read_sequences(columns: Any, train: Path, validation: Path | None, order: Any) -> Any:
    """Histories and what followed them; for `last` and `time` both out of one file."""
    from torchsse.data.sequence_split import divide

    whole = columns.sequences(train, order)
    size = f"{whole.num_users:,} users, {whole.num_items:,} items"
    by = next((by for by in o.SplitBy if validation == Path(by.value)), None)
    if by is None:
        held_out = None if validation is None else columns.sequences(validation, order)
        say(f"train: {len(whole):,} actions, {size}")
        return whole, held_out
    parts = divide(whole, by.value)
    say(f"{size}; train: {len(parts.train):,} actions, validation: {len(parts.validation):,}, "
        f"left out for evaluate: {len(parts.test):,}")  # fmt: skip
    return parts.train, parts.validation


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
    if kind.ordered:
        seconds = sum(row["seconds"] for row in rows)
        parts.append(f"{sum(row['seconds'] * row['targets_per_second'] for row in rows) / seconds:,.0f} targets/s")
    return ", ".join(parts)

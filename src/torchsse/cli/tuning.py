"""`torchsse tune`: the best settings of one model for these data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from torchsse.cli import models
from torchsse.cli import options as o
from torchsse.cli.progress import progress
from torchsse.cli.searching import RESUME, cores, show_written, try_figures
from torchsse.cli.shell import say, stdout
from torchsse.cli.side_graphs import SideOptions, nearest_of
from torchsse.experiments.tuning.models import ModelName

__all__ = ["tune"]

SEARCH = "Search"


def tune(
    context: typer.Context,
    model: Annotated[
        ModelName,
        typer.Argument(
            metavar="MODEL",
            help="Explicit ratings: mf, marginalized, graph-als. Implicit feedback, where every pair in TRAIN is a "
            "positive: bpr, als, sqlrank. Histories: sasrec, ssept.",
        ),
    ],
    train: Annotated[
        Path,
        typer.Argument(metavar="TRAIN", help="Ratings: CSV, TSV, ::, Parquet, or a published format; gzip or plain."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results go.", show_default=False)],
    validation: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ratings that judge trials. Default: a part of each user's; sasrec, ssept: each one's last action.",
            rich_help_panel=o.DATA,
        ),
    ] = None,
    user_column: o.UserColumn = None,
    item_column: o.ItemColumn = None,
    rating_column: o.RatingColumn = None,
    timestamp_column: o.TimestampColumn = None,
    data_format: o.DataFormat = None,
    header: o.Header = None,
    order: o.OrderOption = None,
    item_graph: o.ItemGraph = None,
    user_graph: o.UserGraph = None,
    item_nearest: o.ItemNearest = None,
    user_nearest: o.UserNearest = None,
    edge_weight: o.EdgeWeight = None,
    factors: Annotated[
        str | None,
        typer.Option(
            metavar="RANK",
            help="A rank, several (10,50,100) or a range (10:200:log); of sasrec, ssept the width. Default: 100; 50.",
            rich_help_panel=o.MODEL,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="At most; validation chooses. Default: 150, or 15 to 30 sweeps; sasrec, ssept 200.",
            rich_help_panel=o.MODEL,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Epochs without a better value before a fit stops.", rich_help_panel=o.MODEL),
    ] = None,
    trials: Annotated[int, typer.Option(help="Fits that the search may try.", rich_help_panel=SEARCH)] = 50,
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW:HIGH[:log]",
            help="Search a setting there; also NAME=A,B,C. Repeatable.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Do not search it. Repeatable.", rich_help_panel=SEARCH),
    ] = None,
    pruning: Annotated[
        bool,
        typer.Option(
            help="From half of its epochs on, stop a trial that is worse than the median of the others.",
            rich_help_panel=SEARCH,
        ),
    ] = True,
    profile: Annotated[
        int,
        typer.Option(
            help="Further fits along each p0 at the best settings, for the plot of the response.",
            rich_help_panel=SEARCH,
        ),
    ] = 6,
    validation_splits: Annotated[
        int | None,
        typer.Option(
            help="Without --validation: how often train is split; the mean counts. Default: 2 for explicit, 1 for "
            "implicit feedback.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of splits, search and fits.", rich_help_panel=SEARCH)] = 0,
    jobs: Annotated[
        int | None,
        typer.Option(help="Trials at a time. Default: the number of cores. 1: repeatable.", rich_help_panel=SEARCH),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard an earlier study in --out.", rich_help_panel=SEARCH)
    ] = False,
) -> None:
    """Search the best settings of one model.

    SSE probabilities, rho, learning rate and its decay, weight decay, rank; --search and --fix say otherwise.

    Judged on validation: RMSE for explicit ratings, precision@10 over all items for implicit feedback, NDCG@10 over all
    items for histories. Writes best.json, the model retrained on train and validation, trials.csv, a plot of the
    response to p0, and the study (SQLite, Optuna's schema). An interrupted search goes on when started again; with more
    --trials a finished one does.

    \b
    torchsse tune bpr clicks.csv --trials 50 --out out/bpr
    torchsse tune mf train.csv --validation valid.csv --factors 10,50,100 \\
      --out out/mf
    torchsse tune mf ratings.csv --item-graph edges.csv --fix p0_user=0 \\
      --search p0_item=0.001:0.9:log --out out/graph
    torchsse tune mf ratings.csv --item-nearest 4 --out out/nearest
    torchsse tune sasrec actions.txt --fix loss=softmax --trials 20 --out sasrec
    torchsse recommend out/bpr/model --user 42
    """
    from torchsse.errors import ConfigError
    from torchsse.experiments.tuning.data import load_tune_data
    from torchsse.experiments.tuning.models import MODELS
    from torchsse.experiments.tuning.settings import TuneSettings, validation_words
    from torchsse.experiments.tuning.space import tune_space
    from torchsse.experiments.tuning.tune import tune as run_study

    context.find_root().obj = RESUME
    tuned = MODELS[model]
    settings = TuneSettings.of(
        tuned,
        epochs=epochs,
        patience=patience,
        trials=trials,
        seed=seed,
        pruning=pruning,
        profile=profile,
        validation_splits=validation_splits,
    )
    histories = tuned.feedback == "sequences"
    if order is not None and not histories:
        raise ConfigError(f"--order: {model.value} has no such option; it is for sasrec, ssept")
    if validation_splits is not None and histories:
        raise ConfigError(f"--validation-splits: of {model.value} each user's last action judges, once")
    # a wrong setting shows before anything is read
    nearest = nearest_of((SideOptions("user", user_graph, user_nearest), SideOptions("item", item_graph, item_nearest)))
    space = tune_space(
        tuned,
        user_graph=user_graph is not None,
        item_graph=item_graph is not None,
        nearest=nearest,
        factors=factors,
        fix=fix or (),
        search=search or (),
    )
    data = load_tune_data(
        train,
        tuned,
        validation=validation,
        user_graph=user_graph,
        item_graph=item_graph,
        nearest=nearest,
        edge_weight=o.position(edge_weight),
        columns=o.columns(user_column, item_column, rating_column, timestamp_column, data_format, header),
        order=None if order is None else order.value,
    )
    what = {"explicit": "ratings", "implicit": "positives", "sequences": "actions"}[tuned.feedback]
    say(f"train: {len(data.train):,} {what}, {data.train.num_users:,} users, {data.train.num_items:,} items")
    say(f"judged on {validation_words(settings, data)}")
    for note in data.notes:
        say(note)
    say(f"searching {', '.join(space.searched)}")
    with progress(tuned.metric) as observer:
        document = run_study(
            model,
            data,
            space,
            settings,
            out,
            jobs=cores() if jobs is None else jobs,
            observer=observer,
            restart=restart,
        )
    show(document, out)


def show(document: dict[str, Any], out: Path) -> None:
    """Tables and remarks on stdout; the plot beside best.json."""
    from torchsse.report.response import write_response
    from torchsse.report.trials import importance_table, study_words, trials_table

    figures = try_figures(write_response, document, out)
    console = stdout()
    console.print()
    console.print(trials_table(document))
    importances = importance_table(document)
    if importances is not None:
        console.print(importances)
    for sentence in study_words(document):
        console.print(f"- {sentence}", soft_wrap=True)
    show_written(console, document, out, ["best.json", "trials.csv", *(figure.name for figure in figures), "study.db"])
    saved = document["saved"]
    rows = "actions" if models.MODELS[models.ModelName(document["model"])].ordered else "ratings"
    console.print(
        f"The best settings, trained on all {saved['ratings']:,} {rows} for {saved['epochs']} epochs, are in "
        f"{out / saved['directory']}: torchsse recommend {out / saved['directory']} --user ID -k 10",
        soft_wrap=True,
    )

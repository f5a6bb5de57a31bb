"""`torchsse compare` and `torchsse demo`: does SSE help?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from torchsse.cli import fit_options as f
from torchsse.cli import options as o
from torchsse.cli.comparing_run import describe, feedback_of, run
from torchsse.cli.comparing_sequences import OF_SEQUENCES, prepare_sequences, refuse
from torchsse.cli.searching import RESUME, names_of
from torchsse.cli.shell import say

__all__ = ["compare", "demo"]

SEARCH = "Comparison"


class CompareModel(StrEnum):
    """Models that a comparison can be over."""

    mf = "mf"
    marginalized = "marginalized"
    bpr = "bpr"
    als = "als"
    sqlrank = "sqlrank"
    sasrec = "sasrec"
    ssept = "ssept"


Jobs = Annotated[int | None, typer.Option(help="Fits at a time. Default: the number of cores.", rich_help_panel=SEARCH)]
Restart = Annotated[bool, typer.Option("--restart", help="Discard an earlier run in --out.", rich_help_panel=SEARCH)]


def compare(
    context: typer.Context,
    ratings: Annotated[
        Path,
        typer.Argument(metavar="RATINGS", help="Ratings: CSV, TSV, ::, Parquet, or a published format; gzip or plain."),
    ],
    test: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Test ratings. Default: 20 % of each user's.", rich_help_panel=o.DATA),
    ] = None,
    item_graph: o.ItemGraph = None,
    user_graph: o.UserGraph = None,
    edge_weight: o.EdgeWeight = None,
    feedback: o.FeedbackOption = None,
    model: Annotated[
        CompareModel | None,
        typer.Option(
            help="Explicit: mf (SGD, the default) or marginalized (alternating least squares on the expectation). "
            "Implicit: bpr (the default), als (weighted least squares on the expectation; the strongest plain model), "
            "sqlrank. Histories: sasrec, ssept.",
            rich_help_panel=o.MODEL,
            show_default=False,
        ),
    ] = None,
    user_column: o.UserColumn = None,
    item_column: o.ItemColumn = None,
    rating_column: o.RatingColumn = None,
    timestamp_column: o.TimestampColumn = None,
    data_format: o.DataFormat = None,
    header: o.Header = None,
    order: o.OrderOption = None,
    biases: Annotated[
        bool | None,
        typer.Option(
            help="Explicit: global mean and biases, or neither (the paper's model); default with. Implicit: item "
            "biases; default without.",
            rich_help_panel=o.MODEL,
            show_default=False,
        ),
    ] = None,
    factors: o.Factors = 100,
    epochs: Annotated[
        int, typer.Option(help="At most; validation chooses. sasrec, ssept: 200.", rich_help_panel=o.MODEL)
    ] = 150,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Of SGD. Default: 0.02 for explicit, 0.05 for implicit feedback; sasrec, ssept, Adam: 0.001.",
            rich_help_panel=o.MODEL,
        ),
    ] = None,
    tune_learning_rate: Annotated[
        bool, typer.Option("--tune-learning-rate", help="Search it too, in every arm.", rich_help_panel=o.MODEL)
    ] = False,
    num_negatives: o.NumNegatives = None,
    hard_negatives: o.HardNegatives = False,
    hidden: f.Hidden = None,
    blocks: f.Blocks = None,
    heads: f.Heads = None,
    inner: f.Inner = None,
    max_length: f.MaxLength = None,
    attention_dropout: f.AttentionDropout = None,
    loss: f.Loss = None,
    shared_negatives: f.SharedNegatives = None,
    unseen_negatives: f.UnseenNegatives = None,
    random_window: f.RandomWindow = None,
    positions: f.Positions = None,
    temperature: f.Temperature = None,
    ema_decay: f.EmaDecay = None,
    learning_rate_decay: f.DecayOfSequences = None,
    p0_schedule: f.ScheduleOfSequences = None,
    precision: f.Precision = None,
    metric: f.DecidingMetric = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Epochs without a better value on validation. Default: 30.", rich_help_panel=f.SEQUENCES),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Users in a step. Default: 128.", rich_help_panel=f.SEQUENCES)
    ] = None,
    validate_every: Annotated[
        int | None, typer.Option(help="Epochs between two measurements. Default: 5.", rich_help_panel=f.SEQUENCES)
    ] = None,
    split: Annotated[
        o.SplitBy | None,
        typer.Option(
            help="last: each user's last action is the test part, the one before validates; time: the latest tenth of "
            "all actions, and the tenth before. Default: last.",
            rich_help_panel=f.SEQUENCES,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where fits run; one at a time but on the CPU. Default: cpu.", rich_help_panel=f.SEQUENCES),
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Some of none, dropout, sse-se, sse-se+dropout, sse-graph, sse-cooccurrence, graph-laplacian; of "
            "histories also weight-decay, sse-se-input, sse-se-output, sse-pt. Default: all that apply.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Do not search it: every arm that has it takes this value. Repeatable.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    trials: Annotated[int, typer.Option(help="Search trials per arm. sasrec, ssept: 8.", rich_help_panel=SEARCH)] = 30,
    seeds: Annotated[int, typer.Option(help="Final fits per arm. sasrec, ssept: 3.", rich_help_panel=SEARCH)] = 5,
    seed: Annotated[int, typer.Option(help="Of splits, search and the first final fit.", rich_help_panel=SEARCH)] = 0,
    jobs: Jobs = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results go.", rich_help_panel=SEARCH)] = Path(
        "out/compare"
    ),
    restart: Restart = False,
) -> None:
    """Does SSE help on these data, and by how much?

    Explicit ratings: matrix factorisation, judged by RMSE. Implicit feedback (no rating column, all ratings equal, or
    --feedback implicit): BPR, judged by precision@10 over all items; --model names others. Histories (--model sasrec,
    ssept): each user's last action is the test part, the one before is for validation; judged by NDCG@10 and hit rate
    among all items and, beside it, among 100 random ones.

    Tunes each arm on a validation part of train with the same number of trials, retrains it over several seeds, and
    measures it on test. Writes a table, two plots, results.json and the model that was best on validation; an
    interrupted run goes on when started again.

    \b
    torchsse compare ratings.csv
    torchsse compare train.csv --test test.csv --item-graph edges.csv --no-biases
    torchsse compare clicks.csv --feedback implicit --model als
    torchsse compare ratings.parquet --user-column uid --item-column movie \\
      --arms none,sse-se --trials 8
    torchsse compare actions.txt --model sasrec --loss softmax --arms none,sse-se
    torchsse compare actions.txt --model sasrec --arms none,sse-se \\
      --fix dropout=0.1 --fix p0_input=0.1 --fix p0_output=0.1
    """
    from torchsse.errors import ConfigError
    from torchsse.experiments.arms import check_arm_names, select_arms
    from torchsse.experiments.fixed_settings import fixed_values, with_fixed
    from torchsse.experiments.loading import load_compare_data
    from torchsse.experiments.ranking import RankingTask
    from torchsse.experiments.rating import RatingTask
    from torchsse.experiments.settings import settings_for
    from torchsse.experiments.task import task_of

    context.find_root().obj = RESUME
    names, values = names_of(arms), fixed_values(fix or ())
    columns = o.columns(user_column, item_column, rating_column, timestamp_column, data_format, header)
    typed = {name: value for name, value in context.params.items() if _was_given(context, name)}
    if model in (CompareModel.sasrec, CompareModel.ssept):
        histories, rows, budget = prepare_sequences(
            ratings, model.value, typed, names, values, columns, o.position(edge_weight)
        )
        describe(histories)
        run(histories, rows, budget, out, jobs, restart)
        return
    refuse(typed, OF_SEQUENCES, "for models of histories, --model sasrec or ssept")
    given: dict[str, Any] = {
        "factors": factors,
        "biases": biases,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "trials": trials,
        "seeds": seeds,
        "seed": seed,
        "num_negatives": num_negatives,
        "hard_negatives": hard_negatives or None,
    }
    known = {
        "user_graph": user_graph is not None,
        "item_graph": item_graph is not None,
        "tune_learning_rate": tune_learning_rate,
    }
    # what both kinds of feedback would refuse shows before anything is read
    draft = settings_for("implicit", **given)
    if model is not None:
        asked = [
            name
            for name, value in (*given.items(), ("tune_learning_rate", tune_learning_rate or None))
            if value is not None
        ]
        {**RatingTask.kinds, **RankingTask.kinds}[model.value].refuse(asked)
    check_arm_names(names, graph=user_graph is not None or item_graph is not None)
    data = load_compare_data(
        ratings,
        draft,
        test=test,
        user_graph=user_graph,
        item_graph=item_graph,
        edge_weight=o.position(edge_weight),
        columns=columns,
        feedback=None if feedback is None else feedback.value,
    )
    kind = feedback_of(data)
    settings = settings_for(kind, **given)
    task = task_of(data.train, settings)
    if model is not None and model.value not in task.kinds:
        raise ConfigError(f"--model {model.value}: these data are {kind}, for which there are {', '.join(task.kinds)}")
    chosen = select_arms(task.arms(settings, None if model is None else model.value, **known), names)
    chosen = with_fixed(chosen, values, settings, next(iter(task.kinds.values())))
    describe(data)
    run(data, chosen, settings, out, jobs, restart)


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where data and results go.")] = Path("out/demo"),
    jobs: Annotated[int | None, typer.Option(help="Fits at a time. Default: the number of cores.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Discard an earlier run in --out.")] = False,
) -> None:
    """Does SSE help? On generated ratings whose items form clusters.

    With the knowledge graph that links each cluster. Takes less than a minute on two cores and needs no data.

    \b
    torchsse demo
    torchsse demo --out /tmp/demo
    """
    from torchsse.experiments.compare import JOURNAL
    from torchsse.experiments.demo import DEMO_SETTINGS, demo_arms, write_demo_data
    from torchsse.experiments.loading import load_compare_data

    context.find_root().obj = RESUME
    say("Generating ratings whose items form clusters, and the graph that joins items of a cluster ...")
    files = write_demo_data(out, JOURNAL)
    data = load_compare_data(files.train, DEMO_SETTINGS, test=files.test, item_graph=files.edges)
    describe(data)
    run(data, demo_arms(), DEMO_SETTINGS, out, jobs, restart, allowed=("data",))
    typer.echo(
        "\nWhat next:\n"
        f"  torchsse recommend {out / 'model'} --user 1 -k 10\n"
        f"  torchsse evaluate {out / 'model'} {files.test}\n"
        "  torchsse compare YOUR_RATINGS.csv"
    )


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"

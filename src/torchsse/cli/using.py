"""`torchsse evaluate` and `torchsse recommend`: use a saved model."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torchsse.cli import options as o
from torchsse.cli.shell import say
from torchsse.cli.tables import show_table
from torchsse.cli.using_sequences import SEQUENCES, Protocol, Split, evaluate_sequences, observe, recommend_next
from torchsse.report.metric import label

if TYPE_CHECKING:
    from torchsse.experiments.loading import Columns

__all__ = ["evaluate", "recommend"]

ModelDir = Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `torchsse fit` wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def evaluate(
    directory: ModelDir,
    test: Annotated[Path, typer.Argument(metavar="TEST", help="Ratings or pairs in the form of train.")],
    user_column: o.UserColumn = None,
    item_column: o.ItemColumn = None,
    rating_column: o.RatingColumn = None,
    timestamp_column: o.TimestampColumn = None,
    data_format: o.DataFormat = None,
    header: o.Header = None,
    order: o.OrderOption = None,
    protocol: Annotated[
        Protocol | None, typer.Option(help="What a target is ranked among. Default: full.", rich_help_panel=SEQUENCES)
    ] = None,
    split: Annotated[
        Split | None,
        typer.Option(
            help="last: TEST holds whole histories, and each user's last action is the target; time: the same, and the "
            "latest tenth of all actions are targets; none: all of TEST followed train. Default: last or time if TEST "
            "without the last two actions of each user, or without the latest fifth of all, is what was learned.",
            rich_help_panel=SEQUENCES,
        ),
    ] = None,
    negatives: Annotated[
        int | None,
        typer.Option(
            help="Random items for each user in the sampled protocol. Default: 100.",
            min=1,
            rich_help_panel=SEQUENCES,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of their draw. Default: 0.", min=0, rich_help_panel=SEQUENCES, show_default=False),
    ] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the random items here, or take those that are here: the same for every model.",
            rich_help_panel=SEQUENCES,
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Another saved model: the difference user by user, with an interval, on the same random items.",
            rich_help_panel=SEQUENCES,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a saved model on test data.

    A model of ratings: RMSE and MAE. A model of implicit feedback: precision, recall, NDCG and more of the 1, 5 and 10
    items it ranks first among all that the user does not have in train. On all of TEST, and on the pairs whose user and
    item the model knows.

    A model of histories (sasrec, ssept): NDCG and hit rate of the 1, 5 and 10 items ranked first. Protocol full: among
    all items that the user has not had. Protocol sampled, the paper's: among 100 random ones of these and the target,
    which makes numbers much larger. After `fit --validation last` or `time` TEST is the TRAIN of fit.

    \b
    torchsse evaluate model test.csv
    torchsse evaluate model test.csv --json
    torchsse evaluate model actions.txt --protocol both
    torchsse evaluate with-sse actions.txt --protocol both --against plain
    """
    from torchsse.errors import ConfigError
    from torchsse.experiments.models import load_model
    from torchsse.recsys.explicit import ExplicitRecommender
    from torchsse.recsys.sequence.estimator import SequenceRecommender

    model = load_model(directory)
    columns = o.columns(user_column, item_column, rating_column, timestamp_column, data_format, header)
    asked = {"order": order, "protocol": protocol, "split": split, "negatives": negatives, "seed": seed}
    given: dict[str, Any] = {
        name: value
        for name, value in {**asked, "candidates": candidates, "against": against}.items()
        if value is not None
    }
    if isinstance(model, SequenceRecommender):
        evaluate_sequences(model, columns, test, as_json, **given)
    elif given:
        raise ConfigError(f"--{next(iter(given))} is for models of histories; this is a {type(model).__name__}")
    elif isinstance(model, ExplicitRecommender):
        _evaluate_ratings(model, columns, test, as_json)
    else:
        _evaluate_ranking(model, columns, test, as_json)


def _evaluate_ratings(model: Any, columns: Columns, test: Path, as_json: bool) -> None:
    from torchsse.errors import ConfigError

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


def _evaluate_ranking(model: Any, columns: Columns, test: Path, as_json: bool) -> None:
    from torchsse.recsys.ranking import evaluate_ranking

    scores = evaluate_ranking(model, columns.read(test, feedback="implicit"))
    counts = {name: scores[name] for name in ("n_users", "n_pairs", "n_seen", "n_cold", "n_cold_users")}
    if as_json:
        warm = {f"{name}_warm": value if math.isfinite(value) else None for name, value in scores["means_warm"].items()}
        typer.echo(json.dumps({**scores["means"], **warm, **counts}))
        return
    names = list(dict.fromkeys(name.partition("@")[0] for name in scores["means"]))
    cuts = list(dict.fromkeys(name.partition("@")[2] for name in scores["means"]))
    show_table(["k", *map(label, names)], [[k, *(f"{scores['means'][f'{n}@{k}']:.4f}" for n in names)] for k in cuts])
    typer.echo(f"{counts['n_pairs']:,} test positives of {counts['n_users']:,} users, ranked among all items")
    if counts["n_seen"]:
        typer.echo(f"{counts['n_seen']:,} more are in train too and left out")
    if counts["n_cold"]:
        warm_precision = scores["means_warm"][f"precision@{cuts[-1]}"]
        without = f"; precision@{cuts[-1]} {warm_precision:.4f} without them" if math.isfinite(warm_precision) else ""
        typer.echo(f"{counts['n_cold']:,} of them cold (user or item not in train){without}")


def recommend(
    directory: ModelDir,
    user: Annotated[
        list[str] | None, typer.Option("--user", metavar="ID", help="Raw user id; may be repeated.", show_default=False)
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(
            metavar="ID,ID,...",
            help="sasrec, ssept: what follows these items, the earliest first. ssept takes the mean user, or --user.",
            show_default=False,
        ),
    ] = None,
    actions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="sasrec, ssept: what users did since train, or the TRAIN of `fit --validation last` or `time`: "
            "recommend after that.",
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
    k: Annotated[int, typer.Option("-k", help="Items per user.", min=1)] = 10,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Items the user rated in train too.")] = False,
    why: Annotated[
        bool, typer.Option("--explain", help="Say which items of the user's history each item rests on.")
    ] = False,
    ties: Annotated[int, typer.Option(help="With --explain: items of the history for each item.", min=1)] = 3,
    titles: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Names of items: a file of id and title, CSV, TSV or ::.")
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout: user,rank,item,score.")] = False,
) -> None:
    """The best items for users, best first.

    \b
    torchsse recommend model --user 42 -k 10
    torchsse recommend model --user 42 -k 10 --explain --titles movies.csv
    torchsse recommend model --user 42 --user 43 --csv > best.csv
    torchsse recommend model --history 12,45,7 -k 10
    torchsse recommend model --user 42 --actions since.txt
    """
    from torchsse.cli.explaining import Titles, explained_rows, show_explained
    from torchsse.errors import ConfigError
    from torchsse.experiments.models import load_model
    from torchsse.recsys.explain import Explainer
    from torchsse.recsys.sequence.estimator import SequenceRecommender

    if as_csv and (as_json or why):
        raise ConfigError(f"--{'json' if as_json else 'explain'} and --csv exclude each other")
    if history is not None and (why or actions is not None):
        raise ConfigError(f"--history and --{'explain' if why else 'actions'} exclude each other")
    names = Titles(titles)
    model = load_model(directory)
    if why and isinstance(model, SequenceRecommender):
        raise ConfigError(f"--explain: a {type(model).__name__} reads the history as a whole; it has no such ties")
    users: list[Any] = list(o.typed_ids(user or [], model.user_ids))
    k = min(k, max(1, len(model.item_ids)))
    columns = o.columns(user_column, item_column, rating_column, timestamp_column, data_format, header)
    if actions is not None:
        observe(model, actions, columns, order)
    elif columns.reading(None) or order is not None:
        raise ConfigError("options of how a file is read are for --actions, which is not given")
    if history is not None:
        items, scores = recommend_next(model, history, users, k, include_seen)
        users = users or [None]
    elif users:
        items, scores = model.recommend(users, k, exclude_seen=not include_seen)
    else:
        raise ConfigError("recommend: name a user with --user ID, or a history with --history ID,ID,...")
    for raw, row in zip(users, items):
        if raw is not None and row[0] is None:
            say(f"user {raw}: nothing to recommend; no history, or no item left")
    found = [
        {
            **({} if raw is None else {"user": _plain(raw)}),
            "rank": rank,
            "item": _plain(item),
            **({"title": names.of(item)} if names.given else {}),
            "score": round(float(score), 6),
        }
        for raw, row, values in zip(users, items, scores)
        for rank, (item, score) in enumerate(zip(row, values), 1)
        if item is not None
    ]
    if why:
        explainer = Explainer(model)
        chosen = [[item for item in row if item is not None] for row in items]
        explained = [explainer.explain(raw, row, ties=ties) for raw, row in zip(users, chosen)]
        if not as_json:
            for raw, rows in zip(users, explained):
                typer.echo(f"user {raw}")
                show_explained(rows, names)
            return
        reasons = [row for rows in explained for row in explained_rows(rows, names)]
        found = [{**row, **reason} for row, reason in zip(found, reasons)]
    if as_json:
        typer.echo(json.dumps(found))
    elif as_csv:
        heads = [*(["user"] if users != [None] else []), "rank", "item", *(["title"] if names.given else []), "score"]
        writer = csv.DictWriter(sys.stdout, heads, lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    else:
        _show(found, names.given)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _show(found: list[dict[str, Any]], titled: bool) -> None:
    heads = [*(["user"] if all("user" in row for row in found) else []), "rank", "item"]
    heads += [*(["title"] if titled else []), "score"]
    shown = [{**row, "score": f"{row['score']:.4f}", "title": row.get("title") or ""} for row in found]
    show_table(heads, [[str(row[head]) for head in heads] for row in shown])

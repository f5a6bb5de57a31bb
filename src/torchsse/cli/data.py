"""`torchsse data`: get data sets, look at them, convert them, make graphs of what is known about users and items."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torchsse.cli import options as o
from torchsse.cli.downloading import AsJson, download, list_data
from torchsse.cli.shell import Shell, say

if TYPE_CHECKING:
    from torchsse.data import Ratings

__all__ = ["data"]

data = typer.Typer(
    name="data",
    cls=Shell,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Get data sets, look at them, convert them, make graphs.",
)
data.command("list")(list_data)
data.command()(download)

Input = Annotated[
    Path, typer.Argument(metavar="IN", help="Ratings: CSV, TSV, ::, Parquet, or the file or folder of a data set.")
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="The published format; `torchsse data list` names them."),
]
Target = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="Ends in .csv, .csv.gz or .parquet.", show_default=False)
]


@data.command()
def convert(
    source: Input,
    out: Target,
    format: Format = None,
    user_column: o.UserColumn = None,
    item_column: o.ItemColumn = None,
    rating_column: o.RatingColumn = None,
    timestamp_column: o.TimestampColumn = None,
    header: o.Header = None,
    feedback: o.FeedbackOption = None,
) -> None:
    """Write ratings of any format as CSV or Parquet.

    With the columns user, item, rating and timestamp, as far as the data has them.

    \b
    torchsse data convert netflix/ --out netflix.parquet
    torchsse data convert gowalla/train.txt --format user-lines --out train.csv
    """
    from torchsse.data.write import check_target, write_ratings

    check_target(out)
    columns = (user_column, item_column, rating_column, timestamp_column)
    ratings, _ = _read(source, format, columns, feedback, header)
    write_ratings(ratings, out)
    typer.echo(f"{out}: {ratings!r}")


@data.command()
def describe(
    source: Input,
    format: Format = None,
    user_column: o.UserColumn = None,
    item_column: o.ItemColumn = None,
    rating_column: o.RatingColumn = None,
    timestamp_column: o.TimestampColumn = None,
    header: o.Header = None,
    feedback: o.FeedbackOption = None,
    item_graph: o.ItemGraph = None,
    user_graph: o.UserGraph = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Ratings and long tail as a picture (PNG, SVG, PDF).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Counts, density, long tail, time, and how far graphs reach.

    \b
    torchsse data describe ratings.csv
    torchsse data describe ml-1m/ --item-graph actors.csv --plot ml-1m.png
    """
    from torchsse.cli.describing import lines
    from torchsse.data import describe as facts_of
    from torchsse.data import read_edges
    from torchsse.errors import ConfigError

    if plot is not None and plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ConfigError(f"--plot: expected a name that ends in .png, .svg or .pdf, got {plot}")
    columns = (user_column, item_column, rating_column, timestamp_column)
    ratings, notes = _read(source, format, columns, feedback, header)
    graphs = {
        name: read_edges(path)
        for name, path in (("item_graph", item_graph), ("user_graph", user_graph))
        if path is not None
    }
    facts = facts_of(ratings, **graphs) | {"notes": notes}
    if plot is not None:
        from torchsse.report.description import write_description

        write_description(facts, plot)
        say(f"picture: {plot}")
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for line in lines(facts):
        typer.echo(line)


@data.command()
def actors(
    side: Annotated[
        Path, typer.Argument(metavar="SIDE_FILE", help="A row for each item and attribute (actor); or pairs of items.")
    ],
    out: Target,
    id_column: Annotated[str, typer.Option(metavar="COLUMN", help="Item ids: name, or position from 0.")] = "0",
    attribute_column: Annotated[str, typer.Option(metavar="COLUMN", help="Actors, directors, brands.")] = "1",
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=TEXT", help="Rows to take, such as relation=starring; may be repeated."),
    ] = None,
    min_shared: Annotated[int, typer.Option(help="How many attributes two items must share.", min=1)] = 1,
    max_group: Annotated[
        int, typer.Option(help="Attributes of more items than this link none: g items make g(g-1)/2 edges.", min=2)
    ] = 1000,
    pairs: Annotated[
        str | None,
        typer.Option(
            "--pairs",
            metavar="COLUMN",
            help="SIDE_FILE lists pairs of items already; this column says how many attributes they share.",
        ),
    ] = None,
) -> None:
    """Edges between items that share an actor, for --item-graph.

    Or any other attribute. Writes the columns item_a, item_b and shared; `--edge-weight shared` weights by it.

    \b
    torchsse data actors omdb_actors.tsv --out actors.csv
    torchsse data actors dbpedia_edges.tsv --attribute-column entity \\
      --only relation=starring --out actors.csv
    torchsse data actors item_item_actor.csv --pairs shared_union --min-shared 2 \\
      --out actors.csv
    """
    from torchsse.data import read_attributes, read_pairs, shared_attribute_edges
    from torchsse.data.write import check_target, write_table
    from torchsse.errors import ConfigError

    check_target(out)
    if pairs is not None:
        if only or (id_column, attribute_column) != ("0", "1"):
            raise ConfigError("--pairs: the first two columns are the items; --only and the other columns do not apply")
        edges = read_pairs(side, o.position(pairs) or 0, min_shared=min_shared)
    else:
        table = read_attributes(
            side, id=o.position(id_column) or 0, attribute=o.position(attribute_column) or 0, only=_only(only or [])
        )
        edges = shared_attribute_edges(table, min_shared=min_shared, max_group=max_group)
    if not len(edges):
        raise ConfigError(f"{side}: no two items share {min_shared} attributes")
    write_table({"item_a": edges.src_raw, "item_b": edges.dst_raw, "shared": edges.shared}, out)
    typer.echo(f"{out}: {len(edges):,} pairs, {_distinct(edges):,} items")


@data.command()
def groups(
    users: Annotated[Path, typer.Argument(metavar="USERS", help="users.dat (ML-1M) or u.user (ML-100K).")],
    out: Target,
    by: Annotated[
        str, typer.Option(metavar="LIST", help="What must agree: some of gender, age, occupation.")
    ] = "gender,age,occupation",
    max_group: Annotated[
        int | None, typer.Option(help="Larger groups link none of their users. Default: no limit.", min=2)
    ] = None,
) -> None:
    """Edges between users of one group, for --user-graph.

    A group has the same gender, age band and occupation, or some of these.

    \b
    torchsse data groups ml-1m/users.dat --out users.csv
    torchsse data groups ml-100k/u.user --by gender,occupation --out users.csv
    """
    from torchsse.data import read_users, shared_attribute_edges, user_groups
    from torchsse.data.write import check_target, write_table
    from torchsse.errors import ConfigError

    check_target(out)
    table = user_groups(read_users(users), [word.strip() for word in by.split(",") if word.strip()])
    edges = shared_attribute_edges(table, max_group=max_group)
    if not len(edges):
        raise ConfigError(f"{users}: no two users agree in {by}")
    write_table({"user_a": edges.src_raw, "user_b": edges.dst_raw}, out)
    typer.echo(f"{out}: {len(edges):,} pairs, {_distinct(edges):,} of {len(table):,} users")


def _read(
    source: Path,
    format: str | None,
    columns: tuple[str | None, ...],
    feedback: o.Feedback | None,
    header: bool | None,
) -> tuple[Ratings, list[str]]:
    """The ratings, and what the reader warned of, which is shown too."""
    from torchsse.data import read_ratings
    from torchsse.errors import TorchsseWarning

    user, item, rating, timestamp = map(o.position, columns)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TorchsseWarning)
        ratings = read_ratings(
            source,
            format=format,
            user=user,
            item=item,
            rating=rating,
            timestamp=timestamp,
            header=header,
            feedback=None if feedback is None else feedback.value,
        )
    notes = [str(warning.message) for warning in caught if issubclass(warning.category, TorchsseWarning)]
    for note in notes:
        say(f"warning: {note}")
    return ratings, notes


def _only(words: list[str]) -> dict[str | int, str] | None:
    from torchsse.errors import ConfigError

    tests: dict[str | int, str] = {}
    for word in words:
        column, mark, text = word.partition("=")
        if not mark or not column:
            raise ConfigError(f"--only: expected COLUMN=TEXT, such as relation=starring, got {word!r}")
        place = o.position(column)
        assert place is not None
        tests[place] = text
    return tests or None


def _distinct(edges: Any) -> int:
    return len(set(edges.src_raw.tolist()) | set(edges.dst_raw.tolist()))

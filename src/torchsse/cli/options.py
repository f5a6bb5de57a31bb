"""Options that several commands share, declared once."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from torchsse.data import IdMap
    from torchsse.experiments.loading import Columns

__all__ = [
    "DATA",
    "GRAPHS",
    "MODEL",
    "DataFormat",
    "EdgeWeight",
    "Factors",
    "Feedback",
    "FeedbackOption",
    "HardNegatives",
    "ItemColumn",
    "ItemGraph",
    "ItemNearest",
    "NumNegatives",
    "OrderOption",
    "RatingColumn",
    "TimestampColumn",
    "UserColumn",
    "UserGraph",
    "UserNearest",
    "columns",
    "position",
    "typed_ids",
]

DATA, GRAPHS, MODEL = "Data", "Graphs", "Model"


class Order(StrEnum):
    """Where the order of a user's actions comes from."""

    timestamp = "timestamp"
    file = "file"


class SplitBy(StrEnum):
    """Which ends of histories are held out: see `torchsse.data.sequence_split.divide`."""

    last = "last"
    time = "time"


class Feedback(StrEnum):
    """Kinds of feedback."""

    explicit = "explicit"
    implicit = "implicit"


FeedbackOption = Annotated[
    Feedback | None,
    typer.Option(help="Default: implicit if there is no rating column or all are equal.", rich_help_panel=DATA),
]
OrderOption = Annotated[
    Order | None,
    typer.Option(
        help="sasrec, ssept: the order of time. Default: by timestamp if there are any, else as in the file.",
        rich_help_panel=DATA,
    ),
]
UserColumn = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="User ids: name, or position from 0.", rich_help_panel=DATA)
]
ItemColumn = Annotated[str | None, typer.Option(metavar="COLUMN", help="Item ids.", rich_help_panel=DATA)]
RatingColumn = Annotated[str | None, typer.Option(metavar="COLUMN", help="Ratings.", rich_help_panel=DATA)]
TimestampColumn = Annotated[str | None, typer.Option(metavar="COLUMN", help="Timestamps.", rich_help_panel=DATA)]
Header = Annotated[
    bool | None,
    typer.Option(
        help="Whether the first line of the data names the columns. Default: it does if it holds no number.",
        rich_help_panel=DATA,
    ),
]
DataFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="Published format, such as netflix; `torchsse data list` names them. Default: found by name and content.",
        rich_help_panel=DATA,
    ),
]
ItemGraph = Annotated[
    Path | None,
    typer.Option(metavar="EDGES", help="Edges between items: first two columns are ids.", rich_help_panel=GRAPHS),
]
UserGraph = Annotated[Path | None, typer.Option(metavar="EDGES", help="Edges between users.", rich_help_panel=GRAPHS)]
ItemNearest = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        min=1,
        help="In place of --item-graph: each item with the K that are nearest by co-occurrence (Jaccard) in what is "
        "learned; rho of items is then inf by default.",
        rich_help_panel=GRAPHS,
    ),
]
UserNearest = Annotated[int | None, typer.Option(metavar="K", min=1, help="The same of users.", rich_help_panel=GRAPHS)]
EdgeWeight = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Edge weights, divided by their maximum. Default: 1.", rich_help_panel=GRAPHS),
]
NumNegatives = Annotated[
    int | None,
    typer.Option(
        help="Implicit feedback: negatives drawn for each positive. Default: 3. sasrec, ssept: by the loss, bce 1, "
        "sampled-softmax and gbce 256 for a batch.",
        rich_help_panel=MODEL,
    ),
]
HardNegatives = Annotated[
    bool,
    typer.Option(
        "--hard-negatives",
        help="Implicit feedback: train on the highest-scored of the negatives drawn.",
        rich_help_panel=MODEL,
    ),
]
Factors = Annotated[int, typer.Option(help="Rank of the factorisation.", rich_help_panel=MODEL)]


def columns(
    user: str | None,
    item: str | None,
    rating: str | None,
    timestamp: str | None,
    format: str | None = None,
    header: bool | None = None,
) -> Columns:
    """For `read_ratings`: digits are a position, anything else a name."""
    from torchsse.experiments.loading import Columns

    return Columns(position(user), position(item), position(rating), position(timestamp), format, header)


def position(column: str | None) -> str | int | None:
    """A column on the command line: digits are a position.

    >>> position("3"), position("movieId")
    (3, 'movieId')
    """
    return int(column) if column is not None and column.isdigit() else column


def typed_ids(words: Sequence[str], ids: IdMap, what: str = "user") -> list[str] | list[int]:
    """Words of a command line as raw ids of the kind an id map holds.

    Raises:
        DataError: a word that is no integer where ids are integers.

    >>> from torchsse.data import IdMap
    >>> typed_ids(["42"], IdMap([7, 42])), typed_ids(["42"], IdMap(["7", "42"]))
    ([42], ['42'])
    """
    from torchsse.errors import DataError

    if not ids.is_integer:
        return list(words)
    try:
        return [int(word) for word in words]
    except ValueError:
        wrong = next(word for word in words if not word.lstrip("-").isdigit())
        raise DataError(f"{what} ids are integers in this model, got {wrong!r}") from None

"""How `recommend` shows items: with their titles, and with why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from torchsse.recsys.explain import Explanation

__all__ = ["Titles", "explained_rows", "show_explained"]

#: The words before a tie's strength, by kind of explanation.
_HEADS = {
    "graph": "linked to",
    "edges": "linked to",
    "contributions": "because of",
    "factors": "like",
}


class Titles:
    """Names of raw ids from a file, or none."""

    def __init__(self, path: Path | None) -> None:
        from torchsse.data.titles import read_titles

        self._titles = {} if path is None else read_titles(path)
        self.given = path is not None

    def of(self, raw: Any) -> str | None:
        """The title, or None."""
        return self._titles.get(str(raw))

    def shown(self, raw: Any) -> str:
        """The title with the id, or the id."""
        title = self.of(raw)
        return str(raw) if title is None else f"{title} [{raw}]"


def explained_rows(explanations: list[Explanation], titles: Titles) -> list[dict[str, Any]]:
    """What `--json` holds for each item beside user, rank, item and score."""
    rows = []
    for why in explanations:
        ties = [
            {
                "item": tie.item,
                **({"title": titles.of(tie.item)} if titles.given else {}),
                "strength": _short(tie.strength),
                **({} if tie.share is None else {"share": _short(tie.share)}),
                **({} if tie.weight is None else {"weight": _short(tie.weight)}),
            }
            for tie in why.ties
        ]
        rest = {} if why.rest is None else {"rest": _short(why.rest)}
        rows.append({"explained_by": why.kind, "ties": ties, **rest})
    return rows


def show_explained(explanations: list[Explanation], titles: Titles) -> None:
    """For people: each item with the items of the history under it, and what the numbers mean below."""
    from torchsse.recsys.explain import MEANING

    shown: dict[str, None] = {}
    for rank, why in enumerate(explanations, 1):
        typer.echo(f"{rank:>3}. {titles.shown(why.item)}  {why.score:.4f}")
        shown[why.kind] = None
        for tie in why.ties:
            share = "" if tie.share is None else f"  {tie.share:.1%}"
            weight = f"  weight {tie.weight:g}" if tie.weight is not None and why.kind == "graph" else ""
            typer.echo(f"       {_HEADS[why.kind]} {titles.shown(tie.item)}  {tie.strength:.4g}{share}{weight}")
    for kind in shown:
        head = _HEADS.get(kind)
        typer.echo(f"{kind if head is None else head!r}: {MEANING[kind]}.")


def _short(value: float) -> float:
    return float(f"{value:.6g}")

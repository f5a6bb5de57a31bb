"""The option that puts a peer of SSE on a model, for every command that trains one on text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from torchsse.nlp.peers import PeerSetting

__all__ = ["PeerOption", "peer_of"]

PEERS = "What SSE is compared with"

PeerOption = Annotated[
    str | None,
    typer.Option(
        "--peer",
        metavar="NAME[=VALUE]",
        help="Another regulariser: neftune, switch-out, token-dropout, word-dropout; but for `translate`, dropout; for "
        "`classify`, label-smoothing. Beside SSE; in its place where p0 is 0.",
        rich_help_panel=PEERS,
        show_default=False,
    ),
]


def peer_of(text: str | None) -> PeerSetting | None:
    """What the option asks for.

    Raises:
        ConfigError: no such peer, or a value out of its range.
    """
    if text is None:
        return None
    from torchsse.nlp.peers import PeerSetting

    return PeerSetting.parse(text)

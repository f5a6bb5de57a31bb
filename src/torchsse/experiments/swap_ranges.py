"""Where p0 and rho are searched, shared by `compare`, the tables and `tune`. The values are chosen on validation."""

from __future__ import annotations

from dataclasses import dataclass

from torchsse.experiments.space import Range

__all__ = ["RANKING_SWAPS", "RATING_COOCCURRENCE", "RATING_SWAPS", "Setting", "Swaps"]
__all__ += ["SEQUENCE_COOCCURRENCE", "SEQUENCE_NEAR", "SEQUENCE_RHO", "SEQUENCE_SWAP", "SEQUENCE_USER"]

Setting = tuple[Range, float]
"""Where a setting is searched, and its default."""


@dataclass(frozen=True)
class Swaps:
    """The settings of SSE.

    Attributes:
        user, item: p0 where a table swaps over all its rows.
        near: p0 where it swaps along a graph; a neighbour is a milder replacement, so larger values are in range.
        rho: with a graph.
    """

    user: Setting
    item: Setting
    near: Setting
    rho: Setting


RATING_SWAPS = Swaps(
    user=(Range(0.0005, 0.1, log=True), 0.005),
    item=(Range(0.0005, 0.1, log=True), 0.005),
    near=(Range(0.001, 0.5, log=True), 0.02),
    rho=(Range(10.0, 1000.0, log=True), 200.0),
)
"""Of factorisations of ratings, by SGD or in closed form."""

RANKING_SWAPS = Swaps(
    user=(Range(0.002, 0.5, log=True), 0.1),
    item=(Range(0.002, 0.5, log=True), 0.05),
    near=(Range(0.005, 0.8, log=True), 0.2),
    rho=(Range(10.0, 2000.0, log=True), 500.0),
)
"""Of BPR, which gains from far larger p0: its loss knows only which of two items comes first, and a user or item that
was swapped in still says much about that."""

RATING_COOCCURRENCE: dict[str, Setting] = {
    "p0_user": (Range(0.0002, 0.2, log=True), 0.001),
    "p0_item": (Range(0.005, 0.8, log=True), 0.2),
    "neighbours": (Range(1, 20, log=True, integer=True), 4.0),
}
"""Along each row's nearest by co-occurrence; users bear far smaller p0 than items."""

# Of models of histories: the paper has p = .1 on inputs and outputs; .1 slows the start, so the first trial has half.
SEQUENCE_SWAP: Setting = (Range(0.01, 0.3, log=True), 0.05)
SEQUENCE_NEAR: Setting = (Range(0.02, 0.5, log=True), 0.1)
SEQUENCE_RHO: Setting = (Range(10.0, 1000.0, log=True), 200.0)
SEQUENCE_USER: Setting = (Range(0.3, 0.98), 0.92)
SEQUENCE_COOCCURRENCE: dict[str, Setting] = {
    "p0_input": (Range(0.02, 0.8, log=True), 0.2),
    "p0_output": (Range(0.02, 0.8, log=True), 0.2),
    "neighbours": (Range(1, 50, log=True, integer=True), 10.0),
}

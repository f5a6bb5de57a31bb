"""Table 1: swaps along a graph against a graph-Laplacian penalty, explicit ratings."""

from __future__ import annotations

from torchsse.experiments.arms import standard_arms, with_prefix
from torchsse.experiments.marginalized_arms import marginalized_arms
from torchsse.experiments.reproduce.datasets import ML1M_SPARSE
from torchsse.experiments.reproduce.paper import TABLE1
from torchsse.experiments.reproduce.table import Block, Overrides, Table
from torchsse.experiments.settings import CompareSettings

__all__ = ["table1"]

RANKS = (100,)


def table1(wanted: Overrides) -> Table:
    """Once as in the paper, without biases, and once with them."""
    blocks = [
        Block(
            name=f"ml1m{'-biases' if biases else ''}-r{rank}",
            column=f"{'biases' if biases else 'no biases'}, rank {rank}",
            data=ML1M_SPARSE,
            settings=wanted.applied(CompareSettings(factors=rank, biases=biases, trials=20, seeds=5)),
            arms=(
                *standard_arms(biases=biases, user_graph=True, item_graph=True),
                *with_prefix(marginalized_arms(user_graph=True, item_graph=True), "marginalized"),
            ),
        )
        for biases in (False, True)
        for rank in wanted.ranks or RANKS
    ]
    return Table(
        name="table1",
        title="SSE-Graph and SSE-SE against a graph-Laplacian penalty, test RMSE",
        blocks=tuple(blocks),
        paper=TABLE1,
        models={
            "none": "SGD-MF",
            "graph-laplacian": "Graph Laplacian + ALS-MF",
            "sse-graph": "SSE-Graph + SGD-MF",
            "sse-se": "SSE-SE + SGD-MF",
        },
        labels={
            "none": "MF by SGD, weight decay only",
            "graph-laplacian": "ALS with graph-Laplacian penalties",
            "sse-cooccurrence": "SSE along nearest neighbours by co-occurrence in train",
            "marginalized": "MF by alternating least squares",
            "marginalized sse-se": "SSE-SE, the expected objective minimised exactly",
            "marginalized sse-graph": "SSE-Graph, the expected objective minimised exactly",
            "marginalized sse-cooccurrence": "the same along co-occurrence",
        },
        differs=(
            "Every arm is tuned alike on two validation parts of train, its L2 among what is searched; the paper gives "
            "the chosen p and rho and no budget.",
            "Means over seeds with 95 % intervals; the paper gives single numbers.",
            "Test pairs of unseen films or users are predicted by the train mean (without biases), and are counted.",
        ),
        arm_differs={
            "graph-laplacian": "Both graphs, penalty searched; L2 per example.",
            "sse-graph": "Both graphs; p and rho searched, for users and films apart.",
            "sse-se": "p searched, for users and films apart.",
        },
    )

"""Options of `fit`, by family. None: the model's default. A model refuses those that it does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from torchsse.cli import options as o

SSE = "Stochastic Shared Embeddings"
TRAINING = "Training"
SGD = "Gradient descent: mf, bpr, sqlrank, sasrec, ssept"
SEQUENCES = "Sequences: sasrec, ssept"
SQUARES = "Least squares: als, marginalized, graph-als"
NEAR = "Neighbours: item-knn"

SCHEDULES = "constant, anneal (falls to 0 in the last epoch) or warmup. Default: constant."
FASTER = "bf16: faster on a GPU, and on a CPU with instructions for it. Default: fp32."
DECIDING = "ndcg@10 or hr@10 among all items, sampled_ndcg@10 or sampled_hr@10 among 100 random ones. Default: ndcg@10."


def number(panel: str, text: str) -> typer.models.OptionInfo:
    """An option whose default is the model's."""
    option: typer.models.OptionInfo = typer.Option(help=text, rich_help_panel=panel, show_default=False)
    return option


def named(panel: str, metavar: str, text: str) -> typer.models.OptionInfo:
    """The same for one that takes a word, which help calls `metavar`."""
    option: typer.models.OptionInfo = typer.Option(
        metavar=metavar, help=text, rich_help_panel=panel, show_default=False
    )
    return option


def flag(panel: str, name: str, text: str) -> typer.models.OptionInfo:
    """A switch that is not given by default."""
    option: typer.models.OptionInfo = typer.Option(f"--{name}", help=text, rich_help_panel=panel, show_default=False)
    return option


# every factor model
Factors = Annotated[int | None, number(o.MODEL, "Rank of the factorisation. Default: 100.")]
Biases = Annotated[
    bool | None,
    number(
        o.MODEL,
        "mf, marginalized, graph-als: global mean and biases, default with. bpr: item biases, default without.",
    ),
]
P0User = Annotated[float | None, number(SSE, "SSE probability of users, 0 to 1. Default: 0; ssept: 0.92.")]
P0Input = Annotated[
    float | None, number(SSE, "sasrec, ssept: SSE probability of the items of a history. Default: 0; ssept: 0.1.")
]
P0Output = Annotated[
    float | None, number(SSE, "sasrec, ssept: the same of the items that should follow. Default: 0; ssept: 0.1.")
]
Coupled = Annotated[
    bool | None, flag(SSE, "coupled", "sasrec, ssept: one coin moves an input and its target; takes --p0-input.")
]
P0Item = Annotated[float | None, number(SSE, "SSE probability of items. Default: 0.")]
RhoUser = Annotated[
    float | None, number(SSE, "Weight of a neighbour against any other user; inf: neighbours only. Needs a graph.")
]
RhoItem = Annotated[float | None, number(SSE, "The same for items.")]
SwapUnseen = Annotated[
    bool | None, flag(SSE, "swap-unseen", "Swap in ids without training examples too, as the authors' code does.")
]
P0Schedule = Annotated[
    str | None,
    named(
        SSE,
        "NAME",
        f"mf, sasrec, ssept: {SCHEDULES}",
    ),
]
P0Power = Annotated[float | None, number(SSE, "mf: p0 of a row in proportion to (its examples)^-power. Default: 0.")]
Epochs = Annotated[int | None, number(TRAINING, "Epochs, or sweeps of alternating least squares, at most.")]
Patience = Annotated[int | None, number(TRAINING, "Epochs without a better value on validation before it stops.")]
Metric = Annotated[
    str | None,
    named(
        TRAINING,
        "METRIC@K",
        "Rankings: what is taken on validation: precision, recall, ndcg, hr, map or mrr; sqlrank also rated_ndcg, "
        "its default with ratings; sasrec, ssept also sampled_ndcg and sampled_hr. Default: precision@10; "
        "sasrec, ssept: ndcg@10.",
    ),
]
NumThreads = Annotated[int | None, number(TRAINING, "Default: 1. With several, SGD is not deterministic.")]
Seed = Annotated[int | None, number(TRAINING, "Default: 0.")]
CheckpointDir = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="DIR",
        help="Keep the run here after every epoch; the same command goes on from there if it was killed, and with more "
        "--epochs if it has ended.",
        rich_help_panel=TRAINING,
        show_default=False,
    ),
]

# SGD
LearningRate = Annotated[float | None, number(SGD, "Step size of the first epoch.")]
LearningRateDecay = Annotated[float | None, number(SGD, "Its factor from one epoch to the next.")]
WeightDecay = Annotated[float | None, number(SGD, "L2 on the factors used, per example.")]
BiasWeightDecay = Annotated[float | None, number(SGD, "L2 on the biases used.")]
Dropout = Annotated[
    float | None, number(SGD, "Chance of a factor to be zeroed in an example. Default: 0; sasrec, ssept: 0.2.")
]
NumNegatives = Annotated[
    int | None,
    number(SGD, "Negatives drawn for each positive. Default: bpr 3; sqlrank 10, with ratings 0; sasrec, ssept 1."),
]
ListLength = Annotated[int | None, number(SGD, "sqlrank: longer lists are dealt into parts.")]
HardNegatives = Annotated[
    bool | None, flag(SGD, "hard-negatives", "bpr: train on the highest-scored of the negatives drawn.")
]
SwapNegatives = Annotated[bool | None, flag(SGD, "swap-negatives", "bpr, sqlrank: swap negatives too.")]
ValidateEvery = Annotated[int | None, number(SGD, "Epochs between two measurements. Default: 1; sasrec, ssept: 5.")]
Device = Annotated[
    str | None,
    named(SGD, "DEVICE", "mf, bpr: train through torch there; sasrec, ssept: train there. Default: cpu."),
]

# sequences
Setting = Annotated[
    str | None,
    named(
        SEQUENCES,
        "NAME",
        "The words of a published setting; options given go before them. table4-b2-none (or -input, -output, "
        "-both; -b6-), authors-labels, authors-inputs-labels; ssept-ml1m.",
    ),
]
Hidden = Annotated[int | None, number(SEQUENCES, "Length of an item's row. Default: 50.")]
UserHidden = Annotated[int | None, number(SEQUENCES, "ssept: length of a user's row. Default: 50.")]
Blocks = Annotated[int | None, number(SEQUENCES, "Blocks of attention and feed-forward. Default: 2.")]
Heads = Annotated[int | None, number(SEQUENCES, "Of attention. Default: 1.")]
Inner = Annotated[int | None, number(SEQUENCES, "Width within the feed-forward parts. Default: of the network.")]
MaxLength = Annotated[int | None, number(SEQUENCES, "Items of a history that count, the latest. Default: 200.")]
AttentionDropout = Annotated[float | None, number(SEQUENCES, "Of attention weights. Default: as the dropout.")]
Loss = Annotated[
    str | None,
    named(
        SEQUENCES,
        "NAME",
        "bce, gbce, sampled-softmax or softmax. Default: bce, the paper's.",
    ),
]
SharedNegatives = Annotated[bool | None, flag(SEQUENCES, "shared-negatives", "One set of negatives for a batch.")]
Calibration = Annotated[float | None, number(SEQUENCES, "t of gbce, 0 to 1. Default: 0.75.")]
UnseenNegatives = Annotated[
    bool | None,
    flag(SEQUENCES, "unseen-negatives", "Shared negatives that a user has in train count for nothing there."),
]
RandomWindow = Annotated[
    float | None,
    number(
        SEQUENCES,
        "Chance that a history longer than --max-length gives any stretch of it instead of the latest. Default: 0.",
    ),
]
Positions = Annotated[
    str | None,
    named(
        SEQUENCES,
        "learned|rotary",
        "A row for each place, or queries and keys turned by their places: fewer epochs. Default: learned.",
    ),
]
Temperature = Annotated[
    float | None,
    number(SEQUENCES, "Scores are cosines divided by it, 0.05 being usual. Default: none, inner products."),
]
DecayOfSequences = Annotated[
    float | None, number(SEQUENCES, "Factor of the learning rate from one epoch to the next. Default: 1.")
]
ScheduleOfSequences = Annotated[
    str | None,
    named(
        SEQUENCES,
        "NAME",
        f"Of every p0: {SCHEDULES}",
    ),
]
EmaDecay = Annotated[
    float | None,
    number(
        SEQUENCES,
        "Keep a moving average of the parameters over updates; 0.998: about the last 500. Default: 0, none.",
    ),
]
Precision = Annotated[
    str | None,
    named(
        SEQUENCES,
        "fp32|bf16",
        f"Of training. {FASTER}",
    ),
]
DecidingMetric = Annotated[
    str | None,
    named(
        SEQUENCES,
        "METRIC@10",
        f"What decides on validation: {DECIDING}",
    ),
]
BatchSize = Annotated[
    int | None, number(SEQUENCES, "Users in a step. Default: 128. mf, bpr with --device: examples; 4096, 1024.")
]

# alternating least squares
Regularization = Annotated[float | None, number(SQUARES, "L2 on the factors.")]
Alpha = Annotated[float | None, number(SQUARES, "als: what an observation adds to the confidence. Default: 10.")]
GraphWeight = Annotated[float | None, number(SQUARES, "graph-als: weight of the penalty along edges. Default: 0.1.")]
BiasRegularization = Annotated[float | None, number(SQUARES, "marginalized, graph-als: L2 on the biases.")]
PerExample = Annotated[bool | None, number(SQUARES, "graph-als: weigh the L2 of a row by its examples. Default: yes.")]
Solver = Annotated[
    str | None,
    named(
        SQUARES,
        "cg|cholesky",
        "als, marginalized: conjugate gradients, or exact. Default: cg.",
    ),
]
CgSteps = Annotated[int | None, number(SQUARES, "Steps of conjugate gradients.")]

# neighbours
Neighbors = Annotated[int | None, number(NEAR, "Neighbours of each item. Default: 200.")]
Similarity = Annotated[
    str | None,
    named(
        NEAR,
        "NAME",
        "cosine, jaccard, tfidf or bm25. Default: cosine.",
    ),
]
Shrinkage = Annotated[float | None, number(NEAR, "Holds back pairs that few users share. Default: 0.")]
Binary = Annotated[bool | None, number(NEAR, "Every pair counts 1, or as much as its rating. Default: 1.")]

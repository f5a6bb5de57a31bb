"""`torchsse translate`: its commands, and the one that trains a model from scratch."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from torchsse.cli import language
from torchsse.cli import word_graph as w
from torchsse.cli.language import DATA, SSE, TRAINING, origin, set_threads
from torchsse.cli.options import MODEL
from torchsse.cli.peer import PeerOption, peer_of
from torchsse.cli.progress import duration
from torchsse.cli.shell import say
from torchsse.cli.steps import step_progress
from torchsse.cli.translating_use import SourceColumn, TargetColumn, evaluate, read_pairs, run

__all__ = ["translate"]

OF_SIZE = "Default: the size's."

translate = typer.Typer(
    no_args_is_help=True,
    help="Translation: train on sentence pairs, measure, use.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class SizeName(StrEnum):
    """Sizes of models."""

    tiny = "tiny"
    small = "small"
    base = "base"


class ScheduleName(StrEnum):
    """Learning rates after the warm-up."""

    inverse_sqrt = "inverse-sqrt"
    linear = "linear"


class Overlap(StrEnum):
    """Which training pairs to drop for what is held out."""

    either = "either"
    pair = "pair"
    keep = "keep"


@translate.command()
def train(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="TRAIN...",
            help="Tables (.tsv, .tsv.gz), or two files with a sentence per line: source, target. FILE.tsv@set=train "
            "takes the lines whose column 'set' says train.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the model goes.", show_default=False)],
    dev: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Held-out pairs that choose the snapshots; may be repeated.", rich_help_panel=DATA
        ),
    ] = None,
    held_out: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Test data, whose sentences are dropped from TRAIN; may be repeated.",
            rich_help_panel=DATA,
        ),
    ] = None,
    overlap: Annotated[
        Overlap,
        typer.Option(
            help="Drop training pairs that share either sentence with --dev and --held-out, or the pair.",
            rich_help_panel=DATA,
        ),
    ] = Overlap.either,
    source: SourceColumn = None,
    target: TargetColumn = None,
    max_length: Annotated[int, typer.Option(help="Longest sentence, in pieces.", rich_help_panel=DATA)] = 128,
    max_ratio: Annotated[float, typer.Option(help="Most that one side may be longer.", rich_help_panel=DATA)] = 3.0,
    p0: Annotated[float, typer.Option(help="SSE probability of source and target words.", rich_help_panel=SSE)] = 0.01,
    p0_labels: Annotated[
        float, typer.Option(help="Of the words that the loss compares with.", rich_help_panel=SSE)
    ] = 0.0,
    graph: w.GraphOption = None,
    rho: w.Rho = None,
    wordnet: w.WordNet = None,
    neighbours: w.Neighbours = None,
    peer: PeerOption = None,
    size: Annotated[
        SizeName,
        typer.Option(help="tiny: 2+2 layers of width 128; small: 3+3 of 256; base: 6+6 of 512.", rich_help_panel=MODEL),
    ] = SizeName.small,
    vocabulary: Annotated[
        int | None, typer.Option(help=f"Pieces of the joint BPE. {OF_SIZE}", rich_help_panel=MODEL)
    ] = None,
    layers: Annotated[int | None, typer.Option(help=OF_SIZE, rich_help_panel=MODEL)] = None,
    width: Annotated[int | None, typer.Option(help=OF_SIZE, rich_help_panel=MODEL)] = None,
    heads: Annotated[int | None, typer.Option(help=OF_SIZE, rich_help_panel=MODEL)] = None,
    inner: Annotated[int | None, typer.Option(help=OF_SIZE, rich_help_panel=MODEL)] = None,
    dropout: Annotated[float, typer.Option(rich_help_panel=MODEL)] = 0.1,
    label_smoothing: Annotated[float, typer.Option(rich_help_panel=TRAINING)] = 0.1,
    epochs: Annotated[int, typer.Option(rich_help_panel=TRAINING)] = 10,
    max_steps: Annotated[int | None, typer.Option(help="Updates at most.", rich_help_panel=TRAINING)] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(help=f"Tokens of a batch on each side. {OF_SIZE}", rich_help_panel=TRAINING)
    ] = None,
    accumulate: Annotated[int, typer.Option(help="Batches to an update.", rich_help_panel=TRAINING)] = 1,
    learning_rate: Annotated[float | None, typer.Option(help=OF_SIZE, rich_help_panel=TRAINING)] = None,
    warmup: Annotated[int | None, typer.Option(help=f"Updates. {OF_SIZE}", rich_help_panel=TRAINING)] = None,
    schedule: Annotated[ScheduleName, typer.Option(rich_help_panel=TRAINING)] = ScheduleName.inverse_sqrt,
    clip: Annotated[float, typer.Option(help="Longest gradient.", rich_help_panel=TRAINING)] = 1.0,
    average: Annotated[int, typer.Option(help="Snapshots that make the model.", rich_help_panel=TRAINING)] = 5,
    snapshot_steps: Annotated[
        int | None, typer.Option(help="Updates between snapshots. Default: 1/40 of all.", rich_help_panel=TRAINING)
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Snapshots without a better dev loss until it stops.", rich_help_panel=TRAINING)
    ] = None,
    precision: language.Precision = "fp32",
    device: language.Device = "auto",
    num_threads: language.NumThreads = None,
    seed: Annotated[int, typer.Option(rich_help_panel=TRAINING)] = 0,
    restart: Annotated[bool, typer.Option("--restart", help="Discard what --out holds, finished or not.")] = False,
) -> None:
    """Train a model that translates. Killed, the same command goes on where it was.

    \b
    torchsse translate train pairs.tsv --out model
    torchsse translate train train.en train.de --dev dev.en --dev dev.de \\
      --size tiny --out model
    torchsse translate train all.tsv@set=train --dev all.tsv@set=val --p0 0 \\
      --out baseline
    """
    from torchsse.errors import ConfigError
    from torchsse.nlp.corpus import without_overlap
    from torchsse.nlp.translation import TranslationSettings, train_translation

    if patience is not None and not dev:
        raise ConfigError("--patience needs --dev")
    laid, other = w.word_graph(graph, rho, wordnet, neighbours), peer_of(peer)
    settings = TranslationSettings.of(
        size.value, vocabulary=vocabulary, layers=layers, width=width, heads=heads, inner=inner, dropout=dropout,
        label_smoothing=label_smoothing, epochs=epochs, max_steps=max_steps, batch_tokens=batch_tokens,
        accumulate=accumulate, learning_rate=learning_rate, warmup=warmup, schedule=schedule.value, clip=clip,
        average=average, snapshot_steps=snapshot_steps, patience=patience, max_length=max_length, max_ratio=max_ratio,
        p0=p0, p0_labels=p0_labels, precision=precision, seed=seed,
    )  # fmt: skip
    set_threads(num_threads)
    corpus = read_pairs(files, source, target)
    say(
        f"train: {len(corpus):,} pairs" + (f", {corpus.dropped:,} with an empty side dropped" if corpus.dropped else "")
    )
    dev_pairs = read_pairs(dev, source, target) if dev else None
    others = [
        *([dev_pairs] if dev_pairs is not None else []),
        *([read_pairs(held_out, source, target)] if held_out else []),
    ]
    dropped = 0
    if others and overlap is not Overlap.keep:
        corpus, dropped = without_overlap(corpus, others, whole_pairs=overlap is Overlap.pair)
        say(f"{dropped:,} training pairs occur in held-out data and were dropped")
    facts = {"overlap_dropped": dropped, "provenance": origin(device)}
    with step_progress() as observer:
        record = train_translation(
            corpus,
            out,
            settings,
            dev=dev_pairs,
            device=device,
            observer=observer,
            restart=restart,
            facts=facts,
            graph=laid,
            peer=other,
        )
    measured = f", dev loss {record['dev_loss']:.3f}" if "dev_loss" in record else ""
    typer.echo(
        f"{record['steps']:,} steps in {duration(record['seconds'])}, {record['parameters']:,} parameters{measured}; "
        f"saved in {out}"
    )


translate.command()(evaluate)
translate.command()(run)

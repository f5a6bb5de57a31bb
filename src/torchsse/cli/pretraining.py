"""`torchsse pretrain`: masked-LM training of a checkpoint on a text, with SSE or without."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from torchsse.cli import language
from torchsse.cli import options as o
from torchsse.cli import word_graph as w
from torchsse.cli.language import RESUME, SSE, TRAINING, origin, set_threads
from torchsse.cli.peer import PeerOption, peer_of
from torchsse.cli.steps import step_progress

__all__ = ["pretrain"]

TEXT = "Text"


def pretrain(
    context: typer.Context,
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="Directory of transformers, or an id of the hub.")
    ],
    texts: Annotated[
        list[Path],
        typer.Argument(metavar="TEXT...", help="One document per line, or a column of .tsv / .csv; gzip or plain."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the new checkpoint goes.", show_default=False)],
    exclude: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Documents that occur in it are left out: test sets.", rich_help_panel=TEXT),
    ] = None,
    text_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Of tables, by name or position from 0. Default: found.", rich_help_panel=TEXT
        ),
    ] = None,
    held_out: Annotated[
        int, typer.Option(help="Documents at the end that are measured, not trained on.", rich_help_panel=TEXT)
    ] = 0,
    p0_input: Annotated[
        float, typer.Option(help="SSE probability of words read; 0: none.", rich_help_panel=SSE)
    ] = 0.015,
    p0_label: Annotated[
        float, typer.Option(help="SSE probability of words to tell; 0: none.", rich_help_panel=SSE)
    ] = 0.015,
    graph: w.GraphOption = None,
    rho: w.Rho = None,
    wordnet: w.WordNet = None,
    neighbours: w.Neighbours = None,
    peer: PeerOption = None,
    epochs: Annotated[float, typer.Option(help="Passes over the text.", rich_help_panel=TRAINING)] = 1.0,
    steps: Annotated[
        int | None, typer.Option(help="Steps, in the place of --epochs.", rich_help_panel=TRAINING)
    ] = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a piece of text.", rich_help_panel=TRAINING)] = 128,
    batch_size: Annotated[int, typer.Option(help="Pieces of a step.", rich_help_panel=TRAINING)] = 32,
    accumulate: Annotated[int, typer.Option(help="Parts a batch is computed in.", rich_help_panel=TRAINING)] = 1,
    learning_rate: Annotated[float, typer.Option(help="Peak; decays to 0.", rich_help_panel=TRAINING)] = 5e-5,
    weight_decay: Annotated[float, typer.Option(help="Of matrices.", rich_help_panel=TRAINING)] = 0.01,
    warmup: Annotated[float, typer.Option(help="Part of the steps.", rich_help_panel=TRAINING)] = 0.06,
    mask_rate: Annotated[float, typer.Option(help="Part of the positions to tell.", rich_help_panel=TRAINING)] = 0.15,
    precision: language.Precision = "fp32",
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, more time.", rich_help_panel=TRAINING)
    ] = False,
    random_init: Annotated[
        bool,
        typer.Option("--random-init", help="A control: only the shape of the checkpoint.", rich_help_panel=TRAINING),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of masks, swaps, batches, dropout.", rich_help_panel=TRAINING)] = 0,
    device: language.Device = "auto",
    num_threads: language.NumThreads = None,
    save_every: Annotated[float, typer.Option(help="Seconds between saved states.", rich_help_panel=TRAINING)] = 120.0,
    restart: Annotated[bool, typer.Option("--restart", help="Discard an earlier run in --out.")] = False,
) -> None:
    """Go on training a checkpoint as a masked language model, with SSE.

    The same command goes on where a run was stopped.

    \b
    torchsse pretrain bert-base-uncased reviews.txt.gz --out with
    torchsse pretrain bert-base-uncased reviews.txt.gz --exclude test.tsv \\
      --p0-input 0 --p0-label 0 --out without
    torchsse pretrain bert-base-uncased reviews.txt.gz --out graph \\
      --graph wordnet --rho 1000
    """
    from torchsse.nlp.pretraining import PretrainSettings
    from torchsse.nlp.pretraining import pretrain as run
    from torchsse.nlp.texts import gather

    settings = PretrainSettings(
        p0_input=p0_input, p0_label=p0_label, max_length=max_length, batch_size=batch_size, accumulate=accumulate,
        epochs=epochs, steps=steps, learning_rate=learning_rate, weight_decay=weight_decay, warmup=warmup,
        mask_rate=mask_rate, held_out=held_out, seed=seed, precision=precision, random_init=random_init,
        gradient_checkpointing=gradient_checkpointing,
    )  # fmt: skip
    laid, other = w.word_graph(graph, rho, wordnet, neighbours), peer_of(peer)
    set_threads(num_threads)
    context.find_root().obj = RESUME
    with step_progress() as watch:
        corpus = gather(texts, exclude or (), o.position(text_column))
        left = f"; {corpus.excluded:,} occur in the files to exclude and are left out" if exclude else ""
        watch.say(f"text: {corpus.read:,} documents{left}")
        done = run(
            checkpoint, corpus.documents, out, settings, device=device, observer=watch, restart=restart,
            save_every=save_every, provenance=origin(device), graph=laid, peer=other,
        ).report  # fmt: skip
    losses = [entry["loss"] for entry in done["history"] if "loss" in entry]
    measured = ""
    if "held_out_loss" in done:
        measured = f", held-out {done['held_out_loss_before']:.4f} -> {done['held_out_loss']:.4f}"
    typer.echo(f"{done['steps']:,} steps, loss {losses[0]:.4f} -> {losses[-1]:.4f}{measured}; saved in {out}")

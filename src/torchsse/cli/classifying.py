"""`torchsse classify train | evaluate | predict`: texts into classes, with SSE or without."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from torchsse.cli import language
from torchsse.cli import options as o
from torchsse.cli import word_graph as w
from torchsse.cli.language import DATA, RESUME, SSE, TRAINING, origin, set_threads
from torchsse.cli.peer import PeerOption, peer_of
from torchsse.cli.steps import step_progress

__all__ = ["classify"]

BLOCK = 256  # lines of standard input predicted at once

classify = typer.Typer(name="classify", no_args_is_help=True, help="Classify texts: train, evaluate, predict.")

ModelDir = Annotated[Path, typer.Argument(metavar="DIR", help="What `classify train` wrote, or any classifier.")]
TextColumn = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="By name or position from 0. Default: found.", rich_help_panel=DATA),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="By name or position from 0. Default: found.", rich_help_panel=DATA),
]
Header = Annotated[
    bool | None,
    typer.Option(help="Whether the first line names the columns. Default: found.", rich_help_panel=DATA),
]


@classify.command()
def train(
    context: typer.Context,
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="Directory of transformers, or an id of the hub.")
    ],
    data: Annotated[Path, typer.Argument(metavar="TRAIN", help="TSV or CSV of texts and labels; gzip or plain.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the classifier goes.", show_default=False)],
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Measured after each epoch.", rich_help_panel=DATA)
    ] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    header: Header = None,
    p0: Annotated[float, typer.Option(help="SSE probability of words; 0: none.", rich_help_panel=SSE)] = 0.01,
    p0_label: Annotated[float, typer.Option(help="SSE probability of classes; 0: none.", rich_help_panel=SSE)] = 0.0,
    graph: w.GraphOption = None,
    rho: w.Rho = None,
    wordnet: w.WordNet = None,
    neighbours: w.Neighbours = None,
    peer: PeerOption = None,
    epochs: Annotated[int, typer.Option(help="Passes over TRAIN.", rich_help_panel=TRAINING)] = 3,
    max_length: Annotated[int, typer.Option(help="Tokens at which texts are cut.", rich_help_panel=TRAINING)] = 128,
    batch_size: Annotated[int, typer.Option(help="Texts of a step.", rich_help_panel=TRAINING)] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak; decays to 0.", rich_help_panel=TRAINING)] = 3e-5,
    weight_decay: Annotated[float, typer.Option(help="Of matrices.", rich_help_panel=TRAINING)] = 0.01,
    warmup: Annotated[float, typer.Option(help="Part of the steps.", rich_help_panel=TRAINING)] = 0.06,
    precision: language.Precision = "fp32",
    random_init: Annotated[
        bool,
        typer.Option("--random-init", help="A control: only the shape of the checkpoint.", rich_help_panel=TRAINING),
    ] = False,
    seed: Annotated[int, typer.Option(help="The first, where there are several.", rich_help_panel=TRAINING)] = 0,
    seeds: Annotated[
        int, typer.Option(help="How many; above 1 each has a folder in DIR.", min=1, rich_help_panel=TRAINING)
    ] = 1,
    device: language.Device = "auto",
    num_threads: language.NumThreads = None,
    save_every: Annotated[float, typer.Option(help="Seconds between saved states.", rich_help_panel=TRAINING)] = 120.0,
    restart: Annotated[bool, typer.Option("--restart", help="Discard an earlier run in --out.")] = False,
) -> None:
    """Fine-tune a checkpoint. The same command goes on where a run was stopped.

    \b
    torchsse classify train bert-base-uncased train.tsv --out with
    torchsse classify train bert-base-uncased train.tsv --p0 0 --seeds 3 \\
      --out without
    torchsse classify train bert-base-uncased train.tsv --p0 0 \\
      --peer neftune=5 --out neftune
    """
    from torchsse.nlp.classification_training import ClassifySettings, train_classifier
    from torchsse.nlp.texts import read_labelled

    laid, other = w.word_graph(graph, rho, wordnet, neighbours), peer_of(peer)
    runs = [
        ClassifySettings(
            p0_input=p0, p0_label=p0_label, max_length=max_length, batch_size=batch_size, epochs=epochs,
            learning_rate=learning_rate, weight_decay=weight_decay, warmup=warmup, seed=number, precision=precision,
            random_init=random_init,
        ) for number in range(seed, seed + seeds)
    ]  # fmt: skip
    set_threads(num_threads)
    columns = (o.position(text_column), o.position(label_column), header)
    texts = read_labelled(data, *columns)
    watched = None if validation is None else read_labelled(validation, *columns)
    context.find_root().obj = RESUME
    for settings in runs:
        folder = out if seeds == 1 else out / f"seed-{settings.seed}"
        with step_progress() as watch:
            if seeds > 1:
                watch.say(f"seed {settings.seed}")
            report = train_classifier(
                checkpoint, texts, folder, settings, validation=watched, device=device, observer=watch,
                restart=restart, save_every=save_every, provenance=origin(device), graph=laid, peer=other,
            ).report  # fmt: skip
        losses = [entry["loss"] for entry in report["history"] if "loss" in entry]
        found = [entry["validation"]["accuracy"] for entry in report["history"] if "validation" in entry]
        measured = f", validation accuracy {found[-1]:.4f}" if found else ""
        typer.echo(
            f"{report['texts']:,} texts, {report['steps']:,} steps, loss {losses[0]:.4f} -> {losses[-1]:.4f}"
            f"{measured}; saved in {folder}"
        )


@classify.command()
def evaluate(
    directory: ModelDir,
    test: Annotated[Path, typer.Argument(metavar="TEST", help="TSV or CSV of texts and labels; gzip or plain.")],
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    header: Header = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSON with what was said of each text, for paired tests.", show_default=False
        ),
    ] = None,
    device: language.Device = "auto",
    num_threads: language.NumThreads = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Accuracy, F1 and AUC on labelled texts; of a directory of several seeds each of them, and the mean.

    \b
    torchsse classify evaluate model test.tsv
    torchsse classify evaluate model test.csv --text-column review \\
      --label-column sentiment --out test.json
    """
    from torchsse.nlp.texts import read_labelled

    set_threads(num_threads)
    data = read_labelled(test, o.position(text_column), o.position(label_column), header)
    runs = [_measured(folder, data, device) for folder in _members(directory)]
    document: dict[str, Any] = {"schema": 1, "test": str(test), "runs": runs}
    if len(runs) > 1:
        document["mean"] = _means(runs)
    if out is not None:
        from torchsse.experiments.files import write_json

        write_json(out, {**document, "provenance": origin(device)})
    if as_json:
        short = [{name: value for name, value in run.items() if name not in ("correct", "probability")} for run in runs]
        typer.echo(json.dumps({**document, "runs": short}))
        return
    for run in runs:
        typer.echo((f"{Path(run['model']).name}: " if len(runs) > 1 else "") + _line(run))
    if len(runs) > 1:
        mean = document["mean"]
        typer.echo(
            f"mean of {len(runs)}: accuracy {mean['accuracy']['mean']:.4f} "
            f"[{mean['accuracy']['low']:.4f}, {mean['accuracy']['high']:.4f}] (95 %, over seeds)"
        )


@classify.command()
def predict(
    directory: ModelDir,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object per line.")] = False,
    device: language.Device = "auto",
    num_threads: language.NumThreads = None,
) -> None:
    """Label and probability of each line of standard input, separated by a tab.

    \b
    torchsse classify predict model < reviews.txt > answers.txt
    echo "a great film" | torchsse classify predict model
    """
    from torchsse.nlp.classification import Classifier

    set_threads(num_threads)
    classifier = Classifier.load(directory, device)
    lines = (line.decode(errors="replace").rstrip("\r\n") for line in sys.stdin.buffer)
    while block := list(itertools.islice(lines, BLOCK)):
        for label, probability in classifier.predict(block):
            if as_json:
                typer.echo(json.dumps({"label": label, "probability": round(probability, 6)}))
            else:
                typer.echo(f"{label}\t{probability:.4f}")


def _members(directory: Path) -> list[Path]:
    """The directory itself, or the seeds in it."""
    if (directory / "config.json").exists():
        return [directory]
    seeds = [path for path in directory.glob("seed-*") if path.name.removeprefix("seed-").isdigit()]
    return sorted(seeds, key=lambda path: int(path.name.removeprefix("seed-"))) or [directory]


def _measured(folder: Path, data: Any, device: str) -> dict[str, Any]:
    from torchsse.nlp.classification import Classifier

    found = Classifier.load(folder, device).evaluate(data)
    return {
        "model": str(folder), **found.scores.summary(),
        "correct": found.scores.correct.astype(int).tolist(), "probability": found.probabilities.round(6).tolist(),
    }  # fmt: skip


def _means(runs: list[dict[str, Any]]) -> dict[str, Any]:
    from torchsse.metrics import t_interval

    means = {}
    for name in ("accuracy", "f1", "f1_macro", "auc", "balanced_accuracy"):
        values = [run[name] for run in runs]
        if None not in values:
            interval = t_interval(values)
            means[name] = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return means


def _line(run: dict[str, Any]) -> str:
    parts = [f"accuracy {run['accuracy']:.4f}", f"macro F1 {run['f1_macro']:.4f}"]
    parts += [f"{label} {run[name]:.4f}" for name, label in (("f1", "F1"), ("auc", "AUC")) if run[name] is not None]
    return f"{', '.join(parts)} on {run['n']:,} texts"

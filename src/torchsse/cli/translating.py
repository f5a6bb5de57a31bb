"""`torchsse translate train | evaluate | run`: translation models trained from scratch."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torchsse.cli.progress import duration
from torchsse.cli.shell import say
from torchsse.cli.steps import step_progress

if TYPE_CHECKING:
    from torchsse.nlp.corpus import Corpus
    from torchsse.nlp.translation import Translator

__all__ = ["translate"]

DATA, SSE, MODEL, TRAINING = "Data", "Stochastic Shared Embeddings", "Model", "Training"
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


SourceColumn = Annotated[
    str | None, typer.Option("--source", metavar="COLUMN", help="Column of tables: name or position from 0.",
                             rich_help_panel=DATA)
]  # fmt: skip
TargetColumn = Annotated[str | None, typer.Option("--target", metavar="COLUMN", rich_help_panel=DATA)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.", rich_help_panel=TRAINING)]
Threads = Annotated[int | None, typer.Option(help="Of the CPU. Default: torch's.", min=1, rich_help_panel=TRAINING)]
Beams = Annotated[int, typer.Option(help="Width of the beam search; 1: greedy.", min=1)]
Penalty = Annotated[float, typer.Option("--length-penalty", help="Above 1 favours longer translations.")]
BatchTokens = Annotated[int, typer.Option("--batch-tokens", help="Source tokens times beams of a batch.", min=1)]
ModelDir = Annotated[
    Path, typer.Argument(metavar="DIR", help="A model of `torchsse translate train`, or of transformers.")
]


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
    precision: Annotated[str, typer.Option(help="fp32, or bf16 on a GPU.", rich_help_panel=TRAINING)] = "fp32",
    device: Device = "auto",
    threads: Threads = None,
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
    settings = TranslationSettings.of(
        size.value, vocabulary=vocabulary, layers=layers, width=width, heads=heads, inner=inner, dropout=dropout,
        label_smoothing=label_smoothing, epochs=epochs, max_steps=max_steps, batch_tokens=batch_tokens,
        accumulate=accumulate, learning_rate=learning_rate, warmup=warmup, schedule=schedule.value, clip=clip,
        average=average, snapshot_steps=snapshot_steps, patience=patience, max_length=max_length, max_ratio=max_ratio,
        p0=p0, p0_labels=p0_labels, precision=precision, seed=seed,
    )  # fmt: skip
    _set_threads(threads)
    corpus = _read(files, source, target)
    say(
        f"train: {len(corpus):,} pairs" + (f", {corpus.dropped:,} with an empty side dropped" if corpus.dropped else "")
    )
    dev_pairs = _read(dev, source, target) if dev else None
    others = [*([dev_pairs] if dev_pairs is not None else []), *([_read(held_out, source, target)] if held_out else [])]
    dropped = 0
    if others and overlap is not Overlap.keep:
        corpus, dropped = without_overlap(corpus, others, whole_pairs=overlap is Overlap.pair)
        say(f"{dropped:,} training pairs occur in held-out data and were dropped")
    facts = {"overlap_dropped": dropped, "provenance": _provenance(device)}
    with step_progress() as observer:
        record = train_translation(
            corpus, out, settings, dev=dev_pairs, device=device, observer=observer, restart=restart, facts=facts
        )
    measured = f", dev loss {record['dev_loss']:.3f}" if "dev_loss" in record else ""
    typer.echo(
        f"{record['steps']:,} steps in {duration(record['seconds'])}, {record['parameters']:,} parameters{measured}; "
        f"saved in {out}"
    )


@translate.command()
def evaluate(
    directory: ModelDir,
    files: Annotated[list[Path], typer.Argument(metavar="TEST...", help="Tables, or two files: source, target.")],
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Measure each value of this column for itself.", rich_help_panel=DATA),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A second model to compare with, on the same sentences.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="So many sentences of each test set, evenly spaced.", min=2, rich_help_panel=DATA)
    ] = None,
    source: SourceColumn = None,
    target: TargetColumn = None,
    beams: Beams = 4,
    length_penalty: Penalty = 1.0,
    batch_tokens: BatchTokens = 4096,
    device: Device = "auto",
    threads: Threads = None,
    translations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write set, source, reference, translation as TSV.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """BLEU and chrF by sacrebleu, with intervals; against a second model with a paired bootstrap.

    \b
    torchsse translate evaluate model test.tsv
    torchsse translate evaluate model newstest.tsv --by set --baseline without
    """
    from torchsse.metrics import TEXT_METRICS, compare_translations, score_translations
    from torchsse.nlp.translation import Translator

    _set_threads(threads)
    corpus = _read(files, source, target, group=by, keep_empty=True)
    models = {"model": Translator.load(directory, device)}
    if baseline is not None:
        models["baseline"] = Translator.load(baseline, device)
    results: list[dict[str, Any]] = []
    lines: list[str] = []
    for name, part in corpus.parts().items():
        if sample is not None and sample < len(part):
            part = part.rows(i * len(part) // sample for i in range(sample))
        found = {
            which: _translate(translator, part.source, which if not name else f"{name}, {which}",
                              beams=beams, length_penalty=length_penalty, batch_tokens=batch_tokens)
            for which, translator in models.items()
        }  # fmt: skip
        lines += [
            "\t".join(row) for row in zip([name] * len(part), part.source, part.target, found["model"], strict=True)
        ]
        for metric in TEXT_METRICS:
            score = score_translations(found["model"], part.target, metric)
            record = {"set": name or None, "metric": metric, **score._asdict()}
            if baseline is not None and len(part) > 1:
                record["baseline"] = score_translations(found["baseline"], part.target, metric, n_boot=1).score
                other = compare_translations([found["model"]], [found["baseline"]], part.target, metric)
                record |= {"difference": other.difference, "difference_ci95": [other.low, other.high]}
                record["p_value"] = other.p_value
            results.append(record)
    if translations is not None:
        translations.write_text("".join(line + "\n" for line in ["set\tsource\treference\ttranslation", *lines]))
    if as_json:
        settings = {"beams": beams, "length_penalty": length_penalty, "sample": sample}
        document = {"schema": 1, "model": str(directory), "baseline": str(baseline) if baseline is not None else None}
        typer.echo(
            json.dumps(
                {
                    **document,
                    **settings,
                    "test_sha256": corpus.sha256(),
                    "provenance": _provenance(device),
                    "results": results,
                }
            )
        )
        return
    _show(results)


@translate.command()
def run(
    directory: ModelDir,
    beams: Beams = 4,
    length_penalty: Penalty = 1.0,
    batch_tokens: BatchTokens = 4096,
    lines: Annotated[int, typer.Option(help="Read so many lines at a time.", min=1)] = 512,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Translate standard input, line by line, to standard output.

    \b
    echo "A man rides a horse." | torchsse translate run model
    torchsse translate run model < english.txt > german.txt
    """
    from torchsse.errors import DataError
    from torchsse.nlp.translation import Translator

    _set_threads(threads)
    translator = Translator.load(directory, device)
    if sys.stdin.isatty():
        say("type a sentence and press Enter; Ctrl-D ends")
        lines = 1
    block: list[str] = []

    def flush() -> None:
        for text in translator.translate(block, beams=beams, length_penalty=length_penalty, batch_tokens=batch_tokens):
            sys.stdout.write(text + "\n")
        sys.stdout.flush()
        block.clear()

    # bytes, and line feeds only: sentences hold other line ends, and the terminal's encoding is not the text's
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            block.append(line.decode().rstrip("\r\n"))
        except UnicodeDecodeError as error:
            raise DataError(f"standard input, line {number}: expected UTF-8 text: {error.reason}") from None
        if len(block) == lines:
            flush()
    if block:
        flush()


def _read(
    files: list[Path], source: str | None, target: str | None, group: str | None = None, keep_empty: bool = False
) -> Corpus:
    from torchsse.cli.options import position
    from torchsse.nlp.corpus import read_parallel

    return read_parallel(*files, source=position(source), target=position(target), group=group, keep_empty=keep_empty)


def _translate(translator: Translator, texts: list[str], what: str, **settings: Any) -> list[str]:
    """With a bar on a terminal."""
    from rich.progress import Progress

    from torchsse.cli.shell import stderr

    with Progress(console=stderr(), disable=not stderr().is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=len(texts))
        return translator.translate(texts, callback=lambda done, _: bar.update(task, completed=done), **settings)


def _show(results: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from torchsse.report.format import interval, number, p_value, signed

    grouped = any(record["set"] for record in results)
    compared = any("difference" in record for record in results)
    heads = [
        *(["set"] if grouped else []),
        "",
        "score",
        "95 %",
        *(["baseline", "difference", "95 %", "p"] if compared else []),
    ]
    table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False)
    names = {"bleu": "BLEU", "chrf": "chrF"}

    def two(value: float) -> str:
        return number(value, 2)

    for record in results:
        row = [record["set"] or ""] if grouped else []
        row += [names[record["metric"]], number(record["score"], 2), interval([record["low"], record["high"]], two)]
        if "difference" in record:
            row += [number(record["baseline"], 2), signed(record["difference"], 2)]
            row += [interval(record["difference_ci95"], lambda value: signed(value, 2)), p_value(record["p_value"])]
        table.add_row(*row)
    Console().print(table)
    for signature in dict.fromkeys(f"{names[r['metric']]}|{r['signature']}" for r in results):
        typer.echo(signature)
    sentences = {r["set"]: r["sentences"] for r in results}
    typer.echo(f"{sum(sentences.values()):,} sentences; intervals over 1,000 resamples of them")


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _provenance(device: str) -> dict[str, Any]:
    from importlib import metadata

    import torch

    from torchsse.experiments.provenance import now, provenance

    versions = {name: metadata.version(name) for name in ("transformers", "tokenizers")}
    return {**provenance(device), **versions, "threads": torch.get_num_threads(), "time": now()}

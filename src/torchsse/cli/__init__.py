"""The command line: parses and calls. Heavy libraries are imported inside the commands, so that help is quick."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

__all__ = ["app", "main"]

try:
    import typer
except ImportError:
    sys.exit("error: the command line needs typer and rich: pip install 'torchsse[recsys]'")

from torchsse.cli.benching import bench
from torchsse.cli.classifying import classify
from torchsse.cli.comparing import compare, demo
from torchsse.cli.data import data
from torchsse.cli.exporting import export
from torchsse.cli.fitting import fit
from torchsse.cli.pretraining import pretrain
from torchsse.cli.reproducing import reproduce
from torchsse.cli.shell import Shell
from torchsse.cli.translating import translate
from torchsse.cli.tuning import tune
from torchsse.cli.using import evaluate, recommend

app = typer.Typer(
    name="torchsse",
    cls=Shell,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, compare, tune, fit, evaluate, recommend, export, reproduce, pretrain):
    app.command()(command)
app.add_typer(classify, name="classify")
app.add_typer(translate, name="translate")
app.command()(bench)
app.add_typer(data)


def show_version(wanted: bool) -> None:
    """Eager: answers before a command is asked for."""
    if wanted:
        typer.echo(f"torchsse {metadata.version('torchsse')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=show_version)
    ] = False,
) -> None:
    """Stochastic Shared Embeddings: swap embedding ids at random, along a graph or over the whole table.

    \b
    torchsse demo                                does SSE help? on generated data
    torchsse compare ratings.csv                 the same on your ratings
    torchsse tune bpr clicks.csv --out tuned     the best settings of one model
    torchsse fit mf ratings.csv --out model      train one model
    torchsse recommend model --user 42 -k 10     and use it
    """


def main() -> None:
    """The `torchsse` command."""
    app()

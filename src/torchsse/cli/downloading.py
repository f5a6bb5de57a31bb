"""`torchsse data list` and `torchsse data download`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from torchsse.cli.progress import duration
from torchsse.cli.shell import say, stderr

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AsJson", "download", "list_data"]

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def list_data(as_json: AsJson = False) -> None:
    """Data sets with their terms, and the formats that are read.

    Says which can be downloaded.

    \b
    torchsse data list
    torchsse data list --json
    """
    from dataclasses import asdict

    from torchsse.data.catalog import CATALOG
    from torchsse.data.formats import FORMATS

    if as_json:
        formats = [{"name": f.name, "aliases": f.aliases, "title": f.title, "form": f.form} for f in FORMATS]
        typer.echo(json.dumps({"data_sets": [asdict(entry) for entry in CATALOG], "formats": formats}))
        return
    typer.echo("Can be downloaded (torchsse data download NAME --out DIR):")
    for entry in (e for e in CATALOG if e.url):
        check = "sha256" if entry.sha256 else "md5" if entry.md5 else "no checksum: --sha256 or --record"
        typer.echo(f"  {entry.name:<16} {_size(entry.size):>8}  {entry.title} [{check}]")
        typer.echo(f"  {'':<16} {'':>8}  {entry.licence}; {entry.page}")
    typer.echo("\nRead, but to be got by hand:")
    for entry in (e for e in CATALOG if not e.url):
        typer.echo(f"  {entry.name:<16} {entry.title}: {entry.why_not}")
        typer.echo(f"  {'':<16} {entry.licence}; {entry.page}")
    typer.echo("\nFormats (found by name and content where that is safe, or --format NAME):")
    for known in FORMATS:
        also = f" (also {', '.join(known.aliases)})" if known.aliases else ""
        typer.echo(f"  {known.name}{also}: {known.title}")
        typer.echo(f"      {known.form}")


def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of `torchsse data list`, or an https address.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Gets a folder for the data set.", show_default=False)],
    sha256: Annotated[str | None, typer.Option(help="What the file must have.")] = None,
    record: Annotated[
        bool,
        typer.Option("--record", help="No checksum is known: take what comes, and check later downloads against it."),
    ] = False,
    max_size: Annotated[
        float, typer.Option(metavar="GIB", help="The most that the file may have, packed and unpacked.", min=0.001)
    ] = 8.0,
    retries: Annotated[int, typer.Option(help="Attempts without getting further before it gives up.", min=0)] = 5,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a folder that is there.")] = False,
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="Keep the file that was unpacked.")] = False,
) -> None:
    """Fetch a data set over https, check it, unpack it.

    Killed, it goes on where it stopped.

    \b
    torchsse data download ml-1m --out data
    torchsse compare data/ml-1m/ratings.dat
    """
    from torchsse.data.catalog import CATALOG
    from torchsse.data.download import download as fetch

    terms = next((f"{e.licence}; {e.page}" for e in CATALOG if e.name == name and e.url), None)
    if terms:
        say(f"terms: {terms}")
    with _transfer() as progress:
        folder = fetch(
            name,
            out,
            sha256=sha256,
            record=record,
            max_size=int(max_size * 2**30),
            overwrite=overwrite,
            keep_archive=keep_archive,
            retries=retries,
            progress=progress,
        )
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "torchsse-download.json")
    typer.echo(f"{folder}: {len(files)} files, {_size(sum(p.stat().st_size for p in files))}")


def _size(count: int) -> str:
    """Bytes as people say them.

    >>> _size(0), _size(4_924_029), _size(261_978_986), _size(8 << 30)
    ('0 B', '4.7 MiB', '249.8 MiB', '8.0 GiB')
    """
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


@contextmanager
def _transfer() -> Iterator[Callable[[int, int | None], None]]:
    """Shows bytes, pace and time left: a bar on a terminal, else a line every ten seconds."""
    console = stderr()
    if not console.is_terminal:
        began, first, told = time.monotonic(), -1, 0.0

        def line(done: int, total: int | None) -> None:
            nonlocal first, told
            now = time.monotonic()
            first = done if first < 0 else first
            if now - told >= 10 or done == total:
                told = now
                pace = (done - first) / max(now - began, 1e-9)
                left = f", about {duration((total - done) / pace)} left" if total and pace and done < total else ""
                say(f"{_size(done)}{f' of {_size(total)}' if total else ''}{left}")

        yield line
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    with Progress(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

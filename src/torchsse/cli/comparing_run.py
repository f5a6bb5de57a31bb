"""A comparison on the command line: what was read, the run, what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchsse.cli.progress import progress
from torchsse.cli.searching import cores, show_written, try_figures
from torchsse.cli.shell import say, stdout

if TYPE_CHECKING:
    from torchsse.experiments.settings import CompareData, CompareSettings

__all__ = ["describe", "feedback_of", "run"]


def feedback_of(data: CompareData) -> str:
    """The kind, or "sequences"."""
    return str(getattr(data.train, "feedback", "sequences"))


def describe(data: CompareData) -> None:
    """What was read, before the long part begins."""
    train, test = data.train, data.test
    what = {
        "explicit": "ratings",
        "implicit": "positives (implicit feedback)",
        "sequences": "actions",
    }[feedback_of(data)]
    say(f"train: {len(train):,} {what}, {train.num_users:,} users, {train.num_items:,} items")
    say(f"test: {len(test):,} {what}")
    for note in data.notes:
        say(note)


def run(
    data: CompareData,
    arms: tuple[Any, ...],
    settings: CompareSettings,
    out: Path,
    jobs: int | None,
    restart: bool,
    allowed: tuple[str, ...] = (),
) -> None:
    """Run the comparison and show it."""
    from torchsse.experiments.compare import compare as run_comparison
    from torchsse.experiments.task import task_of

    say(f"arms: {', '.join(arm.name for arm in arms)}; {settings.trials} trials and {settings.seeds} seeds each")
    with progress(task_of(data.train, settings).metric) as observer:
        document = run_comparison(
            data,
            arms,
            settings,
            out,
            jobs=cores() if jobs is None else jobs,
            observer=observer,
            restart=restart,
            allowed=allowed,
        )
    show(document, out)


def show(document: dict[str, Any], out: Path) -> None:
    """Table, verdict and remarks on stdout; report.md and the plots beside results.json."""
    from torchsse.experiments.files import write_text
    from torchsse.report import markdown_page, remarks, rich_further, rich_table, verdict, write_figures

    figures = try_figures(write_figures, document, out)
    write_text(out / "report.md", markdown_page(document, figures))
    console = stdout()
    console.print()
    console.print(rich_table(document))
    more = rich_further(document)
    if more is not None:
        console.print(more)
    console.print(verdict(document), style="bold", soft_wrap=True)
    for remark in remarks(document):
        console.print(f"- {remark}", soft_wrap=True)
    show_written(console, document, out, ["results.json", "report.md", *(figure.name for figure in figures)])
    model = document["provenance"].get("model")
    if model:
        console.print(
            f"The model that was best on validation, {model['arm']}, is in {out / model['directory']}: "
            f"torchsse recommend {out / model['directory']} --user ID -k 10",
            soft_wrap=True,
        )

"""`torchsse reproduce figure3` and `figure4`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from torchsse.cli.reproducing_words import words_of

if TYPE_CHECKING:
    from torchsse.experiments.reproduce import Overrides

__all__ = ["run_figure"]


def run_figure(
    name: str, wanted: Overrides, data: Path, out: Path, only: str | None, restart: bool, dry_run: bool
) -> None:
    """Fit what the figure shows, and draw it."""
    from torchsse.cli.reproducing_progress import fits
    from torchsse.experiments.reproduce import FIGURES
    from torchsse.experiments.reproduce.figure import check_study_files
    from torchsse.experiments.reproduce.figure3 import reproduce_figure3
    from torchsse.experiments.reproduce.figure4 import reproduce_figure4
    from torchsse.report.figure_pages import write_figure3, write_figure4

    if any(option is not None for option in (only, wanted.arms, wanted.trials, wanted.patience)):
        raise typer.BadParameter(
            "--only, --arms, --trials and --patience are for tables: a figure's fits have fixed settings"
        )
    studies = FIGURES[name](wanted)
    if dry_run:
        for study in studies:
            settings, arms = study.settings, ", ".join(arm.name for arm in study.arms)
            typer.echo(
                f"{study.name}: {arms}; rank {settings.factors}, {settings.epochs} epochs, {settings.seeds} seeds"
            )
        return
    check_study_files(studies, data)
    command = words_of(name, wanted)
    with fits() as report:
        if name == "figure3":
            document, shown = reproduce_figure3(studies, data, out, report=report, command=command, restart=restart)
        else:
            document = reproduce_figure4(studies, data, out, report=report, command=command, restart=restart)
    written = write_figure3(document, shown, out) if name == "figure3" else write_figure4(document, out)
    typer.echo(f"In {out}: results.json, {', '.join(path.name for path in written)}")

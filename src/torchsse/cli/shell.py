"""How every command meets the person in front of it: errors on one line, warnings on one line, Ctrl-C, the console."""

from __future__ import annotations

import inspect
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["INTERRUPTED", "Shell", "fail", "say", "stderr", "stdout"]

INTERRUPTED = 130


class Shell(TyperGroup):
    """A group of commands that turns what a user can cause into one line on stderr and an exit code.

    1: the input is wrong (any TorchsseError) or the system refuses (OSError). 2: the command line is wrong (typer's
    own). 130: Ctrl-C. Anything else is a bug of ours and shows its traceback.
    """

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        for command in self.commands.values():
            command.help = prose(command.help or "")

    def invoke(self, ctx: Any) -> Any:
        from torchsse.errors import TorchsseError

        try:
            with _plain_warnings():
                return super().invoke(ctx)
        except TorchsseError as error:
            fail(str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            fail(f"{where}{error.strerror or error}")
        except KeyboardInterrupt:
            hint = ctx.find_root().obj
            say("interrupted" + (f"; {hint}" if isinstance(hint, str) else ""))
            raise typer.Exit(INTERRUPTED) from None


def prose(text: str) -> str:
    """Help whose paragraphs fill the terminal, whatever the width of the source; after a line ``\\b`` lines stay.

    >>> prose("One\\ntwo.\\n\\n\\b\\nline\\n  line")
    'One two.\\n\\nline\\n  line'
    """
    parts = (p.strip("\n") for p in inspect.cleandoc(text).replace("\n\b\n", "\n\n\b\n").split("\n\n"))
    kept = (p.removeprefix("\b\n") if p.startswith("\b") else " ".join(p.split()) for p in parts)
    return "\n\n".join(p for p in kept if p.strip())


def fail(message: str) -> NoReturn:
    """Print `error: ...` as one line and leave with exit code 1."""
    print("error: " + " ".join(message.split()), file=sys.stderr)
    raise typer.Exit(1)


def say(message: str) -> None:
    """A line for people, on stderr: stdout is for results."""
    print(message, file=sys.stderr, flush=True)


def stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def stdout(width: int = 140) -> Console:
    """For results: as wide as the terminal, `width` columns in a file or a pipe."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=width)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings of torchsse as `warning: ...`, its log messages as plain lines; other libraries keep theirs."""
    from torchsse.errors import TorchsseWarning

    class ToStderr(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(record.getMessage())

    logger, handler, level = logging.getLogger("torchsse"), ToStderr(logging.INFO), logging.getLogger("torchsse").level
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, TorchsseWarning):
                say("warning: " + " ".join(str(message).split()))
            else:
                shown(message, category, *rest, **more)

        warnings.showwarning = show
        warnings.simplefilter("always", TorchsseWarning)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)

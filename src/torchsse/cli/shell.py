"""How every command meets the person in front of it: errors on one line, warnings on one line, Ctrl-C, the console."""

from __future__ import annotations

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

__all__ = ["INTERRUPTED", "Shell", "fail", "say", "stderr"]

INTERRUPTED = 130


class Shell(TyperGroup):
    """A group of commands that turns what a user can cause into one line on stderr and an exit code.

    1: the input is wrong (any TorchsseError) or the system refuses (OSError). 2: the command line is wrong (typer's
    own). 130: Ctrl-C. Anything else is a bug of ours and shows its traceback.
    """

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

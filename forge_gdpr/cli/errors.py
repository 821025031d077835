"""The one place where an error becomes a line on stderr and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Final

import click

from forge_gdpr.cli.terminal import is_terminal
from forge_gdpr.errors import ForgeGdprError

if TYPE_CHECKING:
    from types import TracebackType


_STOPPED: Final = "stopped: nothing more was done"


class ErrorsAsExitCodes(click.Group):
    """Shows an error that is meant for the operator as one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a bug keeps its traceback and Python's exit code 1."""
        try:
            return super().invoke(ctx)
        except ForgeGdprError as error:
            if ctx.params.get("verbose"):
                show_trace(error.__traceback__)
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt) as stop:
            if isinstance(stop, KeyboardInterrupt) and is_terminal(sys.stderr):
                click.echo(err=True)  # a terminal shows ^C and stays on the line
            click.echo(_STOPPED, err=True)
            ctx.exit(128 + signal.SIGINT)
        except BrokenPipeError:
            forget_stdout()
            ctx.exit(0)


def forget_stdout() -> None:
    """Let nothing be written to a stdout that nobody reads any more, also not at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_bug(kind: type[BaseException], _error: BaseException, trace: TracebackType | None) -> None:
    """Show where a bug is, as ``sys.excepthook``: every frame, but no library's words.

    The message of a foreign exception may hold the very id that was to be erased.
    """
    if kind is KeyboardInterrupt:  # before a command began, or after it ended
        click.echo(_STOPPED, err=True)
        return
    show_trace(trace)
    click.echo(
        f"bug: {kind.__module__}.{kind.__qualname__} (its message is withheld: it may name a"
        " person). Please report the lines above.",
        err=True,
    )


def show_trace(trace: TracebackType | None) -> None:
    """Write the frames of a traceback to stderr, without any exception's message."""
    click.echo("Traceback (most recent call last):", err=True)
    click.echo("".join(traceback.format_tb(trace)), err=True, nl=False)

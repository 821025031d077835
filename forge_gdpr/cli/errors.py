"""The one place where an error becomes a line on stderr and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from forge_gdpr.cli.output import printable
from forge_gdpr.cli.paths import path_error
from forge_gdpr.cli.streams import loss, secure_streams
from forge_gdpr.cli.terminal import is_terminal
from forge_gdpr.cli.wiring import ENGINE
from forge_gdpr.errors import ForgeGdprError
from forge_gdpr.options import LOG_LEVEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType


_STOPPED: Final = "stopped: nothing more was done"


class ErrorsAsExitCodes(click.Group):
    """Shows an error that is meant for the operator as one line, without a traceback."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:  # noqa: ANN401  # as click's own
        """Run the command line; what is wrong with the process's streams does not stop it."""
        secure_streams()
        try:
            return super().main(args, *rest, **options)
        finally:
            reason = loss(sys.stdout)
            if reason is not None:
                click.echo(
                    f"warning: stdout can't be written ({reason.lower()}), so what was to be shown"
                    " is not all there; the exit code is that of the work",
                    err=True,
                )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse bytes that are no text here: databases, records and URLs hold text."""
        for place, word in enumerate(args, start=1):
            if not word.isascii() and any("\ud800" <= letter <= "\udfff" for letter in word):
                encoding = sys.getfilesystemencoding().upper()
                raise click.UsageError(
                    f"word {place} after 'forge-gdpr' is no {encoding} text: type it again, or set"
                    " LC_ALL to the encoding that it is in",
                    ctx,
                )
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a bug keeps its traceback and Python's exit code 1."""
        verbose = bool(ctx.params.get("verbose")) or _is_debugging()
        try:
            return super().invoke(ctx)
        except ForgeGdprError as error:
            _fail(ctx, _blamed(ctx, error) or error, verbose=verbose)
        except (click.Abort, KeyboardInterrupt) as stop:
            if isinstance(stop, KeyboardInterrupt) and is_terminal(sys.stderr):
                click.echo(err=True)  # a terminal shows ^C and stays on the line
            click.echo(_STOPPED, err=True)
            ctx.exit(128 + signal.SIGINT)
        except OSError as error:
            known = path_error(error)
            if known is None:
                raise
            _fail(ctx, known.with_traceback(error.__traceback__), verbose=verbose)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            broken = _blamed(ctx, error)
            if broken is None:
                raise
            _fail(ctx, broken, verbose=verbose)


def show_bug(kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    """Show where a bug is, as ``sys.excepthook``: every frame, but no library's words.

    The message of a foreign exception may hold the very id that was to be erased.
    """
    if kind is KeyboardInterrupt:  # before a command began, or after it ended
        click.echo(_STOPPED, err=True)
        return
    show_trace(error)
    click.echo(
        f"bug: {_name(error)} (its message is withheld: it may name a person). Please report the"
        " lines above.",
        err=True,
    )


def show_trace(error: BaseException) -> None:
    """Write the frames of an error and of those it came from, without any one's message."""
    for link in reversed(list(_chain(error))):
        click.echo("Traceback (most recent call last):", err=True)
        click.echo("".join(traceback.format_tb(link.__traceback__)), err=True, nl=False)
        if link is not error:
            click.echo(f"{_name(link)}, and then", err=True)


def _blamed(ctx: click.Context, error: Exception) -> ForgeGdprError | None:
    """Return what is wrong with the record, if a command failed at reading it."""
    engine = ctx.meta.get(ENGINE)
    if engine is None:
        return None
    sys.dont_write_bytecode = True  # on a full disk Python would leave half a module behind
    from forge_gdpr.audit.blame import blamed

    broken = blamed(engine, error)
    return None if broken is None else broken.with_traceback(error.__traceback__)


def _fail(ctx: click.Context, error: ForgeGdprError, *, verbose: bool) -> NoReturn:
    if verbose:
        show_trace(error)
    click.echo(f"error: {printable(error)}", err=True)
    ctx.exit(error.exit_code)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from, also where that is not shown as a rule."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _name(error: BaseException) -> str:
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_debugging() -> bool:
    return os.environ.get(LOG_LEVEL.variable, "").strip().lower() == "debug"

"""The terminal: whether somebody sits there, and what they answer.

A question is shown where it is answered. A command whose stderr goes into a file still has its
question on the screen, for a question that nobody sees looks like a program that hangs.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final, TextIO

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ANSWERS: Final = {"y": True, "yes": True, "n": False, "no": False, "": False}


def is_terminal(stream: IO[Any] | None) -> bool:
    """Say whether a stream is a terminal; one that is closed, or was never there, is none."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def at_a_terminal() -> bool:
    """Say whether a person started this: one of the three streams is a terminal.

    One is enough, for people pipe into programs and out of them; cron, systemd and containers
    leave none.
    """
    return any(is_terminal(stream) for stream in (sys.stdin, sys.stdout, sys.stderr))


def somebody_is_there() -> bool:
    """Say whether somebody sits at a terminal and can answer."""
    return is_terminal(sys.stdin)


def confirmed(question: str, *, yes: bool, details: Sequence[str] = ()) -> bool:
    """Return whether a dangerous command may go on.

    Somebody at a terminal is asked. Enter means no, and after a no one line says that nothing
    was done. Without a terminal nothing is asked, and the command goes on.

    Args:
        question: what is about to be done, as a question.
        yes: ``--yes``; nobody is asked.
        details: lines that are shown before the question.

    Raises:
        click.Abort: the input ended, or somebody pressed Ctrl-C.
        click.UsageError: somebody is there, and the question can't be shown to them.
    """
    if yes or not somebody_is_there():
        return True
    with _screen() as screen:
        for line in details:
            screen.write(f"{line}\n")
        while (word := _answer(screen, f"{question} [y/N]: ").lower()) not in _ANSWERS:
            screen.write("please type y or n\n")
    if not _ANSWERS[word]:
        click.echo("nothing was done", err=True)
    return _ANSWERS[word]


def line_of_stdin(wanted: str) -> str:
    """Return a line of stdin; somebody at a terminal is told what to type.

    Raises:
        click.Abort: somebody pressed Ctrl-C.
        click.UsageError: there is no stdin, or it is no UTF-8 text.
    """
    if sys.stdin is None:
        raise click.UsageError(f"stdin is closed, so the {wanted} can't be read from it")
    if somebody_is_there():
        with _screen() as screen:
            return _answer(screen, f"{wanted}: ")
    try:
        return sys.stdin.readline().strip()
    except UnicodeDecodeError:
        raise click.UsageError(f"the {wanted} in stdin is not UTF-8 text") from None


@contextmanager
def _screen() -> Iterator[TextIO]:
    """Give what the person who types looks at: stderr, or else the terminal itself."""
    if is_terminal(sys.stderr):
        yield sys.stderr
        return
    try:
        terminal = open(os.ttyname(sys.stdin.fileno()), "w", encoding="utf-8")  # noqa: PTH123, SIM115  # a device
    except OSError:
        raise click.UsageError(
            "this command asks first, and stderr is not a terminal, so nobody would see the"
            " question: add --yes, or leave stderr alone"
        ) from None
    with terminal:
        yield terminal


def _answer(screen: TextIO, prompt: str) -> str:
    """Return the line that is typed after a prompt; what is no text comes back as ``?``.

    Raises:
        click.Abort: Ctrl-D, Ctrl-C, or the terminal is gone; the next line of the screen begins.
    """
    try:
        screen.write(prompt)
        screen.flush()
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        return "?"
    except (KeyboardInterrupt, OSError):
        line = ""
    if not line.endswith("\n"):
        screen.write("\n")
    if not line:
        raise click.Abort
    return line.strip()

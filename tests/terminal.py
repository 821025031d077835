"""A person at a terminal: the program under a real pseudo-terminal, keys pressed at its prompts."""

from __future__ import annotations

import contextlib
import os
import pty
import selectors
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from world import Program

ENTER: Final = "\n"
CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"  # at the start of a line: the end of the input

#: After so long without an answer a person presses Ctrl-C again: Python notes a signal that comes
#: between a prompt and the read behind it, and sees to it when the read is over.
_AGAIN_S: Final = 5.0

#: Makes the terminal the session's own, so that Ctrl-C reaches the program, and becomes it. Tests
#: that run in the background ignore Ctrl-C, and what they start would, too: a shell's would not.
_LAUNCH: Final = (
    "import fcntl, os, signal, sys, termios\n"
    "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What was on the screen, and how it ended."""

    text: str
    code: int  #: of the process; a signal's number is negative


class SilenceError(Exception):
    """The program did not end, or did not ask, in the time that it had."""


def at_terminal(
    program: Program,
    *words: str,
    keys: Sequence[tuple[str, str]] = (),
    columns: int = 100,
    rows: int = 24,
    stdout: Path | None = None,
    stderr: Path | None = None,
    timeout_s: float = 60.0,
    **variables: str,
) -> Shown:
    """Type a command at a terminal, press keys where it asks, and return what was to be seen.

    Args:
        program: the program and its environment.
        words: the command.
        keys: what is waited for on the screen, and what is pressed then; each after the one before.
        columns: how wide the terminal is.
        rows: how high.
        stdout: the file that stdout goes to instead.
        stderr: the file that stderr goes to instead.
        timeout_s: in which it must have ended.
        variables: more of the environment.

    Raises:
        SilenceError: the time is over; the process was killed.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    files = [None if path is None else path.open("wb") for path in (stdout, stderr)]
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, *program.command(*words)],
        env={"TERM": "xterm"} | program.environment | variables,
        cwd=program.folder,
        stdin=theirs,
        stdout=files[0] or theirs,
        stderr=files[1] or theirs,
        start_new_session=True,
    )
    os.close(theirs)
    for file in files:
        if file is not None:
            file.close()
    try:
        text = _conversation(ours, keys, deadline_s=time.monotonic() + timeout_s)
        code = process.wait(timeout=timeout_s)
    finally:
        process.kill()  # if it has not ended; no other process has its id before it is waited for
        process.wait()
        os.close(ours)
    return Shown(text=text, code=code)


def _conversation(terminal: int, keys: Sequence[tuple[str, str]], *, deadline_s: float) -> str:
    """Press the keys as they are asked for, and return all that was shown until the end."""
    shown, seen, left, last = b"", 0, list(keys), ""
    with selectors.DefaultSelector() as selector:
        selector.register(terminal, selectors.EVENT_READ)
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            if not selector.select(min(left_s, _AGAIN_S) if last == CTRL_C else left_s):
                if last != CTRL_C or left_s < _AGAIN_S:
                    raise SilenceError(f"after {_text(shown)!r}")
                with contextlib.suppress(OSError):  # it has just ended
                    os.write(terminal, last.encode())
                continue
            try:
                piece = os.read(terminal, 100_000)
            except OSError:  # the other end is closed: Linux says it like this
                break
            if not piece:
                break
            shown += piece
            while left and (at := shown.find(left[0][0].encode(), seen)) >= 0:
                prompt, last = left.pop(0)
                seen = at + len(prompt.encode())
                os.write(terminal, last.encode(errors="surrogateescape"))
    if left:
        raise SilenceError(f"it ended before it asked {left[0][0]!r}: {_text(shown)!r}")
    return _text(shown)


def _text(shown: bytes) -> str:
    return shown.decode(errors="replace").replace("\r\n", "\n")

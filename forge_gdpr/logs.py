"""Structured logs on stderr: ids and counts only, never a person.

Libraries do not speak for themselves: their lines and warnings hold URLs with user ids, so the
standard library's logging is off and every line here is one of ours.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO, cast

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(*, level: str, style: str, stream: TextIO | None) -> None:
    """Set up this process's logs.

    Args:
        level: a key of LEVELS; lines below it are not written.
        style: ``json``, ``console``, or ``auto``: console if ``stream`` is a terminal.
        stream: where to, normally stderr; None: nowhere. Whatever is wrong with it, logging never
            raises: a run goes on although nobody hears of it.
    """
    logging.disable(logging.CRITICAL)
    logging.captureWarnings(True)
    sink = _Sink(stream)
    console = style == "console" or (style == "auto" and sink.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=sink.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if console
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", sink)),
        cache_logger_on_first_use=False,
    )


def silence() -> None:
    """Keep libraries quiet before settings are read, and until `configure`."""
    configure(level="warning", style="auto", stream=sys.stderr)


class _Sink:
    """A stream that may be closed, full or gone; writing to it never raises."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        """Say whether a terminal shows the lines."""
        with suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    def write(self, text: str) -> None:
        """Write a line, if that can be done."""
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.write(text)

    def flush(self) -> None:
        """Let nothing wait."""
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.flush()

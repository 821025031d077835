"""The process's own streams, made so that no trouble with them reaches the work.

A night that has deleted people has to write that down and to say so by its exit code, whether or
not anybody reads what it prints: the terminal may be gone, the disk full, the reader done.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, Final, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STANDARD: Final = (0, 1, 2)


class _Patient(io.FileIO):
    """A descriptor that takes everything; after the first failure it keeps nothing of it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.failure: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, or say so: a partial write is gone on with by the buffer above."""
        size = memoryview(data).nbytes
        if self.failure is not None:
            return size
        try:
            written = super().write(data)
            while written is None:  # somebody has made it non-blocking: wait like everybody
                select.select([], [self], [])
                written = super().write(data)
        except OSError as error:
            self.failure = error
            return size
        return written


class _Escaping(io.TextIOWrapper):
    """Text for a descriptor, in an encoding that may have few letters."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # what it is in C can't be written either
        """Its name; click takes ASCII for a mistake, and would write UTF-8 in its place."""
        name = super().encoding
        return "plain-ascii" if codecs.lookup(name).name == "ascii" else name


def secure_streams() -> None:
    """Make stdout and stderr take whatever is written to them, and never raise.

    What they can't encode is escaped. A stream that was closed becomes one that leads nowhere;
    else the first file that is opened, like the database, would get its number, and what a
    library prints would be written into it. Of a closed stdin ``sys.stdin`` still is None.

    Streams that somebody has put in place of the process's own are left alone.
    """
    for descriptor in _STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stdout is sys.__stdout__:
        sys.stdout = _secured(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _secured(sys.stderr, 2)


def is_gone(stream: TextIO | None) -> bool:
    """Say whether what is written to a stream is lost."""
    return _failure(stream) is not None


def loss(stream: TextIO | None) -> str | None:
    """Return why not all that was written to a stream has arrived; None if it has.

    A reader that has gone away has got what it wanted.
    """
    failure = _failure(stream)
    if failure is None or failure.errno == errno.EPIPE:
        return None
    return failure.strerror


def is_utf8(stream: TextIO | None) -> bool:
    """Say whether a stream can show every character."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return str(encoding).lower().replace("_", "-") in {"utf-8", "utf8"}


def _secured(stream: TextIO | None, descriptor: int) -> TextIO:
    raw = _Patient(descriptor)
    return _Escaping(
        io.BufferedWriter(cast("io.RawIOBase", raw)),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def _failure(stream: TextIO | None) -> OSError | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Patient) else None

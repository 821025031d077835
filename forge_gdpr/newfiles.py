"""Files that hold evidence, plans or keys: whole on the disk or not there, their owner's alone."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

#: Only their owner reads them, and writes.
PRIVATE: Final = 0o600


def append_note(path: Path, note: str) -> None:
    """Append a note to a file of them, for good; apart from what was torn before it.

    Raises:
        OSError: it can't be; what was written of it is taken back where that can be.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE)
    try:
        with contextlib.suppress(OSError):  # not every file server has locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        end = os.pread(descriptor, 2, max(0, size - 2))
        apart = b"" if end in {b"", b"\n\n"} else b"\n\n"
        try:
            _write(descriptor, apart + f"{note}\n".encode())
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):  # a file may be such that it only grows
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    if size == 0:
        _sync_folder(path.parent)


def _write(descriptor: int, data: bytes) -> None:
    """Write all of it at once: a second run may append, too."""
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_folder(folder: Path) -> None:
    """Let the name of a new file outlive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every file system can
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files that hold evidence, plans or keys: whole on the disk or not there, their owner's alone.

Each is written beside its place and gets its name when it is on the disk; it never takes the place
of another. What can't be written leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from forge_gdpr.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Only their owner reads them, and writes.
PRIVATE: Final = 0o600

#: More than a checkpoint an hour needs in ten years.
MOST_BYTES: Final = 64 * 2**20

#: How what is being written is called until it is whole.
_PREFIX: Final = ".forge-gdpr-"
#: What a file system says that has no hard links.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})


class UnfitFileError(OSError):
    """What has this name is no file of notes, whatever may be done to it."""


def require_new(path: Path) -> None:
    """Refuse a name that is taken, also by a link that leads nowhere.

    Raises:
        InvalidInputError: there is something of this name.
    """
    if os.path.lexists(path):
        raise _taken(path)


def write_new(path: Path, text: str, *, mode: int = PRIVATE) -> None:
    """Write a file that is not there yet.

    Raises:
        InvalidInputError: there is something of this name.
        OSError: it can't be written.
    """
    require_new(path)
    with _written(path.parent, text, mode) as written:
        try:
            os.link(written, path)
        except FileExistsError:  # it came meanwhile
            raise _taken(path) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
            written.replace(path)
    _sync_folder(path.parent)


def write_over(path: Path, text: str) -> None:
    """Write a private file in the place of the one that is there.

    Raises:
        OSError: it can't be written; the old one is as it was.
    """
    with _written(path.parent, text, PRIVATE) as written:
        written.replace(path)
    _sync_folder(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a private folder that gets its name when all is written, and goes away if it can't be.

    Raises:
        InvalidInputError: there is something of this name.
        OSError: it can't be written.
    """
    require_new(path)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=path.parent))
    try:
        yield folder
        _sync_folder(folder)
        require_new(path)
        folder.rename(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _sync_folder(path.parent)


@contextmanager
def file_in(folder: Path, name: str) -> Iterator[TextIO]:
    """Give a file to be written in a `new_folder`; after this it is on the disk."""
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        yield file
        file.flush()
        os.fsync(descriptor)


def read_notes(path: Path, *, errors: str = "replace") -> str:
    """Return what is in a file of notes; it never waits for somebody to write.

    Raises:
        OSError: it can't be read, is no regular file or too large.
        UnicodeDecodeError: it holds no text, and ``errors`` is ``strict``.
    """
    with os.fdopen(_regular(path, os.O_RDONLY), "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UnfitFileError(errno.EFBIG, f"it has more than {MOST_BYTES} bytes")
    return content.decode(errors=errors).replace("\r\n", "\n").replace("\r", "\n")


def why_not_read(error: OSError) -> str:
    """Return in a few words why a file of notes can't be read."""
    return str(error.strerror) if isinstance(error, UnfitFileError) else type(error).__name__


def append_note(path: Path, note: str) -> None:
    """Append a note to a file of them, for good; apart from what was torn before it.

    Raises:
        OSError: it can't be; what was written of it is taken back where that can be.
    """
    descriptor = _regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
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


def _regular(path: Path, flags: int) -> int:
    """Open a regular file, or what a link to one leads to; a pipe or a device is none."""
    descriptor = os.open(path, flags | os.O_NONBLOCK, PRIVATE)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise UnfitFileError(errno.EINVAL, "it is no regular file")


@contextmanager
def _written(folder: Path, text: str, mode: int) -> Iterator[Path]:
    """Give a file in a folder that holds all of a text, on the disk; afterwards it is gone."""
    descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _taken(path: Path) -> InvalidInputError:
    return InvalidInputError(f"{path} is there already, and is not written over: name another")


def _write(descriptor: int, data: bytes) -> None:
    """Write all of it at once: a second run may append, too."""
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_folder(folder: Path) -> None:
    """Let the name of a new file outlive a crash of the machine."""
    with contextlib.suppress(OSError):  # not every file system can, nor may everybody read it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""What is wrong with a file or a folder that an operator named, and what to type."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING, Final

from forge_gdpr.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike

#: What to type; ``{path}`` is the path, ``{folder}`` the folder it is in.
_ADVICE: Final[Mapping[int, str]] = {
    errno.ENOENT: "see whether it is spelt right, or run 'mkdir -p {folder}'",
    errno.ENOTDIR: "a part of the path is not a folder: see 'ls -ld {folder}'",
    errno.EISDIR: "it is a folder: name a file in it",
    errno.EEXIST: "it is there already: name another",
    errno.EACCES: "this user may not do that: see 'ls -ld {path} {folder}', then chown or chmod",
    errno.EPERM: "this user may not do that: see 'ls -ld {path} {folder}', then chown or chmod",
    errno.EROFS: "its file system is read-only: name a place that can be written",
    errno.ENOSPC: "make room: see 'df -h {folder}'",
    errno.EDQUOT: "make room: see 'quota' and 'df -h {folder}'",
    errno.EFBIG: "allow larger files: see 'ulimit -f'",
    errno.EMFILE: "allow more open files: see 'ulimit -n'",
    errno.ENFILE: "allow more open files: see 'sysctl fs.file-max'",
    errno.EIO: "the disk fails: see 'dmesg'",
    errno.ELOOP: "it is a link that leads to itself: see 'ls -l {path}'",
    errno.ENAMETOOLONG: "its name is too long: name another",
    errno.ETXTBSY: "it is a program that runs: name another",
    errno.ESTALE: "its file server has forgotten it: mount it again",
}


def path_error(
    error: OSError, path: str | PathLike[str] | None = None
) -> ConfigurationError | None:
    """Return in one line what is wrong with a path; None if an error is not about one.

    Args:
        error: as a file operation raised it.
        path: what was named, where the error does not say it; a full disk, for one, is found out
            by a write, which knows no path.
    """
    advice = _ADVICE.get(error.errno or 0)
    if path is not None:
        return _told(error, os.fsdecode(path), advice or "name another")
    if advice is None or isinstance(error.filename, int):
        return None
    if error.filename is not None:
        return _told(error, os.fsdecode(error.filename), advice)
    return _told(error, None, advice) if error.errno in _NAMELESS else None


@contextmanager
def named(path: str | PathLike[str]) -> Iterator[None]:
    """Turn what goes wrong with a path that an operator named into a line about it.

    Raises:
        ConfigurationError: it can't be used.
    """
    try:
        yield
    except OSError as error:
        raise path_error(error, path) or error from None


def _told(error: OSError, path: str | None, advice: str) -> ConfigurationError:
    folder = os.path.dirname(path or "") or "."  # noqa: PTH120  # of a path as it was typed
    if folder == ".":
        advice = advice.partition(", or run 'mkdir")[0]
    what = advice.format(path=quote(path or "."), folder=quote(folder))
    reason = (error.strerror or "it fails").lower()
    return ConfigurationError(f"{path or 'a file'} can't be used ({reason}): {what}")


#: About the machine, whatever the file.
_NAMELESS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EIO}
)

"""The file of a SQLite database: making it, how it may be opened, and why not."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

from forge_gdpr.errors import ConfigurationError, DatabaseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forge_gdpr.errors import ForgeGdprError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM})


def process_login() -> str:
    """Return the name of the login that this process runs as, or its number."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def make(path: Path) -> None:
    """Make an empty file that only its owner can read, or leave the one that is there.

    Not by SQLite, for it would be readable by everybody; it holds people.

    Raises:
        ConfigurationError: its folder is not there, or it is a folder itself.
        DatabaseError: it can't be written.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise fault(path, error) from None


def mode(path: Path) -> Mapping[str, str]:
    """Return how a file that is there may be opened, as arguments of SQLite's URI.

    Raises:
        ConfigurationError: it is not there, or is a folder.
        DatabaseError: it can't be looked at.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "")
        if not path.exists():
            raise ConfigurationError(f"there is no database {path}: run 'forge-gdpr db upgrade'")
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            wal = Path(f"{path}-wal")
            whole = not wal.exists() or wal.stat().st_size == 0
            # SQLite could not make its files beside it; nobody can change it meanwhile.
            return {"mode": "ro", "immutable": "1"} if whole else {"mode": "ro"}
    except OSError as error:
        raise fault(path, error) from None
    return {"mode": "rw" if os.access(path, os.W_OK) else "ro"}


def fault(path: Path, error: OSError) -> ForgeGdprError:
    """Return in one line why a database can't be made or opened, and what to type."""
    folder = quote(str(path.parent))
    if error.errno == errno.ENOENT:
        return ConfigurationError(
            f"the database {path} has no folder to be in: run 'mkdir -p {folder}'"
        )
    if error.errno == errno.EISDIR:
        return ConfigurationError(
            f"{path} is a folder: name a file in it, FORGE_GDPR_DATABASE_URL=sqlite:///"
            f"{path}/forge-gdpr.db"
        )
    if error.errno == errno.ENOTDIR:
        return ConfigurationError(
            f"the database {path} would be inside a file: correct FORGE_GDPR_DATABASE_URL"
        )
    if error.errno in _FORBIDDEN:
        return DatabaseError(
            f"the database {path} can't be written by the login {process_login()}: run"
            f" 'chown {process_login()} {folder} {quote(str(path))}*' as root"
        )
    if error.errno == errno.EROFS:
        return DatabaseError(
            f"the database {path} is on a file system that is read-only: mount it with"
            " 'mount -o remount,rw', or name another place in FORGE_GDPR_DATABASE_URL"
        )
    if error.errno in _FULL:
        return DatabaseError(
            f"there is no space left for the database {path}: see 'df {folder}', make room, then"
            " run again"
        )
    return DatabaseError(f"the database {path} can't be opened: {error.strerror}")

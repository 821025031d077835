"""What SQLite leaves of cells that were emptied: in its write-ahead log, and in gaps of its pages.

What `secure_delete` overwrites is where a cell is. Where it was before is left: every version of
its page stands in the log until the log is emptied, and pages that were split keep copies in the
room that is free on them. PostgreSQL's traces are its VACUUM's and its archives' business.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine.interfaces import DBAPICursor

#: How long others may keep us from it; they wait for us just as long.
_PATIENCE_MS: Final = 1_000
#: A larger file is not written anew: its writers would wait for more than a moment.
LARGEST_BYTES: Final = 256 * 2**20


def wipe(engine: Engine, *, rewrite: bool, largest_bytes: int = LARGEST_BYTES) -> None:
    """Leave nothing in the files of a SQLite database but what its cells hold.

    It never fails: whoever reads meanwhile keeps the log as it is, and the next one empties it.

    Args:
        engine: of the database, in no transaction.
        rewrite: whether addresses were emptied: then the whole file is written anew, if it is not
            too large for that.
        largest_bytes: how large it may be.
    """
    if engine.dialect.name != "sqlite":
        return
    try:
        with closing(engine.raw_connection()) as raw:
            try:
                cursor = raw.cursor()
                cursor.execute("PRAGMA query_only = 0")
                cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
                if rewrite:
                    _rewrite(cursor, largest_bytes)
                is_empty = not cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                why = None if is_empty else "somebody reads it"
            finally:
                raw.invalidate()  # its settings are not those of the others
    except (sqlite3.Error, SQLAlchemyError) as error:
        why = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if why is not None:
        structlog.get_logger().warning("database.traces_left", why=why)


def _rewrite(cursor: DBAPICursor, largest_bytes: int) -> None:
    size = 1
    for name in ("page_count", "page_size"):
        size *= cursor.execute(f"PRAGMA {name}").fetchone()[0]
    if size <= largest_bytes:
        cursor.execute("VACUUM")

"""What is asked of PostgreSQL: by a connection when it is made, and by each transaction.

Settings go with each transaction, not with the connection: a pooler in transaction
mode, like PgBouncer's, hands another session to each, and takes no startup ``options``.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.engine import URL

#: How long a statement waits for another session's lock, as long as on SQLite. Nobody of ours
#: holds one for a second; who holds one for longer has forgotten it.
LOCK_TIMEOUT_S: Final = 30
#: A writer's statements go by pages; one that takes this long costs the run its lease anyway.
WRITE_TIMEOUT_S: Final = 120
#: Reports, exports and `audit verify` read the whole record.
READ_TIMEOUT_S: Final = 600
#: A writer that stands still keeps its locks from everybody: it may have been suspended.
IDLE_WRITER_TIMEOUT_S: Final = 60
#: A reader keeps nobody waiting but VACUUM; somebody may be reading its pages.
IDLE_READER_TIMEOUT_S: Final = 3600

#: What a connection asks for, unless the URL says otherwise. A server that vanished without a
#: word is noticed within a minute: 30 s of silence, then three probes; or data unacknowledged.
_CONNECTION: Final[Mapping[str, Any]] = {
    "connect_timeout": 10,
    "application_name": "forge-gdpr",
    "client_encoding": "utf8",
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
    # Through a pooler the next transaction may meet a session that never saw the statement.
    "prepare_threshold": None,
}

_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"

#: Arguments of the URL that are ours or psycopg's, not libpq's.
_PREPARE: Final = "prepare_threshold"
_PATH: Final = "search_path"

_NAME: Final = "FORGE_GDPR_DATABASE_URL"
_SAFE_PATH: Final = re.compile(r'[\w$", -]+')
#: libpq takes several of these for one connection.
_REPEATABLE: Final = frozenset({"host", "port", "hostaddr"})


def stripped(url: URL) -> URL:
    """Return the URL without the arguments that libpq doesn't have."""
    return url.difference_update_query([_PREPARE, _PATH])


def connect_args(url: URL) -> dict[str, Any]:
    """Return what psycopg is given beside the URL; what the URL says itself is left out.

    Raises:
        ConfigurationError: the URL has an argument that nobody knows, or a wrong value.
        ImportError: psycopg is not installed.
    """
    _require_known(url)
    given = url.query
    args = {name: value for name, value in _CONNECTION.items() if name not in given}
    if _PREPARE in given:
        args[_PREPARE] = _threshold(str(given[_PREPARE]))
    return args


def opening(url: URL, *, read_only: bool) -> tuple[str, ...]:
    """Return the statements with which each transaction begins.

    A setting that the URL's ``options`` name is the operator's own and stays.

    Args:
        url: of the database.
        read_only: for a transaction that only reads, on one snapshot.

    Raises:
        ConfigurationError: options or search path of the URL can't be read.
    """
    seconds = {
        "lock_timeout": LOCK_TIMEOUT_S,
        "statement_timeout": READ_TIMEOUT_S if read_only else WRITE_TIMEOUT_S,
        "idle_in_transaction_session_timeout": (
            IDLE_READER_TIMEOUT_S if read_only else IDLE_WRITER_TIMEOUT_S
        ),
    }
    chosen = set(_chosen(url))
    # The driver reads times in the ISO style alone, and a role or a database may have another.
    values = {"timezone": "UTC", "datestyle": "ISO, MDY"} | {
        name: f"{value}s" for name, value in seconds.items()
    }
    values = {n: value for n, value in values.items() if n == "datestyle" or n not in chosen}
    if _PATH in url.query:
        values[_PATH] = _path(url)
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in values.items())
    settings = (f"SELECT {calls}",) if calls else ()
    # Not through the driver, which would ask for READ WRITE afterwards, whatever the server's
    # default is: a standby refuses that, and a default of "read only" is there to be kept.
    return (*((_SNAPSHOT,) if read_only else ()), *settings)


def _require_known(url: URL) -> None:
    from psycopg.pq import Conninfo  # noqa: PLC0415  # only PostgreSQL needs psycopg

    there = {option.keyword.decode() for option in Conninfo.get_defaults()} | {_PREPARE, _PATH}
    for name, value in url.query.items():
        if name not in there:
            raise ConfigurationError(
                f"{_NAME} has an argument {name!r} that PostgreSQL's client does not know:"
                " see the list of 'parameter key words' in its manual"
            )
        if not isinstance(value, str) and name not in _REPEATABLE:
            raise ConfigurationError(f"{_NAME} has the argument {name} twice: remove one of them")
    timeout = url.query.get("connect_timeout", "10")
    if not str(timeout).isdecimal():
        raise ConfigurationError(f"{_NAME} has a connect_timeout that is no number of seconds")


def _threshold(text: str) -> int | None:
    if text.lower() in {"none", ""}:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise ConfigurationError(
            f"{_NAME} has a prepare_threshold that is neither a number nor 'none'"
        )
    return int(text)


def _path(url: URL) -> str:
    text = str(url.query[_PATH])
    if not _SAFE_PATH.fullmatch(text):
        raise ConfigurationError(f"{_NAME} has a search_path that is no list of schemas")
    return text


def _chosen(url: URL) -> Iterator[str]:
    """Return the names of the settings that the URL's ``options`` set."""
    try:
        words = shlex.split(str(url.query.get("options", "")))
    except ValueError:
        raise ConfigurationError(f"{_NAME} has options whose quotation marks don't match") from None
    for position, word in enumerate(words):
        text = ""
        if word.startswith("--"):
            text = word[2:]
        elif word == "-c":
            text = "".join(words[position + 1 : position + 2])
        elif word.startswith("-c"):
            text = word[2:]
        name, equals, _ = text.partition("=")
        if equals:
            yield name.strip().lower().replace("-", "_")

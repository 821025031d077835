"""A PostgreSQL database as the platform team sets it up: roles by script, a login for each."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, make_url, text

if TYPE_CHECKING:
    from sqlalchemy import Engine

SCRIPT: Final = Path(__file__).parents[1] / "cron" / "postgres-roles.sql"
#: The groups of the script; each has a login here, named after what would log in.
LOGINS: Final = {
    "owner": "gdpr_migrator",
    "worker": "gdpr_night",
    "application": "gdpr_shop",
    "submitter": "gdpr_office",
    "auditor": "gdpr_audit",
}


def login_url(database_url: str, role: str) -> str:
    """Return the same database's URL for the login that has a role."""
    return make_url(database_url).set(username=LOGINS[role]).render_as_string()


def engine_as(database_url: str, role: str | None = None) -> Engine:
    """Return an engine for a role's login; for None, the superuser's; each statement commits."""
    url = database_url if role is None else login_url(database_url, role)
    return create_engine(url, isolation_level="AUTOCOMMIT")


def administer(database_url: str, *statements: str, role: str | None = None) -> list[Any]:
    """Run statements, as the superuser by default, and return the last one's rows."""
    engine = engine_as(database_url, role)
    rows: list[Any] = []
    with engine.connect() as connection:
        for statement in statements:
            found = connection.execute(text(statement))
            rows = [tuple(row) for row in found] if found.returns_rows else []
    engine.dispose()
    return rows


def run_script(database_url: str, login: str | None = None) -> subprocess.CompletedProcess[str]:
    """Carry out the script with the server's own psql, as README tells the platform team to."""
    [(programs,)] = administer(
        database_url, "SELECT setting FROM pg_config() WHERE name = 'BINDIR'"
    )
    url = make_url(database_url).set(drivername="postgresql")
    url = url if login is None else url.set(username=login)
    return subprocess.run(
        [
            f"{programs}/psql", "--no-psqlrc", "-q", "-v", "ON_ERROR_STOP=1",
            "-d", url.render_as_string(), "-f", str(SCRIPT),
        ],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )  # fmt: skip


def set_up_roles(database_url: str) -> None:
    """Make the groups and a login for each; roles belong to the server, so they may be there."""
    done = run_script(database_url)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    make_logins(database_url)


def make_logins(database_url: str) -> None:
    """Make a login for each group, as README tells."""
    for role, login in LOGINS.items():
        administer(
            database_url,
            f"DO $$ BEGIN CREATE ROLE {login} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL;"
            " END $$",
            f"GRANT forge_gdpr_{role} TO {login}",
        )
    database = make_url(database_url).database
    administer(
        database_url,
        f"ALTER ROLE {LOGINS['owner']} IN DATABASE {database} SET role = forge_gdpr_owner",
    )

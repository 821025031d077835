"""New requests against both databases: one reference is one request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Final

import pytest
from builders import USER_ID
from world import fetch

from forge_gdpr.database.engine import now, writing
from forge_gdpr.errors import ForgeGdprError, InvalidInputError
from forge_gdpr.queue.checks import NewRequest
from forge_gdpr.queue.intake import Intake, add, add_lines, begin_import
from forge_gdpr.queue.lines import lines

if TYPE_CHECKING:
    from sqlalchemy import Engine

HEADER: Final = b"reference,forge_user_id,email,regime,received_at,not_before\n"
ROWS: Final = (
    "SELECT reference, forge_user_id, email, regime, created_by FROM deletion_requests ORDER BY id"
)


def bring(engine: Engine, content: bytes) -> tuple[int, int, list[tuple[int, str]]]:
    """Import lines of CSV in one group and return what became of them."""
    with writing(engine) as connection:
        begin_import(connection)
        taken: Intake = add_lines(
            connection, lines(BytesIO(HEADER + content)), created_by="me", now=now(connection)
        )
    return taken.new, taken.known, [(line.number, reason) for line, reason in taken.rejected]


def test_a_group_is_added_once(engine: Engine) -> None:
    content = b"T-1,u1,,,,\nT-2,, b@EXAMPLE.org ,ccpa,2026-03-01,2026-03-02T10:00:00+02:00\n"
    assert bring(engine, content) == (2, 0, [])
    assert bring(engine, content) == (0, 2, [])
    assert fetch(engine, ROWS) == [
        ("T-1", "u1", None, "gdpr", "me"),
        ("T-2", None, "b@EXAMPLE.org", "ccpa", "me"),
    ]


def test_times_are_kept_in_utc_and_now_is_the_databases(engine: Engine) -> None:
    bring(engine, b"T-1,u1,,,,\nT-2,u2,,,2026-03-01T00:30:00+01:00,2026-03-02\n")
    if engine.dialect.name == "sqlite":
        times = "SELECT received_at, not_before FROM deletion_requests WHERE id = 2"
        assert fetch(engine, times) == [
            ("2026-02-28 23:30:00.000000", "2026-03-02 00:00:00.000000")
        ]
    else:
        times = "SELECT received_at, not_before FROM deletion_requests WHERE id = 2"
        assert fetch(engine, times) == [
            (datetime(2026, 2, 28, 23, 30, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
        ]
    close = "SELECT count(*) FROM deletion_requests WHERE id = 1 AND received_at <= created_at"
    assert fetch(engine, close) == [1]


def test_a_known_reference_with_other_content_is_rejected_with_its_line(engine: Engine) -> None:
    bring(engine, b"T-1,u1,,,,\n")
    new, known, rejected = bring(
        engine, b"T-1,u1,,,,\nT-1,u2,,,,\nT-1,u1,a@b,ccpa,,\nT-2,../x,,,,\nT-3,u3,,,,\n"
    )
    assert (new, known) == (1, 1)
    assert [number for number, _ in rejected] == [3, 4, 5]
    reasons = [reason for _, reason in rejected]
    assert "with another forge_user_id:" in reasons[0]
    assert "with another email and regime:" in reasons[1]
    assert "could change a URL" in reasons[2]
    assert len(fetch(engine, ROWS)) == 2


def test_a_reference_that_stands_twice_in_one_group_is_one_request(engine: Engine) -> None:
    new, known, rejected = bring(engine, b"T-1,u1,,,,\nT-1,u1,,,,\nT-1,u2,,,,\n")
    assert (new, known, [number for number, _ in rejected]) == (1, 1, [4])
    assert fetch(engine, ROWS) == [("T-1", "u1", None, "gdpr", "me")]


def test_a_closed_request_is_still_the_same_although_it_forgot_its_email(engine: Engine) -> None:
    content = b"T-1,,a@b,,,\n"
    bring(engine, content)
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "UPDATE deletion_requests SET email = NULL, status = 'done',"
            " closed_at = CURRENT_TIMESTAMP"
        )
    assert bring(engine, content) == (0, 1, [])


def test_the_id_that_the_run_found_out_is_no_difference(engine: Engine) -> None:
    content = b"T-1,,a@b,,,\n"
    bring(engine, content)
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE deletion_requests SET forge_user_id = 'u1'")
    assert bring(engine, content) == (0, 1, [])


def test_a_line_that_is_typed_and_then_imported_is_one_request(engine: Engine) -> None:
    with writing(engine) as connection:
        first = add(connection, NewRequest(email=" a@b ", reference="T-1", created_by="me"))
        again = add(connection, NewRequest(email="a@B", reference="T-1"))
    assert (first, again) == ((1, True), (1, False))
    assert bring(engine, b"T-1,,a@b,,,\n") == (0, 1, [])
    assert fetch(engine, ROWS) == [("T-1", None, "a@b", "gdpr", "me")]


def test_requests_without_a_reference_are_each_new(engine: Engine) -> None:
    with writing(engine) as connection:
        assert add(connection, NewRequest(user_id=USER_ID)) == (1, True)
        assert add(connection, NewRequest(user_id=USER_ID)) == (2, True)


def test_what_is_typed_is_checked_as_a_line_is(engine: Engine) -> None:
    with writing(engine) as connection:
        late = now(connection) + timedelta(days=2)
        for new in (
            NewRequest(user_id=USER_ID, received_at=late),
            NewRequest(user_id="../x"),
            NewRequest(user_id=USER_ID, reference="T\0"),
            NewRequest(reference="T-1"),
        ):
            with pytest.raises(ForgeGdprError):
                add(connection, new)
    assert fetch(engine, ROWS) == []


def test_a_typed_reference_of_somebody_else_says_what_differs_and_not_who(engine: Engine) -> None:
    reference = "ada@example.org"
    with writing(engine) as connection:
        add(connection, NewRequest(user_id="u1", reference=reference))
        with pytest.raises(
            InvalidInputError, match="request 1, which has another forge_user_id"
        ) as it:
            add(connection, NewRequest(user_id="u2", reference=reference))
    assert "ada" not in str(it.value)

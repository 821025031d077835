"""New requests against both databases: one reference is one request."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Final

import pytest
from builders import USER_ID
from world import fetch, insert

from forge_gdpr.database.engine import now, writing
from forge_gdpr.errors import ForgeGdprError, InvalidInputError
from forge_gdpr.identifiers import FORGE_ID
from forge_gdpr.queue.checks import NewRequest
from forge_gdpr.queue.intake import Intake, add, add_lines, begin_import
from forge_gdpr.queue.lines import lines

if TYPE_CHECKING:
    from sqlalchemy import Engine

U1, U2 = ("1".zfill(24), "2".zfill(24))
PATTERN: Final = re.compile(FORGE_ID)
HEADER: Final = b"reference,forge_user_id,email,regime,received_at,not_before\n"
ROWS: Final = (
    "SELECT reference, forge_user_id, email, regime, created_by FROM deletion_requests ORDER BY id"
)


def bring(engine: Engine, content: bytes) -> tuple[int, int, list[tuple[int, str]]]:
    """Import lines of CSV in one group and return what became of them."""
    with writing(engine) as connection:
        begin_import(connection)
        taken: Intake = add_lines(
            connection,
            lines(BytesIO(HEADER + content)),
            created_by="me",
            pattern=PATTERN,
            now=now(connection),
        )
    return taken.new, taken.known, [(line.number, reason) for line, reason in taken.rejected]


def test_a_group_is_added_once(engine: Engine) -> None:
    content = (
        b"T-1,000000000000000000000001,,,,\n"
        b"T-2,, b@EXAMPLE.org ,ccpa,2026-03-01,2026-03-02T10:00:00+02:00\n"
    )
    assert bring(engine, content) == (2, 0, [])
    assert bring(engine, content) == (0, 2, [])
    assert fetch(engine, ROWS) == [
        ("T-1", U1, None, "gdpr", "me"),
        ("T-2", None, "b@EXAMPLE.org", "ccpa", "me"),
    ]


def test_times_are_kept_in_utc_and_now_is_the_databases(engine: Engine) -> None:
    bring(
        engine,
        b"T-1,000000000000000000000001,,,,\nT-2,000000000000000000000002,,,2026-03-01T00:30:00+01:00,2026-03-02\n",
    )
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
    bring(engine, b"T-1,000000000000000000000001,,,,\n")
    new, known, rejected = bring(
        engine,
        b"T-1,000000000000000000000001,,,,\nT-1,000000000000000000000002,,,,\nT-1,000000000000000000000001,a@b.org,ccpa,,\nT-2,../x,,,,\nT-3,000000000000000000000003,,,,\n",
    )
    assert (new, known) == (1, 1)
    assert [number for number, _ in rejected] == [3, 4, 5]
    reasons = [reason for _, reason in rejected]
    assert "with another forge_user_id:" in reasons[0]
    assert "with another email and regime:" in reasons[1]
    assert "could change a URL" in reasons[2]
    assert len(fetch(engine, ROWS)) == 2


def test_a_reference_that_stands_twice_in_one_group_is_one_request(engine: Engine) -> None:
    new, known, rejected = bring(
        engine,
        b"T-1,000000000000000000000001,,,,\nT-1,000000000000000000000001,,,,\nT-1,000000000000000000000002,,,,\n",
    )
    assert (new, known, [number for number, _ in rejected]) == (1, 1, [4])
    assert fetch(engine, ROWS) == [("T-1", U1, None, "gdpr", "me")]


def test_a_closed_request_is_still_the_same_although_it_forgot_its_email(engine: Engine) -> None:
    content = b"T-1,,a@b.org,,,\n"
    bring(engine, content)
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "UPDATE deletion_requests SET email = NULL, status = 'done',"
            " closed_at = CURRENT_TIMESTAMP"
        )
    assert bring(engine, content) == (0, 1, [])


def test_the_id_that_the_run_found_out_is_no_difference(engine: Engine) -> None:
    content = b"T-1,,a@b.org,,,\n"
    bring(engine, content)
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "UPDATE deletion_requests SET forge_user_id = '000000000000000000000001'"
        )
    assert bring(engine, content) == (0, 1, [])


def test_a_line_that_is_typed_and_then_imported_is_one_request(engine: Engine) -> None:
    with writing(engine) as connection:
        first = add(
            connection,
            NewRequest(email=" a@b.org ", reference="T-1", created_by="me"),
            pattern=PATTERN,
        )
        again = add(connection, NewRequest(email="a@B.org", reference="T-1"), pattern=PATTERN)
    assert (first, again) == ((1, True), (1, False))
    assert bring(engine, b"T-1,,a@b.org,,,\n") == (0, 1, [])
    assert fetch(engine, ROWS) == [("T-1", None, "a@b.org", "gdpr", "me")]


def test_requests_without_a_reference_are_each_new(engine: Engine) -> None:
    with writing(engine) as connection:
        assert add(connection, NewRequest(user_id=USER_ID), pattern=PATTERN) == (1, True)
        assert add(connection, NewRequest(user_id=USER_ID), pattern=PATTERN) == (2, True)


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
                add(connection, new, pattern=PATTERN)
    assert fetch(engine, ROWS) == []


def test_a_typed_reference_of_somebody_else_says_what_differs_and_not_who(engine: Engine) -> None:
    reference = "ada@example.org"
    with writing(engine) as connection:
        add(connection, NewRequest(user_id=U1, reference=reference), pattern=PATTERN)
        with pytest.raises(
            InvalidInputError, match="request 1, which has another forge_user_id"
        ) as it:
            add(connection, NewRequest(user_id=U2, reference=reference), pattern=PATTERN)
    assert "ada" not in str(it.value)


def test_the_same_person_in_other_spelling_is_the_same_request(engine: Engine) -> None:
    user_id = "61AB8F99251CBA0014437326"
    assert bring(engine, f"T-1,{user_id},ada@B\u00dcCHER.example,,,\n".encode()) == (1, 0, [])
    same = f"T-1,{user_id.lower()},ada@xn--bcher-kva.example,,,\n".encode()
    assert bring(engine, same) == (0, 1, [])
    other = f"T-1,{user_id[:-1]}7,ADA@xn--bcher-kva.example,,,\n".encode()
    ((number, reason),) = bring(engine, other)[2]
    assert (number, "with another forge_user_id and email:" in reason) == (2, True)
    assert fetch(engine, ROWS) == [
        ("T-1", user_id.lower(), "ada@B\u00dcCHER.example", "gdpr", "me")
    ]


def test_what_an_application_inserted_in_upper_case_is_the_same_id(engine: Engine) -> None:
    insert(engine, {"forge_user_id": "61AB8F99251CBA0014437326", "reference": "T-1"})
    assert bring(engine, b"T-1,61ab8f99251cba0014437326,,,,\n") == (0, 1, [])


def test_what_looks_like_no_id_and_no_address_is_rejected_with_a_clause(engine: Engine) -> None:
    new, known, rejected = bring(
        engine,
        b"T-1,ada@example.org,,,,\nT-2,undefined,,,,\nT-3,6.15E+23,,,,\nT-4,,banana,,,\n"
        b"T-5,4711,,,,\nT-6,,a@b.org; c@d.org,,,\n",
    )
    spreadsheet = "a spreadsheet has turned this id into a number like 6.15E+23: export the ids as"
    number = "this is a number, perhaps your own application's: a Forge id has 24 hex digits"
    assert (new, known) == (0, 0)
    assert rejected == [
        (2, "wrong user id: this is an e-mail address: put it into `email`"),
        (3, "wrong user id: this is the word 'undefined' that a program writes when it has no id"),
        (4, f"wrong user id: {spreadsheet} text"),
        (5, "wrong e-mail: this is not an e-mail address: it has no @"),
        (6, f"wrong user id: {number}"),
        (7, "wrong e-mail: this is more than one address: give each a request of its own"),
    ]


def test_another_pattern_lets_other_ids_in_as_they_are(engine: Engine) -> None:
    with writing(engine) as connection:
        add(connection, NewRequest(user_id="Ada_1"), pattern=re.compile("[A-Za-z]+_[0-9]"))
        with pytest.raises(InvalidInputError, match=r"^wrong e-mail: "):
            add(connection, NewRequest(email="ada@localhost"), pattern=PATTERN)
    assert fetch(engine, "SELECT forge_user_id FROM deletion_requests") == ["Ada_1"]

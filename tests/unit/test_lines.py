"""Which lines of a file are requests, where each begins, and what is said of the others."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from builders import EMAIL, NOW, USER_ID, moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.errors import ForgeGdprError, InvalidInputError
from forge_gdpr.identifiers import FORGE_ID
from forge_gdpr.queue.checks import NewRequest, check, differences, request_in
from forge_gdpr.queue.lines import COLUMNS, LONGEST_BYTES, Format, lines

PATTERN = re.compile(FORGE_ID)

HEADER = b"reference,email\n"
GOOD = {"reference": "T-2", "email": EMAIL}


def read(content: bytes, form: Format | None = None) -> list[tuple[int, dict[str, str], str]]:
    """Return number, cells and the beginning of what is wrong, of each record."""
    return [(n.number, dict(n.cells), n.fault or "") for n in lines(BytesIO(content), form)]


@pytest.mark.parametrize(
    ("content", "number"),
    [
        pytest.param(HEADER + b"T-2,Ada@example.org\n", 2, id="plain"),
        pytest.param(HEADER + b"T-2,Ada@example.org", 2, id="no end of the last line"),
        pytest.param(b"\xef\xbb\xbf" + HEADER + b"T-2,Ada@example.org\n", 2, id="BOM"),
        pytest.param(b'\xef\xbb\xbf"reference",email\nT-2,Ada@example.org\n', 2, id="BOM, quote"),
        pytest.param(b"reference,email\r\nT-2,Ada@example.org\r\n", 2, id="CRLF"),
        pytest.param(HEADER + b'"T-2","Ada@example.org"\n', 2, id="quotes"),
        pytest.param(b"\n" + HEADER + b"\n\r\nT-2,Ada@example.org\n\n", 5, id="blank lines"),
        pytest.param(b"email,reference\nAda@example.org,T-2\n", 2, id="another order"),
        pytest.param(
            b"reference,forge_user_id,email,regime,received_at,not_before\n"
            b"T-2,,Ada@example.org,,,\n",
            2,
            id="empty cells",
        ),
        pytest.param(b'{"reference":"T-2","email":"Ada@example.org"}', 1, id="JSON"),
        pytest.param(
            b'\xef\xbb\xbf\n \r\n {"email":"Ada@example.org","reference":"T-2","regime":null}\r\n',
            3,
            id="JSON, BOM, blank lines, null",
        ),
        pytest.param(
            b'{"reference":"\\u0054-2","email":"Ada@example.org","regime":""}\n\n',
            1,
            id="JSON, escapes, empty text",
        ),
    ],
)
def test_a_record_is_read_with_its_line_number(content: bytes, number: int) -> None:
    assert read(content) == [(number, GOOD, "")]


def test_a_quoted_line_end_belongs_to_its_cell_and_the_numbers_go_on() -> None:
    content = HEADER + b'"T\n1",a@b\n"T\r\n""2""",c@d\nT-3,e@f\n'
    assert read(content) == [
        (2, {"reference": "T\n1", "email": "a@b"}, ""),
        (4, {"reference": 'T\r\n"2"', "email": "c@d"}, ""),
        (6, {"reference": "T-3", "email": "e@f"}, ""),
    ]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        pytest.param(b"T-1,a\xff@b", "is not UTF-8", id="broken UTF-8"),
        pytest.param("T-1,ä@b".encode("latin-1"), "is not UTF-8", id="Latin-1"),
        pytest.param(b"T-1,\xed\xa0\x80@b", "is not UTF-8", id="surrogate"),
        pytest.param(b"T-1,a\0@b", "holds a NUL byte", id="NUL"),
        pytest.param(b'T-1,"a@b"x', "a quote or a line end", id="text behind a quote"),
        pytest.param(b"T-1,a\r@b", "a quote or a line end", id="CR alone"),
        pytest.param(b"T-1", "has 1 cells, and the header names 2 columns", id="too few"),
        pytest.param(b"T-1,a@b,", "has 3 cells, and the header names 2 columns", id="too many"),
        pytest.param(b"T-1;a@b", "has 1 cells, and the header names 2 columns", id="semicolons"),
        pytest.param(b"T-1," + b"a" * LONGEST_BYTES, "is longer than 16384 bytes", id="long"),
        pytest.param(b"T-1," + b"a" * 99_999, "is longer than 16384 bytes", id="much longer"),
    ],
)
def test_what_is_no_csv_is_told_with_its_line_and_the_next_one_is_read(
    bad: bytes, said: str
) -> None:
    wrong, right = read(HEADER + bad + b"\nT-2,Ada@example.org\n", Format.CSV)
    assert (wrong[:2], right) == ((2, {}), (3, GOOD, ""))
    assert wrong[2].startswith(said)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        pytest.param(b"{", "is no JSON: each line", id="cut off"),
        pytest.param(b'{"reference": "T-1"} {}', "is no JSON: each line", id="two in a line"),
        pytest.param(b"[" * 9999, "is no JSON: each line", id="nested too deeply"),
        pytest.param(b'{"a":' * 3000, "is no JSON: each line", id="objects nested too deeply"),
        pytest.param(b"9" * 9999, "is no JSON", id="a number with too many digits"),
        pytest.param(b"[]", "is no JSON object", id="array"),
        pytest.param(b'"T-1"', "is no JSON object", id="text"),
        pytest.param(b'{"reference": 1}', "reference is not text", id="number"),
        pytest.param(b'{"reference": NaN}', "reference is not text", id="NaN"),
        pytest.param(b'{"reference": {"a": 1}}', "reference is not text", id="object within"),
        pytest.param(b'{"email": "a@b", "email": "c@d"}', "holds a key twice", id="twice"),
        pytest.param(b'{"reference":"\xff"}', "is not UTF-8", id="broken UTF-8"),
        pytest.param(b'{"reference":"\0"}', "holds a NUL byte", id="NUL"),
        pytest.param(b'{"email":"' + b"a" * 99_999 + b'"}', "is longer than", id="long"),
        pytest.param(
            b'{"reference":"T-1","mail":"a"}', "column 'mail' is not known: there are", id="unknown"
        ),
        pytest.param(
            b'{"a@b":"T-1","reference":"a"}',
            "column number 1 is not known: there are",
            id="a person for a key",
        ),
    ],
)
def test_what_is_no_json_line_is_told_with_its_line_and_the_next_one_is_read(
    bad: bytes, said: str
) -> None:
    good = json.dumps(GOOD).encode()
    wrong, right = read(bad + b"\n" + good, Format.JSON_LINES)
    assert (wrong[:2], right) == ((1, {}), (2, GOOD, ""))
    assert wrong[2].startswith(said)


@pytest.mark.parametrize(
    ("opened", "follows"),
    [
        pytest.param(b'"T-1,a@b\n', b"", id="to the end"),
        pytest.param(b'"T-1,a@b\n', b"T-2,b@c\n" * 9, id="over good lines to the end"),
        pytest.param(b'"T-1,a@b\n', b"T-2,b@c\n" * 9999, id="further than a record may reach"),
        pytest.param(b'"T-1,a@b\n', b'T-2,"b@c"\n', id="to the next quote"),
    ],
)
def test_a_quote_that_is_not_closed_is_told_where_it_was_opened(
    opened: bytes, follows: bytes
) -> None:
    first = read(HEADER + b"T-0,x@y\n" + opened + follows)[1]
    assert (first[0], first[1]) == (3, {})
    assert "quote" in first[2]


def test_broken_bytes_in_a_quoted_cell_do_not_make_lines_of_the_rest_of_it() -> None:
    found = read(HEADER + b'"T\xff\nT-9,victim@example.org\n",a@b\nT-2,Ada@example.org\n')
    assert [(number, cells) for number, cells, _ in found] == [(2, {}), (5, GOOD)]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        pytest.param(b"", "line 1: the file is empty", id="nothing"),
        pytest.param(b"\n\n", "line 1: the file is empty", id="blank lines"),
        pytest.param(b"T-1,ada@example.org", "line 1: is no header", id="no header"),
        pytest.param(b"\nreference;email", "line 2: is no header", id="semicolons"),
        pytest.param(b"reference,email,email", "line 1: names a column twice", id="twice"),
        pytest.param(b"reference,mail", "line 1: column 'mail' is not known", id="unknown"),
        pytest.param(
            b"reference,ada@example.org", "line 1: column number 2 is not known", id="a person"
        ),
        pytest.param(b"email", "line 1: the column reference is missing", id="no reference"),
        pytest.param(
            b"reference,regime", "line 1: the columns forge_user_id and email", id="nobody"
        ),
        pytest.param(b"\xff\xfer\0e\0f\0", "line 1: is not UTF-8", id="UTF-16"),
    ],
)
def test_a_header_is_refused_without_quoting_a_person(header: bytes, said: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{said}.*; nothing was imported$") as caught:
        list(lines(BytesIO(header), Format.CSV))
    assert "ada@" not in str(caught.value)


def test_a_json_file_may_be_empty() -> None:
    assert read(b"", Format.JSON_LINES) == []


def test_a_line_gives_its_text_back_but_shows_nobody() -> None:
    (line,) = lines(BytesIO(HEADER + b"T-1,ada\xff@b\r\n"))
    assert line.text == "T-1,ada\\xff@b"
    assert "ada" not in repr(line)


@moderately
@given(st.binary(max_size=200), st.sampled_from([None, *Format]))
def test_any_bytes_are_read_to_the_end(content: bytes, form: Format | None) -> None:
    try:
        found = list(lines(BytesIO(content), form))
    except InvalidInputError:
        return
    numbers = [line.number for line in found]
    assert numbers == sorted(set(numbers))


def make_new(**changes: Any) -> NewRequest:
    return replace(NewRequest(user_id=USER_ID, email=EMAIL, reference="T-1"), **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"user_id": None, "email": None}, "names a person", id="nobody"),
        pytest.param({"user_id": "../x"}, "could change a URL's path", id="path"),
        pytest.param({"user_id": "undefined"}, "wrong user id: this is the word", id="undefined"),
        pytest.param({"user_id": EMAIL}, "put it into `email`", id="e-mail in the wrong column"),
        pytest.param(
            {"email": "nobody"}, "wrong e-mail: this is not an e-mail address", id="no at"
        ),
        pytest.param({"email": "@b"}, "wrong e-mail: this has nothing before", id="no local part"),
        pytest.param({"email": "a@"}, "wrong e-mail: this has nothing after", id="no domain"),
        pytest.param({"email": "a@b c"}, "wrong e-mail: this has blanks", id="space in the domain"),
        pytest.param({"email": "a\0@b"}, "wrong e-mail: this has a control", id="NUL"),
        pytest.param({"email": "a@b\nc"}, "wrong e-mail: this has a control", id="line end"),
        pytest.param(
            {"email": "a@\ud800"}, "wrong e-mail: this has a control", id="lone surrogate"
        ),
        pytest.param({"email": "a@" + "b" * 319}, "wrong e-mail: the part after", id="321 long"),
        pytest.param({"reference": ""}, "reference is empty", id="empty reference"),
        pytest.param({"reference": "T" * 256}, "reference is longer than 255", id="256 long"),
        pytest.param({"reference": "T\t1"}, "reference holds a control", id="tab"),
        pytest.param({"reference": "T\ud8001"}, "reference holds", id="reference, surrogate"),
        pytest.param({"regime": "lgpd"}, "write one of ccpa, gdpr, uk_gdpr", id="regime"),
        pytest.param({"created_by": "a" * 65}, "actor is longer than 64", id="actor"),
        pytest.param(
            {"received_at": NOW + timedelta(days=1, microseconds=1)},
            "received_at is in the future",
            id="received in the future",
        ),
        pytest.param(
            {"not_before": NOW + timedelta(days=367)},
            "not_before is over a year ahead",
            id="never due",
        ),
        pytest.param(
            {"received_at": datetime(1999, 12, 31, tzinfo=UTC)}, "before the year 2000", id="1999"
        ),
    ],
)
def test_what_is_no_request_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ForgeGdprError, match=said) as caught:
        check(make_new(**changes), pattern=PATTERN, now=NOW)
    for value in changes.values():
        assert value in {None, "", "a@", "@b", "nobody", "undefined"} or str(value) not in str(
            caught.value
        )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="both"),
        pytest.param({"user_id": None}, id="e-mail only"),
        pytest.param({"email": None}, id="id only"),
        pytest.param({"email": " a@b.org "}, id="spaces around"),
        pytest.param({"email": "ä" * 64 + "@" + "b." * 126 + "c"}, id="318 long"),
        pytest.param({"user_id": USER_ID.upper()}, id="id in upper case"),
        pytest.param({"reference": None}, id="no reference"),
        pytest.param({"reference": "T" * 255}, id="reference 255 long"),
        pytest.param({"received_at": NOW + timedelta(days=1)}, id="clock ahead"),
        pytest.param({"not_before": NOW + timedelta(days=366)}, id="a year's cool-off"),
        pytest.param({"regime": "uk_gdpr", "created_by": "me"}, id="regime and actor"),
    ],
)
def test_a_request_is_taken(changes: dict[str, Any]) -> None:
    check(make_new(**changes), pattern=PATTERN, now=NOW)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-31", datetime(2026, 3, 31, tzinfo=UTC)),
        ("20260331", datetime(2026, 3, 31, tzinfo=UTC)),
        ("2026-03-31T09:00:00Z", datetime(2026, 3, 31, 9, tzinfo=UTC)),
        ("2026-03-31 09:00+02:00", datetime(2026, 3, 31, 7, tzinfo=UTC)),
        ("2026-03-31T09:00:00.250000-01:30", datetime(2026, 3, 31, 10, 30, 0, 250000, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_utc(text: str, at: datetime) -> None:
    cells = GOOD | {"received_at": text, "not_before": text}
    new = request_in(cells, created_by=None)
    assert (new.received_at, new.not_before) == (at, at)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"received_at": "2026-03-31T09:00:00"}, "has no time zone", id="no zone"),
        pytest.param({"received_at": "soon"}, "received_at is no time", id="a word"),
        pytest.param({"received_at": "31.03.2026"}, "received_at is no time", id="German"),
        pytest.param({"not_before": "2026-02-30"}, "not_before is no time", id="30 February"),
        pytest.param({"not_before": "0001-01-01T00:00+14:00"}, "is no time", id="before year 1"),
    ],
)
def test_a_time_that_can_be_misread_is_refused(changes: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        request_in(GOOD | changes, created_by=None)


def test_a_line_without_a_reference_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"there is no reference: .* repeated safely"):
        request_in({"email": EMAIL}, created_by=None)


def test_each_column_becomes_its_field() -> None:
    (line,) = lines(
        BytesIO(",".join(COLUMNS).encode() + b"\nT-1,u1, a@B ,ccpa,2026-03-01,2026-03-02\n")
    )
    assert request_in(line.cells, created_by="me") == NewRequest(
        user_id="u1",
        email="a@B",
        reference="T-1",
        regime="ccpa",
        received_at=datetime(2026, 3, 1, tzinfo=UTC),
        not_before=datetime(2026, 3, 2, tzinfo=UTC),
        created_by="me",
    )


FULL = make_new(received_at=NOW, not_before=NOW)
#: What is left of it once it is closed.
FORGOTTEN = make_new(email=None)


@pytest.mark.parametrize(
    ("new", "old", "closed", "said"),
    [
        pytest.param(FULL, FULL, False, [], id="the same"),
        pytest.param(make_new(email="Ada@EXAMPLE.org"), FULL, False, [], id="domain in capitals"),
        pytest.param(make_new(user_id=USER_ID.upper()), FULL, False, [], id="id in capitals"),
        pytest.param(
            make_new(email="a@b\u00fc.org"),
            make_new(email="a@xn--b-eha.org"),
            False,
            [],
            id="IDN in both forms",
        ),
        pytest.param(
            make_new(email="a@b.org"),
            make_new(email="banana"),
            False,
            ["email"],
            id="was no e-mail",
        ),
        pytest.param(make_new(email=None), FULL, False, [], id="says less"),
        pytest.param(make_new(user_id=None), FULL, False, [], id="the run found out the id"),
        pytest.param(make_new(user_id="b"), FULL, False, ["forge_user_id"], id="another id"),
        pytest.param(make_new(email="b@c"), FULL, False, ["email"], id="another e-mail"),
        pytest.param(make_new(email="ada@example.org"), FULL, False, ["email"], id="another case"),
        pytest.param(
            FULL,
            NewRequest(reference="T-1"),
            False,
            ["forge_user_id", "email", "received_at", "not_before"],
            id="says more",
        ),
        pytest.param(make_new(regime="ccpa"), FULL, False, ["regime"], id="another regime"),
        pytest.param(
            make_new(received_at=NOW + timedelta(seconds=1)),
            FULL,
            False,
            ["received_at"],
            id="another time",
        ),
        pytest.param(make_new(), FORGOTTEN, True, [], id="closed, e-mail forgotten"),
        pytest.param(make_new(), replace(FORGOTTEN, user_id=None), True, [], id="all forgotten"),
        pytest.param(
            make_new(user_id="b"), FORGOTTEN, True, ["forge_user_id"], id="closed, another id"
        ),
    ],
)
def test_what_is_given_must_be_the_same(
    new: NewRequest, old: NewRequest, closed: bool, said: list[str]
) -> None:
    assert differences(new, old, closed=closed) == said

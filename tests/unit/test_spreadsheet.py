"""CSV for spreadsheets: quoted as the RFC says, and no cell is a formula."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from io import StringIO

import pytest
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.spreadsheet import csv_row, defused


@pytest.mark.parametrize(
    "cell",
    [
        "=1+2",
        "+49 30 1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\tplain",
        " =1",
        "\u00a0=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff201",
        "-",
    ],
)
def test_what_could_be_a_formula_stands_behind_an_apostrophe(cell: str) -> None:
    assert defused(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "T-1", "4711", "'=1", " a", "a=1", "a@b", "a\t=1", "Zoë"])
def test_what_is_no_formula_stays_as_it_is(cell: str) -> None:
    assert defused(cell) == cell


def test_a_record_has_quotes_where_they_are_needed_iso_times_and_a_line_end() -> None:
    at = datetime(2026, 3, 31, 2, 30, tzinfo=UTC)
    row = csv_row([1, -2, None, "", 'a,"b"', "a\r\nb", date(2026, 3, 1), at, "-3"])
    assert row == (
        '1,-2,,,"a,""b""","a\r\nb",2026-03-01,2026-03-31T02:30:00+00:00,\'-3\r\n'  # RFC 4180
    )


@moderately
@given(st.lists(st.text(), min_size=1))
def test_a_record_is_read_back_as_it_was_written_but_for_the_apostrophe(cells: list[str]) -> None:
    (read,) = csv.reader(StringIO(csv_row(cells), newline=""), strict=True)
    assert read == [defused(cell) for cell in cells]
    assert not any(cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"} for cell in read if cell)

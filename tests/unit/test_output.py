"""Tables and JSON in pieces: the same as in one piece, and nothing a terminal would obey."""

from __future__ import annotations

import json
from itertools import count, islice

import pytest
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.cli.output import json_array, table_lines


def test_a_table_has_numbers_on_the_right_and_nothing_for_none() -> None:
    lines = "".join(table_lines(("id", "name"), [(1, "Zoë"), (12, None), (None, "b")]))
    assert lines == "\n id   name\n ─────────\n  1   Zoë\n 12\n      b\n"


def test_an_empty_table_has_a_header() -> None:
    assert "".join(table_lines(("id", "name"), [])) == "\n id   name\n ─────────\n"


def test_a_long_table_is_laid_out_as_a_short_one_and_its_columns_only_grow() -> None:
    rows = [(n, "x" * (n // 500), "日本" if n == 1200 else None, n) for n in range(998, 2600)]
    lines = "".join(table_lines(("id", "name", "also", "n"), rows)).splitlines()
    assert len(lines) == 3 + 1602
    assert lines[2 + 1] == "  998   x" + " " * 14 + "998"
    assert lines[2 + 203] == " 1200   xx     日本   1200"
    assert lines[2 + 1000] == " 1997   xxx" + " " * 11 + "1997"
    assert lines[2 + 1001] == " 1998   xxx" + " " * 12 + "1998"  # one of its page has five
    assert lines[-1] == " 2599   xxxxx" + " " * 10 + "2599"


def test_a_table_that_is_too_wide_is_folded_on_every_page() -> None:
    rows = [(n, "x" * 500) for n in range(1001)]
    lines = "".join(table_lines(("id", "name"), rows)).splitlines()
    assert len(lines) == 3 + 2 * 1001
    assert [line.count("x") for line in lines[-4:]] == [392, 108, 391, 109]


def test_a_table_is_never_in_memory_as_a_whole() -> None:
    endless = ((n, "a") for n in count())
    assert len(list(islice(table_lines(("n", "a"), endless), 5000))) == 5000


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        pytest.param("\x1b[2J", "\\x1b[2J", id="clears the screen"),
        pytest.param("a\nb\tc", "a\\nb\\tc", id="leaves its line"),
        pytest.param("\x9b1m", "\\x9b1m", id="C1"),
        pytest.param("\u202eab", "\\u202eab", id="turns what follows round"),
    ],
)
def test_what_a_terminal_would_obey_is_spelt_out(cell: str, shown: str) -> None:
    assert "".join(table_lines(("a",), [(cell,)])).splitlines()[-1] == f" {shown}"


@moderately
@given(st.lists(st.dictionaries(st.text(), st.text() | st.none() | st.integers())))
def test_a_json_array_in_pieces_is_the_one_in_one_piece(values: list[dict[str, object]]) -> None:
    whole = json.dumps(values, indent=2, ensure_ascii=False)
    shown = "".join(json_array(values))
    assert json.loads(shown) == values
    assert shown.replace("\n", "").isprintable()
    assert shown == whole + "\n" or not whole.replace("\n", "").isprintable()

"""Figures as table and as JSON."""

import json
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from forge_gdpr.chain import Head
from forge_gdpr.reports.document import as_json
from forge_gdpr.reports.figures import Days, Figures
from forge_gdpr.reports.table import as_table

HEAD = Head(chain="main", seq=42, hash="0123456789abcdef" * 4)


def make_figures(**changes: Any) -> Figures:
    figures = Figures(
        since=date(2026, 3, 1),
        until=date(2026, 3, 31),
        today=date(2026, 4, 2),
        received=12_345,
        outcomes={
            "erased": 12_000,
            "absent_after_attempt": 5,
            "already_absent": 20,
            "not_found_by_email": 10,
            "cancelled": 3,
            "refused": 2,
        },
        review=105,
        held=50,
        open=150,
        on_time=12_039,
        late=1,
        overdue=7,
        days=Days(median=1.0, p95=28.4),
        unseen=9,
        head=HEAD,
    )
    return replace(figures, **changes)


NOTHING = make_figures(
    received=0,
    outcomes=dict.fromkeys(make_figures().outcomes, 0),
    review=0,
    held=0,
    open=0,
    on_time=0,
    late=0,
    overdue=0,
    days=Days(median=None, p95=None),
    unseen=0,
)

TABLE = """\
Deletion requests received from 2026-03-01 to 2026-03-31 (UTC)

received                                12,345
closed                                  12,040
  erased                                12,000
  erased, absent after an earlier call       5
  was not there                             20
  no user with this address was found       10
  cancelled                                  3
  refused                                    2
review (needs a person)                    105
held                                        50
open                                       150

closed on time                          12,039
closed late                                  1
not closed, overdue on 2026-04-02            7
days to close, median                      1.0
days to close, 95th percentile            28.4

Counted are the requests received in the period, each once, as the record says
they stand now: 12345 received = 12040 closed + 105 review + 50 held + 150 open;
12040 closed = 12039 on time + 1 late.
Days run from received to closed, over all closed requests; median and 95th
percentile are by nearest rank, to 1 decimal.
Not counted above: 9 unseen (no run has admitted them yet).
Record: chain main, event 42, hash
  0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
It is not signed: see 'forge-gdpr audit keygen'.
"""


def numbers_in(table: str) -> list[str]:
    rows = table.split("\n\n", maxsplit=1)[1].partition("Counted")[0]
    return [line.split()[-1].replace(",", "") for line in rows.splitlines() if line]


def test_the_table_is_plain_text_of_eighty_columns() -> None:
    assert as_table(make_figures()) == TABLE


def test_the_table_has_no_colours_even_if_the_environment_wants_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert as_table(make_figures()) == TABLE


def test_a_narrow_table_loses_no_number() -> None:
    narrow = as_table(make_figures(), width=50)
    assert numbers_in(narrow) == numbers_in(TABLE)
    assert max(map(len, narrow.splitlines())) <= 50


def test_table_and_document_have_the_same_numbers() -> None:
    figures = make_figures()
    document = as_json(figures)
    days = document["days_to_close"]
    assert numbers_in(as_table(figures)) == [
        str(number)
        for number in (
            document["received"],
            document["closed"],
            *document["outcomes"].values(),
            *(document[name] for name in ("review", "held", "open", "on_time", "late", "overdue")),
            days["median"],
            days["p95"],
        )
    ]
    assert f" {document['unseen']} unseen" in as_table(figures)
    assert " ".join(as_table(figures).split()).count(document["rule"]) == 1


def test_the_document_is_json_and_says_where_it_comes_from() -> None:
    document = as_json(make_figures())
    assert json.loads(json.dumps(document)) == document
    assert document["record"] == {"chain": "main", "seq": 42, "hash": HEAD.hash}
    assert (document["since"], document["until"]) == ("2026-03-01", "2026-03-31")
    assert document["reconciles"] is True


def test_where_nothing_is_closed_there_are_no_days() -> None:
    assert as_json(NOTHING)["days_to_close"]["median"] is None
    assert as_json(NOTHING)["days_to_close"]["p95"] is None
    assert re.search(r"^days to close, median +-$", as_table(NOTHING), re.MULTILINE)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"received": 12_346}, id="one is in no state"),
        pytest.param({"open": 151}, id="one is in two states"),
        pytest.param({"late": 2}, id="one is on time and late"),
        pytest.param({"overdue": 306}, id="more overdue than not closed"),
    ],
)
def test_numbers_that_do_not_add_up_are_named(changes: dict[str, int]) -> None:
    figures = make_figures(**changes)
    assert not figures.reconciles
    assert as_json(figures)["reconciles"] is False
    assert "THE NUMBERS DO NOT ADD UP" in as_table(figures)


def test_the_rule_states_the_sum() -> None:
    assert make_figures().reconciles
    assert make_figures().rule.endswith(
        "12345 received = 12040 closed + 105 review + 50 held + 150 open;"
        " 12040 closed = 12039 on time + 1 late."
    )

"""The report in each form, over three quarters; its figures are recomputed by other SQL."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from datetime import date
from html.parser import HTMLParser
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import pytest
from quarters import KEY, NIGHTS, write_quarters
from world import Program, fetch, insert

from forge_gdpr.audit.events import Entry, EventName
from forge_gdpr.audit.record import append, append_main
from forge_gdpr.chain import Head, written_time
from forge_gdpr.database.engine import now, reading, writing
from forge_gdpr.sandbox import generated_user

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

PERIOD: Final = ("--from", "2026-03-01", "--to", "2026-10-31")
#: What a body says, as each database reads it.
SAID: Final = {
    "sqlite": r"json_extract(\1.body, '$.\2')",
    "postgresql": r"(\1.body::jsonb ->> '\2')",
}
#: Days between two texts that are times.
DAYS: Final = {
    "sqlite": r"(julianday(\2) - julianday(\1))",
    "postgresql": r"(extract(epoch FROM (\2)::timestamptz - (\1)::timestamptz) / 86400.0)",
}
LIVES: Final = """
WITH lives AS (
    SELECT a.request_id,
        {a.received_at} AS received_at,
        coalesce({c.due_on}, {a.due_on}) AS due_on,
        {c.closed_on} AS closed_on,
        DAYS {a.received_at} TO {c.at},
        CASE c.event
            WHEN 'request.cancelled' THEN 'cancelled'
            WHEN 'request.refused' THEN 'refused'
            ELSE c.outcome
        END AS outcome,
        CASE
            WHEN EXISTS (
                SELECT 1 FROM audit_events AS r
                WHERE r.request_id = a.request_id AND r.event = 'attempt.finished'
                    AND {r.status} = 'review'
            ) THEN 'review'
            WHEN EXISTS (
                SELECT 1 FROM audit_events AS h
                WHERE h.request_id = a.request_id AND h.event = 'request.held'
            ) THEN 'held'
            ELSE 'open'
        END AS state
    FROM audit_events AS a
    LEFT JOIN audit_events AS c ON c.request_id = a.request_id
        AND c.event IN ('request.closed', 'request.cancelled', 'request.refused')
    WHERE a.event = 'request.admitted'
        AND substr({a.received_at}, 1, 10) BETWEEN '2026-03-01' AND '2026-10-31'
)
"""


def ask(engine: Engine, question: str) -> list[tuple[Any, ...]]:
    """Return what a question about `LIVES` finds; `{x.y}` is what the body of event x says of y."""
    dialect = engine.dialect.name
    sql = re.sub(r"\{(\w)\.(\w+)\}", SAID[dialect], LIVES + question)
    sql = re.sub(r"DAYS (.+) TO (.+),\n", DAYS[dialect] + " AS days,\n", sql)
    with reading(engine) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql.replace("%", "%%"))]


def counts(engine: Engine, what: str, where: str = "TRUE") -> dict[Any, int]:
    question = f"SELECT {what}, count(*) FROM lives WHERE {where} GROUP BY 1"  # ours
    return dict(ask(engine, question))


def numbers(told: str) -> dict[tuple[str, str, str], str]:
    """Return a CSV report's values by part, label and figure."""
    rows = csv.DictReader(StringIO(told))
    return {(row["part"], row["label"], row["figure"]): row["value"] for row in rows}


@pytest.fixture
def reported(program: Program, engine: Engine) -> Program:
    write_quarters(engine)
    return program


def test_the_figures_are_those_of_an_independent_script(reported: Program, engine: Engine) -> None:
    told = numbers(reported.here("report", *PERIOD, "--output", "csv").stdout)
    found = json.loads(reported.here("report", *PERIOD, "--output", "json").stdout)
    today = told["period", "", "today"]
    closed, waits = "outcome IS NOT NULL", "outcome IS NULL"
    states, outcomes = counts(engine, "state", waits), counts(engine, "outcome", closed)
    ((received,),) = ask(engine, "SELECT count(*) FROM lives")
    ((on_time,),) = ask(engine, "SELECT count(*) FROM lives WHERE closed_on <= due_on")
    ((late,),) = ask(engine, "SELECT count(*) FROM lives WHERE closed_on > due_on")
    overdue = sum(counts(engine, "state", f"{waits} AND due_on < '{today}'").values())
    script = {
        "received": received,
        "closed": sum(outcomes.values()),
        **{state: states[state] for state in ("review", "held", "open")},
        "on_time": on_time,
        "late": late,
        "overdue": overdue,
        "unseen": 0,
    }
    assert min(script[name] for name in ("review", "held", "open", "late", "overdue")) > 0
    assert {name: int(told["figures", "", name]) for name in script} == script
    assert received == sum(outcomes.values()) + sum(states.values())
    assert told["figures", "", "reconciles"] == "yes"
    for outcome in ("erased", "already_absent", "not_found_by_email", "cancelled", "refused"):
        assert int(told["outcomes", outcome, "requests"]) == outcomes[outcome]
        assert found["outcomes"][outcome] == outcomes[outcome]
    assert found["received"] == received
    took = ask(engine, f"SELECT days FROM lives WHERE {closed} ORDER BY 1")
    days = [float(one) for (one,) in took]
    for name, percent in (("median", 50), ("p95", 95)):
        ranked = days[-(-len(days) * percent // 100) - 1]
        reported_days = float(told["figures", "", f"days_to_close_{name}"])
        assert reported_days == pytest.approx(ranked, abs=0.06)


def test_each_plot_has_the_numbers_of_an_independent_script(
    reported: Program, engine: Engine
) -> None:
    told = numbers(reported.here("report", *PERIOD, "--output", "csv").stdout)
    today = date.fromisoformat(told["period", "", "today"])

    def of_part(part: str, figure: str) -> dict[str, int]:
        return {
            label: int(value)
            for (its, label, of), value in told.items()
            if (its, of) == (part, figure) and value != "0"
        }

    for figure, column in (("received", "substr(received_at, 1, 10)"), ("closed", "closed_on")):
        weeks: Counter[str] = Counter()
        for day, requests in counts(engine, column, f"{column} IS NOT NULL").items():
            year, week, _ = date.fromisoformat(day).isocalendar()
            weeks[f"{year}-W{week:02}"] += requests
        assert of_part("by_week", figure) == weeks
    month, on_time = "substr(received_at, 1, 7)", "closed_on <= due_on"
    assert of_part("received_in", "on_time") == counts(engine, month, on_time)
    assert of_part("received_in", "late") == counts(engine, month, "closed_on > due_on")
    overdue = f"outcome IS NULL AND due_on < '{today}'"
    assert of_part("received_in", "overdue") == counts(engine, month, overdue)
    band = """CASE WHEN days < 1 THEN '0' WHEN days < 2 THEN '1' WHEN days < 3 THEN '2'
        WHEN days < 7 THEN '3 to 6' WHEN days < 14 THEN '7 to 13' WHEN days < 21 THEN '14 to 20'
        WHEN days < 28 THEN '21 to 27' WHEN days < 32 THEN '28 to 31' WHEN days < 46 THEN '32 to 45'
        WHEN days < 93 THEN '46 to 92' ELSE '93 or more' END"""
    bands = {figure: of_part("days_to_close", figure) for figure in ("on_time", "late")}
    rounded = band.replace("days", "(days + 0.05)")  # to the decimal that is reported
    assert bands["on_time"] == counts(engine, rounded, on_time)
    assert bands["late"] == counts(engine, rounded, "closed_on > due_on")
    for state in ("open", "review", "held"):
        left: Counter[str] = Counter()
        for due_on, requests in counts(
            engine, "due_on", f"outcome IS NULL AND state = '{state}'"
        ).items():
            days = (date.fromisoformat(due_on) - today).days
            starts = (("29 or more", 29), ("22 to 28", 22), ("15 to 21", 15), ("8 to 14", 8))
            name = next((name for name, first in starts if days >= first), "0 to 7")
            left["late" if days < 0 else name] += requests
        assert of_part("days_left", state) == left
    assert of_part("runs", "runs") == {"finished": NIGHTS - 5, "stopped": 4, "crashed": 1}
    assert told["guards", "", "overridden"] == "2"


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            assert name not in {"src", "onclick", "onload"}
            assert name != "href" or str(value).startswith("#")
            if name == "id":
                self.ids.append(str(value))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_the_page_is_one_file_that_runs_and_loads_nothing(
    reported: Program, engine: Engine
) -> None:
    done = reported("report", *PERIOD, "--output", "html")
    assert (done.returncode, done.stderr) == (0, "")
    page = Page(done.stdout)
    assert not {"script", "link", "img", "iframe", "object"} & page.tags.keys()
    assert len(page.ids) == len(set(page.ids))
    assert (page.tags["svg"], page.tags["title"], page.tags["desc"]) == (5, 6, 5)
    assert page.tags["h1"] == 1
    assert "@import" not in done.stdout
    assert "url(http" not in done.stdout
    ((received,),) = ask(engine, "SELECT count(*) FROM lives")
    assert f"{received:,}" in page.texts
    for said in (
        "Yes: both sides are equal.",
        "Guards that were overridden",
        "spike_factor",
        "240 opened in this period: 235 finished, 4 stopped, 1 crashed, 0 not closed.",
        "143 SIGTERM",
        "5 FORGE_UNAVAILABLE",
        "8 GUARD_STOPPED",
        "It proves what Forge answered, not what is left on Forge's disks or in backups.",
    ):
        assert said in page.texts
    assert "— example.org/forge-gdpr" in done.stdout


def test_a_text_from_the_record_is_never_html(program: Program, engine: Engine) -> None:
    hostile = "<script>alert(1)</script>"
    with writing(engine) as connection:
        at = now(connection)
        facts = {
            "received_at": written_time(at),
            "due_on": at.date().isoformat(),
            "closed_on": at.date().isoformat(),
            "reference": hostile,
        }
        events = [
            Entry(event=EventName.REQUEST_ADMITTED, request_id=1, details=facts),
            Entry(event=EventName.REQUEST_CLOSED, request_id=1, outcome=hostile, details=facts),
        ]
        append(connection, Head(chain="run"), events, at=at)
        override = Entry(
            event=EventName.GUARD_OVERRIDDEN,
            actor=hostile,
            details={"guard": hostile, "reason": hostile},
        )
        opened = Entry(event=EventName.RUN_OPENED, run_id=hostile, actor=hostile)
        note = Entry(event=EventName.CHECKPOINT, actor=hostile, details={"note": hostile})
        append_main(connection, [override, opened, note], at=at)
    done = program.here("report", "--output", "html")
    assert (done.returncode, done.stderr) == (0, "")
    assert "<script" not in done.stdout
    assert done.stdout.count("&lt;script&gt;") >= 5
    assert "WHAT STANDS THERE IS NO CHECKPOINT" in done.stdout
    table = program.here("report", "--output", "csv").stdout
    assert hostile in table


def test_a_cell_of_the_csv_is_no_formula(program: Program, engine: Engine) -> None:
    with writing(engine) as connection:
        at = now(connection)
        due = {"received_at": written_time(at), "due_on": at.date().isoformat()}
        events = [
            Entry(event=EventName.REQUEST_ADMITTED, request_id=1, details=due),
            Entry(event=EventName.REQUEST_CLOSED, request_id=1, outcome="=1+1", details=due),
        ]
        append(connection, Head(chain="run"), events, at=at)
    told = numbers(program.here("report", "--output", "csv").stdout)
    assert told["outcomes", "'=1+1", "requests"] == "1"


def test_an_empty_record_has_a_page_that_says_so(program: Program, engine: Engine) -> None:
    assert fetch(engine, "SELECT count(*) FROM audit_events") == [0]
    done = program.here("report", "--output", "html")
    assert (done.returncode, done.stderr) == (0, "")
    page = Page(done.stdout)
    assert page.tags["svg"] == 0
    for said in (
        "Nothing was received in this period.",
        "No request of this period is closed.",
        "None in this period.",
        "None was opened in this period.",
    ):
        assert said in page.texts
    assert "This record is not signed" in done.stdout
    assert "reconciles,yes" in program.here("report", "--output", "csv").stdout


def test_one_request_is_enough_for_every_plot(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": generated_user(0).id})
    assert program.here("run").returncode == 0
    done = program.here("report", "--output", "html")
    assert (done.returncode, Page(done.stdout).tags["svg"]) == (0, 4)
    assert "1 opened in this period: 1 finished" in done.stdout
    assert "All of them, the newest first" in done.stdout


def test_each_form_has_the_newest_checkpoint(reported: Program) -> None:
    signature = KEY.public.name
    for output in ("table", "json", "csv", "html"):
        done = reported.here("report", *PERIOD, "--output", output)
        assert f"— {signature}" in done.stdout.replace("\\u2014", "—"), output


def test_centuries_are_told_by_year(reported: Program) -> None:
    centuries = ("--from", "1976-01-01", "--to", "2126-01-01")
    told = numbers(reported.here("report", *centuries, "--output", "csv").stdout)
    assert told["by_year", "2026", "received"] == told["figures", "", "received"]
    page = reported.here("report", *centuries, "--output", "html")
    assert (page.returncode, "by year" in page.stdout) == (0, True)


def test_without_matplotlib_the_page_says_what_to_install(tmp_path: Path) -> None:
    begin = (
        "import sys; sys.modules['matplotlib'] = None;"
        " from importlib.machinery import PathFinder as F; real = F.find_spec;"
        " F.find_spec = classmethod(lambda c, n, *a: None if n == 'matplotlib' else real(n, *a));"
        " del sys.modules['matplotlib'];"
        " from forge_gdpr.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", begin, "report", "--output", "html"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "pip install 'forge-gdpr[report]'" in done.stderr


def test_a_period_that_ends_before_it_begins_is_refused(reported: Program) -> None:
    done = reported.here("report", "--from", "2026-02-01", "--to", "2026-01-01", "--output", "html")
    assert (done.returncode, "--from is later than --to" in done.stderr) == (2, True)

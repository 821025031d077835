"""`requests list` as people and spreadsheets see it: formats, orders, a limit, a pager."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
import termios
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from world import Program, insert

from forge_gdpr.sandbox import generated_user

if TYPE_CHECKING:
    from sqlalchemy import Engine

ADA = generated_user(0)
#: Says that it was started, and shows what it was given.
PAGER = f"{sys.executable} -c 'import sys; print(\"PAGED\"); sys.stdout.write(sys.stdin.read())'"


def test_each_format_has_the_same_requests_in_the_order_that_was_asked_for(
    program: Program, engine: Engine
) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id, "reference": "=HYPERLINK(1)", "due_on": "2026-04-01"},
        {"email": ADA.email, "reference": 'a,"b"'},
        {"forge_user_id": "u3", "reference": ADA.email, "due_on": "2026-05-01"},
    )
    told = {
        output: program.here(
            *("requests", "list", "--sort", "id", "--reverse", "--output", output),
            FORGE_GDPR_REFERENCE_PATTERN=".*",
        ).stdout
        for output in ("table", "json", "csv")
    }
    objects = json.loads(told["json"])
    rows = list(csv.DictReader(StringIO(told["csv"], newline=""), strict=True))
    assert [one["id"] for one in objects] == [3, 2, 1]
    assert list(rows[0]) == list(objects[0])
    for row, one in zip(rows, objects, strict=True):
        defused = {"reference": "'=HYPERLINK(1)"} if one["id"] == 1 else {}
        assert row == {k: "" if v is None else str(v) for k, v in (one | defused).items()}
    assert [line.split()[0] for line in told["table"].splitlines()[3:]] == ["3", "2", "1"]
    assert ADA.email not in str(told)
    assert ADA.id not in str(told)


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_an_empty_list_is_one_too(program: Program, output: str) -> None:
    done = program.here("requests", "list", "--output", output)
    assert (done.returncode, done.stderr, done.stdout.count("pending")) == (0, "", 0)
    assert done.stdout.strip().startswith({"table": "id", "json": "[]", "csv": "id,"}[output])


def test_it_says_when_there_are_more_than_it_shows(program: Program, engine: Engine) -> None:
    insert(engine, *({"forge_user_id": f"u{n}"} for n in range(103)))
    cut = program("requests", "list", "--output", "json", "--status", "pending")
    assert (cut.returncode, len(json.loads(cut.stdout))) == (0, 100)
    assert cut.stderr == "100 of 103 shown: --limit 0 shows all\n"
    for limit in ("103", "0"):
        whole = program.here("requests", "list", "--limit", limit, "--output", "csv")
        assert (whole.stderr, whole.stdout.count("\n")) == ("", 104)
    assert program.here("requests", "list", "--limit", "-1").returncode == 2


def at_a_terminal(program: Program, *words: str, lines: int = 24) -> str:
    """Return what stands on a terminal of so many lines afterwards."""
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (lines, 100))
    process = subprocess.Popen(
        program.command("requests", "list", *words),
        env={"TERM": "xterm", "PAGER": PAGER} | program.environment,
        stdin=child,
        stdout=child,
        stderr=subprocess.PIPE,
    )
    os.close(child)
    shown = b""
    while True:
        try:
            shown += os.read(parent, 100_000)
        except OSError:  # the other end is closed: Linux says it like this
            break
    os.close(parent)
    _told, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, b"")
    return shown.decode()


@pytest.mark.parametrize(
    ("words", "lines", "pages"),
    [
        pytest.param((), 24, True, id="longer than the screen"),
        pytest.param(("--output", "json"), 24, True, id="JSON"),
        pytest.param((), 60, False, id="fits"),
        pytest.param(("--no-pager",), 24, False, id="not wanted"),
        pytest.param(("--output", "csv"), 24, False, id="CSV is for programs"),
    ],
)
def test_at_a_terminal_a_list_is_paged_that_is_longer_than_the_screen(
    program: Program, engine: Engine, words: tuple[str, ...], lines: int, pages: bool
) -> None:
    insert(engine, *({"forge_user_id": f"u{n}"} for n in range(30)))
    shown = at_a_terminal(program, *words, lines=lines)
    assert shown.startswith("PAGED") is pages
    assert shown.count("pending") == 30


def test_a_pager_that_is_left_early_does_no_harm(program: Program, engine: Engine) -> None:
    insert(engine, *({"forge_user_id": f"u{n}"} for n in range(3000)))
    shown = at_a_terminal(
        Program(environment=program.environment | {"PAGER": "true"}, folder=program.folder),
        "--limit",
        "0",
    )
    assert "pending" not in shown


def test_no_transaction_is_open_while_a_person_reads(program: Program, engine: Engine) -> None:
    """The pager itself looks: it writes to the database, alone."""
    insert(engine, *({"forge_user_id": f"u{n}"} for n in range(30)))
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite does not show who reads")
    looks = (
        "import os, sqlalchemy as s\n"
        "with s.create_engine(os.environ['FORGE_GDPR_DATABASE_URL']).connect() as c:\n"
        '  print(c.exec_driver_sql("SELECT count(*) FROM pg_stat_activity WHERE '
        "state LIKE 'idle in%%'\").scalar(), 'open')\n"
    )
    pager = program.folder / "pager.py"
    pager.write_text(looks)
    reading = Program(environment=program.environment, folder=program.folder)
    reading.environment["PAGER"] = f"{sys.executable} {pager}"
    assert "0 open" in at_a_terminal(reading)

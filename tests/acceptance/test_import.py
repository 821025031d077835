"""`requests import` as people and cron see it: all or none, again, going on, dry, from stdin."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
from world import Program, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

HEADER: Final = "reference,forge_user_id,email,regime,received_at,not_before\n"
OTHER: Final = "f" * 24
CANARY: Final = "ada.lovelace"
COUNT: Final = "SELECT count(*) FROM deletion_requests"


def rows(first: int, last: int) -> str:
    return "".join(
        f"T-{n},{n:024x},{CANARY}@example.org,,2026-03-01,\n" for n in range(first, last)
    )


def write(folder: Path, content: str | bytes, name: str = "new.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_a_file_is_imported_once_however_often_it_is_read(
    program: Program, engine: Engine, tmp_path: Path
) -> None:
    path = write(tmp_path, HEADER + rows(0, 2500))
    first = program("requests", "import", path, "--actor", "me")
    again = program.here("requests", "import", path)
    told = program.here("requests", "import", path, "--output", "json")
    assert (first.stdout, first.stderr) == ("imported 2500 new, 0 already there\n", "")
    assert again.stdout == "imported 0 new, 2500 already there\n"
    assert json.loads(told.stdout) == {"new": 0, "known": 2500, "rejected": 0}
    assert {first.returncode, again.returncode, told.returncode} == {0}
    assert fetch(engine, "SELECT DISTINCT created_by FROM deletion_requests") == ["me"]
    assert fetch(engine, COUNT) == [2500]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        pytest.param("T-x,../x,,,,\n", "could change a URL's path", id="user id"),
        pytest.param(f"T-x,,{CANARY},,,\n", "wrong e-mail: this is not", id="e-mail"),
        pytest.param("T-x,,,,,\n", "a request names a person", id="nobody"),
        pytest.param(f",,{CANARY}@b.org,,,\n", "there is no reference", id="no reference"),
        pytest.param(f"T-x,{OTHER},,,,,,\n", "has 8 cells", id="too many cells"),
        pytest.param(f"T-x,{OTHER},{CANARY}\udcff@b.org,,,\n", "is not UTF-8", id="broken UTF-8"),
        pytest.param(f'"T-x,{OTHER},{CANARY}@b.org,,,\n', "a quote", id="open quote"),
        pytest.param(
            f"T-0,{OTHER},{CANARY}@b.org,,,\n", "with another forge_user_id", id="reference twice"
        ),
        pytest.param(
            f"T-2099,{OTHER},{CANARY}@b.org,,,\n", "by an earlier line", id="twice in a group"
        ),
        pytest.param(
            f"T-x,{OTHER},,,2126-03-01,\n", "received_at is in the future", id="next century"
        ),
    ],
)
def test_one_bad_line_leaves_nothing_behind(
    program: Program, engine: Engine, tmp_path: Path, bad: str, said: str
) -> None:
    content = (HEADER + rows(0, 2100) + bad).encode("utf-8", "surrogateescape")
    path = write(tmp_path, content + rows(2100, 2110).encode())
    done = program.here("requests", "import", path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: line 2102: ")
    assert done.stderr.endswith("; nothing was imported\n")
    assert said in done.stderr
    assert CANARY not in done.stderr
    assert fetch(engine, COUNT) == [0]


def test_going_on_it_imports_the_good_lines_and_keeps_the_others_for_their_owner(
    program: Program, engine: Engine, tmp_path: Path
) -> None:
    bad = f"T-x,,{CANARY},,,"
    path = write(tmp_path, HEADER + rows(0, 1500) + bad + f"\nT-0,{OTHER},,,,\n" + rows(1500, 1510))
    rejects = tmp_path / "rejects.jsonl"
    done = program.here("requests", "import", path, "--keep-going", str(rejects))
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == f"imported 1510 new, 0 already there, 2 rejected: see {rejects}\n"
    kept = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(one["line"], one["text"]) for one in kept] == [(1502, bad), (1503, f"T-0,{OTHER},,,,")]
    assert kept[0]["reason"] == "wrong e-mail: this is not an e-mail address: it has no @"
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600
    assert fetch(engine, COUNT) == [1510]
    again = program.here("requests", "import", path, "--keep-going", str(rejects))
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_a_rejects_file_without_rejects_is_not_left_behind(
    program: Program, tmp_path: Path
) -> None:
    path = write(tmp_path, HEADER + rows(0, 3))
    rejects = tmp_path / "rejects.jsonl"
    done = program.here("requests", "import", path, "--keep-going", str(rejects))
    assert (done.returncode, done.stdout) == (0, "imported 3 new, 0 already there\n")
    assert not rejects.exists()
    nowhere = program.here("requests", "import", path, "--keep-going", str(rejects / "x"))
    assert (nowhere.returncode, "can't be used" in nowhere.stderr) == (3, True)


def test_a_dry_run_says_it_all_and_writes_nothing(
    program: Program, engine: Engine, tmp_path: Path
) -> None:
    path = write(tmp_path, HEADER + rows(0, 1200) + rows(0, 5))
    done = program.here("requests", "import", path, "--dry-run")
    assert (done.returncode, done.stdout) == (0, "would import 1200 new, 5 already there\n")
    bad = write(tmp_path, HEADER + rows(0, 1200) + f"T-0,{OTHER},,,,\n")
    refused = program.here("requests", "import", bad, "--dry-run")
    assert (refused.returncode, "error: line 1202: " in refused.stderr) == (2, True)
    rejects = tmp_path / "rejects.jsonl"
    counted = program.here("requests", "import", bad, "--dry-run", "--keep-going", str(rejects))
    assert counted.stdout == "would import 1200 new, 0 already there, 1 rejected\n"
    assert (counted.returncode, rejects.exists()) == (2, False)
    assert fetch(engine, COUNT) == [0]


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        pytest.param("\ufeff" + HEADER + rows(0, 2), "new.csv", (), id="BOM"),
        pytest.param((HEADER + rows(0, 2)).replace("\n", "\r\n"), "NEW.CSV", (), id="CRLF"),
        pytest.param(HEADER + rows(0, 2), "new.txt", ("--format", "csv"), id="told"),
        pytest.param(
            '{"reference":"T-0","forge_user_id":"000000000000000000000000"}\r\n\r\n'
            '{"reference":"T-1","email":"a@b.org"}',
            "new.ndjson",
            (),
            id="JSON Lines",
        ),
    ],
)
def test_files_of_each_kind_are_read(
    program: Program, tmp_path: Path, content: str, name: str, words: tuple[str, ...]
) -> None:
    done = program.here("requests", "import", write(tmp_path, content, name), *words)
    assert (done.stderr, done.stdout) == ("", "imported 2 new, 0 already there\n")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(HEADER + rows(0, 1), id="CSV"),
        pytest.param(
            '\n {"reference":"T-0","forge_user_id":"000000000000000000000000"}\n', id="JSON Lines"
        ),
    ],
)
def test_stdin_is_read_as_what_it_begins_like(program: Program, content: str) -> None:
    done = program("requests", "import", "-", stdin=content)
    assert (done.stderr, done.stdout) == ("", "imported 1 new, 0 already there\n")


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        pytest.param("reference,mail,email\n", "new.csv", "'mail' is not known", id="unknown"),
        pytest.param("email\n", "new.csv", "the column reference is missing", id="missing"),
        pytest.param(f"T-1,u1,{CANARY}@b\n", "new.csv", "is no header", id="none"),
        pytest.param("", "new.csv", "the file is empty", id="empty"),
        pytest.param(HEADER, "new.txt", "add --format csv or --format jsonl", id="suffix"),
    ],
)
def test_a_wrong_file_is_refused_in_a_line(
    program: Program, tmp_path: Path, content: str, name: str, said: str
) -> None:
    done = program.here("requests", "import", write(tmp_path, content, name))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
    assert CANARY not in done.stderr


@pytest.mark.parametrize("piped", [False, True], ids=["size known", "size unknown"])
def test_at_a_terminal_there_is_a_bar(program: Program, tmp_path: Path, piped: bool) -> None:
    path = write(tmp_path, HEADER + rows(0, 3))
    parent, child = pty.openpty()
    process = subprocess.Popen(
        program.command("requests", "import", "-" if piped else path),
        env=program.environment | {"TERM": "xterm"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=child,
        text=True,
    )
    told, _ = process.communicate(HEADER + rows(0, 3) if piped else None, timeout=30)
    said = os.read(parent, 100_000).decode()
    os.close(parent)
    os.close(child)
    assert (process.returncode, told) == (0, "imported 3 new, 0 already there\n")
    assert "importing" in said
    assert CANARY not in said

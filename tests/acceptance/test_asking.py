"""Who sits at a terminal is asked before anything dangerous, and nobody else ever is."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest
from terminal import CTRL_C, CTRL_D, ENTER, Shown, at_terminal
from world import Program, fetch, insert, make_program

from forge_gdpr.cli import main
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

USERS: Final = [generated_user(number) for number in range(15)]
ADA: Final = USERS[0]
STATES: Final = (
    "SELECT id, status, status_reason, attempts, due_on, email FROM deletion_requests ORDER BY id"
)
EVENTS: Final = "SELECT count(*) FROM audit_events"
#: What is pressed, what is shown after it, and the exit code.
REFUSALS: Final = {
    "Enter": (ENTER, "nothing was done", 0),
    "n": ("n\n", "nothing was done", 0),
    "end of file": (CTRL_D, "stopped: nothing more was done", 130),
    "Ctrl-C": (CTRL_C, "stopped: nothing more was done", 130),
}
CONSENTS: Final = {"y": "y\n", "Yes": "Yes\n", "a slip, then y": "ja\ny\n"}
BY_FILTER: Final = {
    "hold": ("--status", "pending", "--reason", "dispute"),
    "release": ("--status", "held"),
    "cancel": ("--status", "pending", "--reason", "withdrawn"),
    "refuse": ("--status", "pending", "--reason", "unfounded"),
    "extend": ("--status", "pending", "--reason", "number"),
    "approve": ("--status", "pending"),
    "retry": ("--status", "review"),
}
BY_ID: Final = {
    "hold": ("1", "2", "--reason", "dispute"),
    "release": ("3",),
    "cancel": ("1", "2", "--reason", "withdrawn"),
    "refuse": ("1", "2", "--reason", "unfounded"),
    "extend": ("1", "2", "--reason", "number"),
    "approve": ("1", "2"),
    "retry": ("4",),
}
QUESTIONS: Final = {
    "hold": "Hold 2 requests, reason dispute? [y/N]: ",
    "release": "Release 1 request, reason hold_over? [y/N]: ",
    "cancel": "Cancel 2 requests for good, reason withdrawn? [y/N]: ",
    "refuse": "Refuse 2 requests for good, reason unfounded? [y/N]: ",
    "extend": "Extend 2 requests, reason number? [y/N]: ",
    "approve": "Approve 2 requests, reason checked? [y/N]: ",
    "retry": "Retry 1 request, reason checked? [y/N]: ",
}
DONE: Final = {
    "hold": "2 requests are held",
    "release": "1 request is released",
    "cancel": "2 requests are cancelled",
    "refuse": "2 requests are refused",
    "extend": "2 requests are extended",
    "approve": "2 requests are approved",
    "retry": "1 request is to be tried again",
}


@pytest.fixture
def desk(program: Program, engine: Engine) -> Program:
    """The program, with two requests that are pending, one on hold and one in review."""
    insert(
        engine,
        {"forge_user_id": USERS[0].id, "reference": "T-1", "due_on": "2100-01-31"},
        {"email": USERS[1].email},
        {"forge_user_id": USERS[2].id, "status": "held"},
        {"forge_user_id": USERS[3].id, "status": "review", "status_reason": "rejected"},
    )
    return program


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Asking is the same on every database, so SQLite will do."""
    path = tmp_path / "requests.db"
    with (
        closing(sqlite3.connect(request.getfixturevalue("migrated_sqlite"))) as template,
        closing(sqlite3.connect(path)) as copy,
    ):
        template.backup(copy)
    return f"sqlite:///{path}"


def untouched(engine: Engine) -> tuple[Any, ...]:
    return (*fetch(engine, STATES), *fetch(engine, EVENTS))


def ending(shown: Shown) -> tuple[str, int]:
    """Return the last line that was shown, and the exit code."""
    return shown.text.strip().splitlines()[-1], shown.code


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("name", BY_FILTER)
def test_what_filters_mean_is_asked_for_and_a_no_changes_nothing(
    desk: Program, engine: Engine, name: str, refusal: str
) -> None:
    pressed, said, code = REFUSALS[refusal]
    before = untouched(engine)
    shown = at_terminal(desk, "requests", name, *BY_FILTER[name], keys=[(QUESTIONS[name], pressed)])
    assert ending(shown) == (said, code)
    assert "Traceback" not in shown.text
    assert untouched(engine) == before


@pytest.mark.parametrize("name", BY_FILTER)
def test_what_filters_mean_is_done_after_a_yes(desk: Program, engine: Engine, name: str) -> None:
    before = untouched(engine)
    keys = [(QUESTIONS[name], "y\n")]
    shown = at_terminal(desk, "requests", name, *BY_FILTER[name], keys=keys)
    assert ending(shown) == (DONE[name], 0)
    assert untouched(engine) != before


@pytest.mark.parametrize("name", BY_ID)
def test_by_id_only_what_is_final_is_asked_for(desk: Program, engine: Engine, name: str) -> None:
    before = untouched(engine)
    keys = [(QUESTIONS[name], "y\n")] if name in {"cancel", "refuse"} else []
    shown = at_terminal(desk, "requests", name, *BY_ID[name], keys=keys)
    assert ending(shown) == (DONE[name], 0)
    assert ("[y/N]" in shown.text) is bool(keys)
    assert untouched(engine) != before


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("name", ["cancel", "refuse"])
def test_what_is_final_shows_whom_it_is_about_and_a_no_changes_nothing(
    desk: Program, engine: Engine, name: str, refusal: str
) -> None:
    pressed, said, code = REFUSALS[refusal]
    before = untouched(engine)
    keys = [
        ("request 1: T-1, due on 2100-01-31\nrequest 2: no reference, no deadline yet\n", ""),
        (QUESTIONS[name], pressed),
    ]
    keys = [(waited.replace("\n", "\r\n"), typed) for waited, typed in keys]
    shown = at_terminal(desk, "requests", name, *BY_ID[name], keys=keys)
    assert ending(shown) == (said, code)
    assert untouched(engine) == before


@pytest.mark.parametrize("name", ["cancel", "refuse"])
def test_what_is_final_needs_a_reason(desk: Program, engine: Engine, name: str) -> None:
    before = untouched(engine)
    shown = at_terminal(desk, "requests", name, "1")
    assert (shown.code, "--reason" in shown.text) == (2, True)
    assert untouched(engine) == before


def test_of_many_requests_the_first_ten_are_shown(program: Program, engine: Engine) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS[:12]))
    question = "Cancel 12 requests for good, reason mistake? [y/N]: "
    words = ("requests", "cancel", *map(str, range(1, 13)), "--reason", "mistake")
    shown = at_terminal(program, *words, keys=[("and 2 more", ""), (question, ENTER)], columns=40)
    assert shown.text.count("no deadline yet") == 10
    assert fetch(engine, "SELECT DISTINCT status FROM deletion_requests") == ["pending"]


def test_a_request_that_does_not_exist_is_named_before_the_question(desk: Program) -> None:
    shown = at_terminal(desk, "requests", "cancel", "1", "99", "--reason", "mistake")
    assert ending(shown) == ("error: there is no request 99: see 'forge-gdpr requests list'", 2)
    assert "[y/N]" not in shown.text


@pytest.mark.parametrize("name", BY_FILTER)
def test_yes_answers(desk: Program, name: str) -> None:
    shown = at_terminal(desk, "requests", name, *BY_FILTER[name], "--yes")
    assert (*ending(shown), "[y/N]" in shown.text) == (DONE[name], 0, False)


def test_yes_answers_also_what_is_final(desk: Program) -> None:
    shown = at_terminal(desk, "requests", "cancel", *BY_ID["cancel"], "--yes")
    assert ending(shown) == (DONE["cancel"], 0)


@pytest.mark.parametrize("name", BY_ID)
def test_without_a_terminal_nothing_is_asked(desk: Program, name: str) -> None:
    done = desk.here("requests", name, *BY_ID[name])
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{DONE[name]}\n", "")


RUN: Final = "2 requests are due: delete these people at {url}? [y/N]: "


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_run_deletes_nobody_after_a_no(
    desk: Program, engine: Engine, sandbox: Sandbox, refusal: str
) -> None:
    pressed, said, code = REFUSALS[refusal]
    before = untouched(engine)
    shown = at_terminal(desk, "run", keys=[(RUN.format(url=sandbox.url), pressed)])
    assert ending(shown) == (said, code)
    assert (untouched(engine), sandbox.seen) == (before, ())


@pytest.mark.parametrize("consent", CONSENTS)
def test_a_run_deletes_after_a_yes(
    desk: Program, engine: Engine, sandbox: Sandbox, consent: str
) -> None:
    keys = [(RUN.format(url=sandbox.url), CONSENTS[consent])]
    shown = at_terminal(desk, "run", keys=keys)
    assert (shown.code, "2 requests: 2 done" in shown.text) == (0, True)
    assert ("please type y or n" in shown.text) is ("slip" in consent)
    assert fetch(engine, "SELECT status FROM deletion_requests ORDER BY id") == [
        "done",
        "done",
        "held",
        "review",
    ]


def test_a_run_says_when_it_takes_only_some(desk: Program, sandbox: Sandbox) -> None:
    question = (
        "2 requests are due: delete at most 1 of these people at"  # it may be folded after that
    )
    shown = at_terminal(desk, "run", "--limit", "1", keys=[(question, ENTER)], columns=200)
    assert (shown.code, sandbox.seen) == (0, ())


def test_a_run_of_a_plan_asks_for_what_stands_in_it(
    desk: Program, engine: Engine, sandbox: Sandbox
) -> None:
    assert desk.here("run", "--dry-run", "--plan", "plan.json").returncode == 0
    insert(engine, {"forge_user_id": USERS[5].id})
    keys = [(RUN.format(url=sandbox.url), "y\n")]
    shown = at_terminal(desk, "run", "--plan", "plan.json", keys=keys)
    assert (shown.code, "2 requests: 2 done" in shown.text) == (0, True)


def test_a_run_with_nothing_due_asks_nothing(program: Program) -> None:
    shown = at_terminal(program, "run")
    assert (shown.code, "[y/N]" in shown.text) == (0, False)
    assert "nothing was due" in shown.text


@pytest.mark.parametrize("words", [("run", "--yes"), ("run", "--dry-run")], ids=" ".join)
def test_a_run_that_was_answered_for_or_is_dry_asks_nothing(
    desk: Program, words: tuple[str, ...]
) -> None:
    shown = at_terminal(desk, *words)
    assert (shown.code, "[y/N]" in shown.text) == (0, False)


@pytest.mark.parametrize("pressed", [ENTER, "y\n"], ids=["Enter", "y"])
def test_a_question_is_on_the_screen_also_when_both_outputs_go_elsewhere(
    desk: Program, sandbox: Sandbox, tmp_path: Path, pressed: str
) -> None:
    out, log = tmp_path / "out.json", tmp_path / "log"
    question = RUN.format(url=sandbox.url)
    shown = at_terminal(
        desk, "run", "--output", "json", keys=[(question, pressed)], stdout=out, stderr=log
    )
    assert (shown.code, shown.text.startswith(question)) == (0, True)
    assert "[y/N]" not in out.read_text() + log.read_text()
    assert out.read_text()[:1] == ("{" if pressed == "y\n" else "")
    assert log.read_text() == ("" if pressed == "y\n" else "nothing was done\n")


DELETE: Final = "Delete this user for good, without a record? [y/N]: "


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_user_stays_after_a_no(program: Program, sandbox: Sandbox, refusal: str) -> None:
    pressed, said, code = REFUSALS[refusal]
    shown = at_terminal(program, "users", "delete", ADA.id, keys=[(DELETE, pressed)])
    assert ending(shown) == (said, code)
    assert sandbox.seen == ()


def test_a_user_is_deleted_after_a_yes(program: Program, sandbox: Sandbox) -> None:
    shown = at_terminal(program, "users", "delete", ADA.id, keys=[(DELETE, "y\n")])
    assert (*ending(shown), len(sandbox.users)) == ("deleted", 0, 29)
    shown = at_terminal(program, "users", "delete", USERS[1].id, "--yes")
    assert (*ending(shown), len(sandbox.users)) == ("deleted", 0, 28)


BACK: Final = "1 person is back: ask for their erasure again? [y/N]: "


@pytest.fixture
def restored(program: Program, engine: Engine, sandbox: Sandbox) -> Program:
    """Somebody was erased, and is at Forge again."""
    insert(engine, {"forge_user_id": ADA.id})
    assert program.here("run").returncode == 0
    sandbox.add(ADA)
    return program


@pytest.mark.parametrize("refusal", REFUSALS)
def test_nobody_is_asked_for_again_after_a_no(
    restored: Program, engine: Engine, refusal: str
) -> None:
    pressed, said, code = REFUSALS[refusal]
    shown = at_terminal(restored, "audit", "replay-check", "--enqueue", keys=[(BACK, pressed)])
    assert ending(shown) == (said, code or 10)  # the answer to what was asked: somebody is back
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [1]


def test_somebody_is_asked_for_again_after_a_yes(restored: Program, engine: Engine) -> None:
    shown = at_terminal(restored, "audit", "replay-check", "--enqueue", keys=[(BACK, "y\n")])
    assert shown.code == 10
    assert fetch(engine, "SELECT count(*) FROM deletion_requests") == [2]


def test_what_is_read_from_stdin_is_asked_for_at_a_terminal(
    program: Program, engine: Engine
) -> None:
    words = ("requests", "add", "--email", "-")
    shown = at_terminal(program, *words, keys=[("e-mail: ", f"{ADA.email}\n")])
    assert ending(shown) == ("request 1 added", 0)
    for pressed in (CTRL_C, CTRL_D):
        shown = at_terminal(program, *words, keys=[("e-mail: ", pressed)])
        assert ending(shown) == ("stopped: nothing more was done", 130)
    assert fetch(engine, "SELECT email FROM deletion_requests") == [ADA.email]


def test_an_answer_that_is_no_text_is_asked_for_again(desk: Program, engine: Engine) -> None:
    before = untouched(engine)
    keys = [("[y/N]: ", "\udcff\n"), ("please type y or n", ""), ("[y/N]: ", ENTER)]
    shown = at_terminal(desk, "requests", "cancel", "1", "--reason", "mistake", keys=keys)
    assert ending(shown) == ("nothing was done", 0)
    assert untouched(engine) == before


#: Starts the program without a stdin at all.
CLOSED: Final = "import os, sys; os.close(0); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run",), 0),
        (("requests", "list"), 0),
        (("requests", "cancel", "1", "--reason", "mistake"), 0),
        (("requests", "cancel", "--status", "pending", "--reason", "mistake"), 2),
        (("audit", "replay-check", "--enqueue"), 2),
        (("users", "delete", ADA.id), 0),
        (("requests", "add", "--email", "-"), 2),
        (("requests", "import", "-", "--format", "csv"), 2),
    ],
)
def test_without_a_stdin_nothing_is_asked_and_nothing_breaks(
    desk: Program, words: tuple[str, ...], code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOSED, *desk.command(*words)],
        env=desk.environment,
        cwd=desk.folder,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


def test_the_demo_asks_nothing_at_a_terminal(tmp_path: Path) -> None:
    shown = at_terminal(make_program(tmp_path), "demo", columns=80)
    assert shown.code == 0
    assert "[y/N]" not in shown.text
    assert "(exit code 10: NEEDS_REVIEW)" in shown.text
    assert "forge-gdpr run              # every night" in shown.text


@pytest.mark.parametrize("pressed", [ENTER, "n\n", CTRL_D], ids=["Enter", "n", "end of file"])
def test_the_demo_does_not_care_for_keys(tmp_path: Path, pressed: str) -> None:
    keys = [("$ forge-gdpr run --dry-run", pressed), ("$ forge-gdpr run", pressed)]
    shown = at_terminal(make_program(tmp_path), "demo", keys=keys)
    assert (shown.code, "bug:" in shown.text) == (0, False)


def test_the_demo_stops_at_ctrl_c_and_leaves_nothing(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    keys = [("$ forge-gdpr run --dry-run", CTRL_C)]
    shown = at_terminal(make_program(tmp_path, TMPDIR=str(temporary)), "demo", keys=keys)
    assert ending(shown) == ("stopped: nothing more was done", 130)
    assert "Traceback" not in shown.text
    assert list(temporary.iterdir()) == []


#: Starts the program where no file may grow beyond 20 kB: too little for a database.
CRAMPED: Final = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
    " os.execv(sys.argv[1], sys.argv[1:])"
)


def test_a_demo_that_goes_wrong_says_what_the_command_said(tmp_path: Path) -> None:
    bare = make_program(tmp_path).unmeasured()
    done = subprocess.run(
        [sys.executable, "-c", CRAMPED, *bare.command("demo")],
        env=bare.environment,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    said, why = done.stderr.splitlines()
    assert (done.returncode, said[:23]) == (4, "error: the database sql")
    assert why == (
        "error: the demo stops here, for 'forge-gdpr db upgrade' ended with exit code 4: see above"
    )


def asking(group: Any, *names: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from asking(command, *names, name)
        elif any(parameter.name == "yes" for parameter in command.params):
            yield " ".join((*names, name))


def test_every_command_that_may_ask_is_tried_here() -> None:
    assert set(asking(main)) == {
        "run",
        "users delete",
        "audit replay-check",
        *(f"requests {name}" for name in BY_FILTER),
    }

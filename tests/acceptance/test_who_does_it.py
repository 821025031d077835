"""Who does it: what every command with ``--actor`` accepts, and who it is if nobody says so."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING, Any, Final

import pytest
from world import Program, fetch, insert

from forge_gdpr.cli import main
from forge_gdpr.errors import ExitCode
from forge_gdpr.sandbox import generated_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

SQLITE: Final = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
USERS: Final = [generated_user(number) for number in range(3)]
#: What a command needs besides, so that it would go on.
NEEDED: Final = {
    "requests import": ("file.csv",),
    "requests amend": ("1", "--user-id", "-"),
    "requests hold": ("1", "--reason", "dispute"),
    "requests cancel": ("1", "--reason", "mistake"),
    "requests refuse": ("1", "--reason", "unfounded"),
    "requests extend": ("1", "--reason", "number"),
}
ACTORS: Final = "SELECT actor FROM audit_events WHERE event = 'request.held'"


def with_actor(group: Any, *names: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from with_actor(command, *names, name)
        elif any(param.name == "actor" for param in command.params):
            yield (*names, name)


@SQLITE
def test_every_command_refuses_what_is_no_name(program: Program) -> None:
    commands = list(with_actor(main))
    assert len(commands) > 12
    for words in commands:
        for name in ("", " ", "a" * 65, "a\x1bb", "ada\n", "\u0430da"):
            done = program.here(*words, *NEEDED.get(" ".join(words), ()), "--actor", name)
            line = done.stderr.splitlines()[-1]
            assert (done.returncode, done.stdout) == (ExitCode.USAGE, ""), (words, name)
            assert line.startswith("Error: Invalid value for '--actor': it "), (words, name, line)
            assert name.strip() == "" or name not in done.stderr


@SQLITE
def test_a_setting_says_who_it_is_and_the_option_says_it_better(
    program: Program, engine: Engine
) -> None:
    insert(engine, *({"forge_user_id": user.id} for user in USERS))
    hold = ("requests", "hold", "--reason", "dispute")
    named = {"FORGE_GDPR_ACTOR": " desk ", "SUDO_USER": "ada"}
    assert program.here(*hold, "1", **named).returncode == 0
    assert program.here(*hold, "2", "--actor", " grace ", **named).returncode == 0
    assert fetch(engine, f"{ACTORS} ORDER BY id") == ["desk", "grace"]
    assert "FORGE_GDPR_ACTOR" in program.here(*hold, "--help").stdout


@SQLITE
@pytest.mark.parametrize("sudo", ["ada", "Zo\u00eb", None])
def test_without_a_word_it_is_the_login(program: Program, engine: Engine, sudo: str | None) -> None:
    insert(engine, {"forge_user_id": USERS[0].id})
    variables = {} if sudo is None else {"SUDO_USER": sudo}
    assert program.here("requests", "hold", "1", "--reason", "dispute", **variables).returncode == 0
    try:
        expected = os.getlogin()
    except OSError:
        expected = "ada" if sudo == "ada" else pwd.getpwuid(os.geteuid()).pw_name
    assert fetch(engine, ACTORS) == [expected]

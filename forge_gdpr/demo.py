"""The whole story on an embedded sandbox and a fresh SQLite database.

It types the real commands, each in a process of its own, so what it shows is what they do.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

from forge_gdpr.errors import ExitCode
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

_KEY: Final = "demo-key"
_USERS: Final = 30


def demo() -> int:
    """Tell the story on stdout; nothing of it is left behind.

    Returns:
        The exit code: 0, or that of the command that did not end as it should have.
    """
    with tempfile.TemporaryDirectory(prefix="forge-gdpr-demo-") as folder:
        flaky = generated_user(4)
        fails_twice = Fault(
            kind=FaultKind.STATUS, method="DELETE", user_id=flaky.id, status=503, count=2
        )
        with Sandbox(users=_USERS, key=_KEY, faults=[fails_twice]) as sandbox:
            try:
                _tell(sandbox, Path(folder))
            except _UnexpectedEndError as end:
                click.echo(end.stderr.rstrip(), err=True)
                click.echo(
                    f"error: the demo stops here, for 'forge-gdpr {end.words}' ended with exit code"
                    f" {end.code}: see above",
                    err=True,
                )
                return end.code
    return ExitCode.OK


class _UnexpectedEndError(Exception):
    """A command of the story did not end as it should have."""

    def __init__(self, words: str, code: int, stderr: str) -> None:
        super().__init__(words)
        self.words = words
        self.code = code if code >= 0 else 128 - code  # a signal's number is negative
        self.stderr = stderr


def _tell(sandbox: Sandbox, folder: Path) -> None:
    database = folder / "demo.db"
    environment = {
        "FORGE_GDPR_BASE_URL": sandbox.url,
        "FORGE_GDPR_API_KEY": _KEY,
        "FORGE_GDPR_DATABASE_URL": f"sqlite:///{database}",
        "PYTHONUTF8": "1",
    }

    def types(*words: str, expected: ExitCode = ExitCode.OK) -> None:
        click.secho(f"$ forge-gdpr {' '.join(words)}", bold=True)
        done = subprocess.run(  # noqa: S603  # our own program
            [sys.executable, "-m", "forge_gdpr", *words],
            env=environment,
            stdin=subprocess.DEVNULL,  # at a terminal it would ask, and nobody would see it
            capture_output=True,
            check=False,
            text=True,
        )
        click.echo(done.stdout.rstrip())
        if done.returncode != expected:
            raise _UnexpectedEndError(" ".join(words), done.returncode, done.stderr)
        if done.returncode:
            click.echo(f"(exit code {done.returncode}: {ExitCode(done.returncode).name})")
        click.echo()

    _says(f"A sandbox of Forge with {_USERS} users, and an empty folder. First the database:")
    types("db", "upgrade")
    _says("Your application inserts requests, one row each; here are twelve of different fates:")
    _insert_requests(database)
    _says("What would tonight bring? Nobody is called, nothing is written:")
    types("run", "--dry-run")
    _says("The night itself, as cron starts it. Two requests need a person, hence its exit code:")
    types("run", expected=ExitCode.NEEDS_REVIEW)
    left = len(sandbox.users)
    _says(f"Forge had {_USERS} users and has {left}. The same from the record, which verifies:")
    types("audit", "verify")
    types("report")
    _says("Where is ticket T-12, and why?")
    types("requests", "show", "12")
    _says(
        "For real:\n"
        "  export FORGE_GDPR_API_KEY_FILE=/etc/forge-gdpr/api-key    # chmod 600\n"
        "  export FORGE_GDPR_DATABASE_URL=sqlite:////var/lib/forge-gdpr/forge-gdpr.db\n"
        "  forge-gdpr db upgrade\n"
        "  forge-gdpr run --dry-run\n"
        "  forge-gdpr run              # every night: see cron/forge-gdpr.cron"
    )


def _says(text: str) -> None:
    click.echo(text)
    click.echo()


def _insert_requests(database: Path) -> None:
    """Insert what an application would, and show the SQL without the people."""
    ids = [generated_user(n).id for n in range(9)]
    emails = [generated_user(n).email for n in range(9)]
    rows: list[tuple[str | None, str | None, str, str | None]] = [
        *((user_id, None, "pending", None) for user_id in ids[:4]),
        (ids[4], None, "pending", None),  # 503 twice, then it works
        (None, f" {emails[5]} ", "pending", None),  # found by e-mail
        ("61ab8f99251cba0014437326", None, "pending", None),  # nobody at Forge
        (None, "nobody@example.org", "pending", None),
        (ids[6], emails[7], "pending", None),  # two different people
        (ids[7], None, "held", None),
        (ids[8], None, "pending", "+7 days"),  # cool-off
        ("../admin", None, "pending", None),
    ]
    with sqlite3.connect(database) as connection:
        connection.executemany(
            "INSERT INTO deletion_requests (forge_user_id, email, status, not_before, reference)"
            " VALUES (?, ?, ?, datetime('now', ?), ?)",
            [(*row, f"T-{number}") for number, row in enumerate(rows, start=1)],
        )
    connection.close()
    click.secho("INSERT INTO deletion_requests (forge_user_id) VALUES ('...');", bold=True)
    click.echo()

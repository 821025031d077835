"""``forge-gdpr sandbox``: Forge's Users API on this machine."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from forge_gdpr.cli.parameters import ending
from forge_gdpr.errors import ExitCode


def _accounts(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, int]:
    """Return the accounts that ``KEY=USERS`` stands for; a key may hold an equals sign itself."""
    accounts: dict[str, int] = {}
    for value in values:
        key, _, users = value.rpartition("=")
        if not key or not (users.isascii() and users.isdigit() and len(users) <= 7):  # noqa: PLR2004  ten million
            raise click.BadParameter(f"{value!r} is not KEY=USERS, such as other-key=5")
        if key in accounts:
            raise click.BadParameter(f"the key {key!r} is given twice")
        accounts[key] = int(users)
    return accounts


@click.command(
    "sandbox",
    epilog=ending("forge-gdpr sandbox --users 30 --port 8099", ExitCode.OK, ExitCode.USAGE),
)
@click.option(
    "--users", type=click.IntRange(0), default=30, help="How many users there are at first."
)
@click.option("--key", default="sandbox-key", help="The API key of these users; not a secret.")
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="KEY=USERS",
    callback=_accounts,
    help="Another account: its API key and how many users it has. Repeatable.",
)
@click.option(
    "--page-size", type=click.IntRange(0), help="How many users one answer lists; all if not given."
)
@click.option(
    "--page-hint",
    type=click.Choice(
        ["none", "has_more", "next", "total", "count", "partial", "link", "content_range"]
    ),
    default="none",
    help="How a page of the list says that there are more.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8099, help="0 takes a free one.")
@click.option("--latency-ms", type=click.FloatRange(0), default=0.0, help="Before each answer.")
@click.option("--seed", type=int, default=0, help="For users and the probability of faults.")
@click.option(
    "--faults",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON list of faults; more can be sent to /_sandbox/faults.",
)
def sandbox_command(
    users: int,
    key: str,
    accounts: dict[str, int],
    page_size: int | None,
    page_hint: str,
    port: int,
    latency_ms: float,
    seed: int,
    faults: Path | None,
) -> None:
    """Serve Forge's Users API on 127.0.0.1, with faults on demand, until Ctrl-C."""
    from forge_gdpr.sandbox import Hint, Paging, Sandbox, parse_faults

    try:
        script = () if faults is None else parse_faults(faults.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--faults") from None
    try:
        sandbox = Sandbox(
            users=users,
            key=key,
            accounts=accounts,
            paging=Paging(size=page_size, hint=Hint(page_hint)),
            port=port,
            latency_s=latency_ms / 1000,
            faults=script,
            seed=seed,
        )
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--key, --account") from None
    stopped = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda _signum, _frame: stopped.set())
    try:
        with sandbox:
            click.echo(f"export FORGE_GDPR_BASE_URL={sandbox.url} FORGE_GDPR_API_KEY={key}")
            while not stopped.wait(0.2):
                pass
    except OSError as error:
        raise click.BadParameter(f"port {port}: {error.strerror}", param_hint="--port") from None
    click.echo(f"saw {len(sandbox.seen)} calls", err=True)

"""``forge-gdpr sandbox``: Forge's Users API on this machine."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from forge_gdpr.cli.parameters import ending
from forge_gdpr.errors import ExitCode


@click.command(
    "sandbox",
    epilog=ending("forge-gdpr sandbox --users 30 --port 8099", ExitCode.OK, ExitCode.USAGE),
)
@click.option("--users", type=click.IntRange(0), default=30, help="So many users to begin with.")
@click.option("--key", default="sandbox-key", help="The API key it wants; no secret.")
@click.option("--port", type=click.IntRange(0, 65535), default=8099, help="0 takes a free one.")
@click.option("--latency-ms", type=click.FloatRange(0), default=0.0, help="Before each answer.")
@click.option("--seed", type=int, default=0, help="For users and the probability of faults.")
@click.option(
    "--faults",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON list of faults; more can be sent to /_sandbox/faults.",
)
def sandbox_command(
    users: int, key: str, port: int, latency_ms: float, seed: int, faults: Path | None
) -> None:
    """Serve Forge's Users API on 127.0.0.1, with faults on demand, until Ctrl-C."""
    from forge_gdpr.sandbox import Sandbox, parse_faults

    try:
        script = () if faults is None else parse_faults(faults.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--faults") from None
    stopped = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda _signum, _frame: stopped.set())
    try:
        with Sandbox(
            users=users, key=key, port=port, latency_s=latency_ms / 1000, faults=script, seed=seed
        ) as sandbox:
            click.echo(f"export FORGE_GDPR_BASE_URL={sandbox.url} FORGE_GDPR_API_KEY={key}")
            while not stopped.wait(0.2):
                pass
    except OSError as error:
        raise click.BadParameter(f"port {port}: {error.strerror}", param_hint="--port") from None
    click.echo(f"saw {len(sandbox.seen)} calls", err=True)

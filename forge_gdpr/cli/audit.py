"""``forge-gdpr audit``: the record."""

from __future__ import annotations

import json

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json, echo_table
from forge_gdpr.cli.parameters import ending, output_option
from forge_gdpr.errors import ExitCode

_CODES = (ExitCode.OK, ExitCode.CONFIGURATION, ExitCode.DATABASE)


@click.group()
def audit() -> None:
    """See the record and prove that it is whole."""


@audit.command("list", epilog=ending("forge-gdpr audit list --request 17", *_CODES))
@click.option("--request", "request_id", type=click.IntRange(1), help="Only about this request.")
@click.option("--run", "run_id", help="Only of this run.")
@click.option("--limit", type=click.IntRange(1), default=100, help="The last so many.")
@output_option
def list_events(request_id: int | None, run_id: str | None, limit: int, output: str) -> None:
    """List the last events, oldest first."""
    from forge_gdpr.audit import history
    from forge_gdpr.database.engine import reading

    engine = wiring.migrated_engine(wiring.settings_with())
    with reading(engine) as connection:
        found = list(history.events(connection, request_id=request_id, run_id=run_id, newest=limit))
    if output == "json":
        echo_json([json.loads(event.body) for event in found])
        return
    echo_table(
        ("at", "event", "request", "attempt", "outcome", "http", "actor"),
        [
            (
                f"{e.at:%Y-%m-%d %H:%M:%S}",
                e.event,
                e.request_id,
                e.attempt,
                e.outcome,
                e.http_status,
                e.actor,
            )
            for e in found
        ],
    )


@audit.command(epilog=ending("forge-gdpr audit verify", *_CODES, ExitCode.AUDIT_BROKEN))
@output_option
def verify(output: str) -> None:
    """Verify every chain, every link and every column of the record."""
    from forge_gdpr.audit.verify import verify as verify_record
    from forge_gdpr.database.engine import reading

    engine = wiring.migrated_engine(wiring.settings_with())
    with reading(engine) as connection:
        verified = verify_record(connection)
    if output == "json":
        echo_json(verified.as_json())
        return
    click.echo(
        f"the record is whole: {verified.events} events of {verified.runs} runs"
        f" ({verified.open_runs} open); main chain ends at {verified.head.seq}"
        f" {verified.head.hash}"
    )

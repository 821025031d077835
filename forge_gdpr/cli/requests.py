"""``forge-gdpr requests``: the queue, by a person."""

from __future__ import annotations

import json
from typing import Any

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json, echo_table
from forge_gdpr.cli.parameters import ending, filters, output_option, wanted_of
from forge_gdpr.errors import ExitCode

_CODES = (ExitCode.OK, ExitCode.USAGE, ExitCode.CONFIGURATION, ExitCode.DATABASE)


@click.group()
def requests() -> None:
    """See and fill the queue of deletion requests."""


@requests.command("list", epilog=ending("forge-gdpr requests list --status review", *_CODES))
@filters
@click.option("--limit", type=click.IntRange(1), default=100, help="At most so many.")
@output_option
def list_requests(limit: int, output: str, **wanted: Any) -> None:  # noqa: ANN401  # the filters
    """List requests, the earliest deadline first; the person is not shown."""
    from forge_gdpr.database.engine import reading
    from forge_gdpr.queue import listing

    engine = wiring.migrated_engine(wiring.settings_with())
    with reading(engine) as connection:
        found = list(listing.listed(connection, wanted_of(**wanted), most=limit))
    if output == "json":
        echo_json([one.as_json() for one in found])
        return
    echo_table(
        ("id", "reference", "status", "reason", "received", "due", "attempts"),
        [
            (
                one.id,
                one.reference,
                one.status,
                one.status_reason,
                f"{one.received_at:%Y-%m-%d}",
                one.due_on,
                one.attempts,
            )
            for one in found
        ],
    )


@requests.command(epilog=ending("forge-gdpr requests show 17", *_CODES))
@click.argument("request_id", type=click.IntRange(1), metavar="ID")
@output_option
def show(request_id: int, output: str) -> None:
    """Show one request and its whole history from the record."""
    from forge_gdpr.audit import history
    from forge_gdpr.database.engine import reading
    from forge_gdpr.queue import listing

    engine = wiring.migrated_engine(wiring.settings_with())
    with reading(engine) as connection:
        one = listing.one(connection, request_id)
        events = list(history.events(connection, request_id=request_id))
    if output == "json":
        bodies: list[Any] = [json.loads(event.body) for event in events]
        echo_json(one.as_json() | {"history": bodies})
        return
    echo_table(("field", "value"), [(k, v) for k, v in one.as_json().items() if v is not None])
    echo_table(
        ("at", "event", "attempt", "outcome", "http"),
        [
            (f"{e.at:%Y-%m-%d %H:%M:%S}", e.event, e.attempt, e.outcome, e.http_status)
            for e in events
        ],
    )

"""``forge-gdpr requests add``: what people type; applications insert with plain SQL."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json
from forge_gdpr.cli.parameters import actor_option, ending, output_option, typed
from forge_gdpr.deadlines import Regime
from forge_gdpr.errors import ExitCode

_CODES = (ExitCode.OK, ExitCode.USAGE, ExitCode.CONFIGURATION, ExitCode.DATABASE)


@click.command(
    "add",
    epilog=ending("forge-gdpr requests add --reference 4711 --email - < address.txt", *_CODES),
)
@click.option("--user-id", help="Forge's id of the person; - reads a line of stdin.")
@click.option("--email", help="The person's e-mail; - reads a line of stdin.")
@click.option("--reference", help="Ticket number; one reference is one request.")
@click.option("--regime", type=click.Choice([r.value for r in Regime]), default=Regime.GDPR.value)
@click.option(
    "--received-at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="When the person asked, UTC.  [default: now]",
)
@actor_option
@output_option
def add_command(
    user_id: str | None,
    email: str | None,
    reference: str | None,
    regime: str,
    received_at: datetime | None,
    actor: str | None,
    output: str,
) -> None:
    """Add a request by hand; safe to repeat with the same reference.

    What stands on a command line is seen by everybody on the machine: with - it is read from
    stdin instead.
    """
    from forge_gdpr.database.engine import writing
    from forge_gdpr.queue import intake
    from forge_gdpr.queue.checks import NewRequest

    settings = wiring.settings_with()
    pattern = wiring.id_rules(settings).pattern
    engine = wiring.migrated_engine(settings)
    new = NewRequest(
        user_id=typed(user_id, "user id"),
        email=typed(email, "e-mail"),
        reference=None if reference is None else reference.strip(),
        regime=regime,
        received_at=None if received_at is None else received_at.replace(tzinfo=UTC),
        created_by=wiring.actor(settings, actor),
    )
    with writing(engine) as connection:
        request_id, is_new = intake.add(connection, new, pattern=pattern)
    if output == "json":
        echo_json({"id": request_id, "new": is_new})
    else:
        click.echo(f"request {request_id} {'added' if is_new else 'was there already'}")

"""``forge-gdpr report``: compliance figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json
from forge_gdpr.cli.parameters import ending, output_option
from forge_gdpr.errors import ExitCode

_DAY = click.DateTime(["%Y-%m-%d"])
_DEFAULT_DAYS = 30


@click.command(
    "report",
    epilog=ending(
        "forge-gdpr report --from 2026-07-01 --to 2026-09-30",
        ExitCode.OK,
        ExitCode.USAGE,
        ExitCode.CONFIGURATION,
        ExitCode.DATABASE,
    ),
)
@click.option("--from", "since", type=_DAY, help="First day of receipt.  [default: 30 days ago]")
@click.option("--to", "until", type=_DAY, help="Last day of receipt.  [default: today]")
@output_option
def report_command(since: datetime | None, until: datetime | None, output: str) -> None:
    """Show compliance figures of the requests received in a period, from the record alone."""
    from forge_gdpr.database.engine import now, reading
    from forge_gdpr.reports.document import as_json
    from forge_gdpr.reports.figures import figures
    from forge_gdpr.reports.table import as_table

    engine = wiring.migrated_engine(wiring.settings_with())
    with reading(engine) as connection:
        today = now(connection).astimezone(UTC).date()
        last = today if until is None else until.date()
        first = last - timedelta(days=_DEFAULT_DAYS - 1) if since is None else since.date()
        if first > last:
            raise click.UsageError("--from is later than --to")
        found = figures(connection, since=first, until=last, today=today)
    if output == "json":
        echo_json(as_json(found))
    else:
        click.echo(as_table(found))

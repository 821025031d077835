"""``forge-gdpr report``: compliance figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import csv_lines, echo_json, echo_text
from forge_gdpr.cli.parameters import DAY, ending
from forge_gdpr.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from sqlalchemy import Connection

_DEFAULT_DAYS = 30


@click.command(
    "report",
    epilog=ending(
        "forge-gdpr report --from 2026-07-01 --to 2026-09-30 --output html > report.html",
        ExitCode.OK,
        ExitCode.USAGE,
        ExitCode.CONFIGURATION,
        ExitCode.DATABASE,
        ExitCode.AUDIT_BROKEN,
    ),
)
@click.option("--from", "since", type=DAY, help="First day of receipt.  [default: 30 days ago]")
@click.option("--to", "until", type=DAY, help="Last day of receipt.  [default: today]")
@click.option(
    "--output",
    type=click.Choice(["table", "json", "html", "csv"]),
    default="table",
    help="Text for people, JSON for machines, a page with plots, or CSV for spreadsheets.",
)
def report_command(since: datetime | None, until: datetime | None, output: str) -> None:
    """Show compliance figures of the requests received in a period, from the record alone.

    The page needs the extra 'report', which draws its plots.
    """
    from forge_gdpr.audit.blame import require_readable
    from forge_gdpr.database.engine import now, reading

    write = {"table": _table, "json": _json, "html": _html, "csv": _csv}[output]
    if output == "html":
        _require_matplotlib()  # before the work is done
    engine = wiring.migrated_engine(wiring.settings_with())
    with reading(engine) as connection:
        at = now(connection).astimezone(UTC)
        last = at.date() if until is None else until.date()
        first = last - timedelta(days=_DEFAULT_DAYS - 1) if since is None else since.date()
        if first > last:
            raise click.UsageError("--from is later than --to")
        require_readable(connection)
        show = write(connection, first, last, at)
    show()


def _table(connection: Connection, since: date, until: date, at: datetime) -> Callable[[], None]:
    from forge_gdpr.reports.figures import figures
    from forge_gdpr.reports.table import as_table

    found = figures(connection, since=since, until=until, today=at.date())
    return lambda: click.echo(as_table(found))


def _json(connection: Connection, since: date, until: date, at: datetime) -> Callable[[], None]:
    from forge_gdpr.reports.document import as_json
    from forge_gdpr.reports.figures import figures

    found = figures(connection, since=since, until=until, today=at.date())
    return lambda: echo_json(as_json(found))


def _html(connection: Connection, since: date, until: date, at: datetime) -> Callable[[], None]:
    from importlib.metadata import version

    from forge_gdpr.reports.html import as_html
    from forge_gdpr.reports.series import followed_figures

    found, series = followed_figures(connection, since=since, until=until, today=at.date())
    ours = version("forge-gdpr")
    return lambda: click.echo(as_html(found, series, at=at, version=ours).encode(), nl=False)


def _csv(connection: Connection, since: date, until: date, at: datetime) -> Callable[[], None]:
    from forge_gdpr.reports.series import followed_figures
    from forge_gdpr.reports.sheet import COLUMNS, rows

    found, series = followed_figures(connection, since=since, until=until, today=at.date())
    return lambda: echo_text(csv_lines(COLUMNS, rows(found, series)))


def _require_matplotlib() -> None:
    import logging
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise ConfigurationError(
            "the page's plots are drawn by matplotlib, which is not installed:"
            " pip install 'forge-gdpr[report]'"
        )
    # It tells where it keeps its list of fonts; where nothing can be written, too.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)

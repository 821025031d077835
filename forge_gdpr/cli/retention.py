"""``forge-gdpr audit retention``: closed requests forget, and are removed in the end."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json, echo_table
from forge_gdpr.cli.parameters import actor_option, ending, output_option
from forge_gdpr.errors import ExitCode

if TYPE_CHECKING:
    from forge_gdpr.desk.forgetting import Forgotten
    from forge_gdpr.retention import Cutoffs


@click.command(
    "retention",
    epilog=ending(
        "forge-gdpr audit retention --dry-run",
        ExitCode.OK,
        ExitCode.USAGE,
        ExitCode.CONFIGURATION,
        ExitCode.DATABASE,
    ),
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done; write nothing.")
@actor_option
@output_option
def retention_command(dry_run: bool, actor: str | None, output: str) -> None:
    """Let closed requests forget the person, and remove old ones. The record stays as it is.

    User ids go after FORGE_GDPR_RETAIN_IDS_DAYS, rows after FORGE_GDPR_RETAIN_REQUESTS_MONTHS,
    both counted from closing. Safe to repeat, and beside a run. On PostgreSQL it is for the role
    that owns the tables.
    """
    from forge_gdpr.database.engine import now, reading
    from forge_gdpr.desk.forgetting import forget, preview
    from forge_gdpr.retention import Periods

    settings = wiring.settings_with()
    engine = wiring.migrated_engine(settings)
    periods = Periods(
        ids_days=settings.retain_ids_days, requests_months=settings.retain_requests_months
    )
    with reading(engine) as connection:
        cutoffs = periods.cutoffs(now(connection))
    if dry_run:
        found = preview(engine, cutoffs)
    else:
        found = forget(engine, cutoffs, periods=periods, actor=wiring.actor(settings, actor))
    _show(found, cutoffs, output, dry_run=dry_run)


def _show(found: Forgotten, cutoffs: Cutoffs, output: str, *, dry_run: bool) -> None:
    if output == "json":
        before = {
            "ids_before": cutoffs.ids_before.isoformat(),
            "requests_before": cutoffs.requests_before.isoformat(),
        }
        echo_json({"dry_run": dry_run} | before | asdict(found))
    else:
        ids_before = f"{cutoffs.ids_before:%Y-%m-%d %H:%M} UTC"
        requests_before = f"{cutoffs.requests_before:%Y-%m-%d %H:%M} UTC"
        echo_table(
            ("would be done" if dry_run else "done", "if closed before", "requests"),
            [
                ("user id forgotten", ids_before, found.user_ids),
                ("reference forgotten, for it names the person", ids_before, found.references),
                ("e-mail forgotten", "", found.emails),
                ("request removed; the record keeps it", requests_before, found.removed),
            ],
        )
    if found.dated:
        click.echo(
            "closed without a valid time, by an application's own UPDATE:"
            f" {found.dated}; the periods begin today",
            err=True,
        )

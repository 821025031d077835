"""``forge-gdpr status``: for monitors."""

from __future__ import annotations

import re

import click

from forge_gdpr import options
from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json
from forge_gdpr.cli.parameters import ending, output_option
from forge_gdpr.errors import ExitCode

_HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0}


class Age(click.ParamType[float]):
    """A length of time like ``26h``, ``90m`` or ``2d``, in hours; a bare number is hours."""

    name = "age"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return it in hours."""
        found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([mhd]?)", str(value))
        if found is None:
            self.fail("write it like 26h, 90m or 2d", param, ctx)
        return float(found[1]) * _HOURS[found[2] or "h"]


@click.command(
    "status",
    epilog=ending(
        "forge-gdpr status --max-age 26h",
        ExitCode.OK,
        ExitCode.CONFIGURATION,
        ExitCode.DATABASE,
        ExitCode.AUDIT_BROKEN,
        ExitCode.STALE,
        ExitCode.NEEDS_REVIEW,
        ExitCode.DEADLINE_AT_RISK,
        instead={
            ExitCode.OK: "all is well",
            ExitCode.STALE: "no good run, or no 'audit verify', is recent enough",
            ExitCode.NEEDS_REVIEW: "at least one request needs a person",
            ExitCode.DEADLINE_AT_RISK: "at least one open request is late, or will be",
        },
    ),
)
@click.option(
    "--max-age",
    "max_age_h",
    type=Age(),
    help="The last good run is no older than this, else exit code 9."
    f"  [env var: {options.MAX_AGE_H.variable}; default: {options.MAX_AGE_H.default:g}h]",
)
@click.option("--quick", is_flag=True, help="Do not read the record: for a look every minute.")
@output_option
@click.pass_context
def status_command(ctx: click.Context, max_age_h: float | None, quick: bool, output: str) -> None:
    """Say in one line whether the job is alive, the deadlines are safe and the record is whole.

    A good run is one that ended with exit code 0, 10 or 11. The forecast assumes that each night
    does as much as the last one did. Of the record those events are read that came after the last
    'audit verify', which reads all of them; without it for FORGE_GDPR_VERIFIED_WITHIN_D that is 9.
    It must extend the checkpoints in FORGE_GDPR_CHECKPOINT_FILE, else that is 6, as for a run.
    """
    from forge_gdpr.database.engine import now, reading
    from forge_gdpr.watch.status import health

    settings = wiring.settings_with(max_age_h=max_age_h)
    engine = wiring.migrated_engine(settings)
    copies = wiring.copies(settings).as_now()
    with reading(engine) as connection:
        found = health(
            connection,
            now=now(connection),
            legal=wiring.legal_clock(settings),
            max_age_h=settings.max_age_h,
            verified_within_d=settings.verified_within_d,
            read_record=not quick,
            cool_off_days=settings.cool_off_days,
            approved_only=settings.require_approval,
            copies=copies,
        )
    if output == "json":
        echo_json(found.as_json())
    else:
        click.echo(found.line)
    ctx.exit(found.exit_code)

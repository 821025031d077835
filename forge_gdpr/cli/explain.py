"""``forge-gdpr requests explain``: where is ticket 4711, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.parameters import REQUEST_ID, ending, typed
from forge_gdpr.errors import ConfigurationError, ExitCode, NotFoundError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from forge_gdpr.settings import Settings


@click.command(
    "explain",
    epilog=ending(
        "forge-gdpr requests explain --reference 4711",
        ExitCode.OK,
        ExitCode.USAGE,
        ExitCode.CONFIGURATION,
        ExitCode.DATABASE,
    ),
)
@click.argument("request_id", type=REQUEST_ID, metavar="[ID]", required=False)
@click.option("--reference", help="The one with this reference.")
@click.option("--user-id", help="All of the person with this id; - reads a line of stdin.")
@click.option("--email", help="All of the person with this e-mail; - reads a line of stdin.")
def explain_command(
    request_id: int | None, reference: str | None, user_id: str | None, email: str | None
) -> None:
    """Say in one sentence why a request is not done yet, and what would change it.

    Closed requests have forgotten the person; they are found by pseudonym. Of those that were
    removed, FORGE_GDPR_RETAIN_REQUESTS_MONTHS after closing, the record still knows the end.
    """
    from forge_gdpr.database.engine import now, reading
    from forge_gdpr.desk.explanations import explained
    from forge_gdpr.desk.finding import facts_of

    if sum(one is not None for one in (request_id, reference, user_id, email)) != 1:
        raise click.UsageError("give one of ID, --reference, --user-id and --email")
    settings = wiring.settings_with()
    with reading(wiring.migrated_engine(settings)) as connection:
        ids = (
            [request_id]
            if request_id is not None
            else _found(
                connection, settings, reference, typed(user_id, "user id"), typed(email, "e-mail")
            )
        )
        if not ids:
            raise NotFoundError("there is no such request: see 'forge-gdpr requests list'")
        for one in ids:
            click.echo(
                explained(
                    facts_of(connection, one),
                    now=now(connection),
                    cool_off_days=settings.cool_off_days,
                    approved_only=settings.require_approval,
                )
            )


def _found(
    connection: Connection,
    settings: Settings,
    reference: str | None,
    user_id: str | None,
    email: str | None,
) -> list[int]:
    from forge_gdpr.desk.finding import of_person, of_reference

    if reference is not None:
        return of_reference(connection, reference, withheld=_hashes(settings, reference))
    return of_person(connection, wiring.subject_keys(settings), user_id=user_id, email=email)


def _hashes(settings: Settings, reference: str) -> list[str]:
    """Return what may stand for a reference, as far as this login has the keys."""
    from forge_gdpr.references import hashes

    try:
        return hashes(wiring.subject_keys(settings).keys, reference)
    except ConfigurationError:
        return []

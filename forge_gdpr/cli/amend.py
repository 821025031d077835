"""``forge-gdpr requests amend``: correct whom a request is about, on record."""

from __future__ import annotations

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.parameters import HIDDEN, REQUEST_ID, actor_option, ending, typed
from forge_gdpr.desk.actions import AMENDING
from forge_gdpr.errors import ExitCode

_HELP = """Correct whom a request is about, on record: by user id, by e-mail, or both.

Only for a request that is open and that no run is working on. It is admitted again: the legal date
stays, an approval lapses, and no plan covers it any more. What is not given stays as it is, but for
a user id that a run found by the former e-mail.
"""


@click.command(
    "amend",
    help=f"{_HELP}\n\b\nReasons:\n"
    + "\n".join(f"  {code:<16} {meaning}" for code, meaning in AMENDING.items()),
    epilog=ending(
        "forge-gdpr requests amend 17 --user-id - < id.txt",
        ExitCode.OK,
        ExitCode.USAGE,
        ExitCode.CONFIGURATION,
        ExitCode.DATABASE,
    ),
)
@click.argument("request_id", type=REQUEST_ID, metavar="ID")
@click.option("--user-id", type=HIDDEN, help="Forge's id of the person: a line of stdin.")
@click.option("--email", type=HIDDEN, help="The person's e-mail: a line of stdin, the next one.")
@click.option("--no-user-id", is_flag=True, help="Drop the user id: the e-mail alone counts.")
@click.option("--no-email", is_flag=True, help="Drop the e-mail: the user id alone counts.")
@click.option(
    "--reason",
    type=click.Choice(list(AMENDING)),
    default=next(iter(AMENDING)),
    help="Why, for the record.",
)
@actor_option
def amend_command(
    request_id: int,
    user_id: str | None,
    email: str | None,
    reason: str,
    actor: str | None,
    *,
    no_user_id: bool,
    no_email: bool,
) -> None:
    """Read whom it is about, then write it: nothing is open while somebody types."""
    from forge_gdpr.database.engine import writing
    from forge_gdpr.database.traces import wipe
    from forge_gdpr.desk.amending import Amendment, amend

    if (user_id and no_user_id) or (email and no_email):
        raise click.UsageError("an identifier is given or dropped, not both")
    if not (user_id or email or no_user_id or no_email):
        raise click.UsageError("say whom it is about: give --user-id -, --email -, or both")
    settings = wiring.settings_with()
    pattern = wiring.id_rules(settings).pattern
    engine = wiring.migrated_engine(settings)
    keys, legal = wiring.subject_keys(settings), wiring.legal_clock(settings)
    dropped = {"forge_user_id": no_user_id, "email": no_email}
    amendment = Amendment(
        user_id=typed(user_id, "user id"),
        email=typed(email, "e-mail"),
        drops=frozenset(name for name, drops in dropped.items() if drops),
        actor=wiring.actor(settings, actor),
        reason=reason,
    )
    with writing(engine) as connection:
        amend(
            connection,
            request_id,
            amendment,
            keys=keys,
            legal=legal,
            pattern=pattern,
            references=wiring.references(settings),
        )
    wipe(engine, rewrite=bool(email or no_email))
    click.echo(f"request {request_id} amended")

"""``forge-gdpr audit replay-check``: after a backup was restored, who is back at Forge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import counted, echo_json, echo_table
from forge_gdpr.cli.parameters import actor_option, ending, output_option, yes_option
from forge_gdpr.cli.terminal import confirmed, somebody_is_there
from forge_gdpr.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from forge_gdpr.desk.replay import Enqueued
    from forge_gdpr.desk.returns import Presence, Return
    from forge_gdpr.pseudonyms import SubjectKey
    from forge_gdpr.settings import Settings


@click.command(
    "replay-check",
    epilog=ending(
        "forge-gdpr audit replay-check --enqueue",
        ExitCode.OK,
        ExitCode.USAGE,
        ExitCode.CONFIGURATION,
        ExitCode.DATABASE,
        ExitCode.FORGE_UNAVAILABLE,
        ExitCode.KEY_REFUSED,
        ExitCode.NEEDS_REVIEW,
    ),
)
@click.option("--enqueue", is_flag=True, help="Ask for those anew who are back by their user id.")
@actor_option
@yes_option
@output_option
@click.pass_context
def replay_command(
    ctx: click.Context, enqueue: bool, actor: str | None, yes: bool, output: str
) -> None:
    """Say which closed requests' people are at Forge again, as after a backup was restored.

    That is those who were erased, and those who were not there when their request was closed; the
    outcome says which. One call lists Forge's users; the record is searched for their pseudonyms.
    Exits 10 if somebody is back by user id, for Forge gives an id once. Back by e-mail alone is
    shown and no alarm: people may sign up anew.
    """
    settings = wiring.settings_with()
    if enqueue and not yes and not somebody_is_there():
        raise click.UsageError("without a terminal, --enqueue needs --yes; see it without first")
    engine = wiring.migrated_engine(settings)
    keys = wiring.subject_keys(settings).keys
    found = _found(engine, settings, keys)
    returns = found.returns()
    same = [one for one in returns if one.match == "user_id"]
    if output == "table":
        _show(found, returns)
    if found.unreadable:
        click.echo(
            f"{found.unreadable} of {found.closings} closings are under keys that are not live:"
            " nobody in them is found without the key of their time",
            err=True,
        )
    asked = None
    if enqueue and same and _confirmed(len(same), yes=yes):
        asked = _enqueued(engine, settings, same, wiring.actor(settings, actor))
    if output == "json":
        echo_json(_as_json(found, returns, asked))
    elif asked is not None:
        already = f"; {counted(asked.open, 'request')} open already" if asked.open else ""
        click.echo(f"{counted(asked.new, 'request')} added{already}: the next run erases them")
    ctx.exit(ExitCode.NEEDS_REVIEW if same else ExitCode.OK)


def _found(engine: Engine, settings: Settings, keys: Sequence[SubjectKey]) -> Presence:
    from forge_gdpr.database.engine import now, reading
    from forge_gdpr.desk.replay import presence

    with reading(engine) as connection:
        listed_at = now(connection)
    with wiring.client_for(settings) as client:
        users = client.list_users()
    with reading(engine) as connection:
        return presence(connection, users, keys=keys, listed_at=listed_at)


def _confirmed(count: int, *, yes: bool) -> bool:
    who = "1 person is" if count == 1 else f"{count} people are"
    return confirmed(f"{who} back: ask for their erasure again?", yes=yes)


def _enqueued(
    engine: Engine, settings: Settings, returns: Sequence[Return], actor: str
) -> Enqueued:
    from forge_gdpr.database.engine import writing
    from forge_gdpr.desk.replay import enqueue

    keys = wiring.subject_keys(settings).keys
    pattern = wiring.id_rules(settings).pattern
    with writing(engine) as connection:
        return enqueue(connection, returns, keys=keys, pattern=pattern, actor=actor)


def _show(found: Presence, returns: Sequence[Return]) -> None:
    if returns:
        echo_table(
            ("request", "reference", "closed", "outcome", "times", "back by"),
            [
                (
                    one.closing.request_id,
                    one.closing.reference,
                    f"{one.closing.closed_at:%Y-%m-%d %H:%M}",
                    one.closing.outcome,
                    one.times,
                    one.match,
                )
                for one in returns
            ],
        )
    by_id = sum(one.match == "user_id" for one in returns)
    click.echo(
        f"{by_id} back by user id (the same account: a restore), {len(returns) - by_id} by e-mail"
        f" (may have signed up anew); {found.users} users, {found.closings} closings compared"
    )


def _as_json(found: Presence, returns: Sequence[Return], asked: Enqueued | None) -> dict[str, Any]:
    return {
        "users": found.users,
        "closings": found.closings,
        "closings_not_live": found.unreadable,
        "back": [
            {
                "request_id": one.closing.request_id,
                "reference": one.closing.reference,
                "closed_at": one.closing.closed_at.isoformat(),
                "outcome": one.closing.outcome,
                "times": one.times,
                "back_by": one.match,
            }
            for one in returns
        ],
        "enqueued": None if asked is None else {"new": asked.new, "open_already": asked.open},
    }

"""``forge-gdpr requests hold`` and its like: one command an action, made from their table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import counted
from forge_gdpr.cli.parameters import (
    CODE,
    actor_option,
    ending,
    filters,
    login_name,
    wanted_of,
    yes_option,
)
from forge_gdpr.desk.actions import ACTIONS
from forge_gdpr.errors import ExitCode

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from forge_gdpr.desk.steering import Wish
    from forge_gdpr.settings import Settings

_CODES = (ExitCode.OK, ExitCode.USAGE, ExitCode.CONFIGURATION, ExitCode.DATABASE)
_HELP = {
    "hold": "Put requests on hold: no run touches them until they are released.",
    "release": "Release requests from a hold.",
    "cancel": "Cancel requests for good: nobody is deleted.",
    "refuse": "Refuse requests for good, on one of the law's grounds: nobody is deleted.",
    "extend": "Extend the legal date, once, counted from the day of receipt.",
    "approve": "Approve requests, where REQUIRE_APPROVAL asks for it; not one's own.",
    "retry": "Let the next run try again what needed a person.",
}


def _command(name: str) -> click.Command:
    action = ACTIONS[name]
    codes = list(action.reasons)
    meanings = "\n".join(f"  {code:<16} {meaning}" for code, meaning in action.reasons.items())

    @click.command(
        name,
        help=f"{_HELP[name]}\n\nAll of them, or none if one can't be.\n\n\b\nReasons:\n" + meanings,
        epilog=ending(
            f"forge-gdpr requests {name} 17 18"
            + (f" --reason {codes[0]} --ticket 4711" if action.needs_reason else ""),
            *_CODES,
        ),
    )
    @click.argument("request_ids", type=click.IntRange(1), metavar="[ID]...", nargs=-1)
    @filters
    @click.option(
        "--reason",
        type=click.Choice(codes),
        required=action.needs_reason,
        default=None if action.needs_reason else codes[0],
        help="Why, for the record.",
    )
    @click.option("--ticket", type=CODE, help="A ticket's number, for the record.")
    @click.option("--dry-run", is_flag=True, help="Only say how many they are.")
    @actor_option
    @yes_option
    def command(
        request_ids: tuple[int, ...],
        reason: str,
        ticket: str | None,
        dry_run: bool,
        actor: str | None,
        yes: bool,
        **wanted: Any,  # noqa: ANN401  # the filters
    ) -> None:
        from forge_gdpr.desk.steering import Wish

        settings = wiring.settings_with()
        engine = wiring.migrated_engine(settings)
        ids = _chosen(engine, request_ids, wanted)
        by_filter = not request_ids
        if by_filter or dry_run:
            click.echo(f"{counted(len(ids), 'request')} meant", err=True)
        if dry_run or not ids:
            return
        if by_filter and not yes and not _confirmed(name, len(ids)):
            return
        wish = Wish(action=name, actor=actor or login_name(), reason=reason, ticket=ticket)
        _steer(engine, settings, ids, wish)
        click.echo(f"{counted(len(ids), 'request')} {action.done}")

    return command


def _chosen(engine: Engine, request_ids: tuple[int, ...], wanted: dict[str, Any]) -> list[int]:
    from forge_gdpr.database.engine import reading
    from forge_gdpr.queue import listing

    chosen = wanted_of(**wanted)
    if bool(request_ids) is not chosen.is_everybody:
        raise click.UsageError("name the requests: either by ids, or by --reference or filters")
    if request_ids:
        return sorted(set(request_ids))
    with reading(engine) as connection:
        return listing.ids(connection, chosen)


def _confirmed(name: str, count: int) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("without a terminal, filters need --yes; see --dry-run first")
    return click.confirm(f"{name} {count} of them?", err=True)


def _steer(engine: Engine, settings: Settings, ids: list[int], wish: Wish) -> None:
    from forge_gdpr.database.engine import writing
    from forge_gdpr.desk.steering import steer

    key, legal = wiring.subject_key(settings), wiring.legal_clock(settings)
    with writing(engine) as connection:
        steer(connection, ids, wish, key=key, legal=legal)


STEERING = [_command(name) for name in ACTIONS]

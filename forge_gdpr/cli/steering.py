"""``forge-gdpr requests hold`` and its like: one command an action, made from their table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import counted, printable
from forge_gdpr.cli.parameters import (
    CODE,
    REQUEST_ID,
    actor_option,
    ending,
    filters,
    wanted_of,
    yes_option,
)
from forge_gdpr.cli.terminal import confirmed, somebody_is_there
from forge_gdpr.desk.actions import ACTIONS
from forge_gdpr.desk.explanations import numbered
from forge_gdpr.errors import ExitCode, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from forge_gdpr.desk.steering import Wish
    from forge_gdpr.queue.listing import Listed
    from forge_gdpr.settings import Settings

#: So many requests are named, then it is said how many more there are.
_NAMED: Final = 10
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
    @click.argument("request_ids", type=REQUEST_ID, metavar="[ID]...", nargs=-1)
    @filters
    @click.option(
        "--reason",
        type=click.Choice(codes),
        # click takes a default of None for one, and then asks for nothing.
        **({"required": True} if action.needs_reason else {"default": codes[0]}),
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
        if by_filter and not yes and not somebody_is_there():
            raise click.UsageError("without a terminal, filters need --yes; see --dry-run first")
        asks = by_filter or action.is_final
        if asks and not _confirmed(engine, settings, name, ids, reason=reason, yes=yes):
            return
        wish = Wish(action=name, actor=wiring.actor(settings, actor), reason=reason, ticket=ticket)
        _steer(engine, settings, ids, wish)
        click.echo(f"{counted(len(ids), 'request')} {action.done}")
        if name == "hold":
            _show_others(engine, ids)

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


def _confirmed(
    engine: Engine, settings: Settings, name: str, ids: Sequence[int], *, reason: str, yes: bool
) -> bool:
    """Ask somebody at the terminal; they see which requests these are and when each is due."""
    if yes or not somebody_is_there():
        return True
    from forge_gdpr.database.engine import reading
    from forge_gdpr.queue import listing

    rules = wiring.references(settings)
    with reading(engine) as connection:
        named = [
            (request_id, listing.one(connection, request_id, references=rules))
            for request_id in ids[:_NAMED]
        ]
    more = [f"and {len(ids) - _NAMED} more"] if len(ids) > _NAMED else []
    requests = "1 request" if len(ids) == 1 else f"{len(ids)} requests"
    for_good = " for good" if ACTIONS[name].is_final else ""
    return confirmed(
        f"{name.capitalize()} {requests}{for_good}, reason {reason}?",
        yes=False,
        details=[*(_line(request_id, request) for request_id, request in named), *more],
    )


def _line(request_id: int, request: Listed | None) -> str:
    if request is None:
        raise NotFoundError(f"there is no request {request_id}: see 'forge-gdpr requests list'")
    due = "no deadline yet" if request.due_on is None else f"due on {request.due_on}"
    return f"request {request.id}: {printable(request.reference or 'no reference')}, {due}"


def _show_others(engine: Engine, ids: Sequence[int]) -> None:
    """Say which other open requests the people have whose requests are now on hold."""
    from forge_gdpr.database.engine import reading
    from forge_gdpr.lifecycle import Status
    from forge_gdpr.queue.holds import of_same_person

    with reading(engine) as connection:
        waiting = of_same_person(connection, ids, (Status.PENDING, Status.REVIEW))
        running = of_same_person(connection, ids, (Status.RUNNING,))
    person, has = ("person", "has") if len(ids) == 1 else ("people", "have")
    if waiting:
        wait = "it waits" if len(waiting) == 1 else "they wait"
        click.echo(f"the same {person} {has} open {numbered(waiting)}: {wait}, too")
    if running:
        it = "it" if len(running) == 1 else "each"
        click.echo(
            f"a run is working on {numbered(running)} of the same {person}: {it} waits, too, unless"
            f" the call to Forge was made; see 'forge-gdpr requests show {running[0]}'"
        )


def _steer(engine: Engine, settings: Settings, ids: list[int], wish: Wish) -> None:
    from forge_gdpr.database.engine import writing
    from forge_gdpr.database.traces import wipe
    from forge_gdpr.desk.steering import steer

    ring, legal = wiring.subject_keys(settings), wiring.legal_clock(settings)
    with writing(engine) as connection:
        steer(
            connection,
            ids,
            wish,
            key=ring.current,
            legal=legal,
            keys=ring.keys,
            logins_differ=not settings.shared_login,
            references=wiring.references(settings),
        )
    if ACTIONS[wish.action].is_final:
        wipe(engine, rewrite=True)


STEERING = [_command(name) for name in ACTIONS]

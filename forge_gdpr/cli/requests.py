"""``forge-gdpr requests``: the queue, by a person."""

from __future__ import annotations

import json
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import (
    csv_lines,
    echo_json,
    echo_table,
    json_array,
    paged,
    table_lines,
)
from forge_gdpr.cli.parameters import MOST, REQUEST_ID, ending, filters, output_option, wanted_of
from forge_gdpr.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forge_gdpr.queue.listing import Listed

_CODES = (ExitCode.OK, ExitCode.USAGE, ExitCode.CONFIGURATION, ExitCode.DATABASE)


@click.group()
def requests() -> None:
    """See and fill the queue of deletion requests."""


@requests.command("list", epilog=ending("forge-gdpr requests list --status review", *_CODES))
@filters
@click.option(
    "--sort",
    type=click.Choice(["due", "received", "id", "attempts", "status"]),
    default="due",
    help="In which order; those that are alike by id, those without a deadline last.",
)
@click.option("--reverse", is_flag=True, help="The last first.")
@click.option(
    "--limit", type=click.IntRange(0, MOST), default=100, help="At most so many; 0 is no limit."
)
@click.option(
    "--output",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    help="A table for people, JSON for machines or CSV for spreadsheets.",
)
@click.option(
    "--pager/--no-pager", default=True, help="Whether a long list at a terminal is paged."
)
def list_requests(
    limit: int,
    output: str,
    *,
    sort: str,
    reverse: bool,
    pager: bool,
    **wanted: Any,  # noqa: ANN401  # the filters
) -> None:
    """List requests, the earliest deadline first; the person is not shown.

    Of a request that is done, the reason is what became of it: erased, was_not_there or
    not_found_by_email.
    """
    from forge_gdpr.database.engine import reading
    from forge_gdpr.queue import listing

    chosen = wanted_of(**wanted)
    settings = wiring.settings_with()
    engine = wiring.migrated_engine(settings)
    with (
        paged(wanted=pager and output != "csv") as echo,
        reading(engine) as connection,
        closing(
            listing.listed(
                connection,
                chosen,
                most=limit + 1 if limit else None,
                by=listing.SortedBy(sort),
                backwards=reverse,
                references=wiring.references(settings),
            )
        ) as found,
    ):
        echo(_PRINTED[output](islice(found, limit or None)))
        more = next(found, None) is not None
        total = listing.count(connection, chosen) if more else limit
    if more:
        click.echo(f"{limit} of {total} shown: --limit 0 shows all", err=True)


def _as_table(found: Iterable[Listed]) -> Iterator[str]:
    from forge_gdpr.outcomes import state_of

    return table_lines(
        ("id", "reference", "status", "reason", "received", "due", "attempts"),
        (
            (
                one.id,
                one.reference,
                one.status,
                one.status_reason or (one.outcome and state_of(one.outcome)),
                one.received_at and f"{one.received_at:%Y-%m-%d}",
                one.due_on,
                one.attempts,
            )
            for one in found
        ),
    )


def _as_json(found: Iterable[Listed]) -> Iterator[str]:
    return json_array(one.as_json() for one in found)


def _as_csv(found: Iterable[Listed]) -> Iterator[str]:
    from forge_gdpr.queue.listing import Listed

    columns = tuple(Listed.__dataclass_fields__)
    return csv_lines(columns, ([getattr(one, name) for name in columns] for one in found))


_PRINTED = {"table": _as_table, "json": _as_json, "csv": _as_csv}


@requests.command(epilog=ending("forge-gdpr requests show 17", *_CODES))
@click.argument("request_id", type=REQUEST_ID, metavar="ID")
@output_option
def show(request_id: int, output: str) -> None:
    """Show one request and its whole history from the record.

    Of one that is done also what that means, how absence was shown, and what became of the logs.
    Of one that was removed, FORGE_GDPR_RETAIN_REQUESTS_MONTHS after closing, what the record says.
    """
    from forge_gdpr.audit import history
    from forge_gdpr.database.engine import reading
    from forge_gdpr.desk.finding import shown

    settings = wiring.settings_with()
    engine = wiring.migrated_engine(settings)
    with reading(engine) as connection:
        one = shown(connection, request_id, references=wiring.references(settings))
        events = list(history.events(connection, request_id=request_id))
    if output == "json":
        bodies: list[Any] = [json.loads(event.body) for event in events]
        echo_json(one | {"history": bodies})
        return
    echo_table(("field", "value"), [(k, v) for k, v in one.items() if v is not None])
    echo_table(
        ("at", "event", "attempt", "outcome", "http"),
        [
            (f"{e.at:%Y-%m-%d %H:%M:%S}", e.event, e.attempt, e.outcome, e.http_status)
            for e in events
        ],
    )

"""Options and help texts, made from the settings' declarations and the exit codes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from forge_gdpr import actors, options
from forge_gdpr.cli.terminal import line_of_stdin
from forge_gdpr.errors import MEANINGS, ExitCode
from forge_gdpr.lifecycle import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forge_gdpr.options import Option
    from forge_gdpr.queue.listing import Wanted

Command = TypeVar("Command", bound="Callable[..., Any]")


def setting(option: Option, flag: str | None = None) -> Callable[[Command], Command]:
    """Return a click option for a setting; not given, the environment decides.

    The variable is read by `settings.py`, not by click: a wrong one is exit code 3, not 2.
    """
    kind: Any = type(option.default)
    if option.minimum is not None or option.maximum is not None:
        ranged: Any = click.FloatRange if kind is float else click.IntRange
        kind = ranged(option.minimum, option.maximum)
    shown = (
        f"{option.default:g}"
        if kind is float or isinstance(option.default, float)
        else option.default
    )
    return click.option(
        flag or "--" + option.name.replace("_", "-"),
        option.name,
        type=kind,
        default=None,
        help=f"{option.help}  [env var: {option.variable}; default: {shown}]",
    )


def ending(example: str, *codes: ExitCode, instead: Mapping[ExitCode, str] | None = None) -> str:
    """Return a help text's last lines: an example and the exit codes.

    Args:
        example: as it is typed.
        codes: that the command can end with.
        instead: what a code means here, where that is not what it means elsewhere.
    """
    meanings = {**MEANINGS, **(instead or {})}
    told = "\n".join(f"  {int(code):>3}  {meanings[code]}" for code in codes)
    return f"\b\nExample:\n  {example}\n\n\b\nExit codes:\n{told}"


class Code(click.ParamType[str]):
    """A reason or a ticket: a code for the record, no text about a person."""

    name = "code"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what could be a sentence, an address or a person's name."""
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._#/:-]{0,63}", value) is None:
            self.fail("it is no code: letters, digits and . _ - # / : only, 64 at most", param, ctx)
        return value


class Hidden(click.ParamType[str]):
    """What names a person and is read from stdin: only ``-`` stands on the command line."""

    name = "-"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse everything else, without quoting it."""
        if value != "-":
            self.fail(
                "write - and give it on stdin: what stands on a command line is seen by everybody"
                " on the machine",
                param,
                ctx,
            )
        return value


class Actor(click.ParamType[str]):
    """Who does something, for the record."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is no actor's name, without quoting it."""
        fault = actors.fault(value)
        if fault is not None:
            self.fail(f"it {fault}", param, ctx)
        return actors.trimmed(value)


ACTOR: Final = Actor()
CODE: Final = Code()
HIDDEN: Final = Hidden()
#: What a database counts up to.
REQUEST_ID: Final = click.IntRange(1, 2**63 - 1)
#: So many of something, where more would be a slip of the hand.
MOST: Final = 1_000_000_000
#: A century: nobody's request is older, and no calendar ends there.
_MOST_DAYS: Final = 36_525


class Day(click.DateTime):
    """A day that a request, a deadline or a report can be about."""

    name = "day"
    _FIRST: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # a day has no zone
    _LAST: Final = datetime(2999, 12, 31)  # noqa: DTZ001

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(
        self,
        value: Any,  # noqa: ANN401  # as click's own
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401  # the same
        """Refuse years at which calendars end."""
        day = super().convert(value, param, ctx)
        if not self._FIRST <= day <= self._LAST:
            self.fail(f"{day:%Y-%m-%d} is not between 1970-01-01 and 2999-12-31", param, ctx)
        return day


DAY: Final = Day()

_FILTERS: Final = (
    click.option("--status", type=click.Choice([s.value for s in Status]), help="Only these."),
    click.option("--because", type=CODE, help="Only those with this status_reason."),
    click.option("--reference", help="Only the one with this reference."),
    click.option("--due-before", type=DAY, help="Only those due before."),
    click.option(
        "--older-than", type=click.IntRange(0, _MOST_DAYS), help="Received over so many days ago."
    ),
)


def filters(command: Command) -> Command:
    """Add the options that say which requests are meant."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def wanted_of(
    *,
    status: str | None,
    because: str | None,
    reference: str | None,
    due_before: datetime | None,
    older_than: int | None,
) -> Wanted:
    """Return what the filters mean."""
    from forge_gdpr.queue.listing import Wanted

    now = datetime.now(UTC)
    return Wanted(
        status=status,
        reason=because,
        reference=reference,
        due_before=None if due_before is None else due_before.date(),
        received_before=None if older_than is None else now - timedelta(days=older_than),
    )


output_option = click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    help="Text for people or JSON for machines.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask, also at a terminal.")


def typed(value: str | None, wanted: str) -> str | None:
    """Return an option's value; for ``-`` a line of stdin, which no process list shows.

    Args:
        value: what was given.
        wanted: what it is, for somebody at a terminal who is to type it.
    """
    return line_of_stdin(wanted) if value == "-" else value


public_key_option = click.option(
    "--public-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Public keys that may have signed.  [env var: {options.PUBLIC_KEY_FILE.variable}]",
)
actor_option = click.option(
    "--actor",
    type=ACTOR,
    default=None,
    help=f"Who does this, for the record.  [env var: {options.ACTOR.variable}; default: the login]",
)

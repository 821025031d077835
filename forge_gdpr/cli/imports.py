"""``forge-gdpr requests import``: a file of requests, all or none."""

from __future__ import annotations

import json
import os
import stat
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json
from forge_gdpr.cli.parameters import actor_option, ending, output_option
from forge_gdpr.cli.paths import path_error
from forge_gdpr.cli.terminal import is_terminal
from forge_gdpr.errors import ExitCode, InvalidInputError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

    from forge_gdpr.queue.lines import Format, Line

_CODES = (ExitCode.OK, ExitCode.USAGE, ExitCode.CONFIGURATION, ExitCode.DATABASE)
_SUFFIXES: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
#: Lines that are looked up and inserted together; far below SQLite's limit of parameters.
_GROUP: Final = 1000


@click.command(
    "import",
    epilog=ending("forge-gdpr requests import --dry-run requests.csv", *_CODES),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl"]),
    help="CSV or JSON Lines.  [default: as the suffix says; of stdin, as it begins]",
)
@click.option(
    "--keep-going",
    "rejects",
    type=click.Path(path_type=Path),
    metavar="REJECTS_FILE",
    help="Import the good lines in groups, and write the others to a new file, with reasons.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be imported; write nothing.")
@actor_option
@output_option
@click.pass_context
def import_command(
    ctx: click.Context,
    file: str,
    form: str | None,
    rejects: Path | None,
    dry_run: bool,
    actor: str | None,
    output: str,
) -> None:
    """Add the requests of a file, all or none; safe to repeat. With - it is read from stdin.

    CSV with a header, or a JSON object a line: reference, forge_user_id, email, regime,
    received_at, not_before. Needed are the reference and who it is. A time has its zone; a
    date is midnight UTC.
    """
    written_in = _format_of(file, form)
    if file == "-" and sys.stdin is None:
        raise click.UsageError("stdin is closed, so no requests can be read from it: name a file")
    settings = wiring.settings_with()
    engine = wiring.migrated_engine(settings)
    with ExitStack() as stack:
        stream = stack.enter_context(click.open_file(file, "rb"))
        progress = stack.enter_context(_progress(stream))
        order = _Order(
            created_by=wiring.actor(settings, actor),
            pattern=wiring.id_rules(settings).pattern,
            keep_going=rejects is not None,
            dry_run=dry_run,
            reject=stack.enter_context(_rejects_file(rejects, dry_run=dry_run)),
            progress=progress,
        )
        counts = _imported(engine, stream, written_in, order)
    _show(counts, rejects, output, dry_run=dry_run)
    ctx.exit(ExitCode.USAGE if counts.rejected else ExitCode.OK)


@dataclass(slots=True, kw_only=True)
class _Counts:
    new: int = 0
    known: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    created_by: str
    pattern: re.Pattern[str]
    keep_going: bool
    dry_run: bool
    reject: Callable[[Line, str], None]
    progress: Callable[[int], None]


def _imported(
    engine: Engine, stream: IO[bytes], written_in: Format | None, order: _Order
) -> _Counts:
    """Import in one transaction; going on over bad lines, in one a group.

    A dry run is the real thing, rolled back: also what one line does to a later one is seen.
    """
    from forge_gdpr.database.engine import now, reading, writing
    from forge_gdpr.queue import intake
    from forge_gdpr.queue.lines import lines

    with reading(engine) as connection:
        began_at = now(connection)
    counts = _Counts()
    found = lines(stream, written_in)
    together = order.dry_run or not order.keep_going
    with writing(engine) if together else nullcontext() as whole:
        while group := list(islice(found, _GROUP)):
            with writing(engine) if whole is None else nullcontext(whole) as connection:
                intake.begin_import(connection)
                taken = intake.add_lines(
                    connection,
                    group,
                    created_by=order.created_by,
                    pattern=order.pattern,
                    now=began_at,
                )
                if not order.keep_going:
                    _refuse(taken.rejected)
                for line, reason in taken.rejected:
                    order.reject(line, reason)
            counts.new += taken.new
            counts.known += taken.known
            counts.rejected += len(taken.rejected)
            order.progress(len(group))
        if whole is not None and order.dry_run:
            whole.rollback()
    return counts


def _refuse(rejected: Sequence[tuple[Line, str]]) -> None:
    for line, reason in rejected:
        raise InvalidInputError(f"line {line.number}: {reason}; nothing was imported")


def _format_of(file: str, form: str | None) -> Format | None:
    from forge_gdpr.queue.lines import Format

    if form is None and file == "-":
        return None
    found = form or _SUFFIXES.get(Path(file).suffix.lower())
    if found is None:
        raise InvalidInputError(
            "the file's name does not say what it is written in: add --format csv or --format jsonl"
        )
    return Format(found)


@contextmanager
def _rejects_file(path: Path | None, *, dry_run: bool) -> Iterator[Callable[[Line, str], None]]:
    """Open a new file that only its owner can read, for it holds people; empty, it is removed."""
    if path is None or dry_run:
        yield lambda _line, _reason: None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidInputError(
            f"{path} is there already: name a new file for the rejects"
        ) from None
    except OSError as error:
        raise path_error(error, path) or error from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:

            def reject(line: Line, reason: str) -> None:
                found = {"line": line.number, "reason": reason, "text": line.text}
                file.write(json.dumps(found, ensure_ascii=False) + "\n")

            yield reject
    finally:
        if path.stat().st_size == 0:
            path.unlink()


@contextmanager
def _progress(stream: IO[bytes]) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal: by bytes where the size is known."""
    if not is_terminal(sys.stderr):
        yield lambda _lines: None
        return
    from rich.console import Console
    from rich.progress import Progress

    status = os.fstat(stream.fileno())
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("importing", total=size)
        if size is None:
            yield lambda lines: bar.update(task, advance=lines)
        else:
            yield lambda _lines: bar.update(task, completed=stream.tell())


def _show(counts: _Counts, rejects: Path | None, output: str, *, dry_run: bool) -> None:
    if output == "json":
        told: dict[str, Any] = {"new": counts.new, "known": counts.known}
        echo_json(told | {"rejected": counts.rejected})
        return
    said = f"{'would import' if dry_run else 'imported'} {counts.new} new"
    said += f", {counts.known} already there"
    if counts.rejected:
        said += f", {counts.rejected} rejected"
        said += "" if dry_run else f": see {rejects}"
    click.echo(said)

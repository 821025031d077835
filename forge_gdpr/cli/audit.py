"""``forge-gdpr audit``: the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json, echo_table
from forge_gdpr.cli.parameters import (
    MOST,
    REQUEST_ID,
    actor_option,
    ending,
    output_option,
    public_key_option,
)
from forge_gdpr.errors import ConfigurationError, DatabaseError, ExitCode
from forge_gdpr.options import CHECKPOINT_FILE

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from forge_gdpr.audit.past import Verified

_CODES = (ExitCode.OK, ExitCode.CONFIGURATION, ExitCode.DATABASE)


@click.group()
def audit() -> None:
    """See the record and prove that it is whole."""


@audit.command("list", epilog=ending("forge-gdpr audit list --request 17", *_CODES))
@click.option("--request", "request_id", type=REQUEST_ID, help="Only about this request.")
@click.option("--run", "run_id", help="Only of this run.")
@click.option("--limit", type=click.IntRange(1, MOST), default=100, help="The last so many.")
@output_option
def list_events(request_id: int | None, run_id: str | None, limit: int, output: str) -> None:
    """List the last events, oldest first."""
    from forge_gdpr.audit import history
    from forge_gdpr.database.engine import reading

    engine = wiring.migrated_engine(wiring.settings_with())
    with reading(engine) as connection:
        found = list(history.events(connection, request_id=request_id, run_id=run_id, newest=limit))
    if output == "json":
        echo_json([json.loads(event.body) for event in found])
        return
    echo_table(
        ("at", "event", "request", "attempt", "outcome", "http", "actor"),
        [
            (
                f"{e.at:%Y-%m-%d %H:%M:%S}",
                e.event,
                e.request_id,
                e.attempt,
                e.outcome,
                e.http_status,
                e.actor,
            )
            for e in found
        ],
    )


@audit.command(
    epilog=ending(
        "forge-gdpr audit verify --against checkpoints --public-key forge-gdpr.signing-key.pub",
        *_CODES,
        ExitCode.AUDIT_BROKEN,
    )
)
@click.option(
    "--against",
    multiple=True,
    metavar="FILE|TEXT",
    help="Older checkpoints that were kept elsewhere: does today's record extend them?"
    f"  [env var: {CHECKPOINT_FILE.variable}]",
)
@public_key_option
@actor_option
@output_option
def verify(
    against: tuple[str, ...], public_key: Path | None, actor: str | None, output: str
) -> None:
    """Verify every chain, every link, every column and every checkpoint of the record.

    That nothing was found is recorded, for 'status', if this login may write.
    """
    from forge_gdpr.audit import past
    from forge_gdpr.audit.rollback import lost_notes
    from forge_gdpr.audit.verify import examine
    from forge_gdpr.continuity import standing
    from forge_gdpr.database.engine import reading

    settings = wiring.settings_with()
    notes = [note for given in against for note in _notes(given)]
    if not against and settings.checkpoint_file is not None:
        notes = _copies(settings.checkpoint_file)
    keys = wiring.public_keys(settings, public_key)
    engine = wiring.migrated_engine(settings)
    with reading(engine) as connection:
        if not against and notes:
            notes = list(standing(notes, lost=lost_notes(connection)))
        examined = examine(connection, keys=keys, against=notes)
        extent = None if examined.broken else past.extent(connection)
    who = wiring.actor(settings, actor)
    fault = None if extent is None else _recorded(engine, extent, actor=who)
    if output == "json":
        echo_json(examined.as_json() | {"recorded": extent is not None and fault is None})
    examined.require_whole()
    if fault is not None:
        click.echo(
            f"that nothing was found is not recorded, so 'status' can't say: {fault}", err=True
        )
    if output == "json":
        return
    click.echo(
        f"the record is whole: {examined.events} events of {examined.runs} runs"
        f" ({examined.open_runs} open); main chain ends at {examined.head.seq}"
        f" {examined.head.hash}"
    )
    if examined.signed:
        by = "" if keys else ", by whom was not checked: --public-key"
        click.echo(f"signed are its first {examined.signed} of main{by}")
    if notes:
        extended = "a checkpoint" if len(notes) == 1 else f"{len(notes)} checkpoints"
        click.echo(f"it extends {extended} kept elsewhere")


@audit.command(
    epilog=ending(
        "forge-gdpr audit checkpoint",
        *_CODES,
        ExitCode.AUDIT_BROKEN,
        ExitCode.NEEDS_REVIEW,
        instead={ExitCode.NEEDS_REVIEW: "signed, but the checkpoint could not be copied"},
    ),
)
@actor_option
@click.pass_context
def checkpoint(ctx: click.Context, actor: str | None) -> None:
    """Sign the record as it is now; each run does it too when it closes."""
    from forge_gdpr.audit.checkpoints import sign
    from forge_gdpr.database.engine import now, writing

    settings = wiring.settings_with()
    key = wiring.signing_key(settings)
    if key is None:
        raise ConfigurationError(
            "there is no signing key: make one with 'forge-gdpr audit keygen' and set"
            " FORGE_GDPR_SIGNING_KEY_FILE"
        )
    with writing(wiring.migrated_engine(settings)) as connection:
        note = sign(
            connection,
            key,
            actor=wiring.actor(settings, actor),
            at=now(connection),
            copies=wiring.copies(settings),
        )
    if note is None:
        click.echo("there is nothing to sign yet", err=True)
        return
    not_copied = wiring.publisher(settings)(note)
    click.echo(note, nl=False)
    if not_copied is not None:
        click.echo(f"warning: {not_copied}", err=True)
        ctx.exit(ExitCode.NEEDS_REVIEW)


def _recorded(engine: Engine, extent: Verified, *, actor: str) -> str | None:
    """Record that so much was verified and nothing found; return why not, if it can't be."""
    from forge_gdpr.audit import past
    from forge_gdpr.database.engine import now, writing

    try:
        with writing(engine) as connection:
            past.record(connection, extent, actor=actor, at=now(connection))
    except DatabaseError as error:
        return str(error)
    return None


def _notes(given: str) -> list[str]:
    """Return the checkpoints of a file, or of the text itself."""
    from forge_gdpr.newfiles import UnfitFileError, read_notes

    try:
        text = given if "\n" in given else read_notes(Path(given), errors="strict")
    except UnfitFileError as error:
        raise ConfigurationError(
            f"--against {given}: it can't be read ({error.strerror}): name a file, or give its text"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(
            f"--against {given}: it can't be read ({type(error).__name__})"
        ) from None
    name = "the text" if "\n" in given else given
    notes, is_torn = _whole_copies(text, name)
    if is_torn and not notes:
        raise click.UsageError("--against holds something else than checkpoints")
    if not notes:
        raise click.UsageError("--against holds no checkpoint")
    return notes


def _copies(path: Path) -> list[str]:
    """Return the checkpoints of CHECKPOINT_FILE; before the first one there is no file."""
    from forge_gdpr.newfiles import read_notes, why_not_read

    try:
        text = read_notes(path)
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise ConfigurationError(
            f"{CHECKPOINT_FILE.variable}={path} can't be read ({why_not_read(error)}): see"
            f" 'ls -l {path}', or name older checkpoints with --against"
        ) from None
    notes, _ = _whole_copies(text, str(path))
    if not notes:
        click.echo(
            f"warning: {path} holds no checkpoint, so the record is compared with no older one",
            err=True,
        )
    return notes


def _whole_copies(text: str, name: str) -> tuple[list[str], bool]:
    """Return the checkpoints of a text, and whether some are torn, which is said."""
    from forge_gdpr.checkpoints import copies_in

    notes, torn = copies_in(text)
    if torn and notes:
        click.echo(
            f"warning: {name} has {torn} torn {'copy' if torn == 1 else 'copies'} of a checkpoint,"
            " which count for nothing: a disk was full, or a run was killed",
            err=True,
        )
    return notes, torn > 0

"""``forge-gdpr audit export``: the record over a period, for whoever wants to check it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_lines, printable
from forge_gdpr.cli.parameters import DAY, actor_option, ending, public_key_option
from forge_gdpr.cli.paths import named
from forge_gdpr.errors import (
    AuditBrokenError,
    ConfigurationError,
    DatabaseError,
    ExitCode,
    InvalidInputError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from sqlalchemy import Engine

    from forge_gdpr.exports import Tail, Verified
    from forge_gdpr.settings import Settings


@click.command(
    "export",
    epilog=ending(
        "forge-gdpr audit export --from 2026-07-01 --to 2026-09-30 --into evidence",
        ExitCode.OK,
        ExitCode.USAGE,
        ExitCode.CONFIGURATION,
        ExitCode.DATABASE,
        ExitCode.AUDIT_BROKEN,
        ExitCode.NEEDS_REVIEW,
        instead={ExitCode.NEEDS_REVIEW: "written, but its new checkpoint could not be copied"},
    ),
)
@click.option("--from", "since", type=DAY, help="First day, in the controller's time zone.")
@click.option("--to", "until", type=DAY, help="Last day, inclusive.")
@click.option("--into", type=click.Path(path_type=Path), help="A folder that is not there yet.")
@click.option(
    "--verify",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Verify this export instead; needs --public-key and no database.",
)
@public_key_option
@click.option(
    "--allow-unsigned-tail",
    is_flag=True,
    help="With --verify: accept events that are not signed, and count them apart.",
)
@actor_option
def export_command(
    since: datetime | None,
    until: datetime | None,
    into: Path | None,
    folder: Path | None,
    public_key: Path | None,
    allow_unsigned_tail: bool,
    actor: str | None,
) -> None:
    """Write the record over a period into a folder: the evidence, a sheet of it, a manifest.

    With a signing key, the record is signed first if it has newer events. Whoever has the folder
    and the public key can verify that nothing in it was changed and that nothing of the period is
    missing. It names nobody but by pseudonym and reference.
    """
    if folder is not None and (since, until, into, actor) == (None, None, None, None):
        found = _verified(folder, public_key, allow_unsigned_tail=allow_unsigned_tail)
        echo_lines([*_verdict(found), *_not_ours(found)])
    elif folder is None and since is not None and until is not None and into is not None:
        if since > until:
            raise click.UsageError("--from is later than --to")
        if allow_unsigned_tail:
            raise click.UsageError("--allow-unsigned-tail is for --verify")
        _export(since, until, into, actor=actor)
    else:
        raise click.UsageError("give --from, --to and --into, or a folder with --verify")


def _export(since: datetime, until: datetime, into: Path, *, actor: str | None) -> None:
    from importlib.metadata import version

    from forge_gdpr.audit.exports import write_export
    from forge_gdpr.audit.rollback import require_continued
    from forge_gdpr.chain import written_time
    from forge_gdpr.database.engine import reading
    from forge_gdpr.exports import is_zone, query_of
    from forge_gdpr.newfiles import require_new

    settings = wiring.settings_with()
    zone = wiring.legal_clock(settings).zone
    if not is_zone(str(zone)):
        raise ConfigurationError(
            f"FORGE_GDPR_TIMEZONE={zone} is not the same on every machine, so an export can't name"
            " it: write one like Europe/Berlin, or UTC"
        )
    try:
        query = query_of(first_day=since.date(), last_day=until.date(), zone=zone)
    except OverflowError:
        raise click.UsageError("--from and --to reach beyond the calendar") from None
    with named(into):
        require_new(into)  # before anything is signed for it
        engine = wiring.migrated_engine(settings)
        copies = wiring.copies(settings).as_now()
        with reading(engine) as connection:  # before anything is signed or written
            require_continued(connection, copies)
        fault, not_copied = _sign_newer(settings, engine, actor=wiring.actor(settings, actor))
        with reading(engine) as connection:
            manifest, tail = write_export(
                connection,
                into,
                query,
                issued_at=written_time(datetime.now(UTC)),
                version=version("forge-gdpr"),
            )
    echo_lines([f"{into}:", *_told(manifest, tail)])
    if fault is not None:
        click.echo(f"the newest events can't be signed by this login: {printable(fault)}", err=True)
    if manifest["checkpoint"] is None:
        click.echo(
            "the record is not signed, so nobody can verify this: set FORGE_GDPR_SIGNING_KEY_FILE,"
            " run 'forge-gdpr audit checkpoint' and export again",
            err=True,
        )
    elif tail.events:
        click.echo(
            f"not signed are {printable(tail)}: --verify refuses this export, unless"
            " --allow-unsigned-tail is given; set FORGE_GDPR_SIGNING_KEY_FILE and export again when"
            " no run is open",
            err=True,
        )
    if not_copied is not None:
        click.echo(f"warning: {printable(not_copied)}", err=True)
        click.get_current_context().exit(ExitCode.NEEDS_REVIEW)


def _sign_newer(settings: Settings, engine: Engine, *, actor: str) -> tuple[str | None, str | None]:
    """Sign what came after the newest checkpoint; say why it can't be, or can't be copied."""
    from forge_gdpr.audit.checkpoints import sign_newer
    from forge_gdpr.database.engine import now, writing

    key = wiring.signing_key(settings)
    if key is None:
        return None, None
    try:
        with writing(engine) as connection:
            note = sign_newer(
                connection, key, actor=actor, at=now(connection), copies=wiring.copies(settings)
            )
    except DatabaseError as error:
        return str(error), None
    return None, None if note is None else wiring.publisher(settings)(note)


def _verified(folder: Path, public_key: Path | None, *, allow_unsigned_tail: bool) -> Verified:
    """Verify an export without a database and without settings."""
    from forge_gdpr.exports import (
        BESIDE,
        EVENTS,
        MANIFEST,
        SHEET,
        InvalidExportError,
        manifest_in,
        require_files,
        verified,
    )

    if public_key is None:
        raise click.UsageError("--verify needs --public-key, the keys that may have signed")
    keys = wiring.public_keys_in(public_key)
    try:
        names = _names_in(folder)
        require_files(names)
        manifest = manifest_in(_text_of(folder / MANIFEST))
        return verified(
            manifest,
            _lines_of(folder / EVENTS),
            sheet_sha256=_sums_of(folder / SHEET)["sha256"],
            keys=keys,
            allow_unsigned_tail=allow_unsigned_tail,
            beside={name: _sums_of(folder / name) for name in BESIDE if name in names},
        )
    except InvalidExportError as error:
        raise AuditBrokenError(
            printable(f"{folder} is not verified: {error}; {_advice(str(error))}")
        ) from None
    except OSError as error:
        raise InvalidInputError(f"{error.filename} can't be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{folder} is no export ({type(error).__name__})") from None


def _advice(fault: str) -> str:
    if fault.startswith("not signed are "):
        return "ask for an export that ends with its checkpoint, or add --allow-unsigned-tail"
    return "ask for the original, and check the public key"


def _names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder; a link could show another file to each reader.

    Raises:
        InvalidExportError: there is something else than a file in it.
    """
    from forge_gdpr.exports import InvalidExportError

    for entry in folder.iterdir():
        if entry.is_symlink() or not entry.is_file():
            raise InvalidExportError(f"{entry.name!a} in it is not a file")
    return [entry.name for entry in folder.iterdir()]


def _sums_of(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"bytes": stream.tell(), "sha256": sha256}


def _not_ours(found: Verified) -> list[str]:
    """Return a warning for each file beside the evidence that is not the one of this version."""
    from importlib import resources

    from forge_gdpr.exports import BESIDE

    files, ours = found.manifest["files"], resources.files("forge_gdpr.evidence")
    sums = {name: hashlib.sha256(ours.joinpath(name).read_bytes()).hexdigest() for name in BESIDE}
    return [
        f"- The {name} in it is not the one of this version: don't use it unless you have read it."
        for name in BESIDE
        if name in files and files[name]["sha256"] != sums[name]
    ]


def _text_of(file: Path) -> str:
    from forge_gdpr.strictjson import MOST_CHARACTERS

    with file.open(encoding="utf-8", newline="") as stream:
        return stream.read(MOST_CHARACTERS + 1)


def _lines_of(file: Path) -> Iterator[str]:
    from forge_gdpr.strictjson import MOST_IN_A_LINE

    with file.open(encoding="utf-8", newline="\n") as lines:
        while line := lines.readline(MOST_IN_A_LINE + 1):
            yield line


def _told(manifest: Mapping[str, Any], tail: Tail) -> list[str]:
    """Return what an export holds, for people; what is not signed is marked in each line."""
    query = manifest["query"]
    runs = [chain for chain in manifest["chains"][1:] if chain["chain"] not in tail.events]
    lines = {
        "period": f"{query['first_day']} to {query['last_day']} ({query['time_zone']}), from"
        f" {query['since']} until before {query['until']}",
        # Without the checkpoint's own: whether it is there, nobody signs.
        "events of it shown": f"{manifest['events_in_period'] - tail.checkpoints}"
        f"{_not_signed(tail.in_period)}",
        "runs alive in it, shown": f"{len(runs)}, each whole{_open_runs(tail)}",
        "the main chain": f"whole{_not_signed(tail.events.get('main', 0))}; of"
        f" {manifest['events_withheld']} of its events the hash alone",
    }
    return [f"  {name}: {told}" for name, told in lines.items()]


def _not_signed(count: int) -> str:
    return f" ({count} of them NOT SIGNED)" if count else ""


def _open_runs(tail: Tail) -> str:
    from forge_gdpr.exports import MAIN, shortened

    runs = list(dict.fromkeys([*tail.open_runs, *tail.events]))
    if MAIN in runs:
        runs.remove(MAIN)
    if not runs:
        return ""
    count = sum(tail.events.get(run_id, 0) for run_id in runs)
    return (
        f"; {len(runs)} not closed by a signed event ({shortened(runs)}), with {count} events NOT"
        " SIGNED"
    )


def _verdict(found: Verified) -> list[str]:
    from forge_gdpr.chain import written_time

    signed, tail = found.checkpoint, found.tail
    withheld = found.manifest["events_withheld"]
    limits = [
        "It proves what was recorded: that Forge answered so is the word of the holder of the key.",
        "What is left on Forge's disks it does not prove.",
        "Its times are those of the controller's database.",
        "It is over the period that it names: compare that with what you asked for.",
        "It is worth as much as the public key: compare its SHA-256 by another way than it came.",
        "Not signed is who asked for the checkpoint, and when and by which version this was made.",
        "What was recorded after it was signed is not proven to be here.",
    ]
    signed_at = written_time(signed.at)
    head = "the export is verified: unchanged and complete"
    if tail.events:
        head = "the export is verified AS FAR AS IT IS SIGNED, and there it is complete"
    if found.manifest["query"]["until"] > signed_at:
        head += f" up to {signed_at}, when it was signed"
    if withheld:
        head += f", but for what the {withheld} events say of which it has the hash alone"
        limits.append(
            f"What these {withheld} events say it does not show. A run that was alive through the"
            " whole period may be among them, with all that it did; and events of the period, if"
            " the clock was ever set back."
        )
    if tail.events:
        limits.append(
            f"NOT SIGNED are {tail}: anybody who had the export in hand could have written, changed"
            " or removed them."
        )
    if tail.open_runs:
        limits.append("Of a run that had not closed when it was signed nothing is proven.")
    return [
        f"{head}:",
        *_told(found.manifest, tail),
        f"  signed: {signed.origin}, {signed.size} events of main, {signed_at}",
        f"  by: {found.key.name}+{found.key.id}, SHA-256 {found.key.fingerprint}",
        "What it does not prove:",
        *(f"- {limit}" for limit in limits),
    ]

"""``forge-gdpr audit export``: the record over a period, for whoever wants to check it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.parameters import DAY, ending, public_key_option
from forge_gdpr.cli.paths import named
from forge_gdpr.errors import AuditBrokenError, ExitCode, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@click.command(
    "export",
    epilog=ending(
        "forge-gdpr audit export --from 2026-07-01 --to 2026-09-30 --into evidence",
        ExitCode.OK,
        ExitCode.USAGE,
        ExitCode.CONFIGURATION,
        ExitCode.DATABASE,
        ExitCode.AUDIT_BROKEN,
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
def export_command(
    since: datetime | None,
    until: datetime | None,
    into: Path | None,
    folder: Path | None,
    public_key: Path | None,
) -> None:
    """Write the record over a period into a folder: the evidence, a sheet of it, a manifest.

    Whoever has the folder and the public key can verify that nothing in it was changed and that
    nothing of the period is missing. It names nobody but by pseudonym and reference.
    """
    asked = (since, until, into)
    if folder is not None and asked == (None, None, None):
        click.echo("\n".join(_verdict(_verified(folder, public_key))))
    elif folder is None and since is not None and until is not None and into is not None:
        if since > until:
            raise click.UsageError("--from is later than --to")
        _export(since, until, into)
    else:
        raise click.UsageError("give --from, --to and --into, or a folder with --verify")


def _export(since: datetime, until: datetime, into: Path) -> None:
    from importlib.metadata import version

    from forge_gdpr.audit.exports import query_of, write_export
    from forge_gdpr.chain import written_time
    from forge_gdpr.database.engine import reading

    settings = wiring.settings_with()
    zone = wiring.legal_clock(settings).zone
    try:
        query = query_of(first_day=since.date(), last_day=until.date(), zone=zone)
    except OverflowError:
        raise click.UsageError("--from and --to reach beyond the calendar") from None
    with named(into), reading(wiring.migrated_engine(settings)) as connection:
        manifest = write_export(
            connection,
            into,
            query,
            issued_at=written_time(datetime.now(UTC)),
            version=version("forge-gdpr"),
        )
    click.echo("\n".join([f"{into}:", *_told(manifest)]))
    if manifest["checkpoint"] is None:
        click.echo(
            "the record is not signed, so nobody can verify this: set FORGE_GDPR_SIGNING_KEY_FILE,"
            " run 'forge-gdpr audit checkpoint' and export again",
            err=True,
        )


def _verified(folder: Path, public_key: Path | None) -> dict[str, Any]:
    """Verify an export without a database and without settings."""
    from forge_gdpr.exports import EVENTS, MANIFEST, SHEET, InvalidExportError, verified

    if public_key is None:
        raise click.UsageError("--verify needs --public-key, the keys that may have signed")
    keys = wiring.public_keys_in(public_key)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        with (folder / SHEET).open("rb") as sheet:
            sha256 = hashlib.file_digest(sheet, "sha256").hexdigest()
        return verified(manifest, _lines_of(folder / EVENTS), sheet_sha256=sha256, keys=keys)
    except InvalidExportError as error:
        raise AuditBrokenError(
            f"{folder} proves nothing: {error}; ask for the original, and check the public key"
        ) from None
    except OSError as error:
        raise InvalidInputError(f"{error.filename} can't be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{folder} is no export ({type(error).__name__})") from None


def _lines_of(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8", newline="\n") as lines:
        yield from lines


def _told(manifest: Mapping[str, Any]) -> list[str]:
    """Return what an export holds, for people."""
    query, runs = manifest["query"], len(manifest["chains"]) - 1
    lines = {
        "period": f"{query['first_day']} to {query['last_day']} ({query['time_zone']}), from"
        f" {query['since']} until before {query['until']}",
        "events in it": manifest["events_in_period"],
        "runs alive in it": f"{runs}, each whole",
        "the main chain": f"whole; of {manifest['events_withheld']} events about requests outside"
        " the period the hash alone",
    }
    return [f"  {name}: {told}" for name, told in lines.items()]


def _verdict(manifest: Mapping[str, Any]) -> list[str]:
    from forge_gdpr.chain import written_time
    from forge_gdpr.checkpoints import checkpoint_in

    signed = checkpoint_in(manifest["checkpoint"])
    limits = [
        "It proves what was recorded and what Forge answered, not what is left on Forge's disks.",
        "Its times are those of the controller's database.",
    ]
    if manifest["events_not_signed"]:
        limits.append(
            f"What came after the signature (events of main: {manifest['events_not_signed']}) can"
            " still be cut off: a later export shows whether it stays."
        )
    if not all(chain["closed"] for chain in manifest["chains"][1:]):
        limits.append("Of a run that had not closed the end is not known.")
    return [
        "the export holds, unchanged and complete:",
        *_told(manifest),
        f"  signed: {signed.origin}, {signed.size} events of main, {written_time(signed.at)}",
        "What it does not prove:",
        *(f"- {limit}" for limit in limits),
    ]

"""``forge-gdpr db``: the schema."""

from __future__ import annotations

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.parameters import ending
from forge_gdpr.errors import AuditBrokenError, DatabaseError, ExitCode

_CODES = (ExitCode.OK, ExitCode.CONFIGURATION, ExitCode.DATABASE)


@click.group()
def db() -> None:
    """Make the database, or bring it to this program's schema."""


@db.command(epilog=ending("forge-gdpr db upgrade", *_CODES))
def upgrade() -> None:
    """Make the tables, or bring them to this program's schema.

    Safe to repeat, and goes without a subject key. Beside a new SQLite database it makes one, the
    secret under which people are pseudonymised: keep a copy of it outside the database's backup.
    """
    from forge_gdpr.database import schema

    settings = wiring.settings_with()
    key_file = wiring.subject_key_file(settings)
    engine = wiring.engine_for(settings, create=True)
    before = schema.upgrade(engine)
    said = {None: "", schema.REVISION: " already"}.get(before, f"; it was at {before}")
    click.echo(f"the database is at revision {schema.REVISION}{said}")
    if key_file is None:
        if settings.subject_key is None:
            click.echo("a run needs FORGE_GDPR_SUBJECT_KEY: make one with 'openssl rand -hex 32'")
        return
    if before is None and settings.subject_key is None and not key_file.exists():
        wiring.make_subject_key_file(key_file)
        click.echo(f"made the subject key {key_file}: keep a copy of it")
    wiring.subject_key(settings)


@db.command(epilog=ending("forge-gdpr db current", *_CODES))
def current() -> None:
    """Show the database's revision."""
    from forge_gdpr.database import schema
    from forge_gdpr.database.engine import reading

    with reading(wiring.engine_for(wiring.settings_with())) as connection:
        click.echo(schema.current(connection) or "none")


@db.command(epilog=ending("forge-gdpr db check", *_CODES, ExitCode.AUDIT_BROKEN))
def check() -> None:
    """Say whether the database can be reached, is at this program's schema, and whole.

    Of a SQLite file also whether its indexes say what its tables say, and whether a run may write
    it: whose it is, and how much space there is.
    """
    from forge_gdpr.watch import checks
    from forge_gdpr.watch.findings import Level

    settings = wiring.settings_with()
    engine = wiring.migrated_engine(settings)
    findings = [checks.takes_writes(engine), checks.undamaged(engine)]
    file = wiring.sqlite_file(settings)
    if file is not None:
        findings += [checks.owners(file), checks.disk(file.parent), checks.writable(engine)]
    for finding in findings:
        if finding.level is Level.FAILURE:
            broken = finding.code is ExitCode.AUDIT_BROKEN
            raise (AuditBrokenError if broken else DatabaseError)(finding.said)
    click.echo("the database is reached, whole, and at this program's schema")

"""``forge-gdpr db``: the schema."""

from __future__ import annotations

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.parameters import ending
from forge_gdpr.errors import ExitCode

_CODES = (ExitCode.OK, ExitCode.CONFIGURATION, ExitCode.DATABASE)


@click.group()
def db() -> None:
    """Make the database, or bring it to this program's schema."""


@db.command(epilog=ending("forge-gdpr db upgrade", *_CODES))
def upgrade() -> None:
    """Make the tables, or bring them to this program's schema.

    Safe to repeat. Beside a new SQLite database it makes the subject key, the secret under
    which people are pseudonymised: keep a copy of it outside the backup of the database.
    """
    from forge_gdpr.database import schema

    settings = wiring.settings_with()
    key_file = wiring.subject_key_file(settings)
    engine = wiring.engine_for(settings, create=True)
    is_new = schema.upgrade(engine) is None
    if is_new and key_file is not None and settings.subject_key is None and not key_file.exists():
        wiring.make_subject_key_file(key_file)
        click.echo(f"made the subject key {key_file}: keep a copy of it")
    wiring.subject_key(settings)
    click.echo(f"the database is at revision {schema.REVISION}")


@db.command(epilog=ending("forge-gdpr db current", *_CODES))
def current() -> None:
    """Show the database's revision."""
    from forge_gdpr.database import schema
    from forge_gdpr.database.engine import reading

    with reading(wiring.engine_for(wiring.settings_with())) as connection:
        click.echo(schema.current(connection) or "none")


@db.command(epilog=ending("forge-gdpr db check", *_CODES))
def check() -> None:
    """Say whether the database can be reached and is at this program's schema."""
    wiring.migrated_engine(wiring.settings_with())
    click.echo("the database is reached and at this program's schema")

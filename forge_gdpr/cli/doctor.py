"""``forge-gdpr doctor``: is everything set up, and if not, what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from forge_gdpr import options
from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json, echo_table
from forge_gdpr.cli.parameters import ending, output_option
from forge_gdpr.errors import ConfigurationError, DatabaseError, ExitCode, ForgeGdprError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forge_gdpr.settings import Settings
    from forge_gdpr.watch.account import Expected
    from forge_gdpr.watch.findings import Finding


@click.command(
    "doctor",
    epilog=ending(
        "forge-gdpr doctor",
        ExitCode.OK,
        ExitCode.CONFIGURATION,
        ExitCode.DATABASE,
        ExitCode.FORGE_UNAVAILABLE,
        ExitCode.AUDIT_BROKEN,
        ExitCode.KEY_REFUSED,
        ExitCode.GUARD_STOPPED,
        instead={ExitCode.OK: "a night would work; warnings do not count"},
    ),
)
@click.option("--offline", is_flag=True, help="Do not call Forge.")
@output_option
@click.pass_context
def doctor_command(ctx: click.Context, offline: bool, output: str) -> None:
    """Check all that a night needs, a line each: ok, warning or failure, and what to do.

    Nothing is changed, nobody is deleted: Forge is asked once for its list of users. Ends with the
    exit code of the gravest failure.
    """
    from forge_gdpr.watch.findings import failure, worst

    settings: Settings | None = None
    try:
        settings = wiring.settings_with()
    except ConfigurationError as error:
        findings = [failure("settings", str(error), error.exit_code)]
    else:
        findings = list(_findings(settings, offline=offline))
    if output == "json":
        told: dict[str, Any] = {"checks": [finding.as_json() for finding in findings]}
        told["settings"] = None if settings is None else settings.shown()
        echo_json(told | {"exit_code": int(worst(findings))})
    else:
        echo_table(
            ("level", "check", "what was seen"),
            [(finding.level.value, finding.name, finding.said) for finding in findings],
        )
    ctx.exit(worst(findings))


def _findings(settings: Settings, *, offline: bool) -> Iterator[Finding]:
    from forge_gdpr.watch import checks
    from forge_gdpr.watch.findings import Finding

    shown = settings.shown()
    given = [
        f"{option.name.upper()}={shown[option.name]}"
        for option in options.OPTIONS
        if option.name in settings.model_fields_set
    ]
    yield Finding(name="settings", said=" ".join(given) or "all are the defaults")
    if not settings.erase_logs:
        yield checks.user_logs()
    yield from _local(settings)
    if not offline:
        yield from _at_forge(settings)


def _local(settings: Settings) -> Iterator[Finding]:
    """Check database, keys, clocks and files; what depends on the database only if it is there."""
    from forge_gdpr.database.engine import parsed_url
    from forge_gdpr.database.faults import shown_url
    from forge_gdpr.watch import checks
    from forge_gdpr.watch.findings import Finding, Level

    def calendar() -> Finding:
        wiring.legal_clock(settings)
        return Finding(
            name="calendar",
            said=f"{settings.timezone}, holidays {settings.holidays or 'none'}",
        )

    yield checks.tried("calendar", calendar)

    def reached() -> Finding:
        engine = wiring.engine_for(settings)
        return checks.database(engine, shown=shown_url(parsed_url(wiring.database_url(settings))))

    yield checks.tried("signing key", lambda: _signing_key(settings))
    database = checks.tried("database", reached)
    yield database
    if database.level is Level.OK:
        yield from _in_database(settings)
    else:
        yield checks.tried("subject key", lambda: _subject_key(settings))
    yield from _files(settings)


def _in_database(settings: Settings) -> Iterator[Finding]:
    """Check what depends on the database, which is there."""
    from forge_gdpr.watch import checks

    def now() -> datetime:
        return datetime.now(UTC)

    engine = wiring.engine_for(settings)
    yield checks.tried("writable", lambda: checks.writable(engine))
    yield checks.tried("triggers", lambda: checks.triggers(engine))
    yield checks.tried(
        "subject key", lambda: checks.subject_key(engine, wiring.subject_keys(settings))
    )
    yield checks.tried("database clock", lambda: checks.database_clock(engine, now=now))
    yield checks.tried(
        "last run", lambda: checks.last_run(engine, now=now(), max_age_h=settings.max_age_h)
    )
    if settings.require_approval:
        yield checks.tried(
            "approvals",
            lambda: checks.approvals(engine, now=now(), cool_off_days=settings.cool_off_days),
        )
        if settings.shared_login:
            yield checks.shared_login(engine)
    copies = settings.checkpoint_file
    if copies is not None:
        yield checks.tried("checkpoint file", lambda: checks.checkpoint_file(copies, engine))
    pattern = wiring.id_rules(settings).pattern
    yield checks.tried("identifiers", lambda: checks.identifiers(engine, pattern=pattern))


def _files(settings: Settings) -> Iterator[Finding]:
    """Check the files of a SQLite database; those of PostgreSQL are the server's."""
    from forge_gdpr.watch import checks

    try:
        path, key_file = wiring.sqlite_file(settings), wiring.subject_key_file(settings)
        if path is None or key_file is None or not path.parent.is_dir():
            return
        if path.is_file():
            yield checks.owners(path)
            yield checks.files([path, key_file])
        yield checks.disk(path.parent)
    except (ConfigurationError, OSError):
        return  # it is not to be found, as was said of the database above


def _subject_key(settings: Settings) -> Finding:
    from forge_gdpr.watch.findings import Finding

    keys = wiring.subject_keys(settings)
    return Finding(name="subject key", said=f"{keys.current.id} is used, of {len(keys.keys)} live")


def _signing_key(settings: Settings) -> Finding:
    from forge_gdpr.watch.findings import Finding, warning

    key = wiring.signing_key(settings)
    if key is None:
        return warning(
            "signing key",
            "there is none, so nobody can prove that the record is old:"
            " see 'forge-gdpr audit keygen'",
        )
    known = key.public in wiring.public_keys(settings)
    said = f"{key.name}+{key.public.id}"
    if not known:
        return warning("signing key", f"{said} is not in FORGE_GDPR_PUBLIC_KEY_FILE: add it")
    return Finding(name="signing key", said=said)


def _at_forge(settings: Settings) -> Iterator[Finding]:
    from forge_gdpr.watch import account
    from forge_gdpr.watch.findings import Level, failure

    try:
        with wiring.client_for(settings) as client:
            findings = account.forge(client, _expected(settings), now=lambda: datetime.now(UTC))
    except ForgeGdprError as error:
        findings = [failure("forge", str(error), error.exit_code)]
    yield from findings
    url = urlsplit(settings.base_url)
    if findings[0].level is Level.OK and url.scheme == "https" and settings.proxy is None:
        yield account.certificate(
            _certificate_ends_at(str(url.hostname), url.port or 443, settings),
            now=datetime.now(UTC),
        )


def _certificate_ends_at(host: str, port: int, settings: Settings) -> datetime | None:
    from forge_gdpr.forge.expiry import expires_at

    return expires_at(host, port, timeout_s=settings.connect_timeout_s, hold=lambda _socket: None)


def _expected(settings: Settings) -> Expected | None:
    """Return what should be in the account; None if the database can't say, which is told above."""
    from forge_gdpr.watch import account

    sentinel = wiring.id_rules(settings).sentinel
    try:
        engine = wiring.migrated_engine(settings)
        return account.expected(engine, wiring.account(settings), sentinel=sentinel)
    except (ConfigurationError, DatabaseError):
        return None

"""Real settings, keys, engines and clients: what the rooms below take as arguments."""

from __future__ import annotations

import os
import random
import re
import secrets
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from forge_gdpr import actors, options
from forge_gdpr.cli.terminal import at_a_terminal
from forge_gdpr.errors import ConfigurationError
from forge_gdpr.pseudonyms import Keyring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from forge_gdpr.absence import Account
    from forge_gdpr.audit.rollback import Copies
    from forge_gdpr.checkpoints import PublicKey, SigningKey
    from forge_gdpr.deadlines import LegalClock
    from forge_gdpr.forge.client import ForgeClient
    from forge_gdpr.forge.gate import Gate
    from forge_gdpr.identity import IdRules
    from forge_gdpr.pseudonyms import SubjectKey
    from forge_gdpr.references import ReferenceRules
    from forge_gdpr.settings import Settings


#: Where a command's engine is kept, for what is said if it fails.
ENGINE: Final = "forge_gdpr.engine"
#: It goes on while the machine sleeps, as leases do.
_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic() -> float:
    """Return seconds that never go back."""
    return time.clock_gettime(_CLOCK)


def settings_with(**overrides: object) -> Settings:
    """Read the settings and set up the logs.

    Args:
        overrides: what the command line says; None means it says nothing.
    """
    from forge_gdpr import logs
    from forge_gdpr.settings import Settings

    settings = Settings.from_environment(**overrides)
    logs.configure(level=settings.log_level, style=settings.log_format, stream=sys.stderr)
    return settings


def actor(settings: Settings, given: str | None) -> str:
    """Return who does what a command does, for the record.

    Args:
        settings: may name somebody.
        given: by ``--actor``.
    """
    from forge_gdpr.database.files import process_login
    from forge_gdpr.settings import sudo_user

    login = process_login()
    # Without a name of its own, as in some containers, a user is a number, which is nobody.
    user = None if login.isdigit() else login
    return given or settings.actor or actors.first_of((_terminals_login(), sudo_user(), user))


def _terminals_login() -> str | None:
    try:
        return os.getlogin()
    except OSError:
        return None


def engine_for(settings: Settings, *, create: bool = False) -> Engine:
    """Return the engine of the configured database."""
    import click

    from forge_gdpr.database.engine import engine_of

    engine = engine_of(database_url(settings), create=create)
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[ENGINE] = engine
    return engine


def database_url(settings: Settings) -> str:
    """Return the URL of the database that a command is about to use.

    A job that nobody watches says which one it means: the default would be an empty file in some
    folder, and a night in which nothing was due.

    Raises:
        ConfigurationError: there is only the default, and no terminal.
    """
    if "database_url" not in settings.model_fields_set and not at_a_terminal():
        raise ConfigurationError(
            "FORGE_GDPR_DATABASE_URL is not set, and without a terminal there is no default: set"
            " it, in quotation marks where a shell reads it (as in cron/environment.example)"
        )
    return settings.database_url.get_secret_value()


def migrated_engine(settings: Settings) -> Engine:
    """Return the engine of the configured database, which is at this program's schema."""
    from forge_gdpr.database.engine import reading
    from forge_gdpr.database.schema import require_current

    engine = engine_for(settings)
    with reading(engine) as connection:
        require_current(connection)
    return engine


def subject_key(settings: Settings) -> SubjectKey:
    """Return the secret under which people are pseudonymised from now on."""
    return subject_keys(settings).current


def subject_keys(settings: Settings) -> Keyring:
    """Return all secrets under which people are found, a line each; the last one is the current.

    Raises:
        ConfigurationError: there is none, one is too short, or one is there twice.
    """
    from forge_gdpr.settings import read_secret

    if settings.subject_key is not None:
        text = settings.subject_key.get_secret_value().strip()
    else:
        path = subject_key_file(settings)
        if path is None:
            raise ConfigurationError(
                "PostgreSQL needs FORGE_GDPR_SUBJECT_KEY or FORGE_GDPR_SUBJECT_KEY_FILE:"
                " make one with 'openssl rand -hex 32' and keep it, outside the database"
            )
        if not path.exists():
            raise ConfigurationError(
                f"the subject key {path} is missing: put it back, for without it nobody in the"
                " record can be found again; for a new database run 'forge-gdpr db upgrade'"
            )
        text = read_secret(path, "the subject key file")
    try:
        return Keyring.parse(text)
    except ValueError as error:
        raise ConfigurationError(f"FORGE_GDPR_SUBJECT_KEY can't be used: {error}") from None


def subject_key_file(settings: Settings) -> Path | None:
    """Return where the subject key lies beside a SQLite database; None for PostgreSQL."""
    path = sqlite_file(settings)
    return None if path is None else Path(f"{path}.subject-key")


def sqlite_file(settings: Settings) -> Path | None:
    """Return the file of a SQLite database; None for PostgreSQL."""
    from forge_gdpr.database.engine import parsed_url

    url = parsed_url(database_url(settings))
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def id_rules(settings: Settings) -> IdRules:
    """Return what a Forge user id must be, and whose is never deleted.

    Raises:
        ConfigurationError: the sentinel's is none.
    """
    from forge_gdpr.identifiers import user_id_fault
    from forge_gdpr.identity import IdRules

    rules = IdRules(
        pattern=re.compile(settings.user_id_pattern), sentinel=settings.sentinel_user_id
    )
    if settings.sentinel_user_id is not None:
        fault = user_id_fault(settings.sentinel_user_id, rules.pattern)
        if fault is not None:
            raise ConfigurationError(f"FORGE_GDPR_SENTINEL_USER_ID is wrong: {fault}")
    return rules


def references(settings: Settings) -> ReferenceRules:
    """Return which references may be shown and recorded."""
    from forge_gdpr.references import ReferenceRules

    return ReferenceRules(
        pattern=re.compile(settings.reference_pattern),
        user_ids=re.compile(settings.user_id_pattern),
    )


def account(settings: Settings) -> Account:
    """Return the account that the configured API key reaches, by its fingerprint.

    Raises:
        ConfigurationError: there is no API key, or no subject key.
    """
    from forge_gdpr.absence import Account

    return Account.of(
        subject_keys(settings).keys, base_url=settings.base_url, api_key=_api_key(settings)
    )


def legal_clock(settings: Settings) -> LegalClock:
    """Return the clock that counts legal days as this controller does.

    Raises:
        ConfigurationError: the time zone or the calendar of holidays is not known.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from forge_gdpr.deadlines import LegalClock

    try:
        zone = ZoneInfo(settings.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            f"FORGE_GDPR_TIMEZONE={settings.timezone} is no time zone: write one like Europe/Berlin"
        ) from None
    if settings.holidays is None:
        return LegalClock(zone=zone)
    from holidays import country_holidays, list_supported_countries  # 70 ms, and few need it

    country, _, subdivision = settings.holidays.partition("-")
    # The package would also take a name of one of its classes, or of a stock exchange.
    known = list_supported_countries().get(country)
    if known is None or (subdivision or country) not in {settings.holidays, *known}:
        raise ConfigurationError(
            f"FORGE_GDPR_HOLIDAYS={settings.holidays} is no calendar: write a country's code, or"
            " one with its subdivision, like DE or DE-BY"
        )
    return LegalClock(zone=zone, holidays=country_holidays(country, subdiv=subdivision or None))


def signing_key(settings: Settings) -> SigningKey | None:
    """Return the key that signs checkpoints; None if there is none.

    Raises:
        ConfigurationError: it is no such key.
    """
    if settings.signing_key is None:
        return None
    from forge_gdpr.checkpoints import InvalidKeyError, SigningKey

    try:
        return SigningKey.parse(settings.signing_key.get_secret_value().strip())
    except InvalidKeyError as error:
        raise ConfigurationError(
            f"FORGE_GDPR_SIGNING_KEY is no signing key: {error}; make one with"
            " 'forge-gdpr audit keygen'"
        ) from None


def public_keys(settings: Settings, file: Path | None = None) -> list[PublicKey]:
    """Return the keys that checkpoints are verified with; none if none is known.

    Args:
        settings: say where they are: a file, and the signing key's own other half.
        file: read this one instead.

    Raises:
        ConfigurationError: the file can't be read, or holds something else.
    """
    path = file or settings.public_key_file
    if path is not None:
        return public_keys_in(path)
    key = signing_key(settings)
    return [] if key is None else [key.public]


def public_keys_in(path: Path) -> list[PublicKey]:
    """Return the public keys in a file, a line each.

    Raises:
        ConfigurationError: it can't be read, or holds something else.
    """
    from forge_gdpr.checkpoints import InvalidKeyError, PublicKey

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [PublicKey.parse(line) for line in lines if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the public keys {path} can't be read ({type(error).__name__})"
        ) from None
    except InvalidKeyError as error:
        raise ConfigurationError(f"{path} holds something else than public keys: {error}") from None
    if not found:
        raise ConfigurationError(f"{path} holds no public key")
    return found


def copies(settings: Settings) -> Copies:
    """Return the checkpoints that were kept outside the database, for a run to compare with.

    Raises:
        ConfigurationError: the public keys can't be read, or the signing key is none.
    """
    from forge_gdpr.audit.rollback import Copies
    from forge_gdpr.newfiles import read_notes, why_not_read

    key, path = signing_key(settings), settings.checkpoint_file
    keys = {*public_keys(settings), *([] if key is None else [key.public])}

    def read() -> str | None:
        if path is None:
            return ""
        try:
            return read_notes(path)
        except FileNotFoundError:
            return None  # no checkpoint was copied yet, or what it is on is not mounted
        except OSError as error:
            raise ConfigurationError(
                f"FORGE_GDPR_CHECKPOINT_FILE={path} can't be read ({why_not_read(error)}), so"
                " nobody can say whether this database is as it was: name a file that this login"
                " may read"
            ) from None

    return Copies(file=path, read=read, keys=sorted(keys, key=str))


def publisher(settings: Settings) -> Callable[[str], str | None]:
    """Return what appends a new checkpoint to CHECKPOINT_FILE, if there is one.

    It returns why it can't be copied, and what to do: it is in the record, so nothing is lost but
    the copy, and with it what would show that somebody wrote the record anew.
    """
    path = settings.checkpoint_file

    def publish(checkpoint: str) -> str | None:
        import structlog

        from forge_gdpr.cli.paths import path_error
        from forge_gdpr.newfiles import append_note

        if path is None:
            return None
        try:
            append_note(path, checkpoint)
        except OSError as error:
            structlog.get_logger().warning(
                "checkpoint.not_copied", file=str(path), why=type(error).__name__
            )
            return (
                f"the checkpoint is in the record, but not in {options.CHECKPOINT_FILE.variable}:"
                f" {path_error(error, path) or type(error).__name__}; then run 'forge-gdpr audit"
                " checkpoint'"
            )
        return None

    return publish


def make_subject_key_file(path: Path) -> None:
    """Write a new subject key that only its owner can read; never over an old one."""
    from forge_gdpr.cli.paths import named
    from forge_gdpr.newfiles import write_new

    with named(path):
        write_new(path, secrets.token_hex(32) + "\n")


def gate_for(settings: Settings) -> Gate:
    """Return the gate that all calls of this process go through."""
    from forge_gdpr.forge.gate import Gate, Pace

    return Gate(Pace(rate=settings.rate, breaker=settings.breaker), monotonic=monotonic)


@contextmanager
def client_for(settings: Settings, gate: Gate | None = None) -> Iterator[ForgeClient]:
    """Open a client of the configured Forge.

    Raises:
        ConfigurationError: there is no API key.
    """
    from forge_gdpr.forge.client import ForgeClient
    from forge_gdpr.forge.transport import Endpoint
    from forge_gdpr.retries import RetryPolicy

    endpoint = Endpoint(
        base_url=settings.base_url,
        api_key=_api_key(settings),
        connect_timeout_s=settings.connect_timeout_s,
        read_timeout_s=settings.read_timeout_s,
        total_timeout_s=settings.total_timeout_s,
        proxy=None if settings.proxy is None else settings.proxy.get_secret_value(),
        ca_file=None if settings.ca_file is None else str(settings.ca_file),
        list_ignores=frozenset(
            key.strip() for key in (settings.list_ignores or "").split(",") if key.strip()
        ),
        user_id_pattern=re.compile(settings.user_id_pattern),
    )
    with ForgeClient(
        endpoint,
        gate=gate or gate_for(settings),
        policy=RetryPolicy(tries=settings.tries),
        monotonic=monotonic,
        now=lambda: datetime.now(UTC),
        draw=random.random,
    ) as client:
        yield client


def _api_key(settings: Settings) -> str:
    if settings.api_key is None:
        raise ConfigurationError(
            "there is no API key: set FORGE_GDPR_API_KEY, or FORGE_GDPR_API_KEY_FILE to a file"
            " that only you can read"
        )
    return settings.api_key.get_secret_value()

"""Settings, read once from the environment. The only module that reads it.

Each secret also comes from a file: ``FORGE_GDPR_API_KEY_FILE=/path``, or a credential named
``forge_gdpr_api_key`` in systemd's ``$CREDENTIALS_DIRECTORY``. Pydantic is imported here and
only here; ``cli/`` imports this module when a command runs, not for its help.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from forge_gdpr import options
from forge_gdpr.chain import canonical
from forge_gdpr.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

#: A group or anybody else may read or write the file.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def _declared(option: options.Option) -> Any:  # noqa: ANN401  # as pydantic's own Field
    return Field(
        default=option.default,
        ge=option.minimum,
        le=option.maximum,
        description=option.help,
        validate_default=False,
    )


def _secret(option: options.Option) -> Any:  # noqa: ANN401  # as pydantic's own Field
    default = SecretStr(option.default) if isinstance(option.default, str) else None
    return Field(default=default, description=option.help)


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads ``FORGE_GDPR_<SECRET>_FILE``."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the content of the file that the environment names for this field."""
        variable = f"{options.PREFIX}{field_name.upper()}_FILE"
        path = os.environ.get(variable)
        is_secret = any(o.secret and o.name == field_name for o in options.OPTIONS)
        if not path or not is_secret:
            return None, field_name, False
        return read_secret(Path(path), variable), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all secrets that come from files."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """What an operator can set; defaults and ranges are in `options.py`."""

    model_config = SettingsConfigDict(
        env_prefix=options.PREFIX, frozen=True, extra="ignore", env_ignore_empty=True
    )

    database_url: SecretStr = _secret(options.DATABASE_URL)
    api_key: SecretStr | None = _secret(options.API_KEY)
    base_url: str = _declared(options.BASE_URL)
    subject_key: SecretStr | None = _secret(options.SUBJECT_KEY)
    sentinel_user_id: str | None = _declared(options.SENTINEL_USER_ID)
    list_ignores: str | None = _declared(options.LIST_IGNORES)
    user_id_pattern: str = _declared(options.USER_ID_PATTERN)
    signing_key: SecretStr | None = _secret(options.SIGNING_KEY)
    public_key_file: Path | None = _declared(options.PUBLIC_KEY_FILE)
    checkpoint_file: Path | None = _declared(options.CHECKPOINT_FILE)
    proxy: SecretStr | None = _secret(options.PROXY)
    ca_file: Path | None = _declared(options.CA_FILE)
    concurrency: int = _declared(options.CONCURRENCY)
    rate: float = _declared(options.RATE)
    batch: int = _declared(options.BATCH)
    connect_timeout_s: float = _declared(options.CONNECT_TIMEOUT_S)
    read_timeout_s: float = _declared(options.READ_TIMEOUT_S)
    total_timeout_s: float = _declared(options.TOTAL_TIMEOUT_S)
    tries: int = _declared(options.TRIES)
    max_attempts: int = _declared(options.MAX_ATTEMPTS)
    lease_s: float = _declared(options.LEASE_S)
    breaker: int = _declared(options.BREAKER)
    cool_off_days: int = _declared(options.COOL_OFF_DAYS)
    max_runtime_s: float = _declared(options.MAX_RUNTIME_S)
    max_due: int = _declared(options.MAX_DUE)
    max_share: float = _declared(options.MAX_SHARE)
    spike_factor: float = _declared(options.SPIKE_FACTOR)
    canary: int = _declared(options.CANARY)
    require_approval: bool = _declared(options.REQUIRE_APPROVAL)
    plan_max_age_h: float = _declared(options.PLAN_MAX_AGE_H)
    timezone: str = _declared(options.TIMEZONE)
    holidays: str | None = _declared(options.HOLIDAYS)
    max_age_h: float = _declared(options.MAX_AGE_H)
    retain_ids_days: int = _declared(options.RETAIN_IDS_DAYS)
    retain_requests_months: int = _declared(options.RETAIN_REQUESTS_MONTHS)
    erase_logs: bool = _declared(options.ERASE_LOGS)
    verify: bool = _declared(options.VERIFY)
    log_format: Literal["auto", "json", "console"] = _declared(options.LOG_FORMAT)
    log_level: Literal["debug", "info", "warning", "error"] = _declared(options.LOG_LEVEL)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # no .env file is read
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # made here
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, variables, files, systemd's credentials."""
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        folder = Path(credentials) if credentials and Path(credentials).is_dir() else None
        systemd = SecretsSettingsSource(settings_cls, secrets_dir=folder)
        return (init_settings, env_settings, _SecretFiles(settings_cls), systemd)

    @classmethod
    def from_environment(cls, **overrides: object) -> Self:
        """Read the settings.

        Args:
            overrides: what the command line says; None means it says nothing.

        Raises:
            ConfigurationError: one is missing or wrong; its value is shown only if it is no secret.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        try:
            return cls(**given)  # type: ignore[arg-type]  # pydantic checks them
        except ValidationError as error:
            raise ConfigurationError(_explained(error)) from None

    def shown(self) -> dict[str, str | None]:
        """Return every setting for people: of a secret only whether it is set."""
        return {option.name: self._shown(option) for option in options.OPTIONS}

    def digest(self) -> str:
        """Return the SHA-256 of what `shown` returns, for the record: secrets have no part."""
        return hashlib.sha256(canonical(self.shown()).encode()).hexdigest()

    def _shown(self, option: options.Option) -> str | None:
        value = getattr(self, option.name)
        if value is None or isinstance(value, SecretStr):
            return None if value is None else "set"
        return f"{value:g}" if isinstance(value, float) else str(value)

    @field_validator("base_url")
    @classmethod
    def _base_url_is_safe(cls, value: str) -> str:
        url = urlsplit(value)
        if url.scheme not in {"https", "http"} or not url.hostname:
            raise ValueError("is not an address like https://api.runalloy.com/forge/2021-12")
        if url.username or url.password or url.query or url.fragment:
            raise ValueError("is an address without user, query or fragment")
        if url.scheme == "http" and not _is_loopback(url.hostname):
            raise ValueError("is plain http, which is only for this machine: write https")
        return value.rstrip("/")

    @field_validator("user_id_pattern")
    @classmethod
    def _user_id_pattern_is_one(cls, value: str) -> str:
        if value != value.strip() or not value.isprintable() or value[:1] in {"'", '"'}:
            raise ValueError("has quotation marks, blanks or a line end around it: remove them")
        try:
            with warnings.catch_warnings(action="ignore"):
                re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"is not a regular expression of Python: {error}") from None
        return value

    @field_validator("api_key")
    @classmethod
    def _api_key_fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        text = None if value is None else value.get_secret_value().strip()
        if text is not None and not (text.isascii() and text.isprintable() and text):
            raise ValueError("has characters that no HTTP header can hold")
        return None if text is None else SecretStr(text)

    @model_validator(mode="after")
    def _lease_outlives_a_call(self) -> Self:
        if self.lease_s <= self.total_timeout_s:
            raise ValueError(
                f"FORGE_GDPR_LEASE_S={self.lease_s:g} must be more than"
                f" FORGE_GDPR_TOTAL_TIMEOUT_S={self.total_timeout_s:g}"
            )
        return self


def read_secret(path: Path, variable: str) -> str:
    """Return the secret in a file, without the white space around it.

    Raises:
        ConfigurationError: it can't be read, is empty, or others may read it.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{variable} names {path}, which can't be read ({type(error).__name__})"
        ) from None
    if mode & _OTHERS:
        raise ConfigurationError(
            f"{variable} names {path}, which others may read: run 'chmod 600 {path}'"
        )
    if not text:
        raise ConfigurationError(f"{variable} names {path}, which is empty")
    return text


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _explained(error: ValidationError) -> str:
    """Say which setting is wrong and how, in one line, without the value of a secret."""
    first = error.errors(include_url=False, include_context=False)[0]
    said = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return said
    option = next(o for o in options.OPTIONS if o.name == first["loc"][0])
    value = "" if option.secret else f"={first['input']}"
    allowed = f" ({option.range})" if option.range else ""
    return f"{option.variable}{value} is wrong: {said}{allowed}"

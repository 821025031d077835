"""Settings, read once from the environment. The only module that reads it.

Each secret also comes from a file: ``FORGE_GDPR_API_KEY_FILE=/path``, or a credential named
``forge_gdpr_api_key`` in systemd's ``$CREDENTIALS_DIRECTORY``. Pydantic is imported here and
only here; ``cli/`` imports this module when a command runs, not for its help.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import stat
import warnings
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from forge_gdpr import actors, addresses, options
from forge_gdpr.chain import canonical
from forge_gdpr.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pydantic.fields import FieldInfo

_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
#: A group or anybody else may read or write the file.
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_ROOT: Final = 0
_LONGEST_SECRET_BYTES: Final = 2**20
#: How much a name must be like ours to be taken for one that is mistyped: one slip in the prefix,
#: like FORGE_GPDR_RATE. FORGE_GRPC_URL is another program's.
_LIKE_OURS: Final = 0.85
_LONGEST_SHOWN: Final = 40
_PATTERNS: Final = (options.USER_ID_PATTERN.name, options.REFERENCE_PATTERN.name)
_LONGEST_PATTERN: Final = 1000


class Source(StrEnum):
    """Where a setting's value comes from."""

    DEFAULT = "default"
    ENVIRONMENT = "environment"
    FILE = "file"
    CREDENTIAL = "credential"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where one setting's value comes from."""

    source: Source
    path: Path | None = None  #: of a file or credential

    def __str__(self) -> str:
        return self.source.value if self.path is None else f"{self.source.value} {self.path}"


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


class _Files(PydanticBaseSettingsSource):
    """Reads ``FORGE_GDPR_<SECRET>_FILE`` and systemd's credentials."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return what a file says of this field; None if there is no file."""
        option = next(option for option in options.OPTIONS if option.name == field_name)
        secret, credential = _secret_file(option), _credential(option)
        if secret is not None:
            value = read_secret(secret, str(option.file_variable))
            in_clear = os.environ.get(option.variable, "").strip()
            if in_clear not in {"", value}:
                raise ConfigurationError(
                    f"{option.variable} and {option.file_variable} are both set, and differ:"
                    " remove one"
                )
            return value, field_name, False
        if credential is not None:
            return _read(credential, f"the credential {option.credential}"), field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all settings that come from files."""
        values = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in values.items() if value is not None}


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
    reference_pattern: str = _declared(options.REFERENCE_PATTERN)
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
    database_patience_s: float = _declared(options.DATABASE_PATIENCE_S)
    breaker: int = _declared(options.BREAKER)
    cool_off_days: int = _declared(options.COOL_OFF_DAYS)
    max_runtime_s: float = _declared(options.MAX_RUNTIME_S)
    max_due: int = _declared(options.MAX_DUE)
    max_share: float = _declared(options.MAX_SHARE)
    spike_factor: float = _declared(options.SPIKE_FACTOR)
    canary: int = _declared(options.CANARY)
    actor: str | None = _declared(options.ACTOR)
    require_approval: bool = _declared(options.REQUIRE_APPROVAL)
    shared_login: bool = _declared(options.SHARED_LOGIN)
    plan_max_age_h: float = _declared(options.PLAN_MAX_AGE_H)
    timezone: str = _declared(options.TIMEZONE)
    holidays: str | None = _declared(options.HOLIDAYS)
    max_age_h: float = _declared(options.MAX_AGE_H)
    verified_within_d: float = _declared(options.VERIFIED_WITHIN_D)
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
        return (init_settings, env_settings, _Files(settings_cls))

    @classmethod
    def from_environment(cls, **overrides: object) -> Self:
        """Read the settings.

        Args:
            overrides: what the command line says; None means it says nothing.

        Raises:
            ConfigurationError: one is wrong, or a name is unknown; a value is shown only if it is
                no secret.
        """
        _require_known_names()
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

    @field_validator("*", mode="before")
    @classmethod
    def _text_is_plain(cls, value: object, info: ValidationInfo) -> object:
        """Drop white space around a value, as Windows line ends leave it; refuse what is odd."""
        if not isinstance(value, str) or info.field_name in _PATTERNS:
            return value
        text = value.strip()
        if not text:
            raise ValueError("is blank: write a value, or remove it")
        if len(text) > 1 and text[0] == text[-1] and text[0] in {"'", '"'}:
            raise ValueError(
                "has quotation marks around it: remove them (a shell does that, but docker's"
                " --env-file does not)"
            )
        several_lines = info.field_name == options.SUBJECT_KEY.name
        for character in "".join(text.splitlines()) if several_lines else text:
            if not character.isprintable():
                raise ValueError(
                    f"has a character in it that can't be printed (U+{ord(character):04X}):"
                    " remove it"
                )
        return text

    @field_validator("base_url")
    @classmethod
    def _base_url_is_safe(cls, value: str) -> str:
        return addresses.api_base(value)

    @field_validator("proxy")
    @classmethod
    def _proxy_is_one(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(addresses.proxy(value.get_secret_value()))

    @field_validator(*_PATTERNS)
    @classmethod
    def _pattern_is_one(cls, value: str) -> str:
        if len(value) > _LONGEST_PATTERN:
            raise ValueError(f"is longer than {_LONGEST_PATTERN} characters: shorten it")
        if value != value.strip() or not value.isprintable() or value[:1] in {"'", '"'}:
            raise ValueError("has quotation marks, blanks or a line end around it: remove them")
        try:
            with warnings.catch_warnings(action="ignore"):
                re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"is not a regular expression of Python: {error}") from None
        return value

    @field_validator("actor")
    @classmethod
    def _actor_is_a_name(cls, value: str | None) -> str | None:
        fault = None if value is None else actors.fault(value)
        if fault is not None:
            raise ValueError(fault)
        return value

    @field_validator("api_key")
    @classmethod
    def _api_key_fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        text = "" if value is None else value.get_secret_value()
        if text.lower().split(" ")[0] == "bearer":
            raise ValueError("begins with 'Bearer ', which is added to it: write the key alone")
        if " " in text or not text.isascii():
            raise ValueError("has a blank or a letter beyond ASCII in it, which no key has")
        return value

    @model_validator(mode="after")
    def _lease_outlives_a_call(self) -> Self:
        if self.lease_s <= self.total_timeout_s:
            raise ValueError(
                f"FORGE_GDPR_LEASE_S={self.lease_s:g} must be more than"
                f" FORGE_GDPR_TOTAL_TIMEOUT_S={self.total_timeout_s:g}"
            )
        return self


def origin_of(option: options.Option) -> Origin:
    """Return where the value of a setting comes from, but for a command line."""
    secret, credential = _secret_file(option), _credential(option)
    if os.environ.get(option.variable):
        return Origin(source=Source.ENVIRONMENT)
    if secret is not None:
        return Origin(source=Source.FILE, path=secret)
    if credential is not None:
        return Origin(source=Source.CREDENTIAL, path=credential)
    return Origin(source=Source.DEFAULT)


def sudo_user() -> str | None:
    """Return who called sudo, if somebody did."""
    return os.environ.get("SUDO_USER")


def read_secret(path: Path, variable: str) -> str:
    """Return the secret in a file, without the white space around it.

    Raises:
        ConfigurationError: it can't be read, is empty, or others may read it.
    """
    return _read(path, f"{variable} names {path}, which", private=True)


def _read(path: Path, subject: str, *, private: bool = False) -> str:
    """Return the text in a file, without the white space around it.

    Args:
        path: of the file.
        subject: of the sentence that an error is.
        private: whether nobody else may read it.

    Raises:
        ConfigurationError: it can't be read, is empty, or others may read it.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            read_only = bool(os.fstatvfs(file.fileno()).f_flag & os.ST_RDONLY)
            raw = file.read(_LONGEST_SECRET_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{subject} {_unreadable(error, path)}") from None
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode)):
        raise ConfigurationError(f"{subject} is no file but a device")
    if len(raw) > _LONGEST_SECRET_BYTES:
        raise ConfigurationError(f"{subject} is too long for a secret")
    if private:
        fault = exposed(
            path, mode=status.st_mode, owner=status.st_uid, user=os.geteuid(), read_only=read_only
        )
        if fault is not None:
            raise ConfigurationError(f"{subject} {fault}")
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{subject} is not UTF-8 text") from None
    if not text:
        raise ConfigurationError(f"{subject} is empty")
    return text


def exposed(path: Path, *, mode: int, owner: int, user: int, read_only: bool) -> str | None:
    """Say how others than its reader may get at a secret, and what to type; None if they can't.

    A container is given its secrets as root's files on a read-only mount, readable by everybody in
    it (Docker) or by a group (Kubernetes). Nobody in there can run chmod, and nobody but root could
    have put the file there, so it is accepted. Anywhere else chmod is possible, and needed: the
    machine is shared.

    Args:
        path: of the file.
        mode: of the file.
        owner: of the file.
        user: who reads it.
        read_only: whether its file system is mounted read-only.
    """
    if not mode & _OTHERS or (read_only and owner == _ROOT and not mode & _OTHERS_WRITE):
        return None
    name = shlex.quote(str(path))
    if read_only:
        return (
            "others may read, and which is on a read-only mount: where it is mounted from, run"
            f" 'chown {user} FILE && chmod 600 FILE', or 'chown root FILE && chmod 444 FILE'"
        )
    if user in {_ROOT, owner}:
        return f"others may read: run 'chmod 600 {name}'"
    return f"others may read: run 'sudo chown {user} {name} && sudo chmod 600 {name}'"


def unknown_names(names: Collection[str]) -> Iterator[str]:
    """Yield, for each name that is meant for this program and not known to it, what is wrong.

    Taken for ours is what begins like our prefix, in small letters or with a slip in it, too. The
    variables that Kubernetes sets for a Service whose name begins like ours are not settings.
    """
    services = {
        name.removesuffix("_SERVICE_HOST") for name in names if name.endswith("_SERVICE_HOST")
    }
    of_services = tuple(
        f"{service}_{kind}" for service in services for kind in ("SERVICE_", "PORT")
    )
    for name in sorted(names):
        if name not in options.NAMES and _is_like_ours(name) and not name.startswith(of_services):
            shown = name.encode("unicode_escape").decode()[: 2 * _LONGEST_SHOWN]
            yield f"{shown} is not a setting: {_suggestion(_plain(name), options.NAMES)}"


def _plain(name: str) -> str:
    return re.sub(r"[.\-]", "_", name.upper())


def _is_like_ours(name: str) -> bool:
    start = _plain(name)[: len(options.PREFIX)]
    return SequenceMatcher(None, start, options.PREFIX).ratio() >= _LIKE_OURS


def _suggestion(name: str, known: Collection[str]) -> str:
    whole = name.removesuffix("_FILE")
    if whole in known and name not in known:
        return f"only a secret can be in a file of its own, so write {whole}"
    rests = [option.removeprefix(options.PREFIX) for option in sorted(known)]
    guess = get_close_matches(name[len(options.PREFIX) :], rests, n=1)
    if guess:
        return f"did you mean {options.PREFIX}{guess[0]}?"
    return "'forge-gdpr settings --output env' lists all"


def _require_known_names() -> None:
    """See to it that nothing that is set is ignored.

    Raises:
        ConfigurationError: a variable, or a file among systemd's credentials, is unknown.
    """
    faults = list(unknown_names(os.environ))
    folder = _credentials()
    if folder is not None:
        try:
            files = {path.name for path in folder.iterdir()}
        except OSError as error:
            raise ConfigurationError(
                f"{_CREDENTIALS} names {folder}, which {_unreadable(error, folder)}"
            ) from None
        known = {option.variable for option in options.OPTIONS}
        faults += [
            f"the credential {name} is not a setting: {_suggestion(_plain(name), known).lower()}"
            for name in sorted(files - {option.credential for option in options.OPTIONS})
            if _is_like_ours(name)
        ]
    if faults:
        raise ConfigurationError("; ".join(faults))


def _secret_file(option: options.Option) -> Path | None:
    """Return the file that the environment names for a secret."""
    name = os.environ.get(option.file_variable or "", "").strip()
    return Path(name) if name else None


def _credentials() -> Path | None:
    name = os.environ.get(_CREDENTIALS, "")
    return Path(name) if name else None


def _credential(option: options.Option) -> Path | None:
    """Return the file with a setting among systemd's credentials, if it is there."""
    folder = _credentials()
    path = None if folder is None else folder / option.credential
    return path if path is not None and path.exists() else None


def _unreadable(error: OSError, path: Path) -> str:
    """Say why a file can't be read, and what to type; the end of a sentence."""
    match error:
        case FileNotFoundError():
            return "does not exist"
        case IsADirectoryError():
            return "is a folder"
        case PermissionError():
            name = shlex.quote(str(path))
            return f"may not be read by this user: run 'sudo chown {os.geteuid()} {name}'"
        case _:
            return f"can't be read ({error.strerror})"


def _explained(error: ValidationError) -> str:
    """Say which setting is wrong and how, in one line, without the value of a secret."""
    first, *others = error.errors(include_url=False, include_context=False)
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return reason
    option = next(option for option in options.OPTIONS if option.name == first["loc"][0])
    if first["type"] == "value_error":
        said = f"{option.variable} {reason}"
    else:
        value = str(first["input"]).strip()[:_LONGEST_SHOWN]
        said = f"{option.variable}={value} is wrong: write {option.form}"
    count = len(others)
    more = f"; {count} other setting{'s are' if count > 1 else ' is'} wrong, too" if others else ""
    return said + more

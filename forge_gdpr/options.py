"""Every setting, declared once: its variable, default, range and help.

`settings.py` builds its model from these and `cli/` its options, so neither can say something
else than the other. No pydantic in here, so that `--help` stays quick (272 ms).
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import Final

PREFIX: Final = "FORGE_GDPR_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting."""

    name: str
    help: str
    default: str | int | float | bool | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    secret: bool = False
    choices: tuple[str, ...] = ()
    example: str | None = None  #: what a template shows where there is no default, or a better one

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    @property
    def file_variable(self) -> str | None:
        """The environment variable that names a file with the value; only a secret has one."""
        return f"{self.variable}_FILE" if self.secret else None

    @property
    def credential(self) -> str:
        """The name of the file in systemd's credentials directory."""
        return self.variable.lower()

    @property
    def form(self) -> str:
        """What can be written, in words, if that can be said at all."""
        match self.default:
            case bool():
                return "true or false"
            case int():
                return f"a whole number from {self.range}"
            case float():
                return f"a number from {self.range}"
            case _:
                *others, last = self.choices or ("text",)
                return f"{', '.join(others)} or {last}" if others else last

    @property
    def range(self) -> str:
        """The allowed values as people write them, empty if there is no limit."""
        if self.minimum is None and self.maximum is None:
            return ""
        return f"{self.minimum} to {self.maximum}"


DATABASE_URL: Final = Option(
    name="database_url",
    default="sqlite:///forge-gdpr.db",
    secret=True,
    example="sqlite:////var/lib/forge-gdpr/forge-gdpr.db",
    help="Any SQLAlchemy URL of SQLite or PostgreSQL (psycopg 3); without a terminal it must be"
    " set.",
)
API_KEY: Final = Option(
    name="api_key", secret=True, example="/etc/forge-gdpr/api-key", help="Forge's key."
)
BASE_URL: Final = Option(
    name="base_url",
    default="https://api.runalloy.com/forge/2021-12",
    help="Forge's address; plain http only for loopback.",
)
SUBJECT_KEY: Final = Option(
    name="subject_key",
    secret=True,
    help="What people are pseudonymised under; made by 'db upgrade' beside a SQLite database.",
)
SENTINEL_USER_ID: Final = Option(
    name="sentinel_user_id",
    help="A user of your own account that is never deleted: it shows that the API key and the"
    " paths are right; make one with 'users create'.",
)
LIST_IGNORES: Final = Option(
    name="list_ignores",
    help="Keys beside data in Forge's list of users that do not mean that there is more, separated"
    " by commas.",
)
USER_ID_PATTERN: Final = Option(
    name="user_id_pattern",
    default="[0-9a-fA-F]{24}",
    help="What a Forge user id looks like, as a regular expression of Python; the whole id must"
    " match, else it is never sent.",
)
REFERENCE_PATTERN: Final = Option(
    name="reference_pattern",
    default="(?:[A-Za-z]{1,10}[-_#/])?[A-Z]{0,10}#?[0-9]{1,8}(?:[-/._][0-9]{1,8}(?:T[0-9]{6}Z)?)?",
    help="What a ticket number looks like, as a regular expression of Python. A reference that does"
    " not match it as a whole, or has something in common with the person, is neither shown nor"
    " recorded: its keyed hash stands for it.",
)
SIGNING_KEY: Final = Option(
    name="signing_key",
    secret=True,
    help="Ed25519 key that signs the record after each run; made by 'audit keygen'.",
)
PUBLIC_KEY_FILE: Final = Option(
    name="public_key_file",
    help="Public keys, a line each, that checkpoints are verified with.",
)
CHECKPOINT_FILE: Final = Option(
    name="checkpoint_file",
    help="Each new checkpoint is appended here; keep it where the database's owner can't write.",
)
PROXY: Final = Option(name="proxy", secret=True, help="HTTP proxy to reach Forge through.")
CA_FILE: Final = Option(name="ca_file", help="CA bundle to trust instead of certifi's.")
CONCURRENCY: Final = Option(
    name="concurrency", default=8, minimum=1, maximum=64, help="HTTP workers."
)
RATE: Final = Option(
    name="rate",
    default=20.0,
    minimum=0,
    maximum=100_000,
    help="Requests a second over all workers of the run; 0 is no limit.",
)
BATCH: Final = Option(
    name="batch", default=100, minimum=1, maximum=10_000, help="Requests claimed at a time."
)
CONNECT_TIMEOUT_S: Final = Option(
    name="connect_timeout_s",
    default=5.0,
    minimum=0.1,
    maximum=600,
    help="To reach Forge, in seconds.",
)
READ_TIMEOUT_S: Final = Option(
    name="read_timeout_s",
    default=15.0,
    minimum=0.1,
    maximum=600,
    help="Between two bytes of an answer, in seconds.",
)
TOTAL_TIMEOUT_S: Final = Option(
    name="total_timeout_s",
    default=30.0,
    minimum=0.1,
    maximum=3600,
    help="For one whole try, whatever drips, in seconds.",
)
TRIES: Final = Option(name="tries", default=4, minimum=1, maximum=20, help="Tries in one attempt.")
MAX_ATTEMPTS: Final = Option(
    name="max_attempts",
    default=30,
    minimum=1,
    maximum=10_000,
    help="Attempts over all nights, then a person looks.",
)
LEASE_S: Final = Option(
    name="lease_s",
    default=120.0,
    minimum=1,
    maximum=86_400,
    help="How long a claim outlives its run, in seconds; more than TOTAL_TIMEOUT_S.",
)
DATABASE_PATIENCE_S: Final = Option(
    name="database_patience_s",
    default=120.0,
    minimum=0,
    maximum=86_400,
    help="How long a run waits for a database that is gone in mid-run, in seconds.",
)
BREAKER: Final = Option(
    name="breaker",
    default=20,
    minimum=1,
    maximum=100_000,
    help="Failed tries in a row, over all workers, that stop the run.",
)
COOL_OFF_DAYS: Final = Option(
    name="cool_off_days",
    default=0,
    minimum=0,
    maximum=365,
    help="Days after receipt in which a request is not touched.",
)
MAX_RUNTIME_S: Final = Option(
    name="max_runtime_s",
    default=10_800.0,
    minimum=1,
    maximum=604_800,
    help="After this, in seconds, the run claims no more and ends.",
)
MAX_DUE: Final = Option(
    name="max_due",
    default=1000,
    minimum=1,
    maximum=1_000_000_000,
    help="More due requests than this and the run refuses to start.",
)
MAX_SHARE: Final = Option(
    name="max_share",
    default=0.0,
    minimum=0,
    maximum=1,
    help="More due requests than this share of Forge's users (0.1 is a tenth) and the run refuses"
    " to start; costs one list call; 0 is no limit.",
)
SPIKE_FACTOR: Final = Option(
    name="spike_factor",
    default=0.0,
    minimum=0,
    maximum=1_000_000,
    help="More due requests than this many times the median of the last 14 runs and the run"
    " refuses to start; 0 is no limit.",
)
CANARY: Final = Option(
    name="canary",
    default=3,
    minimum=0,
    maximum=1000,
    help="So many deletions must succeed, one by one, before the workers start; if as many fail"
    " first, the run stops.",
)
ACTOR: Final = Option(
    name="actor",
    help="Who does what is done, for the record, where --actor does not say it: up to 64 characters"
    " of printable ASCII; else the login, SUDO_USER or the user of the process.",
)
REQUIRE_APPROVAL: Final = Option(
    name="require_approval",
    default=False,
    help="Only what 'requests approve' has approved is deleted; approver and creator differ.",
)
SHARED_LOGIN: Final = Option(
    name="shared_login",
    default=False,
    help="People share one login of PostgreSQL, so that who approves is told from who adds by"
    " --actor alone; else 'requests approve' needs another login.",
)
PLAN_MAX_AGE_H: Final = Option(
    name="plan_max_age_h",
    default=24.0,
    minimum=0,
    maximum=8760,
    help="An older plan is not carried out, in hours.",
)
TIMEZONE: Final = Option(
    name="timezone",
    default="UTC",
    help="The controller's time zone, in which legal days are counted, like Europe/Berlin.",
)
HOLIDAYS: Final = Option(
    name="holidays",
    help="Public holidays, like DE or DE-BY: then a legal date on one, or on a weekend, moves to"
    " the next working day.",
)
MAX_AGE_H: Final = Option(
    name="max_age_h",
    default=26.0,
    minimum=0.1,
    maximum=8760,
    help="For 'status' and 'doctor': the last good run is no older than this, in hours.",
)
VERIFIED_WITHIN_D: Final = Option(
    name="verified_within_d",
    default=8.0,
    minimum=0.1,
    maximum=3660,
    help="For 'status': 'audit verify' has verified all of the record in the last so many days.",
)
RETAIN_IDS_DAYS: Final = Option(
    name="retain_ids_days",
    default=30,
    minimum=0,
    maximum=36_500,
    help="Days after closing for which a request keeps the user id; see 'audit retention'.",
)
RETAIN_REQUESTS_MONTHS: Final = Option(
    name="retain_requests_months",
    default=36,
    minimum=1,
    maximum=1200,
    help="Calendar months after closing for which a request's row is kept; the record stays.",
)
ERASE_LOGS: Final = Option(
    name="erase_logs",
    default=False,
    help="Also delete the user's logs, before the account; else Forge keeps them.",
)
VERIFY: Final = Option(
    name="verify", default=False, help="After a deletion, ask Forge: GET must answer 404."
)
LOG_FORMAT: Final = Option(
    name="log_format",
    default="auto",
    choices=("auto", "json", "console"),
    help="As json, console, or auto: console on a terminal.",
)
LOG_LEVEL: Final = Option(
    name="log_level",
    default="info",
    choices=("debug", "info", "warning", "error"),
    help="From debug, info, warning or error.",
)

_TEMPLATE_WIDTH: Final = 98
_TEMPLATE_HEAD: Final = """\
# /etc/forge-gdpr/environment, mode 0600; written by 'forge-gdpr settings --output env'.
#
# One NAME='value' a line; what begins with #FORGE_GDPR_ is commented out and shows the default.
# Keep the quotation marks: without them a shell acts on & and $ in a URL. systemd removes them as a
# shell does, but docker's --env-file does not: leave them out there. Keep secrets in files of their
# own, and name these here.
"""

OPTIONS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Option))
#: Every environment variable that is read.
NAMES: Final = frozenset(
    name for option in OPTIONS for name in (option.variable, option.file_variable) if name
)


def template() -> str:
    """Return an environment file that explains itself: every setting with its help and default."""
    return "".join([_TEMPLATE_HEAD, *map(_template_of, OPTIONS)])


def shown_value(value: float | str | None) -> str:
    """Return a setting's value as it is written in the environment; empty if there is none."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _template_of(option: Option) -> str:
    limits = f" ({option.range})" if option.range else ""
    lines = wrap(f"{option.help}{limits}", _TEMPLATE_WIDTH - len("# "))
    comment = "".join(f"# {line}\n" for line in lines)
    mark = "" if option.example else "#"
    if option.secret and option.default is None:
        return f"\n{comment}{mark}{option.file_variable}='{option.example or ''}'\n"
    value = shown_value(option.example or option.default)
    return f"\n{comment}{mark}{option.variable}='{value}'\n"

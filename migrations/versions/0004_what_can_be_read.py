"""The database refuses at the door what no run can read: no time, bytes for text, a wild number.

Rows that are there already are left as they are; a run sends them to review. On PostgreSQL a
constraint stays NOT VALID where there are such rows, and it binds only what a run may work on: a
row that can't be read can still be sent to review, and closed. On SQLite a constraint would mean
writing the whole table again, and would fail on such rows; so there are triggers, which see only
what comes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIMES = ("received_at", "not_before", "next_attempt_at")
DATES = ("due_on", "alarm_on")
COUNTS = ("attempts", "fence")
TEXTS = (
    "forge_user_id",
    "email",
    "reference",
    "regime",
    "status",
    "status_reason",
    "subject",
    "created_by",
    "approved_by",
)
#: On SQLite two of the times are brought into this form by triggers that come later.
FORMED = ("received_at", "not_before")
CANONICAL = "____-__-__ __:__:__.______"

END = "10000-01-01 00:00:00+00"
RULES = {
    **{
        name: (
            "is_a_time",
            f"{name} >= timestamptz '0001-01-01 00:00:00+00' AND {name} < timestamptz '{END}'",
        )
        for name in TIMES
    },
    **{
        name: ("is_a_date", f"{name} BETWEEN date '0001-01-01' AND date '9999-12-31'")
        for name in DATES
    },
    **{name: ("is_a_count", f"{name} >= 0") for name in COUNTS},
}

DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
SECOND = f"{DAY} [0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
IS_A_TIME = (
    "typeof({c}) = 'text' AND {c} >= '0001-01-01'"
    f" AND ({{c}} GLOB '{SECOND}' OR {{c}} GLOB '{SECOND}.[0-9]*')"
    " AND datetime(substr({c}, 1, 19), '+0 seconds') = substr({c}, 1, 19)"
)
IS_A_DATE = (
    f"typeof({{c}}) = 'text' AND {{c}} >= '0001-01-01' AND {{c}} GLOB '{DAY}'"
    " AND date({c}, '+0 days') = {c}"
)
IS_A_COUNT = "typeof({c}) = 'integer' AND {c} BETWEEN 0 AND 2147483647"

#: By column: what a new value must be, and the message if it is not. A null is left to NOT NULL.
SQLITE_RULES = {
    **{name: (f"NEW.{name} NOT LIKE '{CANONICAL}' OR ({IS_A_TIME})", "no time") for name in FORMED},
    "next_attempt_at": (IS_A_TIME, "no time"),
    **dict.fromkeys(DATES, (IS_A_DATE, "no date")),
    **dict.fromkeys(COUNTS, (IS_A_COUNT, "no count")),
    **dict.fromkeys(TEXTS, ("typeof({c}) = 'text'", "no text")),
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name, (rule, condition) in RULES.items():
            op.execute(
                f"ALTER TABLE deletion_requests ADD CONSTRAINT ck_deletion_requests_{name}_{rule}"
                f" CHECK (status NOT IN ('pending', 'running') OR ({condition})) NOT VALID"
            )
            # Where all rows keep it, the database can say so.
            op.execute(
                "DO $$ BEGIN ALTER TABLE deletion_requests"
                f" VALIDATE CONSTRAINT ck_deletion_requests_{name}_{rule};"
                " EXCEPTION WHEN check_violation THEN NULL; END $$"
            )
        return
    columns = ", ".join(SQLITE_RULES)
    for event, when in (("INSERT", ""), (f"UPDATE OF {columns}", "NEW.{0} IS NOT OLD.{0} AND ")):
        wrong = {
            name: f"{when.format(name)}NEW.{name} IS NOT NULL"
            f" AND NOT coalesce({rule.format(c=f'NEW.{name}')}, 0)"
            for name, (rule, _what) in SQLITE_RULES.items()
        }
        cases = " ".join(
            f"WHEN {condition} THEN"
            f" RAISE(ABORT, 'deletion_requests.{name} is {SQLITE_RULES[name][1]}')"
            for name, condition in wrong.items()
        )
        op.execute(
            sa.text(
                f"CREATE TRIGGER deletion_requests_refuse_{event.split()[0].lower()}"
                f" BEFORE {event} ON deletion_requests"
                f" WHEN {' OR '.join(f'({condition})' for condition in wrong.values())}"
                f" BEGIN SELECT CASE {cases} END; END".replace(":", r"\:")
            )
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name, (rule, _condition) in RULES.items():
            op.execute(
                f"ALTER TABLE deletion_requests DROP CONSTRAINT ck_deletion_requests_{name}_{rule}"
            )
        return
    for event in ("insert", "update"):
        op.execute(f"DROP TRIGGER deletion_requests_refuse_{event}")

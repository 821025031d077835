"""What stands for a request's reference is decided once, and kept; references are trimmed.

`4711 ` and `4711` are one reference, so white space around one is taken away at the door, where the
column's uniqueness then refuses the second of them. What is there already is trimmed, too, unless
another request has the trimmed one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: What Python calls white space, by code point.
BLANKS = (
    *range(0x09, 0x0E),
    *range(0x1C, 0x21),
    0x85,
    0xA0,
    0x1680,
    *range(0x2000, 0x200B),
    0x2028,
    0x2029,
    0x202F,
    0x205F,
    0x3000,
)
NUMBERS = ", ".join(map(str, BLANKS))
ESCAPES = "".join(rf"\{code:04X}" for code in BLANKS)
TRIMMED = {
    "sqlite": f"nullif(trim({{c}}, char({NUMBERS})), '')",
    "postgresql": f"nullif(btrim({{c}}, U&'{ESCAPES}'), '')",
}


def upgrade() -> None:
    op.add_column("deletion_requests", sa.Column("public_reference", sa.String(255)))
    dialect = op.get_bind().dialect.name
    trimmed = TRIMMED[dialect].format(c="reference")
    of_another = TRIMMED[dialect].format(c="another.reference")
    is_text = "typeof(reference) = 'text' AND " if dialect == "sqlite" else ""
    execute(
        f"UPDATE deletion_requests SET reference = {trimmed}"
        f" WHERE {is_text}reference <> coalesce({trimmed}, '')"
        " AND NOT EXISTS (SELECT 1 FROM deletion_requests AS another"
        f" WHERE {of_another} = {TRIMMED[dialect].format(c='deletion_requests.reference')}"
        " AND another.id <> deletion_requests.id)"
    )
    of_new = TRIMMED[dialect].format(c="NEW.reference")
    is_odd = f"NEW.reference <> coalesce({of_new}, '')"
    if dialect == "postgresql":
        execute(
            "CREATE FUNCTION deletion_requests_trim() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN NEW.reference := {of_new}; RETURN NEW; END $$"
        )
        execute(
            "CREATE TRIGGER deletion_requests_trim BEFORE INSERT OR UPDATE OF reference"
            f" ON deletion_requests FOR EACH ROW WHEN ({is_odd})"
            " EXECUTE FUNCTION deletion_requests_trim()"
        )
        return
    for event in ("INSERT", "UPDATE OF reference"):
        execute(
            f"CREATE TRIGGER deletion_requests_trim_{event.split()[0].lower()}"
            f" AFTER {event} ON deletion_requests WHEN {is_odd}"
            f" BEGIN UPDATE deletion_requests SET reference = {of_new} WHERE id = NEW.id; END"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER deletion_requests_trim ON deletion_requests")
        op.execute("DROP FUNCTION deletion_requests_trim()")
    else:
        for event in ("insert", "update"):
            op.execute(f"DROP TRIGGER deletion_requests_trim_{event}")
    op.drop_column("deletion_requests", "public_reference")


def execute(statement: str) -> None:
    op.execute(sa.text(statement.replace(":", r"\:")))

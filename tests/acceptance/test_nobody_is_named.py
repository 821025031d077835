"""Whatever people's words an application writes into whatever column: nothing shows or keeps them.

Generated rows go through the whole program at the DEBUG level: all that it prints, records and
writes is searched for the people in them.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from world import fetch, insert

from forge_gdpr.checkpoints import signing_key
from forge_gdpr.errors import DatabaseError
from forge_gdpr.sandbox import generated_user

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine
    from world import Program

FIRST: Final = ("Ottoline", "Zebedee", "Wilhelmina", "Þórunn", "Xanthippe")
LAST: Final = ("Quillfeather", "Ypsilanti", "Zwingli", "Müllerová", "O'Shaughnessy")
PHONES: Final = ("+44 20 7946 0958", "0049-89-63648018", "(555) 867-5309")
COLUMNS: Final = (
    "reference",
    "regime",
    "status",
    "status_reason",
    "subject",
    "claimed_by",
    "public_reference",
    "created_by",
    "approved_by",
)
#: How long a text may be, where that is less than the longest of ours.
LENGTHS: Final = {
    "regime": 16,
    "status": 16,
    "status_reason": 64,
    "subject": 80,
    "claimed_by": 36,
    "created_by": 64,
    "approved_by": 64,
}
DEBUG: Final = {
    "FORGE_GDPR_LOG_LEVEL": "debug",
    "FORGE_GDPR_CANARY": "0",
    "FORGE_GDPR_BREAKER": "1000",
    "FORGE_GDPR_SIGNING_KEY": signing_key("example.org/gdpr", bytes(32)).secret_text(),
    "FORGE_GDPR_CHECKPOINT_FILE": "checkpoints.txt",
}


@dataclass(frozen=True)
class Person:
    """Somebody whose words an application may write anywhere."""

    first: str
    last: str
    phone: str
    user_id: str
    email: str

    @property
    def needles(self) -> set[str]:
        """What must be found nowhere, in small letters."""
        words = {self.last, self.phone, self.user_id, self.email, quote(self.email, safe="")}
        return {word.casefold() for word in words}


@st.composite
def people(draw: st.DrawFn) -> Person:
    first, last = draw(st.sampled_from(FIRST)), draw(st.sampled_from(LAST))
    user = generated_user(draw(st.integers(0, 40)))  # Forge has thirty of them
    known = draw(st.booleans())
    email = user.email if known else f"{first}.{last.replace(chr(39), '')}@example.net"
    return Person(
        first=first,
        last=last,
        phone=draw(st.sampled_from(PHONES)),
        user_id=user.id,
        email=email if email.isascii() else f"x{user.id[:9]}@{last[:2]}.example.net".lower(),
    )


def words_of(person: Person) -> st.SearchStrategy[str]:
    """Return what an application may write of a person, in many ways."""
    full = f"{person.first} {person.last}"
    texts = st.sampled_from(
        [
            person.last,
            full,
            f"{person.first}.{person.last}",
            person.phone,
            person.user_id,
            person.email,
            quote(person.email, safe=""),
            f"GDPR delete - {full}, {person.phone}",
            f"{person.last}-{person.phone}",
            f"ticket of {person.email}",
            f"v1:{full}",
            f"T-4711 {person.last}",
            f"{person.user_id}/4711",
        ]
    )
    changes = st.sampled_from([str, str.upper, str.lower, lambda text: f" {text}\t"])
    return st.builds(lambda text, change: change(text), texts, changes)


@st.composite
def rows(draw: st.DrawFn) -> tuple[Person, dict[str, Any]]:
    person = draw(people())
    row: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"forge_user_id": person.user_id},
                {"email": person.email},
                {"forge_user_id": person.user_id, "email": person.email},
                {"forge_user_id": person.email},
                {"email": person.user_id},
                {"email": f"{person.first} <{person.email}>"},
            ]
        )
    )
    for column in draw(st.sets(st.sampled_from(COLUMNS), max_size=4)):
        row[column] = draw(words_of(person))[: LENGTHS.get(column, 255)]
    return person, row


def put(engine: Engine, row: dict[str, Any]) -> None:
    """Insert a row, unless the database refuses it: what it says of it names nobody."""
    try:
        insert(engine, row)
    except DatabaseError as error:
        refused = str(error)
    else:
        return
    assert not [value for value in row.values() if value in refused]


def said(program: Program, *words: str) -> str:
    done = program.here(*words, **DEBUG)
    return f"{done.stdout}{done.stderr}"


def all_that_is_shown(program: Program, engine: Engine, round_: int) -> dict[str, str]:
    """Take the requests through the program; return all that it printed and wrote."""
    (last,) = fetch(engine, "SELECT max(id) FROM deletion_requests")
    shown = {
        " ".join(words): said(program, *words)
        for words in (
            ("requests", "list", "--limit", "0"),
            ("run", "--dry-run", "--check"),
            ("run", "--dry-run", "--plan", f"plan-{round_}.json"),
            ("requests", "hold", str(last), "--reason", "dispute"),
            ("requests", "show", str(last)),
            ("requests", "explain", str(last)),
        )
    }
    night = program("--verbose", "run", **DEBUG)  # a process of its own: its libraries speak, too
    shown["run"] = night.stdout + night.stderr
    assert "bug:" not in shown["run"]
    into = f"evidence-{round_}"
    for words in (
        ("requests", "cancel", str(last), "--reason", "withdrawn", "--yes"),
        ("requests", "list", "--limit", "0", "--output", "json"),
        ("requests", "list", "--limit", "0", "--output", "csv"),
        *(("requests", "show", str(n), "--output", "json") for n in range(1, last + 1, 5)),
        *(("requests", "explain", str(n)) for n in range(1, last + 1, 5)),
        ("report",),
        ("report", "--output", "json"),
        ("report", "--output", "html"),
        ("status",),
        ("doctor",),
        ("audit", "list"),
        ("audit", "list", "--output", "json"),
        ("audit", "verify"),
        ("audit", "certificate", str(last)),
        ("audit", "export", "--from", "2020-01-01", "--to", "2126-12-31", "--into", into),
        ("audit", "retention"),
        ("run",),
    ):
        shown[" ".join(words)] = said(program, *words)
    return shown


def files_of(folder: Path) -> dict[str, str]:
    """Return what the program wrote, but for the database, which holds the open requests."""
    return {
        path.name: path.read_text(errors="replace")
        for path in folder.rglob("*")
        if path.is_file() and ".db" not in path.name
    }


@seed(13)
@settings(
    max_examples=2,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # what it shows is shown as it is: making it smaller takes minutes
    suppress_health_check=list(HealthCheck),
)
@given(inserted=st.lists(rows(), min_size=25, max_size=25))
def test_nobody_is_named_anywhere(
    program: Program,
    engine: Engine,
    tmp_path: Path,
    inserted: list[tuple[Person, dict[str, Any]]],
) -> None:
    for _person, row in inserted:
        put(engine, row)
    needles = {needle for person, _row in inserted for needle in person.needles}
    (round_,) = fetch(engine, "SELECT count(*) FROM runs")
    shown = all_that_is_shown(program, engine, round_)
    shown |= files_of(tmp_path)
    for table in ("audit_events", "deletion_outcomes", "runs"):
        shown[table] = str(fetch(engine, f"SELECT * FROM {table}"))
    found = {
        (place, needle)
        for place, text in shown.items()
        for needle in needles
        if needle in text.casefold()
    }
    assert found == set()
    csv_rows = list(csv.DictReader(StringIO(shown["requests list --limit 0 --output csv"])))
    assert len(csv_rows) == len(json.loads(shown["requests list --limit 0 --output json"]))

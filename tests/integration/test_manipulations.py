"""Somebody who may do anything to the database changes the record: what finds it?

README has the same table. An attacker here takes the triggers away and computes every hash anew;
what they don't have is the signing key, and the checkpoints that were kept elsewhere.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy.exc import DBAPIError
from world import insert, night

from forge_gdpr.audit.checkpoints import newest
from forge_gdpr.audit.events import COLUMNS
from forge_gdpr.audit.verify import Examined, examine
from forge_gdpr.chain import GENESIS, canonical, seal
from forge_gdpr.checkpoints import Checkpoint, checkpoint_in, signing_key
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.database.schema import TRIGGERS
from forge_gdpr.merkle import root_of
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from world import Program

Record = dict[str, list[dict[str, Any]]]

KEY: Final = signing_key("example.org/forge-gdpr", bytes(range(32)))
ATTACKER: Final = signing_key("example.org/forge-gdpr", bytes(32))
README: Final = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def nights(engine: Engine, sandbox: Sandbox) -> Engine:
    """The signed record of three nights, two people each."""
    for number in range(3):
        insert(engine, *({"forge_user_id": generated_user(2 * number + n).id} for n in (0, 1)))
        night(engine, sandbox.url, order={"signing_key": KEY})
    return engine


def record_of(engine: Engine) -> Record:
    with reading(engine) as connection:
        rows = connection.exec_driver_sql("SELECT chain, body FROM audit_events ORDER BY id").all()
    record: Record = {}
    for chain, body in rows:
        record.setdefault(chain, []).append(json.loads(body))
    return record


def runs_of(record: Record) -> list[str]:
    return [body["run_id"] for body in record["main"] if body["event"] == "run.opened"]


def sealed(bodies: list[dict[str, Any]], chain: str) -> list[dict[str, Any]]:
    """Return rows with right numbers, columns and hashes."""
    rows, previous = [], GENESIS
    for seq, body in enumerate(bodies, start=1):
        text = canonical(body | {"chain": chain, "seq": seq})
        row = {name: body.get(name) for name in COLUMNS}
        row |= {"chain": chain, "seq": seq, "body": text, "previous": previous}
        row["at"] = body["at"].replace("T", " ").rstrip("Z")
        previous = row["hash"] = seal(previous, text)
        rows.append(row)
    return rows


def rewritten(record: Record) -> list[dict[str, Any]]:
    """Return all rows anew: `main` says of each run what its chain now is."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for chain, bodies in record.items():
        if chain == "main":
            continue
        ours = runs[chain] = sealed(bodies, chain)
        for body in record["main"]:
            if body["event"] == "run.closed" and body["run_id"] == chain:
                body |= {
                    "length": len(ours),
                    "head": ours[-1]["hash"] if ours else GENESIS,
                    "root": root_of(bytes.fromhex(row["hash"]) for row in ours).hex(),
                }
    rows: list[dict[str, Any]] = []
    for row in sealed(record.get("main", []), "main"):
        rows.append(row)
        if row["event"] == "run.opened":
            rows += runs.pop(row["run_id"], [])
    return rows + [row for left in runs.values() for row in left]


def write(engine: Engine, rows: list[dict[str, Any]]) -> None:
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ALTER TABLE audit_events DISABLE TRIGGER ALL")
        else:
            for name in TRIGGERS["sqlite"]:
                connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        connection.exec_driver_sql("DELETE FROM audit_events")
        names = ", ".join(rows[0]) if rows else ""
        marker = "?" if engine.dialect.name == "sqlite" else "%s"
        for row in rows:
            values = ", ".join(marker for _ in row)
            connection.exec_driver_sql(
                f"INSERT INTO audit_events ({names}) VALUES ({values})", tuple(row.values())
            )


def without_checkpoints(record: Record) -> Record:
    record["main"] = [body for body in record["main"] if body["event"] != "audit.checkpoint"]
    return record


def without_run(record: Record, run_id: str) -> Record:
    record.pop(run_id)
    record["main"] = [body for body in record["main"] if body.get("run_id") != run_id]
    return record


def lied(record: Record, run: int = 0) -> Record:
    for body in record[runs_of(record)[run]]:
        if body.get("outcome") == "erased":
            body["outcome"] = "already_absent"
    return record


def signed_again(record: Record) -> list[dict[str, Any]]:
    """Sign every checkpoint anew, over what the record now is, with a key of one's own."""
    rows = rewritten(record)
    for place, body in enumerate(record["main"]):
        if body["event"] == "audit.checkpoint":
            before = sealed(record["main"][:place], "main")
            checkpoint = Checkpoint(
                origin=KEY.name,
                size=place,
                root=root_of(bytes.fromhex(row["hash"]) for row in before),
                head=before[-1]["hash"],
                at=checkpoint_in(body["note"]).at,
            )
            body["note"] = ATTACKER.signed(checkpoint.text)
            rows = rewritten(record)
    return rows


def edit_first(record: Record) -> list[dict[str, Any]]:
    return rewritten(lied(record))


def strip_signatures(record: Record) -> list[dict[str, Any]]:
    for body in record["main"]:
        if body["event"] == "audit.checkpoint":
            body["note"] = body["note"].split("\n\n")[0] + "\n"
    return rewritten(record)


def replay_old(record: Record) -> list[dict[str, Any]]:
    found = [body for body in record["main"] if body["event"] == "audit.checkpoint"]
    found[-1]["note"] = found[0]["note"]
    return rewritten(record)


def swap_runs(record: Record, run: int = 0) -> list[dict[str, Any]]:
    first, second, *_ = runs_of(record)[run:]
    record[first], record[second] = record[second], record[first]
    return rewritten(record)


def rename_chain(record: Record, run: int = 0) -> list[dict[str, Any]]:
    first = runs_of(record)[run]
    return rewritten({("x" if chain == first else chain): b for chain, b in record.items()})


def insert_event(record: Record, run: int = 0) -> list[dict[str, Any]]:
    chain = record[runs_of(record)[run]]
    chain.insert(2, deepcopy(chain[1]))
    return rewritten(record)


def reorder(record: Record, run: int = 0) -> list[dict[str, Any]]:
    chain = record[runs_of(record)[run]]
    chain[2], chain[3] = chain[3], chain[2]
    return rewritten(record)


def open_twice(record: Record, run: int = 0) -> list[dict[str, Any]]:
    openings = [body for body in record["main"] if body["event"] == "run.opened"]
    record["main"].append(deepcopy(openings[run]))
    return rewritten(record)


def drop_run(record: Record, run: int = 1) -> list[dict[str, Any]]:
    return rewritten(without_run(record, runs_of(record)[run]))


def cut_tail(record: Record) -> list[dict[str, Any]]:
    record = without_run(record, runs_of(record)[-1])
    record["main"].pop()  # its checkpoint
    return rewritten(record)


ALONE, KEYS, ELSEWHERE = "the record alone", "the public key", "an older checkpoint"

#: What is done, by hashes that are right again; what it takes to find it; what is said.
REWRITES: Final[dict[str, tuple[Callable[[Record], list[dict[str, Any]]], str, str]]] = {
    "outcomes changed": (edit_first, ALONE, "it was written anew"),
    "an event inserted": (insert_event, ALONE, "it was written anew"),
    "two events reordered": (reorder, ALONE, "it was written anew"),
    "two runs swapped": (swap_runs, ALONE, "is of another run"),
    "a run's chain renamed": (rename_chain, ALONE, "belongs to no run"),
    "a run opened twice": (lambda record: open_twice(without_checkpoints(record)), ALONE, "again"),
    "a run dropped": (drop_run, ALONE, "it is one over"),
    "signatures stripped": (strip_signatures, ALONE, "it has no signature"),
    "an old checkpoint replayed as the newest": (replay_old, ALONE, "it is one over"),
    "outcomes changed, checkpoints signed by another key": (
        lambda record: signed_again(lied(record)),
        KEYS,
        "no key that is known here has signed it",
    ),
    "outcomes changed, checkpoints taken out": (
        lambda record: rewritten(without_checkpoints(lied(record))),
        ELSEWHERE,
        "its end was cut off",
    ),
    "the last run cut off": (cut_tail, ELSEWHERE, "its end was cut off"),
    "everything deleted": (lambda _record: [], ELSEWHERE, "has only 0 events"),
}


#: The same, done to runs after the newest checkpoint; whether anything finds it. Where the name of
#: a rewrite is not here, it is about checkpoints.
IN_TAIL: Final[dict[str, tuple[Callable[[Record], list[dict[str, Any]]], bool]]] = {
    "outcomes changed": (lambda record: rewritten(lied(record, -1)), False),
    "an event inserted": (lambda record: insert_event(record, -1), False),
    "two events reordered": (lambda record: reorder(record, -1), False),
    "two runs swapped": (lambda record: swap_runs(record, -2), True),
    "a run's chain renamed": (lambda record: rename_chain(record, -1), True),
    "a run opened twice": (lambda record: open_twice(record, -1), True),
    "a run dropped": (lambda record: drop_run(record, -2), False),
    "the last run cut off": (lambda record: drop_run(record, -1), False),
}


def test_a_signed_record_is_whole_and_extends_its_checkpoints(nights: Engine) -> None:
    with reading(nights) as connection:
        note = newest(connection)
        assert note is not None
        found = examine(connection, keys=[KEY.public], against=[note])
    assert (found.broken, found.runs, found.open_runs, found.signed) == ({}, 3, 0, 8)
    assert (found.head.seq, found.signatures_checked) == (9, True)


def test_rewriting_a_record_as_it_is_changes_nothing(nights: Engine) -> None:
    write(nights, rewritten(record_of(nights)))
    with reading(nights) as connection:
        assert examine(connection, keys=[KEY.public]).broken == {}


@pytest.mark.parametrize("name", REWRITES)
def test_each_rewrite_is_found_by_what_the_table_says(nights: Engine, name: str) -> None:
    change, needed, said = REWRITES[name]
    with reading(nights) as connection:
        kept = newest(connection)
    assert kept is not None
    write(nights, change(record_of(nights)))

    def found(**known: Any) -> Examined:
        with reading(nights) as connection:
            return examine(connection, **known)

    by = {
        ALONE: found(),
        KEYS: found(keys=[KEY.public]),
        ELSEWHERE: found(keys=[KEY.public], against=[kept]),
    }
    order = list(by)
    missed = order[: order.index(needed)]
    assert {level: bool(by[level].broken) for level in order} == {
        level: level not in missed for level in order
    }
    assert any(said in problem for problem in by[needed].broken.values()), by[needed].broken


def test_what_is_done_after_the_newest_checkpoint_is_found_or_not_as_the_table_says(
    nights: Engine, sandbox: Sandbox
) -> None:
    for number in range(2):
        insert(nights, *({"forge_user_id": generated_user(10 + 2 * number + n).id} for n in (0, 1)))
        night(nights, sandbox.url)
    whole = record_of(nights)
    with reading(nights) as connection:
        kept = newest(connection)
    assert kept is not None
    for name, (change, is_found) in IN_TAIL.items():
        write(nights, change(deepcopy(whole)))
        with reading(nights) as connection:
            alone = examine(connection).broken
            with_all = examine(connection, keys=[KEY.public], against=[kept]).broken
        assert (bool(alone), bool(with_all)) == (is_found, is_found), name
    assert set(IN_TAIL) < set(REWRITES)


def test_a_checkpoint_of_another_key_or_record_does_not_fit(nights: Engine) -> None:
    with reading(nights) as connection:
        note = newest(connection) or ""
        checkpoint = checkpoint_in(note)
        foreign = ATTACKER.signed(checkpoint.text)
        another = KEY.signed(replace(checkpoint, root=bytes(32)).text)
        (by_another,) = examine(connection, keys=[KEY.public], against=[foreign]).broken.values()
        assert "no key that is known here has signed it" in by_another
        assert examine(connection, against=[foreign]).broken == {}
        (anew,) = examine(connection, keys=[KEY.public], against=[another]).broken.values()
        assert "it was written anew" in anew
        assert examine(connection, against=["no checkpoint"]).broken


def manipulations_table() -> str:
    head = ("done to the record, all hashes made right again", "found by `audit verify` with")
    lines = [f"| {' | '.join(head)} | done after the newest checkpoint |", "| --- | --- | --- |"]
    for name, (_, needed, _) in REWRITES.items():
        after = "is about checkpoints"
        if name in IN_TAIL:
            after = "found with the record alone" if IN_TAIL[name][1] else "**not found**"
        lines.append(f"| {name} | {needed} | {after} |")
    return "\n".join(lines) + "\n"


def test_readme_has_the_table() -> None:
    found = re.search("<!-- manipulations -->\n(.*?)<!-- /", README.read_text(), re.DOTALL)
    assert found is not None
    assert found[1] == manipulations_table()


#: By column: values by which its owner may replace what it holds, as SQL; a null is tried as well.
OTHERS: Final = {
    "id": ("id + 1000", "-id"),
    "chain": ("''", "'main'", "'nobody'", "chain || ' '"),
    "seq": ("seq + 1000", "-seq", "0"),
    "at": ("'2020-01-01 00:00:00.000000'",),
    "event": ("'request.held'", "upper(event)", "''"),
    "run_id": ("'nobody'", "''", "upper(run_id)"),
    "request_id": ("request_id + 7", "-1"),
    "subject": ("'v1:00:00'", "''", "subject || ' '"),
    "actor": ("'me'", "''", "actor || ' '"),
    "outcome": ("'accepted'", "''"),
    "attempt": ("attempt + 1", "0"),
    "http_status": ("404", "0"),
    "body": ("'{}'", "body || ' '", "replace(body, ':', ': ')", "''"),
    "previous": ("hash", "upper(previous)", "''"),
    "hash": ("previous", "upper(hash)", "''"),
}
#: What only one database can hold.
ONLY: Final = {
    "sqlite": {
        "at": ("substr(at, 1, 19)", "replace(at, ' ', 'T')", "at || 'Z'", "7", "x'00'"),
        "recorded_at": ("at",),
        "recorded_by": ("'me'",),
        **dict.fromkeys(
            ("chain", "event", "subject", "actor", "outcome", "body", "hash"),
            ("x'ff'", "cast(x'ff' AS text)"),
        ),
        "seq": ("'x'", "x'00'", "seq + 0.5"),
        "request_id": ("'x'", "request_id + 0.5"),
    },
    "postgresql": {
        "at": ("'infinity'", "'-infinity'", "'0044-03-15 BC'", "'20000-01-01'"),
        "recorded_at": ("'infinity'", "'-infinity'", "NULL"),
        "recorded_by": ("NULL", "''"),
    },
}
#: On PostgreSQL these are its own word, which no hash covers: README says so.
OWN_WORDS: Final = ("recorded_at", "recorded_by")


def disarm(engine: Engine) -> None:
    """Take away what keeps the owner of the table from changing it."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ALTER TABLE audit_events DISABLE TRIGGER ALL")
            for name in ("chain", "seq", "at", "event", "body", "previous", "hash"):
                connection.exec_driver_sql(
                    f"ALTER TABLE audit_events ALTER COLUMN {name} DROP NOT NULL"
                )
            for name in ("chain_seq", "chain_previous"):
                connection.exec_driver_sql(
                    f"ALTER TABLE audit_events DROP CONSTRAINT uq_audit_events_{name}"
                )
            return
        connection.exec_driver_sql("CREATE TABLE copied AS SELECT * FROM audit_events")
        connection.exec_driver_sql("DROP TABLE audit_events")
        columns = connection.exec_driver_sql("SELECT name FROM pragma_table_info('copied')")
        kinds = {"id": "INTEGER PRIMARY KEY", "at": "DATETIME", "recorded_at": "DATETIME"}
        kinds |= dict.fromkeys(("seq", "request_id", "attempt", "http_status"), "INTEGER")
        names = [f"{name} {kinds.get(name, 'TEXT')}" for name in columns.scalars()]
        connection.exec_driver_sql(f"CREATE TABLE audit_events ({', '.join(names)})")
        connection.exec_driver_sql("INSERT INTO audit_events SELECT * FROM copied")


def changes(dialect: str, ids: list[int]) -> dict[str, list[str]]:
    """Return every change of the catalogue, by name, each as statements over a few rows."""
    catalogue: dict[str, list[str]] = {}
    for row_id in ids:
        only = ONLY[dialect]
        for name in {**OTHERS, **only}:
            values = (*OTHERS.get(name, ()), *only.get(name, ()))
            for value in values if name in {"id", *OWN_WORDS} else (*values, "NULL"):
                catalogue[f"{name} of {row_id} := {value}"] = [
                    f"UPDATE audit_events SET {name} = {value} WHERE id = {row_id}"
                ]
        catalogue[f"{row_id} deleted"] = [f"DELETE FROM audit_events WHERE id = {row_id}"]
        columns = ", ".join(name for name in OTHERS if name != "id")
        for chain in ("chain", "''", "'nobody'"):
            row_values = columns.replace("chain", chain)
            copied = f"SELECT 5000, {row_values} FROM audit_events WHERE id = {row_id}"
            catalogue[f"{row_id} doubled in {chain}"] = [
                f"INSERT INTO audit_events (id, {columns}) {copied}"
            ]
    for first, second in pairwise(ids):
        catalogue[f"ids of {first} and {second} swapped"] = [
            f"UPDATE audit_events SET id = {new} WHERE id = {old}"
            for old, new in ((first, 7000), (second, first), (7000, second))
        ]
        for name in OTHERS:
            if name != "id":
                other = f"SELECT {name} FROM audit_events WHERE id ="
                catalogue[f"{name} of {first} := that of {second}"] = [
                    f"UPDATE audit_events SET {name} = ({other} {second}) WHERE id = {first}"
                ]
    return catalogue


def test_every_change_of_every_column_is_found(nights: Engine) -> None:
    disarm(nights)
    everything = "SELECT * FROM audit_events ORDER BY id"
    with writing(nights) as connection:
        before = connection.exec_driver_sql(everything).all()
        missed, tried = [], 0
        ids = [row.id for row in before[:8]]
        for name, statements in changes(nights.dialect.name, ids).items():
            undo = connection.begin_nested()
            for statement in statements:
                connection.exec_driver_sql(statement)
            try:
                is_same = connection.exec_driver_sql(everything).all() == before
            except DBAPIError:  # it can't even be read
                is_same = False
            tried += not is_same
            if not is_same and not examine(connection).broken:
                missed.append(name)
            undo.rollback()
        assert examine(connection).broken == {}
    assert missed == []
    assert tried > 500


UNREADABLE: Final = {
    "sqlite": (
        "at = 'never'",
        "at = x'00'",
        "body = x'ff'",
        "body = cast(x'ff' AS text)",
        "body = '{'",
        "body = '[]'",
        r"""body = '{"a":"\ud800"}'""",
        "subject = x'ff'",
    ),
    "postgresql": (
        "at = 'infinity'",
        "at = '0044-03-15 BC'",
        "body = '{'",
        "body = '[]'",
        r"""body = '{"a":"\ud800"}'""",
    ),
}
#: They read every event, so none of these is lost on them.
READING: Final = ("audit verify", "status", "report", "report --output csv")
#: What they fail on is told as what it is; what they do not read is not their business.
PASSING_BY: Final = (
    "run",
    "run --dry-run",
    "requests list",
    "requests show 1",
    "requests explain 1",
    "audit list",
    "audit list --output json",
    "audit export --from 2026-01-01 --to 2026-12-31 --into {folder}",
    "audit certificate 1",
    f"audit prove --user-id {generated_user(0).id}",
    "audit replay-check",
    "audit checkpoint",
)


def test_what_can_not_be_read_is_exit_code_6(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": generated_user(0).id})
    program.here("audit", "keygen", "key")
    signing = {"FORGE_GDPR_SIGNING_KEY_FILE": "key"}
    assert program.here("run", **signing).returncode == 0
    disarm(engine)
    told = dict.fromkeys(PASSING_BY, 0)
    with engine.connect() as connection:
        for number, change in enumerate(UNREADABLE[engine.dialect.name]):
            for words in (*READING, *PASSING_BY):
                with connection.begin():
                    connection.exec_driver_sql("CREATE TABLE kept AS SELECT * FROM audit_events")
                    connection.exec_driver_sql(f"UPDATE audit_events SET {change}")
                done = program.here(*words.format(folder=f"e{number}").split(), **signing)
                assert "Traceback" not in done.stderr, (change, words)
                allowed = {6} if words in READING else {0, 6}
                assert done.returncode in allowed, (change, words, done.stderr)
                if done.returncode == 6 and words != "status":
                    errors = [line for line in done.stderr.splitlines() if line[:6] == "error:"]
                    assert len(errors) == 1, (change, words)
                    assert done.stdout == "", (change, words)
                told[words] = told.get(words, 0) + (done.returncode == 6)
                with connection.begin():
                    connection.exec_driver_sql("DELETE FROM audit_events")
                    own = "OVERRIDING SYSTEM VALUE" if engine.dialect.name == "postgresql" else ""
                    back = f"INSERT INTO audit_events {own} SELECT * FROM kept"
                    connection.exec_driver_sql(back)
                    connection.exec_driver_sql("DROP TABLE kept")
    for words in ("run", "requests show 1", "audit export --from 2026-01-01", "audit prove"):
        assert any(count for name, count in told.items() if name.startswith(words)), words
    assert program.here("audit", "verify").returncode == 0


def test_a_failure_that_is_not_the_records_stays_what_it_is(
    program: Program, engine: Engine
) -> None:
    """A record that is whole is not blamed, nor is one that can't be asked."""
    assert program.here("run").returncode == 0
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE runs")
    assert program.here("run").returncode == 4
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP VIEW deletion_outcomes")
        connection.exec_driver_sql("DROP TABLE audit_events")
    assert program.here("report").returncode == 4

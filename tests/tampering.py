"""What somebody who may do anything to the database does to the record."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr.audit.events import COLUMNS
from forge_gdpr.chain import GENESIS, canonical, seal
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.database.schema import TRIGGERS
from forge_gdpr.merkle import root_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Record = dict[str, list[dict[str, Any]]]


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
            if body.get("event") == "run.closed" and body.get("run_id") == chain:
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
        insert_all(connection, rows)


def insert_all(connection: Connection, rows: list[dict[str, Any]]) -> None:
    names = ", ".join(rows[0]) if rows else ""
    marker = "?" if connection.dialect.name == "sqlite" else "%s"
    for row in rows:
        values = ", ".join(marker for _ in row)
        connection.exec_driver_sql(
            f"INSERT INTO audit_events ({names}) VALUES ({values})", tuple(row.values())
        )


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

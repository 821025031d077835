"""Somebody who may do anything to the database changes the record: what finds it?

README has the same table. An attacker here takes the triggers away and computes every hash anew;
what they don't have is the signing key, and the checkpoints that were kept elsewhere.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy.exc import DBAPIError
from tampering import (
    Record,
    changes,
    disarm,
    insert_all,
    record_of,
    rewritten,
    runs_of,
    sealed,
    write,
)
from world import insert, night

from forge_gdpr.audit.checkpoints import newest
from forge_gdpr.audit.verify import Examined, examine
from forge_gdpr.checkpoints import Checkpoint, checkpoint_in, signing_key
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.merkle import root_of
from forge_gdpr.sandbox import Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine
    from world import Program

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


def without_checkpoints(record: Record) -> Record:
    record["main"] = [body for body in record["main"] if body.get("event") != "audit.checkpoint"]
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


#: An event's place is made right again whatever it says, and its time has one form.
OF_ITS_PLACE: Final = frozenset({"chain", "seq", "at"})
#: What no signature covers in a record that ends with its checkpoint: what is said of the event
#: that holds it, and that it is there. README says so; the next checkpoint covers it.
NOT_SIGNED: Final = frozenset(
    {
        "a word added",
        "actor := other",
        "actor gone",
        "at := other",
        "event := other",
        "event gone",
        "gone",
    }
)


def other(value: object) -> object:
    """Return another value of the same kind."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return f"{value[:-1]}{'y' if value.endswith('x') else 'x'}"
        case _:
            return {"x": 1}


def edits(record: Record) -> dict[tuple[str, int, str], Record]:
    """Return every change of every word of every event, and events gone or doubled, by name."""
    catalogue: dict[tuple[str, int, str], Record] = {}
    for chain, bodies in record.items():
        for place, body in enumerate(bodies):
            changed: dict[str, list[dict[str, Any]]] = {
                "a word added": [body | {"zzz": 1}],
                "at := other": [body | {"at": "2020-01-01T00:00:00.000000Z"}],
                "gone": [],
                "doubled": [body, body],
            }
            for name in body.keys() - OF_ITS_PLACE:
                rest = {key: value for key, value in body.items() if key != name}
                changed[f"{name} := other"] = [rest | {name: other(body[name])}]
                changed[f"{name} gone"] = [rest]
            for what, instead in changed.items():
                copy = deepcopy(bodies[:place] + instead + bodies[place + 1 :])
                catalogue[chain, place, what] = {**deepcopy(record), chain: copy}
    return catalogue


def test_every_change_with_all_hashes_made_right_is_found_by_a_checkpoint(
    engine: Engine, sandbox: Sandbox
) -> None:
    """With the one in the record; and where all of these are taken out, too, with an older one."""
    for number in range(2):
        insert(engine, {"forge_user_id": generated_user(number).id})
        night(engine, sandbox.url, order={"signing_key": KEY})
    record = record_of(engine)
    with reading(engine) as connection:
        kept = str(newest(connection))
    disarm(engine)
    last = len(record["main"]) - 1
    found_by_none, without_older, tried = [], 0, 0

    def problems(connection: Connection, changed: Record, **known: Any) -> object:
        undo = connection.begin_nested()
        try:
            connection.exec_driver_sql("DELETE FROM audit_events")
            insert_all(connection, rewritten(changed))
            return examine(connection, keys=[KEY.public], **known).broken
        finally:
            undo.rollback()

    with writing(engine) as connection:
        assert problems(connection, deepcopy(record), against=[kept]) == {}
        as_it_is = rewritten(deepcopy(record))
        for (chain, place, what), changed in edits(record).items():
            if rewritten(deepcopy(changed)) == as_it_is:
                continue  # to make the hashes right was to take the change back
            tried += 2
            if not problems(connection, deepcopy(changed)):
                found_by_none.append((chain, place, what))
            stripped = without_checkpoints(changed)
            without_older += not problems(connection, deepcopy(stripped))
            assert problems(connection, stripped, against=[kept]), (chain, place, what)
    assert {(chain, place) for chain, place, _ in found_by_none} == {("main", last)}
    assert {what for _, _, what in found_by_none} == NOT_SIGNED
    assert without_older > 100  # what README's table names: nothing else finds these
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

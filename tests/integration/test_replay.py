"""Who was erased and is at Forge again, on both databases, against the real sandbox."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from dateutil.relativedelta import relativedelta
from world import KEY, SUBJECT_KEY, client, fetch, insert, night

from forge_gdpr.audit.events import Entry, EventName
from forge_gdpr.audit.record import append_main
from forge_gdpr.database.engine import now, reading, writing
from forge_gdpr.desk.finding import of_person
from forge_gdpr.desk.forgetting import forget
from forge_gdpr.desk.proving import known_of
from forge_gdpr.desk.replay import Enqueued, enqueue, presence
from forge_gdpr.desk.returns import Match, Presence, Return
from forge_gdpr.errors import ForgeUnavailableError
from forge_gdpr.identifiers import FORGE_ID
from forge_gdpr.identity import IdRules
from forge_gdpr.pseudonyms import Keyring, Kind, SubjectKey
from forge_gdpr.retention import Periods
from forge_gdpr.sandbox import Sandbox, User, generated_user

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Engine

ADA, BEN, CLEO = (generated_user(number) for number in range(3))
NEW_KEY: Final = SubjectKey(b"n" * 32)
STATUSES: Final = "SELECT status FROM deletion_requests ORDER BY id"


def check(
    engine: Engine, sandbox: Sandbox, *keys: SubjectKey, listed_at: datetime | None = None
) -> Presence:
    with client(sandbox.url) as forge:
        users = forge.list_users()
    with reading(engine) as connection:
        return presence(
            connection,
            users,
            keys=keys or (SUBJECT_KEY,),
            listed_at=listed_at or now(connection) + relativedelta(hours=1),
        )


def back(engine: Engine, sandbox: Sandbox, *keys: SubjectKey) -> list[tuple[int, str, str, int]]:
    return [
        (one.closing.request_id, one.closing.outcome, one.match, one.times)
        for one in check(engine, sandbox, *keys).returns()
    ]


def ask(engine: Engine, returns: Sequence[Return]) -> Enqueued:
    with writing(engine) as connection:
        return enqueue(
            connection, returns, keys=[SUBJECT_KEY], pattern=re.compile(FORGE_ID), actor="kim"
        )


def replay(engine: Engine, sandbox: Sandbox) -> Enqueued:
    returns = check(engine, sandbox).returns()
    return ask(engine, [one for one in returns if one.match is Match.USER_ID])


def test_nobody_is_back_while_nothing_was_restored(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": "0" * 24}, {"email": "no@body"})
    night(engine, sandbox.url)
    assert back(engine, sandbox) == []


def test_a_restored_user_is_found_by_id_however_the_request_named_them(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id},
        {"email": BEN.email},
        {"forge_user_id": CLEO.id, "email": CLEO.email},
    )
    night(engine, sandbox.url)
    for user in (ADA, BEN, CLEO):
        sandbox.add(user)
    assert back(engine, sandbox) == [
        (1, "erased", "user_id", 1),
        (2, "erased", "user_id", 1),
        (3, "erased", "user_id", 1),
    ]


def test_who_signs_up_anew_is_found_by_address_only(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"email": BEN.email}, {"email": "late@example.org"})
    night(engine, sandbox.url, order={"ids": IdRules(sentinel=generated_user(29).id)})
    sandbox.add(User(id="a" * 24, name="Ben", email=BEN.email))
    sandbox.add(User(id="b" * 24, name="Late", email="late@EXAMPLE.org"))
    assert back(engine, sandbox) == [
        (1, "erased", "email", 1),
        (2, "not_found_by_email", "email", 1),
    ]


def test_a_user_without_an_address_is_found_by_id(engine: Engine, sandbox: Sandbox) -> None:
    silent = User(id="c" * 24, name="Silent", email="")
    sandbox.add(silent)
    insert(engine, {"forge_user_id": silent.id})
    night(engine, sandbox.url)
    assert back(engine, sandbox) == []
    sandbox.add(silent)
    assert back(engine, sandbox) == [(1, "erased", "user_id", 1)]


def test_two_closings_for_one_user_are_one_line(engine: Engine, sandbox: Sandbox) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"email": BEN.email})
    night(engine, sandbox.url)
    insert(engine, {"forge_user_id": ADA.id, "reference": "T-3"})
    night(engine, sandbox.url)
    sandbox.add(ADA)
    assert back(engine, sandbox) == [(3, "already_absent", "user_id", 2)]


def test_each_restore_makes_a_request_of_its_own_and_a_repeat_none(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": ADA.id, "regime": "ccpa"})
    night(engine, sandbox.url)
    sandbox.add(ADA)
    assert replay(engine, sandbox) == Enqueued(new=1, open=0)
    assert replay(engine, sandbox) == Enqueued(new=0, open=1)
    assert night(engine, sandbox.url).outcomes == {"erased": 1}
    assert back(engine, sandbox) == []
    sandbox.add(ADA)
    assert back(engine, sandbox) == [(2, "erased", "user_id", 2)]
    assert replay(engine, sandbox) == Enqueued(new=1, open=0)
    rows = fetch(
        engine, "SELECT reference, regime, created_by, email FROM deletion_requests ORDER BY id"
    )
    assert rows[0] == (None, "ccpa", None, None)
    for number, row in enumerate(rows[1:], start=1):
        assert re.fullmatch(rf"replay-{number}-\d{{8}}T\d{{6}}Z", row[0])
        assert row[1:] == ("ccpa", "kim", None)


@pytest.mark.parametrize(
    "open_one",
    [
        pytest.param({"forge_user_id": ADA.id, "status": "held"}, id="by its id"),
        pytest.param(
            {"email": ADA.email, "subject": SUBJECT_KEY.subject(Kind.USER_ID, ADA.id)},
            id="by its pseudonym",
        ),
    ],
)
def test_whom_an_open_request_asks_for_is_not_asked_for_again(
    engine: Engine, sandbox: Sandbox, open_one: dict[str, object]
) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"forge_user_id": BEN.id})
    night(engine, sandbox.url)
    insert(engine, open_one)
    sandbox.add(ADA)
    sandbox.add(BEN)
    assert replay(engine, sandbox) == Enqueued(new=1, open=1)
    assert len(fetch(engine, STATUSES)) == 4


def test_an_unknown_regime_becomes_the_one_with_the_earliest_date(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": ADA.id, "regime": "lgpd"})
    night(engine, sandbox.url)
    sandbox.add(ADA)
    assert replay(engine, sandbox) == Enqueued(new=1, open=0)
    assert fetch(engine, "SELECT regime FROM deletion_requests ORDER BY id") == ["lgpd", "gdpr"]


def test_who_can_not_be_asked_for_stops_all(engine: Engine, sandbox: Sandbox) -> None:
    """An id of Forge's that does not look like one makes no list, so nobody can be asked for."""
    odd = User(id="4711", name="Odd", email="odd@example.org")
    sandbox.add(odd)
    entry = Entry(
        event=EventName.REQUEST_CLOSED,
        request_id=7,
        subject=SUBJECT_KEY.subject(Kind.USER_ID, odd.id),
        outcome="erased",
        details={"regime": "gdpr"},
    )
    with writing(engine) as connection:
        append_main(connection, [entry], at=now(connection))
    with pytest.raises(ForgeUnavailableError, match="1 of its entries have no usable _id"):
        replay(engine, sandbox)
    assert fetch(engine, STATUSES) == []


def test_who_was_erased_while_forge_was_asked_is_not_called_back(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    with reading(engine) as connection:
        listed_at = now(connection)
    night(engine, sandbox.url)
    sandbox.add(ADA)  # as the list had them
    found = check(engine, sandbox, listed_at=listed_at)
    assert (found.closings, found.returns()) == (0, [])


def test_a_cancelled_request_promises_nothing(engine: Engine, sandbox: Sandbox) -> None:
    entry = Entry(
        event=EventName.REQUEST_CANCELLED,
        request_id=1,
        subject=SUBJECT_KEY.subject(Kind.USER_ID, ADA.id),
        details={"regime": "gdpr"},
    )
    with writing(engine) as connection:
        append_main(connection, [entry], at=now(connection))
    assert check(engine, sandbox).closings == 0


def test_who_was_forgotten_by_retention_is_found_all_the_same(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": ADA.id, "email": ADA.email, "reference": "T-1"})
    night(engine, sandbox.url)
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE deletion_requests SET closed_at = '2001-01-01 00:00:00'")
    periods = Periods(ids_days=30, requests_months=36)
    with reading(engine) as connection:
        cutoffs = periods.cutoffs(now(connection))
    forget(engine, cutoffs, periods=periods, actor="kim")
    assert fetch(engine, STATUSES) == []
    sandbox.add(ADA)
    assert back(engine, sandbox) == [(1, "erased", "user_id", 1)]
    assert replay(engine, sandbox) == Enqueued(new=1, open=0)
    assert night(engine, sandbox.url).outcomes == {"erased": 1}


def test_a_closing_under_another_key_is_counted_and_found_when_the_key_is_live(
    engine: Engine, sandbox: Sandbox
) -> None:
    insert(engine, {"forge_user_id": ADA.id})
    night(engine, sandbox.url)
    insert(engine, {"forge_user_id": BEN.id})
    night(engine, sandbox.url, order={"subject_key": NEW_KEY})
    sandbox.add(ADA)
    sandbox.add(BEN)
    found = check(engine, sandbox, NEW_KEY)
    assert ([r.closing.request_id for r in found.returns()], found.unreadable) == ([2], 1)
    assert back(engine, sandbox, NEW_KEY, SUBJECT_KEY) == [
        (1, "erased", "user_id", 1),
        (2, "erased", "user_id", 1),
    ]


def test_ten_thousand_closings_are_held_against_ten_thousand_users(engine: Engine) -> None:
    """Each once: compared pairwise, this alone would take minutes."""
    count = 10_000
    users = [generated_user(number) for number in range(count)]
    entries = [
        Entry(
            event=EventName.REQUEST_CLOSED,
            request_id=number,
            subject=SUBJECT_KEY.subject(Kind.USER_ID, user.id if number % 2 else f"gone{number}"),
            outcome="erased",
            details={"regime": "gdpr", "also": [SUBJECT_KEY.subject(Kind.EMAIL, f"{number}@x")]},
        )
        for number, user in enumerate(users, start=1)
    ]
    with writing(engine) as connection:
        append_main(connection, entries, at=now(connection))
    with Sandbox(users=count, key=KEY) as full:
        found = check(engine, full)
        returns = found.returns()
        assert (found.users, found.closings, len(returns)) == (count, count, count // 2)
        assert {one.match for one in returns} == {Match.USER_ID}
        assert ask(engine, returns) == Enqueued(new=count // 2, open=0)
        assert ask(engine, returns) == Enqueued(new=0, open=count // 2)


@pytest.mark.parametrize(
    ("recorded", "named"),
    [
        pytest.param((Kind.USER_ID, ADA.id.upper()), {"user_id": ADA.id}, id="an id in upper case"),
        pytest.param((Kind.USER_ID, ADA.id), {"user_id": ADA.id.upper()}, id="now in upper case"),
        pytest.param(
            (Kind.EMAIL, "Ada@b\u00fccher.example"),
            {"email": "Ada@xn--bcher-kva.example"},
            id="an IDN as people write it",
        ),
        pytest.param(
            (Kind.EMAIL, "Ada@b\u00fccher.example"),
            {"email": " Ada@B\u00dcCHER.example"},
            id="the same in capitals",
        ),
        pytest.param(
            (Kind.EMAIL, "Ada@xn--bcher-kva.example"),
            {"email": "Ada@b\u00fccher.example"},
            id="an IDN as hosts write it",
        ),
        pytest.param((Kind.EMAIL, "banana"), {"email": "banana"}, id="what is no address"),
    ],
)
def test_what_was_recorded_before_ids_and_addresses_had_one_form_is_found(
    engine: Engine, recorded: tuple[Kind, str], named: dict[str, str]
) -> None:
    subject = SUBJECT_KEY.subject(*recorded)
    entry = Entry(
        event=EventName.REQUEST_CLOSED,
        request_id=7,
        subject=subject,
        outcome="erased",
        details={"regime": "gdpr"},
    )
    keys = Keyring((SUBJECT_KEY,))
    person = {"user_id": None, "email": None} | named
    with writing(engine) as connection:
        append_main(connection, [entry], at=now(connection))
    with reading(engine) as connection:
        assert of_person(connection, keys, **person) == [7]
        (found,) = known_of(connection, keys, **person).found
    assert (found.request_id, found.answer) == (7, "erased")


def test_a_request_in_the_queue_is_found_by_its_id_in_any_case(engine: Engine) -> None:
    mixed = ADA.id[:-1].lower() + "B"
    ids = insert(engine, {"forge_user_id": mixed}, {"forge_user_id": "Bob"})
    keys = Keyring((SUBJECT_KEY,))
    with reading(engine) as connection:
        assert of_person(connection, keys, user_id=mixed.lower(), email=None) == ids[:1]
        assert of_person(connection, keys, user_id="Bob", email=None) == ids[1:]
        assert of_person(connection, keys, user_id="bob", email=None) == []


def test_who_is_asked_for_in_another_case_is_not_asked_for_again(
    engine: Engine, sandbox: Sandbox
) -> None:
    user = User(id="61ab8f99251cba00144373ab", name="Eve", email="eve@example.org")
    sandbox.add(user)
    entry = Entry(
        event=EventName.REQUEST_CLOSED,
        request_id=7,
        subject=SUBJECT_KEY.subject(Kind.USER_ID, user.id.upper()),
        outcome="erased",
        details={"regime": "gdpr"},
    )
    with writing(engine) as connection:
        append_main(connection, [entry], at=now(connection))
    insert(engine, {"forge_user_id": user.id.upper()})
    assert replay(engine, sandbox) == Enqueued(new=0, open=1)

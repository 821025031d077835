"""Whatever Forge does: what is called done is gone, and nobody else is.

Nights are made up: what Forge answers, which routes vanish, which account the key reaches, who is
created, moved or removed meanwhile, where a run dies. What is true is read from the sandbox's own
log, not from the program.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, Phase, example, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, make_url
from trouble import expire
from world import KEY, fetch, insert, night

from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import engine_of, reading, writing
from forge_gdpr.desk.explanations import REVIEWS
from forge_gdpr.forge.erasure import Steps
from forge_gdpr.identity import IdRules
from forge_gdpr.run.nightly import Stop
from forge_gdpr.run.opening import Limits
from forge_gdpr.sandbox import (
    Encoding,
    Fault,
    FaultKind,
    Hint,
    Sandbox,
    User,
    generated_user,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Engine

    from forge_gdpr.sandbox import Seen

OTHER_KEY: Final = "key-of-another-account"
AT_FIRST: Final = 6  #: so many people are at Forge when the first night begins
PEOPLE: Final = [generated_user(number) for number in range(AT_FIRST + 2)]
PEOPLE_BY_ID: Final = {person.id: number for number, person in enumerate(PEOPLE)}
SENTINEL: Final = User(id="5e" * 12, name="Sentinel", email="sentinel@example.org")


# What is made up.


@dataclass(frozen=True)
class Row:
    """A request; numbers are of people."""

    user: int | None = None
    email: int | None = None
    held: bool = False
    capitals: bool = False  #: the id, and the domain
    shouted: bool = False  #: the part before the @, too: that is another address, nearly
    junk: str | None = None  #: in place of the id

    @property
    def user_id(self) -> str | None:
        """What the application writes as id."""
        if self.junk is not None or self.user is None:
            return self.junk
        user_id = PEOPLE[self.user].id
        return user_id.upper() if self.capitals else user_id

    @property
    def address(self) -> str | None:
        """What it writes as e-mail."""
        if self.email is None:
            return None
        local, _, domain = PEOPLE[self.email].email.partition("@")
        local = local.upper() if self.shouted else local
        return f"  {local}@{domain.upper()}" if self.capitals else f"{local}@{domain}"

    @property
    def columns(self) -> dict[str, object]:
        """The row as it is inserted."""
        row: dict[str, object] = {"status": "held" if self.held else "pending"}
        if self.user_id is not None:
            row["forge_user_id"] = self.user_id
        if self.address is not None:
            row["email"] = self.address
        return row

    def is_bound_by(self, other: Row) -> bool:
        """Say whether a hold on the other is one on this person."""
        ids = (self.user_id or "").lower(), (other.user_id or "").lower()
        emails = nearly(self.address), nearly(other.address)
        return (ids[0] == ids[1] != "") or (emails[0] == emails[1] != "")


class What(StrEnum):
    """What happens at Forge while a run is at work."""

    CREATE = "create"  #: the person is there, with id and address
    REMOVE = "remove"  #: somebody else has deleted the person
    MOVE = "move"  #: to an address that nobody had
    TAKE = "take"  #: the other's address is the person's now
    TWIN = "twin"  #: the person has come again, under another id
    CLEAR = "clear"  #: nothing goes wrong any more
    VANISH = "vanish"  #: a gateway has forgotten its routes


@dataclass(frozen=True)
class Change:
    """Something that happens after so many calls of a night."""

    after: int
    what: What
    who: int = 0
    other: int = 1


@dataclass(frozen=True)
class Night:
    """How one night is."""

    faults: tuple[Fault, ...] = ()
    changes: tuple[Change, ...] = ()
    dies_after: int | None = None
    stops_after: int | None = None
    is_other_account: bool = False
    has_sentinel: bool = True
    verify: bool = False
    erase_logs: bool = False
    canary: int = 0
    concurrency: int = 4
    batch: int = 100
    list_ignores: frozenset[str] = frozenset()


STATUSES: Final = (201, 202, 204, 206, 301, 400, 401, 403, 404, 404, 410, 418, 429, 500, 503, 522)
BODIES: Final = (
    None,
    "default backend - 404",
    "<html>Not found</html>",
    "{}",
    "null",
    '{"error": "not allowed"}',
    '{"data": null}',
    '{"success": "true"}',
    '{"statusCode": 500}',
)
PLACES: Final = (
    ("DELETE", "user"),
    ("DELETE", "user"),
    ("DELETE", None),
    ("DELETE", "logs"),
    ("GET", "user"),
    ("GET", "users"),
    (None, "user"),
    (None, None),
)
KINDS: Final = (
    FaultKind.HTML,
    FaultKind.WRONG_JSON,
    FaultKind.NOT_SUCCESS,
    FaultKind.EMPTY,
    FaultKind.GARBAGE,
    FaultKind.REDIRECT,
    FaultKind.RESET_BEFORE,
    FaultKind.ANSWER_LOST,
    FaultKind.TRUNCATED,
)
#: No page that looks like a whole list: nobody can tell.
HINTS: Final = [hint for hint in Hint if hint not in {Hint.NONE, Hint.COUNT}]

people = st.integers(0, len(PEOPLE) - 1)
often = st.sampled_from([None, None, 1, 2, 5])


@st.composite
def faults(draw: Callable[..., Any]) -> Fault:
    """One thing that goes wrong."""
    method, path = draw(st.sampled_from(PLACES))
    fault: dict[str, Any] = {
        "method": method,
        "path": path,
        "skip": draw(st.integers(0, 6)),
        "count": draw(often),
    }
    if path == "user" and draw(st.booleans()):
        fault["user_id"] = PEOPLE[draw(people)].id
    match draw(st.integers(0, 5)):
        case 0 | 1:
            fault |= {
                "kind": FaultKind.STATUS,
                "status": draw(st.sampled_from((*STATUSES, 200))),
                "body": draw(st.sampled_from(BODIES)),
            }
        case 2:
            fault |= {
                "kind": FaultKind.STATUS_AFTER,
                "status": draw(st.sampled_from([404, 500, 502, 503])),
            }
        case 3 if method != "GET" and path != "users":
            fault |= {"kind": FaultKind.LIE, "method": "DELETE", "path": path or "user"}
        case 3 if path == "users":
            fault |= {"kind": FaultKind.PAGE, "page_size": 3, "hint": draw(st.sampled_from(HINTS))}
        case 4 if path == "users":
            fault["kind"] = FaultKind.ODD_ENTRIES
            fault["entries"] = draw(st.sampled_from(ODD_ENTRIES))
        case 4:
            fault |= {"kind": FaultKind.ENCODED, "encoding": draw(st.sampled_from(Encoding))}
        case _:
            fault["kind"] = draw(st.sampled_from(KINDS))
    return Fault(**fault)


ODD_ENTRIES: Final[Sequence[tuple[object, ...]]] = (
    ({"_id": "ab" * 12, "fullName": None, "email": "odd@example.org"},),
    ({"_id": "ab" * 12, "fullName": "Odd", "email": None},),
    ({"_id": 61, "email": "odd@example.org"},),
    ({"_id": PEOPLE[0].id, "email": "odd@example.org"},),
    ("nobody",),
)

rows = st.one_of(
    st.builds(Row, user=people, capitals=st.booleans(), held=st.sampled_from([False] * 5 + [True])),
    st.builds(
        Row,
        email=people,
        capitals=st.booleans(),
        shouted=st.sampled_from([False] * 3 + [True]),
        held=st.sampled_from([False] * 5 + [True]),
    ),
    people.map(lambda person: Row(email=person)),
    people.map(lambda person: Row(user=person, email=person)),
    st.builds(Row, user=people, email=people, shouted=st.booleans()),
    st.sampled_from(["undefined", "42", "a/b", "6.15E+23"]).map(lambda junk: Row(junk=junk)),
)


def fault(kind: FaultKind, method: str | None, path: str | None, **fields: Any) -> Fault:
    """A fault that lasts."""
    given: dict[str, Any] = {"kind": kind, "method": method, "path": path, "count": None}
    return Fault(**given | fields)


def refused(method: str | None, path: str | None, status: int = 404, **fields: Any) -> Fault:
    """An answer that says no."""
    return fault(FaultKind.STATUS, method, path, status=status, **fields)


soon = st.sampled_from([0, 0, 1, 3])
vanished = st.builds(
    refused,
    st.sampled_from(["DELETE", "DELETE", None]),
    st.sampled_from(["user", None]),
    st.sampled_from([404, 404, 410]),
    skip=soon,
    body=st.sampled_from(BODIES),
)
paged = st.builds(
    fault,
    st.just(FaultKind.PAGE),
    st.just("GET"),
    st.just("users"),
    page_size=st.integers(0, 4),
    hint=st.sampled_from(HINTS),
    skip=st.sampled_from([0, 0, 1]),
)
unlisted = st.one_of(
    st.sampled_from([404, 503]).map(lambda status: refused("GET", "users", status)),
    paged,
    st.builds(
        fault,
        st.just(FaultKind.ODD_ENTRIES),
        st.just("GET"),
        st.just("users"),
        entries=st.sampled_from(ODD_ENTRIES),
        extra=st.sampled_from([{}, {}, {"took_ms": 3}]),
    ),
)
denied = st.builds(
    refused,
    st.just("DELETE"),
    st.sampled_from(["user", "user", "logs"]),
    st.sampled_from([200, 200, 200, 202, 403]),
    skip=soon,
    body=st.sampled_from(BODIES[3:]),
)
lied = st.builds(
    fault,
    st.just(FaultKind.LIE),
    st.just("DELETE"),
    st.just("user"),
    user_id=st.one_of(st.none(), people.map(lambda person: PEOPLE[person].id)),
    skip=soon,
)
logless = st.sampled_from([404, 200, 500, 403]).map(lambda s: refused("DELETE", "logs", s))
#: What goes wrong in a night, together.
TROUBLES: Final = (
    vanished.map(lambda one: (one,)),
    unlisted.map(lambda one: (one,)),
    paged.map(lambda one: (one,)),
    st.tuples(unlisted, vanished),
    denied.map(lambda one: (one,)),
    lied.map(lambda one: (one,)),
    logless.map(lambda one: (one,)),
    st.lists(faults(), min_size=1, max_size=3).map(tuple),
)
#: What others do meanwhile; the first call of a night may be for the list.
meanwhile = st.builds(
    Change, after=st.integers(0, 4), what=st.sampled_from(What), who=people, other=people
)
later = st.builds(
    Change, after=st.integers(0, 20), what=st.sampled_from(What), who=people, other=people
)
nights = st.builds(
    Night,
    faults=st.one_of(*TROUBLES),
    changes=st.lists(st.one_of(meanwhile, later), max_size=3).map(tuple),
    dies_after=st.sampled_from([None, None, None, None, 2, 4, 9]),
    stops_after=st.sampled_from([None, None, None, None, None, 3]),
    is_other_account=st.sampled_from([False] * 3 + [True]),
    has_sentinel=st.booleans(),
    verify=st.booleans(),
    erase_logs=st.sampled_from([False, False, True]),
    canary=st.sampled_from([0, 1, 3]),
    concurrency=st.sampled_from([1, 4]),
    batch=st.sampled_from([2, 100]),
    list_ignores=st.sampled_from([frozenset(), frozenset({"took_ms"})]),
)


# What is true.


def canonical(address: str | None) -> str | None:
    """The form in which two addresses of our people are equal."""
    if address is None:
        return None
    local, _, domain = address.strip().partition("@")
    return f"{local}@{domain.lower()}"


def nearly(address: str | None) -> str:
    """The form in which two addresses of our people are nearly equal."""
    return (address or "").strip().lower()


@dataclass(frozen=True)
class Called:
    """One call, and who was at Forge just before it: in the account that is ours."""

    seen: Seen
    there: Mapping[str, str]  #: addresses by id

    @property
    def is_list(self) -> bool:
        return self.seen.method == "GET" and self.seen.target.endswith("/user")

    @property
    def is_of_logs(self) -> bool:
        return self.seen.method == "DELETE" and self.seen.target.endswith("/logs")

    @property
    def is_deletion(self) -> bool:
        return self.seen.method == "DELETE" and not self.is_of_logs

    @property
    def is_documented_success(self) -> bool:
        """Whether Forge answered that it has deleted somebody, as documented."""
        if not self.is_deletion:
            return False
        if self.seen.fault is FaultKind.STATUS:
            return self.seen.status == 204
        return self.seen.status == 200 and (self.seen.changed or self.seen.fault is FaultKind.LIE)


class Forge:
    """The sandbox, and what happened there, in order."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._simulator = sandbox._simulator
        self._snapshots: list[tuple[int, dict[str, str]]] = []
        self._fresh = 0
        with self._simulator._lock:
            self._remember()

    @property
    def calls(self) -> int:
        return len(self.sandbox.seen)

    def apply(self, change: Change) -> None:
        """Let something happen, and remember when."""
        match change.what:
            case What.CLEAR:
                self.sandbox.clear()
            case What.VANISH:
                self.sandbox.clear()
                self.sandbox.script(
                    Fault(kind=FaultKind.STATUS, status=404, count=None, body="no backend")
                )
            case _:
                with self._simulator._lock:
                    self._change(change)
                    self._remember()

    def _change(self, change: Change) -> None:
        users = self._simulator._api.accounts.main
        person, other = PEOPLE[change.who], PEOPLE[change.other]
        here = users.find(person.id)
        self._fresh += 1
        fresh = f"fresh.{self._fresh}@example.org"
        holders = {user.email: user for user in users.all()}
        match change.what:
            case What.CREATE if here is None:
                if (holder := holders.get(person.email)) is not None:
                    users.change(holder, name=holder.name, email=fresh)
                users.add(person)
            case What.REMOVE if here is not None:
                users.remove(here)
            case What.MOVE if here is not None:
                users.change(here, name=here.name, email=fresh)
            case What.TAKE if here is not None:
                holder = holders.get(other.email)
                if holder is not None and holder.id != here.id:
                    users.change(holder, name=holder.name, email=fresh)
                here = users.find(person.id) or here
                users.change(here, name=here.name, email=other.email)
            case What.TWIN if holders.get(person.email, here) == here:
                if here is not None:
                    users.remove(here)
                users.add(User(id=secrets.token_hex(12), name="Twin", email=person.email))

    def _remember(self) -> None:
        users = self._simulator._api.accounts.main.all()
        there = {user.id: user.email for user in users}
        self._snapshots.append((len(self._simulator._log.all()), there))

    def history(self) -> list[Called]:
        """Every call so far, and who was there."""
        snapshots, there = dict(self._snapshots), dict(self._snapshots[0][1])
        calls = []
        for number, seen in enumerate(self.sandbox.seen):
            there = dict(snapshots.get(number, there))
            calls.append(Called(seen, dict(there)))
            if seen.changed and seen.method == "DELETE":
                there.pop(str(seen.user_id), None)
        return calls


@dataclass(frozen=True)
class Closing:
    """A request that was closed in a night."""

    row: Row
    user_id: str
    outcome: str
    absence: Mapping[str, Any]


def closings(engine: Engine, rows: Sequence[Row], ids: Sequence[int], run: int) -> list[Closing]:
    """Return what the ``run``-th night has closed."""
    runs = fetch(engine, "SELECT run_id FROM audit_events WHERE event = 'run.opened' ORDER BY id")
    if run >= len(runs):
        return []
    found = fetch(
        engine,
        "SELECT a.body, r.id, r.forge_user_id FROM audit_events a JOIN deletion_requests r"
        f" ON r.id = a.request_id WHERE a.event = 'request.closed' AND a.run_id = '{runs[run]}'",
    )
    return [
        Closing(
            rows[ids.index(request_id)],
            (user_id or "").lower(),
            json.loads(body)["outcome"],
            json.loads(body).get("absence") or {},
        )
        for body, request_id, user_id in found
    ]


def is_true(closing: Closing, calls: Sequence[Called], *, plan: Night, rows: Sequence[Row]) -> bool:
    """Say whether Forge's own word agrees with a closing.

    Args:
        closing: of a request.
        calls: of the night that closed it.
        plan: how that night was.
        rows: all requests.
    """
    user_id, address = closing.user_id, nearly(closing.row.address)
    if closing.outcome == "erased":
        return _is_erased(user_id, calls, plan)
    if plan.is_other_account:
        return False  # nothing can show that that account is ours
    if closing.outcome == "not_found_by_email":
        lists = [c for c in calls if c.is_list and c.seen.status in {200, None}]
        free = [c for c in lists if address not in map(nearly, c.there.values())]
        return len(free) > 1  # when it was looked up, and when it was looked again
    about = [number for number, c in enumerate(calls) if c.seen.user_id == user_id]
    deletions = [n for n in about if calls[n].seen.method == "DELETE" or plan.verify]
    # Of two requests for one user nobody can tell which of them a call was made for.
    person = PEOPLE_BY_ID.get(user_id, -1)
    namesakes = [row for row in rows if person in {row.user, row.email}]
    last = max(deletions or about, default=-1) if len(namesakes) < 2 else min(about, default=-1)
    if closing.absence.get("gone") == "get":
        return _is_between_sentinels(user_id, calls)
    later = [c for c in calls[last + 1 :] if c.is_list]
    return any(
        user_id not in c.there and (not address or address not in map(nearly, c.there.values()))
        for c in later
    )


def _is_erased(user_id: str, calls: Sequence[Called], plan: Night) -> bool:
    """Say whether Forge answered so, whatever was asked for before and afterwards, too."""
    mine = [c for c in calls if c.seen.user_id == user_id]
    erased = [number for number, c in enumerate(mine) if c.is_documented_success]
    logs = [c.seen for c in mine[: erased[-1]] if c.is_of_logs] if erased else []
    looks = [c.seen for c in mine[erased[-1] :] if c.seen.method == "GET"] if erased else []
    return (
        bool(erased)
        and (not plan.erase_logs or any(_says_success(seen) for seen in logs))
        and not (plan.verify and any(s.status == 200 and s.fault is None for s in looks))
    )


def _says_success(seen: Seen) -> bool:
    """Say whether an answer about logs is a documented one, as far as the log of calls shows."""
    if seen.fault is FaultKind.STATUS:
        return seen.status == 204
    return seen.status == 200


def _is_between_sentinels(user_id: str, calls: Sequence[Called]) -> bool:
    """Say whether Forge answered 404 about a user between two good answers for the sentinel."""
    gets = [c.seen for c in calls if c.seen.method == "GET"]
    good = [n for n, seen in enumerate(gets) if seen.user_id == SENTINEL.id and seen.status == 200]
    return bool(good) and any(
        seen.user_id == user_id and seen.status in {404, 410} for seen in gets[good[0] : good[-1]]
    )


def was_asked_for(number: int, calls: Sequence[Called], rows: Sequence[Row]) -> bool:
    """Say whether a request asks for the user whom call ``number`` has deleted."""
    user_id = str(calls[number].seen.user_id)
    for row in rows:
        if row.held:
            continue
        if row.user_id is None:
            gets = [
                c
                for c in calls[:number]
                if c.seen.method == "GET" and c.seen.user_id == user_id and not c.is_list
            ]
            if gets and canonical(gets[-1].there.get(user_id)) == canonical(row.address):
                return True
        elif row.user_id.lower() == user_id:
            lists = [c for c in calls[:number] if c.is_list]
            if row.address is None or any(
                canonical(c.there.get(user_id)) == canonical(row.address)
                or nearly(row.address) not in map(nearly, c.there.values())
                for c in lists
            ):
                return True
    return False


# The property.


@dataclass
class Story:
    """Requests, and nights at Forge."""

    engine: Engine
    forge: Forge
    rows: Sequence[Row]
    ids: Sequence[int]
    runs: int = 0

    def tell(self, plan: Night) -> None:
        """Carry out a night and judge what it did."""
        start = self.forge.calls
        sandbox = self.forge.sandbox
        sandbox.clear()
        sandbox.script(*(f for f in plan.faults if not (plan.is_other_account and _claims(f))))
        for change in plan.changes:
            if change.after == 0:
                self.forge.apply(change)
        pending = sorted((c for c in plan.changes if c.after), key=lambda c: c.after)
        stop = Stop()

        def progress(_done: int, _due: int) -> None:
            calls = self.forge.calls - start
            while pending and pending[0].after <= calls:
                self.forge.apply(pending.pop(0))
            if plan.dies_after is not None and calls >= plan.dies_after:
                raise KeyboardInterrupt
            if plan.stops_after is not None and calls >= plan.stops_after:
                stop.signal = 15

        try:
            night(
                self.engine,
                sandbox.url,
                limits=Limits(max_due=1000, cool_off_days=0, canary=plan.canary),
                steps=Steps(erase_logs=plan.erase_logs, verify=plan.verify),
                stop=stop,
                progress=progress,
                order={
                    "ids": IdRules(sentinel=SENTINEL.id if plan.has_sentinel else None),
                    "concurrency": plan.concurrency,
                    "batch": plan.batch,
                },
                api_key=OTHER_KEY if plan.is_other_account else KEY,
                list_ignores=plan.list_ignores,
                read_timeout_s=2.0,
            )
        except KeyboardInterrupt:
            expire(self.engine)
        self._judge(self.forge.history()[start:], plan)
        self.runs += 1
        with writing(self.engine) as connection:
            connection.exec_driver_sql("UPDATE deletion_requests SET next_attempt_at = NULL")

    def _judge(self, calls: Sequence[Called], plan: Night) -> None:
        for closing in closings(self.engine, self.rows, self.ids, self.runs):
            assert is_true(closing, calls, plan=plan, rows=self.rows), (
                closing,
                [c.seen for c in calls],
            )
        held = [row for row in self.rows if row.held]
        for number, call in enumerate(calls):
            if call.is_deletion and call.seen.changed:
                assert was_asked_for(number, calls, self.rows), (call, self.rows)
                bound = {(row.user_id or "").lower() for row in held}
                assert call.seen.user_id not in bound, (call, self.rows)
        with reading(self.engine) as connection:
            verify(connection)

    def end(self) -> None:
        """See that nothing is left that no later night would do, or no person would see."""
        stands = fetch(
            self.engine, "SELECT status, status_reason FROM deletion_requests ORDER BY id"
        )
        held = [row for row in self.rows if row.held]
        for row, (status, reason) in zip(self.rows, stands, strict=True):
            match status:
                case "held":
                    assert row.held
                case "review":
                    assert reason in REVIEWS, reason
                case "pending":  # after a night without any fault
                    by_email = row.user_id is None and any(other.user_id for other in held)
                    assert by_email or any(map(row.is_bound_by, held)), (row, reason)
                case _:
                    assert status == "done"
        with reading(self.engine) as connection:
            assert verify(connection).open_runs == 0


def _claims(fault: Fault) -> bool:
    """Say whether a fault says of somebody that they are gone, as documented."""
    return fault.kind is FaultKind.LIE or fault.status == 204


def tell(engine: Engine, rows: Sequence[Row], plans: Sequence[Night]) -> None:
    """Tell a story, and a last night in which all goes well."""
    with Sandbox(users=AT_FIRST, key=KEY, accounts={OTHER_KEY: 3}) as sandbox:
        sandbox.add(SENTINEL)
        ids = insert(engine, *(row.columns for row in rows))
        story = Story(engine, Forge(sandbox), rows, ids)
        for plan in (*plans, Night()):
            story.tell(plan)
        story.end()


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], AbstractContextManager[Engine]]:
    """Makes migrated databases, one an example."""
    if request.param == "sqlite":
        template = request.getfixturevalue("migrated_sqlite")
        folder = tmp_path_factory.mktemp("truth")

        @contextmanager
        def copy() -> Iterator[Engine]:
            path = folder / f"{secrets.token_hex(6)}.db"
            with sqlite3.connect(template) as source, sqlite3.connect(path) as target:
                source.backup(target)
            source.close()
            target.close()
            engine = engine_of(f"sqlite:///{path}")
            try:
                yield engine
            finally:
                engine.dispose()
                for file in folder.iterdir():
                    file.unlink()

        return copy
    server = make_url(request.getfixturevalue("postgresql"))

    @contextmanager
    def create() -> Iterator[Engine]:
        name = f"truth_{secrets.token_hex(6)}"
        admin = create_engine(server, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(
                f"CREATE DATABASE {name} TEMPLATE template_migrated STRATEGY file_copy"
            )
            engine = engine_of(server.set(database=name).render_as_string())
            try:
                yield engine
            finally:
                engine.dispose()
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()

    return create


def alone(*faults: Fault, **fields: Any) -> list[Night]:
    """A story of one night in which calls are made one by one."""
    return [Night(faults=faults, concurrency=1, **fields)]


#: Stories that chance tells too seldom.
someone_comes_again = example(
    rows=[Row(email=0), Row(user=1, email=1)],
    plans=alone(changes=(Change(1, What.TWIN, who=0), Change(1, What.TWIN, who=1))),
)
all_routes_vanish = example(
    rows=[Row(user=number) for number in range(5)],
    plans=alone(refused(None, None, skip=2), has_sentinel=False),
)
the_sentinel_vanishes = example(
    rows=[Row(user=0)],
    plans=alone(
        refused("GET", "users", 503), refused("DELETE", "user"), refused("GET", "user", skip=1)
    ),
)
a_look_fails = example(
    rows=[Row(user=0), Row(user=1)],
    plans=alone(
        refused("GET", "users", 503),
        refused("DELETE", "user"),
        refused("GET", "user", 500, user_id=PEOPLE[0].id),
    ),
)
only_accepted = example(rows=[Row(user=0)], plans=alone(refused("DELETE", "user", 202)))
STORIES: Final = given(
    rows=st.lists(rows, min_size=6, max_size=9), plans=st.lists(nights, min_size=2, max_size=2)
)
AT_LEISURE: Final = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
    phases=[Phase.explicit, Phase.generate],  # a story is short enough, and shrinking takes an hour
)


@STORIES
@someone_comes_again
@all_routes_vanish
@the_sentinel_vanishes
@a_look_fails
@only_accepted
@settings(AT_LEISURE, max_examples=40, derandomize=True)
def test_what_is_done_is_gone_and_nobody_else(
    fresh: Callable[[], AbstractContextManager[Engine]],
    rows: list[Row],
    plans: list[Night],
) -> None:
    with fresh() as engine:
        tell(engine, rows, plans)


@pytest.mark.soak
@STORIES
@someone_comes_again
@all_routes_vanish
@the_sentinel_vanishes
@a_look_fails
@only_accepted
@settings(AT_LEISURE, max_examples=4000)
def test_what_is_done_is_gone_and_nobody_else_for_long(
    fresh: Callable[[], AbstractContextManager[Engine]],
    rows: list[Row],
    plans: list[Night],
) -> None:
    note(f"{len(rows)} requests, {len(plans)} nights")
    with fresh() as engine:
        tell(engine, rows, plans)

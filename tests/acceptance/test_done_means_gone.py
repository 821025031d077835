"""No request is called done unless Forge's own later word agrees: case by case, as cron sees it."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from world import KEY, Program, fetch, insert, night

from forge_gdpr.audit.verify import verify
from forge_gdpr.database.engine import reading
from forge_gdpr.forge.erasure import Steps
from forge_gdpr.identity import IdRules
from forge_gdpr.run.opening import Limits
from forge_gdpr.sandbox import Fault, FaultKind, Hint, Paging, Placement, Sandbox, User
from forge_gdpr.sandbox import generated_user as user

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

OTHER_KEY: Final = "key-of-the-test-account"
USERS: Final = [user(number) for number in range(260)]
ADA, BEN, CLEO, DAN = USERS[:4]
GHOST: Final = "61ab8f99251cba0014437326"
#: A user of the account that is never deleted.
SENTINEL: Final = user(29).id
WATCHED: Final = {"FORGE_GDPR_SENTINEL_USER_ID": SENTINEL}
BY_DOMAIN: Final = "default backend - 404"
#: What is decided before any database is asked needs only one of them.
ON_ONE_DATABASE: Final = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass(frozen=True)
class House:
    """The program, its database, and Forge."""

    program: Program
    engine: Engine
    forge: Sandbox

    def __call__(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Type a command."""
        return self.program.here(*words, **{"FORGE_GDPR_BASE_URL": self.forge.url} | variables)

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Carry out a night, and see that the record is whole."""
        done = self("run", *words, **variables)
        with reading(self.engine) as connection:
            assert verify(connection).open_runs == 0
        return done

    @property
    def rows(self) -> list[tuple[str, str | None, int, int]]:
        """How many requests there are of each status, reason and number of attempts."""
        rows = fetch(
            self.engine,
            "SELECT status, status_reason, attempts, count(*) FROM deletion_requests"
            " GROUP BY status, status_reason, attempts",
        )
        return sorted(rows, key=str)  # the databases don't agree on where NULL belongs

    @property
    def closed(self) -> dict[str, int]:
        """How many requests were closed with each outcome."""
        return dict(
            fetch(self.engine, "SELECT outcome, count(*) FROM deletion_outcomes GROUP BY outcome")
        )

    @property
    def is_there(self) -> Callable[[User], bool]:
        """Says whether a user is still at Forge."""
        ids = {each.id for each in self.forge.users}
        return lambda person: person.id in ids

    def put_off_no_longer(self) -> None:
        """Let everybody who waits for another night be due."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE deletion_requests SET next_attempt_at = NULL WHERE status = 'pending'"
            )


@pytest.fixture
def house(program: Program, engine: Engine, sandbox: Sandbox) -> House:
    """Forge has thirty users."""
    return House(program, engine, sandbox)


@pytest.fixture
def large(program: Program, engine: Engine) -> Iterator[House]:
    """Forge has 250 users."""
    with Sandbox(users=250, key=KEY, accounts={OTHER_KEY: 5}) as forge:
        yield House(program, engine, forge)


def by_id(people: Sequence[User]) -> list[dict[str, object]]:
    return [{"forge_user_id": person.id} for person in people]


def answer(status: int, **changes: Any) -> Fault:
    given: dict[str, Any] = {"kind": FaultKind.STATUS, "status": status, "count": None}
    return Fault(**given | changes)


def deleted(forge: Sandbox) -> list[str | None]:
    """Return whose account Forge was told to delete, in order."""
    return [s.user_id for s in forge.seen if s.method == "DELETE"]


# 1. Only the documented answer erases.

POLITE_DENIALS: Final = {
    "an error": '{"error": "not allowed"}',
    "an empty object": "{}",
    "a list": "[]",
    "null": "null",
    "false": "false",
    "true": "true",
    "a number": "0",
    "a text": '"Unauthorized"',
    "a message": '{"message": "User not found"}',
    "ok": '{"ok": false}',
    "a status inside": '{"statusCode": 500}',
    "success as text": '{"success": "true"}',
    "success as number": '{"success": 1}',
    "success twice": '{"success": true, "success": false}',
    "success in a list": '[{"success": true}]',
    "the logs' answer": '{"message": "Success"}',
    "HTML": "<html>Sign in</html>",
    "nothing": "",
}


@ON_ONE_DATABASE
@pytest.mark.parametrize("body", POLITE_DENIALS.values(), ids=POLITE_DENIALS.keys())
def test_a_polite_denial_erases_nobody(house: House, body: str) -> None:
    insert(house.engine, *by_id([ADA]))
    house.forge.script(answer(200, method="DELETE", body=body))
    assert house.run().returncode == 10
    assert house.rows == [("review", "unexpected", 1, 1)]
    assert (house.closed, house.is_there(ADA)) == ({}, True)


@ON_ONE_DATABASE
@pytest.mark.parametrize("status", [201, 203, 205, 206, 226])
def test_another_success_than_200_and_204_erases_nobody(house: House, status: int) -> None:
    insert(house.engine, *by_id([ADA]))
    house.forge.script(answer(status, method="DELETE", body='{"success": true}'))
    assert house.run().returncode == 10
    assert (house.rows, house.closed) == ([("review", "unexpected", 1, 1)], {})


LOGS: Final = {
    "204": (answer(204, method="DELETE", path="logs"), True),
    "success": (answer(200, method="DELETE", path="logs", body='{"success": true}'), True),
    "the later versions' word": (
        answer(200, method="DELETE", path="logs", body='{"message": "Success"}'),
        True,
    ),
    **{
        f"200 with {name}": (answer(200, method="DELETE", path="logs", body=body), False)
        for name, body in {
            "another message": '{"message": "Not allowed"}',
            "more than the message": '{"message": "Success", "failed": 3}',
            "the message in small letters": '{"message": "success"}',
            "an error": '{"error": "not allowed"}',
            "nothing": "",
        }.items()
    },
}


@ON_ONE_DATABASE
@pytest.mark.parametrize(("fault", "goes_on"), LOGS.values(), ids=LOGS.keys())
def test_logs_are_erased_only_by_a_documented_answer(
    house: House, fault: Fault, goes_on: bool
) -> None:
    insert(house.engine, *by_id([ADA]))
    house.forge.script(fault)
    done = house.run(FORGE_GDPR_ERASE_LOGS="true")
    review = [("review", "logs_not_erased", 1, 1)]
    assert (done.returncode, house.rows) == (
        (0, [("done", None, 1, 1)]) if goes_on else (10, review)
    )
    assert house.is_there(ADA) is not goes_on


# 2. Absence is a conclusion, drawn afterwards.

AFTER_FOUR: Final = {"skip": 4, "body": BY_DOMAIN}
HTML_HEAD: Final = (("Content-Type", "text/html"),)


@dataclass(frozen=True)
class Vanished:
    """A gateway that forgets its route after four calls, and what becomes of the other eight."""

    fault: Fault
    code: int
    rest: tuple[str, str | None, int, int]
    variables: tuple[tuple[str, str], ...] = ()
    erased: int = 4


STILL_PRESENT: Final = ("review", "still_present", 1, 8)
GIVEN_BACK: Final = ("pending", "absence_not_shown", 0, 8)
VERIFIED: Final = (("FORGE_GDPR_VERIFY", "true"),)
VANISHED: Final = {
    "all paths": Vanished(answer(404, **AFTER_FOUR), 5, GIVEN_BACK),
    "all paths, with VERIFY": Vanished(
        answer(404, **AFTER_FOUR | {"skip": 6}),
        5,
        ("pending", "absence_not_shown", 0, 9),
        VERIFIED,
        erased=3,
    ),
    "all paths, with a sentinel": Vanished(
        answer(404, **AFTER_FOUR), 5, GIVEN_BACK, tuple(WATCHED.items())
    ),
    "only DELETE": Vanished(answer(404, method="DELETE", **AFTER_FOUR), 10, STILL_PRESENT),
    "only DELETE, with VERIFY": Vanished(
        answer(404, method="DELETE", **AFTER_FOUR), 10, STILL_PRESENT, VERIFIED
    ),
    "only DELETE, in HTML": Vanished(
        answer(404, method="DELETE", skip=4, body="<html>Not found</html>", headers=HTML_HEAD),
        10,
        STILL_PRESENT,
    ),
    "only DELETE, in Forge's own words": Vanished(
        answer(404, method="DELETE", skip=4, body='{"message": "User not found"}'),
        10,
        STILL_PRESENT,
    ),
    "only DELETE, as 410": Vanished(answer(410, method="DELETE", skip=4), 10, STILL_PRESENT),
}


@pytest.mark.parametrize("case", VANISHED.values(), ids=VANISHED.keys())
def test_a_404_to_people_who_are_there_closes_nobody(house: House, case: Vanished) -> None:
    insert(house.engine, *by_id(USERS[:12]))
    house.forge.script(case.fault)
    done = house.run(**dict(case.variables))
    assert done.returncode == case.code
    assert house.rows == [("done", None, 1, case.erased), case.rest]
    assert house.closed == {"erased": case.erased}
    assert sum(map(house.is_there, USERS[:12])) == 12 - case.erased


def test_a_404_to_people_who_are_there_closes_nobody_in_a_process(house: House) -> None:
    insert(house.engine, *by_id(USERS[:12]))
    house.forge.script(answer(404, **AFTER_FOUR))
    done = house.program("run", FORGE_GDPR_LOG_LEVEL="error")
    assert done.returncode == 5
    assert (house.rows, house.closed) == ([("done", None, 1, 4), GIVEN_BACK], {"erased": 4})
    [line] = done.stderr.splitlines()
    assert "FORGE_GDPR_BASE_URL" in line
    assert len(house.forge.seen) == 13  # a call each, and one look


def test_a_list_read_before_the_404s_proves_nothing(house: House) -> None:
    """This very run's list names them; then only DELETE answers 404."""
    insert(house.engine, *({"email": person.email} for person in USERS[:8]), *by_id(USERS[8:12]))
    house.forge.script(answer(404, method="DELETE", body=BY_DOMAIN))
    assert house.run(FORGE_GDPR_CANARY="0").returncode == 10
    assert (house.rows, house.closed) == ([("review", "still_present", 1, 12)], {})


def test_one_by_one_a_route_that_vanishes_shows_no_absence(house: House) -> None:
    """Without a list there is the sentinel; when it is not there either, the path is gone."""
    insert(house.engine, *by_id(USERS[:4]))
    house.forge.script(answer(404, path="user"), answer(503, path="users"))
    done = house.run(FORGE_GDPR_TRIES="1", **WATCHED)
    assert (done.returncode, house.closed) == (5, {})
    assert {status for status, *_ in house.rows} == {"pending"}


def test_one_by_one_beside_the_sentinel_absence_can_be_shown(house: House) -> None:
    insert(house.engine, {"forge_user_id": GHOST}, *by_id([ADA, BEN]))
    house.forge.script(answer(503, path="users"), answer(404, method="DELETE", user_id=ADA.id))
    done = house.run(FORGE_GDPR_TRIES="1", **WATCHED)
    assert done.returncode == 10
    assert house.closed == {"already_absent": 1, "erased": 1}
    assert house.rows == [("done", None, 1, 2), ("review", "still_present", 1, 1)]


def test_the_closing_says_by_what_absence_was_shown(house: House) -> None:
    insert(house.engine, {"forge_user_id": GHOST})
    assert house.run(**WATCHED).returncode == 0
    [body] = fetch(house.engine, "SELECT body FROM audit_events WHERE event = 'request.closed'")
    shown = {"paths": "list", "gone": "list", "account": "sentinel"}
    assert json.loads(body)["absence"] == shown
    assert "the sentinel user" in house("requests", "explain", "1").stdout


# 3. The account is ours.


@pytest.mark.parametrize("users", [0, 5])
def test_another_accounts_key_closes_nobody(program: Program, engine: Engine, users: int) -> None:
    with Sandbox(users=100, key=KEY, accounts={OTHER_KEY: users}) as forge:
        house = House(program, engine, forge)
        insert(engine, *by_id(USERS[:100]))
        variables = {"FORGE_GDPR_BASE_URL": forge.url, "FORGE_GDPR_API_KEY": OTHER_KEY}
        done = program("run", FORGE_GDPR_LOG_LEVEL="error", **variables)
        assert done.returncode == 8
        noted = [("pending", "absence_not_shown", 0, 3), ("pending", None, 0, 97)]
        assert (house.rows, house.closed) == (noted, {})
        assert (len(forge.users), len(forge.seen)) == (100, 4)
        [line] = done.stderr.splitlines()
        assert f"0 of 100 due requests by user id are among the {users} users" in line
        [key] = re.findall(r"\(key ([0-9a-f]{8})\)", line)
        assert "FORGE_GDPR_SENTINEL_USER_ID" in line
        assert "--expect-absent" in line
        assert OTHER_KEY not in done.stdout + done.stderr
        # The same is said beforehand.
        house.forge.clear()
        checked = house("run", "--dry-run", "--check", FORGE_GDPR_API_KEY=OTHER_KEY)
        doctor = house("doctor", FORGE_GDPR_API_KEY=OTHER_KEY)
        for told in (checked.stdout, " ".join(doctor.stdout.split())):
            assert "0 of 100 due requests by user id" in told
            assert key in told
        assert (checked.returncode, doctor.returncode) == (0, 0)
        account = next(
            check
            for check in json.loads(
                house("doctor", "--output", "json", FORGE_GDPR_API_KEY=OTHER_KEY).stdout
            )["checks"]
            if check.get("check", check.get("name")) == "account"
        )
        assert account["level"] == "warning"
        assert house("audit", "verify").returncode == 0


def test_a_sentinel_that_is_not_in_the_account_stops_the_night(large: House) -> None:
    insert(large.engine, *by_id(USERS[:10]))
    done = large.run(FORGE_GDPR_API_KEY=OTHER_KEY, **WATCHED)
    assert (done.returncode, large.closed) == (8, {})
    assert "nor is FORGE_GDPR_SENTINEL_USER_ID" in done.stderr
    assert large("doctor", FORGE_GDPR_API_KEY=OTHER_KEY, **WATCHED).returncode == 8


def test_an_account_that_erased_before_is_ours_but_not_another_keys(large: House) -> None:
    insert(large.engine, *by_id([ADA]))
    assert large.run().returncode == 0
    insert(large.engine, {"forge_user_id": GHOST})
    assert large.run(FORGE_GDPR_API_KEY=OTHER_KEY).returncode == 8
    assert large.closed == {"erased": 1}
    assert large.run().returncode == 0
    assert large.closed == {"erased": 1, "already_absent": 1}


def test_a_rotated_key_of_the_same_account_is_no_alarm(large: House) -> None:
    insert(large.engine, *by_id([ADA]))
    assert large.run().returncode == 0
    large.forge.add_key("rotated-key")
    large.forge.remove_key(KEY)
    insert(large.engine, {"forge_user_id": GHOST}, {"forge_user_id": BEN.id, "status": "held"})
    done = large.run(FORGE_GDPR_API_KEY="rotated-key")  # Ben, whom a request names, is in it
    assert (done.returncode, large.closed) == (0, {"erased": 1, "already_absent": 1})


def test_a_rotated_key_is_no_alarm_with_a_sentinel(large: House) -> None:
    large.forge.add_key("rotated-key")
    large.forge.remove_key(KEY)
    insert(large.engine, {"forge_user_id": GHOST})
    done = large.run(FORGE_GDPR_API_KEY="rotated-key", **WATCHED)
    assert (done.returncode, large.closed) == (0, {"already_absent": 1})


def test_an_operator_may_expect_absence_for_one_night_on_record(large: House) -> None:
    ghosts = [{"forge_user_id": f"{number:024x}"} for number in range(6)]
    insert(large.engine, *ghosts)
    few = large.run("--expect-absent", "5", "--reason", "migrated")
    assert (few.returncode, large.closed) == (8, {})
    assert large.run("--expect-absent", "6").returncode == 2  # it needs a reason
    done = large.run("--expect-absent", "6", "--reason", "migrated", "--actor", "grace")
    assert (done.returncode, large.closed) == (0, {"already_absent": 6})
    bodies = fetch(
        large.engine, "SELECT body FROM audit_events WHERE event = 'guard.overridden' ORDER BY id"
    )
    said = [json.loads(body) for body in bodies]
    assert [(b["actor"], b["guard"], b["due"], b["allowed"], b["reason"]) for b in said] == [
        ("grace", "account", 6, 6, "migrated")
    ]
    insert(large.engine, {"forge_user_id": GHOST})
    assert large.run().returncode == 8  # the word was for one night


def test_expecting_absence_closes_nobody_who_is_there(large: House) -> None:
    insert(large.engine, *by_id(USERS[:3]))
    large.forge.script(answer(404, method="DELETE"))
    done = large.run("--expect-absent", "3", "--reason", "migrated")
    assert (done.returncode, large.closed) == (10, {})


def test_the_sentinel_itself_is_never_deleted(house: House) -> None:
    insert(house.engine, {"forge_user_id": SENTINEL.upper()}, {"email": user(29).email})
    assert house.run(**WATCHED).returncode == 10
    assert house.rows == [("review", "sentinel", 1, 2)]
    assert deleted(house.forge) == []


# 4. A list is whole or it is no list.

PAGES: Final = [hint for hint in Hint if hint not in {Hint.NONE, Hint.COUNT}]


@pytest.mark.parametrize("hint", PAGES)
def test_a_page_is_no_list(large: House, hint: Hint) -> None:
    """One is on page 2, and so are an id and another person's address."""
    there, other = USERS[200], USERS[201]
    large.forge.paging = Paging(size=100, hint=hint)
    insert(large.engine, {"email": there.email}, {"forge_user_id": other.id, "email": there.email})
    done = large.run()
    assert done.returncode == 5
    assert (large.rows, large.closed) == ([("pending", None, 0, 2)], {})
    assert deleted(large.forge) == []
    if hint in {Hint.HAS_MORE, Hint.NEXT, Hint.TOTAL}:
        key = {Hint.HAS_MORE: "hasMore"}.get(hint, str(hint))
        assert f"FORGE_GDPR_LIST_IGNORES={key}" in done.stderr
    assert large("run", "--dry-run", "--check").returncode == 5
    assert large.run(FORGE_GDPR_MAX_SHARE="0.5").returncode == 5
    assert "not whole" in " ".join(large("doctor").stdout.split())
    large.forge.paging = Paging()
    assert large.run().returncode == 10
    assert large.closed == {"erased": 1}
    assert large.rows == [("done", None, 1, 1), ("review", "identity_mismatch", 1, 1)]


def test_a_page_shows_no_absence(large: House) -> None:
    large.forge.paging = Paging(size=100, hint=Hint.HAS_MORE)
    insert(large.engine, *by_id(USERS[200:203]))
    large.forge.script(answer(404, method="DELETE"))
    assert large.run().returncode == 5
    assert (large.rows, large.closed) == ([("pending", "absence_not_shown", 0, 3)], {})


ODD: Final[dict[str, tuple[tuple[object, ...], Placement]]] = {
    "a null name": (({"_id": DAN.id, "fullName": None, "email": DAN.email},), Placement.MERGE),
    "no name": (({"_id": DAN.id, "email": DAN.email},), Placement.MERGE),
    "a number as name": (({"_id": DAN.id, "fullName": 7, "email": DAN.email},), Placement.MERGE),
}
NO_LIST: Final[dict[str, tuple[tuple[object, ...], Placement]]] = {
    "no id": (({"fullName": "X", "email": "x@example.org"},), Placement.APPEND),
    "a null id": (({"_id": None, "email": "x@example.org"},), Placement.APPEND),
    "a number as id": (({"_id": 61, "email": "x@example.org"},), Placement.APPEND),
    "no object": (("61ab8f99251cba0014437326",), Placement.APPEND),
    "null": ((None,), Placement.APPEND),
    "one id twice": (({"_id": DAN.id, "email": "x@example.org"},), Placement.APPEND),
    "one id twice, in capitals": (
        ({"_id": DAN.id.upper(), "email": "x@example.org"},),
        Placement.APPEND,
    ),
}


def odd(entries: tuple[object, ...], placement: Placement, **extra: object) -> Fault:
    return Fault(
        kind=FaultKind.ODD_ENTRIES, entries=entries, placement=placement, count=None, extra=extra
    )


@ON_ONE_DATABASE
@pytest.mark.parametrize(("entries", "placement"), ODD.values(), ids=ODD.keys())
def test_odd_fields_that_nobody_needs_stop_nothing(
    house: House, entries: tuple[object, ...], placement: Placement
) -> None:
    insert(
        house.engine, {"email": ADA.email}, {"email": "no@example.org"}, {"forge_user_id": GHOST}
    )
    house.forge.script(odd(entries, placement))
    assert house.run(**WATCHED).returncode == 0
    assert house.closed == {"erased": 1, "not_found_by_email": 1, "already_absent": 1}


@ON_ONE_DATABASE
@pytest.mark.parametrize("address", [None, 7, "", "  "])
def test_an_entry_without_an_address_keeps_only_one_conclusion_back(
    house: House, address: object
) -> None:
    insert(
        house.engine, {"email": ADA.email}, {"email": "no@example.org"}, {"forge_user_id": GHOST}
    )
    house.forge.script(odd(({"_id": DAN.id, "email": address},), Placement.MERGE))
    done = house.run(**WATCHED)
    assert (done.returncode, house.closed) == (5, {"erased": 1, "already_absent": 1})
    assert house.rows == [("done", None, 1, 2), ("pending", "absence_not_shown", 0, 1)]
    assert "no address for 1 of its" in done.stderr
    assert "1 of its" in " ".join(house("doctor").stdout.split())


@ON_ONE_DATABASE
@pytest.mark.parametrize(("entries", "placement"), NO_LIST.values(), ids=NO_LIST.keys())
def test_a_list_with_an_entry_that_is_nobody_is_no_list(
    house: House, entries: tuple[object, ...], placement: Placement
) -> None:
    insert(house.engine, {"email": ADA.email}, {"forge_user_id": GHOST}, *by_id([BEN]))
    house.forge.script(odd(entries, placement))
    done = house.run()
    assert (done.returncode, house.closed) == (5, {"erased": 1})
    assert house.rows == [
        ("done", None, 1, 1),
        ("pending", "absence_not_shown", 0, 1),
        ("pending", None, 0, 1),
    ]
    assert house.is_there(ADA)


@ON_ONE_DATABASE
@pytest.mark.parametrize("key", ["total", "count"])
@pytest.mark.parametrize(("number", "is_whole"), [(30, True), (31, False), ("30", False)])
def test_a_count_of_all_shows_that_the_list_is_whole(
    house: House, key: str, number: object, is_whole: bool
) -> None:
    insert(house.engine, {"email": "no@example.org"})
    house.forge.script(odd((), Placement.APPEND, **{key: number}))
    assert house.run(**WATCHED).returncode == (0 if is_whole else 5)
    assert house.closed == ({"not_found_by_email": 1} if is_whole else {})


def test_an_operator_may_ignore_keys_of_the_list(house: House) -> None:
    insert(house.engine, {"email": ADA.email})
    house.forge.script(odd((), Placement.APPEND, took_ms=3, version="7"))
    assert house.run(FORGE_GDPR_LIST_IGNORES="took_ms").returncode == 5
    assert "FORGE_GDPR_LIST_IGNORES=version" in house.run(FORGE_GDPR_LIST_IGNORES="took_ms").stderr
    assert house.run(FORGE_GDPR_LIST_IGNORES="took_ms, version").returncode == 0
    assert house.closed == {"erased": 1}


# 5. An id looks like an id.

NO_IDS: Final = {
    "42": "this is a number",
    "ada@example.org": "this is an e-mail address: put it into `email`",
    "undefined": "undefined",
    "None": "None",
    "null": "null",
    "NaN": "NaN",
    GHOST[:-1]: "this has 23 characters",
    GHOST + "0": "this has 25 characters",
    f"'{GHOST[:-1]}": "apostrophe",
    f"'{GHOST}": "apostrophe",
    "6.15E+23": "spreadsheet",
    "": "empty",
    "..": "",
    "a/b": "",
    f" {GHOST}": "blanks",
    "61ab8f99251cba001443732g": "other than 0-9 and a-f",
}


@ON_ONE_DATABASE
@pytest.mark.parametrize(("user_id", "clause"), NO_IDS.items(), ids=repr)
def test_what_is_no_id_is_never_sent(house: House, user_id: str, clause: str) -> None:
    insert(house.engine, {"forge_user_id": user_id})
    assert house.run().returncode == 10
    assert house.rows == [("review", "invalid_user_id", 1, 1)]
    assert house.forge.seen == ()
    doctor = " ".join(house("doctor", "--offline").stdout.split())
    assert "a user id that does not look like one: 1," in doctor
    assert clause in doctor
    if not user_id:
        return
    added = house("requests", "add", f"--user-id={user_id}", "--reference", "T-1")
    assert (added.returncode, clause in added.stderr) == (2, True)
    line = {"reference": "T-1", "forge_user_id": user_id}
    (house.program.folder / "requests.jsonl").write_text(f"{json.dumps(line)}\n")
    imported = house("requests", "import", "requests.jsonl")
    assert (imported.returncode, "line 1" in imported.stderr) == (2, True)
    assert clause in imported.stderr
    assert fetch(house.engine, "SELECT count(*) FROM deletion_requests") == [1]


def test_capital_letters_are_the_same_id(house: House) -> None:
    insert(house.engine, {"forge_user_id": ADA.id.upper()})
    assert house.run().returncode == 0
    assert (house.closed, house.is_there(ADA)) == ({"erased": 1}, False)


# 6. An address is an address.

NO_ADDRESSES: Final = (
    "banana",
    "mailto:ada@example.org",
    "Ada <ada@example.org>",
    "ada@example.org,ben@example.org",
    "ada@example.org; ben@example.org",
    "ada@example.org.",
    "ada@",
    "@example.org",
    "ada@example",
    GHOST,
)


@ON_ONE_DATABASE
@pytest.mark.parametrize("email", NO_ADDRESSES)
def test_what_is_no_address_is_for_a_person(house: House, email: str) -> None:
    insert(house.engine, {"email": email})
    assert house.run(**WATCHED).returncode == 10
    assert (house.rows, house.closed) == ([("review", "invalid_email", 1, 1)], {})
    added = house("requests", "add", "--email", email, "--reference", "T-1")
    assert added.returncode == 2
    line = {"reference": "T-1", "email": email}
    (house.program.folder / "requests.jsonl").write_text(f"{json.dumps(line)}\n")
    imported = house("requests", "import", "requests.jsonl")
    assert (imported.returncode, "line 1" in imported.stderr) == (2, True)


#: What Forge has, and what a request asks for.
NEARLY: Final = {
    "case": ("Ada.Lovelace@example.org", "ada.lovelace@example.org"),
    "compatibility characters": ("ada.\ufb01ne@example.org", "ada.fine@example.org"),
    "full width": ("\uff41da@example.org", "ada@example.org"),
    "an IDN of older days": ("ada@strasse.example.org", "ada@stra\u00dfe.example.org"),
}
SAME: Final = {
    "blanks": ("lin@example.org", "  lin@example.org "),
    "the domain's case": ("lin@Example.ORG", "lin@example.org"),
    "a decomposed letter": ("andr\u00e9@example.org", "andre\u0301@example.org"),
    "an IDN": ("lin@xn--bcher-kva.example.org", "lin@b\u00fccher.example.org"),
}


@ON_ONE_DATABASE
@pytest.mark.parametrize(("at_forge", "asked"), NEARLY.values(), ids=NEARLY.keys())
def test_who_has_nearly_this_address_is_for_a_person(
    house: House, at_forge: str, asked: str
) -> None:
    house.forge.add(User(id=GHOST, name="Lin", email=at_forge))
    insert(house.engine, {"email": asked})
    assert house.run(**WATCHED).returncode == 10
    assert (house.rows, house.closed) == ([("review", "ambiguous_email", 1, 1)], {})
    assert deleted(house.forge) == []


@ON_ONE_DATABASE
@pytest.mark.parametrize(("at_forge", "asked"), SAME.values(), ids=SAME.keys())
def test_one_address_has_many_spellings(house: House, at_forge: str, asked: str) -> None:
    house.forge.add(User(id=GHOST, name="Lin", email=at_forge))
    insert(house.engine, {"email": asked})
    assert house.run().returncode == 0
    assert deleted(house.forge) == [GHOST]


def moved(person: User, email: str) -> Fault:
    """Let Forge show a user with another address than its list did."""
    body = json.dumps({"_id": person.id, "fullName": person.name, "email": email, "workflows": []})
    return answer(200, method="GET", path="user", user_id=person.id, body=body)


def test_a_user_found_by_email_who_has_another_by_now_is_for_a_person(house: House) -> None:
    insert(house.engine, {"email": ADA.email})
    house.forge.script(moved(ADA, "ada.new@example.org"))
    assert house.run().returncode == 10
    assert (house.rows, house.closed) == ([("review", "address_moved", 1, 1)], {})
    assert deleted(house.forge) == []


# 7. Logs first, and not past them.

NO_LOGS: Final = answer(404, method="DELETE", path="logs", body=BY_DOMAIN)
LOGS_TOO: Final = {"FORGE_GDPR_ERASE_LOGS": "true"}


def test_a_404_of_the_logs_leaves_the_account_of_who_is_there(house: House) -> None:
    insert(house.engine, *by_id([ADA]))
    house.forge.script(NO_LOGS)
    assert house.run(**LOGS_TOO).returncode == 10
    assert house.rows == [("review", "logs_not_erased", 1, 1)]
    assert (house.closed, house.is_there(ADA)) == ({}, True)
    assert "logs" in house("requests", "explain", "1").stdout
    assert all(seen.target.endswith("/logs") for seen in house.forge.seen if seen.method != "GET")


def test_a_404_of_the_logs_of_who_is_not_there_is_an_absence(house: House) -> None:
    insert(house.engine, {"forge_user_id": GHOST})
    assert house.run(**LOGS_TOO, **WATCHED).returncode == 0
    assert house.closed == {"already_absent": 1}


def test_a_404_of_the_logs_and_of_everything_closes_nobody(house: House) -> None:
    insert(house.engine, *by_id([ADA, BEN]))
    house.forge.script(answer(404, body=BY_DOMAIN))
    assert house.run(**LOGS_TOO, **WATCHED).returncode == 5
    assert (house.rows, house.closed) == ([("pending", "absence_not_shown", 0, 2)], {})


def test_doctor_and_the_closing_say_what_became_of_the_logs(house: House) -> None:
    insert(house.engine, *by_id([ADA]))
    assert house.run().returncode == 0
    assert "keeps them" in house("requests", "explain", "1").stdout
    assert "keeps the logs" in " ".join(house("doctor").stdout.split())
    insert(house.engine, *by_id([BEN]))
    assert house.run(**LOGS_TOO).returncode == 0
    assert "deleted this user's logs" in house("requests", "explain", "2").stdout


# 8. An outage is 5, a guard is 8.


@pytest.mark.parametrize("due", [1, 2, 3, 4, 30])
def test_an_outage_is_told_once_however_many_are_due(house: House, due: int) -> None:
    insert(house.engine, *by_id(USERS[:due]))
    house.forge.script(answer(503))
    done = house.run(FORGE_GDPR_TRIES="1", FORGE_GDPR_LOG_LEVEL="error")
    assert done.returncode == 5
    assert {(row[0], row[2]) for row in house.rows} == {("pending", 0)}
    assert done.stderr.count("HTTP 503") == 1
    assert "CANARY" not in done.stderr
    [body] = fetch(house.engine, "SELECT body FROM audit_events WHERE event = 'run.closed'")
    assert "HTTP 503" in json.loads(body)["cause"]
    house.forge.clear()
    assert house.run().returncode == 0
    assert house.closed == {"erased": due}


@pytest.mark.parametrize("due", [1, 2, 3, 4])
def test_a_dead_host_is_told_once_however_many_are_due(house: House, due: int) -> None:
    insert(house.engine, *by_id(USERS[:due]))
    dead = "http://127.0.0.1:1/forge"
    done = house.run(FORGE_GDPR_TRIES="1", FORGE_GDPR_BASE_URL=dead, FORGE_GDPR_LOG_LEVEL="error")
    assert done.returncode == 5
    assert {(row[0], row[2]) for row in house.rows} == {("pending", 0)}
    tried = min(due, 3)
    assert f"{tried} of {tried} calls: connection refused by 127.0.0.1:1" in done.stderr
    [body] = fetch(house.engine, "SELECT body FROM audit_events WHERE event = 'run.closed'")
    assert "connection refused by 127.0.0.1:1" in json.loads(body)["cause"]


def test_a_dead_host_is_told_in_a_process(house: House) -> None:
    insert(house.engine, *by_id(USERS[:3]))
    dead = "http://127.0.0.1:1/forge"
    done = house.program("run", FORGE_GDPR_TRIES="1", FORGE_GDPR_BASE_URL=dead)
    assert done.returncode == 5
    assert "3 of 3 calls: connection refused by 127.0.0.1:1" in done.stderr


@pytest.mark.parametrize("status", [503, 520])
def test_three_accounts_that_always_fail_stop_no_night(house: House, status: int) -> None:
    insert(house.engine, *by_id(USERS[:3]))
    house.forge.script(*(answer(status, user_id=person.id) for person in USERS[:3]))
    for tonight in range(3):
        insert(house.engine, *by_id(USERS[3 + 2 * tonight : 5 + 2 * tonight]))
        done = house.run(FORGE_GDPR_TRIES="1")
        assert done.returncode == 0
        assert house.rows == [
            ("done", None, 1, 2 + 2 * tonight),
            ("pending", "transient", 1 + tonight, 3),
        ]
        house.put_off_no_longer()
    assert house.closed == {"erased": 6}


# 9. What begins in mid-run is seen in mid-run.

REFUSALS: Final = {
    "403": answer(403, method="DELETE", skip=5),
    "403 to everything": answer(403, skip=5),
    "login pages": Fault(kind=FaultKind.HTML, skip=5, count=None),
    "login pages for DELETE": Fault(kind=FaultKind.HTML, method="DELETE", skip=5, count=None),
    "redirects": Fault(kind=FaultKind.REDIRECT, skip=5, count=None),
    "400": answer(400, method="DELETE", skip=5),
    "polite denials": answer(200, method="DELETE", skip=5, body='{"error": "not allowed"}'),
}


@pytest.mark.parametrize("fault", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_row_of_equal_refusals_in_mid_run_is_nobodys_own(large: House, fault: Fault) -> None:
    insert(large.engine, *by_id(USERS[:100]))
    large.forge.script(fault)
    done = large.run(FORGE_GDPR_CONCURRENCY="4")
    assert done.returncode == 5
    states = Counter({row[::2]: row[3] for row in large.rows if row[0] == "done"})
    for status, _noted, attempts, count in large.rows:
        if status != "done":
            states[status, attempts] += count
    assert states == {("done", 1): 5, ("pending", 0): 95}
    assert large.closed == {"erased": 5}
    assert len(large.forge.seen) < 40  # an answer of before the row may come late
    large.forge.clear()
    assert large.run().returncode == 0
    assert large.closed == {"erased": 100}


def test_a_few_refusals_among_successes_are_their_own(large: House) -> None:
    insert(large.engine, *by_id(USERS[:40]))
    large.forge.script(*(answer(403, user_id=person.id) for person in USERS[1:40:4]))
    assert large.run().returncode == 10
    assert large.closed == {"erased": 30}
    assert large.rows == [("done", None, 1, 30), ("review", "rejected", 1, 10)]


def test_a_login_page_at_the_very_end_is_nobodys_own(large: House) -> None:
    """Too few for a row: Forge is asked for its list once more."""
    insert(large.engine, *by_id(USERS[:8]))
    large.forge.script(Fault(kind=FaultKind.HTML, skip=5, count=None))
    assert large.run().returncode == 5
    assert (large.rows, large.closed) == (
        [("done", None, 1, 5), ("pending", None, 0, 3)],
        {"erased": 5},
    )


# Success said, and nothing done.


def test_with_verify_a_success_that_did_nothing_is_for_a_person(house: House) -> None:
    insert(house.engine, *by_id(USERS[:5]))
    house.forge.script(Fault(kind=FaultKind.LIE, count=None))
    done = house.run(FORGE_GDPR_VERIFY="true")
    assert done.returncode in {8, 10}
    assert house.closed == {}
    assert {row[:3] for row in house.rows} <= {
        ("review", "still_present", 1),
        ("pending", None, 0),
    }
    assert len(house.forge.users) == 30


def test_with_verify_one_success_that_did_nothing_is_for_a_person(house: House) -> None:
    insert(house.engine, *by_id(USERS[:5]))
    house.forge.script(Fault(kind=FaultKind.LIE, user_id=CLEO.id, count=None))
    assert house.run(FORGE_GDPR_VERIFY="true").returncode == 10
    assert (house.closed, house.is_there(CLEO)) == ({"erased": 4}, True)
    assert ("review", "still_present", 1, 1) in house.rows


# The list at night, changed since it was read.


def changing(house: House, change: Callable[[], object], **settings: Any) -> Any:
    """Carry out a night in which ``change`` happens when Forge's list has been read."""
    pending = [change]

    def progress(_done: int, _due: int) -> None:
        if pending and any(seen.target.endswith("/user") for seen in house.forge.seen):
            pending.pop()()

    limits = Limits(max_due=1000, cool_off_days=0)
    return night(
        house.engine,
        house.forge.url,
        limits=limits,
        progress=progress,
        order={"ids": IdRules(sentinel=SENTINEL)},
        **settings,
    )


def test_somebody_who_comes_with_the_address_after_the_list_was_read_is_not_absent(
    house: House,
) -> None:
    insert(house.engine, {"email": "new@example.org"})
    newcomer = User(id=GHOST, name="New", email="new@example.org")
    summary = changing(house, lambda: house.forge.add(newcomer))
    assert (house.closed, summary.exit_code) == ({}, 0)
    assert [row[:3] for row in house.rows] == [("pending", None, 0)]
    assert house.run(**WATCHED).returncode == 0
    assert (house.closed, deleted(house.forge)) == ({"erased": 1}, [GHOST])


def test_somebody_who_comes_with_the_id_after_the_list_was_read_is_erased(house: House) -> None:
    """Neither id nor address was in the list; by the time of the call the user is there."""
    insert(house.engine, {"forge_user_id": GHOST, "email": "new@example.org"})
    newcomer = User(id=GHOST, name="New", email="new@example.org")
    summary = changing(house, lambda: house.forge.add(newcomer))
    assert (house.closed, summary.halt) == ({"erased": 1}, None)
    assert GHOST not in {each.id for each in house.forge.users}


@pytest.mark.parametrize("verify", [False, True])
def test_somebody_who_is_called_absent_and_is_there_again_is_not_absent(
    house: House, verify: bool
) -> None:
    insert(house.engine, {"forge_user_id": GHOST})
    pending = [User(id=GHOST, name="New", email="new@example.org")]

    def progress(_done: int, _due: int) -> None:
        if pending and deleted(house.forge):
            house.forge.add(pending.pop())

    summary = night(
        house.engine,
        house.forge.url,
        progress=progress,
        steps=Steps(verify=verify),
        order={"ids": IdRules(sentinel=SENTINEL)},
    )
    assert (summary.exit_code, house.closed) == (10, {})
    assert house.rows == [("review", "still_present", 1, 1)]

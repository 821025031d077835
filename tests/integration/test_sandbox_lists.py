"""The list in pages and with odd entries, over a real socket."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from forge_gdpr.sandbox import (
    Fault,
    FaultKind,
    Hint,
    Paging,
    Placement,
    Sandbox,
    generated_user,
)

BASE = "/forge/2021-12"
USERS = [generated_user(number) for number in range(5)]
ENTRIES = [{"_id": u.id, "fullName": u.name, "email": u.email} for u in USERS]
ADA = ENTRIES[0]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(users=5) as running:
        yield running


def call(
    sandbox: Sandbox, method: str = "GET", path: str = f"{BASE}/user", body: object = None
) -> tuple[int, Mapping[str, str], Any]:
    text = None if body is None else json.dumps(body)
    headers = {"Authorization": "Bearer sandbox-key"}
    with closing(http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)) as link:
        link.request(method, path, body=text, headers=headers)
        answer = link.getresponse()
        return answer.status, dict(answer.getheaders()), json.loads(answer.read() or b"null")


@pytest.mark.parametrize(
    ("hint", "status", "headers", "keys"),
    [
        (Hint.NONE, 200, {}, {}),
        (Hint.HAS_MORE, 200, {}, {"hasMore": True}),
        (Hint.NEXT, 200, {}, {"next": f"{BASE}/user?page=2"}),
        (Hint.TOTAL, 200, {}, {"total": 5}),
        (Hint.COUNT, 200, {}, {"count": 2}),
        (Hint.PARTIAL, 206, {}, {}),
        (Hint.LINK, 200, {"Link": f'<{BASE}/user?page=2>; rel="next"'}, {}),
        (Hint.CONTENT_RANGE, 200, {"Content-Range": "users 0-1/5"}, {}),
    ],
)
@pytest.mark.parametrize("way", ["setting", "fault"])
def test_a_page_hints_at_the_rest(
    sandbox: Sandbox,
    way: str,
    hint: Hint,
    status: int,
    headers: dict[str, str],
    keys: dict[str, object],
) -> None:
    if way == "setting":
        sandbox.paging = Paging(size=2, hint=hint)
    else:
        sandbox.script(Fault(kind=FaultKind.PAGE, page_size=2, hint=hint))
    answered, got, body = call(sandbox)
    assert (answered, body) == (status, {"data": ENTRIES[:2], **keys})
    assert {name: got.get(name) for name in ("Link", "Content-Range")} == {
        "Link": None,
        "Content-Range": None,
        **headers,
    }


@pytest.mark.parametrize(
    ("hint", "headers", "keys"),
    [
        (Hint.NONE, {}, {}),
        (Hint.HAS_MORE, {}, {"hasMore": False}),
        (Hint.NEXT, {}, {"next": None}),
        (Hint.TOTAL, {}, {"total": 5}),
        (Hint.COUNT, {}, {"count": 5}),
        (Hint.PARTIAL, {}, {}),
        (Hint.LINK, {}, {}),
        (Hint.CONTENT_RANGE, {"Content-Range": "users 0-4/5"}, {}),
    ],
)
@pytest.mark.parametrize("size", [None, 5, 6])
def test_a_whole_list_may_state_that_it_is_whole(
    sandbox: Sandbox,
    size: int | None,
    hint: Hint,
    headers: dict[str, str],
    keys: dict[str, object],
) -> None:
    sandbox.paging = Paging(size=size, hint=hint)
    answered, got, body = call(sandbox)
    assert (answered, body) == (200, {"data": ENTRIES, **keys})
    assert {name: got[name] for name in ("Link", "Content-Range") if name in got} == headers


def test_pages_follow_each_other(sandbox: Sandbox) -> None:
    sandbox.paging = Paging(size=2, hint=Hint.NEXT)
    path, pages = f"{BASE}/user", []
    while path:
        _, _, body = call(sandbox, path=path)
        path = body["next"]
        pages.append(body["data"])
    assert pages == [ENTRIES[:2], ENTRIES[2:4], ENTRIES[4:]]
    assert call(sandbox, path=f"{BASE}/user?page=9")[2] == {"data": [], "next": None}


@pytest.mark.parametrize("page", ["0", "-1", "x", "", "٣", "9999999999"])
def test_a_page_that_is_no_number_is_the_first(sandbox: Sandbox, page: str) -> None:
    sandbox.paging = Paging(size=2)
    path = f"{BASE}/user?page={page}".encode().decode("latin-1")
    assert call(sandbox, path=path.replace("Ù£", "%D9%A3"))[2]["data"] == ENTRIES[:2]


def test_an_empty_page_of_many_looks_like_an_empty_account(sandbox: Sandbox) -> None:
    sandbox.paging = Paging(size=0, hint=Hint.CONTENT_RANGE)
    _, headers, body = call(sandbox)
    assert (body, headers["Content-Range"]) == ({"data": []}, "users */5")


def test_a_page_fault_strikes_lists_only_and_may_begin_in_mid_run(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.PAGE, page_size=1, skip=1, count=None))
    assert len(call(sandbox)[2]["data"]) == 5
    assert call(sandbox, path=f"{BASE}/user/{USERS[0].id}")[2]["_id"] == USERS[0].id
    assert [len(call(sandbox)[2]["data"]) for _ in range(2)] == [1, 1]
    fields = {"name": "Zoe", "email": "zoe@example.org"}
    assert set(call(sandbox, "POST", body=fields)[2]) == {"userId"}
    assert [seen.fault for seen in sandbox.seen] == [None, None, "page", "page", None]


def test_paging_is_set_and_lifted_over_the_wire(sandbox: Sandbox) -> None:
    setting = {"size": 2, "hint": "count"}
    assert call(sandbox, "PUT", "/_sandbox/paging", setting)[::2] == (200, setting)
    assert sandbox.paging == Paging(size=2, hint=Hint.COUNT)
    assert call(sandbox)[2] == {"data": ENTRIES[:2], "count": 2}
    whole = {"size": None, "hint": "none"}
    assert call(sandbox, "DELETE", "/_sandbox/paging")[::2] == (200, whole)
    assert call(sandbox)[2] == {"data": ENTRIES}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"size": -1}, "field size: -1 is out of range"),
        ({"size": "1"}, "field size: '1' is not a whole number"),
        ({"hint": "more"}, "field hint: 'more' is none of none, has_more, next, total, count, "),
        ({"pages": 1}, "field pages: there is no such field"),
        ([], "[] is not an object"),
        (None, "not JSON: "),
    ],
)
def test_wrong_paging_is_refused_with_the_reason(
    sandbox: Sandbox, body: object, complaint: str
) -> None:
    status, _, answer = call(sandbox, "PUT", "/_sandbox/paging", body)
    assert (status, answer["message"][: len(complaint)]) == (400, complaint)
    assert sandbox.paging == Paging()
    assert call(sandbox, "GET", "/_sandbox/paging")[0] == 405


NULL_NAME: dict[str, object] = ADA | {"fullName": None}
ODD: list[object] = [
    None,
    "text",
    7,
    [],
    {},
    {"fullName": "No Id", "email": "no.id@example.org"},
    {"_id": 5, "fullName": "Number", "email": "number@example.org"},
    {"_id": "61ab8f99251cba0014437326", "extra": {"deep": [1]}},
    ADA,
    ADA | {"email": str(ADA["email"]).upper()},
]


def test_odd_entries_stand_after_the_users(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.ODD_ENTRIES, entries=ODD))
    assert call(sandbox)[2] == {"data": [*ENTRIES, *ODD]}
    assert call(sandbox)[2] == {"data": ENTRIES}


def test_odd_entries_stand_for_all_users(sandbox: Sandbox) -> None:
    fault = Fault(kind=FaultKind.ODD_ENTRIES, entries=ODD, placement=Placement.REPLACE)
    sandbox.script(fault)
    assert call(sandbox)[2] == {"data": ODD}


def test_an_odd_entry_stands_for_the_user_with_its_id(sandbox: Sandbox) -> None:
    entries = [NULL_NAME, None, {"_id": 5}, {"_id": "unknown"}]
    sandbox.script(Fault(kind=FaultKind.ODD_ENTRIES, entries=entries, placement=Placement.MERGE))
    assert call(sandbox)[2]["data"] == [NULL_NAME, *ENTRIES[1:], None, {"_id": 5}, entries[-1]]


def test_keys_beside_data_are_as_they_are_given(sandbox: Sandbox) -> None:
    extra = {"meta": {"cursor": None}, "count": 9}
    sandbox.script(
        Fault(kind=FaultKind.ODD_ENTRIES, entries=[], extra=extra),
        Fault(kind=FaultKind.ODD_ENTRIES, extra={"data": None}),
    )
    assert call(sandbox)[2] == {"data": ENTRIES, **extra}
    assert call(sandbox)[2] == {"data": None}


def test_odd_entries_count_and_are_cut_like_others(sandbox: Sandbox) -> None:
    sandbox.paging = Paging(size=6, hint=Hint.TOTAL)
    sandbox.script(Fault(kind=FaultKind.ODD_ENTRIES, entries=[None, None]))
    assert call(sandbox)[2] == {"data": [*ENTRIES, None], "total": 7}


def test_without_entries_of_its_own_the_fault_has_some(sandbox: Sandbox) -> None:
    assert call(sandbox, "POST", "/_sandbox/faults", {"kind": "odd_entries"})[0] == 200
    entries = call(sandbox)[2]["data"]
    assert (entries[:5], None in entries, {} in entries) == (ENTRIES, True, True)


def test_odd_entries_are_sent_to_a_sandbox_that_runs(sandbox: Sandbox) -> None:
    fault = {
        "kind": "odd_entries",
        "entries": [ADA, None],
        "placement": "replace",
        "extra": {"total": 250},
        "count": None,
    }
    call(sandbox, "POST", "/_sandbox/faults", fault)
    assert call(sandbox)[2] == {"data": [ADA, None], "total": 250}
    sandbox.clear()
    assert call(sandbox)[2] == {"data": ENTRIES}


def test_the_list_is_always_of_this_moment(sandbox: Sandbox) -> None:
    assert len(call(sandbox)[2]["data"]) == 5
    call(sandbox, "DELETE", f"{BASE}/user/{USERS[0].id}")
    assert call(sandbox)[2]["data"] == ENTRIES[1:]
    fields = {"fullName": "Ben", "email": "ben@example.org"}
    call(sandbox, "PATCH", f"{BASE}/user/{USERS[1].id}", fields)
    assert call(sandbox)[2]["data"][0] == {"_id": USERS[1].id, **fields}
    sandbox.add(USERS[0])
    assert call(sandbox)[2]["data"][-1] == ADA
    call(sandbox, "POST", body={"name": "Zoe", "email": "zoe@example.org"})
    assert call(sandbox)[2]["data"][-1]["fullName"] == "Zoe"

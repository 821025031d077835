"""Several accounts behind one address, over a real socket: each key reaches its own users only."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from forge_gdpr.sandbox import Sandbox, User, generated_user

BASE = "/forge/2021-12"
MAIN, OTHER, EMPTY = "sandbox-key", "other-key", "empty-key"
ADA, EVE = generated_user(0), generated_user(0, account=1)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(users=3, accounts={OTHER: 2, EMPTY: 0}) as running:
        yield running


def call(
    sandbox: Sandbox, method: str, path: str, *, key: str = MAIN, body: object = None
) -> tuple[int, Any]:
    text = None if body is None else json.dumps(body)
    with closing(http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)) as link:
        link.request(method, path, body=text, headers={"Authorization": f"Bearer {key}"})
        answer = link.getresponse()
        return answer.status, json.loads(answer.read() or b"null")


def listed(sandbox: Sandbox, key: str) -> list[str]:
    status, body = call(sandbox, "GET", f"{BASE}/user", key=key)
    assert status == 200
    return [entry["_id"] for entry in body["data"]]


def test_each_key_lists_its_own_users(sandbox: Sandbox) -> None:
    assert listed(sandbox, MAIN) == [generated_user(number).id for number in range(3)]
    assert listed(sandbox, OTHER) == [generated_user(number, account=1).id for number in range(2)]
    assert listed(sandbox, EMPTY) == []
    assert call(sandbox, "GET", f"{BASE}/user", key="no-key")[0] == 401


def test_accounts_share_no_user() -> None:
    users = [generated_user(number, account=account) for account in range(3) for number in range(9)]
    assert len({user.id for user in users}) == len({user.email for user in users}) == 27


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("DELETE", "/logs"), ("GET", "/token"), ("PATCH", "")],
)
def test_a_user_of_one_account_is_not_there_for_another(
    sandbox: Sandbox, method: str, path: str
) -> None:
    not_found = (404, {"message": "User not found"})
    fields = {"fullName": "Z", "email": "z@example.org"}
    for user, key in [(ADA, OTHER), (EVE, MAIN), (ADA, EMPTY)]:
        answer = call(sandbox, method, f"{BASE}/user/{user.id}{path}", key=key, body=fields)
        assert answer == not_found
    assert (ADA in sandbox.users, EVE in sandbox.users_of(OTHER)) == (True, True)


def test_a_deletion_reaches_its_own_account(sandbox: Sandbox) -> None:
    assert call(sandbox, "DELETE", f"{BASE}/user/{EVE.id}", key=OTHER)[0] == 200
    assert sandbox.users_of(OTHER) == (generated_user(1, account=1),)
    assert len(sandbox.users) == 3


def test_the_same_address_may_be_in_two_accounts_but_not_the_same_id(sandbox: Sandbox) -> None:
    fields = {"name": "Ada", "email": ADA.email}
    status, created = call(sandbox, "POST", f"{BASE}/user", key=OTHER, body=fields)
    assert (status, len(sandbox.users), len(sandbox.users_of(OTHER))) == (200, 3, 3)
    assert call(sandbox, "POST", f"{BASE}/user", body=fields)[0] == 400
    twin = User(id=created["userId"], name="Twin", email="twin@example.org")
    with pytest.raises(ValueError, match="id exists"):
        sandbox.add(twin)


def test_users_created_in_two_accounts_have_ids_of_their_own(sandbox: Sandbox) -> None:
    fields = {"name": "Zoe", "email": "zoe@example.org"}
    created = {
        call(sandbox, "POST", f"{BASE}/user", key=key, body=fields)[1]["userId"]
        for key in (MAIN, OTHER, EMPTY)
    }
    assert len(created) == 3


def test_a_user_is_added_to_the_account_of_a_key(sandbox: Sandbox) -> None:
    zoe = User(id="61ab8f99251cba0014437326", name="Zoe", email="zoe@example.org")
    sandbox.add(zoe, key=EMPTY)
    assert (sandbox.users_of(EMPTY), listed(sandbox, EMPTY)) == ((zoe,), [zoe.id])
    for act in (lambda: sandbox.add(zoe, key="no-key"), lambda: sandbox.users_of("no-key")):
        with pytest.raises(LookupError, match="No account has this key"):
            act()


def test_a_rotated_key_reaches_the_same_account(sandbox: Sandbox) -> None:
    sandbox.add_key("new-key")
    sandbox.add_key("newer-key", like="new-key")
    assert listed(sandbox, "newer-key") == listed(sandbox, MAIN)
    sandbox.remove_key(MAIN)
    assert call(sandbox, "GET", f"{BASE}/user", key=MAIN)[0] == 401
    assert call(sandbox, "DELETE", f"{BASE}/user/{ADA.id}", key="newer-key")[0] == 200
    assert sandbox.users == sandbox.users_of("new-key") == (generated_user(1), generated_user(2))
    with pytest.raises(LookupError, match="No account has this key"):
        sandbox.remove_key(MAIN)


@pytest.mark.parametrize("key", ["", " a", "a\r\nb", "schlüssel", MAIN, OTHER])
def test_a_key_is_new_and_fits_in_a_header(sandbox: Sandbox, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        sandbox.add_key(key)


def test_a_key_is_of_one_account() -> None:
    with pytest.raises(ValueError, match="has this key already"):
        Sandbox(key="a", accounts={"a": 1})


def test_control_shows_the_users_of_a_key(sandbox: Sandbox) -> None:
    sandbox.add_key("a+b=c&d")
    shown = [user["id"] for user in call(sandbox, "GET", f"/_sandbox/users?key={OTHER}")[1]]
    assert shown == [user.id for user in sandbox.users_of(OTHER)]
    assert len(call(sandbox, "GET", "/_sandbox/users?key=a%2Bb%3Dc%26d")[1]) == 3
    assert call(sandbox, "GET", "/_sandbox/users?key=no-key") == (
        404,
        {"message": "No account has this key"},
    )


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR "])
def test_the_case_of_the_scheme_does_not_matter(sandbox: Sandbox, scheme: str) -> None:
    with closing(http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)) as link:
        link.request("GET", f"{BASE}/user", headers={"Authorization": f"{scheme} {MAIN}"})
        assert link.getresponse().status == 200
        link.close()
        link.request("GET", f"{BASE}/user", headers={"Authorization": f"{scheme} {MAIN.upper()}"})
        assert link.getresponse().status == 401

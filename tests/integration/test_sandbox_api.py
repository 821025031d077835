"""Each endpoint of the sandbox, over a real socket."""

import base64
import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from forge_gdpr.sandbox import Sandbox, User, generated_user

BASE = "/forge/2021-12"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ADA = generated_user(0)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(users=3, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def connection(sandbox: Sandbox) -> Iterator[http.client.HTTPConnection]:
    link = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)
    yield link
    link.close()


def call(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object = None,
    key: str | None = "Bearer sandbox-key",
) -> tuple[int, Any]:
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    headers = {} if key is None else {"Authorization": key}
    connection.request(method, path, body=text, headers=headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or b"null")


def test_the_users_are_listed_all_at_once(connection: http.client.HTTPConnection) -> None:
    users = [generated_user(number) for number in range(3)]
    assert call(connection, "GET", f"{BASE}/user") == (
        200,
        {"data": [{"_id": u.id, "fullName": u.name, "email": u.email} for u in users]},
    )


def test_a_user_is_shown_with_a_workflow(connection: http.client.HTTPConnection) -> None:
    status, user = call(connection, "GET", f"{BASE}/user/{ADA.id}")
    [workflow] = user.pop("workflows")
    assert (status, user) == (200, {"_id": ADA.id, "fullName": ADA.name, "email": ADA.email})
    assert set(workflow) == {"_id", "parentId", "name", "active", "blocks"}
    assert [set(block) for block in workflow["blocks"]] == [{"icon", "displayName", "name"}] * 2


def test_a_user_is_created(sandbox: Sandbox, connection: http.client.HTTPConnection) -> None:
    fields = {"name": "Zoe", "email": "zoe@example.org"}
    status, answer = call(connection, "POST", f"{BASE}/user", fields)
    assert (status, set(answer)) == (200, {"userId"})
    assert sandbox.users[-1] == User(id=answer["userId"], name="Zoe", email="zoe@example.org")
    assert len(answer["userId"]) == 24
    assert (sandbox.seen[-1].changed, sandbox.seen[-1].user_id) == (True, answer["userId"])


def test_a_user_is_changed(sandbox: Sandbox, connection: http.client.HTTPConnection) -> None:
    fields = {"fullName": "Ada B", "email": "ada@example.org"}
    assert call(connection, "PATCH", f"{BASE}/user/{ADA.id}", fields) == (
        200,
        {"_id": ADA.id, "fullName": "Ada B", "email": "ada@example.org"},
    )
    assert sandbox.users[0] == User(id=ADA.id, name="Ada B", email="ada@example.org")


def test_a_user_is_deleted_once(sandbox: Sandbox, connection: http.client.HTTPConnection) -> None:
    path = f"{BASE}/user/{ADA.id}"
    assert call(connection, "DELETE", path) == (200, {"success": True})
    assert call(connection, "DELETE", path) == (404, {"message": "User not found"})
    assert sandbox.users == (generated_user(1), generated_user(2))
    assert [(s.number, s.status, s.changed, s.user_id) for s in sandbox.seen] == [
        (1, 200, True, ADA.id),
        (2, 404, False, ADA.id),
    ]


def test_a_token_is_new_each_time_and_lives_half_an_hour(
    connection: http.client.HTTPConnection,
) -> None:
    answers = [call(connection, "GET", f"{BASE}/user/{ADA.id}/token") for _ in range(2)]
    tokens = [answer["token"] for _, answer in answers]
    assert tokens[0] != tokens[1]
    head, claims, signature = (
        base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in tokens[0].split(".")
    )
    assert json.loads(head) == {"alg": "HS256", "typ": "JWT"}
    claimed = json.loads(claims)
    assert len(claimed.pop("jti")) == 24
    assert claimed == {
        "userId": ADA.id,
        "iat": NOW.timestamp(),
        "exp": (NOW + timedelta(minutes=30)).timestamp(),
    }
    assert len(signature) == 32


def test_logs_are_deleted_while_the_user_exists(
    sandbox: Sandbox, connection: http.client.HTTPConnection
) -> None:
    path = f"{BASE}/user/{ADA.id}"
    assert call(connection, "DELETE", f"{path}/logs") == (200, {"message": "Success"})
    assert not sandbox.seen[-1].changed
    assert call(connection, "DELETE", path)[0] == 200
    assert call(connection, "DELETE", f"{path}/logs") == (404, {"message": "User not found"})


@pytest.mark.parametrize("key", [None, "Bearer wrong", "sandbox-key", "Basic sandbox-key", ""])
@pytest.mark.parametrize("path", [f"{BASE}/user/{ADA.id}", f"{BASE}/nowhere"])
def test_without_the_key_nothing_is_done(
    sandbox: Sandbox, connection: http.client.HTTPConnection, key: str | None, path: str
) -> None:
    assert call(connection, "DELETE", path, key=key) == (401, {"message": "Permission denied"})
    assert len(sandbox.users) == 3


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{BASE}/user/unknown", 404),
        ("GET", f"{BASE}/user/unknown/token", 404),
        ("PATCH", f"{BASE}/user/unknown", 404),
        ("GET", f"{BASE}/users", 404),
        ("GET", "/", 404),
        ("GET", "/forge/2021-13/user", 404),
        ("DELETE", f"{BASE}/user", 405),
        ("DELETE", f"{BASE}/user/", 405),
        ("POST", f"{BASE}/user/{ADA.id}", 405),
        ("DELETE", f"{BASE}/user/{ADA.id}/token", 405),
        ("GET", f"{BASE}/user/{ADA.id}/logs", 405),
    ],
)
def test_what_is_not_there_is_refused(
    sandbox: Sandbox, connection: http.client.HTTPConnection, method: str, path: str, status: int
) -> None:
    assert call(connection, method, path)[0] == status
    assert [seen.changed for seen in sandbox.seen] == [False]


def test_a_wrong_method_is_told_the_right_ones(connection: http.client.HTTPConnection) -> None:
    headers = {"Authorization": "Bearer sandbox-key"}
    connection.request("PUT", f"{BASE}/user", headers=headers)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Allow")) == (405, "GET, HEAD, POST")
    assert json.loads(answer.read()) == {"message": "Method not allowed"}
    assert call(connection, "GET", f"{BASE}/user")[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(None, id="none"),
        pytest.param("{", id="not JSON"),
        pytest.param("[" * 100_000, id="nested deeply"),
        pytest.param("\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), id="not UTF-8"),
        pytest.param([], id="no object"),
        pytest.param({"name": "Zoe", "fullName": "Zoe"}, id="no email"),
        pytest.param({"email": "zoe@example.org"}, id="no name"),
        pytest.param({"name": "", "fullName": "", "email": "zoe@example.org"}, id="empty name"),
        pytest.param({"name": "Zoe", "fullName": "Zoe", "email": 1}, id="email a number"),
        pytest.param(
            {"name": "Z", "fullName": "Z", "email": generated_user(1).email}, id="email taken"
        ),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", f"{BASE}/user"), ("PATCH", f"{BASE}/user/{ADA.id}")]
)
def test_a_wrong_body_changes_nothing(
    sandbox: Sandbox, connection: http.client.HTTPConnection, method: str, path: str, body: object
) -> None:
    before = sandbox.users
    status, answer = call(connection, method, path, body)
    assert (status, set(answer)) == (400, {"message"})
    assert sandbox.users == before


def test_an_id_is_decoded_for_looking_up_only(
    sandbox: Sandbox, connection: http.client.HTTPConnection
) -> None:
    sandbox.add(User(id="a/b", name="Odd", email="odd@example.org"))
    assert call(connection, "DELETE", f"{BASE}/user/a%2Fb?x=1")[0] == 200
    [seen] = sandbox.seen
    assert (seen.target, seen.user_id) == (f"{BASE}/user/a%2Fb?x=1", "a/b")
    assert (seen.at, seen.method, seen.fault) == (NOW, "DELETE", None)


def test_a_user_can_be_added_only_once(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="exists"):
        sandbox.add(ADA)


def test_every_answer_is_dated_json(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    assert answer.getheader("Date") == "Fri, 02 Jan 2026 03:04:05 GMT"
    assert answer.getheader("Content-Type") == "application/json"


def test_faults_are_posted_and_deleted_without_a_key(
    connection: http.client.HTTPConnection,
) -> None:
    faults = [{"kind": "status", "status": 500, "count": None}, {"kind": "html"}]
    assert call(connection, "POST", "/_sandbox/faults", faults, None) == (200, {"added": 2})
    assert call(connection, "GET", f"{BASE}/user")[0] == 500
    assert call(connection, "DELETE", "/_sandbox/faults", None, None) == (200, {"cleared": 2})
    assert call(connection, "GET", f"{BASE}/user")[0] == 200


def test_wrong_faults_are_refused_with_the_reason(connection: http.client.HTTPConnection) -> None:
    assert call(connection, "POST", "/_sandbox/faults", [{"kind": "hang", "x": 1}], None) == (
        400,
        {"message": "fault 1: field x: there is no such field"},
    )


def test_log_and_users_can_be_fetched(connection: http.client.HTTPConnection) -> None:
    call(connection, "DELETE", f"{BASE}/user/{ADA.id}")
    assert call(connection, "GET", "/_sandbox/seen", None, None) == (
        200,
        [
            {
                "number": 1,
                "at": "2026-01-02T03:04:05+00:00",
                "method": "DELETE",
                "target": f"{BASE}/user/{ADA.id}",
                "status": 200,
                "fault": None,
                "changed": True,
                "user_id": ADA.id,
            }
        ],
    )
    status, users = call(connection, "GET", "/_sandbox/users", None, None)
    assert (status, [user["id"] for user in users]) == (
        200,
        [generated_user(1).id, generated_user(2).id],
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", "/_sandbox/faults", 405), ("GET", "/_sandbox/x", 404), ("GET", "/_sandbox", 404)],
)
def test_the_sandbox_has_no_other_controls(
    connection: http.client.HTTPConnection, method: str, path: str, status: int
) -> None:
    assert call(connection, method, path, None, None)[0] == status

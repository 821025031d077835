"""``users ...`` against the sandbox, and against answers that Forge's documents don't know."""

from __future__ import annotations

import base64
import json
import re
import ssl
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from world import KEY, Program, client, make_program, raw_server

from forge_gdpr.errors import ForgeGdprError
from forge_gdpr.forge.erasure import Eraser, Steps
from forge_gdpr.forge.looking import Question
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    import socket
    import subprocess
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from forge_gdpr.forge.userlist import ListedUser

ADA = generated_user(0)
FORGE_ID = "61ab8f99251cba0014437326"
NAMES_A_PERSON = "A user with the email ada@example.org exists"


def calling(folder: Path, url: str) -> Program:
    return make_program(
        folder, FORGE_GDPR_BASE_URL=url, FORGE_GDPR_API_KEY=KEY, FORGE_GDPR_TRIES="1"
    )


@pytest.fixture
def typed(tmp_path: Path, sandbox: Sandbox) -> Program:
    """The program with the sandbox."""
    return calling(tmp_path, sandbox.url)


@contextmanager
def answering(body: object, *, status: int = 200) -> Iterator[tuple[str, list[bytes]]]:
    """Serve one answer to every request; yield the address and the requests' first lines."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    requests: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1024) or b"\r\n\r\n"
        requests.append(head.split(b"\r\n")[0])
        length = re.search(rb"Content-Length: (\d+)", head)
        body_bytes = len(head) - head.index(b"\r\n\r\n") - 4
        while length is not None and body_bytes < int(length[1]):
            body_bytes += len(connection.recv(1024))
        connection.sendall(
            b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            % (status, len(content))
            + content
        )

    with raw_server(behave) as url:
        yield url, requests


def told(
    folder: Path, body: object, *words: str, status: int = 200
) -> subprocess.CompletedProcess[str]:
    """Return what ``users`` says when Forge answers so."""
    with answering(body, status=status) as (url, _):
        return calling(folder, url).here("users", *words)


GET = ("get", FORGE_ID)
DELETE = ("delete", FORGE_ID)
TOKEN = ("token", FORGE_ID)
UPDATE = ("update", FORGE_ID, "--full-name", "Ada", "--email", "a@example.org")
CREATE = ("create", "--name", "Ada", "--email", "a@example.org")
JSON = ("--output", "json")


def test_every_result_can_be_json(typed: Program, sandbox: Sandbox) -> None:
    created = json.loads(typed.here("users", *CREATE, *JSON).stdout)
    assert created == {"id": sandbox.users[-1].id}
    new_id = created["id"]
    token = json.loads(typed.here("users", "token", new_id, *JSON).stdout)
    assert set(token) == {"token", "expires_at"}
    deleted = typed.here("users", "delete", new_id, *JSON)
    assert (json.loads(deleted.stdout), deleted.stderr) == ({"deleted": True, "id": new_id}, "")


def test_a_user_is_shown_with_the_blocks_of_each_workflow(typed: Program) -> None:
    table = typed.here("users", "get", ADA.id).stdout
    assert re.search(r"Order to spreadsheet +True +shop, sheet$", table, re.MULTILINE)
    shown = json.loads(typed.here("users", "get", ADA.id, *JSON).stdout)
    workflow = shown["workflows"][0]
    assert (workflow["name"], workflow["blocks"]) == ("Order to spreadsheet", ["shop", "sheet"])


@pytest.mark.parametrize(
    ("workflows", "shown"),
    [
        pytest.param(None, [], id="null"),
        pytest.param(..., [], id="missing"),
        pytest.param({}, [], id="an object"),
        pytest.param("none", [], id="a text"),
        pytest.param([None, 3, []], [], id="no workflows"),
        pytest.param([{}], [(None, None, [])], id="an empty one"),
        pytest.param(
            [{"name": None, "active": "yes", "blocks": None}], [(None, None, [])], id="null fields"
        ),
        pytest.param(
            [{"name": "W", "active": True, "blocks": [None, {"name": "shop"}, {}, {"name": 3}]}],
            [("W", True, ["shop", 3])],
            id="odd blocks",
        ),
        pytest.param(
            [{"name": "W", "active": False, "blocks": [{"name": None, "displayName": "Shop"}]}],
            [("W", False, ["Shop"])],
            id="a block with another name",
        ),
    ],
)
def test_odd_workflows_hide_nobody(
    tmp_path: Path, workflows: object, shown: Sequence[object]
) -> None:
    body: dict[str, object] = {"_id": FORGE_ID, "email": "a@example.org", "fullName": None}
    if workflows is not ...:
        body["workflows"] = workflows
    done = told(tmp_path, body, *GET, *JSON)
    user = json.loads(done.stdout)
    assert (done.returncode, done.stderr, user["full_name"]) == (0, "", None)
    assert [(w["name"], w["active"], w["blocks"]) for w in user["workflows"]] == shown
    table = told(tmp_path, body, *GET)
    assert (table.returncode, FORGE_ID in table.stdout, "None" in table.stdout) == (0, True, False)


def test_an_answer_without_an_id_is_no_user(tmp_path: Path) -> None:
    bodies: list[Any] = [{}, [], None, {"_id": 7}, {"data": []}]
    for body in bodies:
        done = told(tmp_path, body, *GET)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (5, "", 1)
        assert "documented shape" in done.stderr


ODD: list[Any] = [
    {"_id": FORGE_ID, "email": "a@example.org", "fullName": "Ada"},
    {"_id": FORGE_ID, "email": "a@example.org", "fullName": None},
    {"_id": FORGE_ID, "fullName": "Ada"},
    {"email": "b@example.org", "fullName": "Bob"},
    {"_id": 42, "email": {"x": 1}, "fullName": "\ud800\x1b[31m"},
    None,
]


def test_odd_entries_are_listed_and_counted(tmp_path: Path) -> None:
    done = told(tmp_path, {"data": ODD}, "list", *JSON)
    said = (
        "5 entries are odd: an id, e-mail or name is missing or no text\n"
        "this may not be the whole list: 3 of its entries have no usable _id\n"
    )
    assert (done.returncode, done.stderr) == (0, said)
    assert [tuple(user.values()) for user in json.loads(done.stdout)] == [
        (FORGE_ID, "a@example.org", "Ada"),
        (FORGE_ID, "a@example.org", None),
        (FORGE_ID, None, "Ada"),
        (None, "b@example.org", "Bob"),
        (42, None, "?\x1b[31m"),
        (None, None, None),
    ]
    table = told(tmp_path, {"data": ODD[3:]}, "list")
    assert (table.returncode, "\x1b" in table.stdout) == (0, False)
    assert "3 entries are odd" in table.stderr
    assert "1 entry is odd" in told(tmp_path, {"data": ODD[:2]}, "list").stderr


@pytest.mark.parametrize(
    ("more", "hint"),
    [
        ({}, ""),
        ({"total": 1}, ""),
        ({"total": 2}, "the key total"),
        ({"next": None}, "the key next"),
    ],
)
def test_a_list_that_may_go_on_is_shown_with_a_word_on_it(
    tmp_path: Path, more: dict[str, object], hint: str
) -> None:
    user = {"_id": FORGE_ID, "email": "a@example.org", "fullName": "Ada"}
    done = told(tmp_path, {"data": [user]} | more, "list", *JSON)
    assert (done.returncode, len(json.loads(done.stdout))) == (0, 1)
    assert hint in done.stderr
    assert ("may not be the whole list" in done.stderr) is bool(hint)


@pytest.mark.parametrize("words", [("list",), CREATE])
@pytest.mark.parametrize("status", [404, 410])
def test_a_404_that_is_about_no_user_is_about_the_path(
    tmp_path: Path, words: tuple[str, ...], status: int
) -> None:
    done = told(tmp_path, b"default backend - 404", *words, status=status)
    line = f"error: this is not Forge's path (HTTP {status}): check FORGE_GDPR_BASE_URL\n"
    assert (done.returncode, done.stdout, done.stderr) == (5, "", line)


@pytest.mark.parametrize("words", [GET, DELETE, TOKEN, UPDATE])
def test_a_404_for_a_user_is_about_the_user(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = told(tmp_path, {"message": "User not found"}, *words, status=404)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "no such user" in done.stderr
    assert "(HTTP 404: User not found)" in done.stderr
    assert FORGE_ID not in done.stderr


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "A user with this email exists"}, ": A user with this email exists"),
        ({"error": "Bad Request"}, ": Bad Request"),
        ({"error": "Bad Request", "message": "Zoë's name"}, ": Zoë's name"),
        ({"message": " ", "error": "second"}, ": second"),
        ({"message": "two\nlines\x1b[31m\u202e"}, r": two\nlines\x1b[31m\u202e"),
        ({"message": "\ud800"}, r": \ud800"),
        ({"message": "x" * 200}, f": {'x' * 200}"),
        ({"message": "x" * 201}, f": {'x' * 199}…"),
        ({"message": "\n" * 150 + "x"}, ": x"),
        ({"message": "x" + "\n" * 150 + "x"}, ": x" + r"\n" * 99 + "…"),
        ({"message": f"{KEY} may not"}, ""),
        ({"message": ["a"], "error": {"message": "b"}}, ""),
        ({"message": ""}, ""),
        ([], ""),
        (b"<html>", ""),
    ],
)
def test_forges_own_words_are_shown(tmp_path: Path, body: object, words: str) -> None:
    done = told(tmp_path, body, *CREATE, status=400)
    hint = "" if words else ": check its values"
    assert done.stderr == f"error: Forge refuses this call (HTTP 400{words}){hint}\n"
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("words", [("list",), GET, DELETE, TOKEN, UPDATE, CREATE])
def test_forges_own_words_are_shown_by_every_command(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = told(tmp_path, {"message": "Permission denied"}, *words, status=401)
    line = (
        "error: Forge refuses the API key (HTTP 401: Permission denied): check FORGE_GDPR_API_KEY"
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "", f"{line}\n")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 302, 200])
def test_a_run_never_hears_forges_own_words(status: int) -> None:
    body = {"message": NAMES_A_PERSON, "error": NAMES_A_PERSON}

    def nobody() -> Callable[[ListedUser], None]:
        return lambda _user: None

    with answering(body, status=status) as (url, _), client(url) as forge:
        eraser = Eraser(forge, Steps())
        for ask in (
            forge.list_users,
            lambda: forge.read_users(nobody),
            lambda: eraser.read_directory(user_ids=[FORGE_ID], emails=[]),
        ):
            with pytest.raises(ForgeGdprError) as caught:
                ask()
            assert "ada" not in str(caught.value)
        if status not in {401, 403}:
            sight = eraser.look(Question(absent_ids=[FORGE_ID]))
            assert "ada" not in f"{sight.no_list} {sight!r}"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (200, []),
        (200, None),
        (200, 0),
        (200, "Unauthorized"),
        (200, {"success": False}),
        (200, {"success": 1}),
        (200, {"success": "true"}),
        (200, {"ok": True}),
        (200, {"error": "not allowed"}),
        (200, {"message": "Success"}),
        (200, b""),
        (200, b"<html>"),
        (201, {"success": True}),
        (202, {"success": True}),
        (206, {"success": True}),
        (302, {"success": True}),
    ],
)
def test_only_the_documented_answer_deletes(tmp_path: Path, status: int, body: object) -> None:
    done = told(tmp_path, body, *DELETE, "--yes", status=status)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (5, "", 1)


def test_a_denial_of_a_deletion_is_shown(tmp_path: Path) -> None:
    done = told(tmp_path, {"error": "not allowed"}, *DELETE)
    assert done.stderr == (
        "error: Forge does not say that it deleted the user (HTTP 200: not allowed): look with"
        " 'forge-gdpr users get'\n"
    )


def test_both_documented_answers_delete(tmp_path: Path) -> None:
    assert told(tmp_path, {"success": True, "more": 1}, *DELETE).stdout == "deleted\n"
    assert told(tmp_path, b"", *DELETE, status=204).stdout == "deleted\n"


def jwt(claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2ln"


def test_a_token_tells_when_it_expires(tmp_path: Path) -> None:
    token = jwt({"exp": 1_800_000_000})
    table = told(tmp_path, {"token": token}, *TOKEN)
    assert (table.stdout, table.stderr) == (f"{token}\n", "expires at 2027-01-15T08:00:00Z\n")
    done = told(tmp_path, {"token": token}, *TOKEN, *JSON)
    expected = {"token": token, "expires_at": "2027-01-15T08:00:00Z"}
    assert (json.loads(done.stdout), done.stderr) == (expected, "")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("opaque", id="no JWT"),
        pytest.param("a.%%%.b", id="no base64"),
        pytest.param("a.é.b", id="not ASCII"),
        pytest.param("a.e30.b.c", id="four parts"),
        pytest.param("a." + "W1tb" * 10_000 + ".b", id="nested deeply"),
        pytest.param(jwt([]), id="a list"),
        pytest.param(jwt({}), id="no claim"),
        pytest.param(jwt({"exp": None}), id="null"),
        pytest.param(jwt({"exp": True}), id="true"),
        pytest.param(jwt({"exp": "1800000000"}), id="a text"),
        pytest.param(jwt({"exp": 1e300}), id="too late"),
        pytest.param(jwt({"exp": float("nan")}), id="not a number"),
    ],
)
def test_a_token_that_does_not_tell_lives_as_long_as_the_documents_say(
    tmp_path: Path, token: str
) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    with answering({"token": token}) as (url, _):
        done = calling(tmp_path, url).here("users", *TOKEN, *JSON)
    assert (done.returncode, json.loads(done.stdout)["token"]) == (0, token)
    expires_at = datetime.fromisoformat(json.loads(done.stdout)["expires_at"])
    assert timedelta(minutes=30) <= expires_at - before < timedelta(minutes=31)
    assert "doesn't say when it expires" in done.stderr


@pytest.mark.parametrize("word", ["", "\x1b[2J", "a\nb", "\ud800", None, 7, {}])
def test_what_can_not_be_shown_is_no_id_and_no_token(tmp_path: Path, word: object) -> None:
    for words, name in ((CREATE, "userId"), (TOKEN, "token")):
        done = told(tmp_path, {name: word}, *words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (5, "", 1)


def test_an_updated_user_is_shown_with_what_is_there(tmp_path: Path) -> None:
    body = {"_id": FORGE_ID, "email": "a@example.org", "fullName": None}
    done = told(tmp_path, body, *UPDATE, *JSON)
    expected = {"id": FORGE_ID, "email": "a@example.org", "full_name": None}
    assert json.loads(done.stdout) == expected


def test_an_id_goes_out_as_it_is_typed(tmp_path: Path) -> None:
    with answering({"success": True}) as (url, requests):
        calling(tmp_path, url).here(
            "users", "delete", "61AB:c", FORGE_GDPR_USER_ID_PATTERN="[0-9A-F:c]+"
        )
    assert requests == [b"DELETE /forge/user/61AB%3Ac HTTP/1.1"]


@pytest.mark.parametrize("user_id", ["None", "undefined", "61ab", "a@b.de", "../x"])
@pytest.mark.parametrize("words", [GET, DELETE, TOKEN, UPDATE], ids=lambda words: words[0])
def test_what_is_no_id_is_never_sent(tmp_path: Path, words: tuple[str, ...], user_id: str) -> None:
    with answering({"success": True}) as (url, requests):
        command, _, *options = words
        done = calling(tmp_path, url).here("users", command, user_id, *options)
    assert (done.returncode, done.stdout, requests) == (2, "", [])
    assert done.stderr.startswith("error: wrong user id: this ")


def test_another_user_than_was_asked_for_is_not_shown(tmp_path: Path) -> None:
    other = {"_id": FORGE_ID[::-1], "email": "bob@example.org", "fullName": "Bob"}
    done = told(tmp_path, other, *GET)
    assert (done.returncode, done.stdout) == (5, "")
    assert "another user" in done.stderr


def test_a_failing_forge_is_told_with_its_cause(typed: Program, sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, status=522, count=None))
    done = typed.here("users", "list", FORGE_GDPR_TRIES="2")
    assert (done.returncode, done.stdout) == (5, "")
    assert "(HTTP 522; 2 tries)" in done.stderr
    dead = typed.here("users", *CREATE, FORGE_GDPR_BASE_URL="http://127.0.0.1:1/forge")
    assert (dead.returncode, "(connection refused; 1 try)" in dead.stderr) == (5, True)


def test_what_is_no_list_is_not_listed(tmp_path: Path) -> None:
    bodies: list[Any] = [{"data": {}}, {}, [], None]
    for body in bodies:
        done = told(tmp_path, body, "list")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (5, "", 1)


def test_a_certificate_that_is_not_trusted_is_told_with_its_reason(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with Sandbox(users=1, key=KEY, tls=context) as secure:
        done = calling(tmp_path, secure.url).here("users", "list")
    line = (
        "error: Forge is not trusted (certificate of an unknown authority): check"
        " FORGE_GDPR_BASE_URL and FORGE_GDPR_CA_FILE\n"
    )
    assert (done.returncode, done.stderr) == (5, line)

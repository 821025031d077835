"""Forge's list of all users, as it arrives."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest
from builders import USER_ID, moderately
from hypothesis import example, given
from hypothesis import strategies as st

from forge_gdpr.answers import Reply
from forge_gdpr.errors import ForgeUnavailableError
from forge_gdpr.forge.userlist import ListedUser, UserList, UserListReader
from forge_gdpr.identifiers import FORGE_ID, canonical_email, is_readable_email

if TYPE_CHECKING:
    from collections.abc import Iterable

ADA, BOB = "a" * 24, "b" * 24
ADAS = ListedUser(id=ADA, email="ada@example.org", full_name="Ada L")
BOBS = ListedUser(id=BOB, email="bob@example.org", full_name="Bob")
ADA_JSON = f'{{"_id": "{ADA}", "email": "ada@example.org", "fullName": "Ada L"}}'
BOB_JSON = f'{{"fullName": "Bob", "_id": "{BOB}", "email": "bob@example.org"}}'
NOT_A_LIST = "what answers GET /user is not Forge's list of users ({}): check FORGE_GDPR_BASE_URL"
DATE = "Tue, 31 Mar 2026 02:30:15 GMT"
EMPTY = UserList(users=0, without_email=0, without_id=0, partial=None, date=None)


class Pairs(list[tuple[str, object]]):
    """A JSON object with all that it says, also twice."""


def chunks(body: bytes, sizes: Iterable[int]) -> Iterable[bytes]:
    start = 0
    for size in cycle(sizes):
        if start >= len(body):
            return
        yield body[start : start + size]
        start += size


def read(
    body: str | bytes,
    *,
    sizes: Iterable[int] = (4096,),
    ignored: Iterable[str] = (),
    **changes: Any,
) -> tuple[UserList, list[ListedUser]]:
    users: list[ListedUser] = []
    reader = UserListReader(users.append, ignored_keys=frozenset(ignored))
    for chunk in chunks(body.encode() if isinstance(body, str) else body, sizes):
        if not reader.feed(chunk):
            break
    return reader.result(Reply(**{"status": 200} | changes)), users


def refusal(body: str | bytes, *, sizes: Iterable[int] = (4096,), **changes: Any) -> str:
    with pytest.raises(ForgeUnavailableError) as caught:
        read(body, sizes=sizes, **changes)
    return str(caught.value)


def listing(*entries: str, **beside: object) -> str:
    others = "".join(f', "{key}": {json.dumps(value)}' for key, value in beside.items())
    return f'{{"data": [{", ".join(entries)}]{others}}}'


def partial(body: str, *, ignored: Iterable[str] = (), **changes: Any) -> str | None:
    return read(body, ignored=ignored, **changes)[0].partial


def hint(key: str) -> str:
    return (
        f"it has the key {key} beside data, which may mean that there is more (once you know that"
        f" it does not: FORGE_GDPR_LIST_IGNORES={key})"
    )


# What a whole list is


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 4096])
def test_a_whole_list_hands_on_each_user(size: int) -> None:
    whole, users = read(listing(ADA_JSON, BOB_JSON), sizes=[size], date=DATE)
    assert users == [ADAS, BOBS]
    assert whole == UserList(users=2, without_email=0, without_id=0, partial=None, date=DATE)
    whole.require_whole()


def test_nobody_is_in_a_repr() -> None:
    _, users = read(listing(ADA_JSON))
    assert repr(users) == "[ListedUser()]"


@pytest.mark.parametrize("sizes", [[1], [4096]], ids=["byte by byte", "at once"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"data": []}', id="as documented"),
        pytest.param(' \r\n\t{ "data"\n:\t[ ] } \n', id="with white space"),
        pytest.param('{"d\\u0061ta": []}', id="with an escape in its key"),
        pytest.param('{"total": 0, "data": []}', id="with its count"),
    ],
)
def test_an_empty_list_is_a_list(body: str, sizes: list[int]) -> None:
    assert read(body, sizes=sizes) == (EMPTY, [])


def test_no_bytes_are_no_end() -> None:
    users: list[ListedUser] = []
    reader = UserListReader(users.append)
    body = listing(ADA_JSON).encode()
    assert [reader.feed(chunk) for chunk in (b"", body[:30], b"", body[30:], b"")] == [True] * 5
    assert reader.result(Reply(status=200)).partial is None
    assert users == [ADAS]


def test_users_are_handed_on_before_the_list_has_ended() -> None:
    users: list[ListedUser] = []
    reader = UserListReader(users.append)
    assert reader.feed(f'{{"data": [{ADA_JSON}'.encode())
    assert users == [ADAS]


# What an entry is

ENTRIES = [
    pytest.param(f'{{"_id": "{ADA}"}}', (ADA, None, None), id="an id alone"),
    pytest.param(
        f'{{"_id": "{ADA}", "email": null, "fullName": null}}', (ADA, None, None), id="nulls"
    ),
    pytest.param(f'{{"_id": "{ADA}", "email": ""}}', (ADA, None, None), id="an empty e-mail"),
    pytest.param(f'{{"_id": "{ADA}", "email": " \\t "}}', (ADA, None, None), id="a blank e-mail"),
    pytest.param(f'{{"_id": "{ADA}", "email": 7}}', (ADA, None, None), id="a number for an e-mail"),
    pytest.param(f'{{"_id": "{ADA}", "email": true}}', (ADA, None, None), id="a bool for one"),
    pytest.param(
        f'{{"_id": "{ADA}", "email": ["a@b.c"]}}', (ADA, None, None), id="a list for an e-mail"
    ),
    pytest.param(
        f'{{"_id": "{ADA}", "email": {{"email": "a@b.c", "_id": "{BOB}"}}}}',
        (ADA, None, None),
        id="an object for an e-mail",
    ),
    pytest.param(
        f'{{"_id": "{ADA}", "email": "Ada@Example.org", "fullName": ""}}',
        (ADA, "Ada@Example.org", ""),
        id="as it is written",
    ),
    pytest.param(
        f'{{"email": "\\u00e9\\ud83d\\ude00@b.c", "_id": "{ADA}"}}',
        (ADA, "é😀@b.c", None),
        id="escapes",
    ),
    pytest.param(f'{{"_id": "{ADA}", "fullName": "Ž"}}', (ADA, None, "Ž"), id="UTF-8"),
    pytest.param(f'{{"_id": "{ADA.upper()}"}}', (ADA.upper(), None, None), id="an id in capitals"),
    pytest.param(
        f'{{"workflows": [{{"_id": "x", "email": "x@b.c"}}, "_id"], "_id": "{ADA}",'
        f' "a": {{"_id": "y", "email": [{{"email": 1}}]}}, "email": "a@b.c"}}',
        (ADA, "a@b.c", None),
        id="the same names further inside",
    ),
    pytest.param(
        f'{{"_id": "{ADA}", "a": 1, "a": 2, "b": {{"c": 1, "c": 1}}}}',
        (ADA, None, None),
        id="a field that nobody reads, twice",
    ),
    pytest.param(
        f'{{"_id": "{ADA}", "ID": 1, "EMAIL": "x@b.c", "Email": "y@b.c"}}',
        (ADA, None, None),
        id="names in another case",
    ),
    pytest.param(
        f'{{"_id": "{ADA}", "big": 123456789012345678901234567890, "small": -1.5e-300}}',
        (ADA, None, None),
        id="large numbers",
    ),
]


@pytest.mark.parametrize("sizes", [[1], [4096]], ids=["byte by byte", "at once"])
@pytest.mark.parametrize(("entry", "user"), ENTRIES)
def test_of_an_entry_three_fields_are_read(
    entry: str, user: tuple[str, str | None, str | None], sizes: list[int]
) -> None:
    user_id, email, full_name = user
    whole, users = read(listing(entry), sizes=sizes)
    assert users == [ListedUser(id=user_id, email=email, full_name=full_name)]
    assert whole == UserList(
        users=1, without_email=int(email is None), without_id=0, partial=None, date=None
    )


@pytest.mark.parametrize("sizes", [[1], [4096]], ids=["byte by byte", "at once"])
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param("{}", id="empty"),
        pytest.param('{"email": "x@example.org"}', id="no id"),
        pytest.param('{"_id": null, "email": "x@example.org"}', id="a null"),
        pytest.param('{"_id": 42, "email": "x@example.org"}', id="a number"),
        pytest.param('{"_id": 4.2}', id="a float"),
        pytest.param('{"_id": true}', id="a bool"),
        pytest.param('{"_id": ""}', id="an empty id"),
        pytest.param('{"_id": " "}', id="a blank id"),
        pytest.param('{"_id": ".."}', id="an id that could change the path"),
        pytest.param(f'{{"_id": "{ADA}/x"}}', id="an id with a slash"),
        pytest.param(f'{{"_id": "{ADA}\\u0000"}}', id="an id with a control character"),
        pytest.param('{"_id": "\\ud800"}', id="a lone surrogate"),
        pytest.param(f'{{"_id": "{"a" * 129}"}}', id="an id that is too long"),
        pytest.param(f'{{"_id": ["{ADA}"]}}', id="an id in a list"),
        pytest.param(f'{{"_id": {{"$oid": "{ADA}"}}}}', id="an id in an object"),
        pytest.param(f'{{"_id": {{"_id": "{ADA}"}}}}', id="an id in itself"),
        pytest.param(f'{{"a": {{"_id": "{ADA}"}}}}', id="an id further inside"),
        pytest.param(f'{{"_id": "{ADA}", "_id": "{BOB}"}}', id="two ids"),
        pytest.param(f'{{"_id": "{ADA}", "_id": "{ADA}"}}', id="the same id twice"),
        pytest.param(f'{{"_id": "{ADA}", "_id": null}}', id="an id and none"),
        pytest.param(f'{{"_id": [], "_id": "{ADA}"}}', id="a list and an id"),
        pytest.param(f'{{"_id": "{ADA}", "email": "x@b.c", "email": "y@b.c"}}', id="two e-mails"),
        pytest.param(f'{{"_id": "{ADA}", "email": {{}}, "email": "y@b.c"}}', id="one of them odd"),
        pytest.param("null", id="null"),
        pytest.param("7", id="a number for an entry"),
        pytest.param("false", id="a bool for an entry"),
        pytest.param(f'"{ADA}"', id="a text for an entry"),
        pytest.param("[]", id="a list for an entry"),
        pytest.param(f'["_id", "{ADA}", {ADA_JSON}, [{ADA_JSON}]]', id="a list of entries"),
    ],
)
def test_an_entry_without_a_usable_id_makes_it_no_whole_list(entry: str, sizes: list[int]) -> None:
    reason = "1 of its entries have no usable _id"
    part, users = read(listing(ADA_JSON, entry, BOB_JSON), sizes=sizes)
    assert part == UserList(users=2, without_email=0, without_id=1, partial=reason, date=None)
    assert users == [ADAS, BOBS]
    message = f"Forge's list of users is not whole: {reason}; see 'forge-gdpr doctor'"
    with pytest.raises(ForgeUnavailableError, match=f"^{re.escape(message)}$"):
        part.require_whole()


def test_what_an_entry_lacks_is_not_taken_from_the_one_before() -> None:
    _, users = read(listing(ADA_JSON, f'{{"_id": "{BOB}"}}'))
    assert users == [ADAS, ListedUser(id=BOB, email=None, full_name=None)]


def test_odd_entries_are_counted_apart() -> None:
    part, _ = read(listing(ADA_JSON, f'{{"_id": "{BOB}"}}', "{}", "1", f'{{"_id": "{USER_ID}"}}'))
    assert (part.users, part.without_email, part.without_id) == (3, 2, 2)


# What makes it a part


@pytest.mark.parametrize(
    ("twin", "is_twin"),
    [
        pytest.param(ADA, True, id="the same id"),
        pytest.param(ADA.upper(), True, id="in capitals"),
        pytest.param(ADA[:23] + "b", False, id="another id"),
    ],
)
def test_the_same_id_twice_is_no_whole_list(twin: str, is_twin: bool) -> None:
    body = listing(ADA_JSON, BOB_JSON, f'{{"_id": "{twin}", "email": "x@example.org"}}')
    assert partial(body) == ("it has the same _id twice" if is_twin else None)


@pytest.mark.parametrize("key", ["total", "count", "totalCount", "total_count"])
@pytest.mark.parametrize(
    ("number", "is_whole"),
    [
        pytest.param(2, True, id="equal"),
        pytest.param(2.0, True, id="equal, with a point"),
        pytest.param(3, False, id="more"),
        pytest.param(1, False, id="less"),
        pytest.param(-2, False, id="negative"),
        pytest.param(2.5, False, id="a fraction"),
        pytest.param("2", False, id="a text"),
        pytest.param(True, False, id="a bool"),
        pytest.param(None, False, id="null"),
        pytest.param([2], False, id="a list"),
        pytest.param({"total": 2}, False, id="an object"),
    ],
)
def test_a_count_shows_wholeness_only_if_it_is_that_of_the_entries(
    key: str, number: object, is_whole: bool
) -> None:
    after = listing(ADA_JSON, BOB_JSON, **{key: number})
    before = f'{{"{key}": {json.dumps(number)}, "data": [{ADA_JSON}, {BOB_JSON}]}}'
    expected = None if is_whole else hint(key)
    assert (partial(after), partial(before)) == (expected, expected)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        pytest.param('{"data": [], "total": false}', "total", id="false is not 0"),
        pytest.param('{"data": [], "total": null}', "total", id="null is not 0"),
        pytest.param(f'{{"data": [{ADA_JSON}], "total": true}}', "total", id="true is not 1"),
        pytest.param('{"data": [], "total": 1e400}', "total", id="more than a float holds"),
        pytest.param('{"data": [], "total": 9223372036854775808}', "total", id="more than 64 bits"),
        pytest.param('{"data": [], "length": 0}', "length", id="a number of another name"),
        pytest.param('{"data": [], "Total": 0}', "Total", id="in another case"),
        pytest.param('{"data": [], "next": null}', "next", id="a page that there is not"),
        pytest.param('{"next": "/user?page=2", "data": []}', "next", id="a page before"),
        pytest.param('{"data": [], "hasMore": false}', "hasMore", id="no more, as it says"),
        pytest.param('{"data": [], "links": {"data": [1]}}', "links", id="data further inside"),
        pytest.param('{"data": [], "total": 0, "next": 1}', "next", id="beside an equal count"),
        pytest.param('{"data": [], "a": 1, "b": 2}', "a", id="the first of two"),
    ],
)
def test_any_other_key_may_mean_that_there_is_more(body: str, key: str) -> None:
    assert partial(body) == hint(key)


@pytest.mark.parametrize(
    "key", ["", "n\\nx ö\\u001b", "k" * 99, ADA, "ada@example.org", "42", "sk_live_7"]
)
def test_a_key_that_is_no_name_is_not_shown(key: str) -> None:
    assert partial(f'{{"data": [], "{key}": 1}}') == (
        "it has a key beside data that is no name, which may mean that there is more"
    )


@pytest.mark.parametrize(
    "email", ["n/a", "***", "a***@example.org", "(hidden)", "undefined", "a@b.cd, c@d.ef", "banana"]
)
def test_an_address_that_is_not_shown_whole_counts_as_none(email: str) -> None:
    users, _ = read(f'{{"data": [{{"_id": "{ADA}", "email": "{email}"}}]}}')
    assert users.without_email == 1


@pytest.mark.parametrize("user_id", ["42", f"ObjectId({ADA})", f"user_{ADA}", f"urn:{ADA}", ""])
def test_ids_in_another_form_make_no_list(user_id: str) -> None:
    assert partial(f'{{"data": [{{"_id": "{user_id}", "email": "a@b.cd"}}]}}') == (
        "1 of its entries have no usable _id"
    )


@pytest.mark.parametrize(
    ("ignored", "expected"),
    [
        pytest.param(["next", "meta"], None, id="all"),
        pytest.param(["next", "meta", "other"], None, id="and one that is not there"),
        pytest.param(["next"], "meta", id="one of two"),
        pytest.param(["Next", "meta"], "next", id="in another case"),
        pytest.param(["data"], "next", id="data itself"),
    ],
)
def test_keys_that_an_operator_has_looked_into_say_nothing(
    ignored: list[str], expected: str | None
) -> None:
    body = f'{{"next": 1, "data": [{ADA_JSON}], "meta": {{"next": [2]}}}}'
    assert partial(body, ignored=ignored) == (None if expected is None else hint(expected))


def test_a_count_may_be_ignored_too() -> None:
    assert partial(listing(ADA_JSON, total=250), ignored=["total"]) is None


def test_other_faults_are_not_ignored() -> None:
    assert partial(listing(ADA_JSON, ADA_JSON, next=1), ignored=["next"]) is not None
    assert partial(listing("{}", next=1), ignored=["next"]) is not None


def test_a_head_that_speaks_of_a_part_comes_first() -> None:
    body = listing(ADA_JSON, ADA_JSON, "{}", next=1)
    assert partial(body, partial="a Link header") == "its answer has a Link header"
    assert partial(body) == "1 of its entries have no usable _id"


# What is no list

BROKEN = [
    pytest.param("", "no JSON", id="nothing"),
    pytest.param("  \n", "no JSON", id="white space"),
    pytest.param("<!DOCTYPE html>", "no JSON", id="a page"),
    pytest.param("default backend - 404", "no JSON", id="plain text"),
    pytest.param("[]", "no object", id="an array"),
    pytest.param(f"[{ADA_JSON}]", "no object", id="an array of users"),
    pytest.param("7", "no object", id="a number"),
    pytest.param("null", "no object", id="null"),
    pytest.param('"data"', "no object", id="a text"),
    pytest.param("{}", "no data", id="an empty object"),
    pytest.param('{"error": {"data": []}}', "no data", id="data further inside"),
    pytest.param('{"Data": []}', "no data", id="data in another case"),
    pytest.param('{"data": null}', "its data is no list", id="null for data"),
    pytest.param('{"data": 0}', "its data is no list", id="a number for data"),
    pytest.param('{"data": "[]"}', "its data is no list", id="a text for data"),
    pytest.param('{"data": {}}', "its data is no list", id="an object for data"),
    pytest.param(f'{{"data": {ADA_JSON}}}', "its data is no list", id="one user"),
    pytest.param('{"data": {"data": []}}', "its data is no list", id="data in data"),
    pytest.param('{"data": [], "data": []}', "the same key twice", id="data twice"),
    pytest.param('{"data": 1, "data": 1}', "its data is no list", id="the first fault of two"),
    pytest.param('{"n": 1, "n": 1, "data": []}', "the same key twice", id="a key twice"),
    pytest.param('{"data": [], "": 1, "": 1}', "the same key twice", id="no name twice"),
    pytest.param('{"data": [], "n": 1, "\\u006e": 1}', "the same key twice", id="an escaped key"),
    pytest.param('{"data": [' + "[" * 63, "nested too deeply", id="nested too deeply"),
    pytest.param('{"a":' * 65, "nested too deeply", id="objects nested too deeply"),
    pytest.param('{"data": []} x', "no JSON", id="something after it"),
    pytest.param('{"data": []}{"data": []}', "no JSON", id="two lists"),
    pytest.param('{"data": []}"', "no JSON", id="a quotation mark after it"),
    pytest.param('{"data": []} "x}', "no JSON", id="a text without end after it"),
    pytest.param('{"data": [], "a": "\\""}"', "no JSON", id="after an escaped one"),
    pytest.param('{"data": []},', "no JSON", id="a comma after it"),
    pytest.param(b'{"data": []}\0', "no JSON", id="a null byte after it"),
    pytest.param('{"data": [', "no JSON", id="cut off in the list"),
    pytest.param('{"data": []', "no JSON", id="cut off before the end"),
    pytest.param(f'{{"data": [{ADA_JSON}, {{"_id": "', "no JSON", id="cut off in an entry"),
    pytest.param(f'{{"data": [{ADA_JSON},]}}', "no JSON", id="a comma too many"),
    pytest.param('{"data": [NaN]}', "no JSON", id="NaN"),
    pytest.param('{"data": [], "total": Infinity}', "no JSON", id="infinity"),
    pytest.param('{"data": [], "total": 01}', "no JSON", id="a leading zero"),
    pytest.param('{"data": [], "total": ' + "1" * 5000 + "}", "no JSON", id="5000 digits"),
    pytest.param('{"data": [' + "1" * 5000 + "]}", "no JSON", id="an entry of 5000 digits"),
    pytest.param(
        '{"data": [], "total": 1e99999999999999999999}', "no JSON", id="an exponent of 20 digits"
    ),
    pytest.param(b'\xef\xbb\xbf{"data": []}', "no JSON", id="a byte order mark"),
    pytest.param('{"data": []}'.encode("utf-16"), "no JSON", id="UTF-16"),
    pytest.param(b'{"data": [], "a": "\xff"}', "no JSON", id="not UTF-8"),
    pytest.param(b'{"data": [], "a": "\xed\xa0\x80"}', "no JSON", id="a surrogate in UTF-8"),
    pytest.param('{"data": [], "a": "\n"}', "no JSON", id="a line break in a text"),
    pytest.param('{"data": [], "a": "\\x"}', "no JSON", id="an escape that is none"),
    pytest.param("{'data': []}", "no JSON", id="single quotes"),
    pytest.param('/* list */{"data": []}', "no JSON", id="a comment"),
]


@pytest.mark.parametrize("sizes", [[1], [4096]], ids=["byte by byte", "at once"])
@pytest.mark.parametrize(("body", "reason"), BROKEN)
def test_what_is_no_list_is_refused(body: str | bytes, reason: str, sizes: list[int]) -> None:
    assert refusal(body, sizes=sizes) == NOT_A_LIST.format(reason)


def test_what_is_nested_as_deeply_as_is_read_is_a_list() -> None:
    assert read('{"data": [], "total": 0, "a":' + "[" * 63 + "]" * 63 + "}", ignored=["a"]) == (
        EMPTY,
        [],
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 12, 13, 4096])
@pytest.mark.parametrize(
    ("escaped", "name"),
    [
        pytest.param("\\ud83d\\ude00", "\U0001f600", id="a pair"),
        pytest.param("\\uD83D\\uDE00", "\U0001f600", id="a pair in capitals"),
        pytest.param("Ada \\ud83d", "Ada \uffff", id="the first half"),
        pytest.param("\\ude00 Ada", "\uffff Ada", id="the second half"),
        pytest.param("\\ude00\\ud83d", "\uffff\uffff", id="turned round"),
        pytest.param("\\ud83d\\ud83d\\ude00", "\uffff\U0001f600", id="one and a half"),
        pytest.param("\\ud83d\\u00e9", "\uffffé", id="a half and another character"),
        pytest.param("\\ud83d\\n", "\uffff\n", id="a half and a line break"),
        pytest.param("\\\\ud83d", "\\ud83d", id="a backslash and letters"),
        pytest.param("\\\\\\ud83d", "\\\uffff", id="a backslash and a half"),
        pytest.param("\\\\\\\\", "\\\\", id="backslashes"),
        pytest.param("\\ud7ff\\ue000", "\ud7ff\ue000", id="their neighbours"),
        pytest.param('\\"\\/\\b', '"/\b', id="other escapes"),
    ],
)
def test_half_an_emoji_in_a_name_makes_no_difference(escaped: str, name: str, size: int) -> None:
    entry = f'{{"_id": "{ADA}", "fullName": "{escaped}", "\\udc00": "\\ud800"}}'
    whole, users = read(listing(entry), sizes=[size])
    assert users == [ListedUser(id=ADA, email=None, full_name=name)]
    assert whole.partial is None


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00"])
def test_an_id_or_an_address_with_half_an_emoji_is_nobodys(half: str) -> None:
    part, _ = read(listing(f'{{"_id": "{ADA}{half}"}}'))
    assert (part.users, part.without_id) == (0, 1)
    _, [user] = read(listing(f'{{"_id": "{ADA}", "email": "{half}@example.org"}}'))
    assert canonical_email(user.email or "") is None


@pytest.mark.parametrize("sizes", [[1], [4096]], ids=["byte by byte", "at once"])
@pytest.mark.parametrize("end", ["\\", "\\u", "\\u00e", "\\ud83d", "\\ud83d\\", "\\ud83d\\ude0"])
@pytest.mark.parametrize("start", ['{"data": []}', '{"data": [], "a": "'])
def test_nothing_is_lost_that_a_backslash_begins(start: str, end: str, sizes: list[int]) -> None:
    assert refusal(start + end, sizes=sizes) == NOT_A_LIST.format("no JSON")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"cut": True}, "too long", id="cut"),
        pytest.param({"unreadable": True}, "it can't be decoded", id="can't be decoded"),
        pytest.param({"cut": True, "unreadable": True}, "too long", id="both"),
    ],
)
@pytest.mark.parametrize("body", [listing(ADA_JSON), f'{{"data": [{ADA_JSON}', "", "<html>"])
def test_what_did_not_arrive_whole_is_no_list(
    body: str, changes: dict[str, Any], reason: str
) -> None:
    assert refusal(body, **changes) == NOT_A_LIST.format(reason)


@pytest.mark.parametrize(
    "start",
    ["<", "[", "7 ", '{"data": 1,', '{"a": 1, "a"', '{"data": [], "a": 1e99999999999999999999,'],
)
def test_nothing_more_is_read_of_what_is_no_list(start: str) -> None:
    users: list[ListedUser] = []
    reader = UserListReader(users.append)
    assert not reader.feed(start.encode())
    assert not reader.feed(listing(ADA_JSON).encode())
    with pytest.raises(ForgeUnavailableError):
        reader.result(Reply(status=200))
    assert users == []


def test_neither_message_quotes_what_came() -> None:
    address = "ada@example.org"
    told = [
        refusal(f'{{"data": [{{"_id": "{address}"}}], "{address}'),
        refusal(f'{{"data": "{address}"}}'),
        partial(listing(f'{{"_id": "{address}/"}}')),
        partial(f'{{"data": [], "{address}": 1}}'),
    ]
    assert not [message for message in told if message is None or address in message]


# The same as an oracle says that holds all of it

IDS = st.sampled_from([ADA, ADA.upper(), BOB, USER_ID, "42", "", " ", "..", "a/b"])
TEXTS = st.text(st.sampled_from([*'aÖ\t\u2028😀@."\\/u', "\ud83d", "\ude00"]), max_size=8)
EMAILS = st.sampled_from(["", " ", "ada@example.org"])
NUMBERS = st.sampled_from([0, 1, 2, -1, 2.0, 1.5, 10**30, 1e300])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | EMAILS | IDS
FIELD_NAMES = st.sampled_from(["_id", "email", "fullName", "workflows", "data", ""])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(st.tuples(FIELD_NAMES, inner), max_size=3).map(Pairs)
    ),
    max_leaves=5,
)
USERS = st.tuples(
    IDS.map(lambda value: ("_id", value)),
    st.lists(st.tuples(FIELD_NAMES.filter(lambda name: name != "_id"), VALUES), max_size=3),
).flatmap(lambda entry: st.permutations([entry[0], *entry[1]]).map(Pairs))
LISTS = st.lists(USERS | USERS | USERS | VALUES, max_size=5)
KEYS = st.sampled_from(["total", "count", "totalCount", "total_count", "next", "", "Data"])
DOCUMENTS = st.tuples(
    LISTS | LISTS | LISTS | VALUES, st.lists(st.tuples(KEYS | st.just("data"), VALUES), max_size=2)
).flatmap(lambda parts: st.permutations([("data", parts[0]), *parts[1]]).map(Pairs))
IGNORED = st.frozensets(KEYS, max_size=3)
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)


def encoded(document: Pairs, *, ascii_only: bool) -> bytes:
    """Return the JSON of a document: no UTF-8 if half an emoji is not escaped."""
    return dumped(document, ascii_only=ascii_only).encode(errors="surrogatepass")


def dumped(value: object, *, ascii_only: bool) -> str:
    if isinstance(value, Pairs):
        fields = (
            f"{json.dumps(key)}:{dumped(inner, ascii_only=ascii_only)}" for key, inner in value
        )
        return f"{{{','.join(fields)}}}"
    if isinstance(value, list):
        return f"[{', '.join(dumped(inner, ascii_only=ascii_only) for inner in value)}]"
    return json.dumps(value, ensure_ascii=ascii_only)


def no_constant(name: str) -> object:
    raise ValueError(name)


def read_naively(
    body: bytes, ignored: frozenset[str]
) -> tuple[tuple[int, int, int, bool], list[ListedUser]] | None:
    try:
        document = json.loads(
            body.decode(),
            object_pairs_hook=Pairs,
            parse_float=Decimal,
            parse_constant=no_constant,
        )
    except ValueError:
        return None
    if not isinstance(document, Pairs) or len(dict(document)) < len(document):
        return None
    beside = dict(document)
    data = beside.pop("data", None)
    if type(data) is not list:
        return None
    entries = [read_entry(entry) for entry in data]
    users = [entry for entry in entries if entry is not None]
    is_whole = len(users) == len(entries) == len({user.id.lower() for user in users})
    for key, value in beside.items():
        is_count = key in {"total", "count", "totalCount", "total_count"}
        is_equal = type(value) in {int, Decimal} and value == len(users)
        is_whole = is_whole and (key in ignored or (is_count and is_equal))
    silent = sum(not is_readable_email(user.email or "") for user in users)
    return (len(users), silent, len(entries) - len(users), is_whole), users


def read_entry(entry: object) -> ListedUser | None:
    if not isinstance(entry, Pairs):
        return None
    fields = [pair for pair in entry if pair[0] in {"_id", "email", "fullName"}]
    texts = {
        key: re.sub("[\ud800-\udfff]", "\uffff", value)
        for key, value in fields
        if isinstance(value, str)
    }
    if len(dict(fields)) < len(fields) or not re.fullmatch(FORGE_ID, texts.get("_id", "")):
        return None
    email = texts.get("email", "")
    return ListedUser(
        id=texts["_id"], email=email if email.strip() else None, full_name=texts.get("fullName")
    )


def compare(body: bytes, sizes: list[int], ignored: frozenset[str]) -> None:
    expected = read_naively(body, ignored)
    if expected is None:
        with pytest.raises(ForgeUnavailableError):
            read(body, sizes=sizes, ignored=ignored)
        return
    found, users = read(body, sizes=sizes, ignored=ignored)
    figures = (found.users, found.without_email, found.without_id, found.partial is None)
    assert (figures, users) == expected


@moderately
@given(document=DOCUMENTS, ascii_only=st.booleans(), sizes=SIZES, ignored=IGNORED)
def test_a_list_is_read_in_any_pieces_as_if_it_came_at_once(
    document: Pairs, ascii_only: bool, sizes: list[int], ignored: frozenset[str]
) -> None:
    compare(encoded(document, ascii_only=ascii_only), sizes, ignored)


@moderately
@given(document=DOCUMENTS, sizes=SIZES, ignored=IGNORED, data=st.data())
def test_a_list_that_was_damaged_on_its_way_is_read_as_it_is_or_not_at_all(
    document: Pairs, sizes: list[int], ignored: frozenset[str], data: st.DataObject
) -> None:
    body = encoded(document, ascii_only=data.draw(st.booleans()))
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(start + 3, len(body))))
    putting = data.draw(st.sampled_from([b"", b"}", b"]", b",", b'"', b"0", b"\xc3", b"null"]))
    compare(body[:start] + putting + body[end:], sizes, ignored)


@moderately
@given(body=st.binary(max_size=80), sizes=SIZES)
@example(body=b'{"data":[' + b"7" * 4301 + b"]}", sizes=[4096])
def test_any_bytes_are_read_or_refused(body: bytes, sizes: list[int]) -> None:
    compare(body, sizes, frozenset())


@moderately
@given(document=DOCUMENTS, data=st.data())
def test_a_list_that_was_cut_off_is_never_a_list(document: Pairs, data: st.DataObject) -> None:
    body = encoded(document, ascii_only=True)
    end = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(ForgeUnavailableError):
        read(body[:end])

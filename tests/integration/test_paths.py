"""No user id leaves its place in the path: what really stands on the wire, for ids of all kinds."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final
from unicodedata import normalize
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import client, raw_server

from forge_gdpr.errors import InvalidUserIdError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

ANSWER: Final = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"success":true}'

ORDINARY: Final = "0123456789abcdefABCDEFghijkXYZ-_~"
#: Ids of these alone are harmless, but for their length.
HARMLESS: Final = (
    ORDINARY,
    "!$&'()*+,=:@[]{}|^`\"<>",
    "äöüßñçøłŽİıſ",
    "абвГДΩλשלוםعربي漢字かなカナ한글ไทย",
    "e\u0301a\u0308o\u0302\u0327n\u0303\u0361\u20dd\ufe0f",  # combining
    "😀🦄🇩🇪🧑🏽𝔘𝓈ℯ𝐫①²ﬁ㎏",
)
#: Each of these ends a segment, hides one, or is changed by somebody on its way.
NASTY: Final = (
    ".",
    "/\\",
    "%",
    "?#",
    ";",
    "\x00\x01\t\n\v\f\r\x1b\x7f",
    "\x80\x85\x9f",
    " \xa0\u1680\u2003\u2028\u2029\u202f\u3000",
    "\xad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202d\u202e\u2066\u2069\ufeff",  # bidi, format
    "．／＼％？＃；\u3000",  # fullwidth  # noqa: RUF001
    "…‥․℀℅⁄∕⧸⧵﹖﹟﹪﹨",  # these become dots and slashes, or look it  # noqa: RUF001
    "\ud800\udbff\udc00\udcff\udfff",  # surrogates
    "\ue000\ufdd0\uffff\U0010ffff",
)
WORDS: Final = (
    ".",
    "..",
    "...",
    "../",
    "/..",
    "..;",
    "..;/",
    ".;x",
    "//",
    "\\..\\",
    "%2e%2e",
    "%2E",
    "%2f",
    "%5C",
    "%252f",
    "%c0%af",
    "%00",
    "%",
    "?a=b",
    "#top",
    "/logs",
    ";v=1",
    "@evil.example",
    "http://evil.example/",
    "\r\nX-Evil: 1",
    " HTTP/1.1\r\n\r\nDELETE /forge/user/1",
    "．．／",  # noqa: RUF001
    "‥",
    "℀",
)
LONGEST: Final = 140


class Wire:
    """A client and a raw socket that notes each request as it came."""

    def __init__(self, delete: Callable[[str], object], heads: list[bytes]) -> None:
        self._delete = delete
        self._heads = heads

    def takes(self, user_id: str) -> bool:
        """Try to have a user deleted; see that the call is where it belongs, or isn't made."""
        self._heads.clear()
        try:
            self._delete(user_id)
        except InvalidUserIdError:
            assert self._heads == []
            return False
        (head,) = self._heads
        line, *_headers, end, rest = head.split(b"\r\n")
        assert (head.count(b"\n"), end, rest) == (head.count(b"\r\n"), b"", b"")
        method, target, version = line.split(b" ")
        assert (method, version) == (b"DELETE", b"HTTP/1.1")
        assert re.fullmatch(rb"/forge/user/([A-Za-z0-9_.~-]|%[0-9A-F]{2})+", target)
        assert unquote(target.decode().removeprefix("/forge/user/"), errors="strict") == user_id
        for form in (user_id, normalize("NFKC", user_id)):  # also for who decodes or normalises
            assert form.strip(".")
            assert not set(form) & set("/\\?#% ")
        return True


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    heads: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        head = b""
        while part := connection.recv(65536):
            head += part
            if head.endswith(b"\r\n\r\n"):
                heads.append(head)
                head = b""
                connection.sendall(ANSWER)

    with raw_server(answer) as url, client(url) as forge:
        yield Wire(lambda user_id: forge.call("DELETE", "user", user_id), heads)


@settings(max_examples=300, deadline=None)
@given(user_id=st.text(max_size=LONGEST) | st.sampled_from([*WORDS, "", "a/b", "…"]))
def test_no_id_leaves_its_place_in_the_path(user_id: str, wire: Wire) -> None:
    wire.takes(user_id)


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_none_of_many_strange_ids_leaves_its_place(wire: Wire, count: int) -> None:
    draw = random.Random(20260331)  # noqa: S311  # to be repeated
    sent = sum(wire.takes(strange_id(draw)) for _ in range(count))
    print(f"{count} ids: {sent} sent, {count - sent} refused")  # noqa: T201  # shown by -s
    assert count / 4 < sent < count * 3 / 4


def strange_id(draw: random.Random) -> str:
    """Return an id of 0 to 140 characters, about half of them harmless."""

    def some(*alphabets: str) -> str:
        length = draw.choice((0, 1, 2, 3, 24, 127, 128, 129, draw.randint(0, LONGEST)))
        return "".join(draw.choices("".join(alphabets), k=length))

    def amid(ordinary: str, word: str) -> str:
        at = draw.choice((0, len(ordinary), draw.randint(0, len(ordinary))))
        return ordinary[:at] + word + ordinary[at:]

    shapes: tuple[Callable[[], str], ...] = (
        lambda: some(draw.choice(HARMLESS)),
        lambda: some(*HARMLESS),
        lambda: some(draw.choice(HARMLESS), ".;"),
        lambda: amid(some(ORDINARY), draw.choice("".join(HARMLESS) + ".;")),
        lambda: amid(some(ORDINARY), draw.choice(draw.choice(NASTY))),
        lambda: amid(some(ORDINARY), draw.choice(WORDS)),
        lambda: "".join(draw.choices(WORDS, k=draw.randint(1, 5))),
        lambda: some(draw.choice(NASTY)),
        lambda: some(*NASTY, *HARMLESS),
        lambda: "".join(chr(draw.randrange(0x110000)) for _ in range(draw.randint(0, 3))),
    )
    return draw.choice(shapes)()[:LONGEST]

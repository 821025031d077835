"""Forge's list of all users, read as a stream: ``GET /user`` answers ``{"data": [...]}``.

A list of a million users is 100 MB, so it is never held: each user is handed on as it arrives.
And a list is whole or it is no list. No paging is documented, but a page would look just like a
list, so anything that hints at more makes it a part: another key beside ``data``, status 206, a
``Link`` or ``Content-Range`` header; and so does an id that is missing or there twice.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import ijson

from forge_gdpr.errors import ForgeUnavailableError
from forge_gdpr.identifiers import DEFAULT_PATTERN, is_readable_email, user_id_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from forge_gdpr.answers import Reply

#: A number beside ``data`` that equals the number of entries says that nothing is missing.
_COUNTS: Final = frozenset({"total", "count", "totalCount", "total_count"})
#: No documented answer is nested more deeply than four levels.
_DEEPEST: Final = 64
#: A key that is shown: no id, no address, no number is one.
_NAME: Final = re.compile(r"(?![0-9a-fA-F]{24}$)[A-Za-z_$][A-Za-z_$-]{0,39}")
_FIELDS: Final = frozenset({"_id", "email", "fullName"})
#: What the parser raises: no JSON, no UTF-8, or a number that Python can't hold. For an integer of
#: more than 4300 digits that is a `SystemError`, and half an event.
_UNPARSABLE: Final = (ijson.JSONError, ValueError, ArithmeticError, SystemError)
#: What a backslash begins. A name that was cut in the midst of an emoji has half of a pair, of
#: which the parser makes a question mark, or no UTF-8.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB]HH\\u[dD][c-fC-F]HH"
    rb"|(?P<unfinished>(?:u[dD][89abAB]HH(?:\\(?:uH{0,3})?)?|uH{0,3})?\Z)"
    rb"|(?P<half>u[dD][89a-fA-F]HH)"
    rb"|.)".replace(b"H", b"[0-9a-fA-F]"),
    re.DOTALL,
)
#: Stands for half a pair: a noncharacter, which is in no id and in no address.
_NO_CHARACTER: Final = rb"\uffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedUser:
    """A user as the list shows it. Not shown in a ``repr``: it is a person."""

    id: str = field(repr=False)
    email: str | None = field(repr=False)  #: None: the entry has none; it may be no address
    full_name: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserList:
    """What a list was, when it had arrived."""

    users: int  #: entries with an id
    without_email: int  #: of these, how many show no address that can be read
    without_id: int  #: entries that are no user
    partial: str | None  #: why it is no whole list; None: it is one
    date: str | None  #: of the answer, by its own clock

    def require_whole(self) -> None:
        """Refuse a part.

        Raises:
            ForgeUnavailableError: it is one; what is not in it proves nothing.
        """
        if self.partial is not None:
            raise ForgeUnavailableError(
                f"Forge's list of users is not whole: {self.partial}; see 'forge-gdpr doctor'"
            )


class UserListReader:
    """Takes the bytes of one answer and hands on each user. For one try of one call."""

    def __init__(
        self,
        take: Callable[[ListedUser], None],
        *,
        pattern: re.Pattern[str] = DEFAULT_PATTERN,
        ignored_keys: Collection[str] = (),
    ) -> None:
        """Start before the first byte.

        Args:
            take: is given each user. What it was given before the list proves to be partial or
                broken is to be forgotten.
            pattern: what an id looks like (USER_ID_PATTERN): ids in another form can't be compared
                with those of requests.
            ignored_keys: keys beside ``data`` that say nothing about more pages (LIST_IGNORES).
        """
        self._take = take
        self._pattern = pattern
        self._ignored = frozenset(ignored_keys)
        self._events: Any = ijson.sendable_list()
        self._parser: Any = ijson.basic_parse_coro(self._events)
        self._depth = 0
        self._key: str | None = None  # of the outermost object
        self._field: str | None = None  # of the entry that is being read
        self._entry: dict[str, str | None] = {}
        self._twice = False  # the entry has a field twice
        self._keys: dict[str, object] = {}
        self._hashes = array("q")
        self._users = self._without_email = self._without_id = 0
        self._unfinished = b""  # an escape whose end has not arrived
        self._quotes = 0  # so many begin or end a text
        self._broken: str | None = None  # why this is no answer of Forge's

    def feed(self, chunk: bytes) -> bool:
        """Read on; False: what comes is not needed any more, for this is no list."""
        chunk, self._unfinished = self._unfinished + chunk, b""
        chunk = _ESCAPE.sub(self._mended, chunk)
        self._quotes += chunk.count(b'"')
        if chunk:  # nothing would mean the end to the parser
            self._parse(chunk)
        return self._broken is None

    def result(self, reply: Reply) -> UserList:
        """Return what the list was, now that all of it has arrived.

        Raises:
            ForgeUnavailableError: it is no list of Forge's at all.
        """
        if reply.unreadable:
            self._broken = "it can't be decoded"
        elif self._unfinished or self._quotes % 2:  # the parser overlooks a text without end
            self._broken = self._broken or "no JSON"
        elif not reply.cut:
            self._parse(b"")
        if reply.cut or self._broken is not None or "data" not in self._keys:
            raise ForgeUnavailableError(
                "what answers GET /user is not Forge's list of users"
                f" ({'too long' if reply.cut else self._broken or 'no data'}):"
                " check FORGE_GDPR_BASE_URL"
            )
        return UserList(
            users=self._users,
            without_email=self._without_email,
            without_id=self._without_id,
            partial=self._partial(reply),
            date=reply.date,
        )

    def _mended(self, escape: re.Match[bytes]) -> bytes:
        """Return an escape as the parser understands it; nothing while its end is missing."""
        match escape.lastgroup:
            case "unfinished":
                self._unfinished = escape[0]
                return b""
            case "half":
                return _NO_CHARACTER
            case _:
                self._quotes -= escape[0].count(b'"')
                return escape[0]

    def _parse(self, chunk: bytes) -> None:
        if self._broken is not None:
            return
        try:
            if chunk:
                self._parser.send(chunk)
            else:
                self._parser.close()
        except _UNPARSABLE:  # and what is in the list of events now is not to be touched
            self._broken = "no JSON"
            return
        for event, value in self._events:
            self._note(event, value)
        del self._events[:]

    def _note(self, event: str, value: object) -> None:
        """Follow the answer: level 1 is the outermost object, 2 its data, 3 an entry."""
        if self._broken is not None:
            return  # the first fault is the one to be named
        match event:
            case "start_map" | "start_array":
                self._opened(event)
            case "end_map" | "end_array":
                if self._depth == 3 and self._in_data:  # noqa: PLR2004  # see above
                    self._finish_entry()
                self._depth -= 1
            case "map_key" if self._depth == 1:
                self._key = str(value)
                if self._key in self._keys:
                    self._broken = "the same key twice"
                self._keys[self._key] = None
            case "map_key":
                self._field = str(value) if self._depth == 3 else None  # noqa: PLR2004
            case _:
                self._scalar(event, value)

    @property
    def _in_data(self) -> bool:
        return self._key == "data"

    def _opened(self, event: str) -> None:
        self._depth += 1
        if self._depth == 1 and event != "start_map":
            self._broken = "no object"
        elif self._depth == 2 and self._in_data and event != "start_array":  # noqa: PLR2004
            self._broken = "its data is no list"
        elif self._depth > _DEEPEST:
            self._broken = "nested too deeply"
        elif self._depth == 3 and self._in_data:  # noqa: PLR2004
            self._entry, self._twice, self._field = {}, False, None
        elif self._depth == 4 and self._in_data:  # noqa: PLR2004
            self._keep(None)  # a field that should be a text, and is not

    def _scalar(self, event: str, value: object) -> None:
        if self._depth == 0:
            self._broken = "no object"
        elif self._depth == 1:
            self._keys[self._key or ""] = value if event == "number" else None
            if self._in_data:
                self._broken = "its data is no list"
        elif self._depth == 2 and self._in_data:  # noqa: PLR2004
            self._without_id += 1  # an entry that is no object
        elif self._depth == 3 and self._in_data:  # noqa: PLR2004
            self._keep(str(value) if event == "string" else None)

    def _keep(self, value: str | None) -> None:
        if self._field in _FIELDS:
            self._twice = self._twice or self._field in self._entry
            self._entry[self._field] = value

    def _finish_entry(self) -> None:
        user_id, email = self._entry.get("_id"), self._entry.get("email")
        if user_id is None or user_id_fault(user_id, self._pattern) is not None or self._twice:
            self._without_id += 1
            return
        if email is None or not email.strip():
            email = None
        if email is None or not is_readable_email(email):
            self._without_email += 1
        self._users += 1
        self._hashes.append(hash(user_id.lower()))
        self._take(ListedUser(id=user_id, email=email, full_name=self._entry.get("fullName")))

    def _partial(self, reply: Reply) -> str | None:
        """Return what hints at more, or makes the list unfit to show an absence."""
        if reply.partial is not None:
            return f"its answer has {reply.partial}"
        if self._without_id:
            return f"{self._without_id} of its entries have no usable _id"
        if self._has_twins():
            return "it has the same _id twice"
        for key, value in self._keys.items():
            if key == "data" or key in self._ignored or self._states_wholeness(key, value):
                continue
            return _hint(key)
        return None

    def _states_wholeness(self, key: str, value: object) -> bool:
        return key in _COUNTS and value is not None and value == self._users

    def _has_twins(self) -> bool:
        """Say whether an id is there twice: 8 bytes a user, not the id itself."""
        ordered = sorted(self._hashes)
        return any(a == b for a, b in pairwise(ordered))


def _hint(key: str) -> str:
    """Say which key may mean that there is more; what does not look like a name is data."""
    if _NAME.fullmatch(key) is None:
        return "it has a key beside data that is no name, which may mean that there is more"
    return (
        f"it has the key {key} beside data, which may mean that there is more (once you know that"
        f" it does not: FORGE_GDPR_LIST_IGNORES={key})"
    )

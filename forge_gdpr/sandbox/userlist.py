"""The list of users as it may come: whole, a page of it, with odd entries. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final
from urllib.parse import parse_qs

from forge_gdpr.sandbox.endpoints import path_of
from forge_gdpr.sandbox.wire import Answer


@unique
class Hint(StrEnum):
    """What a page says of the rest. Without a rest only the counts and the keys are there."""

    NONE = "none"  #: nothing: it looks like the whole list
    HAS_MORE = "has_more"  #: {"data": [...], "hasMore": true}; false on the last page
    NEXT = "next"  #: {"data": [...], "next": "/forge/..."}; null on the last page
    TOTAL = "total"  #: {"data": [...], "total": of all pages}
    COUNT = "count"  #: {"data": [...], "count": of this page}
    PARTIAL = "partial"  #: status 206; 200 if the answer holds everything
    LINK = "link"  #: Link: </forge/...>; rel="next"
    CONTENT_RANGE = "content_range"  #: Content-Range: users 0-99/250


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How much of the list is in one answer. ``?page=2`` asks for what follows the first page.

    Raises:
        ValueError: the size is negative.
    """

    size: int | None = None  #: users a page; None: all of them
    hint: Hint = Hint.NONE

    def __post_init__(self) -> None:
        """Refuse a page that can't be."""
        if self.size is not None and self.size < 0:
            raise ValueError(f"field size: {self.size!r} is out of range")


@unique
class Placement(StrEnum):
    """Where odd entries stand."""

    APPEND = "append"  #: after the users
    REPLACE = "replace"  #: in place of all users
    MERGE = "merge"  #: each in place of the user with its ``_id``; the others after the users


#: What is odd when nobody says what.
ODD_ENTRIES: Final[tuple[object, ...]] = (
    None,
    "61ab8f99251cba0014437326",
    {},
    {"_id": None, "fullName": "No Id", "email": "no.id@example.org"},
    {"_id": 61, "fullName": "Number Id", "email": "number.id@example.org"},
    {"_id": "61ab8f99251cba0014437326", "fullName": None, "email": None},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """What stands in the list that doesn't belong there: raw JSON values."""

    entries: Sequence[object] = ()
    placement: Placement = Placement.APPEND
    extra: Mapping[str, object] = field(default_factory=dict)  #: top-level keys; ``data`` is one


PLAIN: Final = Oddity()


def list_answer(
    users: Sequence[Mapping[str, object]], *, target: str, paging: Paging, oddity: Oddity = PLAIN
) -> Answer:
    """Return the answer to ``GET /user``.

    Args:
        users: all of them, as the API shows them.
        target: of the request; its ``page`` counts from 1, and one that is no number is 1.
        paging: how much goes into this answer.
        oddity: what else goes in, before the list is cut into pages.
    """
    entries = _placed(users, oddity)
    size = len(entries) if paging.size is None else paging.size
    page = 1 if paging.size is None else _page(target)
    start = (page - 1) * size
    data = entries[start : start + size]
    more = start + len(data) < len(entries)
    body: dict[str, object] = {"data": data}
    headers: tuple[tuple[str, str], ...] = ()
    status = 200
    follows = f"{path_of(target)}?page={page + 1}"
    match paging.hint:
        case Hint.NONE:
            pass
        case Hint.HAS_MORE:
            body["hasMore"] = more
        case Hint.NEXT:
            body["next"] = follows if more else None
        case Hint.TOTAL:
            body["total"] = len(entries)
        case Hint.COUNT:
            body["count"] = len(data)
        case Hint.PARTIAL:
            status = 200 if len(data) == len(entries) else 206
        case Hint.LINK:
            headers = (("Link", f'<{follows}>; rel="next"'),) if more else ()
        case Hint.CONTENT_RANGE:
            span = f"{start}-{start + len(data) - 1}" if data else "*"
            headers = (("Content-Range", f"users {span}/{len(entries)}"),)
    text = json.dumps(body | dict(oddity.extra))
    return Answer(status=status, body=text.encode(), headers=headers)


def _placed(users: Sequence[Mapping[str, object]], oddity: Oddity) -> list[object]:
    """Return the entries of the whole list, odd ones and all."""
    match oddity.placement:
        case Placement.REPLACE:
            return list(oddity.entries)
        case Placement.APPEND:
            return [*users, *oddity.entries]
        case Placement.MERGE:
            by_id: dict[object, int] = {user["_id"]: at for at, user in enumerate(users)}
            merged: list[object] = list(users)
            for entry in oddity.entries:
                name = entry.get("_id") if isinstance(entry, dict) else None
                at = by_id.get(name) if isinstance(name, str) else None
                if at is None:
                    merged.append(entry)
                else:
                    merged[at] = entry
            return merged


def _page(target: str) -> int:
    """Return the number of the page that a target asks for."""
    [text, *_] = parse_qs(target.partition("?")[2]).get("page", ["1"])
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 9 and int(text) else 1  # noqa: PLR2004  more digits than users

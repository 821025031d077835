"""What Forge's answers hold, by the documents; what looks different is not Forge.

Source: the Users API reference, 2021-12.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr.errors import (
    ForgeRejectedError,
    ForgeUnavailableError,
    KeyRefusedError,
    NotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forge_gdpr.answers import Reply

#: How long a token lives at most, by the documents.
TOKEN_LIFE: Final = timedelta(minutes=30)
#: Of Forge's own words, so much is shown.
_LONGEST_WORDS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of Forge as a list or a change shows it. Not shown in a ``repr``: it is a person."""

    id: str = field(repr=False)
    email: str = field(repr=False)
    full_name: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A user as Forge shows them to a person, documented or odd; None is what is not there."""

    id: str | int | None = field(repr=False)
    email: str | int | None = field(repr=False)
    full_name: str | int | None = field(repr=False)

    @property
    def is_odd(self) -> bool:
        """Whether something is missing, empty or no text."""
        return not all(isinstance(v, str) and v for v in (self.id, self.email, self.full_name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """What Forge runs for a user; the blocks name the apps the user was connected to."""

    id: str | int | None = field(repr=False)
    name: str | int | None = field(repr=False)
    active: bool | None
    blocks: tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDetail(Entry):
    """A user with what Forge runs for them."""

    workflows: tuple[Workflow, ...] = field(default=(), repr=False)


def documented(reply: Reply, *, of_user: bool = False, words: str | None = None) -> Any:  # noqa: ANN401  # JSON
    """Return the JSON of a good answer.

    Args:
        reply: of Forge, or of what stands in its place.
        of_user: the call named a user, so that a 404 can be about them.
        words: Forge's own, from `words_in`, to be shown if it refuses. They may name a person: None
            but for a person at a terminal.

    Raises:
        KeyRefusedError: 401, 403.
        NotFoundError: 404, 410 of a call that names a user.
        ForgeRejectedError: another 4xx.
        ForgeUnavailableError: anything else that is no 2xx with JSON.
    """
    answer = f"HTTP {reply.status}" if words is None else f"HTTP {reply.status}: {words}"
    match reply.status:
        case 401 | 403:
            raise KeyRefusedError(f"Forge refuses the API key ({answer}): check FORGE_GDPR_API_KEY")
        case 404 | 410 if of_user:
            raise NotFoundError(
                f"Forge has no such user, or FORGE_GDPR_BASE_URL is wrong ({answer}):"
                " try 'forge-gdpr users list'"
            )
        case 404 | 410:
            raise ForgeUnavailableError(
                f"this is not Forge's path ({answer}): check FORGE_GDPR_BASE_URL"
            )
        case status if 400 <= status < 500:  # noqa: PLR2004  # the class of client errors
            hint = ": check its values" if words is None else ""
            raise ForgeRejectedError(f"Forge refuses this call ({answer}){hint}")
        case status if not 200 <= status < 300:  # noqa: PLR2004  # not success
            raise ForgeUnavailableError(f"Forge answers {answer} here: check FORGE_GDPR_BASE_URL")
    if reply.status == HTTPStatus.NO_CONTENT:
        return None
    try:
        return reply.json()
    except ValueError:
        raise ForgeUnavailableError(
            "what answers here is not Forge (no JSON): check FORGE_GDPR_BASE_URL"
        ) from None


def word_in(entry: object, name: str) -> str:
    """Return a text that the documents promise and that can be shown as it is, like an id."""
    word = text_in(entry, name)
    if not word or not word.isprintable():
        raise _strange()
    return word


def entries_in(body: object) -> list[Entry]:
    """Return what the answer to ``GET /user`` lists, odd entries too.

    Raises:
        ForgeUnavailableError: it is no list.
    """
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list):
        raise _strange()
    return [entry_in(entry) for entry in data]


def entry_in(entry: object) -> Entry:
    """Return one user as they are shown to a person."""
    fields = entry if isinstance(entry, dict) else {}
    return Entry(
        id=_plain(fields.get("_id")),
        email=_plain(fields.get("email")),
        full_name=_plain(fields.get("fullName")),
    )


def detail_in(body: object) -> UserDetail:
    """Return the user in the answer to ``GET /user/:userId``.

    Raises:
        ForgeUnavailableError: it has no id.
    """
    text_in(body, "_id")
    entry = entry_in(body)
    return UserDetail(
        id=entry.id,
        email=entry.email,
        full_name=entry.full_name,
        workflows=tuple(_workflow_in(workflow) for workflow in _dicts(body, "workflows")),
    )


def words_in(reply: Reply, *, secret: str) -> str | None:
    """Return Forge's own words in an answer, fit for one line of a terminal; None without any.

    They may name a person.

    Args:
        reply: of any status.
        secret: words that hold it are left out.
    """
    try:
        body = reply.json()
    except ValueError:
        return None
    fields = body if isinstance(body, dict) else {}
    for name in ("message", "error"):
        text = fields.get(name)
        if isinstance(text, str) and text.strip() and secret not in text:
            return _on_one_line(text.strip())
    return None


def expiry_of(token: str) -> datetime | None:
    """Return when a JWT says that it expires (RFC 7519 §4.1.4); its signature is not looked at."""
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires = claims["exp"]
        if isinstance(expires, bool) or not isinstance(expires, int | float):
            return None
        return datetime.fromtimestamp(expires, UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return None


def text_in(entry: object, name: str) -> str:
    """Return a text that the documents promise."""
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, str):
        raise _strange()
    return value


def _strange() -> ForgeUnavailableError:
    return ForgeUnavailableError(
        "Forge's answer does not have the documented shape: check FORGE_GDPR_BASE_URL"
    )


def _workflow_in(workflow: Mapping[str, Any]) -> Workflow:
    blocks = [
        _plain(block.get("name")) or _plain(block.get("displayName"))
        for block in _dicts(workflow, "blocks")
    ]
    active = workflow.get("active")
    return Workflow(
        id=_plain(workflow.get("_id")),
        name=_plain(workflow.get("name")),
        active=active if isinstance(active, bool) else None,
        blocks=tuple(name for name in blocks if name is not None),
    )


def _dicts(fields: object, name: str) -> list[Mapping[str, Any]]:
    """Return the objects in a field that should hold a list of them; what is odd is left out."""
    values = fields.get(name) if isinstance(fields, dict) else None
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []


def _plain(value: object) -> str | int | None:
    """Return a text or a number that can be written anywhere; None for anything else."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()  # lone surrogates can't be written
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _on_one_line(text: str) -> str:
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text[: _LONGEST_WORDS + 1]
    )
    return shown if len(shown) <= _LONGEST_WORDS else f"{shown[: _LONGEST_WORDS - 1]}…"

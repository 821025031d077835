"""What Forge's answers hold, by the documents; what looks different is not Forge.

Source: the Users API reference, 2021-12.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from forge_gdpr.errors import (
    ForgeRejectedError,
    ForgeUnavailableError,
    KeyRefusedError,
    NotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from forge_gdpr.answers import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of Forge as a list or a change shows it. Not shown in a ``repr``: it is a person."""

    id: str = field(repr=False)
    email: str = field(repr=False)
    full_name: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDetail(User):
    """A user with what Forge runs for them."""

    workflows: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """That Forge is there and takes the key."""

    users: int
    date: datetime | None  #: of its answer, by its own clock


def documented(reply: Reply) -> Any:  # noqa: ANN401  # JSON
    """Return the JSON of a good answer.

    Raises:
        KeyRefusedError: 401, 403.
        NotFoundError: 404, 410.
        ForgeRejectedError: another 4xx.
        ForgeUnavailableError: anything else that is no 2xx with JSON.
    """
    match reply.status:
        case 401 | 403:
            raise KeyRefusedError(
                f"Forge refuses the API key (HTTP {reply.status}): check FORGE_GDPR_API_KEY"
            )
        case 404 | 410:
            raise NotFoundError(
                f"Forge has no such user, or FORGE_GDPR_BASE_URL is wrong (HTTP {reply.status}):"
                " try 'forge-gdpr users list'"
            )
        case status if 400 <= status < 500:  # noqa: PLR2004  # the class of client errors
            raise ForgeRejectedError(f"Forge refuses this call (HTTP {status}): check its values")
        case status if not 200 <= status < 300:  # noqa: PLR2004  # not success
            raise ForgeUnavailableError(
                f"Forge answers HTTP {status} here: check FORGE_GDPR_BASE_URL"
            )
    if reply.status == HTTPStatus.NO_CONTENT:
        return None
    try:
        return reply.json()
    except ValueError:
        raise ForgeUnavailableError(
            "what answers here is not Forge (no JSON): check FORGE_GDPR_BASE_URL"
        ) from None


def users_in(body: object) -> list[User]:
    """Return the users in the answer to ``GET /user``.

    Raises:
        ForgeUnavailableError: it does not have the documented shape.
    """
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list):
        raise _strange()
    return [user_in(entry) for entry in data]


def user_in(entry: object) -> User:
    """Return one user as a list or a change shows it."""
    return User(
        id=text_in(entry, "_id"),
        email=text_in(entry, "email"),
        full_name=text_in(entry, "fullName"),
    )


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

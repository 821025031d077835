"""Which endpoint a request target means. Pure."""

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote

#: The base path of the API.
BASE: Final = "/forge/2021-12"

#: ``users`` is /user, ``user`` is /user/:id, the others lie below it.
Endpoint = Literal["user", "users", "token", "logs"]

#: Every endpoint with the methods it takes; any other method is answered with 405.
METHODS: Final[dict[Endpoint, tuple[str, ...]]] = {
    "users": ("GET", "HEAD", "POST"),
    "user": ("GET", "HEAD", "PATCH", "DELETE"),
    "token": ("GET", "HEAD"),
    "logs": ("DELETE",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a target leads."""

    endpoint: Endpoint | None  #: None: no such path
    user_id: str | None = None  #: decoded, as Forge looks it up
    in_api: bool = True  #: False: outside of the base path, where no key is asked for


def locate(target: str) -> Place:
    """Return the place that a raw request target means.

    Percent-encoding is undone after the path is cut at its slashes, so ``a%2Fb`` is one id. Dot
    segments are not resolved: ``/user/..`` asks for the user named ``..``.
    """
    path = path_of(target)
    if not f"{path}/".startswith(f"{BASE}/"):
        return Place(endpoint=None, in_api=False)
    match path.removeprefix(BASE).split("/"):
        case ["", "user"] | ["", "user", ""]:
            return Place(endpoint="users")
        case ["", "user", user_id]:
            return Place(endpoint="user", user_id=unquote(user_id))
        case ["", "user", user_id, "token"]:
            return Place(endpoint="token", user_id=unquote(user_id))
        case ["", "user", user_id, "logs"]:
            return Place(endpoint="logs", user_id=unquote(user_id))
        case _:
            return Place(endpoint=None)


def path_of(target: str) -> str:
    """Return the path of a target in origin form (``/path?query``) or absolute form (a proxy's).

    Source: RFC 9112, section 3.2: a server must accept both.
    """
    path = target.partition("?")[0]
    if path.startswith(("http://", "https://")):
        return "/" + path.partition("://")[2].partition("/")[2]
    return path

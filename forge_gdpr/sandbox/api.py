"""What Forge does with a request. Pure but for the users it is given: no I/O, no clock, no faults.

The published reference leaves open what is chosen here:

* a missing user is 404, an unknown path 404, a known path with another method 405;
* a body that is no JSON object, or lacks a required field, or has an empty one: 400;
* an e-mail address that is taken: 400, like any other invalid field (409 would be as plausible);
* the key is looked at before anything else, so a wrong path with a wrong key is 401;
* HEAD is answered like GET, without the body (RFC 9110, section 9.3.2);
* what a token claims: see ``_token``.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from forge_gdpr.sandbox.accounts import Accounts
from forge_gdpr.sandbox.endpoints import METHODS, Place
from forge_gdpr.sandbox.userlist import PLAIN, Oddity, Paging, list_answer
from forge_gdpr.sandbox.users import User, Users, derived_id
from forge_gdpr.sandbox.wire import Answer, Request

TOKEN_LIFE: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What came of a request."""

    answer: Answer
    changed: bool = False  #: whether a user was created, changed or deleted
    user_id: str | None = None  #: of the user it was about, also if it exists no more or never did


def json_answer(status: int, value: object, *, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Return an answer with ``value`` as its JSON body."""
    return Answer(status=status, body=json.dumps(value).encode(), headers=headers)


_DELETED: Final = json_answer(200, {"success": True})
_LOGS_DELETED: Final = json_answer(200, {"message": "Success"})
_DENIED: Final = json_answer(401, {"message": "Permission denied"})
_NO_USER: Final = json_answer(404, {"message": "User not found"})
_NO_PATH: Final = json_answer(404, {"message": "Not found"})


class Api:
    """The endpoints over the users of every account."""

    def __init__(self, accounts: Accounts, *, token_secret: bytes) -> None:
        self.accounts = accounts
        self.paging = Paging()  #: of the list; may be changed at any time
        self._token_secret = token_secret
        self._tokens = 0
        self._lists: dict[Users, tuple[int, Answer]] = {}

    def apply(
        self,
        request: Request,
        place: Place,
        *,
        now: datetime,
        paging: Paging | None = None,
        oddity: Oddity = PLAIN,
    ) -> Effect:
        """Carry the request out and return what came of it.

        Args:
            request: as it arrived.
            place: where its target leads.
            now: the time of day.
            paging: how much of the list goes into this answer; None: as ``self.paging`` says.
            oddity: what else goes into the list.
        """
        users = self.accounts.find(_key(request))
        if users is None or not place.in_api:
            return Effect(answer=_DENIED if place.in_api else _NO_PATH, user_id=place.user_id)
        refusal = _refusal(request, place)
        if refusal is not None:
            return Effect(answer=refusal, user_id=place.user_id)
        if place.endpoint == "users":
            if request.method == "POST":
                return self._create(users, request.body)
            return self._list(users, request.target, paging or self.paging, oddity)
        user = users.find(place.user_id)
        if user is None:
            return Effect(answer=_NO_USER, user_id=place.user_id)
        return self._on_user(request, place, users, user, now=now)

    def pretend(self, place: Place) -> Effect:
        """Return the answer to a deletion that worked, without one."""
        answer = _LOGS_DELETED if place.endpoint == "logs" else _DELETED
        return Effect(answer=answer, user_id=place.user_id)

    def _on_user(
        self, request: Request, place: Place, users: Users, user: User, *, now: datetime
    ) -> Effect:
        match request.method, place.endpoint:
            case "DELETE", "user":
                users.remove(user)
                return Effect(answer=_DELETED, changed=True, user_id=user.id)
            case "DELETE", _:
                return Effect(answer=_LOGS_DELETED, user_id=user.id)
            case "PATCH", _:
                return self._change(users, user, request.body)
            case _, "token":
                answer = json_answer(200, {"token": self._token(user, now)})
            case _:
                answer = json_answer(200, _shown(user) | {"workflows": [_workflow(user)]})
        return Effect(answer=answer, user_id=user.id)

    def _list(self, users: Users, target: str, paging: Paging, oddity: Oddity) -> Effect:
        """Return the list; the ordinary one is kept until a user changes."""
        ordinary = paging == Paging() and oddity is PLAIN
        revision, answer = self._lists.get(users, (None, None))
        if not ordinary or answer is None or revision != users.revision:
            entries = [_shown(user) for user in users.all()]
            answer = list_answer(entries, target=target, paging=paging, oddity=oddity)
            if ordinary:
                self._lists[users] = users.revision, answer
        return Effect(answer=answer)

    def _create(self, users: Users, body: bytes) -> Effect:
        try:
            name, email = _required(body, "name", "email")
            user = users.create(name=name, email=email)
        except ValueError as error:
            return Effect(answer=json_answer(400, {"message": str(error)}))
        return Effect(answer=json_answer(200, {"userId": user.id}), changed=True, user_id=user.id)

    def _change(self, users: Users, user: User, body: bytes) -> Effect:
        try:
            name, email = _required(body, "fullName", "email")
            changed = users.change(user, name=name, email=email)
        except ValueError as error:
            return Effect(answer=json_answer(400, {"message": str(error)}), user_id=user.id)
        return Effect(
            answer=json_answer(200, _shown(changed)), changed=changed != user, user_id=user.id
        )

    def _token(self, user: User, now: datetime) -> str:
        """Return a new token.

        The reference names none of its claims: 2021-12 says that it lives for 30 minutes, and the
        sample of 2025-09 (docs.runalloy.com/reference/embedded/generate-jwt-token) is three rows of
        capital letters. So it has the registered ones (RFC 7519, section 4.1) that say this much,
        an id that makes each token another, and the user under the name the API has for it.
        """
        self._tokens += 1
        claims = {
            "userId": user.id,
            "jti": derived_id("token", user.id, self._tokens),
            "iat": int(now.timestamp()),
            "exp": int((now + TOKEN_LIFE).timestamp()),
        }
        return _jwt(claims, self._token_secret)


def _refusal(request: Request, place: Place) -> Answer | None:
    """Return the answer to a request that leads nowhere, None if it leads somewhere."""
    if place.endpoint is None:
        return _NO_PATH
    allowed = METHODS[place.endpoint]
    if request.method in allowed:
        return None
    headers = (("Allow", ", ".join(allowed)),)
    return json_answer(405, {"message": "Method not allowed"}, headers=headers)


def _key(request: Request) -> str:
    """Return the API key of a request, "" if it brings none.

    Source: RFC 9110, section 11.1: the scheme's case does not matter. Forge's own pages write both
    ``Bearer`` and ``bearer``.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip(" ") if scheme.lower() == "bearer" else ""


def _required(body: bytes, *fields: str) -> list[str]:
    """Return the fields' values out of a JSON body.

    Raises:
        ValueError: the body is no JSON object, or a field is missing, empty or not a string.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("The body is not JSON") from None
    if not isinstance(values, dict):
        raise ValueError("The body is not a JSON object")  # noqa: TRY004  both ways it is a 400
    found = [values.get(field) for field in fields]
    texts = [value for value in found if isinstance(value, str) and value]
    if len(texts) != len(fields):
        raise ValueError(f"Required: {', '.join(fields)}")
    return texts


def _shown(user: User) -> dict[str, object]:
    return {"_id": user.id, "fullName": user.name, "email": user.email}


def _workflow(user: User) -> dict[str, object]:
    """Return the one workflow each user has, so that the documented shape is there to be read."""
    return {
        "_id": derived_id("workflow", user.id),
        "parentId": derived_id("parent"),
        "name": "Order to spreadsheet",
        "active": True,
        "blocks": [
            {"icon": "https://example.org/shop.svg", "displayName": "Shop", "name": "shop"},
            {"icon": "https://example.org/sheet.svg", "displayName": "Sheet", "name": "sheet"},
        ],
    }


def _jwt(claims: dict[str, object], secret: bytes) -> str:
    """Return a signed JSON Web Token (RFC 7519, HS256)."""
    head = _base64url(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = f"{head}.{_base64url(json.dumps(claims).encode())}"
    signature = hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

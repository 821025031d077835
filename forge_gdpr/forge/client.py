"""Forge's Users API, call by call, with tries: six endpoints and the logs call.

Source: the Users API reference, 2021-12. What a missing user gets is not documented; 404 is usual.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import structlog
from requests import PreparedRequest
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from forge_gdpr.answers import TRANSIENT_STATUSES, Reply
from forge_gdpr.errors import ForgeRejectedError, ForgeUnavailableError
from forge_gdpr.forge.causes import CERTIFICATE_FAILURES, Failure
from forge_gdpr.forge.deadlines import DeadlineWatch
from forge_gdpr.forge.gate import Gate, Halt, HaltedError
from forge_gdpr.forge.shapes import (
    Entry,
    User,
    UserDetail,
    detail_in,
    documented,
    entries_in,
    entry_in,
    text_in,
    word_in,
    words_in,
)
from forge_gdpr.forge.transport import (
    BODY_LIMIT_BYTES,
    LIST_LIMIT_BYTES,
    Endpoint,
    Transport,
    TransportError,
    path_of,
)
from forge_gdpr.forge.userlist import ListedUser, UserList, UserListReader
from forge_gdpr.retries import RetryPolicy, http_date, retry_after_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from types import TracebackType


class FailedTryError(Exception):
    """A try failed in a way that another try may mend."""

    def __init__(
        self,
        *,
        cause: str,
        reached: bool,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(cause)
        self.cause = cause  #: in a few words: ``HTTP 503``, ``connection refused``
        self.reached = reached
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Trail:
    """What the tries of one call left behind, for the record."""

    tries: int = 0
    reached: bool = False  #: a try before the last may have reached Forge


class ForgeClient:
    """Calls Forge for any number of threads, each with its own connection. A context manager."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        gate: Gate,
        policy: RetryPolicy,
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
        draw: Callable[[], float],
    ) -> None:
        """Prepare; nothing is connected before the first call.

        Args:
            endpoint: where Forge is.
            gate: pace, breaker and halt, shared by all threads.
            policy: when a failed try is made again.
            monotonic: seconds that never go back.
            now: the wall clock, only for a Retry-After that names a date without a Date beside it,
                and for a certificate that has expired.
            draw: a random number from 0.0 to 1.0.

        Raises:
            ConfigurationError: no call to this endpoint could be what it is meant to be.
        """
        self.gate = gate
        self._endpoint = endpoint
        self._policy = policy
        self._monotonic = monotonic
        self._now = now
        self._draw = draw
        self._context = endpoint.tls_context()
        endpoint.aim(PreparedRequest(), path_of("user"))  # a worker would tell it too late
        self._watch = DeadlineWatch(monotonic=monotonic)
        self._threads = threading.local()
        self._transports: list[Transport] = []

    def __enter__(self) -> Self:
        self._watch.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watch.__exit__(kind, error, trace)
        for transport in self._transports:
            transport.close()

    def call(
        self,
        method: str,
        *segments: str,
        body: Mapping[str, str] | None = None,
        limit_bytes: int = BODY_LIMIT_BYTES,
        idempotent: bool = True,
        trail: Trail | None = None,
        feeder: Callable[[], Callable[[bytes], bool]] | None = None,
    ) -> Reply:
        """Make one call, with as many tries as the policy grants, and return the answer.

        Args:
            method: in capitals.
            segments: of the path below the base; each is checked.
            body: sent as JSON.
            limit_bytes: how much of the answer is read.
            idempotent: whether a try that may have reached Forge may be made again
                (RFC 9110 §9.2.2).
            trail: filled in with what the tries left behind.
            feeder: is called at the beginning of each try and returns what is given the body as it
                arrives; see `Transport.send`.

        Raises:
            FailedTryError: all tries failed; the last one's error.
            HaltedError: no call may be made in this run any more.
            InvalidUserIdError: a segment could change the path; nothing was sent.
        """
        path = path_of(*segments)
        trail = trail if trail is not None else Trail()

        def one_try() -> Reply:
            self.gate.turn()
            trail.tries += 1
            try:
                feed = None if feeder is None else feeder()
                return self._tried(method, path, body, limit_bytes=limit_bytes, feed=feed)
            except FailedTryError as error:
                trail.reached = trail.reached or error.reached
                if not idempotent and error.reached:
                    raise _FinalFailedTryError(error) from None
                raise

        try:
            return self._retrying()(one_try)
        except _FinalFailedTryError as final:
            raise final.error from None

    def read_users(self, taker: Callable[[], Callable[[ListedUser], None]]) -> UserList:
        """Read the list of all users, ``GET /user``, and hand each of them on.

        Args:
            taker: is called at the beginning of each try and returns what takes its users: what
                an earlier try handed on is to be forgotten.

        Raises:
            ForgeUnavailableError: no answer, or not in the documented shape.
            KeyRefusedError: 401 or 403.
            HaltedError: no call may be made in this run any more.
        """
        reader = self._reader(taker())

        def feeder() -> Callable[[bytes], bool]:
            nonlocal reader
            reader = self._reader(taker())
            return lambda chunk: not self.gate.halted and reader.feed(chunk)

        reply = self._reply("GET", "user", limit_bytes=LIST_LIMIT_BYTES, feeder=feeder)
        if self.gate.halted:
            raise HaltedError  # perhaps in the midst of it
        if reply.status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            return reader.result(reply)
        try:
            documented(reply)
        except ForgeRejectedError as error:  # nothing in this call is the caller's
            raise ForgeUnavailableError(str(error)) from None
        raise ForgeUnavailableError(
            f"Forge answers HTTP {reply.status} to GET /user: check FORGE_GDPR_BASE_URL"
        )

    def _reader(self, take: Callable[[ListedUser], None]) -> UserListReader:
        endpoint = self._endpoint
        return UserListReader(
            take, pattern=endpoint.user_id_pattern, ignored_keys=endpoint.list_ignores
        )

    def _tried(
        self,
        method: str,
        path: str,
        body: Mapping[str, str] | None,
        *,
        limit_bytes: int,
        feed: Callable[[bytes], bool] | None,
    ) -> Reply:
        try:
            reply = self._transport().send(
                method, path, body=body, limit_bytes=limit_bytes, feed=feed
            )
        except TransportError as error:
            if error.failure in CERTIFICATE_FAILURES:
                self.gate.halt(Halt.CERTIFICATE)
            self.gate.failed(self._located(error))
            raise FailedTryError(cause=error.cause, reached=error.reached) from None
        if reply.status not in TRANSIENT_STATUSES:
            self.gate.answered()
            return reply
        self.gate.failed(f"HTTP {reply.status}")
        asked_s = retry_after_s(reply.retry_after, now=http_date(reply.date) or self._now())
        if asked_s is not None and asked_s <= self._policy.longest_retry_after_s:
            self.gate.pause(asked_s)
        raise FailedTryError(
            cause=f"HTTP {reply.status}", reached=True, status=reply.status, retry_after_s=asked_s
        )

    def _located(self, error: TransportError) -> str:
        """Return in words what failed, and where."""
        host = urlsplit(self._endpoint.base_url).netloc
        refused = error.failure is Failure.REFUSED
        return f"{error.cause} by {host}" if refused else f"{error.cause} ({host})"

    def _transport(self) -> Transport:
        """Return this thread's connection."""
        transport: Transport | None = getattr(self._threads, "transport", None)
        if transport is None:
            transport = self._threads.transport = Transport(
                self._endpoint,
                context=self._context,
                watch=self._watch,
                monotonic=self._monotonic,
                now=self._now,
            )
            self._transports.append(transport)
        return transport

    def _retrying(self) -> Retrying:
        """Return tenacity's loop around the policy, made once a thread (9 µs a call, not 21)."""
        retrying: Retrying | None = getattr(self._threads, "retrying", None)
        if retrying is None:
            retrying = self._threads.retrying = Retrying(
                retry=retry_if_exception_type(FailedTryError),
                stop=lambda state: self._next_wait_s(state, 0.0) is None,
                wait=lambda state: self._next_wait_s(state, self._draw()) or 0.0,
                sleep=self.gate.wait,
                before_sleep=_log_retry,
                reraise=True,
            )
        return retrying

    def _next_wait_s(self, state: RetryCallState, draw: float) -> float | None:
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = error.retry_after_s if isinstance(error, FailedTryError) else None
        if self.gate.halted:
            return None
        return self._policy.next_wait_s(state.attempt_number, draw=draw, retry_after_s=asked_s)

    # The six endpoints, typed, for a person at a terminal.

    def list_users(self) -> list[User]:
        """Return all users of Forge: ``GET /user``; no paging is documented.

        Raises:
            ForgeUnavailableError: no answer, or no whole list in the documented shape.
            KeyRefusedError: 401 or 403.
        """
        users: list[User] = []

        def taker() -> Callable[[ListedUser], None]:
            users.clear()
            return lambda user: users.append(
                User(id=user.id, email=user.email or "", full_name=user.full_name or "")
            )

        self.read_users(taker).require_whole()
        return users

    def list_entries(self) -> tuple[list[Entry], str | None]:
        """Return all that ``GET /user`` lists, odd entries too, for a person at a terminal.

        Returns:
            The entries, and why there may be more users than these; None if it is a whole list.

        Raises:
            as `list_users`; their messages hold Forge's own words.
        """
        reply = self._reply("GET", "user", limit_bytes=LIST_LIMIT_BYTES)
        words = words_in(reply, secret=self._endpoint.api_key)
        entries = entries_in(documented(reply, words=words))
        reader = self._reader(lambda _user: None)
        reader.feed(reply.body)
        return entries, reader.result(reply).partial

    def get_user(self, user_id: str) -> UserDetail:
        """Return one user: ``GET /user/:userId``.

        Raises:
            NotFoundError: Forge has no such user.
        """
        user = detail_in(self._told("GET", "user", user_id))
        if str(user.id).lower() != user_id.lower():
            raise ForgeUnavailableError(
                "Forge answers with another user than the one that was asked for: ask its support"
            )
        return user

    def create_user(self, *, name: str, email: str) -> str:
        """Make a user and return the id: ``POST /user``. Never made twice by a retry."""
        body = {"name": name, "email": email}
        return word_in(self._told("POST", "user", body=body, idempotent=False), "userId")

    def update_user(self, user_id: str, *, email: str, full_name: str) -> Entry:
        """Change a user: ``PATCH /user/:userId``; both fields are required."""
        body = {"email": email, "fullName": full_name}
        answer = self._told("PATCH", "user", user_id, body=body)
        text_in(answer, "_id")
        return entry_in(answer)

    def delete_user(self, user_id: str) -> None:
        """Delete a user and all workflows: ``DELETE /user/:userId``.

        Raises:
            ForgeUnavailableError: Forge does not say that it did, as documented.
        """
        reply = self._reply("DELETE", "user", user_id)
        words = words_in(reply, secret=self._endpoint.api_key)
        answer = documented(reply, of_user=True, words=words)
        if reply.status == HTTPStatus.NO_CONTENT or (
            reply.status == HTTPStatus.OK
            and isinstance(answer, dict)
            and answer.get("success") is True
        ):
            return
        status = f"HTTP {reply.status}" if words is None else f"HTTP {reply.status}: {words}"
        raise ForgeUnavailableError(
            f"Forge does not say that it deleted the user ({status}): look with"
            " 'forge-gdpr users get'"
        )

    def delete_logs(self, user_id: str) -> None:
        """Delete a user's workflow logs: ``DELETE /user/:userId/logs``; needs the account."""
        self._told("DELETE", "user", user_id, "logs")

    def token(self, user_id: str) -> str:
        """Return a JWT for the Forge modal, good for 30 minutes: ``GET /user/:userId/token``."""
        return word_in(self._told("GET", "user", user_id, "token"), "token")

    def _told(self, method: str, *segments: str, **options: Any) -> Any:  # noqa: ANN401  # JSON
        """Return a good answer's JSON; the error for any other has Forge's own words.

        They may name a person: not for a run, nor for anything that is logged.
        """
        reply = self._reply(method, *segments, **options)
        words = words_in(reply, secret=self._endpoint.api_key)
        return documented(reply, of_user=len(segments) > 1, words=words)

    def _reply(self, method: str, *segments: str, **options: Any) -> Reply:  # noqa: ANN401
        trail = Trail()
        try:
            return self.call(method, *segments, trail=trail, **options)
        except FailedTryError as error:
            if self.gate.halt_reason is Halt.CERTIFICATE:
                raise ForgeUnavailableError(
                    f"Forge is not trusted ({error.cause}): check FORGE_GDPR_BASE_URL and"
                    " FORGE_GDPR_CA_FILE"
                ) from None
            tries = "1 try" if trail.tries == 1 else f"{trail.tries} tries"
            raise ForgeUnavailableError(
                f"Forge can't be reached or answers badly ({error.cause}; {tries}):"
                " try again later, or check FORGE_GDPR_BASE_URL"
            ) from None


class _FinalFailedTryError(Exception):
    """A failed try that must not be made again."""

    def __init__(self, error: FailedTryError) -> None:
        super().__init__()
        self.error = error


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    structlog.get_logger().debug(
        "retry.scheduled",
        tried=state.attempt_number,
        wait_s=round(state.upcoming_sleep, 3),
        status=error.status if isinstance(error, FailedTryError) else None,
    )

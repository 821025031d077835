"""Forge behind its sockets: users, faults and the log behind one lock. Knows nothing of networks.

Requests come from the server's thread, snapshots and test helpers from any other. What a request
does to the users and its entry in the log appear together.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from threading import Lock

from forge_gdpr.sandbox.api import Api, Effect, json_answer
from forge_gdpr.sandbox.delivery import Delivery, Envelope, faulty, whole
from forge_gdpr.sandbox.endpoints import Place, locate
from forge_gdpr.sandbox.faults import EFFECTIVE, Fault, FaultKind
from forge_gdpr.sandbox.script import Script
from forge_gdpr.sandbox.seen import Log, Seen
from forge_gdpr.sandbox.userlist import Paging
from forge_gdpr.sandbox.users import User
from forge_gdpr.sandbox.wire import Answer, MalformedRequestError, Request

_UNTOUCHED = Effect(answer=Answer(status=500))


class Simulator:
    """What Forge holds, does and was asked."""

    def __init__(
        self, api: Api, *, script: Script, clock: Callable[[], datetime], latency_s: float
    ) -> None:
        self._api = api
        self._script = script
        self._clock = clock
        self._latency_s = latency_s
        self._log = Log()
        self._lock = Lock()
        self._dated = datetime.min.replace(tzinfo=UTC)
        self._date = ""

    def users(self, key: str | None = None) -> tuple[User, ...]:
        """Return the users of a key's account; without a key those of the main account.

        Raises:
            UnknownKeyError: no account has this key.
        """
        with self._lock:
            return self._api.accounts.of(key).all()

    def paging(self) -> Paging:
        """Return how the list is cut."""
        with self._lock:
            return self._api.paging

    def cut(self, paging: Paging) -> None:
        """Cut the list from now on like this."""
        with self._lock:
            self._api.paging = paging

    def seen(self) -> tuple[Seen, ...]:
        """Return the log."""
        with self._lock:
            return self._log.all()

    def add(self, user: User, *, key: str | None) -> None:
        """Put a user; see ``Accounts.add``."""
        with self._lock:
            self._api.accounts.add(user, key=key)

    def add_key(self, key: str, *, like: str | None) -> None:
        """Let a new key reach an account; see ``Accounts.add_key``."""
        with self._lock:
            self._api.accounts.add_key(key, like=like)

    def remove_key(self, key: str) -> None:
        """Let a key reach nothing any more; see ``Accounts.remove_key``."""
        with self._lock:
            self._api.accounts.remove_key(key)

    def extend(self, faults: Iterable[Fault]) -> None:
        """Append faults to the script."""
        with self._lock:
            self._script.extend(faults)

    def clear(self) -> int:
        """Forget all faults; return how many there were."""
        with self._lock:
            return self._script.clear()

    def react(self, request: Request) -> tuple[int, Delivery]:
        """Carry out a request; return its number in the log and what goes out."""
        place = locate(request.target)
        now = self._clock()
        with self._lock:
            fault = self._script.strike(
                method=request.method, path=place.endpoint, user_id=place.user_id
            )
            effect = self._effect(request, place, fault, now)
            number = self._log.next_number()
            self._log.append(
                Seen(
                    number=number,
                    at=now,
                    method=request.method,
                    target=request.target,
                    status=None,
                    fault=None if fault is None else fault.kind,
                    changed=effect.changed,
                    user_id=effect.user_id or place.user_id,
                )
            )
        envelope = self._envelope(request, now)
        if fault is None:
            delivery = whole(effect.answer, envelope)
        else:
            delivery = faulty(fault, effect.answer, envelope)
        if self._latency_s > 0.0:
            delivery = replace(delivery, wait_s=delivery.wait_s + self._latency_s)
        return number, delivery

    def refuse(self, error: MalformedRequestError) -> tuple[int, Delivery]:
        """Log a request that can't be read; return its number and what goes out."""
        now = self._clock()
        with self._lock:
            number = self._log.next_number()
            self._log.append(
                Seen(
                    number=number,
                    at=now,
                    method=error.method,
                    target=error.target,
                    status=None,
                    fault=None,
                    changed=False,
                    user_id=None,
                )
            )
        envelope = Envelope(method=error.method, close=True, date=self._date_header(now))
        return number, whole(json_answer(error.status, {"message": str(error)}), envelope)

    def plain(self, request: Request, answer: Answer) -> Delivery:
        """Return the delivery of an answer that is not Forge's: no log, no fault, no latency."""
        return whole(answer, self._envelope(request, self._clock()))

    def sent(self, number: int, status: int) -> None:
        """Note that request ``number`` was answered, whole, with ``status``."""
        with self._lock:
            self._log.sent(number, status)

    def _effect(self, request: Request, place: Place, fault: Fault | None, now: datetime) -> Effect:
        """Let the request take effect, unless the fault keeps it from doing so."""
        if fault is None:
            return self._api.apply(request, place, now=now)
        if fault.kind is FaultKind.LIE:
            return self._api.pretend(place)
        if fault.kind not in EFFECTIVE:
            return _UNTOUCHED
        paging = fault.paging(self._api.paging)
        return self._api.apply(request, place, now=now, paging=paging, oddity=fault.oddity)

    def _envelope(self, request: Request, now: datetime) -> Envelope:
        return Envelope(
            method=request.method, close=not request.keep_alive, date=self._date_header(now)
        )

    def _date_header(self, now: datetime) -> str:
        """Return the ``Date`` header, made once a second."""
        second = now.replace(microsecond=0)
        if second != self._dated:
            self._dated, self._date = second, format_datetime(second, usegmt=True)
        return self._date

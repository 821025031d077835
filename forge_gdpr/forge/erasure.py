"""Erasing one user: the steps, and what they showed. HTTP only: no database, no audit."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from forge_gdpr.answers import NEEDS_PROOF, Reply, Verdict, judge
from forge_gdpr.errors import ForgeGdprError, KeyRefusedError
from forge_gdpr.forge.client import FailedTryError, ForgeClient, Trail
from forge_gdpr.forge.gate import Halt, HaltedError
from forge_gdpr.forge.shapes import documented, users_in
from forge_gdpr.forge.transport import LIST_LIMIT_BYTES

if TYPE_CHECKING:
    from forge_gdpr.forge.shapes import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What an erasure consists of, beside deleting the account."""

    erase_logs: bool = False
    verify: bool = False

    @property
    def names(self) -> list[str]:
        """The steps in their order, as the record names them."""
        return [
            *(["logs"] if self.erase_logs else []),
            "account",
            *(["verify"] if self.verify else []),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step as it ended: for the record, without the user."""

    name: str
    http_status: int | None
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What one attempt at one user showed."""

    verdict: Verdict | None  #: None: halted before Forge said anything about this user
    http_status: int | None = None
    tries: int = 0
    reached: bool = False  #: a try before the last answer may have reached Forge
    still_present: bool = False  #: deleted, yet GET still finds the user
    retry_after_s: float | None = None
    steps: tuple[Step, ...] = ()


class Eraser:
    """Erases users, in any number of threads."""

    def __init__(self, client: ForgeClient, steps: Steps) -> None:
        """Start without proof that key, host and path are right."""
        self._client = client
        self._steps = steps
        self._proof_lock = threading.Lock()
        self._proved = False

    def list_users(self) -> list[User]:
        """Return all users; that is also proof.

        Raises:
            ForgeGdprError: they can't be listed.
        """
        users = self._client.list_users()
        self._proved = True
        return users

    def erase(self, user_id: str) -> Erasure:
        """Erase one user: the logs if asked, the account, and a look afterwards if asked.

        Logs come first: their call needs the account. Whatever the logs call does not delete
        stops the attempt, for afterwards there is no way back to them.
        """
        done: list[Step] = []
        result = Erasure(verdict=None)
        for name, method, segments in self._plan(user_id):
            result = self._step(name, method, segments, done)
            absent_logs = name == "logs" and result.verdict is Verdict.ABSENT
            if result.verdict is not Verdict.ERASED and not absent_logs:
                return result
        return self._verified(user_id, result, done) if self._steps.verify else result

    def _plan(self, user_id: str) -> list[tuple[str, str, tuple[str, ...]]]:
        logs = ("logs", "DELETE", ("user", user_id, "logs"))
        account = ("account", "DELETE", ("user", user_id))
        return [logs, account] if self._steps.erase_logs else [account]

    def _step(self, name: str, method: str, segments: tuple[str, ...], done: list[Step]) -> Erasure:
        trail = Trail()
        status: int | None = None
        asked_s: float | None = None
        verdict: Verdict | None
        try:
            reply = self._client.call(method, *segments, trail=trail)
        except HaltedError:
            verdict = None
        except FailedTryError as error:
            verdict, status, asked_s = Verdict.TRANSIENT, error.status, error.retry_after_s
        else:
            status = reply.status
            verdict = self._trusted(judge(reply))
        done.append(Step(name=name, http_status=status, tries=trail.tries))
        return Erasure(
            verdict=verdict,
            http_status=status,
            tries=sum(step.tries for step in done),
            reached=trail.reached,
            retry_after_s=asked_s,
            steps=tuple(done),
        )

    def _verified(self, user_id: str, erased: Erasure, done: list[Step]) -> Erasure:
        """Ask Forge for the user that it says it has deleted."""
        trail = Trail()
        status: int | None = None
        # If nobody could look, the deletion stands, and the record says so.
        with contextlib.suppress(HaltedError, FailedTryError):
            status = self._client.call("GET", "user", user_id, trail=trail).status
        done.append(Step(name="verify", http_status=status, tries=trail.tries))
        present = status == HTTPStatus.OK
        return Erasure(
            verdict=Verdict.UNEXPECTED if present else erased.verdict,
            http_status=erased.http_status,
            tries=erased.tries + trail.tries,
            reached=erased.reached,
            still_present=present,
            steps=tuple(done),
        )

    def _trusted(self, verdict: Verdict) -> Verdict | None:
        """Return the verdict, or None after halting the run if it says nothing about the user."""
        if verdict is Verdict.KEY_REFUSED:
            self._client.gate.halt(Halt.KEY_REFUSED)
        elif verdict in NEEDS_PROOF:
            return verdict if self._prove() else None
        else:
            self._proved = True
        return verdict

    def _prove(self) -> bool:
        """Say whether key, host and path are right, asking once a run."""
        with self._proof_lock:  # one worker asks, the others wait for the answer
            return self._proved or self._asked_for_proof()

    def _asked_for_proof(self) -> bool:
        try:
            reply: Reply = self._client.call("GET", "user", limit_bytes=LIST_LIMIT_BYTES)
            users_in(documented(reply))
        except KeyRefusedError:
            self._client.gate.halt(Halt.KEY_REFUSED)
        except (HaltedError, FailedTryError, ForgeGdprError):
            self._client.gate.halt(Halt.UNPROVED)
        else:
            self._proved = True
        return self._proved

"""Erasing one user: the steps, and what they showed. HTTP only: no database, no audit."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from forge_gdpr.answers import REFUSALS, Reply, Verdict, judge, judge_logs, judge_presence
from forge_gdpr.errors import ForgeGdprError, KeyRefusedError
from forge_gdpr.forge import looking
from forge_gdpr.forge.client import FailedTryError, ForgeClient, Trail
from forge_gdpr.forge.gate import Halt, HaltedError
from forge_gdpr.identifiers import canonical_email
from forge_gdpr.lifecycle import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forge_gdpr.forge.looking import Question, Sight
    from forge_gdpr.forge.userlist import ListedUser
    from forge_gdpr.identity import Directory


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
    reached: bool = False  #: a try before the last answer may have deleted the account
    reason: Reason | None = None  #: where the verdict alone does not say it
    retry_after_s: float | None = None
    steps: tuple[Step, ...] = ()

    @property
    def may_have_erased(self) -> bool:
        """Whether a 404 that comes later may be this attempt's own work.

        A clear "there is no such user" has erased nobody, nor has a refusal.
        """
        return self.reached or any(
            step.name == "account" and _may_have_erased(step.http_status) for step in self.steps
        )

    @property
    def refusal(self) -> tuple[str, int | None] | None:
        """What was refused, to be compared with others; None if it is no refusal."""
        if self.verdict not in REFUSALS:
            return None
        return str(self.reason or self.verdict), self.http_status


#: An attempt that ended before any call.
NOT_CALLED: Final = Erasure(verdict=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """What the tries of one call ended in."""

    verdict: Verdict | None
    reply: Reply | None = field(default=None, repr=False)
    http_status: int | None = None
    retry_after_s: float | None = None


class Eraser:
    """Erases users, in any number of threads, and looks for them."""

    def __init__(self, client: ForgeClient, steps: Steps, *, sentinel: str | None = None) -> None:
        """Start without proof that key, host and path are right.

        Args:
            client: of the account.
            steps: what an erasure consists of.
            sentinel: a user of the account that is never deleted.
        """
        self._client = client
        self._steps = steps
        self._sentinel = sentinel
        self._proof_lock = threading.Lock()
        self._proved = False

    def read_directory(self, *, user_ids: Sequence[str], emails: Sequence[str]) -> Directory:
        """Return what Forge's whole list says about these people; that is also proof.

        Raises:
            as `looking.read_directory`.
        """
        directory = looking.read_directory(self._client, user_ids=user_ids, emails=emails)
        self._proved = True
        return directory

    def look(self, question: Question) -> Sight:
        """Look again for people whom Forge called absent.

        Raises:
            as `looking.look`.
        """
        return looking.look(self._client, question, sentinel=self._sentinel)

    def erase(
        self, user_id: str, *, email: str | None = None, was_refused: bool = False
    ) -> Erasure:
        """Erase one user: the logs if asked, the account, and a look afterwards if asked.

        Logs come first: their call needs the account. Whatever the logs call does not delete
        stops the attempt, for afterwards there is no way back to them.

        Args:
            user_id: whom.
            email: the address that the user was found by, if that is all the request named:
                Forge is asked once more whose it is, for the list may be hours old.
            was_refused: an earlier night was told no, as everybody was: a second no is the user's
                own, and says nothing about the others.
        """
        attempt = _Attempt(self._client)
        self._carry_out(attempt, user_id, email)
        erasure = attempt.erasure
        if erasure.verdict is Verdict.KEY_REFUSED:
            self._client.gate.halt(Halt.KEY_REFUSED)
        elif erasure.refusal is not None:
            if not was_refused:
                self._client.gate.judged(erasure.refusal)
            if not self._prove():
                return replace(erasure, verdict=None, reason=None)
        elif erasure.verdict in {Verdict.ERASED, Verdict.ACCEPTED}:
            self._proved = True
            self._client.gate.judged(None)
        return erasure

    def _carry_out(self, attempt: _Attempt, user_id: str, email: str | None) -> None:
        if email is not None and not attempt.finds(user_id, email):
            return
        if self._steps.erase_logs and not attempt.erases_logs(user_id):
            return
        attempt.delete(user_id)
        if self._steps.verify and attempt.erasure.verdict in {Verdict.ERASED, Verdict.ABSENT}:
            attempt.verify(user_id)

    def prove_again(self) -> bool:
        """Say whether key, host and path are right now; if not, the run is halted."""
        with self._proof_lock:
            return self._asked_for_proof()

    def _prove(self) -> bool:
        """Say whether key, host and path are right, asking once a run."""
        with self._proof_lock:  # one worker asks, the others wait for the answer
            return self._proved or self._asked_for_proof()

    def _asked_for_proof(self) -> bool:
        self._proved = False
        try:
            if not self._shows_sentinel():
                self._client.read_users(_nobody)
        except KeyRefusedError:
            self._client.gate.halt(Halt.KEY_REFUSED)
        except ForgeGdprError:
            self._client.gate.halt(Halt.UNPROVED)
        except HaltedError:
            pass  # the run stops, or this thread's lease is lost: nothing is shown either way
        else:
            self._proved = True
        return self._proved

    def _shows_sentinel(self) -> bool:
        return self._sentinel is not None and looking.is_there(self._client, self._sentinel) is True


class _Attempt:
    """The steps of one attempt, as they are made."""

    def __init__(self, client: ForgeClient) -> None:
        self._client = client
        self._steps: list[Step] = []
        self.erasure = Erasure(verdict=None)

    def finds(self, user_id: str, email: str) -> bool:
        """Say whether Forge shows this user with this address."""
        answer = self._call("find", "GET", user_id, lambda r: judge_presence(r, user_id))
        if answer.reply is None or answer.verdict is not None:
            return False
        body = answer.reply.json()
        address = body.get("email") if isinstance(body, dict) else None
        if isinstance(address, str) and canonical_email(address) == canonical_email(email):
            return True
        self._end(Verdict.UNEXPECTED, Reason.ADDRESS_MOVED)
        return False

    def erases_logs(self, user_id: str) -> bool:
        """Erase the logs, and say whether the account may go, too."""
        answer = self._call("logs", "DELETE", user_id, judge_logs, "logs")
        if answer.verdict is Verdict.ERASED:
            return True
        if answer.verdict in REFUSALS:
            self._end(answer.verdict, Reason.LOGS_NOT_ERASED)
        if answer.verdict is not Verdict.ABSENT:
            return False
        # Is it the user who is not there, or the path? One of them keeps the logs.
        look = self._call("look", "GET", user_id, lambda r: judge_presence(r, user_id))
        if look.reply is not None and (look.verdict is None or look.verdict in REFUSALS):
            self._end(look.verdict or Verdict.UNEXPECTED, Reason.LOGS_NOT_ERASED)
        return False

    def delete(self, user_id: str) -> None:
        """Delete the account."""
        self._call("account", "DELETE", user_id, judge)

    def verify(self, user_id: str) -> None:
        """Ask Forge for the user that it says is gone: any success says that it is not.

        If nobody can look, the answer stands, and the record says so.
        """
        deletion = self.erasure
        look = self._call("verify", "GET", user_id, lambda r: judge_presence(r, user_id))
        present = look.http_status is not None and look.http_status // 100 == 2  # noqa: PLR2004
        self.erasure = replace(
            deletion,
            verdict=Verdict.UNEXPECTED if present else deletion.verdict,
            reason=Reason.STILL_PRESENT if present else None,
            tries=self.erasure.tries,
            steps=self.erasure.steps,
        )

    def _call(
        self,
        name: str,
        method: str,
        user_id: str,
        judged: Callable[[Reply], Verdict | None],
        *below: str,
    ) -> _Answered:
        """Make one step; the attempt ends in it, unless another follows."""
        trail = Trail()
        try:
            reply = self._client.call(method, "user", user_id, *below, trail=trail)
        except HaltedError:
            answer = _Answered(verdict=None)
        except FailedTryError as error:
            answer = _Answered(
                verdict=Verdict.TRANSIENT,
                http_status=error.status,
                retry_after_s=error.retry_after_s,
            )
        else:
            answer = _Answered(verdict=judged(reply), reply=reply, http_status=reply.status)
        self._steps.append(Step(name=name, http_status=answer.http_status, tries=trail.tries))
        self.erasure = Erasure(
            verdict=answer.verdict,
            http_status=answer.http_status,
            tries=sum(step.tries for step in self._steps),
            reached=name == "account" and trail.reached,
            retry_after_s=answer.retry_after_s,
            steps=tuple(self._steps),
        )
        return answer

    def _end(self, verdict: Verdict, reason: Reason) -> None:
        self.erasure = replace(self.erasure, verdict=verdict, reason=reason)


def _may_have_erased(status: int | None) -> bool:
    """Say whether a deletion that was answered so may have been carried out."""
    if status is None:
        return False
    return status // 100 in {2, 5} or status == HTTPStatus.REQUEST_TIMEOUT


def _nobody() -> Callable[[ListedUser], None]:
    return lambda _user: None

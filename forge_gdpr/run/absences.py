"""People whom Forge called absent: held back until the run has looked again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from forge_gdpr.absence import Absence, AccountProof, account_proof
from forge_gdpr.answers import Verdict
from forge_gdpr.audit import history
from forge_gdpr.audit.events import Entry, EventName
from forge_gdpr.forge.erasure import Erasure
from forge_gdpr.forge.gate import Halt
from forge_gdpr.forge.looking import Question
from forge_gdpr.identifiers import canonical_email, canonical_user_id
from forge_gdpr.lifecycle import Reason
from forge_gdpr.queue import backlog

if TYPE_CHECKING:
    from forge_gdpr.forge.looking import Sight
    from forge_gdpr.identity import Directory
    from forge_gdpr.run.opening import Limits
    from forge_gdpr.run.recorder import Attempt, Recorder

#: As long as nothing shows whose account it is, so many absences are enough to look: another
#: account's key is found out after a few calls.
EARLY: Final = 3
#: So many wait at the most, so that memory stays flat.
MOST: Final = 5000
#: So many ids that requests name are looked for in the account.
_NAMED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of those who were held back."""

    attempts: list[Attempt] = field(default_factory=list)
    concluded: int = 0  #: so many of them are not at Forge
    present: int = 0  #: so many are, whatever Forge had answered
    halt: Halt | None = None
    cause: str | None = None  #: why, for people; names nobody


class Absences:
    """Attempts that may show an absence, until a look has judged them. Main thread only."""

    def __init__(self, recorder: Recorder, limits: Limits) -> None:
        """Start with nobody.

        Args:
            recorder: of the run.
            limits: how many absences are expected, and which requests are due.
        """
        self._recorder = recorder
        self._limits = limits
        self._waiting: list[Attempt] = []
        self._account_is_known: bool | None = None  # None: the record has not been asked
        self._expected = 0  # closed on nothing but an operator's word
        self._due_ids: frozenset[str] = frozenset()
        self._named_ids: frozenset[str] = frozenset()
        self.unseen: str | None = None  #: why some could not be judged; they were given back

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def are_expected(self) -> bool:
        """Whether an operator has said that many will be absent."""
        return self._limits.expect_absent is not None

    def put(self, attempt: Attempt) -> None:
        """Hold an attempt back."""
        self._waiting.append(attempt)

    def note_erasure(self) -> None:
        """Note that this run's key has erased somebody: the account is ours."""
        self._account_is_known = True

    def are_enough(self, *, first: int | None) -> bool:
        """Say whether it is time to look, before the end.

        Args:
            first: so many absences at the run's beginning have to be judged before it goes on;
                None: the beginning is over.
        """
        count = len(self._waiting)
        if count >= MOST or (first is not None and count >= max(first, 1)):
            return True
        if count < EARLY or self.are_expected:
            return False
        if self._account_is_known is None:
            self._account_is_known = self._has_erased()
        return not self._account_is_known

    def question(self) -> Question:
        """Return whom to look for."""
        due = self._limits.due(self._recorder.clock.opened_at)
        keys = self._recorder.rules.account.keys
        due_ids, named_ids = self._recorder.read(
            lambda connection: (
                backlog.due_user_ids(connection, due, most=_NAMED),
                backlog.named_user_ids(connection, keys, most=_NAMED),
            )
        )
        absent_ids = [a.claimed.forge_user_id for a in self._waiting if _is_by_id(a)]
        absent = [user_id for user_id in absent_ids if user_id is not None]
        self._due_ids = frozenset(map(canonical_user_id, [*absent, *due_ids]))
        self._named_ids = frozenset(map(canonical_user_id, named_ids))
        return Question(
            absent_ids=absent,
            emails=[a.claimed.email for a in self._waiting if a.claimed.email is not None],
            named_ids=[*due_ids, *named_ids],
        )

    def settle(self, sight: Sight) -> Settlement:
        """Judge all who wait by what was seen after the last answer about them."""
        waiting, self._waiting = self._waiting, []
        if not sight.paths_work:
            back = [_unshown(attempt) for attempt in waiting]
            return Settlement(attempts=back, halt=Halt.UNPROVED, cause=sight.no_list)
        judged: list[Attempt] = []
        absent: list[Attempt] = []
        for attempt in waiting:
            if (end := self._objection(attempt, sight)) is not None:
                judged.append(end)
            else:
                absent.append(attempt)
        present = sum(
            isinstance(a.result, Erasure) and a.result.verdict is not None for a in judged
        )
        if not absent:
            return Settlement(attempts=judged, present=present)
        proof = self._proof(sight) or self._expectation(len(absent))
        if proof is None:
            back = [_unshown(attempt) for attempt in absent]
            return Settlement(
                attempts=[*judged, *back],
                present=present,
                halt=Halt.ACCOUNT,
                cause=self._whose(sight),
            )
        self._account_is_known = proof is not AccountProof.EXPECTED
        absence = Absence(one_by_one=sight.directory is None, account=proof)
        judged += [replace(attempt, absence=absence) for attempt in absent]
        return Settlement(attempts=judged, concluded=len(absent), present=present)

    def give_back(self) -> list[Attempt]:
        """Return all who wait, as they were: nobody could look."""
        waiting, self._waiting = self._waiting, []
        return [given_back(attempt) for attempt in waiting]

    def _objection(self, attempt: Attempt, sight: Sight) -> Attempt | None:
        """Return what becomes of somebody who was not seen to be absent; None if that was seen."""
        claimed, result = attempt.claimed, attempt.result
        if isinstance(result, Erasure):
            user_id = canonical_user_id(claimed.forge_user_id or "")
            if user_id in sight.present:
                present = replace(result, verdict=Verdict.UNEXPECTED, reason=Reason.STILL_PRESENT)
                return replace(attempt, result=present)
            if user_id in sight.unclear:
                self.unseen = "Forge gave no clear answer for some users who may be absent"
                return _unshown(attempt, later=True)
        address = canonical_email(claimed.email or "")
        if address is None:
            return None
        return self._objection_by_email(attempt, address, sight.directory)

    def _objection_by_email(
        self, attempt: Attempt, address: str, directory: Directory | None
    ) -> Attempt | None:
        if directory is None:
            self.unseen = "without Forge's list nobody can say that an address is not in it"
        elif directory.near(address):
            return given_back(attempt, later=True)  # the next run finds out who has it by now
        elif isinstance(attempt.result, Erasure) or not directory.without_email:
            return None
        else:
            self.unseen = (
                f"Forge's list shows no address for {directory.without_email} of its"
                f" {directory.users} users, so nobody can say that an address is not in it"
            )
        return _unshown(attempt, later=True)

    def _proof(self, sight: Sight) -> AccountProof | None:
        listed = frozenset() if sight.directory is None else sight.directory.listed()
        return account_proof(
            users=None if sight.directory is None else sight.directory.users,
            sentinel=sight.sentinel,
            erased_before=self._account_is_known or self._has_erased(),
            listed=not self._named_ids.isdisjoint(listed),
        )

    def _has_erased(self) -> bool:
        fingerprints = self._recorder.rules.account.fingerprints
        return self._recorder.read(lambda connection: history.has_erased(connection, fingerprints))

    def _expectation(self, count: int) -> AccountProof | None:
        """Return an operator's word, if it covers so many more; it is put on record."""
        allowed = self._limits.expect_absent
        if allowed is None or self._expected + count > allowed:
            return None
        self._expected += count
        rules, recorder = self._recorder.rules, self._recorder
        entry = Entry(
            event=EventName.GUARD_OVERRIDDEN,
            run_id=rules.run_id,
            actor=rules.actor,
            details={
                "guard": "account",
                "due": count,
                "allowed": allowed,
                "reason": self._limits.reason,
            },
        )
        recorder.commit(lambda connection: recorder.append_main(connection, [entry]))
        return AccountProof.EXPECTED

    def _whose(self, sight: Sight) -> str:
        directory = sight.directory
        users = 0 if directory is None else directory.users
        listed = frozenset() if directory is None else directory.listed()
        here = len(self._due_ids & listed)
        missing = ", nor is FORGE_GDPR_SENTINEL_USER_ID" if sight.sentinel is False else ""
        return (
            f"{here} of {len(self._due_ids)} due requests by user id are among the {users} users"
            f" that this API key reaches (key {self._recorder.rules.account.short})"
            f"{missing}"
        )


def given_back(attempt: Attempt, *, later: bool = False, note: Reason | None = None) -> Attempt:
    """Return an attempt that says nothing: its request goes back as it was, but for a note."""
    result = attempt.result
    back = replace(result, verdict=None) if isinstance(result, Erasure) else Erasure(verdict=None)
    return replace(attempt, result=back, later=later, note=note)


def _unshown(attempt: Attempt, *, later: bool = False) -> Attempt:
    """Return an attempt that goes back because nothing bore the 404 out; others go first."""
    return given_back(attempt, later=later, note=Reason.ABSENCE_NOT_SHOWN)


def _is_by_id(attempt: Attempt) -> bool:
    return isinstance(attempt.result, Erasure)

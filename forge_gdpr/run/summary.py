"""What a run did, as a value: the table, the JSON and the exit code are made from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr.errors import ExitCode, gravest
from forge_gdpr.forge.gate import Halt
from forge_gdpr.lifecycle import Outcome, Status
from forge_gdpr.run.sums import Ends, Sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

#: What to type when a run stopped early, for the engineer on duty.
ADVICE: Final[Mapping[Halt, str]] = {
    Halt.SIGNAL: "stopped by a signal: what was in flight is recorded, the rest is untouched",
    Halt.KEY_REFUSED: "Forge refuses the API key: check FORGE_GDPR_API_KEY, then run again",
    Halt.BREAKER: "Forge failed too often in a row: see whether it is up, then run again",
    Halt.UNREACHABLE: "Forge can't be reached: check the network, FORGE_GDPR_BASE_URL and"
    " FORGE_GDPR_PROXY, then run again",
    Halt.OUTAGE: "Forge failed at every call: see whether it is up, then run again",
    Halt.REFUSALS: "Forge gave the same refusal again and again, so it is nobody's own: check what"
    " this API key may do, and what stands between here and Forge, with 'forge-gdpr doctor'",
    Halt.UNPROVED: "nothing shows that this is Forge: see 'forge-gdpr doctor', then run again",
    Halt.ACCOUNT: "nothing shows that this account is yours, so nobody was closed as absent: check"
    " FORGE_GDPR_API_KEY and FORGE_GDPR_BASE_URL; if they are right, set"
    " FORGE_GDPR_SENTINEL_USER_ID to a user of yours ('forge-gdpr users create'), or run once with"
    " --expect-absent N --reason CODE",
    Halt.UNSEEN: "for some requests nobody can say whether the person is at Forge: they are left"
    " as they were; see 'forge-gdpr doctor', or name these people by user id",
    Halt.CERTIFICATE: "the server's TLS certificate is not trusted: check FORGE_GDPR_BASE_URL"
    " and FORGE_GDPR_CA_FILE, then run again",
    Halt.DIRECTORY: "Forge's list of users can't be used: requests with an e-mail are left as"
    " they were; see 'forge-gdpr doctor', then run again",
    Halt.CANARY: "Forge refused the first deletions, so the others were not begun: see why with"
    " 'forge-gdpr requests list --status review', then run again",
    Halt.DATABASE: "the database failed: what was in flight is repaired by the next run",
}

_HALT_CODES: Final[Mapping[Halt, ExitCode]] = {
    Halt.KEY_REFUSED: ExitCode.KEY_REFUSED,
    Halt.BREAKER: ExitCode.FORGE_UNAVAILABLE,
    Halt.UNREACHABLE: ExitCode.FORGE_UNAVAILABLE,
    Halt.OUTAGE: ExitCode.FORGE_UNAVAILABLE,
    Halt.REFUSALS: ExitCode.FORGE_UNAVAILABLE,
    Halt.UNPROVED: ExitCode.FORGE_UNAVAILABLE,
    Halt.UNSEEN: ExitCode.FORGE_UNAVAILABLE,
    Halt.ACCOUNT: ExitCode.GUARD_STOPPED,
    Halt.CERTIFICATE: ExitCode.FORGE_UNAVAILABLE,
    Halt.DIRECTORY: ExitCode.FORGE_UNAVAILABLE,
    Halt.CANARY: ExitCode.GUARD_STOPPED,
    Halt.DATABASE: ExitCode.DATABASE,
}


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counted while a run goes on."""

    admitted: int = 0
    claimed: int = 0
    recovered: int = 0
    calls: int = 0
    late: int = 0  #: answers to requests that another run had taken over
    set_aside: int = 0  #: requests that came to need review without an attempt
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    became: Counter[Status] = field(default_factory=Counter)
    put_off: int = 0
    given_back: dict[int, bool] = field(default_factory=dict)  #: id: put off beyond this run?
    reviewed_before: int = 0  #: came to need a person before anybody was claimed
    not_as_planned: set[int] = field(default_factory=set)  #: given back: changed since the plan

    @property
    def ends(self) -> Ends:
        """What became of the requests that this run claimed."""
        return Ends(
            done=self.became[Status.DONE],
            put_off=self.put_off,
            review=self.became[Status.REVIEW] - self.reviewed_before,
            given_back=len(self.given_back),
            given_back_later=sum(self.given_back.values()),
        )

    def copy(self) -> Tally:
        """Return the same counts, to come back to."""
        return replace(
            self,
            outcomes=self.outcomes.copy(),
            became=self.became.copy(),
            given_back=self.given_back.copy(),
            not_as_planned=self.not_as_planned.copy(),
        )

    def reset(self, counts: Tally) -> None:
        """Go back to earlier counts: what was counted since was rolled back."""
        earlier = counts.copy()
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(earlier, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One run, when it is over."""

    run_id: str
    opened_at: datetime
    elapsed_s: float
    due: int
    admitted: int
    claimed: int
    recovered: int
    calls: int
    late: int
    outcomes: Mapping[Outcome, int]
    became: Mapping[Status, int]
    left: int  #: requests that are still due
    next_due_on: date | None
    at_risk: int
    halt: Halt | None
    signal: int | None
    set_aside: int = 0  #: requests that came to need review without an attempt
    cause: str | None = None  #: why it stopped early, with numbers; names nobody
    checkpoint: str | None = None  #: signed when the run closed
    not_copied: str | None = None  #: why it could not be copied to where copies are kept
    sums: Sums = field(default_factory=Sums)  #: where the night's requests are
    not_as_planned: Sequence[int] = ()  #: requests that have changed since the plan was made

    @property
    def finished(self) -> int:
        """How many attempts ended."""
        return sum(self.became.values()) - self.set_aside

    @property
    def done(self) -> int:
        """How many requests were done."""
        return self.became.get(Status.DONE, 0)

    @property
    def reviewed_before(self) -> int:
        """How many came to need a person before the run claimed anybody: dead runs left them."""
        return self.became.get(Status.REVIEW, 0) - self.sums.review - self.set_aside

    @property
    def per_second(self) -> float:
        """Requests done a second."""
        return self.done / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def exit_code(self) -> int:
        """What the process tells cron."""
        if self.halt is Halt.SIGNAL and self.signal is not None:
            return 128 + self.signal
        codes = [ExitCode.OK]
        if self.halt is not None:
            codes.append(_HALT_CODES[self.halt])
        if self.at_risk:
            codes.append(ExitCode.DEADLINE_AT_RISK)
        is_odd = self.not_as_planned or self.not_copied is not None
        if self.became.get(Status.REVIEW) or is_odd:
            codes.append(ExitCode.NEEDS_REVIEW)
        return gravest(codes)

    @property
    def advice(self) -> str | None:
        """Why the run stopped early and what to do, for the engineer on duty."""
        if self.halt is None:
            return None
        return f"{f'{self.cause}; ' if self.cause else ''}{ADVICE[self.halt]}"

    def as_json(self) -> dict[str, Any]:
        """Return it for machines: the same figures as the table."""
        return {
            "run_id": self.run_id,
            "opened_at": self.opened_at.isoformat(),
            "elapsed_s": round(self.elapsed_s, 3),
            "due": self.due,
            "admitted": self.admitted,
            "claimed": self.claimed,
            "recovered": self.recovered,
            "outcomes": {outcome.value: self.outcomes.get(outcome, 0) for outcome in Outcome},
            "became": {status.value: count for status, count in sorted(self.became.items())},
            "sums": self.sums.as_json(),
            "set_aside": self.set_aside,
            "not_as_planned": list(self.not_as_planned),
            "left": self.left,
            "late_answers": self.late,
            "calls": self.calls,
            "requests_per_second": round(self.per_second, 1),
            "next_due_on": None if self.next_due_on is None else self.next_due_on.isoformat(),
            "at_risk": self.at_risk,
            "stopped": None if self.halt is None else self.halt.value,
            "cause": self.cause,
            "exit_code": int(self.exit_code),
            "checkpoint": self.checkpoint,
            "checkpoint_not_copied": self.not_copied,
        }

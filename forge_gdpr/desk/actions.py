"""What an operator can do to a request, as a table. Decides only; does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from forge_gdpr import actors
from forge_gdpr.audit.events import EventName
from forge_gdpr.lifecycle import FINAL, OPEN, TRANSITIONS, Event, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that can be done. The first reason is the default, if there is one."""

    recorded: EventName
    done: str  #: what the request then is, for people
    reasons: Mapping[str, str]  #: codes and what they mean
    event: Event | None = None  #: what it does to the status; None: nothing
    needs_reason: bool = True

    @property
    def is_final(self) -> bool:
        """Whether nothing leads back from it: then it is asked for first."""
        return any(
            event is self.event and end in FINAL for (_start, event), end in TRANSITIONS.items()
        )


ACTIONS: Final[Mapping[str, Action]] = {
    "hold": Action(
        recorded=EventName.REQUEST_HELD,
        done="held",
        event=Event.HELD,
        reasons={
            "legal_claims": "legal claims, GDPR Art. 18(1)(c), 17(3)(e)",
            "authority": "an authority asked for it",
            "identity_check": "it is not clear yet who asks, Art. 12(6)",
            "dispute": "the request itself is disputed",
        },
    ),
    "release": Action(
        recorded=EventName.REQUEST_RELEASED,
        done="released",
        event=Event.RELEASED,
        reasons={"hold_over": "what it was held for is over", "mistake": "it was no hold"},
        needs_reason=False,
    ),
    "cancel": Action(
        recorded=EventName.REQUEST_CANCELLED,
        done="cancelled",
        event=Event.CANCELLED,
        reasons={
            "withdrawn": "the person withdrew it",
            "duplicate": "another request is for the same person",
            "mistake": "it should not have been made",
        },
    ),
    "refuse": Action(
        recorded=EventName.REQUEST_REFUSED,
        done="refused",
        event=Event.REFUSED,
        reasons={
            "expression": "freedom of expression and information, GDPR Art. 17(3)(a)",
            "legal_obligation": "a legal obligation or public task, Art. 17(3)(b)",
            "public_health": "public health, Art. 17(3)(c)",
            "archiving": "archiving, research or statistics, Art. 17(3)(d)",
            "legal_claims": "legal claims, Art. 17(3)(e)",
            "unfounded": "manifestly unfounded or excessive, Art. 12(5)",
            "not_identified": "the person can't be identified, Art. 11(2), 12(6)",
            "ccpa_exception": "an exception of Cal. Civ. Code 1798.105(d)",
        },
    ),
    "extend": Action(
        recorded=EventName.REQUEST_EXTENDED,
        done="extended",
        reasons={
            "complexity": "the request is complex, GDPR Art. 12(3)",
            "number": "there are many requests, Art. 12(3)",
        },
    ),
    "approve": Action(
        recorded=EventName.REQUEST_APPROVED,
        done="approved",
        reasons={"checked": "a second person has checked it"},
        needs_reason=False,
    ),
    "retry": Action(
        recorded=EventName.REQUEST_RETRIED,
        done="to be tried again",
        event=Event.RETRIED,
        reasons={"checked": "a person has looked", "mended": "what was wrong is mended"},
        needs_reason=False,
    ),
}


#: Why somebody corrects whom a request is about; the first is the default.
AMENDING: Final[Mapping[str, str]] = {
    "mistake": "the request named the wrong person, or named them wrongly",
    "identified": "it was found out who is meant",
}


#: What can also be done to a request that can't be read.
_ENDING: Final = frozenset({Event.CANCELLED, Event.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What of a request decides whether something can be done to it."""

    status: str
    created_by: str | None = None
    created_login: str | None = None  #: of the database
    extended: bool = False
    due_on: date | None = None
    unreadable: Sequence[str] = ()  #: columns that a run needs and that can't be read


def closed_to_all(standing: Standing, *, but_unreadable: bool = False) -> str | None:
    """Return why nothing at all can be done to a request, None if something can.

    Args:
        standing: the request as it is.
        but_unreadable: what is wanted can also be done to a request that can't be read.
    """
    if standing.status == Status.RUNNING:
        return "is being worked on: wait until the run has ended, then try again"
    if standing.status not in OPEN:
        return f"is {standing.status}, and that is final"
    if standing.unreadable and not but_unreadable:
        columns = " and ".join(standing.unreadable)
        return f"can't be read: correct {columns} in its row first; it can be cancelled or refused"
    return None


def objection(
    action: str, standing: Standing, *, actor: str, today: date, login: str | None = None
) -> str | None:
    """Return why an action can't be done to a request, None if it can.

    Args:
        action: a name of ACTIONS.
        standing: the request as it is.
        actor: who wants it.
        today: the controller's day.
        login: of the database, which must not be the one that added what is approved; None:
            people share one, or there is none.
    """
    event = ACTIONS[action].event
    said = closed_to_all(standing, but_unreadable=event in _ENDING)
    if said is not None:
        return said
    if event is not None and (Status(standing.status), event) not in TRANSITIONS:
        possible = sorted(status.value for status, other in TRANSITIONS if other is event)
        return f"is {standing.status}: '{action}' is for what is {' or '.join(possible)}"
    if action == "approve":
        said = _same_hand(standing, actor, login)
        if said is not None:
            return said
    if action == "extend" and standing.extended:
        return "was extended before, and the law allows it once"
    if action == "extend" and standing.due_on is not None and standing.due_on < today:
        return "is late already: an extension has to be told to the person before that"
    return None


def _same_hand(standing: Standing, actor: str, login: str | None) -> str | None:
    """Return why somebody may not approve a request, None if they are not who made it."""
    created_by = standing.created_by or ""
    if actors.are_same(created_by, actor):
        return f"was made by {actor}: somebody else has to approve it"
    if created_by.strip() and actors.fault(created_by) is not None:
        return (
            "was made under a name that is not plain, so nobody can say that it is somebody else's:"
            " correct created_by in its row, or cancel it and add it again"
        )
    if login is not None and standing.created_login == login:
        return (
            f"was added through the database login {login}, as it would be approved: use another"
            " login, or set FORGE_GDPR_SHARED_LOGIN=true if people share one"
        )
    return None

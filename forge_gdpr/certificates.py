"""Certificates: what was done about one request, with the proof that the record says so.

A certificate holds its evidence: events of the request as they were recorded, a Merkle path from
each to its run's root, from the run's closing to the root of the main chain, and the signed
checkpoint that has this root. Everything else in it is told from these events, so that whoever
verifies it can tell it again. Decides only; does no I/O.

The format, ``forge-gdpr certificate 3``: a JSON object (RFC 8259) of at most 64 Mi characters and
32 levels, with no name twice, no half characters, whole numbers below 2**53 only, and these names,
all of them, and no others.

- ``certificate``: the text ``forge-gdpr certificate 3``.
- ``evidence``: an object of

  - ``checkpoint``: a signed note, as `checkpoints` describes it, with one signature.
  - ``events``: a list of proven events. Each is an object of ``previous`` (the hash of the event
    before it: 64 lower-case hex digits), ``body`` (the event: a text of at most 1 Mi characters
    that is its own canonical form by RFC 8785, with ASCII names; what of it is told below is of
    the kind that `_KINDS` has for it, or null) and ``path`` (a list of hashes: 64 lower-case hex
    digits).
    All have the same ``request_id``. One of them, and no more, ends the request:
    ``request.closed``, ``request.cancelled`` or ``request.refused``. For each number from 1 to the
    largest ``attempt`` of them, or ``attempts`` of the end, an ``attempt.started`` or
    ``attempt.finished`` with this ``attempt`` is there. No ``chain`` and ``seq`` are
    there twice. They are in the order of (time, chain is not ``main``, chain, seq), where the time
    is the latest ``at`` of the events here of this chain up to this one.
  - ``runs``: for each chain but ``main`` that an event here is of, in ascending order of their
    names (by code points), and for no other: an object of ``opened`` and ``closed``, two proven
    events of ``main`` whose ``event`` is ``run.opened`` and ``run.closed``, whose ``run_id`` is the
    chain, the first with the smaller ``seq``. The ``run_id`` of the run's events, where they have
    one, is the chain, too.

- The hash of an event is SHA-256 over the 32 bytes of ``previous``, then the body in UTF-8. It is
  the data of a leaf: the ``seq``-th, from 1, of a Merkle tree by RFC 6962 section 2.1, and ``path``
  its audit path (section 2.1.1). For an event of ``main`` the tree has the checkpoint's size and
  root; for one of a run those that the run's ``closed`` has, in ``length`` and ``root`` (hex).
- ``record``: of the checkpoint ``origin``, ``events`` (its size), ``signed_at`` (its time), and
  ``signed_by``: key name, ``+`` and key id (8 hex digits) of its signature.
- ``request``: ``id`` is the ``request_id``; ``reference``, ``subject``, ``regime``,
  ``received_at`` and ``due_on`` are those of the event that ends the request; where it does not
  have one of these names, those of the last ``request.admitted`` before it, or null. ``also`` are
  the end's other pseudonyms, sorted.
- ``result``: ``closed_at`` is the end's ``at``; ``closed_on``, ``due_on``, ``http_status``,
  ``reason``, ``actor`` and ``run_id`` are the end's, or null; ``outcome`` is that of a
  ``request.closed``, else ``cancelled`` or ``refused``; ``on_time``: whether ``closed_on`` is not
  after ``due_on``, null if one of them is; ``verified_absent``: whether an ``attempt.finished`` of
  the same ``subject``, whose ``status``, if it has one, is ``done``, has a step ``verify`` with
  ``http_status`` 404 or 410. ``name``, ``meaning``, ``absence`` and ``logs`` are the words of
  `outcomes` for these events, those about another ``subject`` left out; ``meaning`` and ``logs`` as
  `outcomes.by_these_events` has them, for the record may have more events of the request.
- ``steps``: of each event, in their order, what it has of `SHOWN`.
- ``runs``: of each opening ``run_id``, ``opened_at`` (its ``at``), ``actor``, ``version`` and
  ``settings_sha256`` (its ``settings``), or null.
- ``proves`` and ``limits``: the sentences of `PROVES` and `LIMITS`.

Nothing in it says when it was issued: nobody signs that. So a certificate is the same for everybody
who tells it from the same events and the same checkpoint. Formats 1 and 2 had an ``issued_at``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr.chain import seal
from forge_gdpr.checkpoints import (
    InvalidCheckpointError,
    checkpoint_in,
    signers_in,
    sole_signer,
)
from forge_gdpr.lifecycle import Outcome, Status
from forge_gdpr.merkle import root_by
from forge_gdpr.outcomes import (
    absence_in,
    by_these_events,
    logs_in,
    meaning_of,
    name_of,
    steps_in,
)
from forge_gdpr.strictjson import InvalidJsonError, are_same, event_in, is_time, value_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from forge_gdpr.checkpoints import Checkpoint, PublicKey

FORMAT: Final = "forge-gdpr certificate 3"
#: Of older certificates, which are verified by the words of their time and told in today's.
FIRST_FORMAT: Final = "forge-gdpr certificate 1"
SECOND_FORMAT: Final = "forge-gdpr certificate 2"
MAIN: Final = "main"

#: Said in every certificate.
PROVES: Final = (
    "Each event in it stood in the record, in these very words, when the holder of the key signed.",
    "Request, result, steps and runs are told from these events, and from nothing else.",
)
#: Said in every certificate, too.
LIMITS: Final = (
    "It proves what was recorded: that Forge answered so is the word of the holder of the key.",
    "What is left on Forge's disks it does not prove.",
    "It is worth as much as the public key: compare its SHA-256 by another way than it came.",
    "The record may have other events of this request, also later ones: an export shows them.",
    "Of the user's logs it says what these events say; Forge keeps logs unless it is asked.",
    "Where an operator vouched for the account, only the operator's word shows whose it is.",
    "It names nobody: whose pseudonym it is, the holder of the subject key can show.",
    "Its times are those of the controller's database. Nobody signs when it was issued.",
    "Other requests of the same person have certificates of their own.",
)

_SECOND_LIMITS: Final = (
    "It proves what was recorded and what Forge answered, not what is left on Forge's disks.",
    "Forge keeps a user's logs unless it is asked to delete them; the result says if it was.",
    "Where an operator vouched for the account, only the operator's word shows whose it is.",
    "That the record has no more events of this request than are here, an export of it shows.",
    "It names nobody: whose pseudonym it is, the holder of the subject key can show.",
    "Its times are those of the controller's database, signed when the checkpoint was.",
    "Other requests of the same person have certificates of their own.",
)
_FIRST_MEANINGS: Final[Mapping[str, str]] = {
    Outcome.ERASED: "Forge confirmed that it deleted the user.",
    Outcome.ABSENT_AFTER_ATTEMPT: "Forge answered that it has no such user any more; an earlier"
    " call of this request, whose answer was lost, may be what deleted it.",
    Outcome.ALREADY_ABSENT: "Forge answered that it has no such user; no earlier call of this"
    " request had reached it, so it was gone before.",
    Outcome.NOT_FOUND_BY_EMAIL: "No user in the list that Forge gave had this e-mail address.",
    Status.CANCELLED: "The request was cancelled by a person; nobody was deleted by it.",
    Status.REFUSED: "The request was refused by a person; nobody was deleted by it.",
}
_FIRST_LIMITS: Final = (_SECOND_LIMITS[0], *_SECOND_LIMITS[3:])
#: What the result of the first certificates does not have.
_SECOND_RESULTS: Final = frozenset({"name", "absence", "logs"})

_ENDINGS: Final = {
    "request.closed": None,
    "request.cancelled": Status.CANCELLED.value,
    "request.refused": Status.REFUSED.value,
}
_ADMITTED: Final = "request.admitted"
_FINISHED: Final = "attempt.finished"
_ATTEMPTS: Final = frozenset({"attempt.started", _FINISHED})
_FIRST: Final = (_ADMITTED, *_ENDINGS)
#: What of an event's body a reader needs; the rest stands in the evidence.
SHOWN: Final = (
    "at",
    "event",
    "run_id",
    "actor",
    "attempt",
    "outcome",
    "http_status",
    "ended",
    "steps",
    "status",
    "reason",
    "ticket",
    "due_on",
    "late",
)
_HASH: Final = re.compile("[0-9a-f]{64}")


class InvalidCertificateError(ValueError):
    """A certificate does not prove what it says. Its message says where it breaks."""


class NothingToCertifyError(InvalidCertificateError):
    """Events that may well be in the record, but of which no certificate can be true."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return type(value) is int


def _is_date(value: object) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_steps(value: object) -> bool:
    return isinstance(value, list) and all(
        _is_text(step)
        or (
            isinstance(step, dict)
            and _is_text(step.get("name"))
            and type(step.get("http_status")) in {int, type(None)}
        )
        for step in value
    )


#: What of a body is told, and what it is if it is not null.
_KINDS: Final[Mapping[str, Callable[[object], bool]]] = {
    **dict.fromkeys(
        (
            "run_id",
            "actor",
            "outcome",
            "ended",
            "status",
            "reason",
            "ticket",
            "reference",
            "subject",
            "regime",
            "root",
            "version",
            "settings",
        ),
        _is_text,
    ),
    **dict.fromkeys(("request_id", "attempt", "attempts", "http_status", "length"), _is_number),
    **dict.fromkeys(("due_on", "closed_on"), _is_date),
    "received_at": is_time,
    "late": lambda value: isinstance(value, bool),
    "also": _are_texts,
    "steps": _are_steps,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """One event and its way up to a root.

    Raises:
        InvalidCertificateError: it says nothing that can be read, or told.
    """

    previous: str  #: the hash of the event before it
    body: str  #: the exact text that was hashed
    path: Sequence[str] = field(repr=False)  #: hashes beside its way to the root, in hex
    said: Mapping[str, Any] = field(init=False, repr=False, compare=False)  #: what it says

    def __post_init__(self) -> None:
        object.__setattr__(self, "said", _event_in(self.body))

    def root(self, size: int) -> str | None:
        """Return the root that its path leads to in a tree of so many events, in hex."""
        if not all(map(_HASH.fullmatch, (self.previous, *self.path))):
            return None
        leaf = bytes.fromhex(seal(self.previous, self.body))
        beside = [bytes.fromhex(one) for one in self.path]
        root = root_by(leaf, index=self.said["seq"] - 1, size=size, path=beside)
        return None if root is None else root.hex()

    def as_json(self) -> dict[str, Any]:
        """Return it as a certificate holds it."""
        return {"previous": self.previous, "body": self.body, "path": list(self.path)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a certificate is told from."""

    checkpoint: str
    events: Sequence[Proven]  #: of the request, in order
    runs: Sequence[tuple[Proven, Proven]]  #: opening and closing of each run that is concerned

    def as_json(self) -> dict[str, Any]:
        """Return it as a certificate holds it."""
        return {
            "checkpoint": self.checkpoint,
            "events": [one.as_json() for one in self.events],
            "runs": [
                {"opened": opened.as_json(), "closed": closed.as_json()}
                for opened, closed in self.runs
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a certificate was shown to be."""

    document: Mapping[str, Any]  #: as it would be issued today
    key: PublicKey  #: that has signed its checkpoint


def certificate(evidence: Evidence) -> dict[str, Any]:
    """Return the certificate that evidence gives: the same for everybody who tells it.

    Args:
        evidence: of a request that is closed; who signed it is not checked.

    Raises:
        InvalidCertificateError: the events are not those of one closed request, or their paths do
            not lead to the checkpoint.
    """
    _require_proofs(evidence)
    _require_order(evidence)
    return _told(evidence)


def certificate_in(text: str) -> Any:  # noqa: ANN401  # JSON
    """Return what the text of a certificate says.

    Raises:
        InvalidCertificateError: nothing that is taken as evidence.
    """
    try:
        return value_in(text)
    except InvalidJsonError as error:
        raise InvalidCertificateError(str(error)) from None


def verified(document: object, keys: Iterable[PublicKey]) -> Verified:
    """Return a certificate if it proves what it says; needs no database.

    One of an older format is returned as it would be issued today.

    Args:
        document: the certificate's JSON, as `certificate_in` reads it.
        keys: that may have signed its checkpoint.

    Raises:
        InvalidCertificateError: it does not.
    """
    form = document.get("certificate") if isinstance(document, dict) else None
    if not isinstance(document, dict) or form not in (FORMAT, SECOND_FORMAT, FIRST_FORMAT):
        raise InvalidCertificateError("it is no certificate of this kind")  # form may be a list
    evidence = _evidence_in(document.get("evidence"))
    try:
        key = sole_signer(evidence.checkpoint, keys)
    except InvalidCheckpointError as error:
        raise InvalidCertificateError(f"its checkpoint: {error}") from None
    _require_proofs(evidence)
    if form == FORMAT:
        _require_order(evidence)
        told = expected = _told(evidence)
    else:
        told = _told(replace(evidence, events=in_order(evidence.events)))
        expected = _told_before(evidence, form=form, issued_at=document.get("issued_at"))
    if not are_same(expected, document):
        names = [name for name in expected if not are_same(expected[name], document.get(name))]
        raise InvalidCertificateError(
            f"it says something else than its evidence: {', '.join(names) or 'there is more in it'}"
        )
    return Verified(document=told, key=key)


def in_order(events: Iterable[Proven]) -> list[Proven]:
    """Return events in the one order in which a certificate has them: of time within reason.

    The order within a chain is proven, that between two chains is what their times say.
    """
    latest: dict[str, str] = {}
    places = []
    named = [(said["chain"], said["seq"], said["at"], one) for one in events if (said := one.said)]
    for chain, seq, at, one in sorted(named, key=itemgetter(0, 1)):
        latest[chain] = max(at, latest.get(chain, at))
        places.append(((latest[chain], chain != MAIN, chain, seq), one))
    return [one for _, one in sorted(places, key=itemgetter(0))]


def _told(evidence: Evidence) -> dict[str, Any]:
    events = [one.said for one in evidence.events]
    end = _end(events)
    _require_attempts(events, end)
    request = _request(events, end)
    ours = [
        said for said in events if said.get("subject", request["subject"]) == request["subject"]
    ]
    checkpoint = _checkpoint(evidence)
    signers = signers_in(evidence.checkpoint)
    if len(signers) != 1:
        raise InvalidCertificateError("its checkpoint: it has more than one signature")
    return {
        "certificate": FORMAT,
        "record": {
            "origin": checkpoint.origin,
            "events": checkpoint.size,
            "signed_at": checkpoint.text.splitlines()[-1].removeprefix("time "),
            "signed_by": signers[0],
        },
        "request": request,
        "result": _result(ours, end),
        "steps": [{name: said[name] for name in SHOWN if name in said} for said in events],
        "runs": [
            {
                "run_id": said.get("run_id"),
                "opened_at": said.get("at"),
                "actor": said.get("actor"),
                "version": said.get("version"),
                "settings_sha256": said.get("settings"),
            }
            for said in (opened.said for opened, _ in evidence.runs)
        ],
        "proves": list(PROVES),
        "limits": list(LIMITS),
        "evidence": evidence.as_json(),
    }


def _told_before(evidence: Evidence, *, form: str, issued_at: object) -> dict[str, Any]:
    """Return a certificate as an older format had it, word for word."""
    if not is_time(issued_at):
        raise InvalidCertificateError("it does not say when it was issued")
    told = _told(evidence)
    events = [one.said for one in evidence.events]
    del told["proves"], told["record"]["signed_by"]
    told |= {"certificate": form, "issued_at": issued_at, "limits": list(_SECOND_LIMITS)}
    told["request"] = _request_before(events)
    told["result"] |= {
        "meaning": meaning_of(told["result"]["outcome"]),
        "logs": logs_in(events),
        "verified_absent": _was_not_there(events),
    }
    if form == FIRST_FORMAT:
        result = {n: value for n, value in told["result"].items() if n not in _SECOND_RESULTS}
        told["result"] = result | {"meaning": _FIRST_MEANINGS.get(str(result["outcome"]))}
        told["limits"] = list(_FIRST_LIMITS)
    return told


def _require_proofs(evidence: Evidence) -> None:
    """Follow every path up to the signed root."""
    checkpoint = _checkpoint(evidence)
    closings = _closings(evidence, checkpoint)
    before: dict[str, int] = {}
    for one in evidence.events:
        said = one.said
        chain, seq = said["chain"], said["seq"]
        if seq <= before.get(chain, 0):
            raise InvalidCertificateError("its events are not in the order of the record")
        before[chain] = seq
        if chain == MAIN:
            _require_in_main(one, checkpoint)
            continue
        closing = closings.get(chain, {})
        root = one.root(closing.get("length") or 0)
        if root is None or root != closing.get("root") or said.get("run_id", chain) != chain:
            raise InvalidCertificateError(
                f"event {seq} of run {chain} is not in what its run has closed"
            )
    if list(closings) != sorted(before.keys() - {MAIN}) or len(closings) != len(evidence.runs):
        raise InvalidCertificateError("its runs are not those of its events, each once, in order")


def _closings(evidence: Evidence, checkpoint: Checkpoint) -> Mapping[str, Mapping[str, Any]]:
    """Return what the closing of each run says, by its id, in their order."""
    closings: dict[str, Mapping[str, Any]] = {}
    for opened, closed in evidence.runs:
        _require_in_main(opened, checkpoint)
        _require_in_main(closed, checkpoint)
        begin, end = opened.said, closed.said
        run_id = begin.get("run_id", "")
        if (begin["event"], end["event"], end.get("run_id")) != (
            "run.opened",
            "run.closed",
            run_id,
        ):
            raise InvalidCertificateError("it takes another event for a run's")
        if begin["seq"] >= end["seq"]:
            raise InvalidCertificateError(f"run {run_id} closes before it opens")
        closings[run_id] = end
    return closings


def _require_in_main(one: Proven, checkpoint: Checkpoint) -> None:
    said = one.said
    if said["chain"] != MAIN or one.root(checkpoint.size) != checkpoint.root.hex():
        raise InvalidCertificateError(
            f"event {said['seq']} of main is not in the record that was signed"
        )


def _require_order(evidence: Evidence) -> None:
    if in_order(evidence.events) != list(evidence.events):
        raise InvalidCertificateError("its events are not in the order of their times")


def _end(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the one event that ends the request."""
    ends = [said for said in events if said["event"] in _ENDINGS]
    ids = {said.get("request_id") for said in events}
    if len(ids) != 1 or None in ids:
        raise InvalidCertificateError("its events are not those of one request")
    if not ends:
        raise InvalidCertificateError("its request is not closed")
    if len(ends) > 1:
        names = ", ".join(str(_outcome(said)) for said in ends)
        raise NothingToCertifyError(
            f"its request has {len(ends)} ends ({names}), so no certificate can say one of them"
        )
    return ends[0]


def _outcome(end: Mapping[str, Any]) -> str | None:
    return _ENDINGS[end["event"]] or end.get("outcome")


def _require_attempts(events: Sequence[Mapping[str, Any]], end: Mapping[str, Any]) -> None:
    """Refuse events whose numbers show that an attempt is missing.

    Numbers come again after one that did not count, and begin again when an operator lets a request
    be tried again; none is ever left out.
    """
    numbers = {said.get("attempt") for said in events if said["event"] in _ATTEMPTS}
    last = max(end.get("attempts") or 0, *(said.get("attempt") or 0 for said in events))
    missing = next((one for one in range(1, last + 1) if one not in numbers), None)
    if missing is not None:
        raise NothingToCertifyError(
            f"its events tell of {last} attempts, and attempt {missing} is not among them"
        )


def _request(events: Sequence[Mapping[str, Any]], end: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked, as its end says it; older ends don't say all of it themselves."""
    before = takewhile(lambda said: said is not end, events)
    admissions = [said for said in before if said["event"] == _ADMITTED]
    told = {**(admissions[-1] if admissions else {}), **end}
    return {
        "id": end["request_id"],
        "reference": told.get("reference"),
        "subject": told.get("subject"),
        "also": sorted(end.get("also") or ()),
        "regime": told.get("regime"),
        "received_at": told.get("received_at"),
        "due_on": told.get("due_on"),
    }


def _request_before(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what was asked as older formats told it."""
    first = next(said for said in events if said["event"] in _FIRST)
    # A row that was corrected names somebody else since: its end says whom.
    is_corrected = any("former" in said for said in events)
    naming = [said for said in events if not is_corrected or said["event"] in _ENDINGS]
    return {
        "id": first["request_id"],
        "reference": first.get("reference"),
        "subject": (naming[-1] if is_corrected else first).get("subject"),
        "also": sorted({one for said in naming for one in said.get("also") or ()}),
        "regime": first.get("regime"),
        "received_at": first.get("received_at"),
        "due_on": first.get("due_on"),
    }


def _result(events: Sequence[Mapping[str, Any]], end: Mapping[str, Any]) -> dict[str, Any]:
    """Return what became of it.

    Args:
        events: about the person whom the request was about in the end.
        end: one of them.
    """
    outcome = _outcome(end)
    closed_on, due_on = end.get("closed_on"), end.get("due_on")
    last = [
        said
        for said in events
        if said["event"] == _FINISHED and said.get("status", Status.DONE) == Status.DONE
    ]
    return {
        "outcome": outcome,
        "name": name_of(outcome),
        "meaning": by_these_events(meaning_of(outcome)),
        "absence": absence_in(end),
        "logs": by_these_events(logs_in(events)),
        "closed_at": end["at"],
        "closed_on": closed_on,
        "due_on": due_on,
        "on_time": None if closed_on is None or due_on is None else closed_on <= due_on,
        "http_status": end.get("http_status"),
        "reason": end.get("reason"),
        "actor": end.get("actor"),
        "run_id": end.get("run_id"),
        "verified_absent": _was_not_there(last),
    }


def _was_not_there(events: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether Forge was asked afterwards and answered that there is no such user."""
    return any(
        step.get("name") == "verify" and step.get("http_status") in {404, 410}
        for said in events
        for step in steps_in(said)
    )


def _checkpoint(evidence: Evidence) -> Checkpoint:
    try:
        return checkpoint_in(evidence.checkpoint)
    except InvalidCheckpointError as error:
        raise InvalidCertificateError(f"its checkpoint: {error}") from None


def _event_in(body: str) -> Mapping[str, Any]:
    try:
        event = event_in(body)
    except InvalidJsonError as error:
        raise InvalidCertificateError(f"it holds an event that is none: {error}") from None
    for name, is_kind in _KINDS.items():
        if event.get(name) is not None and not is_kind(event[name]):
            raise InvalidCertificateError(
                f"event {event['seq']} of {event['chain']} has a {name} that is none"
            )
    return event


def _evidence_in(found: object) -> Evidence:
    checkpoint, events, runs = _parts(found, checkpoint=str, events=list, runs=list)
    pairs = [_parts(one, opened=dict, closed=dict) for one in runs]
    return Evidence(
        checkpoint=checkpoint,
        events=[_proven_in(one) for one in events],
        runs=[(_proven_in(opened), _proven_in(closed)) for opened, closed in pairs],
    )


def _proven_in(found: object) -> Proven:
    previous, body, path = _parts(found, previous=str, body=str, path=list)
    if not _are_texts(path):
        raise InvalidCertificateError("its evidence is not complete")
    return Proven(previous=previous, body=body, path=path)


def _parts(found: object, **kinds: type) -> list[Any]:
    """Return the parts of an object that has these, and no others."""
    if not isinstance(found, dict) or not all(
        isinstance(found.get(name), kind) for name, kind in kinds.items()
    ):
        raise InvalidCertificateError("its evidence is not complete")
    if len(found) != len(kinds):
        raise InvalidCertificateError("its evidence has more in it than belongs there")
    return [found[name] for name in kinds]

"""Certificates: what was done about one request, with the proof that the record says so.

A certificate holds its evidence: the request's events as they were recorded, a Merkle path from
each to its run's root, from the run's closing to the root of the main chain, and the signed
checkpoint that has this root. Everything else in it is told from these events, so that whoever
verifies it can tell it again. Decides only; does no I/O.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr.chain import seal
from forge_gdpr.checkpoints import InvalidCheckpointError, checkpoint_in, require_signed
from forge_gdpr.lifecycle import Outcome, Status
from forge_gdpr.merkle import root_by
from forge_gdpr.outcomes import absence_in, logs_in, meaning_of, name_of, steps_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from forge_gdpr.checkpoints import Checkpoint, PublicKey

FORMAT: Final = "forge-gdpr certificate 2"
#: Of older certificates, which are verified by the words of their time and told in today's.
FIRST_FORMAT: Final = "forge-gdpr certificate 1"
MAIN: Final = "main"

#: Said in every certificate.
LIMITS: Final = (
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
_FIRST_LIMITS: Final = (LIMITS[0], *LIMITS[3:])
#: What the result of older certificates does not have.
_SECOND_RESULTS: Final = frozenset({"name", "absence", "logs"})

_ENDINGS: Final = {
    "request.closed": None,
    "request.cancelled": Status.CANCELLED.value,
    "request.refused": Status.REFUSED.value,
}
_FIRST: Final = ("request.admitted", *_ENDINGS)
#: What of an event's body a reader needs; the rest stands in the evidence.
_SHOWN: Final = (
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


class InvalidCertificateError(ValueError):
    """A certificate does not prove what it says. Its message says where it breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """One event and its way up to a root."""

    previous: str  #: the hash of the event before it
    body: str  #: the exact text that was hashed
    path: Sequence[str] = field(repr=False)  #: hashes beside its way to the root, in hex

    @property
    def said(self) -> dict[str, Any]:
        """What the event says.

        Raises:
            InvalidCertificateError: nothing that can be read.
        """
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        event: dict[str, Any] = found if isinstance(found, dict) else {}
        if (type(event.get("chain")), type(event.get("seq"))) != (str, int):
            raise InvalidCertificateError("it holds an event that is none")
        return event

    def root(self, size: object) -> str | None:
        """Return the root that its path leads to in a tree of so many events, in hex."""
        try:
            leaf = bytes.fromhex(seal(self.previous, self.body))
            beside = [bytes.fromhex(one) for one in self.path]
        except (ValueError, TypeError):
            return None
        if not isinstance(size, int):
            return None
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


def certificate(evidence: Evidence, *, issued_at: str) -> dict[str, Any]:
    """Return the certificate that evidence gives: the same for everybody who tells it.

    Args:
        evidence: of a request that is closed.
        issued_at: the moment, as `chain.written_time` writes it.

    Raises:
        InvalidCertificateError: the events are not those of one closed request.
    """
    events = [one.said for one in evidence.events]
    openings = [opened.said for opened, _ in evidence.runs]
    checkpoint = _checkpoint(evidence)
    return {
        "certificate": FORMAT,
        "issued_at": issued_at,
        "record": {
            "origin": checkpoint.origin,
            "events": checkpoint.size,
            "signed_at": checkpoint.text.splitlines()[-1].removeprefix("time "),
        },
        "request": _request(events),
        "result": _result(events),
        "steps": [{name: said[name] for name in _SHOWN if name in said} for said in events],
        "runs": [
            {
                "run_id": said.get("run_id"),
                "opened_at": said.get("at"),
                "actor": said.get("actor"),
                "version": said.get("version"),
                "settings_sha256": said.get("settings"),
            }
            for said in openings
        ],
        "limits": list(LIMITS),
        "evidence": evidence.as_json(),
    }


def verified(document: object, keys: Iterable[PublicKey]) -> dict[str, Any]:
    """Return a certificate if it proves what it says; needs no database.

    One of an older format is returned as it would be issued today.

    Args:
        document: the certificate's JSON.
        keys: that may have signed its checkpoint.

    Raises:
        InvalidCertificateError: it does not.
    """
    form = document.get("certificate") if isinstance(document, dict) else None
    if not isinstance(document, dict) or form not in (FORMAT, FIRST_FORMAT):  # form may be a list
        raise InvalidCertificateError("it is no certificate of this kind")
    evidence = _evidence_in(document.get("evidence"))
    try:
        require_signed(evidence.checkpoint, keys)
    except InvalidCheckpointError as error:
        raise InvalidCertificateError(f"its checkpoint: {error}") from None
    _require_proofs(evidence)
    told = certificate(evidence, issued_at=str(document.get("issued_at")))
    expected = told if form == FORMAT else _in_first_format(told)
    if expected != document:
        names = [name for name in expected if expected[name] != document.get(name)]
        raise InvalidCertificateError(
            f"it says something else than its evidence: {', '.join(names) or 'there is more in it'}"
        )
    return told


def _in_first_format(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a certificate as the first format had it, word for word."""
    result = {name: value for name, value in told["result"].items() if name not in _SECOND_RESULTS}
    result["meaning"] = _FIRST_MEANINGS.get(str(result["outcome"]))
    first = {"certificate": FIRST_FORMAT, "result": result, "limits": list(_FIRST_LIMITS)}
    return {**told, **first}


def _require_proofs(evidence: Evidence) -> None:
    """Follow every path up to the signed root."""
    checkpoint = _checkpoint(evidence)

    def require_in_main(one: Proven) -> None:
        if one.said["chain"] != MAIN or one.root(checkpoint.size) != checkpoint.root.hex():
            raise InvalidCertificateError(
                f"event {one.said['seq']} of main is not in the record that was signed"
            )

    closings: dict[object, dict[str, Any]] = {}
    for opened, closed in evidence.runs:
        run_id = opened.said.get("run_id")
        for one, event in ((opened, "run.opened"), (closed, "run.closed")):
            require_in_main(one)
            if (one.said.get("event"), one.said.get("run_id")) != (event, run_id):
                raise InvalidCertificateError("it takes another event for a run's")
        closings[run_id] = closed.said
    before: dict[str, int] = {}
    for one in evidence.events:
        said = one.said
        if said["seq"] <= before.get(said["chain"], 0):
            raise InvalidCertificateError("its events are not in the order of the record")
        before[said["chain"]] = said["seq"]
        if said["chain"] == MAIN:
            require_in_main(one)
            continue
        closing = closings.get(said["chain"], {})
        if closing.get("root") is None or one.root(closing.get("length")) != closing["root"]:
            raise InvalidCertificateError(
                f"event {said['seq']} of run {said['chain']} is not in what its run has closed"
            )


def _request(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = next((said for said in events if said.get("event") in _FIRST), None)
    ids = {said.get("request_id") for said in events}
    if first is None or len(ids) != 1:
        raise InvalidCertificateError("its events are not those of one request")
    # A row that was corrected names somebody else since: its end says whom.
    is_corrected = any("former" in said for said in events)
    naming = [said for said in events if not is_corrected or said.get("event") in _ENDINGS]
    subject = naming[-1].get("subject") if is_corrected and naming else first.get("subject")
    return {
        "id": first["request_id"],
        "reference": first.get("reference"),
        "subject": subject,
        "also": sorted({one for said in naming for one in said.get("also", ())}),
        "regime": first.get("regime"),
        "received_at": first.get("received_at"),
        "due_on": first.get("due_on"),
    }


def _result(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ends = [said for said in events if said.get("event") in _ENDINGS]
    if len(ends) != 1:
        raise InvalidCertificateError("its request is not closed, or twice")
    (end,) = ends
    outcome = _ENDINGS[end["event"]] or end.get("outcome")
    closed_on, due_on = end.get("closed_on"), end.get("due_on")
    return {
        "outcome": outcome,
        "name": name_of(outcome),
        "meaning": meaning_of(outcome),
        "absence": absence_in(end),
        "logs": logs_in(events),
        "closed_at": end.get("at"),
        "closed_on": closed_on,
        "due_on": due_on,
        "on_time": None if closed_on is None or due_on is None else closed_on <= due_on,
        "http_status": end.get("http_status"),
        "reason": end.get("reason"),
        "actor": end.get("actor"),
        "run_id": end.get("run_id"),
        "verified_absent": _verified_absent(events),
    }


def _verified_absent(events: Sequence[Mapping[str, Any]]) -> bool:
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


def _evidence_in(found: Any) -> Evidence:  # noqa: ANN401  # JSON
    try:
        return Evidence(
            checkpoint=str(found["checkpoint"]),
            events=[_proven_in(one) for one in found["events"]],
            runs=[(_proven_in(one["opened"]), _proven_in(one["closed"])) for one in found["runs"]],
        )
    except (KeyError, TypeError):
        raise InvalidCertificateError("its evidence is not complete") from None


def _proven_in(found: Mapping[str, Any]) -> Proven:
    return Proven(
        previous=str(found["previous"]),
        body=str(found["body"]),
        path=[str(one) for one in found["path"]],
    )

"""Certificates: what they tell, and that nothing in them can be changed."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from builders import Chain, make_checkpoint

from forge_gdpr.certificates import (
    FIRST_FORMAT,
    FORMAT,
    LIMITS,
    Evidence,
    InvalidCertificateError,
    certificate,
    verified,
)
from forge_gdpr.chain import canonical
from forge_gdpr.checkpoints import Checkpoint, signing_key
from forge_gdpr.lifecycle import CONSEQUENCES, Event
from forge_gdpr.merkle import root_of
from forge_gdpr.outcomes import ENDINGS
from forge_gdpr.reports.certificate import as_html

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from forge_gdpr.checkpoints import SigningKey

KEY: Final = signing_key("example.org/forge-gdpr", bytes(range(32)))
OTHER: Final = signing_key("example.org/forge-gdpr", bytes(32))
GOLDEN: Final = Path(__file__).parents[1] / "golden"
AT: Final = datetime(2026, 11, 24, 3, tzinfo=UTC)
ISSUED: Final = "2026-11-25T09:00:00.000000Z"
ADMITTED: Final[Mapping[str, Any]] = {
    "event": "request.admitted",
    "request_id": 17,
    "reference": "T-4711",
    "regime": "gdpr",
    "subject": "k1:aa",
    "received_at": "2026-11-01T08:00:00.000000Z",
    "due_on": "2026-12-01",
}
FINISHED: Final[Mapping[str, Any]] = {
    "event": "attempt.finished",
    "request_id": 17,
    "attempt": 1,
    "steps": [
        {"name": "erase_user", "http_status": 200},
        {"name": "verify", "http_status": 404},
    ],
}
CLOSED: Final[Mapping[str, Any]] = {
    "event": "request.closed",
    "request_id": 17,
    "outcome": "erased",
    "http_status": 200,
    "closed_on": "2026-11-24",
    "due_on": "2026-12-01",
    "also": ["k1:cc"],
}
CLOSING: Final = [end for end, event in CONSEQUENCES.items() if event is Event.CLOSED]
OF_ANOTHER: Final[Mapping[str, Any]] = {"event": "request.closed", "request_id": 18}
RUN: Final = "01a20d04-ce50-71db-bbb1-3440ba4ed851"


def make_evidence(
    *of_run: Mapping[str, Any], in_main: Sequence[Mapping[str, Any]] = (), key: SigningKey = KEY
) -> Evidence:
    """Return evidence of one run's events of request 17, and of such events in `main`."""
    run = Chain(RUN, of_run)
    opened = {
        "event": "run.opened",
        "run_id": RUN,
        "actor": "cron",
        "version": "1",
        "settings": "ee",
    }
    closed = {
        "event": "run.closed",
        "run_id": RUN,
        "length": len(run.leaves),
        "root": root_of(run.leaves).hex(),
    }
    main = Chain("main", [*in_main, opened, closed])
    checkpoint = make_checkpoint(main.leaves)
    ours = [seq for seq, body in enumerate(of_run, start=1) if body["request_id"] == 17]
    return Evidence(
        checkpoint=key.signed(checkpoint.text),
        events=[
            *(main.proven(seq) for seq in range(1, len(in_main) + 1)),
            *(run.proven(seq) for seq in ours),
        ],
        runs=[(main.proven(len(in_main) + 1), main.proven(len(in_main) + 2))] if of_run else [],
    )


def make_document(*of_run: Mapping[str, Any], **given: Any) -> Any:
    """Return a certificate as it is read from a file."""
    evidence = make_evidence(*(of_run or (ADMITTED, OF_ANOTHER, FINISHED, CLOSED)), **given)
    return json.loads(json.dumps(certificate(evidence, issued_at=ISSUED)))


def test_a_certificate_tells_what_was_asked_done_and_answered() -> None:
    document = make_document()
    assert verified(document, [OTHER.public, KEY.public]) == document
    assert document["issued_at"] == ISSUED
    assert document["record"] == {
        "origin": "example.org/forge-gdpr",
        "events": 2,
        "signed_at": "2026-11-24T03:00:00.000000Z",
    }
    assert document["request"] == {
        "id": 17,
        "reference": "T-4711",
        "subject": "k1:aa",
        "also": ["k1:cc"],
        "regime": "gdpr",
        "received_at": "2026-11-01T08:00:00.000000Z",
        "due_on": "2026-12-01",
    }
    assert document["result"] == {
        "outcome": "erased",
        "name": "erased",
        "meaning": "Forge confirmed that it deleted the user.",
        "absence": None,
        "logs": "What became of this user's logs is not in the record.",
        "closed_at": "2026-11-24T03:00:04.000000Z",
        "closed_on": "2026-11-24",
        "due_on": "2026-12-01",
        "on_time": True,
        "http_status": 200,
        "reason": None,
        "actor": None,
        "run_id": None,
        "verified_absent": True,
    }
    assert [step["event"] for step in document["steps"]] == [
        "request.admitted",
        "attempt.finished",
        "request.closed",
    ]
    assert document["runs"] == [
        {
            "run_id": RUN,
            "opened_at": "2026-11-24T03:00:01.000000Z",
            "actor": "cron",
            "version": "1",
            "settings_sha256": "ee",
        }
    ]
    assert document["limits"] == list(LIMITS)


@pytest.mark.parametrize("ending", ["cancelled", "refused"])
def test_a_request_that_a_person_ended_has_no_run(ending: str) -> None:
    ended = {
        "event": f"request.{ending}",
        "request_id": 17,
        "subject": "k1:aa",
        "reason": "withdrawn",
        "actor": "legal",
        "closed_on": "2026-12-02",
        "due_on": "2026-12-01",
    }
    document = json.loads(json.dumps(certificate(make_evidence(in_main=[ended]), issued_at=ISSUED)))
    assert verified(document, [KEY.public]) == document
    assert (document["runs"], document["result"]["on_time"]) == ([], False)
    assert document["result"]["meaning"] == ENDINGS[ending].sentence
    assert (document["result"]["absence"], document["result"]["logs"]) == (None, None)
    assert document["result"]["outcome"] == ending
    assert document["result"]["verified_absent"] is False


def test_a_date_that_nobody_recorded_is_neither_kept_nor_missed() -> None:
    document = make_document({**ADMITTED}, {**CLOSED, "due_on": None})
    assert document["result"]["on_time"] is None


@pytest.mark.parametrize("outcome", CLOSING)
def test_erased_is_said_only_of_those_whom_forge_deleted(outcome: str) -> None:
    document = make_document(ADMITTED, FINISHED, {**CLOSED, "outcome": outcome})
    assert verified(document, [KEY.public]) == document
    told = document["result"]["name"] + document["result"]["meaning"]
    deleted = outcome in {"erased", "absent_after_attempt"}
    assert ("erased" in told, "deleted nobody" in told) == (deleted, not deleted)
    page = as_html(document)
    assert f'<p class="outcome">{escape(ENDINGS[outcome].name)}</p>' in page
    for sentence in (document["result"][name] for name in ("meaning", "absence", "logs")):
        assert escape(sentence or "") in page


def test_a_certificate_says_by_what_absence_was_shown_and_what_became_of_the_logs() -> None:
    absence = {"paths": "list", "gone": "list", "account": "expected"}
    ended = {**CLOSED, "outcome": "absent_after_attempt", "absence": absence}
    steps = [{"name": "logs", "http_status": 200}, {"name": "account", "http_status": 404}]
    document = make_document(ADMITTED, {**FINISHED, "steps": steps}, {**ended, "steps": ["logs"]})
    assert verified(document, [KEY.public]) == document
    assert document["result"]["absence"] == (
        "Absence was shown by Forge's whole list of users, in an account that an operator vouched"
        " for: nothing but the operator's word shows that it is the right one."
    )
    assert document["result"]["logs"] == (
        "Forge confirmed that it deleted this user's logs, before the account."
    )
    assert document["result"]["verified_absent"] is False
    assert "<td>logs 200, account 404</td>" in as_html(document)
    document["result"]["absence"] = None
    with pytest.raises(InvalidCertificateError, match="something else than its evidence: result"):
        verified(document, [KEY.public])


def issued_before(number: int) -> Any:
    return json.loads((GOLDEN / "certificates-1.json").read_text())[number]


@pytest.mark.parametrize("number", range(6))
def test_an_older_certificate_is_valid_and_told_in_todays_words(number: int) -> None:
    document = issued_before(number)
    assert document["certificate"] == FIRST_FORMAT
    today = verified(document, [KEY.public])
    assert today["certificate"] == FORMAT
    assert verified(today, [KEY.public]) == today
    assert today["evidence"] == document["evidence"]
    assert today["result"]["meaning"] == ENDINGS[document["result"]["outcome"]].sentence


@pytest.mark.parametrize("name", ["meaning", "outcome", "absence"])
def test_every_change_of_an_older_certificate_is_found(name: str) -> None:
    document = issued_before(2)
    document["result"][name] = "erased"
    with pytest.raises(InvalidCertificateError, match="something else than its evidence: result"):
        verified(document, [KEY.public])


def test_an_older_certificate_has_no_newer_words() -> None:
    document = verified(issued_before(2), [KEY.public])
    document["certificate"] = FIRST_FORMAT
    with pytest.raises(InvalidCertificateError, match="evidence: result, limits"):
        verified(document, [KEY.public])


@pytest.mark.parametrize(
    ("of_run", "message"),
    [
        ((ADMITTED, FINISHED), "its request is not closed, or twice"),
        ((ADMITTED, CLOSED, CLOSED), "its request is not closed, or twice"),
        ((FINISHED,), "its events are not those of one request"),
    ],
)
def test_what_is_not_closed_once_has_no_certificate(
    of_run: tuple[Mapping[str, Any], ...], message: str
) -> None:
    with pytest.raises(InvalidCertificateError, match=message):
        certificate(make_evidence(*of_run), issued_at=ISSUED)


def body_of(document: Any, number: int, **changes: Any) -> None:
    event = document["evidence"]["events"][number]
    event["body"] = canonical(json.loads(event["body"]) | changes)


def half_a_character(document: Any) -> None:
    event = document["evidence"]["events"][0]
    event["body"] = event["body"].replace("T-4711", "\ud800")


def event_of(document: Any, **changes: Any) -> None:
    document["evidence"]["events"][0].update(changes)


def swapped_runs(document: Any) -> None:
    run = document["evidence"]["runs"][0]
    run["opened"], run["closed"] = run["closed"], run["opened"]


def run_as_request(document: Any) -> None:
    run = document["evidence"]["runs"][0]
    document["evidence"]["events"][0] = run["opened"]


def moved_path(document: Any) -> None:
    events = document["evidence"]["events"]
    events[0]["path"], events[1]["path"] = events[1]["path"], events[0]["path"]


def checkpoint_of(document: Any, text: str) -> None:
    document["evidence"]["checkpoint"] = text


def stripped(document: Any) -> None:
    note = document["evidence"]["checkpoint"]
    checkpoint_of(document, note.split("\n\n")[0] + "\n\n")


def resigned(document: Any) -> None:
    note = document["evidence"]["checkpoint"]
    checkpoint_of(document, OTHER.signed(note.split("\n\n")[0] + "\n"))


def for_no_checkpoint(document: Any) -> None:
    checkpoint_of(document, KEY.signed("this is signed, and no checkpoint\n"))


def for_an_older_record(document: Any) -> None:
    older = Checkpoint(
        origin="example.org/forge-gdpr", size=1, root=bytes(32), head="ab" * 32, at=AT
    )
    checkpoint_of(document, KEY.signed(older.text))


def another_kept(document: Any) -> None:
    """Another request's event in the place of one: the record has it, but not this request."""
    evidence = make_evidence(ADMITTED, {**OF_ANOTHER}, FINISHED, CLOSED)
    chain = Chain(RUN, [ADMITTED, OF_ANOTHER, FINISHED, CLOSED])
    assert chain.texts[0] == evidence.events[0].body
    document["evidence"]["events"][0] = chain.proven(2).as_json()


NOT_SIGNED = "its checkpoint: "
NOT_IN_RUN = "is not in what its run has closed"
NOT_IN_MAIN = "of main is not in the record that was signed"
EVENT = "it holds an event that is none"
ELSE = "it says something else than its evidence: "


#: What is changed, by what, and what is said of it.
CHANGES: Final[Mapping[str, tuple[Callable[[Any], object], str]]] = {
    "another kind": (lambda d: d.update(certificate="forge-gdpr certificate 3"), "of this kind"),
    "no kind at all": (lambda d: d.update(certificate=["forge-gdpr"]), "of this kind"),
    "name": (lambda d: d["result"].update(name="was not there"), f"{ELSE}result"),
    "logs": (lambda d: d["result"].update(logs="They are gone."), f"{ELSE}result"),
    "outcome": (lambda d: d["result"].update(outcome="already_absent"), f"{ELSE}result"),
    "reference": (lambda d: d["request"].update(reference="T-1"), f"{ELSE}request"),
    "subject": (lambda d: d["request"].update(subject="k1:bb"), f"{ELSE}request"),
    "step left out": (lambda d: d["steps"].pop(), f"{ELSE}steps"),
    "version": (lambda d: d["runs"][0].update(version="2"), f"{ELSE}runs"),
    "time signed": (lambda d: d["record"].update(signed_at="2020"), f"{ELSE}record"),
    "limits": (lambda d: d.update(limits=[]), f"{ELSE}limits"),
    "more": (lambda d: d.update(more="trust me"), f"{ELSE}there is more in it"),
    "no evidence": (lambda d: d.pop("evidence"), "its evidence is not complete"),
    "number as evidence": (lambda d: d.update(evidence=7), "its evidence is not complete"),
    "runs left out": (lambda d: d["evidence"].pop("runs"), "its evidence is not complete"),
    "run left out": (lambda d: d["evidence"].update(runs=[]), NOT_IN_RUN),
    "last event left out": (lambda d: d["evidence"]["events"].pop(), "not closed, or twice"),
    "first event left out": (lambda d: d["evidence"]["events"].pop(0), f"{ELSE}request, steps"),
    "order": (lambda d: d["evidence"]["events"].reverse(), "not in the order of the record"),
    "body": (lambda d: body_of(d, 0, subject="k1:bb"), NOT_IN_RUN),
    "seq": (lambda d: body_of(d, 0, seq=2), NOT_IN_RUN),
    "seq below one": (lambda d: body_of(d, 0, seq=0), "not in the order of the record"),
    "chain": (lambda d: body_of(d, 0, chain="main"), NOT_IN_MAIN),
    "chain as a list": (lambda d: body_of(d, 0, chain=["main"]), EVENT),
    "seq as text": (lambda d: body_of(d, 0, seq="1"), EVENT),
    "seq as truth": (lambda d: body_of(d, 0, seq=True), EVENT),
    "too deep": (lambda d: event_of(d, body="[" * 100_000), EVENT),
    "half a character": (lambda d: event_of(d, body="\ud800"), EVENT),
    "half a character inside": (half_a_character, NOT_IN_RUN),
    "previous": (lambda d: event_of(d, previous="ab" * 32), NOT_IN_RUN),
    "shorter path": (lambda d: d["evidence"]["events"][0]["path"].pop(), NOT_IN_RUN),
    "longer path": (lambda d: d["evidence"]["events"][0]["path"].append("ab" * 32), NOT_IN_RUN),
    "path of no hash": (lambda d: event_of(d, path=["xx"]), NOT_IN_RUN),
    "path of a number": (lambda d: event_of(d, path=7), "its evidence is not complete"),
    "path of another": (moved_path, NOT_IN_RUN),
    "event of another": (another_kept, "not those of one request"),
    "run's events swapped": (swapped_runs, "another event for a run's"),
    "run as an event": (run_as_request, "not those of one request"),
    "signature stripped": (stripped, NOT_SIGNED),
    "another key": (resigned, NOT_SIGNED),
    "signed, no checkpoint": (for_no_checkpoint, NOT_SIGNED),
    "older checkpoint": (for_an_older_record, NOT_IN_MAIN),
    "no checkpoint": (lambda d: checkpoint_of(d, ""), NOT_SIGNED),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_found(change: str) -> None:
    tamper, message = CHANGES[change]
    document = make_document()
    tamper(document)
    with pytest.raises(InvalidCertificateError, match=re.escape(message)):
        verified(document, [KEY.public])


def test_a_run_without_a_length_proves_nothing() -> None:
    document = make_document()
    closed = document["evidence"]["runs"][0]["closed"]
    main = Chain(
        "main",
        [
            json.loads(document["evidence"]["runs"][0]["opened"]["body"]),
            json.loads(closed["body"]) | {"length": "4"},
        ],
    )
    document["evidence"]["runs"][0] = {
        "opened": main.proven(1).as_json(),
        "closed": main.proven(2).as_json(),
    }
    checkpoint = make_checkpoint(main.leaves)
    checkpoint_of(document, KEY.signed(checkpoint.text))
    with pytest.raises(InvalidCertificateError, match=NOT_IN_RUN):
        verified(document, [KEY.public])


@pytest.mark.parametrize("document", [None, [], "certificate", 7, {}])
def test_what_is_no_certificate_proves_nothing(document: object) -> None:
    with pytest.raises(InvalidCertificateError, match="it is no certificate of this kind"):
        verified(document, [KEY.public])


def test_a_changed_issue_date_is_no_forgery_for_nobody_signs_it() -> None:
    document = make_document()
    document["issued_at"] = "2027-01-01T00:00:00.000000Z"
    assert verified(document, [KEY.public])["issued_at"] == "2027-01-01T00:00:00.000000Z"


def test_the_page_says_the_same_and_runs_nothing() -> None:
    document = make_document({**ADMITTED, "reference": "<script>alert(1)</script>"}, CLOSED)
    page = as_html(document)
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("HTTP", "")
    for said in (*LIMITS, "Forge confirmed that it deleted the user.", "HTTP 200", RUN):
        assert escape(said) in page
    without = deepcopy(document) | {"runs": []}
    assert "<h2>Runs</h2>" in page
    assert "<h2>Runs</h2>" not in as_html(without)


def test_a_step_of_the_page_has_the_status_of_each_call() -> None:
    page = as_html(make_document())
    assert "<td>erase_user 200, verify 404</td>" in page

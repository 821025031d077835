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
from evidence import make_certificate, proven_run

from forge_gdpr import certificates
from forge_gdpr.certificates import (
    FIRST_FORMAT,
    FORMAT,
    LIMITS,
    PROVES,
    SECOND_FORMAT,
    Evidence,
    InvalidCertificateError,
    NothingToCertifyError,
    certificate,
    certificate_in,
    in_order,
    verified,
)
from forge_gdpr.chain import canonical
from forge_gdpr.checkpoints import Checkpoint, PublicKey, signing_key
from forge_gdpr.lifecycle import CONSEQUENCES, Event
from forge_gdpr.merkle import root_of
from forge_gdpr.outcomes import ENDINGS, by_these_events
from forge_gdpr.reports.certificate import as_html, certificate_text_in

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


def document_of(document: object, *keys: SigningKey) -> Any:
    """Return what a certificate proves, as it would be issued today."""
    return verified(document, [key.public for key in keys or (KEY,)]).document


def make_document(*of_run: Mapping[str, Any], **given: Any) -> Any:
    """Return a certificate as it is read from a file."""
    evidence = make_evidence(*(of_run or (ADMITTED, OF_ANOTHER, FINISHED, CLOSED)), **given)
    return json.loads(json.dumps(certificate(evidence)))


def test_a_certificate_tells_what_was_asked_done_and_answered() -> None:
    document = make_document()
    assert document_of(document, OTHER, KEY) == document
    assert "issued_at" not in document
    assert document["record"] == {
        "origin": "example.org/forge-gdpr",
        "events": 2,
        "signed_at": "2026-11-24T03:00:00.000000Z",
        "signed_by": f"{KEY.name}+{KEY.public.id}",
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
        "logs": "What became of this user's logs, these events do not say.",
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
    assert (document["proves"], document["limits"]) == (list(PROVES), list(LIMITS))


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
    document = json.loads(json.dumps(certificate(make_evidence(in_main=[ended]))))
    assert document_of(document) == document
    assert (document["runs"], document["result"]["on_time"]) == ([], False)
    assert document["result"]["meaning"] == by_these_events(ENDINGS[ending].sentence)
    assert (document["result"]["absence"], document["result"]["logs"]) == (None, None)
    assert document["result"]["outcome"] == ending
    assert document["result"]["verified_absent"] is False


@pytest.mark.parametrize(
    ("changes", "is_shown"),
    [
        ({}, True),
        ({"status": "done"}, True),
        ({"status": "pending"}, False),
        ({"event": "attempt.started"}, False),
        ({"steps": [{"name": "verify", "http_status": 410}]}, True),
        ({"steps": [{"name": "verify", "http_status": 411}]}, False),
        ({"steps": [{"name": "account", "http_status": 404}]}, False),
    ],
)
def test_that_the_user_was_not_there_afterwards_the_last_attempt_shows(
    changes: Mapping[str, Any], is_shown: bool
) -> None:
    document = make_document(ADMITTED, {**FINISHED, **changes}, CLOSED)
    assert document["result"]["verified_absent"] is is_shown


@pytest.mark.parametrize(("day", "is_kept"), [("24", True), ("25", True), ("23", False)])
def test_the_last_day_is_on_time(day: str, is_kept: bool) -> None:
    document = make_document(ADMITTED, {**CLOSED, "due_on": f"2026-11-{day}"})
    assert document["result"]["on_time"] is is_kept


def test_a_date_that_nobody_recorded_is_neither_kept_nor_missed() -> None:
    document = make_document({**ADMITTED}, {**CLOSED, "due_on": None})
    assert document["result"]["on_time"] is None


@pytest.mark.parametrize("outcome", CLOSING)
def test_erased_is_said_only_of_those_whom_forge_deleted(outcome: str) -> None:
    document = make_document(ADMITTED, FINISHED, {**CLOSED, "outcome": outcome})
    assert document_of(document) == document
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
    assert document_of(document) == document
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
        document_of(document)


def issued_before(number: int) -> Any:
    return json.loads((GOLDEN / "certificates-1.json").read_text())[number]


@pytest.mark.parametrize("number", range(6))
def test_an_older_certificate_is_valid_and_told_in_todays_words(number: int) -> None:
    document = issued_before(number)
    assert document["certificate"] == FIRST_FORMAT
    today = document_of(document)
    assert today["certificate"] == FORMAT
    assert document_of(today) == today
    assert today["evidence"] == document["evidence"]
    meaning = ENDINGS[document["result"]["outcome"]].sentence
    assert today["result"]["meaning"] == by_these_events(meaning)


@pytest.mark.parametrize("name", ["meaning", "outcome", "absence"])
def test_every_change_of_an_older_certificate_is_found(name: str) -> None:
    document = issued_before(2)
    document["result"][name] = "erased"
    with pytest.raises(InvalidCertificateError, match="something else than its evidence: result"):
        document_of(document)


def test_an_older_certificate_has_no_newer_words() -> None:
    document = document_of(issued_before(2))
    document |= {"certificate": FIRST_FORMAT, "issued_at": ISSUED}
    with pytest.raises(InvalidCertificateError, match="evidence: record, result, limits"):
        document_of(document)
    document["certificate"] = SECOND_FORMAT
    with pytest.raises(InvalidCertificateError, match="evidence: record, result, limits"):
        document_of(document)


def second_ones() -> tuple[PublicKey, list[Any]]:
    """Return real certificates of the second format, and whose they are."""
    golden = json.loads((GOLDEN / "certificates-2.json").read_text())
    return PublicKey.parse(golden["public_key"]), golden["certificates"]


@pytest.mark.parametrize("number", range(4))
def test_a_certificate_of_the_second_format_is_valid_and_told_as_today(number: int) -> None:
    key, documents = second_ones()
    document = documents[number]
    assert document["certificate"] == SECOND_FORMAT
    found = verified(document, [key])
    today = found.document
    assert (today["certificate"], found.key) == (FORMAT, key)
    for name in ("request", "steps", "runs", "evidence"):
        assert today[name] == document[name]
    result = document["result"]
    words = {name: by_these_events(result[name]) for name in ("meaning", "logs")}
    assert today["result"] == result | words != result
    assert verified(today, [key]).document == today
    for issued_at in (None, "2026-11-25", "now"):
        with pytest.raises(InvalidCertificateError, match=r"^it does not say when it was issued$"):
            verified(document | {"issued_at": issued_at}, [key])
    with pytest.raises(InvalidCertificateError, match="there is more in it"):
        verified(document | {"more": 1}, [key])


def as_before(*of_run: Mapping[str, Any]) -> Any:
    """Return a certificate of the second format."""
    evidence = make_evidence(*of_run)
    return certificates._told_before(evidence, form=SECOND_FORMAT, issued_at=ISSUED)


def test_older_certificates_have_the_pseudonyms_of_every_event_that_is_not_corrected() -> None:
    admitted = {**ADMITTED, "also": ["k1:zz", "k1:cc"]}
    document = as_before(admitted, FINISHED, CLOSED)
    assert document["request"]["also"] == ["k1:cc", "k1:zz"]
    assert document_of(document)["request"]["also"] == ["k1:cc"]
    again = {**ADMITTED, "subject": "k1:bb", "former": "k1:aa", "also": ["k1:dd"]}
    document = as_before(admitted, again, {**CLOSED, "subject": "k1:bb"})
    assert (document["request"]["subject"], document["request"]["also"]) == ("k1:bb", ["k1:cc"])


def test_an_older_certificate_is_told_in_todays_order() -> None:
    key, documents = second_ones()
    document = documents[3]
    events = document["evidence"]["events"]
    events[1:5], events[0] = events[0:4], events[4]
    document["steps"] = [document["steps"][n] for n in (4, 0, 1, 2, 3, 5, 6, 7)]
    with pytest.raises(
        InvalidCertificateError, match=r"^its events are not in the order of the record$"
    ):
        verified(document, [key])
    _, documents = second_ones()
    document, kept = documents[3], deepcopy(documents[3])
    events, steps = document["evidence"]["events"], document["steps"]
    events[:4] = [events[1], events[0], *events[2:4]]
    steps[:4] = [steps[1], steps[0], *steps[2:4]]
    assert verified(document, [key]).document == verified(kept, [key]).document


@pytest.mark.parametrize(
    ("of_run", "message"),
    [
        ((ADMITTED, FINISHED), "its request is not closed"),
        ((FINISHED,), "its request is not closed"),
        (
            (ADMITTED, {**CLOSED, "event": "request.cancelled"}, CLOSED),
            r"its request has 2 ends \(cancelled, erased\), so no certificate can say one of them",
        ),
        (
            (ADMITTED, {**CLOSED, "outcome": None}, CLOSED, CLOSED),
            r"its request has 3 ends \(None, erased, erased\), so no certificate can say .*",
        ),
    ],
)
def test_what_is_not_closed_once_has_no_certificate(
    of_run: tuple[Mapping[str, Any], ...], message: str
) -> None:
    with pytest.raises(InvalidCertificateError, match=f"^{message}$"):
        certificate(make_evidence(*of_run))


def test_a_second_end_is_nothing_to_certify_and_no_fault_of_the_record() -> None:
    with pytest.raises(NothingToCertifyError):
        certificate(make_evidence(ADMITTED, CLOSED, CLOSED))


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([{"attempt": 2}], "its events tell of 2 attempts, and attempt 1 is not among them"),
        ([{"attempt": 1}, {"attempt": 3}], "its events tell of 3 attempts, and attempt 2 is"),
        ([{"event": "attempt.started", "attempt": 2}], "its events tell of 2 attempts, and "),
        ([{"event": "request.held", "attempt": 1}], "its events tell of 1 attempts, and "),
        ([{**CLOSED, "attempt": 2}], "its events tell of 2 attempts, and attempt 1 is"),
        ([{**CLOSED, "attempts": 1}], "its events tell of 1 attempts, and attempt 1 is"),
        ([{**CLOSED, "attempts": 2**53 - 1}], "and attempt 1 is not among them"),
    ],
)
def test_events_that_tell_of_another_attempt_are_not_all_of_them(
    events: Sequence[Mapping[str, Any]], message: str
) -> None:
    """Left out was an attempt that deleted the logs, say, or one that Forge accepted."""
    of_run = [{**FINISHED, **changes} for changes in events]
    ends = [] if of_run[-1]["event"] == CLOSED["event"] else [CLOSED]
    with pytest.raises(NothingToCertifyError, match=message):
        certificate(make_evidence(*of_run, *ends))


@pytest.mark.parametrize("numbers", [(1,), (1, 1, 2), (1, 2, 1), (None, 1), ()])
def test_numbers_come_again_after_what_does_not_count(numbers: Sequence[int | None]) -> None:
    attempts = [{**FINISHED, "attempt": number} for number in numbers]
    last = numbers[-1] if numbers else None
    document = make_document(*attempts, {**CLOSED, "attempt": last, "attempts": last})
    assert len(document["steps"]) == len(numbers) + 1


@pytest.mark.parametrize(
    ("closing", "meaning", "logs"),
    [
        (
            {"event": "request.cancelled"},
            "The request was cancelled by a person. By these events, it deleted nobody.",
            None,
        ),
        (
            {"event": "request.refused"},
            "The request was refused by a person. By these events, it deleted nobody.",
            None,
        ),
        (
            {"outcome": "already_absent"},
            (
                "The user was not at Forge: no user with this id was found. By these events, no"
                " earlier call of this request had reached Forge, and it deleted nobody."
            ),
            "By these events, no logs were deleted, for no user was found.",
        ),
        (
            {"outcome": "not_found_by_email"},
            (
                "No user with this address was found in Forge's list of users. By these events,"
                " this request deleted nobody."
            ),
            "By these events, no logs were deleted, for no user was found.",
        ),
        (
            {"steps": ["account"]},
            "Forge confirmed that it deleted the user.",
            (
                "By these events, Forge was not asked to delete this user's logs"
                " (FORGE_GDPR_ERASE_LOGS was off), and keeps them."
            ),
        ),
        (
            {},
            "Forge confirmed that it deleted the user.",
            "What became of this user's logs, these events do not say.",
        ),
        (
            {"steps": ["logs"]},
            "Forge confirmed that it deleted the user.",
            "Forge confirmed that it deleted this user's logs, before the account.",
        ),
    ],
)
def test_what_is_denied_is_said_of_these_events(
    closing: Mapping[str, Any], meaning: str, logs: str | None
) -> None:
    """The record may have more of them: this request may have been set to pending again."""
    result = make_document(ADMITTED, {**CLOSED, **closing})["result"]
    assert (result["meaning"], result["logs"]) == (meaning, logs)


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


def capital_path(document: Any) -> None:
    path = document["evidence"]["events"][0]["path"]
    path[0] = path[0].upper()


def name_twice(document: Any) -> None:
    event = document["evidence"]["events"][0]
    event["body"] = event["body"].replace('{"at"', '{"at":"2026","at"')


def blanks(document: Any) -> None:
    event = document["evidence"]["events"][0]
    event["body"] = event["body"].replace(":", ": ")


def closes_first(document: Any) -> None:
    """A signed main chain in which the run closes first."""
    run = document["evidence"]["runs"][0]
    bodies = [json.loads(run[name]["body"]) for name in ("closed", "opened")]
    main = Chain("main", bodies)
    run["opened"], run["closed"] = main.proven(2).as_json(), main.proven(1).as_json()
    checkpoint_of(document, KEY.signed(make_checkpoint(main.leaves).text))


def of_another_run(document: Any) -> None:
    """A signed run in which an event says that it is of another one."""
    evidence = make_evidence({**ADMITTED, "run_id": "another"}, CLOSED)
    document["evidence"] = evidence.as_json()


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


#: How each refusal begins.
BEGINS = "(?=it |its |event |run )"
NOT_SIGNED = "its checkpoint: "
NOT_IN_RUN = "is not in what its run has closed"
NOT_IN_MAIN = "of main is not in the record that was signed"
EVENT = "it holds an event that is none"
ELSE = "it says something else than its evidence: "


#: What is changed, by what, and what is said of it.
CHANGES: Final[Mapping[str, tuple[Callable[[Any], object], str]]] = {
    "another kind": (lambda d: d.update(certificate="forge-gdpr certificate 4"), "of this kind"),
    "an older kind": (lambda d: d.update(certificate=SECOND_FORMAT), "when it was issued"),
    "issued": (lambda d: d.update(issued_at=ISSUED), f"{ELSE}there is more in it"),
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
    "last event left out": (lambda d: d["evidence"]["events"].pop(), "request is not closed"),
    "first event left out": (lambda d: d["evidence"]["events"].pop(0), f"{ELSE}request, steps"),
    "order": (lambda d: d["evidence"]["events"].reverse(), "not in the order of the record"),
    "body": (lambda d: body_of(d, 0, subject="k1:bb"), NOT_IN_RUN),
    "seq": (lambda d: body_of(d, 0, seq=2), NOT_IN_RUN),
    "seq below one": (lambda d: body_of(d, 0, seq=0), EVENT),
    "chain": (lambda d: body_of(d, 0, chain="main"), NOT_IN_MAIN),
    "chain as a list": (lambda d: body_of(d, 0, chain=["main"]), EVENT),
    "seq as text": (lambda d: body_of(d, 0, seq="1"), EVENT),
    "seq as truth": (lambda d: body_of(d, 0, seq=True), EVENT),
    "too deep": (lambda d: event_of(d, body="[" * 100_000), EVENT),
    "half a character": (lambda d: event_of(d, body="\ud800"), EVENT),
    "half a character inside": (half_a_character, EVENT),
    "previous": (lambda d: event_of(d, previous="ab" * 32), NOT_IN_RUN),
    "shorter path": (lambda d: d["evidence"]["events"][0]["path"].pop(), NOT_IN_RUN),
    "longer path": (lambda d: d["evidence"]["events"][0]["path"].append("ab" * 32), NOT_IN_RUN),
    "path of no hash": (lambda d: event_of(d, path=["xx"]), NOT_IN_RUN),
    "path of a number": (lambda d: event_of(d, path=7), "its evidence is not complete"),
    "path of numbers": (lambda d: event_of(d, path=[7]), "its evidence is not complete"),
    "path in capitals": (capital_path, NOT_IN_RUN),
    "more in an event": (lambda d: event_of(d, more=1), "its evidence has more in it"),
    "more in the evidence": (lambda d: d["evidence"].update(more=1), "has more in it"),
    "1 for true": (lambda d: d["result"].update(on_time=1), f"{ELSE}result"),
    "length of 12.0": (lambda d: d["record"].update(events=2.0), f"{ELSE}record"),
    "signer": (lambda d: d["record"].update(signed_by="me"), f"{ELSE}record"),
    "what it proves": (lambda d: d.update(proves=["All of it."]), f"{ELSE}proves"),
    "body with a name twice": (name_twice, EVENT),
    "body with blanks": (blanks, EVENT),
    "closes before it opens": (closes_first, "closes before it opens"),
    "event of another run": (of_another_run, NOT_IN_RUN),
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
        document_of(document)


def retold(document: Any) -> Any:
    """Return a certificate in which all is told anew from its evidence, as an adversary would."""
    told = certificates._told(certificates._evidence_in(document["evidence"]))
    return json.loads(json.dumps(told))


def unrelated_run(document: Any) -> None:
    """Another run of the record, which has nothing to do with the request."""
    document["evidence"]["runs"].append(proven_run("run-2"))


def no_run(document: Any) -> None:
    document["evidence"]["runs"] = []


def run_twice(document: Any) -> None:
    document["evidence"]["runs"] *= 2


def runs_reversed(document: Any) -> None:
    document["evidence"]["runs"].reverse()


def event_twice(document: Any) -> None:
    events = document["evidence"]["events"]
    events.insert(1, events[0])


def later_event_first(document: Any) -> None:
    """What the desk did between two runs, before the first of them."""
    events = document["evidence"]["events"]
    events.insert(1, events.pop(IN_MAIN_BETWEEN))


def one_more_signature(document: Any) -> None:
    note = document["evidence"]["checkpoint"]
    signature = OTHER.signed(note.split("\n\n")[0] + "\n").split("\n\n")[1]
    checkpoint_of(document, note + signature)


def swap_ends_of_run(document: Any) -> None:
    """A run that is closed by what opened another one."""
    run = document["evidence"]["runs"][0]
    run["closed"] = document["evidence"]["runs"][1]["opened"]


def at(second: int) -> str:
    return f"2026-11-24T03:00:{second:02}.000000Z"


IN_MAIN_BETWEEN: Final = 3  #: the place of the correction
RICH: Final = make_certificate()
OTHER_RUNS: Final = "its runs are not those of its events, each once, in order"

#: What an adversary does who tells all of a certificate anew.
FORGERIES: Final[Mapping[str, tuple[Callable[[Any], object], str]]] = {
    "an unrelated run": (unrelated_run, OTHER_RUNS),
    "a run twice": (run_twice, OTHER_RUNS),
    "no run": (no_run, NOT_IN_RUN),
    "runs in another order": (runs_reversed, OTHER_RUNS),
    "a run that another one's opening closes": (swap_ends_of_run, "another event for a run's"),
    "an event twice": (event_twice, "not in the order of the record"),
    "events in another order": (later_event_first, "not in the order of their times"),
    "one more signature": (one_more_signature, "its checkpoint: it has "),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_no_evidence_is_there_that_does_not_belong_there(name: str) -> None:
    forge, message = FORGERIES[name]
    document = deepcopy(RICH)
    assert retold(document) == document_of(document) == document
    forge(document)
    try:
        document = retold(document)
    except InvalidCertificateError:
        assert "signature" in name
    with pytest.raises(InvalidCertificateError, match=f"^{BEGINS}.*{re.escape(message)}"):
        verified(document, [KEY.public])


def test_a_note_of_two_signatures_is_certified_for_nobody() -> None:
    document = deepcopy(RICH)
    one_more_signature(document)
    with pytest.raises(
        InvalidCertificateError, match=r"^its checkpoint: it has more than one signature$"
    ):
        certificate(certificates._evidence_in(document["evidence"]))


@pytest.mark.parametrize("kept", [*range(0, 128, 7), 127])
def test_whatever_is_left_out_the_request_and_its_end_are_the_same(kept: int) -> None:
    """Which events of the record are here is the issuer's choice: see the limits."""
    document = deepcopy(RICH)
    events = document["evidence"]["events"]
    document["evidence"]["events"] = [
        event for number, event in enumerate(events) if kept >> number & 1 or number == 6
    ]
    chains = {json.loads(one["body"])["chain"] for one in document["evidence"]["events"]}
    runs = document["evidence"]["runs"]
    document["evidence"]["runs"] = [
        run for run in runs if json.loads(run["opened"]["body"])["run_id"] in chains
    ]
    bodies = [json.loads(one["body"]) for one in document["evidence"]["events"]]
    tried = {body["attempt"] for body in bodies if body["event"] == FINISHED["event"]}
    if tried != {1, 2}:
        with pytest.raises(NothingToCertifyError, match="its events tell of 2 attempts, and "):
            retold(document)
        return
    found = document_of(retold(document))
    for name in ("request", "result", "record"):
        assert found[name] == RICH[name]


def test_what_was_done_about_somebody_else_is_not_told_of_the_person() -> None:
    document = RICH
    assert document["request"]["subject"] == "k1:aa"
    assert document["result"]["verified_absent"] is False
    assert "not asked to delete this user's logs" in document["result"]["logs"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"outcome": ["erased"]}, "outcome"),
        ({"also": "k1:cc"}, "also"),
        ({"also": [7]}, "also"),
        ({"due_on": "20261201"}, "due_on"),
        ({"due_on": 7}, "due_on"),
        ({"closed_on": "soon"}, "closed_on"),
        ({"received_at": "2026-11-01"}, "received_at"),
        ({"http_status": True}, "http_status"),
        ({"late": 1}, "late"),
        ({"length": "4"}, "length"),
        ({"steps": {}}, "steps"),
        ({"steps": [7]}, "steps"),
        ({"steps": [{"name": 7}]}, "steps"),
        ({"steps": [{"name": "account", "http_status": "200"}]}, "steps"),
        ({"steps": [{"http_status": 200}]}, "steps"),
    ],
)
def test_what_can_not_be_told_is_no_certificate(changes: Mapping[str, Any], name: str) -> None:
    with pytest.raises(
        InvalidCertificateError, match=f"^event 2 of {RUN} has a {name} that is none$"
    ):
        certificate(make_evidence(ADMITTED, {**CLOSED, **changes}))


def test_no_hour_of_a_chain_is_earlier_than_what_came_before_it() -> None:
    """A clock that was set back changes nothing about the order within a chain."""
    back = make_evidence({**ADMITTED, "at": at(9)}, {**CLOSED, "at": at(2)})
    assert in_order(back.events[::-1]) == list(back.events)
    assert document_of(certificate(back)) == certificate(back)


def test_main_goes_first_where_the_times_are_the_same() -> None:
    held = {"event": "request.held", "request_id": 17, "at": at(1)}
    evidence = make_evidence({**ADMITTED, "at": at(1)}, CLOSED, in_main=[held])
    events = [one.said["chain"] for one in in_order(evidence.events[::-1])]
    assert events == ["main", RUN, RUN]


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', "[1.0]", "", "[" * 40 + "]" * 40])
def test_a_certificate_is_read_strictly(text: str) -> None:
    assert certificate_in('{"certificate": 1}') == {"certificate": 1}
    with pytest.raises(InvalidCertificateError, match=r"^it "):
        certificate_in(text)


def test_a_run_without_a_length_proves_nothing() -> None:
    document = make_document()
    closed = document["evidence"]["runs"][0]["closed"]
    main = Chain(
        "main",
        [
            json.loads(document["evidence"]["runs"][0]["opened"]["body"]),
            json.loads(closed["body"]) | {"length": None},
        ],
    )
    document["evidence"]["runs"][0] = {
        "opened": main.proven(1).as_json(),
        "closed": main.proven(2).as_json(),
    }
    checkpoint = make_checkpoint(main.leaves)
    checkpoint_of(document, KEY.signed(checkpoint.text))
    with pytest.raises(InvalidCertificateError, match=NOT_IN_RUN):
        document_of(document)


@pytest.mark.parametrize("document", [None, [], "certificate", 7, {}])
def test_what_is_no_certificate_proves_nothing(document: object) -> None:
    with pytest.raises(InvalidCertificateError, match=r"^it is no certificate of this kind$"):
        document_of(document)


def test_the_page_says_the_same_and_runs_nothing() -> None:
    document = make_document({**ADMITTED, "reference": "<script>alert(1)</script>"}, CLOSED)
    page = as_html(document)
    assert "&lt;script&gt;" in page
    data = certificate_text_in(page)
    assert data is not None
    assert json.loads(data) == document
    assert not set("<>&").intersection(data)
    begin = '<script type="application/json" id="certificate">'
    assert (page.count("<script"), page.count("</script"), page.count(begin)) == (1, 1, 1)
    shown = page.replace(data, "")
    assert "http" not in shown.replace("http-equiv", "").replace("HTTP", "")
    for said in (*PROVES, *LIMITS, "Forge confirmed that it deleted the user.", "HTTP 200", RUN):
        assert escape(said) in page
    without = deepcopy(document) | {"runs": []}
    assert "<h2>Runs</h2>" in page
    assert "<h2>Runs</h2>" not in as_html(without)


def test_a_page_holds_exactly_one_certificate() -> None:
    page = as_html(make_document())
    for other in ("", page + page, page.replace("</script>", ""), page.replace("<script", "<b")):
        assert certificate_text_in(other) is None


def test_a_step_of_the_page_has_the_status_of_each_call() -> None:
    page = as_html(make_document())
    assert "<td>erase_user 200, verify 404</td>" in page

"""What is said of a closed request, wherever it is said: erased only where Forge deleted."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import pytest
from world import Program, insert

from forge_gdpr.audit.events import Entry, EventName
from forge_gdpr.audit.record import append_main
from forge_gdpr.chain import written_time
from forge_gdpr.database.engine import now, writing
from forge_gdpr.outcomes import ENDINGS, by_these_events
from forge_gdpr.sandbox import generated_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

SIGNING: Final = {"FORGE_GDPR_SIGNING_KEY_FILE": "key"}
ADA, BOB = (generated_user(number) for number in range(2))
NOBODY: Final = "61ab8f99251cba0014437326"
NOT_ASKED_FOR: Final = (
    "Forge was not asked to delete this user's logs (FORGE_GDPR_ERASE_LOGS was off), and keeps"
    " them."
)
LOGS_ERASED: Final = "Forge confirmed that it deleted this user's logs, before the account."
OLDER: Final = "How absence was shown is not in the record (older version)."
BY_LIST: Final = (
    "Absence was shown by Forge's whole list of users, in an account that an operator vouched for:"
    " nothing but the operator's word shows that it is the right one."
)
EXPECTED: Final[Any] = {"paths": "list", "gone": "list", "account": "expected"}
#: Closings as they are in a record: by number, what their bodies have beside what all have, and
#: then what is said of them.
CLOSINGS: Final[Mapping[int, tuple[dict[str, Any], str, str | None, str]]] = {
    101: ({"outcome": "erased", "steps": ["logs", "account"]}, "erased", None, LOGS_ERASED),
    102: (
        {"outcome": "absent_after_attempt", "absence": EXPECTED},
        "erased, absent after an earlier call",
        BY_LIST,
        "What became of this user's logs is not in the record.",
    ),
    103: (
        {"outcome": "already_absent", "absence": EXPECTED, "steps": []},
        "was not there",
        BY_LIST,
        "No logs were deleted, for no user was found.",
    ),
    104: (
        {"outcome": "not_found_by_email"},
        "no user with this address was found",
        OLDER,
        "No logs were deleted, for no user was found.",
    ),
    105: (
        {"outcome": "from_the_future", "absence": {"paths": "magic"}},
        "from_the_future",
        "Absence was shown in a way that this version does not know.",
        "What became of this user's logs is not in the record.",
    ),
}


@pytest.fixture
def recorded(program: Program, engine: Engine) -> Program:
    """Return the program with CLOSINGS in its record, signed by `key`."""
    program.here("audit", "keygen", "--name", "example.org/gdpr", "key")
    with writing(engine) as connection:
        at = now(connection)
        facts = {
            "reference": None,
            "regime": "gdpr",
            "received_at": written_time(at),
            "due_on": at.date().isoformat(),
            "closed_on": at.date().isoformat(),
            "attempts": 0,
        }
        for number, (body, *_words) in CLOSINGS.items():
            details = {name: value for name, value in body.items() if name != "outcome"}
            closed = Entry(
                event=EventName.REQUEST_CLOSED,
                request_id=number,
                subject=f"v1:00000000:{number}",
                outcome=body["outcome"],
                details=facts | details,
            )
            append_main(connection, [closed], at=at)
    assert program.here("audit", "checkpoint", **SIGNING).returncode == 0
    return program


def as_json(program: Program, *words: str) -> Any:
    done = program.here(*words, "--output", "json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("number", CLOSINGS)
def test_every_command_says_the_same_of_a_closing(recorded: Program, number: int) -> None:
    body, name, absence, logs = CLOSINGS[number]
    ending = ENDINGS.get(body["outcome"])
    meaning = None if ending is None else ending.sentence
    shown = as_json(recorded, "requests", "show", str(number))
    words = {"outcome": body["outcome"], "meaning": meaning, "absence": absence, "logs": logs}
    assert shown.items() >= words.items()
    assert shown["history"][0]["outcome"] == body["outcome"]
    explained = recorded.here("requests", "explain", str(number)).stdout
    sentences = " ".join(text for text in (meaning, absence, logs) if text is not None)
    assert f" UTC: {name}; only the record has it" in explained
    assert explained.endswith(f"'. {sentences}\n")

    issued = as_json(recorded, "audit", "certificate", str(number))
    certified = words | {name: by_these_events(words[name]) for name in ("meaning", "logs")}
    assert issued["result"].items() >= {**certified, "name": name}.items()
    file = recorded.folder / "certificate.json"
    file.write_text(json.dumps(issued))
    checked = recorded.here(
        "audit", "certificate", "--verify", "certificate.json", "--public-key", "key.pub"
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    said = (certified["meaning"], absence, certified["logs"])
    sentences = " ".join(text for text in said if text is not None)
    assert f"{name}, {issued['result']['closed_at']}: {sentences}\n" in checked.stdout
    page = recorded.here("audit", "certificate", str(number), "--output", "html").stdout
    assert f'<p class="outcome">{name}</p>' in page
    if name.startswith(("was", "no user")):
        told = (shown, explained, issued["result"], checked.stdout, page)
        assert "erased" not in json.dumps(told)


def test_every_form_of_the_report_names_each_way_of_closing(recorded: Program) -> None:
    table = recorded.here("report").stdout
    rows = csv.reader(StringIO(recorded.here("report", "--output", "csv").stdout, newline=""))
    closed_as = {label: int(count) for part, label, _, count in rows if part == "closed_as"}
    page = recorded.here("report", "--output", "html").stdout
    for _body, name, *_sentences in CLOSINGS.values():
        assert f"\n  {name} " in table
        assert closed_as[name] == 1
        assert f'<th scope="row">{name}</th><td>1</td>' in page
    assert re.search(r"<text[^>]*>address was found</text>", page)  # on a line of its own, not cut
    assert (closed_as["cancelled"], closed_as["refused"]) == (0, 0)
    assert as_json(recorded, "report")["outcomes"]["already_absent"] == 1


def test_the_sheet_of_an_export_says_what_each_closing_means(recorded: Program) -> None:
    words = ("--from", "2020-01-01", "--to", "2099-12-31", "--into", "evidence")
    assert recorded.here("audit", "export", *words).returncode == 0
    with (recorded.folder / "evidence" / "events.csv").open(newline="") as sheet:
        rows = {row["request_id"]: row for row in csv.DictReader(sheet, strict=True)}
    for number, (body, _name, absence, _logs) in CLOSINGS.items():
        ending = ENDINGS.get(body["outcome"])
        row = rows[str(number)]
        assert row["meaning"] == ("" if ending is None else ending.sentence)
        assert row["absence"] == (absence or "")
    checked = recorded.here("audit", "export", "--verify", "evidence", "--public-key", "key.pub")
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("logs", [True, False])
def test_a_night_says_what_became_of_the_logs(
    program: Program, engine: Engine, *, logs: bool
) -> None:
    program.here("audit", "keygen", "--name", "example.org/gdpr", "key")
    insert(engine, {"forge_user_id": ADA.id})
    setting = {"FORGE_GDPR_ERASE_LOGS": "true" if logs else "false"}
    assert program.here("run", **setting, **SIGNING).returncode == 0
    said = LOGS_ERASED if logs else NOT_ASKED_FOR
    assert as_json(program, "requests", "show", "1")["logs"] == said
    certified = as_json(program, "audit", "certificate", "1")["result"]["logs"]
    assert certified == by_these_events(said)
    assert program.here("requests", "explain", "1").stdout.endswith(f" {said}\n")
    assert said in program.here("requests", "show", "1").stdout


def test_a_list_says_of_each_request_that_is_done_what_became_of_it(
    program: Program, engine: Engine
) -> None:
    insert(
        engine,
        {"forge_user_id": ADA.id},
        {"forge_user_id": NOBODY},
        {"email": "nobody@example.org"},
        {"forge_user_id": BOB.id, "status": "held"},
        {"forge_user_id": BOB.id, "status": "done"},  # by an application, without a run
    )
    assert program.here("run").returncode == 0
    requests = as_json(program, "requests", "list", "--sort", "id")
    assert [request["outcome"] for request in requests] == [
        "erased",
        "already_absent",
        "not_found_by_email",
        None,
        None,
    ]
    table = program.here("requests", "list", "--sort", "id").stdout.splitlines()[-5:]
    assert [line.split()[1:3] for line in table[:3]] == [
        ["done", "erased"],
        ["done", "was_not_there"],
        ["done", "not_found_by_email"],
    ]
    by_hand = as_json(program, "requests", "show", "5")
    assert [by_hand[name] for name in ("outcome", "meaning", "absence", "logs")] == [None] * 4
    explained = program.here("requests", "explain", "5").stdout
    assert explained == "request 5 is done since an unknown time: closed\n"


def test_prove_says_what_it_cannot_know_of_an_address(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": ADA.id}, {"email": "nobody@example.org"})
    assert program.here("run").returncode == 0
    ask = "a request by user id alone does not keep an address: ask with --user-id"
    lost = program.here("audit", "prove", "--email", ADA.email)
    assert (lost.returncode, lost.stderr) == (10, "")
    assert lost.stdout == f"no request named this address; {ask}\n"
    machine = program.here("audit", "prove", "--email", ADA.email, "--output", "json")
    assert json.loads(machine.stdout) == {
        "requests": [],
        "retired": [],
        "advice": f"no request named this address; {ask}",
    }
    by_id = as_json(program, "audit", "prove", "--user-id", ADA.id)
    assert (by_id["requests"][0]["answer"], by_id["advice"]) == ("erased", None)
    half = program.here("audit", "prove", "--email", "nobody@example.org")
    assert half.returncode == 0
    assert half.stdout.startswith("no user with this address was found: request 2, ")
    assert half.stderr == (
        "a request by user id alone does not keep an address and is not found by it: ask with"
        " --user-id, too\n"
    )
    nobody = program.here("audit", "prove", "--user-id", BOB.id)
    assert (nobody.returncode, nobody.stdout) == (10, "no record of this person\n")


def test_doctor_says_that_forge_keeps_the_logs(program: Program) -> None:
    said = "Forge keeps the logs of users it deletes: FORGE_GDPR_ERASE_LOGS is off"
    off = as_json(program, "doctor", "--offline")["checks"]
    assert {"check": "user logs", "level": "ok", "said": said} in off
    on = program.here("doctor", "--offline", FORGE_GDPR_ERASE_LOGS="true")
    assert (on.returncode, said in on.stdout) == (0, False)

"""What each outcome means in words: erased is said only of those whom Forge deleted."""

from __future__ import annotations

import hashlib
from itertools import product
from typing import Any, Final

import pytest

from forge_gdpr.certificates import LIMITS, PROVES
from forge_gdpr.chain import canonical
from forge_gdpr.lifecycle import CONSEQUENCES, Event, Outcome, Status
from forge_gdpr.outcomes import (
    ENDINGS,
    MEANINGS,
    Fate,
    absence_in,
    by_these_events,
    closing_in,
    fate_of,
    logs_in,
    meaning_of,
    name_of,
    state_of,
    steps_in,
)

CLOSING: Final = [outcome for outcome, event in CONSEQUENCES.items() if event is Event.CLOSED]
DELETED: Final = {Outcome.ERASED, Outcome.ABSENT_AFTER_ATTEMPT}
LIST: Final = {"paths": "list", "gone": "list", "account": "listed"}
ERASED: Final = "Forge confirmed that it deleted this user's logs, before the account."
NOT_ASKED_FOR: Final = (
    "Forge was not asked to delete this user's logs (FORGE_GDPR_ERASE_LOGS was off), and keeps"
    " them."
)
NOT_FOUND: Final = (
    "Forge was asked to delete this user's logs and answered that there are none; whether it keeps"
    " some is not known."
)
NOBODY: Final = "No logs were deleted, for no user was found."
UNKNOWN: Final = "What became of this user's logs is not in the record."


def closed(outcome: object = "erased", **more: Any) -> dict[str, Any]:
    return {"event": "request.closed", "outcome": outcome, **more}


def finished(*steps: tuple[str, int | None], **more: Any) -> dict[str, Any]:
    given = {"event": "attempt.finished", "status": "done", "ended": "answered", "reached": True}
    named = [{"name": name, "http_status": status, "tries": 1} for name, status in steps]
    return {**given, "steps": named, **more}


PINNED: Final = "db8337ed589ba959908f3a85f959c79f181c6ab8cf9e99fc7f982176a631085d"
CRASHED: Final = {"event": "attempt.finished", "status": "pending", "ended": "crashed"}


def test_every_outcome_has_its_words() -> None:
    assert set(MEANINGS) == set(Outcome)
    for meaning in MEANINGS.values():
        assert all((meaning.name, meaning.seen, meaning.becomes))
        assert not meaning.name.endswith(".")
    names = [meaning.name for meaning in MEANINGS.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("outcome", Outcome)
def test_what_becomes_of_the_request_is_what_the_state_machine_says(outcome: Outcome) -> None:
    becomes = MEANINGS[outcome].becomes
    match CONSEQUENCES[outcome]:
        case Event.CLOSED:
            assert becomes == ("is done" if outcome in DELETED else "is done, counted apart")
        case Event.SENT_TO_REVIEW:
            assert becomes == "needs review"
        case Event.GIVEN_BACK:
            assert becomes.startswith("stays as it was")
        case _:
            assert becomes in {"is looked at again by the next run", "is put off"}


def test_every_end_has_its_words() -> None:
    assert set(ENDINGS) == {*CLOSING, Status.CANCELLED, Status.REFUSED}
    assert all(ending.sentence.endswith(".") for ending in ENDINGS.values())


@pytest.mark.parametrize("end", ENDINGS)
def test_erased_is_said_only_of_those_whom_forge_deleted(end: str) -> None:
    ending = ENDINGS[end]
    words = f"{ending.state} {ending.name} {ending.sentence}"
    assert (ending.state == "erased") is (end in DELETED)
    assert ("erased" in words) is (end in DELETED)
    assert ("This request deleted nobody." in words) is (end not in DELETED)


@pytest.mark.parametrize(
    ("outcome", "state", "name"),
    [
        ("erased", "erased", "erased"),
        ("absent_after_attempt", "erased", "erased, absent after an earlier call"),
        ("already_absent", "was_not_there", "was not there"),
        ("not_found_by_email", "not_found_by_email", "no user with this address was found"),
        ("cancelled", "cancelled", "cancelled"),
        ("from_the_future", "closed", "from_the_future"),
        ("transient", "closed", "transient"),
        (None, "closed", "closed"),
        (["erased"], "closed", "['erased']"),
    ],
)
def test_an_end_is_called_by_its_name(outcome: object, state: str, name: str) -> None:
    assert (state_of(outcome), name_of(outcome)) == (state, name)
    assert (meaning_of(outcome) is None) is (state == "closed")


BY_LIST: Final = "by Forge's whole list of users"
BETWEEN: Final = "by a look at this user, between two good answers for the sentinel user"
AFTERWARDS: Final = "by a look at this user, after Forge had given its whole list of users"
VOUCHED_FOR: Final = (
    "in an account that an operator vouched for: nothing but the operator's word shows that it is"
    " the right one"
)
ERASED_BEFORE: Final = "in an account whose API key had erased somebody before"
LISTED: Final = "in an account that has another user whom a request names"


@pytest.mark.parametrize(
    ("paths", "gone", "account", "words"),
    [
        ("list", "list", "sentinel", (BY_LIST, "in an account that has the sentinel user")),
        ("sentinel", "get", "erased_before", (BETWEEN, ERASED_BEFORE)),
        ("list", "get", "listed", (AFTERWARDS, LISTED)),
        ("sentinel", "list", "expected", (BY_LIST, VOUCHED_FOR)),
    ],
)
def test_how_absence_was_shown_is_one_sentence(
    paths: str, gone: str, account: str, words: tuple[str, str]
) -> None:
    absence = {"paths": paths, "gone": gone, "account": account}
    sentence = f"Absence was shown {', '.join(words)}."
    assert absence_in(closed("already_absent", absence=absence)) == sentence


@pytest.mark.parametrize(
    "absence",
    [
        {},
        [],
        "list",
        7,
        LIST | {"account": "guess"},
        LIST | {"gone": 7},
        LIST | {"paths": ["list"]},
    ],
    ids=str,
)
def test_a_way_that_nobody_knows_is_said_to_be_unknown(absence: object) -> None:
    odd = "Absence was shown in a way that this version does not know."
    assert absence_in(closed("already_absent", absence=absence)) == odd


@pytest.mark.parametrize("outcome", CLOSING)
def test_an_older_closing_does_not_say_how_absence_was_shown(outcome: str) -> None:
    said = absence_in(closed(outcome))
    older = "How absence was shown is not in the record (older version)."
    assert said == (None if outcome == "erased" else older)


def test_a_user_who_was_erased_and_looked_for_afterwards_may_have_been_shown_absent() -> None:
    said = absence_in(closed("erased", absence=LIST))
    assert said is not None
    assert said.startswith("Absence was shown by Forge's whole list")


@pytest.mark.parametrize(
    ("events", "said"),
    [
        pytest.param([closed(steps=["logs", "account", "verify"])], ERASED, id="asked for"),
        pytest.param([closed(steps=["account"])], NOT_ASKED_FOR, id="not asked for"),
        pytest.param([closed()], UNKNOWN, id="older, without attempts"),
        pytest.param([closed(steps="logs")], UNKNOWN, id="steps of another kind"),
        pytest.param(
            [finished(("logs", 200), ("account", 200)), closed()], ERASED, id="older, asked for"
        ),
        pytest.param(
            [finished(("account", 204), ("verify", 404)), closed()],
            NOT_ASKED_FOR,
            id="older, not asked for",
        ),
        pytest.param(
            [finished(("logs", 404), ("account", 200)), closed()],
            NOT_FOUND,
            id="older, went past a 404",
        ),
        pytest.param(
            [
                finished(("logs", 204), ("account", 503), status="pending"),
                finished(("account", 200)),
                closed(steps=["account"]),
            ],
            ERASED,
            id="asked for by an earlier attempt",
        ),
        pytest.param(
            [
                finished(("logs", 200), status="review"),
                finished(("account", 200)),
                closed(steps=["account"]),
            ],
            NOT_ASKED_FOR,
            id="a polite denial is no success",
        ),
        pytest.param(
            [finished(status="done"), closed()], UNKNOWN, id="a call of which no step is told"
        ),
        pytest.param(
            [
                finished(("account", 503), status="pending"),
                finished(("account", 404)),
                closed("absent_after_attempt"),
            ],
            NOT_ASKED_FOR,
            id="absent, never asked for",
        ),
        pytest.param(
            [
                finished(status="pending", ended="given_back", reached=False),
                finished(("account", 404)),
                closed("absent_after_attempt", steps=["account"]),
            ],
            NOT_ASKED_FOR,
            id="absent, given back without a call",
        ),
        pytest.param(
            [CRASHED, finished(("account", 404)), closed("absent_after_attempt")],
            UNKNOWN,
            id="absent after a crash",
        ),
        pytest.param(
            [finished(("logs", 404)), closed("absent_after_attempt", steps=["logs"])],
            UNKNOWN,
            id="absent already for the logs",
        ),
        pytest.param(
            [finished(("logs", 200), ("account", 404)), closed("absent_after_attempt")],
            ERASED,
            id="absent, logs asked for",
        ),
        pytest.param([closed("absent_after_attempt")], UNKNOWN, id="absent, without attempts"),
        pytest.param([closed("already_absent", steps=["logs"])], NOBODY, id="was not there"),
        pytest.param([closed("not_found_by_email")], NOBODY, id="not found by e-mail"),
        pytest.param([closed("from_the_future", steps=["logs"])], UNKNOWN, id="unknown outcome"),
        pytest.param([closed(["erased"])], UNKNOWN, id="an outcome that is a list"),
        pytest.param([{"event": "request.refused"}], None, id="refused"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_what_became_of_the_logs(events: list[dict[str, Any]], said: str | None) -> None:
    assert logs_in(events) == said


@pytest.mark.parametrize("steps", [None, 7, "logs", ["logs", "account"], {}])
def test_what_is_no_step_is_left_out(steps: object) -> None:
    assert steps_in({"steps": steps}) == []


def test_a_fate_is_told_in_sentences() -> None:
    events = [finished(("account", 404)), closed("already_absent", absence=LIST)]
    fate = fate_of(events)
    assert closing_in(events) == events[1]
    assert fate is not None
    assert fate.name == "was not there"
    assert fate.sentences == [fate.meaning, fate.absence, fate.logs]
    erased = Fate(name="erased", meaning="It is.", absence=None, logs=None)
    assert erased.sentences == ["It is."]
    assert fate_of([{"event": "request.cancelled"}]) is None


def test_the_words_of_a_format_stay_as_they_are() -> None:
    """Certificates and exports are verified by telling them again: other words, another format."""
    ways = product(
        ("list", "sentinel"),
        ("list", "get"),
        ("sentinel", "erased_before", "listed", "expected"),
    )
    absences: list[Any] = [
        dict(zip(("paths", "gone", "account"), way, strict=True)) for way in ways
    ]
    words: dict[str, Any] = {
        "proves": list(PROVES),
        "limits": list(LIMITS),
        "names": {str(end): ending.name for end, ending in ENDINGS.items()},
        "meanings": {str(end): ending.sentence for end, ending in ENDINGS.items()},
        "absences": [
            absence_in(closed("already_absent", absence=absence))
            for absence in [*absences, None, 7]
        ],
        "logs": [ERASED, NOT_ASKED_FOR, NOT_FOUND, NOBODY, UNKNOWN],
    }
    sentences = [*words["meanings"].values(), *words["logs"]]
    words["by these events"] = [by_these_events(sentence) for sentence in sentences]
    digest = hashlib.sha256(canonical(words).encode()).hexdigest()
    assert digest == PINNED, (
        "make a format 4 of certificates and exports, and keep these words for 3"
    )

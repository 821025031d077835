"""What a run did, as a value."""

from collections import Counter
from datetime import date

import pytest
from builders import NOW, RUN_ID, make_summary

from forge_gdpr.errors import ExitCode
from forge_gdpr.forge.gate import Halt
from forge_gdpr.lifecycle import Outcome, Status
from forge_gdpr.run.summary import ADVICE, Tally
from forge_gdpr.run.sums import Sums

REVIEWED = {Status.DONE: 1, Status.REVIEW: 1}

#: The contract's exit codes of runs that stopped early.
STOPPED = {
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


@pytest.mark.parametrize(
    ("became", "at_risk", "code"),
    [
        pytest.param({}, 0, 0, id="nothing was due"),
        pytest.param({Status.DONE: 3}, 0, 0, id="all done"),
        pytest.param({Status.PENDING: 3}, 0, 0, id="all put off"),
        pytest.param({Status.REVIEW: 0}, 0, 0, id="none to review"),
        pytest.param(REVIEWED, 0, 10, id="one to review"),
        pytest.param({Status.DONE: 3}, 1, 11, id="one at risk"),
        pytest.param(REVIEWED, 1, 11, id="both: the deadline wins"),
    ],
)
def test_a_run_that_finished_says_what_a_person_must_look_at(
    became: dict[Status, int], at_risk: int, code: int
) -> None:
    assert make_summary(became=became, at_risk=at_risk).exit_code == code


def test_what_was_not_as_planned_needs_a_person() -> None:
    assert make_summary(became={Status.DONE: 3}, not_as_planned=[7]).exit_code == 10


def test_who_was_not_as_planned_is_forgotten_with_the_counts() -> None:
    tally = Tally()
    earlier = tally.copy()
    tally.not_as_planned.add(7)
    tally.reset(earlier)
    assert tally.not_as_planned == set()


@pytest.mark.parametrize("halt", STOPPED)
def test_a_run_that_stopped_early_says_why_first(halt: Halt) -> None:
    assert make_summary(halt=halt).exit_code == STOPPED[halt]
    assert make_summary(halt=halt, became=REVIEWED, at_risk=5).exit_code == STOPPED[halt]


@pytest.mark.parametrize(("signal", "code"), [(1, 129), (2, 130), (15, 143)])
def test_a_signal_is_told_as_shells_do(signal: int, code: int) -> None:
    assert make_summary(halt=Halt.SIGNAL, signal=signal).exit_code == code
    stopped = make_summary(halt=Halt.SIGNAL, signal=signal, became=REVIEWED, at_risk=1)
    assert stopped.exit_code == code


def test_a_signal_after_another_halt_changes_nothing() -> None:
    assert make_summary(halt=Halt.KEY_REFUSED, signal=15).exit_code == ExitCode.KEY_REFUSED


def test_a_signal_that_came_too_late_to_stop_anything_changes_nothing() -> None:
    assert make_summary(halt=None, signal=15).exit_code == ExitCode.OK


def test_every_halt_has_its_code_and_its_advice() -> None:
    assert {*STOPPED, Halt.SIGNAL} == set(Halt)
    assert set(ADVICE) == set(Halt)
    assert all("\n" not in advice for advice in ADVICE.values())


@pytest.mark.parametrize("halt", Halt)
def test_a_run_that_stopped_early_gives_advice(halt: Halt) -> None:
    assert make_summary(halt=halt).advice == ADVICE[halt]


@pytest.mark.parametrize("halt", Halt)
def test_the_cause_comes_before_the_advice(halt: Halt) -> None:
    cause = "3 of 3 calls: connection refused by 127.0.0.1:9"
    assert make_summary(halt=halt, cause=cause).advice == f"{cause}; {ADVICE[halt]}"


@pytest.mark.parametrize("cause", [None, "3 of 3 calls: HTTP 503"])
def test_a_run_that_finished_gives_none(cause: str | None) -> None:
    assert make_summary(halt=None, cause=cause).advice is None


@pytest.mark.parametrize("halt", Halt)
def test_nobody_is_advised_to_disarm_a_guard(halt: Halt) -> None:
    guards = {"CANARY", "BREAKER", "MAX_DUE", "MAX_SHARE", "SPIKE_FACTOR", "--canary", "--expect "}
    assert not [guard for guard in guards if guard in ADVICE[halt]]


@pytest.mark.parametrize(
    ("became", "elapsed_s", "finished", "per_second"),
    [
        pytest.param({}, 2.0, 0, 0.0, id="nothing"),
        pytest.param({Status.DONE: 3}, 2.0, 3, 1.5, id="some"),
        pytest.param({Status.DONE: 3, Status.PENDING: 4, Status.REVIEW: 1}, 0.5, 8, 6.0, id="all"),
        pytest.param({Status.DONE: 3}, 0.0, 3, 0.0, id="in no time"),
        pytest.param({Status.DONE: 3}, -1.0, 3, 0.0, id="in less than no time"),
    ],
)
def test_speed_is_what_was_done_over_time(
    became: dict[Status, int], elapsed_s: float, finished: int, per_second: float
) -> None:
    summary = make_summary(became=became, elapsed_s=elapsed_s)
    assert (summary.finished, summary.per_second) == (finished, per_second)


def test_the_json_of_a_run_that_finished() -> None:
    assert make_summary().as_json() == {
        "run_id": RUN_ID,
        "opened_at": "2026-03-31T02:30:15.250000+00:00",
        "elapsed_s": 2.0,
        "due": 3,
        "admitted": 2,
        "claimed": 3,
        "recovered": 0,
        "outcomes": {
            "erased": 2,
            "absent_after_attempt": 0,
            "already_absent": 1,
            "not_found_by_email": 0,
            "accepted": 0,
            "transient": 0,
            "unexpected": 0,
            "rejected": 0,
            "invalid_user_id": 0,
            "identity_mismatch": 0,
            "ambiguous_email": 0,
            "invalid_email": 0,
            "key_refused": 0,
        },
        "became": {"done": 3},
        "sums": Sums().as_json(),
        "set_aside": 0,
        "not_as_planned": [],
        "left": 0,
        "late_answers": 0,
        "calls": 4,
        "requests_per_second": 1.5,
        "next_due_on": None,
        "at_risk": 0,
        "stopped": None,
        "cause": None,
        "exit_code": 0,
        "checkpoint": None,
        "checkpoint_not_copied": None,
    }


def test_the_json_of_a_run_that_stopped() -> None:
    plain = make_summary().as_json()
    stopped = make_summary(
        elapsed_s=1.23456,
        due=9,
        admitted=8,
        claimed=7,
        recovered=6,
        calls=5,
        late=4,
        outcomes={outcome: place for place, outcome in enumerate(Outcome, 1)},
        became={Status.REVIEW: 1, Status.DONE: 2, Status.PENDING: 3},
        left=10,
        next_due_on=date(2026, 4, 1),
        at_risk=11,
        halt=Halt.SIGNAL,
        signal=15,
        cause="3 of 5 calls: HTTP 503",
    ).as_json()
    assert stopped == plain | {
        "elapsed_s": 1.235,
        "due": 9,
        "admitted": 8,
        "claimed": 7,
        "recovered": 6,
        "outcomes": {outcome.value: place for place, outcome in enumerate(Outcome, 1)},
        "became": {"done": 2, "pending": 3, "review": 1},
        "set_aside": 0,
        "left": 10,
        "late_answers": 4,
        "calls": 5,
        "requests_per_second": 1.6,
        "next_due_on": "2026-04-01",
        "at_risk": 11,
        "stopped": "signal",
        "cause": "3 of 5 calls: HTTP 503",
        "exit_code": 143,
        "checkpoint": None,
        "checkpoint_not_copied": None,
    }
    assert list(stopped["became"]) == ["done", "pending", "review"]
    assert type(stopped["exit_code"]) is int
    assert type(plain["exit_code"]) is int


def test_a_tally_starts_with_nothing_of_its_own() -> None:
    one, other = Tally(), Tally()
    one.outcomes[Outcome.ERASED] += 1
    one.became[Status.DONE] += 1
    assert other == Tally(
        admitted=0,
        claimed=0,
        recovered=0,
        calls=0,
        late=0,
        outcomes=Counter(),
        became=Counter(),
        put_off=0,
        given_back={},
        reviewed_before=0,
    )


@pytest.mark.parametrize("cause", [None, "3 of 3 calls: HTTP 503"])
def test_a_cause_changes_no_exit_code(cause: str | None) -> None:
    codes = {halt: make_summary(halt=halt, cause=cause).exit_code for halt in STOPPED}
    assert codes == STOPPED


def test_a_summary_is_told_in_the_databases_time() -> None:
    assert make_summary().opened_at == NOW

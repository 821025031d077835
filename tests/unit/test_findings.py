"""What a check has found, for people, for machines and for the exit code."""

from __future__ import annotations

import pytest

from forge_gdpr.errors import ExitCode
from forge_gdpr.watch.findings import Finding, Level, failure, warning, worst

FINE = Finding(name="clock", said="it is right")
ODD = warning("clock", "it is 3 s late")
STALE = failure("runs", "none is recent: see cron", ExitCode.STALE)
BROKEN = failure("record", "it was changed", ExitCode.AUDIT_BROKEN)


def test_a_finding_is_fine_unless_something_is_said_against_it() -> None:
    assert (FINE.level, FINE.code) == (Level.OK, ExitCode.OK)
    assert (ODD.level, ODD.code) == (Level.WARNING, ExitCode.OK)
    assert (STALE.level, STALE.code) == (Level.FAILURE, ExitCode.STALE)


def test_a_finding_is_written_for_machines() -> None:
    assert [one.as_json() for one in (FINE, ODD, STALE)] == [
        {"check": "clock", "level": "ok", "said": "it is right"},
        {"check": "clock", "level": "warning", "said": "it is 3 s late"},
        {"check": "runs", "level": "failure", "said": "none is recent: see cron"},
    ]


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], ExitCode.OK),
        ([FINE, ODD], ExitCode.OK),
        ([FINE, STALE, ODD], ExitCode.STALE),
        ([STALE, BROKEN], ExitCode.AUDIT_BROKEN),
        ([BROKEN, STALE], ExitCode.AUDIT_BROKEN),
    ],
)
def test_the_gravest_failure_is_the_exit_code(findings: list[Finding], code: ExitCode) -> None:
    assert worst(findings) is code

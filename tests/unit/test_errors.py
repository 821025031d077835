"""Exit codes, which of them wins, and the errors that carry them."""

from itertools import permutations

import pytest
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr import errors
from forge_gdpr.errors import MEANINGS, ExitCode, ForgeGdprError, gravest

#: The contract's order, the gravest first; then those of a command that did not begin its work.
ORDER = [
    ExitCode.CONFIGURATION,
    ExitCode.DATABASE,
    ExitCode.AUDIT_BROKEN,
    ExitCode.KEY_REFUSED,
    ExitCode.FORGE_UNAVAILABLE,
    ExitCode.GUARD_STOPPED,
    ExitCode.STALE,
    ExitCode.DEADLINE_AT_RISK,
    ExitCode.NEEDS_REVIEW,
    ExitCode.BUG,
    ExitCode.USAGE,
    ExitCode.OK,
]


def test_the_codes_are_the_contracts() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "BUG": 1,
        "USAGE": 2,
        "CONFIGURATION": 3,
        "DATABASE": 4,
        "FORGE_UNAVAILABLE": 5,
        "AUDIT_BROKEN": 6,
        "KEY_REFUSED": 7,
        "GUARD_STOPPED": 8,
        "STALE": 9,
        "NEEDS_REVIEW": 10,
        "DEADLINE_AT_RISK": 11,
    }


def test_every_code_has_a_meaning_of_one_line() -> None:
    assert list(MEANINGS) == list(ExitCode)
    assert all(text and "\n" not in text for text in MEANINGS.values())
    assert len(set(MEANINGS.values())) == len(ExitCode)


def test_without_codes_all_is_well() -> None:
    assert gravest([]) is ExitCode.OK


def test_the_order_has_every_code() -> None:
    assert sorted(ORDER) == sorted(ExitCode)


def test_of_two_codes_the_graver_wins_in_either_order() -> None:
    for one, other in permutations(ORDER, 2):
        expected = one if ORDER.index(one) < ORDER.index(other) else other
        assert gravest([one, other]) is expected, (one, other)


@moderately
@given(st.permutations(ORDER))
def test_the_order_of_codes_does_not_matter(codes: list[ExitCode]) -> None:
    assert gravest(iter(codes)) is ExitCode.CONFIGURATION


def test_every_error_has_its_code() -> None:
    found = {
        name: value.exit_code
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, ForgeGdprError)
        and value is not ForgeGdprError
    }
    assert found == {
        "NotFoundError": ExitCode.USAGE,
        "InvalidInputError": ExitCode.USAGE,
        "ConfigurationError": ExitCode.CONFIGURATION,
        "DatabaseError": ExitCode.DATABASE,
        "DatabaseAwayError": ExitCode.DATABASE,
        "ForgeUnavailableError": ExitCode.FORGE_UNAVAILABLE,
        "ForgeRejectedError": ExitCode.USAGE,
        "AuditBrokenError": ExitCode.AUDIT_BROKEN,
        "KeyRefusedError": ExitCode.KEY_REFUSED,
        "GuardStoppedError": ExitCode.GUARD_STOPPED,
        "InvalidUserIdError": ExitCode.USAGE,
    }


@pytest.mark.parametrize("code", [code for code in ORDER if code is not ExitCode.OK])
def test_anything_is_graver_than_ok(code: ExitCode) -> None:
    assert gravest([ExitCode.OK, code, ExitCode.OK]) is code

"""What an asker's reference says of the person is neither shown nor recorded."""

from __future__ import annotations

import re
from typing import Final

import pytest
from world import SUBJECT_KEY

from forge_gdpr.pseudonyms import SubjectKey
from forge_gdpr.references import TICKETS, ReferenceRules, hashes, is_hash, trimmed

USER_ID: Final = "61ab8f99251cba0014437326"
ADA: Final = "ada.lovelace@analytical-engines.example"
ANYTHING: Final = ReferenceRules(pattern=re.compile(".*"), user_ids=TICKETS.user_ids)


def decided(
    reference: str | None,
    *,
    user_id: str | None = USER_ID,
    email: str | None = ADA,
    rules: ReferenceRules = TICKETS,
) -> str | None:
    return rules.decided(reference, key=SUBJECT_KEY, user_id=user_id, email=email)


@pytest.mark.parametrize(
    "reference",
    [
        "4711",
        "T-1",
        "T4711",
        "#4711",
        "GDPR-2026-0042",
        "order-77",
        "RITM0012345",
        "REQ/2026/4711",
        "CBA-99251",  # both are in the user id, by chance
        "replay-12-20260331T012233Z",
    ],
)
def test_a_ticket_number_is_shown(reference: str) -> None:
    assert decided(reference) == reference
    assert decided(f" {reference}\t\u00a0") == reference
    assert decided(reference, user_id=None) == decided(reference, email=None) == reference


@pytest.mark.parametrize(
    "reference",
    [
        "john.smith",
        "GDPR delete - Ada Lovelace, +44 20 7946 0958",
        "%40",
        "ada%40example.org",
        "ada%2540example.org",
        USER_ID,
        USER_ID.upper(),
        "550e8400-e29b-41d4-a716-446655440000",
        "1985-03-31",
        "T-1\n",
        "x",
        "+442079460958",
        "12345678901",
        "\u0661\u0662\u0663",
    ],
)
def test_what_looks_like_no_ticket_number_is_withheld(reference: str) -> None:
    for user_id, email in ((None, None), (None, ADA), (USER_ID, None), (USER_ID, ADA)):
        stands = decided(reference, user_id=user_id, email=email)
        if reference.strip() != "T-1":
            assert stands == hashes([SUBJECT_KEY], reference)[0]


@pytest.mark.parametrize(
    ("reference", "user_id", "email"),
    [
        ("john.smith", None, "john.smith@example.org"),
        ("john.smith", None, "JOHN.SMITH@example.org"),
        ("johnsmith-1", None, "john.smith@example.org"),
        ("smith", None, "johnsmith@example.org"),
        ("SMITH-85", None, "j_smith@example.org"),
        ("ticket of J\u00f6hn Sm\u00ecth", None, "john.smith@example.org"),
        ("\uff53\uff4d\uff49\uff54\uff48", None, "john.smith@example.org"),
        ("%73mith", None, "john.smith@example.org"),
        ("T-4711", None, "user4711@example.org"),
        ("T-815", None, "j.815@example.org"),
        ("LI-7", None, "li@example.org"),
        ("A-1", None, "a@example.org"),
        ("ada-7", None, "ada@example.org"),
        ("adamant", None, "ada.b@example.org"),
        ("lovelace-1", None, "me@lovelace.name"),
        ("T-1 of me@there", None, None),
        (f"case {USER_ID}", USER_ID, None),
        ("case 61ab8f", USER_ID, None),
        ("case 61AB-8F", USER_ID, None),
        ("T-47110", "47110", None),
        ("T-7", "7", None),
        ("C-a7", "a7", None),
        ("USER_12", "user_12", None),
    ],
)
def test_what_shares_something_with_the_person_is_withheld(
    reference: str, user_id: str | None, email: str | None
) -> None:
    stands = decided(reference, user_id=user_id, email=email, rules=ANYTHING)
    assert stands is not None
    assert is_hash(stands)
    if "@" not in reference:
        other = decided(reference, user_id="f" * 24, email="z@q.net", rules=ANYTHING)
        assert other == reference


def test_another_programs_user_id_is_withheld() -> None:
    rules = ReferenceRules(pattern=re.compile(".*"), user_ids=re.compile("[0-9]{6}"))
    assert decided("471100", user_id=None, rules=rules) != "471100"
    assert decided("47110", user_id=None, rules=rules) == "47110"


@pytest.mark.parametrize("reference", [None, "", " ", "\t\n\u3000"])
def test_a_blank_is_no_reference(reference: str | None) -> None:
    assert decided(reference) is None
    assert trimmed(reference) is None


def test_what_stands_for_a_reference_depends_on_the_key_and_on_nothing_else() -> None:
    keys = [SUBJECT_KEY, SubjectKey(b"n" * 32)]
    assert hashes(keys, "Ada ") == hashes(keys, "Ada")
    assert len({*hashes(keys, "Ada"), *hashes(keys, "Bea")}) == 4
    assert decided("Ada", user_id=None, email=None) == hashes(keys, "Ada")[0]


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (None, None),
        ("", None),
        ("T-1", "T-1"),
        ("Ada Lovelace", None),
        (hashes([SUBJECT_KEY], "Ada")[0], hashes([SUBJECT_KEY], "Ada")[0]),
    ],
)
def test_what_an_application_wrote_into_the_decision_is_not_shown(
    stored: str | None, shown: str | None
) -> None:
    assert TICKETS.kept(stored) == shown

"""Who was erased and is at Forge again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from builders import EMAIL, NOW, USER_ID, make_subject_key

from forge_gdpr.desk.returns import PROMISES, Closing, Match, Presence
from forge_gdpr.lifecycle import CONSEQUENCES, Event
from forge_gdpr.pseudonyms import Kind

KEY, OLD_KEY, LOST_KEY = (make_subject_key(bytes([one]) * 32) for one in range(3))
BY_ID = KEY.subject(Kind.USER_ID, USER_ID)
BY_EMAIL = KEY.subject(Kind.EMAIL, EMAIL)


def closing(request_id: int, *subjects: str, **changes: Any) -> Closing:
    given: dict[str, Any] = {
        "closed_at": NOW + timedelta(days=request_id),
        "outcome": "erased",
        "reference": None,
        "regime": "gdpr",
    }
    return Closing(request_id=request_id, subjects=subjects, **given | changes)


def found(
    *closings: Closing, users: list[tuple[str, str]] | None = None
) -> list[tuple[int, str, int, str]]:
    presence = Presence([(USER_ID, EMAIL)] if users is None else users, [KEY, OLD_KEY])
    for one in closings:
        presence.note(one)
    return [(r.closing.request_id, r.match, r.times, r.user_id) for r in presence.returns()]


def test_an_outcome_promises_that_somebody_is_gone_if_it_closes_the_request() -> None:
    assert {one for one, end in CONSEQUENCES.items() if end is Event.CLOSED} == PROMISES


def test_the_same_id_is_the_same_account() -> None:
    assert found(closing(1, BY_ID)) == [(1, Match.USER_ID, 1, USER_ID)]


def test_the_id_counts_also_where_it_is_the_other_pseudonym() -> None:
    assert found(closing(1, BY_EMAIL, BY_ID)) == [(1, Match.USER_ID, 1, USER_ID)]


def test_the_same_address_under_another_id_is_a_match_by_email() -> None:
    gone = KEY.subject(Kind.USER_ID, "another")
    assert found(closing(1, gone, BY_EMAIL)) == [(1, Match.EMAIL, 1, USER_ID)]


def test_an_address_is_compared_in_its_normal_form() -> None:
    assert found(closing(1, BY_EMAIL), users=[(USER_ID, "Ada@EXAMPLE.org ")]) == [
        (1, Match.EMAIL, 1, USER_ID)
    ]


def test_what_was_recorded_in_another_spelling_is_still_found() -> None:
    by_id = KEY.subject(Kind.USER_ID, USER_ID.upper())
    by_email = KEY.subject(Kind.EMAIL, "ada@b\u00fccher.example")
    users = [(USER_ID, "ada@xn--bcher-kva.example")]
    assert found(closing(1, by_id), users=users) == [(1, Match.USER_ID, 1, USER_ID)]
    assert found(closing(1, by_email), users=users) == [(1, Match.EMAIL, 1, USER_ID)]


def test_a_person_who_was_erased_twice_is_one_line_with_the_latest_request() -> None:
    assert found(closing(1, BY_ID), closing(4, BY_EMAIL), closing(7, BY_ID, BY_EMAIL)) == [
        (7, Match.USER_ID, 2, USER_ID)
    ]


def test_a_match_by_id_comes_first_and_hides_the_one_by_email_of_the_same_user_only() -> None:
    users = [("new", EMAIL), (USER_ID, EMAIL)]
    assert found(closing(1, BY_EMAIL), closing(2, BY_ID, BY_EMAIL), users=users) == [
        (2, Match.USER_ID, 1, USER_ID),
        (2, Match.EMAIL, 2, "new"),
    ]


def test_users_without_an_address_are_found_by_id_and_by_nothing_else() -> None:
    nobody = closing(1, KEY.subject(Kind.EMAIL, ""))
    assert found(nobody, closing(2, BY_ID), users=[(USER_ID, " "), ("other", "")]) == [
        (2, Match.USER_ID, 1, USER_ID)
    ]


def test_every_live_key_is_tried_and_the_closings_under_others_are_counted() -> None:
    presence = Presence([(USER_ID, EMAIL)], [KEY, OLD_KEY])
    presence.note(closing(1, OLD_KEY.subject(Kind.USER_ID, USER_ID)))
    presence.note(closing(2, LOST_KEY.subject(Kind.USER_ID, USER_ID)))
    presence.note(closing(3, ""))
    presence.note(closing(4, KEY.subject(Kind.REQUEST, "4")))
    assert [one.closing.request_id for one in presence.returns()] == [1]
    assert (presence.users, presence.closings, presence.unreadable) == (1, 4, 2)


def test_nobody_is_named_in_a_repr() -> None:
    presence = Presence([(USER_ID, EMAIL)], [KEY])
    presence.note(closing(1, BY_ID))
    assert USER_ID not in repr(presence.returns())
    assert EMAIL not in repr(presence)

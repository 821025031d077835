"""Whom a request means at Forge."""

from itertools import permutations

import pytest
from builders import USER_ID, moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.identifiers import is_safe_user_id
from forge_gdpr.identity import Directory, Settled, Target, identify
from forge_gdpr.lifecycle import Outcome, Reason

ADA, BOB, TWIN = "a" * 24, "b" * 24, "c" * 24
USERS = [
    (ADA, "Ada@Example.org"),
    (BOB, "bob@example.org"),
    (TWIN, "twins@example.org"),
    ("d" * 24, "twins@EXAMPLE.org"),
    ("../x", "odd@example.org"),
]
FORGE = Directory(USERS)
MISMATCH = Settled(Outcome.IDENTITY_MISMATCH)
INVALID = Settled(Outcome.INVALID_USER_ID)
NOT_TONIGHT = Settled(Outcome.TRANSIENT)


@pytest.mark.parametrize(
    ("user_id", "email", "expected"),
    [
        pytest.param(ADA, None, Target(ADA), id="an id"),
        pytest.param(USER_ID, None, Target(USER_ID), id="an id that Forge does not list"),
        pytest.param("../user", None, INVALID, id="an id that could change the path"),
        pytest.param("", None, INVALID, id="an empty id"),
        pytest.param("", "Ada@example.org", INVALID, id="an empty id and an e-mail"),
        pytest.param("../x", "odd@example.org", INVALID, id="an unsafe id that fits its e-mail"),
        pytest.param(
            None, None, Settled(Outcome.INVALID_USER_ID, Reason.NO_IDENTIFIER), id="neither"
        ),
        pytest.param(None, "Ada@example.org", Target(ADA), id="an e-mail"),
        pytest.param(None, " Ada@EXAMPLE.ORG ", Target(ADA), id="an e-mail, otherwise written"),
        pytest.param(
            None,
            "ada@example.org",
            Settled(Outcome.NOT_FOUND_BY_EMAIL),
            id="a local part in another case is another person",
        ),
        pytest.param(
            None,
            "nobody@example.org",
            Settled(Outcome.NOT_FOUND_BY_EMAIL),
            id="an e-mail that nobody has",
        ),
        pytest.param(
            None,
            "twins@example.org",
            Settled(Outcome.AMBIGUOUS_EMAIL),
            id="an e-mail of two",
        ),
        pytest.param(None, "odd@example.org", INVALID, id="an e-mail of an unsafe id"),
        pytest.param(ADA, "Ada@example.org", Target(ADA), id="both, of one person"),
        pytest.param(TWIN, "twins@example.org", Target(TWIN), id="both, of one of two"),
        pytest.param(ADA, "bob@example.org", MISMATCH, id="both, of different people"),
        pytest.param(ADA, "twins@example.org", MISMATCH, id="both, of one and of two others"),
        pytest.param(ADA, "nobody@example.org", MISMATCH, id="a known id, an unknown e-mail"),
        pytest.param(USER_ID, "bob@example.org", MISMATCH, id="an unknown id, a known e-mail"),
        pytest.param(
            USER_ID, "nobody@example.org", Target(USER_ID), id="both unknown: Forge says 404"
        ),
    ],
)
def test_a_request_means_one_user_or_nobody(
    user_id: str | None, email: str | None, expected: Target | Settled
) -> None:
    assert identify(user_id=user_id, email=email, directory=FORGE) == expected


@pytest.mark.parametrize(
    ("user_id", "email", "expected"),
    [
        pytest.param(ADA, None, Target(ADA), id="an id needs no list"),
        pytest.param(ADA, "Ada@example.org", NOT_TONIGHT, id="both"),
        pytest.param(None, "Ada@example.org", NOT_TONIGHT, id="an e-mail"),
        pytest.param("..", "Ada@example.org", INVALID, id="an unsafe id is refused all the same"),
        pytest.param(
            None, None, Settled(Outcome.INVALID_USER_ID, Reason.NO_IDENTIFIER), id="neither"
        ),
    ],
)
def test_without_the_list_an_e_mail_is_not_for_tonight(
    user_id: str | None, email: str | None, expected: Target | Settled
) -> None:
    assert identify(user_id=user_id, email=email, directory=None) == expected


def test_what_is_settled_needs_no_reason() -> None:
    assert Settled(Outcome.TRANSIENT) == Settled(Outcome.TRANSIENT, reason=None)


def test_an_empty_list_is_a_list() -> None:
    assert identify(user_id=None, email="a@b.c", directory=Directory([])) == Settled(
        Outcome.NOT_FOUND_BY_EMAIL
    )


def test_the_directory_answers_by_id_and_by_e_mail() -> None:
    assert [one in FORGE for one in (ADA, BOB, USER_ID, "")] == [True, True, False, False]
    assert FORGE.ids_of("twins@Example.ORG") == [TWIN, "d" * 24]
    assert FORGE.ids_of(" bob@example.org") == [BOB]
    assert FORGE.ids_of("nobody@example.org") == []
    assert FORGE.email_of(ADA) == "Ada@example.org"
    assert FORGE.email_of(USER_ID) is None


def test_asking_does_not_change_the_directory() -> None:
    directory = Directory(iter(USERS[:1]))
    assert directory.ids_of("nobody@example.org") == []
    directory.ids_of("nobody@example.org").append(BOB)
    assert directory.ids_of("nobody@example.org") == []


def test_the_order_of_the_list_does_not_matter() -> None:
    for users in permutations(USERS[:4]):
        directory = Directory(users)
        found = [
            identify(user_id=user_id, email=email, directory=directory)
            for user_id in (None, ADA, BOB, USER_ID)
            for email in ("Ada@example.org", "twins@example.org", "nobody@example.org")
        ]
        assert found == [
            identify(user_id=user_id, email=email, directory=FORGE)
            for user_id in (None, ADA, BOB, USER_ID)
            for email in ("Ada@example.org", "twins@example.org", "nobody@example.org")
        ]


IDS = st.none() | st.sampled_from([ADA, BOB, TWIN, USER_ID, "..", ""])
EMAILS = st.none() | st.sampled_from([email for _, email in USERS] + ["nobody@example.org"])


@moderately
@given(
    users=st.lists(st.tuples(IDS.filter(bool), EMAILS.filter(bool)), unique_by=lambda u: u[0]),
    user_id=IDS,
    email=EMAILS,
)
def test_nobody_is_meant_but_who_is_named(
    users: list[tuple[str, str]], user_id: str | None, email: str | None
) -> None:
    directory = Directory(users)
    meant = identify(user_id=user_id, email=email, directory=directory)
    if isinstance(meant, Target):
        assert is_safe_user_id(meant.user_id)
        assert user_id in {None, meant.user_id}
        if email is not None:
            holders = directory.ids_of(email)
            assert meant.user_id in holders or (not holders and meant.user_id not in directory)


def test_a_user_who_is_listed_twice_is_one_user() -> None:
    directory = Directory([(ADA, "Ada@example.org"), (ADA, "Ada@example.org")])
    assert identify(user_id=None, email="Ada@example.org", directory=directory) == Target(ADA)


@pytest.mark.parametrize("email", ["", "  "])
def test_an_empty_e_mail_names_nobody(email: str) -> None:
    directory = Directory([(ADA, "")])
    assert identify(user_id=None, email=email, directory=directory) != Target(ADA)

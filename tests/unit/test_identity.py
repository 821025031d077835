"""Whom a request means at Forge."""

import re
from itertools import permutations

import pytest
from builders import USER_ID, moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.identifiers import (
    FORGE_ID,
    canonical_email,
    canonical_user_id,
    folded_email,
    is_safe_user_id,
)
from forge_gdpr.identity import (
    DEFAULT_RULES,
    Directory,
    IdRules,
    Later,
    Settled,
    Target,
    identify,
)
from forge_gdpr.lifecycle import Outcome, Reason

ADA, BOB, TWIN, OTHER_TWIN = "a" * 24, "b" * 24, "c" * 24, "d" * 24
IDN, QUIET, SENTINEL, CAPITALS = "e" * 24, "f" * 24, "0" * 24, "ABCDEF0123456789ABCDEF01"

USERS: list[tuple[str, str | None]] = [
    (ADA, "Ada@Example.org"),
    (BOB, "bob@example.org"),
    (TWIN, "twins@example.org"),
    (OTHER_TWIN, " twins@EXAMPLE.org"),
    (IDN, "jo@xn--strae-oqa.de"),
    (QUIET, None),
    (SENTINEL, "sentinel@example.org"),
    (CAPITALS, "capitals@example.org"),
    ("42", "number@example.org"),
    ("../x", "odd@example.org"),
    ("1" * 24, "Kim <kim@example.org>"),
]
IDS = [ADA, BOB, TWIN, OTHER_TWIN, IDN, QUIET, SENTINEL, CAPITALS, USER_ID, "42", "../x", ".."]
EMAILS = [
    "Ada@example.org",
    "ada@example.org",
    "bob@example.org",
    "twins@example.org",
    "jo@straße.de",
    "jo@strasse.de",
    "sentinel@example.org",
    "capitals@example.org",
    "number@example.org",
    "odd@example.org",
    "kim@example.org",
    "nobody@example.org",
]
INVALID = Settled(Outcome.INVALID_USER_ID)
SENTINELS = Settled(Outcome.INVALID_USER_ID, Reason.SENTINEL)
NO_IDENTIFIER = Settled(Outcome.INVALID_USER_ID, Reason.NO_IDENTIFIER)
NO_ADDRESS = Settled(Outcome.INVALID_EMAIL)
NOT_FOUND = Settled(Outcome.NOT_FOUND_BY_EMAIL)
AMBIGUOUS = Settled(Outcome.AMBIGUOUS_EMAIL)
MISMATCH = Settled(Outcome.IDENTITY_MISMATCH)
RULES = IdRules(sentinel=SENTINEL)


def directory_of(
    users: list[tuple[str, str | None]],
    *,
    user_ids: list[str] = IDS,
    emails: list[str] = EMAILS,
) -> Directory:
    directory = Directory(user_ids=user_ids, emails=emails)
    for user_id, email in users:
        directory.note(user_id, email)
    return directory


FORGE = directory_of(USERS)


@pytest.mark.parametrize(
    ("user_id", "email", "expected"),
    [
        pytest.param(ADA, None, Target(ADA), id="an id"),
        pytest.param(USER_ID, None, Target(USER_ID), id="an id that Forge does not list"),
        pytest.param(CAPITALS, None, Target(CAPITALS.lower()), id="an id in capitals"),
        pytest.param(ADA, "", Target(ADA), id="an id and an empty e-mail"),
        pytest.param(ADA, " \t", Target(ADA), id="an id and a blank e-mail"),
        pytest.param("../user", None, INVALID, id="an id that could change the path"),
        pytest.param("42", None, INVALID, id="an id of another form"),
        pytest.param(ADA + "a", None, INVALID, id="an id with a digit too many"),
        pytest.param(f" {ADA}", None, INVALID, id="an id with a blank"),
        pytest.param("Ada@example.org", None, INVALID, id="an e-mail for an id"),
        pytest.param("", None, INVALID, id="an empty id"),
        pytest.param("", "Ada@example.org", INVALID, id="an empty id and an e-mail"),
        pytest.param("../x", "odd@example.org", INVALID, id="an unsafe id that fits its e-mail"),
        pytest.param("42", "number@example.org", INVALID, id="an odd id that fits its e-mail"),
        pytest.param("42", "banana", INVALID, id="an odd id and no address"),
        pytest.param(SENTINEL, None, SENTINELS, id="the sentinel's id"),
        pytest.param(SENTINEL, "nobody@example.org", SENTINELS, id="the sentinel's id, an e-mail"),
        pytest.param(None, "sentinel@example.org", SENTINELS, id="the sentinel's e-mail"),
        pytest.param(None, None, NO_IDENTIFIER, id="neither"),
        pytest.param(None, "", NO_IDENTIFIER, id="an empty e-mail"),
        pytest.param(None, " \n", NO_IDENTIFIER, id="a blank e-mail"),
        pytest.param(None, "banana", NO_ADDRESS, id="no address"),
        pytest.param(None, "a@b.c, d@e.f", NO_ADDRESS, id="two addresses"),
        pytest.param(None, "mailto:bob@example.org", NO_ADDRESS, id="an address with a scheme"),
        pytest.param(ADA, "banana", NO_ADDRESS, id="an id and no address"),
        pytest.param(None, "Ada@example.org", Target(ADA), id="an e-mail"),
        pytest.param(None, " Ada@EXAMPLE.ORG ", Target(ADA), id="an e-mail, otherwise written"),
        pytest.param(None, "jo@straße.de", Target(IDN), id="a domain in Unicode"),
        pytest.param(None, "jo@XN--STRAE-OQA.de", Target(IDN), id="a domain in A-labels"),
        pytest.param(
            None, "capitals@example.org", Target(CAPITALS.lower()), id="an e-mail of capitals"
        ),
        pytest.param(None, "ada@example.org", AMBIGUOUS, id="a local part in another case"),
        pytest.param(None, "jo@strasse.de", AMBIGUOUS, id="a domain that is nearly the same"),
        pytest.param(None, "kim@example.org", AMBIGUOUS, id="an e-mail within another text"),
        pytest.param(None, "twins@example.org", AMBIGUOUS, id="an e-mail of two"),
        pytest.param(None, "nobody@example.org", NOT_FOUND, id="an e-mail that nobody has"),
        pytest.param(None, "odd@example.org", INVALID, id="an e-mail of an unsafe id"),
        pytest.param(None, "number@example.org", INVALID, id="an e-mail of an odd id"),
        pytest.param(ADA, "Ada@example.org", Target(ADA), id="both, of one person"),
        pytest.param(ADA.upper(), "Ada@example.org", Target(ADA), id="both, the id in capitals"),
        pytest.param(
            CAPITALS.lower(),
            "capitals@example.org",
            Target(CAPITALS.lower()),
            id="both, the list in capitals",
        ),
        pytest.param(TWIN, "twins@example.org", Target(TWIN), id="both, of one of two"),
        pytest.param(ADA, "bob@example.org", MISMATCH, id="both, of different people"),
        pytest.param(ADA, "twins@example.org", MISMATCH, id="both, of one and of two others"),
        pytest.param(ADA, "nobody@example.org", MISMATCH, id="a known id, an unknown e-mail"),
        pytest.param(QUIET, "nobody@example.org", MISMATCH, id="an id that shows no e-mail"),
        pytest.param(USER_ID, "bob@example.org", MISMATCH, id="an unknown id, a known e-mail"),
        pytest.param(ADA, "ada@example.org", AMBIGUOUS, id="an id whose e-mail is nearly this"),
        pytest.param(USER_ID, "ada@example.org", AMBIGUOUS, id="an unknown id, nearly an e-mail"),
        pytest.param(BOB, "ada@example.org", MISMATCH, id="a known id, nearly another's e-mail"),
        pytest.param(USER_ID, "nobody@example.org", Target(USER_ID), id="both unknown"),
    ],
)
def test_a_request_means_one_user_or_nobody(
    user_id: str | None, email: str | None, expected: Target | Settled
) -> None:
    assert identify(user_id=user_id, email=email, directory=FORGE, rules=RULES) == expected


@pytest.mark.parametrize(
    ("user_id", "email", "expected"),
    [
        pytest.param(ADA, None, Target(ADA), id="an id needs no list"),
        pytest.param(ADA, " ", Target(ADA), id="nor does an id with a blank e-mail"),
        pytest.param(ADA, "Ada@example.org", Later(), id="both"),
        pytest.param(None, "Ada@example.org", Later(), id="an e-mail"),
        pytest.param(None, "banana", NO_ADDRESS, id="no address is refused all the same"),
        pytest.param("..", "Ada@example.org", INVALID, id="an unsafe id is refused all the same"),
        pytest.param(None, None, NO_IDENTIFIER, id="neither"),
    ],
)
def test_without_the_list_an_e_mail_is_not_for_tonight(
    user_id: str | None, email: str | None, expected: Target | Settled | Later
) -> None:
    assert identify(user_id=user_id, email=email, directory=None) == expected


@pytest.mark.parametrize(
    ("user_ids", "emails", "user_id", "expected"),
    [
        pytest.param([], ["Ada@example.org"], None, Target(ADA), id="for the e-mail"),
        pytest.param([ADA], ["Ada@example.org"], ADA, Target(ADA), id="for both"),
        pytest.param([ADA.upper()], ["Ada@EXAMPLE.org"], ADA, Target(ADA), id="otherwise written"),
        pytest.param([], ["Ada@example.org"], ADA, Later(), id="not for the id"),
        pytest.param([BOB], ["Ada@example.org"], ADA, Later(), id="for another id"),
        pytest.param([ADA], [], ADA, Later(), id="not for the e-mail"),
        pytest.param([ADA], ["bob@example.org"], None, Later(), id="for another e-mail"),
        pytest.param([ADA], ["ada@example.org"], ADA, Later(), id="for nearly this e-mail"),
        pytest.param([ADA], ["banana", ""], ADA, Later(), id="for no address"),
    ],
)
def test_a_list_says_nothing_about_whom_it_was_not_asked_for(
    user_ids: list[str], emails: list[str], user_id: str | None, expected: Target | Later
) -> None:
    directory = directory_of(USERS, user_ids=user_ids, emails=emails)
    assert identify(user_id=user_id, email="Ada@example.org", directory=directory) == expected


@pytest.mark.parametrize(
    ("rules", "user_id", "expected"),
    [
        pytest.param(IdRules(), ADA, None, id="Forge's own"),
        pytest.param(IdRules(), "42", INVALID, id="another form"),
        pytest.param(IdRules(sentinel=BOB), ADA, None, id="not the sentinel"),
        pytest.param(IdRules(sentinel=ADA), ADA, SENTINELS, id="the sentinel"),
        pytest.param(IdRules(sentinel=ADA.upper()), ADA, SENTINELS, id="set in capitals"),
        pytest.param(IdRules(sentinel=ADA), ADA.upper(), SENTINELS, id="asked for in capitals"),
        pytest.param(IdRules(pattern=re.compile("[0-9]+")), "42", None, id="a pattern"),
        pytest.param(IdRules(pattern=re.compile("[0-9]+")), ADA, INVALID, id="not by the pattern"),
        pytest.param(IdRules(pattern=re.compile("[0-9]+")), "42x", INVALID, id="not all of it"),
        pytest.param(IdRules(pattern=re.compile(".*")), "a/b", INVALID, id="unsafe all the same"),
        pytest.param(IdRules(pattern=re.compile(".+"), sentinel="Xy"), "Xy", SENTINELS, id="own"),
        pytest.param(IdRules(pattern=re.compile(".+"), sentinel="Xy"), "xy", None, id="in case"),
    ],
)
def test_an_id_is_sent_only_if_no_rule_speaks_against_it(
    rules: IdRules, user_id: str, expected: Settled | None
) -> None:
    assert rules.objection(user_id) == expected
    meant = identify(user_id=user_id, email=None, directory=None, rules=rules)
    assert meant == (expected or Target(canonical_user_id(user_id)))


def test_without_a_setting_an_id_is_forges_and_there_is_no_sentinel() -> None:
    assert IdRules() == DEFAULT_RULES
    assert (DEFAULT_RULES.pattern.pattern, DEFAULT_RULES.sentinel) == (FORGE_ID, None)


def test_nobody_is_in_a_repr() -> None:
    assert repr(Target(ADA)) == "Target()"
    assert ADA not in repr(IdRules(sentinel=ADA))
    assert ADA not in repr(FORGE)


def test_what_is_settled_needs_no_reason() -> None:
    assert Settled(Outcome.ERASED) == Settled(Outcome.ERASED, reason=None)


def test_an_empty_list_is_a_list() -> None:
    directory = directory_of([])
    assert identify(user_id=None, email="bob@example.org", directory=directory) == NOT_FOUND
    assert identify(user_id=BOB, email="bob@example.org", directory=directory) == Target(BOB)
    assert (directory.users, directory.without_email, directory.listed()) == (0, 0, frozenset())


# What a directory holds


def test_a_directory_counts_everybody_and_holds_those_who_were_asked_for() -> None:
    directory = directory_of(USERS, user_ids=[ADA, CAPITALS, USER_ID], emails=["jo@straße.de"])
    assert (directory.users, directory.without_email) == (len(USERS), 2)
    assert directory.listed() == {ADA, CAPITALS.lower()}
    assert [user_id in directory for user_id in (ADA, ADA.upper(), CAPITALS)] == [True] * 3
    assert [user_id in directory for user_id in (BOB, USER_ID, "", IDN)] == [False] * 4
    assert directory.holders("jo@xn--strae-oqa.de") == [IDN]
    assert directory.holders("bob@example.org") == []


def test_a_directory_that_is_asked_for_no_address_counts_all_the_same() -> None:
    directory = directory_of(USERS, user_ids=[QUIET], emails=[])
    assert (directory.users, directory.without_email) == (len(USERS), 2)
    assert QUIET in directory
    assert (directory.holders("bob@example.org"), directory.near("bob@example.org")) == ([], [])


def test_a_directory_tells_who_has_an_address_and_who_nearly() -> None:
    assert FORGE.holders("Ada@example.org") == [ADA]
    assert FORGE.holders("ada@example.org") == []
    assert FORGE.holders("twins@example.org") == [TWIN, OTHER_TWIN]
    assert FORGE.near("ada@example.org") == FORGE.near("Ada@example.org") == [ADA]
    assert FORGE.near("jo@strasse.de") == [IDN]
    assert FORGE.near("kim@example.org") == ["1" * 24]
    assert FORGE.near("nobody@example.org") == []


def test_what_is_no_address_is_not_looked_for() -> None:
    directory = directory_of([(ADA, "banana"), (BOB, "")], emails=["banana", "", "bob@example.org"])
    assert (directory.holders("banana"), directory.near("banana")) == ([], [])
    assert not directory.was_asked(user_id=None, email="banana")
    assert directory.was_asked(user_id=None, email="bob@example.org")


@pytest.mark.parametrize(
    ("user_id", "email", "was_asked"),
    [
        (None, "bob@example.org", True),
        (BOB, "bob@example.org", True),
        (BOB.upper(), "bob@example.org", True),
        (ADA, "bob@example.org", False),
        (None, "Bob@example.org", False),
        (BOB, "Bob@example.org", False),
    ],
)
def test_silence_says_something_about_whom_was_looked_for(
    user_id: str | None, email: str, was_asked: bool
) -> None:
    directory = directory_of(USERS, user_ids=[BOB], emails=["bob@example.org"])
    assert directory.was_asked(user_id=user_id, email=email) is was_asked


def test_asking_does_not_change_the_directory() -> None:
    directory = directory_of(USERS)
    for email in ("Carol@example.org", "carol@example.org"):  # it was not looked for
        directory.holders(email).append(BOB)
        directory.near(email).append(BOB)
        assert (directory.holders(email), directory.near(email)) == ([], [])


# Whatever is in the list

ANY_ID = st.sampled_from([ADA, BOB, TWIN, SENTINEL, USER_ID])
ASKED_ID = st.none() | ANY_ID | st.sampled_from([BOB.upper(), "42", "..", ""])
ANY_EMAIL = st.sampled_from(
    [*EMAILS[:7], "ADA@example.org", " Ada@EXAMPLE.org", "jo@xn--strae-oqa.de", "banana", " "]
)
LISTS = st.lists(st.tuples(ANY_ID, st.none() | ANY_EMAIL), unique_by=lambda user: user[0])


@moderately
@given(users=LISTS, user_id=ASKED_ID, email=st.none() | ANY_EMAIL)
def test_nobody_is_meant_but_who_is_named(
    users: list[tuple[str, str | None]], user_id: str | None, email: str | None
) -> None:
    directory = directory_of(users)
    address = canonical_email(email or "")
    ids = {listed_id for listed_id, _ in users}
    shown = {listed_id: listed for listed_id, listed in users if listed is not None}
    having = {i for i, listed in shown.items() if address and canonical_email(listed) == address}
    nearly = {i for i, listed in shown.items() if folded_email(listed) == folded_email(email or "")}

    match identify(user_id=user_id, email=email, directory=directory, rules=RULES):
        case Target(target_id):
            assert is_safe_user_id(target_id)
            assert re.fullmatch(FORGE_ID, target_id)
            assert target_id != SENTINEL
            assert user_id is None or canonical_user_id(user_id) == target_id
            if user_id is None:
                assert having == {target_id}
            elif address is not None:
                assert target_id in having or not (nearly or target_id in ids)
        case Settled(Outcome.NOT_FOUND_BY_EMAIL):
            assert user_id is None
            assert not nearly
        case Settled(Outcome.IDENTITY_MISMATCH):
            assert canonical_user_id(user_id or "") not in having
            assert having or canonical_user_id(user_id or "") in ids
        case Settled(Outcome.AMBIGUOUS_EMAIL):
            assert nearly
            assert canonical_user_id(user_id or "") not in having
            assert having != {SENTINEL}
        case Later():
            assert canonical_email(email or "") not in set(map(canonical_email, EMAILS))
        case Settled(outcome):
            assert outcome in {Outcome.INVALID_USER_ID, Outcome.INVALID_EMAIL}


@moderately
@given(users=LISTS.filter(lambda users: len(users) < 5), user_id=ASKED_ID, email=ANY_EMAIL)
def test_the_order_of_the_list_does_not_matter(
    users: list[tuple[str, str | None]], user_id: str | None, email: str
) -> None:
    meant = {
        identify(user_id=user_id, email=email, directory=directory_of(list(order)), rules=RULES)
        for order in permutations(users)
    }
    assert len(meant) == 1


@moderately
@given(users=LISTS, user_id=ASKED_ID, email=ANY_EMAIL)
def test_it_does_not_matter_who_else_was_looked_for(
    users: list[tuple[str, str | None]], user_id: str | None, email: str
) -> None:
    alone = directory_of(users, user_ids=[] if user_id is None else [user_id], emails=[email])
    among = directory_of(
        users, user_ids=[*IDS, *([] if user_id is None else [user_id])], emails=[*EMAILS, email]
    )
    meant, again = (
        identify(user_id=user_id, email=email, directory=directory, rules=RULES)
        for directory in (alone, among)
    )
    assert meant == again

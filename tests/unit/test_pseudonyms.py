"""The only name a person has outside the request table."""

import re

import pytest
from builders import EMAIL, USER_ID, make_subject_key, moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.identifiers import normalised_email
from forge_gdpr.pseudonyms import (
    SHORTEST_KEY_BYTES,
    Keyring,
    Kind,
    SubjectKey,
    aliases,
    is_as_admitted,
    key_id_of,
    named_by,
    pseudonyms,
    subject_of,
)

KEY = make_subject_key()
OTHER_KEY = make_subject_key(b"\xff" * 32)

#: Each by `printf '<kind>\0<identifier>' | openssl dgst -sha256 -mac HMAC -macopt hexkey:...`,
#: with the bytes 00 to 1f as the key.
BY_ID = "v1:7895808a:1eaf4773e8bab3d7553667892c19cd2c089ae3e72a4abbb2f8cb8668a6033476"
BY_EMAIL = "v1:7895808a:3896c7ccdd72756209a6e5dba5724b7e0246f551d8e88ba057d558daa1060c87"
BY_REQUEST = "v1:7895808a:c5a963b2266b2982ff2106fcb2bbbcd596ee4cd9e0daed15504e6188ff65d06d"
OLD_ID = OTHER_KEY.subject(Kind.USER_ID, USER_ID)
BY_BLANK = KEY.subject(Kind.USER_ID, f"{USER_ID} ")
BY_SURROGATE = "v1:7895808a:6f78acd006c057b0cb56e4aa99e5aa171afc86e92a09ecbda1cab8f0f4365bc7"


@pytest.mark.parametrize(
    ("kind", "identifier", "subject"),
    [
        pytest.param(Kind.USER_ID, USER_ID, BY_ID, id="user id"),
        pytest.param(Kind.EMAIL, EMAIL, BY_EMAIL, id="e-mail"),
        pytest.param(Kind.REQUEST, "7", BY_REQUEST, id="request"),
        pytest.param(Kind.USER_ID, "\ud800", BY_SURROGATE, id="lone surrogate"),
    ],
)
def test_a_pseudonym_is_a_keyed_hash_of_kind_and_identifier(
    kind: Kind, identifier: str, subject: str
) -> None:
    assert KEY.subject(kind, identifier) == subject


def test_the_kinds_are_part_of_what_is_hashed_so_they_never_change() -> None:
    assert [kind.value for kind in Kind] == [
        "user_id",
        "email",
        "request",
        "account",
        "reference",
        "state",
    ]


#: By `printf 'forge-gdpr plan v2\0{}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:...`.
SEAL = "v1:7895808a:6cd15bc4ccbc6b9cc57fc35f30c05a50eab904b295db651df7343fadace63e3b"


def test_a_seal_is_a_keyed_hash_of_a_purpose_and_a_text() -> None:
    assert KEY.seal("plan v2", "{}") == SEAL
    assert KEY.has_sealed(SEAL, "plan v2", "{}")
    assert SEAL not in {KEY.subject(kind, "{}") for kind in Kind}


@pytest.mark.parametrize(
    ("key", "seal", "purpose", "text"),
    [
        pytest.param(OTHER_KEY, SEAL, "plan v2", "{}", id="another key"),
        pytest.param(KEY, SEAL, "plan", "{}", id="another purpose"),
        pytest.param(KEY, SEAL, "plan v2", "{ }", id="another text"),
        pytest.param(KEY, SEAL[:-1], "plan v2", "{}", id="too short"),
        pytest.param(KEY, f"{SEAL}0", "plan v2", "{}", id="too long"),
        pytest.param(KEY, SEAL.upper(), "plan v2", "{}", id="upper case"),
        pytest.param(KEY, "\udcff", "plan v2", "{}", id="half a character"),
        pytest.param(KEY, "", "plan v2", "{}", id="none"),
    ],
)
def test_nothing_else_is_sealed(key: SubjectKey, seal: str, purpose: str, text: str) -> None:
    assert not key.has_sealed(seal, purpose, text)


def test_a_key_has_a_name() -> None:
    assert make_subject_key().id == "7895808a"
    assert OTHER_KEY.id != KEY.id


def test_another_key_gives_another_pseudonym() -> None:
    assert OTHER_KEY.subject(Kind.USER_ID, USER_ID).split(":")[2] != BY_ID.split(":")[2]


@pytest.mark.parametrize("length", [0, 1, 31])
def test_a_short_key_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"^it is too short, a subject key has at least 32 bytes$"):
        SubjectKey(b"k" * length)


@pytest.mark.parametrize("length", [32, 33, 64, 200])
def test_a_key_may_be_longer(length: int) -> None:
    assert SubjectKey(b"k" * length).secret == b"k" * length
    assert SHORTEST_KEY_BYTES == 32


def test_a_key_is_not_shown() -> None:
    assert repr(make_subject_key(b"secret" * 6)) == "SubjectKey()"


@moderately
@given(
    kind=st.sampled_from(Kind),
    identifier=st.text(st.characters(), max_size=20),
    secret=st.binary(min_size=32, max_size=40),
)
def test_every_identifier_has_a_pseudonym_that_fits_its_column(
    kind: Kind, identifier: str, secret: bytes
) -> None:
    subject = SubjectKey(secret).subject(kind, identifier)
    assert re.fullmatch("v1:[0-9a-f]{8}:[0-9a-f]{64}", subject)
    assert len(subject) <= 80


@moderately
@given(st.text(max_size=20), st.text(max_size=20))
def test_different_people_have_different_pseudonyms(one: str, other: str) -> None:
    names = {(kind, name) for kind in Kind for name in (one, other)}
    assert len({KEY.subject(kind, name) for kind, name in names}) == len(names)


@pytest.mark.parametrize(
    ("user_id", "email", "subject"),
    [
        pytest.param(USER_ID, None, BY_ID, id="by id"),
        pytest.param(USER_ID.upper(), None, BY_ID, id="by id in upper case"),
        pytest.param(None, EMAIL, BY_EMAIL, id="by e-mail"),
        pytest.param(None, " Ada@EXAMPLE.org\n", BY_EMAIL, id="by e-mail, otherwise written"),
        pytest.param(USER_ID, EMAIL, BY_ID, id="by both: the id"),
        pytest.param(None, None, BY_REQUEST, id="by nothing: the request's number"),
    ],
)
def test_a_request_names_its_subject(user_id: str | None, email: str | None, subject: str) -> None:
    assert subject_of(KEY, request_id=7, user_id=user_id, email=email) == subject


@pytest.mark.parametrize(
    ("subject", "user_id", "email", "others"),
    [
        pytest.param(BY_ID, USER_ID, EMAIL, [BY_EMAIL], id="asked by id"),
        pytest.param(BY_EMAIL, USER_ID, EMAIL, [BY_ID], id="asked by e-mail"),
        pytest.param(BY_ID, USER_ID, None, [], id="only an id"),
        pytest.param(BY_EMAIL, None, EMAIL.replace("org", "ORG"), [], id="only an e-mail"),
        pytest.param(BY_REQUEST, None, None, [], id="neither"),
        pytest.param("v1:0:0", USER_ID, EMAIL, [BY_ID, BY_EMAIL], id="asked under another key"),
        pytest.param("v1:0:0", USER_ID, None, [BY_ID], id="only an id, under another key"),
        pytest.param(BY_BLANK, f"{USER_ID} ", None, [BY_ID], id="an id with a blank"),
        pytest.param(BY_EMAIL, " ", EMAIL, [KEY.subject(Kind.USER_ID, " ")], id="a blank id"),
    ],
)
def test_aliases_are_the_persons_other_pseudonyms(
    subject: str, user_id: str | None, email: str | None, others: list[str]
) -> None:
    assert aliases(KEY, subject, user_id=user_id, email=email) == others


@pytest.mark.parametrize(
    ("subject", "user_id", "email", "kind"),
    [
        pytest.param(BY_ID, USER_ID, None, Kind.USER_ID, id="the id"),
        pytest.param(BY_ID, USER_ID.upper(), EMAIL, Kind.USER_ID, id="the id in upper case"),
        pytest.param(OLD_ID, USER_ID, None, Kind.USER_ID, id="the id under an older key"),
        pytest.param(BY_EMAIL, None, f" {EMAIL}", Kind.EMAIL, id="the e-mail"),
        pytest.param(BY_EMAIL, USER_ID, EMAIL, Kind.EMAIL, id="the e-mail by which it was found"),
        pytest.param(BY_REQUEST, None, " ", Kind.REQUEST, id="still nobody"),
        pytest.param(BY_REQUEST, USER_ID, None, None, id="somebody in place of nobody"),
        pytest.param(BY_ID, None, EMAIL, None, id="no id any more"),
        pytest.param(BY_EMAIL, USER_ID, None, None, id="no e-mail any more"),
        pytest.param(BY_ID, None, None, None, id="nobody any more"),
        pytest.param(BY_BLANK, USER_ID, None, None, id="without its blank"),
        pytest.param(BY_ID, "f" * 24, EMAIL, None, id="another id"),
        pytest.param("v1:0:0", USER_ID, EMAIL, None, id="under a key that is gone"),
    ],
)
def test_a_corrected_row_names_somebody_else(
    subject: str, user_id: str | None, email: str | None, kind: Kind | None
) -> None:
    ring = [OTHER_KEY, KEY]
    assert named_by(ring, subject, request_id=7, user_id=user_id, email=email) is kind
    assert named_by(iter(ring), subject, request_id=7, user_id=user_id, email=email) is kind


@moderately
@given(st.none() | st.text(max_size=9), st.none() | st.text(max_size=9) | st.emails())
def test_a_row_names_whom_it_was_admitted_for(user_id: str | None, email: str | None) -> None:
    subject = subject_of(KEY, request_id=7, user_id=user_id, email=email)
    kind = named_by([KEY], subject, request_id=7, user_id=user_id, email=email)
    assert kind is not None
    others = aliases(KEY, subject, user_id=user_id, email=email)
    assert subject not in others
    assert len(others) == len(set(others))
    ring = iter([OTHER_KEY, KEY])
    admitted = [subject, *others]
    assert is_as_admitted(ring, admitted, request_id=7, user_id=user_id, email=email)


def test_a_keyring_has_a_key_a_line_and_writes_with_the_last() -> None:
    first, last = "a" * 32, "b" * 32
    ring = Keyring.parse(f"\n {first} \n{last}\n")
    assert [key.secret for key in ring.keys] == [first.encode(), last.encode()]
    assert ring.current == ring.keys[1]
    assert ring.subjects(Kind.REQUEST, "7") == [key.subject(Kind.REQUEST, "7") for key in ring.keys]
    subject = ring.current.subject(Kind.USER_ID, USER_ID)
    assert ring.has(key_id_of(subject))
    assert not ring.has(KEY.id)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no subject key"),
        ("short", "it is too short"),
        (f"{'a' * 32}\n{'a' * 32}", "a subject key is there twice"),
    ],
)
def test_a_keyring_without_keys_or_with_one_twice_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Keyring.parse(text)


def test_an_id_is_looked_for_as_it_is_written_now_and_as_it_was_before() -> None:
    upper = KEY.subject(Kind.USER_ID, USER_ID.upper())
    mixed = USER_ID.replace("b", "B")
    assert pseudonyms(KEY, Kind.USER_ID, USER_ID) == [BY_ID, upper]
    assert pseudonyms(KEY, Kind.USER_ID, USER_ID.upper()) == [BY_ID, upper]
    assert pseudonyms(KEY, Kind.USER_ID, mixed) == [
        BY_ID,
        KEY.subject(Kind.USER_ID, mixed),
        upper,
    ]
    assert pseudonyms(KEY, Kind.USER_ID, "Ada") == [KEY.subject(Kind.USER_ID, "Ada")]


def test_an_address_is_looked_for_as_it_is_written_now_and_as_it_was_before() -> None:
    assert pseudonyms(KEY, Kind.EMAIL, " Ada@EXAMPLE.org") == [BY_EMAIL]
    assert pseudonyms(KEY, Kind.EMAIL, " banana ") == [KEY.subject(Kind.EMAIL, "banana")]
    today = "ju\u0308@xn--bcher-kva.example"
    before = ["j\u00fc@b\u00fccher.example", "ju\u0308@xn--bcher-kva.example"]
    looked_for = pseudonyms(KEY, Kind.EMAIL, today)
    assert looked_for[0] == KEY.subject(Kind.EMAIL, "j\u00fc@xn--bcher-kva.example")
    assert {KEY.subject(Kind.EMAIL, form) for form in before} < set(looked_for)
    assert subject_of(KEY, request_id=7, user_id=None, email=today) == looked_for[0]


@moderately
@given(st.text(st.characters()) | st.emails())
def test_what_was_recorded_before_is_still_found(text: str) -> None:
    assert KEY.subject(Kind.EMAIL, normalised_email(text)) in pseudonyms(KEY, Kind.EMAIL, text)
    assert KEY.subject(Kind.USER_ID, text) in pseudonyms(KEY, Kind.USER_ID, text)
    subject = subject_of(KEY, request_id=7, user_id=text, email=None)
    assert pseudonyms(KEY, Kind.USER_ID, text)[0] == subject


@pytest.mark.parametrize(
    ("admitted", "user_id", "email", "is_same"),
    [
        pytest.param([BY_ID, BY_EMAIL], USER_ID, EMAIL.replace("org", "ORG"), True, id="both"),
        pytest.param([OLD_ID, BY_EMAIL], USER_ID, EMAIL, True, id="the id under an older key"),
        pytest.param([BY_ID, "v1:0:0"], USER_ID, None, True, id="beside a key that is gone"),
        pytest.param([BY_ID, BY_EMAIL], USER_ID, "x@example.org", False, id="another e-mail"),
        pytest.param([BY_ID, BY_EMAIL], USER_ID, " ", False, id="no e-mail any more"),
        pytest.param([BY_ID], USER_ID, EMAIL, False, id="an e-mail, too"),
        pytest.param([BY_EMAIL], USER_ID, EMAIL, True, id="the id that was found"),
        pytest.param([BY_ID, BY_EMAIL], None, EMAIL, False, id="no id any more"),
        pytest.param([], USER_ID, None, False, id="never admitted"),
    ],
)
def test_a_row_is_as_admitted_by_each_of_its_names(
    admitted: list[str], user_id: str | None, email: str | None, is_same: bool
) -> None:
    ring = [OTHER_KEY, KEY]
    said = is_as_admitted(ring, admitted, request_id=7, user_id=user_id, email=email)
    assert said is is_same

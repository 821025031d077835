"""When a 404 means that a person is not at Forge."""

from itertools import product
from typing import Any

import pytest
from builders import make_subject_key

from forge_gdpr.absence import Absence, Account, AccountProof, account_proof
from forge_gdpr.lifecycle import Outcome
from forge_gdpr.outcomes import absence_in
from forge_gdpr.pseudonyms import Kind

OLD_KEY, KEY = make_subject_key(b"o" * 32), make_subject_key()
PRODUCTION = "https://api.example.org/forge"
#: HMAC-SHA-256 of the bytes ``account``, 0, URL, line feed and API key.
FINGERPRINT = "v1:7895808a:dba06e39a38b022f5a89d743bce750da7a366266f05749fbed2eeb40ab5fad73"


def account(*, base_url: str = PRODUCTION, api_key: str = "live-key") -> Account:
    return Account.of([OLD_KEY, KEY], base_url=base_url, api_key=api_key)


def test_an_account_is_known_by_its_fingerprint() -> None:
    assert account().fingerprint == FINGERPRINT
    assert account().short == FINGERPRINT[12:20]


def test_an_account_is_written_under_the_current_key_and_looked_for_under_all() -> None:
    named = f"{PRODUCTION}\nlive-key"
    assert account() == Account(
        fingerprint=KEY.subject(Kind.ACCOUNT, named),
        fingerprints=(
            OLD_KEY.subject(Kind.ACCOUNT, named),
            KEY.subject(Kind.ACCOUNT, named),
        ),
        keys=(OLD_KEY, KEY),
    )


def test_another_key_or_another_address_is_another_account() -> None:
    accounts = [
        account(),
        account(api_key="test-key"),
        account(base_url="https://test.example.org/forge"),
        account(base_url="", api_key=""),
    ]
    assert len({other.fingerprint for other in accounts}) == len(accounts)


def test_a_fingerprint_is_nobodys_pseudonym() -> None:
    named = f"{PRODUCTION}\nlive-key"
    kinds = {KEY.subject(kind, named) for kind in Kind if kind is not Kind.ACCOUNT}
    assert account().fingerprint not in kinds


def test_neither_the_api_key_nor_a_subject_key_is_in_a_repr() -> None:
    assert "live-key" not in repr(account())
    assert "oooo" not in repr(account())


def test_an_account_that_nobody_named_has_no_fingerprint() -> None:
    assert (Account().fingerprint, Account().short, Account().fingerprints) == ("", "", ())


#: sentinel, erased_before, listed; and what shows that the account is ours.
PROOFS = {
    (True, True, True): AccountProof.SENTINEL,
    (True, True, False): AccountProof.SENTINEL,
    (True, False, True): AccountProof.SENTINEL,
    (True, False, False): AccountProof.SENTINEL,
    (False, True, True): None,
    (False, True, False): None,
    (False, False, True): None,
    (False, False, False): None,
    (None, True, True): AccountProof.ERASED_BEFORE,
    (None, True, False): AccountProof.ERASED_BEFORE,
    (None, False, True): AccountProof.LISTED,
    (None, False, False): None,
}


@pytest.mark.parametrize(("seen", "proof"), PROOFS.items(), ids=str)
def test_an_account_is_ours_if_something_shows_it(
    seen: tuple[bool | None, bool, bool], proof: AccountProof | None
) -> None:
    sentinel, erased_before, listed = seen
    facts: Any = {"sentinel": sentinel, "erased_before": erased_before, "listed": listed}
    assert account_proof(users=None, **facts) is proof
    assert account_proof(users=1, **facts) is proof
    # An account without anybody is nobody's, unless this key has emptied it.
    assert account_proof(users=0, **facts) is (proof if erased_before else None)


def test_a_missing_sentinel_speaks_against_all_else_and_only_a_person_can_vouch() -> None:
    assert set(PROOFS) == set(product((True, False, None), (True, False), (True, False)))
    assert set(PROOFS.values()) == {*AccountProof, None} - {AccountProof.EXPECTED}


def test_the_proofs_have_the_records_names() -> None:
    assert [proof.value for proof in AccountProof] == [
        "sentinel",
        "erased_before",
        "listed",
        "expected",
    ]


@pytest.mark.parametrize("proof", AccountProof)
@pytest.mark.parametrize(
    ("one_by_one", "paths", "gone"), [(False, "list", "list"), (True, "sentinel", "get")]
)
def test_the_record_says_by_what_an_absence_was_shown(
    one_by_one: bool, paths: str, gone: str, proof: AccountProof
) -> None:
    absence = Absence(one_by_one=one_by_one, account=proof)
    assert absence.as_json() == {"paths": paths, "gone": gone, "account": proof.value}


@pytest.mark.parametrize("proof", AccountProof)
@pytest.mark.parametrize("one_by_one", [False, True])
def test_whatever_is_recorded_can_be_told(one_by_one: bool, proof: AccountProof) -> None:
    absence = Absence(one_by_one=one_by_one, account=proof)
    told = absence_in({"outcome": Outcome.ALREADY_ABSENT, "absence": absence.as_json()})
    assert told is not None
    assert told.startswith("Absence was shown by ")

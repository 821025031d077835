"""When a 404 means that a person is not at Forge. Decides only; does no I/O.

A 404 alone says nothing, so absence is a conclusion, drawn afterwards from three things: Forge's
paths work, the user is not there, and the account is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from forge_gdpr.pseudonyms import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forge_gdpr.chain import Json
    from forge_gdpr.pseudonyms import SubjectKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The set of users at Forge that one API key reaches, by a keyed fingerprint.

    Test and production share a host and differ by key alone, so the fingerprint is of both.
    """

    fingerprint: str = ""  #: under the current subject key
    fingerprints: tuple[str, ...] = ()  #: under every live one, to be looked for in the record
    keys: tuple[SubjectKey, ...] = ()  #: every live subject key, the current one last

    @classmethod
    def of(cls, keys: Sequence[SubjectKey], *, base_url: str, api_key: str) -> Account:
        """Return the account that ``api_key`` reaches at ``base_url``."""
        named = f"{base_url}\n{api_key}"
        fingerprints = tuple(key.subject(Kind.ACCOUNT, named) for key in keys)
        return cls(fingerprint=fingerprints[-1], fingerprints=fingerprints, keys=tuple(keys))

    @property
    def short(self) -> str:
        """The fingerprint as people compare it: eight hex digits."""
        return self.fingerprint.rpartition(":")[2][:8]


class AccountProof(StrEnum):
    """What shows that the account which the API key reaches is ours."""

    SENTINEL = "sentinel"  #: SENTINEL_USER_ID is in it
    ERASED_BEFORE = "erased_before"  #: this key has erased somebody for us
    LISTED = "listed"  #: a user whom another request names is in it
    EXPECTED = "expected"  #: nothing but an operator's word: --expect-absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """By what an absence was shown, for the closing."""

    one_by_one: bool  #: beside the sentinel; else by Forge's whole list
    account: AccountProof

    def as_json(self) -> dict[str, Json]:
        """Return it for the record."""
        return {
            "paths": "sentinel" if self.one_by_one else "list",
            "gone": "get" if self.one_by_one else "list",
            "account": self.account.value,
        }


def account_proof(
    *, users: int | None, sentinel: bool | None, erased_before: bool, listed: bool
) -> AccountProof | None:
    """Return what shows that the account is ours; None if nothing does.

    Args:
        users: how many the account has; None if nobody has counted. An account without anybody
            is nobody's, unless this key has emptied it.
        sentinel: whether the sentinel is in it; None if there is none. One that is missing speaks
            against all else: test and production share a host, and differ by key alone.
        erased_before: this key has erased somebody whom a request of ours named.
        listed: somebody whom another request of ours names is in the account.
    """
    if users == 0 and not erased_before:
        return None
    match sentinel, erased_before, listed:
        case True, _, _:
            return AccountProof.SENTINEL
        case None, True, _:
            return AccountProof.ERASED_BEFORE
        case None, _, True:
            return AccountProof.LISTED
        case _:
            return None

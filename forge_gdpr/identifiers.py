"""Forge user ids and e-mail addresses: which are safe to send, which are the same.

Decides only; does no I/O.
"""

from __future__ import annotations

import unicodedata
from typing import Final

LONGEST_USER_ID: Final = 128

#: They end a path segment, hide one, or start the query or the fragment (RFC 3986 §3.3). The
#: space is here because it is the one separator that `str.isprintable` lets through.
_FORBIDDEN: Final = frozenset(" /\\%?#")


def is_safe_user_id(user_id: str) -> bool:
    """Say whether ``user_id`` is always exactly one segment of a URL's path.

    Refused are: nothing, ``.`` and ``..`` (no quoting saves them: ``%2E%2E`` is decoded on its
    way to the wire), slashes of both kinds, ``%``, ``?``, ``#``, white space, control, format
    and bidi characters, lone surrogates, more than 128 characters; also when Unicode's
    compatibility forms of it would be refused, for servers that normalise.
    """
    return all(
        0 < len(form) <= LONGEST_USER_ID
        and form.strip(".") != ""
        and not form.startswith(("..;", ".;"))  # to some servers a segment ends at its ;
        and form.isprintable()  # no character of the categories Other and Separator
        and _FORBIDDEN.isdisjoint(form)
        for form in (user_id, unicodedata.normalize("NFKC", user_id))
    )


def normalised_email(email: str) -> str:
    """Return ``email`` in the form in which two of one mailbox are equal.

    Trimmed; the domain in lower case; the local part exact, for only the receiving host may
    say that case does not matter there (RFC 5321 §2.3.11). Not `casefold`: it makes straße.de
    and strasse.de one, which are two domains (RFC 5892).
    """
    local, at, domain = email.strip().rpartition("@")
    return f"{local}{at}{domain.lower()}" if at else domain

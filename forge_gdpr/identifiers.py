"""Forge user ids and e-mail addresses: which are fit to be used, and which are the same.

Decides only; does no I/O. No clause that is returned here quotes what it is about: that names a
person. Each is the end of a sentence like ``forge_user_id: <clause>``.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import idna

LONGEST_USER_ID: Final = 128
#: What the local part may have (RFC 5321 §4.5.3.1.1). Counted in characters, not in octets, so
#: that no address that a host gave out in UTF-8 is refused.
LONGEST_LOCAL_PART: Final = 64
LONGEST_DOMAIN: Final = 253
LONGEST_LABEL: Final = 63
#: What a Forge id looks like if nobody says otherwise; the default of ``USER_ID_PATTERN``.
FORGE_ID: Final = "[0-9a-fA-F]{24}"

#: They end a path segment, hide one, or start the query or the fragment (RFC 3986 §3.3). The
#: space is here because it is the one separator that `str.isprintable` lets through.
_FORBIDDEN: Final = frozenset(" /\\%?#")
#: Unicode's Default_Ignorable_Code_Point: nobody sees them. `str.isprintable` lets those through
#: that are marks (variation selectors) or letters (Hangul fillers).
_IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

DEFAULT_PATTERN: Final = re.compile(FORGE_ID)
_FORGE_ID_DIGITS: Final = 24
#: Words that programs write where there is nothing, as people know them.
_NOTHING: Final = {
    word.casefold(): word
    for word in (
        *("undefined", "None", "null", "nil", "NaN", "N/A", "NA", "void", "unknown"),
        *("(null)", "<null>", "<nil>", "\\N", "empty", "true", "false", "[object Object]"),
    )
}
_DASHES: Final = re.compile(r"[-\u2013\u2014_.?*0]{1,3}")
_SPREADSHEET_ERROR: Final = re.compile(r"#[A-Za-z0-9/]+[!?]?")
#: One digit before the point: ``61e20`` could be the beginning of an id.
_EXPONENT: Final = re.compile(r"[+-]?[0-9](?:[.,][0-9]*)?[eE][+-]?[0-9]{1,3}")
#: Up to 20 digits, the largest number of 64 bits; ``42.0`` is what data frames make of it.
_OWN_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}(?:[.,]0*)?")
_UUID: Final = re.compile(r"\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?", re.IGNORECASE)
_ID_WITHIN: Final = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{24}(?![0-9a-fA-F])")
_HEX: Final = re.compile("[0-9a-fA-F]+")

#: RFC 5321's ``Atom``, and RFC 6531's letters beyond ASCII.
_DOT_STRING: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
    r"(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+)*"
)
#: RFC 5321's ``sub-domain``, and the underscore, which some hosts have all the same.
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_A_LABEL: Final = "xn--"
#: An address in which there is nothing to fold but case.
_SIMPLE_ADDRESS: Final = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
#: What separates addresses, or stands around one; also as their full-width forms.
_SEPARATORS: Final = re.compile("[@,;<>]")
#: Word processors write these for what people type; the last is a dot to East Asian keyboards.
_TYPOGRAPHY: Final = str.maketrans("‘’ʼ‐‑‒–—。", "'''-----.")  # noqa: RUF001  # on purpose


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


def user_id_fault(user_id: str, pattern: re.Pattern[str]) -> str | None:
    """Return why an id is not sent, None if it is fit to be.

    Args:
        user_id: as the request has it.
        pattern: what an id looks like; the whole of it must match.

    Returns:
        What it looks like instead, and where that is known what to do. It does not quote the id.
    """
    if is_safe_user_id(user_id) and pattern.fullmatch(user_id):
        return None
    return (
        _fault_of_any_text(user_id, "id")
        or _mistaken_for_an_id(user_id)
        or (_no_forge_id(user_id) if pattern.pattern == FORGE_ID else None)
        or _unsafe_or_odd(user_id)
    )


def canonical_user_id(user_id: str) -> str:
    """Return the form in which an id is compared, sent and pseudonymised.

    The digits of Forge's ids mean the same in upper case. Whatever else a pattern allows may be
    a name in which case matters, so it stays as it is.
    """
    return user_id.lower() if DEFAULT_PATTERN.fullmatch(user_id) else user_id


def canonical_email(email: str) -> str | None:
    """Return the form in which two addresses of one mailbox are equal; None if it is no address.

    Trimmed, in NFC, the local part exact, for only the receiving host may say that case does not
    matter there (RFC 5321 §2.3.11). The domain is in lower case and in ASCII (IDNA's A-labels by
    UTS #46), which is what mail hosts are asked for and what most addresses are in already, so
    that their pseudonyms stay as they are. straße.de and strasse.de stay two domains.

    Stricter than RFC 5321 where a slip is likelier than such a mailbox, for what is wrongly
    taken for an address is not at Forge, and its request would be closed: no quoted local part,
    no host without a dot, no IP address, no apostrophe in front. It is looser where hosts are:
    underscores in domains, emoji in them (which IDNA2008 has not).
    """
    return _judged(email)[0]


def email_fault(email: str) -> str | None:
    """Return why a text is no single mail address, None if it is one. It does not quote it."""
    return _judged(email)[1]


def folded_user_id(user_id: str) -> str:
    """Return a skeleton that is the same for ids which people would take for one.

    Without case, compatibility forms, blanks and what nobody sees; to be compared, never sent.
    """
    return _skeleton(user_id)


def is_readable_email(email: str) -> bool:
    """Say whether a text of Forge's is one address, shown whole: ``a***@example.org`` is not."""
    if _SIMPLE_ADDRESS.fullmatch(email):
        return True  # the rule
    return "*" not in email and canonical_email(email) is not None


def folded_email(email: str) -> str:
    """Return a skeleton that is the same for addresses which people would take for one.

    Without case, compatibility forms, IDNA's encoding, blanks, what nobody sees, quotation
    marks, a name or ``mailto:`` around, a dot at the end; typographic apostrophes and hyphens
    are plain. Addresses that are equal are also nearly equal. Works for any text, also for what
    is no address; meant to be compared, not to be shown or sent.
    """
    if _SIMPLE_ADDRESS.fullmatch(email) and _A_LABEL not in email.lower():
        return email.lower()  # the rule, and thirty times quicker
    text = _skeleton(canonical_email(email) or email)
    text = next((inner for inner in re.findall("<([^<>]*)>", text) if "@" in inner), text)
    text = re.sub("^(?:mailto:)+", "", text)
    local, at, domain = text.rpartition("@")
    if not at:
        return domain
    return f"{local}@{'.'.join(_folded_label(label) for label in domain.rstrip('.').split('.'))}"


def user_id_spellings(user_id: str) -> list[str]:
    """Return the forms under which an id may be in the record: today's first, then older ones."""
    canonical = canonical_user_id(user_id)
    is_forges = DEFAULT_PATTERN.fullmatch(user_id) is not None
    return list(dict.fromkeys([canonical, user_id, user_id.upper() if is_forges else user_id]))


def email_spellings(email: str) -> list[str]:
    """Return the forms under which an address may be in the record: today's first, then older ones.

    Older ones were as they came but for the case of the domain, so an IDN stood there in either
    form, and the local part in NFC or NFD. What is no address has its older form only.
    """
    before = normalised_email(email)
    canonical = canonical_email(email)
    if canonical is None:
        return [before]
    local, _, domain = canonical.partition("@")
    readable = f"{local}@{'.'.join(_readable_label(label) for label in domain.split('.'))}"
    forms = [canonical, before, readable, unicodedata.normalize("NFD", canonical)]
    return list(dict.fromkeys(forms))


def normalised_email(email: str) -> str:
    """Return the form in which addresses were compared, and pseudonymised, at first.

    Only to find what is in the record already. Trimmed; the domain in lower case.
    """
    local, at, domain = email.strip().rpartition("@")
    return f"{local}{at}{domain.lower()}" if at else domain


def _fault_of_any_text(text: str, what: str) -> str | None:
    """Return what goes wrong with every kind of cell."""
    bare = text.strip()
    if not bare:
        return "this is empty"
    if bare.casefold() in _NOTHING:
        word = _NOTHING[bare.casefold()]
        return f"this is the word '{word}' that a program writes when it has no {what}"
    if _DASHES.fullmatch(bare):
        return f"this is a placeholder, not an {what}"
    if _SPREADSHEET_ERROR.fullmatch(bare):
        return f"this is a spreadsheet's error, not an {what}"
    if not text.isprintable() or _IGNORABLE.search(text):
        return "this has a control or an invisible character in it or around it: remove it"
    if bare.startswith("'"):
        return "this begins with an apostrophe, as spreadsheets write text: remove it"
    return None


def _mistaken_for_an_id(user_id: str) -> str | None:
    """Return what an id is that is none under any pattern, or only with something around it."""
    if canonical_email(user_id) is not None:
        return "this is an e-mail address: put it into `email`"
    if "@" in user_id:
        return "this looks like an e-mail address: put that into `email`"
    if user_id != user_id.strip():
        return "this has blanks around it: remove them"
    if _EXPONENT.fullmatch(user_id):
        return (
            "a spreadsheet has turned this id into a number like 6.15E+23: export the ids as text"
        )
    return None


def _no_forge_id(user_id: str) -> str | None:
    """Return what is wrong with an id, knowing that ids are Forge's own."""
    if _OWN_NUMBER.fullmatch(user_id):
        return "this is a number, perhaps your own application's: a Forge id has 24 hex digits"
    if _UUID.fullmatch(user_id):
        return "this is a UUID, perhaps your own application's: a Forge id has 24 hex digits"
    if _ID_WITHIN.search(user_id):
        return "this has a Forge id in it and something around it: leave only the 24 hex digits"
    if _HEX.fullmatch(user_id):
        return f"this has {len(user_id)} characters, a Forge id has 24"
    if len(user_id) == _FORGE_ID_DIGITS and _FORBIDDEN.isdisjoint(user_id):
        return "this has a character other than 0-9 and a-f, a Forge id has 24 hex digits"
    return None


def _unsafe_or_odd(user_id: str) -> str:
    if len(user_id) > LONGEST_USER_ID:
        return f"this is longer than {LONGEST_USER_ID} characters"
    if not is_safe_user_id(user_id):
        return "this has characters that could change a URL's path"
    return "this does not look like an id: see FORGE_GDPR_USER_ID_PATTERN"


def _judged(email: str) -> tuple[str | None, str | None]:
    """Return an address in its canonical form, or else what is wrong: one of the two is None."""
    text = unicodedata.normalize("NFC", email.strip())
    fault = _fault_of_any_text(text, "address") or _no_single_address(text)
    if fault is not None:
        return None, fault
    local, _, domain = text.partition("@")
    ascii_domain = _ascii_domain(domain)
    fault = _local_part_fault(local) or _domain_fault(domain, ascii_domain)
    return (None, fault) if fault is not None else (f"{local}@{ascii_domain}", None)


def _local_part_fault(local: str) -> str | None:
    if not local:
        return "this has nothing before its @"
    if len(local) > LONGEST_LOCAL_PART:
        return f"this has more than {LONGEST_LOCAL_PART} characters before its @"
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return "this has a misplaced dot before its @"
    if not _DOT_STRING.fullmatch(local):
        return "this has a character before its @ that addresses do not have"
    return None


def _domain_fault(domain: str, ascii_domain: str | None) -> str | None:
    if not domain:
        return "this has nothing after its @"
    if domain.endswith("."):
        return "this ends with a dot: remove it"
    if domain.startswith("["):
        return "this has an IP address after its @, not a mail domain"
    if ascii_domain is None:
        return "the part after its @ is not a domain"
    labels = ascii_domain.split(".")
    if len(labels) == 1:
        return "this has a domain without a dot after its @: perhaps its end is missing"
    if labels[-1].isdecimal():
        return "this has an IP address after its @, not a mail domain"
    return None


def _no_single_address(text: str) -> str | None:
    """Return what a text is that is no address, or is one with something around it."""
    if "@" not in text:
        if DEFAULT_PATTERN.fullmatch(text):
            return "this is a Forge id: put it into `forge_user_id`"
        return "this is not an e-mail address: it has no @"
    if text.casefold().startswith("mailto:"):
        return "this begins with mailto: leave that out"
    if '"' in text:
        return "this has quotation marks in it: give the person's Forge id instead"
    separators = set(_SEPARATORS.findall(unicodedata.normalize("NFKC", text).replace("@", "", 1)))
    if "@" in separators:
        return "this is more than one address: give each a request of its own"
    if not separators.isdisjoint("<>"):
        return "this has a name or angle brackets around the address: leave only the address"
    if separators:
        return "this has a comma or a semicolon in it: leave only one address"
    if any(character.isspace() for character in text):
        return "this has blanks in it: remove them"
    return None


def _ascii_domain(domain: str) -> str | None:
    """Return a domain by UTS #46 in lower case and ASCII, None if there can't be such a one.

    Not `idna.encode`: IDNA2008 has no emoji and no underscores, but domains with them exist, and
    users at Forge may have addresses there.
    """
    try:
        mapped = idna.uts46_remap(domain, std3_rules=False)
    except idna.IDNAError:
        return None
    labels = [_ascii_label(label) for label in mapped.split(".")]
    whole = ".".join(label or "" for label in labels)
    return whole if all(labels) and len(whole) <= LONGEST_DOMAIN else None


def _ascii_label(label: str) -> str | None:
    if len(label) > LONGEST_LABEL:
        return None
    if label.isascii():
        encoded = label
        if label.startswith(_A_LABEL):
            decoded = _decoded(label)  # one that is not in its own form is nobody's
            if decoded is None or decoded.isascii() or _ascii_domain(decoded) != label:
                return None
    else:
        plain = "".join(character for character in label if character.isascii())
        if not _LABEL.fullmatch(f"0{plain}0") or label.startswith("-") or label.endswith("-"):
            return None
        if unicodedata.category(label[0]).startswith("M"):
            return None
        encoded = _A_LABEL + label.encode("punycode").decode("ascii")
    return encoded if len(encoded) <= LONGEST_LABEL and _LABEL.fullmatch(encoded) else None


def _decoded(label: str) -> str | None:
    """Return what is meant by a label that begins with ``xn--``, None if it is not readable."""
    try:
        return label.removeprefix(_A_LABEL).encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return None


def _readable_label(label: str) -> str:
    """Return a label of a canonical domain as people write it."""
    return (_decoded(label) or label) if label.startswith(_A_LABEL) else label


def _skeleton(text: str) -> str:
    """Return a text without what people overlook, in Unicode's compatibility caseless form.

    The form is that of D146 (Unicode, §3.13), decomposed: it is stable where texts are joined.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFD", text).casefold()
        text = unicodedata.normalize("NFKD", text).translate(_TYPOGRAPHY)
        text = _IGNORABLE.sub("", text)
    text = "".join(c for c in text.casefold() if c not in '"\\' and not c.isspace())
    return text if text.isascii() else unicodedata.normalize("NFKD", text)


def _folded_label(label: str) -> str:
    """Return one label of a domain, decoded: also xn--strae-oqa (straße) is nearly strasse."""
    if not label.startswith(_A_LABEL) or not label.isascii() or len(label) > LONGEST_LABEL:
        return label
    folded = _skeleton(_decoded(label) or "")
    # What would be read otherwise the second time stays as it is.
    if not folded or folded.startswith(_A_LABEL) or not {*".@<>:"}.isdisjoint(folded):
        return label
    return folded

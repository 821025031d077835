"""Which ids and addresses are fit to be used, and which are the same."""

import re
import string
import unicodedata
from urllib.parse import quote, urlsplit

import pytest
from builders import USER_ID, moderately
from hypothesis import example, given
from hypothesis import strategies as st

from forge_gdpr.identifiers import (
    FORGE_ID,
    LONGEST_USER_ID,
    canonical_email,
    canonical_user_id,
    email_fault,
    folded_email,
    is_safe_user_id,
    normalised_email,
    user_id_fault,
)

FORGE_PATTERN = re.compile(FORGE_ID)

EMPTY = "this is empty"
INVISIBLE = "this has a control or an invisible character in it or around it: remove it"
APOSTROPHE = "this begins with an apostrophe, as spreadsheets write text: remove it"
WITHIN = "this has a Forge id in it and something around it: leave only the 24 hex digits"
OTHER_CHARACTER = "this has a character other than 0-9 and a-f, a Forge id has 24 hex digits"
NUMBER = "this is a number, perhaps your own application's: a Forge id has 24 hex digits"
PATH = "this has characters that could change a URL's path"
UNLIKE = "this does not look like an id: see FORGE_GDPR_USER_ID_PATTERN"
ADDRESS = "this is an e-mail address: put it into `email`"
EXPONENT = "a spreadsheet has turned this id into a number like 6.15E+23: export the ids as text"
NO_AT = "this is not an e-mail address: it has no @"
SEVERAL = "this is more than one address: give each a request of its own"
SEPARATOR = "this has a comma or a semicolon in it: leave only one address"
BRACKETS = "this has a name or angle brackets around the address: leave only the address"
DOTS = "this has a misplaced dot before its @"
NO_DOMAIN = "the part after its @ is not a domain"
IP_ADDRESS = "this has an IP address after its @, not a mail domain"
LOCAL_CHARACTER = "this has a character before its @ that addresses do not have"


def word(text: str, what: str = "id") -> str:
    return f"this is the word '{text}' that a program writes when it has no {what}"


@pytest.mark.parametrize(
    "user_id",
    [
        pytest.param(USER_ID, id="as published"),
        pytest.param("a", id="one letter"),
        pytest.param("0", id="one digit"),
        pytest.param("-", id="one hyphen"),
        pytest.param("a" * 127, id="127 long"),
        pytest.param("a" * 128, id="128 long"),
        pytest.param("\u00e9" * 128, id="128 long, more bytes"),
        pytest.param("\ufb03" * 42, id="126 long when normalised"),
        pytest.param("a.b", id="dot within"),
        pytest.param(".a", id="dot before"),
        pytest.param("a.", id="dot after"),
        pytest.param("..a", id="dots before"),
        pytest.param("ada@example.org", id="at"),
        pytest.param("a:b;c=d,e&f+g!h$i'j(k)l*m~n_o", id="what else a segment may hold"),
        pytest.param("None", id="the word None"),
        pytest.param("J\u00fcrgen", id="umlaut"),
        pytest.param("\u7530\u4e2d", id="kanji"),
        pytest.param("\U0001f600", id="emoji"),
        pytest.param("a\u2044b", id="fraction slash, which stays what it is"),
        pytest.param("a.;b", id="dot before a semicolon, but not alone"),
        pytest.param("...;", id="three dots before a semicolon"),
    ],
)
def test_an_id_that_is_one_segment_is_safe(user_id: str) -> None:
    assert is_safe_user_id(user_id) is True


@pytest.mark.parametrize("character", string.ascii_letters + string.digits + "-_~!$&'()*+,;=:@")
def test_what_a_segment_holds_unquoted_is_safe_by_itself(character: str) -> None:
    assert is_safe_user_id(character) is True


@pytest.mark.parametrize(
    "user_id",
    [
        pytest.param("", id="empty"),
        pytest.param(".", id="dot"),
        pytest.param("..", id="dot dot"),
        pytest.param("...", id="dots"),
        pytest.param("/", id="slash"),
        pytest.param("a/b", id="slash within"),
        pytest.param("../users", id="another path"),
        pytest.param("a\\b", id="backslash"),
        pytest.param("%", id="percent"),
        pytest.param("%2e%2e", id="quoted dots"),
        pytest.param("a%2Fb", id="quoted slash"),
        pytest.param("a?b", id="query"),
        pytest.param("a#b", id="fragment"),
        pytest.param("a" * 129, id="129 long"),
        pytest.param("\u00e9" * 129, id="129 long, more bytes"),
        pytest.param(" ", id="space"),
        pytest.param(" a", id="space before"),
        pytest.param("a ", id="space after"),
        pytest.param("a b", id="space within"),
        pytest.param("a\tb", id="tab"),
        pytest.param("a\n", id="line feed"),
        pytest.param("a\rb", id="carriage return"),
        pytest.param("a\x00b", id="null"),
        pytest.param("a\x1fb", id="last of C0"),
        pytest.param("a\x7fb", id="delete"),
        pytest.param("a\x85b", id="next line"),
        pytest.param("a\xa0b", id="no-break space"),
        pytest.param("a\xadb", id="soft hyphen"),
        pytest.param("a\u1680b", id="ogham space"),
        pytest.param("a\u200bb", id="zero width space"),
        pytest.param("a\u200db", id="zero width joiner"),
        pytest.param("a\u200eb", id="left-to-right mark"),
        pytest.param("a\u202ab", id="left-to-right embedding"),
        pytest.param("a\u202eb", id="right-to-left override"),
        pytest.param("a\u2066b", id="left-to-right isolate"),
        pytest.param("a\u2069b", id="pop directional isolate"),
        pytest.param("a\u061cb", id="arabic letter mark"),
        pytest.param("a\u2028b", id="line separator"),
        pytest.param("a\u2029b", id="paragraph separator"),
        pytest.param("a\u3000b", id="ideographic space"),
        pytest.param("a\ufeffb", id="byte order mark"),
        pytest.param("a\ue000b", id="private use"),
        pytest.param("a\uffffb", id="not a character"),
        pytest.param("a\ud800b", id="lone high surrogate"),
        pytest.param("a\udfffb", id="lone low surrogate"),
        pytest.param("\U000e0041", id="tag"),
        pytest.param(".;", id="dot, where a segment ends at its semicolon"),
        pytest.param("..;", id="dot dot, where a segment ends at its semicolon"),
        pytest.param(".;a=b", id="dot with a parameter"),
        pytest.param("..;a=b", id="dot dot with a parameter"),
    ],
)
def test_an_id_that_could_change_the_path_is_refused(user_id: str) -> None:
    assert is_safe_user_id(user_id) is False


@pytest.mark.parametrize(
    ("user_id", "becomes"),
    [
        pytest.param("\uff0e\uff0e", "..", id="full-width dots"),
        pytest.param("\u2024\u2024", "..", id="one dot leaders"),
        pytest.param("\u2025", "..", id="two dot leader"),
        pytest.param("\u2026", "...", id="ellipsis"),
        pytest.param("\ufe52.", "..", id="small dot"),
        pytest.param("\u2025\uff1b", "..;", id="two dot leader, full-width semicolon"),
        pytest.param("a\uff0fb", "a/b", id="full-width slash"),
        pytest.param("a\u2100b", "aa/cb", id="account of"),
        pytest.param("a\u2105b", "ac/ob", id="care of"),
        pytest.param("a\uff3cb", "a\\b", id="full-width backslash"),
        pytest.param("a\ufe68b", "a\\b", id="small backslash"),
        pytest.param("\uff052e", "%2e", id="full-width percent"),
        pytest.param("\ufe6a2e", "%2e", id="small percent"),
        pytest.param("a\uff1fb", "a?b", id="full-width question mark"),
        pytest.param("a\u2048b", "a?!b", id="question exclamation mark"),
        pytest.param("a\uff03b", "a#b", id="full-width number sign"),
        pytest.param("a\u00a8b", "a \u0308b", id="diaeresis: a space and a mark"),
        pytest.param("\ufb03" * 43, "ffi" * 43, id="129 long when normalised"),
    ],
)
def test_an_id_that_becomes_dangerous_when_normalised_is_refused(
    user_id: str, becomes: str
) -> None:
    assert unicodedata.normalize("NFKC", user_id) == becomes
    assert is_safe_user_id(user_id) is False


def test_the_longest_id_fits_its_column() -> None:
    assert LONGEST_USER_ID == 128


@moderately
@given(st.text(min_size=1, max_size=20))
@example("a:b@c;d=e")
def test_a_safe_id_stays_one_segment_of_the_url(user_id: str) -> None:
    if is_safe_user_id(user_id):
        url = urlsplit(f"https://forge.test/user/{quote(user_id, safe='')}/logs")
        assert url.path.split("/") == ["", "user", quote(user_id, safe=""), "logs"]
        assert (url.query, url.fragment) == ("", "")
        assert is_safe_user_id(unicodedata.normalize("NFKC", user_id))


@moderately
@given(
    before=st.text("ab.", max_size=3),
    bad=st.sampled_from("/\\%?# \t\n\x00\u202e\u200b\ud800"),
    after=st.text("ab.", max_size=3),
)
def test_one_bad_character_anywhere_is_enough(before: str, bad: str, after: str) -> None:
    assert not is_safe_user_id(before + bad + after)


@pytest.mark.parametrize(
    ("email", "normalised"),
    [
        pytest.param("ada@example.org", "ada@example.org", id="as it is"),
        pytest.param(" \tada@example.org\r\n", "ada@example.org", id="trimmed"),
        pytest.param("ada@Example.ORG", "ada@example.org", id="case of the domain"),
        pytest.param("Ada.L@example.org", "Ada.L@example.org", id="case of the local part"),
        pytest.param("ADA+Tag@EXAMPLE.org", "ADA+Tag@example.org", id="tag"),
        pytest.param('"A@B"@Example.org', '"A@B"@example.org', id="quoted at"),
        pytest.param("ada@B\u00dcCHER.example", "ada@b\u00fccher.example", id="umlaut"),
        pytest.param("@Example.org", "@example.org", id="no local part"),
        pytest.param("Ada@", "Ada@", id="no domain"),
        pytest.param("Ada", "Ada", id="no at: nothing is known to be a domain"),
        pytest.param("", "", id="empty"),
        pytest.param("  ", "", id="blank"),
    ],
)
def test_an_address_is_trimmed_and_its_domain_without_case(email: str, normalised: str) -> None:
    assert normalised_email(email) == normalised


@moderately
@given(st.text() | st.emails())
def test_normalising_twice_changes_nothing(email: str) -> None:
    assert normalised_email(normalised_email(email)) == normalised_email(email)


@moderately
@given(st.emails())
def test_case_of_the_domain_does_not_matter(email: str) -> None:
    local, _, domain = email.rpartition("@")
    assert normalised_email(f" {local}@{domain.upper()} ") == normalised_email(email)
    assert normalised_email(email) == f"{local}@{domain.lower()}"


def test_domains_of_different_owners_stay_different() -> None:
    assert normalised_email("ada@stra\u00dfe.example") != normalised_email("ada@strasse.example")


@pytest.mark.parametrize(
    ("user_id", "fault"),
    [
        pytest.param(USER_ID, None, id="as published"),
        pytest.param(USER_ID.upper(), None, id="upper case"),
        pytest.param("0" * 24, None, id="only zeros"),
        pytest.param("ada@example.org", ADDRESS, id="an address"),
        pytest.param(" Ada@example.org", ADDRESS, id="an address with a blank"),
        pytest.param(
            "Ada <ada@example.org>",
            "this looks like an e-mail address: put that into `email`",
            id="an address with a name",
        ),
        pytest.param("", EMPTY, id="empty"),
        pytest.param(" \t", EMPTY, id="blank"),
        pytest.param("undefined", word("undefined"), id="undefined"),
        pytest.param("None", word("None"), id="None"),
        pytest.param("none", word("None"), id="none"),
        pytest.param("null", word("null"), id="null"),
        pytest.param(" NULL ", word("null"), id="NULL with blanks"),
        pytest.param("NaN", word("NaN"), id="NaN"),
        pytest.param("nil", word("nil"), id="nil"),
        pytest.param("n/a", word("N/A"), id="n/a"),
        pytest.param("\\N", word("\\N"), id="a dump's null"),
        pytest.param("True", word("true"), id="True"),
        pytest.param("false", word("false"), id="false"),
        pytest.param("[object Object]", word("[object Object]"), id="an object of JavaScript"),
        pytest.param("-", "this is a placeholder, not an id", id="dash"),
        pytest.param("0", "this is a placeholder, not an id", id="zero"),
        pytest.param("?", "this is a placeholder, not an id", id="question mark"),
        pytest.param("#N/A", "this is a spreadsheet's error, not an id", id="#N/A"),
        pytest.param("#REF!", "this is a spreadsheet's error, not an id", id="#REF!"),
        pytest.param(f"{USER_ID}\n", INVISIBLE, id="line end"),
        pytest.param(f"\ufeff{USER_ID}", INVISIBLE, id="byte order mark"),
        pytest.param(f"{USER_ID}\ufe0f", INVISIBLE, id="variation selector"),
        pytest.param(f"\u202e{USER_ID}", INVISIBLE, id="right to left"),
        pytest.param(USER_ID[:-1] + "\ud800", INVISIBLE, id="lone surrogate"),
        pytest.param(f"'{USER_ID}", APOSTROPHE, id="apostrophe"),
        pytest.param(f" {USER_ID}", "this has blanks around it: remove them", id="blank before"),
        pytest.param(f"{USER_ID} ", "this has blanks around it: remove them", id="blank after"),
        pytest.param("6.15E+23", EXPONENT, id="exponent"),
        pytest.param("6,15E+23", EXPONENT, id="exponent, decimal comma"),
        pytest.param("6.15e23", EXPONENT, id="exponent in lower case"),
        pytest.param("4711", NUMBER, id="number"),
        pytest.param("-1", NUMBER, id="negative number"),
        pytest.param("4711.0", NUMBER, id="number of a data frame"),
        pytest.param("18446744073709551615", NUMBER, id="largest number"),
        pytest.param(
            "550e8400-e29b-41d4-a716-446655440000",
            "this is a UUID, perhaps your own application's: a Forge id has 24 hex digits",
            id="UUID",
        ),
        pytest.param(f'ObjectId("{USER_ID}")', WITHIN, id="a shell's ObjectId"),
        pytest.param(f'"{USER_ID}"', WITHIN, id="quoted"),
        pytest.param(f"https://forge.test/user/{USER_ID}", WITHIN, id="URL"),
        pytest.param(USER_ID[:-1], "this has 23 characters, a Forge id has 24", id="23 digits"),
        pytest.param(f"{USER_ID}0", "this has 25 characters, a Forge id has 24", id="25 digits"),
        pytest.param("1" * 23, "this has 23 characters, a Forge id has 24", id="23 numbers"),
        pytest.param(USER_ID[:-1] + "O", OTHER_CHARACTER, id="the letter O"),
        pytest.param(USER_ID[:-1] + "\uff16", OTHER_CHARACTER, id="full-width digit"),
        pytest.param("a" * 23 + "\u0430", OTHER_CHARACTER, id="Cyrillic a"),
        pytest.param(USER_ID[:-1] + "/", PATH, id="24 with a slash"),
        pytest.param("../users", PATH, id="another path"),
        pytest.param("....", PATH, id="dots"),
        pytest.param("x" * 128, UNLIKE, id="128 long"),
        pytest.param("x" * 129, "this is longer than 128 characters", id="129 long"),
        pytest.param("ada.lovelace", UNLIKE, id="a name"),
    ],
)
def test_what_is_no_forge_id_is_said_in_a_clause(user_id: str, fault: str | None) -> None:
    assert user_id_fault(user_id, FORGE_PATTERN) == fault


@pytest.mark.parametrize(
    ("user_id", "pattern", "fault"),
    [
        pytest.param("ada", "[a-z]{3}", None, id="as the pattern says"),
        pytest.param("4711", "[0-9]+", None, id="a number that is an id"),
        pytest.param("adas", "[a-z]{3}", UNLIKE, id="only its beginning matches"),
        pytest.param("ada\n", "[a-z]{3}$", INVISIBLE, id="a dollar that allows a line end"),
        pytest.param("a/b", ".*", PATH, id="what the pattern allows and a URL does not"),
        pytest.param("", ".*", EMPTY, id="nothing, which the pattern allows"),
        pytest.param(USER_ID[:-1], "[a-z]{3}", UNLIKE, id="Forge's length says nothing"),
        pytest.param("4711", "[a-z]{3}", UNLIKE, id="a number is no better"),
        pytest.param("undefined", "[a-z]{3}", word("undefined"), id="a word is a word"),
        pytest.param("6.15E+23", "[a-z]{3}", EXPONENT, id="a spreadsheet is a spreadsheet"),
    ],
)
def test_the_pattern_decides_what_an_id_looks_like(
    user_id: str, pattern: str, fault: str | None
) -> None:
    assert user_id_fault(user_id, re.compile(pattern)) == fault


@moderately
@given(st.text(st.characters()) | st.text("0123456789abcdefABCDEF @./'-xE+\u200b", max_size=26))
def test_an_id_without_fault_is_one_that_matches_and_is_safe(user_id: str) -> None:
    for pattern in (FORGE_PATTERN, re.compile(".*", re.DOTALL)):
        fault = user_id_fault(user_id, pattern)
        fit = pattern.fullmatch(user_id) is not None and is_safe_user_id(user_id)
        assert (fault is None) == fit
        assert fault is None or (fault.isprintable() and "`" not in fault.replace("`email`", ""))


@moderately
@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=24, max_size=40))
def test_a_clause_never_quotes_an_id_or_an_address(value: str) -> None:
    for text in (value, f"{value}@example.org", f"ada@{value}.example", f"<{value}@{value}>"):
        assert value not in (user_id_fault(text, FORGE_PATTERN) or "")
        assert value not in (email_fault(text) or "")


@pytest.mark.parametrize(
    ("user_id", "canonical"),
    [
        pytest.param(USER_ID, USER_ID, id="as published"),
        pytest.param("61AB8F99251CBA0014437326", "61ab8f99251cba0014437326", id="upper case"),
        pytest.param("Ada", "Ada", id="a name, in which case may matter"),
        pytest.param("A" * 23, "A" * 23, id="23 digits"),
        pytest.param("A" * 25, "A" * 25, id="25 digits"),
        pytest.param("A" * 24 + "\n", "A" * 24 + "\n", id="a line end"),
        pytest.param("", "", id="empty"),
    ],
)
def test_an_id_of_forge_has_no_case(user_id: str, canonical: str) -> None:
    assert canonical_user_id(user_id) == canonical


@pytest.mark.parametrize(
    ("email", "canonical"),
    [
        pytest.param("ada@example.org", "ada@example.org", id="as it is"),
        pytest.param(" \tAda@Example.ORG\r\n", "Ada@example.org", id="trimmed, domain's case"),
        pytest.param("ADA+Tag@example.org", "ADA+Tag@example.org", id="tag"),
        pytest.param("ada.o'neil@example.org", "ada.o'neil@example.org", id="apostrophe"),
        pytest.param("j\u00fcrgen@example.org", "j\u00fcrgen@example.org", id="umlaut"),
        pytest.param("ju\u0308rgen@example.org", "j\u00fcrgen@example.org", id="umlaut in NFD"),
        pytest.param("\u7530\u4e2d@example.org", "\u7530\u4e2d@example.org", id="kanji"),
        pytest.param("!#$%&*+/=?^_`{|}~-@example.org", "!#$%&*+/=?^_`{|}~-@example.org", id="atom"),
        pytest.param("ada@B\u00dcCHER.example", "ada@xn--bcher-kva.example", id="IDN"),
        pytest.param("ada@bu\u0308cher.example", "ada@xn--bcher-kva.example", id="IDN in NFD"),
        pytest.param("ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example", id="A-label"),
        pytest.param("ada@stra\u00dfe.de", "ada@xn--strae-oqa.de", id="sharp s is kept"),
        pytest.param("ada@strasse.de", "ada@strasse.de", id="ss is another domain"),
        pytest.param("ada@example\u3002org", "ada@example.org", id="ideographic dot"),
        pytest.param("ada@\uff45xample.org", "ada@example.org", id="full-width letter"),
        pytest.param("ada@\U0001f600.ws", "ada@xn--e28h.ws", id="emoji"),
        pytest.param("ada@xn--e28h.ws", "ada@xn--e28h.ws", id="emoji's A-label"),
        pytest.param("ada@my_host.example", "ada@my_host.example", id="underscore"),
        pytest.param("ada@r3---sn.example", "ada@r3---sn.example", id="hyphens in third place"),
        pytest.param("ada@1.2.example", "ada@1.2.example", id="labels of digits"),
        pytest.param("a" * 64 + "@example.org", "a" * 64 + "@example.org", id="64 before the @"),
        pytest.param(
            f"a@{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}",
            f"a@{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}",
            id="253 after the @",
        ),
    ],
)
def test_an_address_has_one_form(email: str, canonical: str) -> None:
    assert canonical_email(email) == canonical
    assert email_fault(email) is None


@pytest.mark.parametrize(
    ("email", "fault"),
    [
        pytest.param("", EMPTY, id="empty"),
        pytest.param("  ", EMPTY, id="blank"),
        pytest.param("banana", NO_AT, id="banana"),
        pytest.param("ada\uff20example.org", NO_AT, id="full-width at"),
        pytest.param(
            USER_ID, "this is a Forge id: put it into `forge_user_id`", id="id in the wrong column"
        ),
        pytest.param("null", word("null", "address"), id="null"),
        pytest.param("-", "this is a placeholder, not an address", id="dash"),
        pytest.param("#N/A", "this is a spreadsheet's error, not an address", id="#N/A"),
        pytest.param("'ada@example.org", APOSTROPHE, id="apostrophe in front"),
        pytest.param(
            "MailTo:ada@example.org", "this begins with mailto: leave that out", id="mailto"
        ),
        pytest.param("Ada <ada@example.org>", BRACKETS, id="name"),
        pytest.param("<ada@example.org>", BRACKETS, id="angle brackets"),
        pytest.param("ada@example.org,bob@example.org", SEVERAL, id="two by a comma"),
        pytest.param("ada@example.org;bob@example.org", SEVERAL, id="two by a semicolon"),
        pytest.param("ada@example.org bob@example.org", SEVERAL, id="two by a blank"),
        pytest.param("ada@example.org\uff0cbob\uff20example.org", SEVERAL, id="two, full width"),
        pytest.param("ada@bob@example.org", SEVERAL, id="two at"),
        pytest.param("ada@example.org;", SEPARATOR, id="semicolon at the end"),
        pytest.param("ada@example,org", SEPARATOR, id="comma for a dot"),
        pytest.param("ada @example.org", "this has blanks in it: remove them", id="blank within"),
        pytest.param("ada@exa mple.org", "this has blanks in it: remove them", id="blank later"),
        pytest.param("ada\t@example.org", INVISIBLE, id="tab"),
        pytest.param("a\u200bda@example.org", INVISIBLE, id="zero width"),
        pytest.param("\ufeffada@example.org", INVISIBLE, id="byte order mark"),
        pytest.param("ada@exam\u202eple.org", INVISIBLE, id="right to left"),
        pytest.param("a\u3164da@example.org", INVISIBLE, id="Hangul filler"),
        pytest.param("a\ud800@example.org", INVISIBLE, id="lone surrogate"),
        pytest.param("@example.org", "this has nothing before its @", id="no local part"),
        pytest.param("ada@", "this has nothing after its @", id="no domain"),
        pytest.param(
            '"ada l"@example.org',
            "this has quotation marks in it: give the person's Forge id instead",
            id="quoted",
        ),
        pytest.param(".ada@example.org", DOTS, id="dot before"),
        pytest.param("ada.@example.org", DOTS, id="dot after"),
        pytest.param("ada..l@example.org", DOTS, id="two dots"),
        pytest.param("ada(l)@example.org", LOCAL_CHARACTER, id="comment"),
        pytest.param("a:b@example.org", LOCAL_CHARACTER, id="colon"),
        pytest.param("ada\\@example.org", LOCAL_CHARACTER, id="backslash"),
        pytest.param("ada@example.org.", "this ends with a dot: remove it", id="dot at the end"),
        pytest.param("ada@[127.0.0.1]", IP_ADDRESS, id="IP literal"),
        pytest.param("ada@127.0.0.1", IP_ADDRESS, id="bare IP address"),
        pytest.param(
            "ada@localhost",
            "this has a domain without a dot after its @: perhaps its end is missing",
            id="no dot",
        ),
        pytest.param("ada@.org", NO_DOMAIN, id="dot first"),
        pytest.param("ada@example..org", NO_DOMAIN, id="two dots in the domain"),
        pytest.param("ada@-example.org", NO_DOMAIN, id="hyphen first"),
        pytest.param("ada@example-.org", NO_DOMAIN, id="hyphen last"),
        pytest.param("ada@-b\u00fccher.example", NO_DOMAIN, id="hyphen first in an IDN"),
        pytest.param("ada@b\u00fccher-.example", NO_DOMAIN, id="hyphen last in an IDN"),
        pytest.param("ada@b\u00fccher!.example", NO_DOMAIN, id="mark in an IDN"),
        pytest.param("ada@\u0301x.example", NO_DOMAIN, id="combining mark first"),
        pytest.param("ada@exa\ufffdmple.org", NO_DOMAIN, id="replacement character"),
        pytest.param("ada@exa(mple.org", NO_DOMAIN, id="parenthesis"),
        pytest.param("ada@xn--a.example", NO_DOMAIN, id="A-label of a control character"),
        pytest.param("ada@xn--0.example", NO_DOMAIN, id="A-label that is cut off"),
        pytest.param("ada@xn--bcher-.example", NO_DOMAIN, id="A-label of plain letters"),
        pytest.param("ada@xn--BCHER-KVA9999.example", NO_DOMAIN, id="A-label of nothing"),
        pytest.param(f"ada@{'a' * 64}.org", NO_DOMAIN, id="label of 64"),
        pytest.param("ada@" + "\u00fc" * 60 + ".org", NO_DOMAIN, id="label of 64 when encoded"),
        pytest.param(
            f"a@{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 62}", NO_DOMAIN, id="254 after the @"
        ),
        pytest.param(
            "a" * 65 + "@example.org",
            "this has more than 64 characters before its @",
            id="65 before the @",
        ),
    ],
)
def test_what_is_no_single_address_is_said_in_a_clause(email: str, fault: str) -> None:
    assert email_fault(email) == fault
    assert canonical_email(email) is None


@moderately
@given(st.text(st.characters()) | st.emails() | st.text('aB.@<> xn-\u00df\u0301;"', max_size=15))
def test_a_text_is_an_address_or_has_a_fault(text: str) -> None:
    canonical = canonical_email(text)
    assert (canonical is None) == (email_fault(text) is not None)
    if canonical is not None:
        assert canonical_email(canonical) == canonical
        assert len(canonical) <= 320
        assert canonical.rpartition("@")[2].isascii()


@moderately
@given(st.emails())
def test_the_form_of_an_ascii_address_is_what_it_was(email: str) -> None:
    canonical = canonical_email(email)
    if canonical is not None:
        assert canonical == normalised_email(email)


@pytest.mark.parametrize(
    ("email", "other"),
    [
        pytest.param("ada@example.org", "ADA@Example.ORG", id="case"),
        pytest.param("ada@example.org", "\uff41da@example.org", id="full width"),
        pytest.param("ada@example.org", "ada\uff20example\u3002org", id="full-width at, dot"),
        pytest.param("ada@example.org", "a\u200bd\u00ada@exam\ufeffple.org", id="invisible"),
        pytest.param("ada@example.org", " ada @example.org\n", id="blanks"),
        pytest.param("ada@example.org", "ada@example.org.", id="dot at the end"),
        pytest.param("ada@example.org", "mailto:ada@example.org", id="mailto"),
        pytest.param("ada@example.org", "Ada L. <ada@example.org>", id="name"),
        pytest.param("ada@example.org", '"ada"@example.org', id="quotation marks"),
        pytest.param("ada@o-neil.org", "ada@o\u2011neil.org", id="no-break hyphen"),
        pytest.param("o'neil@example.org", "o\u2019neil@example.org", id="typographic apostrophe"),
        pytest.param("j\u00fcrgen@example.org", "JU\u0308RGEN@example.org", id="NFD"),
        pytest.param("ada@b\u00fccher.example", "ada@XN--BCHER-KVA.example", id="IDN"),
        pytest.param("ada@stra\u00dfe.de", "ada@strasse.de", id="sharp s"),
        pytest.param("ada@xn--strae-oqa.de", "ada@strasse.de", id="sharp s, A-label"),
        pytest.param("ada@\u03b2\u03cc\u03bb\u03bf\u03c2.gr", "ada@xn--nxasmm1c.gr", id="-"),
        pytest.param("\u03c2@example.org", "\u03a3@example.org", id="final sigma"),
    ],
)
def test_addresses_that_people_take_for_the_same_are_nearly_equal(email: str, other: str) -> None:
    assert folded_email(other) == folded_email(email)


@pytest.mark.parametrize(
    ("email", "other"),
    [
        pytest.param("ada@example.org", "ada@example.com", id="domain"),
        pytest.param("ada.l@example.org", "adal@example.org", id="dots are the host's business"),
        pytest.param("ada+x@example.org", "ada@example.org", id="so are tags"),
        pytest.param("ren\u00e9@example.org", "rene@example.org", id="accent"),
        pytest.param("ada@xn--a.example", "ada@xn--b.example", id="unreadable A-labels"),
        pytest.param("", "@", id="nothing"),
    ],
)
def test_addresses_that_differ_in_what_is_read_are_not_near(email: str, other: str) -> None:
    assert folded_email(other) != folded_email(email)


@pytest.mark.parametrize(
    ("email", "folded"),
    [
        pytest.param("", "", id="empty"),
        pytest.param(" \u200b", "", id="nothing to see"),
        pytest.param("Banana", "banana", id="no address"),
        pytest.param("a<b>c", "a<b>c", id="brackets without an address"),
        pytest.param("a\ud800", "a\ud800", id="lone surrogate"),
        pytest.param("a@xn--0.org", "a@xn--0.org", id="A-label that is cut off"),
        pytest.param("a@xn--abc-.org", "a@abc.org", id="A-label of plain letters"),
        pytest.param("a@xn--xn--b-.org", "a@xn--xn--b-.org", id="A-label of an A-label"),
        pytest.param(f"a@xn--{'a' * 99}.org", f"a@xn--{'a' * 99}.org", id="A-label, too long"),
    ],
)
def test_any_text_can_be_folded(email: str, folded: str) -> None:
    assert folded_email(email) == folded


@moderately
@given(
    st.text(st.characters())
    | st.emails()
    | st.text('aB.@<> xn-:"\u00df\u1e9e\u0130\u0301\u200d\u3002\uff20\u2167\uac00', max_size=15)
    | st.from_regex("a@xn--[a-z0-9-]{0,12}[.]org", fullmatch=True)
)
def test_folding_twice_changes_nothing_and_equal_is_near(text: str) -> None:
    folded = folded_email(text)
    assert folded_email(folded) == folded
    canonical = canonical_email(text)
    assert canonical is None or folded_email(canonical) == folded


LETTERS = st.text(st.sampled_from("abzABZ019-"), min_size=1, max_size=6)


@moderately
@given(
    local=st.text(st.sampled_from("aZ0._+-"), min_size=1, max_size=6),
    labels=st.lists(LETTERS | st.sampled_from(["xn--strae-oqa", "XN--STRAE-OQA"]), min_size=2),
)
def test_what_is_folded_quickly_is_folded_as_ever(local: str, labels: list[str]) -> None:
    address = f"{local}@{'.'.join(labels)}"
    assert folded_email(address) == folded_email(f" {address} ")  # this one takes the long way

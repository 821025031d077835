"""Which ids are safe to send, and which addresses are the same."""

import string
import unicodedata
from urllib.parse import quote, urlsplit

import pytest
from builders import USER_ID, moderately
from hypothesis import example, given
from hypothesis import strategies as st

from forge_gdpr.identifiers import LONGEST_USER_ID, is_safe_user_id, normalised_email


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

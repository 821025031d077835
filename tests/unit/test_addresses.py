"""Addresses: one form for what is the same, and a reason for what is refused."""

from __future__ import annotations

import re

import pytest
import requests
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr import options
from forge_gdpr.addresses import api_base, is_loopback, proxy

FORGE = "https://api.runalloy.com/forge/2021-12"


@pytest.mark.parametrize(
    ("text", "base"),
    [
        pytest.param(FORGE, FORGE, id="as it is"),
        pytest.param("HTTPS://API.RunAlloy.com/forge/2021-12", FORGE, id="capitals"),
        pytest.param(f"{FORGE}/", FORGE, id="slash at the end"),
        pytest.param(f"{FORGE}//", FORGE, id="slashes at the end"),
        pytest.param("https://api.runalloy.com//forge//2021-12", FORGE, id="double slashes"),
        pytest.param("https://api.runalloy.com:443/forge/2021-12", FORGE, id="default port"),
        pytest.param("https://api.runalloy.com:/forge/2021-12", FORGE, id="empty port"),
        pytest.param("https://h.example:08443", "https://h.example:8443", id="port"),
        pytest.param("https://h.example/A/b", "https://h.example/A/b", id="capitals of a path"),
        pytest.param("http://localhost:80/x", "http://localhost/x", id="loopback by name"),
        pytest.param("http://127.0.0.1:8099/x", "http://127.0.0.1:8099/x", id="loopback"),
        pytest.param("http://[0:0::1]:8099/x", "http://[::1]:8099/x", id="loopback in IPv6"),
        pytest.param("https://[2001:DB8::1]", "https://[2001:db8::1]", id="IPv6"),
        pytest.param("https://under_score.example", "https://under_score.example", id="underscore"),
        pytest.param("https://xn--bcher-kva.example", "https://xn--bcher-kva.example", id="IDN"),
        pytest.param("https://h.example/...", "https://h.example/...", id="a name of dots"),
    ],
)
def test_what_is_harmless_is_normalised(text: str, base: str) -> None:
    assert api_base(text) == base
    assert api_base(base) == base


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "is not an address like https://api.runalloy.com", id="nothing"),
        pytest.param("api.runalloy.com/forge", "is not an address", id="no scheme"),
        pytest.param("api.runalloy.com:443/forge", "is not an address", id="host as scheme"),
        pytest.param("ftp://h.example", "is not an address", id="another scheme"),
        pytest.param("https:/h.example", "is not an address", id="one slash"),
        pytest.param("https:///x", "is not an address", id="no host"),
        pytest.param("https://[::1", "is not an address", id="half a bracket"),
        pytest.param("https://h.example\u2100/x", "is not an address", id="compatibility form"),
        pytest.param("https://u:secret@h.example", "user or password", id="password"),
        pytest.param("https://@h.example", "user or password", id="at sign alone"),
        pytest.param("https://h.example/x?", "? or #", id="question mark"),
        pytest.param("https://h.example/x?key=secret", "? or #", id="query"),
        pytest.param("https://h.example/x#", "? or #", id="number sign"),
        pytest.param("https://h.example?", "? or #", id="question mark after the host"),
        pytest.param("https://h.example/a/../b", "/../", id="parent"),
        pytest.param("https://h.example/.", "/../", id="dot"),
        pytest.param("https://h.example/%2e%2e/b", "in its path", id="escaped parent"),
        pytest.param("https://h.example/%7Ea", "in its path", id="escaped tilde"),
        pytest.param("https://h.example/{version}", "in its path", id="placeholder"),
        pytest.param("https://h.example/ä", "in its path", id="accent"),
        pytest.param("https://h.example/a b", "a blank", id="blank"),
        pytest.param("https://h.example\\x", "a backslash", id="backslash"),
        pytest.param("https://h.example/\r\nX: 1", "control character", id="line end"),
        pytest.param("https://h.exa\tmple", "control character", id="tab"),
        pytest.param("https://h.example/\u200b", "control character", id="zero width"),
        pytest.param("https://h.example:99999", "1 to 65535", id="port too large"),
        pytest.param("https://h.example:0", "1 to 65535", id="port 0"),
        pytest.param("https://h.example:http", "1 to 65535", id="port by name"),
        pytest.param("https://h.example:-1", "1 to 65535", id="negative port"),
        pytest.param("https://bücher.example", "write that", id="IDN"),
        pytest.param("https://BÜCHER.example", "xn--bcher-kva.example", id="IDN in capitals"),
        pytest.param("https://\U0001f984\u3002\u3002.example", "no host has these", id="no IDN"),
        pytest.param("https://h.example./x", "no valid host", id="dot at the end"),
        pytest.param("https://h..example/x", "no valid host", id="empty label"),
        pytest.param("https://-h.example/x", "no valid host", id="hyphen in front"),
        pytest.param("https://h%2e.example/x", "no valid host", id="percent sign in the host"),
        pytest.param(f"https://{'a' * 254}", "no valid host", id="long host"),
        pytest.param("https://:8080/x", "no valid host", id="port alone"),
        pytest.param("https://[fe80::1%25eth0]/x", "no valid host", id="zone"),
        pytest.param("https://[v1.x]/x", "IPv6", id="no IPv6"),
        pytest.param("http://api.runalloy.com/x", "plain http", id="plain http"),
        pytest.param("http://2130706433/x", "plain http", id="loopback as one number"),
        pytest.param("http://localhost.example/x", "plain http", id="like loopback"),
    ],
)
def test_what_could_lead_elsewhere_is_refused_without_being_shown(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        api_base(text)
    assert "secret" not in str(caught.value)


@moderately
@given(
    st.one_of(
        st.text(max_size=20).map(FORGE.__add__),
        st.text(max_size=12).map(lambda host: f"https://{host}/forge"),
        st.text(alphabet="aA/.:@?#%[]\\1é ", max_size=30).map("https://".__add__),
    )
)
def test_a_request_goes_where_it_was_aimed_or_the_address_is_refused(text: str) -> None:
    try:
        base = api_base(text)
    except ValueError:
        return
    url = f"{base}/user/61ab8f99251cba0014437326"
    assert requests.Request("DELETE", url).prepare().url == url


def test_the_default_is_in_its_own_form() -> None:
    assert api_base(str(options.BASE_URL.default)) == options.BASE_URL.default


@pytest.mark.parametrize(
    "text", ["http://proxy:3128", "http://u:p@proxy.example:3128/", "https://[::1]:8080"]
)
def test_a_proxy_is_taken_as_it_is(text: str) -> None:
    assert proxy(text) == text


@pytest.mark.parametrize(
    "text",
    ["proxy:3128", "socks5://proxy", "http://proxy:x", "http://pro xy", "http://p/x", "http://p?"],
)
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) "):
        proxy(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.9.9.9", True), ("::1", True), ("10.0.0.1", False), ("x", False)],
)
def test_loopback_is_told_by_name_or_number(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback

"""Who does something: plain names, compared as people read them."""

import pytest

from forge_gdpr.actors import LONGEST, NOBODY, are_same, fault, first_of, trimmed

NOT_PLAIN = "has a character in it that is not printable ASCII: write it in plain letters"


@pytest.mark.parametrize(
    "name", ["ada", "Ada Lovelace", " ada ", "ada@example.org", "~", "!", "a" * 64, f" {'a' * 64} "]
)
def test_a_plain_name_is_an_actors(name: str) -> None:
    assert fault(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("", "is blank: write a name, or leave it out", id="none"),
        pytest.param("  ", "is blank: write a name, or leave it out", id="blanks"),
        pytest.param("a" * 65, "is longer than 64 characters: shorten it", id="too long"),
        pytest.param("\u0430d\u0430", NOT_PLAIN, id="Cyrillic"),
        pytest.param("Zoë", NOT_PLAIN, id="beyond ASCII"),
        pytest.param("\uff41da", NOT_PLAIN, id="full width"),
        pytest.param("ada\u200b", NOT_PLAIN, id="invisible"),
        pytest.param("ada\n", NOT_PLAIN, id="a line end"),
        pytest.param("\tada", NOT_PLAIN, id="a tab"),
        pytest.param("a\x1b[31mda", NOT_PLAIN, id="a terminal's sequence"),
        pytest.param("ada\x7f", NOT_PLAIN, id="DEL"),
        pytest.param("ada\x00", NOT_PLAIN, id="NUL"),
        pytest.param("\udcff", NOT_PLAIN, id="half a character"),
    ],
)
def test_anything_else_is_none(name: str, why: str) -> None:
    assert fault(name) == why
    assert LONGEST == 64


@pytest.mark.parametrize("other", ["ada", "Ada", "ADA", " ada", "ada ", "\tAda\n"])
def test_what_people_read_as_one_name_is_one_actor(other: str) -> None:
    assert are_same("ada", other)
    assert are_same(other, "ada")


def test_blanks_within_a_name_count_once() -> None:
    assert are_same("Ada  Lovelace", "ada lovelace")
    assert not are_same("Ada Lovelace", "adalovelace")


@pytest.mark.parametrize("other", ["", "eda", "ada2", "ad a"])
def test_others_are_others(other: str) -> None:
    assert not are_same("ada", other)


def test_the_first_name_that_is_one_counts() -> None:
    assert first_of([None, "", "Zoë", " ada ", "grace"]) == "ada"
    assert first_of([None, "Zoë"]) == first_of([]) == NOBODY == "cron"


def test_only_blanks_are_trimmed() -> None:
    assert (trimmed(" ada "), trimmed("ada\n")) == ("ada", "ada\n")

"""Signed notes, against those of their reference implementation, and checkpoints."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.checkpoints import (
    Checkpoint,
    InvalidCheckpointError,
    InvalidKeyError,
    PublicKey,
    SigningKey,
    checkpoint_in,
    copies_in,
    notes_in,
    require_signed,
    signing_key,
    sole_signer,
)

#: From the documentation of golang.org/x/mod/sumdb/note.
SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"  # noqa: S105
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNATURE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotp"
    "RZb6KE6RyyBwJnAM=\n"
)

KEY = signing_key("example.org/forge-gdpr", bytes(range(32)))
OTHER = signing_key("example.org/forge-gdpr", bytes(32))
CHECKPOINT = Checkpoint(
    origin="example.org/forge-gdpr",
    size=17,
    root=bytes(range(32)),
    head="ab" * 32,
    at=datetime(2026, 11, 24, 3, 0, 1, 5, tzinfo=UTC),
)
NOTE = KEY.signed(CHECKPOINT.text)


def test_the_published_note_is_signed_and_verified_alike() -> None:
    key = SigningKey.parse(SECRET)
    assert (str(key.public), key.secret_text()) == (PUBLIC, SECRET)
    assert key.signed(TEXT) == f"{TEXT}\n{SIGNATURE}"
    assert require_signed(f"{TEXT}\n{SIGNATURE}", [PublicKey.parse(PUBLIC)]).name == "PeterNeumann"


def test_a_key_is_compared_by_the_digest_of_all_of_it() -> None:
    key = PublicKey.parse(PUBLIC)
    raw = base64.b64decode(PUBLIC.split("+", 2)[2])
    assert key.fingerprint == hashlib.sha256(raw).hexdigest()


def test_nobody_stands_beside_the_signer_who_was_checked() -> None:
    assert sole_signer(NOTE, [OTHER.public, KEY.public]) == KEY.public
    beside = NOTE + OTHER.signed(CHECKPOINT.text).split("\n\n")[1]
    assert require_signed(beside, [KEY.public]) == KEY.public
    with pytest.raises(InvalidCheckpointError, match="signatures that nobody can check here"):
        sole_signer(beside, [KEY.public])


def test_a_checkpoint_is_five_readable_lines_and_a_signature() -> None:
    *lines, empty, signature = NOTE.splitlines()
    assert lines == [
        "example.org/forge-gdpr",
        "17",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        f"head {'ab' * 32}",
        "time 2026-11-24T03:00:01.000005Z",
    ]
    assert (empty, signature.startswith("— example.org/forge-gdpr ")) == ("", True)
    assert checkpoint_in(NOTE) == CHECKPOINT
    assert require_signed(NOTE, [OTHER.public, KEY.public]) == KEY.public


@given(st.integers(0, len(NOTE) - 2), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_character_of_a_checkpoint_can_be_changed(place: int, character: str) -> None:
    changed = NOTE[:place] + character + NOTE[place + 1 :]
    if changed == NOTE:
        return
    with pytest.raises(InvalidCheckpointError):
        require_signed(changed, [KEY.public])


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (OTHER.signed(CHECKPOINT.text), "no key that is known here has signed it"),
        (CHECKPOINT.text, "it has no signature"),
        (f"{CHECKPOINT.text}\n", "it has no signature"),
        (NOTE.rstrip("\n"), "it has no signature"),
        (f"{CHECKPOINT.text}\n— {KEY.name} AAA\n", "its signature is no base64"),
        (NOTE.replace("\n17\n", "\n18\n"), "its signature by example.org/forge-gdpr is false"),
        ("", "it has no signature"),
    ],
)
def test_what_nobody_known_has_signed_is_refused(note: str, why: str) -> None:
    with pytest.raises(InvalidCheckpointError, match=why):
        require_signed(note, [KEY.public])


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        CHECKPOINT.text.replace("17", "017"),
        CHECKPOINT.text.replace("17", "0"),
        CHECKPOINT.text.replace("head ", "head"),
        CHECKPOINT.text.replace("time 2026", "time 0"),
        CHECKPOINT.text.replace("Z\n", "+00:00\n"),
        CHECKPOINT.text.replace("AAEC", "*"),
        CHECKPOINT.text.replace("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "AAEC"),
        f"{CHECKPOINT.text}more\n",
    ],
)
def test_a_note_that_says_something_else_is_no_checkpoint(text: str) -> None:
    with pytest.raises(InvalidCheckpointError, match="no checkpoint of a record of ours"):
        checkpoint_in(KEY.signed(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        PUBLIC.replace("c74f20a3", "c74f20a4"),
        PUBLIC.replace("+ARpc", "+AhpC"),
        "name+c74f20a3+AAAA",
        "name+c74f20a3+*",
        PUBLIC.replace("PeterNeumann", "Peter Neumann"),
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidKeyError):
        PublicKey.parse(text)
    with pytest.raises(InvalidKeyError):
        SigningKey.parse(text)
    with pytest.raises(InvalidKeyError):
        SigningKey.parse(f"PRIVATE+KEY+{text}")


def test_a_private_key_shows_itself_only_when_asked() -> None:
    key = SigningKey.parse(SECRET)
    assert "seed" not in repr(key)
    assert "AYEKFAL" not in f"{key!r}{key}"


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "x" * 129])
def test_a_name_is_one_word(name: str) -> None:
    with pytest.raises(InvalidKeyError, match="a key's name"):
        signing_key(name, bytes(32))


def test_a_file_of_notes_is_read_one_by_one() -> None:
    older = OTHER.signed(CHECKPOINT.text)
    assert notes_in(f"{older}\n{NOTE}") == [older, NOTE]
    assert notes_in(f"\n\n{older}{NOTE}\n\n") == [older, NOTE]
    assert notes_in(NOTE.rstrip("\n")) == [NOTE]
    assert notes_in("") == []
    with pytest.raises(InvalidCheckpointError):
        notes_in("nothing of that kind\n")


def test_a_note_may_have_more_signers_than_we_know() -> None:
    witness = OTHER.signed(CHECKPOINT.text).splitlines(keepends=True)[-1]
    both = NOTE + witness
    assert require_signed(both, [KEY.public]) == KEY.public
    assert require_signed(both, [OTHER.public]) == OTHER.public
    assert notes_in(both + NOTE) == [both, NOTE]


@pytest.mark.parametrize(
    ("text", "count", "torn"),
    [
        pytest.param("", 0, 0, id="empty"),
        pytest.param("\n\n", 0, 0, id="blank"),
        pytest.param("nothing of that kind\n", 0, 1, id="something else"),
        pytest.param("— by nobody AAAA\n", 0, 1, id="a signature alone"),
        pytest.param(f"{NOTE}\n{NOTE}", 2, 0, id="two"),
        pytest.param(NOTE.replace("\n", "\r\n"), 1, 0, id="Windows line ends"),
        pytest.param(f"example.org/forge-gdpr\n17\n{NOTE}\n{NOTE}", 2, 1, id="torn before another"),
        pytest.param(f"\n\nexample.org\n\n{NOTE}", 1, 1, id="torn, and apart"),
    ],
)
def test_a_torn_copy_spoils_nothing_after_it(text: str, count: int, torn: int) -> None:
    assert copies_in(text) == ([NOTE] * count, torn)


@given(st.integers(1, len(NOTE) - 2))
def test_a_copy_torn_anywhere_is_known_as_one(length: int) -> None:
    text = NOTE[:length]
    apart = "" if text.endswith("\n\n") else "\n\n"
    assert copies_in(f"{NOTE}\n{text}") == ([NOTE], 1)
    assert copies_in(f"{NOTE}\n{text}{apart}{NOTE}\n") == ([NOTE, NOTE], 1)

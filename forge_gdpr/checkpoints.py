"""Signed checkpoints: what the main chain was at a moment, in a form that anybody can check.

A checkpoint is a signed note with a C2SP tlog-checkpoint in it: three lines (origin, size, Merkle
root), two lines of ours (the chain's head, the time), an empty line and a signature line. The keys
are written as Go's ``sumdb/note`` writes them, so other tools read them too. Decides only; does no
I/O.

Source: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint, RFC 8032 (Ed25519).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from forge_gdpr.chain import written_time

if TYPE_CHECKING:
    from collections.abc import Iterable

_ED25519: Final = b"\x01"
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 64
_HASH_BYTES: Final = 32
_NAME: Final = re.compile(r"[^\s+]{1,128}")
_SIGNATURE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")
_PRIVATE: Final = "PRIVATE+KEY+"
_HEAD: Final = re.compile(r"head ([0-9a-f]{64})")
_LINES: Final = 5  #: of a checkpoint, before its signature
_SIZE: Final = re.compile(r"[1-9][0-9]{0,17}")


class InvalidKeyError(ValueError):
    """A text is no key of this kind. Its message holds nothing of it."""


class InvalidCheckpointError(ValueError):
    """A text is no checkpoint, or its signature is not what it claims to be."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Who may sign: a name and an Ed25519 public key."""

    name: str
    raw: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Eight hex digits that name the key."""
        named = self.name.encode() + b"\n" + _ED25519 + self.raw
        return hashlib.sha256(named).hexdigest()[: 2 * _ID_BYTES]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all of the key, to be compared by another way than it came."""
        return hashlib.sha256(_ED25519 + self.raw).hexdigest()

    def __str__(self) -> str:
        return f"{self.name}+{self.id}+{_base64(_ED25519 + self.raw)}"

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Return the key that a line says.

        Raises:
            InvalidKeyError: it says none.
        """
        name, key_id, raw = _parsed(text)
        key = cls(name, raw)
        if key.id != key_id:
            raise InvalidKeyError("the key does not match its own id")
        return key

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Say whether a signature over ``text`` is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Signs checkpoints. Lives outside the database."""

    name: str
    seed: bytes = field(repr=False)

    @property
    def public(self) -> PublicKey:
        """The half that everybody may have."""
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        return PublicKey(self.name, private.public_key().public_bytes_raw())

    def secret_text(self) -> str:
        """Return the key as it is kept in its file."""
        return f"{_PRIVATE}{self.name}+{self.public.id}+{_base64(_ED25519 + self.seed)}"

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Return the key that a file holds.

        Raises:
            InvalidKeyError: it holds none.
        """
        if not text.startswith(_PRIVATE):
            raise InvalidKeyError("it does not begin with PRIVATE+KEY+")
        name, key_id, seed = _parsed(text.removeprefix(_PRIVATE))
        key = cls(name, seed)
        if key.public.id != key_id:
            raise InvalidKeyError("the key does not match its own id")
        return key

    def signed(self, text: str) -> str:
        """Return a signed note.

        Args:
            text: lines, each with its end.
        """
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        stamp = _base64(bytes.fromhex(self.public.id) + signature)
        return f"{text}\n— {self.name} {stamp}\n"


def signing_key(name: str, seed: bytes) -> SigningKey:
    """Return a new key.

    Args:
        name: whose record it is, best a name in the DNS; no white space and no ``+``.
        seed: 32 random bytes.

    Raises:
        InvalidKeyError: the name can't be one.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidKeyError("a key's name has 1 to 128 characters, no white space and no +")
    return SigningKey(name, seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What the main chain was at a moment."""

    origin: str
    size: int  #: of the main chain, in events
    root: bytes  #: of the Merkle tree whose leaves are the hashes of these events
    head: str  #: the hash of the last of them
    at: datetime

    @property
    def text(self) -> str:
        """Its lines, as they are signed."""
        return (
            f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"
            f"head {self.head}\ntime {written_time(self.at)}\n"
        )


def checkpoint_in(note: str) -> Checkpoint:
    """Return what a note says, whoever signed it.

    Raises:
        InvalidCheckpointError: it is no checkpoint of ours, or it is not signed.
    """
    text, _ = _opened(note)
    match text.splitlines():
        case [origin, size, root, head, time] if (
            _NAME.fullmatch(origin) and _SIZE.fullmatch(size) and _HEAD.fullmatch(head)
        ):
            pass
        case _:
            raise InvalidCheckpointError("it is no checkpoint of a record of ours")
    try:
        found = Checkpoint(
            origin=origin,
            size=int(size),
            root=base64.b64decode(root, validate=True),
            head=head.removeprefix("head "),
            at=datetime.fromisoformat(time.removeprefix("time ")).astimezone(UTC),
        )
    except (ValueError, OverflowError):
        raise InvalidCheckpointError("it is no checkpoint of a record of ours") from None
    if found.text != text or len(found.root) != _HASH_BYTES:
        raise InvalidCheckpointError("it is no checkpoint of a record of ours")
    return found


def require_signed(note: str, keys: Iterable[PublicKey]) -> PublicKey:
    """Return which of the keys has signed a note.

    Raises:
        InvalidCheckpointError: none has, or a signature is not what it claims to be.
    """
    text, signatures = _opened(note)
    known = {(key.name, key.id): key for key in keys}
    signer = None
    for name, stamp in signatures:
        key = known.get((name, stamp[:_ID_BYTES].hex()))
        if key is None:
            continue  # a note may have more signers than we know
        if not key.has_signed(text, stamp[_ID_BYTES:]):
            raise InvalidCheckpointError(f"its signature by {key.name} is false")
        signer = key
    if signer is None:
        raise InvalidCheckpointError("no key that is known here has signed it")
    return signer


def sole_signer(note: str, keys: Iterable[PublicKey]) -> PublicKey:
    """Return which of the keys has signed a note that nobody else has signed.

    Names beside the one that was checked would pass for signers of the evidence.

    Raises:
        InvalidCheckpointError: none has, there are more signatures, or one is false.
    """
    signer = require_signed(note, keys)
    if len(_opened(note)[1]) != 1:
        raise InvalidCheckpointError("it has signatures that nobody can check here")
    return signer


def signers_in(note: str) -> list[str]:
    """Return who claims to have signed a note, each as ``name+id`` of a key; nothing is checked.

    Raises:
        InvalidCheckpointError: it has no signature.
    """
    return [f"{name}+{stamp[:_ID_BYTES].hex()}" for name, stamp in _opened(note)[1]]


def notes_in(text: str) -> list[str]:
    """Return the notes of a file to which one after the other was appended.

    Raises:
        InvalidCheckpointError: something in it is no signed note.
    """
    notes: list[str] = []
    lines: list[str] = []
    signed = False
    for line in text.splitlines(keepends=True):
        is_signature = line.startswith("— ")
        if signed and not is_signature:
            notes.append("".join(lines))
            lines, signed = [], False
        if lines or line.strip():  # empty lines between notes
            lines.append(line if line.endswith("\n") else f"{line}\n")
        signed = signed or is_signature
    if lines:
        notes.append("".join(lines))
    for note in notes:
        _opened(note)
    return notes


def copies_in(text: str) -> tuple[list[str], int]:
    """Return the checkpoints of a file to which copies were appended, and how many are torn.

    A copy that was interrupted, by a full disk or a crash, spoils nothing that comes after it.
    """
    notes: list[str] = []
    torn = 0
    lines: list[str] = []  # of a checkpoint whose signature is still to come
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").strip()):
        found = block.strip("\n").split("\n")
        if not found[0].startswith("—"):
            torn += bool(lines)
            lines = found if block else []
            continue
        note = "\n".join([*lines[-_LINES:], "", *found, ""])
        if is_whole(note):
            notes.append(note)
            torn += len(lines) > _LINES  # what is before its lines was begun and never ended
        else:
            torn += 1
        lines = []
    return notes, torn + bool(lines)


def is_whole(note: str) -> bool:
    """Say whether a note is a checkpoint to its last byte, whoever signed it."""
    try:
        checkpoint_in(note)
        _, signatures = _opened(note)
    except InvalidCheckpointError:
        return False
    return all(len(stamp) >= _ID_BYTES + _SIGNATURE_BYTES for _, stamp in signatures)


def _opened(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return a note's text and its signatures: key name, and key id with signature."""
    text, between, block = note.rpartition("\n\n")
    lines = block.removesuffix("\n").split("\n")
    found = [_SIGNATURE.fullmatch(line) for line in lines]
    if not between or not block.endswith("\n") or not all(found):
        raise InvalidCheckpointError("it has no signature")
    signatures = [(match[1], _decoded(match[2])) for match in found if match is not None]
    return f"{text}\n", signatures


def _decoded(encoded: str) -> bytes:
    """Return bytes of base64 in its one canonical form."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raw = b""
    if _base64(raw) != encoded:
        raise InvalidCheckpointError("its signature is no base64")
    return raw


def _parsed(text: str) -> tuple[str, str, bytes]:
    """Return name, id and 32 bytes of a key."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raw = b""
    if _NAME.fullmatch(name) is None or len(raw) != _KEY_BYTES + 1 or raw[:1] != _ED25519:
        raise InvalidKeyError("it is no Ed25519 key like name+id+base64")
    return name, key_id, raw[1:]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()

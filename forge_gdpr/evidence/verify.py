"""Verify an export or a certificate of a forge-gdpr record without installing forge-gdpr.

    python verify.py EXPORT_FOLDER --key public.pem
    python verify.py certificate.json --key public.pem

It needs Python 3.9 or newer and nothing else. It reads the files that you name, writes nothing,
and uses no network. It is written from the description of the format in HOWTO.md and shares no
code with the program that wrote the evidence.

A verifier that lies in the evidence can't vouch for itself: take it from a release of forge-gdpr,
or read it. It prints its own SHA-256, so that you can compare.

Exit codes: 0 verified, 1 not verified, 2 wrong usage or a key that can't be read.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

MAIN = "main"
GENESIS = "0" * 64  # the hash before the first event of a chain
LINE = 1024 * 1024  # the most characters of a line, and of an event
DOCUMENT = 64 * 1024 * 1024  # the most characters of any other JSON
DEPTH = 32  # the most levels of any JSON
INTEGER = 2**53 - 1  # the largest whole number

HASH = re.compile(r"[0-9a-f]{64}")
TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{6})Z")
DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
#: A time zone of the tz database: other names, like localtime, may differ between machines.
AREAS = (
    *("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Brazil"),
    *("Canada", "Chile", "Etc", "Europe", "Indian", "Mexico", "Pacific", "US"),
)
ZONE = re.compile(r"UTC|GMT|(?:" + "|".join(AREAS) + r")(?:/[A-Za-z0-9_+-]+){1,2}")
VERSION = re.compile(r"[0-9A-Za-z.+-]{1,64}")


class Refusal(Exception):  # noqa: N818  # nothing went wrong here: the evidence is wrong
    """The evidence does not prove what it says."""


class KeyFileError(Exception):
    """The file with the public keys can't be used."""


def require(holds: bool, message: str) -> None:
    """Refuse the evidence unless a condition holds."""
    if not holds:
        raise Refusal(message)


# 1. JSON that two readers can't take differently (RFC 8259, RFC 7493, RFC 8785)


def read_json(text: str, what: str, most: int = DOCUMENT) -> Any:
    """Return the value of a JSON text: no name twice, whole numbers only, not too deep."""

    def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        require(len(members) == len(pairs), f"{what}: a name stands twice in an object")
        return members

    def as_integer(digits: str) -> int:
        number = int(digits) if len(digits) <= len(str(-INTEGER)) else INTEGER + 1
        require(abs(number) <= INTEGER, f"{what}: a number is too large")
        return number

    def refuse(_number: str) -> float:
        raise Refusal(f"{what}: a number is not a whole number")

    require(len(text) <= most, f"{what}: longer than {most} characters")
    try:
        value = json.loads(
            text,
            object_pairs_hook=as_object,
            parse_int=as_integer,
            parse_float=refuse,
            parse_constant=refuse,
        )
        require(depth_of(value) <= DEPTH, f"{what}: nested too deeply")
        canonical(value).encode()  # fails for half a surrogate pair
    except (ValueError, RecursionError):
        raise Refusal(f"{what}: not JSON in UTF-8") from None
    return value


def depth_of(value: Any) -> int:
    """Return how many arrays and objects are in each other."""
    if not isinstance(value, (dict, list)):
        return 0
    members = value.values() if isinstance(value, dict) else value
    return 1 + max((depth_of(member) for member in members), default=0)


def canonical(value: Any) -> str:
    """Return a value as canonical JSON; for ASCII names and whole numbers this is RFC 8785."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def has_ascii_names(value: Any) -> bool:
    """Return whether all names are ASCII: others are sorted in more than one way."""
    if isinstance(value, dict):
        return all(name.isascii() and has_ascii_names(member) for name, member in value.items())
    return not isinstance(value, list) or all(map(has_ascii_names, value))


def same(left: Any, right: Any) -> bool:
    """Return whether two JSON values are equal, and of the same types: 1 is not true."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def is_time(text: Any) -> bool:
    """Return whether a value is a moment as the format writes it: UTC, microseconds, Z."""
    match = TIME.fullmatch(text) if isinstance(text, str) else None
    try:
        if match is not None:
            datetime.fromisoformat(text[:-1])
    except ValueError:
        return False
    return match is not None


def read_event(body: str, where: str) -> dict[str, Any]:
    """Return what an event says, if its text is in canonical form."""
    event = read_json(body, where, LINE)
    is_canonical = isinstance(event, dict) and canonical(event) == body and has_ascii_names(event)
    require(is_canonical, f"{where}: an event is not in canonical form")
    sound = (
        isinstance(event.get("chain"), str)
        and type(event.get("seq")) is int
        and event["seq"] >= 1
        and is_time(event.get("at"))
        and isinstance(event.get("event"), str)
        and isinstance(event.get("run_id", ""), str)
        and type(event.get("request_id", 1)) is int
    )
    require(sound, f"{where}: an event lacks what every event has")
    return dict(event)


# 2. Hashes: chains of events, and Merkle trees over them (RFC 6962, section 2.1)


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(data).digest()


def link(previous: str, body: str) -> str:
    """Return an event's hash: over the 32 bytes of the hash before it, then its text."""
    return sha256(bytes.fromhex(previous) + body.encode()).hex()


class Tree:
    """A Merkle tree of which only the roots of whole subtrees are kept."""

    def __init__(self) -> None:
        self.subtrees: list[tuple[int, bytes]] = []  # leaves and root of each, the largest first

    def add(self, leaf: str) -> None:
        """Append an event by its hash."""
        size, node = 1, sha256(b"\x00" + bytes.fromhex(leaf))
        while self.subtrees and self.subtrees[-1][0] == size:
            node = sha256(b"\x01" + self.subtrees.pop()[1] + node)
            size *= 2
        self.subtrees.append((size, node))

    def root(self) -> bytes:
        """Return the root over all leaves."""
        if not self.subtrees:
            return sha256(b"")
        root = self.subtrees[-1][1]
        for _size, left in reversed(self.subtrees[:-1]):
            root = sha256(b"\x01" + left + root)
        return root


# 3. Signatures: Ed25519 (RFC 8032, section 5.1). Slow and not in constant time, which is fine for
# verifying: nothing here is secret.

# A point is (X, Y, Z, T) with x = X/Z, y = Y/Z, x*y = T/Z.
PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, PRIME - 2, PRIME) % PRIME
ROOT_OF_MINUS_ONE = pow(2, (PRIME - 1) // 4, PRIME)


def is_signature(signature: bytes, message: bytes, public: bytes) -> bool:
    """Return whether a signature over a message is that of a public key."""
    key = point_of(public)
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or len(signature) != 64 or scalar >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    minus_key = (PRIME - key[0], key[1], key[2], PRIME - key[3])
    return encoded(sum_of_multiples(scalar, BASE, challenge, minus_key)) == signature[:32]


def point_of(data: bytes) -> Any:
    """Return the point that 32 bytes encode, None if there is none."""
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    if len(data) != 32 or y >= PRIME:
        return None
    square = (y * y - 1) * pow(CURVE * y * y + 1, PRIME - 2, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * ROOT_OF_MINUS_ONE % PRIME
    if (x * x - square) % PRIME or (x == 0 and sign):
        return None
    x = PRIME - x if x & 1 != sign else x
    return (x, y, 1, x * y % PRIME)


def sum_of(left: Any, right: Any) -> Any:
    """Return the sum of two points."""
    a = (left[1] - left[0]) * (right[1] - right[0]) % PRIME
    b = (left[1] + left[0]) * (right[1] + right[0]) % PRIME
    c = 2 * left[3] * right[3] * CURVE % PRIME
    d = 2 * left[2] * right[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME)


def sum_of_multiples(scalar: int, point: Any, other_scalar: int, other: Any) -> Any:
    """Return the sum of two points, each multiplied by a number."""
    steps = (None, point, other, sum_of(point, other))
    total = (0, 1, 1, 0)
    for bit in range(255, -1, -1):
        total = sum_of(total, total)
        step = steps[(scalar >> bit & 1) + 2 * (other_scalar >> bit & 1)]
        total = total if step is None else sum_of(total, step)
    return total


def encoded(point: Sequence[int]) -> bytes:
    """Return the 32 bytes of a point."""
    inverse = pow(point[2], PRIME - 2, PRIME)
    x, y = point[0] * inverse % PRIME, point[1] * inverse % PRIME
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = point_of(bytes([0x58]) + bytes([0x66]) * 31)


# 4. Keys and checkpoints (https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint)


class PublicKey:
    """An Ed25519 public key; one from a PEM file has no name of its own."""

    def __init__(self, raw: bytes, name: str | None = None) -> None:
        self.raw, self.name = raw, name

    def id_as(self, name: str) -> bytes:
        """Return the four bytes by which a signature names the key."""
        return sha256(name.encode() + b"\n\x01" + self.raw)[:4]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the key, to be compared by another way than the key came."""
        return sha256(b"\x01" + self.raw).hex()


def read_keys(text: str) -> list[PublicKey]:
    """Return the keys in a file: PEM, or lines like ``name+id+base64``."""
    if "-----BEGIN" in text:
        found = re.findall(r"-----BEGIN PUBLIC KEY-----([^-]*)-----END PUBLIC KEY-----", text)
        keys = [PublicKey(read_pem(block)) for block in found]
        is_all = len(keys) == text.count("-----BEGIN")
    else:
        keys = [read_key(line.strip()) for line in text.splitlines() if line.strip()]
        is_all = True
    if not keys or not is_all:
        raise KeyFileError("it holds something else than public keys")
    return keys


def read_pem(block: str) -> bytes:
    """Return the 32 bytes of an Ed25519 key (RFC 8410)."""
    prefix = bytes.fromhex("302a300506032b6570032100")
    data = base64_of("".join(block.split()))
    if data[:12] != prefix or len(data) != 44:
        raise KeyFileError("it holds a key that is not Ed25519")
    return data[12:]


def read_key(line: str) -> PublicKey:
    """Return the key of a line."""
    name, _, rest = line.partition("+")
    key_id, _, text = rest.partition("+")
    data = base64_of(text)
    if re.fullmatch(r"[^\s+]{1,128}", name) is None or data[:1] != b"\x01" or len(data) != 33:
        raise KeyFileError("it holds a line that is not an Ed25519 key like name+id+base64")
    key = PublicKey(data[1:], name)
    if key.id_as(name).hex() != key_id:
        raise KeyFileError("it holds a key that does not match its own id")
    return key


def base64_of(text: str) -> bytes:
    """Return the bytes of base64 in its one canonical form, nothing of any other text."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return data if base64.b64encode(data).decode() == text else b""


NOTE = re.compile(
    r"(?P<text>(?P<origin>[^\s+]{1,128})\n(?P<size>[1-9][0-9]{0,17})\n(?P<root>[^\n]*)\n"
    r"head (?P<head>[0-9a-f]{64})\ntime (?P<time>[^\n]*)\n)"
    r"\n— (?P<signer>[^\s+]+) (?P<stamp>[A-Za-z0-9+/=]+)\n"
)


class Checkpoint:
    """What the main chain was at a moment, signed by one of the keys and by nobody else."""

    def __init__(self, note: Any, keys: Sequence[PublicKey]) -> None:
        require(note is not None, "it is not signed, so it could have been written by anybody")
        match = NOTE.fullmatch(note) if isinstance(note, str) else None
        if match is None:
            raise Refusal("its checkpoint is not one, or has not exactly one signature")
        self.origin, self.size = match["origin"], int(match["size"])
        self.root, self.head, self.at = base64_of(match["root"]), match["head"], match["time"]
        self.note: str = note
        require(len(self.root) == 32 and is_time(self.at), "its checkpoint is not one")
        stamp, signer = base64_of(match["stamp"]), match["signer"]
        for key in keys:
            # The name under a PEM key is not signed; the first line is.
            name = self.origin if key.name is None else key.name
            if signer == name and stamp[:4] == key.id_as(name):
                is_valid = is_signature(stamp[4:], match["text"].encode(), key.raw)
                require(is_valid, "the signature of its checkpoint is false")
                self.key, self.signer, self.key_id = key, name, stamp[:4].hex()
                return
        raise Refusal("none of the given keys has signed its checkpoint")


# 5. What closings mean in words: sentences that are part of the format

ENDINGS = {
    "erased": ("erased", "Forge confirmed that it deleted the user."),
    "absent_after_attempt": (
        "erased, absent after an earlier call",
        (
            "Forge no longer has this user. An earlier call of this request, whose answer was lost,"
            " may be what deleted the user."
        ),
    ),
    "already_absent": (
        "was not there",
        (
            "The user was not at Forge: no user with this id was found, and no earlier call of this"
            " request had reached Forge. This request deleted nobody."
        ),
    ),
    "not_found_by_email": (
        "no user with this address was found",
        (
            "No user with this address was found in Forge's list of users. This request deleted"
            " nobody."
        ),
    ),
    "cancelled": (
        "cancelled",
        "The request was cancelled by a person. This request deleted nobody.",
    ),
    "refused": ("refused", "The request was refused by a person. This request deleted nobody."),
}
ABSENT = ("absent_after_attempt", "already_absent", "not_found_by_email")
GONE = {
    ("list", "list"): "by Forge's whole list of users",
    ("sentinel", "list"): "by Forge's whole list of users",
    ("list", "get"): "by a look at this user, after Forge had given its whole list of users",
    ("sentinel", "get"): "by a look at this user, between two good answers for the sentinel user",
}
ACCOUNTS = {
    "sentinel": "in an account that has the sentinel user",
    "erased_before": "in an account whose API key had erased somebody before",
    "listed": "in an account that has another user whom a request names",
    "expected": "in an account that an operator vouched for: nothing but the operator's word shows"
    " that it is the right one",
}


def meaning_of(outcome: Any) -> str | None:
    """Return what an outcome means; None: the format has no words for it."""
    return ENDINGS[outcome][1] if isinstance(outcome, str) and outcome in ENDINGS else None


def name_of(outcome: Any) -> str:
    """Return what an outcome is called: its own code, if the format has no name for it."""
    known = ENDINGS.get(str(outcome))
    return str(outcome or "closed") if known is None else known[0]


def logs_in(events: list[dict[str, Any]]) -> str | None:
    """Return what became of the user's logs; None: Forge's answers closed no request."""
    closings = [event for event in events if event["event"] == "request.closed"]
    if not closings:
        return None
    outcome, done = closings[-1].get("outcome"), closings[-1].get("steps")
    if outcome in ("already_absent", "not_found_by_email"):
        return "No logs were deleted, for no user was found."
    unknown = "What became of this user's logs is not in the record."
    if outcome not in ("erased", "absent_after_attempt"):
        return unknown
    attempts = [event for event in events if event["event"] == "attempt.finished"]
    answers = []  # for the logs, where the attempt went on to the account
    for steps in map(steps_of, attempts):
        for number, step in enumerate(steps[:-1]):
            if (step["name"], steps[number + 1]["name"]) == ("logs", "account"):
                answers.append(step.get("http_status"))
    is_erased = outcome == "erased"
    is_named = is_erased and isinstance(done, list) and "logs" in done
    if is_named or any(isinstance(answer, int) and 200 <= answer < 300 for answer in answers):
        return "Forge confirmed that it deleted this user's logs, before the account."
    if answers:
        return (
            "Forge was asked to delete this user's logs and answered that there are none; whether"
            " it keeps some is not known."
        )
    judged = [event for event in attempts if not is_erased or event.get("status") == "done"]
    asked_for_none = bool(judged) and all(map(has_not_asked_for_logs, judged))
    if (is_erased and isinstance(done, list)) or asked_for_none:
        return (
            "Forge was not asked to delete this user's logs (FORGE_GDPR_ERASE_LOGS was off), and"
            " keeps them."
        )
    return unknown


def steps_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of an attempt with their answers."""
    steps = event.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def has_not_asked_for_logs(attempt: dict[str, Any]) -> bool:
    """Return whether it is sure that an attempt did not ask for the logs."""
    names = [step.get("name") for step in steps_of(attempt)]
    if names:
        return "logs" not in names
    return attempt.get("ended") != "crashed" and not attempt.get("reached")


def absence_in(closing: dict[str, Any]) -> str | None:
    """Return how a closing says that absence was shown; None: it needn't have been."""
    absence = closing.get("absence")
    if absence is None:
        if closing.get("outcome") in ABSENT:
            return "How absence was shown is not in the record (older version)."
        return None
    if isinstance(absence, dict):
        paths, gone, account = (str(absence.get(name)) for name in ("paths", "gone", "account"))
        if (paths, gone) in GONE and account in ACCOUNTS:
            return f"Absence was shown {GONE[paths, gone]}, {ACCOUNTS[account]}."
    return "Absence was shown in a way that this version does not know."


NOBODY = "This request deleted nobody."
ABSENT_BEFORE = ENDINGS["already_absent"][1].partition(", and no earlier")[0]


def certified(sentence: str | None) -> str | None:
    """Return what is left of a sentence if the record may have more events of the request."""
    if sentence is None:
        return None
    if sentence == ENDINGS["already_absent"][1]:
        return (
            f"{ABSENT_BEFORE}. By these events, no earlier call of this request had reached Forge,"
            " and it deleted nobody."
        )
    if sentence == "What became of this user's logs is not in the record.":
        return "What became of this user's logs, these events do not say."
    if sentence.startswith("Forge was not asked"):
        return f"By these events, {sentence}"
    if sentence.startswith("No logs were deleted"):
        return f"By these events, n{sentence[1:]}"
    it = "this request" if sentence == ENDINGS["not_found_by_email"][1] else "it"
    return sentence.replace(NOBODY, f"By these events, {it} deleted nobody.")


# 6. Exports

EVENTS, SHEET, MANIFEST = "events.jsonl", "events.csv", "manifest.json"
#: What may lie beside the evidence, and proves nothing. Where it is, the manifest lists it.
BESIDE = ("HOWTO.md", "verify.py")
COLUMNS = (
    *("at", "chain", "seq", "event", "run_id", "request_id", "reference", "subject", "regime"),
    *("received_at", "actor", "attempt", "status", "outcome", "http_status", "reason", "ticket"),
    *("due_on", "closed_on", "meaning", "absence", "signed"),
)


class Digest:
    """Bytes and SHA-256 of a file that is seen piece by piece."""

    def __init__(self) -> None:
        self.size, self.sha256 = 0, hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Take the next piece."""
        self.size += len(data)
        self.sha256.update(data)

    def as_json(self) -> dict[str, Any]:
        """Return it as a manifest lists it."""
        return {"bytes": self.size, "sha256": self.sha256.hexdigest()}


class Chain:
    """A chain of events, as far as it was read."""

    def __init__(self, name: str) -> None:
        self.name, self.seq, self.head, self.unsigned = name, 0, GENESIS, 0
        self.tree = Tree()


class Run:
    """What the main chain says about a run."""

    def __init__(self, opened: dict[str, Any]) -> None:
        self.opened = opened
        self.closed: dict[str, Any] | None = None

    def is_signed(self, size: int) -> bool:
        """Return whether one of the first ``size`` events of main closes it."""
        return self.closed is not None and bool(self.closed["seq"] <= size)


class Export:
    """An export that is read line by line: everything in it is computed again."""

    def __init__(self, manifest: Any, keys: Sequence[PublicKey]) -> None:
        is_known = isinstance(manifest, dict) and manifest.get("export") == "forge-gdpr export 3"
        require(is_known, f"{MANIFEST} is not of the format 'forge-gdpr export 3'")
        self.told: dict[str, Any] = manifest
        self.checkpoint = Checkpoint(manifest.get("checkpoint"), keys)
        version = manifest.get("version")
        is_issued = (
            is_time(manifest.get("issued_at"))
            and isinstance(version, str)
            and VERSION.fullmatch(version) is not None
        )
        require(is_issued, f"{MANIFEST} does not say when and by which version it was issued")
        self.since, self.until = period_of(manifest.get("query"))
        self.lines, self.sheet = Digest(), Digest()
        self.sheet.add(csv_record(COLUMNS))
        self.runs: dict[str, Run] = {}
        self.coming: list[str] = []  # runs whose chains have not come yet
        self.chain = Chain(MAIN)
        self.chains: list[dict[str, Any]] = []
        self.last_at: str | None = None  # of the last event of main that is not withheld
        self.gap = False  # whether events of main were withheld since
        self.latest_at = ""  # the latest time in main so far
        self.over = False  # whether what was withheld must be after the period
        self.events = self.withheld = 0
        self.in_period = self.in_period_unsigned = self.in_period_kept = 0
        self.first_unsigned = 0  # its number in main

    def read(self, lines: Iterable[bytes]) -> None:
        """Read the evidence, refusing what does not follow from what came before."""
        for data in lines:
            self.lines.add(data)
            self._read_line(data)
        self._end_chain()
        for run_id in self.coming:
            self._require_no_events(run_id)

    def manifest(self, beside: dict[str, Any]) -> dict[str, Any]:
        """Return what the manifest must say."""
        return {
            "export": "forge-gdpr export 3",
            "issued_at": self.told["issued_at"],
            "version": self.told["version"],
            "query": self.told["query"],
            "checkpoint": self.checkpoint.note,
            "events": self.events,
            "events_in_period": self.in_period,
            "events_withheld": self.withheld,
            "chains": self.chains,
            "files": {EVENTS: self.lines.as_json(), SHEET: self.sheet.as_json(), **beside},
            "events_not_signed": self.unsigned,
            "events_in_period_not_signed": self.in_period_unsigned,
        }

    @property
    def unsigned(self) -> int:
        """How many events are not signed."""
        return sum(chain["not_signed"] for chain in self.chains)

    @property
    def open_runs(self) -> dict[str, int]:
        """Runs in the period that no signed event closes, with the number of their events."""
        size = self.checkpoint.size
        runs = {
            run_id: 0
            for run_id, run in self.runs.items()
            if run.opened["at"] < self.until
            and run.opened["seq"] <= size
            and not run.is_signed(size)
        }
        unsigned = [chain for chain in self.chains[1:] if chain["not_signed"]]
        runs.update({chain["chain"]: chain["not_signed"] for chain in unsigned})
        return runs

    def _read_line(self, data: bytes) -> None:
        text = decoded(data, EVENTS)
        line = read_json(text, EVENTS, LINE)
        is_line = isinstance(line, dict) and f"{canonical(line)}\n" == text
        require(is_line, f"{EVENTS}: a line is not in canonical form")
        is_withheld = line.keys() == {"hash"}
        require(is_withheld or line.keys() == {"body", "hash", "previous"}, f"{EVENTS}: odd line")
        is_text = all(isinstance(value, str) for value in line.values())
        require(is_text, f"{EVENTS}: a line holds something else than text")
        previous = line.get("previous", GENESIS)
        is_hash = HASH.fullmatch(line["hash"]) and HASH.fullmatch(previous)
        require(bool(is_hash), f"{EVENTS}: a hash is not 64 hex digits")
        if is_withheld:
            self._withhold(line["hash"])
        else:
            self._take(read_event(line["body"], EVENTS), line["body"], previous, line["hash"])

    def _withhold(self, sealed: str) -> None:
        require(self.chain.name == MAIN, "an event of a run is withheld")
        self.gap = True
        self.withheld += 1
        self._grow(sealed, is_signed=self.chain.seq < self.checkpoint.size)

    def _take(self, event: dict[str, Any], body: str, previous: str, sealed: str) -> None:
        if event["chain"] != self.chain.name:
            self._end_chain()
            self._begin_chain(event["chain"])
        chain = self.chain
        where = f"event {event['seq']} of {chain.name}"
        follows = event["seq"] == chain.seq + 1
        require(follows, f"{where} follows event {chain.seq}: one is missing, or was added")
        require(previous == chain.head, f"{where} is not tied to the event before it")
        require(sealed == link(previous, body), f"{where} does not match its hash")
        if chain.name == MAIN:
            self._note(event, where)
        else:
            require(event.get("run_id") == chain.name, f"{where} is of another run")
        signed = self._signed(event)
        self._grow(sealed, is_signed=signed != "no")
        self.events += 1
        if self.since <= event["at"] < self.until:
            self.in_period += 1
            self.in_period_unsigned += signed == "no"
            self.in_period_kept += signed == "checkpoint"
            self.sheet.add(csv_record([cells_of(event, signed).get(name) for name in COLUMNS]))

    def _note(self, event: dict[str, Any], where: str) -> None:
        """Keep what an event of main says of runs and of time."""
        self._require_no_gap(event["at"])
        is_signed = event["seq"] <= self.checkpoint.size
        is_late = self.over and is_signed and event["at"] < self.until  # its clock was set back
        require(not is_late, "events of main are withheld that may lie in the period")
        self.last_at, self.gap = event["at"], False
        self.latest_at = max(self.latest_at, event["at"])
        run_id = event.get("run_id", "")
        if event["event"] == "run.opened":
            is_new = run_id not in ("", MAIN) and run_id not in self.runs
            require(is_new, f"{where} opens a run that has no name, or was opened before")
            self.runs[run_id] = Run(event)
        elif event["event"] == "run.closed":
            is_open = run_id in self.runs and self.runs[run_id].closed is None
            require(is_open, f"{where} closes a run that is not open")
            self.runs[run_id].closed = event

    def _signed(self, event: dict[str, Any]) -> str:
        """Return whether an event is signed, is the checkpoint itself, or neither."""
        size, note = self.checkpoint.size, self.checkpoint.note
        if self.chain.name != MAIN:
            return "yes" if self.runs[self.chain.name].is_signed(size) else "no"
        if event["seq"] <= size:
            return "yes"
        kept = {"at": self.checkpoint.at, "event": "audit.checkpoint", "note": note}
        kept.update(chain=MAIN, seq=size + 1, actor=event.get("actor"))
        is_it = same(event, kept) and isinstance(event["actor"], str)
        return "checkpoint" if is_it else "no"

    def _grow(self, sealed: str, *, is_signed: bool) -> None:
        chain = self.chain
        chain.seq, chain.head = chain.seq + 1, sealed
        chain.tree.add(sealed)
        if not is_signed:
            chain.unsigned += 1
            if chain.name == MAIN:
                self.first_unsigned = self.first_unsigned or chain.seq
        if chain.name == MAIN and chain.seq == self.checkpoint.size:
            is_root = (chain.tree.root(), chain.head) == (
                self.checkpoint.root,
                self.checkpoint.head,
            )
            require(is_root, f"the first {chain.seq} events of main are not what was signed")
            # An event that is not signed can't say where a signed one lies in time.
            self._require_no_gap(self.checkpoint.at)
            self.gap = False

    def _require_no_gap(self, next_at: str | None) -> None:
        """Refuse withheld events that may lie in the period."""
        is_before = next_at is not None and max(next_at, self.latest_at) < self.since
        is_after = self.last_at is not None and self.last_at >= self.until
        holds = not self.gap or is_before or is_after
        require(holds, "events of main are withheld that may lie in the period")
        self.over = self.over or (self.gap and is_after)

    def _begin_chain(self, name: str) -> None:
        while self.coming:
            run_id = self.coming.pop(0)
            if run_id == name:
                self.chain = Chain(name)
                return
            self._require_no_events(run_id)
        raise Refusal(f"the chain {name} does not belong here")

    def _end_chain(self) -> None:
        chain = self.chain
        closing = None
        if chain.name == MAIN:
            self._require_no_gap(None)
            is_whole = chain.seq >= self.checkpoint.size
            require(is_whole, f"main ends at event {chain.seq}: its end was cut off")
            self.coming = [
                run_id
                for run_id, run in self.runs.items()
                if run.opened["at"] < self.until
                and (run.closed is None or run.closed["at"] >= self.since)
            ]
        else:
            closing = self.runs[chain.name].closed
        if closing is not None:
            says = [closing.get("length"), closing.get("root")]
            is_whole = same(says, [chain.seq, chain.tree.root().hex()])
            require(is_whole, f"run {chain.name} is not as main says that it was closed")
        self.chains.append(
            {
                "chain": chain.name,
                "first_seq": 1 if chain.seq else 0,
                "last_seq": chain.seq,
                "last_hash": chain.head,
                "closed": closing is not None,
                "not_signed": chain.unsigned,
            }
        )

    def _require_no_events(self, run_id: str) -> None:
        closing = self.runs[run_id].closed
        holds = closing is None or same(closing.get("length"), 0)
        require(holds, f"the events of run {run_id} are missing")


def period_of(query: Any) -> tuple[str, str]:
    """Return the first moment of the days that were asked for, and the first one after them."""
    names = {"first_day", "last_day", "time_zone", "since", "until"}
    is_query = isinstance(query, dict) and query.keys() == names
    is_query = is_query and all(isinstance(value, str) for value in query.values())
    require(is_query, f"{MANIFEST} does not say what was asked for")
    require(
        bool(DAY.fullmatch(query["first_day"]) and DAY.fullmatch(query["last_day"])),
        f"{MANIFEST}: a day is not written as YYYY-MM-DD",
    )
    require(
        ZONE.fullmatch(query["time_zone"]) is not None,
        f"{MANIFEST}: its time zone {query['time_zone']} is none that is the same everywhere",
    )
    try:
        zone = ZoneInfo(query["time_zone"])
    except (ValueError, KeyError, OSError):
        raise Refusal(
            f"{MANIFEST}: its time zone {query['time_zone']} is not known here; if it should be,"
            " 'pip install tzdata'"
        ) from None
    try:
        first, last = (date.fromisoformat(query[name]) for name in ("first_day", "last_day"))
        midnights = [datetime.combine(day, time(), zone) for day in (first, last + timedelta(1))]
        since, until = (written(midnight) for midnight in midnights)
    except (ValueError, OverflowError):
        raise Refusal(f"{MANIFEST}: a day is not in the calendar") from None
    is_same = (query["since"], query["until"]) == (since, until) and since < until
    require(is_same, f"{MANIFEST} names another period than its days in its time zone")
    return since, until


def written(moment: datetime) -> str:
    """Return a moment as the format writes it."""
    text = moment.astimezone(timezone.utc).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def cells_of(event: dict[str, Any], signed: str) -> dict[str, Any]:
    """Return what the sheet says of an event."""
    is_closing = event["event"] == "request.closed"
    words = {
        "meaning": meaning_of(event.get("outcome")) if is_closing else None,
        "absence": absence_in(event) if is_closing else None,
    }
    return {**event, **words, "signed": signed}


def csv_record(cells: Iterable[Any]) -> bytes:
    """Return a line of the sheet (RFC 4180), in which no text is a formula."""
    return (",".join(map(csv_cell, cells)) + "\r\n").encode()


def csv_cell(value: Any) -> str:
    """Return a cell of the sheet."""
    text = "" if value is None else str(value)
    signs = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
    if isinstance(value, str) and (
        text.startswith(("\t", "\r", "\n")) or text.lstrip().startswith(signs)
    ):
        text = f"'{text}"
    needs_quotes = any(sign in text for sign in ',"\r\n')
    return '"' + text.replace('"', '""') + '"' if needs_quotes else text


def verify_export(
    folder: Path, keys: Sequence[PublicKey], *, allow_unsigned_tail: bool = False
) -> list[str]:
    """Return what an export folder was shown to be, in lines for people."""
    names = set()
    for entry in folder.iterdir():
        is_file = entry.is_file() and not entry.is_symlink()
        require(is_file, f"{entry.name} in it is not a file")
        names.add(entry.name)
    for name in (MANIFEST, EVENTS, SHEET):
        require(name in names, f"{name} is missing")
    more = sorted(names.difference((MANIFEST, EVENTS, SHEET, *BESIDE)))
    if more:
        raise Refusal(f"there is more in it than an export: {more[0]}")
    export = Export(read_json(read_text(folder / MANIFEST), MANIFEST), keys)
    export.read(lines_of(folder / EVENTS))
    beside = {name: digest_of(folder / name).as_json() for name in BESIDE if name in names}
    expected = export.manifest(beside)
    wrong = [name for name in expected if not same(expected[name], export.told.get(name, {}))]
    wrong = wrong or sorted(set(export.told).difference(expected))
    require(not wrong, f"{MANIFEST} says something else than the files: {', '.join(wrong)}")
    is_same = same(digest_of(folder / SHEET).as_json(), expected["files"][SHEET])
    require(is_same, f"{SHEET} does not say what {EVENTS} says")
    holds = not export.unsigned or allow_unsigned_tail
    require(
        holds,
        f"it holds what is not signed ({counted(export.unsigned, 'event')}): anybody who had it"
        " could have written that; --allow-unsigned-tail accepts the rest",
    )
    return export_lines(export, beside)


def export_lines(export: Export, beside: dict[str, Any]) -> list[str]:
    """Return what was shown, no more than that."""
    query, checkpoint = export.told["query"], export.checkpoint
    head = "VERIFIED: the export is unchanged and complete"
    is_later = query["until"] > checkpoint.at
    if export.unsigned:
        head = "VERIFIED AS FAR AS IT IS SIGNED, and there it is complete"
    if is_later:
        head += f" up to {checkpoint.at}, when it was signed"
    withheld, tail = export.withheld, export.in_period_unsigned
    if withheld:
        head += f", but for what the {withheld} events say of which it has the hash alone"
    whole = [chain for chain in export.chains[1:] if not chain["not_signed"]]
    open_runs = ""
    if export.open_runs:
        names, count = list(export.open_runs), sum(export.open_runs.values())
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        open_runs = (
            f"; {len(names)} not closed by a signed event ({', '.join(names[:3])}{more}), with"
            f" {count} events NOT SIGNED"
        )
    lines = [
        head,
        (
            f"  period: {query['first_day']} to {query['last_day']} ({query['time_zone']}),"
            f" from {query['since']} until before {query['until']}"
        ),
        (
            # Without the checkpoint's own: whether it is there, nobody signs.
            f"  events of it shown: {export.in_period - export.in_period_kept}{not_signed(tail)}"
        ),
        f"  runs alive in it, shown: {len(whole)}, each whole{open_runs}",
        (
            f"  the main chain: whole{not_signed(export.chains[0]['not_signed'])}; of {withheld} of"
            " its events the hash alone"
        ),
        *signature_lines(checkpoint),
        "What this does not show:",
        "- Whether the key is the controller's: compare its SHA-256 by another way than it came.",
        "- Whether the period is the one that you asked for.",
        "- That Forge answered so: that is the word of the holder of the key.",
        "- What is left on Forge's disks.",
        "- By whom the checkpoint was asked for, when the export was issued, and by which version.",
        "- That what was recorded after it was signed is here.",
    ]
    if withheld:
        lines.append(
            f"- What these {withheld} events say. A run that was alive through the whole period may"
            " be among them, with all that it did; and events of the period, if the clock was ever"
            " set back."
        )
    if export.unsigned:
        first = f", in main from event {export.first_unsigned}" if export.first_unsigned else ""
        lines.append(
            f"- Anything about what is NOT SIGNED, {counted(export.unsigned, 'event')}{first}:"
            " anybody who had the export could have written, changed or removed that."
        )
    if export.open_runs:
        lines.append(
            f"- Anything about {counted(len(export.open_runs), 'run')} that no signed event closes:"
            f" {', '.join(list(export.open_runs)[:3])}"
        )
    if "verify.py" in beside and beside["verify.py"] != digest_of(Path(__file__)).as_json():
        lines.append(
            "- Whether the verify.py in the export is honest: it is not the one that runs now."
        )
    return [*lines, *own_lines()]


def not_signed(count: int) -> str:
    """Return how many events are not signed, if any."""
    return f" ({count} of them NOT SIGNED)" if count else ""


# 7. Certificates

PAGE_BEGIN = '<script type="application/json" id="certificate">'
PAGE_END = "</script>"
PROVES = [
    "Each event in it stood in the record, in these very words, when the holder of the key signed.",
    "Request, result, steps and runs are told from these events, and from nothing else.",
]
LIMITS = [
    "It proves what was recorded: that Forge answered so is the word of the holder of the key.",
    "What is left on Forge's disks it does not prove.",
    "It is worth as much as the public key: compare its SHA-256 by another way than it came.",
    "The record may have other events of this request, also later ones: an export shows them.",
    "Of the user's logs it says what these events say; Forge keeps logs unless it is asked.",
    "Where an operator vouched for the account, only the operator's word shows whose it is.",
    "It names nobody: whose pseudonym it is, the holder of the subject key can show.",
    "Its times are those of the controller's database. Nobody signs when it was issued.",
    "Other requests of the same person have certificates of their own.",
]
ENDS = {"request.closed": None, "request.cancelled": "cancelled", "request.refused": "refused"}
SHOWN = (
    *("at", "event", "run_id", "actor", "attempt", "outcome", "http_status", "ended", "steps"),
    *("status", "reason", "ticket", "due_on", "late"),
)
TEXTS = (
    *("run_id", "actor", "outcome", "ended", "status", "reason", "ticket", "reference", "subject"),
    *("regime", "root", "version", "settings"),
)
NUMBERS = ("request_id", "attempt", "attempts", "http_status", "length")


class Proven:
    """An event with its path up to a root."""

    def __init__(self, value: Any) -> None:
        self.previous, self.body, path = members_of(value, previous=str, body=str, path=list)
        is_path = all(isinstance(node, str) and HASH.fullmatch(node) for node in path)
        is_hash = HASH.fullmatch(self.previous) is not None
        require(is_path and is_hash, "the evidence holds a hash that is not 64 hex digits")
        self.path: list[str] = path
        self.event = read_event(self.body, "the evidence")
        self.chain: str = self.event["chain"]
        self.seq: int = self.event["seq"]
        self.where = f"event {self.seq} of {self.chain}"
        require_told(self.event, self.where)

    def root(self, size: int) -> str | None:
        """Return the root that the path leads to in a tree of so many events (RFC 9162, 2.1.3)."""
        place, last = self.seq - 1, size - 1
        if place > last:
            return None
        node = sha256(b"\x00" + bytes.fromhex(link(self.previous, self.body)))
        for beside in map(bytes.fromhex, self.path):
            if last == 0:
                return None
            if place % 2 or place == last:
                node = sha256(b"\x01" + beside + node)
                while place and not place % 2:
                    place, last = place // 2, last // 2
            else:
                node = sha256(b"\x01" + node + beside)
            place, last = place // 2, last // 2
        return node.hex() if last == 0 else None


def require_told(event: dict[str, Any], where: str) -> None:
    """Refuse an event of which something that is told is of another type."""
    told = {name: value for name, value in event.items() if value is not None}
    is_told = (
        all(isinstance(told.get(name, ""), str) for name in TEXTS)
        and all(type(told.get(name, 0)) is int for name in NUMBERS)
        and all(is_day(told.get(name, "2000-01-01")) for name in ("due_on", "closed_on"))
        and is_time(told.get("received_at", event["at"]))
        and isinstance(told.get("late", False), bool)
        and are_texts(told.get("also", []))
        and isinstance(told.get("steps", []), list)
        and all(map(is_step, told.get("steps", [])))
    )
    require(is_told, f"{where} says something that can't be told")


def is_day(value: Any) -> bool:
    """Return whether a value is a day, as YYYY-MM-DD."""
    try:
        return isinstance(value, str) and bool(DAY.fullmatch(value) and date.fromisoformat(value))
    except ValueError:
        return False


def are_texts(value: Any) -> bool:
    """Return whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(member, str) for member in value)


def is_step(value: Any) -> bool:
    """Return whether a value is the name of a step, or a step with its answer."""
    if not isinstance(value, dict):
        return isinstance(value, str)
    status = value.get("http_status")
    return isinstance(value.get("name"), str) and (status is None or type(status) is int)


def members_of(value: Any, **kinds: type) -> list[Any]:
    """Return the members of an object that has these, of these types, and no others."""
    is_object = isinstance(value, dict) and value.keys() == kinds.keys()
    require(is_object, "the evidence lacks something, or has more than belongs there")
    is_typed = all(isinstance(value[name], kind) for name, kind in kinds.items())
    require(is_typed, "the evidence has a member of another type")
    return [value[name] for name in kinds]


class Certificate:
    """A certificate whose evidence is followed up to the signed root."""

    def __init__(self, value: Any, keys: Sequence[PublicKey]) -> None:
        is_known = (
            isinstance(value, dict) and value.get("certificate") == "forge-gdpr certificate 3"
        )
        require(is_known, "it is not of the format 'forge-gdpr certificate 3'")
        self.told: dict[str, Any] = value
        note, events, runs = members_of(
            value.get("evidence"), checkpoint=str, events=list, runs=list
        )
        self.checkpoint = Checkpoint(note, keys)
        self.runs = [self._run(run) for run in runs]
        self.events = [Proven(event) for event in events]
        self._require_in_runs()
        self._require_order()

    def _run(self, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what main says of the opening and closing of a run."""
        opened, closed = map(Proven, members_of(value, opened=dict, closed=dict))
        self._require_in_main(opened)
        self._require_in_main(closed)
        is_run = (
            (opened.event["event"], closed.event["event"]) == ("run.opened", "run.closed")
            and "run_id" in opened.event
            and opened.event["run_id"] == closed.event.get("run_id")
            and opened.seq < closed.seq
        )
        require(is_run, "the evidence takes another event for a run's opening or closing")
        return opened.event, closed.event

    def _require_in_main(self, proven: Proven) -> None:
        is_in = (
            proven.chain == MAIN and proven.root(self.checkpoint.size) == self.checkpoint.root.hex()
        )
        require(is_in, f"{proven.where} is not in the record that was signed")

    def _require_in_runs(self) -> None:
        closings = {closed["run_id"]: closed for _opened, closed in self.runs}
        for proven in self.events:
            if proven.chain == MAIN:
                self._require_in_main(proven)
                continue
            closing = closings.get(proven.chain, {})
            root = proven.root(closing.get("length") or 0)
            is_in = root is not None and root == closing.get("root")
            require(is_in, f"{proven.where} is not in what its run has closed")
            is_own = proven.event.get("run_id", proven.chain) == proven.chain
            require(is_own, f"{proven.where} is of another run")
        chains = sorted({proven.chain for proven in self.events} - {MAIN})
        is_exact = [closed["run_id"] for _opened, closed in self.runs] == chains
        require(is_exact, "its runs are not those of its events, each once, in order")

    def _require_order(self) -> None:
        last: dict[str, tuple[str, int]] = {}  # the latest time and the number, by chain
        places = []
        for proven in self.events:
            at, seq = last.get(proven.chain, ("", 0))
            require(proven.seq > seq, f"{proven.where} is there twice, or too late")
            last[proven.chain] = (max(at, proven.event["at"]), proven.seq)
            places.append((last[proven.chain][0], proven.chain != MAIN, proven.chain, proven.seq))
        require(places == sorted(places), "its events are not in order")

    def document(self) -> dict[str, Any]:
        """Return what the certificate must say."""
        events = [proven.event for proven in self.events]
        ids = {event.get("request_id") for event in events}
        require(len(ids) == 1 and None not in ids, "its events are not those of one request")
        ends = [number for number, event in enumerate(events) if event["event"] in ENDS]
        require(bool(ends), "its request is not closed")
        require(len(ends) == 1, f"its request has {len(ends)} ends: no certificate can say one")
        checkpoint, end = self.checkpoint, events[ends[0]]
        require_attempts(events, end)
        request = request_of(events[: ends[0]], end)
        subject = request["subject"]
        about = [event for event in events if event.get("subject", subject) == subject]
        return {
            "certificate": "forge-gdpr certificate 3",
            "record": {
                "origin": checkpoint.origin,
                "events": checkpoint.size,
                "signed_at": checkpoint.at,
                "signed_by": f"{checkpoint.signer}+{checkpoint.key_id}",
            },
            "request": request,
            "result": result_of(about, end),
            "steps": [{name: event[name] for name in SHOWN if name in event} for event in events],
            "runs": [
                {
                    "run_id": opened["run_id"],
                    "opened_at": opened["at"],
                    "actor": opened.get("actor"),
                    "version": opened.get("version"),
                    "settings_sha256": opened.get("settings"),
                }
                for opened, _closed in self.runs
            ],
            "proves": PROVES,
            "limits": LIMITS,
            "evidence": self.told["evidence"],
        }


def require_attempts(events: list[dict[str, Any]], end: dict[str, Any]) -> None:
    """Refuse events of which the numbers of attempts show that some are missing."""
    tried = [event for event in events if event["event"] in ("attempt.started", "attempt.finished")]
    numbers = {event.get("attempt") for event in tried}
    count = max([end.get("attempts") or 0] + [event.get("attempt") or 0 for event in events])
    missing = 1
    while missing in numbers:
        missing += 1
    require(missing > count, f"its events tell of attempt {count}, and {missing} is not here")


def request_of(before: list[dict[str, Any]], end: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked, as the end says it, or else the last admission before it."""
    admissions = [event for event in before if event["event"] == "request.admitted"]
    told = {**(admissions[-1] if admissions else {}), **end}
    names = ("reference", "subject", "regime", "received_at", "due_on")
    return {
        "id": end["request_id"],
        "also": sorted(end.get("also") or []),
        **{name: told.get(name) for name in names},
    }


def result_of(events: list[dict[str, Any]], end: dict[str, Any]) -> dict[str, Any]:
    """Return what became of the request, from the events about the person whom it ended with."""
    outcome = ENDS[end["event"]] or end.get("outcome")
    closed_on, due_on = end.get("closed_on"), end.get("due_on")
    on_time = None if closed_on is None or due_on is None else bool(closed_on <= due_on)
    last_attempts = [
        event
        for event in events
        if event["event"] == "attempt.finished" and event.get("status", "done") == "done"
    ]
    names = ("closed_on", "due_on", "http_status", "reason", "actor", "run_id")
    return {
        **{name: end.get(name) for name in names},
        "outcome": outcome,
        "name": name_of(outcome),
        "meaning": certified(meaning_of(outcome)),
        "absence": absence_in(end),
        "logs": certified(logs_in(events)),
        "closed_at": end["at"],
        "on_time": on_time,
        "verified_absent": any(
            step["name"] == "verify" and step.get("http_status") in (404, 410)
            for attempt in last_attempts
            for step in steps_of(attempt)
        ),
    }


def verify_certificate(file: Path, keys: Sequence[PublicKey]) -> list[str]:
    """Return what a certificate was shown to say, in lines for people."""
    text = read_text(file)
    is_page = text.lstrip().startswith("<")
    if is_page:
        is_one = text.count(PAGE_BEGIN) == 1 and text.lower().count("<script") == 1
        require(
            is_one, "the page does not have exactly one certificate, and no other script, in it"
        )
        text, _, rest = text.partition(PAGE_BEGIN)[2].partition(PAGE_END)
        require(bool(rest), "the certificate in the page has no end")
    certificate = Certificate(read_json(text, "certificate"), keys)
    expected = certificate.document()
    wrong = [name for name in expected if not same(expected[name], certificate.told.get(name))]
    wrong = wrong or sorted(set(certificate.told).difference(expected))
    require(not wrong, f"it says something else than its evidence: {', '.join(wrong)}")
    return certificate_lines(expected, certificate.checkpoint, is_page=is_page)


def certificate_lines(
    document: dict[str, Any], checkpoint: Checkpoint, *, is_page: bool
) -> list[str]:
    """Return what was shown, no more than that."""
    request, result = document["request"], document["result"]
    facts = {
        "request": request["id"],
        "reference": request["reference"],
        "person, as a pseudonym": request["subject"],
        "received": request["received_at"],
        "due": result["due_on"],
        "closed": result["closed_at"],
        "on time": {True: "yes", False: "no"}.get(result["on_time"]),
        "result": result["name"],
        "meaning": result["meaning"],
        "asked afterwards, and no such user": "yes" if result["verified_absent"] else None,
        "absence": result["absence"],
        "logs": result["logs"],
        "told from": f"{counted(len(document['steps']), 'event')} of the request,"
        f" {counted(len(document['runs']), 'run')}; the record may have others, also later ones",
        "reason": result["reason"],
    }
    if is_page:
        head = (
            "VERIFIED: the data in the page. What the page shows was NOT compared with it: rely on"
            " what stands here"
        )
    else:
        head = "VERIFIED: the certificate says what its evidence says"
    return [
        head,
        *(f"  {name}: {value}" for name, value in facts.items() if value is not None),
        *signature_lines(checkpoint),
        "What it proves:",
        *(f"- {sentence}" for sentence in document["proves"]),
        "What it does not prove:",
        *(f"- {sentence}" for sentence in document["limits"]),
        *own_lines(),
    ]


# 8. Files and printing


def signature_lines(checkpoint: Checkpoint) -> list[str]:
    """Return what was signed, and by which key."""
    return [
        f"  signed: {checkpoint.origin}, {checkpoint.size} events of main, {checkpoint.at}",
        (
            f"  by: {checkpoint.signer}, key {checkpoint.key_id},"
            f" SHA-256 {checkpoint.key.fingerprint}"
        ),
    ]


def own_lines() -> list[str]:
    """Return by what the verifier itself can be compared."""
    own = digest_of(Path(__file__)).sha256.hexdigest()
    return [f"This verifier has the SHA-256 {own}: compare it with the release's, or read it."]


def counted(count: int, noun: str) -> str:
    """Return ``1 run`` or ``2 runs``."""
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"


def decoded(data: bytes, what: str) -> str:
    """Return bytes as UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refusal(f"{what} is not UTF-8") from None


def read_text(file: Path) -> str:
    """Return what is in a file, or so much of it that it is too long."""
    with file.open("rb") as stream:
        return decoded(stream.read(4 * DOCUMENT + 1), file.name)


def lines_of(file: Path) -> Iterator[bytes]:
    """Yield the lines of a file, each with its end."""
    with file.open("rb") as stream:
        while line := stream.readline(4 * LINE + 1):
            yield line


def digest_of(file: Path) -> Digest:
    """Return size and SHA-256 of a file."""
    digest = Digest()
    with file.open("rb") as stream:
        while piece := stream.read(1024 * 1024):
            digest.add(piece)
    return digest


def printable(text: str) -> str:
    """Return a text in which nothing moves the cursor, breaks the line or looks like another."""
    return "".join(
        character if " " <= character <= "~" else ascii(character)[1:-1] for character in text
    )


def main(words: Sequence[str] | None = None) -> int:
    """Verify what the command line names, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="verify.py", description="Verify an export or a certificate of forge-gdpr."
    )
    parser.add_argument(
        "evidence", type=Path, help="an export folder, or a certificate, JSON or HTML"
    )
    parser.add_argument(
        "--key", type=Path, required=True, help="public keys: PEM, or lines like name+id+base64"
    )
    parser.add_argument(
        "--allow-unsigned-tail",
        action="store_true",
        help="accept events after the signed ones, and count them apart",
    )
    options = parser.parse_args(words)
    try:
        keys = read_keys(options.key.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyFileError) as error:
        reason = error if isinstance(error, KeyFileError) else type(error).__name__
        print(printable(f"verify.py: {options.key} can't be used: {reason}"), file=sys.stderr)
        return 2
    try:
        if options.evidence.is_dir():
            lines = verify_export(
                options.evidence, keys, allow_unsigned_tail=options.allow_unsigned_tail
            )
        else:
            lines = verify_certificate(options.evidence, keys)
    except Refusal as refusal:
        print(printable(f"NOT VERIFIED: {refusal}"), file=sys.stderr)
        return 1
    except OSError as error:
        print(printable(f"NOT VERIFIED: can't be read: {error}"), file=sys.stderr)
        return 1
    print("\n".join(map(printable, lines)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

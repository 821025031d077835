"""Does today's record go on from what was signed? A thousand histories with restores."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import pytest
from builders import make_checkpoint

from forge_gdpr.checkpoints import (
    Checkpoint,
    InvalidCheckpointError,
    SigningKey,
    checkpoint_in,
    require_signed,
    signing_key,
)
from forge_gdpr.continuity import Rupture, digest, kept, notes_among, rupture
from forge_gdpr.merkle import root_of

KEY: Final = signing_key("example.org/forge-gdpr", bytes(range(32)))
FORGED: Final = signing_key("example.org/forge-gdpr", bytes(32))
PUBLIC: Final = KEY.public
OTHERS: Final = signing_key("example.org/test", bytes(32))
START: Final = datetime(2026, 11, 24, 3, tzinfo=UTC)
HISTORIES: Final = 50  # times twenty
LEAVES: Final = [hashlib.sha256(bytes([n])).digest() for n in range(9)]


def read(text: str) -> Checkpoint | None:
    try:
        require_signed(text, [PUBLIC])
    except InvalidCheckpointError:
        return None
    return checkpoint_in(text)


def note(size: int, key: SigningKey = KEY) -> str:
    return key.signed(replace(make_checkpoint(LEAVES[:size]), origin=key.name).text)


@dataclass
class Database:
    """A main chain that is backed up, restored, and signed as the program does it."""

    chain: list[bytes] = field(default_factory=list)
    accepted: list[tuple[int, str, int]] = field(
        default_factory=list
    )  # where, what, how many notes
    file: str = ""
    kept: list[list[bytes]] = field(default_factory=list)  # what each note in the file covers
    events: int = 0

    def append(self, count: int) -> None:
        for _ in range(count):
            self.events += 1
            before = self.chain[-1] if self.chain else b""
            self.chain.append(hashlib.sha256(before + b"%d" % self.events).digest())

    def contradiction(self) -> Rupture | None:
        lost = {name for _, name, _ in self.accepted}
        outside = kept(notes_among(self.file), keys=[PUBLIC], lost=lost)
        assert not outside.is_unknown
        if outside.newest is None:
            return None
        size = outside.newest.size
        then = self.chain[size - 1].hex() if size <= len(self.chain) else None
        return rupture(outside.newest, length=len(self.chain), hash_then=then, lost=outside.last)

    def go_on(self, found: Rupture) -> None:
        self.append(1)
        assert found.lost is not None
        self.accepted.append((len(self.chain), found.lost, len(self.kept)))

    @property
    def counted(self) -> list[list[bytes]]:
        """What was signed since the last restore that this record has accepted."""
        return self.kept[max((count for _, _, count in self.accepted), default=0) :]

    def sign(self, *, is_copied: bool) -> None:
        for covered in self.counted:  # never a contradiction
            assert self.chain[: len(covered)] == covered
        checkpoint = Checkpoint(
            origin=KEY.name,
            size=len(self.chain),
            root=root_of(self.chain),
            head=self.chain[-1].hex(),
            at=START + timedelta(hours=self.events),
        )
        if is_copied:
            self.file += f"{KEY.signed(checkpoint.text)}\n"
            self.kept.append(list(self.chain))
        self.append(1)

    def restore(self, length: int) -> None:
        self.chain = self.chain[:length]
        self.accepted = [one for one in self.accepted if one[0] <= length]


@pytest.mark.parametrize("first", range(0, 20 * HISTORIES, HISTORIES))
def test_no_restore_is_missed_and_none_is_made_up(first: int) -> None:
    for seed in range(first, first + HISTORIES):
        tell(Random(seed))  # noqa: S311  # a history, not a secret


def tell(draw: Random) -> None:
    database = Database()
    database.append(draw.randrange(1, 4))
    for _ in range(draw.randrange(3, 12)):
        match draw.choice(("run", "run", "run", "operators", "restore", "torn")):
            case "operators":
                database.append(draw.randrange(1, 5))
            case "restore":
                database.restore(draw.randrange(1, len(database.chain) + 1))
            case "torn":
                database.file += note(3)[: draw.randrange(0, 90)]
            case _:
                found = database.contradiction()
                is_extended = all(database.chain[: len(c)] == c for c in database.counted)
                assert (found is None) is is_extended
                if found is not None:
                    if draw.random() < 0.5:
                        continue  # nobody called, nothing signed
                    database.go_on(found)
                    assert database.contradiction() is None
                database.append(draw.randrange(1, 4))
                database.sign(is_copied=draw.random() < 0.8)


def test_the_checkpoint_over_the_most_events_counts_wherever_it_stands() -> None:
    notes = [note(2), note(7), note(5)]  # two machines' runs ended in the same second
    assert kept(notes, keys=[PUBLIC], lost=()).newest == make_checkpoint(LEAVES[:7])


def test_what_was_accepted_as_lost_excuses_all_up_to_it() -> None:
    notes = [note(2), note(7), note(5), note(3)]
    outside = kept(notes, keys=[PUBLIC], lost={digest(notes[2])})
    assert outside.newest == make_checkpoint(LEAVES[:3])
    assert outside.last == digest(notes[3])
    assert kept(notes, keys=[PUBLIC], lost={digest(notes[3])}).newest is None


def test_a_copy_that_is_torn_in_its_signature_is_none() -> None:
    for torn in (note(2).rstrip("\n")[:-4], note(2).rstrip("\n")[:-5]):
        outside = kept(notes_among(f"{torn}\n"), keys=[PUBLIC], lost=())
        assert (outside.newest, outside.is_unknown) == (None, False)


def test_only_who_may_sign_counts() -> None:
    notes = [note(2), note(9, FORGED), note(8, OTHERS)]
    outside = kept(notes, keys=[PUBLIC], lost=())
    assert (outside.newest, outside.is_unknown) == (make_checkpoint(LEAVES[:2]), False)
    nobody = kept(notes[1:], keys=[PUBLIC], lost=())
    assert (nobody.newest, nobody.is_unknown) == (None, True)
    assert not kept(notes[2:], keys=[PUBLIC], lost=()).is_unknown
    anybody = kept(notes, keys=(), lost=())
    assert (anybody.newest, anybody.is_unknown) == (make_checkpoint(LEAVES), False)


def test_without_a_checkpoint_there_is_nothing_to_extend() -> None:
    outside = kept([], keys=[PUBLIC], lost=())
    assert (outside.newest, outside.last, outside.is_unknown) == (None, None, False)


def test_a_torn_copy_spoils_no_other() -> None:
    torn, whole, last = note(4), note(2), note(5).rstrip()
    for cut in range(len(torn)):
        text = f"{whole}\n{torn[:cut]}{note(3)}\n\n{last}"
        sizes = [o.size for n in notes_among(text) if (o := read(n)) is not None]
        assert sizes == [2, 3, 5], cut
    assert notes_among("") == notes_among("\n\nnothing of that kind\n") == []
    impossible = note(4).replace("time 2026", "time 2O26")
    assert notes_among(impossible) == [impossible]
    assert kept([impossible], keys=(), lost=()).newest is None


def test_what_happened_is_said_in_words() -> None:
    checkpoint = make_checkpoint(LEAVES[:7])
    assert rupture(checkpoint, length=9, hash_then=checkpoint.head) is None
    cut = rupture(checkpoint, length=5, hash_then=None)
    assert cut is not None
    assert cut.why == (
        "the record ends at event 5, and the checkpoint of 2026-11-24 03:00 UTC covers 7: this"
        " database is older than what was signed, as after a restore"
    )
    other = rupture(checkpoint, length=9, hash_then="0" * 64)
    assert other is not None
    assert other.why == (
        "event 7 of the record is not the one that the checkpoint of 2026-11-24 03:00 UTC covers:"
        " this database was restored and went on, or was rewritten"
    )

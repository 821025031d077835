"""Does today's record go on from what was signed? A thousand histories with restores."""

from __future__ import annotations

import base64
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
    PublicKey,
    SigningKey,
    checkpoint_in,
    require_signed,
    signing_key,
)
from forge_gdpr.continuity import (
    Comparison,
    Rupture,
    compared,
    digest,
    kept,
    notes_among,
    standing,
)
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
    backups: list[tuple[list[bytes], list[tuple[int, str, int]]]] = field(default_factory=list)

    def append(self, count: int) -> None:
        for _ in range(count):
            self.events += 1
            before = self.chain[-1] if self.chain else b""
            self.chain.append(hashlib.sha256(before + b"%d" % self.events).digest())

    def contradiction(self) -> Rupture | None:
        lost = {name for _, name, _ in self.accepted}
        hashes = {n: leaf.hex() for n, leaf in enumerate(self.chain, start=1)}
        comparison = compared(
            kept(notes_among(self.file), lost=lost),
            keys=[PUBLIC],
            hashes=hashes,
            length=len(self.chain),
        )
        assert comparison.unknown is None
        return comparison.rupture

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

    def back_up(self) -> None:
        self.backups.append((list(self.chain), list(self.accepted)))

    def restore(self, backup: int) -> None:
        """Bring a backup back: also one of a history that was given up meanwhile."""
        chain, accepted = self.backups[backup]
        self.chain, self.accepted = list(chain), list(accepted)


@pytest.mark.parametrize("first", range(0, 20 * HISTORIES, HISTORIES))
def test_no_restore_is_missed_and_none_is_made_up(first: int) -> None:
    for seed in range(first, first + HISTORIES):
        tell(Random(seed))  # noqa: S311  # a history, not a secret


def tell(draw: Random) -> None:
    database = Database()
    database.append(draw.randrange(1, 4))
    for _ in range(draw.randrange(3, 15)):
        database.back_up()
        match draw.choice(("run", "run", "run", "operators", "restore", "torn")):
            case "operators":
                database.append(draw.randrange(1, 5))
            case "restore":
                database.restore(draw.randrange(len(database.backups)))
            case "torn":
                database.file += note(3)[: draw.randrange(0, 90)]
            case _:
                found = database.contradiction()
                is_extended = all(database.chain[: len(c)] == c for c in database.counted)
                assert (found is None) is is_extended
                if found is not None:
                    if draw.random() < 0.3:
                        continue  # nobody called, nothing signed
                    database.go_on(found)
                    assert database.contradiction() is None
                database.append(draw.randrange(1, 4))
                database.sign(is_copied=draw.random() < 0.8)


def outcome(
    notes: list[str],
    record: int,
    *,
    keys: tuple[PublicKey, ...] = (PUBLIC,),
    lost: tuple[str, ...] = (),
    own: str | None = None,
) -> Comparison:
    """Compare these notes with a record of so many events."""
    hashes = {n: leaf.hex() for n, leaf in enumerate(LEAVES[:record], start=1)}
    outside = kept(notes, lost=lost)
    wanted = {size: hashes[size] for size in outside.sizes if size in hashes}
    return compared(outside, keys=keys, hashes=wanted, length=record, own=own)


def other(size: int, key: SigningKey = KEY) -> str:
    """Return a checkpoint over as many events of another history."""
    checkpoint = replace(make_checkpoint(LEAVES[:size]), origin=key.name, head="0" * 64)
    return key.signed(checkpoint.text)


def test_every_checkpoint_counts_wherever_it_stands() -> None:
    notes = [note(2), note(7), note(5)]  # two machines' runs ended in the same second
    assert outcome(notes, 9).newest == [make_checkpoint(LEAVES[:n]) for n in (5, 7)]
    for record in range(7):
        rupture = outcome(notes, record).rupture
        assert rupture is not None
        assert rupture.checkpoint.size == (5 if record < 5 else 7)
        assert rupture.lost == digest(notes[2])
    for place in range(3):
        rupture = outcome([*notes[:place], other(4), *notes[place:]], 9).rupture
        assert rupture is not None
        assert rupture.checkpoint.head == "0" * 64, place


def test_a_history_that_was_given_up_does_not_come_back_unseen() -> None:
    notes = [note(2), note(7), other(4), other(5)]  # given up after note(7), on record; then back
    assert outcome(notes, 9, lost=(digest(notes[1]),)).rupture is not None
    rupture = outcome(notes, 9).rupture
    assert rupture is not None
    assert (rupture.checkpoint.size, rupture.lost) == (5, digest(notes[3]))
    assert outcome(notes, 9, lost=(digest(notes[3]),)).rupture is None


def test_what_was_accepted_as_lost_excuses_all_up_to_it() -> None:
    notes = [note(2), other(7), other(5), note(3)]
    assert outcome(notes, 6).rupture is not None
    accepted = outcome(notes, 6, lost=(digest(notes[2]),))
    assert (accepted.newest, accepted.rupture) == ([make_checkpoint(LEAVES[:3])], None)
    assert outcome(notes, 6, lost=(digest(notes[3]),)) == Comparison()


def test_a_checkpoint_that_was_kept_twice_excuses_nothing_after_its_first_place() -> None:
    notes = [other(7), other(5), note(3)]
    again = [*notes, other(5)]
    assert standing(again, lost={digest(other(5))}) == [note(3)]
    assert outcome(again, 6, lost=(digest(other(5)),)).rupture is None
    assert outcome(again, 2, lost=(digest(other(5)),)).rupture is not None
    assert kept(again).last == digest(note(3))


def test_a_copy_that_is_torn_in_its_signature_is_none() -> None:
    for torn in (note(2).rstrip("\n")[:-4], note(2).rstrip("\n")[:-5]):
        assert outcome(notes_among(f"{torn}\n"), 0) == Comparison()


def test_only_who_may_sign_counts() -> None:
    signed = [make_checkpoint(LEAVES[:2])]
    notes = [note(2), other(9, FORGED), other(8, OTHERS)]
    assert outcome(notes, 9) == Comparison(newest=signed)
    assert outcome([note(2), spoilt(note(9)), spoilt(other(8))], 9) == Comparison(newest=signed)
    assert outcome(notes[1:], 9) == Comparison(unknown=named(FORGED))
    assert outcome(notes[2:], 9) == Comparison()
    anybody = outcome([note(2), note(9, FORGED), note(8, OTHERS)], 9, keys=())
    assert [checkpoint.size for checkpoint in anybody.newest] == [8, 9]


def test_checkpoints_over_our_events_are_ours_whatever_their_name() -> None:
    new = signing_key("example.org/new", bytes(range(1, 33)))
    notes = [note(2), note(5)]  # and the public key was dropped when it was changed
    for record in (9, 4):  # also after a restore
        assert outcome(notes, record, keys=(new.public,)) == Comparison(unknown=named(KEY))
        assert outcome([*notes, note(3, new)], record, keys=(new.public,)).unknown == named(KEY)
        both = (new.public, PUBLIC)
        assert outcome([*notes, note(3, new)], record, keys=both).unknown is None
    assert outcome(notes, 1, keys=(new.public,)) == Comparison()  # it may be another record's
    assert outcome(notes, 1, keys=(new.public,), own=note(1)).unknown == named(KEY)
    assert outcome([], 1, keys=(new.public,), own=note(1)) == Comparison()
    assert outcome(notes, 9, own=note(7)).unknown is None


def named(key: SigningKey) -> str:
    return f"{key.name}+{key.public.id}"


def spoilt(note: str) -> str:
    """Return a note whose signature is none of the key that it names."""
    text, _, stamp = note.rstrip("\n").rpartition(" ")
    raw = bytearray(base64.b64decode(stamp))
    raw[20] ^= 1
    return f"{text} {base64.b64encode(bytes(raw)).decode()}\n"


def test_without_a_checkpoint_there_is_nothing_to_extend() -> None:
    assert (list(kept([]).copies), kept([]).last) == ([], None)
    assert outcome([], 3) == Comparison()


def test_a_torn_copy_spoils_no_other() -> None:
    torn, whole, last = note(4), note(2), note(5).rstrip()
    for cut in range(len(torn)):
        text = f"{whole}\n{torn[:cut]}{note(3)}\n\n{last}"
        sizes = [o.size for n in notes_among(text) if (o := read(n)) is not None]
        assert sizes == [2, 3, 5], cut
    assert notes_among("") == notes_among("\n\nnothing of that kind\n") == []
    impossible = note(4).replace("time 2026", "time 2O26")
    assert notes_among(impossible) == [impossible]
    assert outcome([impossible], 9, keys=()) == Comparison()


def test_what_happened_is_said_in_words() -> None:
    cut = outcome([note(7)], 5).rupture
    assert cut is not None
    assert cut.why == (
        "the record ends at event 5, and the checkpoint of 2026-11-24 03:00 UTC covers 7: this"
        " database is older than what was signed, as after a restore"
    )
    changed = outcome([other(7)], 9).rupture
    assert changed is not None
    assert changed.why == (
        "event 7 of the record is not the one that the checkpoint of 2026-11-24 03:00 UTC covers:"
        " this database was restored and went on, or was rewritten"
    )

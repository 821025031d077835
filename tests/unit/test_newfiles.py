"""Files that are whole on the disk or not there, and never written over another."""

from __future__ import annotations

import os
import resource
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from forge_gdpr.errors import InvalidInputError
from forge_gdpr.newfiles import (
    MOST_BYTES,
    UnfitFileError,
    append_note,
    file_in,
    new_folder,
    read_notes,
    why_not_read,
    write_new,
    write_over,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_TEXT = "half of it is fine\n" * 1000 + "\ud800"  # fails in the midst, as a full disk does


@contextmanager
def small_files(most_bytes: int) -> Iterator[None]:
    """Let no file grow beyond so much, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_new(tmp_path / "plan", "due\n")
        write_new(tmp_path / "key.pub", "key\n", mode=0o644)
    finally:
        os.umask(before)
    assert modes(tmp_path) == {"plan": 0o600, "key.pub": 0o644}
    assert (tmp_path / "plan").read_bytes() == b"due\n"


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    for name in ("file", "link", "folder"):
        with pytest.raises(InvalidInputError, match="is there already, and is not written over"):
            write_new(tmp_path / name, "other")
        with (
            pytest.raises(InvalidInputError, match="is there already"),
            new_folder(tmp_path / name),
        ):
            pass
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "link"]


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_new(tmp_path / "plan", NO_TEXT)
    with small_files(4), pytest.raises(OSError, match="File too large"):
        write_new(tmp_path / "plan", "due today\n")
    with pytest.raises(UnicodeEncodeError), new_folder(tmp_path / "export") as folder:
        with file_in(folder, "events") as file:
            file.write("whole\n")
        with file_in(folder, "sheet") as file:
            file.write(NO_TEXT)
    assert list(tmp_path.iterdir()) == []


def test_what_comes_meanwhile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    with pytest.raises(InvalidInputError, match="is there already"), new_folder(folder):
        folder.mkdir()
    assert modes(tmp_path).keys() == {"export"}


def test_a_folder_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "export") as folder:
        with file_in(folder, "events") as file:
            file.write("whole\n")
        assert not (tmp_path / "export").exists()
    assert modes(tmp_path) == {"export": 0o700}
    assert modes(tmp_path / "export") == {"events": 0o600}


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    write_new(path, "old\n")
    with pytest.raises(UnicodeEncodeError):
        write_over(path, NO_TEXT)
    assert path.read_text() == "old\n"
    write_over(path, "old\nnew\n")
    assert (path.read_text(), modes(tmp_path)) == ("old\nnew\n", {"keys": 0o600})


def test_notes_stand_apart_whatever_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints"
    append_note(path, "one\n")
    append_note(path, "two\n")
    assert path.read_text() == "one\n\ntwo\n\n"
    path.write_text("one\n\ntw")
    append_note(path, "three\n")
    assert path.read_text() == "one\n\ntw\n\nthree\n\n"


def test_notes_are_in_a_regular_file(tmp_path: Path) -> None:
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    zeros, full, nothing = (tmp_path / name for name in ("zero", "full", "null"))
    for device in (zeros, full, nothing):
        device.symlink_to(f"/dev/{device.name}")
    for path in (pipe, zeros, full, nothing):
        with pytest.raises(UnfitFileError, match="it is no regular file") as raised:
            read_notes(path)
        assert why_not_read(raised.value) == "it is no regular file"
        with pytest.raises(UnfitFileError, match="it is no regular file"):
            append_note(path, "one\n")
    for use in (read_notes, lambda path: append_note(path, "one\n")):
        with pytest.raises(IsADirectoryError) as is_folder:
            use(tmp_path)
        assert why_not_read(is_folder.value) == "IsADirectoryError"
    link.symlink_to(file)
    append_note(link, "one\n")
    file.write_bytes(file.read_bytes() + b"tw\r\n\xff\r")
    assert read_notes(link) == "one\n\ntw\n\ufffd\n"
    with pytest.raises(UnicodeDecodeError):
        read_notes(link, errors="strict")
    os.truncate(file, MOST_BYTES)
    assert len(read_notes(file)) == MOST_BYTES - 1
    os.truncate(file, MOST_BYTES + 1)
    with pytest.raises(UnfitFileError, match="it has more than 67108864 bytes"):
        read_notes(file)


def test_a_note_that_finds_no_room_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints"
    append_note(path, "one\n")
    with small_files(7), pytest.raises(OSError, match="No space left on device"):
        append_note(path, "two\n")
    with small_files(0), pytest.raises(OSError, match="File too large"):
        append_note(tmp_path / "others", "two\n")
    assert (path.read_text(), (tmp_path / "others").read_text()) == ("one\n\n", "")

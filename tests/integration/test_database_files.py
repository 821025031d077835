"""The file of a SQLite database: where it can't be made, written or read, and what is said."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event
from world import SUBJECT_KEY, make_program

from forge_gdpr.database import files
from forge_gdpr.errors import ConfigurationError, DatabaseError, ExitCode
from forge_gdpr.watch import checks
from forge_gdpr.watch.findings import Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from world import Program

NOBODY_UID = 65534
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def at(path: Path, **variables: str) -> Program:
    return make_program(path.parent, FORGE_GDPR_DATABASE_URL=f"sqlite:///{path}", **variables)


def failure_of(program: Program, *words: str) -> tuple[int, str]:
    done = program.here(*words)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    return done.returncode, done.stderr


def test_without_a_folder_the_mkdir_is_said(tmp_path: Path) -> None:
    program = make_program(tmp_path, FORGE_GDPR_DATABASE_URL=f"sqlite:///{tmp_path}/no such/x.db")
    code, line = failure_of(program, "db", "upgrade")
    assert code == ExitCode.CONFIGURATION
    assert f"run 'mkdir -p '{tmp_path}/no such''" in line


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for words in (("db", "upgrade"), ("db", "check"), ("run",)):
        code, line = failure_of(at(folder), *words)
        assert code == ExitCode.CONFIGURATION
        assert f"FORGE_GDPR_DATABASE_URL=sqlite:///{folder}/forge-gdpr.db" in line


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program = make_program(tmp_path, FORGE_GDPR_DATABASE_URL=f"sqlite:///{tmp_path}/file/x.db")
    assert failure_of(program, "db", "upgrade")[0] == ExitCode.CONFIGURATION


def test_another_file_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("these are notes, and no database\n" * 100)
    for words in (("db", "upgrade"), ("db", "check")):
        code, line = failure_of(at(file), *words)
        assert (code, "is no database, or damaged" in line) == (ExitCode.DATABASE, True)


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.EACCES, DatabaseError, "chown"),
        (errno.EPERM, DatabaseError, "chown"),
        (errno.EROFS, DatabaseError, "mount -o remount,rw"),
        (errno.ENOSPC, DatabaseError, "no space left"),
        (errno.EIO, DatabaseError, "can't be opened: Input/output error"),
        (errno.ENOENT, ConfigurationError, "mkdir"),
    ],
)
def test_each_fault_has_its_remedy(number: int, kind: type[Exception], said: str) -> None:
    error = files.fault(Path("/a/b.db"), OSError(number, os.strerror(number)))
    assert type(error) is kind
    assert said in str(error)
    assert "\n" not in str(error)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system of its own; skipped where nobody may mount one."""
    folder.mkdir()
    mount = shutil.which("mount") or "mount"
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run([shutil.which("umount") or "umount", "-l", folder], check=True)


def remount(folder: Path, options: str) -> None:
    mount = shutil.which("mount") or "mount"
    subprocess.run([mount, "-o", f"remount,{options}", folder], check=True)


@pytest.mark.parametrize("free", [0, 8192, 40_960])
def test_a_database_on_a_full_disk_is_no_bug(tmp_path: Path, free: int) -> None:
    with mounted(tmp_path / "full", "size=600k") as folder:
        rest = shutil.disk_usage(folder).free - free
        (folder / "filler").write_bytes(bytes(rest))
        done = at(folder / "requests.db").here("db", "upgrade")
        assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
        assert "df " in done.stderr


def test_readers_work_on_a_medium_that_is_read_only(tmp_path: Path, migrated_sqlite: Path) -> None:
    with mounted(tmp_path / "medium", "size=20m") as folder:
        path = folder / "requests.db"
        shutil.copy(migrated_sqlite, path)
        program = at(path)
        assert (
            program.here("requests", "add", "--user-id", "61ab8f99251cba0014437326").returncode == 0
        )
        remount(folder, "ro")
        before = sorted(folder.iterdir())
        for words in (
            ("requests", "list"),
            ("audit", "verify"),
            ("report",),
            ("run", "--dry-run"),
            ("db", "current"),
        ):
            done = program.here(*words)
            assert (done.returncode, done.stderr) == (0, ""), words
        assert sorted(folder.iterdir()) == before
        for words in (("run",), ("db", "upgrade"), ("db", "check")):
            variables = {"FORGE_GDPR_API_KEY": "k"}
            done = program.here(*words, **variables)
            assert (done.returncode, done.stdout) == (ExitCode.DATABASE, ""), words
            assert "read-only" in done.stderr or "can't be written" in done.stderr
        doctor = program.here("doctor", "--offline")
        assert (doctor.returncode, "owners" in doctor.stdout) == (ExitCode.DATABASE, True)


def test_a_full_disk_is_named(tmp_path: Path, migrated_sqlite: Path) -> None:
    with mounted(tmp_path / "small", "size=1m") as folder:
        path = folder / "requests.db"
        shutil.copy(migrated_sqlite, path)
        code, line = failure_of(at(path), "db", "check")
        assert (code, "make room" in line) == (ExitCode.DATABASE, True)
        with (
            (folder / "ballast").open("wb", buffering=0) as ballast,
            pytest.raises(OSError, match="space"),
        ):
            while True:
                ballast.write(bytes(4096))
        code, line = failure_of(
            at(path), "requests", "add", "--user-id", "61ab8f99251cba0014437326"
        )
        assert (code, "make room" in line or "df" in line) == (ExitCode.DATABASE, True)


def test_a_damaged_file_is_found(tmp_path: Path, migrated_sqlite: Path) -> None:
    path = tmp_path / "requests.db"
    shutil.copy(migrated_sqlite, path)
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO deletion_requests (forge_user_id, email) VALUES (?, ?)",
            [(f"{number:024x}", f"{number}@example.org") for number in range(2000)],
        )
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name LIKE 'ix_deletion_requests_status%'"
        ).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert at(path).here("db", "check").returncode == 0
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(os.urandom(size))
    code, line = failure_of(at(path), "db", "check")
    assert (code, "is damaged" in line) == (ExitCode.DATABASE, True)
    assert "example.org" not in line


def test_files_of_another_login_are_named(tmp_path: Path, migrated_sqlite: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    path = tmp_path / "requests.db"
    shutil.copy(migrated_sqlite, path)
    os.chown(path, NOBODY_UID, -1)
    assert checks.owners(path).level is Level.OK
    beside = Path(f"{path}-wal")
    beside.touch()  # as a command that root ran leaves it
    finding = checks.owners(path)
    assert finding.level is Level.FAILURE
    assert f"chown --reference={path} {beside}" in finding.said


@on_sqlite
def test_doctor_goes_on_when_the_database_fails(database_url: str) -> None:
    path = Path(database_url.removeprefix("sqlite:///"))
    path.write_text("no database any more\n" * 100)
    done = at(path).here("doctor", "--offline")
    assert done.returncode == ExitCode.DATABASE
    for name in ("database", "subject key", "owners", "files", "disk"):
        assert f" {name} " in done.stdout


def test_the_clock_check_does_not_count_its_way_to_the_database(engine: Engine) -> None:
    asked: list[str] = []

    def now() -> datetime:
        asked.append("this machine")
        return datetime.now(UTC)

    def note(*_: object) -> None:
        asked.append("the database")

    event.listen(engine, "after_cursor_execute", note)
    assert checks.database_clock(engine, now=now).level is Level.OK
    assert asked[-1] == "this machine"


@on_postgresql
def test_an_upgrade_needs_no_subject_key(database_url: str, tmp_path: Path) -> None:
    program = make_program(tmp_path, FORGE_GDPR_DATABASE_URL=database_url)
    without = {k: v for k, v in program.environment.items() if "SUBJECT_KEY" not in k}
    done = type(program)(environment=without, folder=tmp_path).here("db", "upgrade")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("the database is at revision ")
    assert first.endswith(" already")
    assert "openssl rand -hex 32" in second
    with_key = program.here("db", "upgrade")
    assert with_key.stdout.splitlines() == [first]


def test_an_upgrade_says_first_what_it_did(tmp_path: Path) -> None:
    program = at(tmp_path / "new.db")
    del program.environment["FORGE_GDPR_SUBJECT_KEY"]
    lines = program.here("db", "upgrade").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["the", "made"]
    assert SUBJECT_KEY.secret.decode() not in str(lines)


@on_postgresql
def test_a_check_says_that_a_server_only_reads(database_url: str, tmp_path: Path) -> None:
    program = make_program(
        tmp_path,
        FORGE_GDPR_DATABASE_URL=f"{database_url}&options=-c%20default_transaction_read_only%3Don",
    )
    code, line = failure_of(program, "db", "check")
    assert (code, "only reads" in line) == (ExitCode.DATABASE, True)

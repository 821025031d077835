"""Arguments beyond all bounds, and paths that can't be used: one line, and what to type."""

from __future__ import annotations

import re
import resource
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from world import Program, fetch, insert

from forge_gdpr.cli.errors import show_bug
from forge_gdpr.cli.paths import path_error
from forge_gdpr.errors import ExitCode
from forge_gdpr.sandbox import generated_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

SQLITE: Final = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
TOO_LARGE: Final = str(2**63)
HUGE: Final = "9" * 40
BEYOND: Final = (
    *(f"requests {name} {TOO_LARGE}" for name in ("show", "explain", "hold", "retry")),
    f"audit certificate {TOO_LARGE}",
    f"audit list --request {TOO_LARGE}",
    f"audit list --limit {HUGE}",
    f"requests list --limit {HUGE}",
    "requests list --older-than 99999999999",
    "requests list --due-before 0001-01-01",
    "requests list --due-before 9999-12-31",
    f"requests hold --older-than {HUGE} --dry-run",
    "report --to 0001-01-01",
    "report --from 9999-12-31 --to 9999-12-31",
    "audit export --from 0001-01-01 --to 2026-01-01 --into x",
    f"run --limit {HUGE}",
    f"run --expect {HUGE}",
    f"run --expect-absent {HUGE} --reason X",
)
AT_THE_EDGE: Final = (
    f"audit list --request {2**63 - 1}",
    "audit list --limit 1000000000",
    "requests list --limit 1000000000",
    "requests list --older-than 36525",
    "requests list --due-before 1970-01-01",
    "requests list --due-before 2999-12-31",
    "report --to 1970-01-01",
    "report --from 2999-12-31 --to 2999-12-31",
    "report --from 1970-01-01 --to 2999-12-31 --output csv",
    "run --dry-run --expect 1000000000 --limit 1000000000 --reason X",
)


def test_what_is_out_of_range_is_a_usage_error(program: Program) -> None:
    for words in BEYOND:
        done = program.here(*words.split())
        assert (done.returncode, done.stdout) == (ExitCode.USAGE, ""), words
        assert len(re.findall("^Error: ", done.stderr, re.MULTILINE)) == 1, (words, done.stderr)


def test_what_is_just_in_range_is_answered(program: Program) -> None:
    for words in AT_THE_EDGE:
        done = program.here(*words.split())
        assert (done.returncode, done.stderr) == (0, ""), words
    shown = program.here("requests", "show", str(2**63 - 1))
    assert (shown.returncode, shown.stderr.count("\n")) == (ExitCode.USAGE, 1)


@SQLITE
def test_bytes_that_are_no_text_are_a_usage_error(program: Program) -> None:
    for words in (
        ("requests", "list", "--reference", "T-\udce9"),
        ("requests", "add", "--email", "zo\udceb@example.org"),
        ("run", "--actor", "\udcff"),
        ("run", "--dry-run", "--plan", "pl\udce4ne"),
    ):
        done = program(*words)
        assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
        assert done.stderr.splitlines()[-1].startswith(
            f"Error: word {len(words)} after 'forge-gdpr' is no UTF-8 text"
        )
        assert "\\udc" not in done.stderr


def one_line(done: subprocess.CompletedProcess[str], *, holds: str) -> None:
    assert done.returncode in {ExitCode.CONFIGURATION, ExitCode.DATABASE}, done.stderr
    assert (done.stderr.startswith("error: "), done.stderr.count("\n")) == (True, 1), done.stderr
    assert holds in done.stderr, done.stderr
    assert "bug" not in done.stderr


@SQLITE
def test_a_path_that_cannot_be_used_is_one_line(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": generated_user(0).id})
    folder = program.folder
    (folder / "file").touch()
    (folder / "loop").symlink_to("loop")
    export = "audit export --from 2026-01-01 --to 2026-12-31 --into"
    for words, holds in (
        ("run --dry-run --plan missing/plan", "'mkdir -p missing'"),
        ("run --dry-run --plan file/plan", "not a folder"),
        ("run --plan loop", "link that leads to itself"),
        (f"run --dry-run --plan {'x' * 300}", "too long"),
        ("run --plan missing", "spelt right"),
        (f"{export} missing/new", "'mkdir -p missing'"),
        (f"{export} file/new", "not a folder"),
        ("audit keygen missing/key", "'mkdir -p missing'"),
        ("audit keygen file/key", "not a folder"),
        ("audit keygen --subject missing/key", "'mkdir -p missing'"),
        ("requests import --keep-going missing/rejects requests.csv", "'mkdir -p missing'"),
    ):
        (folder / "requests.csv").write_text("reference,forge_user_id\n")
        one_line(program.here(*words.split()), holds=holds)
    assert fetch(engine, "SELECT count(*) FROM runs") == [0]


def small_files(most_bytes: int) -> Callable[[], None]:
    """Let no file grow beyond so much, as a full disk would."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return limit


@SQLITE
def test_a_disk_that_is_full_is_one_line_and_leaves_nothing_running(
    program: Program, engine: Engine
) -> None:
    people = [generated_user(number).id for number in range(30)]
    insert(engine, *({"forge_user_id": user_id} for user_id in people))
    size = Path(str(engine.url.database).removeprefix("file:")).stat().st_size

    def run_in(most_bytes: int, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            program.command(*words),
            env=program.unmeasured().environment,
            cwd=program.folder,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
            preexec_fn=small_files(most_bytes),
        )

    there = set(program.folder.iterdir())
    one_line(run_in(0, "run", "--dry-run", "--plan", "plan"), holds="plan can't be used (file too")
    one_line(run_in(0, "audit", "keygen", "key"), holds="key can't be used (file too large)")
    days = ("--from", "2026-01-01", "--to", "2026-12-31")
    one_line(run_in(0, "audit", "export", *days, "--into", "new"), holds="new can't be used (file")
    assert set(program.folder.iterdir()) == there
    done = run_in(size + 8192, "run")
    assert done.returncode == ExitCode.DATABASE
    assert done.stderr.splitlines()[-1].startswith("error: the database ")
    assert "Traceback" not in done.stderr


@SQLITE
def test_nothing_that_is_there_is_written_over(program: Program, engine: Engine) -> None:
    insert(engine, {"forge_user_id": generated_user(0).id})
    assert program.here("run").returncode == 0
    for name in ("file", "key.pub"):
        (program.folder / name).write_text("mine")
    (program.folder / "link").symlink_to("nowhere")
    for words in (
        "run --dry-run --plan {}",
        f"audit prove --user-id {generated_user(0).id} --certificate {{}}",
        "audit export --from 2026-01-01 --to 2026-12-31 --into {}",
        "audit keygen {}",
    ):
        for name in ("file", "link"):
            done = program.here(*words.format(name).split())
            assert (done.returncode, done.stdout) == (ExitCode.USAGE, ""), words
            assert done.stderr == (
                f"error: {name} is there already, and is not written over: name another\n"
            )
    half = program.here("audit", "keygen", "key")  # whose other half would be written over
    assert (half.returncode, half.stderr.startswith("error: key.pub is there")) == (2, True)
    assert not (program.folder / "key").exists()
    assert {(program.folder / name).read_text() for name in ("file", "key.pub")} == {"mine"}


@SQLITE
def test_a_database_whose_path_cannot_be_used_is_one_line(program: Program) -> None:
    (program.folder / "folder").mkdir()
    (program.folder / "file").touch()
    for path in ("folder", "missing/requests.db", "file/requests.db", "x" * 300):
        for words in ("run", "requests list", "db upgrade"):
            done = program.here(*words.split(), FORGE_GDPR_DATABASE_URL=f"sqlite:///{path}")
            one_line(done, holds="folder" if path == "folder" else path)


def test_a_permission_is_one_line() -> None:
    error = path_error(PermissionError(13, "Permission denied", "/etc/it's/key"))
    assert str(error) == (
        "/etc/it's/key can't be used (permission denied): this user may not do that: see 'ls -ld"
        """ '/etc/it'"'"'s/key' '/etc/it'"'"'s'', then chown or chmod"""
    )


def test_an_error_that_is_about_no_path_stays_a_bug() -> None:
    assert path_error(ConnectionResetError(104, "reset")) is None
    assert path_error(OSError("no number")) is None
    assert path_error(FileNotFoundError(2, "gone")) is None
    assert path_error(OSError(9, "Bad file descriptor", 7)) is None


def test_a_full_disk_is_one_whatever_the_file() -> None:
    error = path_error(OSError(28, "No space left on device"))
    assert str(error) == "a file can't be used (no space left on device): make room: see 'df -h .'"


@SQLITE
def test_debugging_shows_where_an_error_comes_from_and_no_values(program: Program) -> None:
    missing = {"FORGE_GDPR_DATABASE_URL": "sqlite:///nowhere.db"}
    assert program("run", **missing).stderr.count("\n") == 1
    shown = program("run", FORGE_GDPR_LOG_LEVEL="debug", **missing).stderr
    assert "Traceback" in shown
    assert "engine.py" in shown
    assert shown.splitlines()[-1].startswith("error: there is no database nowhere.db")


def test_a_bug_shows_what_it_came_from_and_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    try:
        try:
            {}["ada@example.org"]  # type: ignore[index]
        except KeyError:
            raise ValueError("ada@example.org") from None
    except ValueError as error:
        show_bug(type(error), error, error.__traceback__)
    text = capfd.readouterr().err
    assert text.count("Traceback") == 2
    assert "builtins.KeyError, and then" in text
    assert "bug: builtins.ValueError (its message is withheld" in text

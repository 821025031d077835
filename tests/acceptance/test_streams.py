"""The process's streams and signals: whatever is wrong with them, the work is done and told."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog
from world import KEY, Program, fetch, insert, make_program

from forge_gdpr import logs
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

FULL: Final = Path("/dev/full")
USERS: Final = [generated_user(number) for number in range(24)]
SLOW: Final = Fault(kind=FaultKind.SLOW, delay_s=0.1, count=None)
#: What is about the process is the same on both databases.
SQLITE: Final = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
#: Commands that only tell, and what they end with after a night that needs review.
TELLING: Final = (
    ("requests list", 0),
    ("requests list --output csv", 0),
    ("report", 0),
    ("report --output json", 0),
    ("status", 10),
    ("audit verify --output json", 0),
    ("audit list", 0),
    ("doctor --offline", 0),
)


def fill(engine: Engine) -> None:
    """Insert people whom a night erases, and somebody who ends in review."""
    insert(engine, *({"forge_user_id": user.id} for user in USERS), {"forge_user_id": "../x"})


def closing(*descriptors: int) -> Callable[[], None]:
    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


def run_with(
    program: Program,
    words: Sequence[str],
    *,
    before: Callable[[], None] | None = None,
    **pipes: Any,
) -> tuple[int, str, str]:
    """Run a command whose streams are not the usual; return its code and what could be heard."""
    usual: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }
    done = subprocess.run(
        program.command(*words),
        env=program.environment,
        cwd=program.folder,
        preexec_fn=before,  # no other thread is alive here
        check=False,
        text=True,
        timeout=60,
        **usual | pipes,
    )
    return done.returncode, done.stdout or "", done.stderr or ""


def all_is_recorded(engine: Engine) -> None:
    """See that the night was done to its end and nothing of it is lost."""
    states = "SELECT status, count(*) FROM deletion_requests GROUP BY status ORDER BY status"
    assert fetch(engine, states) == [("done", len(USERS)), ("review", 1)]
    assert fetch(engine, "SELECT count(*) FROM deletion_outcomes") == [len(USERS)]
    assert fetch(engine, "SELECT count(*) FROM runs WHERE closed_at IS NULL") == [0]


@SQLITE
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_night_with_closed_streams_is_a_night(
    program: Program, engine: Engine, closed: tuple[int, ...]
) -> None:
    fill(engine)
    code, out, err = run_with(program, ["run"], before=closing(*closed))
    assert code == 10
    assert ("next deadline" in out) is (1 not in closed)
    assert ("run.closed" in err) is (2 not in closed)
    assert "Traceback" not in out + err
    all_is_recorded(engine)


@SQLITE
@pytest.mark.parametrize("full", [("stdout",), ("stderr",), ("stdout", "stderr")])
@pytest.mark.parametrize("words", ["run", "run --output json"])
def test_a_night_on_a_full_disk_is_a_night(
    program: Program, engine: Engine, full: tuple[str, ...], words: str
) -> None:
    fill(engine)
    with FULL.open("wb") as disk:
        pipes: dict[str, Any] = dict.fromkeys(full, disk)
        code, out, err = run_with(program, words.split(), **pipes)
    assert code == 10
    assert "Traceback" not in out + err
    if full == ("stdout",):
        lines = err.splitlines()
        assert "run.closed" in lines[0]
        (warning,) = lines[1:]
        assert warning.startswith("warning: stdout can't be written (no space left on device)")
    all_is_recorded(engine)


@SQLITE
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_in_mid_run_stops_nothing(
    program: Program, engine: Engine, stream: str
) -> None:
    fill(engine)
    with Sandbox(users=30, key=KEY, faults=[SLOW]) as forge:
        process = program.start("run", "--concurrency", "2", FORGE_GDPR_BASE_URL=forge.url)
        assert process.stdout is not None
        assert process.stderr is not None
        until(lambda: len(forge.users) < 29)
        gone, other = process.stdout, process.stderr
        if stream == "stderr":
            gone, other = other, gone
        gone.close()
        text = other.read()
        other.close()
        assert process.wait(timeout=60) == 10
    assert "Traceback" not in text
    all_is_recorded(engine)


@SQLITE
@pytest.mark.parametrize("trouble", ["closed", "full", "unread"])
def test_what_a_command_ends_with_is_said_whoever_listens(
    program: Program, engine: Engine, trouble: str
) -> None:
    fill(engine)
    assert program.here("run").returncode == 10
    ours, theirs = os.pipe()
    os.close(ours)
    with FULL.open("wb") as disk, os.fdopen(theirs, "wb") as unread:
        for words, expected in TELLING:
            given: dict[str, dict[str, Any]] = {
                "closed": {"before": closing(1)},
                "full": {"stdout": disk},
                "unread": {"stdout": unread},
            }
            code, _, err = run_with(program, words.split(), **given[trouble])
            assert (code, "Traceback" in err) == (expected, False), words
            assert (err.count("\n") == 1) is (trouble == "full"), (words, err)


@SQLITE
@pytest.mark.parametrize("trouble", ["closed", "full"])
def test_an_error_that_nobody_hears_still_has_its_code(program: Program, trouble: str) -> None:
    missing = make_program(
        program.folder, **program.environment | {"FORGE_GDPR_DATABASE_URL": "sqlite:///missing.db"}
    )
    with FULL.open("wb") as disk:
        given: dict[str, Any] = {"closed": {"before": closing(2)}, "full": {"stderr": disk}}
        code, out, _ = run_with(missing, ["requests", "list"], **given[trouble])
    assert (code, out) == (3, "")


@SQLITE
def test_an_export_does_not_need_anybody_to_be_told(program: Program, engine: Engine) -> None:
    fill(engine)
    assert program.here("run").returncode == 10
    words = ["audit", "export", "--from", "2020-01-01", "--to", "2099-01-01", "--into"]
    assert run_with(program, [*words, "one"], before=closing(0, 1, 2))[0] == 0
    with FULL.open("wb") as disk:
        assert run_with(program, [*words, "two"], stdout=disk, stderr=disk)[0] == 0
    texts = [(program.folder / name / "events.jsonl").read_bytes() for name in ("one", "two")]
    assert texts[0] == texts[1]


@SQLITE
def test_nothing_is_written_into_a_database_that_got_a_closed_streams_number(
    program: Program, engine: Engine
) -> None:
    """A file that is opened gets the lowest number; what is said must not go into it."""
    fill(engine)
    code, _, _ = run_with(program, ["--verbose", "run"], before=closing(0, 1, 2))
    assert code == 10
    assert program.here("audit", "verify").returncode == 0
    all_is_recorded(engine)


@SQLITE
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_what_a_terminal_cannot_show_is_escaped(
    program: Program, engine: Engine, encoding: str
) -> None:
    insert(engine, {"forge_user_id": USERS[0].id, "reference": "T-€-Ω-😀"})
    plain = {"PYTHONIOENCODING": encoding, "FORGE_GDPR_REFERENCE_PATTERN": ".*"}
    for words in ("run --dry-run", "run", "requests list", "requests show 1", "report", "status"):
        done = subprocess.run(
            program.command(*words.split()),
            env=program.environment | plain,
            cwd=program.folder,
            capture_output=True,
            check=False,
            timeout=60,
        )
        said = (done.stdout + done.stderr).decode("latin-1")
        assert (done.returncode, "Traceback" in said) == (0, False), (words, said)
        assert "\\u2500" not in said, words
        if words == "requests list":
            assert "T-\\u20ac-\\u03a9-\\U0001f600" in said
    listed = program("requests", "list", "--output", "json", **plain)
    assert json.loads(listed.stdout)[0]["reference"] == "T-€-Ω-😀"


@SQLITE
def test_a_page_says_what_it_is_encoded_in(program: Program) -> None:
    done = subprocess.run(
        program.command("report", "--output", "html"),
        env=program.environment | {"PYTHONIOENCODING": "latin-1"},
        cwd=program.folder,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert '<meta charset="utf-8">' in done.stdout.decode("utf-8")


@SQLITE
@pytest.mark.parametrize(
    ("ignored", "code", "left"),
    [
        pytest.param(False, 128 + signal.SIGHUP, True, id="noted"),
        pytest.param(True, 10, False, id="under nohup"),
    ],
)
def test_a_terminal_that_is_closed_stops_the_run_cleanly_however_often_it_says_so(
    program: Program, engine: Engine, ignored: bool, code: int, left: bool
) -> None:
    fill(engine)

    def hang_up() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)

    with Sandbox(users=30, key=KEY, faults=[SLOW]) as forge:
        process = subprocess.Popen(
            program.command("run", "--concurrency", "2", "--quiet"),
            env=program.environment | {"FORGE_GDPR_BASE_URL": forge.url},
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=hang_up,  # noqa: PLW1509  # the sandbox's thread holds no lock of it
        )
        until(lambda: len(forge.users) < 29)
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.01)
        assert process.wait(timeout=60) == code
    assert fetch(engine, "SELECT count(*) FROM deletion_requests WHERE status = 'running'") == [0]
    pending = fetch(engine, "SELECT count(*) FROM deletion_requests WHERE status = 'pending'")[0]
    assert (pending > 0) is left


def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Broken(io.TextIOBase):
    """A stream on which everything fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def isatty(self) -> bool:
        raise self._error

    def write(self, _text: str) -> int:
        raise self._error

    def flush(self) -> None:
        raise self._error


@pytest.mark.parametrize("style", ["auto", "json", "console"])
@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(None, id="none"),
        pytest.param(Broken(OSError(28, "x")), id="full"),
        pytest.param(Broken(ValueError("closed")), id="closed"),
    ],
)
def test_logging_never_raises(stream: Any, style: str) -> None:
    try:
        logs.configure(level="debug", style=style, stream=stream)
        structlog.get_logger().warning("run.closed", due=1)
    finally:
        structlog.reset_defaults()
        logging.captureWarnings(False)
        logging.disable(logging.NOTSET)


def test_a_reader_that_is_slow_is_waited_for() -> None:
    """Whoever shares a pipe can make it non-blocking, and then a full one takes nothing."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    text = "x" * 1_000_000
    code = (
        "import sys; from forge_gdpr.cli.streams import loss, secure_streams; secure_streams();"
        f"sys.stdout.write('x' * {len(text)}); sys.stdout.flush(); sys.exit(loss(sys.stdout))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        assert pipe.read() == text
    assert process.wait(timeout=60) == 0

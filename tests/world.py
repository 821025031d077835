"""What tests do to the real parts: insert, run a night, start the program, look at the result."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from click.testing import CliRunner
from sqlalchemy import Engine, event, text

from forge_gdpr.absence import Account
from forge_gdpr.cli import main
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.forge.client import ForgeClient
from forge_gdpr.forge.erasure import Eraser, Steps
from forge_gdpr.forge.gate import Gate, Pace
from forge_gdpr.forge.transport import Endpoint
from forge_gdpr.pseudonyms import SubjectKey
from forge_gdpr.retries import RetryPolicy
from forge_gdpr.run.nightly import Order, Stop, Surroundings, run
from forge_gdpr.run.opening import Limits

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from forge_gdpr.run.summary import Summary

KEY: Final = "sandbox-key"
SUBJECT_KEY: Final = SubjectKey(b"k" * 32)
#: Tries follow each other at once: a test does not sleep.
AT_ONCE: Final = RetryPolicy(least_wait_s=0.0, most_wait_s=0.0)


def insert(engine: Engine, *rows: Mapping[str, object]) -> list[int]:
    """Insert requests as an application does, with plain SQL, and return their ids."""
    ids = []
    with writing(engine) as connection:
        for row in rows:
            marker = "?" if engine.dialect.name == "sqlite" else "%s"
            columns = ", ".join(row)
            values = ", ".join(marker for _ in row)
            added = connection.exec_driver_sql(
                f"INSERT INTO deletion_requests ({columns}) VALUES ({values}) RETURNING id",
                tuple(row.values()),
            )
            ids.append(int(added.scalar_one()))
    return ids


def fetch(engine: Engine, sql: str) -> list[Any]:
    """Return the rows of a query, single columns unpacked."""
    with reading(engine) as connection:
        rows = connection.execute(text(sql)).all()
    return [row[0] if len(row) == 1 else tuple(row) for row in rows]


class Warm(Endpoint):
    """An endpoint that does not load all the world's authorities anew, which takes 30 ms."""

    def tls_context(self) -> ssl.SSLContext:
        """Return the shared context, or one of its own for authorities of its own."""
        return _CONTEXT if self.ca_file is None else super().tls_context()


_CONTEXT: Final = Endpoint(base_url="", api_key="").tls_context()


@contextmanager
def client(
    base_url: str, *, pace: Pace | None = None, policy: RetryPolicy = AT_ONCE, **changes: Any
) -> Iterator[ForgeClient]:
    """Open a client; ``changes`` are of the endpoint."""
    given: dict[str, Any] = {
        "api_key": KEY,
        "total_timeout_s": 5.0,
        "read_timeout_s": 5.0,
    } | changes
    gate = Gate(pace or Pace(), monotonic=time.monotonic)
    with ForgeClient(
        Warm(base_url=base_url, **given),
        gate=gate,
        policy=policy,
        monotonic=time.monotonic,
        now=lambda: datetime.now(UTC),
        draw=lambda: 0.0,
    ) as opened:
        yield opened


def night(
    engine: Engine,
    base_url: str,
    *,
    limits: Limits | None = None,
    steps: Steps | None = None,
    stop: Stop | None = None,
    progress: Callable[[int, int], None] = lambda _done, _due: None,
    order: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Summary:
    """Carry out one run in this process; ``changes`` are those of `client`."""
    given: dict[str, Any] = {
        "actor": "tester",
        "version": "0",
        "subject_key": SUBJECT_KEY,
        "limits": limits or Limits(max_due=1000, cool_off_days=0),
        "concurrency": 4,
        "account": Account.of(
            [SUBJECT_KEY], base_url=base_url, api_key=changes.get("api_key", KEY)
        ),
    }
    made = Order(**given | dict(order or {}))
    with client(base_url, **changes) as opened:
        return run(
            made,
            Surroundings(
                engine=engine,
                eraser=Eraser(opened, steps or Steps(), sentinel=made.ids.sentinel),
                gate=opened.gate,
                stop=stop or Stop(),
                monotonic=time.monotonic,
                random=secrets.token_bytes,
                progress=progress,
            ),
        )


@contextmanager
def raw_server(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve each connection with ``behave(socket)`` in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=guarded, args=(connection,), daemon=True)
            threads.append(thread)
            thread.start()

    def guarded(connection: socket.socket) -> None:
        with connection:
            try:
                behave(connection)
            except OSError:
                return

    acceptor = threading.Thread(target=serve, daemon=True)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/forge"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class Program:
    """The installed program with an environment of its own, as cron starts it."""

    environment: dict[str, str] = field(repr=False)
    folder: Path

    def __call__(
        self, *words: str, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command and return what it said and its exit code."""
        return subprocess.run(
            self.command(*words),
            env=self.environment | variables,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )

    def here(
        self, *words: str, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command in this process: for what a process of its own would show no better."""
        nothing = dict.fromkeys(os.environ)
        engines: set[Engine] = set()

        def note(connection: Connection) -> None:
            engines.add(connection.engine)

        event.listen(Engine, "engine_connect", note)
        try:
            with chdir(self.folder):
                result = CliRunner(catch_exceptions=False).invoke(
                    main,
                    words,
                    input=stdin,
                    env=nothing | self.environment | variables,
                    prog_name="forge-gdpr",
                )
        finally:  # what the end of a process would have done
            event.remove(Engine, "engine_connect", note)
            for engine in engines:
                engine.dispose()
            structlog.reset_defaults()
            logging.captureWarnings(False)
            logging.disable(logging.NOTSET)
        return subprocess.CompletedProcess(words, result.exit_code, result.stdout, result.stderr)

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start one command and return the process."""
        return subprocess.Popen(
            self.command(*words),
            env=self.environment | variables,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def unmeasured(self) -> Program:
        """Return it without coverage: where its file can't be written, either, it says so."""
        kept = {k: v for k, v in self.environment.items() if not k.startswith("COVERAGE")}
        return replace(self, environment=kept)

    @staticmethod
    def command(*words: str) -> Sequence[str]:
        """Return the command line."""
        return [sys.executable, "-m", "forge_gdpr", *words]


def make_program(folder: Path, **variables: str) -> Program:
    """Return the program with nothing of this process' environment but what it needs to run."""
    kept = {k: v for k, v in os.environ.items() if k.startswith(("COVERAGE", "PATH"))}
    return Program(
        environment=kept
        | {"PYTHONUTF8": "1", "FORGE_GDPR_SUBJECT_KEY": SUBJECT_KEY.secret.decode()}
        | variables,
        folder=folder,
    )


@cache
def demo() -> subprocess.CompletedProcess[str]:
    """Return what the demo said; it takes a while, so it is shown once."""
    with tempfile.TemporaryDirectory() as folder:
        return make_program(Path(folder))("demo")


def stranger(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run what a stranger has: Python and a shell, and no package at all."""
    return subprocess.run(
        words,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
        text=True,
    )

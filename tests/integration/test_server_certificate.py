"""`doctor` says how long the certificate of Forge's server is valid."""

from __future__ import annotations

import re
import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme
from world import KEY, Program

from forge_gdpr.forge.expiry import expires_at
from forge_gdpr.sandbox import Sandbox
from forge_gdpr.watch.account import certificate
from forge_gdpr.watch.findings import Finding, warning

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)
NAME = "forge certificate"


def doctor(program: Program, folder: Path, *, days: int) -> tuple[int, str]:
    authority = trustme.CA()
    bundle = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ends_at = datetime.now(UTC) + timedelta(days=days, hours=1)
    authority.issue_cert("localhost", not_after=ends_at).configure_cert(context)
    with Sandbox(users=2, key=KEY, tls=context) as secure:
        done = program.here(
            "doctor", FORGE_GDPR_BASE_URL=secure.url, FORGE_GDPR_CA_FILE=str(bundle)
        )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("days", "line"),
    [
        (80, r"ok +forge certificate +valid for 80 more days, until [-\d]{10} [:\d]{5} UTC"),
        (13, r"warning +forge certificate +valid for 13 more days, until .* UTC: ask whoever runs"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_doctor_says_how_long_it_is_valid(
    program: Program, tmp_path: Path, days: int, line: str
) -> None:
    code, text = doctor(program, tmp_path, days=days)
    assert code == 0
    assert re.search(line, text), text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_doctor_says_nothing_of_it_where_there_is_none(program: Program, tmp_path: Path) -> None:
    assert NAME not in program.here("doctor").stdout
    code, text = doctor(program, tmp_path, days=-1)
    assert code == 5
    assert "certificate expired on" in text
    assert NAME not in text


def test_how_it_is_said() -> None:
    assert certificate(NOW + timedelta(days=14), now=NOW) == Finding(
        name=NAME, said="valid for 14 more days, until 2026-12-09 02:30 UTC"
    )
    assert certificate(NOW + timedelta(days=13, hours=23), now=NOW) == warning(
        NAME,
        "valid for 13 more days, until 2026-12-09 01:30 UTC: ask whoever runs the server when it"
        " is renewed",
    )
    assert certificate(None, now=NOW).level == "warning"


def test_who_does_not_answer_has_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert expires_at("127.0.0.1", port, timeout_s=0.1, hold=lambda _socket: None) is None

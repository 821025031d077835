"""The client against the sandbox, and against servers that misbehave, over real sockets."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest
import trustme
from world import AT_ONCE, KEY, client, raw_server

from forge_gdpr.answers import Verdict
from forge_gdpr.errors import (
    ConfigurationError,
    ForgeRejectedError,
    ForgeUnavailableError,
    KeyRefusedError,
    NotFoundError,
)
from forge_gdpr.forge.client import FailedTryError, Trail
from forge_gdpr.forge.erasure import Eraser, Steps
from forge_gdpr.forge.gate import Halt, HaltedError, Pace
from forge_gdpr.lifecycle import Reason
from forge_gdpr.retries import RetryPolicy
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    import socket
    from pathlib import Path

ADA = generated_user(0)
ONE_TRY = RetryPolicy(tries=1)


def test_all_six_endpoints_are_spoken(sandbox: Sandbox) -> None:
    with client(sandbox.url) as forge:
        new_id = forge.create_user(name="Zoë Ünal", email="zoe@example.org")
        changed = forge.update_user(new_id, email="z@example.org", full_name="Zoë")
        found = forge.get_user(new_id)
        token = forge.token(new_id)
        listed = forge.list_users()
        forge.delete_logs(new_id)
        forge.delete_user(new_id)
        with pytest.raises(NotFoundError):
            forge.get_user(new_id)
    assert (changed.id, changed.email, changed.full_name) == (new_id, "z@example.org", "Zoë")
    assert (found.email, len(found.workflows)) == ("z@example.org", 1)
    assert token.count(".") == 2
    assert len(listed) == 31
    assert "zoe" not in repr(found).casefold()


def test_a_wrong_key_is_said_so(sandbox: Sandbox) -> None:
    with client(sandbox.url, api_key="wrong") as forge, pytest.raises(KeyRefusedError):
        forge.list_users()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.HTML, ForgeUnavailableError),
        (FaultKind.WRONG_JSON, ForgeUnavailableError),
        (FaultKind.EMPTY, ForgeUnavailableError),
        (FaultKind.REDIRECT, ForgeUnavailableError),
        (FaultKind.NOT_SUCCESS, ForgeUnavailableError),
        (FaultKind.GARBAGE, ForgeUnavailableError),
    ],
)
def test_an_undocumented_list_is_refused(
    sandbox: Sandbox, kind: FaultKind, error: type[Exception]
) -> None:
    headers = (("Location", "http://127.0.0.1:1/"),) if kind is FaultKind.REDIRECT else ()
    sandbox.script(Fault(kind=kind, headers=headers, count=None))
    with client(sandbox.url) as forge, pytest.raises(error):
        forge.list_users()


def test_a_user_is_never_made_twice_by_a_retry(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.ANSWER_LOST, method="POST"))
    with client(sandbox.url) as forge, pytest.raises(ForgeUnavailableError):
        forge.create_user(name="Zoë", email="zoe@example.org")
    assert [s.method for s in sandbox.seen] == ["POST"]


def test_a_bad_request_is_not_the_keys_fault(sandbox: Sandbox) -> None:
    with client(sandbox.url) as forge, pytest.raises(ForgeRejectedError):
        forge.create_user(name="Zoë", email=ADA.email)


def test_a_deletion_that_forge_does_not_confirm_is_none(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.NOT_SUCCESS))
    with client(sandbox.url) as forge, pytest.raises(ForgeUnavailableError):
        forge.delete_user(ADA.id)


def test_nothing_of_the_environment_has_an_effect(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login x password y\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    with client(sandbox.url) as forge:
        assert len(forge.list_users()) == 30


def test_the_proxy_setting_has_one(sandbox: Sandbox) -> None:
    proxy = sandbox.url.removesuffix("/forge/2021-12")
    with client("http://127.0.0.1:9/forge/2021-12", proxy=proxy) as forge:
        assert forge.call("DELETE", "user", ADA.id).status == 200
    assert sandbox.seen[-1].target.startswith("http://127.0.0.1:9/")


@pytest.mark.parametrize("kind", [FaultKind.DRIP, FaultKind.DRIP_BODY])
def test_a_drip_does_not_beat_the_deadline(sandbox: Sandbox, kind: FaultKind) -> None:
    sandbox.script(Fault(kind=kind, method="DELETE", delay_s=0.05))
    started = time.monotonic()
    with client(sandbox.url, policy=ONE_TRY, total_timeout_s=0.3) as forge:
        trail = Trail()
        with pytest.raises(FailedTryError):
            forge.call("DELETE", "user", ADA.id, trail=trail)
        assert trail.reached
        assert forge.call("DELETE", "user", ADA.id).status in {200, 404}  # a new connection
    assert time.monotonic() - started < 1.0


def test_a_drip_in_the_tls_handshake_does_not_beat_the_deadline() -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(1)
        for _ in range(100):
            connection.send(b"\x16")
            time.sleep(0.05)

    started = time.monotonic()
    with raw_server(drip) as url:
        secure = url.replace("http://", "https://")
        with (
            client(secure, policy=ONE_TRY, total_timeout_s=0.3, connect_timeout_s=5.0) as forge,
            pytest.raises(FailedTryError),
        ):
            forge.call("DELETE", "user", ADA.id)
        assert time.monotonic() - started < 1.0


def test_a_hang_ends_with_the_read_timeout(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.HANG, method="DELETE"))
    trail = Trail()
    with (
        client(sandbox.url, policy=ONE_TRY, read_timeout_s=0.1) as forge,
        pytest.raises(FailedTryError) as caught,
    ):
        forge.call("DELETE", "user", ADA.id, trail=trail)
    assert (caught.value.status, trail) == (None, Trail(tries=1, reached=True))


def test_what_was_never_connected_has_not_reached_forge() -> None:
    trail = Trail()
    with client("http://127.0.0.1:1/forge") as forge, pytest.raises(FailedTryError):
        forge.call("DELETE", "user", ADA.id, trail=trail)
    assert trail == Trail(tries=4, reached=False)


def test_an_endless_body_is_read_to_the_limit_only(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.HUGE_BODY, method="DELETE"))
    with client(sandbox.url) as forge:
        reply = forge.call("DELETE", "user", ADA.id)
    assert (len(reply.body), reply.cut) == (64 * 1024, True)


def test_an_endless_redirect_is_neither_followed_nor_read(sandbox: Sandbox) -> None:
    other = Fault(
        kind=FaultKind.HUGE_BODY, method="DELETE", status=302, headers=(("Location", "/elsewhere"),)
    )
    sandbox.script(other)
    with client(sandbox.url) as forge:
        reply = forge.call("DELETE", "user", ADA.id)
    assert reply.cut
    assert len(sandbox.seen) == 1


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_a_trusted_certificate_is_accepted(authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with Sandbox(users=2, key=KEY, tls=context) as secure:
        with client(secure.url, ca_file=str(bundle)) as forge:
            assert len(forge.list_users()) == 2
        with client(secure.url) as forge:
            with pytest.raises(FailedTryError):
                forge.call("GET", "user")
            assert forge.gate.halt_reason is Halt.CERTIFICATE


def test_a_certificate_for_another_host_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("forge.example.org").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with (
        Sandbox(users=2, key=KEY, tls=context) as secure,
        client(secure.url, ca_file=str(bundle)) as forge,
    ):
        with pytest.raises(FailedTryError):
            forge.call("DELETE", "user", ADA.id)
        assert forge.gate.halt_reason is Halt.CERTIFICATE
        assert secure.seen == ()


def test_a_missing_ca_file_is_explained() -> None:
    with (
        pytest.raises(ConfigurationError, match="FORGE_GDPR_CA_FILE"),
        client("https://localhost", ca_file="/nonexistent"),
    ):
        pass


def test_a_halt_lets_no_call_through(sandbox: Sandbox) -> None:
    with client(sandbox.url) as forge:
        forge.gate.halt(Halt.SIGNAL)
        with pytest.raises(HaltedError):
            forge.call("DELETE", "user", ADA.id)
    assert sandbox.seen == ()


def test_a_halt_while_waiting_makes_no_further_try(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, status=503, count=None))
    patient = RetryPolicy(least_wait_s=5.0)
    with client(sandbox.url, policy=patient) as forge:
        threading.Timer(0.1, forge.gate.halt, [Halt.SIGNAL]).start()
        started = time.monotonic()
        with pytest.raises((HaltedError, FailedTryError)):
            forge.call("DELETE", "user", ADA.id)
    assert time.monotonic() - started < 2.0
    assert len(sandbox.seen) == 1


@pytest.mark.parametrize(
    ("header", "seen"), [("0", 2), ("61", 1), ("nan", 2), ("-5", 2), ("1e9", 2)]
)
def test_retry_after_is_obeyed_strictly(sandbox: Sandbox, header: str, seen: int) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, status=429, headers=(("Retry-After", header),)))
    with client(sandbox.url) as forge, contextlib.suppress(FailedTryError):
        forge.call("DELETE", "user", ADA.id)
    assert len(sandbox.seen) == seen


def test_one_429_pauses_the_whole_pool(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, status=429, headers=(("Retry-After", "1"),)))
    with client(sandbox.url, policy=ONE_TRY) as forge:
        with pytest.raises(FailedTryError):
            forge.call("DELETE", "user", ADA.id)
        started = time.monotonic()
        other = threading.Thread(target=forge.call, args=("DELETE", "user", ADA.id))
        other.start()
        other.join()
    assert time.monotonic() - started > 0.9


def test_the_rate_holds_over_all_workers(sandbox: Sandbox) -> None:
    with client(sandbox.url, pace=Pace(rate=100.0)) as forge:
        started = time.monotonic()
        threads = [
            threading.Thread(target=forge.call, args=("GET", "user", ADA.id)) for _ in range(21)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert time.monotonic() - started >= 0.2
    assert len(sandbox.seen) == 21


def test_logs_go_before_the_account_and_a_look_comes_after(sandbox: Sandbox) -> None:
    with client(sandbox.url) as forge:
        erasure = Eraser(forge, Steps(erase_logs=True, verify=True)).erase(ADA.id)
    assert [(s.name, s.http_status) for s in erasure.steps] == [
        ("logs", 200),
        ("account", 200),
        ("verify", 404),
    ]
    assert (erasure.verdict, erasure.tries, erasure.reason) == (Verdict.ERASED, 3, None)


def test_a_user_who_is_still_there_is_not_erased(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, status=204, method="DELETE"))
    with client(sandbox.url) as forge:
        erasure = Eraser(forge, Steps(verify=True)).erase(ADA.id)
    assert (erasure.verdict, erasure.reason) == (Verdict.UNEXPECTED, Reason.STILL_PRESENT)


def test_logs_that_stay_keep_the_account(sandbox: Sandbox) -> None:
    sandbox.script(Fault(kind=FaultKind.STATUS, status=503, path="logs", count=None))
    with client(sandbox.url, policy=AT_ONCE) as forge:
        erasure = Eraser(forge, Steps(erase_logs=True)).erase(ADA.id)
    assert erasure.verdict is Verdict.TRANSIENT
    assert len(sandbox.users) == 30

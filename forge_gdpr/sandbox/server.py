"""The sandbox as its users see it: a context manager that serves on 127.0.0.1 from its own thread.

The one file of the room that reads the clock and makes random numbers; all others take them as
arguments.
"""

import asyncio
import random
import secrets
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from threading import Thread
from types import MappingProxyType, TracebackType
from typing import Final, Self

from forge_gdpr.sandbox.accounts import Accounts
from forge_gdpr.sandbox.api import Api
from forge_gdpr.sandbox.endpoints import BASE
from forge_gdpr.sandbox.faults import Fault
from forge_gdpr.sandbox.protocol import Connection
from forge_gdpr.sandbox.script import Script
from forge_gdpr.sandbox.seen import Seen
from forge_gdpr.sandbox.simulator import Simulator
from forge_gdpr.sandbox.userlist import Paging
from forge_gdpr.sandbox.users import User

_HOST: Final = "127.0.0.1"
_BACKLOG: Final = 1024


def utc_now() -> datetime:
    """Return the time of day, aware, in UTC."""
    return datetime.now(UTC)


class Sandbox:
    """Forge's Users API, served while the ``with`` block lasts.

    The users and the log outlive the block, and entering again serves the same users anew.

    Args:
        users: how many users there are at first: ``generated_user(0)`` and so on.
        key: the API key of the main account, which has these users.
        accounts: keys of other accounts, and how many users each has: ``generated_user(0,
            account=1)`` and so on for the first of them. A key reaches its own users only.
        paging: how much of the list is in one answer.
        port: where to listen; 0 lets the system choose.
        latency_s: how long each answer takes, in seconds; connections don't wait for each other.
        faults: what goes wrong, in order of precedence.
        seed: of the users and of the faults' probabilities. Which request draws which number
            depends on the order of arrival, so only requests made one by one repeat exactly.
        tls: serve https with this context, as ``localhost``.
        clock: where the log and the tokens have their time from.

    Raises:
        ValueError: a key stands twice, or no header can carry it.
        OSError: on entering, if the port can't be had.
    """

    def __init__(
        self,
        *,
        users: int = 0,
        key: str = "sandbox-key",
        accounts: Mapping[str, int] = MappingProxyType({}),
        paging: Paging = Paging(),  # noqa: B008  a frozen value
        port: int = 0,
        latency_s: float = 0.0,
        faults: Iterable[Fault] = (),
        seed: int = 0,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        if key in accounts:
            raise ValueError("An account has this key already")
        stores = Accounts({key: users, **accounts}, seed=seed)
        self._simulator = Simulator(
            Api(stores, token_secret=secrets.token_bytes(32)),
            script=Script(faults, draw=random.Random(seed).random),  # noqa: S311  to be repeated
            clock=clock,
            latency_s=latency_s,
        )
        self._simulator.cut(paging)
        self._port = port
        self._tls = tls
        self._url: str | None = None
        self._running: _Running | None = None

    @property
    def url(self) -> str:
        """The base URL of the API, without a slash at its end.

        Raises:
            RuntimeError: the sandbox was never entered, so it has no port yet.
        """
        if self._url is None:
            raise RuntimeError("the sandbox has no address before it is entered")
        return self._url

    @property
    def users(self) -> tuple[User, ...]:
        """The users that the main account has now."""
        return self._simulator.users()

    def users_of(self, key: str) -> tuple[User, ...]:
        """Return the users that the account of this key has now.

        Raises:
            LookupError: no account has this key.
        """
        return self._simulator.users(key)

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The requests so far, in order of arrival; those to ``/_sandbox`` are left out."""
        return self._simulator.seen()

    def add(self, user: User, *, key: str | None = None) -> None:
        """Put a user with an id of the caller's choice into the account of ``key``.

        Without a key it is the main account.

        Raises:
            LookupError: no account has this key.
            ValueError: an account has the id, or this account has the e-mail address.
        """
        self._simulator.add(user, key=key)

    def add_key(self, key: str, *, like: str | None = None) -> None:
        """Let another key reach the account of ``like`` too; without it the main account.

        Raises:
            LookupError: no account has the key ``like``.
            ValueError: the key is taken, or no header can carry it.
        """
        self._simulator.add_key(key, like=like)

    def remove_key(self, key: str) -> None:
        """Refuse a key from now on. Its account stays, and other keys still reach it.

        Raises:
            LookupError: no account has this key.
        """
        self._simulator.remove_key(key)

    @property
    def paging(self) -> Paging:
        """How much of the list is in one answer; may be set while the sandbox runs."""
        return self._simulator.paging()

    @paging.setter
    def paging(self, paging: Paging) -> None:
        self._simulator.cut(paging)

    def script(self, *faults: Fault) -> None:
        """Append faults to those that are still to strike."""
        self._simulator.extend(faults)

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._simulator.clear()

    def __enter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("the sandbox is running")
        listener = socket.create_server((_HOST, self._port), backlog=_BACKLOG)
        port = listener.getsockname()[1]
        self._url = f"http://{_HOST}:{port}{BASE}"
        if self._tls is not None:
            self._url = f"https://localhost:{port}{BASE}"
        self._running = _Running(listener, self._simulator, self._tls)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._running is not None:
            self._running.stop()
            self._running = None


class _Running:
    """The thread, the loop and the sockets of a sandbox that serves."""

    def __init__(
        self, listener: socket.socket, simulator: Simulator, tls: ssl.SSLContext | None
    ) -> None:
        self._listener = listener
        self._simulator = simulator
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._serving = self._loop.create_task(self._serve_all())
        # A daemon, so that a program that fails to leave the block can still end.
        self._thread = Thread(target=self._run, name="forge-sandbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Reset what is open and wait for the thread."""
        self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join()

    def _run(self) -> None:
        with self._listener, suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serving)
        # One more turn: transports give their sockets back in a callback.
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve_all(self) -> None:
        """Serve until cancelled. Leaving the group ends the connections and waits for them."""
        self._listener.setblocking(False)
        async with asyncio.TaskGroup() as connections:
            # Not loop.sock_accept(): cancelled at the wrong moment it loses an accepted socket.
            self._loop.add_reader(self._listener, self._accept, connections)
            try:
                await self._loop.create_future()
            finally:
                self._loop.remove_reader(self._listener)

    def _accept(self, connections: asyncio.TaskGroup) -> None:
        """Take one client in. Called as long as one is waiting."""
        with suppress(OSError):  # it is gone again, or there is no file descriptor left for it
            client, _ = self._listener.accept()
            serving = connections.create_task(self._serve(client))
            # A task that is cancelled before its first step would leave its socket open.
            serving.add_done_callback(partial(_close, client))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    async def _serve(self, client: socket.socket) -> None:
        """Serve one connection until it ends."""
        make = partial(Connection, self._simulator, self._loop)
        with suppress(OSError):  # a handshake that fails is the client's affair
            transport, connection = await self._loop.connect_accepted_socket(
                make, client, ssl=self._tls
            )
            try:
                await connection.closed.wait()
            finally:
                if not connection.closed.is_set():  # a lost transport can't be aborted
                    transport.abort()
                    await connection.closed.wait()


def _close(client: socket.socket, _: asyncio.Task[None]) -> None:
    """Close a socket; one that its transport has closed already stays closed."""
    client.close()

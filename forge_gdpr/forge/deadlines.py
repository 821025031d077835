"""A deadline for one whole try, whatever drips.

A read timeout is per socket read: a server that sends one byte every half second beats it for as
long as it likes, in the body, in the headers and in the TLS handshake. So one thread watches all
calls in flight and shuts a socket down when its call's time is over; the worker that reads from
it wakes at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

#: How often the watch looks: a try may last this much longer than its deadline.
TICK_S: Final = 0.1


class Watched:
    """One call in flight: what the watch needs to end it, and what its end needs to know."""

    def __init__(self) -> None:
        """Start without a socket: nothing is connected yet."""
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._copy: socket.socket | None = None
        self.deadline = float("inf")
        self.connected = False  #: bytes may have reached Forge
        self.expired = False

    def start(self, deadline: float) -> None:
        """Begin a new try; a connection from the try before may be used again."""
        with self._lock:
            self.deadline = deadline
            self.connected = self.expired = False

    def hold(self, sock: socket.socket | None) -> None:
        """Note the socket that this call now waits for."""
        with self._lock:
            if self._copy is not None:
                self._copy.close()
                self._copy = None
            self._socket = sock
            if self.expired:
                self._shut_down()

    def hold_copy(self, sock: socket.socket) -> None:
        """Note a socket that TLS takes away from its owner while it shakes hands."""
        copy = sock.dup()
        self.hold(copy)
        self._copy = copy

    def finish(self) -> None:
        """End the try: the watch leaves it alone."""
        with self._lock:
            self.deadline = float("inf")

    def expire(self, now: float) -> None:
        """Shut the socket down if the time is over."""
        with self._lock:
            if now >= self.deadline and not self.expired:
                self.expired = True
                self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own method, which takes the TLS state away under the reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class DeadlineWatch:
    """The thread that ends calls whose time is over. A context manager."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        """Prepare the thread.

        Args:
            monotonic: seconds that never go back.
        """
        self._monotonic = monotonic
        self._calls: list[Watched] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def add(self, call: Watched) -> None:
        """Watch the calls of one more worker."""
        self._calls.append(call)

    def _watch(self) -> None:
        while not self._stopped.wait(TICK_S):
            now = self._monotonic()
            for call in self._calls:
                call.expire(now)

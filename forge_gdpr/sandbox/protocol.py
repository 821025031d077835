"""One connection: bytes in, requests to the simulator, deliveries out.

A request is taken up when the one before it is answered, so pipelined requests wait their turn.
"""

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

from forge_gdpr.sandbox.control import control, is_control
from forge_gdpr.sandbox.delivery import Delivery, Ending
from forge_gdpr.sandbox.simulator import Simulator
from forge_gdpr.sandbox.wire import (
    CONTINUE,
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    MalformedRequestError,
    take_request,
    waits_for_continue,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How much a client may send ahead before it is read no further.
_AHEAD_BYTES: Final = MAX_HEAD_BYTES + MAX_BODY_BYTES

#: How long a client may take to close its side after we have closed ours.
_LINGER_S: Final = 2.0

#: ``struct linger``: on, 0 seconds. Closing such a socket sends RST instead of FIN.
_RESET: Final = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """One client's connection, for as long as it lasts."""

    def __init__(self, simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self.closed = asyncio.Event()
        self._simulator = simulator
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._busy = False  #: a delivery is under way, or the connection hangs
        self._encouraged = False  #: the client of the next request was told to send its body
        self._full = False  #: the client reads too slowly
        self._ended = False  #: we have said our last; what still comes in is dropped
        self._timer: asyncio.Handle | None = None
        self._number: int | None = None
        self._delivery: Delivery | None = None
        self._parts: Iterator[bytes] = iter(())
        self._next: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was still to be sent."""
        if self._timer is not None:
            self._timer.cancel()
        self._busy = self._ended = True
        self._buffer.clear()
        self._transport = None
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        """Take in bytes, and answer what is complete."""
        if self._ended or self._transport is None:
            return
        self._buffer += data
        if self._busy and len(self._buffer) > _AHEAD_BYTES:
            self._transport.pause_reading()
        self._read()

    def pause_writing(self) -> None:
        """Stop: the client is not keeping up."""
        self._full = True

    def resume_writing(self) -> None:
        """Go on where ``pause_writing`` stopped."""
        self._full = False
        if self._timer is None:
            self._timer = self._loop.call_soon(self._go_on)

    def _read(self) -> None:
        """Take up requests until one has to wait."""
        while not (self._busy or self._full):
            try:
                request = take_request(self._buffer)
            except MalformedRequestError as error:
                self._begin(*self._simulator.refuse(error))
                return
            if request is None:
                self._encourage()
                return
            self._encouraged = False
            if is_control(request):
                answer = control(self._simulator, request)
                self._begin(None, self._simulator.plain(request, answer))
            else:
                self._begin(*self._simulator.react(request))

    def _encourage(self) -> None:
        """Tell a client that waits for it, once a request, to go on with the body."""
        if not self._encouraged and self._transport and waits_for_continue(self._buffer):
            self._encouraged = True
            self._transport.write(CONTINUE)

    def _begin(self, number: int | None, delivery: Delivery) -> None:
        self._busy = True
        self._number = number
        self._delivery = delivery
        self._parts = iter(delivery.parts)
        self._next = next(self._parts, None)
        if delivery.wait_s > 0.0:
            self._timer = self._loop.call_later(delivery.wait_s, self._go_on)
        else:
            self._send(delivery)

    def _go_on(self) -> None:
        """Continue after a wait: with the delivery, and when it is done with the next request."""
        self._timer = None
        if self._delivery is not None:
            self._send(self._delivery)
        self._read()

    def _send(self, delivery: Delivery) -> None:
        """Write parts until one has to wait; end the delivery after the last."""
        if self._transport is None:
            return
        part = self._next
        if part is not None:
            self._next = next(self._parts, None)
            if self._next is None and delivery.status is not None and self._number is not None:
                self._simulator.sent(self._number, delivery.status)
            self._transport.write(part)
        if self._next is None:
            self._end(delivery.ending, self._transport)
        elif not self._full:
            # A turn of the loop each, also without a pause, so that nobody starves the others.
            self._timer = self._loop.call_later(delivery.pace_s, self._go_on)

    def _end(self, ending: Ending, transport: asyncio.Transport) -> None:
        """Do to the connection what the delivery ends in."""
        self._delivery = None
        match ending:
            case Ending.KEEP:
                self._busy = False
                if not transport.is_reading() and not transport.is_closing():
                    transport.resume_reading()
            case Ending.HANG:
                pass
            case Ending.RESET:
                endpoint = cast("socket.socket", transport.get_extra_info("socket"))
                endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                transport.abort()
            case Ending.CLOSE if transport.can_write_eof():
                # Closing with unread bytes would send RST, and the answer might never be read.
                self._ended = True
                transport.write_eof()
                self._timer = self._loop.call_later(_LINGER_S, transport.close)
            case Ending.CLOSE:
                self._ended = True
                transport.close()

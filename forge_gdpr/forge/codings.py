"""What a body was packed into for its way, and how it is unpacked: RFC 9110 §8.4.

Our own few lines, for three things that urllib3 does otherwise: a stream that breaks off is seen,
what follows its end is not ignored, and which codings are read does not depend on what else is
installed. Pure.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Bodies are unpacked in pieces of this size at most, whatever their packing promises.
PIECE_BYTES: Final = 64 * 1024

_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
#: The first byte of a zlib stream names its method in the lower half: 8 is deflate (RFC 1950 §2.2).
#: No raw deflate stream begins so, for a stored block is padded with zeros (RFC 1951 §3.2.4).
_METHOD_MASK: Final = 0x0F
_DEFLATE_METHOD: Final = 8


class UnreadableBodyError(Exception):
    """A body that can't be unpacked: damaged, broken off, or in a coding that is not spoken."""


def decoded(chunks: Iterable[bytes], encoding: str | None) -> Iterator[bytes]:
    """Yield a body unpacked, in pieces of bounded size; none of them is empty.

    Args:
        chunks: the body as it was sent.
        encoding: the header Content-Encoding; None if there is none.

    Raises:
        UnreadableBodyError: it can't be unpacked. A body of no bytes always can.
    """
    codings = [name.strip().casefold() for name in (encoding or "").split(",")]
    match [name for name in codings if name not in {"", "identity"}]:
        case []:
            yield from filter(None, chunks)
        case ["gzip" | "x-gzip"]:
            yield from _inflated(chunks, is_gzip=True)
        case ["deflate"]:
            yield from _inflated(chunks, is_gzip=False)
        case _:
            if any(chunks):
                raise UnreadableBodyError


def _inflated(chunks: Iterable[bytes], *, is_gzip: bool) -> Iterator[bytes]:
    stream: zlib._Decompress | None = None
    for data in filter(None, chunks):
        rest = data
        full = False  # the piece before was: zlib may hold more of it back
        while rest or full:
            if stream is None or stream.eof:
                if stream is not None and not is_gzip:  # only gzip's members follow each other
                    raise UnreadableBodyError
                stream = zlib.decompressobj(_GZIP if is_gzip else _deflate_kind(rest))
            try:
                piece = stream.decompress(rest, PIECE_BYTES)
            except zlib.error:
                raise UnreadableBodyError from None
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
            full = len(piece) == PIECE_BYTES and not stream.eof
            if piece:
                yield piece
    if stream is not None and not stream.eof:
        raise UnreadableBodyError


def _deflate_kind(data: bytes) -> int:
    """Return what a ``deflate`` body is: the documents say zlib, some servers send it raw."""
    return _ZLIB if data[0] & _METHOD_MASK == _DEFLATE_METHOD else _RAW

"""Bodies in a content coding (RFC 9110, section 8.4), right ones and wrong ones. Pure."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from enum import StrEnum, unique
from typing import Final

_BLOCK_BYTES: Final = 1024 * 1024

#: RFC 1952: magic number, deflate, no flags, no time, best compression, unknown system.
_GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"


@unique
class Encoding(StrEnum):
    """How a body goes over the wire, and what Content-Encoding says of it."""

    GZIP = "gzip"
    DEFLATE = "deflate"  #: as RFC 9110 wants it, in zlib's wrapper
    DEFLATE_RAW = "deflate_raw"  #: the same name without the wrapper, as some servers send it
    GZIP_TWICE = "gzip_twice"  #: ``gzip, gzip``
    GZIP_CUT = "gzip_cut"  #: its second half is missing, and Content-Length agrees
    GZIP_FALSE = "gzip_false"  #: named gzip, sent as it is
    BR = "br"  #: named br, which it isn't


def encoded(body: bytes, encoding: Encoding) -> tuple[bytes, str]:
    """Return the body in this coding, and the value of ``Content-Encoding``."""
    match encoding:
        case Encoding.GZIP:
            return _zipped(body), "gzip"
        case Encoding.DEFLATE:
            return zlib.compress(body), "deflate"
        case Encoding.DEFLATE_RAW:
            return zlib.compress(body, wbits=-zlib.MAX_WBITS), "deflate"
        case Encoding.GZIP_TWICE:
            return _zipped(_zipped(body)), "gzip, gzip"
        case Encoding.GZIP_CUT:
            data = _zipped(body)
            return data[: len(data) // 2], "gzip"
        case Encoding.GZIP_FALSE:
            return body, "gzip"
        case Encoding.BR:
            return b"\xff" * 40, "br"


def bomb(
    start: bytes, filler: bytes, end: bytes, *, size_bytes: int
) -> tuple[int, Iterable[bytes]]:
    """Return gzip that unpacks to ``size_bytes``: its length, and its parts as they are needed.

    It unpacks to ``start``, as many of the one byte ``filler`` as are missing, and ``end``, and is
    some thousand times smaller. It is one member, so that every decoder reads all of it.
    """
    count, rest = divmod(max(0, size_bytes - len(start) - len(end)), _BLOCK_BYTES)
    plain = filler * _BLOCK_BYTES
    block = _flushed(plain)
    first, last = _flushed(start + filler * rest), _flushed(end, finish=True)
    length = len(_GZIP_HEAD) + len(first) + count * len(block) + len(last) + 8

    def parts() -> Iterator[bytes]:
        yield _GZIP_HEAD + first
        check = zlib.crc32(start + filler * rest)
        for _ in range(count):
            check = zlib.crc32(plain, check)
            yield block
        check = zlib.crc32(end, check)
        size = len(start) + rest + count * _BLOCK_BYTES + len(end)
        yield last + check.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")

    return length, parts()


def _zipped(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def _flushed(data: bytes, *, finish: bool = False) -> bytes:
    """Return raw deflate that ends at a byte and refers to nothing before it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(zlib.Z_FINISH if finish else zlib.Z_FULL_FLUSH)

"""What a body was packed into, and how it is unpacked."""

from __future__ import annotations

import gzip
import time
import zlib
from typing import TYPE_CHECKING

import pytest
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.forge.codings import PIECE_BYTES, UnreadableBodyError, decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = b'{"success": true}'


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


PACKED = {
    None: BODY,
    "": BODY,
    "identity": BODY,
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY),
    " GZip ": gzip.compress(BODY),
    "identity, gzip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "Deflate": raw_deflate(BODY),
}


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_is_unpacked(encoding: str | None) -> None:
    assert b"".join(decoded([PACKED[encoding]], encoding)) == BODY


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_is_unpacked_byte_by_byte(encoding: str | None) -> None:
    packed = PACKED[encoding]
    assert b"".join(decoded((packed[n : n + 1] for n in range(len(packed))), encoding)) == BODY


@pytest.mark.parametrize("encoding", [*PACKED, "br", "zstd", "gzip, gzip"])
def test_no_body_is_no_body_in_any_coding(encoding: str | None) -> None:
    assert list(decoded([], encoding)) == []
    assert list(decoded([b"", b""], encoding)) == []


def test_members_of_gzip_follow_each_other() -> None:
    assert b"".join(decoded([gzip.compress(b"a"), gzip.compress(b"b")], "gzip")) == b"ab"
    assert b"".join(decoded([gzip.compress(b"a") + gzip.compress(b"b")], "gzip")) == b"ab"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        pytest.param("br", BODY, id="brotli"),
        pytest.param("zstd", BODY, id="zstandard"),
        pytest.param("utf-8", BODY, id="a character set"),
        pytest.param("gzip, deflate", BODY, id="two at once"),
        pytest.param("gzip", BODY, id="not packed at all"),
        pytest.param("deflate", b"\xff" + BODY, id="not deflate"),
        pytest.param("gzip", gzip.compress(BODY)[:-1], id="gzip without its last byte"),
        pytest.param("gzip", gzip.compress(BODY)[:12], id="half of gzip"),
        pytest.param("gzip", b"\x1f", id="one byte of gzip"),
        pytest.param("gzip", gzip.compress(BODY) + b"more", id="something after gzip"),
        pytest.param("deflate", zlib.compress(BODY)[:-1], id="zlib without its last byte"),
        pytest.param("deflate", zlib.compress(BODY) + b"x", id="something after zlib"),
        pytest.param("deflate", raw_deflate(BODY)[:-1], id="half of raw deflate"),
        pytest.param("gzip", gzip.compress(BODY)[:-8] + bytes(8), id="a wrong checksum"),
        pytest.param("deflate", b"\x78\xbb" + b"0" * 9, id="a dictionary that we lack"),
    ],
)
def test_what_can_not_be_unpacked_is_no_body(encoding: str, packed: bytes) -> None:
    with pytest.raises(UnreadableBodyError):
        list(decoded([packed], encoding))


@moderately
@given(
    body=st.binary(max_size=3 * PIECE_BYTES),
    size=st.integers(1, 100_000),
    encoding=st.sampled_from(["gzip", "deflate", "raw"]),
    level=st.integers(0, 9),
)
def test_any_body_in_any_pieces_is_unpacked(
    body: bytes, size: int, encoding: str, level: int
) -> None:
    wbits = {"gzip": 31, "deflate": 15, "raw": -15}[encoding]
    packer = zlib.compressobj(level, wbits=wbits)
    packed = packer.compress(body) + packer.flush()
    chunks = [packed[n : n + size] for n in range(0, len(packed), size)]
    pieces = list(decoded(chunks, encoding.replace("raw", "deflate")))
    assert b"".join(pieces) == body
    assert all(0 < len(piece) <= PIECE_BYTES for piece in pieces)


@pytest.mark.parametrize("length", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5_000_000])
@pytest.mark.parametrize("kind", ["gzip", "deflate"])
def test_a_body_that_packs_well_is_unpacked_to_its_last_byte(length: int, kind: str) -> None:
    body = bytes(length)
    packed = gzip.compress(body) if kind == "gzip" else zlib.compress(body)
    assert sum(map(len, decoded([packed], kind))) == length


@moderately
@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "identity", ","]))
def test_nothing_breaks_the_unpacking(packed: bytes, encoding: str) -> None:
    try:
        list(decoded([packed], encoding))
    except UnreadableBodyError:
        return


def test_a_bomb_costs_no_more_than_is_taken_of_it() -> None:
    bomb = gzip.compress(bytes(200_000_000), 1)

    def chunks() -> Iterator[bytes]:
        yield bomb
        pytest.fail("more was read than was wanted")

    started = time.monotonic()
    taken = next(decoded(chunks(), "gzip"))
    assert len(taken) == PIECE_BYTES
    assert time.monotonic() - started < 1.0

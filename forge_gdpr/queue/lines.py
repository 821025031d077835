"""The lines of a file of requests, CSV or JSON Lines, out of a stream of any size.

Says where each record begins and what is wrong with it, and never quotes it: it holds people.
Decides only: the stream is given, and only `readline` is asked of it.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from forge_gdpr.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

COLUMNS: Final = ("reference", "forge_user_id", "email", "regime", "received_at", "not_before")
#: Several times what the longest request takes, also when JSON escapes each letter of it.
LONGEST_BYTES: Final = 16_384

_BOM: Final = b"\xef\xbb\xbf"
_NAMED: Final = ", ".join(COLUMNS)
#: What may be shown of a column that nobody knows: more could be a person, not a name of one.
_SHOWABLE: Final = re.compile(r"[A-Za-z][A-Za-z_ -]{0,30}")
_TOO_LONG: Final = (
    f"is longer than {LONGEST_BYTES} bytes: a quote may be missing that closes a cell"
)
_QUOTES: Final = "a quote or a line end is in the wrong place: quote the whole cell, double quotes"


class Format(StrEnum):
    """What a file of requests is written in."""

    CSV = "csv"
    JSON_LINES = "jsonl"


class Stream(Protocol):
    """Bytes that are read line by line."""

    def readline(self, size: int = ..., /) -> bytes:
        """Return the next line with its end, at most ``size`` bytes of it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One record of the file. The person in it is not in its ``repr``."""

    number: int  #: of the physical line where the record begins; the first is 1
    raw: bytes = field(repr=False)
    cells: Mapping[str, str] = field(repr=False)  #: what is given, by column; no empty cells
    fault: str | None = None  #: why it can't be read

    @property
    def text(self) -> str:
        """The record as it stands in the file; what is no UTF-8 as hex digits."""
        return self.raw.decode("utf-8", "backslashreplace").rstrip("\r\n")


def lines(stream: Stream, form: Format | None = None) -> Iterator[Line]:
    """Yield the records of a file; blank lines are none. A BOM and CRLF are welcome.

    Args:
        stream: the file, from its beginning.
        form: None: JSON Lines if the first byte that is not blank is ``{``, else CSV.

    Raises:
        InvalidInputError: a CSV file does not begin with the names of its columns.
    """
    physical = _Physical(stream)
    if form is None:
        form = Format.JSON_LINES if physical.begins_with(b"{") else Format.CSV
    return _csv(physical) if form is Format.CSV else _json_lines(physical)


class _FaultError(Exception):
    """A record can't be read, and why. Its message quotes nothing."""


class _Physical:
    """Decoded physical lines, one record after the other."""

    def __init__(self, stream: Stream) -> None:
        self.number = 0
        self.fault: str | None = None
        self._stream = stream
        self._raw: list[bytes] = []
        self._left = 0
        self._next = stream.readline(LONGEST_BYTES + 1).removeprefix(_BOM)

    def begins_with(self, start: bytes) -> bool:
        """Say what stands first, behind blank lines."""
        while self._next and not self._next.strip():
            self.number += 1
            self._next = self._stream.readline(LONGEST_BYTES + 1)
        return self._next.lstrip().startswith(start)

    def begin(self) -> int:
        """Begin a record and return the number of its first line."""
        self.fault = None
        self._raw = []
        self._left = LONGEST_BYTES
        return self.number + 1

    @property
    def raw(self) -> bytes:
        """The bytes of the record so far."""
        return b"".join(self._raw)

    def __iter__(self) -> _Physical:
        return self

    def __next__(self) -> str:
        line = self._next
        if not line:
            raise StopIteration
        self._next = self._stream.readline(LONGEST_BYTES + 1)
        self.number += 1
        self._raw.append(line)
        self._left -= len(line)
        if self._left < 0:
            self._skip(line)
            raise _FaultError(_TOO_LONG)
        if b"\0" in line:
            self.fault = "holds a NUL byte: save the file as UTF-8"
        try:
            return line.decode()
        except UnicodeDecodeError:
            # It is read on, so that the quotes are still counted and the next record is found.
            self.fault = "is not UTF-8: save the file as UTF-8"
            return line.decode("utf-8", "replace")

    def _skip(self, line: bytes) -> None:
        """Go on behind a physical line of which only the beginning was read."""
        while line and not line.endswith(b"\n"):
            line, self._next = self._next, self._stream.readline(LONGEST_BYTES + 1)


def _csv(physical: _Physical) -> Iterator[Line]:
    records = _csv_records(physical)
    number, _raw, header, fault = next(
        records, (1, b"", [], f"the file is empty: the first line names the columns: {_NAMED}")
    )
    if fault is None:
        fault = _header_fault(header)
    if fault is not None:
        raise InvalidInputError(f"line {number}: {fault}; nothing was imported")
    for number, raw, cells, wrong in records:
        if wrong is not None:
            yield Line(number, raw, {}, wrong)
        elif len(cells) != len(header):
            said = f"has {len(cells)} cells, and the header names {len(header)} columns"
            yield Line(number, raw, {}, said)
        else:
            given = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
            yield Line(number, raw, given)


def _csv_records(physical: _Physical) -> Iterator[tuple[int, bytes, list[str], str | None]]:
    reader = csv.reader(physical, strict=True)
    while True:
        number = physical.begin()
        cells: list[str] = []
        fault: str | None = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _FaultError as error:
            fault = str(error)
        except csv.Error:
            fault = _QUOTES
        fault = physical.fault or fault
        if cells or fault is not None:
            yield number, physical.raw, cells, fault


def _header_fault(header: Sequence[str]) -> str | None:
    if set(header).isdisjoint(COLUMNS):
        return f"is no header: the first line names the columns, with commas between: {_NAMED}"
    if len(set(header)) < len(header):
        return f"names a column twice: each of {_NAMED} stands once"
    unknown = _unknown(header)
    if unknown is not None:
        return unknown
    if "reference" not in header:
        return "the column reference is missing: without it an import can't be repeated safely"
    if {"forge_user_id", "email"}.isdisjoint(header):
        return "the columns forge_user_id and email are missing: one of them names the person"
    return None


def _json_lines(physical: _Physical) -> Iterator[Line]:
    while True:
        number = physical.begin()
        cells: Mapping[str, str] = {}
        fault: str | None = None
        try:
            text = next(physical)
            if not text.strip():
                continue
            cells = _json_cells(text)
        except StopIteration:
            return
        except _FaultError as error:
            fault = str(error)
        fault = physical.fault or fault
        yield Line(number, physical.raw, cells if fault is None else {}, fault)


def _json_cells(text: str) -> dict[str, str]:
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _FaultError("is no JSON: each line is one whole object") from None
    if not isinstance(found, dict):
        raise _FaultError("is no JSON object: write it in braces, on one line")
    unknown = _unknown(found)
    if unknown is not None:
        raise _FaultError(unknown)
    for name, value in found.items():
        if not isinstance(value, str | None):
            raise _FaultError(f"{name} is not text: write it in quotes, or null")
    return {name: value for name, value in found.items() if value}


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: which of the two persons would be erased?"""
    listed = list(pairs)
    found = dict(listed)
    if len(found) < len(listed):
        raise _FaultError("holds a key twice")
    return found


def _unknown(names: Iterable[str]) -> str | None:
    """Say which name is no column of ours, unless it could be a person instead."""
    given = list(names)
    for place, name in enumerate(given, start=1):
        if name not in COLUMNS:
            tame = _SHOWABLE.fullmatch(name) is not None and not set(given).isdisjoint(COLUMNS)
            shown = f"column {name!r}" if tame else f"column number {place}"
            return f"{shown} is not known: there are {_NAMED}"
    return None

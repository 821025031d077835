"""CSV that a spreadsheet shows, and never carries out. Decides only; does no I/O.

Source: RFC 4180; for what begins a formula, OWASP's page "CSV Injection".
"""

from __future__ import annotations

import csv
from datetime import date
from io import StringIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What begins a formula, also behind blanks: the four signs, and as Asian keyboards write them.
_SIGNS: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: With these some spreadsheets find a formula behind them.
_BLANKS: Final = ("\t", "\r", "\n")


def csv_row(cells: Iterable[object]) -> str:
    """Return one record with its line end: None is an empty cell, a time is in ISO 8601.

    Texts are defused, numbers are not: a negative number is no formula.
    """
    out = StringIO()
    csv.writer(out).writerow([_written(cell) for cell in cells])
    return out.getvalue()


def defused(cell: str) -> str:
    """Return a text as a cell that is no formula: one that could be stands behind an apostrophe."""
    dangerous = cell.startswith(_BLANKS) or cell.lstrip().startswith(_SIGNS)
    return f"'{cell}" if dangerous else cell


def _written(cell: object) -> object:
    match cell:
        case date():  # a datetime is one, too
            return cell.isoformat()
        case str():
            return defused(cell)
        case _:
            return cell

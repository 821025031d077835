"""Writing an export: one reading of the record, streamed into a folder of its own."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from forge_gdpr.audit.checkpoints import newest
from forge_gdpr.audit.events import MAIN
from forge_gdpr.database.tables import audit_events
from forge_gdpr.errors import AuditBrokenError
from forge_gdpr.exports import (
    BESIDE,
    COLUMNS,
    EVENTS,
    MANIFEST,
    SHEET,
    InvalidExportError,
    Ledger,
    line_of,
    withheld_line,
)
from forge_gdpr.newfiles import file_in, new_folder
from forge_gdpr.spreadsheet import csv_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from forge_gdpr.exports import Query, Tail

_E: Final = audit_events.c
_PAGE: Final = 5000


def write_export(
    connection: Connection, into: Path, query: Query, *, issued_at: str, version: str
) -> tuple[dict[str, Any], Tail]:
    """Write an export and return its manifest, and what of it is not signed.

    The folder is there with all that belongs in it, or not at all; only its owner may read it.

    Args:
        connection: in a reading transaction.
        into: the folder; nothing of this name may exist.
        query: the period.
        issued_at: the moment, as `chain.written_time` writes it.
        version: of this program.

    Raises:
        InvalidInputError: there is something of this name.
        OSError: the folder can't be written.
        AuditBrokenError: the record does not prove itself.
    """
    try:
        with new_folder(into) as folder:
            ledger = Ledger(query, newest(connection))
            with file_in(folder, EVENTS) as lines, file_in(folder, SHEET) as sheet:
                sheet.write(csv_row(COLUMNS))
                for line in _lines(connection, query, ledger):
                    lines.write(line)
                    sheet.write(ledger.add(line))
            beside = {name: _copied(name, folder) for name in BESIDE}
            manifest = ledger.manifest(issued_at=issued_at, version=version, beside=beside)
            with file_in(folder, MANIFEST) as file:
                file.write(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    except InvalidExportError as error:
        raise AuditBrokenError(f"the record: {error}; run 'forge-gdpr audit verify'") from None
    return manifest, ledger.tail


def _copied(name: str, folder: Path) -> dict[str, Any]:
    """Put one of our own files into the folder and return its size and SHA-256."""
    data = resources.files("forge_gdpr.evidence").joinpath(name).read_bytes()
    with file_in(folder, name) as file:
        file.write(data.decode())
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _lines(connection: Connection, query: Query, ledger: Ledger) -> Iterator[str]:
    """Yield the main chain, then the chains of the runs that it was found to name."""
    first, last = _beside(connection, query)
    for row in _rows(connection, MAIN):
        if row.request_id is None or first <= row.seq <= last:
            yield line_of(body=row.body, previous=row.previous, sealed=row.hash)
        else:
            yield withheld_line(row.hash)
    for run_id in ledger.runs:
        for row in _rows(connection, run_id):
            yield line_of(body=row.body, previous=row.previous, sealed=row.hash)


def _rows(connection: Connection, chain: str) -> Iterator[Any]:
    wanted = (
        select(_E.seq, _E.request_id, _E.body, _E.previous, _E.hash)
        .where(_E.chain == chain)
        .order_by(_E.seq)
        .execution_options(yield_per=_PAGE)
    )
    with connection.execute(wanted) as rows:
        yield from rows


def _beside(connection: Connection, query: Query) -> tuple[int, int]:
    """Return the numbers of the events of main just before and just after the period."""
    since, until = (datetime.fromisoformat(one) for one in (query.since, query.until))
    row = connection.execute(
        select(
            func.min(_E.seq).filter(_E.at >= since),
            func.max(_E.seq).filter(_E.at < until),
            func.max(_E.seq),
        ).where(_E.chain == MAIN)
    ).one()
    first, last, end = (one or 0 for one in row)
    return first - 1 if first else end, last + 1

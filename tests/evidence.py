"""One signed record, a certificate from it and an export of it: valid evidence, to be changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from builders import Chain, make_checkpoint

from forge_gdpr.certificates import Evidence, certificate, in_order
from forge_gdpr.checkpoints import signing_key
from forge_gdpr.exports import COLUMNS, Ledger, Query, line_of, withheld_line
from forge_gdpr.merkle import root_of
from forge_gdpr.spreadsheet import csv_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEY: Final = signing_key("example.org/forge-gdpr", bytes(range(32)))
OTHER: Final = signing_key("example.org/forge-gdpr", bytes(32))
QUERY: Final = Query(
    first_day="2026-11-24",
    last_day="2026-11-24",
    time_zone="UTC",
    since="2026-11-24T00:00:00.000000Z",
    until="2026-11-25T00:00:00.000000Z",
)
ISSUED: Final = "2026-11-28T09:00:00.000000Z"


def at(second: int, day: int = 24) -> str:
    """Return a moment of the night, or of another day."""
    return f"2026-11-{day}T03:00:{second:02}.000000Z"


_ADMITTED: Final[Mapping[str, Any]] = {
    "event": "request.admitted",
    "request_id": 17,
    "reference": "T-4711",
    "regime": "gdpr",
    "subject": "k1:aa",
    "received_at": "2026-11-01T08:00:00.000000Z",
    "due_on": "2026-12-01",
}
_OF_ANOTHER: Final[Mapping[str, Any]] = {
    "event": "request.closed",
    "request_id": 18,
    "reference": "=T-18",
    "subject": "k1:bb",
    "outcome": "not_found_by_email",
    "absence": {"account": "expected", "gone": "list", "paths": "list"},
}


def _finished(status: str, *steps: tuple[str, int], **more: Any) -> dict[str, Any]:
    named = [{"name": name, "http_status": http_status} for name, http_status in steps]
    finished = {"event": "attempt.finished", "request_id": 17, "subject": "k1:aa", "attempt": 1}
    return finished | {"status": status, "steps": named} | more


#: The request was held before any run saw it, named somebody else in the first run, was corrected,
#: and was erased in the last run, at the second attempt.
_RUNS: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "run-1": [
        {**_ADMITTED, "subject": "k1:zz", "at": at(2)},
        _finished(
            "review", ("logs", 200), ("account", 404), ("verify", 404), subject="k1:zz", at=at(3)
        ),
        {**_OF_ANOTHER, "at": at(3)},
    ],
    "run-2": [{**_OF_ANOTHER, "request_id": 19, "at": at(12)}],
    "run-3": [
        _finished("pending", ("account", 503), at=at(22)),
        _finished("done", ("account", 200), at=at(23), attempt=2),
        {
            **_ADMITTED,
            "event": "request.closed",
            "actor": "cron",
            "also": ["k1:cc"],
            "at": at(24),
            "attempt": 2,
            "closed_on": "2026-11-24",
            "http_status": 200,
            "outcome": "erased",
            "steps": ["account"],
        },
    ],
}
RUNS: Final = {
    run_id: Chain(run_id, [{**body, "run_id": run_id} for body in bodies])
    for run_id, bodies in _RUNS.items()
}


def _in_main() -> list[Mapping[str, Any]]:
    held: Mapping[str, Any] = {"event": "request.held", "actor": "ada"}
    bodies: list[Mapping[str, Any]] = [
        {**held, "request_id": 91, "at": at(0, 20)},  # withheld
        {**held, "request_id": 92, "at": at(0, 21)},
        {**held, "request_id": 17, "at": at(0)},
    ]
    for number, (run_id, chain) in enumerate(RUNS.items()):
        ours = {"run_id": run_id, "actor": "cron"}
        bodies += [
            {"event": "run.opened", **ours, "at": at(10 * number + 1), "version": "1"},
            {"event": "run.closed", **ours, "at": at(10 * number + 5)}
            | {"length": len(chain.leaves), "root": root_of(chain.leaves).hex()},
        ]
        if number == 0:
            bodies += [
                {**_ADMITTED, "former": "k1:zz", "actor": "ada", "at": at(6)},
                {**held, "request_id": 18, "at": at(7)},
            ]
    bodies += [
        {**held, "request_id": 93, "at": at(0, 26)},
        {**held, "request_id": 94, "at": at(1, 26)},  # withheld
    ]
    signed = make_checkpoint(Chain("main", bodies).leaves)
    note = {"event": "audit.checkpoint", "actor": "cron", "note": KEY.signed(signed.text)}
    return [*bodies, {**note, "at": at(0)}]


MAIN: Final = Chain("main", _in_main())
SIGNED: Final = len(MAIN.leaves) - 1
NOTE: Final[str] = json.loads(MAIN.texts[-1])["note"]
WITHHELD: Final = (1, SIGNED)
#: The places of opening and closing in main.
_PLACES: Final = {"run-1": 4, "run-2": 8, "run-3": 10}


def proven_run(run_id: str) -> dict[str, Any]:
    """Return a run as a certificate holds it."""
    seq = _PLACES[run_id]
    return {"opened": MAIN.proven(seq, SIGNED).as_json()} | {
        "closed": MAIN.proven(seq + 1, SIGNED).as_json()
    }


def make_certificate() -> Any:
    """Return the certificate of request 17, as it is read from a file."""
    events = [MAIN.proven(3, SIGNED), MAIN.proven(6, SIGNED)]
    for run_id, seqs in (("run-1", (1, 2)), ("run-3", (1, 2, 3))):
        events += [RUNS[run_id].proven(seq) for seq in seqs]
    evidence = Evidence(
        checkpoint=NOTE,
        events=in_order(events),
        runs=[
            (MAIN.proven(_PLACES[name], SIGNED), MAIN.proven(_PLACES[name] + 1, SIGNED))
            for name in ("run-1", "run-3")
        ],
    )
    return json.loads(json.dumps(certificate(evidence)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """An export, as the texts of its files."""

    manifest: str
    events: str
    sheet: str


def make_export() -> Folder:
    """Return the export of the night: signed as a whole, its checkpoint the last of main."""
    lines = [_line(MAIN, seq) for seq in range(1, len(MAIN.leaves) + 1)]
    for seq in WITHHELD:
        lines[seq - 1] = withheld_line(MAIN.hash(seq))
    lines += [_line(run, seq) for run in RUNS.values() for seq in range(1, len(run.leaves) + 1)]
    return exported(lines)


def exported(lines: Sequence[str], *, query: Query = QUERY, note: str = NOTE) -> Folder:
    """Return an export whose manifest and sheet are told from its lines."""
    ledger = Ledger(query, note)
    sheet = "".join([csv_row(COLUMNS), *map(ledger.add, lines)])
    manifest = ledger.manifest(issued_at=ISSUED, version="1")
    return Folder(
        manifest=json.dumps(manifest, indent=2) + "\n", events="".join(lines), sheet=sheet
    )


def _line(chain: Chain, seq: int) -> str:
    place = seq - 1
    return line_of(body=chain.texts[place], previous=chain.previous[place], sealed=chain.hash(seq))

"""Exports as an adversary has them in hand, for the tests of both verifiers."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from builders import Chain, make_checkpoint

from forge_gdpr import certificates
from forge_gdpr.chain import canonical, seal
from forge_gdpr.checkpoints import PublicKey, signing_key
from forge_gdpr.exports import (
    COLUMNS,
    EVENTS,
    MANIFEST,
    SHEET,
    Ledger,
    Query,
    Verified,
    line_of,
    query_of,
    verified,
    withheld_line,
)
from forge_gdpr.merkle import root_of
from forge_gdpr.spreadsheet import csv_row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY: Final = signing_key("example.org/forge-gdpr", bytes(range(32)))
OTHER: Final = signing_key("example.org/forge-gdpr", bytes(32))
GOLDEN: Final = Path(__file__).parent / "golden"
QUERY: Final = Query(
    first_day="2026-07-01",
    last_day="2026-09-30",
    time_zone="UTC",
    since="2026-07-01T00:00:00.000000Z",
    until="2026-10-01T00:00:00.000000Z",
)
RUNS: Final = ("run-1", "run-2", "run-3", "run-4")


def at(day: str) -> str:
    return f"2026-{day}T03:00:00.000000Z"


def run_chain(run_id: str, day: str, *requests: int) -> Chain:
    return Chain(
        run_id,
        [
            {
                "event": "request.closed",
                "run_id": run_id,
                "request_id": request,
                "reference": f"=T-{request}",
                "at": at(day),
            }
            for request in requests
        ],
    )


#: The second is alive at the period's beginning, the third at its end, the last did nothing.
CHAINS: Final = {
    "run-1": run_chain("run-1", "06-01", 1, 2),
    "run-2": run_chain("run-2", "07-01", 3, 4, 5),
    "run-3": run_chain("run-3", "09-30", 6, 7),
    "run-4": run_chain("run-4", "09-30"),
}


def opened(run_id: str, day: str) -> dict[str, Any]:
    return {"event": "run.opened", "run_id": run_id, "at": at(day)}


def closed(run_id: str, day: str, **changes: Any) -> dict[str, Any]:
    leaves = CHAINS[run_id].leaves
    return {
        "event": "run.closed",
        "run_id": run_id,
        "at": at(day),
        "length": len(leaves),
        "root": root_of(leaves).hex(),
    } | changes


def held(request: int, day: str) -> dict[str, Any]:
    return {"event": "request.held", "request_id": request, "at": at(day), "actor": "ada"}


#: As it is recorded; about 91, 92, 98 and 99 nobody asked.
IN_MAIN: Final = (
    opened("run-1", "06-01"),
    closed("run-1", "06-01"),
    held(91, "06-02"),
    held(92, "06-03"),
    opened("run-2", "06-30"),
    held(93, "06-30"),  # beside the period
    held(94, "07-01"),
    closed("run-2", "07-01"),
    opened("run-4", "09-30"),
    closed("run-4", "09-30"),
    opened("run-3", "09-30"),
    closed("run-3", "10-01"),
    held(98, "10-02"),
    held(99, "10-03"),
)
WITHHELD: Final = {3, 4, 13, 14}
SIGNED: Final = 12


class Export:
    """An export before it is written, to be tampered with."""

    def __init__(
        self,
        in_main: tuple[Mapping[str, Any], ...] = IN_MAIN,
        *,
        withheld: frozenset[int] | set[int] = frozenset(WITHHELD),
        chains: Mapping[str, Chain] = CHAINS,
        runs: tuple[str, ...] = ("run-2", "run-4", "run-3"),
    ) -> None:
        self.main = Chain("main", in_main)
        signed = self.main.leaves[:SIGNED]
        self.note = KEY.signed(make_checkpoint(signed).text) if signed else None
        self.lines = [
            withheld_line(self.main.hash(seq)) if seq in withheld else line(self.main, seq)
            for seq in range(1, len(in_main) + 1)
        ]
        self.lines += [
            line(chains[run_id], seq)
            for run_id in runs
            for seq in range(1, len(chains[run_id].leaves) + 1)
        ]
        self.sheet = ""
        self.manifest: Any = None

    def told(self) -> Export:
        """Let the manifest say what the lines are."""
        ledger = Ledger(QUERY, self.note)
        self.sheet = "".join(ledger.add(one) for one in self.lines)
        told = ledger.manifest(issued_at=at("11-24"), version="1")
        self.manifest = json.loads(json.dumps(told))
        return self

    def verified(self, key: Any = KEY, *, allow_unsigned_tail: bool = True) -> Verified:
        return verified(
            self.manifest,
            self.lines,
            sheet_sha256=self.manifest["files"][SHEET]["sha256"],
            keys=[key.public],
            allow_unsigned_tail=allow_unsigned_tail,
        )

    def write(self, folder: Path) -> Path:
        """Write it as an exporter does."""
        folder.mkdir()
        (folder / EVENTS).write_bytes("".join(self.lines).encode(errors="surrogatepass"))
        (folder / SHEET).write_bytes((csv_row(COLUMNS) + self.sheet).encode())
        (folder / MANIFEST).write_text(json.dumps(self.manifest, indent=2), encoding="utf-8")
        return folder


def line(chain: Chain, seq: int) -> str:
    return line_of(
        body=chain.texts[seq - 1], previous=chain.previous[seq - 1], sealed=chain.hash(seq)
    )


def sealed_again(export: Export, number: int, body: str) -> None:
    previous = json.loads(export.lines[number])["previous"]
    export.lines[number] = line_of(body=body, previous=previous, sealed=seal(previous, body))


def rewritten(export: Export, number: int, **changes: Any) -> None:
    said = json.loads(json.loads(export.lines[number])["body"])
    sealed_again(export, number, canonical(said | changes))


def edited(export: Export, number: int, **changes: Any) -> None:
    found = json.loads(export.lines[number])
    export.lines[number] = canonical(found | changes) + "\n"


def spelled(export: Export, number: int, old: str, new: str) -> None:
    assert old in export.lines[number]
    export.lines[number] = export.lines[number].replace(old, new, 1)


def swapped(export: Export, one: int, other: int) -> None:
    lines = export.lines
    lines[one], lines[other] = lines[other], lines[one]


def cut(export: Export, start: int, end: int) -> None:
    del export.lines[start:end]


def stripped(export: Export) -> None:
    export.manifest["checkpoint"] = None


def resigned(export: Export) -> None:
    text = export.manifest["checkpoint"].split("\n\n")[0]
    export.manifest["checkpoint"] = OTHER.signed(text + "\n")


#: A name that anybody can write below a note.
COURT: Final = "— court.example.org " + "QUJDRA" * 2 + "QUJDREU=\n"


def of_days(first: str, last: str) -> Query:
    first_day, last_day = date.fromisoformat(first), date.fromisoformat(last)
    return query_of(first_day=first_day, last_day=last_day, zone=ZoneInfo("UTC"))


def signed_for_another(export: Export) -> None:
    other = make_checkpoint([bytes(32)] * SIGNED)
    export.manifest["checkpoint"] = KEY.signed(other.text)


def signed_for_more(export: Export) -> None:
    other = make_checkpoint([bytes(32)] * 20)
    export.manifest["checkpoint"] = KEY.signed(other.text)


NONE: Final = "it holds a line that is none"
EVENT: Final = "it holds an event that is none"
HASH: Final = "does not match its hash"
ELSE: Final = "its manifest says something else than its events: "
FORM: Final = "a line that is not in canonical form"
PERIOD: Final = "its manifest names another period than its days and time zone"
ISSUED: Final = "does not say when it was issued, and by what"

#: What is changed, by what, and what is said of it. Line 14 is the first of run-2.
CHANGES: Final[Mapping[str, tuple[Callable[[Export], object], str]]] = {
    "body in main": (lambda e: edited(e, 6, body=e.main.texts[5]), "follows event 6"),
    "word in main": (
        lambda e: edited(e, 6, body=e.main.texts[6].replace("ada", "eve")),
        "event 7 of main does not match its hash",
    ),
    "word in a run": (
        lambda e: edited(e, 14, body=CHAINS["run-2"].texts[0].replace("T-3", "T-9")),
        "event 1 of run-2 does not match its hash",
    ),
    "event sealed again": (lambda e: rewritten(e, 14, reference="T-9"), "event 2 of run-2 is not"),
    "last of a run sealed again": (
        lambda e: rewritten(e, 16, reference="T-9"),
        "run run-2 ends at event 3, but main has closed it at event 3 with another root",
    ),
    "signed event sealed again": (lambda e: rewritten(e, 11, length=9), "are not what was signed"),
    "hash": (lambda e: edited(e, 6, hash="ab" * 32), HASH),
    "withheld hash": (lambda e: edited(e, 2, hash="ab" * 32), "are not what was signed"),
    "withheld hash beside": (lambda e: edited(e, 3, hash="ab" * 32), "event 5 of main is not tied"),
    "previous": (lambda e: edited(e, 6, previous="ab" * 32), "is not tied to the event before"),
    "hash that is none": (lambda e: edited(e, 6, hash="AB" * 32), "whose hashes are none"),
    "previous that is none": (lambda e: edited(e, 6, previous=""), "whose hashes are none"),
    "withheld hash that is none": (lambda e: edited(e, 2, hash="x"), "whose hashes are none"),
    "more in a line": (lambda e: edited(e, 6, note="x"), "more in it than belongs there"),
    "more in a withheld line": (lambda e: edited(e, 2, body=7), "more in it than belongs there"),
    "line with blanks": (lambda e: spelled(e, 6, '{"body"', '{ "body"'), FORM),
    "line without its end": (lambda e: spelled(e, 6, "\n", ""), FORM),
    "line with another end": (lambda e: spelled(e, 6, "\n", "\r\n"), FORM),
    "letter spelt out": (lambda e: spelled(e, 6, '{"body"', '{"b\\u006fdy"'), FORM),
    "name twice": (lambda e: spelled(e, 6, '{"body"', '{"body":"","body"'), "one name twice"),
    "name twice in an event": (
        lambda e: sealed_again(e, 6, e.main.texts[6].replace("{", '{"actor":"eve",', 1)),
        EVENT,
    ),
    "half a number": (
        lambda e: sealed_again(e, 6, e.main.texts[6].replace('"seq":7', '"seq":7.0')),
        EVENT,
    ),
    "true for 1": (lambda e: rewritten(e, 14, request_id=True), EVENT),
    "endless line": (lambda e: spelled(e, 6, '{"body"', " " * 2**20 + '{"body"'), NONE),
    "truth as a count": (lambda e: e.manifest["chains"][1].update(first_seq=True), f"{ELSE}chains"),
    "half a count": (lambda e: e.manifest.update(events=15.0), f"{ELSE}events"),
    "nothing for a name": (lambda e: e.manifest.pop("events"), f"{ELSE}events"),
    "issued at no time": (lambda e: e.manifest.update(issued_at="2026-11-24"), ISSUED),
    "issued by two lines": (lambda e: e.manifest.update(version="1\nverified"), ISSUED),
    "issued by a number": (lambda e: e.manifest.update(version=1), ISSUED),
    "checkpoint of a number": (lambda e: e.manifest.update(checkpoint=7), "it is not text"),
    "one more signature": (
        lambda e: e.manifest.update(checkpoint=e.manifest["checkpoint"] + COURT),
        "its checkpoint: it has signatures that nobody can check here",
    ),
    "no JSON": (lambda e: e.lines.insert(3, "{\n"), NONE),
    "too deep": (lambda e: e.lines.insert(3, "[" * 100_000), NONE),
    "empty line": (lambda e: e.lines.insert(3, "\n"), NONE),
    "hash as number": (lambda e: edited(e, 2, hash=7), NONE),
    "body of a number": (lambda e: sealed_again(e, 6, "7"), EVENT),
    "body with spaces": (lambda e: sealed_again(e, 6, e.main.texts[6] + " "), EVENT),
    "body without a chain": (lambda e: sealed_again(e, 6, '{"seq":7}'), EVENT),
    "half a character": (
        lambda e: sealed_again(e, 6, e.main.texts[6].replace('"ada"', '"\\ud800"')),
        EVENT,
    ),
    "first removed": (lambda e: e.lines.pop(0), "event 2 of main follows event 0"),
    "middle removed": (lambda e: e.lines.pop(6), "event 8 of main follows event 6"),
    "last of main removed": (lambda e: e.lines.pop(13), ELSE),
    "end of main cut": (lambda e: cut(e, 11, 14), "main ends at event 11: its end was cut"),
    "first of a run removed": (lambda e: e.lines.pop(14), "event 2 of run-2 follows event 0"),
    "last of a run removed": (lambda e: e.lines.pop(16), "run run-2 ends at event 2"),
    "half a character as it is": (
        lambda e: e.lines.append('"\ud800"\n'),
        "it has half a character",
    ),
    "last line removed": (lambda e: e.lines.pop(), "run run-3 ends at event 1"),
    "withheld one removed": (lambda e: e.lines.pop(2), "event 5 of main follows event 3"),
    "one inserted": (lambda e: e.lines.insert(7, e.lines[6]), "event 7 of main follows event 7"),
    "two swapped": (lambda e: swapped(e, 6, 7), "event 8 of main follows event 6"),
    "run dropped": (lambda e: cut(e, 14, 17), "run run-2 with 3 events is missing"),
    "last run dropped": (lambda e: cut(e, 17, 19), "run run-3 with 2 events is missing"),
    "run twice": (lambda e: e.lines.extend(e.lines[14:17]), "run run-2 does not belong here"),
    "another run": (lambda e: e.lines.append(line(CHAINS["run-1"], 1)), "run-1 does not belong"),
    "main after a run": (lambda e: e.lines.append(e.lines[0]), "run main does not belong here"),
    "withheld in a run": (
        lambda e: e.lines.insert(15, withheld_line("ab" * 32)),
        "an event of run run-2 is withheld",
    ),
    "of the period withheld": (
        lambda e: e.lines.__setitem__(6, withheld_line(e.main.hash(7))),
        "events of main are withheld that may lie in the period, up to event 7",
    ),
    "manifest of another kind": (lambda e: e.manifest.update(export="2"), "none of this kind"),
    "count": (lambda e: e.manifest.update(events=16), f"{ELSE}events"),
    "last hash": (lambda e: e.manifest["chains"][0].update(last_hash="x"), f"{ELSE}chains"),
    "file's hash": (lambda e: e.manifest["files"][EVENTS].update(sha256="x"), f"{ELSE}files"),
    "more in the manifest": (lambda e: e.manifest.update(more=1), "there is more in it"),
    "shorter period": (
        lambda e: e.manifest["query"].update(asdict(of_days("2026-07-01", "2026-07-31"))),
        "run run-3 does not belong here",
    ),
    "moments of another period": (
        lambda e: e.manifest["query"].update(until="2026-08-01T00:00:00.000000Z"),
        PERIOD,
    ),
    "days of another period": (
        lambda e: e.manifest["query"].update(first_day="2026-01-01", last_day="2026-12-31"),
        PERIOD,
    ),
    "another time zone": (
        lambda e: e.manifest["query"].update(time_zone="Europe/Berlin"),
        PERIOD,
    ),
    "a day in another form": (lambda e: e.manifest["query"].update(first_day="20260701"), PERIOD),
    "no time zone": (
        lambda e: e.manifest["query"].update(time_zone="UTC\nthe export is verified"),
        "does not say what was asked for",
    ),
    "a folder as time zone": (
        lambda e: e.manifest["query"].update(time_zone="Europe"),
        "does not say what was asked for",
    ),
    "the calendar's end": (
        lambda e: e.manifest["query"].update(last_day="9999-12-31"),
        "does not say what was asked for",
    ),
    "a period that ends before it begins": (
        lambda e: e.manifest["query"].update(asdict(of_days("2026-07-01", "2026-06-01"))),
        PERIOD,
    ),
    "more in the query": (lambda e: e.manifest["query"].update(more=1), PERIOD),
    "period of another form": (
        lambda e: e.manifest["query"].update(until="2026-10-01"),
        PERIOD,
    ),
    "period without an end": (
        lambda e: e.manifest["query"].pop("until"),
        PERIOD,
    ),
    "no period": (lambda e: e.manifest.pop("query"), "does not say what was asked for"),
    "period of numbers": (
        lambda e: e.manifest["query"].update(since=7),
        PERIOD,
    ),
    "signature stripped": (stripped, "it is not signed, so it could have been written anew"),
    "another key": (resigned, "its checkpoint: "),
    "no checkpoint": (lambda e: e.manifest.update(checkpoint="x"), "its checkpoint: "),
    "signed, but no checkpoint": (
        lambda e: e.manifest.update(checkpoint=KEY.signed("trust me\n")),
        "its checkpoint: ",
    ),
    "checkpoint of another record": (signed_for_another, "are not what was signed"),
    "checkpoint of a longer record": (signed_for_more, "its end was cut off"),
}


def signed_export(*tail: Mapping[str, Any], runs: Mapping[str, Chain] | None = None) -> Export:
    """Return an export of a signed record that ends with its checkpoint, and what follows."""
    chains = {**CHAINS, **(runs or {})}
    note = Export().note
    checkpoint = {"event": "audit.checkpoint", "actor": "cron", "note": note, "at": at("11-24")}
    in_main = (*IN_MAIN[:SIGNED], checkpoint, *tail)
    export = Export(
        in_main, withheld={3, 4}, chains=chains, runs=("run-2", "run-4", "run-3", *(runs or {}))
    )
    return export.told()


INVENTED_RUN: Final = run_chain("run-9", "07-02", *range(50))
TAILS: Final[Mapping[str, tuple[Callable[[], Export], str]]] = {
    "a refusal": (
        lambda: signed_export({"event": "request.refused", "request_id": 3, "at": at("07-02")}),
        "not signed are 1 of main (from event 14)",
    ),
    "a run that erased fifty": (
        lambda: signed_export(
            opened("run-9", "07-02"),
            {
                **closed("run-1", "07-02"),
                "run_id": "run-9",
                "length": 50,
                "root": root_of(INVENTED_RUN.leaves).hex(),
            },
            runs={"run-9": INVENTED_RUN},
        ),
        "2 of main (from event 14) and 50 of runs that no signed event closes (run-9)",
    ),
    "a run still open": (
        lambda: signed_export(opened("run-9", "07-02"), runs={"run-9": INVENTED_RUN}),
        "1 of main (from event 14) and 50 of runs that no signed event closes (run-9)",
    ),
}


def issued() -> list[tuple[PublicKey, Any]]:
    """Return real certificates as they would be issued today, each with the key that signed."""
    first = json.loads((GOLDEN / "certificates-1.json").read_text(encoding="utf-8"))
    second = json.loads((GOLDEN / "certificates-2.json").read_text(encoding="utf-8"))
    other = PublicKey.parse(second["public_key"])
    pairs = [(KEY.public, document) for document in first]
    pairs += [(other, document) for document in second["certificates"]]
    return [(key, certificates.verified(document, [key]).document) for key, document in pairs]


CERTIFICATES: Final = issued()

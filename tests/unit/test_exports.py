"""Exports: what their lines prove, and that nothing in them can be changed."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import asdict
from datetime import date
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pytest
from builders import Chain, make_checkpoint

from forge_gdpr.chain import canonical, seal
from forge_gdpr.checkpoints import signing_key
from forge_gdpr.exports import (
    COLUMNS,
    EVENTS,
    FIRST_FORMAT,
    FORMAT,
    SECOND_FORMAT,
    SHEET,
    InvalidExportError,
    Ledger,
    Query,
    Verified,
    line_of,
    manifest_in,
    query_of,
    require_files,
    shortened,
    verified,
    withheld_line,
)
from forge_gdpr.merkle import root_of
from forge_gdpr.outcomes import ENDINGS, absence_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY: Final = signing_key("example.org/forge-gdpr", bytes(range(32)))
OTHER: Final = signing_key("example.org/forge-gdpr", bytes(32))
GOLDEN: Final = Path(__file__).parents[1] / "golden"
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


def line(chain: Chain, seq: int) -> str:
    return line_of(
        body=chain.texts[seq - 1], previous=chain.previous[seq - 1], sealed=chain.hash(seq)
    )


def test_an_export_tells_what_lies_in_its_period() -> None:
    export = Export().told()
    told = export.verified().manifest
    assert told == export.manifest
    assert (told["events"], told["events_withheld"], told["events_in_period"]) == (15, 4, 10)
    assert [(one["chain"], one["last_seq"], one["closed"]) for one in told["chains"]] == [
        ("main", 14, False),
        ("run-2", 3, True),
        ("run-3", 2, True),
    ]
    assert told["chains"][1]["first_seq"] == 1
    assert told["chains"][1]["last_hash"] == CHAINS["run-2"].hash(3)
    assert (told["events_not_signed"], told["events_in_period_not_signed"]) == (2, 0)
    data = "".join(export.lines).encode()
    assert told["files"][EVENTS] == {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert "request.held,,94,," in export.sheet
    assert "'=T-3" in export.sheet
    for outside in (91, 92, 93, 98, 99):
        assert f"request.held,,{outside}," not in export.sheet


def exported_before() -> tuple[Any, list[str], str]:
    golden = json.loads((GOLDEN / "export-1.json").read_text())
    return golden["manifest"], golden["lines"], golden["sheet"]


def test_an_older_export_is_valid_with_the_sheet_of_its_time() -> None:
    manifest, lines, sheet = exported_before()
    digest = hashlib.sha256(sheet.encode()).hexdigest()
    assert manifest["export"] == FIRST_FORMAT
    allowed: dict[str, Any] = {
        "sheet_sha256": digest,
        "keys": [KEY.public],
        "allow_unsigned_tail": True,
    }
    assert verified(manifest, lines, **allowed).manifest == manifest
    assert verified(manifest, lines, **allowed).tail.events == {"main": 2}
    with pytest.raises(InvalidExportError, match="not signed are 2 of main"):
        verified(manifest, lines, **(allowed | {"allow_unsigned_tail": False}))
    for newer, said in ((SECOND_FORMAT, "files"), (FORMAT, "chains, files, events_not_signed")):
        with pytest.raises(InvalidExportError, match=f"something else than its events: {said}"):
            verified(manifest | {"export": newer}, lines, **allowed)


def test_the_sheet_says_in_words_what_a_closing_means() -> None:
    absence = {"paths": "list", "gone": "list", "account": "sentinel"}
    ended = {"event": "request.closed", "at": at("07-01"), "request_id": 3, "meaning": "erased"}
    in_main = (
        ended | {"outcome": "already_absent", "absence": absence},
        ended | {"outcome": "not_found_by_email"},
        ended | {"outcome": "erased"},
        ended | {"event": "request.held", "absence": "here"},
    )
    export = Export(in_main, withheld=set(), runs=()).told()
    assert export.verified().manifest == export.manifest
    rows = list(csv.DictReader(StringIO(export.sheet, newline=""), COLUMNS, strict=True))
    assert [(row["meaning"], row["absence"]) for row in rows] == [
        (
            ENDINGS["already_absent"].sentence,
            absence_in({"absence": absence}),
        ),
        (
            ENDINGS["not_found_by_email"].sentence,
            "How absence was shown is not in the record (older version).",
        ),
        (ENDINGS["erased"].sentence, ""),
        ("", ""),
    ]


def test_the_events_beside_the_period_show_that_none_of_it_is_missing() -> None:
    for more in (6, 7):
        with pytest.raises(InvalidExportError, match="withheld that may lie in the period"):
            Export(withheld=WITHHELD | {more}).told()
    at_the_end = Export((*IN_MAIN[:11], held(98, "10-02")), withheld={3, 4, 12})
    with pytest.raises(InvalidExportError, match="may lie in the period, up to event 12"):
        at_the_end.told()
    only_before = Export(IN_MAIN[:4], withheld={3, 4}, runs=())
    with pytest.raises(InvalidExportError, match="may lie in the period, up to event 4"):
        only_before.told()


def test_a_period_without_events_is_shown_to_be_empty() -> None:
    outside = (held(1, "06-01"), held(2, "06-02"), held(3, "10-02"), held(4, "10-03"))
    export = Export(outside, withheld={1, 4}, runs=())
    told = export.told().verified().manifest
    assert (told["events_in_period"], told["chains"][0]["last_seq"]) == (0, 4)
    nothing = Export((), withheld=set(), runs=())
    assert nothing.told().manifest["chains"] == [
        {
            "chain": "main",
            "first_seq": 0,
            "last_seq": 0,
            "last_hash": "0" * 64,
            "closed": False,
            "not_signed": 0,
        }
    ]


def test_of_an_open_run_the_links_are_all_there_is() -> None:
    in_main = (*IN_MAIN[:10], opened("run-3", "09-30"), opened("run-5", "09-30"))
    export = Export(in_main, withheld={3, 4}).told()
    found = export.verified()
    told = found.manifest
    assert (told["chains"][-1]["chain"], told["chains"][-1]["closed"]) == ("run-3", False)
    assert (found.tail.events, found.tail.open_runs) == ({"run-3": 2}, ["run-3", "run-5"])
    with pytest.raises(
        InvalidExportError, match=r"2 of runs that no signed event closes \(run-3\)"
    ):
        export.verified(allow_unsigned_tail=False)
    export.lines.pop()
    with pytest.raises(InvalidExportError, match="something else than its events"):
        export.verified()


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


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_found(change: str) -> None:
    tamper, message = CHANGES[change]
    export = Export().told()
    tamper(export)
    with pytest.raises(InvalidExportError) as caught:
        export.verified()
    assert message in str(caught.value)


def test_a_sheet_that_says_something_else_is_found() -> None:
    export = Export().told()
    with pytest.raises(InvalidExportError, match=r"events\.csv does not say what events\.jsonl"):
        verified(export.manifest, export.lines, sheet_sha256="ab" * 32, keys=[KEY.public])


@pytest.mark.parametrize("manifest", [None, [], 7, "export", {}])
def test_what_is_no_manifest_proves_nothing(manifest: object) -> None:
    with pytest.raises(InvalidExportError, match="its manifest is none of this kind"):
        verified(manifest, [], sheet_sha256="", keys=[KEY.public])


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


def test_an_export_that_ends_with_its_checkpoint_is_signed_as_a_whole() -> None:
    export = signed_export()
    found = export.verified(allow_unsigned_tail=False)
    assert (found.tail.events, found.tail.open_runs, str(found.tail)) == ({}, [], "")
    assert (found.key, found.checkpoint.size) == (KEY.public, SIGNED)
    assert found.manifest["events_not_signed"] == 0
    rows = list(csv.DictReader(StringIO(export.sheet, newline=""), COLUMNS))
    assert {row["signed"] for row in rows} == {"yes"}


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


@pytest.mark.parametrize("name", TAILS)
def test_what_is_not_signed_is_not_shown_as_verified(name: str) -> None:
    make, said = TAILS[name]
    export = make()
    with pytest.raises(InvalidExportError) as caught:
        export.verified(allow_unsigned_tail=False)
    assert said in str(caught.value)
    tail = export.verified().tail
    assert sum(tail.events.values()) == export.manifest["events_not_signed"] > 0
    rows = list(csv.DictReader(StringIO(export.sheet, newline=""), COLUMNS))
    marked = [row["signed"] for row in rows]
    assert marked.count("no") == tail.in_period == export.manifest["events_in_period_not_signed"]


@pytest.mark.parametrize(
    "changes",
    [
        {"event": "request.refused"},
        {"note": "another"},
        {"at": at("07-02")},
        {"actor": 7},
        {"request_id": 3},
        {"outcome": "erased"},
    ],
)
def test_no_other_event_passes_for_the_checkpoint(changes: Mapping[str, Any]) -> None:
    note = Export().note
    kept = {"event": "audit.checkpoint", "actor": "cron", "note": note, "at": at("11-24")}
    export = Export((*IN_MAIN[:SIGNED], {**kept, **changes}), withheld={3, 4}).told()
    with pytest.raises(InvalidExportError, match=r"not signed are 1 of main \(from event 13\)"):
        export.verified(allow_unsigned_tail=False)


def test_a_checkpoint_in_the_period_is_marked_as_what_it_is() -> None:
    export = signed_export()
    query = of_days("2026-07-01", "2026-12-31")
    ledger = Ledger(query, export.note)
    rows = "".join(ledger.add(one) for one in export.lines).splitlines()
    assert [row.rpartition(",")[2] for row in rows if "audit.checkpoint" in row] == ["checkpoint"]


def test_no_unsigned_event_says_where_a_signed_one_lies() -> None:
    """A date before the period, behind the signed events, must not cover what is withheld."""
    in_main = (*IN_MAIN[:SIGNED], held(70, "06-01"))
    with pytest.raises(InvalidExportError, match="may lie in the period, up to event 12"):
        Export(in_main, withheld={3, 4, 12}).told()


def test_a_period_after_the_last_signature_holds_what_is_withheld_apart() -> None:
    export = Export((*IN_MAIN[:SIGNED], held(70, "12-01")), withheld={3, 4, 6, 7}, runs=())
    ledger = Ledger(of_days("2026-12-01", "2026-12-31"), export.note)
    for one in export.lines:
        ledger.add(one)
    assert ledger.manifest(issued_at=at("12-02"), version="1")["events_in_period"] == 1


def test_a_few_names_stand_for_many() -> None:
    assert shortened(["a", "b", "c"]) == "a, b, c"
    assert shortened(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_a_folder_holds_an_export_and_nothing_else() -> None:
    names = ["events.jsonl", "events.csv", "manifest.json"]
    require_files(names)
    with pytest.raises(InvalidExportError, match=r"manifest\.json is missing"):
        require_files(names[:2])
    with pytest.raises(InvalidExportError, match=r"more in it than an export: 'a\\nb'"):
        require_files([*names, "a\nb"])


def test_a_manifest_is_read_strictly() -> None:
    assert manifest_in('{"export": 1}') == {"export": 1}
    for text in ("{", '{"export":1,"export":2}', '{"events":1.0}'):
        with pytest.raises(InvalidExportError, match=r"^manifest\.json: it "):
            manifest_in(text)


@pytest.mark.parametrize(
    ("in_main", "message"),
    [
        ((opened("main", "07-01"),), "event 1 of main opens or closes run main again"),
        ((opened("run-1", "07-01"),) * 2, "event 2 of main opens or closes run run-1 again"),
        ((closed("run-1", "07-01"),), "event 1 of main opens or closes run run-1 again"),
        (
            (opened("run-1", "07-01"), *(closed("run-1", "07-01"),) * 2),
            "event 3 of main opens or closes run run-1 again",
        ),
    ],
)
def test_a_run_opens_once_and_closes_once(
    in_main: tuple[Mapping[str, Any], ...], message: str
) -> None:
    export = Export(in_main, withheld=set(), runs=())
    export.note = None
    with pytest.raises(InvalidExportError) as caught:
        export.told()
    assert str(caught.value) == message


def test_an_event_of_another_run_is_found() -> None:
    stray = Chain("run-2", [{"event": "request.closed", "run_id": "run-9", "at": at("07-01")}])
    with pytest.raises(InvalidExportError, match="event 1 of run-2 is of another run"):
        Export(chains={**CHAINS, "run-2": stray}).told()

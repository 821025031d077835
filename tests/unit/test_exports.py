"""Exports: what their lines prove, and that nothing in them can be changed."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import asdict
from datetime import date
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pytest
from builders import Chain, make_checkpoint
from exported import (
    CHAINS,
    CHANGES,
    IN_MAIN,
    KEY,
    SIGNED,
    TAILS,
    WITHHELD,
    Export,
    at,
    closed,
    held,
    of_days,
    opened,
    signed_export,
)

from forge_gdpr.evidence import verify
from forge_gdpr.exports import (
    BESIDE,
    COLUMNS,
    EVENTS,
    FIRST_FORMAT,
    FORMAT,
    MANIFEST,
    SECOND_FORMAT,
    SHEET,
    InvalidExportError,
    Ledger,
    is_zone,
    manifest_in,
    query_of,
    require_files,
    shortened,
    verified,
)
from forge_gdpr.outcomes import ENDINGS, absence_in

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS: Final = verify.read_keys(str(KEY.public))
GOLDEN: Final = Path(__file__).parents[1] / "golden"


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
    with pytest.raises(InvalidExportError, match=r"^not signed are 2 of main"):
        verified(manifest, lines, sheet_sha256=digest, keys=[KEY.public])
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


@pytest.mark.parametrize(
    ("days", "withheld", "message"),
    [
        # What was shown lies in the period already, or lies in it again afterwards.
        (("06-01", "09-01", "06-02", "06-03", "10-02"), {3}, "in the period, up to event 3"),
        (("06-01", "10-02", "06-02", "06-03", "06-04"), {3}, "in the period, up to event 3"),
        (("06-01", "10-02", "10-03", "09-01", "10-04"), {3}, "in the period, up to event 3"),
        (("06-01", "10-02", "10-03", "10-04", "09-01"), {3}, "in the period, up to event 4"),
        (("06-01", "10-02", "10-03", "10-04", "06-01"), {3}, "in the period, up to event 4"),
        # These are withheld by an exporter, too.
        (("06-02", "06-01", "06-02", "09-01", "10-02", "10-03"), {1, 6}, None),
        (("06-02", "06-01", "10-02", "09-01", "10-02", "10-03"), {1, 6}, None),
        (("06-02", "06-01", "06-02", "10-02", "10-01", "10-03"), {1, 2, 5, 6}, None),
    ],
)
def test_where_a_clock_was_set_back_less_is_withheld(
    days: tuple[str, ...], withheld: set[int], message: str | None, tmp_path: Path
) -> None:
    in_main = [held(number, day) for number, day in enumerate(days)]
    export = Export(tuple(in_main), withheld=withheld, runs=())
    export.note = KEY.signed(make_checkpoint(export.main.leaves).text)
    if message is None:
        folder = export.told().write(tmp_path / "evidence")
        assert export.verified(allow_unsigned_tail=False).manifest == export.manifest
        verify.verify_export(folder, KEYS)
        return
    with pytest.raises(InvalidExportError, match=message):
        export.told()
    foreign = verify.Export(signed_export().manifest | {"checkpoint": export.note}, KEYS)
    with pytest.raises(verify.Refusal, match="withheld that may lie in the period"):
        foreign.read(line.encode() for line in export.lines)


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


#: How each refusal begins.
BEGINS: Final = "(?=an? |events? |it |its |main |run |the )"


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_found(change: str) -> None:
    tamper, message = CHANGES[change]
    export = Export().told()
    tamper(export)
    with pytest.raises(InvalidExportError, match=f"^{BEGINS}.*{re.escape(message)}"):
        export.verified()


def test_a_sheet_that_says_something_else_is_found() -> None:
    export = Export().told()
    with pytest.raises(InvalidExportError, match=r"^events\.csv does not say what events\.jsonl"):
        verified(export.manifest, export.lines, sheet_sha256="ab" * 32, keys=[KEY.public])


@pytest.mark.parametrize("manifest", [None, [], 7, "export", {}, {"export": []}])
def test_what_is_no_manifest_proves_nothing(manifest: object) -> None:
    with pytest.raises(InvalidExportError, match=r"^its manifest is none of this kind$"):
        verified(manifest, [], sheet_sha256="", keys=[KEY.public])


def test_an_export_that_ends_with_its_checkpoint_is_signed_as_a_whole() -> None:
    export = signed_export()
    found = export.verified(allow_unsigned_tail=False)
    assert (found.tail.events, found.tail.open_runs, str(found.tail)) == ({}, [], "")
    assert (found.key, found.checkpoint.size) == (KEY.public, SIGNED)
    assert found.manifest["events_not_signed"] == 0
    rows = list(csv.DictReader(StringIO(export.sheet, newline=""), COLUMNS))
    assert {row["signed"] for row in rows} == {"yes"}


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
    with pytest.raises(InvalidExportError, match=r"^not signed are 1 of main \(from event 13\)"):
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


@pytest.mark.parametrize(
    "name",
    [
        *("localtime", "posixrules", "Factory", "posix/UTC", "right/UTC", "Localtime", "utc"),
        *("Europe/../UTC", "Europe/", "/UTC", "UTC ", "CET", "SystemV/CST6"),
    ],
)
def test_a_time_zone_that_each_machine_has_for_itself_is_none(name: str) -> None:
    assert not is_zone(name)
    export = signed_export()
    export.manifest["query"]["time_zone"] = name
    with pytest.raises(InvalidExportError, match="does not say what was asked for"):
        export.verified()
    with pytest.raises(
        verify.Refusal, match=r"its time zone .* is none that is the same everywhere"
    ):
        verify.period_of(export.manifest["query"])


@pytest.mark.parametrize(
    "name",
    [
        *("UTC", "GMT", "Etc/UTC", "Etc/GMT-14", "Africa/Abidjan", "Africa/Dar_es_Salaam"),
        *("America/Argentina/Buenos_Aires", "America/Port-au-Prince", "US/Eastern"),
    ],
)
def test_a_time_zone_is_one_that_is_the_same_everywhere(name: str) -> None:
    assert is_zone(name)
    zone = ZoneInfo(name)
    asked = asdict(query_of(first_day=date(2026, 7, 1), last_day=date(2026, 7, 2), zone=zone))
    assert verify.period_of(asked) == (asked["since"], asked["until"])


def test_an_older_export_may_have_a_time_zone_by_its_short_name() -> None:
    manifest, lines, sheet = exported_before()
    told: dict[str, Any] = {
        "sheet_sha256": hashlib.sha256(sheet.encode()).hexdigest(),
        "keys": [KEY.public],
        "allow_unsigned_tail": True,
    }
    for name in ("Zulu", "Universal"):
        manifest["query"]["time_zone"] = name
        assert verified(manifest, lines, **told).manifest == manifest
    for name in ("localtime", "posixrules", "Factory", "right/UTC", "posix/UTC"):
        manifest["query"]["time_zone"] = name
        with pytest.raises(InvalidExportError, match="does not say what was asked for"):
            verified(manifest, lines, **told)


def test_a_few_names_stand_for_many() -> None:
    assert shortened(["a", "b", "c"]) == "a, b, c"
    assert shortened(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert shortened(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_a_folder_holds_an_export_and_nothing_else() -> None:
    names = ["events.jsonl", "events.csv", "manifest.json"]
    require_files(names)
    with pytest.raises(InvalidExportError, match=r"manifest\.json is missing"):
        require_files(names[:2])
    with pytest.raises(InvalidExportError, match=r"more in it than an export: 'a\\nb'"):
        require_files([*names, "a\nb"])


def test_files_beside_the_evidence_are_those_that_the_manifest_lists() -> None:
    require_files({EVENTS, SHEET, MANIFEST, *BESIDE})
    export = Export().told()
    beside = {BESIDE[0]: {"bytes": 7, "sha256": "ab" * 32}}
    allowed: dict[str, Any] = {
        "sheet_sha256": export.manifest["files"][SHEET]["sha256"],
        "keys": [KEY.public],
        "allow_unsigned_tail": True,
    }
    with pytest.raises(InvalidExportError, match="something else than its events: files"):
        verified(export.manifest, export.lines, beside=beside, **allowed)
    export.manifest["files"] |= beside
    found = verified(export.manifest, export.lines, beside=beside, **allowed)
    assert found.manifest == export.manifest
    with pytest.raises(InvalidExportError, match="something else than its events: files"):
        export.verified()


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
    with pytest.raises(InvalidExportError, match=r"^event 1 of run-2 is of another run$"):
        Export(chains={**CHAINS, "run-2": stray}).told()

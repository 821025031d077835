"""Two verifiers that share no code, and evidence that was changed by chance: they agree.

Each mutant of a certificate, of its page and of an export is verified by `audit ... --verify` and
by `verify.py`. Both accept it or both refuse it, and neither fails in any other way. An adversary
who holds the signing key is among those who change: what is signed may be anything, too.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import date
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click
import pytest
from builders import Chain, make_checkpoint
from evidence import (
    KEY,
    MAIN,
    NOTE,
    QUERY,
    RUNS,
    SIGNED,
    Folder,
    exported,
    make_certificate,
    make_export,
)
from exported import (
    CERTIFICATES,
    IN_MAIN,
    TAILS,
    Export,
    held,
    opened,
    signed_export,
)
from exported import (
    SIGNED as SIGNED_OF_EXPORT,
)
from fuzzing import as_text, changed, changed_inside, in_other_bytes, respelled

from forge_gdpr import certificates, outcomes
from forge_gdpr.certificates import InvalidCertificateError
from forge_gdpr.chain import canonical, seal
from forge_gdpr.checkpoints import InvalidCheckpointError, checkpoint_in, sole_signer
from forge_gdpr.cli import certificate as certifying
from forge_gdpr.cli import export as exporting
from forge_gdpr.errors import ForgeGdprError
from forge_gdpr.evidence import verify
from forge_gdpr.exports import InvalidExportError, line_of, query_of, withheld_line
from forge_gdpr.merkle import path_to, root_of
from forge_gdpr.reports.certificate import as_html, certificate_text_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

FEW: Final = 1_000
MANY: Final = 40_000
counts = pytest.mark.parametrize(
    "count", [FEW, pytest.param(MANY, marks=pytest.mark.soak, id="many")]
)
CERTIFICATE: Final = make_certificate()
EXPORT: Final = make_export()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Return a file with the keys of all evidence here."""
    file = tmp_path / "keys"
    others = {str(key) for key, _ in CERTIFICATES}
    file.write_text("".join(f"{key}\n" for key in sorted({str(KEY.public), *others})))
    return file


def theirs(check: Callable[[], object]) -> bool:
    """Return whether `verify.py` accepts, as its `main` decides it."""
    try:
        check()
    except (verify.Refusal, OSError):
        return False
    return True


def ours(check: Callable[[], object]) -> bool:
    try:
        check()
    except (ForgeGdprError, click.ClickException):
        return False
    return True


def of_certificate(file: Path, keys: Path) -> tuple[bool, bool]:
    """Return what we say of it, and what `verify.py` says."""
    public = verify.read_keys(keys.read_text())
    return (
        ours(lambda: certifying._verified(str(file), keys)),
        theirs(lambda: verify.verify_certificate(file, public)),
    )


# Certificates


def any_certificate(draw: Random) -> Any:
    return draw.choice((CERTIFICATE, CERTIFICATE, draw.choice(CERTIFICATES)[1]))


def retold(evidence: Any, document: Any) -> Any:
    """Tell a certificate anew from its evidence, as an adversary would."""
    told = dict(document) | {"evidence": evidence}
    try:
        return certificates._told(certificates._evidence_in(evidence))
    except (InvalidCertificateError, KeyError, TypeError, AttributeError):
        return told


def evidence_changed(draw: Random) -> bytes:
    document = any_certificate(draw)
    evidence = document["evidence"]
    for _ in range(draw.choice((1, 1, 2, 3))):
        try:
            evidence = (changed if draw.random() < 0.7 else changed_inside)(evidence, draw)
        except (ValueError, IndexError):  # there is no event left that can be read
            break
    return spelt(retold(evidence, document), draw)


def parts_chosen(draw: Random) -> bytes:
    """Leave out or double events and runs, and change their order."""
    document = any_certificate(draw)
    evidence = dict(document["evidence"])
    for name in ("events", "runs"):
        parts = list(evidence[name])
        for _ in range(draw.choice((0, 1, 1, 2))):
            if not parts:
                break
            place, other = draw.randrange(len(parts)), draw.randrange(len(parts))
            match draw.randrange(4):
                case 0:
                    del parts[place]
                case 1:
                    parts.insert(other, parts[place])
                case 2:
                    parts[place], parts[other] = parts[other], parts[place]
                case _:
                    stranger = draw.choice(CERTIFICATES)[1]["evidence"][name]
                    parts.insert(other, draw.choice(stranger or parts))
        evidence[name] = parts
    return spelt(retold(evidence, document), draw)


def bodies_of(chain: Chain) -> list[dict[str, Any]]:
    return [json.loads(text) for text in chain.texts]


def odd(bodies: list[dict[str, Any]], draw: Random) -> list[dict[str, Any]]:
    """Let some of the events say something else, in canonical form."""
    bodies = list(bodies)
    for _ in range(draw.choice((1, 1, 2, 4))):
        place = draw.randrange(len(bodies))
        body = changed(bodies[place], draw)
        if draw.random() < 0.3:
            name = draw.choice(NAMES)
            body = {**bodies[place], name: draw.choice(ODD)}
        try:
            canonical(body)
            {**body}  # noqa: B018  # an object it is
        except (TypeError, ValueError):
            continue
        bodies[place] = body
    return bodies


NAMES: Final = (
    *("steps", "outcome", "absence", "also", "subject", "reference", "due_on", "closed_on"),
    *("status", "ended", "reached", "http_status", "received_at", "length", "root", "late"),
    *("run_id", "request_id", "meaning", "signed", "actor", "former", "at", "event"),
)
ODD: Final[Sequence[Any]] = (
    *(None, True, False, 0, 1, 200, 404, "", "erased", "absent_after_attempt", "already_absent"),
    *("done", "crashed", "=1+1", "\t=1", " @x", 'a"b', "a,b", "a\nb", "\uff1dx", "é", "\u2028"),
    *("request.closed", "request.admitted", "attempt.finished", "run.opened", "run.closed"),
    *(["logs"], ["logs", "account"], [], {}, {"a": [1, None, True]}, [1], "2026-11-24"),
    *({"paths": p, "gone": g, "account": "listed"} for p in ("list", 1) for g in ("get", "list")),
    [{"name": "logs", "http_status": 200}, {"name": "account", "http_status": 404}],
    [{"name": "logs", "http_status": 404}, {"name": "account", "http_status": 200}],
    [{"name": "account", "http_status": 200}, {"name": "verify", "http_status": 410}],
    [{"name": "verify"}, {"http_status": 404}, {"name": "verify", "http_status": "404"}],
)


class Lines(Chain):
    """A chain whose events say whatever they say: nothing in them is put right."""

    def __init__(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        super().__init__("", [])
        previous = "0" * 64
        for body in bodies:
            self.previous.append(previous)
            self.texts.append(canonical(body))
            previous = seal(previous, self.texts[-1])
            self.leaves.append(bytes.fromhex(previous))


def signed_anew(draw: Random) -> tuple[Lines, dict[str, Lines], str]:
    """Return main and the runs as the holder of the key could have signed them."""
    in_runs = {name: bodies_of(chain) for name, chain in RUNS.items()}
    if draw.random() < 0.8:
        name = draw.choice(list(in_runs))
        in_runs[name] = odd(in_runs[name], draw)
    runs = {name: Lines(bodies) for name, bodies in in_runs.items()}
    in_main = bodies_of(MAIN)[:SIGNED]
    for body in in_main:
        if body["event"] == "run.closed":
            leaves = runs[body["run_id"]].leaves
            body |= {"length": len(leaves), "root": root_of(leaves).hex()}
    if draw.random() < 0.4:
        in_main = odd(in_main, draw)
    signed = Lines(in_main)
    note = KEY.signed(make_checkpoint(signed.leaves).text)
    kept = json.loads(MAIN.texts[-1]) | {"note": note}
    return Lines([*in_main, kept]), runs, note


def signed_by_a_liar(draw: Random) -> bytes:
    main, runs, note = signed_anew(draw)
    leaves = {"main": main.leaves[:-1], **{name: run.leaves for name, run in runs.items()}}

    def proven(chain: str, seq: int) -> dict[str, Any]:
        lines = main if chain == "main" else runs[chain]
        return {
            "previous": lines.previous[seq - 1],
            "body": lines.texts[seq - 1],
            "path": [node.hex() for node in path_to(seq - 1, leaves[chain])],
        }

    events = [
        proven(body["chain"], body["seq"])
        for body in (json.loads(event["body"]) for event in CERTIFICATE["evidence"]["events"])
    ]
    pairs = [
        {name: proven("main", json.loads(run[name]["body"])["seq"]) for name in run}
        for run in CERTIFICATE["evidence"]["runs"]
    ]
    evidence = {"checkpoint": note, "events": events, "runs": pairs}
    return spelt(retold(evidence, CERTIFICATE), draw)


def spelt(value: Any, draw: Random) -> bytes:
    return as_text(value, draw).encode(errors="surrogatepass")


#: By name: how a certificate is changed.
OF_CERTIFICATES: Final[Mapping[str, Callable[[Random], bytes]]] = {
    "nothing": lambda draw: spelt(any_certificate(draw), draw),
    "JSON": lambda draw: spelt(changed(any_certificate(draw), draw), draw),
    "event": lambda draw: spelt(changed_inside(any_certificate(draw), draw), draw),
    "text": lambda draw: respelled(as_text(any_certificate(draw), draw), draw).encode(
        errors="surrogatepass"
    ),
    "bytes": lambda draw: in_other_bytes(as_text(any_certificate(draw), draw).encode(), draw),
    "evidence": evidence_changed,
    "parts": parts_chosen,
    "signed": signed_by_a_liar,
}


@counts
def test_both_verifiers_agree_on_a_changed_certificate(
    count: int, tmp_path: Path, keys: Path
) -> None:
    file = tmp_path / "certificate.json"
    accepted: Counter[str] = Counter()
    for number in range(count):
        draw = Random(number)  # noqa: S311  # to be repeated
        kind = draw.choice(list(OF_CERTIFICATES))
        file.write_bytes(OF_CERTIFICATES[kind](draw))
        mine, other = of_certificate(file, keys)
        assert mine == other, (number, kind, file.read_bytes())
        accepted[kind] += mine
    report("certificates", accepted, count)
    assert accepted.keys() == OF_CERTIFICATES.keys()
    assert all(accepted.values())


def page_changed(page: str, draw: Random) -> str:
    data = certificate_text_in(page) or ""
    match draw.randrange(5):
        case 0:
            return page
        case 1:
            return page.replace(data, respelled(data, draw))
        case 2:
            value = json.dumps(changed(json.loads(data), draw))
            return page.replace(data, value.replace("<", "\\u003c"))
        case 3:
            piece = draw.choice(("<script>", "</script>", "<SCRIPT src=x>", "<!--", "<b>", "{}"))
            place = draw.randrange(len(page))
            return page[:place] + piece + page[place:]
        case _:
            return respelled(page, draw)


@counts
def test_they_agree_on_the_certificate_in_a_page(count: int, tmp_path: Path, keys: Path) -> None:
    """What the page shows is compared by us alone; `verify.py` says that it isn't."""
    file, block = tmp_path / "page.html", tmp_path / "certificate.json"
    accepted: Counter[str] = Counter()
    for number in range(count // 4):
        draw = Random(number)  # noqa: S311  # to be repeated
        page = page_changed(as_html(any_certificate(draw)), draw)
        file.write_bytes(page.encode(errors="surrogatepass"))
        mine, other = of_certificate(file, keys)
        data = certificate_text_in(page)
        block.write_bytes((data or "").encode(errors="surrogatepass"))
        is_page = page.lstrip().startswith("<")
        is_alone = page.lower().count("<script") == 1
        alone = ours(lambda: certifying._verified(str(block), keys)) and is_alone
        is_text = theirs(lambda: verify.read_text(file))
        assert other == (is_page and is_text and alone), (number, page)
        assert other or not mine, (number, page)
        accepted.update(ours=mine, theirs=other)
    report("pages", accepted, count)
    assert accepted["theirs"] > accepted["ours"] > 0


#: What events of a request may say of what became of it, in all its spellings.
OUTCOMES: Final = (
    *("erased", "erased", "absent_after_attempt", "already_absent", "not_found_by_email"),
    *("cancelled", "from_the_future", "", None),
)
PATHS: Final = ("list", "sentinel", "get", None)
STEPS: Final = (
    *({"name": name, "http_status": 200} for name in ("logs", "logs", "account", "verify")),
    *({"name": name, "http_status": 404} for name in ("logs", "account", "verify")),
    *({"name": "logs", "http_status": status} for status in (199, 300, 503, None)),
)


def said(draw: Random) -> dict[str, Any]:
    if draw.random() < 0.4:
        absence = {name: draw.choice(PATHS) for name in ("paths", "gone")}
        event: dict[str, Any] = {
            "event": "request.closed",
            "outcome": draw.choice(OUTCOMES),
            "absence": draw.choice((None, "list", absence, {})),
            "steps": draw.choice((None, [], ["logs"], ["account"], ["logs", "account"])),
        }
        if isinstance(event["absence"], dict):
            event["absence"] |= {"account": draw.choice((*verify.ACCOUNTS, "else"))}
    else:
        event = {
            "event": "attempt.finished",
            "status": draw.choice(("done", "done", "pending", None)),
            "ended": draw.choice(("crashed", "answered", None)),
            "reached": draw.choice((True, False, None)),
            "steps": draw.choice((None, [], draw.choices(STEPS, k=draw.randint(1, 3)))),
        }
    kept = [name for name in event if name == "event" or draw.random() < 0.8]
    return {name: event[name] for name in kept}


def test_they_have_the_same_words_for_what_became_of_a_request() -> None:
    seen: Counter[str | None] = Counter()
    for number in range(3_000):
        draw = Random(number)  # noqa: S311  # to be repeated
        events = [said(draw) for _ in range(draw.randint(1, 5))]
        logs = verify.logs_in(events)
        assert logs == outcomes.logs_in(events), events
        assert verify.certified(logs) == outcomes.by_these_events(logs)
        assert verify.certified(logs) == outcomes.by_these_events(logs)
        seen[logs] += 1
        for event in events:
            if event["event"] == "request.closed":
                outcome = event.get("outcome")
                absence = verify.absence_in(event)
                assert verify.name_of(outcome) == outcomes.name_of(outcome)
                meaning = verify.meaning_of(outcome)
                assert meaning == outcomes.meaning_of(outcome)
                assert verify.certified(meaning) == outcomes.by_these_events(meaning)
                assert absence == outcomes.absence_in(event), event
                seen[absence] += 1
    assert len(seen) == 6 + 3 * 4 + 2  # every way to lose logs, to be absent, or not to know


def refused_by_us(check: Callable[[], object]) -> bool:
    try:
        check()
    except (InvalidCertificateError, InvalidCheckpointError):
        return True
    return False


def test_they_take_the_same_texts_for_events_that_can_be_told() -> None:
    seen: Counter[bool] = Counter()
    values = (*ODD, 12, -1, 2**53 - 1, 2**53, "x", ["a", "b"], "2026-11-24T03:00:01.000000Z")
    values = (*values, "2026-02-30", "20261124", "2026-11-24T03:00:01Z", {"name": "a"}, [None])
    for name in (*NAMES, *certificates._KINDS, "chain", "seq", "steps", "steps"):
        for value in values:
            text = canonical({"at": AT, "chain": "c", "event": "e", "seq": 1, name: value})
            is_refused = refused_by_us(partial(certificates._event_in, text))

            def check(text: str = text) -> None:
                verify.require_told(verify.read_event(text, "it"), "it")

            assert theirs(check) != is_refused, text
            seen[is_refused] += 1
    assert min(seen[True], seen[False]) > 300


AT: Final = "2026-11-24T03:00:01.000000Z"


def test_they_take_the_same_texts_for_checkpoints() -> None:
    """Each is signed: only its form can be wrong."""
    public = verify.read_keys(f"{KEY.public}\n")
    text = NOTE.split("\n\n")[0] + "\n"
    seen: Counter[bool] = Counter()
    for number in range(600):
        draw = Random(number)  # noqa: S311  # to be repeated
        changed_text = respelled(text, draw) if number else text
        if changed_text.encode(errors="replace").decode() != changed_text:
            continue  # nobody can sign half a character
        note = KEY.signed(changed_text)
        if draw.random() < 0.2:
            note = respelled(note, draw)

        def ours_of(note: str = note) -> None:
            checkpoint_in(note)
            sole_signer(note, [KEY.public])

        is_refused = refused_by_us(ours_of)
        assert theirs(partial(verify.Checkpoint, note, public)) != is_refused, note
        seen[is_refused] += 1
    assert seen[True] > 300
    assert seen[False] > 20


# Exports


def of_export(folder: Path, keys: Path, *, is_allowed: bool) -> tuple[bool, bool]:
    public = verify.read_keys(keys.read_text())
    return (
        ours(lambda: exporting._verified(folder, keys, allow_unsigned_tail=is_allowed)),
        theirs(lambda: verify.verify_export(folder, public, allow_unsigned_tail=is_allowed)),
    )


def told(lines: Sequence[str], draw: Random, *, note: str = NOTE) -> Folder:
    """Tell manifest and sheet anew from lines, if they can be told, else from others."""
    query = QUERY
    if draw.random() < 0.3:
        first, last = (f"2026-11-{draw.choice((20, 21, 23, 24, 25, 26, 30))}" for _ in range(2))
        zone = ZoneInfo(draw.choice(("UTC", "Europe/Berlin", "Pacific/Kiritimati")))
        days = [date.fromisoformat(day) for day in (first, last)]
        query = query_of(first_day=days[0], last_day=days[1], zone=zone)
    try:
        return exported(lines, query=query, note=note)
    except InvalidExportError:
        return replace(EXPORT, events="".join(lines))


def lines_in(folder: Folder) -> list[str]:
    return folder.events.splitlines(keepends=True)


def lines_changed(draw: Random) -> Folder:
    """Change lines, or their order, and make the hash of a changed event right again."""
    lines = lines_in(EXPORT)
    for _ in range(draw.choice((1, 1, 2))):
        # What was changed before may be no line any more.
        with suppress(ValueError, KeyError, TypeError, IndexError):
            change_line(lines, draw)
    return told(lines, draw)


def change_line(lines: list[str], draw: Random) -> None:
    number, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    match draw.randrange(6):
        case 0:
            del lines[number]
        case 1:
            lines.insert(other, lines[number])
        case 2:
            lines[number], lines[other] = lines[other], lines[number]
        case 3:
            lines[number] = withheld_line(json.loads(lines[number])["hash"])
        case 4:
            lines[number] = canonical(changed(json.loads(lines[number]), draw)) + "\n"
        case _:
            line = changed_inside([json.loads(lines[number])], draw)[0]
            line["hash"] = seal(line["previous"], line["body"])
            lines[number] = canonical(line) + "\n"


def tail_added(draw: Random) -> Folder:
    """Append what nobody signed: to main, and a run that is opened there."""
    lines = lines_in(EXPORT)
    seq = len(MAIN.leaves)
    cut = draw.choice((0, 0, 1))  # without the event that keeps the checkpoint
    seq -= cut
    previous = json.loads(lines[seq - 1])["hash"]
    run = odd(bodies_of(RUNS["run-3"]), draw)
    run = [{**body, "run_id": "run-9", "chain": "run-9"} for body in run]
    runs = Lines(run)
    bodies: list[dict[str, Any]] = [{"event": "request.refused", "request_id": 17, "actor": "eve"}]
    if has_run := draw.random() < 0.6:
        bodies.append({"event": "run.opened", "run_id": "run-9"})
    if has_run and draw.random() < 0.6:
        closed = {"event": "run.closed", "run_id": "run-9", "length": len(run)}
        bodies.append({**closed, "root": root_of(runs.leaves).hex()})
    times = ("2026-11-24T09:00:00.000000Z", "2026-11-29T09:00:00.000000Z")
    bodies = [
        {**body, "at": draw.choice(times), "chain": "main", "seq": seq + number}
        for number, body in enumerate(bodies, start=1)
    ]
    if draw.random() < 0.5:
        bodies = odd(bodies, draw)
    added = []
    for body in bodies:
        text = canonical(body)
        added.append(line_of(body=text, previous=previous, sealed=seal(previous, text)))
        previous = seal(previous, text)
    rest = [*lines[seq + cut :], *(lines_of(runs) if has_run else [])]
    return told([*lines[:seq], *added, *rest], draw)


def lines_of(chain: Chain) -> list[str]:
    return [
        line_of(body=text, previous=previous, sealed=leaf.hex())
        for text, previous, leaf in zip(chain.texts, chain.previous, chain.leaves, strict=True)
    ]


def exported_by_a_liar(draw: Random) -> Folder:
    main, runs, note = signed_anew(draw)
    lines = lines_of(main)
    for number in (0, SIGNED - 1):
        lines[number] = withheld_line(main.hash(number + 1))
    return told(
        [*lines, *(line for run in runs.values() for line in lines_of(run))], draw, note=note
    )


def part_changed(draw: Random, change: Callable[[str, Random], str]) -> Folder:
    name = draw.choice(("manifest", "manifest", "events", "sheet"))
    return replace(EXPORT, **{name: change(getattr(EXPORT, name), draw)})


def bytes_changed(text: str, draw: Random) -> str:
    return in_other_bytes(text.encode(), draw).decode(errors="surrogateescape")


def manifest_changed(draw: Random) -> Folder:
    return replace(EXPORT, manifest=as_text(changed(json.loads(EXPORT.manifest), draw), draw))


def file_beside(draw: Random) -> Folder:
    """List files that are not there, are there, or say something else."""
    manifest = json.loads(EXPORT.manifest)
    empty = {"bytes": 0, "sha256": verify.sha256(b"").hex()}
    for name in draw.sample(("HOWTO.md", "verify.py", "note.txt"), draw.choice((1, 2))):
        manifest["files"][name] = draw.choice((empty, empty, {**empty, "bytes": 1}, {}, None))
    return replace(EXPORT, manifest=json.dumps(manifest))


#: By name: how an export is changed.
OF_EXPORTS: Final[Mapping[str, Callable[[Random], Folder]]] = {
    "nothing": lambda draw: told(lines_in(EXPORT), draw),
    "manifest": manifest_changed,
    "text": lambda draw: part_changed(draw, respelled),
    "bytes": lambda draw: part_changed(draw, bytes_changed),
    "lines": lines_changed,
    "tail": tail_added,
    "signed": exported_by_a_liar,
    "beside": file_beside,
}


def write(export: Folder, folder: Path, draw: Random, *, kind: str) -> None:
    for file in folder.iterdir():
        file.unlink()
    parts = {"manifest.json": export.manifest, "events.jsonl": export.events}
    parts["events.csv"] = export.sheet
    if kind == "beside":
        parts |= dict.fromkeys(draw.sample(("HOWTO.md", "verify.py"), draw.randrange(3)), "")
        parts |= dict.fromkeys(draw.choice(((), (), (), ("note.txt",), (".hidden",))), "")
    for name, text in parts.items():
        by = "surrogateescape" if kind == "bytes" else "surrogatepass"
        (folder / name).write_bytes(text.encode(errors=by))


@counts
def test_both_verifiers_agree_on_a_changed_export(count: int, tmp_path: Path, keys: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    accepted: Counter[str] = Counter()
    for number in range(count):
        draw = Random(number)  # noqa: S311  # to be repeated
        kind = draw.choice(list(OF_EXPORTS))
        write(OF_EXPORTS[kind](draw), folder, draw, kind=kind)
        mine, other = of_export(folder, keys, is_allowed=True)
        assert mine == other, (number, kind)
        if mine:
            accepted[kind] += 1
            mine, other = of_export(folder, keys, is_allowed=False)
            assert mine == other, (number, kind)
            accepted["signed as a whole"] += mine
    report("exports", accepted, count)
    assert accepted.keys() >= OF_EXPORTS.keys()
    assert accepted["signed as a whole"] < sum(accepted[kind] for kind in OF_EXPORTS)
    assert all(accepted.values())


@pytest.mark.parametrize("name", ["signed", "older", "whole", *TAILS, "open"])
def test_they_count_alike_and_promise_alike(name: str, tmp_path: Path, keys: Path) -> None:
    """In the same words: what is complete, how much of what there is, and what is not shown."""
    older = Export((*IN_MAIN[:SIGNED_OF_EXPORT], held(70, "12-01")), withheld={3, 4})
    still_open = (*IN_MAIN[:10], opened("run-3", "09-30"), opened("run-5", "09-30"))
    makes: dict[str, Callable[[], Export]] = {
        "signed": signed_export,
        "older": older.told,
        "whole": Export(IN_MAIN[:SIGNED_OF_EXPORT], withheld=set()).told,
        "open": Export(still_open, withheld={3, 4}).told,
        **{name: make for name, (make, _said) in TAILS.items()},
    }
    folder = makes[name]().write(tmp_path / "evidence")
    found = exporting._verified(folder, keys, allow_unsigned_tail=True)
    mine = exporting._verdict(found)
    public = verify.read_keys(keys.read_text())
    other = verify.verify_export(folder, public, allow_unsigned_tail=True)
    mine[0] = mine[0].removeprefix("the export is verified").removesuffix(":").lstrip(": ")
    other[0] = other[0].removeprefix("VERIFIED").removeprefix(": the export is").strip()
    assert mine[:6] == other[:6]
    withheld = found.manifest["events_withheld"]
    assert ("but for what the" in mine[0]) is bool(withheld)
    for lines in (mine, other):
        said = "A run that was alive through the whole period may be among them, with all that it"
        assert len([line for line in lines if said in line]) == (1 if withheld else 0)
        assert len([line for line in lines if "recorded after it was signed" in line]) == 1


def report(what: str, accepted: Counter[str], count: int) -> None:
    numbers = ", ".join(f"{kind} {accepted[kind]}" for kind in sorted(accepted))
    sys.stdout.write(f"{what}: {count} changed, accepted {sum(accepted.values())} ({numbers})\n")

"""Evidence that was changed by chance: what is still accepted says the same.

A certificate and an export are changed tens of thousands of times: what their JSON says, the text
of an event in them, their characters, their bytes; also by an adversary who tells all that is told
from the events anew. Whatever a verifier accepts must say what the original says, to the letter.
The numbers of the long version stand in tests/mutation/README.md.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections import Counter
from dataclasses import replace
from io import StringIO
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest
from builders import Chain
from evidence import (
    KEY,
    MAIN,
    NOTE,
    OTHER,
    RUNS,
    Folder,
    exported,
    make_certificate,
    make_export,
)
from fuzzing import as_text, changed, changed_inside, dense, in_other_bytes, respelled

from forge_gdpr import certificates, exports
from forge_gdpr.certificates import InvalidCertificateError, certificate_in
from forge_gdpr.chain import canonical, seal
from forge_gdpr.cli import certificate as certifying
from forge_gdpr.cli import export as exporting
from forge_gdpr.exports import InvalidExportError, line_of, manifest_in, withheld_line
from forge_gdpr.merkle import root_of

if TYPE_CHECKING:
    from collections.abc import Callable

FEW: Final = 1_000
KEYS: Final = (KEY.public, OTHER.public)
CERTIFICATE: Final = make_certificate()
EXPORT: Final = make_export()
TEXTS: Final = {text for chain in (MAIN, *RUNS.values()) for text in chain.texts}

counts = pytest.mark.parametrize(
    "count", [FEW, pytest.param(40_000, marks=pytest.mark.soak, id="many")]
)


def certified(data: bytes) -> certificates.Verified | None:
    try:
        return certificates.verified(certificate_in(data.decode()), KEYS)
    except (InvalidCertificateError, UnicodeDecodeError):
        return None


def retold(document: Any, _draw: Random) -> Any:
    """Tell a certificate anew from its evidence, as an adversary would."""
    try:
        return certificates._told(certificates._evidence_in(document["evidence"]))
    except (InvalidCertificateError, KeyError):
        return document


def evidence_changed(document: Any, draw: Random) -> Any:
    evidence = document["evidence"]
    for _ in range(draw.choice((1, 1, 2))):
        evidence = (changed if draw.random() < 0.7 else changed_inside)(evidence, draw)
    return retold(document | {"evidence": evidence}, draw)


def a_few_events(document: Any, draw: Random) -> Any:
    """Leave out or double events and runs, and change their order."""
    evidence = dict(document["evidence"])
    for name in ("events", "runs"):
        parts = evidence[name]
        most = len(parts) + draw.choice((0, 0, 1))
        evidence[name] = draw.choices(parts, k=draw.randint(0, most))
        if draw.random() < 0.8:
            left = {json.dumps(one) for one in evidence[name]}
            evidence[name] = [one for one in parts if json.dumps(one) in left]
    chains = {json.loads(one["body"])["chain"] for one in evidence["events"]}
    if draw.random() < 0.7:
        evidence["runs"] = [
            run
            for run in document["evidence"]["runs"]
            if json.loads(run["opened"]["body"])["run_id"] in chains
        ]
    return retold(document | {"evidence": evidence}, draw)


#: By name: how a certificate is changed. What is told anew may hold fewer events than before.
OF_CERTIFICATES: Final[dict[str, Callable[[Random], bytes]]] = {
    "JSON": lambda draw: spelt(changed(CERTIFICATE, draw), draw),
    "event": lambda draw: spelt(changed_inside(CERTIFICATE, draw), draw),
    "text": lambda draw: respelled(as_text(CERTIFICATE, draw), draw).encode(errors="replace"),
    "bytes": lambda draw: in_other_bytes(as_text(CERTIFICATE, draw).encode(), draw),
    "evidence": lambda draw: spelt(evidence_changed(CERTIFICATE, draw), draw),
    "events": lambda draw: spelt(a_few_events(CERTIFICATE, draw), draw),
}
RETOLD: Final = {"evidence", "events"}


def spelt(value: Any, draw: Random) -> bytes:
    return as_text(value, draw).encode(errors="surrogatepass")


@counts
def test_a_changed_certificate_is_refused_or_says_the_same(count: int) -> None:
    original = certified(json.dumps(CERTIFICATE).encode())
    assert original is not None
    lines = certifying._verdict(original)
    accepted: Counter[str] = Counter()
    for number in range(count):
        draw = Random(number)  # noqa: S311  # to be repeated
        kind = draw.choice(list(OF_CERTIFICATES))
        mutant = OF_CERTIFICATES[kind](draw)
        found = certified(mutant)
        if found is None:
            continue
        accepted[kind] += 1
        assert found.key == original.key
        if kind not in RETOLD:
            assert found.document == CERTIFICATE, (number, kind)
            assert certifying._verdict(found) == lines
            continue
        for name in ("request", "result", "record", "proves", "limits"):
            assert found.document[name] == CERTIFICATE[name], (number, kind, name)
        assert [
            line for line in certifying._verdict(found) if not line.startswith("told from")
        ] == [line for line in lines if not line.startswith("told from")]
        bodies = [one["body"] for one in found.document["evidence"]["events"]]
        assert TEXTS.issuperset(bodies), (number, kind)
        assert len(bodies) == len(set(bodies)) == len(found.document["steps"])
    report("certificates", accepted, count)
    assert set(accepted) == set(OF_CERTIFICATES)


def tail_of(folder: Folder, draw: Random) -> Folder:
    """Append to main, or to a run that is opened there, what nobody signed."""
    lines = folder.events.splitlines(keepends=True)
    in_main = len(MAIN.leaves)
    last = json.loads(lines[in_main - 1])
    previous, seq = last["hash"], in_main
    added: list[str] = []
    run: list[str] = []
    leaves: list[bytes] = []
    for _ in range(draw.randint(1, 3)):
        seq += 1
        body = dict(draw.choice(INVENTED)) | {"chain": "main", "seq": seq, "at": draw.choice(TIMES)}
        if body["event"] == "run.opened" and not run:
            run, leaves = invented_run()
        elif body["event"] == "run.closed":
            body |= {"length": len(leaves), "root": root_of(leaves).hex()}
        text = canonical(body)
        added.append(line_of(body=text, previous=previous, sealed=seal(previous, text)))
        previous = seal(previous, text)
    return told_again(folder, [*lines[:in_main], *added, *lines[in_main:], *run])


TIMES: Final = ("2026-11-24T09:00:00.000000Z", "2026-11-29T09:00:00.000000Z")
INVENTED: Final[list[dict[str, Any]]] = [
    {"event": "request.refused", "request_id": 17, "actor": "eve"},
    {"event": "run.opened", "run_id": "run-9", "actor": "eve"},
    {"event": "run.closed", "run_id": "run-9", "actor": "eve"},
    {"event": "run.closed", "run_id": "run-3", "actor": "eve"},
    {"event": "audit.checkpoint", "note": NOTE, "actor": "eve"},
]


def invented_run() -> tuple[list[str], list[bytes]]:
    bodies = [
        {"event": "request.closed", "run_id": "run-9", "request_id": n, "outcome": "erased"}
        for n in range(50)
    ]
    chain = Chain("run-9", bodies)
    places = range(len(bodies))
    lines = [
        line_of(body=chain.texts[n], previous=chain.previous[n], sealed=chain.hash(n + 1))
        for n in places
    ]
    return lines, chain.leaves


def told_again(folder: Folder, lines: list[str]) -> Folder:
    """Tell manifest and sheet anew from lines, if they can be told, else from others."""
    try:
        return exported(lines)
    except InvalidExportError:
        events = "".join(lines)
        return Folder(manifest=folder.manifest, events=events, sheet=folder.sheet)


def lines_changed(folder: Folder, draw: Random) -> Folder:
    """Change a line, or the order of lines, and make all hashes after it right again."""
    lines = folder.events.splitlines(keepends=True)
    number = draw.randrange(len(lines))
    match draw.randrange(6):
        case 0:
            del lines[number]
        case 1:
            lines.insert(draw.randrange(len(lines)), lines[number])
        case 2:
            other = draw.randrange(len(lines))
            lines[number], lines[other] = lines[other], lines[number]
        case 3:
            lines[number] = withheld_line(json.loads(lines[number])["hash"])
        case 4:
            lines[number] = dense(changed(json.loads(lines[number]), draw)) + "\n"
        case _:
            said = json.loads(lines[number])
            if "body" in said:
                (said,) = changed_inside([said], draw)
                previous = bytes.fromhex(said["previous"])
                body = said["body"].encode(errors="surrogatepass")
                said["hash"] = hashlib.sha256(previous + body).hexdigest()
                lines[number] = dense(said) + "\n"
    return told_again(folder, lines)


def part_changed(change: Callable[[str, Random], str]) -> Callable[[Random], Folder]:
    """Return how one of the files is changed."""

    def of(draw: Random) -> Folder:
        name = draw.choice(("manifest", "manifest", "events", "sheet"))
        return replace(EXPORT, **{name: change(getattr(EXPORT, name), draw)})

    return of


def manifest_changed(draw: Random) -> Folder:
    return replace(EXPORT, manifest=as_text(changed(json.loads(EXPORT.manifest), draw), draw))


def bytes_changed(text: str, draw: Random) -> str:
    return in_other_bytes(text.encode(), draw).decode(errors="surrogateescape")


#: By name: how an export is changed.
OF_EXPORTS: Final[dict[str, Callable[[Random], Folder]]] = {
    "manifest": manifest_changed,
    "text": part_changed(respelled),
    "bytes": part_changed(bytes_changed),
    "lines": lambda draw: lines_changed(EXPORT, draw),
    "tail": lambda draw: tail_of(EXPORT, draw),
}


def verified_export(folder: Folder, *, is_allowed: bool) -> exports.Verified | None:
    try:
        return exports.verified(
            manifest_in(folder.manifest),
            [f"{line}\n" for line in folder.events.split("\n")[:-1]],
            sheet_sha256=hashlib.sha256(folder.sheet.encode(errors="surrogatepass")).hexdigest(),
            keys=KEYS,
            allow_unsigned_tail=is_allowed,
        )
    except InvalidExportError:
        return None


def signed_rows(folder: Folder) -> list[dict[str, str]]:
    rows = csv.DictReader(StringIO(folder.sheet, newline=""), strict=True)
    return [row for row in rows if row["signed"] == "yes"]


@counts
def test_a_changed_export_is_refused_or_says_the_same(count: int) -> None:
    original = verified_export(EXPORT, is_allowed=False)
    assert original is not None
    lines, rows = exporting._verdict(original), signed_rows(EXPORT)
    accepted: Counter[str] = Counter()
    for number in range(count):
        draw = Random(number)  # noqa: S311  # to be repeated
        kind = draw.choice(list(OF_EXPORTS))
        mutant = OF_EXPORTS[kind](draw)
        found = verified_export(mutant, is_allowed=True)
        if found is None:
            assert number % 10 or verified_export(mutant, is_allowed=False) is None
            continue
        accepted[kind] += 1
        assert found.key == original.key
        assert signed_rows(mutant) == rows, (number, kind)
        told = exporting._verdict(found)
        strictly = verified_export(mutant, is_allowed=False)
        if found.tail.events:
            assert strictly is None
            assert "AS FAR AS IT IS SIGNED" in told[0]
            assert sum("NOT SIGNED" in line for line in told) >= 2
            continue
        assert strictly == found
        assert told == lines, (number, kind)
        # Nobody signs who asked for the checkpoint, nor that its event was exported, too.
        of_checkpoint = {"files", "chains", "events", "events_in_period"}
        claims = {"issued_at", "version"} | (of_checkpoint if kind == "lines" else set())
        for name in original.manifest.keys() - claims:
            assert found.manifest[name] == original.manifest[name], (number, kind, name)
    report("exports", accepted, count)
    assert set(accepted) == set(OF_EXPORTS)


def report(what: str, accepted: Counter[str], count: int) -> None:
    numbers = ", ".join(f"{kind} {accepted[kind]}" for kind in sorted(accepted))
    sys.stdout.write(f"{what}: {count} changed, accepted {sum(accepted.values())} ({numbers})\n")

"""The verifier for people without us: it refuses what ours refuses, and needs nothing of ours."""

from __future__ import annotations

import ast
import base64
import json
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from builders import Chain, make_checkpoint
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from evidence import make_certificate, make_export, proven_run
from exported import (
    CERTIFICATES,
    CHANGES,
    IN_MAIN,
    KEY,
    OTHER,
    SIGNED,
    TAILS,
    Export,
    held,
    run_chain,
    signed_export,
)
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.certificates import LIMITS, PROVES, Evidence
from forge_gdpr.chain import canonical, seal
from forge_gdpr.checkpoints import SigningKey, signing_key
from forge_gdpr.evidence import verify
from forge_gdpr.evidence.verify import KeyFileError, PublicKey, Refusal, is_signature, read_keys
from forge_gdpr.exports import InvalidExportError, line_of
from forge_gdpr.reports.certificate import as_html

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERIFIER: Final = Path(verify.__file__)
KEYS: Final = read_keys(f"{KEY.public}\n")


def pem_of(key: SigningKey) -> str:
    public = Ed25519PublicKey.from_public_bytes(key.public.raw)
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def lines_about(export: Export, folder: Path, **given: Any) -> list[str]:
    return verify.verify_export(export.write(folder / "evidence"), KEYS, **given)


def test_it_says_what_was_shown_and_what_was_not(tmp_path: Path) -> None:
    export = signed_export()
    lines = lines_about(export, tmp_path)
    assert lines[:7] == [
        (
            "VERIFIED: the export is unchanged and complete, but for what the 2 events say of which"
            " it has the hash alone"
        ),
        (
            "  period: 2026-07-01 to 2026-09-30 (UTC), from 2026-07-01T00:00:00.000000Z until"
            " before 2026-10-01T00:00:00.000000Z"
        ),
        "  events of it shown: 10",
        "  runs alive in it, shown: 2, each whole",
        "  the main chain: whole; of 2 of its events the hash alone",
        "  signed: example.org/forge-gdpr, 12 events of main, 2026-11-24T03:00:00.000000Z",
        f"  by: example.org/forge-gdpr, key {KEY.public.id}, SHA-256 {KEY.public.fingerprint}",
    ]
    assert "NOT SIGNED" not in "".join(lines)


def test_a_period_that_goes_on_is_complete_up_to_the_signature(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    export = make_export()
    (folder / "manifest.json").write_text(export.manifest)
    (folder / "events.jsonl").write_text(export.events)
    (folder / "events.csv").write_bytes(export.sheet.encode())
    lines = verify.verify_export(folder, KEYS)
    signed_at = "2026-11-24T03:00:00.000000Z"
    assert lines[0] == (
        f"VERIFIED: the export is unchanged and complete up to {signed_at}, when it was signed, but"
        " for what the 2 events say of which it has the hash alone"
    )
    assert "- That what was recorded after it was signed is here." in lines
    rows = export.sheet.count("\n") - 1
    assert lines[2] == f"  events of it shown: {rows - 1}"  # without the checkpoint's own


@pytest.mark.parametrize("change", CHANGES)
def test_it_refuses_every_change(change: str, tmp_path: Path) -> None:
    tamper, _message = CHANGES[change]
    export = Export().told()
    tamper(export)
    with pytest.raises(Refusal):
        lines_about(export, tmp_path, allow_unsigned_tail=True)


#: What is refused by itself, not only because the manifest would have to be told again.
BY_ITSELF: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            "line with blanks",
            "line with another end",
            "letter spelt out",
        ),
        "a line is not in canonical form",
    ),
    **dict.fromkeys(("more in a line", "more in a withheld line"), "odd line"),
    **dict.fromkeys(
        ("no JSON", "too deep", "empty line", "line without its end"), "not JSON in UTF-8"
    ),
    **dict.fromkeys(("hash that is none", "previous that is none"), "not 64 hex digits"),
    **dict.fromkeys(("issued at no time", "issued by two lines", "issued by a number"), "when and"),
    **dict.fromkeys(("moments of another period", "another time zone"), "names another period"),
    **dict.fromkeys(
        ("word in main", "word in a run", "hash"), "of (main|run-2) does not match its hash"
    ),
    **dict.fromkeys(("previous", "event sealed again"), "is not tied to the event before it"),
    **dict.fromkeys(
        ("first removed", "middle removed", "one inserted", "two swapped"),
        "one is missing, or was added",
    ),
    **dict.fromkeys(
        ("signed event sealed again", "withheld hash", "checkpoint of another record"),
        "are not what was signed",
    ),
    **dict.fromkeys(
        ("run twice", "main after a run", "shorter period"),
        "the chain (run-2|run-3|main) does not belong here",
    ),
    "last of a run sealed again": "run run-2 is not as main says",
    "another key": "none of the given keys has signed",
    "endless line": "longer than 1048576 characters",
    "name twice": "stands twice",
    "hash as number": "something else than text",
    "manifest of another kind": "is not of the format",
    "no time zone": "is none that is the same everywhere",
    "a day in another form": "not written as YYYY-MM-DD",
    "the calendar's end": "is not in the calendar",
    "more in the query": "does not say what was asked for",
    "one more signature": "has not exactly one signature",
    "signature stripped": "it is not signed",
    "withheld in a run": "an event of a run is withheld",
    "of the period withheld": "are withheld that may lie in the period",
    "end of main cut": "its end was cut off",
    "run dropped": "the events of run run-2 are missing",
    "last of a run removed": "run run-2 is not as main says",
    "another run": "the chain run-1 does not belong here",
}


@pytest.mark.parametrize("change", BY_ITSELF)
def test_it_refuses_what_is_wrong_by_itself(change: str, tmp_path: Path) -> None:
    export = Export().told()
    CHANGES[change][0](export)
    with pytest.raises(Refusal, match=BY_ITSELF[change]):
        lines_about(export, tmp_path, allow_unsigned_tail=True)


@pytest.mark.parametrize("name", TAILS)
def test_what_is_not_signed_is_refused_or_counted(name: str, tmp_path: Path) -> None:
    make, _said = TAILS[name]
    export = make()
    with pytest.raises(Refusal, match="it holds what is not signed"):
        lines_about(export, tmp_path)
    folder = tmp_path / "evidence"
    lines = verify.verify_export(folder, KEYS, allow_unsigned_tail=True)
    count = export.manifest["events_not_signed"]
    assert lines[0].startswith("VERIFIED AS FAR AS IT IS SIGNED, ")
    in_period = export.manifest["events_in_period_not_signed"]
    assert lines[2].endswith(f" ({in_period} of them NOT SIGNED)")
    assert [
        line
        for line in lines
        if line.startswith(f"- Anything about what is NOT SIGNED, {count} event")
    ]


def test_a_run_that_no_signed_event_closes_is_named(tmp_path: Path) -> None:
    export = TAILS["a run still open"][0]()
    lines = lines_about(export, tmp_path, allow_unsigned_tail=True)
    assert "- Anything about 1 run that no signed event closes: run-9" in lines


@pytest.mark.parametrize(
    "changes",
    [
        {"event": "request.refused"},
        {"note": "another"},
        {"at": "2026-07-02T03:00:00.000000Z"},
        {"actor": 7},
        {"outcome": "erased"},
    ],
)
def test_no_other_event_passes_for_the_checkpoint(changes: Any, tmp_path: Path) -> None:
    kept = {"event": "audit.checkpoint", "actor": "cron", "note": Export().note}
    kept["at"] = "2026-11-24T03:00:00.000000Z"
    export = Export((*IN_MAIN[:SIGNED], {**kept, **changes}), withheld={3, 4}).told()
    with pytest.raises(Refusal, match=r"what is not signed \(1 event\)"):
        lines_about(export, tmp_path)


def event_text(**changes: Any) -> str:
    return canonical({**held(3, "12-01"), "chain": "main", "seq": 14, **changes})


FORM: Final = "an event is not in canonical form"
LACKS: Final = "an event lacks what every event has"
#: Texts of an event after the checkpoint, each with a hash that is right.
TEXTS: Final[dict[str, tuple[str, str]]] = {
    "blanks": (event_text().replace(":", ": ", 1), FORM),
    "another spelling": (event_text().replace("ada", "\\u0061da"), FORM),
    "another order": (event_text().replace("{", '{"z":1,', 1), FORM),
    "a list": (f"[{event_text()}]", FORM),
    "a name that is not ASCII": (event_text(é=1), FORM),
    "such a name inside": (event_text(steps=[{"é": 1}]), FORM),
    "a fraction": (event_text().replace("14", "14.0"), "not a whole number"),
    "too long": (event_text(actor="a" * 2**20), "longer than 1048576 characters"),
    "no time": (event_text(at="2026-12-01"), LACKS),
    "no such time": (event_text(at="2026-12-01T24:00:00.000000Z"), LACKS),
    "a time of another day": (event_text(at="2026-02-30T03:00:00.000000Z"), LACKS),
    "an event of a number": (event_text(event=7), LACKS),
    "a chain of a number": (event_text(chain=7), LACKS),
    "a number of text": (event_text(seq="14"), LACKS),
    "the number 0": (event_text(seq=0), LACKS),
    "truth for a number": (event_text(seq=True), LACKS),
    "no run": (event_text(run_id=None), LACKS),
    "a request of text": (event_text(request_id="3"), LACKS),
    "truth for a request": (event_text(request_id=True), LACKS),
}


@pytest.mark.parametrize("name", TEXTS)
def test_it_refuses_the_text_of_an_event_that_can_be_read_in_two_ways(
    name: str, tmp_path: Path
) -> None:
    text, message = TEXTS[name]
    export = signed_export()
    previous = export.main.hash(13)
    added = line_of(body=text, previous=previous, sealed=seal(previous, text))
    export.lines.insert(13, added)
    with pytest.raises(Refusal, match=message):
        lines_about(export, tmp_path, allow_unsigned_tail=True)
    with pytest.raises(
        InvalidExportError, match=r"holds a line that is none|an event that is none"
    ):
        export.verified()


def link_to(file: Path) -> None:
    away = file.parent.parent / "elsewhere"
    shutil.copy(file, away)
    file.unlink()
    file.symlink_to(away)


FOLDERS: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "sheet": (lambda f: (f / "events.csv").write_text("x"), "events.csv does not say what"),
    "no sheet": (lambda f: (f / "events.csv").unlink(), "events.csv is missing"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
    "more": (lambda f: (f / "note.txt").write_text(""), "more in it than an export: note.txt"),
    "folder": (lambda f: (f / "more").mkdir(), "more in it is not a file"),
    "link": (lambda f: link_to(f / "events.csv"), "events.csv in it is not a file"),
    "no UTF-8": (lambda f: (f / "events.jsonl").write_bytes(b"\xff\n"), "is not UTF-8"),
    "number": (lambda f: (f / "manifest.json").write_text("1e2"), "not a whole number"),
    "large number": (lambda f: (f / "manifest.json").write_text("9" * 5000), "is too large"),
    "name twice": (lambda f: (f / "manifest.json").write_text('{"a":1,"a":1}'), "stands twice"),
    "deep": (lambda f: (f / "manifest.json").write_text("[" * 40 + "]" * 40), "too deeply"),
    "very deep": (lambda f: (f / "manifest.json").write_text("[" * 100_000), "not JSON"),
    "list": (lambda f: (f / "manifest.json").write_text("[]"), "is not of the format"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_it_refuses_what_is_no_export(name: str, tmp_path: Path) -> None:
    change, message = FOLDERS[name]
    folder = Export().told().write(tmp_path / "evidence")
    change(folder)
    with pytest.raises(Refusal, match=message):
        verify.verify_export(folder, KEYS, allow_unsigned_tail=True)


def test_a_key_is_read_from_a_line_or_from_pem() -> None:
    lines = read_keys(f"{OTHER.public}\n\n{KEY.public}\n")
    assert [(key.name, key.raw) for key in lines] == [
        (key.public.name, key.public.raw) for key in (OTHER, KEY)
    ]
    pem = read_keys(pem_of(OTHER) + pem_of(KEY))
    assert [(key.name, key.raw) for key in pem] == [(None, key.public.raw) for key in (OTHER, KEY)]
    assert pem[1].fingerprint == KEY.public.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "trust me",
        KEY.secret_text(),
        str(KEY.public).replace(KEY.public.id, "00000000"),
        str(KEY.public)[:-4],
        "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
        pem_of(KEY) + "-----BEGIN PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(KeyFileError):
        read_keys(text)


def test_a_pem_key_has_signed_what_bears_the_records_own_name(tmp_path: Path) -> None:
    export = signed_export()
    folder = export.write(tmp_path / "evidence")
    (pem,) = read_keys(pem_of(KEY))
    assert verify.verify_export(folder, [pem])[0].startswith("VERIFIED")
    with pytest.raises(Refusal, match="none of the given keys has signed"):
        verify.verify_export(folder, read_keys(pem_of(OTHER)))
    court = signing_key("court.example.org", KEY.seed)
    text = str(export.note).split("\n\n")[0] + "\n"
    export.manifest["checkpoint"] = court.signed(text)
    with pytest.raises(Refusal, match="none of the given keys has signed"):
        verify.verify_export(export.write(tmp_path / "again"), [pem])


def facts_of(document: Any, key: Any, folder: Path) -> list[str]:
    file = folder / "certificate.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return verify.verify_certificate(file, read_keys(str(key)))


@pytest.mark.parametrize("number", range(len(CERTIFICATES)))
def test_it_tells_a_certificate_again_from_its_evidence(number: int, tmp_path: Path) -> None:
    key, document = CERTIFICATES[number]
    lines = facts_of(document, key, tmp_path)
    request, result = document["request"], document["result"]
    assert lines[:2] == [
        "VERIFIED: the certificate says what its evidence says",
        f"  request: {request['id']}",
    ]
    facts = dict(line[2:].split(": ", 1) for line in lines if line.startswith("  "))
    assert facts["told from"].endswith("; the record may have others, also later ones")
    assert facts["person, as a pseudonym"] == request["subject"]
    assert (facts["result"], facts["meaning"]) == (result["name"], result["meaning"])
    assert (facts.get("absence"), facts.get("logs")) == (result["absence"], result["logs"])
    assert facts["by"].endswith(f" key {key.id}, SHA-256 {key.fingerprint}")
    assert {f"- {line}" for line in (*PROVES, *LIMITS)} <= set(lines)


def rewrite(name: str, value: object) -> Callable[[Any], object]:
    return lambda document: document.update({name: value})


def reword(part: str, name: str, value: object) -> Callable[[Any], object]:
    return lambda document: document[part].update({name: value})


def with_more(document: Any) -> Any:
    return document["evidence"]["events"][0]


CERTIFIED: Final[dict[str, tuple[Callable[[Any], object], str]]] = {
    "another format": (rewrite("certificate", "forge-gdpr certificate 2"), "not of the format"),
    "more": (rewrite("more", 1), "something else than its evidence: more"),
    "issued": (rewrite("issued_at", "2026"), "something else than its evidence: issued_at"),
    "result": (reword("result", "name", "erased, really"), "than its evidence: result"),
    "logs": (reword("result", "logs", "They are gone."), "than its evidence: result"),
    "1 for true": (reword("result", "on_time", 1), "than its evidence: result"),
    "subject": (reword("request", "subject", "k1:aa"), "than its evidence: request"),
    "limits": (rewrite("limits", []), "than its evidence: limits"),
    "proves": (rewrite("proves", ["All of it."]), "than its evidence: proves"),
    "steps": (lambda d: d["steps"].pop(), "than its evidence: steps"),
    "no evidence": (lambda d: d.pop("evidence"), "lacks something, or has more"),
    "more evidence": (reword("evidence", "more", 1), "lacks something, or has more"),
    "runs of a number": (reword("evidence", "runs", 7), "of another type"),
    "no runs": (reword("evidence", "runs", []), "is not in what its run has closed"),
    "a run twice": (lambda d: d["evidence"].update(runs=d["evidence"]["runs"] * 2), "each once"),
    "event twice": (lambda d: d["evidence"]["events"].insert(0, with_more(d)), "is there twice"),
    "order": (lambda d: d["evidence"]["events"].reverse(), "is there twice, or too late"),
    "no events": (reword("evidence", "events", []), "each once"),
    "no end": (lambda d: d["evidence"]["events"].pop(), "its request is not closed"),
    "path": (lambda d: with_more(d)["path"].append("ab" * 32), "in what its run has closed"),
    "path of numbers": (lambda d: with_more(d).update(path=[7]), "not 64 hex digits"),
    "short path": (lambda d: with_more(d)["path"].pop(), "in what its run has closed"),
    "previous": (lambda d: with_more(d).update(previous="AB" * 32), "not 64 hex digits"),
    "body": (lambda d: with_more(d).update(body="{}"), "lacks what every event has"),
    "run as event": (
        lambda d: d["evidence"]["events"].insert(0, d["evidence"]["runs"][0]["opened"]),
        "not those of one request",
    ),
    "run's ends": (
        lambda d: d["evidence"]["runs"][0].update(opened=d["evidence"]["runs"][0]["closed"]),
        "another event for a run's",
    ),
    "event as run": (
        lambda d: d["evidence"]["runs"][0].update(opened=with_more(d)),
        "not in the record that was signed",
    ),
    "checkpoint": (reword("evidence", "checkpoint", "trust me"), "its checkpoint is not one"),
}


@pytest.mark.parametrize("change", CERTIFIED)
def test_it_refuses_every_change_of_a_certificate(change: str, tmp_path: Path) -> None:
    tamper, message = CERTIFIED[change]
    key, document = CERTIFICATES[6]
    document = deepcopy(dict(document))
    tamper(document)
    with pytest.raises(Refusal, match=message):
        facts_of(document, key, tmp_path)


def test_events_that_tell_of_others_are_not_all_of_them(tmp_path: Path) -> None:
    document = make_certificate()
    events = document["evidence"]["events"]
    bodies = [json.loads(event["body"]) for event in events]
    kept = [
        event
        for event, body in zip(events, bodies, strict=True)
        if (body["event"], body.get("attempt")) != ("attempt.finished", 1)
    ]
    document["evidence"] |= {"events": kept, "runs": [proven_run("run-1"), proven_run("run-3")]}
    with pytest.raises(Refusal, match=r"^its events tell of attempt 2, and 1 is not here$"):
        facts_of(document, KEY.public, tmp_path)


def test_two_ends_are_no_certificate(tmp_path: Path) -> None:
    ends = [{"event": f"request.{name}", "request_id": 1} for name in ("cancelled", "refused")]
    main = Chain("main", ends)
    evidence = Evidence(
        checkpoint=KEY.signed(make_checkpoint(main.leaves).text),
        events=[main.proven(1), main.proven(2)],
        runs=[],
    )
    document = {"certificate": "forge-gdpr certificate 3", "evidence": evidence.as_json()}
    with pytest.raises(Refusal, match=r"^its request has 2 ends: no certificate can say one$"):
        facts_of(document, KEY.public, tmp_path)


def test_a_certificate_is_read_strictly(tmp_path: Path) -> None:
    key, document = CERTIFICATES[6]
    text = json.dumps(document)
    for changed in (text.replace("{", '{"certificate":"",', 1), text + "x", text[:-1], "7"):
        with pytest.raises(Refusal):
            facts_of(changed, key, tmp_path)


def test_of_a_page_it_verifies_the_data_and_says_so(tmp_path: Path) -> None:
    key, document = CERTIFICATES[6]
    page = as_html(document)
    lines = facts_of(page, key, tmp_path)
    said = "VERIFIED: the data in the page. What the page shows was NOT compared with it: rely on "
    assert lines[0].startswith(said)
    assert lines[1:-1] == facts_of(document, key, tmp_path)[1:-1]
    assert facts_of(page.replace("erased", "gone", 1), key, tmp_path) == lines
    for other in (
        page.replace("</script>", ""),
        page.replace("</main>", "<SCRIPT>alert(1)</SCRIPT></main>"),
        page + page,
        "<!doctype html>",
        page.replace('"id": 1', '"id": 2'),
    ):
        with pytest.raises(Refusal):
            facts_of(other, key, tmp_path)


#: RFC 8032, section 7.1: public key, message, signature.
VECTORS: Final[Sequence[tuple[str, str, str]]] = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
            "f9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
            "f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098"
            "4dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
)


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_signatures_are_those_of_rfc_8032(public: str, message: str, signature: str) -> None:
    key, text, stamp = map(bytes.fromhex, (public, message, signature))
    assert is_signature(stamp, text, key)
    order = (2**252 + 27742317777372353535851937790883648493).to_bytes(32, "little")
    scalar = int.from_bytes(stamp[32:], "little") + int.from_bytes(order, "little")
    assert not is_signature(stamp[:32] + scalar.to_bytes(32, "little"), text, key)
    assert not is_signature(stamp[:-1], text, key)
    assert not is_signature(stamp, text, b"\xff" * 32)
    assert not is_signature(stamp, text, key[:31])
    for number in range(0, 512, 37):
        changed = bytearray(stamp)
        changed[number // 8] ^= 1 << number % 8
        assert not is_signature(bytes(changed), text, key)


@given(seed=st.binary(min_size=32, max_size=32), text=st.text(max_size=20))
def test_what_ours_has_signed_is_signed(seed: bytes, text: str) -> None:
    key = signing_key("a", seed)
    text = text.encode(errors="ignore").decode()
    stamp = base64.b64decode(key.signed(text).rsplit(" ", 1)[1])[4:]
    assert is_signature(stamp, text.encode(), key.public.raw)
    assert not is_signature(stamp, f"{text}.".encode(), key.public.raw)
    assert PublicKey(key.public.raw).fingerprint == key.public.fingerprint


def alone(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it as a stranger does: no package of ours, no package at all, no environment."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(VERIFIER), *words],
        cwd=folder,
        env={},
        capture_output=True,
        check=False,
        text=True,
    )


def test_a_stranger_runs_it_with_python_alone(tmp_path: Path) -> None:
    signed_export().write(tmp_path / "evidence")
    (tmp_path / "public.pem").write_text(pem_of(KEY))
    (tmp_path / "other.pem").write_text(pem_of(OTHER))
    done = alone(tmp_path, "evidence", "--key", "public.pem")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("VERIFIED: the export is unchanged and complete, but for ")
    other = alone(tmp_path, "evidence", "--key", "other.pem")
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr == "NOT VERIFIED: none of the given keys has signed its checkpoint\n"
    nothing = alone(tmp_path, "none", "--key", "public.pem")
    assert (nothing.returncode, nothing.stderr.count("\n")) == (1, 1)
    for key in ("none.pem", "evidence/events.csv"):
        unread = alone(tmp_path, "evidence", "--key", key)
        assert (unread.returncode, unread.stderr.count("\n")) == (2, 1)


def test_no_text_of_the_evidence_prints_a_line_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lie = "x\nVERIFIED: all of it\x1b[2J\u202e"
    opened = {**held(3, "07-02"), "event": "run.opened", "run_id": lie}
    runs = {lie: run_chain(lie, "07-02", 8)}
    signed_export(opened, runs=runs).write(tmp_path / "evidence")
    (tmp_path / "key.pub").write_text(f"{KEY.public}\n")
    words = [str(tmp_path / "evidence"), "--key", str(tmp_path / "key.pub")]
    assert verify.main([*words, "--allow-unsigned-tail"]) == 0
    assert verify.main(words) == 1
    (tmp_path / "evidence" / lie.replace("/", "")).touch()
    assert verify.main(words) == 1
    out, err = capsys.readouterr()
    lines = (out + err).splitlines()
    assert not [line for line in lines if line.startswith("VERIFIED: ")]
    assert len([line for line in lines if r"x\nVERIFIED: all of it\x1b[2J\u202e" in line]) == 3
    assert (out + err).isascii()


def test_it_shares_no_code_and_asks_for_no_new_python() -> None:
    tree = ast.parse(VERIFIER.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names
    root = VERIFIER.parents[1]
    ours = [file for file in root.rglob("*.py") if file.parent != VERIFIER.parent]
    assert not [file for file in ours if "evidence.verify" in file.read_text(encoding="utf-8")]

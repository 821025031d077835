"""Certificates in the hands of a stranger: Python, a shell, and no package at all."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from world import Program, insert, stranger

from forge_gdpr.evidence import verify
from forge_gdpr.sandbox import generated_user

if TYPE_CHECKING:
    from sqlalchemy import Engine

SIGNING: Final = {"FORGE_GDPR_SIGNING_KEY_FILE": "signing-key"}
VERIFIER: Final = (sys.executable, "-I", "-S", verify.__file__)
CERTIFICATE: Final = "certificate-1.json"
#: What a terminal, a page and a spreadsheet could obey.
REFERENCE: Final = "=1+1</script><b>&amp;\u202e\n"


@pytest.fixture
def certified(program: Program, engine: Engine) -> Program:
    """Return the program after a signed run that erased 1, whose certificate is there."""
    program.here("audit", "keygen", "--name", "example.org/gdpr", "signing-key")
    insert(engine, {"forge_user_id": generated_user(0).id, "reference": REFERENCE})
    assert program.here("run", **SIGNING).returncode == 0
    done = program.here("audit", "certificate", "1")
    assert (done.returncode, done.stderr) == (0, "")
    (program.folder / CERTIFICATE).write_text(done.stdout, encoding="utf-8")
    return program


def test_a_stranger_verifies_a_certificate(certified: Program) -> None:
    words = (*VERIFIER, CERTIFICATE, "--key", "signing-key.pub")
    done = stranger(certified.folder, *words)
    assert (done.returncode, done.stderr) == (0, "")
    for said in (
        "VERIFIED: the certificate says what its evidence says\n  request: 1\n",
        "  result: erased\n  meaning: Forge confirmed that it deleted the user.\n",
        "  signed: example.org/gdpr, ",
    ):
        assert said in done.stdout
    assert done.stdout.isascii()
    file = certified.folder / CERTIFICATE
    document = json.loads(file.read_text(encoding="utf-8"))
    document["result"]["http_status"] = 204
    file.write_text(json.dumps(document), encoding="utf-8")
    changed = stranger(certified.folder, *words)
    assert (changed.returncode, changed.stdout) == (1, "")
    assert changed.stderr == "NOT VERIFIED: it says something else than its evidence: result\n"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_its_signature_is_checked_with_openssl_alone(certified: Program) -> None:
    howto = Path(verify.__file__).with_name("HOWTO.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(.*?)```", howto, re.DOTALL)
    commands = commands.replace("FILE=evidence/manifest.json", f"FILE={CERTIFICATE}")
    done = stranger(certified.folder, "sh", "-euc", commands)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Signature Verified Successfully\n"


def test_a_page_is_verified_as_it_is(certified: Program) -> None:
    page = certified.here("audit", "certificate", "1", "--output", "html").stdout
    (certified.folder / "page.html").write_text(page, encoding="utf-8")
    words = ("audit", "certificate", "--public-key", "signing-key.pub", "--verify")
    done = certified.here(*words, "page.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == certified.here(*words, CERTIFICATE).stdout
    again = certified.here(*words, CERTIFICATE, "--output", "html")
    assert again.stdout == page
    theirs = stranger(certified.folder, *VERIFIER, "page.html", "--key", "signing-key.pub")
    assert (theirs.returncode, theirs.stderr) == (0, "")
    assert "What the page shows was NOT compared with it" in theirs.stdout
    for old, new, said in (
        ("Forge confirmed", "Forge confirmed for sure", "is not what this version writes"),
        ("<h1>", "<h1 hidden>", "is not what this version writes"),
        ("</html>\n", "</html>\n\n", "is not what this version writes"),
        ('"id": 1,', '"id": 2,', "something else than its evidence: request"),
        ("</script>", "", "does not hold exactly one certificate"),
    ):
        changed = certified.here(*words, "-", stdin=page.replace(old, new, 1))
        assert (changed.returncode, changed.stdout, changed.stderr.count("\n")) == (6, "", 1)
        assert said in changed.stderr

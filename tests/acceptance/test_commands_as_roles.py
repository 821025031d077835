"""The real commands on PostgreSQL, each as a login of each role; README says who may what.

A new command gets a line in `WORDS` and one in README's table.
"""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import alembic.command
import pytest
from roles import LOGINS, administer, login_url
from world import KEY, Program, fetch, insert, make_program, night

from forge_gdpr.checkpoints import signing_key
from forge_gdpr.cli import main
from forge_gdpr.database import schema
from forge_gdpr.database.engine import engine_of, writing
from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

README: Final = Path(__file__).parents[2] / "README.md"
USERS: Final = [generated_user(number) for number in range(12)]
ERASED: Final = generated_user(12)
ADA: Final = "ada.lovelace@example.org"
ROLES: Final = ("worker", "submitter", "application", "auditor")
#: They open no database; `doctor` says itself what its login may not.
NOT_HERE: Final = ("demo", "sandbox", "users", "audit keygen", "doctor", "settings")
SIGNING_KEY: Final = signing_key("example.org", bytes(32))
#: Each command as it is typed, a request for each that changes one.
WORDS: Final = {
    "audit certificate": "audit certificate 99",
    "audit checkpoint": "audit checkpoint",
    "audit export": "audit export --from 2026-01-01 --to 2126-12-31 --into evidence",
    "audit list": "audit list",
    "audit prove": "audit prove --user-id -",
    "audit replay-check": "audit replay-check",
    "audit retention": "audit retention",
    "audit verify": "audit verify",
    "db check": "db check",
    "db current": "db current",
    "report": "report",
    "requests add": f"requests add --email {ADA}",
    "requests add --reference": "requests add --reference T-3 --email - --actor office",
    "requests amend": "requests amend 10 --email -",
    "requests approve": "requests approve 6",
    "requests cancel": "requests cancel 3 --reason withdrawn",
    "requests explain": "requests explain 8",
    "requests extend": "requests extend 5 --reason number",
    "requests hold": "requests hold 1 --reason dispute",
    "requests import": "requests import people.csv",
    "requests list": "requests list",
    "requests refuse": "requests refuse 4 --reason expression",
    "requests release": "requests release 2",
    "requests retry": "requests retry 7",
    "requests show": "requests show 9",
    "run": "run",
    "run --dry-run": "run --dry-run",
    "run --dry-run --check": "run --dry-run --check",
    "run --dry-run --plan": "run --dry-run --plan plan.json",
    "status": "status",
}
FINE: Final = {0, 10}


def leaves(group: Any, *names: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, *names, name)
        else:
            yield " ".join((*names, name))


def table() -> dict[str, set[str]]:
    """Return what README says: which roles may run each command."""
    found = re.search(r"<!-- roles -->\n(.*?)<!-- /roles -->", README.read_text(), re.DOTALL)
    assert found is not None
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()[2:]
    ]
    return {
        command.strip("`"): set(roles.split(", "))
        for commands, roles in rows
        for command in commands.split(", ")
    }


def program_as(role: str, url: str, folder: Path, sandbox: Sandbox) -> Program:
    return make_program(
        folder,
        FORGE_GDPR_DATABASE_URL=login_url(url, role),
        FORGE_GDPR_BASE_URL=sandbox.url,
        FORGE_GDPR_API_KEY=KEY,
        FORGE_GDPR_RATE="0",
        FORGE_GDPR_SIGNING_KEY=SIGNING_KEY.secret_text(),
    )


def ask(url: str, *rows: Mapping[str, object]) -> None:
    engine = engine_of(url)
    insert(engine, *rows)
    engine.dispose()


def deletions(sandbox: Sandbox) -> int:
    return sum(seen.method == "DELETE" for seen in sandbox.seen)


def test_readme_names_the_roles_of_every_command() -> None:
    opening = {one for one in leaves(main) if not one.startswith(NOT_HERE)}
    assert {*WORDS, "db upgrade"} >= opening
    assert set(table()) == {*WORDS, "db upgrade"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_can_run_what_readme_says_and_the_rest_ends_with_one_line(
    role: str, roled_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    ask(roled_url, {"id": 99, "forge_user_id": ERASED.id})
    begun = engine_of(roled_url)
    night(begun, sandbox.url, order={"signing_key": SIGNING_KEY})
    begun.dispose()
    deletions_before = deletions(sandbox)
    people: list[dict[str, object]] = [{"forge_user_id": user.id} for user in USERS]
    people[1]["status"] = "held"
    people[6]["status"] = "review"
    people[8] |= {"email": ADA, "reference": "T-1"}
    people[8].pop("forge_user_id")
    ask(roled_url, *people)
    program = program_as(role, roled_url, tmp_path, sandbox)
    (tmp_path / "people.csv").write_text(f"reference,email\nT-2,{ADA}\nT-1,{ADA}\n")
    may = set()
    for name, words in WORDS.items():
        done = program.here(*words.split(), stdin=f"{ADA}\n")
        assert ADA not in done.stdout + done.stderr
        assert USERS[0].id not in done.stdout + done.stderr
        if done.returncode in FINE:
            may.add(name)
            continue
        assert (done.returncode, done.stderr.count("\n")) == (4, 1), (words, done.stderr)
        assert done.stdout == "" or "--plan" in words  # the figures come before the plan
        assert "permission denied for" in done.stderr
    assert may == {name for name, roles in table().items() if role in roles}
    assert (tmp_path / "plan.json").exists() is (role == "worker")
    if role != "worker":
        assert deletions(sandbox) == deletions_before


def test_only_the_owner_brings_the_database_to_a_new_schema(
    roled_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    engine = engine_of(roled_url)
    with writing(engine) as connection:
        alembic.command.downgrade(schema._config(connection), "0002")
    engine.dispose()
    for role in ROLES:
        done = program_as(role, roled_url, tmp_path, sandbox).here("db", "upgrade")
        assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    owner = program_as("owner", roled_url, tmp_path, sandbox)
    assert owner.here("db", "upgrade").returncode == 0
    assert table()["db upgrade"] == {"owner"}


def test_a_worker_takes_over_what_a_killed_one_left(
    roled_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    ask(roled_url, *({"forge_user_id": user.id} for user in USERS[:3]))
    ask(roled_url, {"email": USERS[3].email}, {"forge_user_id": "0" * 24})
    worker = program_as("worker", roled_url, tmp_path, sandbox)
    sandbox.script(Fault(kind=FaultKind.HANG, method="DELETE", count=None))
    first = worker.start("run", FORGE_GDPR_CONCURRENCY="2")
    while not any(seen.method == "DELETE" for seen in sandbox.seen):
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    sandbox.clear()
    over = "now() - interval '1 hour'"
    administer(
        roled_url,
        f"UPDATE runs SET lease_expires_at = {over}",
        f"UPDATE deletion_requests SET claim_expires_at = {over} WHERE status = 'running'",
    )
    second = worker.here("run")
    assert second.returncode == 0
    engine = engine_of(roled_url)
    assert fetch(engine, "SELECT DISTINCT status FROM deletion_requests") == ["done"]
    assert fetch(engine, "SELECT DISTINCT recorded_by FROM audit_events") == [LOGINS["worker"]]
    record = str(fetch(engine, "SELECT body FROM audit_events"))
    assert 'ended":"crashed' in record
    # Whose account it is stands in the record and in other people's rows: a worker reads both.
    assert '"absence":{"account":"erased_before"' in record
    engine.dispose()
    auditor = program_as("auditor", roled_url, tmp_path, sandbox)
    verified = auditor.here("audit", "verify")
    assert (verified.returncode, "of 2 runs (0 open)" in verified.stdout) == (0, True)
    reported = auditor.here("report")
    assert (reported.returncode, reported.stdout) == (0, worker.here("report").stdout)

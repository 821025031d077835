"""An operator's day on the sandbox, as it is typed: README's chapter, and an acceptance test."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from world import KEY, make_program

from forge_gdpr.sandbox import Fault, FaultKind, Sandbox, generated_user

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

USERS: Final = [generated_user(number) for number in range(8)]


@dataclass(frozen=True)
class Step:
    """One command line, what is typed into it, and the exit code it must end with."""

    words: str
    code: int = 0
    stdin: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


#: What is said, and what is typed after it.
SESSION: Final[Sequence[str | Step]] = (
    "# Is this machine set up?",
    Step("doctor"),
    "# Support sends a file. What is wrong in it is said by line; all of it goes in, or none.",
    Step("requests import broken.csv", code=2),
    Step("requests import tickets.csv --dry-run"),
    Step("requests import tickets.csv"),
    Step("requests import tickets.csv"),
    "# One more by hand; who it is comes from stdin, so that no process list shows it.",
    Step("requests add --email - --reference 4716 --actor ada", stdin=USERS[5].email),
    Step("requests list"),
    "# Legal wants 4711 left alone, and 4715 has to be kept by law.",
    Step("requests hold --reference 4711 --reason legal_claims --ticket LEGAL-7 --yes"),
    Step("requests explain --reference 4711"),
    Step("requests refuse --reference 4715 --reason legal_obligation --yes"),
    "# Tonight is signed off beforehand. A request changes: the plan is refused, a new one holds.",
    Step("run --dry-run --plan plan.json"),
    Step("requests cancel --reference 4713 --reason withdrawn --yes"),
    Step("run --plan plan.json", code=8),
    Step("run --dry-run --plan again.json"),
    Step("run --plan again.json", code=10),
    "# Why does 4714 need a person? Mended at Forge, it is tried again.",
    Step("requests explain --reference 4714"),
    Step("requests retry --reference 4714 --reason mended --yes"),
    "# 4711 is complex, so it gets the law's one extension; then Legal lets it go.",
    Step("requests extend --reference 4711 --reason complexity --yes"),
    Step("requests extend --reference 4711 --reason complexity --yes", code=2),
    Step("requests release --reference 4711 --yes"),
    "# A guard stops a night that looks too big; who overrides it says why, on record.",
    Step("run", code=8, variables={"FORGE_GDPR_MAX_DUE": "1"}),
    Step("run --expect 2 --reason backlog", variables={"FORGE_GDPR_MAX_DUE": "1"}),
    "# Where approval is required, nobody approves their own.",
    Step("requests add --email - --reference 4717 --actor ada", stdin=USERS[6].email),
    Step("requests approve --reference 4717 --actor ada --yes", code=2),
    Step("requests approve --reference 4717 --actor grace --yes"),
    Step("run", variables={"FORGE_GDPR_REQUIRE_APPROVAL": "true"}),
    "# A person asks again, after their request has forgotten them.",
    Step("requests explain --email -", stdin=USERS[5].email),
    Step("status"),
)


@cache
def session() -> str:
    """Type all of it in real processes and return what a terminal shows."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(users=30, key=KEY) as sandbox,
    ):
        home = Path(folder)
        program = make_program(
            home,
            FORGE_GDPR_DATABASE_URL="sqlite:///forge-gdpr.db",
            FORGE_GDPR_BASE_URL=sandbox.url,
            FORGE_GDPR_API_KEY=KEY,
            FORGE_GDPR_SUBJECT_KEY="",
            FORGE_GDPR_LOG_LEVEL="error",
        )
        program("db", "upgrade")
        _write_tickets(home)
        refused = Fault(kind=FaultKind.STATUS, status=422, user_id=USERS[3].id, count=1)
        sandbox.script(refused)
        told: list[str] = []
        for step in SESSION:
            if isinstance(step, str):
                told += ["", step] if told else [step]
                continue
            done = program(*step.words.split(), stdin=step.stdin, **step.variables)
            assert done.returncode == step.code, (step.words, done.stdout, done.stderr)
            before = "".join(f"{name}={value} " for name, value in step.variables.items())
            told += [f"$ {before}forge-gdpr {step.words}"]
            told += done.stderr.splitlines() if step.code == 0 else []
            told += done.stdout.rstrip().splitlines()
            told += done.stderr.splitlines() if step.code else []
            told += [f"(exit code {step.code})"] if step.code else []
    text = "\n".join(line.rstrip() for line in told).replace(folder, "/var/lib/forge-gdpr")
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", text)


def _write_tickets(folder: Path) -> None:
    day = f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}"
    header = "reference,forge_user_id,email,regime,received_at\n"
    (folder / "tickets.csv").write_text(
        header
        + f"4711,{USERS[0].id},,gdpr,{day}\n"
        + f"4712,,{USERS[1].email},gdpr,{day}\n"
        + f"4713,{USERS[2].id},,uk_gdpr,{day}\n"
        + f"4714,{USERS[3].id},,ccpa,{day}\n"
        + f"4715,{USERS[4].id},{USERS[4].email},gdpr,{day}\n"
    )
    (folder / "broken.csv").write_text(header + f"4711,{USERS[0].id},,gdpr,31.12.2026\n")

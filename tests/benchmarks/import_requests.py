"""How fast, and in how much memory, `requests import` reads a million lines into SQLite.

    python tests/benchmarks/import_requests.py [lines]

The file is imported into a fresh database by the installed command, and then once more.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from forge_gdpr.sandbox import generated_user

HEADER = "reference,forge_user_id,email,regime,received_at,not_before"


def write(path: Path, lines: int) -> None:
    """Write a CSV file of so many requests."""
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER + "\n")
        for number in range(lines):
            user = generated_user(number)
            day = f"2026-{number % 3 + 1:02}-{number % 28 + 1:02}"
            file.write(f"T-{number},{user.id},{user.email},gdpr,{day}T09:30:00+01:00,\n")


def command(folder: Path, *words: str) -> str:
    """Run the installed command in a folder and return what it says."""
    program = Path(sys.executable).with_name("forge-gdpr")
    done = subprocess.run(
        [program, *words],
        env={"FORGE_GDPR_DATABASE_URL": "sqlite:///requests.db"},
        cwd=folder,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return done.stdout


def main() -> None:
    """Import the file twice: the second time nothing is new."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command(folder, "db", "upgrade")
        migrated_mb = peak_mb()
        write(folder / "requests.csv", lines)
        size_mb = (folder / "requests.csv").stat().st_size / 1e6
        print(f"{lines} lines, {size_mb:.0f} MB; 'db upgrade' takes {migrated_mb:.0f} MB")  # noqa: T201
        for expected in ({"new": lines, "known": 0}, {"new": 0, "known": lines}):
            before_s, before_cpu_s = time.perf_counter(), cpu_s()
            told = command(folder, "requests", "import", "requests.csv", "--output", "json")
            taken_s = time.perf_counter() - before_s
            if json.loads(told) != expected | {"rejected": 0}:
                raise SystemExit(told)
            print(  # noqa: T201
                f"{expected}: {taken_s:.1f} s ({cpu_s() - before_cpu_s:.1f} s of CPU),"
                f" {lines / taken_s:.0f} lines/s, {peak_mb():.0f} MB"
            )


def cpu_s() -> float:
    """Return what the processes started here have used of a CPU: on a busy machine, it is less."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    """Return the most memory that a process started here has held."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


if __name__ == "__main__":
    main()

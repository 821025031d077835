"""The run with its record against a bare pool of ``session.delete`` calls, side by side.

    python tests/benchmarks/run_against_pool.py [REQUESTS] [ROUNDS]

Both against one sandbox in a process of its own. What counts is the ratio; the figures are this
machine's.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

import requests

sys.path.insert(0, str(Path(__file__).parents[1]))

from world import insert, night

from forge_gdpr.database import schema
from forge_gdpr.database.engine import engine_of
from forge_gdpr.forge.gate import Pace
from forge_gdpr.logs import configure
from forge_gdpr.run.opening import Limits
from forge_gdpr.sandbox import generated_user

THREADS = 32
KEY = "sandbox-key"


def bare_pool(url: str, ids: list[str]) -> float:
    """Return calls a second of the loop that is replaced, with a session a thread."""
    mine = local()

    def delete(user_id: str) -> int:
        if not hasattr(mine, "session"):
            mine.session = requests.Session()
            mine.session.headers["Authorization"] = f"Bearer {KEY}"
        return mine.session.delete(f"{url}/user/{user_id}", timeout=30).status_code  # type: ignore[no-any-return]

    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(delete, ids)) == {200}
    return len(ids) / (time.perf_counter() - started)


def whole_run(url: str, ids: list[str], folder: str) -> float:
    """Return requests a second of a run that records all it does."""
    engine = engine_of(f"sqlite:///{folder}/run.db", create=True)
    schema.upgrade(engine)
    insert(engine, *({"forge_user_id": user_id} for user_id in ids))
    summary = night(
        engine,
        url,
        pace=Pace(rate=0),
        limits=Limits(max_due=len(ids), cool_off_days=0),
        order={"concurrency": THREADS, "batch": 500},
    )
    engine.dispose()
    assert summary.outcomes == {"erased": len(ids)}
    return summary.per_second


def main(count: int, rounds: int) -> None:
    """Measure, one after the other, and print the medians."""
    configure(level="error", style="json", stream=sys.stderr)
    figures: dict[str, list[float]] = {"bare pool": [], "whole run": []}
    for _ in range(rounds):
        for name, rates in figures.items():
            process = subprocess.Popen(
                [sys.executable, "-m", "forge_gdpr", "sandbox", "--port=0", f"--users={count}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(os.environ),
                text=True,
            )
            assert process.stdout is not None
            url = process.stdout.readline().split()[1].split("=", 1)[1]
            ids = [generated_user(n).id for n in range(count)]
            with tempfile.TemporaryDirectory() as folder:
                rates.append(
                    bare_pool(url, ids) if name == "bare pool" else whole_run(url, ids, folder)
                )
            process.terminate()
            process.communicate()
    medians = {name: statistics.median(rates) for name, rates in figures.items()}
    for name, rate in medians.items():
        print(f"{name}: {rate:.0f} requests a second")  # noqa: T201
    print(f"ratio: {medians['whole run'] / medians['bare pool']:.2f}")  # noqa: T201


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *("3000", "3")[len(sys.argv) - 1 :]]))

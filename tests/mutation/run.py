"""Change the rooms that decide, a little at a time, and say which changes no unit test notices.

    python tests/mutation/run.py [folder [room ...]]

Works on a copy of the project in ``folder`` (a new temporary one if none is named), with a venv
of its own; a second run in the same folder starts anew, but for the venv. Rooms are those of
ROOMS, all if none is named. README.md beside this file has the figures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MUTMUT: Final = "mutmut==3.8.1"
PROJECT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = [
    "answers",
    "certificates",
    "chain",
    "checkpoints",
    "continuity",
    "deadlines",
    "desk/actions",
    "desk/explanations",
    "desk/returns",
    "errors",
    "exports",
    "forecast",
    "guards",
    "identifiers",
    "identity",
    "lifecycle",
    "merkle",
    "pseudonyms",
    "retention",
    "retries",
    "run/canary",
    "run/conclusions",
    "runids",
    "spreadsheet",
    "strictjson",
    "watch/findings",
]
#: A seed, so that two runs have the same examples and the same survivors. Without the thousands of
#: changes to evidence by chance: each mutant that survives would see them all.
CONFIGURATION: Final = """
[tool.mutmut]
source_paths = ["forge_gdpr"]
pytest_add_cli_args = [
    "--hypothesis-seed=0", "-p", "no:cacheprovider",
    "--ignore=tests/unit/test_agreement.py", "--ignore=tests/unit/test_fuzzed_evidence.py",
]
pytest_add_cli_args_test_selection = ["tests/unit"]
"""
#: Exit codes of pytest that kill a mutant: a test failed, or broke. No test at all is no kill.
KILLED: Final = {1, 3}


def prepare(folder: Path, rooms: Sequence[str]) -> Path:
    """Copy the project into ``folder``, make a venv beside the copy, and return the copy."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    shutil.copytree(PROJECT / "forge_gdpr", copy / "forge_gdpr")
    shutil.copytree(PROJECT / "tests", copy / "tests")
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    text += f"{CONFIGURATION}only_mutate = {[f'forge_gdpr/{room}.py' for room in rooms]}\n"
    (copy / "pyproject.toml").write_text(text, encoding="utf-8")
    venv.create(folder / "venv", with_pip=True)
    pip = [str(folder / "venv/bin/pip"), "install", "-q", "--disable-pip-version-check"]
    lock = str(PROJECT / "requirements-dev.lock")
    subprocess.run([*pip, "--require-hashes", "-r", lock], check=True)
    subprocess.run([*pip, MUTMUT], check=True)
    return copy


def results(copy: Path, rooms: Sequence[str]) -> dict[str, dict[str, int | None]]:
    """Return the exit code of the tests by room and mutant."""
    found = {}
    for room in rooms:
        meta = copy / "mutants" / "forge_gdpr" / f"{room}.py.meta"
        found[room] = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def main() -> None:
    """Run mutmut and print a table, and the survivors as differences."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="mutants-"))
    rooms = sys.argv[2:] or ROOMS
    copy = prepare(folder.resolve(), rooms)
    mutmut = folder.resolve() / "venv/bin/mutmut"
    with (copy / "mutmut.log").open("wb") as log:
        subprocess.run(
            [mutmut, "run", "--max-children", "2"],
            cwd=copy,
            check=True,
            stdout=log,
            stderr=log,
            env=os.environ | {"TMPDIR": str(folder.resolve())},
        )
    lines = ["| room | mutants | killed | survived |", "|---|---|---|---|"]
    survivors = []
    for room, codes in results(copy, rooms).items():
        alive = [mutant for mutant, code in codes.items() if code not in KILLED]
        lines.append(f"| {room} | {len(codes)} | {len(codes) - len(alive)} | {len(alive)} |")
        survivors += alive
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    for mutant in survivors:
        subprocess.run([mutmut, "show", mutant], cwd=copy, check=True)


if __name__ == "__main__":
    main()

"""The installed wheel, in an empty environment, outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Install the wheel where nothing else is; its dependencies are lent, not downloaded."""
    folder = tmp_path_factory.mktemp("installed")
    environment = folder / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    site = next((environment / "lib").glob("python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # Named in a .pth, the folder's own .pth files (our checkout's) are not read.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib"))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(python), "-m", "forge_gdpr", *words],
            cwd=folder,
            env={
                "FORGE_GDPR_API_KEY": "none",
                "FORGE_GDPR_DATABASE_URL": "sqlite:///forge-gdpr.db",
                "PYTHONUTF8": "1",
            },
            capture_output=True,
            check=False,
            text=True,
        )

    return run


def test_a_wheel_brings_its_migrations(
    installed: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    upgraded = installed("db", "upgrade")
    assert (upgraded.returncode, upgraded.stderr) == (0, "")
    assert installed("run", "--dry-run").returncode == 0
    assert installed("--version").stdout == "forge-gdpr 0.1.0\n"


def test_a_wheel_holds_the_program_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name.split("/")[0] for name in archive.namelist()}
        files = set(archive.namelist())
    assert names == {"forge_gdpr", "forge_gdpr-0.1.0.dist-info"}
    assert "forge_gdpr/migrations/versions/0001_requests_and_record.py" in files
    assert "forge_gdpr/py.typed" in files
    assert {"forge_gdpr/evidence/verify.py", "forge_gdpr/evidence/HOWTO.md"} <= files

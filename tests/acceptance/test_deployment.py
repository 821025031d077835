"""What cron/ gives to the platform team, as far as it can be tried without their machines."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from world import KEY, SUBJECT_KEY, Program, make_program

from forge_gdpr import options
from forge_gdpr.errors import ExitCode

if TYPE_CHECKING:
    from forge_gdpr.sandbox import Sandbox

CRON: Final = Path(__file__).parents[2] / "cron"
INSTALLED: Final = "/opt/forge-gdpr/bin/forge-gdpr"
ANALYZE: Final = shutil.which("systemd-analyze")
with_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd is not installed")


def analyzed(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ANALYZE), *words], capture_output=True, check=False, text=True, timeout=60
    )


@pytest.mark.parametrize("file", sorted(CRON.iterdir()), ids=lambda file: file.name)
def test_every_setting_that_is_named_exists(file: Path) -> None:
    known = options.NAMES | {"FORGE_GDPR_NAME", "FORGE_GDPR"}  # any name; the template's head
    secrets = {option.variable.lower() for option in options.OPTIONS if option.secret}
    named = set(re.findall(r"FORGE_GDPR_[A-Z_]*[A-Z]", file.read_text()))
    assert named <= known
    credentials = r"(?:LoadCredential|--from-file)=(\w+)"
    assert set(re.findall(credentials, file.read_text())) <= secrets


@with_systemd
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for name in ("forge-gdpr.service", "forge-gdpr.timer"):
        unit = (CRON / name).read_text()
        (tmp_path / name).write_text(unit.replace(INSTALLED, sys.executable))
    units = [str(tmp_path / name) for name in ("forge-gdpr.service", "forge-gdpr.timer")]
    done = analyzed("verify", "--man=no", *units)
    assert (done.returncode, str(tmp_path) in done.stderr) == (0, False), done.stderr


@with_systemd
def test_the_service_is_let_do_little(tmp_path: Path) -> None:
    unit = shutil.copy(CRON / "forge-gdpr.service", tmp_path)
    done = analyzed("security", "--offline=true", "--threshold=20", "--no-pager", str(unit))
    assert done.returncode == 0, done.stdout[-200:]  # exposure in tenths: 20 is 2.0 of 10


def test_a_pod_reads_its_secrets_as_a_volume_shows_them(
    program: Program, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Through links, group-readable: so are files of a secret with fsGroup."""
    data = tmp_path / "volume" / "..data"
    data.mkdir(parents=True)
    for name, value in {
        "forge_gdpr_api_key": KEY,
        "forge_gdpr_subject_key": SUBJECT_KEY.secret.decode(),
        "forge_gdpr_database_url": program.environment["FORGE_GDPR_DATABASE_URL"],
    }.items():
        (data / name).write_text(f"{value}\n")
        (data / name).chmod(0o440)
        (data.parent / name).symlink_to(Path("..data") / name)
    pod = make_program(
        tmp_path, FORGE_GDPR_BASE_URL=sandbox.url, CREDENTIALS_DIRECTORY=str(data.parent)
    )
    pod.environment.pop("FORGE_GDPR_SUBJECT_KEY")
    done = pod.here("run", "--actor", "kubernetes")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pod_is_started_again_only_for_what_may_pass() -> None:
    found = re.search(r"values: \[(.*)\]", (CRON / "kubernetes.yaml").read_text())
    assert found is not None
    final = {int(code) for code in found[1].split(",")}
    assert set(ExitCode) - final == {
        ExitCode.OK,
        ExitCode.DATABASE,
        ExitCode.FORGE_UNAVAILABLE,
    }

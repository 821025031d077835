"""The face: one file a command group. Wires clock, settings, engine and client together.

Modules in here import click and pure rooms at the top, and everything heavy in the function that
needs it, so that ``--help`` takes 50 ms and not 500.
"""

from __future__ import annotations

import click

from forge_gdpr.cli.amend import amend_command
from forge_gdpr.cli.audit import audit
from forge_gdpr.cli.certificate import certificate_command, prove_command
from forge_gdpr.cli.db import db
from forge_gdpr.cli.demo import demo_command
from forge_gdpr.cli.doctor import doctor_command
from forge_gdpr.cli.errors import ErrorsAsExitCodes
from forge_gdpr.cli.explain import explain_command
from forge_gdpr.cli.export import export_command
from forge_gdpr.cli.imports import import_command
from forge_gdpr.cli.intake import add_command
from forge_gdpr.cli.keys import keygen_command
from forge_gdpr.cli.replay import replay_command
from forge_gdpr.cli.report import report_command
from forge_gdpr.cli.requests import requests
from forge_gdpr.cli.retention import retention_command
from forge_gdpr.cli.run import run_command
from forge_gdpr.cli.sandbox import sandbox_command
from forge_gdpr.cli.settings import settings_command
from forge_gdpr.cli.status import status_command
from forge_gdpr.cli.steering import STEERING
from forge_gdpr.cli.users import users


@click.group(
    cls=ErrorsAsExitCodes,
    context_settings={"show_default": True, "help_option_names": ["-h", "--help"]},
    epilog="Start with: forge-gdpr demo. Exit codes and settings are in README.md.",
)
@click.option("--verbose", is_flag=True, help="Show a traceback with an error.")
@click.version_option(package_name="forge-gdpr", message="%(prog)s %(version)s")
def main(verbose: bool) -> None:
    """Erase people from Alloy Forge, reliably and provably, every night."""


for command in (
    audit,
    db,
    demo_command,
    doctor_command,
    report_command,
    requests,
    run_command,
    sandbox_command,
    settings_command,
    status_command,
    users,
):
    main.add_command(command)

audit.add_command(certificate_command)
audit.add_command(export_command)
audit.add_command(keygen_command)
audit.add_command(prove_command)
audit.add_command(replay_command)
audit.add_command(retention_command)
requests.add_command(add_command)
requests.add_command(amend_command)
requests.add_command(import_command)
requests.add_command(explain_command)
for steering in STEERING:
    requests.add_command(steering)

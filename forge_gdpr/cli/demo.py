"""``forge-gdpr demo``: the whole story, on this machine only."""

from __future__ import annotations

import click

from forge_gdpr.cli.parameters import ending
from forge_gdpr.errors import ExitCode


@click.command("demo", epilog=ending("forge-gdpr demo", ExitCode.OK))
@click.pass_context
def demo_command(ctx: click.Context) -> None:
    """Tell the whole story on an embedded sandbox and a fresh SQLite database.

    Users, requests, dry run, run, verify, report. Needs nothing configured, touches nothing.
    """
    from forge_gdpr.demo import demo

    ctx.exit(demo())

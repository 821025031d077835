"""``forge-gdpr users``: Forge's Users API, one command an endpoint."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json, echo_table
from forge_gdpr.cli.parameters import ending, output_option, yes_option
from forge_gdpr.errors import ExitCode

if TYPE_CHECKING:
    from forge_gdpr.forge.shapes import User

_CODES = (
    ExitCode.OK,
    ExitCode.USAGE,
    ExitCode.CONFIGURATION,
    ExitCode.FORGE_UNAVAILABLE,
    ExitCode.KEY_REFUSED,
)
_user_id = click.argument("user_id", metavar="USER_ID")


@click.group()
def users() -> None:
    """Call Forge's Users API by hand. What is shown here names people."""


@users.command("list", epilog=ending("forge-gdpr users list --output json", *_CODES))
@output_option
def list_users(output: str) -> None:
    """List all users."""
    with wiring.client_for(wiring.settings_with()) as client:
        found = client.list_users()
    if output == "json":
        echo_json([_as_json(user) for user in found])
    else:
        echo_table(("id", "e-mail", "name"), [(u.id, u.email, u.full_name) for u in found])


@users.command(epilog=ending("forge-gdpr users get 61ab8f99251cba0014437326", *_CODES))
@_user_id
@output_option
def get(user_id: str, output: str) -> None:
    """Show one user and what Forge runs for them."""
    with wiring.client_for(wiring.settings_with()) as client:
        user = client.get_user(user_id)
    if output == "json":
        echo_json(_as_json(user) | {"workflows": list(user.workflows)})
        return
    echo_table(("id", "e-mail", "name"), [(user.id, user.email, user.full_name)])
    echo_table(("workflow", "active"), [(w.get("name"), w.get("active")) for w in user.workflows])


@users.command(epilog=ending("forge-gdpr users create --name Ada --email ada@example.org", *_CODES))
@click.option("--name", required=True, help="The full name.")
@click.option("--email", required=True, help="Must be new to Forge.")
def create(name: str, email: str) -> None:
    """Make a user and show the id."""
    with wiring.client_for(wiring.settings_with()) as client:
        click.echo(client.create_user(name=name, email=email))


@users.command(
    epilog=ending("forge-gdpr users update ID --full-name Ada --email ada@example.org", *_CODES)
)
@_user_id
@click.option("--full-name", required=True, help="The full name.")
@click.option("--email", required=True, help="The e-mail.")
@output_option
def update(user_id: str, full_name: str, email: str, output: str) -> None:
    """Change a user's name and e-mail; Forge wants both."""
    with wiring.client_for(wiring.settings_with()) as client:
        user = client.update_user(user_id, email=email, full_name=full_name)
    if output == "json":
        echo_json(_as_json(user))
    else:
        echo_table(("id", "e-mail", "name"), [(user.id, user.email, user.full_name)])


@users.command(epilog=ending("forge-gdpr users delete 61ab8f99251cba0014437326", *_CODES))
@_user_id
@yes_option
def delete(user_id: str, yes: bool) -> None:
    """Delete a user and all workflows, at once and without a record.

    A person's erasure belongs into the queue, where it is recorded: 'forge-gdpr requests add'.
    """
    question = "Delete this user for good, without a record?"
    if sys.stdin.isatty() and not yes and not click.confirm(question, err=True):
        return
    with wiring.client_for(wiring.settings_with()) as client:
        client.delete_user(user_id)
    click.echo("deleted")


@users.command(epilog=ending("forge-gdpr users token 61ab8f99251cba0014437326", *_CODES))
@_user_id
def token(user_id: str) -> None:
    """Show a token for the Forge modal; it lives for 30 minutes."""
    with wiring.client_for(wiring.settings_with()) as client:
        click.echo(client.token(user_id))


def _as_json(user: User) -> dict[str, Any]:
    return {"id": user.id, "email": user.email, "full_name": user.full_name}

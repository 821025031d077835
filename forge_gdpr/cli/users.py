"""``forge-gdpr users``: Forge's Users API, one command an endpoint."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json, echo_table
from forge_gdpr.cli.parameters import ending, output_option, yes_option
from forge_gdpr.cli.terminal import confirmed
from forge_gdpr.errors import ExitCode, InvalidUserIdError
from forge_gdpr.identifiers import user_id_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forge_gdpr.forge.client import ForgeClient
    from forge_gdpr.forge.shapes import Entry

_CODES = (
    ExitCode.OK,
    ExitCode.USAGE,
    ExitCode.CONFIGURATION,
    ExitCode.FORGE_UNAVAILABLE,
    ExitCode.KEY_REFUSED,
)
_COLUMNS: Final = ("id", "e-mail", "name")
_user_id = click.argument("user_id", metavar="USER_ID")


@click.group()
def users() -> None:
    """Call Forge's Users API by hand. What is shown here names people."""


@users.command("list", epilog=ending("forge-gdpr users list --output json", *_CODES))
@output_option
def list_users(output: str) -> None:
    """List all users."""
    with wiring.client_for(wiring.settings_with()) as client:
        entries, partial = client.list_entries()
    if output == "json":
        echo_json([_as_json(entry) for entry in entries])
    else:
        echo_table(_COLUMNS, [_as_row(entry) for entry in entries])
    odd = sum(entry.is_odd for entry in entries)
    if odd:
        entries_are = "1 entry is" if odd == 1 else f"{odd} entries are"
        click.echo(f"{entries_are} odd: an id, e-mail or name is missing or no text", err=True)
    if partial is not None:
        click.echo(f"this may not be the whole list: {partial}", err=True)


@users.command(epilog=ending("forge-gdpr users get 61ab8f99251cba0014437326", *_CODES))
@_user_id
@output_option
def get(user_id: str, output: str) -> None:
    """Show one user and what Forge runs for them."""
    with _client_for(user_id) as client:
        user = client.get_user(user_id)
    if output == "json":
        workflows = [
            {"id": w.id, "name": w.name, "active": w.active, "blocks": list(w.blocks)}
            for w in user.workflows
        ]
        echo_json(_as_json(user) | {"workflows": workflows})
        return
    echo_table(_COLUMNS, [_as_row(user)])
    echo_table(
        ("workflow", "active", "blocks"),
        [(w.name, w.active, ", ".join(map(str, w.blocks))) for w in user.workflows],
    )


@users.command(epilog=ending("forge-gdpr users create --name Ada --email ada@example.org", *_CODES))
@click.option("--name", required=True, help="The full name.")
@click.option("--email", required=True, help="Must be new to Forge.")
@output_option
def create(name: str, email: str, output: str) -> None:
    """Make a user and show the id."""
    with wiring.client_for(wiring.settings_with()) as client:
        user_id = client.create_user(name=name, email=email)
    if output == "json":
        echo_json({"id": user_id})
    else:
        click.echo(user_id)


@users.command(
    epilog=ending("forge-gdpr users update ID --full-name Ada --email ada@example.org", *_CODES)
)
@_user_id
@click.option("--full-name", required=True, help="The full name.")
@click.option("--email", required=True, help="The e-mail.")
@output_option
def update(user_id: str, full_name: str, email: str, output: str) -> None:
    """Change a user's name and e-mail; Forge wants both."""
    with _client_for(user_id) as client:
        user = client.update_user(user_id, email=email, full_name=full_name)
    if output == "json":
        echo_json(_as_json(user))
    else:
        echo_table(_COLUMNS, [_as_row(user)])


@users.command(epilog=ending("forge-gdpr users delete 61ab8f99251cba0014437326", *_CODES))
@_user_id
@yes_option
@output_option
def delete(user_id: str, yes: bool, output: str) -> None:
    """Delete a user and all workflows, at once and without a record.

    A person's erasure belongs into the queue, where it is recorded: 'forge-gdpr requests add'.
    """
    if not confirmed("Delete this user for good, without a record?", yes=yes):
        return
    with _client_for(user_id) as client:
        client.delete_user(user_id)
    if output == "json":
        echo_json({"deleted": True, "id": user_id})
    else:
        click.echo("deleted")


@users.command(epilog=ending("forge-gdpr users token 61ab8f99251cba0014437326", *_CODES))
@_user_id
@output_option
def token(user_id: str, output: str) -> None:
    """Show a token for the Forge modal, and when it expires: after 30 minutes at most."""
    from forge_gdpr.forge.shapes import TOKEN_LIFE, expiry_of

    with _client_for(user_id) as client:
        asked_at = datetime.now(UTC)
        text = client.token(user_id)
    stated_at = expiry_of(text)
    expires_at = f"{(stated_at or asked_at + TOKEN_LIFE).replace(tzinfo=None):%Y-%m-%dT%H:%M:%S}Z"
    if output == "json":
        echo_json({"token": text, "expires_at": expires_at})
    else:
        click.echo(text)
    if stated_at is None:
        click.echo(
            "the token doesn't say when it expires; Forge's documents say within 30 minutes, so by"
            f" {expires_at}",
            err=True,
        )
    elif output != "json":
        click.echo(f"expires at {expires_at}", err=True)


@contextmanager
def _client_for(user_id: str) -> Iterator[ForgeClient]:
    """Open a client for calls about one user; what is no id is never sent."""
    settings = wiring.settings_with()
    fault = user_id_fault(user_id, wiring.id_rules(settings).pattern)
    if fault is not None:
        raise InvalidUserIdError(f"wrong user id: {fault}")
    with wiring.client_for(settings) as client:
        yield client


def _as_json(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, "email": entry.email, "full_name": entry.full_name}


def _as_row(entry: Entry) -> tuple[object, object, object]:
    return entry.id, entry.email, entry.full_name

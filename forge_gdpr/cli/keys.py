"""``forge-gdpr audit keygen``: keys that live outside the database."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.parameters import ending
from forge_gdpr.cli.paths import named
from forge_gdpr.errors import ConfigurationError, ExitCode

_SIGNING_KEY_FILE = Path("forge-gdpr.signing-key")


@click.command(
    "keygen",
    epilog=ending(
        "forge-gdpr audit keygen --name example.org/forge-gdpr /etc/forge-gdpr/signing-key",
        ExitCode.OK,
        ExitCode.USAGE,
        ExitCode.CONFIGURATION,
    ),
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--name", default="forge-gdpr", help="Whose record it is, best a name in the DNS.")
@click.option("--subject", is_flag=True, help="Start a new subject key instead: a new epoch.")
def keygen_command(file: Path | None, name: str, subject: bool) -> None:
    """Make the key that signs the record: FILE, which only its owner can read, and FILE.pub.

    With --subject a new line is added to the file of subject keys: people are pseudonymised under
    it from now on, and found under all of its lines. A line that is taken away is a key destroyed.
    """
    if subject:
        _start_epoch(file or _subject_key_file())
        return
    from forge_gdpr.checkpoints import InvalidKeyError, signing_key
    from forge_gdpr.newfiles import require_new, write_new

    path = file or _SIGNING_KEY_FILE
    public = Path(f"{path}.pub")
    try:
        key = signing_key(name, secrets.token_bytes(32))
    except InvalidKeyError as error:
        raise click.UsageError(f"--name {name!r}: {error}") from None
    with named(path):
        require_new(public)
        write_new(path, f"{key.secret_text()}\n")
        try:
            write_new(public, f"{key.public}\n", mode=0o644)
        except BaseException:
            path.unlink()
            raise
    click.echo(str(key.public))
    click.echo(
        f"set FORGE_GDPR_SIGNING_KEY_FILE={path}, and give {public} to whoever verifies the record",
        err=True,
    )


def _subject_key_file() -> Path:
    settings = wiring.settings_with()
    path = wiring.subject_key_file(settings)
    if path is None or settings.subject_key is not None:
        raise click.UsageError("--subject needs the FILE that holds the subject keys")
    return path


def _start_epoch(path: Path) -> None:
    """Add a key to the file at once or not at all."""
    from forge_gdpr.newfiles import write_new, write_over
    from forge_gdpr.pseudonyms import Keyring
    from forge_gdpr.settings import read_secret

    before = f"{read_secret(path, 'FILE')}\n" if path.exists() else ""
    text = f"{before}{secrets.token_hex(32)}\n"
    try:
        keys = Keyring.parse(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{path} holds something else than subject keys: {error}"
        ) from None
    with named(path):
        if before:
            write_over(path, text)
        else:
            write_new(path, text)
    click.echo(
        f"{path}: people are pseudonymised under key {keys.current.id} from now on, and found under"
        f" {len(keys.keys)}; keep a copy"
    )

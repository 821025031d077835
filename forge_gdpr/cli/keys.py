"""``forge-gdpr audit keygen``: keys that live outside the database."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.parameters import ending
from forge_gdpr.cli.paths import named, path_error
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

    path = file or _SIGNING_KEY_FILE
    public = Path(f"{path}.pub")
    try:
        key = signing_key(name, secrets.token_bytes(32))
    except InvalidKeyError as error:
        raise click.UsageError(f"--name {name!r}: {error}") from None
    _write_new(path, f"{key.secret_text()}\n", mode=0o600)
    _write_new(public, f"{key.public}\n", mode=0o644)
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
    new = path.with_name(f"{path.name}.new")
    _write_new(new, text, mode=0o600)
    new.replace(path)
    click.echo(
        f"{path}: people are pseudonymised under key {keys.current.id} from now on, and found under"
        f" {len(keys.keys)}; keep a copy"
    )


def _write_new(path: Path, text: str, *, mode: int) -> None:
    """Write a file that is not there yet: a key is never written over."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise click.UsageError(f"{path} is there already, and a key is never replaced") from None
    except OSError as error:
        raise path_error(error, path) or error from None
    with named(path), os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)

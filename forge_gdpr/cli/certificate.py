"""``forge-gdpr audit certificate`` and ``prove``: one person's proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json, echo_lines, printable
from forge_gdpr.cli.parameters import REQUEST_ID, ending, output_option, public_key_option, typed
from forge_gdpr.cli.paths import named
from forge_gdpr.errors import AuditBrokenError, ExitCode, InvalidInputError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from forge_gdpr.certificates import Verified

_CODES = (ExitCode.OK, ExitCode.USAGE, ExitCode.CONFIGURATION, ExitCode.DATABASE)


@click.command(
    "certificate",
    epilog=ending(
        "forge-gdpr audit certificate 17 > certificate-17.json", *_CODES, ExitCode.AUDIT_BROKEN
    ),
)
@click.argument("request_id", type=REQUEST_ID, metavar="[REQUEST]", required=False)
@click.option(
    "--verify",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="Verify this certificate instead; needs --public-key and no database.",
)
@public_key_option
@click.option(
    "--output",
    type=click.Choice(["json", "html"]),
    default="json",
    help="JSON, or a page to print; both can be verified.",
)
def certificate_command(
    request_id: int | None, file: str | None, public_key: Path | None, output: str
) -> None:
    """Write the certificate of a closed request: what was done, with the proof of it.

    It names nobody but by pseudonym and the asker's reference, and can be verified by anybody who
    has the public key.
    """
    if (request_id is None) == (file is None):
        raise click.UsageError("name one REQUEST, or a certificate with --verify")
    found = None if file is None else _verified(file, public_key)
    document = _issued(request_id) if found is None else found.document
    if output == "html":
        from forge_gdpr.reports.certificate import as_html

        click.echo(as_html(document).encode(), nl=False)
    elif found is None:
        echo_json(document)
    else:
        echo_lines(_verdict(found))


@click.command(
    "prove",
    epilog=ending(
        "forge-gdpr audit prove --email - --certificate proof.json",
        *_CODES,
        ExitCode.NEEDS_REVIEW,
        instead={
            ExitCode.OK: "the record knows the person",
            ExitCode.NEEDS_REVIEW: "the record does not know the person under a live key",
        },
    ),
)
@click.option("--user-id", help="The person's id at Forge; - reads a line of stdin.")
@click.option("--email", help="The person's e-mail; - reads a line of stdin.")
@click.option(
    "--certificate",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the newest closed request's certificate here.",
)
@output_option
@click.pass_context
def prove_command(
    ctx: click.Context,
    user_id: str | None,
    email: str | None,
    file: Path | None,
    output: str,
) -> None:
    """Say what became of a person's requests: erased, was not there, open, or no record.

    Also: no user with this address was found, cancelled, refused. It says erased only where Forge
    deleted somebody. An e-mail that the request has forgotten is found as it was spelled then, or
    in lower case; a request by user id alone never had one: ask for it with --user-id.
    """
    from forge_gdpr.database.engine import reading
    from forge_gdpr.desk.proving import known_of
    from forge_gdpr.newfiles import require_new

    if (user_id is None) == (email is None):
        raise click.UsageError("give one of --user-id and --email")
    if file is not None:
        with named(file):
            require_new(file)
    settings = wiring.settings_with()
    keys = wiring.subject_keys(settings)
    with reading(wiring.migrated_engine(settings)) as connection:
        known = known_of(
            connection, keys, user_id=typed(user_id, "user id"), email=typed(email, "e-mail")
        )
        closed = [one for one in known.found if one.closed_at is not None]
        document = _certificate(connection, closed[-1].request_id) if file and closed else None
    if file is not None and document is not None:
        _write(file, document)
    if output == "json":
        echo_json(
            {
                "requests": [one.as_json() for one in known.found],
                "retired": known.retired,
                "advice": known.advice,
            }
        )
    elif known.found:
        click.echo("\n".join(one.line for one in known.found))
        if known.advice is not None:
            click.echo(known.advice, err=True)
    else:
        click.echo(known.advice or "no record of this person")
    if known.retired and output != "json":
        click.echo(
            f"subject keys that are retired: {', '.join(known.retired)}; under them nobody can be"
            " found",
            err=True,
        )
    ctx.exit(ExitCode.OK if known.found else ExitCode.NEEDS_REVIEW)


def _issued(request_id: int | None) -> dict[str, Any]:
    from forge_gdpr.database.engine import reading

    engine = wiring.migrated_engine(wiring.settings_with())
    with reading(engine) as connection:
        return _certificate(connection, request_id or 0)


def _certificate(connection: Connection, request_id: int) -> dict[str, Any]:
    from forge_gdpr.audit.certificates import evidence_of
    from forge_gdpr.certificates import (
        InvalidCertificateError,
        NothingToCertifyError,
        certificate,
    )

    try:
        return certificate(evidence_of(connection, request_id))
    except NothingToCertifyError as error:
        raise InvalidInputError(
            printable(
                f"the record of request {request_id}: {error}; see 'forge-gdpr requests explain"
                f" {request_id}', and use 'forge-gdpr audit export' as evidence"
            )
        ) from None
    except InvalidCertificateError as error:
        raise AuditBrokenError(
            printable(f"the record of request {request_id}: {error}; run 'forge-gdpr audit verify'")
        ) from None


def _verified(file: str, public_key: Path | None) -> Verified:
    """Verify a certificate without a database and without settings."""
    from forge_gdpr.certificates import InvalidCertificateError, certificate_in, verified

    if public_key is None:
        raise click.UsageError("--verify needs --public-key, the keys that may have signed")
    keys = wiring.public_keys_in(public_key)
    text = _text_of(file)
    is_page = text.lstrip().startswith("<")
    try:
        found = verified(certificate_in(_embedded(text) if is_page else text), keys)
        if is_page:
            _require_page(found, text)
    except InvalidCertificateError as error:
        raise AuditBrokenError(
            printable(
                f"{file} proves nothing: {error}; ask for the original, and check the public key"
            )
        ) from None
    return found


def _embedded(page: str) -> str:
    from forge_gdpr.certificates import InvalidCertificateError
    from forge_gdpr.reports.certificate import certificate_text_in

    text = certificate_text_in(page)
    if text is None:
        raise InvalidCertificateError("the page does not hold exactly one certificate")
    return text


def _require_page(found: Verified, page: str) -> None:
    """Refuse a page that shows anything else than its certificate says."""
    from forge_gdpr.certificates import InvalidCertificateError
    from forge_gdpr.reports.certificate import as_html

    if as_html(found.document) != page:
        raise InvalidCertificateError(
            "the page is not what this version writes for the certificate in it (for a page that"
            " another version wrote, verify the certificate alone, with its verify.py)"
        )


def _text_of(file: str) -> str:
    from forge_gdpr.strictjson import MOST_CHARACTERS

    try:
        with click.open_file(file, "rb") as stream:
            # Four bytes a character at most; what is longer is cut, and then refused.
            data: bytes = stream.read(4 * (MOST_CHARACTERS + 1))
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{file} can't be read ({type(error).__name__})") from None


def _verdict(found: Verified) -> list[str]:
    document = found.document
    request, result, record = document["request"], document["result"], document["record"]
    asked = "Asked afterwards, it had no such user." if result["verified_absent"] else None
    sentences = (result["meaning"], asked, result["absence"], result["logs"])
    reference = "none" if request["reference"] is None else request["reference"]
    told = (
        f"told from: {_number(document['steps'], 'event')} of the request,"
        f" {_number(document['runs'], 'run')}; the record may have others, also later ones"
    )
    return [
        f"the certificate holds: request {request['id']} (reference {reference})",
        f"{result['name']}, {result['closed_at']}: {' '.join(filter(None, sentences))}",
        told,
        f"received {request['received_at']}, due {result['due_on']}, {_timely(result['on_time'])}",
        f"person, as a pseudonym: {request['subject']}",
        f"signed: {record['origin']}, {record['events']} events of main, {record['signed_at']}",
        f"by: {found.key.name}+{found.key.id}, SHA-256 {found.key.fingerprint}",
        "What it proves:",
        *(f"- {sentence}" for sentence in document["proves"]),
        "What it does not prove:",
        *(f"- {limit}" for limit in document["limits"]),
    ]


def _number(values: list[Any], noun: str) -> str:
    return f"1 {noun}" if len(values) == 1 else f"{len(values)} {noun}s"


def _timely(on_time: bool | None) -> str:
    return "no date known" if on_time is None else "on time" if on_time else "late"


def _write(file: Path, document: dict[str, Any]) -> None:
    from forge_gdpr.newfiles import write_new

    with named(file):
        write_new(file, json.dumps(document, indent=2, ensure_ascii=False) + "\n")

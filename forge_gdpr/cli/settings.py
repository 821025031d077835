"""``forge-gdpr settings``: what is set, and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from forge_gdpr import options
from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import echo_json, echo_table
from forge_gdpr.cli.parameters import ending
from forge_gdpr.errors import ExitCode

if TYPE_CHECKING:
    from forge_gdpr.settings import Settings

#: As long for a short secret as for a long one.
_MASK: Final = "********"


@click.command(
    "settings", epilog=ending("forge-gdpr settings", ExitCode.OK, ExitCode.CONFIGURATION)
)
@click.option(
    "--output",
    type=click.Choice(["table", "json", "env"]),
    default="table",
    help="Text for people, JSON for machines, or a commented template of an environment file.",
)
def settings_command(output: str) -> None:
    """Show every setting that is in force and where it comes from; secrets are masked.

    The template shows the defaults, whatever is set.
    """
    if output == "env":
        click.echo(options.template(), nl=False)
        return
    from forge_gdpr.settings import origin_of

    settings = wiring.settings_with()
    rows = [(option, _value(settings, option), origin_of(option)) for option in options.OPTIONS]
    if output == "json":
        echo_json(
            {
                "format_version": 1,
                "settings": [
                    {
                        "name": option.variable,
                        "value": value,
                        "source": origin.source.value,
                        "path": None if origin.path is None else str(origin.path),
                    }
                    for option, value, origin in rows
                ],
            }
        )
        return
    echo_table(
        ("FORGE_GDPR_...", "value", "from"),
        [
            (option.name.upper(), options.shown_value(value), str(origin))
            for option, value, origin in rows
        ],
    )


def _value(settings: Settings, option: options.Option) -> Any:  # noqa: ANN401  # JSON
    from forge_gdpr.database.engine import parsed_url
    from forge_gdpr.database.faults import shown_url

    value = getattr(settings, option.name)
    if option is options.DATABASE_URL:
        return shown_url(parsed_url(value.get_secret_value()))
    if option.secret:
        return None if value is None else _MASK
    return value if value is None or isinstance(value, int | float | str) else str(value)

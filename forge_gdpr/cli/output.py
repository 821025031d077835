"""Results on stdout, as a table or JSON; everything else goes to stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Where there is no terminal, lines may be long: they are searched, not looked at.
_PIPED_WIDTH: Final = 400


def echo_json(value: Any) -> None:  # noqa: ANN401  # JSON
    """Write one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def counted(count: int, noun: str) -> str:
    """Return ``1 request is`` or ``2 requests are``."""
    return f"{count} {noun} is" if count == 1 else f"{count} {noun}s are"


def echo_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> None:
    """Write a table; numbers stand on the right, None is empty. Piped, no cell is folded."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        numbers = bool(listed) and all(isinstance(r[index], int | None) for r in listed)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in listed:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    with console.capture() as captured:
        console.print(table)
    if title is not None:
        click.echo(title)
    click.echo("\n".join(line.rstrip() for line in captured.get().rstrip().splitlines()))

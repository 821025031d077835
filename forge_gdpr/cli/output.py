"""Results on stdout, as a table, JSON or CSV; everything else goes to stderr."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import contextmanager
from itertools import islice
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Final

import click

from forge_gdpr.cli.streams import is_gone, is_utf8
from forge_gdpr.cli.terminal import is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console

#: Where there is no terminal, lines may be long: they are searched, not looked at.
_PIPED_WIDTH: Final = 400
#: Rows that are laid out together: a long table is never in memory as a whole.
_TABLE_PAGE: Final = 1000
#: Between two columns.
_GAP: Final = "   "
#: rich's SIMPLE_HEAD for a terminal that has no lines to draw with.
_PLAIN_HEAD: Final = "    \n    \n -- \n    \n    \n    \n    \n    \n"
#: Pieces that are written together, for each write is flushed.
_WRITTEN_TOGETHER: Final = 500


def echo_json(value: Any) -> None:  # noqa: ANN401  # JSON
    """Write one JSON document."""
    click.echo(_json(value))


def json_array(values: Iterable[Any]) -> Iterator[str]:
    """Yield a JSON array, piece by piece, as `echo_json` writes it whole."""
    begun = False
    for value in values:
        # Not textwrap.indent: it would also break lines within a text, at U+2028.
        yield (",\n  " if begun else "[\n  ") + _json(value).replace("\n", "\n  ")
        begun = True
    yield "\n]\n" if begun else "[]\n"


def csv_lines(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield CSV for spreadsheets, a record at a time, the names of the columns first."""
    from forge_gdpr.spreadsheet import csv_row

    yield csv_row(columns)
    yield from map(csv_row, rows)


def counted(count: int, noun: str) -> str:
    """Return ``1 request is`` or ``2 requests are``."""
    return f"{count} {noun} is" if count == 1 else f"{count} {noun}s are"


def echo_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> None:
    """Write a table, as `table_lines` has it."""
    if title is not None:
        click.echo(title)
    echo_text(table_lines(columns, rows))


def table_lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield a table in pieces; numbers stand on the right, None is empty.

    Piped, no cell is folded. A column of a long table grows where a page of it needs that.
    """
    from rich.cells import cell_len
    from rich.console import Console

    console = Console(width=None if is_terminal(sys.stdout) else _PIPED_WIDTH)
    left = iter(rows)
    page = list(islice(left, _TABLE_PAGE))
    numbers = [
        bool(page) and all(isinstance(row[index], int | None) for row in page)
        for index in range(len(columns))
    ]
    texts = [[printable(cell) for cell in row] for row in page]
    yield from _folded(console, texts, columns, numbers, header=True)
    widths = [max(map(cell_len, column)) for column in zip(columns, *texts, strict=True)]
    while texts := [[printable(cell) for cell in row] for row in islice(left, _TABLE_PAGE)]:
        pairs = zip(widths, zip(*texts, strict=True), strict=True)
        widths = [max(width, *map(cell_len, column)) for width, column in pairs]
        if sum(widths) + len(widths) * len(_GAP) > console.width:
            yield from _folded(console, texts, columns, numbers, header=False)
            continue
        for row in texts:  # as there, but 20 times as fast
            spaces = [" " * (w - cell_len(cell)) for w, cell in zip(widths, row, strict=True)]
            cells = [
                space + cell if number else cell + space
                for cell, space, number in zip(row, spaces, numbers, strict=True)
            ]
            yield f" {_GAP.join(cells)}".rstrip() + "\n"


def printable(cell: object) -> str:
    """Return a value as text; what a terminal would obey instead of showing it is spelt out."""
    text = "" if cell is None else str(cell)
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def echo_lines(lines: Iterable[str]) -> None:
    """Write lines; a text in one of them that has a line end of its own makes no other line."""
    for line in lines:
        click.echo(printable(line))


def echo_text(pieces: Iterable[str]) -> None:
    """Write text that has its line ends, some of it at a time, as long as anybody takes it."""
    left = iter(pieces)
    while not is_gone(sys.stdout) and (together := "".join(islice(left, _WRITTEN_TOGETHER))):
        click.echo(together, nl=False)


@contextmanager
def paged(*, wanted: bool = True) -> Iterator[Callable[[Iterable[str]], None]]:
    """Give a way to write text: at once, or at the end in a pager, at a terminal it would fill.

    Until the pager opens, the text is kept in a nameless file: whatever it comes from, like a
    transaction, is to be over while a person reads.
    """
    if not (wanted and is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        yield echo_text
        return
    with TemporaryFile("w+", encoding="utf-8") as kept:
        yield kept.writelines
        kept.seek(0)
        screen = shutil.get_terminal_size().lines
        fits = sum(1 for _line in islice(kept, screen)) < screen
        kept.seek(0)
        if fits:
            click.echo(kept.read(), nl=False)
        else:
            with click.get_pager_file() as pager:
                shutil.copyfileobj(kept, pager)


def _json(value: Any) -> str:  # noqa: ANN401  # JSON
    text = json.dumps(value, indent=2, ensure_ascii=not is_utf8(sys.stdout))
    if text.replace("\n", "").isprintable():
        return text
    # What a terminal would obey, as JSON spells it out.
    return "".join(
        one if one.isprintable() or one == "\n" else json.dumps(one).strip('"') for one in text
    )


def _folded(
    console: Console,
    texts: Iterable[Sequence[str]],
    columns: Sequence[str],
    numbers: Sequence[bool],
    *,
    header: bool,
) -> Iterator[str]:
    from rich.box import SIMPLE_HEAD, Box
    from rich.table import Table
    from rich.text import Text

    lines_of = SIMPLE_HEAD if is_utf8(sys.stdout) else Box(_PLAIN_HEAD, ascii=True)
    table = Table(box=lines_of, pad_edge=False, show_header=header)
    for name, number in zip(columns, numbers, strict=True):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in texts:
        table.add_row(*map(Text, row))
    with console.capture() as captured:
        console.print(table)
    lines = captured.get().rstrip().splitlines()
    yield from (f"{line.rstrip()}\n" for line in lines[0 if header else 1 :])

"""HTML that is read as it is: one file, no network, no script, light, dark and on paper.

Whatever comes from the record goes through `text`.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STYLE: Final = """
:root { color-scheme: light dark; --paper: #fff; --line: #c9ced6; --quiet: #55606e; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --line: #444c56; --quiet: #a0abb8; }
}
@media print { :root { color-scheme: light; --paper: #fff; --line: #c9ced6; --quiet: #55606e; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
  background: var(--paper); }
h1 { font-size: 1.6rem; line-height: 1.25; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
.quiet { color: var(--quiet); } .outcome { font-size: 1.2rem; font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; }
tr { border-bottom: 1px solid var(--line); }
td, pre { overflow-wrap: anywhere; } pre { white-space: pre-wrap; font-size: .85rem; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } h2 { break-after: avoid; } }
"""
#: A line's end, and blanks at which no line ends.
_BLANKS: Final = "\n\xa0\u202f"
#: The browser itself refuses what the page must not do: load or send anything, or run a script.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, parts: Iterable[str], *, style: str = "") -> str:
    """Return a whole document.

    Args:
        title: as text.
        parts: HTML.
        style: CSS that this page needs besides.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}{style}</style>\n"
        "</head>\n<body>\n<main>\n" + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"
    )


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Iterable[object]],
    *,
    figures: bool = False,
) -> str:
    """Return a table; without a head, or one of figures, the first cell of each row names it.

    Args:
        caption: what it shows, as text.
        head: the columns' names; empty: they need none.
        rows: their cells, as text; None is empty.
        figures: all cells but the first are numbers, which stand on the right.
    """
    titles = "".join(f'<th scope="col">{text(one)}</th>' for one in head)
    named = figures or not titles
    lines = []
    for first, *others in rows:
        cells = "".join(f"<td>{text(cell)}</td>" for cell in others)
        begin = f'<th scope="row">{text(first)}</th>' if named else f"<td>{text(first)}</td>"
        lines.append(f"<tr>{begin}{cells}</tr>")
    kind = ' class="figures"' if figures else ""
    top = f"<thead><tr>{titles}</tr></thead>" if titles else ""
    body = f"<tbody>{''.join(lines)}</tbody>"
    return f"<table{kind}><caption>{text(caption)}</caption>{top}{body}</table>"


def bullets(lines: Iterable[str]) -> str:
    """Return a list of lines of text."""
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>"


def text(value: object) -> str:
    """Return a value as text in which nothing is HTML; None is empty.

    What turns the direction of writing, or what a terminal would obey, is spelt out.
    """
    shown = "" if value is None else str(value)
    if not shown.isprintable():
        shown = "".join(
            one if one.isprintable() or one in _BLANKS else one.encode("unicode_escape").decode()
            for one in shown
        )
    return escape(shown)

"""Figures as text for people: the same numbers as in the JSON."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Final

from forge_gdpr.reports.figures import DAYS_RULE, became

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forge_gdpr.reports.figures import Figures

_WIDTH: Final = 80


def as_table(figures: Figures, *, width: int = _WIDTH) -> str:
    """Return the figures as lines of plain text, without colours.

    Args:
        figures: what to show.
        width: in characters; at 72 or more the record's hash stays on one line.
    """
    # 83 ms, and `report --output json` does not need it.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(justify="right")
    for name, value in _rows(figures):
        grid.add_row(Text(name), Text(value))
    out = StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False)
    title = f"Deletion requests received from {figures.since} to {figures.until} (UTC)"
    for part in (Text(title), Text(), grid, Text(), *map(Text, _notes(figures))):
        console.print(part)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _rows(figures: Figures) -> Iterator[tuple[str, str]]:
    yield "received", f"{figures.received:,}"
    yield "closed", f"{figures.closed:,}"
    for name, requests in became(figures).items():
        yield f"  {name}", f"{requests:,}"
    yield "review (needs a person)", f"{figures.review:,}"
    yield "held", f"{figures.held:,}"
    yield "open", f"{figures.open:,}"
    yield "", ""
    yield "closed on time", f"{figures.on_time:,}"
    yield "closed late", f"{figures.late:,}"
    yield f"not closed, overdue on {figures.today}", f"{figures.overdue:,}"
    yield "days to close, median", _days(figures.days.median)
    yield "days to close, 95th percentile", _days(figures.days.p95)


def _notes(figures: Figures) -> Iterator[str]:
    yield figures.rule
    if not figures.reconciles:
        yield "THE NUMBERS DO NOT ADD UP: run 'forge-gdpr audit verify'."
    yield DAYS_RULE
    yield f"Not counted above: {figures.unseen:,} unseen (no run has admitted them yet)."
    yield f"Record: chain {figures.head.chain}, event {figures.head.seq}, hash"
    yield f"  {figures.head.hash}"
    if figures.checkpoint is None:
        yield "It is not signed: see 'forge-gdpr audit keygen'."
        return
    yield "Its newest checkpoint:"
    for line in figures.checkpoint.splitlines():
        yield f"  {line}".rstrip()


def _days(days: float | None) -> str:
    return "-" if days is None else f"{days:,.1f}"

"""The figures and their course as rows for a spreadsheet, a number each: for convenience."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forge_gdpr.reports.figures import Figures
    from forge_gdpr.reports.series import Series

COLUMNS: Final = ("part", "label", "figure", "value")

Row = tuple[str, str | None, str, object]


def rows(figures: Figures, series: Series) -> Iterator[Row]:
    """Yield the rows of `COLUMNS`; a part's labels are days, months, bands, outcomes."""
    for name in ("since", "until", "today"):
        yield "period", None, name, getattr(figures, name)
    for name in ("received", "closed", "review", "held", "open", "on_time", "late", "overdue"):
        yield "figures", None, name, getattr(figures, name)
    yield "figures", None, "unseen", figures.unseen
    yield "figures", None, "days_to_close_median", figures.days.median
    yield "figures", None, "days_to_close_p95", figures.days.p95
    yield "figures", None, "reconciles", "yes" if figures.reconciles else "no"
    for outcome, requests in figures.outcomes.items():
        yield "outcomes", outcome, "requests", requests
    for flow in series.flow:
        yield f"by_{series.unit.name.lower()}", flow.label, "received", flow.received
        yield f"by_{series.unit.name.lower()}", flow.label, "closed", flow.closed
    for took in series.took:
        yield "days_to_close", took.label, "on_time", took.on_time
        yield "days_to_close", took.label, "late", took.late
    for one in series.punctual:
        for name in ("on_time", "late", "overdue"):
            yield "received_in", one.label, name, getattr(one, name)
    for left in series.left:
        for name in ("open", "review", "held"):
            yield "days_left", left.label, name, getattr(left, name)
    for kind, runs in series.nights.ended.items():
        yield "runs", kind.value, "runs", runs
    yield "guards", None, "overridden", series.nights.overridden
    yield "record", figures.head.chain, "events", figures.head.seq
    yield "record", figures.head.chain, "hash", figures.head.hash
    yield "record", None, "checkpoint", figures.checkpoint

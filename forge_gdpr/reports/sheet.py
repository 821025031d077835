"""The figures and their course as rows for a spreadsheet, a number each: for convenience."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forge_gdpr.reports.figures import became

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forge_gdpr.reports.figures import Figures
    from forge_gdpr.reports.series import Flow, Left, Punctual, Series, Took

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
    for name, requests in became(figures).items():
        yield "closed_as", name, "requests", requests
    yield from _labelled(f"by_{series.unit.name.lower()}", series.flow, "received", "closed")
    yield from _labelled("days_to_close", series.took, "on_time", "late")
    yield from _labelled("received_in", series.punctual, "on_time", "late", "overdue")
    yield from _labelled("days_left", series.left, "open", "review", "held")
    for kind, runs in series.nights.ended.items():
        yield "runs", kind.value, "runs", runs
    yield "guards", None, "overridden", series.nights.overridden
    yield "record", figures.head.chain, "events", figures.head.seq
    yield "record", figures.head.chain, "hash", figures.head.hash
    yield "record", None, "checkpoint", figures.checkpoint


def _labelled(
    part: str, groups: Iterable[Flow | Took | Punctual | Left], *names: str
) -> Iterator[Row]:
    for group in groups:
        for name in names:
            yield part, group.label, name, getattr(group, name)

"""The report's plots: each with its figures in words, and in a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from forge_gdpr.reports.drawing import Sheet, height_of
from forge_gdpr.reports.figures import became

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forge_gdpr.reports.figures import Figures
    from forge_gdpr.reports.series import Punctual, Series

#: Above which band of days a law's time is over.
_LAWS: Final = {
    "32 to 45": "GDPR: one month",
    "46 to 92": "CCPA: 45 days",
    "93 or more": "extended: GDPR 3 months, CCPA 90 days",
}
#: More than so many months are not told one by one.
_TOLD: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot and the same figures for who can't or won't look at it."""

    title: str
    told: str  #: in words
    svg: str | None  #: None: there is nothing to draw
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def plots(figures: Figures, series: Series) -> Iterator[Plot]:
    """Yield the plots in the order of the report."""
    yield _flow(series)
    yield _took(series)
    yield _punctual(series)
    yield _outcomes(figures)
    yield _left(figures, series)


def percent(part: int, whole: int) -> float:
    """Return a share in percent with one decimal, cut off: 100 is all, and never nearly all."""
    return part * 1000 // whole / 10


def _flow(series: Series) -> Plot:
    title = f"Received and closed, by {series.unit.noun}"
    flow = series.flow
    came, went = sum(one.received for one in flow), sum(one.closed for one in flow)
    svg = None
    told = "Nothing was received in this period."
    if came or went:
        top = max(flow, key=lambda one: one.received)
        last = max(flow, key=lambda one: one.closed)
        told = (
            f"{came:,} received and {went:,} closed, by {series.unit.noun}, from"
            f" {flow[0].label} to {flow[-1].label}. Most were received in {top.label}:"
            f" {top.received:,}. "
        ) + (f"Most were closed in {last.label}: {last.closed:,}." if went else "None was closed.")
        sheet = Sheet("flow")
        sheet.lines(
            [one.label for one in flow],
            {"received": [one.received for one in flow], "closed": [one.closed for one in flow]},
        )
        svg = sheet.svg(title, told)
    return Plot(
        title=title,
        told=told,
        svg=svg,
        head=(series.unit.noun, "received", "closed"),
        rows=[(one.label, f"{one.received:,}", f"{one.closed:,}") for one in flow],
    )


def _took(series: Series) -> Plot:
    title = "Days to close, against the deadlines"
    took = series.took
    on_time, late = sum(one.on_time for one in took), sum(one.late for one in took)
    svg = None
    told = "No request of this period is closed."
    if on_time or late:
        bands = [
            f"{one.label} days: {one.on_time + one.late:,}"
            for one in took
            if one.on_time + one.late
        ]
        told = (
            f"{on_time:,} were closed on time and {late:,} late, each by its own deadline."
            f" By days to close, {'; '.join(bands)}."
        )
        sheet = Sheet("took", height=height_of(len(took), marks=len(_LAWS), legend=True))
        sheet.bars(
            [one.label for one in took],
            {"on time": [one.on_time for one in took], "late": [one.late for one in took]},
            marks=_LAWS,
            axis="days",
        )
        svg = sheet.svg(title, told)
    return Plot(
        title=title,
        told=told,
        svg=svg,
        head=("days", "on time", "late"),
        rows=[(one.label, f"{one.on_time:,}", f"{one.late:,}") for one in took],
    )


def _punctual(series: Series) -> Plot:
    months = series.punctual
    noun = "year" if months and len(months[0].label) == len("2026") else "month"
    title = f"Closed on time, by {noun} of receipt"
    judged = [(one.label, _share(one)) for one in months]
    found = [(label, share) for label, share in judged if share is not None]
    svg = None
    told = "No request of this period is closed or past its deadline."
    if found:
        if len(found) <= _TOLD:
            shown = "; ".join(f"{label}: {share:g} %" for label, share in found)
        else:
            worst, best = (choose(found, key=lambda one: one[1]) for choose in (min, max))
            shown = (
                f"{len(found)} {noun}s, from {worst[1]:g} % in {worst[0]}"
                f" to {best[1]:g} % in {best[0]}"
            )
        told = f"Of the requests that are closed or overdue, closed on time: {shown}."
        sheet = Sheet("punctual")
        sheet.columns([label for label, _ in judged], [share for _, share in judged])
        svg = sheet.svg(title, told)
    return Plot(
        title=title,
        told=told,
        svg=svg,
        head=(noun, "on time", "late", "overdue", "share"),
        rows=[
            (
                one.label,
                f"{one.on_time:,}",
                f"{one.late:,}",
                f"{one.overdue:,}",
                "none" if share is None else f"{share:g} %",
            )
            for one, (_, share) in zip(months, judged, strict=True)
        ],
    )


def _outcomes(figures: Figures) -> Plot:
    title = "How they were closed"
    named = list(became(figures).items())
    svg = None
    told = "No request of this period is closed."
    if figures.closed:
        told = "; ".join(f"{name}: {count:,}" for name, count in named) + "."
        sheet = Sheet("outcomes", height=height_of(len(named)))
        sheet.bars([name for name, _ in named], {"closed": [count for _, count in named]})
        svg = sheet.svg(title, told)
    return Plot(
        title=title,
        told=told,
        svg=svg,
        head=("outcome", "requests"),
        rows=[(name, f"{count:,}") for name, count in named],
    )


def _left(figures: Figures, series: Series) -> Plot:
    title = f"Not closed, by days left on {figures.today}"
    left = series.left
    svg = None
    told = "All requests of this period are closed."
    if any(one.requests for one in left):
        bands = [
            f"{one.label}: {one.open:,} open, {one.review:,} in review, {one.held:,} held"
            for one in left
            if one.requests
        ]
        told = f"By days left to the deadline, {'; '.join(bands)}."
        sheet = Sheet("left", height=height_of(len(left), legend=True))
        sheet.bars(
            [one.label for one in left],
            {
                "open": [one.open for one in left],
                "review": [one.review for one in left],
                "held": [one.held for one in left],
            },
            axis="days left",
        )
        svg = sheet.svg(title, told)
    elif not figures.received:
        told = "Nothing was received in this period."
    return Plot(
        title=title,
        told=told,
        svg=svg,
        head=("days left", "open", "review", "held"),
        rows=[(one.label, f"{one.open:,}", f"{one.review:,}", f"{one.held:,}") for one in left],
    )


def _share(one: Punctual) -> float | None:
    judged = one.on_time + one.late + one.overdue
    return percent(one.on_time, judged) if judged else None

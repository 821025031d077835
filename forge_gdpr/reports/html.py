"""The report as a page: one file to send, to read anywhere and to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from forge_gdpr.checkpoints import InvalidCheckpointError, checkpoint_in
from forge_gdpr.reports.figures import DAYS_RULE, became
from forge_gdpr.reports.nights import FEW, Ended
from forge_gdpr.reports.page import bullets, page, table, text
from forge_gdpr.reports.plots import percent, plots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from forge_gdpr.reports.figures import Figures
    from forge_gdpr.reports.nights import Nights, Run
    from forge_gdpr.reports.plots import Plot
    from forge_gdpr.reports.series import Series

_STYLE: Final = """
:root { --plot-1: #1f5fa8; --plot-2: #b45309; --plot-3: #4a6b1e; }
@media (prefers-color-scheme: dark) {
  :root { --plot-1: #6cb0ff; --plot-2: #ffb057; --plot-3: #a5d46a; }
}
@media print { :root { --plot-1: #1f5fa8; --plot-2: #b45309; --plot-3: #4a6b1e; } }
body { max-width: 62rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
.figures td, .figures thead th:not(:first-child) { text-align: right; white-space: nowrap; }
.figures td:last-child, .figures th:last-child { padding-right: 0; }
.figures th { font-weight: 400; }
.figures thead th, .sums tr:nth-last-child(-n+3) > * { font-weight: 600; }
.key { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: 1rem; }
.key div { border-top: 3px solid var(--plot-1); padding-top: .3rem; }
.key dt { color: var(--quiet); font-size: .9rem; }
.key dd { margin: 0; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.plot { margin: 2rem 0; display: grid; gap: 1rem 2rem; align-items: start;
  grid-template-columns: minmax(0, 8fr) minmax(0, 5fr); }
.plot > h3 { grid-column: 1 / -1; margin: 0; }
.plot p { margin: 0; } .plot tbody th { white-space: nowrap; }
.plot tbody th:nth-last-child(2) { white-space: normal; }
svg { display: block; width: 100%; height: auto; }
svg * { stroke-linejoin: round; }
.rolled { max-height: 22rem; overflow: auto; } .wide { overflow-x: auto; }
.wide table { min-width: 46rem; font-size: .9rem; } .wide td { overflow-wrap: break-word; }
@media (max-width: 45rem) {
  body { padding: 0 .75rem; margin: 1rem auto; } .plot { grid-template-columns: minmax(0, 1fr); }
  .plot th, .plot td { padding-right: .4rem; }
}
@media print {
  .rolled, .wide { max-height: none; overflow: visible; }
  .wide table { min-width: 0; font-size: 8pt; } .plot { font-size: 9pt; }
  .plot { grid-template-columns: minmax(0, 8fr) minmax(0, 5fr); }
  .plot th, .plot td { padding-top: .1rem; padding-bottom: .1rem; }
  svg, tr, .key, .sums, .plot { break-inside: avoid; } h3 { break-after: avoid; }
  a { color: inherit; }
}
"""
#: So many rows are seen at once beside a plot; a longer table is scrolled, and printed whole.
_SEEN: Final = 10


def as_html(figures: Figures, series: Series, *, at: datetime, version: str) -> str:
    """Return the page. It names nobody.

    Args:
        figures: of a period.
        series: their course, from the same reading.
        at: when they were read, by the database's clock.
        version: the program's.
    """
    title = f"Deletion requests received from {figures.since} to {figures.until}"
    parts = [
        f"<h1>{text(title)}</h1>",
        _standing(at, version),
        "<h2>Key figures</h2>",
        _key_figures(figures),
        "<h2>Do the numbers add up?</h2>",
        *_sums(figures),
        "<h2>How it went</h2>",
        *(_shown(plot, n) for n, plot in enumerate(plots(figures, series), start=1)),
        "<h2>Guards that were overridden</h2>",
        *_overrides(series.nights),
        "<h2>Runs</h2>",
        *_runs(series.nights),
        "<h2>The record and its newest checkpoint</h2>",
        *_checkpoint(figures),
        "<h2>What this report does not say</h2>",
        bullets(_limits(figures)),
    ]
    return page(title, parts, style=_STYLE)


def equation(figures: Figures) -> Mapping[str, int]:
    """Return what became of the requests, each counted once: their sum is what was received.

    Each way to close has a line of its own; also one that no program of ours writes.
    """
    return {
        **became(figures),
        "open": figures.open,
        "open, on hold": figures.held,
        "review: needs a person": figures.review,
    }


def _standing(at: datetime, version: str) -> str:
    return (
        f'<p class="quiet">As the record said they stood on {_time(at)}. Days and times are UTC.'
        f" forge-gdpr {text(version)}.</p>"
    )


def _key_figures(figures: Figures) -> str:
    judged = figures.closed + figures.overdue
    days = figures.days
    named = {
        "received": f"{figures.received:,}",
        "closed": f"{figures.closed:,}",
        "not closed": f"{figures.open + figures.held + figures.review:,}",
        "overdue": f"{figures.overdue:,}",
        "on time, of closed and overdue": (
            f"{percent(figures.on_time, judged):g} %" if judged else "none"
        ),
        "days to close, median": "none" if days.median is None else f"{days.median:,.1f}",
        "days, 95th percentile": "none" if days.p95 is None else f"{days.p95:,.1f}",
    }
    cells = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in named.items()
    )
    return f'<dl class="key">{cells}</dl>\n<p class="quiet">{text(DAYS_RULE)}</p>'


def _sums(figures: Figures) -> Iterator[str]:
    parts = equation(figures)
    total = sum(parts.values())
    difference = figures.received - total
    rows = [
        *((name, f"{count:,}") for name, count in parts.items()),
        ("sum of these", f"{total:,}"),
        ("received", f"{figures.received:,}"),
        ("difference", f"{difference:,}"),
    ]
    if figures.reconciles:
        yield '<p class="outcome">Yes: both sides are equal.</p>'
    else:
        yield ("<p class=\"outcome\">THE NUMBERS DO NOT ADD UP: run 'forge-gdpr audit verify'.</p>")
    yield (
        "<p>Received and closed are counted by one reading of the record, what is not closed by"
        " another: a request that is lost or counted twice between the two shows here.</p>"
    )
    made = table("What became of them", ("became", "requests"), rows, figures=True)
    yield f'<div class="sums">{made}</div>'
    yield (
        f"<p>Of {figures.closed:,} closed, {figures.on_time:,} were on time and {figures.late:,}"
        f" late. Of the others, {figures.overdue:,} were overdue on {figures.today}.</p>"
    )


def _shown(plot: Plot, number: int) -> str:
    figures = table("The same in figures", plot.head, plot.rows, figures=True)
    label = text(f"{plot.title}, in figures")
    if len(plot.rows) > _SEEN:
        figures = _region("rolled", label, figures)
    drawn = plot.svg or f"<p>{text(plot.told)}</p>"
    return (
        f'<section class="plot" aria-labelledby="plot-{number}">\n'
        f'<h3 id="plot-{number}">{text(plot.title)}</h3>\n{drawn}\n{figures}\n</section>'
    )


def _region(kind: str, label: str, inner: str) -> str:
    """Return what may be scrolled, with the keyboard, too."""
    return f'<div class="{kind}" role="region" tabindex="0" aria-label="{label}">{inner}</div>'


def _overrides(nights: Nights) -> Iterator[str]:
    if not nights.overridden:
        yield "<p>None in this period.</p>"
        return
    rows = [
        (_time(one.at), one.guard, _count(one.due), _count(one.allowed), one.reason, one.actor)
        for one in nights.overrides
    ]
    head = ("Time", "Guard", "Due", "Expected", "Reason", "By")
    many = nights.overridden - len(nights.overrides)
    caption = f"{nights.overridden:,} in this period" + (
        f"; the {many:,} oldest are not listed" if many else ""
    )
    yield _region("wide", "Guards that were overridden", table(caption, head, rows))


def _runs(nights: Nights) -> Iterator[str]:
    if not nights.runs:
        yield "<p>None was opened in this period.</p>"
        return
    kinds = ", ".join(f"{count:,} {kind.value}" for kind, count in nights.ended.items())
    yield f"<p>{nights.runs:,} opened in this period: {kinds}.</p>"
    crashed = nights.ended[Ended.CRASHED]
    if crashed:
        yield f"<p>What the {crashed:,} crashed left half done, a later run took over.</p>"
    if not nights.listed:
        yield f"<p>Of more than {FEW} runs, those that finished are not listed.</p>"
        return
    caption = "All of them" if nights.lists_all else "Those that did not finish"
    if nights.missing:
        caption += f"; the {nights.missing:,} oldest are not listed"
    head = ("Opened", "Minutes", "Ended", "Exit code", "Claimed", "Outcomes", "By", "Run")
    rows = [_run(one) for one in nights.listed]
    yield _region("wide", "Runs", table(f"{caption}, the newest first", head, rows))


def _run(run: Run) -> Sequence[str | None]:
    took = None if run.closed_at is None else (run.closed_at - run.opened_at).total_seconds() / 60
    outcomes = ", ".join(f"{name} {count}" for name, count in run.outcomes.items() if count)
    return (
        _time(run.opened_at),
        None if took is None else f"{took:,.1f}",
        run.ended.value + (f": {run.stopped}" if run.stopped else ""),
        run.code_name,
        _count(run.claimed),
        outcomes,
        run.actor,
        run.run_id,
    )


def _checkpoint(figures: Figures) -> Iterator[str]:
    head = figures.head
    yield f"<p>The main chain has {head.seq:,} events; the hash of the last one:</p>"
    yield f"<pre>{text(head.hash)}</pre>"
    if figures.checkpoint is None:
        yield (
            "<p>This record is not signed: who owns the database could have written all of it"
            " anew. Make a key with 'forge-gdpr audit keygen' and set"
            " FORGE_GDPR_SIGNING_KEY_FILE; each run then signs what it leaves.</p>"
        )
        return
    try:
        signed = checkpoint_in(figures.checkpoint)
    except InvalidCheckpointError as error:
        yield f"<p>WHAT STANDS THERE IS NO CHECKPOINT ({text(error)}): audit verify says more.</p>"
    else:
        yield (
            f"<p>Signed over the first {signed.size:,} of them on {_time(signed.at)}. Whoever keeps"
            " this text and has the public key can prove with 'forge-gdpr audit verify --against'"
            " that a later record extends this one. This page has not checked the signature.</p>"
        )
    yield f"<pre>{text(figures.checkpoint)}</pre>"


def _limits(figures: Figures) -> Iterator[str]:
    yield (
        "It tells what the record says. Whether the record is whole and unaltered says"
        " 'forge-gdpr audit verify'; this page is not signed itself."
    )
    yield (
        f"It counts what was received in the period and seen by a run. {figures.unseen:,} requests,"
        " whenever they came, no run has seen yet: they are in no number above."
    )
    yield "It proves what Forge answered, not what is left on Forge's disks or in backups."
    yield (
        "It names nobody. What became of one person says 'forge-gdpr audit prove', with a"
        " certificate of each closed request."
    )
    yield (
        "Closings are counted with the request they close: what was received before the period"
        " is not here, also if it was closed in it."
    )
    yield "Deadlines were computed in the controller's own time zone; days here are UTC."


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"

"""What is said of a run when it is over: its summary, and the figures for the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forge_gdpr import forecast
from forge_gdpr.queue import backlog
from forge_gdpr.run.summary import Summary
from forge_gdpr.run.sums import Standing, summed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from forge_gdpr.chain import Json
    from forge_gdpr.forge.gate import Halt
    from forge_gdpr.run.opening import Limits
    from forge_gdpr.run.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a run ended."""

    start: Standing  #: before anybody was claimed
    halt: Halt | None
    cause: str | None  #: why it stopped early, for people
    signal: int | None


def standing(connection: Connection, recorder: Recorder, limits: Limits) -> Standing:
    """Return how the night's requests stand; those of a plan are nobody else's business."""
    due = limits.due(recorder.clock.opened_at)
    if limits.plan is not None:
        return Standing(due=len(limits.plan.ids))
    others, until = backlog.in_other_runs(connection, run_id=recorder.rules.run_id)
    return Standing(
        due=backlog.count_due(connection, due),
        in_other_runs=others,
        until=until,
        waiting=backlog.count_unapproved(connection, due),
    )


def summed_up(recorder: Recorder, limits: Limits, end: End) -> tuple[Summary, dict[str, Json]]:
    """Return the summary of a run that is over, and the figures that its closing holds."""
    clock, tally = recorder.clock, recorder.tally
    today = recorder.rules.legal.day_of(clock.now())
    dates, left, now, waiting = recorder.read(
        lambda connection: (
            backlog.deadlines(connection, today=today),
            backlog.count_due(connection, limits.due(clock.opened_at)),
            standing(connection, recorder, limits),
            backlog.waiting(connection, today=today),
        )
    )
    # A run that was halted, or had a plan of its own, says nothing about other nights' pace.
    cut_short = end.halt is not None or limits.plan is not None
    pace = 0 if cut_short or left == 0 else tally.claimed
    missed = forecast.missed(waiting, per_night=pace, today=today) if pace else 0
    ends = tally.ends
    if limits.plan is not None:  # what is due beyond it does not count
        back = ends.given_back - ends.given_back_later
        now = Standing(due=max(0, end.start.due - ends.total) + back)
    summary = Summary(
        run_id=recorder.rules.run_id,
        opened_at=clock.opened_at,
        elapsed_s=clock.elapsed_s(),
        due=end.start.due,
        admitted=tally.admitted,
        claimed=tally.claimed,
        recovered=tally.recovered,
        calls=tally.calls,
        late=tally.late,
        set_aside=tally.set_aside,
        outcomes=dict(tally.outcomes),
        became=dict(tally.became),
        left=left,
        next_due_on=dates.next_due_on,
        at_risk=dates.at_risk + missed,
        halt=end.halt,
        cause=end.cause if end.halt is not None else None,
        signal=end.signal,
        sums=summed(end.start, ends, now),
        not_as_planned=sorted(tally.not_as_planned),
    )
    figures: dict[str, Json] = {
        "due": summary.due,
        "claimed": summary.claimed,
        "left": summary.left,
        "outcomes": {k.value: v for k, v in sorted(summary.outcomes.items())},
        "exit_code": int(summary.exit_code),
        "pace": pace,  # requests a night, for `status`; 0: this night says nothing of it
    }
    if summary.cause is not None:
        figures["cause"] = summary.cause
    if summary.not_as_planned:
        figures["not_as_planned"] = len(summary.not_as_planned)
    return summary, figures

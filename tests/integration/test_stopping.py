"""A run that is told to stop before it has called anybody."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from world import insert, night

from forge_gdpr.forge.gate import Halt
from forge_gdpr.run.nightly import Stop
from forge_gdpr.run.opening import Limits
from forge_gdpr.sandbox.users import derived_id

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from forge_gdpr.sandbox import Sandbox

PAGE = 500


def test_a_signal_during_admission_is_seen_after_a_page(engine: Engine, sandbox: Sandbox) -> None:
    many = 2 * PAGE + 1
    insert(engine, *({"forge_user_id": derived_id("many", n)} for n in range(many)))
    stop = Stop()
    looks = iter([None, None, signal.SIGHUP])  # references are looked at first, then odd rows

    def look(_done: int, _due: int) -> None:
        stop.signal = stop.signal or next(looks, None)

    limits = Limits(max_due=many, cool_off_days=0)
    summary = night(engine, sandbox.url, limits=limits, stop=stop, progress=look)
    assert (summary.halt, summary.exit_code) == (Halt.SIGNAL, 128 + signal.SIGHUP)
    assert (summary.admitted, summary.claimed, summary.calls) == (PAGE, 0, 0)
    assert (summary.due, summary.left, summary.sums.not_begun) == (many, many, many)
    assert sandbox.seen == ()
    again = night(engine, sandbox.url, limits=limits, order={"max_runtime_s": 0.0})
    assert (again.halt, again.admitted, again.sums.not_begun) == (None, 0, many)

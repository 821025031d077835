"""Whether there is something to wait for: a lease that nobody renews."""

from datetime import UTC, datetime, timedelta

import pytest

from forge_gdpr.run.takeover import Wait

NOW = datetime(2026, 3, 1, 3, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("at_first", "later", "passed_s", "until_s"),
    [
        pytest.param({}, {}, 0, None, id="nobody holds anything"),
        pytest.param({"a": 90}, {"a": 90}, 0, 90, id="a lease is waited for"),
        pytest.param({"a": 90}, {"a": 90}, 89, 90, id="to its end"),
        pytest.param({"a": 90}, {"a": 90}, 90, None, id="and no longer"),
        pytest.param({"a": 90}, {"a": 120}, 30, None, id="a run that renews it lives"),
        pytest.param({"a": 90}, {}, 30, None, id="a run that closed has left nothing"),
        pytest.param({"a": 90, "b": 60}, {"a": 120, "b": 60}, 30, 60, id="one of two lives"),
        pytest.param({"a": 90, "b": 60}, {"a": 90, "b": 60}, 70, 90, id="the later of two"),
        pytest.param({"a": 90}, {"a": 90, "b": 110}, 30, 90, id="who came later is alive"),
        pytest.param({"a": 86_400}, {"a": 86_400}, 0, 120, id="never longer than our own lease"),
        pytest.param({"a": 86_400}, {"a": 86_400}, 120, None, id="which then is over"),
    ],
)
def test_what_is_waited_for(
    at_first: dict[str, float], later: dict[str, float], passed_s: float, until_s: float | None
) -> None:
    wait = Wait.begun({run: after(s) for run, s in at_first.items()}, now=NOW, lease_s=120)
    end = wait.ends_at({run: after(s) for run, s in later.items()}, now=after(passed_s))
    assert end == (None if until_s is None else after(until_s))

"""Who will miss a date at tonight's pace."""

from datetime import date, timedelta

import pytest
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.forecast import missed

TODAY = date(2026, 3, 1)


def in_days(**counts: int) -> dict[date, int]:
    return {TODAY + timedelta(days=int(day[1:])): count for day, count in counts.items()}


@pytest.mark.parametrize(
    ("waiting", "per_night", "late"),
    [
        pytest.param({}, 0, 0, id="nobody waits"),
        pytest.param(in_days(d5=10), 2, 0, id="just enough nights"),
        pytest.param(in_days(d5=11), 2, 1, id="one too many"),
        pytest.param(in_days(d0=1), 100, 1, id="due today, and tonight is over"),
        pytest.param(in_days(d1=100), 100, 0, id="tomorrow is a night"),
        pytest.param(in_days(d1=5, d2=5), 5, 0, id="one after the other"),
        pytest.param(in_days(d1=8, d2=2), 5, 3, id="the later ones still make it"),
        pytest.param(in_days(d1=8, d2=5), 5, 6, id="the early ones hold the later ones up"),
        pytest.param(in_days(d30=7), 0, 7, id="no pace at all"),
    ],
)
def test_a_date_is_missed_if_the_nights_before_it_do_not_suffice(
    waiting: dict[date, int], per_night: int, late: int
) -> None:
    assert missed(waiting, per_night=per_night, today=TODAY) == late


@moderately
@given(
    st.dictionaries(st.integers(-5, 40), st.integers(0, 50), max_size=8),
    st.integers(0, 60),
)
def test_the_forecast_is_what_night_after_night_would_show(
    counts: dict[int, int], per_night: int
) -> None:
    queue = [day for day, count in sorted(counts.items()) for _ in range(count)]
    done_on = [place // per_night + 1 if per_night else 10**6 for place in range(len(queue))]
    late = sum(done > day for done, day in zip(done_on, queue, strict=True))
    waiting = {TODAY + timedelta(days=day): count for day, count in counts.items()}
    assert missed(waiting, per_night=per_night, today=TODAY) == late

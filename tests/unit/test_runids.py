"""Run ids: UUIDs that sort by time."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from builders import moderately
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.runids import RANDOM_BYTES, is_run_id, uuid7

WHOLE_SECONDS = st.integers(0, 2**37).map(lambda s: datetime.fromtimestamp(s, tz=UTC))
RANDOM = st.binary(min_size=10, max_size=10)


@pytest.mark.parametrize(
    "random",
    [
        pytest.param("0cc318c4dc0c0c07398f", id="the bits that are not kept are 0"),
        pytest.param("fcc3d8c4dc0c0c07398f", id="the bits that are not kept are 1"),
        pytest.param("0cc318c4dc0c0c07398fff", id="a byte too many"),
    ],
)
def test_the_example_of_rfc_9562(random: str) -> None:
    now = datetime(2022, 2, 22, 14, 22, 22, tzinfo=timezone(timedelta(hours=-5)))
    assert uuid7(now=now, random=bytes.fromhex(random)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@pytest.mark.parametrize(
    ("random", "expected"),
    [
        (b"\x00" * 10, "00000000-0000-7000-8000-000000000000"),
        (b"\xff" * 10, "00000000-0000-7fff-bfff-ffffffffffff"),
    ],
    ids=["zeros", "ones"],
)
def test_version_and_variant_are_set_whatever_is_random(random: bytes, expected: str) -> None:
    assert uuid7(now=datetime(1970, 1, 1, tzinfo=UTC), random=random) == expected
    assert RANDOM_BYTES == 10


@moderately
@given(now=WHOLE_SECONDS, random=RANDOM)
def test_an_id_is_a_uuid_of_version_7_that_holds_its_time(now: datetime, random: bytes) -> None:
    text = uuid7(now=now, random=random)
    made = uuid.UUID(text)
    assert (str(made), made.version, made.variant) == (text, 7, uuid.RFC_4122)
    assert made.int >> 80 == int(now.timestamp()) * 1000


@moderately
@given(st.lists(st.tuples(WHOLE_SECONDS, RANDOM), unique_by=lambda one: one[0]))
def test_ids_sort_by_time(made: list[tuple[datetime, bytes]]) -> None:
    in_time = [uuid7(now=now, random=random) for now, random in sorted(made)]
    assert in_time == sorted(in_time)


@pytest.mark.parametrize(
    ("microsecond", "milliseconds"),
    [
        (0, 1_078_376_767_000),
        (999, 1_078_376_767_000),
        pytest.param(
            1000,
            1_078_376_767_001,
        ),
        (500_000, 1_078_376_767_500),
        (999_999, 1_078_376_767_999),
    ],
)
def test_the_first_48_bits_are_whole_milliseconds(microsecond: int, milliseconds: int) -> None:
    now = datetime(2004, 3, 4, 5, 6, 7, microsecond, tzinfo=UTC)
    assert uuid.UUID(uuid7(now=now, random=bytes(10))).int >> 80 == milliseconds


@given(now=WHOLE_SECONDS, random=RANDOM)
@moderately
def test_its_form_is_known(now: datetime, random: bytes) -> None:
    run_id = uuid7(now=now, random=random)
    assert is_run_id(run_id)
    assert not any(map(is_run_id, ("", "Ada", f"{run_id}x", f"{run_id}\n", run_id[1:])))

from datetime import UTC, datetime, timedelta

import pytest

from raccall.store.snowflake import EPOCH, Snowflakes, wall_of

WALL = datetime(2026, 11, 21, 12, 0, 0, 123000, tzinfo=UTC)


def test_ids_rise_and_tell_when():
    snowflakes = Snowflakes(worker=1023)
    ids = [snowflakes.new(WALL + timedelta(milliseconds=n // 3)) for n in range(30)]
    assert ids == sorted(set(ids))
    assert wall_of(ids[0]) == WALL


def test_ids_rise_when_the_clock_goes_back_or_stands_still():
    snowflakes = Snowflakes()
    first = snowflakes.new(WALL)
    rest = [snowflakes.new(WALL - timedelta(hours=1)) for _ in range(5000)]
    assert [first, *rest] == sorted({first, *rest})


def test_ids_have_63_bits():
    assert Snowflakes(worker=1023).new(EPOCH + timedelta(days=365 * 69)) < 1 << 63
    with pytest.raises(ValueError):
        Snowflakes(worker=1024)

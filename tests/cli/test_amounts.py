"""Times and sizes as people type them."""

import pytest

from raccall.cli.amounts import clock, parse_duration, parse_size, roughly
from raccall.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0.5", 0.5), ("90s", 90), ("15m", 900), ("1h30m", 5400), ("2H", 7200), ("1m5", 65)],
)
def test_a_time_in_any_usual_form(text: str, seconds: float) -> None:
    assert parse_duration(text, "--max-time") == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "h", "5x", "1m1h", "nan", "1e3", "٣"])
def test_what_is_no_time_is_told_with_the_options_name(text: str) -> None:
    with pytest.raises(InputError, match="--max-time wants a time") as caught:
        parse_duration(text, "--max-time")
    assert caught.value.code == "duration_malformed"


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("1000", 1000), ("500MB", 500_000_000), ("1.5 g", 1_500_000_000), ("2GiB", 2 << 30), ("3kb", 3000)],
)
def test_a_size_in_any_usual_form(text: str, count: int) -> None:
    assert parse_size(text, "--max-size") == count


@pytest.mark.parametrize("text", ["", "-1", "MB", "1PB", "1 M B", "many"])
def test_what_is_no_size_is_told_with_the_options_name(text: str) -> None:
    with pytest.raises(InputError, match="--max-size wants a size") as caught:
        parse_size(text, "--max-size")
    assert caught.value.code == "size_malformed"


def test_times_are_shown_for_people() -> None:
    assert [clock(5), clock(425.9), clock(100 * 3600)] == ["0:00:05", "0:07:05", "100:00:00"]
    assert [roughly(seconds) for seconds in (40.9, 119, 120, 7199, 7200, 3 * 86_400)] == [
        "40 s",
        "119 s",
        "2 min",
        "119 min",
        "2 h",
        "3 days",
    ]

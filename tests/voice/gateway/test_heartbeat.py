"""Heartbeats of both sides, in virtual time."""

import pytest

from raccall.units import Nanos, after_ms
from raccall.voice.gateway.heartbeat import (
    HELLO_TIMEOUT_MS,
    IDENTIFY_WITHIN_MS,
    LONGEST_INTERVAL_MS,
    SHORTEST_INTERVAL_MS,
    Patience,
    Pulse,
)

NOW = Nanos(5_000)


def at(ms: int) -> Nanos:
    return after_ms(NOW, ms)


def begun(interval_ms: float = 1_000) -> Pulse:
    pulse = Pulse()
    pulse.opened(NOW)
    pulse.begin(interval_ms, NOW)
    return pulse


def test_a_server_that_never_says_hello_is_gone() -> None:
    pulse = Pulse()
    assert pulse.timer is None and not pulse.is_due(NOW)
    pulse.opened(NOW)
    assert pulse.timer == at(HELLO_TIMEOUT_MS)
    assert pulse.is_due(at(HELLO_TIMEOUT_MS)) and pulse.beat(at(HELLO_TIMEOUT_MS)) is None


def test_answered_heartbeats_go_on_and_measure_the_round_trip() -> None:
    pulse = begun()
    assert not pulse.is_due(at(999)) and pulse.is_due(at(1_000))
    assert pulse.beat(at(1_000)) == 1
    pulse.answered(1, at(1_030))
    assert pulse.round_trip_ms == 30
    assert pulse.timer == at(2_000) and pulse.beat(at(2_000)) == 2
    pulse.answered(1, at(2_500))  # of the one before: it does not count
    assert pulse.round_trip_ms == 30
    assert pulse.beat(at(3_000)) is None


def test_a_new_websocket_waits_for_its_own_hello() -> None:
    pulse = begun()
    pulse.beat(at(1_000))
    pulse.stop()
    assert pulse.timer is None and not pulse.is_due(at(10_000))
    pulse.opened(at(2_000))
    assert pulse.timer == at(2_000 + HELLO_TIMEOUT_MS)
    pulse.begin(500.5, at(2_100))
    assert pulse.timer == Nanos(at(2_600) + 500_000)
    assert pulse.beat(at(2_601)) == 2


@pytest.mark.parametrize("interval_ms", [0, SHORTEST_INTERVAL_MS - 1, LONGEST_INTERVAL_MS + 1, float("nan")])
def test_an_interval_that_cannot_be_is_refused_and_nothing_changes(interval_ms: float) -> None:
    pulse = Pulse()
    pulse.opened(NOW)
    with pytest.raises(ValueError):
        pulse.begin(interval_ms, at(10))
    assert pulse.timer == at(HELLO_TIMEOUT_MS)


def test_a_server_waits_for_a_name_and_then_for_two_heartbeats() -> None:
    patience = Patience(NOW, 20_000)
    assert patience.ends(spoken=False) == at(IDENTIFY_WITHIN_MS)
    assert patience.ends(spoken=True) == at(40_000)
    patience.heard(at(20_500))
    assert patience.ends(spoken=True) == at(60_500)
    assert patience.ends(spoken=False) == at(IDENTIFY_WITHIN_MS)  # heartbeats are no name
    assert Patience(NOW, 1_000).ends(spoken=False) == at(2_000)

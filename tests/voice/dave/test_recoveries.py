"""How soon a lost group is entered anew."""

from raccall.units import Nanos, after_ms
from raccall.voice.dave.recoveries import CALM_MS, FIRST_WAIT_MS, FREE_RECOVERIES, LONGEST_WAIT_MS, Recoveries


def test_the_first_are_free_and_the_rest_wait_twice_as_long_each() -> None:
    recoveries = Recoveries()
    waits = [recoveries.wait_ms(Nanos(0)) for _ in range(FREE_RECOVERIES + 7)]
    assert waits[:FREE_RECOVERIES] == [0] * FREE_RECOVERIES
    assert waits[FREE_RECOVERIES:] == [min(FIRST_WAIT_MS << n, LONGEST_WAIT_MS) for n in range(7)]
    assert waits[-1] == LONGEST_WAIT_MS


def test_after_a_calm_minute_all_is_forgiven() -> None:
    recoveries = Recoveries()
    for _ in range(FREE_RECOVERIES + 1):
        recoveries.wait_ms(Nanos(0))
    assert recoveries.wait_ms(after_ms(Nanos(0), CALM_MS)) > 0
    assert recoveries.wait_ms(Nanos(after_ms(Nanos(0), 2 * CALM_MS) + 1)) == 0

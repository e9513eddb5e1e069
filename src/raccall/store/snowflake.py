"""Ids of 63 bits that sort by time: 41 bits of milliseconds, 10 bits of server number, 12 bits of counter."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""41 bits of milliseconds from here last until 2095."""
WORKER_BITS = 10
COUNTER_BITS = 12
_MILLISECOND = timedelta(milliseconds=1)


class Snowflakes:
    """Gives out ids. They rise even if the wall clock goes back or more than 4096 are asked for in a millisecond."""

    def __init__(self, worker: int = 0) -> None:
        if not 0 <= worker < 1 << WORKER_BITS:
            raise ValueError(f"a server number has {WORKER_BITS} bits")
        self._worker = worker
        self._last_ms = 0
        self._counter = 0

    def new(self, wall: datetime) -> int:
        """An id for something that happened at `wall` (aware, UTC)."""
        now_ms = (wall - EPOCH) // _MILLISECOND
        if now_ms > self._last_ms:
            self._last_ms, self._counter = now_ms, 0
        else:
            self._counter += 1
            if self._counter >> COUNTER_BITS:
                self._last_ms, self._counter = self._last_ms + 1, 0
        return self._last_ms << (WORKER_BITS + COUNTER_BITS) | self._worker << COUNTER_BITS | self._counter


def wall_of(snowflake: int) -> datetime:
    """When an id was given out, to the millisecond."""
    return EPOCH + (snowflake >> (WORKER_BITS + COUNTER_BITS)) * _MILLISECOND

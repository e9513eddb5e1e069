"""The two clocks. Only adapters read them; cores are given `now`."""

import time
from datetime import UTC, datetime

from raccall.units import Nanos


def monotonic_now() -> Nanos:
    """Monotonic nanoseconds (CLOCK_MONOTONIC on Linux: the same clock that `_native` stamps packets with)."""
    return Nanos(time.monotonic_ns())


def wall_now() -> datetime:
    """UTC, for people and files; it may jump."""
    return datetime.now(UTC)

"""Time that moves only when told to."""

from raccall.units import NANOS_PER_MS, NANOS_PER_SECOND, Nanos


class VirtualClock:
    """A monotonic clock for tests: an hour passes in the time it takes to compute it.

    It starts at one hour, so that code which confuses an absolute time with a duration fails at once.
    """

    def __init__(self, start_s: int = 3600) -> None:
        self.now = Nanos(start_s * NANOS_PER_SECOND)

    def advance(self, *, ms: float = 0, seconds: float = 0) -> Nanos:
        """Let time pass; returns the new `now`. Raises ValueError for a step back."""
        step = round(ms * NANOS_PER_MS) + round(seconds * NANOS_PER_SECOND)
        if step < 0:
            raise ValueError("a monotonic clock never goes back")
        self.now = Nanos(self.now + step)
        return self.now

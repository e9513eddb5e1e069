"""How many messages one connection may send."""

from raccall.units import NANOS_PER_SECOND, Nanos


class RateLimit:
    """A bucket of `burst` tokens that gains `per_second`; each message takes one, or as many as it costs."""

    def __init__(self, now: Nanos, *, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._tokens = float(burst)
        self._filled_at = now

    def allow(self, now: Nanos, cost: float = 1) -> bool:
        """Take so many tokens. False if there are too few."""
        gained = (now - self._filled_at) / NANOS_PER_SECOND * self._per_second
        self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at = now
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True

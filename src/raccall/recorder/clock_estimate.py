"""Where a sender's clock stands against the recorder's: the lower envelope of relative delay.

A packet's relative delay is its arrival minus its timestamp. The network only ever adds to it, so the least of many
is the place where the sender's timestamps belong, free of jitter. The least over a sliding window follows a clock
that drifts: at once towards earlier (a smaller delay is proof), after `WINDOW` towards later (that needs the old
proof to expire).
"""

from collections import deque

WINDOW_SAMPLES = 30 * 48_000
"""30 s: at 200 ppm it lags 6 ms, and a congested network must last longer than this before it passes for drift."""

_BUCKET_SAMPLES = 48_000
_MIN_DRIFT_SPAN_SAMPLES = 60 * 48_000


class ClockEstimate:
    """The windowed minimum of relative delay. All in samples at 48 kHz."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, int]] = deque()
        self._least: int | None = None
        self._first: tuple[int, int] | None = None

    def add(self, arrival: int, delay: int) -> None:
        """One packet arrived. Arrivals come in order; a little out of order does no harm."""
        bucket = arrival // _BUCKET_SAMPLES
        if self._buckets and self._buckets[-1][0] >= bucket:
            if delay < self._buckets[-1][1]:
                self._buckets[-1] = (self._buckets[-1][0], delay)
        else:
            self._buckets.append((bucket, delay))
            self._expire(bucket)
        self._least = delay if self._least is None else min(self._least, delay)

    def _expire(self, bucket: int) -> None:
        oldest_kept = bucket - WINDOW_SAMPLES // _BUCKET_SAMPLES
        if self._buckets[0][0] > oldest_kept:
            return
        if self._first is None and self._least is not None:
            self._first = (bucket, self._least)
        while self._buckets[0][0] <= oldest_kept:
            self._buckets.popleft()
        self._least = min(delay for _, delay in self._buckets)

    @property
    def least_delay(self) -> int | None:
        """None before the first packet."""
        return self._least

    def drift_ppm(self) -> float | None:
        """How much slower the sender's clock runs than ours (negative: faster); None before a minute has passed."""
        if self._first is None or self._least is None:
            return None
        span = (self._buckets[-1][0] - self._first[0]) * _BUCKET_SAMPLES
        return (self._least - self._first[1]) / span * 1e6 if span >= _MIN_DRIFT_SPAN_SAMPLES else None

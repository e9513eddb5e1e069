"""How soon a group that was lost may be entered anew: at once, unless that does not end. Pure."""

from raccall.units import Nanos, after_ms

FREE_RECOVERIES = 2
"""Within CALM_MS; each one more waits twice as long, from FIRST_WAIT_MS to LONGEST_WAIT_MS."""
CALM_MS = 60_000
FIRST_WAIT_MS = 1_000
LONGEST_WAIT_MS = 30_000


class Recoveries:
    """Of one voice session."""

    def __init__(self) -> None:
        self._last: Nanos | None = None
        self._recent = 0

    def wait_ms(self, now: Nanos) -> int:
        """One more: how long it has to wait; 0: not at all."""
        if self._last is None or now > after_ms(self._last, CALM_MS):
            self._recent = 0
        self._recent += 1
        self._last = now
        more = self._recent - FREE_RECOVERIES
        return 0 if more <= 0 else min(FIRST_WAIT_MS << (more - 1), LONGEST_WAIT_MS)

"""What a person should be told about their own microphone. Pure: `now` is given.

hints = Hints()
hints.look(stats, muted, now)   ─▶ the sentence that matters now, or None
"""

from raccall.audio.devices import cancels_echo
from raccall.units import NANOS_PER_SECOND, Nanos
from raccall.voice.engine import EngineStats

TALKING_DB = -38.0
"""Somebody speaks at arm's length; a quiet room is below -50."""
TALKING_NS = 1 * NANOS_PER_SECOND
"""A cough is shorter."""
DIGITAL_ZERO_DB = -120.0
"""No microphone is so quiet: a switch on it, or the system, gives zeros."""
DEAD_NS = 5 * NANOS_PER_SECOND
CLIPPING_DB = -1.0
"""The loudness of 20 ms, not a peak: nothing but a square wave gets there unclipped."""
CLIPPING_LOOKS = 3
SHOWN_NS = 6 * NANOS_PER_SECOND
"""A hint stays so long after its cause is gone."""

MUTED = "You are talking, and your microphone is off: F2 switches it on."
DEAD = "Your microphone gives nothing but zeros: is it switched off, or forbidden by the system?"
CLIPPED = "Your microphone is too loud and distorts: lower its level, or move away."
CANCELLED_TWICE = (
    "“{device}” cancels echo already; two cancellers make speech hollow: choose the microphone itself (F6)."
)


class Hints:
    """Looks at one call's microphone, some ten times a second."""

    def __init__(self) -> None:
        self._talks_since: Nanos | None = None
        self._dead_since: Nanos | None = None
        self._clipped = 0
        self._hint: str | None = None
        self._until = Nanos(0)

    def look(
        self, stats: EngineStats, *, muted: bool, now: Nanos, has_microphone: bool = True, from_file: bool = False
    ) -> str | None:
        """The sentence to show, or None. from_file: a file speaks, which may be silent, or at its end."""
        level_db = stats.input_level_db
        if not has_microphone:
            return None
        self._talks_since = (self._talks_since or now) if level_db > TALKING_DB else None
        self._dead_since = (self._dead_since or now) if level_db < DIGITAL_ZERO_DB else None
        self._clipped = self._clipped + 1 if level_db > CLIPPING_DB else 0
        if muted and self._talks_since is not None and now - self._talks_since >= TALKING_NS:
            self._show(MUTED, now)
        elif not from_file and self._dead_since is not None and now - self._dead_since >= DEAD_NS:
            self._show(DEAD, now)
        elif self._clipped >= CLIPPING_LOOKS:
            self._show(CLIPPED, now)
        elif self._hint == MUTED and not muted:
            self._hint = None
        return self._hint if now < self._until else None

    def _show(self, hint: str, now: Nanos) -> None:
        self._hint, self._until = hint, Nanos(now + SHOWN_NS)


def canceller_hint(microphone: str) -> str | None:
    """A sentence if the system's own echo canceller stands behind this microphone's name."""
    if cancels_echo(microphone):
        return CANCELLED_TWICE.format(device=microphone)
    return None

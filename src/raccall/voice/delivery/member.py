"""One user as the delivery service sees it: what is awaited of the client, and how much patience it has used."""

import enum
from dataclasses import dataclass

from raccall.units import Nanos, after_ms
from raccall.voice.delivery.group import Place

FREE_RECOVERIES = 2
"""Within CALM_MS; each one more waits twice as long, from FIRST_WAIT_MS to LONGEST_WAIT_MS."""
CALM_MS = 60_000
FIRST_WAIT_MS = 1_000
LONGEST_WAIT_MS = 30_000
MAX_FAILURES = 3
"""Attempts that ended without a commit while this one was in the group or to be added: then it is expelled."""


class State(enum.Enum):
    ASKED = enum.auto()  # was told to send a key package
    WAITING = enum.auto()  # sent one, is not in the group yet
    MEMBER = enum.auto()


@dataclass(eq=False, slots=True)
class Member:
    user_id: int
    asked: Nanos
    """When the key package was asked for."""
    state: State = State.ASKED
    place: Place | None = None
    """Where the newest key package stands, or is to stand."""
    not_before: Nanos = Nanos(0)  # noqa: RUF009
    """A member who recovers too often is not added earlier."""
    failures: int = 0
    distrusted: bool = False
    """Made a commit that few could use."""
    _recoveries: int = 0
    _recovered: Nanos | None = None

    def recovers(self, now: Nanos) -> None:
        """The client could not go on. One who cannot be helped must not keep the others busy."""
        if self._recovered is None or now > after_ms(self._recovered, CALM_MS):
            self._recoveries = 0
        self._recoveries += 1
        self._recovered = now
        if (more := self._recoveries - FREE_RECOVERIES) > 0:
            self.not_before = after_ms(now, min(FIRST_WAIT_MS << (more - 1), LONGEST_WAIT_MS))

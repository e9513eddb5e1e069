"""Who is ready for the next epoch: a transition is executed when all are, or when it has waited long enough.

Several may be open at a time, when people come and go quickly. A later one makes the earlier void: who can open the
newest epoch need not be told to send with the one before.
"""

from dataclasses import dataclass

from raccall.units import Nanos, after_ms

READY_WITHIN_MS = 2_000
"""Then the others go on: they cannot wait for one whose connection is lost."""
MAX_OPEN = 16
"""More are not kept apart; the oldest is void."""
LAST_ID = (1 << 16) - 1


@dataclass(eq=False, slots=True)
class Transition:
    id: int
    due: Nanos
    waiting: set[int]
    """User ids of those who have not answered."""
    users: frozenset[int]
    """All who were told of it."""
    committer: int | None
    """None for a change of version."""
    refused: set[int]
    """Who could not use it."""

    @property
    def receivers(self) -> frozenset[int]:
        """Who got the commit from another."""
        return self.users - {self.committer}


class Transitions:
    """Those that are open, the oldest first; ids count from 1 to 65535 and begin again."""

    def __init__(self) -> None:
        self._open: list[Transition] = []
        self._last_id = 0

    def begin(self, users: set[int], now: Nanos, *, committer: int | None = None) -> Transition:
        """`users` are told of it and will answer."""
        self._last_id = self._last_id % LAST_ID + 1
        transition = Transition(
            self._last_id, after_ms(now, READY_WITHIN_MS), set(users), frozenset(users), committer, set()
        )
        self._open = [*self._open[-(MAX_OPEN - 1) :], transition]
        return transition

    def find(self, transition_id: int) -> Transition | None:
        """None if it is not open any more, or never was."""
        return next((transition for transition in self._open if transition.id == transition_id), None)

    def answered(self, user_id: int, transition_id: int) -> None:
        """The user is ready, or could not use it: nobody waits for this one any more."""
        if (transition := self.find(transition_id)) is not None:
            transition.waiting.discard(user_id)

    def left(self, user_id: int) -> None:
        for transition in self._open:
            transition.waiting.discard(user_id)

    def clear(self) -> None:
        """There is a new group, or none."""
        self._open = []

    def get_timer(self) -> Nanos | None:
        return min((transition.due for transition in self._open), default=None)

    def executed(self, now: Nanos) -> Transition | None:
        """The newest one that all are ready for, or that has waited long enough; it and the older ones are closed."""
        for index in reversed(range(len(self._open))):
            transition = self._open[index]
            if not transition.waiting or now >= transition.due:
                del self._open[: index + 1]
                return transition
        return None

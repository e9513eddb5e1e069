"""Who may be in the group: those whom people are shown in the room. Everyone else in it is a ghost."""

from collections.abc import Iterable

from raccall.units import Nanos, after_ms

LEFT_GRACE_MS = 15_000
"""Who has left is still in the group until the others have committed to that."""
MAX_USER_ID = (1 << 64) - 1


class People:
    """Expected by the control connection once that has told, else by the voice gateway's own list (Discord).

    The delivery service brings people into the group and takes them out; it is not trusted to say who is there. What
    people are shown is what they know, so that is what the group is compared with.
    """

    def __init__(self, own_id: int) -> None:
        self._own_id = own_id
        self._told: set[int] | None = None
        self._connected: set[int] = set()
        self._listed = False
        self._left: dict[int, Nanos] = {}  # until when they count

    @property
    def alone(self) -> bool | None:
        """Nobody else is in the call, the voice gateway says; None before it said anything."""
        return not self._connected if self._listed else None

    @property
    def others(self) -> frozenset[int]:
        """Those who are here besides ourselves."""
        return frozenset(self._connected if self._told is None else self._told) - {self._own_id}

    def tell(self, user_ids: Iterable[int], now: Nanos) -> None:
        """People are shown these in the room, from now on."""
        told = set(user_ids)
        self._part((self._told or set()) - told, now)
        self._told = told

    def connect(self, user_ids: Iterable[str]) -> None:
        """The voice gateway says that these are in the call, too. Raises ValueError for what is no user id."""
        self._connected |= {user_number(user_id) for user_id in user_ids} - {self._own_id}
        self._listed = True

    def disconnect(self, user_id: str, now: Nanos) -> None:
        """The voice gateway says that this one has left the call. Raises ValueError for what is no user id.

        Where people are shown who is in the room, that says when somebody has left; else a server could let a ghost in
        by telling that it has just gone.
        """
        gone = user_number(user_id)
        if gone in self._connected and self._told is None:
            self._part({gone}, now)
        self._connected.discard(gone)

    def unknown(self, user_ids: Iterable[int], now: Nanos) -> frozenset[int]:
        """Those of `user_ids` who are not here and have not just been."""
        self._left = {user_id: end for user_id, end in self._left.items() if now < end}
        return frozenset(user_ids) - self.others - self._left.keys() - {self._own_id}

    def next_change(self) -> Nanos | None:
        """When somebody who has left will be unknown."""
        return min(self._left.values(), default=None)

    def _part(self, user_ids: set[int], now: Nanos) -> None:
        self._left |= dict.fromkeys(user_ids, after_ms(now, LEFT_GRACE_MS))


def user_number(user_id: str) -> int:
    """Raises ValueError for what is no user id."""
    number = int(user_id) if user_id.isdecimal() and len(user_id) <= len(str(MAX_USER_ID)) else MAX_USER_ID + 1
    if number > MAX_USER_ID:
        raise ValueError("no user id")
    return number

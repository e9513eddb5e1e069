"""What a resume repeats: the newest numbered messages of one session, whichever connection carries them."""

from collections import deque

DEFAULT_CAPACITY = 256


class ReplayBuffer:
    """Numbers messages from 0 and keeps the newest `capacity` of them; the oldest is dropped first.

    A message is given up to its number, which is the last thing in it: so those who are told the same keep one text.
    `wire_bits`: how many bits of a number are written.

    A session whose client lacks a dropped message cannot be resumed: `since` says so and the client starts anew.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY, first: int = 0, wire_bits: int = 64) -> None:
        self._mask = (1 << wire_bits) - 1
        self._bodies: deque[str] = deque(maxlen=capacity)
        self._next = first

    @property
    def next_number(self) -> int:
        """Of the message that `append` will be given next."""
        return self._next

    @property
    def newest(self) -> int:
        """Number of the last message, one less than the first if there was none."""
        return self._next - 1

    def append(self, body: str) -> str:
        """Keep one message, given up to its number. Returns it whole."""
        self._bodies.append(body)
        self._next += 1
        return self._whole(body, self.newest)

    def since(self, number: int) -> list[str] | None:
        """Everything after message `number`. None if some of it is gone, or if `number` was never given out."""
        missing = self.newest - number
        if not 0 <= missing <= len(self._bodies):
            return None
        bodies = list(self._bodies)[len(self._bodies) - missing :]
        return [self._whole(body, after) for after, body in enumerate(bodies, number + 1)]

    def acknowledge(self, number: int) -> None:
        """The client has message `number` and all before it: they need not be kept."""
        missing = self.newest - number
        if missing >= 0:
            while len(self._bodies) > missing:
                self._bodies.popleft()

    def _whole(self, body: str, number: int) -> str:
        return f"{body}{number & self._mask}}}"

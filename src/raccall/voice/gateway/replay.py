"""What a resume repeats: the newest numbered messages of one session, whichever connection carries them."""

from collections import deque

DEFAULT_CAPACITY = 256


class ReplayBuffer:
    """Numbers messages from 0 and keeps the newest `capacity` of them; the oldest is dropped first.

    A session whose client lacks a dropped message cannot be resumed: `since` says so and the client starts anew.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY, first: int = 0) -> None:
        self._texts: deque[str] = deque(maxlen=capacity)
        self._next = first

    @property
    def next_number(self) -> int:
        """Of the message that `append` will be given next."""
        return self._next

    @property
    def newest(self) -> int:
        """Number of the last message, one less than the first if there was none."""
        return self._next - 1

    def append(self, text: str) -> None:
        """Keep one message, written with `next_number`."""
        self._texts.append(text)
        self._next += 1

    def since(self, number: int) -> list[str] | None:
        """Everything after message `number`. None if some of it is gone, or if `number` was never given out."""
        missing = self.newest - number
        if not 0 <= missing <= len(self._texts):
            return None
        return list(self._texts)[len(self._texts) - missing :]

    def acknowledge(self, number: int) -> None:
        """The client has message `number` and all before it: they need not be kept."""
        missing = self.newest - number
        if missing >= 0:
            while len(self._texts) > missing:
                self._texts.popleft()

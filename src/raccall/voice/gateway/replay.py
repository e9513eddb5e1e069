"""What a resume repeats: the newest numbered messages of one session, whichever connection carries them."""

from collections import deque
from typing import Generic, TypeVar, cast

DEFAULT_CAPACITY = 256
MAX_BYTES = 1024 * 1024
"""Of one session. Some welcomes of a call of 200; those who are told the same share the bytes."""

M = TypeVar("M", bound=str | bytes)


class ReplayBuffer(Generic[M]):
    """Numbers messages from 0 and keeps the newest `capacity` of them, MAX_BYTES at most; the oldest is dropped first.

    A message is given up to its number, so those who are told the same keep it once: a text ends with the number, a
    binary message begins with it (16 bits). `wire_bits`: how many bits of a number are written.

    A session whose client lacks a dropped message cannot be resumed: `since` says so and the client starts anew.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY, first: int = 0, wire_bits: int = 64) -> None:
        self._mask = (1 << wire_bits) - 1
        self._capacity = capacity
        self._bodies: deque[M] = deque()
        self._size = 0  # characters of texts, bytes of binary messages
        self._next = first

    @property
    def next_number(self) -> int:
        """Of the message that `append` will be given next."""
        return self._next

    @property
    def newest(self) -> int:
        """Number of the last message, one less than the first if there was none."""
        return self._next - 1

    def append(self, body: M) -> M:
        """Keep one message, given up to its number. Returns it whole."""
        self._bodies.append(body)
        self._size += len(body)
        while len(self._bodies) > self._capacity or self._size > MAX_BYTES:
            self._drop()
        self._next += 1
        return self._whole(body, self.newest)

    def since(self, number: int) -> list[M] | None:
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
                self._drop()

    def _drop(self) -> None:
        self._size -= len(self._bodies.popleft())

    def _whole(self, body: M, number: int) -> M:
        number &= self._mask
        if isinstance(body, bytes):
            return cast(M, number.to_bytes(2, "big") + body)
        return cast(M, f"{body}{number}}}")

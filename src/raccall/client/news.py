"""What happens in a session, kept for the one who reads it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from raccall.client.events import Event
from raccall.errors import RaccallError

MAX_EVENTS = 1000
"""Events nobody has taken yet; beyond, the oldest is dropped and counted."""


class News:
    """Events in order, for one reader at a time; it ends when `end` was called and all were taken."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._woken = asyncio.Event()
        self._ended = False
        self._error: BaseException | None = None
        self.dropped = 0

    def add(self, event: Event) -> None:
        """It happened."""
        if len(self._waiting) == MAX_EVENTS:
            self.dropped += 1
        self._waiting.append(event)
        self._woken.set()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will happen. error: why; the reader is raised what is no RaccallError, for that is a bug."""
        self._ended = True
        self._error = error or self._error
        self._woken.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._error is not None and not isinstance(self._error, RaccallError):
                raise self._error
            if self._ended:
                return
            self._woken.clear()
            await self._woken.wait()

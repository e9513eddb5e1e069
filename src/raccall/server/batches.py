"""News of a room, in batches: the first goes out at once, what follows within 50 ms goes out together. No clock.

Where hundreds join at once each piece of news goes to hundreds: told one by one that is a message for each pair.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from raccall.units import NANOS_PER_MS, Nanos

BATCH_MS = 50
"""People do not notice; 200 who join in a second hear of each other in 20 messages."""

T = TypeVar("T")


@dataclass(slots=True)
class _Window(Generic[T]):
    """Something was told lately."""

    closes: Nanos | None = None
    """None until the next look at the clock."""
    news: list[T] = field(default_factory=list)


class Batches(Generic[T]):
    """`deliver` gets a room's id and its news, oldest first."""

    def __init__(self, deliver: Callable[[int, list[T]], None]) -> None:
        self._deliver = deliver
        self._windows: dict[int, _Window[T]] = {}

    def add(self, room_id: int, news: T) -> None:
        if (window := self._windows.get(room_id)) is not None:
            window.news.append(news)
        else:
            self._windows[room_id] = _Window()
            self._deliver(room_id, [news])

    def flush(self, room_id: int) -> None:
        """Tell what waits now: something is to be told that comes after it."""
        if (window := self._windows.get(room_id)) is not None and window.news:
            news, window.news = window.news, []
            self._deliver(room_id, news)

    def get_timer(self) -> Nanos | None:
        """When `handle_timer` wants to be called."""
        return min((Nanos(0) if w.closes is None else w.closes for w in self._windows.values()), default=None)

    def handle_timer(self, now: Nanos) -> None:
        """Tell what has waited long enough."""
        for room_id, window in list(self._windows.items()):
            if window.closes is None:
                window.closes = Nanos(now + BATCH_MS * NANOS_PER_MS)
            elif now >= window.closes:
                if not window.news:
                    del self._windows[room_id]
                    continue
                window.closes = Nanos(now + BATCH_MS * NANOS_PER_MS)
                self.flush(room_id)

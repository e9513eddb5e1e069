"""WebSockets of those who have not said who they are: so many from one address, so many in all.

Each costs memory and a file descriptor for up to ten seconds (IDENTIFY_WITHIN_MS of both gateways). Who is known leaves
the doorway, so members are never counted, and a flood from one address does not keep those of others out.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MOST_PER_HOST = 256
"""A class behind one router comes at once, each with a control connection and then one for voice; and behind a proxy
everyone has its address."""
MOST = 1024


class Doorway:
    """Who waits to be let in. For the server's event loop."""

    def __init__(self, *, most_per_host: int = MOST_PER_HOST, most: int = MOST) -> None:
        self._most_per_host = most_per_host
        self._most = most
        self._waiting: Counter[str] = Counter()
        self.refused = 0
        """Connections that found the doorway full, since the start."""

    def __len__(self) -> int:
        return self._waiting.total()

    @contextmanager
    def enter(self, host: str | None) -> Iterator["Stranger | None"]:
        """Until the end of a connection from `host` (an address), or until it is known. None: there is no room."""
        host = host or ""
        if self._waiting[host] >= self._most_per_host or len(self) >= self._most:
            self.refused += 1
            self._drop_empty(host)
            yield None
            return
        self._waiting[host] += 1
        stranger = Stranger(self, host)
        try:
            yield stranger
        finally:
            stranger.let_in()

    def leave(self, host: str) -> None:
        """One of `host` waits no more."""
        self._waiting[host] -= 1
        self._drop_empty(host)

    def _drop_empty(self, host: str) -> None:
        if self._waiting[host] <= 0:
            with suppress(KeyError):
                del self._waiting[host]


class Stranger:
    """One connection in the doorway."""

    def __init__(self, doorway: Doorway, host: str) -> None:
        self._doorway: Doorway | None = doorway
        self._host = host

    def let_in(self) -> None:
        """It is known, or gone. Again: no effect."""
        doorway, self._doorway = self._doorway, None
        if doorway is not None:
            doorway.leave(self._host)

"""Connections of those who have not said who they are: so many from one address, so many in all.

Each costs memory and a file descriptor for some seconds (HEAD_WITHIN_S and EXCHANGE_WITHIN_S of the front door,
IDENTIFY_WITHIN_MS of both gateways). Who is known leaves the doorway, so members are never counted, and a flood from
one address does not keep those of others out.
"""

from collections import Counter
from contextlib import suppress

MOST_PER_HOST = 256
"""A class behind one router comes at once, each with a control connection and then one for voice; and behind a proxy
everyone has its address."""
MOST = 1024


class Doorway:
    """Who waits to be let in. For the server's event loop."""

    def __init__(self, *, most_per_host: int = MOST_PER_HOST, most: int = MOST) -> None:
        self.most_per_host = most_per_host
        self.most = most
        self._waiting: Counter[str] = Counter()
        self.refused = 0
        """Connections that found the doorway full, since the start."""

    def __len__(self) -> int:
        return self._waiting.total()

    def enter(self, host: str | None) -> "Stranger | None":
        """A place for a connection from `host` (an address), until it is let in. None: there is no room."""
        host = host or ""
        if self._waiting[host] >= self.most_per_host or len(self) >= self.most:
            self.refused += 1
            self._drop_empty(host)
            return None
        self._waiting[host] += 1
        return Stranger(self, host)

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

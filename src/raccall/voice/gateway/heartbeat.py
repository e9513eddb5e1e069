"""Heartbeats of both gateways, by which each side notices that the other is gone: `/gateway` has them, too.

    S Hello (how often) ─▶ C Heartbeat ─▶ S HeartbeatAck ─▶ C Heartbeat ...

A client whose heartbeat is not answered before the next is due gives the WebSocket up; a server does when two are
missing. Pure: timers are asked for and looked at by the core that owns them.
"""

from raccall.units import NANOS_PER_MS, Nanos, after_ms

HELLO_TIMEOUT_MS = 10_000
"""From an open WebSocket to the server's Hello."""
SHORTEST_INTERVAL_MS = 50
LONGEST_INTERVAL_MS = 300_000
"""What a server may ask for; Discord's real value is 13 750."""
MISSED_HEARTBEATS = 2
"""A connection without a heartbeat for this many intervals is dead: one may be late."""
IDENTIFY_WITHIN_MS = 10_000
"""From an open WebSocket to the client's first word."""


class Pulse:
    """A client's, over any number of WebSockets."""

    def __init__(self) -> None:
        self._interval: Nanos | None = None
        self._nonce = 0
        self._unanswered_since: Nanos | None = None
        self.timer: Nanos | None = None
        """When something is due: Hello from the server, or a heartbeat from us. None without a WebSocket."""
        self.round_trip_ms: float | None = None
        """Of the newest answered heartbeat."""

    def opened(self, now: Nanos) -> None:
        """A new WebSocket: Hello is awaited."""
        self._interval = self._unanswered_since = None
        self.timer = after_ms(now, HELLO_TIMEOUT_MS)

    def begin(self, interval_ms: float, now: Nanos) -> None:
        """Hello came. Raises ValueError for an interval that no server should ask for."""
        if not SHORTEST_INTERVAL_MS <= interval_ms <= LONGEST_INTERVAL_MS:
            raise ValueError("no such heartbeat interval")
        self._interval = Nanos(int(interval_ms * NANOS_PER_MS))
        self.timer = Nanos(now + self._interval)

    def is_due(self, now: Nanos) -> bool:
        """Call `beat` now."""
        return self.timer is not None and now >= self.timer

    def beat(self, now: Nanos) -> int | None:
        """The nonce to send, 1 and up; None: what was awaited did not come, the server is gone."""
        if self._interval is None or self._unanswered_since is not None:
            return None
        self._nonce += 1
        self._unanswered_since = now
        self.timer = Nanos(now + self._interval)
        return self._nonce

    def answered(self, nonce: int, now: Nanos) -> None:
        """An acknowledgement came; that of an older heartbeat does not count."""
        if nonce == self._nonce and self._unanswered_since is not None:
            self.round_trip_ms = (now - self._unanswered_since) / NANOS_PER_MS
            self._unanswered_since = None

    def stop(self) -> None:
        """The WebSocket is of no more use."""
        self.timer = None


class Patience:
    """A server's, with the client of one WebSocket."""

    def __init__(self, now: Nanos, heartbeat_interval_ms: int) -> None:
        self._patience_ms = heartbeat_interval_ms * MISSED_HEARTBEATS
        self._identify_by = after_ms(now, IDENTIFY_WITHIN_MS)
        self._heartbeat_by = after_ms(now, self._patience_ms)

    def heard(self, now: Nanos) -> None:
        """A heartbeat came."""
        self._heartbeat_by = after_ms(now, self._patience_ms)

    def ends(self, *, spoken: bool) -> Nanos:
        """When to close the connection. spoken: the client has said who it is, be it right or wrong."""
        return self._heartbeat_by if spoken else min(self._identify_by, self._heartbeat_by)

"""What one client of the voice gateway may send: messages, those of end-to-end encryption, datagrams of a tunnel."""

from raccall.units import Nanos
from raccall.voice.gateway.binary import DaveFromClient
from raccall.voice.gateway.limit import RateLimit

RATE_BURST = 60
RATE_PER_SECOND = 5.0
"""A client's own traffic is a heartbeat every 14 s and a handful of messages at the start."""
TUNNEL_BURST = 200
TUNNEL_PER_SECOND = 150.0
"""Datagrams in a tunnel: 50 a second of voice, and reports. More is dropped."""
DAVE_BURST = 200
DAVE_PER_SECOND = 30.0
"""Messages of end-to-end encryption: two for each epoch, of which ten a second can begin."""
DAVE_BURST_BYTES = 2 * 1024 * 1024
DAVE_BYTES_PER_SECOND = 512 * 1024
"""A commit of a call of 200 with its welcome has 100 KiB."""


class Allowance:
    """Of one connection."""

    def __init__(self, now: Nanos) -> None:
        self._messages = RateLimit(now, burst=RATE_BURST, per_second=RATE_PER_SECOND)
        self._datagrams = RateLimit(now, burst=TUNNEL_BURST, per_second=TUNNEL_PER_SECOND)
        self._dave = RateLimit(now, burst=DAVE_BURST, per_second=DAVE_PER_SECOND)
        self._dave_bytes = RateLimit(now, burst=DAVE_BURST_BYTES, per_second=DAVE_BYTES_PER_SECOND)

    def message(self, message: object, size_bytes: int, now: Nanos) -> bool:
        """One more has come; False: that is too many, the connection is to be closed."""
        if isinstance(message, DaveFromClient):
            return self._dave.allow(now) and self._dave_bytes.allow(now, cost=size_bytes)
        return self._messages.allow(now)

    def datagram(self, now: Nanos) -> bool:
        """One more has come; False: that is too many, it is to be dropped."""
        return self._datagrams.allow(now)

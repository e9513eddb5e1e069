"""Voice where UDP is blocked: the same sealed datagrams, one in each binary message of the voice gateway's WebSocket.

    client to server    u8 250 | datagram
    server to client    u16 0  | u8 250 | datagram      (the shape of the gateway's own binary messages: number, opcode)

A server that takes them says so by `raccall_tunnel` in its Ready; libraries that do not know the field never send one
and are never sent one. To the relay the server's end of a tunnel is one more address that a client may have: IP
discovery and roaming work as ever.
"""

from collections import deque

from raccall.units import NANOS_PER_MS, Nanos

OPCODE = 250
"""Far from the opcodes of the published protocol, which counts up from 0."""
VERSION = 1
MAX_DATAGRAM_BYTES = 1500
"""The relay takes none longer."""
_TO_SERVER = bytes([OPCODE])
_TO_CLIENT = bytes([0, 0, OPCODE])

LONGEST_WAIT_MS = 250
"""What waits longer behind a slow TCP connection is dropped: it would come after its turn to be played."""
MAX_WAITING = 1024
"""Datagrams; 250 ms of 80 talkers."""


def to_server(datagram: bytes) -> bytes:
    """The message that carries it."""
    return _TO_SERVER + datagram


def to_client(datagram: bytes) -> bytes:
    """The message that carries it."""
    return _TO_CLIENT + datagram


def from_client(message: bytes) -> bytes | None:
    """The datagram in it; None if this is another kind of message, or holds more than a datagram may."""
    return _unwrap(message, _TO_SERVER)


def from_server(message: bytes) -> bytes | None:
    """The datagram in it; None if this is another kind of message, or holds more than a datagram may."""
    number, kind = message[:2], message[2:]
    return _unwrap(kind, _TO_SERVER) if len(number) == 2 else None


def _unwrap(message: bytes, head: bytes) -> bytes | None:
    if not message.startswith(head) or not len(head) < len(message) <= len(head) + MAX_DATAGRAM_BYTES:
        return None
    return message[len(head) :]


class DatagramQueue:
    """Datagrams that wait for a WebSocket. Drop rule: the oldest, when it waited too long or there are too many."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Nanos, bytes]] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, datagram: bytes, now: Nanos) -> None:
        self._waiting.append((now, datagram))
        if len(self._waiting) > MAX_WAITING:
            self._drop()

    def pop(self, now: Nanos) -> bytes | None:
        """The oldest that is still worth sending."""
        while self._waiting and now - self._waiting[0][0] > LONGEST_WAIT_MS * NANOS_PER_MS:
            self._drop()
        return self._waiting.popleft()[1] if self._waiting else None

    def _drop(self) -> None:
        self._waiting.popleft()
        self.dropped += 1

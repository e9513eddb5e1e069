"""The server's end of a tunnel: one UDP socket of this machine for one voice connection (`voice.gateway.tunnel`).

    WebSocket ─▶ to_relay ─▶ socket ══▶ relay ══▶ socket ─▶ queue ─▶ carry ─▶ WebSocket

The relay sees an address like any other, so its loop has no case for tunnels and none of its time is spent on them.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, cast

from raccall.clock import monotonic_now
from raccall.voice.gateway.tunnel import DatagramQueue, to_client

Address = tuple[str, int]


@dataclass(slots=True)
class TunnelCounts:
    """Of all tunnels of a server, since its start."""

    open: int = 0
    """Now."""
    to_relay: int = 0
    to_clients: int = 0
    dropped: int = 0
    """Waited too long for a client, or no socket could be opened."""


class Client(Protocol):
    """The voice connection of who cannot use UDP."""

    @property
    def writable(self) -> bool: ...
    def send_binary(self, data: bytes) -> None: ...


class Tunnel(asyncio.DatagramProtocol):
    """Opened by the first datagram, so that who uses UDP costs nothing. For the server's event loop.

    relay: an address of it. When the client takes more again, `carry` is to be called.
    """

    def __init__(self, relay: Address, client: Client, counts: TunnelCounts) -> None:
        self._relay = relay
        self._client = client
        self._counts = counts
        self._queue = DatagramQueue()
        self._socket: asyncio.DatagramTransport | None = None
        self._closed = False

    def to_relay(self, datagram: bytes) -> Awaitable[None] | None:
        """One datagram of the client. Returns what to wait for before the next one: the first opens a socket."""
        if self._socket is None:
            return self._open(datagram)
        self._send(self._socket, datagram)
        return None

    def carry(self) -> None:
        """What the client will take."""
        while self._client.writable and (datagram := self._queue.pop(monotonic_now())) is not None:
            self._client.send_binary(to_client(datagram))
            self._counts.to_clients += 1

    def close(self) -> None:
        """The WebSocket has gone. May be called twice, and without a first datagram."""
        self._closed = True
        if self._socket is not None:
            self._socket.close()

    async def _open(self, first: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=self._relay)
        except OSError:  # too many files are open; the next datagram tries again
            self._counts.dropped += 1
            return
        if self._closed:
            transport.close()
        else:
            self._send(transport, first)

    def _send(self, transport: asyncio.DatagramTransport, datagram: bytes) -> None:
        transport.sendto(datagram)
        self._counts.to_relay += 1

    # ---- what the relay sends ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.DatagramTransport, transport)
        self._counts.open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._counts.open -= 1

    def datagram_received(self, data: bytes, addr: Address) -> None:
        before = self._queue.dropped
        self._queue.push(data, monotonic_now())
        self.carry()
        self._counts.dropped += self._queue.dropped - before

    def error_received(self, exc: Exception) -> None:
        """The relay is being restarted: a network drops, it does not fail."""

"""The server's end of a tunnel: one UDP socket of this machine for one voice connection (`voice.gateway.tunnel`).

    WebSocket ─▶ to_relay ─▶ socket ══▶ relay ══▶ socket ─▶ queue ─▶ WebSocket

The relay sees an address like any other, so its loop has no case for tunnels and none of its time is spent on them.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from fastapi import WebSocketDisconnect

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


class Tunnel(asyncio.DatagramProtocol):
    """Opened by the first datagram, so that who uses UDP costs nothing. For the server's event loop.

    relay: an address of it. send: one binary message to the client; waits while the connection is full.
    """

    def __init__(self, relay: Address, send: Callable[[bytes], Awaitable[None]], counts: TunnelCounts) -> None:
        self._relay = relay
        self._send = send
        self._counts = counts
        self._queue = DatagramQueue()
        self._news = asyncio.Event()
        self._socket: asyncio.DatagramTransport | None = None
        self._pump: asyncio.Task[None] | None = None

    async def to_relay(self, datagram: bytes) -> None:
        """One datagram of the client."""
        if self._socket is None and not await self._open():
            self._counts.dropped += 1
            return
        assert self._socket is not None
        self._socket.sendto(datagram)
        self._counts.to_relay += 1

    def close(self) -> None:
        """The WebSocket has gone. May be called twice, and without a first datagram."""
        if self._pump is not None:
            self._pump.cancel()
        if self._socket is not None:
            self._socket.close()

    async def _open(self) -> bool:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_datagram_endpoint(lambda: self, remote_addr=self._relay)
        except OSError:  # too many files are open; the next datagram tries again
            return False
        self._pump = asyncio.create_task(self._carry())
        return True

    async def _carry(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the link's reader ends the connection
            while True:
                self._news.clear()
                while (datagram := self._queue.pop(monotonic_now())) is not None:
                    await self._send(to_client(datagram))
                    self._counts.to_clients += 1
                await self._news.wait()

    # ---- what the relay sends ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.DatagramTransport, transport)
        self._counts.open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._counts.open -= 1

    def datagram_received(self, data: bytes, addr: Address) -> None:
        before = self._queue.dropped
        self._queue.push(data, monotonic_now())
        self._counts.dropped += self._queue.dropped - before
        self._news.set()

    def error_received(self, exc: Exception) -> None:
        """The relay is being restarted: a network drops, it does not fail."""

"""The client's end of a tunnel: takes the engine's datagrams to the voice gateway's WebSocket and back.

    engine ══ (UDP of this machine) ══ Tunnel ─▶ queue ─▶ WebSocket ⇄ server

The engine decides by itself when to go this way (`crates/engine/src/path.rs`); this only carries. While the WebSocket
is lost, nothing is sent.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self, cast

from raccall.clock import monotonic_now
from raccall.voice.engine import Engine
from raccall.voice.gateway.tunnel import DatagramQueue, from_server, to_server

HERE = "127.0.0.1"


class Tunnel(asyncio.DatagramProtocol):
    """For one engine, before it starts, until it is closed."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._queue = DatagramQueue()
        self._news = asyncio.Event()
        self._engine: tuple[str, int] | None = None
        self._pump: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, engine: Engine, send: Callable[[bytes], Awaitable[None]]) -> Self:
        """send: one binary message by the WebSocket; may drop it. Raises OSError."""
        loop = asyncio.get_running_loop()
        tunnel = cls(send)
        await loop.create_datagram_endpoint(lambda: tunnel, local_addr=(HERE, 0))
        try:
            tunnel._engine = engine.open_tunnel(tunnel._socket.get_extra_info("sockname"))
        except BaseException:
            tunnel._socket.close()
            raise
        tunnel._pump = asyncio.create_task(tunnel._carry())
        return tunnel

    def take(self, message: bytes) -> bool:
        """A binary message of the server. False if it is not the tunnel's."""
        datagram = from_server(message)
        if datagram is not None and not self._socket.is_closing():
            self._socket.sendto(datagram, self._engine)
        return datagram is not None

    def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        self._socket.close()

    async def _carry(self) -> None:
        while True:
            self._news.clear()
            while (datagram := self._queue.pop(monotonic_now())) is not None:
                await self._send(to_server(datagram))
            await self._news.wait()

    # ---- what the engine sends ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr == self._engine:  # nobody else of this machine sends in our name
            self._queue.push(data, monotonic_now())
            self._news.set()

    def error_received(self, exc: Exception) -> None:
        """The engine is gone; whoever closed it closes this, too."""

"""The adapter between a protocol core and a WebSocket: reads, writes, waits for timers; decides nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from fastapi import WebSocket, WebSocketDisconnect

from raccall.clock import monotonic_now
from raccall.units import NANOS_PER_SECOND, Nanos
from raccall.voice.gateway.messages import CloseCode

SEND_WITHIN_S = 10.0
"""A client that takes nothing for this long is cut off; it may resume. Until then at most the core's MAX_OUTGOING
messages wait, and 64 KiB in the transport."""

E = TypeVar("E", covariant=True)


class ServerCore(Protocol[E]):
    """What both gateways' cores have in common."""

    close_code: CloseCode | None

    def receive(self, data: str | bytes, now: Nanos) -> None: ...
    def next_event(self) -> E | None: ...
    def to_send(self, now: Nanos) -> list[str]: ...
    def get_timer(self) -> Nanos | None: ...
    def handle_timer(self, now: Nanos) -> None: ...
    def close(self, code: CloseCode) -> None: ...


C = TypeVar("C", bound=ServerCore[object])


class SocketLink(Generic[C]):
    """One accepted WebSocket and its core.

    `host` and `port` are the server's, as this client reached it; `peer` is the IP address that it comes from.
    """

    def __init__(self, socket: WebSocket, core: C, host: str, port: int) -> None:
        self.core = core
        self.host = host
        self.port = port
        self.peer = socket.client.host if socket.client else None
        self._socket = socket
        self._news = asyncio.Event()

    def wake(self) -> None:
        self._news.set()

    async def run(self, on_event: Callable[[object], Awaitable[None]]) -> int | None:
        """Until the connection ends. Returns the client's close code, None if it sent none."""
        reader = asyncio.create_task(self._read(on_event))
        writer = asyncio.create_task(self._write())
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reader, writer):
                task.cancel()
            results = await asyncio.gather(reader, writer, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        code = results[0]
        return code if isinstance(code, int) else None

    async def _read(self, on_event: Callable[[object], Awaitable[None]]) -> int | None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                code: int | None = message.get("code")
                return code
            text = message.get("text")
            self.core.receive(message["bytes"] if text is None else text, monotonic_now())
            while (event := self.core.next_event()) is not None:
                await on_event(event)
            self._news.set()

    async def _write(self) -> None:
        try:
            while True:
                self._news.clear()
                async with asyncio.timeout(SEND_WITHIN_S):
                    for text in self.core.to_send(monotonic_now()):
                        await self._socket.send_text(text)
                    if self.core.close_code is not None:
                        await self._socket.close(self.core.close_code, self.core.close_code.sentence[:120])
                        return
                await self._wait()
        except WebSocketDisconnect:
            return
        except TimeoutError:
            self.core.close(CloseCode.SERVER_CRASHED)

    async def _wait(self) -> None:
        """Until there is news or the core's timer is due."""
        timer = self.core.get_timer()
        delay_s = None if timer is None else max(0.0, (timer - monotonic_now()) / NANOS_PER_SECOND)
        try:
            async with asyncio.timeout(delay_s):
                await self._news.wait()
        except TimeoutError:
            self.core.handle_timer(monotonic_now())

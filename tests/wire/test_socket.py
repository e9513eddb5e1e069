"""A core's messages over a WebSocket, and the moments at which one may end."""

import asyncio
from typing import Any

from websockets.exceptions import ConnectionClosedError

from raccall.units import NANOS_PER_SECOND, Nanos
from raccall.wire.socket import Carrier


class Core:
    """Says one thing, and tells how it was lost."""

    def __init__(self) -> None:
        self._timer: Nanos | None = None
        self._events: list[str] = []
        self._outgoing = ["hello"]

    def opened(self, now: Nanos) -> None:
        self._timer = Nanos(now + 60 * NANOS_PER_SECOND)

    def lost(self, code: int | None, now: Nanos) -> None:
        self._timer = None
        self._events.append(f"lost {code}")

    def receive(self, data: str | bytes, now: Nanos) -> None: ...

    def next_event(self) -> str | None:
        return self._events.pop(0) if self._events else None

    def to_send(self, now: Nanos) -> list[str]:
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def get_timer(self) -> Nanos | None:
        return self._timer

    def handle_timer(self, now: Nanos) -> None: ...


class Socket:
    """Ends while something is being sent."""

    close_code = 4021

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    async def send(self, text: str) -> None:
        self._ended.set()
        for _ in range(3):  # turns of the event loop, in which the reader learns of the end
            await asyncio.sleep(0)

    async def recv(self) -> str:
        await self._ended.wait()
        raise ConnectionClosedError(None, None)


async def test_an_end_while_sending_is_told() -> None:
    told: list[str] = []

    async def handle(event: str) -> None:
        told.append(event)

    socket: Any = Socket()
    async with asyncio.timeout(5):
        await Carrier(Core(), handle).run(socket)
    assert told == ["lost 4021"]

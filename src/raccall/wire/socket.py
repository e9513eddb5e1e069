"""WebSockets for the two protocol cores: open one, and carry a core's messages over it until one of them ends."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from raccall.clock import monotonic_now
from raccall.errors import ConnectionFailed
from raccall.units import NANOS_PER_SECOND, Nanos
from raccall.wire.tls import as_connection_failed

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
MAX_MESSAGE_BYTES = 1 << 20
"""A Ready that lists many full rooms is the longest message."""
UNSENT_BYTES = 4 << 10
"""Held back before a sender waits, in this process and again in the kernel: half a second of one's voice."""

E_co = TypeVar("E_co", covariant=True)
E = TypeVar("E")


class Core(Protocol[E_co]):
    """The five verbs, and the beginning and end of a WebSocket."""

    def opened(self, now: Nanos) -> None: ...
    def lost(self, code: int | None, now: Nanos) -> None: ...
    def receive(self, data: str | bytes, now: Nanos) -> None: ...
    def next_event(self) -> E_co | None: ...
    def to_send(self, now: Nanos) -> Sequence[str | bytes]: ...
    def get_timer(self) -> Nanos | None: ...
    def handle_timer(self, now: Nanos) -> None: ...


async def open_socket(url: str, tls: ssl.SSLContext | None) -> ClientConnection:
    """Raises ConnectionFailed with a sentence. Heartbeats are the protocol's own, so WebSocket pings are off; little
    waits inside, for voice may go this way."""
    place = url.split("/")[2]
    try:
        connection = await connect(
            url,
            ssl=tls,
            proxy=None,  # voice cannot take the proxy's way either: better to fail here than half
            compression=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            max_size=MAX_MESSAGE_BYTES,
            write_limit=UNSENT_BYTES,
        )
        with suppress(AttributeError, OSError):  # Linux and macOS
            sock = connection.transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        return connection
    except (InvalidHandshake, InvalidURI):
        raise ConnectionFailed("server_unsuitable", f"What answers at {place} is not a Raccall server.") from None
    except OSError as error:
        raise as_connection_failed(error, place) from error


class Carrier(Generic[E]):
    """Carries one core's messages over one WebSocket after another.

    Commands to the core come from other tasks: call `wake` after each, and what it wants to send goes out.
    """

    def __init__(self, core: Core[E], handle: Callable[[E], Awaitable[None]]) -> None:
        self._core = core
        self._handle = handle
        self._woken = asyncio.Event()
        self._socket: ClientConnection | None = None
        self.on_binary: Callable[[bytes], bool] = lambda message: False
        """Gets each binary message first, at once, also while a handler waits; True: it was its own."""

    def wake(self) -> None:
        """The core has something to send."""
        self._woken.set()

    async def flush(self) -> None:
        """Send what the core has ready, now (inside a handler: before the handler goes on)."""
        if self._socket is None:
            return
        try:
            for message in self._core.to_send(monotonic_now()):
                await self._socket.send(message)
        except ConnectionClosed:
            pass  # the reader notices, too, and knows the close code

    async def send_binary(self, message: bytes) -> None:
        """Beside the core, in the order of calls; nothing is sent while there is no WebSocket."""
        if self._socket is not None:
            with suppress(ConnectionClosed):
                await self._socket.send(message)

    async def run(self, socket: ClientConnection) -> None:
        """Until the WebSocket ends or the core gives it up. What a handler raises ends it, too."""
        core, self._socket = self._core, socket
        core.opened(monotonic_now())
        reading = asyncio.create_task(self._read(socket))
        try:
            while True:
                self._woken.clear()
                while (event := core.next_event()) is not None:
                    await self._handle(event)
                await self.flush()
                if self._woken.is_set():
                    continue  # something came while it was sent, the end perhaps: first it must be handled
                if (timer := core.get_timer()) is None:
                    return
                try:
                    async with asyncio.timeout((timer - monotonic_now()) / NANOS_PER_SECOND):
                        await self._woken.wait()
                except TimeoutError:
                    core.handle_timer(monotonic_now())
        finally:
            self._socket = None
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, socket: ClientConnection) -> None:
        try:
            while True:
                message = await socket.recv()
                if isinstance(message, str) or not self.on_binary(message):
                    self._core.receive(message, monotonic_now())
                    self._woken.set()
        except ConnectionClosed:
            self._core.lost(socket.close_code, monotonic_now())
            self._woken.set()

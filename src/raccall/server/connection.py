"""The adapter between a protocol core and a WebSocket: reads, writes, waits for timers; decides nothing.

A connection is one object on its transport, without a task: a thousand idle ones cost memory and one timer each, and
what happens in one turn of the event loop goes out in one piece.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER
from websockets.protocol import Protocol as WebSocketProtocol

from raccall.clock import monotonic_now
from raccall.units import NANOS_PER_SECOND, Nanos
from raccall.voice.gateway.messages import CloseCode

SEND_WITHIN_S = 10.0
"""A client that takes nothing for this long is cut off; it may resume. Until then at most the core's MAX_OUTGOING
messages wait, and WRITE_BUFFER_BYTES in the transport."""
CLOSE_WITHIN_S = 10.0
"""For a client to answer a close."""
WRITE_BUFFER_BYTES = 16 << 10
"""Of one WebSocket, in this process; 100 ms of voice from ten talkers: voice in a tunnel must not wait in a long buffer
(`server.tunnel`). The kernel's share: `binding.UNSENT_BYTES`."""
INVALID_TEXT = 1007
MAX_REASON_BYTES = 120


class ServerCore(Protocol):
    """What both gateways' cores have in common."""

    close_code: CloseCode | None

    @property
    def known(self) -> bool: ...
    def receive(self, data: str | bytes, now: Nanos) -> None: ...
    def next_event(self) -> Any: ...
    def to_send(self, now: Nanos) -> Sequence[str | bytes]: ...
    def get_timer(self) -> Nanos | None: ...
    def handle_timer(self, now: Nanos) -> None: ...
    def close(self, code: CloseCode) -> None: ...


C = TypeVar("C", bound=ServerCore)


class Owner(Protocol[C]):
    """Whom a connection's events are for."""

    def on_event(self, link: "Connection[C]", event: Any) -> Awaitable[None] | None:
        """Something to wait for: nothing more is read from this client until it is done."""

    def on_writable(self, link: "Connection[C]") -> None:
        """`send_binary` takes more again."""

    def on_lost(self, link: "Connection[C]", code: int | None, now: Nanos) -> None:
        """The connection has ended. `code`: the client's close code, None if it sent none."""


class Connection(asyncio.Protocol, Generic[C]):
    """One accepted WebSocket and its core.

    `host` and `port` are the server's, as this client reached it; `peer` is the IP address that it comes from. `all`
    has the connections that a stopping server closes. `on_known` is called when it is known who is there, and at the
    end. `greeting` goes out before the first frame.
    """

    __slots__ = (
        "_all",
        "_awake",
        "_fragments",
        "_full",
        "_loop",
        "_on_known",
        "_owner",
        "_patience",
        "_timer",
        "_transport",
        "_unread",
        "_waiting",
        "_ws",
        "core",
        "host",
        "peer",
        "port",
    )

    def __init__(
        self,
        core: C,
        owner: Owner[C],
        *,
        host: str,
        port: int,
        peer: str | None,
        max_message_bytes: int,
        all: set[Any],
        on_known: Callable[[], None],
        greeting: bytes = b"",
    ) -> None:
        self.core = core
        self.host = host
        self.port = port
        self.peer = peer
        self._owner = owner
        self._all = all
        self._on_known: Callable[[], None] | None = on_known
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._ws = WebSocketProtocol(SERVER, state=OPEN, max_size=max_message_bytes)
        self._ws.writes.append(greeting)
        self._unread: list[Frame] = []
        self._fragments: list[Frame] = []
        self._waiting: asyncio.Task[None] | None = None
        self._awake = False
        self._full = False
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        """Runs while the client takes nothing, or does not answer a close."""

    # ---- of a link ----

    def wake(self) -> None:
        """The core has something to send, or was closed."""
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._flush)

    # ---- for who carries datagrams ----

    @property
    def writable(self) -> bool:
        return self._transport is not None and not self._full and self._ws.state is OPEN

    def send_binary(self, data: bytes) -> None:
        """Only while `writable`."""
        self._ws.send_binary(data)
        self._write()

    # ---- for the event loop ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._all.add(self)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._ws.receive_data(data)
        self._unread += cast(list[Frame], self._ws.events_received())
        self._read()
        self.wake()

    def pause_writing(self) -> None:
        self._full = True
        self._be_patient(SEND_WITHIN_S)

    def resume_writing(self) -> None:
        self._full = False
        if self._ws.state is OPEN:
            self._stop(self._patience)
        self._owner.on_writable(self)
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._unread.clear()
        self._stop(self._timer)
        self._stop(self._patience)
        self._all.discard(self)
        self._let_in()
        code = self._ws.close_rcvd.code if self._ws.close_rcvd is not None else None
        self._owner.on_lost(self, code, monotonic_now())

    def shutdown(self) -> None:
        """The server stops: clients try to come back."""
        if self._transport is not None:
            if self._ws.state is OPEN:
                self._ws.send_close(CloseCode.SERVICE_RESTART)
            self._write()
            self._transport.close()

    # ---- inside ----

    def _read(self) -> None:
        """What came, one message after the other, as far as nothing has to be waited for."""
        while self._unread and self._waiting is None:
            frame = self._unread.pop(0)
            if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                continue
            self._fragments.append(frame)
            if frame.fin:
                self._receive()

    def _receive(self) -> None:
        kind = self._fragments[0].opcode
        data = b"".join(frame.data for frame in self._fragments)
        self._fragments.clear()
        if kind is Opcode.TEXT:
            try:
                self.core.receive(data.decode(), monotonic_now())
            except UnicodeDecodeError:
                self._ws.fail(INVALID_TEXT)
        else:
            self.core.receive(data, monotonic_now())
        self._handle_events()

    def _handle_events(self) -> None:
        while self._waiting is None and (event := self.core.next_event()) is not None:
            waits = self._owner.on_event(self, event)
            if waits is not None:
                self._waiting = asyncio.ensure_future(self._wait_for(waits))
                if self._transport is not None:
                    self._transport.pause_reading()
        if self.core.known:
            self._let_in()

    async def _wait_for(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as bug:
            self._loop.call_exception_handler({"message": "a message was not handled", "exception": bug})
            if self._transport is not None:
                self._transport.abort()
        finally:
            self._waiting = None
        if self._transport is not None:
            self._transport.resume_reading()
            self._handle_events()
            self._read()
            self.wake()

    def _flush(self) -> None:
        self._awake = False
        if self._transport is None or self._full:
            return
        if self._ws.state is OPEN:
            for message in self.core.to_send(monotonic_now()):
                if isinstance(message, str):
                    self._ws.send_text(message.encode())
                else:
                    self._ws.send_binary(message)
            if (code := self.core.close_code) is not None:
                self._ws.send_close(code, code.sentence[:MAX_REASON_BYTES])
                self._be_patient(CLOSE_WITHIN_S)
        self._write()
        if self._timer is None:
            self._start_timer()

    def _write(self) -> None:
        pieces = self._ws.data_to_send()
        if not pieces or self._transport is None:
            return
        self._transport.write(b"".join(pieces))
        if pieces[-1] == b"":  # both sides have said that it is over
            self._transport.close()

    def _start_timer(self) -> None:
        due = self.core.get_timer()
        if due is not None:
            delay_s = max(0.0, (due - monotonic_now()) / NANOS_PER_SECOND)
            self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        """Heartbeats move the core's timer, which is not followed each time: here it may turn out to be later."""
        self._timer = None
        self.core.handle_timer(monotonic_now())
        self._start_timer()
        self.wake()

    def _be_patient(self, seconds: float) -> None:
        self._stop(self._patience)
        self._patience = self._loop.call_later(seconds, self._cut)

    def _cut(self) -> None:
        self.core.close(CloseCode.SERVER_CRASHED)
        if self._transport is not None:
            self._transport.abort()

    def _stop(self, timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()

    def _let_in(self) -> None:
        on_known, self._on_known = self._on_known, None
        if on_known is not None:
            on_known()

"""The adapter, on a transport that is none, with the library's own client at the other end."""

import asyncio

import pytest
from websockets.frames import Opcode
from websockets.protocol import CLIENT
from websockets.protocol import Protocol as WebSocketProtocol

from raccall.clock import monotonic_now
from raccall.server import connection
from raccall.server.connection import WRITE_BUFFER_BYTES, Connection
from raccall.server.control import ControlGatewayServer
from raccall.voice.gateway.messages import CloseCode
from raccall.wire import control

IDENTIFY = '{"type":"identify","token":"x"}'
HEARTBEAT = '{"type":"heartbeat","nonce":7}'


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.written, self.closed, self.paused, self.writes = b"", False, False, 0

    def set_write_buffer_limits(self, high=None, low=None):
        assert high == WRITE_BUFFER_BYTES

    def write(self, data):
        self.written += data
        self.writes += 1

    def close(self):
        self.closed = True

    abort = close

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False


class Pair:
    """A connection, its owner, and a client."""

    def __init__(self, greeting=b"hi"):
        self.events, self.lost, self.known, self.writable = [], [], 0, 0
        self.waits = None
        self.transport = Transport()
        self.all = set()
        self.client = WebSocketProtocol(CLIENT)
        self.link = Connection(
            ControlGatewayServer(monotonic_now()),
            self,
            host="192.0.2.1",
            port=7420,
            peer="192.0.2.9",
            max_message_bytes=1000,
            all=self.all,
            on_known=self.on_known,
            greeting=greeting,
        )
        self.link.connection_made(self.transport)

    def on_known(self):
        self.known += 1

    def on_event(self, link, event):
        self.events.append(event)
        return self.waits() if self.waits else None

    def on_writable(self, link):
        self.writable += 1

    def on_lost(self, link, code, now):
        self.lost.append(code)

    def send(self, *texts):
        for text in texts:
            self.client.send_text(text if isinstance(text, bytes) else text.encode())
        self.link.data_received(b"".join(self.client.data_to_send()))

    async def take(self):
        """Frames of the server."""
        await asyncio.sleep(0)
        written, self.transport.written = self.transport.written.removeprefix(b"hi"), b""
        self.client.receive_data(written)
        return self.client.events_received()

    async def texts(self):
        return [control.parse_server_message(frame.data) for frame in await self.take() if frame.opcode is Opcode.TEXT]


async def test_greeting_and_hello_go_out_in_one_piece():
    pair = Pair()
    assert pair.transport.written.startswith(b"hi") and pair.transport.writes == 1
    (hello,) = await pair.texts()
    assert isinstance(hello, control.Hello) and pair.all == {pair.link}


async def test_what_one_turn_of_the_loop_brings_is_answered_in_one_piece():
    pair = Pair()
    await pair.take()
    pair.send(HEARTBEAT, HEARTBEAT)
    assert [ack.nonce for ack in await pair.texts()] == [7, 7] and pair.transport.writes == 2


async def test_a_message_may_come_in_fragments_and_byte_by_byte():
    pair = Pair()
    await pair.take()
    pair.client.send_text(HEARTBEAT[:9].encode(), fin=False)
    pair.client.send_continuation(HEARTBEAT[9:].encode(), fin=True)
    for byte in b"".join(pair.client.data_to_send()):
        pair.link.data_received(bytes([byte]))
    assert len(await pair.texts()) == 1


async def test_what_the_core_decides_is_sent_and_closed():
    pair = Pair()
    pair.send("nonsense")
    frames = await pair.take()
    assert pair.client.close_rcvd.code == CloseCode.DECODE_ERROR and len(frames) == 2
    assert not pair.transport.closed
    pair.link.data_received(b"".join(pair.client.data_to_send()))
    await pair.take()
    assert pair.transport.closed


async def test_a_core_closed_from_outside_ends_the_connection():
    pair = Pair()
    pair.link.core.close(CloseCode.DISCONNECTED)
    pair.link.wake()
    await pair.take()
    assert pair.client.close_rcvd.code == CloseCode.DISCONNECTED


async def test_the_clients_close_code_is_told():
    pair = Pair()
    pair.client.send_close(1001)
    pair.link.data_received(b"".join(pair.client.data_to_send()))
    await pair.take()
    assert pair.transport.closed
    pair.link.connection_lost(None)
    assert (pair.lost, pair.known, pair.all) == ([1001], 1, set())


async def test_a_connection_that_breaks_has_no_code():
    pair = Pair()
    pair.link.connection_lost(ConnectionResetError())
    assert pair.lost == [None]


@pytest.mark.parametrize("bad, code", [(b"\xff\xfe", 1007), (b"x" * 2000, 1009)])
async def test_what_no_websocket_may_send_closes_it(bad, code):
    pair = Pair()
    pair.send(bad)
    await pair.take()
    assert pair.client.close_rcvd.code == code and pair.transport.closed


async def test_who_takes_nothing_is_cut_off(monkeypatch):
    monkeypatch.setattr(connection, "SEND_WITHIN_S", 0.01)
    pair = Pair()
    pair.transport.written = b""
    pair.link.pause_writing()
    pair.send(HEARTBEAT)
    assert await pair.take() == [], "it waits in the core"
    await asyncio.sleep(0.02)
    assert pair.transport.closed and pair.link.core.close_code is CloseCode.SERVER_CRASHED


async def test_who_takes_again_gets_what_waited():
    pair = Pair()
    await pair.take()
    pair.link.pause_writing()
    assert not pair.link.writable
    pair.send(HEARTBEAT)
    pair.link.resume_writing()
    assert len(await pair.texts()) == 1 and pair.link.writable and pair.writable == 1


async def test_a_close_without_an_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(connection, "CLOSE_WITHIN_S", 0.01)
    pair = Pair()
    pair.link.core.close(CloseCode.DISCONNECTED)
    pair.link.wake()
    await asyncio.sleep(0.03)
    assert pair.transport.closed


async def test_who_says_nothing_is_closed_when_the_core_says_so():
    pair = Pair()
    pair.link.core.get_timer = lambda: None if pair.link.core.closed else monotonic_now()
    pair.link._on_timer()
    pair.link.core.handle_timer = lambda now: pair.link.core.close(CloseCode.SESSION_TIMEOUT)
    await asyncio.sleep(0.01)
    await pair.take()
    assert pair.client.close_rcvd.code == CloseCode.SESSION_TIMEOUT


async def test_nothing_is_read_while_an_event_is_being_handled():
    pair = Pair()
    done = asyncio.Event()
    pair.waits = done.wait
    pair.link.core._state = type(pair.link.core._state).READY
    say = '{"type":"say","room_id":"1","text":"%s"}'
    pair.send(say % "a", say % "b")
    await asyncio.sleep(0)
    assert [event.text for event in pair.events] == ["a"] and pair.transport.paused
    pair.waits = None
    done.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert [event.text for event in pair.events] == ["a", "b"] and not pair.transport.paused


async def test_a_bug_in_the_server_is_not_swallowed():
    pair = Pair()

    def crash(link, event):
        raise ZeroDivisionError

    pair.on_event = crash
    with pytest.raises(ZeroDivisionError):
        pair.send(IDENTIFY)


async def test_a_bug_behind_a_wait_ends_the_connection_and_is_told():
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    pair = Pair()

    async def crash():
        raise ZeroDivisionError

    pair.waits = crash
    pair.send(IDENTIFY)
    for _ in range(3):
        await asyncio.sleep(0)
    assert pair.transport.closed and isinstance(told[0], ZeroDivisionError)


async def test_a_stopping_server_says_so():
    pair = Pair()
    await pair.take()
    pair.link.shutdown()
    await pair.take()
    assert pair.client.close_rcvd.code == 1012 and pair.transport.closed


async def test_datagrams_are_binary_messages():
    pair = Pair()
    await pair.take()
    pair.link.send_binary(b"\0\0\xfadatagram")
    (frame,) = await pair.take()
    assert (frame.opcode, frame.data) == (Opcode.BINARY, b"\0\0\xfadatagram")

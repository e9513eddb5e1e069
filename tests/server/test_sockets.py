"""The adapter, with a WebSocket that misbehaves."""

import asyncio

import pytest

from raccall.clock import monotonic_now
from raccall.server import sockets
from raccall.server.control import ControlGatewayServer
from raccall.server.sockets import SocketLink
from raccall.voice.gateway.messages import CloseCode


class FakeSocket:
    """Gives out `incoming`, then stays silent; takes messages only if it is not stuck."""

    def __init__(self, *incoming, stuck=False):
        self.incoming = list(incoming)
        self.stuck = stuck
        self.sent, self.closed_with = [], None
        self.client = None

    async def receive(self):
        if self.incoming:
            return self.incoming.pop(0)
        await asyncio.Event().wait()

    async def send_text(self, text):
        if self.stuck:
            await asyncio.Event().wait()
        self.sent.append(text)

    async def close(self, code, reason):
        self.closed_with = code


def link(socket):
    return SocketLink(socket, ControlGatewayServer(monotonic_now()), "192.0.2.1", 7420)


async def ignore(event):
    pass


async def test_who_takes_nothing_is_cut_off(monkeypatch):
    monkeypatch.setattr(sockets, "SEND_WITHIN_S", 0.01)
    stuck = link(FakeSocket(stuck=True))
    assert await stuck.run(ignore) is None
    assert stuck.core.close_code is CloseCode.SERVER_CRASHED


async def test_the_clients_close_code_is_returned():
    assert await link(FakeSocket({"type": "websocket.disconnect", "code": 1001})).run(ignore) == 1001


async def test_what_the_core_decides_is_sent_and_closed():
    socket = FakeSocket({"type": "websocket.receive", "bytes": b"nonsense"})
    assert await link(socket).run(ignore) is None
    assert len(socket.sent) == 1 and socket.closed_with == CloseCode.DECODE_ERROR


async def test_a_core_closed_from_outside_ends_the_connection():
    socket = FakeSocket()
    ended = link(socket)
    running = asyncio.create_task(ended.run(ignore))
    await asyncio.sleep(0)
    ended.core.close(CloseCode.DISCONNECTED)
    ended.wake()
    await running
    assert socket.closed_with == CloseCode.DISCONNECTED


async def test_a_bug_in_the_server_is_not_swallowed():
    async def crash(event):
        raise ZeroDivisionError

    socket = FakeSocket({"type": "websocket.receive", "text": '{"type":"identify","token":"x"}'})
    with pytest.raises(ZeroDivisionError):
        await link(socket).run(crash)

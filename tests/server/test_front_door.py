"""Who connects and says nothing, or says it slowly, holds a place for a moment; others are served meanwhile."""

import asyncio
import contextlib
import ssl

import httpx
import pytest

from raccall.server import front_door
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings

pytestmark = pytest.mark.realtime

SOON_S = 0.05
HANDSHAKE = (
    b"GET /gateway HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture(params=["plain", "tls"])
async def server(request, tmp_path):
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path, tls=request.param == "tls")
    async with asyncio.timeout(20), RunningServer(settings) as server:
        yield server


async def connect(server, *, secured=True):
    """As a client of this server does; secured=False: TCP alone."""
    context = None
    if secured and server.url.startswith("https"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await asyncio.open_connection("127.0.0.1", server.port, ssl=context)


async def health(server):
    async with httpx.AsyncClient(verify=False) as client:
        return (await client.get(f"{server.url}/api/health")).status_code


async def ended(reader):
    with contextlib.suppress(ConnectionResetError):
        await reader.read()


@pytest.mark.parametrize("said", [b"", b"GET /gate", b"POST /api/guests HTTP/1.1\r\nHost: x\r\n"])
async def test_who_says_nothing_or_half_of_it_is_cut_off(server, monkeypatch, said):
    monkeypatch.setattr(front_door, "HEAD_WITHIN_S", SOON_S)
    reader, writer = await connect(server)
    writer.write(said)
    await ended(reader)
    assert len(server.service.doorway) == 0
    writer.close()


async def test_a_connection_that_never_begins_tls_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(front_door, "HEAD_WITHIN_S", SOON_S)
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path, tls=True)
    async with asyncio.timeout(20), RunningServer(settings) as server:
        for said in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await connect(server, secured=False)
            writer.write(said)
            await ended(reader)
            writer.close()
        assert len(server.service.doorway) == 0 and await health(server) == 200


async def test_a_body_that_comes_drop_by_drop_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(front_door, "EXCHANGE_WITHIN_S", SOON_S)
    reader, writer = await connect(server)
    writer.write(b"POST /api/guests HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await ended(reader)
    assert len(server.service.doorway) == 0
    writer.close()


async def test_the_second_request_of_a_connection_has_its_own_time(server, monkeypatch):
    monkeypatch.setattr(front_door, "EXCHANGE_WITHIN_S", 4 * SOON_S)
    reader, writer = await connect(server)
    request = b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n"
    for _ in range(3):
        await asyncio.sleep(2 * SOON_S)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
    writer.write(request[:10])
    await ended(reader)
    writer.close()


async def test_silent_ones_fill_the_places_of_their_address_only(server):
    server.service.doorway.most_per_host = 3
    silent = [await connect(server, secured=False) for _ in range(3)]
    while len(server.service.doorway) < 3:  # noqa: ASYNC110 (the server accepts in its own time)
        await asyncio.sleep(0.01)
    reader, writer = await connect(server, secured=False)
    assert not (refused := await reader.read()) or b" 503 " in refused
    for _, open_one in [*silent, (reader, writer)]:
        open_one.close()
    while len(server.service.doorway):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert await health(server) == 200 and server.service.doorway.refused == 1


async def test_a_handshake_may_come_in_pieces_with_the_first_frame_behind_it(server):
    reader, writer = await connect(server)
    for piece in (HANDSHAKE[:30], HANDSHAKE[30:] + b"\x89\x80\0\0\0\0"):  # a ping
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    assert b"hello" in await reader.readuntil(b"}") and await reader.readexactly(2) == b"\x8a\x00"
    writer.close()


@pytest.mark.parametrize(
    "asked, status",
    [
        (HANDSHAKE.replace(b"/gateway", b"/elsewhere"), b"404"),
        (HANDSHAKE.replace(b": 13", b": 7"), b"426"),
        (HANDSHAKE.replace(b"AAAA", b""), b"400"),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"431"),
    ],
)
async def test_what_is_no_handshake_is_answered_and_closed(server, asked, status):
    reader, writer = await connect(server)
    writer.write(asked)
    assert (await reader.read()).split(b" ")[1] == status
    writer.close()


async def test_a_server_that_stops_waits_for_no_silent_connection(tmp_path):
    settings = ServerSettings(host="127.0.0.1", port=0, data=tmp_path, tls=True)
    async with asyncio.timeout(10):
        async with RunningServer(settings) as server:
            silent = [await connect(server, secured=False), await connect(server)]
            await asyncio.sleep(0.01)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 2
    for _, writer in silent:
        writer.close()

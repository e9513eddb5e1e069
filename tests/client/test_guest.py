"""Becoming a guest: what else may answer at the place that an invite names."""

import asyncio

import pytest

from raccall.client import connect
from raccall.errors import ConnectionFailed, RaccallError, RefusedError

pytestmark = pytest.mark.realtime


async def enter(answer: bytes) -> RaccallError:
    """What `connect` raises when the server answers its first request so."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RaccallError) as caught:
            async with connect(f"http://127.0.0.1:{port}/join/abc", name="anna"):
                pass
    return caught.value


def http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"SSH-2.0-x\r\n",
        http("404 Not Found", "<html>"),
        http("201 Created", "{}"),
    ],
)
async def test_something_else_answers(answer: bytes) -> None:
    error = await enter(answer)
    assert isinstance(error, ConnectionFailed)
    assert error.code == "server_unsuitable"


async def test_the_server_says_no_in_its_own_words() -> None:
    error = await enter(http("409 Conflict", '{"code": "name_taken", "sentence": "Somebody has this name."}'))
    assert isinstance(error, RefusedError)
    assert (error.code, str(error)) == ("name_taken", "Somebody has this name.")

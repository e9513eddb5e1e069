"""How long 200 members take to join a room, beside a bare uvicorn that accepts 200 WebSockets; what an idle one costs.

To join: the control connection with Identify and JoinRoom, then the voice gateway with Identify, IP discovery by UDP,
SelectProtocol, until the key is there; over when all have that and everybody was told of everybody. That is two
WebSockets each; the call is not encrypted end to end. The bare server is sent 200 handshakes and is done when all are
accepted. Both are other processes, asked by the same few lines of client, in turn.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.join_server import FIRST_USER_ID, rss_bytes
from bench.report import Report, Row, note
from raccall._native import Relay

CLAIM = "200 members join a room in at most 3 times the time a bare uvicorn takes to accept 200 WebSockets"
MEMBERS = 200
LIMIT = 3.0
MEMBER_KIB = 64.0
"""Per idle member, both WebSockets, without TLS and compression."""
RELAY_KIB = 2.0
"""Per session in the relay."""
RELAY_SESSIONS = 20_000
REPEATS, QUICK_REPEATS = 9, 2
WITHIN_S = 60.0
SETTLE_S = 1.0
HEAD_END = b"\r\n\r\n"
ROOT = Path(__file__).parents[1]


def measure(quick: bool) -> Report:
    ours, bare, kib = [], [], []
    repeats = QUICK_REPEATS if quick else REPEATS
    for repeat in range(1, repeats + 1):
        note(f"[{repeat}/{repeats}] bare uvicorn")
        bare.append(asyncio.run(accepted_s()))
        note(f"[{repeat}/{repeats}] {MEMBERS} members")
        joined_s, member_kib = asyncio.run(joined())
        ours.append(joined_s)
        kib.append(member_kib)
    rows = [
        Row.of_repeats(
            name="200 join, ms",
            value=[1000 * seconds for seconds in ours],
            against=[1000 * seconds for seconds in bare],
            kind="peer",
            limit=LIMIT,
        ),
        Row.of_repeats(name="idle member, KiB", value=kib, against=[MEMBER_KIB] * repeats, kind="budget", limit=1.0),
        Row(name="relay session, KiB", value=relay_kib(), against=RELAY_KIB, kind="budget", limit=1.0),
    ]
    return Report(claim=CLAIM, unit="ms, KiB", rows=rows)


async def accepted_s() -> float:
    """Until a bare uvicorn has accepted them all."""
    with program("bare") as (facts, _):
        began = time.perf_counter()
        async with asyncio.timeout(WITHIN_S):
            sockets = await asyncio.gather(*(WebSocket.open(facts["port"], "/") for _ in range(MEMBERS)))
        seconds = time.perf_counter() - began
        for one in sockets:
            one.close()
    return seconds


async def joined() -> tuple[float, float]:
    """Seconds until all are in, and KiB that each costs the server once it is quiet."""
    with program(str(MEMBERS)) as (facts, ask):
        before = ask()["rss"]
        everybody = {str(FIRST_USER_ID + number) for number in range(MEMBERS)}
        members = [Member(facts, number, everybody) for number in range(MEMBERS)]
        began = time.perf_counter()
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*(member.join() for member in members))
        seconds = time.perf_counter() - began
        await asyncio.sleep(SETTLE_S)
        kib = (ask()["rss"] - before) / 1024 / MEMBERS
        for member in members:
            member.close()
    return seconds, kib


def relay_kib() -> float:
    """Of a session that has an address and hears nobody."""
    relay = Relay([("127.0.0.1", 0)])
    try:
        relay.counters()
        before = rss_bytes()
        for number in range(1, RELAY_SESSIONS + 1):
            relay.add_session(number, number, "aead_aes256_gcm_rtpsize", os.urandom(32))
        relay.session_stats(RELAY_SESSIONS)  # all commands before it are done
        return (rss_bytes() - before) / 1024 / RELAY_SESSIONS
    finally:
        relay.stop()


class Member:
    """One that joins, hears of everybody and stays."""

    def __init__(self, facts: dict[str, Any], number: int, everybody: set[str]) -> None:
        self._port, self._room_id, self._token = facts["port"], facts["room_id"], facts["tokens"][number]
        self._user_id = str(FIRST_USER_ID + number)
        self._missing = set(everybody)
        self._sockets: list[WebSocket] = []
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setblocking(False)
        self._udp.connect(("127.0.0.1", self._port))

    async def join(self) -> None:
        control = await self._open("/gateway")
        control.send({"type": "identify", "token": self._token})
        self._meet((await control.until("type", "ready")).rooms[0].members)
        control.send({"type": "join_room", "room_id": self._room_id})
        given = await control.until("type", "voice_server", self._hear)
        voice = await self._open("/?v=8")
        identity = {"session_id": given.session_id, "token": given.token}
        voice.send({"op": 0, "d": {"server_id": self._room_id, "user_id": self._user_id, **identity}})
        ready = (await voice.until("op", 2)).d
        loop = asyncio.get_running_loop()
        self._udp.send(b"\0\1\0\x46" + ready["ssrc"].to_bytes(4, "big") + bytes(66))
        answer = await loop.sock_recv(self._udp, 100)
        address = {"address": answer[8:72].rstrip(b"\0").decode(), "port": int.from_bytes(answer[72:], "big")}
        voice.send({"op": 1, "d": {"protocol": "udp", "data": {**address, "mode": ready["modes"][0]}}})
        await voice.until("op", 4)
        while self._missing:
            self._hear(await control.receive())

    def close(self) -> None:
        self._udp.close()
        for one in self._sockets:
            one.close()

    async def _open(self, path: str) -> "WebSocket":
        one = await WebSocket.open(self._port, path)
        self._sockets.append(one)
        return one

    def _hear(self, message: "Message") -> None:
        """Who joined, one or many."""
        self._meet(message.members if message.member is None else [message.member])

    def _meet(self, members: "list[Person]") -> None:
        self._missing.difference_update([member.user_id for member in members])


class Person(msgspec.Struct, gc=False):
    user_id: str


class Room(msgspec.Struct):
    members: list[Person] = []


class Message(msgspec.Struct):
    """What is needed of a message of either gateway."""

    type: str = ""
    op: int = -1
    d: Any = None
    rooms: list[Room] = []
    members: list[Person] = []
    member: Person | None = None
    session_id: str = ""
    token: str = ""


_decode = msgspec.json.Decoder(Message).decode


class WebSocket(asyncio.Protocol):
    """As little of RFC 6455 as is needed, so that the client's own cost stays small beside the server's."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self._answered = self._lost = False
        self._messages: deque[bytes] = deque()
        """The answer to the handshake, then what came in frames."""
        self._wanted: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, port: int, path: str) -> "WebSocket":
        """Until the server has accepted it."""
        connected = socket.create_connection(("127.0.0.1", port))  # at once: nobody's backlog is that short
        transport, self = await asyncio.get_running_loop().create_connection(cls, sock=connected)
        self._transport = transport
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        transport.write((head + key).encode())
        answer = await self._next()
        if not answer.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(answer.decode())
        return self

    def send(self, message: dict[str, Any]) -> None:
        """Masked with zeros, which changes nothing."""
        assert self._transport is not None
        data = msgspec.json.encode(message)
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        self._transport.write(b"\x81" + length + bytes(4) + data)

    async def receive(self) -> Message:
        return _decode(await self._next())

    async def until(self, key: str, value: object, hear: Callable[[Message], None] = lambda message: None) -> Message:
        """The next message in which `key` is `value`; `hear` gets those before it."""
        while getattr(message := await self.receive(), key) != value:
            hear(message)
        return message

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (message := self._take()) is not None:
            self._messages.append(message)
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._tell()

    async def _next(self) -> bytes:
        while not self._messages:
            if self._lost:
                raise ConnectionError("the server has closed a connection")
            self._wanted = asyncio.get_running_loop().create_future()
            await self._wanted
        return self._messages.popleft()

    def _tell(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    def _take(self) -> bytes | None:
        """The answer to the handshake, then one message after the other; None until it is whole."""
        begin = 0
        if not self._answered:
            end = self._unread.find(HEAD_END) + len(HEAD_END)
            self._answered = end >= len(HEAD_END)
            if not self._answered:
                return None
        elif len(self._unread) < 2:
            return None
        else:
            begin, length = 2, self._unread[1]
            if length >= 126:
                begin = 4 if length == 126 else 10
                length = int.from_bytes(self._unread[2:begin], "big")
            end = begin + length
        if max(begin, end) > len(self._unread):
            return None
        message, self._unread = self._unread[begin:end], self._unread[end:]
        return message


@contextmanager
def program(*words: str) -> Any:
    """One of join_server: what it said when it listened, and a call that asks it for its numbers."""
    command = [sys.executable, "-m", "bench.join_server", *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask() -> dict[str, Any]:
            stdin.write("\n")
            stdin.flush()
            answer: dict[str, Any] = json.loads(stdout.readline())
            return answer

        try:
            yield json.loads(stdout.readline()), ask
        finally:
            stdin.close()
            process.wait()

"""The stand-in's voice servers: a TLS WebSocket each, between a client and our server, that can be told to misbehave.

    discord.py ══ wss ══▶ VoiceLine ── ws ──▶ our server (a room for each channel)

On the way it puts our server's identity where the client gave Discord's (guild, session, token), and names an emulated
network where the server names its UDP port, if the account has one.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from raccall.server.voice_session import VoicePass
from raccall.testing.bad_network import BadNetwork
from raccall.testing.discord.decorated_network import DecoratedNetwork, VoiceNetwork
from raccall.testing.network import NetworkConditions

IDENTIFY, READY, HEARTBEAT, DESCRIPTION, RESUME = 0, 2, 3, 4, 7
NONE = -1
"""The number that stands for no message."""
UNPLUGGED = 4900
"""With what our server's side is closed when the client's side is said to have broken: it waits for a resume."""


@dataclass(frozen=True, slots=True)
class Way:
    """How an account's voice travels."""

    conditions: NetworkConditions | None = None
    """None: the loopback as it is."""
    seed: int = 1
    decorated: bool = False
    """What comes from the server gets header extensions and padding, as Discord adds them."""


@dataclass(eq=False, slots=True)
class Passage:
    """What a token of Discord's opens at our server; lives as long as the voice session, over several lines."""

    name: str
    """Of the account."""
    voice_pass: VoicePass
    way: Way
    network: BadNetwork | None = None
    told: list[int] = field(default_factory=list)
    """Our server's numbers of the messages that the client got, in that order: the client counts from 1."""

    async def close(self) -> None:
        if self.network is not None:
            await self.network.__aexit__(None, None, None)


@dataclass(eq=False, slots=True)
class _Held:
    """Messages of some opcodes wait here."""

    opcodes: frozenset[int]
    waiting: list[str | bytes] = field(default_factory=list)


class VoiceLine:
    """One client's voice WebSocket, as long as it lasts. `StandIn.lines` has the newest of each account.

    Messages that were held are as if the server had said them later: numbers are given as they go to the client.
    """

    def __init__(self, socket: web.WebSocketResponse, find: Callable[["VoiceLine", str], Passage | None]) -> None:
        """find: told the token that the client shows."""
        self._socket = socket
        self._find = find
        self._held: _Held | None = None
        self._broken = False
        self._swallowed: frozenset[int] = frozenset()
        self._passage: Passage | None = None
        self.heard: list[dict[str, Any]] = []
        """What the client said, without heartbeats and binary messages."""

    @property
    def network(self) -> BadNetwork | None:
        """How this session's voice travels, if it does not go straight."""
        return self._passage.network if self._passage else None

    async def close(self, code: int) -> None:
        """End it as Discord's server would, with this code."""
        self._broken = True
        await self._socket.close(code=code)

    def hold(self, *opcodes: int) -> None:
        """Keep messages of these opcodes back, binary ones too, until `release`."""
        self._held = _Held(frozenset(opcodes))

    async def release(self) -> None:
        """Send what was held, in its order."""
        held, self._held = self._held, None
        for message in held.waiting if held else []:
            await self.inject(self._numbered(message))

    def swallow(self, *opcodes: int) -> None:
        """From now on our server does not get what the client says with these."""
        self._swallowed = frozenset(opcodes)

    async def inject(self, message: str | bytes) -> None:
        """Say something to the client that our server did not say."""
        with contextlib.suppress(ConnectionError):  # it has just gone
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)

    async def run(self, server_url: str) -> None:
        """Until either side ends."""
        async with connect(server_url, compression=None, ping_interval=None, max_size=None) as server:
            down = asyncio.create_task(self._down(server))
            try:
                await self._up(server)
                # What this side closed with looks to our server like a line that broke: it waits for a resume.
                left = not self._broken and self._socket.close_code == WSCloseCode.OK
                await server.close(WSCloseCode.OK if left else UNPLUGGED)
            finally:
                down.cancel()
                await asyncio.gather(down, return_exceptions=True)

    async def _up(self, server: ClientConnection) -> None:
        async for message in self._socket:
            with contextlib.suppress(ConnectionClosed):
                if message.type is WSMsgType.TEXT and json.loads(message.data)["op"] in self._swallowed:
                    continue
                if message.type is WSMsgType.BINARY and message.data[0] in self._swallowed:
                    continue
                if message.type is WSMsgType.TEXT:
                    await server.send(self._introduced(message.data))
                elif message.type is WSMsgType.BINARY:
                    await server.send(message.data)

    def _introduced(self, text: str) -> str:
        message = json.loads(text)
        if message["op"] != HEARTBEAT:
            self.heard.append(message)
        if message["op"] in (IDENTIFY, RESUME):
            self._passage = self._find(self, message["d"]["token"])
            if self._passage is not None:
                own = self._passage.voice_pass
                message["d"] |= {"server_id": str(own.room_id), "session_id": own.session_id, "token": own.token}
        if self._passage is not None and (newest := message["d"].get("seq_ack", NONE)) > 0:
            told = self._passage.told  # discord.py goes on with the number of a former session at first
            message["d"]["seq_ack"] = told[newest - 1] if newest <= len(told) else NONE
        return json.dumps(message)

    def _numbered(self, message: str | bytes) -> str | bytes:
        if self._passage is None:
            return message
        told = self._passage.told
        if isinstance(message, bytes):
            told.append(int.from_bytes(message[:2], "big"))
            return len(told).to_bytes(2, "big") + message[2:]
        fields = json.loads(message)
        if "seq" in fields:
            told.append(fields["seq"])
            fields["seq"] = len(told)
        return json.dumps(fields)

    async def _down(self, server: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in server:
                if isinstance(message, str):
                    message = await self._networked(message)
                if self._held is not None and _opcode(message) in self._held.opcodes:
                    self._held.waiting.append(message)
                else:
                    await self.inject(self._numbered(message))
        await self._socket.close(code=server.close_code or WSCloseCode.ABNORMAL_CLOSURE)

    async def _networked(self, text: str) -> str:
        """Name the emulated network instead of the server's port, and let it know the key."""
        message, passage = json.loads(text), self._passage
        if passage is None or passage.way == Way():
            return text
        data = message["d"]
        if message["op"] == DESCRIPTION and isinstance(passage.network, DecoratedNetwork):
            passage.network.set_key(data["mode"], bytes(data["secret_key"]))
        if message["op"] != READY:
            return text
        kind = DecoratedNetwork if passage.way.decorated else VoiceNetwork
        conditions = passage.way.conditions or NetworkConditions()
        passage.network = await kind((data["ip"], data["port"]), conditions, passage.way.seed).__aenter__()
        data["ip"], data["port"] = passage.network.address
        return json.dumps(message)


def _opcode(message: str | bytes) -> int:
    return message[2] if isinstance(message, bytes) else int(json.loads(message)["op"])

"""`raccall serve --old-modes`: a client of 2021, written here from scratch, speaks and hears; else it is refused."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import websockets
from nacl.secret import SecretBox

sys.path.insert(0, str(Path(__file__).parents[1] / "recorder"))

from captures import seal

from raccall.client import Session, connect
from raccall.server.app import RunningServer
from raccall.server.settings import ServerSettings
from raccall.voice.engine import PacketTap
from raccall.voice.gateway.server import OFFERED_MODES, OLD_MODES
from raccall.voice.tap import EngineTap
from raccall.wire.control import EncryptionPolicy

pytestmark = pytest.mark.realtime

UNKNOWN_MODE = 4016
PAYLOADS = [bytes([0x78, number]) * 20 for number in range(5)]


class OldClient:
    """The voice connection of a bot of that time."""

    def __init__(self, session: Session, stack: AsyncExitStack) -> None:
        self._session = session
        self._stack = stack
        self.modes: list[str] = []
        self.udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.setblocking(False)
        self.udp.bind(("127.0.0.1", 0))

    async def connect(self, mode: str) -> None:
        given = await self._session.ask_for_voice()
        url = f"ws://{given.endpoint}/?v=8"
        self.socket = await self._stack.enter_async_context(websockets.connect(url, proxy=None))
        who = {"server_id": given.room_id, "user_id": self._session.user_id}
        await self._send(0, {**who, "session_id": given.session_id, "token": given.token})
        ready = await self._until(2)
        self.modes, self.ssrc, self._address = ready["modes"], ready["ssrc"], (ready["ip"], ready["port"])
        loop = asyncio.get_running_loop()
        await loop.sock_sendto(self.udp, b"\0\1\0\x46" + self.ssrc.to_bytes(4, "big") + bytes(66), self._address)
        answer = await loop.sock_recv(self.udp, 100)
        seen = {"address": answer[8:72].rstrip(b"\0").decode(), "port": int.from_bytes(answer[72:], "big")}
        await self._send(1, {"protocol": "udp", "data": {**seen, "mode": mode}})
        self.mode, self.key = mode, bytes((await self._until(4))["secret_key"])
        await self._send(5, {"speaking": 1, "delay": 0, "ssrc": self.ssrc})

    async def speak(self, payload: bytes, number: int) -> None:
        """With a header extension as desktop clients have it: all of it inside the ciphertext, or its body alone."""
        header = (
            b"\x90\x78" + number.to_bytes(2, "big") + (number * 960).to_bytes(4, "big") + self.ssrc.to_bytes(4, "big")
        )
        rtp = header + bytes.fromhex("BEDE0001 107F9002") + payload
        datagram = seal(self.mode, rtp, number, self.key)
        await asyncio.get_running_loop().sock_sendto(self.udp, datagram, self._address)

    async def hear(self) -> bytes:
        """The next voice packet as the library of that time opened it (`xsalsa20_poly1305_suffix`)."""
        while True:
            datagram = await asyncio.get_running_loop().sock_recv(self.udp, 2000)
            if datagram[1] & 0x7F == 120:
                return SecretBox(self.key).decrypt(datagram[12:-24], datagram[-24:])

    async def _send(self, op: int, fields: object) -> None:
        await self.socket.send(json.dumps({"op": op, "d": fields}))

    async def _until(self, op: int) -> dict[str, object]:
        while (message := json.loads(await self.socket.recv()))["op"] != op:
            pass
        fields: dict[str, object] = message["d"]
        return fields


@asynccontextmanager
async def room(tmp_path: Path, **settings: bool) -> AsyncIterator[tuple[Session, OldClient]]:
    """A listener of ours, and a client of 2021 that is not connected yet."""
    async with AsyncExitStack() as stack:
        # Without end-to-end encryption, which no client had then.
        off = EncryptionPolicy.OFF
        given = ServerSettings(host="127.0.0.1", port=0, data=tmp_path / "data", encryption=off, **settings)
        server = await stack.enter_async_context(RunningServer(given))
        listener = await stack.enter_async_context(connect(server.invite(), name="listener"))
        session = await stack.enter_async_context(connect(server.invite(), name="old"))
        async with asyncio.timeout(20):
            yield listener, OldClient(session, stack)


async def test_no_server_offers_old_modes_by_itself(tmp_path: Path) -> None:
    async with room(tmp_path) as (_, client):
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await client.connect("xsalsa20_poly1305_lite")
        assert closed.value.rcvd is not None and closed.value.rcvd.code == UNKNOWN_MODE
        assert client.modes == list(OFFERED_MODES)
        assert not any("xsalsa" in mode or not mode.endswith("_rtpsize") for mode in client.modes)


@pytest.mark.parametrize("mode", OLD_MODES)
async def test_it_speaks_in_every_old_mode(mode: str, tmp_path: Path) -> None:
    taps: list[PacketTap] = []
    async with room(tmp_path, old_modes=True) as (listener, client):
        await listener.join(None, on_tap=taps.append)
        await client.connect(mode)
        assert client.modes == [*OFFERED_MODES, *OLD_MODES]
        for number, payload in enumerate(PAYLOADS):
            await client.speak(payload, number)
        heard: list[tuple[int, bytes]] = []
        async for tick in EngineTap(taps[0]):
            heard += [(packet.ssrc, packet.payload) for packet in tick.packets]
            if len(heard) >= len(PAYLOADS):
                break
        assert heard == [(client.ssrc, payload) for payload in PAYLOADS]


async def test_it_hears_one_of_its_kind(tmp_path: Path) -> None:
    async with room(tmp_path, old_modes=True) as (listener, speaker), AsyncExitStack() as stack:
        hearer = OldClient(listener, stack)
        await hearer.connect("xsalsa20_poly1305_suffix")
        await speaker.connect("xsalsa20_poly1305")
        for number, payload in enumerate(PAYLOADS):
            await speaker.speak(payload, number)
            # What is inside is BE DE, a word, and the Opus packet: the layout of that time.
            assert await hearer.hear() == bytes.fromhex("BEDE0001 107F9002") + payload
